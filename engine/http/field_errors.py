"""What is wrong with a request, collected fault by fault: where it is and the sentence about it.

The one way to the `fields` of a 400, for the walk through a body and for handlers alike. The order is the order of
adding. The search ends with `MOST_FIELD_ERRORS`, and names of members are cut: the answer must not outgrow the request,
nor take longer than it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from engine.errors import Problem

MOST_FIELD_ERRORS = 1000
"""A request with more faults than this gets the first so many."""
LONGEST_NAME = 100
"""Characters of a member's name that are shown."""

WRONG: Final = object()
"""What a walk returns in place of a value in which it found an error."""


class Enough(Exception):
    """So much is wrong that nothing more is looked for."""


class FieldPath(NamedTuple):
    """Where a value stands: `to[0].address` and its last part `address`; both empty for the request itself."""

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
    """What was found wrong: `fields` as the problem document shows it, `count` of them."""

    def __init__(self) -> None:
        self.count = 0
        self.fields: list[dict[str, str]] = []

    def add(self, place: FieldPath, text: str) -> object:
        """Note that the value at `place` is wrong as `text` says; returns `WRONG`. Raises `Enough` at the last one."""
        self.count += 1
        path, key = (place.path, place.key) if place.path else ("value", "value")
        self.fields.append({"message": f'"{path}" {text}', "key": key, "path": path})
        if self.count == MOST_FIELD_ERRORS:
            raise Enough
        return WRONG

    def problem(self, **extra: Any) -> Problem:
        """The 400 that names them all."""
        return Problem(400, "Invalid input", **extra, fields=self.fields)

    def refuse(self) -> None:
        """Raise that `Problem` where anything is wrong."""
        if self.count:
            raise self.problem()


def invalid(path: str, text: str, **extra: Any) -> Problem:
    """The 400 for the one member at `path`, which is wrong as `text` says."""
    found = FieldErrors()
    found.add(FieldPath.of(path), text)
    return found.problem(**extra)
