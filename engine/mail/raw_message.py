"""A whole message taken apart into header and body, as bytes: finding, removing and adding fields. It never raises.

Line ends become CRLF; everything else stays as it is, valid or not.
"""

from __future__ import annotations

import re

import msgspec

from engine.mail.compose import Composed, date_of

_LINE_END = re.compile(rb"\r\n|\r|\n")
_FIELD = re.compile(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*")


def from_raw(raw: bytes, message_id: str, date: float) -> Composed:
    """A message as it is, its Bcc apart, with Message-ID and Date added if missing; `date` in seconds since 1970."""
    header, body = _apart(raw if raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r") else _crlf(raw))
    fields = split_fields(header)
    hidden = [field for field in fields if name_of(field) == b"bcc"]
    names = {name_of(field) for field in fields}
    added = [] if b"message-id" in names else [f"Message-ID: {message_id}\r\n".encode()]
    if b"date" not in names:
        added.append(f"Date: {date_of(date)}\r\n".encode("ascii"))
    shown = b"".join([*(field for field in fields if name_of(field) != b"bcc"), *added])
    eight_bit = not (shown.isascii() and body.isascii())
    return Composed(shown, b"".join(hidden), body, smtputf8=False, eight_bit=eight_bit)


def split_fields(header: bytes) -> list[bytes]:
    """The fields of a header with CRLF line ends, each with its end; a line that is no field counts as one."""
    return _FIELD.findall(header)


def with_fields(message: Composed, given: Composed, names: frozenset[bytes]) -> Composed:
    """The message with the fields of these names (in lower case) replaced by those of `given`."""
    own: dict[bytes, list[bytes]] = {name: [] for name in names}
    for field in split_fields(given.header):
        if name_of(field) in own:
            own[name_of(field)].append(field)
    own.pop(b"bcc", None)
    made = replaced(message, own)
    hidden = given.bcc_header if b"bcc" in names else message.bcc_header
    return Composed(
        made.header,
        hidden,
        made.body,
        smtputf8=message.smtputf8 or given.smtputf8,
        eight_bit=message.eight_bit or not made.header.isascii(),
    )


def replaced(message: Composed, given: dict[bytes, list[bytes]]) -> Composed:
    """The message with these fields (by lower-case name), each in place of its first of that name, else at the end."""
    header: list[bytes] = []
    left = dict(given)
    for field in split_fields(message.header):
        name = name_of(field)
        if name in given:
            header += left.pop(name, [])
        else:
            header.append(field)
    for fields in left.values():
        header += fields
    return msgspec.structs.replace(message, header=b"".join(header))


def without(message: Composed, names: frozenset[bytes]) -> Composed:
    """The message without the fields of these names (in lower case)."""
    return replaced(message, {name: [] for name in names})


def _crlf(raw: bytes) -> bytes:
    return _LINE_END.sub(b"\r\n", raw)


def _apart(raw: bytes) -> tuple[bytes, bytes]:
    """The header with the end of its last line, and what follows the empty line."""
    if raw.startswith(b"\r\n"):
        return b"", raw[2:]
    head, found, body = raw.partition(b"\r\n\r\n")
    return (head + b"\r\n", body) if found else (head.removesuffix(b"\r\n") + b"\r\n", b"")


def name_of(field: bytes) -> bytes:
    """The name of a field, in lower case."""
    return field.partition(b":")[0].strip().lower()
