"""The helpers a template may call: those of Handlebars, and those that EmailEngine has besides.

`#if`, `#unless`, `#with`, `#each`, `lookup`, `log`; `#equals`, `#notEquals`, `#greaterThan`, `#lessThan`, `#and`,
`#or` (in parentheses they give true or false), `length`, `insert`, `formatDate`. There is no other and none can be
added: this file tells all that a template can do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from engine.handlebars.dates import format_date
from engine.handlebars.run import Run
from engine.handlebars.values import Value, equal, is_empty, is_true, length, member, number_of

Params = list[Value]
Named = dict[str, Value]
Test = Callable[[Run, Params, Named], bool]
Function = Callable[[Run, Params], Value]


class Arity(NamedTuple):
    """How many parameters a helper takes."""

    least: int
    most: int

    def __str__(self) -> str:
        if self.most > 9:
            return "any number of parameters"
        count = str(self.least) if self.least == self.most else f"{self.least} to {self.most}"
        return f"{count} parameter{'s' * (count != '1')}"


def _holds(run: Run, params: Params, named: Named) -> bool:
    value = params[0]
    return (is_true(value) or is_true(named.get("includeZero"))) and not is_empty(value)


def _equals(run: Run, params: Params, named: Named) -> bool:
    for value in params:
        if isinstance(value, str) and len(value) > 64:
            run.steps.take(len(value) >> 6)
    return equal(params[0], params[1], max(run.room, 0), run.steps)


def _lookup(run: Run, params: Params) -> Value:
    holder, key = params
    if not is_true(holder):
        return holder
    name = run.text(key) if key is not None else "undefined"
    return member(holder, name, run.steps)


def _length(run: Run, params: Params) -> Value:
    value = params[0] if params else None
    if isinstance(value, dict):
        return value.get("length", 0)
    if not isinstance(value, list | str):
        return 0
    return length(value, run.steps)


def _insert(run: Run, params: Params) -> Value:
    """The value, or the default: `{{insert params.name "default=Customer"}}`."""
    if is_true(params[0]):
        return params[0]
    given = run.text(params[1]) if len(params) > 1 else ""
    name, equals, default = given.partition("=")
    if not equals:
        return given.strip()
    return default.strip() if name.strip().lower() in ("default", "") else ""


def _format_date(run: Run, params: Params) -> Value:
    when, pattern, offset = (*params, None, None)[:3]
    shown = None if pattern is None else run.text(pattern)
    run.steps.take(20 + len(shown or ""))
    return format_date(when, shown, offset)


TESTS: Final[dict[str, tuple[Arity, Test]]] = {
    "if": (Arity(1, 1), _holds),
    "unless": (Arity(1, 1), lambda run, params, named: not _holds(run, params, named)),
    "equals": (Arity(2, 2), _equals),
    "notEquals": (Arity(2, 2), lambda run, params, named: not _equals(run, params, named)),
    "greaterThan": (Arity(2, 2), lambda run, params, named: number_of(params[0]) > number_of(params[1])),
    "lessThan": (Arity(2, 2), lambda run, params, named: number_of(params[0]) < number_of(params[1])),
    "and": (Arity(0, 100), lambda run, params, named: bool(params) and all(map(is_true, params))),
    "or": (Arity(0, 100), lambda run, params, named: any(map(is_true, params))),
}
"""Blocks that choose between their program and what follows `{{else}}`."""
FUNCTIONS: Final[dict[str, tuple[Arity, Function]]] = {
    "lookup": (Arity(2, 2), _lookup),
    "log": (Arity(0, 100), lambda run, params: None),
    "length": (Arity(0, 1), _length),
    "insert": (Arity(1, 2), _insert),
    "formatDate": (Arity(1, 3), _format_date),
}
"""Helpers that give a value."""
LOOPS: Final = {"each": Arity(1, 1), "with": Arity(1, 1)}
"""Blocks that change the context."""
