"""Collects the faults of a request: the place of each, and a sentence about it.

This is the only way to fill `fields` in a 400, for the walk through a body and for handlers alike. Faults appear in the
order in which they were added. The search stops at `MOST_FIELD_ERRORS`, and member names are cut, so that the answer
never gets larger, or takes longer, than the request justifies.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from engine.errors import Problem

MOST_FIELD_ERRORS = 1000
"""Maximum faults reported for one request."""
LONGEST_NAME = 100
"""Maximum characters shown of a member's name."""

WRONG: Final = object()
"""What a walk returns instead of a value with an error."""


class Enough(Exception):
    """The limit is reached: stop looking for faults."""


class FieldPath(NamedTuple):
    """The place of a value: `to[0].address` and its last part `address`; both empty for the request itself."""

    path: str
    key: str

    @classmethod
    def of(cls, path: str) -> FieldPath:
        """The place with this path."""
        return cls(path, path.rpartition(".")[2].partition("[")[0])

    def member(self, name: str) -> FieldPath:
        """The place of a member of the object here."""
        if len(name) > LONGEST_NAME:
            name = f"{name[:LONGEST_NAME]}…"
        return FieldPath(f"{self.path}.{name}" if self.path else name, name)

    def item(self, index: int) -> FieldPath:
        """The place of an item of the list here."""
        return FieldPath(f"{self.path}[{index}]", str(index))


class FieldErrors:
    """The faults found: `fields` as in the problem document, `count` of them."""

    def __init__(self) -> None:
        self.count = 0
        self.fields: list[dict[str, str]] = []

    def add(self, place: FieldPath, text: str) -> object:
        """Add a fault at `place` and return `WRONG`. Raises `Enough` at the limit."""
        self.count += 1
        path, key = (place.path, place.key) if place.path else ("value", "value")
        self.fields.append({"message": f'"{path}" {text}', "key": key, "path": path})
        if self.count == MOST_FIELD_ERRORS:
            raise Enough
        return WRONG

    def problem(self, **extra: Any) -> Problem:
        """The 400 that lists them all."""
        return Problem(400, "Invalid input", **extra, fields=self.fields)

    def refuse(self) -> None:
        """Raise that `Problem` if there is any fault."""
        if self.count:
            raise self.problem()


def invalid(path: str, text: str, **extra: Any) -> Problem:
    """The 400 for a single fault at `path`."""
    found = FieldErrors()
    found.add(FieldPath.of(path), text)
    return found.problem(**extra)
