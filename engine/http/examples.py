"""Examples of bodies and answers for the documentation: one whole object of a Struct.

If a Struct has an `EXAMPLE`, that is used. Otherwise the object has all required members, and the optional ones that
have their own example; the value is that example, else what the type suggests.
"""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, UnsetType

from engine.schema.fields import Example, Request, Response


def example(kind: type[msgspec.Struct]) -> Example:
    """One object of this kind, with JSON names. Raises `ValueError` for a member whose type suggests no value."""
    if issubclass(kind, Request | Response) and kind.EXAMPLE is not None:
        return kind.EXAMPLE
    shown: Example = {}
    for field in msgspec.structs.fields(kind):
        given = _given(field.type)
        if given:
            shown[field.encode_name] = given[0]
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            shown[field.encode_name] = _suggested(field.type, f"{kind.__name__}.{field.name}")
        elif issubclass(kind, Response) and field.default is not UNSET:
            shown[field.encode_name] = msgspec.to_builtins(field.default)
    return shown


def _given(kind: Any) -> list[Any]:
    """The examples in an annotation, outermost first."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        for note in reversed(notes):
            if isinstance(note, msgspec.Meta) and note.examples:
                return note.examples
        return _given(inner)
    if get_origin(kind) in (Union, types.UnionType):
        return []
    return []


def _suggested(kind: Any, of: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _suggested(arguments[0], of)
    if origin in (Union, types.UnionType):
        first = next(each for each in arguments if each not in (UnsetType, type(None)))
        given = _given(first)
        return given[0] if given else _suggested(first, of)
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        given = _given(arguments[0])
        return [given[0] if given else _suggested(arguments[0], of)]
    if kind is type(None):
        return None
    if kind is bool:
        return True
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return example(kind)
    raise ValueError(f"{of} is in every example and has none of its own")
