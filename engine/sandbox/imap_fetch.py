"""Parses and answers FETCH (RFC 3501 sections 6.4.5 and 7.4.2). Pure.

It knows FLAGS, UID, MODSEQ, INTERNALDATE, RFC822.SIZE, ENVELOPE, BODYSTRUCTURE, the whole message, its header, chosen
header fields, its text, and single MIME parts, also as partial fetches; and Gmail's items, if Gmail is played. Anything
else raises `Syntax`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from engine.sandbox import imap_mime
from engine.sandbox.accounts import SandboxMessage
from engine.sandbox.imap_input import Syntax, Token, atoms
from engine.sandbox.imap_view import written_flags

_MACROS = {
    "FAST": ["FLAGS", "INTERNALDATE", "RFC822.SIZE"],
    "ALL": ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"],
}
_OLD_NAMES = {"RFC822": "BODY[]", "RFC822.HEADER": "BODY.PEEK[HEADER]", "RFC822.TEXT": "BODY[TEXT]"}
_BODY = re.compile(r"BODY(\.PEEK)?\[([^\]]*)\](?:<([0-9]{1,10})\.([1-9][0-9]{0,9})>)?")
_NUMBERED = re.compile(r"([1-9][0-9]{0,4}(?:\.[1-9][0-9]{0,4}){0,30})(?:\.(MIME|HEADER|TEXT))?")
_FIELDS = re.compile(r"HEADER\.FIELDS(\.NOT)? \(([^()]+)\)")
# A field with the lines folded under it.
_FIELD = re.compile(rb"^([^:\r\n]+):.*\r?\n(?:[ \t].*\r?\n)*", re.MULTILINE)


class Item(msgspec.Struct, frozen=True):
    """One item to fetch: `label` is its name in the answer. `marks_seen`: it also sets \\Seen."""

    label: str
    value: Callable[[SandboxMessage], bytes]
    marks_seen: bool = False


def read_items(token: Token, *, gmail: bool = False) -> list[Item]:
    """The items of a FETCH. Raises `Syntax`."""
    names = atoms(token)
    if len(names) == 1:
        names = _MACROS.get(names[0].upper(), names)
    if not names:
        raise Syntax("Missing fetch items")
    simple = _SIMPLE | _GMAIL if gmail else _SIMPLE
    return [simple.get(name.upper()) or _read_body(name) for name in names]


def fetch(message: SandboxMessage, items: list[Item]) -> bytes:
    """The parenthesised answer for one message."""
    return b"(" + b" ".join(item.label.encode() + b" " + item.value(message) for item in items) + b")"


def written_date(seconds: float) -> str:
    """A date-time of RFC 3501 in UTC: `17-Jul-1996 09:44:25 +0000`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day:2d}-{MONTHS[moment.month - 1]}-{moment:%Y %H:%M:%S} +0000"


def header(raw: bytes) -> bytes:
    """The header with the empty line that ends it."""
    end = raw.find(b"\r\n\r\n")
    return raw if end < 0 else raw[: end + 4]


def fields(raw: bytes) -> list[tuple[str, bytes]]:
    """The header's fields: name in upper case, and all its raw lines."""
    return [(match[1].decode("latin-1").strip().upper(), match[0]) for match in _FIELD.finditer(header(raw))]


MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

FLAGS: Final = Item("FLAGS", lambda message: f"({written_flags(message.flags)})".encode())
UID: Final = Item("UID", lambda message: b"%d" % message.uid)
MODSEQ: Final = Item("MODSEQ", lambda message: b"(%d)" % message.change)
_SIMPLE: Final = {
    "FLAGS": FLAGS,
    "UID": UID,
    "INTERNALDATE": Item("INTERNALDATE", lambda message: f'"{written_date(message.date)}"'.encode()),
    "RFC822.SIZE": Item("RFC822.SIZE", lambda message: b"%d" % len(message.raw)),
    "MODSEQ": MODSEQ,
    "ENVELOPE": Item("ENVELOPE", lambda message: imap_mime.envelope(imap_mime.parse(message.raw).header)),
    "BODYSTRUCTURE": Item("BODYSTRUCTURE", lambda message: imap_mime.structure(imap_mime.parse(message.raw))),
}
_GMAIL: Final = {
    "X-GM-MSGID": Item("X-GM-MSGID", lambda message: b"%d" % (10**18 + message.arrival)),
    "X-GM-THRID": Item("X-GM-THRID", lambda message: b"%d" % (10**18 + message.arrival)),
    "X-GM-LABELS": Item("X-GM-LABELS", lambda message: b'("\\\\Inbox")'),
}


def _read_body(name: str) -> Item:
    old = name.upper() in _OLD_NAMES
    match = _BODY.fullmatch(_OLD_NAMES.get(name.upper(), name).upper())
    section = _section(match[2]) if match else None
    if match is None or section is None:
        raise Syntax(f"Unknown parameter: {name.upper()}")
    label = name.upper() if old else f"BODY[{match[2]}]" + (f"<{match[3]}>" if match[3] else "")
    start = int(match[3] or 0)
    end = start + int(match[4]) if match[4] else None

    def value(message: SandboxMessage) -> bytes:
        part = section(message.raw)[start:end]
        return b"{%d}\r\n" % len(part) + part

    return Item(label, value, marks_seen=not match[1])


def _section(written: str) -> Callable[[bytes], bytes] | None:
    match = _FIELDS.fullmatch(written)
    if match is not None:
        wanted = {field.strip('"') for field in match[2].split()}
        unwanted = bool(match[1])
        return lambda raw: b"".join(all_of for name, all_of in fields(raw) if (name in wanted) != unwanted) + b"\r\n"
    numbered = _NUMBERED.fullmatch(written)
    if numbered is not None:
        numbers = [int(number) for number in numbered[1].split(".")]
        return lambda raw: imap_mime.section(imap_mime.parse(raw), numbers, numbered[2] or "") or b""
    return _SECTIONS.get(written)


_SECTIONS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": lambda raw: raw,
    "HEADER": header,
    "TEXT": lambda raw: raw[len(header(raw)) :],
}
