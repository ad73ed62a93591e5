"""Serves the API over HTTP: hypercorn, with protection where it would hang or break.

It differs from plain hypercorn as follows:

* A write to a client that does not read is limited in time and never delays a stop.
* Before a connection is closed, the client's remaining input is read for a moment, so that an early answer is not lost.
* An answer sent before the body was read closes the connection, since the rest of the body would be taken for the next
  request.
* TLS is Trio's, if there is a certificate: it changes while the port is open, and a handshake has a deadline.
* Connections are accepted in our own loop (`listener.py`), with reserve descriptors, and give way to each other
  (`connection_limit.py`).
* An exception on a connection ends only that connection (`http1_protocol.py`).
"""

from __future__ import annotations

import logging
import socket

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import repr_socket_addr
from quart import Request, Response, request
from quart_trio import QuartTrio

from engine import config as settings
from engine.edge.certificate import Certificate
from engine.edge.listener import accept, listen
from engine.http.client_connection import ClientConnection, ServerConfig
from engine.http.control_requests import BY_OWNER
from engine.http.early_refusals import MAX_HEAD
from engine.http.request_bodies import has_body, is_complete

GRACE = 1.0
MAX_WEBSOCKET_MESSAGE = 64 * 1024


async def serve_http(
    app: QuartTrio,
    config: settings.Http,
    *,
    stop: trio.Event,
    control: socket.socket | None = None,
    listener: trio.SocketListener | None = None,
    certificate: Certificate | None = None,
    connections: int | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` until `stop` is set, then return within about two seconds, whatever clients do.

    Callers on the listening socket `control` count as the engine's owner (`control_requests.py`). `listener` is a
    socket from `listen`, opened here if it is None; with a `certificate` it speaks TLS. `connections` is the most at
    once, where that is less than the descriptors allow. `task_status` gets the list of URLs, with the real port for
    port 0. Raises `ConfigError` if it cannot listen. Cancelled: connections are aborted.
    """
    app.config["BODY_TIMEOUT"] = config.body_timeout
    app.config["MAX_CONTENT_LENGTH"] = config.max_body
    app.config["RESPONSE_TIMEOUT"] = None
    listener = listener or listen(config)
    options, owners = _options(config), _options(config)
    options.certificate = certificate
    if connections is not None:
        options.crowd.most = min(options.crowd.most, connections)
    wrapped, context = ASGIWrapper(app), WorkerContext(None)
    lifespan = Lifespan(wrapped, options, {})

    async def serve(stream: trio.SocketStream) -> None:
        await ClientConnection(wrapped, options, context, ConnectionState({}), stream).run()

    async def serve_owner(stream: trio.SocketStream) -> None:
        await ClientConnection(wrapped, owners, context, ConnectionState({BY_OWNER: True}), stream).run()

    async with trio.open_nursery() as around:
        around.start_soon(options.incidents.run)
        around.start_soon(owners.incidents.run)
        await around.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        async with trio.open_nursery() as serving:
            async with trio.open_nursery() as accepting:
                await accepting.start(accept, listener, serve, options.crowd, serving)
                if control is not None:
                    door = trio.SocketListener(trio.socket.from_stdlib_socket(control))
                    await accepting.start(accept, door, serve_owner, owners.crowd, serving)
                task_status.started([url_of(listener, tls=certificate is not None)])
                await stop.wait()
                accepting.cancel_scope.cancel()
            await context.terminated.set()
            serving.cancel_scope.deadline = trio.current_time() + GRACE
        options.crowd.spare.close()
        owners.crowd.spare.close()
        await lifespan.wait_for_shutdown()
        around.cancel_scope.cancel()


def _options(config: settings.Http) -> ServerConfig:
    options = ServerConfig()
    options.write_timeout = config.write_timeout
    options.slowest = config.slowest
    options.keep_alive_timeout = config.keep_alive
    options.websocket_ping_interval = config.websocket_ping
    options.websocket_max_message_size = MAX_WEBSOCKET_MESSAGE
    options.include_server_header = False
    options.h11_max_incomplete_size = MAX_HEAD
    options.errorlog = logging.getLogger("engine.http")
    return options


def url_of(listener: trio.SocketListener, *, tls: bool) -> str:
    """The URL of the API at this socket."""
    sock = listener.socket
    return f"{'https' if tls else 'http'}://{repr_socket_addr(sock.family, sock.getsockname())}"


def install(app: QuartTrio) -> None:
    """Make `app` close a connection on which it answered before it had read the whole body."""

    async def after(response: Response) -> Response:
        return close_if_unread(request, response)

    app.after_request(after)


def close_if_unread(asked: Request, response: Response) -> Response:
    """Have the connection closed with this answer, if the body of the request is not read."""
    # `_must_raise` is set once Quart stops storing a body that is too long.
    if (not is_complete(asked) or asked.body._must_raise is not None) and has_body(asked):
        response.headers["Connection"] = "close"
    return response
