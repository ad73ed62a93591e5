"""HTTP/1.1 from untrusted clients: hypercorn's protocol, but stricter, and with each connection isolated.

1. Only HTTP/1.0 and 1.1 are spoken: the preface of HTTP/2 is refused and `Upgrade: h2c` is ignored.
2. Some requests that h11 accepts are refused before the application sees them (`request_head.py`).
3. A refusal is JSON in the API's shape, with a reason phrase, and closes the connection (`early_refusals.py`).
4. Bytes after a websocket's handshake wait until the handshake is answered.
5. Any other fault, in the protocol or in the application, is logged once (`edge_log.py`) and ends only this connection.

Cancelled: the connection is aborted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, Data, EndBody, Request, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11SendableEvent, H11WSConnection
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import AppWrapper, ConnectionState, Scope

from engine.errors import Problem
from engine.http.early_refusals import INTERNAL, Refused, answer, misread, send_error
from engine.http.edge_log import Peer
from engine.http.inbox import INBOX, Inbox
from engine.http.problems import phrase
from engine.http.request_bodies import GO_ON
from engine.http.request_head import checked, handshake, path_of, wants_websocket
from engine.http.websockets import EventWebsocket

HTTPS_FROM_NOW_ON = (b"strict-transport-security", b"max-age=31536000")
"""What a port with TLS tells browsers for a year: this host is not asked in clear text (RFC 6797)."""


class HttpProtocol(H11Protocol):
    """The requests of one connection, one after another."""

    def __init__(self, peer: Peer, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._peer = peer
        assert isinstance(self.connection, h11.Connection)
        self._http = self.connection
        self._over = False
        self._answered = trio.Event()
        self._answered.set()
        self._endless = False
        self._head = b""
        """The head of an answer whose body has not begun."""
        self._deaf = False
        """An endless answer has begun, so input after its request will never be read."""

    async def handle(self, event: Event) -> None:
        """Handle input, or the end of the connection."""
        if isinstance(event, RawData):
            if self._over or self._deaf or self._has_said_all():
                return
            if event.data and self._http.their_state is h11.IDLE and not self._http.trailing_data[0]:
                # Empty lines before a request are ignored (RFC 9112 section 2.2).
                event = RawData(event.data.lstrip(b"\r\n"))
                if not event.data:
                    return
        if isinstance(event, Closed):
            # The reader may be waiting for the end of an answer that was abandoned.
            self._over = True
            self._answered.set()
            await self.can_read.set()
        problem = Problem(500, INTERNAL)
        with self._peer.contained():
            try:
                await super().handle(event)
                return
            except Refused as refused:
                # A client that leaves in the middle of its request is not worth a log line.
                if not self._http.trailing_data[1]:
                    self._peer.refused(refused.problem.status, str(refused))
                problem = refused.problem
        await self._refuse(problem)

    async def answered(self) -> None:
        """Return once the current request is answered, at once if its answer is endless."""
        if not self._endless:
            await self._answered.wait()

    async def give_up(self) -> bool:
        """Refuse a request whose head has begun but is not completed; False if none has begun."""
        if self._http.their_state is not h11.IDLE or not self._http.trailing_data[0]:
            return False
        problem = Problem(408, "The head of the request did not arrive in time")
        self._peer.refused(problem.status, problem.message)
        await self._refuse(problem)
        return True

    async def stream_send(self, event: StreamEvent) -> None:
        """Send an event of the application."""
        if self._over:
            return
        if not isinstance(event, Response):
            await super().stream_send(event)
            return
        fields = list(event.headers)
        kind: type[h11.Response | h11.InformationalResponse] = h11.InformationalResponse
        if event.status_code >= 200:
            kind = h11.Response
            self._endless = not any(name.lower() == b"content-length" for name, _ in fields)
            if self._endless:
                self._deaf = True
                await self.can_read.set()
            used_up = self.keep_alive_requests >= self.config.keep_alive_max_requests
            if self._deaf or used_up or self.connection is not self._http:
                fields.append((b"connection", b"close"))
            if self.ssl:
                fields.append(HTTPS_FROM_NOW_ON)
        reason = phrase(event.status_code).encode()
        await self._send_h11_event(kind(status_code=event.status_code, reason=reason, headers=fields))

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """Send what `event` is on the wire; a head that is followed by a body of known length goes out with it."""
        try:
            data = self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response) and self.connection is self._http and not self._endless:
            self._head = data
            return
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            await self.send(RawData(data=data))

    async def _handle_events(self) -> None:
        while not self._over and not self._has_said_all():
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as error:
                raise misread(error, in_body=self.stream is not None) from error
            if isinstance(event, h11.Request):
                self._peer.requests += 1
                await self.send(Updated(idle=False))
                await self._create_stream(event)
            elif event is h11.PAUSED:
                await self.can_read.clear()
                await self.can_read.wait()
                if self._deaf:
                    return
            elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed) or self.stream is None:
                return
            elif isinstance(event, h11.Data):
                await self.stream.handle(Body(stream_id=STREAM_ID, data=event.data))
            elif isinstance(event, h11.EndOfMessage):
                await self.stream.handle(EndBody(stream_id=STREAM_ID))
            elif isinstance(event, Data):
                await self.stream.handle(event)

    def _has_said_all(self) -> bool:
        """Whether the client has marked its current request as the last, and that is read completely."""
        return self.connection is self._http and self._http.their_state in (h11.MUST_CLOSE, h11.CLOSED)

    async def _create_stream(self, request: h11.Request) -> None:
        fields, path = checked(request), path_of(request)
        websocket = wants_websocket(request, fields)
        if websocket:
            fields = handshake(fields)
            self.connection = H11WSConnection(self._http)
        self._answered = trio.Event()
        self._endless = websocket
        kind = EventWebsocket if websocket else _Exchange
        self.stream = kind(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=fields,
                http_version=request.http_version.decode(),
                # As sent: methods are case-sensitive, and h11 frames the answer by the method.
                method=request.method.decode(),
                raw_path=path,
                state=ConnectionState({**self.connection_state, GO_ON: self._go_on}),
            )
        )
        self.keep_alive_requests += 1
        if isinstance(self.stream, EventWebsocket):
            await self.stream.answered.wait()

    async def _go_on(self) -> None:
        """Send `100 Continue` to a client that waits for it (RFC 9110 section 10.1.1)."""
        if self._http.they_are_waiting_for_100_continue:
            await self._send_h11_event(h11.InformationalResponse(status_code=100, reason=b"Continue", headers=[]))

    async def _maybe_recycle(self) -> None:
        self._answered.set()
        await super()._maybe_recycle()

    async def _refuse(self, problem: Problem) -> None:
        """Answer unless an answer has begun, and close."""
        begun = self._over or self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE)
        self._over = True
        if not begun:
            await self.send(RawData(data=answer(problem, with_body=self._http._request_method != b"HEAD")))
        self._answered.set()
        await self.send(Closed())


class _Exchange(HTTPStream):
    """One request and its answer."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.app_put = _nobody

    async def app_send(self, message: Any) -> None:
        if message is not None and (self.closed or self.state is ASGIHTTPState.CLOSED):
            # An application that sends after the end must still notice its cancellation.
            await trio.lowlevel.checkpoint()
            return
        await super().app_send(message)
        if message is not None and message["type"] == "http.response.start" and self.scope["method"] == "HEAD":
            # An answer without a body is complete now; a stream's body would have no end.
            await super().app_send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_error_response(self, status_code: int) -> None:
        await send_error(self, status_code, with_body=self.scope["method"] != "HEAD")
        self.state = ASGIHTTPState.CLOSED


async def _nobody(_: Any) -> None:
    """Discards what the client sends before there is an application."""


class ConnectionTasks:
    """The tasks of one connection, started through hypercorn's interface in the connection's own nursery."""

    def __init__(self, nursery: trio.Nursery, peer: Peer) -> None:
        self._nursery = nursery
        self._peer = peer

    def spawn(self, task: Callable[..., Awaitable[object]], *arguments: object) -> None:
        """Run `task` alongside the others."""
        self._nursery.start_soon(task, *arguments)

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        """Run the application for one request; return the function that passes it the client's input."""
        if scope["type"] == "http":
            inbox = Inbox()
            scope["state"][INBOX] = inbox
            self._nursery.start_soon(self._run, app, scope, inbox, inbox.receive, send)
            return inbox.put
        outbox, frames = trio.open_memory_channel[Any](config.max_app_queue_size)

        async def put(message: Any) -> None:
            try:
                await outbox.send(message)
            except trio.BrokenResourceError:
                pass  # the application has ended and reads no more

        self._nursery.start_soon(self._run, app, scope, frames, frames.receive, send)
        return put

    async def _run(
        self,
        app: AppWrapper,
        scope: Scope,
        inbox: Inbox | trio.MemoryReceiveChannel[Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        with inbox, self._peer.contained():
            await app(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
        await send(None)
