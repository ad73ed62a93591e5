"""One rendering at work: where it is, and what it has written."""

from __future__ import annotations

from engine.handlebars.steps import Steps, TooMuch
from engine.handlebars.values import Value, escaped, text_of


class Frame:
    """What `@key`, `@index`, `@first` and `@last` are in one turn of a loop."""

    __slots__ = ("outer", "values")

    def __init__(self, outer: Frame | None, values: dict[str, Value]) -> None:
        self.outer = outer
        self.values = values


class Scope:
    """Where a node is rendered: its context, those around it, its loop, and the block parameters."""

    __slots__ = ("context", "frame", "names", "outer")

    def __init__(
        self, context: Value, outer: Scope | None, frame: Frame, names: tuple[tuple[Value, ...], ...] = ()
    ) -> None:
        self.context = context
        self.outer = outer
        self.frame = frame
        self.names = names

    def inside(self, context: Value, frame: Frame, names: tuple[tuple[Value, ...], ...]) -> Scope:
        """The scope of a block. A block that keeps the context adds nothing to where `..` leads."""
        same = context is self.context
        return Scope(context, self.outer if same else self, frame, names)


class Run:
    """One rendering."""

    __slots__ = ("escape", "out", "room", "steps")

    def __init__(self, steps: Steps, room: int, *, escape: bool) -> None:
        self.out: list[str] = []
        self.steps = steps
        self.room = room
        self.escape = escape

    def write(self, text: str) -> None:
        """Append `text`. Raises `TooMuch` when it does not fit."""
        self.room -= len(text)
        self.steps.left -= len(text) >> 6
        if self.room < 0:
            raise TooMuch("what it renders to is too long")
        self.out.append(text)

    def write_value(self, value: Value, *, escape: bool) -> None:
        """Append a value, with what HTML reserves replaced if that is wanted."""
        text = value if isinstance(value, str) else self.text(value)
        if len(text) > self.room:
            raise TooMuch("what it renders to is too long")
        self.write(escaped(text) if escape and self.escape else text)

    def text(self, value: Value) -> str:
        """A value as text."""
        return text_of(value, max(self.room, 0), self.steps)
