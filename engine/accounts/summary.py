"""A message as `messageNew` tells of it, made from what FETCH said. Pure."""

from __future__ import annotations

from typing import Any

from engine.accounts import message_ids
from engine.imap.envelope import EnvelopeAddress, ImapEnvelope
from engine.imap.fetched import Fetched
from engine.imap.mailboxes import INBOX, decode_name
from engine.imap.structure import BodyPart, Structure
from engine.isotime import iso
from engine.mail.auto_reply import is_auto_reply
from engine.mail.decode import header_text, parameter
from engine.mail.fields import fields

_BOOLEANS = {"\\flagged": "flagged", "\\answered": "answered", "\\draft": "draft"}
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
"""What Gmail's own labels say of a message in All Mail. The first of them counts: who writes to themselves sent it."""


class TextParts:
    """Which parts of a message are its text, by section number."""

    def __init__(self, structure: Structure | None) -> None:
        parts = structure.parts if structure is not None else ()
        texts = [part for part in parts if is_text(part)]
        self.plain = [part for part in texts if part.kind == "text/plain"]
        self.html = [part for part in texts if part.kind == "text/html"]


def is_text(part: BodyPart) -> bool:
    """Whether a part is text to be read, not a file."""
    return part.kind in ("text/plain", "text/html") and part.disposition != "attachment" and not filename(part)


def filename(part: BodyPart) -> str:
    """The name of an attached file; empty if it has none."""
    return parameter(part.disposition_parameters, "filename") or parameter(part.parameters, "name")


def summary(one: Fetched, mailbox: int, path: str, special_use: str | None) -> dict[str, Any]:
    """The members of `messageNew` that need no further question to the server."""
    envelope, header = one.envelope or ImapEnvelope(), fields(one.header)
    labels = None if one.labels is None else [decode_name(label, utf8=False) for label in one.labels]
    data: dict[str, Any] = {"id": message_ids.message_id(mailbox, one.uid), "uid": one.uid, "path": path}
    data |= _given(emailId=one.email_id, threadId=one.thread_id)
    if one.internal_date is not None:
        data["date"] = iso(one.internal_date)
    data |= _marks(one.flags or frozenset(), labels)
    if one.size is not None:
        data["size"] = one.size
    data |= _envelope(envelope)
    if attachments := _attachments(one, mailbox):
        data["attachments"] = attachments
    data |= _given(messageId=header_text(envelope.message_id), inReplyTo=header_text(envelope.in_reply_to))
    data["text"] = _text(one, mailbox)
    if is_auto_reply(header, data["subject"], answers=bool(envelope.in_reply_to or header.get("references"))):
        data["isAutoReply"] = True
    use = special_use if labels is None or special_use != "\\All" else _use_of(labels)
    data |= _given(specialUse=special_use, messageSpecialUse=use)
    fits = use not in _NOT_NEW or INBOX in (labels or ())
    data["seemsLikeNew"] = fits and "unseen" in data and "draft" not in data
    return data


def _given(**members: str | None) -> dict[str, str]:
    """Those members that have a value."""
    return {name: value for name, value in members.items() if value}


def _marks(flags: frozenset[str], labels: list[str] | None) -> dict[str, Any]:
    """Flags and labels, and what the flags mean."""
    lowered = {flag.lower() for flag in flags}
    data: dict[str, Any] = {"flags": sorted(flags)}
    if labels is not None:
        data["labels"] = labels
    if "\\seen" not in lowered:
        data["unseen"] = True
    return data | {name: True for flag, name in _BOOLEANS.items() if flag in lowered}


def _envelope(envelope: ImapEnvelope) -> dict[str, Any]:
    """The subject, and who sent the message to whom."""
    data: dict[str, Any] = {"subject": header_text(envelope.subject)}
    if envelope.author:
        data["from"] = _address(envelope.author[0])
    data["replyTo"] = [_address(each) for each in envelope.reply_to]
    if envelope.sender:
        data["sender"] = _address(envelope.sender[0])
    data["to"] = [_address(each) for each in envelope.to]
    for name, several in (("cc", envelope.cc), ("bcc", envelope.bcc)):
        if several:
            data[name] = [_address(each) for each in several]
    return data


def _text(one: Fetched, mailbox: int) -> dict[str, Any]:
    """Where the text is, and how large."""
    text = TextParts(one.structure)
    sizes = {"plain": sum(part.size for part in text.plain), "html": sum(part.size for part in text.html)}
    paths = [part.path for part in text.plain], [part.path for part in text.html]
    return {
        "id": message_ids.text_id(mailbox, one.uid, *paths),
        "encodedSize": {name: size for name, size in sizes.items() if size},
    }


def _use_of(labels: list[str]) -> str | None:
    has = {label.lower() for label in labels}
    return next((use for label, use in _USE_OF_LABEL.items() if label in has), None)


def _attachments(one: Fetched, mailbox: int) -> list[dict[str, Any]]:
    shown = []
    for part in one.structure.parts if one.structure is not None else ():
        if is_text(part):
            continue
        entry: dict[str, Any] = {
            "id": message_ids.attachment_id(mailbox, one.uid, part.path),
            "contentType": part.kind,
            "encodedSize": part.size,
            "embedded": "multipart/related" in part.parents,
            "inline": part.disposition == "inline",
        }
        if part.content_id:
            entry["contentId"] = header_text(part.content_id)
        if name := filename(part):
            entry["filename"] = name
        if part.kind == "text/calendar" and (method := parameter(part.parameters, "method")):
            entry["method"] = method
        shown.append(entry)
    return shown


def _address(one: EnvelopeAddress) -> dict[str, str]:
    return {"name": header_text(one.name), "address": header_text(one.address)}
