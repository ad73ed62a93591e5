"""The named consumers of the event stream."""

from __future__ import annotations

from msgspec import UNSET

from engine.api.context import Context
from engine.decoding.decode import decode_query
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.isotime import iso, iso_or_none
from engine.schema.consumers import (
    ConsumerId,
    ConsumerInfo,
    ConsumerList,
    ConsumerMove,
    ConsumerName,
    ConsumerRemoved,
)
from engine.store.consumers import Consumer
from engine.store.tokens import Token

_PATH = "/v1/events/consumers/{consumer}"
_TAGS = ("Events",)


@operation("GET", "/v1/events/consumers", access=Access.HANDLER, scope="api", group="events", tags=_TAGS)
async def listing(context: Context, *, caller: Token) -> ConsumerList:
    """List consumers.

    A named consumer of the event stream is a client whose position the engine keeps.
    """
    found = context.streams.consumers.every(caller.account)
    shown = tuple(_shown(context, each, caller) for each in found)
    return ConsumerList(consumers=shown, last=context.numbers(caller).last)


@operation("GET", _PATH, access=Access.HANDLER, scope="api", group="events", tags=_TAGS)
async def read(context: Context, consumer: ConsumerId, *, caller: Token) -> ConsumerInfo:
    """Read a consumer."""
    return _shown(context, _find(context, consumer, caller), caller)


@operation("PUT", _PATH, access=Access.HANDLER, scope="api", group="events", tags=_TAGS)
async def move(context: Context, consumer: ConsumerId, body: ConsumerMove, *, caller: Token) -> ConsumerInfo:
    """Move a consumer.

    Its position may go forward or back. If there is no consumer of this name, the engine creates it.
    """
    owner = caller.account or ""
    context.numbers(caller).refuse_ahead(body.seq)
    consumers = context.streams.consumers
    if consumers.find(owner, consumer) is None:
        decode_query(ConsumerName, [("consumer", consumer)])
        context.streams.refuse_one_more_consumer(owner)
        await carry_through(consumers.start(owner, consumer, body.seq))
    await carry_through(consumers.move(owner, consumer, body.seq))
    return _shown(context, _find(context, consumer, caller), caller)


@operation("DELETE", _PATH, access=Access.HANDLER, scope="api", group="events", tags=_TAGS)
async def remove(context: Context, consumer: ConsumerId, *, caller: Token) -> ConsumerRemoved:
    """Remove a consumer."""
    found = _find(context, consumer, caller)
    await carry_through(context.streams.consumers.remove(found.owner, found.name))
    return ConsumerRemoved(consumer=found.name)


def _find(context: Context, name: str, caller: Token) -> Consumer:
    found = context.streams.consumers.find(caller.account or "", name)
    if found is None:
        raise Problem(404, "There is no consumer with this name")
    return found


def _shown(context: Context, consumer: Consumer, caller: Token) -> ConsumerInfo:
    last = context.numbers(caller).last
    seq = min(consumer.seq, last)
    return ConsumerInfo(
        consumer=consumer.name,
        account=consumer.owner or UNSET,
        seq=seq,
        behind=last - seq,
        connected=context.streams.consumers.connected(consumer.owner, consumer.name),
        created=iso(consumer.created),
        acknowledged=iso_or_none(consumer.acked),
    )
