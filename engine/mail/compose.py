"""A whole message out of a draft: header fields in their order, the tree of parts, one pass, as bytes.

Promises a message that any SMTP server takes as it is: seven bits (addresses that need SMTPUTF8 apart), CRLF only,
lines of at most 998 octets, a final CRLF, no boundary that also occurs in a part, Bcc in `Composed.bcc_header` alone.
Refuses what cannot stand in a header: `HeaderError` names the field as the API does, and nothing is composed.
The same draft and arguments give the same bytes. Large attachments take some milliseconds per megabyte. Dot-stuffing
is left to the SMTP session.

The tree, each level only where there is something for it:

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

import re
from datetime import UTC, datetime

import msgspec

from engine.mail.addresses import Address
from engine.mail.headers import HeaderError, address_list, message_id_of, one_address, tokens, unstructured
from engine.mail.html_text import html_to_text
from engine.mail.own_fields import own_fields
from engine.mail.parts import AttachedFile, MimePart, attachment_part, is_invitation, multipart, text_part

__all__ = ["AttachedFile", "Composed", "Draft", "compose", "message_id_of"]

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,56}")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants sent.

    `subject` None: no Subject field. `text` and `html` None or "": not there; neither: an empty text. `headers` are
    the caller's own fields, in order; those the engine writes are refused there.
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
    """A message ready for the wire: `header + CRLF + body`; the Sent copy is `header + bcc_header + CRLF + body`.

    `header` ends with the CRLF of its last field, `bcc_header` is b"" without Bcc. `smtputf8`: an address, one in Bcc
    included, has a local part that only SMTPUTF8 carries.
    """

    header: bytes
    bcc_header: bytes
    body: bytes
    smtputf8: bool


def compose(draft: Draft, *, message_id: str, date: float, boundary: str) -> Composed:
    """The message for `draft`.

    `message_id` is `<left@right>`; `date` is in seconds since 1970 UTC; `boundary` is 1 to 56 characters legal in a
    boundary (RFC 2046 §5.1.1), from which those of nested parts are made: take it from fresh randomness.
    Raises `HeaderError`, and `ValueError` for a boundary or date that cannot be one.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise ValueError("illegal boundary")
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
    root = _tree(draft, boundary)
    fields.append(root.header)
    header = "".join(fields)
    bcc = address_list("Bcc", draft.bcc, "bcc") if draft.bcc else ""
    return Composed(
        header.encode(),
        bcc.encode(),
        root.body if root.body.endswith(b"\r\n") else root.body + b"\r\n",
        # Everything but such an address is encoded, so what is not ASCII here is one.
        smtputf8=not (header.isascii() and bcc.isascii()),
    )


def date_of(seconds: float) -> str:
    """RFC 5322 §3.3, in UTC; by hand because strftime follows the locale."""
    when = datetime.fromtimestamp(int(seconds), UTC)
    return (
        f"{_DAYS[when.weekday()]}, {when.day:02} {_MONTHS[when.month - 1]} {when.year:04}"
        f" {when.hour:02}:{when.minute:02}:{when.second:02} +0000"
    )


def _tree(draft: Draft, seed: str) -> MimePart:
    beside: list[MimePart] = []
    inside: list[MimePart] = []
    invitation: list[MimePart] = []
    for n, attachment in enumerate(draft.attachments):
        shown = bool(draft.html) and attachment.is_inline and attachment.cid is not None
        part = attachment_part(attachment, f"attachments[{n}]")
        if not invitation and is_invitation(attachment):
            invitation.append(part)
        else:
            (inside if shown else beside).append(part)
    html = text_part("html", draft.html) if draft.html else None
    text = text_part("plain", draft.text or (html_to_text(draft.html) if draft.html else ""))
    leaves = [text, *beside, *inside, *invitation]
    if html is not None:
        leaves.append(html)
    if len(leaves) == 1:
        return text
    seed = _unused(seed, leaves)
    forms = [text]
    if html is not None:
        if inside:
            # RFC 2387 §3.1: the type of the part that is shown first.
            html = multipart("related", [html, *inside], seed + "_3", 'type="text/html"')
        forms.append(html)
    forms += invitation
    root = multipart("alternative", forms, seed + "_2") if len(forms) > 1 else text
    return multipart("mixed", [root, *beside], seed + "_1") if beside else root


def _unused(seed: str, leaves: list[MimePart]) -> str:
    """`seed`, or `seed` with a number, such that "--" and it stand in none of the parts.

    Readers compare only the beginning of a line with the boundary (RFC 2046 §5.1.1), so a part that merely contains it
    could end a multipart too early.
    """
    bodies = [part.body for part in leaves if not part.encoded]
    candidate = seed
    number = 0
    while any(f"--{candidate}".encode("ascii") in body for body in bodies):
        number += 1
        candidate = f"{seed}.{number}"
    return candidate
