"""Changes the HTML texts of a whole message, and nothing else: every other octet stays where it is. Pure.

1. Only texts that a mail program shows are changed: no attachment, no attached message, nothing below multipart/signed
   or multipart/encrypted. A message with a signature in its header (DKIM, ARC) is not changed at all.
2. A text goes back in the charset and the transfer encoding in which it came. A text that would not yield the same
   octets again without any change is left alone.
3. If a line becomes longer than SMTP can carry, its part is encoded as quoted-printable; only then does a field change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from engine.mail.charsets import reversible
from engine.mail.compose import Composed
from engine.mail.header_reading import raw_fields
from engine.mail.header_writing import LONGEST_LINE
from engine.mail.parts import base64_pieces, longest_line, quoted_printable
from engine.mail.raw_message import name_of, split_fields
from engine.mail.transfer import IDENTITY, body_bytes

MOST_DEPTH: Final = 10
_SIGNATURES: Final = frozenset({"dkim-signature", "domainkey-signature", "arc-seal", "arc-message-signature"})
_PROTECTED: Final = frozenset({"multipart/signed", "multipart/encrypted"})
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|([^\s;"]*+))', re.DOTALL)
_BREAK = re.compile(rb"\r\n[ \t]*+")

Change = Callable[[str], str]


class _Entity(NamedTuple):
    """A message or a part of one: its header with the end of its last line, and its body."""

    header: bytes
    body: bytes


def is_signed(message: Composed) -> bool:
    """Whether a signature in its header covers the message."""
    return not _SIGNATURES.isdisjoint(name for name, _ in raw_fields(message.header))


def may_have_html(message: Composed) -> bool:
    """Whether `with_html` has to read the body, as far as the header tells."""
    kind, _ = structured(next((value for name, value in raw_fields(message.header) if name == "content-type"), b""))
    return (kind == "text/html" or kind.startswith("multipart/")) and kind not in _PROTECTED and not is_signed(message)


def with_html(message: Composed, change: Change) -> Composed:
    """The message with its HTML texts as `change` returns them, called in their order; the same if nothing changes.

    Time is proportional to the length of the message. It raises only what `change` raises.
    """
    if is_signed(message):
        return message
    made = _changed(_Entity(message.header, message.body), change, MOST_DEPTH)
    if made is None:
        return message
    eight_bit = not (made.header.isascii() and made.body.isascii())
    return msgspec.structs.replace(message, header=made.header, body=made.body, eight_bit=eight_bit)


def _changed(entity: _Entity, change: Change, depth: int) -> _Entity | None:
    """The entity with its texts changed; None if nothing has changed."""
    found: dict[str, bytes] = {}
    for name, value in raw_fields(entity.header):
        found.setdefault(name, value)
    kind, parameters = structured(found.get("content-type", b""))
    if kind.startswith("multipart/"):
        boundary = parameters.get("boundary")
        if kind in _PROTECTED or not boundary or not depth:
            return None
        body = _with_parts(entity.body, boundary, change, depth - 1)
        return None if body is None else entity._replace(body=body)
    if kind != "text/html" or structured(found.get("content-disposition", b""))[0] == "attachment":
        return None
    encoding = structured(found.get("content-transfer-encoding", b""))[0]
    return _with_text(entity, encoding, parameters.get("charset", b"").decode("ascii", "replace"), change)


def _with_parts(body: bytes, boundary: bytes, change: Change, depth: int) -> bytes | None:
    delimiter = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*+(?:\r\n|\Z)", re.MULTILINE)
    pieces: list[bytes] = []
    at, start = 0, -1
    for found in delimiter.finditer(body):
        if start >= 0:
            # The line end before a delimiter belongs to it (RFC 2046 section 5.1.1).
            end = max(start, found.start() - 2)
            if (part := _with_part(body[start:end], change, depth)) is not None:
                pieces += [body[at:start], part]
                at = end
        start = found.end()
        if found[1]:
            break
    else:
        if start >= 0 and (part := _with_part(body[start:], change, depth)) is not None:
            pieces += [body[at:start], part]
            at = len(body)
    return b"".join([*pieces, body[at:]]) if pieces else None


def _with_part(raw: bytes, change: Change, depth: int) -> bytes | None:
    head, empty_line, body = raw.partition(b"\r\n\r\n")
    if not empty_line or raw.startswith(b"\r\n"):
        return None
    made = _changed(_Entity(head + b"\r\n", body), change, depth)
    return None if made is None else made.header + b"\r\n" + made.body


def _with_text(entity: _Entity, encoding: str, charset: str, change: Change) -> _Entity | None:
    if encoding not in IDENTITY and encoding not in ("base64", "quoted-printable"):
        return None
    data = entity.body if encoding in IDENTITY else body_bytes(entity.body, encoding)
    known = reversible(data, charset)
    if known is None:
        return None
    text, encoded = known
    changed = change(text)
    if changed == text:
        return None
    data = encoded(changed)
    if encoding == "base64":
        ending = entity.body[len(entity.body.rstrip(b"\r\n")) :]
        return entity._replace(body=b"".join([*base64_pieces(data), ending]))
    if encoding == "quoted-printable":
        return entity._replace(body=quoted_printable(data))
    if longest_line(data) <= LONGEST_LINE:
        return entity._replace(body=data)
    field = b"Content-Transfer-Encoding: quoted-printable\r\n"
    kept = [each for each in split_fields(entity.header) if name_of(each) != b"content-transfer-encoding"]
    return _Entity(b"".join([*kept, field]), quoted_printable(data))


def structured(value: bytes) -> tuple[str, dict[str, bytes]]:
    """A structured value in lower case, and its parameters, of which the first of a name counts."""
    value = _BREAK.sub(b" ", value)
    parameters: dict[str, bytes] = {}
    for name, quoted, plain in _PARAMETER.findall(value):
        parameters.setdefault(name.decode("ascii", "replace").lower(), re.sub(rb"\\(.)", rb"\1", quoted) or plain)
    return value.partition(b";")[0].strip().lower().decode("ascii", "replace"), parameters
