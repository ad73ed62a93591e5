"""What a message is composed of, from the members of a request or from a draft in a folder."""

from __future__ import annotations

from msgspec import UNSET

from engine.errors import Problem
from engine.field_errors import invalid
from engine.imap.envelope import EnvelopeAddress, ImapEnvelope
from engine.mail.addresses import Address, parse_address
from engine.mail.compose import AttachedFile, Draft
from engine.mail.decode import header_text
from engine.model.registration import Registration
from engine.schema.submit import Content, NamedAddress


def draft_of(record: Registration, content: Content) -> Draft:
    """The draft to compose. Raises `Problem` 400 if it has no author."""
    if content.sender is not UNSET:
        sender = address_of(content.sender)
    elif record.email is not UNSET:
        sender = Address(record.email, record.name)
    else:
        raise invalid("from", "is required because the account has no email address")
    return Draft(
        sender=sender,
        to=tuple(map(address_of, content.to)),
        cc=tuple(map(address_of, content.cc or ())),
        bcc=tuple(map(address_of, content.bcc or ())),
        reply_to=tuple(map(address_of, content.reply_to or ())),
        subject=content.subject or None,
        text=content.text or None,
        html=content.html or None,
        headers=content.header_fields(),
        attachments=tuple(
            AttachedFile(
                content=each.content,
                filename=each.filename or None,
                content_type=each.content_type or None,
                disposition=each.content_disposition or None,
                cid=each.cid or None,
            )
            for each in content.attachments
        ),
    )


def stored_draft(record: Registration, envelope: ImapEnvelope | None) -> Draft:
    """Who wrote a message in a folder to whom, as far as that can be sent to. Raises `Problem` 400 if nobody wrote it.

    It has neither texts nor attachments: these are sent as they are.
    """
    if envelope is None:
        raise Problem(400, "Draft has no recipients", code="DraftHasNoRecipients")
    own = Address("" if record.email is UNSET else record.email, record.name)
    author = next(iter(addresses_of(envelope.author)), own)
    if not author.address:
        raise Problem(400, "Draft has no author, and the account has no email address", code="DraftHasNoAuthor")
    return Draft(
        sender=author,
        to=tuple(addresses_of(envelope.to)),
        cc=tuple(addresses_of(envelope.cc)),
        bcc=tuple(addresses_of(envelope.bcc)),
        subject=" ".join(header_text(envelope.subject).split()) or None,
    )


def addresses_of(given: tuple[EnvelopeAddress, ...]) -> list[Address]:
    """Those that can be used in our headers."""
    found = []
    for each in given:
        try:
            address = parse_address(each.address.decode("utf-8", "replace"))
        except ValueError:
            continue
        found.append(Address(address, " ".join(header_text(each.name).split())))
    return found


def size_of(content: Content) -> int:
    """About how many octets there are to compose."""
    size = len(content.text or "") + len(content.html or "") + sum(len(each.content) for each in content.attachments)
    for given in content.headers.values():
        size += sum(map(len, given)) + 20 * len(given) if isinstance(given, tuple) else len(str(given))
    return size + 100 * sum(len(each or ()) for each in (content.to, content.cc, content.bcc, content.reply_to))


def address_of(given: NamedAddress) -> Address:
    """An address of a request."""
    return Address(given.address, given.name)
