"""Whole messages: addresses and control fields in their header, additional fields of the request.

1. The message stays as it is, byte for byte, except for Bcc, which only the copy keeps, line ends, which become CRLF,
   and tracked links.
2. Fields that the request gives replace those of the same name, in their place; nothing else moves, so that signatures
   over the rest stay valid. From, Date and Message-ID are added if they are missing.
3. EmailEngine's control fields are removed and override the members of the request, as they do there. A time or a
   number that cannot be read is refused: otherwise a message that was meant to wait would go out at once.
4. A message that is due later gets that time as its Date, unless it is signed: that would break the signature.
5. Opens and clicks are tracked in its HTML as in any other (`mail_links`), unless it is signed or encrypted.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from engine.field_errors import invalid
from engine.mail.address_reading import read_addresses
from engine.mail.addresses import Address, needs_smtputf8, parse_address
from engine.mail.compose import Composed, Draft, date_of
from engine.mail.decode import header_text
from engine.mail.header_reading import fields, raw_fields
from engine.mail.header_writing import LONGEST_LINE, one_address
from engine.mail.parts import longest_line
from engine.mail.raw_message import replaced
from engine.mail.whole_html import is_signed
from engine.schema.submit import Content
from engine.submission.control_headers import Control, taken_out
from engine.submission.terms import Terms

_MEMBERS = {
    "from": "sender",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
    "reply-to": "reply_to",
    "subject": "subject",
    "message-id": "message_id",
}
"""The header fields that members of a request make, and the attributes of these."""


def given_fields(content: Content) -> frozenset[bytes]:
    """The names, in lower case, of the header fields that a request gives in addition to the message."""
    given = {name for name, attribute in _MEMBERS.items() if getattr(content, attribute) not in (UNSET, None, (), "")}
    return frozenset(name.lower().encode() for name in given.union(name for name, _ in content.header_fields()))


def take_controls(message: Composed) -> tuple[Composed, Control]:
    """The message without control fields, and what they say. Raises `Problem` 400."""
    header, control = taken_out(message.header)
    return msgspec.structs.replace(message, header=header), control


def with_controls(terms: Terms, control: Control) -> Terms:
    """The terms of a request as the message's control fields change them."""
    if control.send_at is not None:
        terms = msgspec.structs.replace(terms, send_at=max(control.send_at, terms.now))
    if control.attempts is not None:
        terms = msgspec.structs.replace(terms, attempts=control.attempts)
    if control.gateway is not None:
        terms = msgspec.structs.replace(terms, gateway=control.gateway)
    if control.tracking is not None:
        terms = msgspec.structs.replace(terms, track_opens=control.tracking, track_clicks=control.tracking)
    return terms


def dated(message: Composed, terms: Terms) -> Composed:
    """The message with the time at which it is due as its Date, if that is later and it is not signed."""
    if terms.send_at <= terms.now or is_signed(message):
        return message
    return replaced(message, {b"date": [f"Date: {date_of(terms.send_at)}\r\n".encode()]})


def with_author(message: Composed, author: Address | None) -> Composed:
    """The message with a From field: its own, else one of the account's. Raises `Problem` 400 without both."""
    if "from" in dict(raw_fields(message.header)):
        return message
    if author is None:
        raise invalid("from", "is required because the account has no email address")
    return replaced(message, {b"from": [one_address("From", author, "from").encode()]})


def draft_of_raw(message: Composed, *, lenient: bool) -> Draft:
    """The sender, recipients and subject of a message, without texts and attachments: these are sent as they are.

    Raises `Problem` 400 for an unusable address; `lenient`: such addresses do not matter, and are left out.
    """
    found = dict.fromkeys(("from", "to", "cc", "bcc"), "")
    subject = None
    for name, value in (*raw_fields(message.header), *raw_fields(message.bcc_header)):
        if name in found:
            found[name] += f",{value.decode('utf-8', 'surrogateescape')}"
        elif name == "subject" and subject is None:
            subject = " ".join(header_text(value).split())
    authors = _addresses(found["from"], "From", lenient=True)
    if not authors:
        raise invalid("raw", "has no address that can be used in its From field: give one as from")
    to, cc, bcc = (tuple(_addresses(found[name], name.title(), lenient=lenient)) for name in ("to", "cc", "bcc"))
    return Draft(sender=authors[0], to=to, cc=cc, bcc=bcc, subject=subject or None)


def line_fault(message: Composed) -> str | None:
    """The fault of a message with a line that SMTP cannot carry: servers cut or refuse it."""
    longest = max(longest_line(message.header), longest_line(message.body))
    if longest <= LONGEST_LINE:
        return None
    text = f"has a line of {longest} octets, and a mail server takes at most {LONGEST_LINE}: encode that part"
    return f"{text} as quoted-printable or base64"


def refuse_long_lines(message: Composed) -> None:
    """Raise `Problem` 400 for such a line."""
    if (fault := line_fault(message)) is not None:
        raise invalid("raw", fault)


def international(message: Composed) -> bool:
    """Whether an address in its header requires SMTPUTF8."""
    if message.header.isascii() and message.bcc_header.isascii():
        return False
    names = ("from", "sender", "reply-to", "to", "cc", "bcc")
    values = [value for name, value in raw_fields(message.header + message.bcc_header) if name in names]
    text = ",".join(value.decode("utf-8", "replace") for value in values)
    return any(needs_smtputf8(address.address) for address in _addresses(text, "", lenient=True))


def message_id_in(message: Composed) -> str:
    """Its Message-ID."""
    return fields(message.header)["message-id"][0]


def _addresses(text: str, field: str, *, lenient: bool) -> Sequence[Address]:
    found = []
    for name, written in read_addresses(text):
        try:
            address = parse_address(written)
        except ValueError as error:
            if lenient:
                continue
            shown = written[:100].encode("ascii", "backslashreplace").decode()
            raise invalid("raw", f"has an address in its {field} field that cannot be used: {shown}") from error
        shown_name = header_text(name.encode("utf-8", "surrogateescape"))
        found.append(Address(address, " ".join(shown_name.split())))
    return found
