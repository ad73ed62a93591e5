"""What the tables of `config.toml` are made of: sections, and values with their units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args

import msgspec

from engine.quantities import parse_duration, parse_size

Seconds = Annotated[float, "duration"]
Bytes = Annotated[int, "size"]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""

    def faults(self) -> Iterator[str]:
        """What is wrong with values of the right type: the key, and what it must be."""
        yield from ()


def too_small(section: Section, *keys: str) -> Iterator[str]:
    """Which of these keys are below 1."""
    return (f"{key} must be at least 1" for key in keys if getattr(section, key) < 1)


def no_choice(key: str, value: str, *choices: str) -> Iterator[str]:
    """That the value of a key is none of these."""
    if value not in choices:
        yield f"{key} must be {', '.join(choices[:-1])} or {choices[-1]}, not {value!r}"


def read(hint: Any, value: Any) -> Any:
    """A value of the file as its type. Raises ValueError that says what it must be."""
    if is_list(hint):
        if not isinstance(value, list):
            raise ValueError("must be a list")
        return tuple(_scalar(get_args(hint)[0], item) for item in value)
    return _scalar(hint, value)


def read_text(hint: Any, text: str) -> Any:
    """A text of the environment as the file would have it; what it cannot be is left to `read`."""
    if is_list(hint):
        return [_number(int, each) if get_args(hint)[0] is int else each for each in text.split()]
    if hint is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower(), text)
    if hint in (int, float):
        return _number(hint, text)
    return text


def is_list(hint: Any) -> bool:
    """Whether values of this type are lists."""
    return getattr(hint, "__origin__", None) is tuple


def _number(kind: Callable[[str], float], text: str) -> float | str:
    """The number, or the text itself if it is none."""
    try:
        return kind(text)
    except ValueError:
        return text


def _scalar(hint: Any, value: Any) -> Any:
    if hint == Seconds:
        return parse_duration(value)
    if hint == Bytes:
        return parse_size(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        raise ValueError(f"must be {words[hint]}")
    return value
