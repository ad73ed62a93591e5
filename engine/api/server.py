"""Serving the API over HTTP: hypercorn with the edges that hang filed off.

What is different from plain hypercorn: a write to a client that does not read ends after a limit and never holds up a
stop; a connection is closed with what the client still sends read for a moment, so that an early answer is not lost; an
answer given before the body was read closes the connection, since what is left of that body would be in the way of the
next request.
"""

from __future__ import annotations

import errno
import logging
import socket

import hypercorn.trio.run
import trio
from hypercorn.config import Config as HypercornConfig
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio import serve
from hypercorn.trio.tcp_server import TCPServer
from quart import Response, request
from quart_trio import QuartTrio

from engine import config as settings
from engine.api import websockets
from engine.api.bodies import has_body
from engine.errors import ConfigError

GRACE = 1.0
LINGER = 1.0
MAX_HEADERS = 32 * 1024
MAX_WEBSOCKET_MESSAGE = 64 * 1024


class _Config(HypercornConfig):
    write_timeout: float = 30.0


class _TCPServer(TCPServer):
    """One connection, whose writes have a limit and whose end is an orderly one."""

    config: _Config

    async def run(self) -> None:
        self._reading = trio.CancelScope()
        self._read_all = trio.Event()
        self._lingering = False
        await super().run()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            # A task of its own: the one at hand may be an application that is cancelled as soon as it has answered.
            if not self._lingering:
                self._lingering = True
                self._task_group.spawn(self._linger)
            await self.protocol.handle(Closed())
        elif not (isinstance(event, Updated) and self._read_all.is_set()):
            await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        async with self.send_lock:
            try:
                with trio.fail_after(self.config.write_timeout):
                    await self.stream.send_all(data)
                return
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            except trio.TooSlowError:
                await trio.aclose_forcefully(self.stream)
        await self.protocol.handle(Closed())

    async def _read_data(self) -> None:
        try:
            with self._reading:
                await super()._read_data()
        finally:
            self._read_all.set()
        # A client that has said all it has to say is not waited for: it would hold its descriptor like an idle one.
        await self.idle_task.stop()

    async def _linger(self) -> None:
        """Close, but read for a moment first: closing over unread data makes the kernel drop the answer on its way."""
        # The reader may be waiting for an application that has answered and takes no more.
        self._reading.cancel()
        try:
            with trio.move_on_after(LINGER):
                async with self.send_lock:
                    await self.stream.send_eof()
                await self._read_all.wait()
                while await self.stream.receive_some(65536):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await self._close()

    async def _close(self) -> None:
        await trio.aclose_forcefully(self.stream)


async def serve_http(
    app: QuartTrio,
    config: settings.Http,
    *,
    stop: trio.Event,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` until `stop` is set, then return within about two seconds whatever clients do.

    Starts with the list of URLs bound (port 0 is replaced by the real one). Raises `ConfigError` when it cannot listen.
    Cancelled: connections are cut.
    """
    app.config["BODY_TIMEOUT"] = config.body_timeout
    app.config["MAX_CONTENT_LENGTH"] = config.max_body
    app.config["RESPONSE_TIMEOUT"] = None
    listening = _listen(config)
    options = _Config()
    options.bind = [f"fd://{listening.detach()}"]
    options.write_timeout = config.write_timeout
    options.keep_alive_timeout = config.keep_alive
    options.websocket_ping_interval = config.websocket_ping
    options.websocket_max_message_size = MAX_WEBSOCKET_MESSAGE
    options.include_server_header = False
    options.graceful_timeout = GRACE
    options.h11_max_incomplete_size = MAX_HEADERS
    options.errorlog = logging.getLogger("engine.http")
    hypercorn.trio.run.TCPServer = _TCPServer  # type: ignore[attr-defined]
    websockets.install()
    await serve(app, options, shutdown_trigger=stop.wait, task_status=task_status)


def install(app: QuartTrio) -> None:
    """Have `app` close a connection on which it answered before it had read the whole body."""
    app.after_request(_close_if_unread)


async def _close_if_unread(response: Response) -> Response:
    # Quart has no public way to ask; `_must_raise` is set when it stopped keeping a body that is too long.
    body = request.body
    if has_body(request) and (not body._complete.is_set() or body._must_raise is not None):
        response.headers["Connection"] = "close"
    return response


def _listen(config: settings.Http) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"http.port {config.port} on {config.host} is taken by another program") from error
        raise ConfigError(f"http.host {config.host} cannot be listened on: {error.strerror}") from error
