"""The event stream over a websocket: the journal from a number on, then live, without a break.

1. Each frame is one event, with the same bytes as a webhook. The stream is read from the journal page by page, so a
   slow client only lags and takes no memory.
2. Frames with `stream` and without `event` are control frames: `gap` says that events were removed; `consumer` and
   `acked` are for a named consumer.
3. The client may send `{"ack": seq}`; anything else is counted, and too much of it ends the stream. All input is read,
   since otherwise we would not notice that the client left.

Close codes: 1001 the engine stops; 1008 the client must change something (cursor, token, acknowledgement, flood, a
consumer taken over); 1011 an error of ours; 1013 too many streams, come back later.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import msgspec
import quart.wrappers
import trio
from quart import Websocket

from engine.api.context import Context, Streams
from engine.errors import Problem, StorageFailed, StorageFull, StorageUnavailable
from engine.events.consumers import Consumers, Lease
from engine.events.journal import EventPage
from engine.events.reader import Reader
from engine.http.account_tokens import Access
from engine.http.operation import websocket
from engine.http.websockets import raw_frames
from engine.schema.events import names_of
from engine.schema.stream import StreamQuery
from engine.store.tokens import Token

log = logging.getLogger("engine.http")

FLOOD = 1000
"""Maximum messages from a client in `FLOOD_WINDOW` seconds that do not acknowledge anything new."""
FLOOD_WINDOW = 60.0
TAKEN_OVER = "the consumer was taken over, moved or removed"
FOUGHT_OVER = "the consumer was taken over again: two clients use its name"
CLOSE_SECONDS = 5.0
"""How long a client that does not read may delay its own close frame."""

_CLIENT_LEFT: type[Exception] = getattr(quart.wrappers, "ClientDisconnectedError", trio.BrokenResourceError)
"""What Quart raises from 0.23 on if the client is gone; earlier versions only cancelled."""


class StreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A client's request: `after` None means new events only; None elsewhere means all.

    `newest` is the newest number that it may see; its streams are counted by `token`.
    """

    token: str
    newest: int
    after: int | None = None
    account: str | None = None
    names: frozenset[str] | None = None
    consumer: str | None = None
    owner: str = ""


class _Ack(msgspec.Struct, forbid_unknown_fields=True):
    ack: int


class _End(Exception):
    """The stream ends with this close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@websocket("/v1/events/stream", access=Access.QUERY, scope="api", group="events", tags=("Events",))
async def stream(context: Context, query: StreamQuery, *, caller: Token, websocket: Websocket) -> None:
    """Follow events over a websocket.

    One text frame for each event; with `after`, the past ones first. See `docs/events.md#websocket`.
    """
    validity = context.validity(caller)
    await serve_stream(
        websocket,
        context.streams,
        StreamRequest(
            token=caller.hash,
            newest=context.numbers(caller).last,
            after=query.after,
            account=query.account,
            names=names_of(query.events),
            consumer=query.consumer,
            owner=caller.account or "",
        ),
        stopping=context.stopping,
        may_go_on=validity.holds,
        look_again=validity.seconds,
    )


_INVALID = _End(1008, "the token is not valid any more")


async def serve_stream(
    websocket: Websocket,
    streams: Streams,
    wanted: StreamRequest,
    *,
    stopping: trio.Event,
    may_go_on: Callable[[], bool] = lambda: True,
    look_again: Callable[[], float] = lambda: math.inf,
) -> None:
    """Send the requested events until the client leaves or `stopping` is set.

    `may_go_on` says whether the token is still valid; it is called before each page, and after `look_again()` seconds.
    Cancelled: the connection is left to the server to close.
    """
    await websocket.accept()
    end = _End(1001, "the engine is stopping")
    try:
        with streams.share.hold(wanted.token):
            end = await _serve(websocket, streams, wanted, stopping, may_go_on, look_again) or end
    except Problem as problem:
        end = _End(1013, problem.message[:1].lower() + problem.message[1:])
    except (StorageFailed, StorageFull, StorageUnavailable):
        end = _End(1011, "the journal cannot be written")
    except Exception:
        log.exception("the event stream broke")
        end = _End(1011, "internal error")
    with trio.move_on_after(CLOSE_SECONDS):
        await websocket.close(end.code, end.reason)


async def _serve(
    websocket: Websocket,
    streams: Streams,
    wanted: StreamRequest,
    stopping: trio.Event,
    may_go_on: Callable[[], bool],
    look_again: Callable[[], float],
) -> _End | None:
    if wanted.after is not None and wanted.after > wanted.newest:
        return _End(1008, "cursor is ahead of the journal")
    position, lease = streams.journal.last if wanted.after is None else wanted.after, None
    if wanted.consumer is not None:
        if (end := await _contend(websocket, streams.consumers, wanted.owner, wanted.consumer, stopping)) is not None:
            return end
        position = await _position_of(wanted.consumer, streams, wanted)
        if position > streams.journal.last:
            return _End(1008, "cursor is ahead of the journal")
        lease = streams.consumers.take(wanted.owner, wanted.consumer)
    stream = _Stream(websocket, streams, wanted, position, lease)
    try:
        end = await _until_over(stream, wanted, lease, stopping, may_go_on, look_again)
    finally:
        if lease is not None:
            await lease.close()
    if (
        lease is not None
        and lease.displaced.is_set()
        and streams.consumers.fought_over(wanted.owner, wanted.consumer or "")
    ):
        return _End(1008, FOUGHT_OVER)
    return end


async def _position_of(consumer: str, streams: Streams, wanted: StreamRequest) -> int:
    """The position of a consumer; a new one begins where the request says. Raises `Problem` 429 for one too many."""
    if streams.consumers.find(wanted.owner, consumer) is None:
        streams.refuse_one_more_consumer(wanted.owner)
    begin = wanted.newest if wanted.after is None else wanted.after
    return await streams.consumers.start(wanted.owner, consumer, begin)


async def _until_over(
    stream: _Stream,
    wanted: StreamRequest,
    lease: Lease | None,
    stopping: trio.Event,
    may_go_on: Callable[[], bool],
    look_again: Callable[[], float],
) -> _End | None:
    """Feed the stream until there is a reason to end it; return the reason, None if there is nothing to send."""
    end: _End | None = None
    async with trio.open_nursery() as nursery:

        def over(reason: _End | None) -> None:
            nonlocal end
            end = reason
            nursery.cancel_scope.cancel()

        async def until(event: trio.Event, reason: _End | None) -> None:
            await event.wait()
            over(reason)

        async def listen() -> None:
            over(await stream.listen())

        async def watch() -> None:
            while True:
                await trio.sleep(look_again())
                if not may_go_on():
                    break
            over(_INVALID)

        nursery.start_soon(watch)
        nursery.start_soon(listen)
        nursery.start_soon(until, stopping, None)
        if lease is not None:
            nursery.start_soon(until, lease.displaced, _End(1008, TAKEN_OVER))
            nursery.start_soon(lease.keep, stream.acked)
        over(await stream.feed(wanted.consumer, may_go_on))
    return end


async def _contend(
    websocket: Websocket, consumers: Consumers, owner: str, name: str, stopping: trio.Event
) -> _End | None:
    """If two clients take a consumer from each other, say so and wait; return an end if a newer client came."""
    seconds = consumers.wait(owner, name)
    if not seconds:
        return None
    told = {"stream": "contended", "consumer": name, "wait": seconds}
    try:
        await websocket.send(msgspec.json.encode(told).decode())
    except _CLIENT_LEFT:
        return _End(1001, "the client left")
    mine = False
    async with trio.open_nursery() as nursery:

        async def give_up() -> None:
            await stopping.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(give_up)
        mine = await consumers.turn(owner, name, seconds)
        nursery.cancel_scope.cancel()
    if stopping.is_set():
        return _End(1001, "the engine is stopping")
    return None if mine else _End(1008, FOUGHT_OVER)


class _Stream:
    def __init__(
        self, websocket: Websocket, streams: Streams, wanted: StreamRequest, position: int, lease: Lease | None
    ) -> None:
        self._websocket = websocket
        self._reader = Reader(streams.journal, streams.hub, position, wanted.account, wanted.names)
        self._framed = streams.framed
        self._filter = (wanted.account, wanted.names)
        self._lease = lease
        self._sent = position
        self._raw = raw_frames(websocket.scope)

    async def feed(self, consumer: str | None, may_go_on: Callable[[], bool]) -> _End | None:
        """Send events until the engine stops or the client leaves."""
        try:
            with self._reader.counted():
                if consumer is not None:
                    await self._control(stream="consumer", consumer=consumer, seq=self._reader.position)
                while (page := await self._reader.next()) is not None:
                    if not may_go_on():
                        return _INVALID
                    await self._send(page)
        except _CLIENT_LEFT:
            pass
        return None

    async def _send(self, page: EventPage) -> None:
        if page.first is not None:
            await self._control(stream="gap", first=page.first)
            self._sent = page.first - 1
        if page.entries:
            self._sent = page.entries[-1][0]
        bodies = [entry[3] for entry in page.entries]
        if self._raw and bodies:
            key = (self._filter, page.entries[0][0], page.entries[-1][0])
            await self._websocket.send(self._framed.of(key, bodies))
            return
        for body in bodies:
            await self._websocket.send(body.decode())

    async def acked(self, seq: int) -> None:
        """Tell the client that its acknowledgement is on disk."""
        try:
            await self._control(stream="acked", seq=seq)
        except _CLIENT_LEFT:
            pass

    async def _control(self, **members: object) -> None:
        await self._websocket.send(msgspec.json.encode(members).decode())

    async def listen(self) -> _End | None:
        """Receive acknowledgements until the client leaves (None) or must be disconnected."""
        noise, since, acknowledged = 0, trio.current_time(), 0
        try:
            while True:
                message = await self._websocket.receive()
                try:
                    ack = msgspec.json.decode(message, type=_Ack).ack
                except (msgspec.DecodeError, UnicodeDecodeError):
                    ack = None
                if ack is not None and self._lease is not None:
                    if ack > self._sent:
                        return _End(1008, "acknowledged an event that was not sent")
                    if ack > acknowledged:
                        acknowledged = ack
                        self._lease.note(ack)
                        continue
                now = trio.current_time()
                if now - since > FLOOD_WINDOW:
                    noise, since = 0, now
                noise += 1
                if noise > FLOOD:
                    return _End(1008, "too many messages")
        except _CLIENT_LEFT:
            return None
