"""One TCP connection of a client: read, written with a limit, closed in good order; its faults are its own.

Writing is limited by `TransferRate`: each byte that the client's side acknowledges shows that it is there.

It takes the place of hypercorn's `TCPServer`. What is raised in any of its tasks ends this connection and is told once.
Cancelled: the connection is cut.
"""

from __future__ import annotations

import fcntl
import itertools
import math
import sys
import termios

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr, repr_socket_addr

from engine.errors import Problem
from engine.http.connection_limit import ConnectionLimit
from engine.http.early_refusals import answer
from engine.http.edge_log import EdgeLog, Peer, serve_peer
from engine.http.http1_protocol import ConnectionTasks, HttpProtocol
from engine.http.transfer_rate import TransferRate

LINGER = 5.0
"""Seconds of silence after which a client that still sends what nobody reads has got its answer, on a slow line too."""
LINGER_AT_MOST = 30.0
TURN_AWAY = 1.0
"""Seconds for telling a client that there is no room for it."""
HALF_CLOSED = 5.0
"""Seconds a client that has said all it has to say may wait for its answer to go on; most of those have left."""
READ_SIZE = 65536


class ServerConfig(Config):
    """Hypercorn's options, and what all connections share."""

    write_timeout: float = 50.0
    slowest: int = 0

    def __init__(self) -> None:
        super().__init__()
        self.incidents = EdgeLog()
        self.numbers = itertools.count(1)
        self.crowd = ConnectionLimit()


class ClientConnection:
    """One connection, from its acceptance to its end."""

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
        self._fresh = False
        """Whether nothing has come since it is idle."""
        self._lingering = False
        self._stopping = False
        self._peer: Peer
        self._tasks: ConnectionTasks
        self._protocol: HttpProtocol

    async def run(self) -> None:
        """Serve it. The caller closes the stream."""
        sock = self._stream.socket
        try:
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
            name = repr_socket_addr(sock.family, sock.getpeername())
            await self._serve(Peer(name, next(self._config.numbers), self._config.incidents), client, server)
        except OSError:
            pass  # it left before it was greeted
        finally:
            self._config.crowd.busy(self._reading)

    async def _serve(self, peer: Peer, client: tuple[str, int] | None, server: tuple[str, int] | None) -> None:
        self._peer = peer
        serve_peer(peer)
        with peer.contained(), self._config.crowd.one_more(self._stream.socket.fileno()) as room:
            if not room:
                peer.refused(503, "there are too many connections")
                await self._turn_away()
                return
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
        problem = Problem(503, "There are too many connections; come back later", headers={"Retry-After": "5"})
        with trio.move_on_after(TURN_AWAY):
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
        self._fresh = idle
        if idle:
            self._config.crowd.idle(self._reading, mute=not self._peer.requests)
            wait = 0 if self._stopping else self._config.keep_alive_timeout
            self._reading.deadline = trio.current_time() + wait
        else:
            self._config.crowd.busy(self._reading)
            self._reading.deadline = math.inf

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            try:
                if await self._send_at_its_pace(data):
                    return
                self._config.crowd.close(self._stream)
            except (OSError, trio.ClosedResourceError):
                pass
        await self._protocol.handle(Closed())

    async def _send_at_its_pace(self, data: bytes) -> bool:
        """Whether the client took it all before it was silent for too long, or too slow."""
        sock = self._stream.socket
        pace = TransferRate(self._config.write_timeout, self._config.slowest)
        left = memoryview(data)
        while left:
            queued = _unacknowledged(sock)
            with trio.CancelScope(deadline=pace.deadline()) as waiting:
                sent = await sock.send(left)
                pace.moved(sent)
                left = left[sent:]
            # A full buffer takes nothing for a while; that it gets emptier shows that the client reads.
            if waiting.cancelled_caught and not pace.moved_on(queued - _unacknowledged(sock)):
                return False
        return True

    async def _read(self) -> None:
        try:
            with self._reading:
                while data := await self._receive():
                    if self._reading.cancel_called:
                        # Closed as idle while this was on its way: none of it is done, so that it can be sent again.
                        await trio.lowlevel.checkpoint()
                    if self._fresh:
                        # What has passed since the last answer is not taken from the time for the next head.
                        self._fresh = False
                        self._config.crowd.heard(self._reading)
                        self._reading.deadline = trio.current_time() + self._config.keep_alive_timeout
                    await self._protocol.handle(RawData(data))
                if not self._reset:
                    await self._protocol.handle(RawData(b""))
                    await self._wait_for_answer()
                await self._protocol.handle(Closed())
        finally:
            self._read_all.set()
            self._watching.cancel()
        was_idle = self._reading.cancelled_caught and not self._lingering
        if was_idle and (self._stopping or not await self._protocol.give_up()):
            self._config.crowd.close(self._stream)

    async def _wait_for_answer(self) -> None:
        while True:
            with trio.move_on_after(HALF_CLOSED) as limit:
                await self._protocol.answered()
            # One that is on its way has a limit of its own.
            if not limit.cancelled_caught or not self._sending.locked():
                return

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
            with trio.move_on_after(LINGER_AT_MOST) as lingering:
                self._config.crowd.idle(lingering)
                async with self._sending:
                    await self._stream.send_eof()
                await self._read_all.wait()
                data = b"?"
                while data:
                    data = b""
                    with trio.move_on_after(LINGER):
                        data = bytes(await self._stream.receive_some(READ_SIZE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._config.crowd.busy(lingering)
        self._config.crowd.close(self._stream)

    async def _watch_stop(self) -> None:
        """Close at once what is idle when the server stops."""
        with self._watching:
            await self._context.terminated.wait()
            self._stopping = True
            if self._reading.deadline < math.inf:
                self._reading.cancel()


def _unacknowledged(sock: trio.socket.SocketType) -> int:
    """Bytes that wait for the client's side to acknowledge them. Raises `ClosedResourceError`."""
    if sock.fileno() < 0:
        raise trio.ClosedResourceError
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
