"""What every broker has in common: how a connection is opened, what it can do, and how it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from engine.errors import EngineError, Fault, NetworkError, NetworkKind, Remedy
from engine.sink_config import SinkConfig
from engine.sinks.envelope import Outgoing
from engine.transport import TlsRules, Transport
from engine.world import Dial

T = TypeVar("T")
CONNECT_SECONDS = 10.0
"""For the connection, for TLS, and for each answer while logging in."""
ANSWER_SECONDS = 10.0
"""For each answer of the broker, and for it to take what is sent."""
WINDOW_SECONDS = 60.0
"""For logging in, and for the events of one window, all of them confirmed."""

Confirmed = Callable[[int], None]
"""Told the number of an event: the broker has confirmed it and all before it."""


class BrokerFailed(EngineError):
    """The broker refuses what it is asked for. The text says what, without secrets; a later attempt may succeed."""

    fault = Fault.PROVIDER
    remedy = Remedy.RETRY


class Known(Protocol):
    """What the journal knows, for a broker that can tell which event it got last."""

    @property
    def last(self) -> int:
        """The number of the newest event."""

    def id_of(self, seq: int) -> str | None:
        """The id of an event; None if it is no longer kept."""


class Session(Protocol):
    """One connection to a broker, used by one task. Each call may raise `NetworkError`, `ProtocolError` and
    `BrokerFailed`, and leaves the session broken then, as does a cancellation: close it. Each read has a time limit, a
    whole call has none (`in_time`)."""

    most: int
    """The largest body in octets that it takes."""

    async def resume(self, position: int, confirmed: int, known: Known) -> int:
        """The number after which to go on, where the sink would go on after `position`.

        `confirmed`: the last event that a broker confirmed to this process, 0 for none.
        """

    async def publish(self, events: Sequence[Outgoing], confirmed: Confirmed) -> None:
        """Publish events in order; return once all are confirmed."""

    async def beat(self) -> None:
        """Find out whether the broker still answers."""

    async def close(self) -> None:
        """Close the connection. Never raises."""


async def connect(dial: Dial, config: SinkConfig) -> Transport:
    """A TCP connection to the broker, still in clear text. Raises `NetworkError` and `BrokerFailed`."""
    host, port = config.address
    rules = TlsRules(required=config.encrypted, ca=_authorities(config.ca))
    try:
        with trio.fail_after(CONNECT_SECONDS):
            return Transport(await dial(host, port), host, port, rules)
    except trio.TooSlowError as error:
        raise NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", f"connect ETIMEDOUT {host}:{port}") from error


async def in_time(call: Awaitable[T]) -> T:
    """What `call` returns within `WINDOW_SECONDS`, however much the broker says meanwhile. Raises what it raises."""
    try:
        with trio.fail_after(WINDOW_SECONDS):
            return await call
    except trio.TooSlowError as error:
        text = f"it is not done within {WINDOW_SECONDS:g} s"
        raise NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", text) from error


def _authorities(file: str) -> str | None:
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not PEM"
        raise BrokerFailed(f"ca: {file} cannot be read: {reason}") from error
