"""Webhooks: every event of the journal, posted in order to the URL in the settings.

One endpoint is a cursor over the journal. An event counts as delivered when the receiver answered 2xx; until then it is
posted again by the schedule, and when that is spent it is left behind with a warning so that it does not hold up what
follows. 410 stops the endpoint until it is configured again. Delivery is at least once: the cursor is written at most a
second or a hundred events late, and an event posted just before a crash or a change of the settings may come again.

The body is the journal's bytes. Redirects are not followed and no proxy is read from the environment.
"""

from __future__ import annotations

import base64
import logging
import math
import ssl
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import msgspec
import trio

from engine import config
from engine.errors import EngineError, StorageFull
from engine.events import egress
from engine.events.journal import Journal
from engine.store import events as event_table
from engine.store.writer import Store
from engine.version import VERSION
from engine.world import World

if TYPE_CHECKING:
    from httpcore2 import AsyncConnectionPool

log = logging.getLogger("engine.webhooks")

CURSOR = "default"
PAGE = 100
COMMIT_EVERY = 1.0
MAX_RESPONSE = 1024
MAX_RETRY_AFTER = 3600.0

_USER_AGENT = f"mailbox-engine/{VERSION}"


class _Target(msgspec.Struct, frozen=True):
    """Where to post: the parts of the URL, the headers that do not change, the event names (None: all)."""

    scheme: str
    host: str
    port: int | None
    path: str
    headers: tuple[tuple[str, str], ...]
    names: frozenset[str] | None


class _Answer(msgspec.Struct, frozen=True):
    """How a post went. `status` is None when there was no answer; `retry_after` is in seconds."""

    status: int | None
    text: str
    retry_after: float | None = None

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class _EventId(msgspec.Struct):
    event_id: str = msgspec.field(name="eventId")


class Webhooks:
    """The service that posts events. `configure` says where to; until then `run` only waits."""

    def __init__(self, journal: Journal, store: Store, config: config.Webhooks, world: World) -> None:
        self._journal = journal
        self._store = store
        self._config = config
        self._world = world
        self._target: _Target | None = None
        self._round = trio.CancelScope()
        self._pool: AsyncConnectionPool | None = None
        self._position = 0
        self._committed = event_table.cursor(store.reader, CURSOR)
        self._committed_at = 0.0
        if self._committed is not None:
            self._position = self._committed

    def configure(self, url: str | None, enabled: bool, events: list[str]) -> None:
        """Post events with these names (`*`: all) to `url` from now on, at once; none or not enabled: stop.

        The first time ever, only events from now on are posted. A URL that cannot be used is logged and stops posting.
        """
        self._target = None
        if url and enabled:
            try:
                self._target = _parse(url, events)
            except ValueError as error:
                log.warning("webhooks are off: the URL cannot be used: %s", error)
        if self._target is not None and self._committed is None and self._position == 0:
            self._position = self._journal.last
        self._round.cancel()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Post until cancelled. Raises `StorageFailed` when the journal cannot be written.

        Cancelled: a post in flight is cut and may be made again after a restart; the cursor still goes to the store.
        """
        task_status.started()
        try:
            while True:
                with trio.CancelScope() as self._round:
                    if self._target is None:
                        await trio.sleep_forever()
                    else:
                        await self._follow(self._target)
        finally:
            if not self._store.failed and self._dirty:
                await self._commit()

    @property
    def _dirty(self) -> bool:
        return self._committed != self._position and (self._committed is not None or self._target is not None)

    async def _follow(self, target: _Target) -> None:
        """Post events to `target` until it says 410."""
        try:
            if self._committed is None:
                await self._commit()
            while self._target is target:
                last = self._journal.last
                page = self._journal.read(self._position, PAGE, names=target.names)
                for seq, _, body in page:
                    if not await self._deliver(target, seq, body):
                        return
                    self._position = seq
                    if trio.current_time() >= self._committed_at + COMMIT_EVERY:
                        await self._commit()
                if len(page) == PAGE and self._dirty:
                    await self._commit()
                if page:
                    continue
                # What the filter leaves out is behind us too.
                self._position = max(self._position, last)
                with trio.move_on_at(self._committed_at + COMMIT_EVERY if self._dirty else math.inf):
                    await self._journal.wait_for_more(self._position)
                    continue
                await self._commit()
        finally:
            if self._pool is not None:
                pool, self._pool = self._pool, None
                await pool.aclose()

    async def _commit(self) -> None:
        before, position = self._committed, self._position
        # Taken as written once handed in: a cancelled commit is still made.
        self._committed = position
        self._committed_at = trio.current_time()
        try:
            await self._store.commit(lambda tx: event_table.move_cursor(tx, CURSOR, position))
        except StorageFull:
            self._committed = before

    async def _deliver(self, target: _Target, seq: int, body: bytes) -> bool:
        """Post one event until it is taken or its schedule is spent; False when the receiver is gone (410)."""
        for attempt, pause in enumerate((*self._config.schedule, None)):
            answer = await self._post(target, seq, body, attempt)
            if answer.taken:
                return True
            if answer.status == 410:
                log.warning("webhooks are off until they are configured again: event %d was answered 410 Gone", seq)
                self._target = None
                return False
            if pause is not None:
                log.info("event %d was not taken (attempt %d): %s", seq, attempt + 1, answer.text)
                if self._dirty:
                    await self._commit()
                await trio.sleep(pause if answer.retry_after is None else answer.retry_after)
        log.warning("event %d is left behind after %d attempts: %s", seq, attempt + 1, answer.text)
        return True

    async def _post(self, target: _Target, seq: int, body: bytes, attempts: int) -> _Answer:
        """Post once. Every way it can fail on the way there or back is an answer without status."""
        import httpcore2

        if self._pool is None:
            self._pool = httpcore2.AsyncConnectionPool(
                ssl_context=ssl.create_default_context() if target.scheme == "https" else None,
                max_connections=1,
                keepalive_expiry=30.0,
                network_backend=egress.network_backend(allow_private=self._config.allow_private),
            )
        headers = [
            *target.headers,
            ("Content-Length", str(len(body))),
            ("X-EE-Wh-Event-Id", msgspec.json.decode(body, type=_EventId).event_id),
            ("X-EE-Wh-Id", str(seq)),
            ("X-EE-Wh-Attempts-Made", str(attempts)),
        ]
        url = httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        try:
            with trio.move_on_after(self._config.timeout):
                async with self._pool.stream("POST", url, headers=headers, content=body) as response:
                    received = 0
                    async for chunk in response.aiter_stream():
                        received += len(chunk)
                        if received > MAX_RESPONSE:
                            break
                    retry_after = self._retry_after(response.headers) if response.status in (429, 503) else None
                    return _Answer(response.status, f"the answer was {response.status}", retry_after)
        except EngineError as refused:
            return _Answer(None, str(refused))
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.TimeoutException,
            httpcore2.UnsupportedProtocol,
        ) as error:
            return _Answer(None, f"{type(error).__name__}: {error}")
        return _Answer(None, f"no answer within {self._config.timeout:g} seconds")

    def _retry_after(self, headers: Iterable[tuple[bytes, bytes]]) -> float | None:
        """Seconds to wait by the `Retry-After` header (RFC 9110 section 10.2.3), None without a valid one."""
        for name, value in headers:
            if name.lower() != b"retry-after":
                continue
            text = value.decode("latin-1").strip()
            try:
                seconds = float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - self._world.now()
            except ValueError:
                return None
            return min(max(seconds, 0.0), MAX_RETRY_AFTER)
        return None


def _parse(url: str, events: list[str]) -> _Target:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be an http or https URL with a host")
    host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
    shown = f"[{host}]" if ":" in host else host
    headers = [
        ("Host", shown if parts.port is None else f"{shown}:{parts.port}"),
        ("Content-Type", "application/json"),
        ("User-Agent", _USER_AGENT),
    ]
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers.append(("Authorization", f"Basic {base64.b64encode(secret).decode()}"))
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (
        f"?{quote(parts.query, safe=_QUERY)}" if parts.query else ""
    )
    return _Target(
        scheme=parts.scheme,
        host=host,
        port=parts.port,
        path=path,
        headers=tuple(headers),
        names=None if "*" in events else frozenset(events),
    )


_QUERY = "/?%:@!$&'()*+,;=~[]"
