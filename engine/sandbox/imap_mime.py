"""A message's MIME parts as IMAP describes them: ENVELOPE, BODYSTRUCTURE, sections (RFC 3501 sections 7.4.2, 6.4.5).

Pure. Parts are slices of the raw bytes, never composed again. Beyond `MAX_DEPTH` a multipart is shown as one part.
"""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import Message as Header
from email.utils import getaddresses
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import msgspec

MAX_DEPTH: Final = 20
_END = re.compile(rb"\r?\n\r?\n")
_NO_DOMAIN = "MISSING_DOMAIN"


class ParsedPart(msgspec.Struct, frozen=True, eq=False):
    """One part: its raw bytes, its parsed header, its children (of a multipart, or the only one of a message)."""

    raw: bytes
    body: bytes
    header: Header
    kind: str
    children: tuple[ParsedPart, ...]


@lru_cache(maxsize=256)
def parse(raw: bytes, depth: int = 0, default: str = "text/plain") -> ParsedPart:
    """The part in these bytes."""
    end = _END.search(raw)
    head, body = (raw, b"") if end is None else (raw[: end.end()], raw[end.end() :])
    if raw[:2] == b"\r\n":
        head, body = b"", raw[2:]
    header = message_from_bytes(head)
    header.set_default_type(default)
    kind = header.get_content_type()
    children: tuple[ParsedPart, ...] = ()
    if depth < MAX_DEPTH:
        boundary = header.get_boundary()
        if kind.startswith("multipart/") and boundary:
            inner = "message/rfc822" if kind == "multipart/digest" else "text/plain"
            children = tuple(parse(each, depth + 1, inner) for each in _split(body, boundary))
        elif kind == "message/rfc822":
            children = (parse(body, depth + 1),)
    if kind.startswith("multipart/") and not children:
        kind = "text/plain"
    return ParsedPart(raw, body, header, kind, children)


def _split(body: bytes, boundary: str) -> list[bytes]:
    mark = re.escape(boundary.encode("utf-8", "surrogateescape"))
    pieces = re.split(rb"(?:\A|\r?\n)--" + mark + rb"(--)?[ \t]*(?:\r?\n|\Z)", body)
    found = []
    # The text before the first delimiter belongs to no part; a delimiter with "--" ends the multipart.
    for closing, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if closing:
            break
        found.append(piece)
    return found


def envelope(header: Header) -> bytes:
    """The ENVELOPE."""
    fields = [
        _string(header.get("Date")),
        _string(header.get("Subject")),
        _addresses(header, "From"),
        _addresses(header, "Sender", "From"),
        _addresses(header, "Reply-To", "From"),
        *(_addresses(header, name) for name in ("To", "Cc", "Bcc")),
        _string(header.get("In-Reply-To")),
        _string(header.get("Message-ID")),
    ]
    return b"(" + b" ".join(fields) + b")"


def structure(part: ParsedPart) -> bytes:
    """The BODYSTRUCTURE, including extension data."""
    major, _, minor = part.kind.partition("/")
    parameters = _parameters(part.header, "content-type")
    disposition = part.header.get_content_disposition()
    shown = (
        f'("{disposition}" '.encode() + _parameters(part.header, "content-disposition") + b")"
        if disposition
        else b"NIL"
    )
    if part.kind.startswith("multipart/"):
        inner = b"".join(map(structure, part.children))
        return b"(" + inner + f' "{minor}" '.encode() + parameters + b" " + shown + b" NIL NIL)"
    items = [
        _string(major),
        _string(minor),
        parameters if part.header.get("Content-Type") else b'("charset" "us-ascii")',
        _string(part.header.get("Content-ID")),
        _string(part.header.get("Content-Description")),
        _string(part.header.get("Content-Transfer-Encoding", "7bit").strip()),
        b"%d" % len(part.body),
    ]
    lines = b"%d" % part.body.count(b"\n")
    if part.kind == "message/rfc822" and part.children:
        items += [envelope(part.children[0].header), structure(part.children[0]), lines]
    elif major == "text":
        items.append(lines)
    return b"(" + b" ".join([*items, b"NIL", shown, b"NIL", b"NIL"]) + b")"


def section(part: ParsedPart, numbers: list[int], what: str) -> bytes | None:
    """The bytes of a section such as `1.2`, `1.MIME`, `2.HEADER`; None if there is no such part."""
    for number in numbers:
        holder = part.children[0] if part.kind == "message/rfc822" and part.children else part
        if holder.kind.startswith("multipart/"):
            if number > len(holder.children):
                return None
            part = holder.children[number - 1]
        elif number == 1:
            part = holder
        else:
            return None
    if what == "":
        return part.body
    if what == "MIME":
        return part.raw[: len(part.raw) - len(part.body)]
    inner = part.children[0] if part.kind == "message/rfc822" and part.children else None
    if inner is None:
        return None
    return inner.body if what == "TEXT" else inner.raw[: len(inner.raw) - len(inner.body)]


def _addresses(header: Header, *names: str) -> bytes:
    """The addresses of the first of these fields that exists."""
    fields = next((header.get_all(name, []) for name in names if name in header), [])
    found = []
    for name, address in getaddresses([str(field) for field in fields]):
        if address:
            local, _, domain = address.rpartition("@")
            # A half that the header lacks is filled in as Dovecot does.
            parts = (_string(name or None), b"NIL", _string(local or domain), _string(domain if local else _NO_DOMAIN))
            found.append(b"(" + b" ".join(parts) + b")")
    return b"(" + b"".join(found) + b")" if found else b"NIL"


def _parameters(header: Header, name: str) -> bytes:
    pairs = header.get_params(header=name, unquote=True) or []
    shown = [_string(each) for pair in pairs[1:] for each in _parameter(*pair)]
    return b"(" + b" ".join(shown) + b")" if shown else b"NIL"


def _parameter(name: str, value: object) -> tuple[str, str]:
    # The email package gives an RFC 2231 value as (charset, language, text), its octets as Latin-1.
    if not isinstance(value, tuple):
        return name, str(value)
    charset, language, text = (str(each or "") for each in value)
    return f"{name}*", f"{charset}'{language}'{quote(text, encoding='latin-1')}"


def _string(value: object) -> bytes:
    if value is None:
        return b"NIL"
    data = str(value).encode("utf-8", "surrogateescape").replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
    if data.isascii() and b'"' not in data and b"\\" not in data:
        return b'"' + data + b'"'
    return b"{%d}\r\n" % len(data) + data
