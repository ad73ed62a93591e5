"""A template as the parser leaves it, and what is wrong with one that cannot be parsed or rendered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class TemplateError(Exception):
    """A template that cannot be parsed or rendered. `line` counts from 1; 0: the template as a whole."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason = reason
        self.line = line


class Strip(NamedTuple):
    """Whether a tag takes the white space before it and behind it (`{{~` and `~}}`)."""

    before: bool = False
    behind: bool = False


@dataclass(slots=True)
class Path:
    """A name or several, such as `../person.name` or `@index`.

    `up` counts the `..` at its beginning. `scoped` paths begin with `.` or `this`, so that they are never a helper or a
    block parameter.
    """

    original: str
    parts: tuple[str, ...]
    up: int
    data: bool
    scoped: bool

    @property
    def is_simple(self) -> bool:
        """Whether it may be the name of a helper."""
        return len(self.parts) == 1 and not self.scoped and not self.up


@dataclass(slots=True)
class Literal:
    """A string, number, boolean, `null` or `undefined` (both None)."""

    value: str | int | float | bool | None
    original: str


@dataclass(slots=True)
class Call:
    """What is between the braces, or in parentheses: a path or a helper, and what the helper is given."""

    path: Path
    params: list[Path | Literal | Call]
    named: dict[str, Path | Literal | Call]
    line: int


@dataclass(slots=True)
class Text:
    """Text outside tags. `value` is what is left of `original` after tags have taken white space from it."""

    original: str
    value: str
    left_stripped: bool = False
    right_stripped: bool = False


@dataclass(slots=True)
class Comment:
    """`{{! ... }}`."""

    strip: Strip


@dataclass(slots=True)
class Mustache:
    """`{{...}}`, or unescaped `{{{...}}}` and `{{&...}}`."""

    call: Call
    escaped: bool
    strip: Strip


@dataclass(slots=True)
class Program:
    """What is inside a block, or the whole template. `chained` programs are what follows `{{else if ...}}`."""

    body: list[Text | Comment | Mustache | Block] = field(default_factory=list)
    names: tuple[str, ...] = ()
    chained: bool = False


@dataclass(slots=True)
class Block:
    """`{{#...}} program {{else}} inverse {{/...}}`. An inverted block, `{{^...}}`, may lack the program."""

    call: Call
    program: Program | None
    inverse: Program | None
    open_strip: Strip
    inverse_strip: Strip
    close_strip: Strip


Expression = Path | Literal | Call
Node = Text | Comment | Mustache | Block
