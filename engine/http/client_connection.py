"""One TCP connection of a client; it replaces hypercorn's `TCPServer`.

1. `_serve` takes a place under the connection limit, or answers 503 (`_turn_away`); `_secure` begins TLS on a port that
   has a certificate.
2. `_read` feeds the protocol until the client disconnects, or has been idle for too long.
3. `_send` writes to a `PacedStream`, which ends a client that does not read.
4. `_linger` closes in good order: it reads for a moment first, so that the answer is not lost.

An exception in any of its tasks ends only this connection and is logged once. Cancelled: the connection is aborted.
"""

from __future__ import annotations

import itertools
import math

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr, repr_socket_addr

from engine.edge.certificate import Certificate
from engine.edge.connection_limit import ConnectionLimit
from engine.edge.paced_stream import PacedStream, TooSlow
from engine.errors import Problem
from engine.http.early_refusals import answer
from engine.http.edge_log import EdgeLog, Peer, serve_peer
from engine.http.http1_protocol import ConnectionTasks, HttpProtocol
from engine.http.tls_handshake import TlsStream, shake_hands

LINGER = 5.0
"""Seconds of silence after which a client whose remaining input is discarded is taken to have its answer."""
LINGER_AT_MOST = 30.0
TURN_AWAY = 1.0
"""Seconds for telling a client that there are too many connections."""
HALF_CLOSED = 5.0
"""Seconds for which a client that has closed its side may wait for its answer; most such clients have left."""
READ_SIZE = 65536
TLS_WRITE_SIZE = 262_144
"""Octets that are encrypted at once."""


class ServerConfig(Config):
    """Hypercorn's options, and the state that all connections share."""

    write_timeout: float = 50.0
    slowest: int = 0
    certificate: Certificate | None = None
    """That of the port; None for one without TLS."""

    def __init__(self) -> None:
        super().__init__()
        self.incidents = EdgeLog()
        self.numbers = itertools.count(1)
        self.crowd = ConnectionLimit()


class ClientConnection:
    """One connection, from acceptance to its end."""

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
        self._paced = PacedStream(stream, config.write_timeout, config.slowest)
        self._tls: TlsStream | None = None
        self._sending = trio.Lock()
        self._reading = trio.CancelScope()
        """Its deadline is when the connection is closed as idle."""
        self._watching = trio.CancelScope()
        self._read_all = trio.Event()
        self._reset = False
        self._fresh = False
        """Whether it is idle and has received nothing since."""
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
            pass  # the client left at once
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
            if self._config.certificate is not None:
                self._tls = await self._secure(self._config.certificate, peer)
                if self._tls is None:
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
                    self._tls is not None,
                    client,
                    server,
                    self._handle,
                )
                nursery.start_soon(self._watch_stop)
                self._set_idle(True)
                await self._read()

    async def _secure(self, certificate: Certificate, peer: Peer) -> TlsStream | None:
        """TLS as the client begins it; until then the connection counts as mute."""
        with trio.CancelScope() as beginning:
            self._config.crowd.idle(beginning, mute=True)
            try:
                return await shake_hands(self._paced, certificate.context(), peer)
            finally:
                self._config.crowd.busy(beginning)
        return None

    async def _turn_away(self) -> None:
        if self._config.certificate is not None:
            return  # without a handshake the client would not understand
        problem = Problem(503, "There are too many connections; come back later", headers={"Retry-After": "5"})
        with trio.move_on_after(TURN_AWAY):
            await self._stream.send_all(answer(problem))

    async def _handle(self, event: Event) -> None:
        """Handle an event from the protocol."""
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            # In a new task: the current one may be an application, which is cancelled as soon as it has answered.
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
        try:
            # To acquire a lock that is free costs a turn of all tasks.
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            if self._tls is None:
                await self._paced.send_all(data)
            else:
                await self._encrypt(self._tls, data)
            return
        except TooSlow:
            self._config.crowd.close(self._stream)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._sending.release()
        await self._protocol.handle(Closed())

    async def _encrypt(self, tls: TlsStream, data: bytes) -> None:
        left = memoryview(data)
        with self._paced.transfer():
            for start in range(0, len(data), TLS_WRITE_SIZE):
                await tls.send_all(left[start : start + TLS_WRITE_SIZE])

    async def _read(self) -> None:
        try:
            with self._reading:
                while data := await self._receive():
                    if self._reading.cancel_called:
                        # Closed as idle while this arrived: process none of it, so that the client can send it again.
                        await trio.lowlevel.checkpoint()
                    if self._fresh:
                        # The time for the next request head starts now, not at the last answer.
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
            # An answer that is being sent has its own limit.
            if not limit.cancelled_caught or not self._sending.locked():
                return

    async def _receive(self) -> bytes:
        try:
            return bytes(await (self._tls or self._stream).receive_some(READ_SIZE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._reset = True
            return b""

    async def _linger(self) -> None:
        """Close, but read for a moment first: if data is unread at the close, the kernel drops the unsent answer."""
        # The reader may be waiting for an application that has answered and reads no more.
        self._reading.cancel()
        try:
            with trio.move_on_after(LINGER_AT_MOST) as lingering:
                self._config.crowd.idle(lingering)
                if self._tls is None:
                    async with self._sending:
                        await self._stream.send_eof()
                await self._read_all.wait()
                if self._tls is not None:
                    # The reader has ended: the stream is neither read nor written by another task.
                    async with self._sending:
                        await self._tls.aclose()
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
        """Close the connection at once if it is idle when the server stops."""
        with self._watching:
            await self._context.terminated.wait()
            self._stopping = True
            if self._reading.deadline < math.inf:
                self._reading.cancel()
