"""Reading what a request brought as it was stored, whatever today's API would say of it.

What was accepted once is read again: limits that were tightened since do not count, and members that a later version
knew are left out. What has the wrong type, or lacks what a registration cannot be without, is `Unreadable`: guessing
could send mail another way than its owner said. *pure*
"""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from engine.schema.fields import Request, Response

RequestT = TypeVar("RequestT", bound=Request)
ResponseT = TypeVar("ResponseT", bound=Response)


class Unreadable(ValueError):
    """What is stored cannot be read; the text says why, and holds none of it."""


def read(kind: type[RequestT], built: Any) -> RequestT:
    """The request in decoded JSON. Raises `Unreadable`."""
    try:
        record: RequestT = _firm(msgspec.convert(built, _loose_struct(kind)))
    except (msgspec.ValidationError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    return record


def shown(kind: type[ResponseT], stored: Mapping[str, Any]) -> ResponseT:
    """What was stored in the API's words, as the part of an answer that it is. Its values are not looked at."""
    return kind(**{name: stored[wire] for wire, name in _members(kind) if wire in stored})


@functools.cache
def _members(kind: type[Response]) -> tuple[tuple[str, str], ...]:
    return tuple((field.encode_name, field.name) for field in msgspec.structs.fields(kind))


def _loose(kind: Any) -> Any:
    """`kind` with no limits on its values, and with unknown members allowed."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _loose(arguments[0])
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, map(_loose, arguments))
    if origin is tuple:
        return types.GenericAlias(tuple, tuple(map(_loose, arguments)))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _loose_struct(kind)
    return kind


@functools.cache
def _loose_struct(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    members = [
        (field.name, _loose(field.type), msgspec.field(name=field.encode_name, default=field.default))
        for field in msgspec.structs.fields(kind)
    ]
    made = msgspec.defstruct(kind.__name__, members, kw_only=True, frozen=True)
    _FIRM[made] = kind
    return made


def _firm(value: Any) -> Any:
    """`value` with each loose object in it made the one that it stands for."""
    if isinstance(value, tuple):
        return tuple(map(_firm, value))
    if isinstance(value, msgspec.Struct):
        members = {name: _firm(getattr(value, name)) for name in value.__struct_fields__}
        return _FIRM[type(value)](**members)
    return value


_FIRM: dict[type[msgspec.Struct], type[msgspec.Struct]] = {}
"""Which request each loose type stands for."""
