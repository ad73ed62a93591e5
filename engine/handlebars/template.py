"""A template that was compiled once and can be rendered many times.

Compiling parses the source, takes the white space that tags take, and makes each node a function, so that rendering
walks no tree. It refuses what could never be rendered: helpers that do not exist, or with a wrong number of parameters.
A template holds no state: several threads may render it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NoReturn

from engine.handlebars.helpers import FUNCTIONS, LOOPS, TESTS, Arity, Test
from engine.handlebars.parser import parse
from engine.handlebars.run import Frame, Run, Scope
from engine.handlebars.steps import Steps
from engine.handlebars.tree import (
    Block,
    Call,
    Comment,
    Expression,
    Literal,
    Mustache,
    Path,
    Program,
    TemplateError,
    Text,
)
from engine.handlebars.values import Value, keys_in_order, member
from engine.handlebars.whitespace import take_white_space

LONGEST: Final = 5 * 1024 * 1024
"""The longest template, and the most that one renders to unless the caller says less; in characters."""

Get = Callable[[Scope, Run], Value]
Draw = Callable[[Scope, Run], None]
Names = tuple[tuple[str, ...], ...]
"""The block parameters in reach, the innermost first."""


class Template:
    """A compiled template; for HTML, where `{{x}}` replaces what HTML reserves, or for plain text."""

    def __init__(self, source: str, *, html: bool) -> None:
        """Compile. Raises `TemplateError`."""
        if len(source) > LONGEST:
            raise TemplateError(f"it may have at most {LONGEST:,} characters")
        self._html = html
        # A text without braces is itself.
        self._fixed = source if "{{" not in source else None
        if self._fixed is None:
            program = parse(source)
            take_white_space(program)
            self._draw = _program(program, ())

    def render(self, context: Value, *, steps: Steps | None = None, most: int = LONGEST) -> str:
        """The text for `context`, a JSON value, with at most `most` characters. Raises `TemplateError`."""
        run = Run(steps or Steps(), most, escape=self._html)
        if self._fixed is not None:
            run.write(self._fixed)
        else:
            self._draw(Scope(context, None, Frame(None, {"root": context})), run)
        return "".join(run.out)


def _program(program: Program, names: Names) -> Draw:
    """What renders a program. `names` are those of the programs around it."""
    if program.names:
        names = (program.names, *names)
    draws = [draw for node in program.body if (draw := _node(node, names)) is not None]
    count = len(draws) + 1

    def draw_all(scope: Scope, run: Run) -> None:
        run.steps.take(count)
        for draw in draws:
            draw(scope, run)

    return draw_all


def _node(node: Text | Comment | Mustache | Block, names: Names) -> Draw | None:
    if isinstance(node, Comment):
        return None
    if isinstance(node, Text):
        text = node.value
        return (lambda scope, run: run.write(text)) if text else None
    if isinstance(node, Block):
        return _block(node, names)
    get, escaped = _call(node.call, names), node.escaped

    def draw(scope: Scope, run: Run) -> None:
        value = get(scope, run)
        if value is not None:
            run.write_value(value, escape=escaped)

    return draw


# Values


def _expression(expression: Expression, names: Names) -> Get:
    if isinstance(expression, Literal):
        value = expression.value
        return lambda scope, run: value
    if isinstance(expression, Path):
        return _path(expression, names)
    return _call(expression, names, in_parentheses=True)


def _call(call: Call, names: Names, *, in_parentheses: bool = False) -> Get:
    """A value that is printed or given to a helper: what a path leads to, or what a helper gives."""
    name = _helper(call, names)
    if name in TESTS:
        arity, test = TESTS[name]
        _check(call, arity)
        params, named = _params(call, names)
        if not in_parentheses:
            _refuse(call, f"`{name}` is a block: write `{{{{#{name} ...}}}} ... {{{{/{name}}}}}`")
        return lambda scope, run: test(run, [get(scope, run) for get in params], _all(named, scope, run))
    if name in LOOPS:
        _refuse(call, f"`{name}` is a block: write `{{{{#{name} ...}}}} ... {{{{/{name}}}}}`")
    if name in FUNCTIONS:
        arity, function = FUNCTIONS[name]
        _check(call, arity)
        params, _ = _params(call, names)
        return lambda scope, run: function(run, [get(scope, run) for get in params])
    if call.params or in_parentheses:
        _refuse(call, f"there is no helper `{call.path.original}`")
    return _path(call.path, names)


def _helper(call: Call, names: Names) -> str:
    """The name of the helper that a call may mean; "" if its path cannot be one."""
    path = call.path
    is_parameter = not path.data and any(path.parts[0] in each for each in names) if path.is_simple else False
    return path.parts[0] if path.is_simple and not path.data and not is_parameter else ""


def _params(call: Call, names: Names) -> tuple[list[Get], dict[str, Get]]:
    params = [_expression(each, names) for each in call.params]
    return params, {name: _expression(each, names) for name, each in call.named.items()}


def _all(named: dict[str, Get], scope: Scope, run: Run) -> dict[str, Value]:
    return {name: get(scope, run) for name, get in named.items()}


def _check(call: Call, arity: Arity) -> None:
    if not arity.least <= len(call.params) <= arity.most:
        _refuse(call, f"`{call.path.original}` takes {arity}, not {len(call.params)}")


def _refuse(call: Call, reason: str) -> NoReturn:
    raise TemplateError(reason, call.line)


def _path(path: Path, names: Names) -> Get:
    parts = path.parts
    if path.data:
        return partial(_data, path.up, parts)
    if not path.up and not path.scoped and parts:
        for level, each in enumerate(names):
            if parts[0] in each:
                return partial(_parameter, level, each.index(parts[0]), parts[1:])
    if path.up:
        return partial(_outer, path.up, parts)
    if not parts:
        return lambda scope, run: scope.context
    if len(parts) == 1:
        only = parts[0]
        return lambda scope, run: member(scope.context, only, run.steps)
    return lambda scope, run: _walk(scope.context, parts, run.steps)


def _walk(value: Value, parts: tuple[str, ...], steps: Steps) -> Value:
    for part in parts:
        value = value.get(part) if type(value) is dict else member(value, part, steps)
        if value is None:
            return None
    return value


def _outer(up: int, parts: tuple[str, ...], scope: Scope, run: Run) -> Value:
    at: Scope | None = scope
    for _ in range(up):
        if at is None:
            return None
        at = at.outer
    return None if at is None else _walk(at.context, parts, run.steps)


def _data(up: int, parts: tuple[str, ...], scope: Scope, run: Run) -> Value:
    frame: Frame | None = scope.frame
    for _ in range(up):
        if frame is None:
            return None
        frame = frame.outer
    if frame is None or not parts:
        return None
    return _walk(frame.values.get(parts[0]), parts[1:], run.steps)


def _parameter(level: int, index: int, parts: tuple[str, ...], scope: Scope, run: Run) -> Value:
    values = scope.names[level]
    return _walk(values[index], parts, run.steps) if index < len(values) else None


# Blocks


def _block(block: Block, names: Names) -> Draw:
    call = block.call
    program = _program(block.program, names) if block.program is not None else _nothing
    inverse = _program(block.inverse, names) if block.inverse is not None else _nothing
    takes = len(block.program.names) if block.program is not None else 0
    name = _helper(call, names)
    if name in TESTS:
        arity, test = TESTS[name]
        _check(call, arity)
        return _choice(test, *_params(call, names), program, inverse, takes)
    if name in LOOPS:
        _check(call, LOOPS[name])
        params, _ = _params(call, names)
        draw = _each if name == "each" else _with
        return partial(draw, params[0], program, inverse, takes)
    if name in FUNCTIONS:
        _refuse(call, f"`{name}` is no block")
    if call.params:
        _refuse(call, f"there is no helper `{call.path.original}`")
    return partial(_section, _path(call.path, names), program, inverse, takes)


def _nothing(scope: Scope, run: Run) -> None:
    """The program that a block does not have."""


def _choice(test: Test, params: list[Get], named: dict[str, Get], program: Draw, inverse: Draw, takes: int) -> Draw:
    def draw(scope: Scope, run: Run) -> None:
        if test(run, [get(scope, run) for get in params], _all(named, scope, run)):
            program(_inside(scope, scope.context, scope.frame, takes, ()) if takes else scope, run)
        else:
            inverse(scope, run)

    return draw


def _with(get: Get, program: Draw, inverse: Draw, takes: int, scope: Scope, run: Run) -> None:
    value = get(scope, run)
    if _holds_nothing(value):
        inverse(scope, run)
    else:
        program(_inside(scope, value, scope.frame, takes, (value,)), run)


def _section(get: Get, program: Draw, inverse: Draw, takes: int, scope: Scope, run: Run) -> None:
    """A block whose name is a path: a list repeats it, false and nothing turn to its inverse, all else enters."""
    value = get(scope, run)
    if value is True:
        program(_inside(scope, scope.context, scope.frame, takes, ()), run)
    elif value is False or value is None:
        inverse(scope, run)
    elif isinstance(value, list):
        _turns(value, program, inverse, takes, scope, run)
    else:
        program(_inside(scope, value, scope.frame, takes, ()), run)


def _each(get: Get, program: Draw, inverse: Draw, takes: int, scope: Scope, run: Run) -> None:
    _turns(get(scope, run), program, inverse, takes, scope, run)


def _turns(value: Value, program: Draw, inverse: Draw, takes: int, scope: Scope, run: Run) -> None:
    """Render `program` for each item of a list or member of an object; `inverse` if there is none."""
    if not isinstance(value, list | dict) or not value:
        inverse(scope, run)
        return
    run.steps.take(len(value))
    last, outer = len(value) - 1, scope.frame
    root = outer.values["root"]
    keys = range(len(value)) if isinstance(value, list) else keys_in_order(value)
    items = value if isinstance(value, list) else [value[key] for key in keys]
    for index, (key, item) in enumerate(zip(keys, items, strict=True)):
        values = {"root": root, "key": key, "index": index, "first": index == 0, "last": index == last}
        program(_inside(scope, item, Frame(outer, values), takes, (item, key)), run)


def _inside(scope: Scope, context: Value, frame: Frame, takes: int, values: tuple[Value, ...]) -> Scope:
    names = (values, *scope.names) if takes else scope.names
    return scope.inside(context, frame, names)


def _holds_nothing(value: Value) -> bool:
    return value is None or value is False or value == "" or value == []
