"""Every answer a test sees is held against what its operation declares: no member more, none less, each of its type.

The clients of the tests call `check` with each answer that came over HTTP, and `plain` with what a handler returned.
"""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.api import operations
from engine.http.operation import Operation
from engine.schema.events import EVENT_DATA, EventsPage
from engine.schema.problem import ProblemDocument

Kind = type[msgspec.Struct]

_one_at_a_time = threading.Lock()
"""msgspec 0.22 crashes the process where two threads are the first to convert to the same type."""


class WrongAnswer(AssertionError):
    """An answer is not what its operation says."""


def check(method: str, target: str, status: int, body: bytes) -> None:
    """Raise `WrongAnswer` for an answer that is not of a type its operation declares; others are none of ours."""
    operation = operation_at(method, target.partition("?")[0])
    if operation is None or (operation.media and status in (200, 206)):
        return
    try:
        said = json.loads(body)
    except ValueError as error:
        raise WrongAnswer(f"{operation.name} answered {status} without JSON: {body[:200]!r}") from error
    _must_be(operation.answers if status == 200 else (ProblemDocument,), said, f"{operation.name} {status}")


def plain(answer: Any) -> Any:
    """What a handler returned, as its caller sees it. Raises `WrongAnswer` where it is not what it says it is."""
    if not isinstance(answer, msgspec.Struct):
        return answer
    said = json.loads(msgspec.json.encode(answer))
    _must_be((type(answer),), said, type(answer).__name__)
    return said


def operation_at(method: str, path: str) -> Operation | None:
    """The operation that answers there."""
    return next((each for pattern, each in _patterns(method) if pattern.fullmatch(path)), None)


@functools.cache
def _patterns(method: str) -> list[tuple[re.Pattern[str], Operation]]:
    ours = [each for each in operations() if each.method == method and not each.websocket]
    # What is spelled out goes before what is anything.
    ours.sort(key=lambda each: each.path.count("{"))
    return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(each.path))), each) for each in ours]


def _must_be(kinds: Iterable[Kind], said: Any, of: str) -> None:
    faults = [fault for kind in kinds if (fault := _fault(kind, said)) is None or fault]
    if None not in faults:
        raise WrongAnswer(f"{of}: {'; '.join(map(str, faults))}: {said}")


def _fault(kind: Kind, said: Any) -> str | None:
    """What is wrong with it as this kind."""
    try:
        with _one_at_a_time:
            converted = msgspec.convert(said, kind)
        again = json.loads(msgspec.json.encode(converted))
    except msgspec.ValidationError as error:
        return f"no {kind.__name__}: {error}"
    if again != said:
        return f"as {kind.__name__} it would be {again}"
    if kind is EventsPage:
        faults = [_fault(EVENT_DATA[each["event"]], each["data"]) for each in said["events"]]
        return next((fault for fault in faults if fault is not None), None)
    return None
