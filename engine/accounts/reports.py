"""Messages that report on other messages: bounces and complaints, read and linked to what was sent.

A report is recognised by its media type alone (`multipart/report`), its machine-readable part is fetched and read, and
the events follow `messageNew` in the same commit. The original is found by its Message-ID, or by the envelope id it was
sent with, which is its queue id. Parts are read up to 64 KiB; what cannot be read leaves an ordinary new message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from engine.accounts import ids
from engine.accounts.changes import scope
from engine.accounts.services import Services
from engine.imap.fetched import Fetched
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.structure import Part, Structure
from engine.mail.arf import FeedbackReport, read_feedback
from engine.mail.decode import body_bytes
from engine.mail.dsn import LONGEST, DeliveryReport, RecipientStatus, category, read_delivery_status
from engine.store import bounces
from engine.store.bounces import Bounce
from engine.store.mailboxes import MailboxRow
from engine.store.writer import Tx

log = logging.getLogger("engine.reports")

Follow = Callable[[Tx], None]
"""What a report does to the store, and its events, inside the commit that announces the message."""

_STATUS = ("message/delivery-status", "message/global-delivery-status")
_FEEDBACK = ("message/feedback-report",)
_ORIGINAL = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global-headers",
)
_ELSEWHERE = frozenset({"\\Sent", "\\Drafts", "\\Trash"})


def is_report(row: MailboxRow, one: Fetched) -> bool:
    """Whether a message says that it reports on another, which is to be read."""
    structure = one.structure
    return structure is not None and structure.kind == "multipart/report" and row.special_use not in _ELSEWHERE


async def read_report(
    session: ImapSession, row: MailboxRow, one: Fetched, data: dict[str, Any], services: Services
) -> Follow | None:
    """Add to `data` what a report says; what is to follow, None for a message that is no report."""
    structure = one.structure
    if structure is None or not is_report(row, one):
        return None
    status, feedback = _first(structure, _STATUS), _first(structure, _FEEDBACK)
    machine = status or feedback
    if machine is None:
        return None
    original = _first(structure, _ORIGINAL)
    try:
        said, header = await _fetch(session, one.uid, machine, original)
    except CommandRefused as error:
        log.warning("account %s: a report cannot be read: %s", row.account, error)
        return None
    if status is not None:
        return _delivery(read_delivery_status(said, header), row, one.uid, data, services)
    return _complaint(read_feedback(said, header), row, one.uid, data, services)


def _first(structure: Structure, kinds: tuple[str, ...]) -> Part | None:
    return next((part for part in structure.parts if part.kind in kinds), None)


async def _fetch(session: ImapSession, uid: int, machine: Part, original: Part | None) -> tuple[bytes, bytes]:
    items = [f"BODY.PEEK[{machine.path}]<0.{LONGEST}>"]
    section = ""
    if original is not None:
        whole = original.kind in ("message/rfc822", "message/global")
        section = f"{original.path}.HEADER" if whole else original.path
        items.append(f"BODY.PEEK[{section}]<0.{LONGEST}>")
    found = await session.fetch(((uid, uid),), ["UID", *items])
    sections = next((each.sections for each in found if each.uid == uid), {})
    said = body_bytes(sections.get(machine.path, b""), machine.encoding)
    header = sections.get(section, b"") if section else b""
    return said, header if original is None else body_bytes(header, original.encoding)


def _delivery(
    report: DeliveryReport, row: MailboxRow, uid: int, data: dict[str, Any], services: Services
) -> Follow | None:
    failed = [each for each in report.recipients if each.action == "failed"]
    others = [each for each in report.recipients if each.action != "failed"]
    if report.message_id:
        data["relatedMessageId"] = report.message_id
    if others:
        data["deliveryReport"] = [_status(each) for each in others]
    if not failed:
        return None
    data["isBounce"] = True

    def follow(tx: Tx) -> None:
        linked = bounces.find_message(tx, row.account, report.message_id, report.envelope_id)
        for each in failed:
            event: dict[str, Any] = {
                "bounceMessage": ids.message_id(row.id, uid),
                "recipient": each.recipient,
                "action": each.action,
                "response": _response(each),
            }
            if each.remote_mta or report.reporting_mta:
                event["mta"] = each.remote_mta or report.reporting_mta
            if linked is not None:
                event["queueId"] = linked[1]
                _mark(tx, linked[0], [each.original, each.recipient], each, services.world.now())
            if report.message_id:
                event["messageId"] = report.message_id
            if report.headers:
                event["messageHeaders"] = report.headers
            services.journal.append(tx, "messageBounce", row.account, event, scope(row))

    return follow


def _mark(tx: Tx, message: int, addresses: list[str], said: RecipientStatus, now: float) -> None:
    for address in addresses:
        if address and bounces.has_recipient(tx, message, address):
            bounces.note(tx, message, Bounce(address, said.action, said.status or None, said.diagnostic or None, now))
            return


def _status(one: RecipientStatus) -> dict[str, Any]:
    shown = {"recipient": one.recipient, "action": one.action, "status": one.status, "mta": one.remote_mta}
    return {name: value for name, value in shown.items() if value}


def _response(one: RecipientStatus) -> dict[str, str]:
    shown = {"source": one.source or "dsn", "message": one.diagnostic, "status": one.status}
    return {name: value for name, value in shown.items() if value} | {"category": category(one.status)}


def _complaint(report: FeedbackReport, row: MailboxRow, uid: int, data: dict[str, Any], services: Services) -> Follow:
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
        event: dict[str, Any] = {"complaintMessage": ids.message_id(row.id, uid), "arf": arf, "headers": headers}
        linked = bounces.find_message(tx, row.account, report.message_id, report.original_envelope_id)
        if linked is not None:
            event["queueId"] = linked[1]
            for address in report.original_rcpt_to:
                if bounces.has_recipient(tx, linked[0], address):
                    now = services.world.now()
                    bounces.note(tx, linked[0], Bounce(address, "complaint", None, report.feedback_type or None, now))
        services.journal.append(tx, "messageComplaint", row.account, event, scope(row))

    return follow
