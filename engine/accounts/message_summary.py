"""Describes a message for lists, for its own page and for `messageNew`, from the result of a FETCH. Pure.

Its date is that of its Date field, or, if that is invalid, of its arrival in the mailbox.
"""

from __future__ import annotations

from typing import Any

from engine.accounts import message_ids
from engine.imap.envelope import EnvelopeAddress, ImapEnvelope
from engine.imap.fetched import Fetched
from engine.imap.mailboxes import decode_name
from engine.imap.special_use import INBOX
from engine.imap.structure import BodyPart, Structure
from engine.isotime import iso
from engine.mail.auto_reply import is_auto_reply
from engine.mail.dates import read_date
from engine.mail.decode import header_text, parameter
from engine.mail.header_reading import fields

_BOOLEANS = {"\\flagged": "flagged", "\\answered": "answered", "\\draft": "draft"}
_PKCS7 = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_PKCS7_SIGNATURES = ("application/pkcs7-signature", "application/x-pkcs7-signature")
ENCRYPTED = "encrypted.asc"
_USUAL_NAMES = {
    "application/pgp-encrypted": "version.txt",
    "application/pgp-signature": "signature.asc",
    **dict.fromkeys(_PKCS7, "smime.p7m"),
    **dict.fromkeys(_PKCS7_SIGNATURES, "smime.p7s"),
    "text/calendar": "invite.ics",
}
"""File names for unnamed parts of these types (RFC 8551 section 3.2.1, RFC 3156)."""
_NOT_NEW = frozenset({"\\Sent", "\\Drafts", "\\Trash", "\\Archive", "\\All"})
_USE_OF_LABEL = {
    "\\junk": "\\Junk",
    "\\spam": "\\Junk",
    "\\trash": "\\Trash",
    "\\sent": "\\Sent",
    "\\draft": "\\Drafts",
    "\\drafts": "\\Drafts",
    "\\inbox": INBOX,
}
"""The use of a message in All Mail by Gmail's labels. The first match counts: mail to oneself counts as sent."""
_USES_OF_MESSAGES = frozenset({"\\Drafts", "\\Junk", "\\Sent", "\\Trash", INBOX})


class TextParts:
    """The parts of a message that are its text, by section number."""

    def __init__(self, structure: Structure | None) -> None:
        parts = structure.parts if structure is not None else ()
        texts = [part for part in parts if is_text(part)]
        self.plain = [part for part in texts if part.kind == "text/plain"]
        self.html = [part for part in texts if part.kind == "text/html"]


def is_text(part: BodyPart) -> bool:
    """Whether a part is text of the message, not a file."""
    return part.kind in ("text/plain", "text/html") and part.disposition in ("", "inline")


def filename(part: BodyPart) -> str:
    """The name of an attached file, or the usual name for encrypted parts and signatures; empty if there is none."""
    named = parameter(part.disposition_parameters, "filename") or parameter(part.parameters, "name")
    return named or _USUAL_NAMES.get(part.kind, "") or (ENCRYPTED if _is_encrypted(part) else "")


def entry(one: Fetched, mailbox: int) -> dict[str, Any]:
    """The members of a message in a list, without those that are empty or false."""
    envelope = one.envelope or ImapEnvelope()
    data: dict[str, Any] = {"id": message_ids.message_id(mailbox, one.uid), "uid": one.uid}
    data |= {name: value for name, value in (("emailId", one.email_id), ("threadId", one.thread_id)) if value}
    written = read_date(envelope.date)
    if (moment := one.internal_date if written is None else written) is not None:
        data["date"] = iso(moment)
    flags = one.flags or frozenset()
    lowered = {flag.lower() for flag in flags}
    data["flags"] = sorted(flags)
    if one.labels is not None:
        data["labels"] = labels = [decode_name(label, utf8=False) for label in one.labels]
        lowered |= {"\\draft"} & {label.lower() for label in labels}
    if "\\seen" not in lowered:
        data["unseen"] = True
    data |= {name: True for flag, name in _BOOLEANS.items() if flag in lowered}
    if one.size is not None:
        data["size"] = one.size
    if subject := header_text(envelope.subject):
        data["subject"] = subject
    if envelope.author:
        data["from"] = _address(envelope.author[0])
    for name, several in (("replyTo", envelope.reply_to), ("to", envelope.to), ("cc", envelope.cc)):
        if several:
            data[name] = [_address(each) for each in several]
    if attachments := _attachments(one, mailbox):
        data["attachments"] = attachments
    for name, value in (("messageId", envelope.message_id), ("inReplyTo", envelope.in_reply_to)):
        if shown := header_text(value):
            data[name] = shown
    text = TextParts(one.structure)
    data["text"] = {
        "id": message_ids.text_id(
            mailbox, one.uid, [part.path for part in text.plain], [part.path for part in text.html]
        ),
        "encodedSize": {
            name: sum(part.size for part in parts)
            for name, parts in (("plain", text.plain), ("html", text.html))
            if parts
        },
    }
    return data


def details(one: Fetched, mailbox: int, path: str, special_use: str | None) -> dict[str, Any]:
    """The members of a message's own page, without its text and its header."""
    envelope = one.envelope or ImapEnvelope()
    data = {**entry(one, mailbox), "path": path}
    if envelope.sender:
        data["sender"] = _address(envelope.sender[0])
    if envelope.bcc:
        data["bcc"] = [_address(each) for each in envelope.bcc]
    header = fields(one.header)
    answers = bool(envelope.in_reply_to or header.get("references"))
    if is_auto_reply(header, data.get("subject", ""), answers=answers):
        data["isAutoReply"] = True
    if special_use:
        data["specialUse"] = special_use
    if (use := _use(data, special_use)) in _USES_OF_MESSAGES:
        data["messageSpecialUse"] = use
    return data


def summary(one: Fetched, mailbox: int, path: str, special_use: str | None) -> dict[str, Any]:
    """The members of `messageNew` that need no further data from the server."""
    data = {"subject": "", "replyTo": [], "to": [], **details(one, mailbox, path, special_use)}
    fits = _use(data, special_use) not in _NOT_NEW or INBOX in data.get("labels", ())
    data["seemsLikeNew"] = fits and data.get("unseen", False) and not data.get("draft", False)
    return data


def protection(structure: Structure | None) -> dict[str, str]:
    """How a message is encrypted and signed, as far as its structure shows."""
    found: dict[str, str] = {}
    for part in structure.parts if structure is not None else ():
        if part.kind == "application/pgp-signature":
            found.setdefault("signed", "pgp")
        elif part.kind == "application/pgp-encrypted":
            found.setdefault("encrypted", "pgp")
        elif part.kind in _PKCS7_SIGNATURES:
            found.setdefault("signed", "smime")
        elif part.kind in _PKCS7:
            signed = parameter(part.parameters, "smime-type").lower() == "signed-data"
            found.setdefault("signed" if signed else "encrypted", "smime")
    return found


def _is_encrypted(part: BodyPart) -> bool:
    return part.kind == "application/octet-stream" and "multipart/encrypted" in part.parents


def _use(data: dict[str, Any], special_use: str | None) -> str | None:
    """The special use of a message: that of its mailbox, or in Gmail's All Mail the one by its labels."""
    labels = data.get("labels")
    if labels is None or special_use != "\\All":
        return special_use
    has = {label.lower() for label in labels}
    return next((use for label, use in _USE_OF_LABEL.items() if label in has), None)


def _attachments(one: Fetched, mailbox: int) -> list[dict[str, Any]]:
    structure = one.structure
    if structure is None:
        return []
    parts = [(part, False) for part in structure.parts if not is_text(part)]
    if structure.attached:
        parts += [(part, True) for part in structure.attached if not is_text(part)]
        parts.sort(key=lambda each: [int(number) for number in each[0].path.split(".")])
    return [_attachment(part, message_ids.attachment_id(mailbox, one.uid, part.path), inside) for part, inside in parts]


def _attachment(part: BodyPart, shown_id: str, inside: bool) -> dict[str, Any]:
    """One attached file; `inside`: it belongs to a message that is itself attached."""
    embedded = "multipart/related" in part.parents
    shown: dict[str, Any] = {
        "id": shown_id,
        "contentType": part.kind,
        "encodedSize": part.size,
        "embedded": embedded,
        "inline": part.disposition == "inline" or (not part.disposition and embedded),
        "encodedInMessage": inside,
    }
    texts = {
        "contentId": header_text(part.content_id) if part.content_id else "",
        "filename": filename(part),
        "method": parameter(part.parameters, "method"),
    }
    return shown | {name: value for name, value in texts.items() if value}


def _address(one: EnvelopeAddress) -> dict[str, str]:
    return {"name": header_text(one.name), "address": header_text(one.address)}
