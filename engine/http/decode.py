"""From the bytes of a request to its Struct, or to a `Problem` that names everything that is wrong with it.

A request as a careful client writes it is decoded by msgspec and has its fields' checks run: a few microseconds.
Anything that fails there, for whatever reason, is decoded again as plain JSON and taken apart by a walk, which accepts
a little more (see `engine.http.explain`) and otherwise finds every fault. So is a large one, which a decoder would hold
everybody up with (see `engine.http.large_json`). Both ways end in the same Struct: checked and
normalised, lists as tuples, dates in UTC, base64 as bytes. Nothing but `Problem` is raised, whatever the bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec
from msgspec import UNSET
from msgspec import inspect as mi
from msgspec.structs import force_setattr

from engine.errors import Problem
from engine.http.checks import CHECKS
from engine.http.explain import Walk, walk_of
from engine.http.field_errors import Enough, FieldErrors, FieldPath
from engine.http.json_errors import explained
from engine.http.large_json import TooManyValues, decode_large, plain, refuse_crowd
from engine.schema.fields import Request

RequestT = TypeVar("RequestT", bound=Request)

Normalise = Callable[[Any], Any]
"""Runs the checks on a decoded value and returns it normalised; raises `ValueError` if one fails."""

HERE = 100_000
"""Bytes of a body above which it is decoded in a thread, so that other requests are not held up."""
LARGE = 1024**2
"""Bytes above which it is not decoded in one piece."""
MOST_MEMBERS = 250_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode_body(kind: type[RequestT], data: bytes | bytearray, most_members: int = MOST_MEMBERS) -> RequestT:
    """The JSON in `data` as a checked `kind`; a byte order mark before it is left out (RFC 8259 section 8.1).

    Raises `Problem` 400: `Invalid input` with `fields` naming every wrong member as `{message, key, path}`, or, without
    `fields`, `Invalid request payload JSON format` for what is not JSON (RFC 8259) in UTF-8 or is nested too deeply,
    with `reason` and mostly `line` and `column`; or that it has more than `most_members` members and items.
    """
    if data.startswith(_BYTE_ORDER_MARK):
        data = data[len(_BYTE_ORDER_MARK) :]
    try:
        if len(data) > LARGE:
            return _walked(kind, decode_large(bytearray(data) if isinstance(data, bytes) else data, most_members))
        refuse_crowd(data, most_members)
        decode, normalise = _fast(kind)
        try:
            decoded: RequestT = normalise(decode(data))
            return decoded
        except (msgspec.DecodeError, ValueError, RecursionError):
            return _walked(kind, plain(data))
    except TooManyValues as error:
        raise Problem(400, f"Invalid request payload: {error}", code="TooManyMembers") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(400, "Invalid request payload JSON format", **explained(data, error)) from error


def decode_query(kind: type[RequestT], pairs: Iterable[tuple[str, str]]) -> RequestT:
    """The pairs of a query string, percent-decoded, as a checked `kind`; of a name given twice the last counts.

    Raises `Problem` 400 as `decode_body` does.
    """
    return _walked(kind, dict(pairs))


def _walked(kind: type[RequestT], value: Any) -> RequestT:
    found = FieldErrors()
    try:
        walked: RequestT = _walk(kind)(value, FieldPath("", ""), found)
        if not found.count:
            return walked
    except Enough:
        pass
    raise found.problem()


@functools.cache
def _walk(kind: type[Request]) -> Walk:
    return walk_of(kind)


@functools.cache
def _fast(kind: type[Request]) -> tuple[Callable[[bytes | bytearray], Any], Normalise]:
    return msgspec.json.Decoder(kind).decode, _normalise(mi.type_info(kind)) or _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _normalise(info: mi.Type, check: Normalise | None = None) -> Normalise | None:
    """What is to be run on values of this type; None if there is nothing."""
    match info:
        case mi.Metadata():
            name = (info.extra or {}).get("check")
            return _normalise(info.type, CHECKS.get(name) if name else check)
        case mi.UnionType() | mi.StructType() | mi.VarTupleType() | mi.DictType() if check:
            raise TypeError(f"a check can only be on a plain value, not on {info}")
        case mi.UnionType():
            return _normalise_union(info)
        case mi.StructType():
            return _normalise_struct(info)
        case mi.VarTupleType():
            return _normalise_items(_normalise(info.item_type))
        case mi.DictType():
            return _normalise_mapping(_normalise(info.key_type), _normalise(info.value_type))
    return check


def _normalise_union(info: mi.UnionType) -> Normalise | None:
    by_type = {_class_of(each): each_run for each in info.types if (each_run := _normalise(each))}

    def one_of(value: Any) -> Any:
        run = by_type.get(type(value))
        return run(value) if run else value

    return one_of if by_type else None


def _class_of(info: mi.Type) -> type:
    match info:
        case mi.Metadata():
            return _class_of(info.type)
        case mi.StructType():
            return info.cls
        case mi.StrType():
            return str
        case mi.BoolType():
            return bool
        case mi.DateTimeType():
            return datetime
        case mi.VarTupleType():
            return tuple
    raise TypeError(f"no checks inside a union for {info}")


def _normalise_items(run: Normalise | None) -> Normalise | None:
    return (lambda items: tuple([run(each) for each in items])) if run else None


def _normalise_mapping(key_run: Normalise | None, run: Normalise | None) -> Normalise | None:
    if not key_run and not run:
        return None
    of_key, of_value = key_run or _as_it_is, run or _as_it_is
    return lambda mapping: {of_key(key): of_value(value) for key, value in mapping.items()}


def _normalise_struct(info: mi.StructType) -> Normalise | None:
    kind = cast("type[Request]", info.cls)
    runs = [(each.name, run) for each in info.fields if (run := _normalise(each.type))]
    related = kind.wrong_together is not Request.wrong_together

    def struct(value: Any) -> Any:
        for name, run in runs:
            member = getattr(value, name)
            # An absent or empty member has nothing to check: empty text passed its type's length.
            if member is not UNSET and member:
                normal = run(member)
                if normal is not member:
                    force_setattr(value, name, normal)
        if related and any(kind.wrong_together(functools.partial(getattr, value))):
            raise ValueError
        return value

    return struct if runs or related else None
