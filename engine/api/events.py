"""Reading the journal by polling, and the named consumers."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import trio

from engine.api import horizon
from engine.api.context import Context, carry_through
from engine.api.validation import decode_query
from engine.errors import Problem
from engine.isotime import iso, iso_or_none
from engine.schema.events import ConsumerMove, ConsumerName, EventsQuery
from engine.store.consumers import Consumer
from engine.store.tokens import Token


def names_of(text: str | None) -> frozenset[str] | None:
    """The event names in a comma-separated list; None, which is every one, for `*` or nothing."""
    names = frozenset(name.strip() for name in (text or "").split(",")) - {""}
    return None if not names or "*" in names else names


async def page(context: Context, query: EventsQuery, *, caller: Token) -> bytes:
    """`GET /v1/events`: the very bytes every other channel sends, in one JSON document.

    With `wait` it answers as soon as there is an event, at the latest after so many seconds, after `LONGEST_WAIT`, or
    when the engine stops.
    """
    horizon.refuse_ahead(context, caller.account, query.after)
    journal = context.services.journal
    names = names_of(query.events)
    position, size = horizon.start(context, caller.account, query.after), 0
    found: list[bytes] = []
    # One that waits holds what a stream holds.
    waiting = context.streams.share.hold(caller.hash) if query.wait else nullcontext()
    with waiting, trio.move_on_after(min(query.wait, LONGEST_WAIT)):
        while True:
            while position < journal.last and len(found) < query.limit and size < MOST_BYTES:
                page = journal.page(position, query.limit - len(found), query.account, names)
                position = page.position
                found += [entry[3] for entry in page.entries]
                size += sum(len(entry[3]) for entry in page.entries)
                # Not a place to be cut at: what was found would be lost with `wait` being over.
                await trio.lowlevel.cancel_shielded_checkpoint()
            if found or not query.wait or not await journal.more(position):
                break
    last = horizon.last(context, caller.account)
    first = min(journal.first, last)
    next_ = max(query.after, horizon.seen(context, caller.account, position))
    return b'{"events":[%b],"first":%d,"last":%d,"next":%d}\n' % (b",".join(found), first, last, next_)


LONGEST_WAIT = 50.0
"""Seconds. Many proxies cut a request that has had no answer for a minute."""
MOST_BYTES = 16 * 1024**2
"""An answer that holds so much ends early; `next` says where to go on."""


async def consumers(context: Context, *, caller: Token) -> dict[str, Any]:
    """`GET /v1/events/consumers`."""
    found = context.streams.consumers.every(caller.account)
    shown = [_shown(context, each, caller) for each in found]
    return {"consumers": shown, "last": horizon.last(context, caller.account)}


async def consumer(context: Context, name: str, *, caller: Token) -> dict[str, Any]:
    """`GET /v1/events/consumers/{consumer}`."""
    return _shown(context, _find(context, name, caller), caller)


async def move_consumer(context: Context, name: str, body: ConsumerMove, *, caller: Token) -> dict[str, Any]:
    """`PUT /v1/events/consumers/{consumer}`: put it at a number, forward or back; makes it if it is new."""
    owner = caller.account or ""
    horizon.refuse_ahead(context, caller.account, body.seq)
    consumers = context.streams.consumers
    if consumers.find(owner, name) is None:
        decode_query(ConsumerName, [("consumer", name)])
        context.streams.refuse_one_more_consumer(owner)
        await carry_through(consumers.start(owner, name, body.seq))
    await carry_through(consumers.move(owner, name, body.seq))
    return _shown(context, _find(context, name, caller), caller)


async def remove_consumer(context: Context, name: str, *, caller: Token) -> dict[str, Any]:
    """`DELETE /v1/events/consumers/{consumer}`."""
    found = _find(context, name, caller)
    await carry_through(context.streams.consumers.remove(found.owner, found.name))
    return {"consumer": found.name, "deleted": True}


def _find(context: Context, name: str, caller: Token) -> Consumer:
    found = context.streams.consumers.find(caller.account or "", name)
    if found is None:
        raise Problem(404, "There is no consumer of this name")
    return found


def _shown(context: Context, consumer: Consumer, caller: Token) -> dict[str, Any]:
    last = horizon.last(context, caller.account)
    seq = min(consumer.seq, last)
    row: dict[str, Any] = {
        "consumer": consumer.name,
        "seq": seq,
        "behind": last - seq,
        "connected": context.streams.consumers.connected(consumer.owner, consumer.name),
        "created": iso(consumer.created),
        "acknowledged": iso_or_none(consumer.acked),
    }
    if consumer.owner:
        row["account"] = consumer.owner
    return row
