"""Logs what goes wrong at the HTTP edge: one line for each request, and a bounded number of lines.

An invalid request is logged as a warning. A fault of ours is logged as an error with the place of the fault, and its
traceback at level `debug`. At most `LINES` of each are written in `WINDOW` seconds; further ones are counted and
reported in one line, so that a flood of bad connections cannot fill the disk. Text from outside is escaped and cut.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import PurePath

import quart.wrappers.base
import trio
from quart import has_request_context, request

from engine.errors import leaves
from engine.log import concerns

log = logging.getLogger("engine.http")

REFERENCE = "X-Request-Id"
"""The header of an answer that names the line about it in the log."""
LINES = 20
WINDOW = 60.0
LONGEST = 200
"""Maximum characters of text from outside in one line."""

# Newer versions of Quart raise an error of their own if a body breaks off.
_BROKE_OFF = getattr(quart.wrappers.base, "ClientDisconnectedError", trio.BrokenResourceError)
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, _BROKE_OFF)
_LEFT = (OSError, *_BROKEN)


class EdgeLog:
    """Counts the lines of the current window. `run` reports those not written."""

    def __init__(self) -> None:
        self._written: Counter[int] = Counter()

    async def run(self) -> None:
        """Start a new window every `WINDOW` seconds, until cancelled."""
        try:
            while True:
                await trio.sleep(WINDOW)
                self.next_window()
        finally:
            self.next_window()

    def next_window(self) -> None:
        """Report how many lines were not written, and start over."""
        for level, count in self._written.items():
            if count > LINES:
                what = "were refused" if level == logging.WARNING else "ended by a fault"
                log.log(level, "%d more connections %s within %d s", count - LINES, what, WINDOW)
        self._written.clear()

    def tell(self, level: int, request: str, text: str, *arguments: object) -> None:
        """Write one line about a request, unless the window is full."""
        self._written[level] += 1
        if self._written[level] <= LINES:
            log.log(level, text, *arguments, extra={"request": request})


class Peer:
    """The other side of one connection. Of the faults in one of its requests, only the first is logged."""

    def __init__(self, address: str, connection: int, incidents: EdgeLog) -> None:
        self.requests = 0
        self._address = address
        self._connection = connection
        self._incidents = incidents
        self._told_of = -1

    def __str__(self) -> str:
        return self._address

    @property
    def request(self) -> str:
        """The name of the current request in the log."""
        return f"{self._connection:x}.{self.requests}"

    def refused(self, status: int, why: str) -> None:
        """Log that it sent an invalid request or frame and was answered with `status`."""
        if self._is_first():
            self._incidents.tell(
                logging.WARNING, self.request, "%s: refused with %d: %s", str(self), status, escaped(why)
            )

    def broke(self, error: BaseException, operation: str | None = None) -> None:
        """Log that an unexpected `error` ended its request, unless the error only means that the client left.

        `operation`: what it asked for, where that has begun. There an `OSError` is of the engine's own files and
        sockets; outside of it, of this connection.
        """
        left = _LEFT if operation is None else _BROKEN
        faults = [each for each in leaves(error) if not isinstance(each, left)]
        if faults and self._is_first():
            what = f"{self}: {operation}" if operation else f"{self}:"
            self._incidents.tell(logging.ERROR, self.request, "%s ended by %s", what, described(faults[0]))

    def _is_first(self) -> bool:
        first, self._told_of = self._told_of != self.requests, self.requests
        return first

    @contextmanager
    def contained(self) -> Iterator[None]:
        """Let no error out of the block; log it instead."""
        try:
            yield
        except Exception as error:
            log.debug("%s: broken", self, exc_info=True)
            self.broke(error)
        except BaseExceptionGroup as group:
            errors, others = group.split(Exception)
            if errors is not None:
                log.debug("%s: broken", self, exc_info=True)
                self.broke(errors)
            if others is not None:
                raise others from None


_current: ContextVar[Peer] = ContextVar("peer")


def serve_peer(peer: Peer) -> None:
    """Note that the current task, and all tasks it starts, serve `peer`."""
    _current.set(peer)
    concerns(request=lambda: peer.request)


def request_broke(error: BaseException) -> dict[str, str]:
    """Log that `error` ended the current request; return the reference by which its caller can find the log line."""
    peer = _current.get(None)
    if peer is None:
        log.error("a request ended by %s", described(error), exc_info=error)
        return {}
    log.debug("%s: broken", peer, exc_info=error)
    peer.broke(error, _operation())
    return {REFERENCE: peer.request}


def _operation() -> str:
    """What the current request asks for: method and path, with the names of the ids in it; empty if that is unknown."""
    if not has_request_context() or request.url_rule is None:
        return ""
    return f"{request.method} {request.url_rule.rule}"


def current_peer() -> Peer:
    """The peer that the current task serves. Raises `LookupError` outside a connection."""
    return _current.get()


def described(error: BaseException) -> str:
    """`error` in one line: its type, its text, and the place where it was raised."""
    text = f"{type(error).__name__}: {escaped(str(error))}"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return text
    last = frames[-1]
    return f"{text} ({'/'.join(PurePath(last.filename).parts[-3:])}:{last.lineno} in {last.name})"


def escaped(text: str) -> str:
    """At most `LONGEST` characters of `text`, as printable ASCII in one line."""
    return ascii(text[:LONGEST])[1:-1] + (" ..." if len(text) > LONGEST else "")
