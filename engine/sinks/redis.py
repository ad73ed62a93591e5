"""Publishes events to a Redis stream.

1. The id of an entry is `<number of the event>-0`. Redis refuses an id that is not above the last one, so an entry is
   never added twice, however often it is sent.
2. The entries of a window are one transaction (MULTI, EXEC): all or none are added, so that none can overtake another
   that was refused for a moment (a full memory).
3. A new connection asks for the last id of the stream (`XINFO STREAM`). What was added before the answer got lost is
   not sent again. If the stream has less than what was confirmed to this process, because Redis has lost its last
   seconds, the rest is sent again. An entry that is not from this journal ends the attempt: the stream belongs to
   another program, to another engine, or to the journal from before a restored backup.
4. `MAXLEN ~` keeps the stream near `max_length` entries.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import ProtocolError
from engine.sink_config import SinkConfig
from engine.sinks.broker import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    BrokerFailed,
    Confirmed,
    Known,
    connect,
)
from engine.sinks.envelope import Outgoing
from engine.sinks.redis_protocol import LARGEST, Parser, RedisError, Reply, adding, command
from engine.transport import Transport
from engine.world import Dial, World

DEFAULT_STREAM = "mailbox-events"


class RedisSession:
    """One connection. Made by `open_redis`."""

    def __init__(self, transport: Transport, config: SinkConfig) -> None:
        self._transport = transport
        self._config = config
        self._key = config.stream or DEFAULT_STREAM
        self._add = adding(self._key, config.max_length)
        self._parser = Parser()
        self._replies: list[Reply] = []
        self.most = LARGEST // 2

    async def greet(self) -> None:
        """Begin TLS, log in, choose the database. Raises as every call does."""
        if self._config.encrypted:
            await self._transport.start_tls(CONNECT_SECONDS)
        user, password = self._config.login
        if user:
            await self._ask("AUTH", user, password)
        elif password:
            await self._ask("AUTH", password)
        if self._config.database:
            await self._ask("SELECT", self._config.database)
        await self.beat()

    async def resume(self, position: int, confirmed: int, known: Known) -> int:
        """The last event in the stream if it is ahead of `position`, or behind what it had confirmed."""
        last, entry_id = await self._last_entry()
        if last > known.last or (entry_id is not None and known.id_of(last) not in (None, entry_id)):
            raise BrokerFailed(
                f"the stream {self._key} has entries that are not from this journal (the last id is {last}): name "
                "another stream"
            )
        return last if last > position or last < confirmed else position

    async def publish(self, events: Sequence[Outgoing], confirmed: Confirmed) -> None:
        """Publish a window. Raises as every call does."""
        sent = [command("MULTI"), *map(self._add, events), command("EXEC")]
        await self._transport.send(b"".join(sent), ANSWER_SECONDS)
        replies = [await self._reply() for _ in sent]
        added = replies[-1]
        for reply in [*replies[:-1], *(added if isinstance(added, list) else [added])]:
            if isinstance(reply, RedisError):
                raise BrokerFailed(f"it does not take the events from {events[0].seq} on: {reply.text}")
        if not isinstance(added, list) or len(added) != len(events):
            raise ProtocolError("it answers something else than the ids of the entries")
        confirmed(events[-1].seq)

    async def beat(self) -> None:
        """`PING`."""
        await self._ask("PING")

    async def close(self) -> None:
        """Close the connection."""
        await self._transport.close()

    async def _last_entry(self) -> tuple[int, str | None]:
        """The number in the last id that the stream ever had, and the event's id in the last entry, if that is it."""
        await self._transport.send(command("XINFO", "STREAM", self._key), ANSWER_SECONDS)
        reply = await self._reply()
        if isinstance(reply, RedisError):
            if "no such key" in reply.text:
                return 0, None
            raise BrokerFailed(f"it does not tell about the stream {self._key}: {reply.text}")
        told = _pairs(reply)
        last = told.get("last-generated-id")
        entry = told.get("last-entry")
        if not isinstance(last, bytes):
            raise ProtocolError("it does not tell the last id of the stream")
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] != last:
            return _number(last), None
        event_id = _pairs(entry[1]).get("eventId", b"")
        return _number(last), event_id.decode("utf-8", "replace") if isinstance(event_id, bytes) else ""

    async def _ask(self, *words: str | int) -> None:
        """A command whose reply is only that it was done. The error does not repeat the command."""
        await self._transport.send(command(*words), ANSWER_SECONDS)
        reply = await self._reply()
        if isinstance(reply, RedisError):
            raise BrokerFailed(f"it answers {reply.text}")

    async def _reply(self) -> Reply:
        while not self._replies:
            data = await self._transport.receive(ANSWER_SECONDS)
            if not data:
                raise self._transport.end_of_stream()
            self._replies = list(self._parser.feed(data))
        return self._replies.pop(0)


async def open_redis(dial: Dial, config: SinkConfig, world: World) -> RedisSession:
    """Connect and log in. Raises `NetworkError`, `ProtocolError` and `BrokerFailed`; cancelled: nothing stays open."""
    session = RedisSession(await connect(dial, config), config)
    try:
        await session.greet()
    except BaseException:
        await session.close()
        raise
    return session


def _pairs(reply: Reply) -> dict[str, Reply]:
    """Names and values that alternate."""
    if not isinstance(reply, list):
        return {}
    names = (each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in reply[::2])
    return dict(zip(names, reply[1::2], strict=False))


def _number(entry_id: bytes) -> int:
    """The number of the event with this id of an entry; a very large one for an id that is none of ours."""
    number, _, rest = entry_id.partition(b"-")
    return int(number) if number.isdigit() and rest == b"0" else 2**63
