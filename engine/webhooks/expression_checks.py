"""Finds parts of a JMESPath expression that can never have a value. Pure.

Where other languages raise an error, JMESPath returns null, and a filter that returns null silently leaves the event
out. `!a.b` means `(!a).b`, a member of a boolean. `event == messageSent` and `event == "messageSent"` compare with a
member of that name, which no event has. `n > '5'` is always null, since JMESPath does not order strings. Each error
says what was probably meant.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.schema.events import Event

MEMBERS = frozenset(field.encode_name for field in msgspec.structs.fields(Event))

_INTO = {"subexpression", "index_expression", "projection", "value_projection", "filter_projection", "flatten"}
"""Nodes that look inside the value of their first child."""
_SCALAR_FUNCTIONS = {
    *("abs", "avg", "ceil", "contains", "ends_with", "floor", "join", "length", "starts_with", "sum"),
    *("to_number", "to_string", "type"),
}
_ORDERS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

_Node = dict[str, Any]


class ExpressionError(ValueError):
    """An expression is invalid, or does not suit the value that it is applied to."""


def check(tree: _Node) -> None:
    """Raise `ExpressionError` for the first part that can never have a value."""
    waiting = [(tree, True)]
    while waiting:
        node, whole = waiting.pop()
        kind, children = node["type"], [child for child in node["children"] if isinstance(child, dict)]
        if kind in _INTO:
            _check_steps(node)
        elif kind == "comparator":
            _check_comparison(node, whole)
        # Only nodes that are not the later part of a step are applied to the event itself.
        inside = kind in _INTO or kind == "pipe"
        whole = whole and kind != "expref"
        waiting.extend((child, whole and not (inside and place)) for place, child in enumerate(children))


def _check_steps(node: _Node) -> None:
    start = node
    while start["type"] in _INTO:
        start = start["children"][0]
    if start["type"] == "not_expression":
        meant = _text(node, start, _text(start["children"][0]))
        hint = f": ! comes before the dots, write !({meant})" if meant else ": ! comes first, write !( )"
        raise ExpressionError(f"holds a part that is always null{hint}")
    if start["type"] == "comparator" or (
        start["type"] == "function_expression" and start["value"] in _SCALAR_FUNCTIONS
    ):
        raise ExpressionError("holds a part that is always null: a comparison, text or number has no members")


def _check_comparison(node: _Node, whole: bool) -> None:
    for each in node["children"]:
        if each["type"] == "field" and whole and each["value"] not in MEMBERS:
            name = each["value"]
            raise ExpressionError(f"compares with {name}, which no event has: write '{name}' or data.{name}")
        if node["value"] in _ORDERS and each["type"] == "literal" and not _is_number(each["value"]):
            raise ExpressionError(f"orders by {_ORDERS[node['value']]} what is not a number: write `5`, not '5'")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(node: _Node, start: _Node | None = None, started: str | None = None) -> str | None:
    """The source text of a dotted path that begins at `start`, whose own text is `started`; None if it is not one."""
    if node is start:
        return started
    if node["type"] == "field":
        return str(node["value"])
    if node["type"] != "subexpression":
        return None
    first, *others = node["children"]
    words = [_text(first, start, started), *(_text(each) for each in others)]
    return None if None in words else ".".join(map(str, words))
