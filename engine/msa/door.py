"""The SMTP door as a service: it listens, bounds the connections, and ends them in order.

1. `listen` opens the sockets before anything runs.
2. `run` serves each connection in a task of its own. Beyond `msa.connections`, a new one takes the place of the one
   that has been there for longest without a login; if all have logged in, it is refused with 421.
3. Once `stop` is set, nothing is accepted, and clients get 421; a message on its way may still arrive for a moment.

A crash on a connection is logged and ends only that connection.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections import Counter
from contextlib import ExitStack

import trio

from engine.config import Msa
from engine.edge.certificate import Certificate
from engine.edge.connection_limit import ConnectionLimit
from engine.edge.listener import accept, listen_at
from engine.edge.wrong_tokens import source_of
from engine.msa.handover import HandOver
from engine.msa.logins import Logins
from engine.msa.reception import Reception
from engine.msa.session import WRITE_SECONDS, Client, Counts, DoorSession, SessionParts
from engine.queue.queue_ids import QueueIds
from engine.store.bodies import Spool
from engine.world import World

log = logging.getLogger("engine.msa")

GRACE = 2.0
"""Seconds for messages that are on their way when the engine stops."""
TURN_AWAY = 1.0


class Listeners:
    """The listening sockets: for STARTTLS, and for TLS from the first octet if `msa.tls_port` is set."""

    def __init__(self, config: Msa, certificate: Certificate | None) -> None:
        """Raises `ConfigError` if a socket cannot be opened."""
        self.certificate = certificate
        self.plain = listen_at(config.host, config.port, "msa.port", WRITE_SECONDS)
        self.tls = listen_at(config.host, config.tls_port, "msa.tls_port", WRITE_SECONDS) if config.tls_port else None

    def urls(self) -> list[str]:
        """Where they listen."""
        found = [f"smtp://{_address(self.plain)}"]
        return found if self.tls is None else [*found, f"smtps://{_address(self.tls)}"]


class Door:
    """The door of one engine. `spool_above` is the size of the largest body outside the spool."""

    def __init__(
        self,
        config: Msa,
        logins: Logins,
        hand_over: HandOver,
        spool: Spool,
        spool_above: int,
        queue_ids: QueueIds,
        world: World,
    ) -> None:
        self._config = config
        self._logins = logins
        self._hand_over = hand_over
        self._spool = spool
        self._spool_above = spool_above
        self._queue_ids = queue_ids
        self._world = world
        self._crowd = ConnectionLimit()
        self._crowd.most = min(self._crowd.most, config.connections)
        self._by_source: Counter[str] = Counter()
        self._sessions: set[DoorSession] = set()
        self.counts = Counts()
        self.listens = False
        """Whether new connections are accepted."""

    @property
    def connections(self) -> int:
        """The number of connections."""
        return self._crowd.present

    async def run(
        self,
        listeners: Listeners,
        stop: trio.Event,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop` is set, then return within `GRACE` seconds. Cancelled: connections are aborted."""
        parts = self.parts(listeners.certificate)

        async def serve(stream: trio.SocketStream) -> None:
            await self._serve(stream, parts, tls=False)

        async def serve_tls(stream: trio.SocketStream) -> None:
            await self._serve(stream, parts, tls=True)

        try:
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    await accepting.start(accept, listeners.plain, serve, self._crowd, connections)
                    if listeners.tls is not None:
                        await accepting.start(accept, listeners.tls, serve_tls, self._crowd, connections)
                    self.listens = True
                    task_status.started()
                    await stop.wait()
                    self.listens = False
                    accepting.cancel_scope.cancel()
                for session in self._sessions:
                    session.stop()
                connections.cancel_scope.deadline = trio.current_time() + GRACE
        finally:
            self.listens = False
            self._crowd.spare.close()

    def parts(self, certificate: Certificate | None) -> SessionParts:
        """What all connections share."""
        return SessionParts(
            config=self._config,
            host=self._config.name or socket.gethostname(),
            logins=self._logins,
            hand_over=self._hand_over,
            receptions=self._reception,
            certificate=certificate,
            counts=self.counts,
        )

    def _reception(self) -> Reception:
        return Reception(
            self._spool,
            self._spool_above,
            self._config.max_message,
            lambda: self._queue_ids.new(self._world.now()),
        )

    async def _serve(self, stream: trio.SocketStream, parts: SessionParts, *, tls: bool) -> None:
        try:
            client = _client(stream)
        except OSError:
            return  # it left at once
        with ExitStack() as held:
            room = held.enter_context(self._crowd.one_more(stream.socket.fileno()))
            if not room:
                await _turn_away(stream, parts.host, "too many connections")
                return
            if not client.near:
                source = source_of(client.address)
                if self._by_source[source] >= self._config.connections_per_address:
                    await _turn_away(stream, parts.host, "too many connections from your address")
                    return
                self._by_source[source] += 1
                held.callback(self._forget, source)
            await self._converse(DoorSession(stream, client, parts), client, tls=tls)

    async def _converse(self, session: DoorSession, client: Client, *, tls: bool) -> None:
        self._sessions.add(session)
        scope = trio.CancelScope()
        self._crowd.idle(scope, mute=True)
        session.settled = lambda: self._crowd.busy(scope)
        try:
            with scope:
                await session.run(tls=tls)
        except Exception:
            log.exception("the SMTP connection of %s crashed", client.name)
        finally:
            self._crowd.busy(scope)
            self._sessions.discard(session)

    def _forget(self, source: str) -> None:
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]


def _client(stream: trio.SocketStream) -> Client:
    address, port = stream.socket.getpeername()[:2]
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return Client(address, near=(mapped or ip).is_loopback, name=f"{address} port {port}")


async def _turn_away(stream: trio.SocketStream, host: str, why: str) -> None:
    try:
        with trio.move_on_after(TURN_AWAY):
            await stream.send_all(f"421 4.7.0 {host} {why}, come back later\r\n".encode())
    except trio.BrokenResourceError:
        pass


def _address(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
