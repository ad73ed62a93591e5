"""Reads messages that report on other messages (bounces and complaints) and links them to what was sent.

1. A report is a message that contains a machine-readable part, or looks like a mail system's notice
   (`mail/notice_signs`).
2. The machine-readable part is fetched and read first. Without one, or if it names no recipient, the beginning of the
   whole message is read as prose. At most 64 KiB are read of a part or message.
3. The original is found by its Message-ID, by what the report replies to, or by the envelope id with which it was sent,
   which is its queue id.
4. The events follow `messageNew` in the same commit. A report that cannot be read is an ordinary new message.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from engine.accounts import message_ids
from engine.accounts.observed_changes import scope
from engine.accounts.suppression_feed import SuppressionFeed
from engine.events.journal import Journal
from engine.imap.envelope import EnvelopeAddress, ImapEnvelope
from engine.imap.fetched import Fetched
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.structure import BodyPart, Structure
from engine.isotime import iso
from engine.mail.arf import FeedbackReport, read_feedback
from engine.mail.bounce_categories import ABOUT_THE_ADDRESS, ACTIONS, bounce_type, category
from engine.mail.decode import header_text
from engine.mail.dsn import LONGEST, DeliveryReport, RecipientStatus, read_delivery_status
from engine.mail.header_reading import fields
from engine.mail.notice_signs import Sign, may_be, sign
from engine.mail.notice_text import ORIGINALS, read_notice
from engine.mail.notices import read_prose
from engine.mail.second_reader import second_reading
from engine.mail.transfer import body_bytes
from engine.smtp.explanation import explanation
from engine.smtp.meanings import Fault
from engine.store import bounces, timeline
from engine.store.bounces import Bounce
from engine.store.mailboxes import MailboxRow
from engine.store.timeline import About
from engine.store.writer import Tx
from engine.world import World

log = logging.getLogger("engine.reports")

Follow = Callable[[Tx], None]
"""Writes the effects and events of a report inside the commit that announces the message."""

_STATUS = ("message/delivery-status", "message/global-delivery-status")
_FEEDBACK = ("message/feedback-report",)
_WHOLE = frozenset({"message/rfc822"})
"""Types that a server parses, so that their header can be fetched; others (RFC 6533) are fetched whole."""
ELSEWHERE = frozenset({"\\Sent", "\\Drafts", "\\Trash"})
"""Uses of folders in which nothing is an answer from outside."""
_REFERENCES = 20
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,996}>")


def is_report(row: MailboxRow, one: Fetched) -> bool:
    """Whether a message is, or looks like, a report on another message, so that more of it must be fetched."""
    if row.special_use in ELSEWHERE or one.structure is None:
        return False
    return _first(one.structure, (*_STATUS, *_FEEDBACK)) is not None or _sign(one) is not Sign.NONE


async def read_report(
    session: ImapSession,
    row: MailboxRow,
    one: Fetched,
    data: dict[str, Any],
    journal: Journal,
    feed: SuppressionFeed,
    world: World,
) -> Follow | None:
    """Add a report's content to `data`; return what is to be written after it, None if it is not a report."""
    structure = one.structure
    if structure is None or not is_report(row, one):
        return None
    status, feedback = _first(structure, _STATUS), _first(structure, _FEEDBACK)
    report: DeliveryReport | None = None
    source: Literal["dsn", "text"] = "dsn"
    try:
        if machine := status or feedback:
            said, header = await _fetch(session, one.uid, machine, _first(structure, ORIGINALS))
            if status is None:
                return _complaint(read_feedback(said, header), row, one.uid, data, journal, feed, world)
            report = read_delivery_status(said, header)
        if report is None or not any("@" in each.recipient for each in report.recipients):
            prose = await world.in_thread(_prose, await _source(session, one.uid), _own(data), _sign(one))
            if prose.recipients:
                report, source = _both(report, prose), "text"
    except CommandRefused as error:
        log.warning("a report cannot be read: %s", error)
    if report is None:
        return None
    return _delivery(report, source, answered_ids(one, report.message_id), row, one.uid, data, journal, feed, world)


def _sign(one: Fetched) -> Sign:
    envelope = one.envelope or ImapEnvelope()
    author = envelope.author[0] if envelope.author else EnvelopeAddress(b"", b"")
    if not may_be(one.header, author.name + author.address, envelope.subject):
        return Sign.NONE
    sender = f"{header_text(author.name)} {header_text(author.address)}".strip()
    return sign(fields(one.header), sender, header_text(envelope.subject))


def _own(data: dict[str, Any]) -> frozenset[str]:
    """The addresses that the notice was sent to, which sent the original."""
    return frozenset(each["address"].lower() for each in (*data.get("to", ()), *data.get("cc", ())))


def _prose(source: bytes, own: frozenset[str], sign: Sign) -> DeliveryReport:
    notice = read_notice(source)
    report = read_prose(notice, own, sure=sign is Sign.STRONG)
    if not report.recipients and sign is Sign.STRONG:
        second = tuple(each for each in second_reading(source, notice.text) if each.recipient.lower() not in own)
        report = msgspec.structs.replace(report, recipients=second)
    return report


def _both(report: DeliveryReport | None, prose: DeliveryReport) -> DeliveryReport:
    """Combine the recipients from the prose with the message data from the machine-readable part."""
    if report is None:
        return prose
    return msgspec.structs.replace(
        report,
        recipients=prose.recipients,
        message_id=report.message_id or prose.message_id,
        headers=report.headers or prose.headers,
    )


def is_surely_report(one: Fetched) -> bool:
    """Whether a message must be a mail system's, not a person's."""
    machine = one.structure is not None and _first(one.structure, (*_STATUS, *_FEEDBACK)) is not None
    return machine or _sign(one) is Sign.STRONG


def answered_ids(one: Fetched, report_on: str = "") -> list[str]:
    """The valid Message-IDs that a message answers or, as a report, may be about, the surest first."""
    header, envelope = fields(one.header), one.envelope or ImapEnvelope()
    said = [report_on, header_text(envelope.in_reply_to), *reversed(header.get("references", []))]
    return list(dict.fromkeys(each for text in said for each in reversed(_MESSAGE_ID.findall(text))))[:_REFERENCES]


def _first(structure: Structure, kinds: tuple[str, ...]) -> BodyPart | None:
    return next((part for part in structure.parts if part.kind in kinds), None)


async def _fetch(session: ImapSession, uid: int, machine: BodyPart, original: BodyPart | None) -> tuple[bytes, bytes]:
    items = [f"BODY.PEEK[{machine.path}]<0.{LONGEST}>"]
    section = ""
    if original is not None:
        section = f"{original.path}.HEADER" if original.kind in _WHOLE else original.path
        items.append(f"BODY.PEEK[{section}]<0.{LONGEST}>")
    sections = await _sections(session, uid, items)
    said = body_bytes(sections.get(machine.path, b""), machine.encoding)
    if original is None:
        return said, b""
    header = sections.get(section, b"")
    if original.kind in _WHOLE and not header.strip():
        # The message begins with an empty line, so its header is in its text.
        header = (await _sections(session, uid, [f"BODY.PEEK[{original.path}]<0.{LONGEST}>"])).get(original.path, b"")
    return said, body_bytes(header, original.encoding)


async def _source(session: ImapSession, uid: int) -> bytes:
    return (await _sections(session, uid, [f"BODY.PEEK[]<0.{LONGEST}>"])).get("", b"")


async def _sections(session: ImapSession, uid: int, items: list[str]) -> dict[str, bytes]:
    found = await session.fetch(((uid, uid),), ["UID", *items])
    return {name: text[:LONGEST] for each in found if each.uid == uid for name, text in each.sections.items()}


def _delivery(
    report: DeliveryReport,
    source: Literal["dsn", "text"],
    about: list[str],
    row: MailboxRow,
    uid: int,
    data: dict[str, Any],
    journal: Journal,
    feed: SuppressionFeed,
    world: World,
) -> Follow | None:
    failed = [each for each in report.recipients if each.action == "failed"]
    others = [each for each in report.recipients if each.action != "failed"]
    if about and report.recipients:
        data["relatedMessageId"] = about[0]
    if others:
        data["deliveryReport"] = [_status(each) for each in others]
    if not report.recipients:
        return None
    if failed:
        data["isBounce"] = True
    judged = [(each, category(each.status, each.diagnostic)) for each in failed]

    def follow(tx: Tx) -> None:
        linked = bounces.find_message(tx, row.account, about, report.envelope_id)
        if linked is not None:
            for each in others:
                _note_report(tx, linked[0], each, world.now())
        for each, kind in judged:
            event: dict[str, Any] = {
                "bounceMessage": message_ids.message_id(row.id, uid),
                "recipient": each.recipient,
                "action": each.action,
                "bounceType": bounce_type(kind, each.status, each.diagnostic),
                "source": source,
                "response": _response(each, kind, source),
            }
            if each.original and each.original != each.recipient:
                event["originalRecipient"] = each.original
            server = each.remote_mta or report.reporting_mta
            if server:
                event["mta"] = server
            fault: Fault = "unknown"
            if each.diagnostic or (each.status and not each.status.endswith(".0.0")):
                said = explanation(each.diagnostic, status=each.status, server=server)
                event["explain"], fault = said.members(), said.fault
            if linked is not None:
                event["queueId"] = linked[1]
                notice = message_ids.message_id(row.id, uid)
                if (
                    whose := _mark(tx, linked[0], [each.original, each.recipient], each, world.now(), notice)
                ) is not None:
                    journal.deliveries.bounced(tx, row.account, whose, event["bounceType"], kind)
            if about:
                event["messageId"] = about[0]
            if report.headers:
                event["messageHeaders"] = report.headers
            address = each.original if "@" in each.original else each.recipient
            noted = None
            if linked is not None:
                noted = About(linked[0], address, {**event["response"], "bounceType": event["bounceType"]})
            number = journal.append(tx, "messageBounce", row.account, event, scope(row), noted)
            if event["bounceType"] == "hard" and kind in ABOUT_THE_ADDRESS and fault in ("recipient", "unknown"):
                feed.bounced(tx, row.account, address, number, linked=linked is not None)

    return follow


def _note_report(tx: Tx, message: int, said: RecipientStatus, now: float) -> None:
    """Note a report that nothing failed; the event that tells it is the `messageNew` just added."""
    detail = {"action": said.action, "status": said.status, "response": said.diagnostic}
    address = said.original if "@" in said.original else said.recipient
    timeline.note(tx, About(message, address, detail), "deliveryReport", now, tx.last_seq)


def _mark(tx: Tx, message: int, addresses: list[str], said: RecipientStatus, now: float, notice: str) -> str | None:
    """Store the bounce; return whose it is, None if it was known, or is not of a recipient."""
    for address in addresses:
        if address and bounces.has_recipient(tx, message, address):
            known = bounces.is_known(tx, message, address, said.action)
            status, response = said.status or None, said.diagnostic or None
            bounces.note(tx, message, Bounce(address, said.action, status, response, now, notice))
            return None if known else address
    return None


def told_before(db: sqlite3.Connection, account: str, message_id: str) -> list[dict[str, Any]]:
    """The bounces so far of the message with this Message-ID, as the message itself shows them."""
    told = []
    for each in bounces.of_message_id(db, account, message_id) if message_id else ():
        said = {"message": each.response, "status": each.status}
        response = {name: value for name, value in said.items() if value}
        shown = {"message": each.notice, "recipient": each.address, "action": each.action, "response": response}
        told.append({**shown, "date": iso(each.at)})
    return told


def _status(one: RecipientStatus) -> dict[str, Any]:
    shown = {"recipient": one.recipient, "action": one.action, "status": one.status, "mta": one.remote_mta}
    return {name: value for name, value in shown.items() if value}


def _response(one: RecipientStatus, kind: str, source: str) -> dict[str, str]:
    shown = {"source": one.source or source, "message": one.diagnostic, "status": one.status}
    told = {name: value for name, value in shown.items() if value}
    return told | {"category": kind, "recommendedAction": ACTIONS[kind]}


def _complaint(
    report: FeedbackReport,
    row: MailboxRow,
    uid: int,
    data: dict[str, Any],
    journal: Journal,
    feed: SuppressionFeed,
    world: World,
) -> Follow:
    data["isComplaint"] = True
    if report.message_id:
        data["relatedMessageId"] = report.message_id
    told = {
        "feedbackType": report.feedback_type,
        "originalMailFrom": report.original_mail_from,
        "sourceIp": report.source_ip,
        "arrivalDate": report.arrival_date,
        "userAgent": report.user_agent,
        "version": report.version,
        "reportingMta": report.reporting_mta,
    }
    arf: dict[str, Any] = {name: value for name, value in told.items() if value}
    arf["originalRcptTo"] = list(report.original_rcpt_to)
    headers = {
        shown: (report.headers[name] if shown in ("to", "cc") else report.headers[name][0])
        for name, shown in (
            ("message-id", "messageId"),
            *((each, each) for each in ("from", "to", "cc", "subject", "date")),
        )
        if name in report.headers
    }

    def follow(tx: Tx) -> None:
        event: dict[str, Any] = {
            "complaintMessage": message_ids.message_id(row.id, uid),
            "arf": arf,
            "headers": headers,
        }
        linked = bounces.find_message(tx, row.account, [report.message_id], report.original_envelope_id)
        if linked is not None:
            event["queueId"] = linked[1]
            for address in report.original_rcpt_to:
                if bounces.has_recipient(tx, linked[0], address):
                    now = world.now()
                    if not bounces.is_known(tx, linked[0], address, "complaint"):
                        journal.deliveries.complained(tx, row.account, address, report.feedback_type)
                    bounces.note(tx, linked[0], Bounce(address, "complaint", None, report.feedback_type or None, now))
        noted = None
        if linked is not None:
            whom = report.original_rcpt_to[0] if len(report.original_rcpt_to) == 1 else None
            noted = About(linked[0], whom, {"feedbackType": report.feedback_type})
        number = journal.append(tx, "messageComplaint", row.account, event, scope(row), noted)
        for address in report.original_rcpt_to:
            feed.complained(tx, row.account, address, report.feedback_type, number, linked=linked is not None)

    return follow
