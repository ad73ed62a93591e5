"""Publishes events to NATS JetStream.

1. The server greets with `INFO`; TLS begins after that. `CONNECT` carries the login, and `PONG` says that it counts.
2. All events of a window are sent at once, each with a reply subject of its own and `Nats-Msg-Id`, by which the stream
   refuses to store an event twice within its window (`duplicate_window`, two minutes unless the stream says otherwise).
3. Each event names the one before it (`Nats-Expected-Last-Msg-Id`), so that if the stream loses or refuses one, it
   refuses all that follow: the order holds whatever happens.
4. If other programs write into the same stream, that chain breaks. Then events go out in rounds with at most one event
   of each account, and the next round waits until the last one is confirmed: slower, in order for each account.
5. Nothing reads between windows: `beat` asks and answers in time for the server's own pings (two minutes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.errors import ProtocolError
from engine.sink_config import SinkConfig
from engine.sinks import nats_credentials, nats_protocol
from engine.sinks.broker import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    BrokerFailed,
    Confirmed,
    Known,
    connect,
)
from engine.sinks.envelope import CLOUDEVENTS_TYPE, EVENT_TYPE, Outgoing
from engine.sinks.nats_credentials import BadCredentials
from engine.sinks.nats_protocol import AckError, Delivered, Heard, Info, Line, Parser
from engine.transport import Transport
from engine.version import VERSION
from engine.world import Dial, World

HEADER_ROOM = 512
"""Octets of the headers, which count as payload."""
NAME_IN_USE, WRONG_LAST_ID = 10058, 10070
"""Codes of JetStream: another stream has this name; the last event is not the expected one."""


class _NotAlone(Exception):
    """Others write into the stream."""


class NatsSession:
    """One connection. Made by `open_nats`."""

    def __init__(self, transport: Transport, config: SinkConfig, world: World) -> None:
        self._transport = transport
        self._config = config
        self._inbox = f"_INBOX.{world.letters(22)}"
        self._parser = Parser()
        self._heard: list[Heard] = []
        self._media = CLOUDEVENTS_TYPE if config.format == "cloudevents" else EVENT_TYPE
        self._asked = 0
        self._last: str | None = None
        """The id of the last confirmed event."""
        self._alone = True
        self.most = 0

    async def greet(self) -> None:
        """Read `INFO`, begin TLS, log in, make the stream if it is to be made. Raises as every call does."""
        line = await self._line(CONNECT_SECONDS)
        if line.verb != "INFO":
            raise ProtocolError("it does not greet like NATS")
        info = nats_protocol.read_info(line.rest)
        if self._config.encrypted or info.tls_required:
            if self._heard:
                raise ProtocolError("it sent more than INFO before TLS")
            self._parser = Parser()
            await self._transport.start_tls(CONNECT_SECONDS)
        if not info.headers:
            raise BrokerFailed("it supports no headers, which JetStream needs: NATS 2.2 or newer")
        self.most = info.max_payload - HEADER_ROOM
        await self._send(nats_protocol.connect(self._options(info)))
        while (await self._line(CONNECT_SECONDS)).verb != "PONG":
            pass
        await self._send(nats_protocol.subscribe(f"{self._inbox}.*"))
        if self._config.stream:
            await self._make_stream(self._config.stream)

    async def resume(self, position: int, confirmed: int, known: Known) -> int:
        """`position`: the stream itself refuses what it has."""
        return position

    async def publish(self, events: Sequence[Outgoing], confirmed: Confirmed) -> None:
        """Publish a window. Raises as every call does."""
        left = list(events)
        if self._alone:
            try:
                await self._chain(left, confirmed)
            except _NotAlone:
                self._alone = False
        if left:
            for together in _rounds(left):
                await self._round(together)
            confirmed(left[-1].seq)

    async def beat(self) -> None:
        """`PING`, and whatever the server wanted meanwhile."""
        await self._send(nats_protocol.PING)
        while (await self._line(ANSWER_SECONDS)).verb != "PONG":
            pass

    async def close(self) -> None:
        """Close the connection."""
        await self._transport.close()

    async def _chain(self, left: list[Outgoing], confirmed: Confirmed) -> None:
        """Publish in one go; takes what is confirmed out of `left`. Raises `_NotAlone` if others write, too."""
        first, count, follows, sent = self._asked, len(left), self._last, bytearray()
        for number, event in enumerate(left, first):
            sent += self._published(event, number, follows)
            follows = event.id
        self._asked += count
        await self._send(bytes(sent))
        while left:
            number, error = await self._answer()
            if number != first + count - len(left):
                continue
            if error is not None:
                if error.err_code == WRONG_LAST_ID:
                    raise _NotAlone
                raise self._refused(left[0], error)
            event = left.pop(0)
            self._last = event.id
            confirmed(event.seq)

    async def _round(self, together: Sequence[Outgoing]) -> None:
        first, self._asked = self._asked, self._asked + len(together)
        await self._send(b"".join(self._published(each, number, None) for number, each in enumerate(together, first)))
        waiting = set(range(first, self._asked))
        while waiting:
            number, error = await self._answer()
            if number in waiting and error is not None:
                raise self._refused(together[number - first], error)
            waiting.discard(number)

    def _published(self, event: Outgoing, number: int, follows: str | None) -> bytes:
        subject = nats_protocol.subject_of(self._config.subject, event.account, event.name)
        return nats_protocol.publish(event, subject, f"{self._inbox}.{number}", self._media, follows)

    async def _answer(self) -> tuple[int, AckError | None]:
        """The next acknowledgement: the number of what it is about, and the error. Raises as every call does."""
        while True:
            message = await self._next(ANSWER_SECONDS)
            if not isinstance(message, Delivered):
                continue
            inbox, _, number = message.subject.rpartition(".")
            if inbox == self._inbox and number.isdecimal():
                return int(number), nats_protocol.read_ack(message).error

    async def _make_stream(self, name: str) -> None:
        body: dict[str, Any] = {
            "name": name,
            "subjects": [f"{self._config.subject}.>"],
            "retention": "limits",
            "discard": "old",
            "storage": "file",
            "num_replicas": 1,
            "max_msgs": self._config.max_length or -1,
            "max_bytes": -1,
            "max_consumers": -1,
        }
        self._asked += 1
        reply = f"{self._inbox}.{self._asked}"
        await self._send(nats_protocol.request(f"$JS.API.STREAM.CREATE.{name}", reply, body))
        _, error = await self._answer()
        self._asked += 1
        if error is not None and error.err_code != NAME_IN_USE:
            raise BrokerFailed(f"it does not create the stream {name}: {_words(error)}")

    def _refused(self, event: Outgoing, error: AckError) -> BrokerFailed:
        text = f"it does not take event {event.seq}: {_words(error)}"
        if error.code == 503 and not error.err_code:
            text += f". Create a JetStream stream for {self._config.subject}.>, or set stream and the engine creates it"
        return BrokerFailed(text)

    async def _send(self, data: bytes) -> None:
        await self._transport.send(data, ANSWER_SECONDS)

    async def _line(self, timeout: float) -> Line:
        while True:
            heard = await self._next(timeout)
            if isinstance(heard, Line):
                return heard

    async def _next(self, timeout: float) -> Heard:
        """The next thing the server says; pings are answered. Raises `BrokerFailed` for `-ERR`."""
        while True:
            while not self._heard:
                data = await self._transport.receive(timeout)
                if not data:
                    raise self._transport.end_of_stream()
                self._heard = list(self._parser.feed(data))
            heard = self._heard.pop(0)
            if isinstance(heard, Line) and heard.verb == "PING":
                await self._send(nats_protocol.PONG)
            elif isinstance(heard, Line) and heard.verb == "-ERR":
                raise BrokerFailed(f"it answers {heard.rest.decode('utf-8', 'replace').strip(chr(39))}")
            else:
                return heard

    def _options(self, info: Info) -> dict[str, Any]:
        user, password = self._config.login
        login: dict[str, Any] = {}
        if self._config.creds:
            login = {**nats_credentials.load(self._config.creds).answer(info.nonce)}
        elif self._config.token:
            login = {"auth_token": self._config.token}
        elif user or password:
            login = {"user": user, "pass": password}
        return {
            "verbose": False,
            "pedantic": False,
            "tls_required": self._transport.tls_version is not None,
            "name": "mailbox-engine",
            "lang": "python-trio",
            "version": VERSION,
            "protocol": 1,
            "echo": False,
            "headers": True,
            "no_responders": True,
            **login,
        }


async def open_nats(dial: Dial, config: SinkConfig, world: World) -> NatsSession:
    """Connect and log in. Raises `NetworkError`, `ProtocolError` and `BrokerFailed`; cancelled: nothing stays open."""
    session = NatsSession(await connect(dial, config), config, world)
    try:
        await session.greet()
    except BadCredentials as error:
        await session.close()
        raise BrokerFailed(f"creds: {error}") from error
    except BaseException:
        await session.close()
        raise
    return session


def _rounds(events: Sequence[Outgoing]) -> list[list[Outgoing]]:
    """The same events in rounds of at most one for each account, in order for each account."""
    rounds: list[list[Outgoing]] = []
    reached: dict[str | None, int] = {}
    for event in events:
        place = reached[event.account] = reached.get(event.account, -1) + 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(event)
    return rounds


def _words(error: AckError) -> str:
    return f"{error.description or 'no reason'} ({error.code})"
