"""Reads EmailEngine's records, msgpack and JSON, with encrypted values opened, and turns them into requests."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from engine.decoding.decode import decode_body
from engine.errors import Problem
from engine.importing.encryption import Decryption, NotOpened
from engine.importing.item import Refused, words_of
from engine.schema.fields import Request

RequestT = TypeVar("RequestT", bound=Request)
NOTHING: tuple[Any, ...] = (None, "", [], {})
"""Values that stand for a member that was never set."""
_DEEPEST = 50
"""Levels of lists and objects in a record. EmailEngine's have five."""
_NEVER = 253402300800.0
"""The year 10000, in seconds since 1970: no moment is stored beyond it, nor before 1970."""


def unpack(octets: bytes | None, secrets: Decryption) -> dict[str, Any]:
    """The object in a msgpack record, everything in it decrypted. Raises `Refused`."""
    try:
        built = msgspec.msgpack.decode(octets or b"")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused("its record cannot be read") from error
    if not isinstance(built, dict):
        raise Refused("its record cannot be read")
    return {str(name): opened(value, secrets, str(name)) for name, value in built.items()}


def parse(octets: bytes, secrets: Decryption, name: str) -> Any:
    """The value in a JSON text that may be encrypted as a whole or in parts. Raises `Refused`."""
    try:
        built = msgspec.json.decode(plain(octets, secrets, name))
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(f"{name}: cannot be read") from error
    return opened(built, secrets, name)


def plain(octets: bytes, secrets: Decryption, name: str) -> str:
    """A text that may be encrypted. Raises `Refused`."""
    try:
        return secrets.open(octets.decode())
    except NotOpened as error:
        raise Refused(f"{name}: {error}") from error
    except UnicodeDecodeError as error:
        raise Refused(f"{name}: is not UTF-8") from error


def opened(value: Any, secrets: Decryption, name: str, level: int = 0) -> Any:
    """The value with every encrypted text in it opened; msgpack5's `undefined` becomes None. Raises `Refused`."""
    if level > _DEEPEST:
        raise Refused(f"{name.partition('.')[0]}: is nested more than {_DEEPEST} levels deep")
    if isinstance(value, str):
        return plain(value.encode(), secrets, name)
    if isinstance(value, list):
        return [opened(each, secrets, name, level + 1) for each in value]
    if isinstance(value, dict):
        return {str(key): opened(each, secrets, f"{name}.{key}", level + 1) for key, each in value.items()}
    if isinstance(value, msgspec.msgpack.Ext | bytes):
        return None
    return value


def refuse_empty(id: str) -> None:
    """Raise `Refused` for an id that no path of the API could name."""
    if not id:
        raise Refused("its id is empty")


def known(given: dict[str, Any], kind: type[Request], left_out: Collection[str] = ()) -> dict[str, Any]:
    """The members of `given` that a request of `kind` may have and that are set."""
    names = {field.encode_name for field in msgspec.structs.fields(kind)} - set(left_out)
    return {name: value for name, value in given.items() if name in names and value not in NOTHING}


def unknown(given: dict[str, Any], kind: type[Request], place: str, expected: Collection[str] = ()) -> Iterator[str]:
    """A note for each member that is set and that a request of `kind` does not have."""
    names = {field.encode_name for field in msgspec.structs.fields(kind)} | set(expected)
    for name, value in given.items():
        if name not in names and value not in (*NOTHING, False):
            yield f"{place}{name} does not come: there is no such member here"


def request(kind: type[RequestT], members: dict[str, Any]) -> RequestT:
    """The request with these members, checked by the same rules as one over HTTP. Raises `Refused`."""
    try:
        return decode_body(kind, msgspec.json.encode(members))
    except Problem as problem:
        raise Refused(words_of(problem)) from problem


def seconds(value: Any, default: float) -> float:
    """The moment in an ISO 8601 text, a date of msgpack, or milliseconds since 1970; `default` for anything else."""
    moment = -1.0
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return default
    if isinstance(value, int | float) and not isinstance(value, bool):
        moment = value / 1000
    elif isinstance(value, datetime):
        moment = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return moment if 0 <= moment < _NEVER else default
