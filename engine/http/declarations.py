"""Declarations above handlers: stored with the handler, and found again in the modules that contain handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any, TypeVar

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


def declare(mark: str, **declared: Any) -> Callable[[HandlerT], HandlerT]:
    """A decorator that stores `declared` with a handler, under `mark`."""

    def keep(handler: HandlerT) -> HandlerT:
        vars(handler)[mark] = declared
        return handler

    return keep


def declared_handlers(modules: Iterable[ModuleType], mark: str) -> Iterator[tuple[FunctionType, dict[str, Any]]]:
    """The handlers under `mark`, each with what it declares, in the order of the modules and their lines.

    A handler that a module imports from another does not count as its own.
    """
    for module in modules:
        for handler in vars(module).values():
            if isinstance(handler, FunctionType) and handler.__module__ == module.__name__ and mark in vars(handler):
                yield handler, vars(handler)[mark]
