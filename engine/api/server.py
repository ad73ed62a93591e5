"""Serving the API over HTTP: hypercorn with the edges that hang or break filed off.

What is different from plain hypercorn: a write to a client that does not read ends after a limit and never holds up a
stop; a connection is closed with what the client still sends read for a moment, so that an early answer is not lost; an
answer given before the body was read closes the connection, since what is left of that body would be in the way of the
next request; there are at most as many connections as leave half of the descriptors to the mail servers; and whatever
is raised on a connection ends that connection alone (`edge.py`).
"""

from __future__ import annotations

import errno
import logging
import socket

import hypercorn.trio.run
import trio
from hypercorn.trio import serve
from quart import Response, request
from quart_trio import QuartTrio

from engine import config as settings
from engine.api.bodies import has_body
from engine.api.connection import ClientConnection, ServerConfig
from engine.api.refusals import MAX_HEAD
from engine.errors import ConfigError

GRACE = 1.0
MAX_WEBSOCKET_MESSAGE = 64 * 1024


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
    options = ServerConfig()
    options.bind = [f"fd://{listening.detach()}"]
    options.write_timeout = config.write_timeout
    options.keep_alive_timeout = config.keep_alive
    options.websocket_ping_interval = config.websocket_ping
    options.websocket_max_message_size = MAX_WEBSOCKET_MESSAGE
    options.include_server_header = False
    options.graceful_timeout = GRACE
    options.h11_max_incomplete_size = MAX_HEAD
    options.errorlog = logging.getLogger("engine.http")
    hypercorn.trio.run.TCPServer = ClientConnection  # type: ignore[attr-defined, assignment]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(options.incidents.run)
        await serve(app, options, shutdown_trigger=stop.wait, task_status=task_status)
        nursery.cancel_scope.cancel()


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
