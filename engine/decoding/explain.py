"""Builds a request's Struct from plain JSON, or finds everything that is wrong with it.

1. `walk_of` builds a walk from a Struct type, once. A type without a rule here raises `TypeError` then.
2. The walk visits every member in the order of the schema, then the unknown members, then applies the rules between
   members. It adds one field error for each fault, worded as EmailEngine's callers know it; msgspec's decoder would
   stop at the first fault.
3. It also accepts what a decoder would not: booleans and numbers as text (as in every query string), `Y` and `N`, a
   single item instead of a list, addresses as text, a date without a time, white space in base64, and a `Long` as a
   string.

The walk has the last word: a request without field errors is valid. It only reads, and its depth is that of the schema,
not that of the request.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import msgspec
from msgspec import NODEFAULT, UNSET, Meta
from msgspec import inspect as mi

from engine.decoding.booleans import boolean
from engine.decoding.large_json import Long
from engine.decoding.value_checks import CHECKS, EMPTY, line
from engine.field_errors import WRONG, FieldErrors, FieldPath
from engine.mail.addresses import parse_address
from engine.mail.header_writing import HeaderError, strict_addresses
from engine.schema.fields import Check, Request

Walk = Callable[[Any, FieldPath, FieldErrors], Any]
"""Takes a plain JSON value and returns it converted, or adds a field error and returns `WRONG`."""

LONGEST_LIST = 640 * 1024
"""Maximum characters of a text with addresses: 1,000 of them, each with a long name."""
LONGEST = 1024**2
"""Maximum characters in a `Long` whose type sets no limit."""

_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\s*")
_BLANK = re.compile(r"\s+")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?))?"
)
_Moment = Annotated[datetime, Meta(tz=True)]
_JSON_TYPES: dict[type[mi.Type], tuple[str, tuple[type, ...]]] = {
    mi.StrType: ("string", (str,)),
    mi.IntType: ("number", (int, float)),
    mi.FloatType: ("number", (int, float)),
    mi.BoolType: ("boolean", (bool,)),
    mi.VarTupleType: ("array", (list,)),
}


def walk_of(kind: type[Request]) -> Walk:
    """The walk for requests of `kind`."""
    return _build(mi.type_info(kind))


def _build(info: mi.Type, notes: dict[str, Any] | None = None, *, nullable: bool = False) -> Walk:
    notes = notes or {}
    walk: Walk
    match info:
        case mi.Metadata():
            return _build(info.type, {**notes, **(info.extra or {})}, nullable=nullable)
        case mi.UnionType():
            walk = _union(info)
        case mi.StructType():
            walk = _address(info) if notes.get("address") else _struct(info)
        case mi.StrType(pattern=None):
            walk = _string(info)
        case mi.BoolType():
            walk = boolean
        case mi.IntType(gt=None, lt=None, multiple_of=None) | mi.FloatType(gt=None, lt=None, multiple_of=None):
            walk = _number(info, is_port=notes.get("check") == Check.PORT)
        case mi.LiteralType():
            walk = _literal(info, nullable=nullable)
        case mi.BytesType(min_length=None, max_length=None):
            walk = _base64
        case mi.DateTimeType(tz=True):
            walk = _date
        case mi.VarTupleType(min_length=None):
            walk = _addresses(info) if _is_address(info.item_type) else _list(info, single=notes.get("single", False))
        case mi.DictType(min_length=None):
            walk = _mapping(info)
        case mi.AnyType():
            walk = _anything
        case _:
            raise TypeError(f"no walk for {info}")
    if check := CHECKS.get(notes.get("check", "")):
        if isinstance(info, mi.UnionType | mi.StructType | mi.VarTupleType | mi.DictType):
            raise TypeError(f"a check can only be on a plain value, not on {info}")
        walk = _checked(walk, check)
    return _or_null(walk) if nullable else walk


def _checked(walk: Walk, check: Callable[[Any], Any]) -> Walk:
    def checked(value: Any, place: FieldPath, found: FieldErrors) -> Any:
        walked = walk(value, place, found)
        if walked is WRONG:
            return WRONG
        try:
            return check(walked)
        except ValueError as error:
            return found.add(place, str(error))

    return checked


def _or_null(walk: Walk) -> Walk:
    return lambda value, place, found: None if value is None else walk(value, place, found)


def _plain(info: mi.Type) -> mi.Type:
    return _plain(info.type) if isinstance(info, mi.Metadata) else info


def _union(info: mi.UnionType) -> Walk:
    """A type or `null`; an object or `false`; or types that differ in JSON."""
    kinds = [each for each in info.types if not isinstance(each, mi.NoneType)]
    nullable = len(kinds) < len(info.types)
    if len(kinds) == 1:
        return _build(kinds[0], nullable=nullable)
    objects = [each for each in kinds if isinstance(_plain(each), mi.StructType)]
    if objects:
        walk = _build(objects[0])
        return lambda value, place, found: (
            value if value is False or (nullable and value is None) else walk(value, place, found)
        )
    by_type: dict[type, Walk] = {}
    names: list[str] = []
    for each in kinds:
        name, types = _JSON_TYPES[type(_plain(each))]
        by_type.update(dict.fromkeys(types, _build(each)))
        if str in types:
            by_type[Long] = by_type[str]
        names.append(name)
    text = f"must be one of [{', '.join(dict.fromkeys(names))}]"

    def one_of(value: Any, place: FieldPath, found: FieldErrors) -> Any:
        walk = by_type.get(type(value))
        return walk(value, place, found) if walk else found.add(place, text)

    return _or_null(one_of) if nullable else one_of


def _string(info: mi.StrType) -> Walk:
    shortest, longest = info.min_length or 0, info.max_length

    def string(value: Any, place: FieldPath, found: FieldErrors) -> Any:
        if isinstance(value, Long):
            most = LONGEST if longest is None else longest
            value = value.text(most)
            if value is None:
                return found.add(place, f"length must be less than or equal to {most} characters long")
        if not isinstance(value, str):
            return found.add(place, "must be a string")
        if not value and shortest:
            return found.add(place, EMPTY)
        if len(value) < shortest:
            return found.add(place, f"length must be at least {shortest} characters long")
        if longest is not None and len(value) > longest:
            return found.add(place, f"length must be less than or equal to {longest} characters long")
        return value

    return string


def _number(info: mi.IntType | mi.FloatType, *, is_port: bool) -> Walk:
    whole, least, most = isinstance(info, mi.IntType), info.ge, info.le

    def number(value: Any, place: FieldPath, found: FieldErrors) -> Any:
        if isinstance(value, str) and (match := _NUMBER.fullmatch(value)):
            value = float(value) if match[2] or match[3] else int(value)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            return found.add(place, "must be a number")
        if whole and value != int(value):
            return found.add(place, "must be a valid port" if is_port else "must be an integer")
        if least is not None and value < least:
            return found.add(place, "must be a valid port" if is_port else f"must be greater than or equal to {least}")
        if most is not None and value > most:
            return found.add(place, "must be a valid port" if is_port else f"must be less than or equal to {most}")
        return int(value) if whole else value

    return number


def _literal(info: mi.LiteralType, *, nullable: bool) -> Walk:
    names = [str(each) for each in info.values] + (["null"] if nullable else [])
    text = f"must be one of [{', '.join(names)}]"

    def literal(value: Any, place: FieldPath, found: FieldErrors) -> Any:
        return value if isinstance(value, str) and value in info.values else found.add(place, text)

    return literal


def _base64(value: Any, place: FieldPath, found: FieldErrors) -> Any:
    if not isinstance(value, str | Long):
        return found.add(place, "must be a string")
    try:
        return value.octets() if isinstance(value, Long) else _octets(value)
    except (msgspec.ValidationError, binascii.Error):
        return found.add(place, "must be a valid base64 string")


def _octets(text: str) -> bytes:
    """Decode base64, ignoring white space. Raises `msgspec.ValidationError` if it is not base64."""
    try:
        return msgspec.convert(text, bytes)
    except msgspec.ValidationError:
        return msgspec.convert(_BLANK.sub("", text), bytes)


def _date(value: Any, place: FieldPath, found: FieldErrors) -> Any:
    text = "must be in ISO 8601 date format"
    if not isinstance(value, str):
        return found.add(place, text)
    try:
        return msgspec.convert(value, _Moment)
    except msgspec.ValidationError:
        match = _DATE.fullmatch(value)
    try:
        moment = datetime.fromisoformat(value.upper()) if match else None
    except ValueError:
        moment = None
    if match is None or moment is None:
        return found.add(place, text)
    return moment if match[1] else moment.replace(tzinfo=UTC)


def _list(info: mi.VarTupleType, *, single: bool) -> Walk:
    walk, most = _build(info.item_type), info.max_length

    def items(value: Any, place: FieldPath, found: FieldErrors) -> Any:
        if not isinstance(value, list):
            if not single or value is None:
                return found.add(place, "must be an array")
            only = walk(value, place, found)
            return WRONG if only is WRONG else (only,)
        if most is not None and len(value) > most:
            return found.add(place, f"must contain less than or equal to {most} items")
        before = found.count
        built = tuple([walk(each, place.item(index), found) for index, each in enumerate(value)])
        return built if found.count == before else WRONG

    return items


def _is_address(info: mi.Type) -> bool:
    return isinstance(info, mi.Metadata) and bool((info.extra or {}).get("address"))


def _address(info: mi.StructType) -> Walk:
    """An address as an object, or as text with or without a name."""
    walk = _struct(info)

    def one(value: Any, place: FieldPath, found: FieldErrors) -> Any:
        if not isinstance(value, str | Long):
            return walk(value, place, found)
        given = _in_text(value, place, found, single=True)
        return WRONG if given is WRONG else walk(given[0], place, found)

    return one


def _addresses(info: mi.VarTupleType) -> Walk:
    """A list of addresses, a single one, or a text with addresses separated by commas."""
    walk = _list(info, single=True)

    def several(value: Any, place: FieldPath, found: FieldErrors) -> Any:
        given = _in_text(value, place, found) if isinstance(value, str | Long) else value
        return WRONG if given is WRONG else walk(given, place, found)

    return several


def _in_text(value: str | Long, place: FieldPath, found: FieldErrors, *, single: bool = False) -> Any:
    """The addresses in a text, each as an object; an error names the index of one of several."""
    text = value.text(LONGEST_LIST) if isinstance(value, Long) else value
    if text is None:
        return found.add(place, f"length must be less than or equal to {LONGEST_LIST} characters long")
    if not text.strip():
        return found.add(place, EMPTY)
    try:
        given = strict_addresses(line(text), "")
    except HeaderError:
        return found.add(place, "must be a valid email")
    except ValueError as error:
        return found.add(place, str(error))
    if single and len(given) > 1:
        return found.add(place, "must be a single address")
    before = found.count
    for index, each in enumerate(given):
        try:
            parse_address(each.address)
        except ValueError:
            found.add(place.item(index) if len(given) > 1 else place, "must be a valid email")
    return [{"name": each.name, "address": each.address} for each in given] if found.count == before else WRONG


def _mapping(info: mi.DictType) -> Walk:
    key_walk, value_walk, most = _build(info.key_type), _build(info.value_type), info.max_length

    def mapping(value: Any, place: FieldPath, found: FieldErrors) -> Any:
        if not isinstance(value, dict):
            return found.add(place, "must be of type object")
        if most is not None and len(value) > most:
            return found.add(place, f"must have less than or equal to {most} keys")
        before = found.count
        built = {
            key_walk(name, here, found): value_walk(each, here, found)
            for name, each in value.items()
            for here in (place.member(name),)
        }
        return built if found.count == before else WRONG

    return mapping


def _anything(value: Any, place: FieldPath, found: FieldErrors) -> Any:
    """Any JSON, unchanged."""
    if isinstance(value, Long):
        value = value.text(LONGEST)
        if value is None:
            return found.add(place, f"length must be less than or equal to {LONGEST} characters long")
    if isinstance(value, list):
        return [_anything(each, place.item(index), found) for index, each in enumerate(value)]
    if isinstance(value, dict):
        return {name: _anything(each, place.member(name), found) for name, each in value.items()}
    return value


def _struct(info: mi.StructType) -> Walk:
    kind = cast("type[Request]", info.cls)
    members = {each.encode_name: (each.name, _build(each.type), each.required) for each in info.fields}
    absent = {each.name: _default(each) for each in info.fields}

    def struct(value: Any, place: FieldPath, found: FieldErrors) -> Any:
        if not isinstance(value, dict):
            return found.add(place, "must be of type object")
        before = found.count
        built: dict[str, Any] = {}
        for name, (attribute, walk, required) in members.items():
            if name in value:
                built[attribute] = walk(value[name], place.member(name), found)
            elif required:
                built[attribute] = found.add(place.member(name), "is required")
        for name in value:
            if name not in members:
                found.add(place.member(name), "is not allowed")
        for name, text in kind.wrong_together(lambda member: built.get(member, absent[member])):
            found.add(place.member(name) if name else place, text)
        return kind(**built) if found.count == before else WRONG

    return struct


def _default(field: mi.Field) -> Any:
    """The value of a member that the request lacks; `UNSET` if it is required."""
    if field.default is not NODEFAULT:
        return field.default
    return UNSET if field.default_factory is NODEFAULT else field.default_factory()
