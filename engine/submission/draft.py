"""The draft to compose, from the members of a request or from a draft in a folder."""

from __future__ import annotations

from msgspec import UNSET

from engine.errors import Problem
from engine.field_errors import invalid
from engine.imap.envelope import EnvelopeAddress, ImapEnvelope
from engine.mail.addresses import Address, parse_address
from engine.mail.compose import AttachedFile, Draft
from engine.mail.decode import header_text
from engine.model.registration import Registration
from engine.schema.submit import Attachment, Content, NamedAddress
from engine.submission.inline_images import with_inline_images
from engine.submission.reference import NOTHING, Referenced, followed


def draft_of(record: Registration, content: Content, found: Referenced = NOTHING) -> Draft:
    """The draft to compose, with what it takes from the mailbox. Raises `Problem` 400 if it has no author."""
    if content.sender is not UNSET:
        sender = address_of(content.sender)
    elif record.email is not UNSET:
        sender = Address(record.email, record.name)
    else:
        raise invalid("from", "is required because the account has no email address")
    draft = Draft(
        sender=sender,
        to=tuple(map(address_of, content.to)),
        cc=tuple(map(address_of, content.cc or ())),
        bcc=tuple(map(address_of, content.bcc or ())),
        reply_to=tuple(map(address_of, content.reply_to or ())),
        subject=content.subject or None,
        text=content.text or None,
        html=content.html or None,
        headers=content.header_fields(),
        attachments=tuple(_file(each, found.attached.get(n)) for n, each in enumerate(content.attachments)),
    )
    return with_inline_images(followed(draft, found, record))


def stored_draft(record: Registration, envelope: ImapEnvelope | None) -> Draft:
    """The author and recipients of a message in a folder, as far as mail can be sent to them.

    Raises `Problem` 400 if it has no author. The draft has neither texts nor attachments: these are sent as they are.
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
    """The addresses that can be used in our headers."""
    found = []
    for each in given:
        try:
            address = parse_address(each.address.decode("utf-8", "replace"))
        except ValueError:
            continue
        found.append(Address(address, " ".join(header_text(each.name).split())))
    return found


def shown_addresses(given: tuple[EnvelopeAddress, ...]) -> list[Address]:
    """All addresses as they stand, for display only."""
    shown = [
        Address(" ".join(each.address.decode("utf-8", "replace").split()), " ".join(header_text(each.name).split()))
        for each in given
    ]
    return [each for each in shown if each.address or each.name]


def size_of(content: Content) -> int:
    """About how many octets there are to compose."""
    size = (
        len(content.text or "")
        + len(content.html or "")
        + sum(len(each.content or b"") for each in content.attachments)
    )
    for given in content.headers.values():
        size += sum(map(len, given)) + 20 * len(given) if isinstance(given, tuple) else len(str(given))
    return size + 100 * sum(len(each or ()) for each in (content.to, content.cc, content.bcc, content.reply_to))


def address_of(given: NamedAddress) -> Address:
    """An address of a request."""
    return Address(given.address, given.name)


def _file(given: Attachment, found: AttachedFile | None) -> AttachedFile:
    """An attachment of a request; `found` is the file in the mailbox that it refers to."""
    return AttachedFile(
        content=given.content or b"" if found is None else found.content,
        filename=given.filename or (found.filename if found is not None else None),
        content_type=given.content_type or (found.content_type if found is not None else None),
        disposition=given.content_disposition or (found.disposition if found is not None and not given.cid else None),
        cid=given.cid or None,
    )
