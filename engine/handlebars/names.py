"""Which members of a variable a template reads, so that people can be asked for them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.handlebars.helpers import TESTS
from engine.handlebars.parser import parse
from engine.handlebars.tree import Block, Call, Expression, Mustache, Path, Program


def names_read(source: str, of: str) -> tuple[str, ...]:
    """The members of the variable `of` that stand in `source`, in their order. Raises `TemplateError`."""
    return tuple(dict.fromkeys(_in_program(parse(source), of))) if "{{" in source else ()


def paths_shown(source: str) -> tuple[tuple[str, ...], ...]:
    """The paths whose values `source` shows, from the whole context, in their order. Raises `TemplateError`.

    Not those that a block tests, as `{{#if}}` does: they may be absent. Nor those inside blocks that change the
    context, such as `{{#each}}`.
    """
    if "{{" not in source:
        return ()
    tested: set[tuple[str, ...]] = set()
    shown = dict.fromkeys(_shown_in(parse(source), tested))
    return tuple(path for path in shown if path not in tested)


def _shown_in(program: Program | None, tested: set[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    for node in program.body if program is not None else ():
        if isinstance(node, Mustache):
            path = node.call.path
            if not (node.call.params or node.call.named or path.up or path.data or path.scoped):
                yield path.parts
        elif isinstance(node, Block):
            named = (node.call.path, *node.call.params, *node.call.named.values())
            tested.update(each.parts for each in named if isinstance(each, Path))
            if node.call.path.original in TESTS:
                yield from _shown_in(node.program, tested)
                yield from _shown_in(node.inverse, tested)


def _in_program(program: Program | None, of: str) -> Iterator[str]:
    for node in program.body if program is not None else ():
        if isinstance(node, Mustache | Block):
            yield from _in_call(node.call, of)
        if isinstance(node, Block):
            yield from _in_program(node.program, of)
            yield from _in_program(node.inverse, of)


def _in_call(call: Call, of: str) -> Iterator[str]:
    yield from _in_expression(call.path, of)
    for each in (*call.params, *call.named.values()):
        yield from _in_expression(each, of)


def _in_expression(each: Expression, of: str) -> Iterator[str]:
    if isinstance(each, Call):
        yield from _in_call(each, of)
    elif isinstance(each, Path) and len(each.parts) > 1 and each.parts[0] in (of, "root"):
        first, *rest = each.parts[1:] if each.parts[0] == "root" else each.parts
        if first == of and rest:
            yield rest[0]
