"""Tells a service manager such as systemd that the engine is ready, reloads, stops, and is alive.

Each message is one datagram to the socket that `NOTIFY_SOCKET` names (sd_notify(3)); without it nothing is sent. A
message that cannot be delivered is logged once and costs nothing else: the manager then acts as its unit says.

With `WATCHDOG_USEC`, the engine says twice in that time that it is alive, but only while Trio's loop runs and the
store's writer makes progress. Waiting for room, for a lock or for a lost journal is progress: a restart would not help.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import trio

log = logging.getLogger("engine")

SEND_SECONDS = 5.0
"""How long a message may wait for a manager that does not read."""
ABSTRACT = "@"


class ServiceManager:
    """The manager that `environ` names, if any. All methods take at most `SEND_SECONDS` and raise nothing."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds = _watchdog_seconds(environ) if self._address is not None else None
        self._complained = False

    async def ready(self, status: str) -> None:
        """The engine serves; `status` is shown to people. Ends a reload, too."""
        await self._tell("READY=1", f"STATUS={status}")

    async def reloading(self) -> None:
        """The engine reads its configuration again. The manager compares the time with its own clock."""
        await self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    async def stopping(self) -> None:
        """The engine stops in order."""
        await self._tell("STOPPING=1", "STATUS=stopping")

    async def keep_alive(self, stalled: Callable[[], float]) -> None:
        """Report being alive until cancelled, while `stalled()` (seconds) is at most half the manager's patience."""
        if self.watchdog_seconds is None:
            return
        every = self.watchdog_seconds / 2
        while True:
            if stalled() < every:
                await self._tell("WATCHDOG=1")
            await trio.sleep(every)

    async def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with trio.fail_after(SEND_SECONDS), trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as sock:
                # Connected, since the kernel calls any other datagram socket writable even if the manager is full.
                await sock.connect(self._address)
                await sock.send("\n".join(lines).encode())
        except (OSError, trio.TooSlowError) as error:
            if not self._complained:
                self._complained = True
                reason = getattr(error, "strerror", None) or "it does not read"
                log.warning("the service manager at NOTIFY_SOCKET cannot be reached: %s", reason)


def _address(text: str) -> str | None:
    """The address of a socket in a file or, after an `@`, in Linux's abstract namespace."""
    if text.startswith(ABSTRACT):
        return "\0" + text.removeprefix(ABSTRACT)
    if Path(text).is_absolute():
        return text
    if text:
        log.warning("NOTIFY_SOCKET is neither a path nor an abstract socket, so no service manager is told anything")
    return None


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """How long the manager waits for a sign of life; None if it does not wait, or waits for another process."""
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return None
    return int(text) / 1e6 if text.isdecimal() and int(text) else None
