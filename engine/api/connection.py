"""One TCP connection of a client: read, written with a limit, closed in good order; its faults are its own.

It takes the place of hypercorn's `TCPServer`. What is raised in any of its tasks ends this connection and is told once.
Cancelled: the connection is cut.
"""

from __future__ import annotations

import itertools
import math
import resource
from collections.abc import Generator
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr, repr_socket_addr

from engine.api.edge import ConnectionTasks, HttpProtocol
from engine.api.incidents import Incidents, Peer, serve_peer
from engine.api.refusals import answer
from engine.errors import Problem

LINGER = 1.0
HALF_CLOSED = 5.0
"""Seconds a client that has said all it has to say may wait for its answer; most of those have left."""
READ_SIZE = 65536


class ServerConfig(Config):
    """Hypercorn's options, and what all connections share. At most half of the descriptors are theirs."""

    write_timeout: float = 30.0

    def __init__(self) -> None:
        super().__init__()
        self.incidents = Incidents()
        self.numbers = itertools.count(1)
        self.connections = 0
        self.most_connections = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


class ClientConnection:
    """One connection, from its acceptance to its end: awaited as hypercorn awaits its own."""

    def __init__(
        self,
        app: AppWrapper,
        config: ServerConfig,
        context: WorkerContext,
        state: ConnectionState,
        stream: trio.SocketStream,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._state = state
        self._stream = stream
        self._sending = trio.Lock()
        self._reading = trio.CancelScope()
        """Its deadline is when an idle connection is closed."""
        self._watching = trio.CancelScope()
        self._read_all = trio.Event()
        self._reset = False
        self._lingering = False
        self._stopping = False
        self._tasks: ConnectionTasks
        self._protocol: HttpProtocol

    def __await__(self) -> Generator[Any]:
        return self._run().__await__()

    async def _run(self) -> None:
        sock = self._stream.socket
        self._config.connections += 1
        try:
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
            name = repr_socket_addr(sock.family, sock.getpeername())
            await self._serve(Peer(name, next(self._config.numbers), self._config.incidents), client, server)
        except OSError:
            pass  # it left before it was greeted
        finally:
            self._config.connections -= 1
            await trio.aclose_forcefully(self._stream)

    async def _serve(self, peer: Peer, client: tuple[str, int] | None, server: tuple[str, int] | None) -> None:
        if self._config.connections > self._config.most_connections:
            peer.refused(503, "there are too many connections")
            await self._turn_away()
            return
        serve_peer(peer)
        with peer.contained():
            async with trio.open_nursery() as nursery:
                self._tasks = ConnectionTasks(nursery, peer)
                self._protocol = HttpProtocol(
                    peer,
                    self._app,
                    self._config,
                    self._context,
                    self._tasks,
                    self._state.copy(),
                    False,
                    client,
                    server,
                    self._handle,
                )
                nursery.start_soon(self._watch_stop)
                self._set_idle(True)
                await self._read()

    async def _turn_away(self) -> None:
        problem = Problem(503, "There are too many connections, come back later", headers={"Retry-After": "5"})
        with trio.move_on_after(LINGER):
            await self._stream.send_all(answer(problem))

    async def _handle(self, event: Event) -> None:
        """What the protocol has to say."""
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            # A task of its own: the one at hand may be an application that is cancelled as soon as it has answered.
            if not self._lingering:
                self._lingering = True
                self._tasks.spawn(self._linger)
            await self._protocol.handle(Closed())
        elif isinstance(event, Updated):
            self._set_idle(event.idle)

    def _set_idle(self, idle: bool) -> None:
        wait = self._config.keep_alive_timeout if idle else math.inf
        self._reading.deadline = trio.current_time() + (0 if idle and self._stopping else wait)

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            try:
                with trio.fail_after(self._config.write_timeout):
                    await self._stream.send_all(data)
                return
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            except trio.TooSlowError:
                await trio.aclose_forcefully(self._stream)
        await self._protocol.handle(Closed())

    async def _read(self) -> None:
        try:
            with self._reading:
                while data := await self._receive():
                    await self._protocol.handle(RawData(data))
                if not self._reset:
                    await self._protocol.handle(RawData(b""))
                    with trio.move_on_after(HALF_CLOSED):
                        await self._protocol.answered()
                await self._protocol.handle(Closed())
        finally:
            self._read_all.set()
            self._watching.cancel()
        was_idle = self._reading.cancelled_caught and not self._lingering
        if was_idle and (self._stopping or not await self._protocol.give_up()):
            await trio.aclose_forcefully(self._stream)

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(READ_SIZE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._reset = True
            return b""

    async def _linger(self) -> None:
        """Close, but read for a moment first: closing over unread data makes the kernel drop the answer on its way."""
        # The reader may be waiting for an application that has answered and takes no more.
        self._reading.cancel()
        try:
            with trio.move_on_after(LINGER):
                async with self._sending:
                    await self._stream.send_eof()
                await self._read_all.wait()
                while await self._stream.receive_some(READ_SIZE):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await trio.aclose_forcefully(self._stream)

    async def _watch_stop(self) -> None:
        """Close at once what is idle when the server stops."""
        with self._watching:
            await self._context.terminated.wait()
            self._stopping = True
            if self._reading.deadline < math.inf:
                self._reading.cancel()
