"""How an event looks in a broker: as webhooks have it, or in a CloudEvents 1.0 envelope (structured JSON). Pure."""

from __future__ import annotations

import msgspec

from engine.events.size_limit import fit

EVENT_TYPE = "application/json"
CLOUDEVENTS_TYPE = "application/cloudevents+json; charset=utf-8"
SOURCE = "/mailbox-engine"
"""The source of an event that was raised without `serviceUrl`; CloudEvents allows no empty one."""
TYPE_PREFIX = "mailbox."


class Outgoing(msgspec.Struct, frozen=True):
    """One event on its way into a broker. `account` is None for the engine's own."""

    seq: int
    account: str | None
    name: str
    id: str
    body: bytes


class _Head(msgspec.Struct, rename="camel"):
    date: str
    event_id: str
    service_url: str | None = None


class _CloudEvent(msgspec.Struct):
    specversion: str
    id: str
    source: str
    type: str
    subject: str | msgspec.UnsetType
    time: str
    datacontenttype: str
    sequence: str
    data: msgspec.Raw


_decode = msgspec.json.Decoder(_Head).decode
_encode = msgspec.json.Encoder().encode


def outgoing(entry: tuple[int, str | None, str, bytes], *, cloudevents: bool) -> Outgoing:
    """An event of the journal as a broker gets it."""
    seq, account, name, body = entry
    head = _decode(body)
    if cloudevents:
        body = _encode(
            _CloudEvent(
                "1.0",
                head.event_id,
                head.service_url or SOURCE,
                f"{TYPE_PREFIX}{name}",
                account or msgspec.UNSET,
                head.date,
                EVENT_TYPE,
                f"{seq:020d}",
                msgspec.Raw(body),
            )
        )
    return Outgoing(seq, account, name, head.event_id, body)


def shortened(entry: tuple[int, str | None, str, bytes], most: int) -> tuple[int, str | None, str, bytes]:
    """The event cut to `most` octets of JSON, for a broker that takes no larger ones (`truncated` says so)."""
    seq, account, name, body = entry
    return seq, account, name, fit(msgspec.json.decode(body), body, most)
