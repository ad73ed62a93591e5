"""The timeline of a message: what attempts, events, reports and requests say about it, in one list.

1. The keys of all entries (time, number) are read: the attempts, the events that their reports name, the rows of
   `store/timeline.py`, the replies. None of this reads the journal but by the number of an event.
2. They are put in order, and those of the requested page are filled in from their events. An event that retention has
   removed is named all the same, with what was kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from engine.api.context import Context
from engine.api.outbox import attempt_shown, visible
from engine.errors import Problem
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.isotime import iso
from engine.model.message import NOT_SENT, Message, Recipient
from engine.schema.explain import Explain
from engine.schema.mail_events import MailAddress
from engine.schema.outbox import QueueId
from engine.schema.stored_json import shown
from engine.schema.timeline import RefusedRecipient, Timeline, TimelineEntry, TimelineQuery
from engine.store import attempts, messages, timeline
from engine.store.attempts import Attempt
from engine.store.timeline import Row
from engine.store.tokens import Token

NOT_FOUND = (
    "Requested queue entry was not found. The record of a message is removed some time after it ended, as "
    "retention.messages and retention.size say"
)
MOST_RECIPIENTS = 100
LONGEST_TEXT = 500
SUPPRESSED = f"{NOT_SENT} suppressed"
_TYPES = {
    "messageSent": "sent",
    "messageDeliveryError": "deliveryError",
    "messageInDoubt": "inDoubt",
    "messageFailed": "failed",
    "messageCancelled": "cancelled",
    "messageCopyFailed": "copyFailed",
    "messageBounce": "bounce",
    "messageComplaint": "complaint",
    "messageReply": "reply",
    "trackOpen": "open",
    "trackClick": "click",
    "listUnsubscribe": "unsubscribe",
    "listSubscribe": "subscribe",
}
_NEW = "messageNew"


class _Key(NamedTuple):
    """An entry before it is filled in: when, its place among those of the same moment, and what it is of."""

    at: float
    place: float
    of: Attempt | Row | TimelineEntry


@operation("GET", "/v1/outbox/{queueId}/timeline", access=Access.HANDLER, scope="api", group="outbox", tags=("Outbox",))
async def read(context: Context, queue_id: QueueId, query: TimelineQuery, *, caller: Token | None = None) -> Timeline:
    """Read the timeline of a message.

    Everything that happened to it, ordered by time and event number: that it was accepted, each attempt with its
    transcript, what servers said, the copy in the Sent folder, delivery reports, bounces, opens, clicks, replies,
    unsubscriptions, complaints, and what requests changed. It can be read until the engine removes the record of the
    message. What retention has removed of it is said in the entry.
    """
    message = visible(context, queue_id, caller)
    if message is None:
        raise Problem(404, NOT_FOUND)
    db = context.store.reader
    recipients = messages.recipients(db, message.id)
    rows = timeline.of_message(db, message.id)
    keys = sorted(_keys(context, message, recipients, rows), key=lambda each: each[:2])
    page = paging.cut(keys, query)
    told = timeline.events(db, [each.of.seq for each in page if isinstance(each.of, Row) and each.of.told])
    only = recipients[0].address if len(recipients) == 1 else None
    return Timeline(
        **paging.numbers(len(keys), query),
        queue_id=message.queue_id,
        account=message.account,
        message_id=message.message_id,
        first_event=context.streams.journal.first,
        is_cut=len(rows) >= timeline.MOST,
        entries=tuple(_entry(each, told, only) for each in page),
    )


def _keys(context: Context, message: Message, recipients: list[Recipient], rows: list[Row]) -> list[_Key]:
    later = {row.address for row in rows if row.what == "notSent"}
    left_out = [each for each in recipients if _is_suppressed(each) and each.address not in later]
    left = {each.address for each in left_out}
    keys = [_Key(message.created, -1.0, _accepted(message, [each for each in recipients if each.address not in left]))]
    if left_out:
        keys.append(_Key(message.created, -0.5, _not_sent(message, left_out)))
    db, last = context.store.reader, 0.0
    for attempt in attempts.of_message(db, message.id):
        told = attempt.report.get("events", ())
        times = timeline.times(db, [seq for seq, _ in told])
        # One event of an attempt comes before the next attempt, also where both have the same time.
        keys.append(_Key(attempt.started, told[0][0] - 0.5 if told else last + 0.25, attempt))
        for seq, name in told:
            at = times.get(seq, attempt.ended or attempt.started)
            keys.append(_Key(at, float(seq), Row(at, name, seq, True, None, {})))
            last = float(seq)
    for row in rows:
        keys.append(_Key(row.at, row.seq if row.told else row.seq + 0.5, row))
    return keys


def _accepted(message: Message, recipients: list[Recipient]) -> TimelineEntry:
    return _to(TimelineEntry(at=iso(message.created), type="accepted"), [each.address for each in recipients])


def _is_suppressed(recipient: Recipient) -> bool:
    return (recipient.response or "").startswith(SUPPRESSED)


def _not_sent(message: Message, left_out: list[Recipient]) -> TimelineEntry:
    entry = TimelineEntry(at=iso(message.created), type="notSent", response=left_out[0].response or "")
    rejected = [RefusedRecipient(address=each.address, response=each.response or "") for each in left_out]
    return _to(replace(entry, rejected=tuple(rejected[:MOST_RECIPIENTS])), [each.address for each in left_out])


def _to(entry: TimelineEntry, addresses: list[str]) -> TimelineEntry:
    if not addresses:
        return entry
    more = len(addresses) - MOST_RECIPIENTS
    return replace(entry, recipients=tuple(addresses[:MOST_RECIPIENTS]), more_recipients=more if more > 0 else UNSET)


def _entry(key: _Key, told: Mapping[int, tuple[float, bytes]], only: str | None) -> TimelineEntry:
    """`told` are the events of the page; `only` is the one recipient of a message that has no others."""
    if isinstance(key.of, TimelineEntry):
        return key.of
    if isinstance(key.of, Attempt):
        return TimelineEntry(at=iso(key.at), type="attempt", attempt=attempt_shown(key.of))
    row = key.of
    members: dict[str, Any] = {"at": iso(row.at), "type": _TYPES.get(row.what, row.what), **_kept(row)}
    addresses = [] if row.address is None else [row.address]
    if row.told:
        members["event"] = _NEW if row.what == "deliveryReport" else row.what
        members["seq"] = row.seq
        if row.seq in told:
            event = msgspec.json.decode(told[row.seq][1])
            members["at"], members["event_id"] = event["date"], event["eventId"]
            members |= _said(row.what, event["data"])
            addresses = addresses or _whom(event["data"])
        else:
            members["event_removed"] = True
    if not addresses and only is not None:
        addresses = [only]
    return _to(TimelineEntry(**members), addresses)


def _kept(row: Row) -> dict[str, Any]:
    """What the row itself says."""
    names = {
        "action": "action",
        "status": "status",
        "response": "response",
        "message": "response",
        "category": "category",
        "bounceType": "bounce_type",
        "feedbackType": "reason",
        "reason": "reason",
        "path": "path",
        "sendAt": "send_at",
        "onDoubt": "on_doubt",
        "listId": "list_id",
    }
    return {names[name]: value for name, value in row.detail.items() if value and name in names}


def _said(what: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What the event of an entry says, by the names of `TimelineEntry`."""
    found = {name: data[name] for name in ("url", "automated", "path", "auto") if name in data}
    found |= {name: data[wire] for name, wire in _MEMBERS if data.get(wire)}
    if what == "messageBounce":
        said = data.get("response", {})
        found |= {name: said[wire] for name, wire in _OF_RESPONSE if said.get(wire)}
        found["message"] = data.get("bounceMessage", UNSET)
    elif what == "messageComplaint":
        found |= {"message": data.get("complaintMessage", UNSET)}
        found |= {"reason": kind} if (kind := data.get("arf", {}).get("feedbackType")) else {}
    elif what in ("messageReply", "deliveryReport"):
        found["message"] = data.get("id", UNSET)
    if what == "deliveryReport":
        return {"message": found["message"]}
    if what == "messageReply" and "from" in data:
        found["author"] = shown(MailAddress, data["from"])
    if "extractedText" in data:
        found["text"] = data["extractedText"][:LONGEST_TEXT]
    if "response" not in found:
        reply = data.get("smtpResponse") or data.get("error") or data.get("response")
        found |= {"response": reply} if isinstance(reply, str) else {}
    if "explain" in data:
        found["explain"] = shown(Explain, data["explain"])
    if rejected := data.get("rejected"):
        found["rejected"] = tuple(_refused(each) for each in rejected[:MOST_RECIPIENTS])
    return found


_MEMBERS = (
    ("bounce_type", "bounceType"),
    ("next_attempt", "nextAttempt"),
    ("on_doubt", "onDoubt"),
    ("list_id", "listId"),
)
_OF_RESPONSE = (("response", "message"), ("status", "status"), ("category", "category"))


def _refused(said: Mapping[str, Any]) -> RefusedRecipient:
    return RefusedRecipient(address=said.get("address") or "", response=said.get("response") or UNSET)


def _whom(data: Mapping[str, Any]) -> list[str]:
    """The recipients that an event is about."""
    if "accepted" in data:
        return list(data["accepted"])
    if "envelope" in data:
        return list(data["envelope"]["to"])
    if "arf" in data:
        return list(data["arf"].get("originalRcptTo", ()))
    return [data["recipient"]] if "recipient" in data else []
