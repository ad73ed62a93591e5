"""Composes a whole message from a draft, as bytes: ordered header fields and a tree of parts.

Any SMTP server can take the message as it is: seven bits (except addresses that need SMTPUTF8), CRLF only, lines of at
most 998 octets, a final CRLF, no boundary that also occurs in a part, and Bcc only in `Composed.bcc_header`. For what a
header cannot carry, `HeaderError` names the field as the API does, and nothing is composed. The same draft and
arguments give the same bytes. Large attachments take a few milliseconds per megabyte. Dot-stuffing is left to the SMTP
session.

The tree, without the levels that would be empty:

    multipart/mixed
    ├─ multipart/alternative
    │  ├─ text/plain                 (made from the HTML when the draft has none)
    │  ├─ multipart/related
    │  │  ├─ text/html
    │  │  └─ inline attachments with a cid
    │  └─ text/calendar; method=…    (an invitation that is not given as "attachment": another form of the text)
    └─ every other attachment
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from io import BytesIO

import msgspec

from engine.mail.addresses import Address
from engine.mail.header_writing import HeaderError, address_list, message_id_of, one_address, tokens, unstructured
from engine.mail.html_text import html_to_text
from engine.mail.parts import AttachedFile, MimePart, attachment_part, is_invitation, multipart, text_part
from engine.mail.repeated_fields import own_fields

__all__ = [
    "AttachedFile",
    "Composed",
    "Content",
    "Draft",
    "attached",
    "compose",
    "content_of",
    "headed",
    "message_id_of",
]

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,56}")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its caller describes it.

    `subject` None: no Subject field. `text` or `html` None or "": no such part; without both, an empty text. `headers`
    are the caller's own fields, in order; fields that the engine writes itself are refused there.
    """

    sender: Address
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[AttachedFile, ...] = ()


class Composed(msgspec.Struct, frozen=True):
    """A message ready to send: `header + CRLF + body`; the Sent copy is `header + bcc_header + CRLF + body`.

    `header` ends with the CRLF of its last field; `bcc_header` is b"" without Bcc. `smtputf8`: the local part of an
    address, perhaps in Bcc, requires SMTPUTF8. `eight_bit`: an octet beyond ASCII requires 8BITMIME; only a message
    submitted whole can contain one. `tail` is the end of the body if other messages share it (the same object).
    """

    header: bytes
    bcc_header: bytes
    body: bytes
    smtputf8: bool
    eight_bit: bool = False
    tail: bytes = b""

    @property
    def size(self) -> int:
        """The octets that are sent."""
        return len(self.header) + 2 + len(self.body) + len(self.tail)


class Content(msgspec.Struct, frozen=True):
    """What a message says, below its own header: the fields that describe it, and the octets.

    `tail` is the end of the octets if other messages share it.
    """

    header: str
    body: bytes
    tail: bytes = b""


def compose(draft: Draft, *, message_id: str, date: float, boundary: str) -> Composed:
    """Compose the message for `draft`.

    `message_id` is `<left@right>`; `date` is in seconds since 1970 UTC; `boundary` has 1 to 56 characters legal in a
    boundary (RFC 2046 §5.1.1) and should be random; those of nested parts are derived from it.
    Raises `HeaderError`, and `ValueError` for an invalid boundary or date.
    """
    return headed(draft, content_of(draft, boundary, attached(draft)), message_id=message_id, date=date)


def attached(draft: Draft) -> tuple[MimePart, ...]:
    """The attachments as parts, which several messages may share. Raises `HeaderError`."""
    return tuple(attachment_part(each, f"attachments[{n}]") for n, each in enumerate(draft.attachments))


def content_of(
    draft: Draft, boundary: str, parts: Sequence[MimePart], tails: dict[bool, bytes] | None = None
) -> Content:
    """Texts and attachments, which several messages may share; `parts` are those of `attached`.

    `boundary` as for `compose`. `tails` caches what follows the texts in messages with this boundary and these parts,
    by whether they have HTML: the first message of each kind adds it, the others reuse it. Raises `ValueError` for an
    invalid boundary.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise ValueError("illegal boundary")
    has_html = bool(draft.html)
    known = tails.get(has_html) if tails is not None else None
    root, last_text = _tree(draft, boundary, parts, files_checked=known is not None)
    pieces = root.pieces()
    if tails is None or not parts or not root.boundary.startswith(f"{boundary}_"):
        return Content(root.header, _written(piece for _, piece in pieces))
    body = _written(_up_to(last_text, pieces))
    if known is None:
        known = tails[has_html] = _written(piece for _, piece in pieces)
    return Content(root.header, body, known)


def _up_to(last: MimePart, pieces: Iterator[tuple[MimePart, bytes]]) -> Iterator[bytes]:
    """The pieces up to the end of the part `last`, with the line end after it; the others stay in `pieces`."""
    reached = False
    for part, piece in pieces:
        yield piece
        if reached and part is not last:
            return
        reached = part is last


def _written(pieces: Iterable[bytes]) -> bytes:
    """The pieces joined, with a line end. Another copy would hold a large file in memory a third time."""
    body, last = BytesIO(), b""
    for piece in pieces:
        body.write(piece)
        last = piece or last
    if not last.endswith(b"\r\n"):
        body.write(b"\r\n")
    return body.getvalue()


def headed(draft: Draft, content: Content, *, message_id: str, date: float) -> Composed:
    """A message with this content; the other arguments and errors as for `compose`."""
    try:
        identifier = message_id_of(message_id)
    except ValueError as error:
        raise HeaderError("messageId", str(error)) from error
    fields = [one_address("From", draft.sender, "from")]
    if draft.to:
        fields.append(address_list("To", draft.to, "to"))
    if draft.cc:
        fields.append(address_list("Cc", draft.cc, "cc"))
    reply, own = own_fields(draft.headers, draft.reply_to)
    fields.append(reply)
    if draft.subject is not None:
        fields.append(unstructured("Subject", draft.subject, "subject"))
    fields.append(tokens("Message-ID", identifier, "messageId"))
    fields.append(f"Date: {date_of(date)}\r\n")
    fields += own
    fields.append("MIME-Version: 1.0\r\n")
    fields.append(content.header)
    header = "".join(fields)
    bcc = address_list("Bcc", draft.bcc, "bcc") if draft.bcc else ""
    return Composed(
        header.encode(),
        bcc.encode(),
        content.body,
        # Everything but such addresses is encoded, so non-ASCII characters here belong to one.
        smtputf8=not (header.isascii() and bcc.isascii()),
        tail=content.tail,
    )


def date_of(seconds: float) -> str:
    """The date in the format of RFC 5322 §3.3, in UTC; not by strftime, which depends on the locale."""
    return _date_of(int(seconds))


@functools.lru_cache(maxsize=4)
def _date_of(seconds: int) -> str:
    # Cached, since the messages of a merge have the same date.
    when = datetime.fromtimestamp(seconds, UTC)
    return (
        f"{_DAYS[when.weekday()]}, {when.day:02} {_MONTHS[when.month - 1]} {when.year:04}"
        f" {when.hour:02}:{when.minute:02}:{when.second:02} +0000"
    )


def _tree(
    draft: Draft, seed: str, parts: Sequence[MimePart], *, files_checked: bool = False
) -> tuple[MimePart, MimePart]:
    """The tree, and the last of its texts, which all stand before the files.

    `files_checked`: no file contains a boundary made of `seed`.
    """
    beside: list[MimePart] = []
    inside: list[MimePart] = []
    invitation: list[MimePart] = []
    for attachment, part in zip(draft.attachments, parts, strict=True):
        shown = bool(draft.html) and attachment.is_inline and attachment.cid is not None
        if not invitation and is_invitation(attachment):
            invitation.append(part)
        else:
            (inside if shown else beside).append(part)
    html = text_part("html", draft.html) if draft.html else None
    text = text_part("plain", draft.text or (html_to_text(draft.html) if draft.html else ""))
    texts = [text] if html is None else [text, html]
    last_text = texts[-1]
    leaves = [*texts, *beside, *inside, *invitation]
    if len(leaves) == 1:
        return text, text
    if not files_checked or _unused(seed, texts) != seed:
        seed = _unused(seed, leaves)
    forms = [text]
    if html is not None:
        if inside:
            # RFC 2387 §3.1: the type of the root part.
            html = multipart("related", [html, *inside], seed + "_3", 'type="text/html"')
        forms.append(html)
    forms += invitation
    root = multipart("alternative", forms, seed + "_2") if len(forms) > 1 else text
    return (multipart("mixed", [root, *beside], seed + "_1") if beside else root), last_text


def _unused(seed: str, leaves: list[MimePart]) -> str:
    """`seed`, perhaps with a number, such that none of the parts contains "--" followed by it.

    Readers compare only the beginning of a line with the boundary (RFC 2046 §5.1.1), so a longer line that begins with
    it could end a multipart too early.
    """
    bodies = [part.content for part in leaves if not part.encoded]
    candidate = seed
    number = 0
    while any(f"--{candidate}".encode("ascii") in body for body in bodies):
        number += 1
        candidate = f"{seed}.{number}"
    return candidate
