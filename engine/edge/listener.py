"""Accepts connections from the listening socket, even when the process has no descriptor left.

A few descriptors are held in reserve. If accepting fails for lack of one, a reserve descriptor is released for the
connection and taken back when a connection ends, so `/health` answers although mail servers or files use all the
others. If no reserve is left, the connection that has been idle for longest is closed, mute ones first, and accepting
is repeated a moment later. At most one log line a minute says so.

Accepted connections inherit socket options from the listening socket, by which the kernel notices a vanished client a
few seconds after `http.write_timeout`. The time runs from the client's last packet if nothing is being sent to it, else
from the first byte that it has not acknowledged. A byte sent just before the end of the first time starts the second,
so the sum of both is the longest.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

import trio

from engine import config as settings
from engine.edge.connection_limit import ConnectionLimit
from engine.errors import ConfigError
from engine.store.files import user_name

log = logging.getLogger("engine.http")

PAUSE = 0.1
"""Seconds until the next attempt if no descriptor was available."""
TOLD_EVERY = 60.0
BACKLOG = 1024

LONGER = 5.0
"""Seconds by which the kernel waits longer than `http.write_timeout`: to it, a full receive window is silence too."""
LONGEST = 50.0
"""Seconds used if `http.write_timeout` is 0, so that a vanished client is still noticed."""
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 25), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""Seconds, seconds, and probes."""
_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def listen(config: settings.Http) -> trio.SocketListener:
    """The listening socket of the API. Raises `ConfigError` if it cannot be opened."""
    return listen_at(config.host, config.port, "http.port", config.write_timeout)


def listen_at(host: str, port: int, key: str, write_timeout: float) -> trio.SocketListener:
    """A listening socket. `key` names the port in the configuration. Raises `ConfigError` if it cannot be opened."""
    listening = opened(host, port, key)
    unacknowledged = min(int(((write_timeout or LONGEST) + LONGER) * 1000), 2**31 - 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (*_KEEP_ALIVE, (socket.TCP_USER_TIMEOUT, unacknowledged)):
        listening.setsockopt(socket.IPPROTO_TCP, option, value)
    listening.setblocking(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


def opened(host: str, port: int, key: str) -> socket.socket:
    """The bare socket, for code outside Trio that only tests whether it can be opened. Raises `ConfigError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"{key} {port} on {host} is in use by another program") from error
        if error.errno == errno.EACCES:
            raise ConfigError(f"{key} {port} {privileged_port()}") from error
        section = key.partition(".")[0]
        raise ConfigError(f"{section}.host {host} cannot be used for listening: {error.strerror}") from error


def privileged_port() -> str:
    """The error text for a port that this user may not listen on, with what to do."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="ascii"))
    except (OSError, ValueError):
        first = 1024
    return (
        f"may not be listened on by user {user_name(os.geteuid())}: take one from {first} on and let a reverse proxy "
        "have this one, or give the process the capability CAP_NET_BIND_SERVICE"
    )


async def accept(
    listener: trio.SocketListener,
    serve: Callable[[trio.SocketStream], Awaitable[None]],
    crowd: ConnectionLimit,
    nursery: trio.Nursery,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Run `serve` in `nursery` for each connection, until cancelled; then the socket is closed."""
    told = -math.inf

    async def run(stream: trio.SocketStream) -> None:
        try:
            await serve(stream)
        finally:
            crowd.close(stream)

    async with listener:
        task_status.started()
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in _NONE_LEFT:
                    raise
                # The kernel fails for lack of a descriptor even if no connection waits, so wait for one.
                await trio.lowlevel.wait_readable(listener.socket)
                if trio.current_time() - told >= TOLD_EVERY:
                    told = trio.current_time()
                    log.error("no file descriptor is left for a connection (%s)", error.strerror)
                if not crowd.spare.give():
                    crowd.give_way()
                    await trio.sleep(PAUSE)
            else:
                nursery.start_soon(run, stream)
