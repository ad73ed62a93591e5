"""`/admin/stream`: which blocks of a page have changed, as server-sent events, at most one a second.

An event `changed` names topics, separated by blanks; the page requests the blocks about one of them again:

* the noun of each new event of the journal: `message` of `messageSent`, `account`, `mailbox` ...
* `account`: an account has another state.
* `data`: anything was written to the journal.
* `tick`: half a minute has passed.

The stream ends with its session.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

import trio
from quart import Response

from engine.api.context import Context
from engine.errors import Problem
from engine.http import sse
from engine.http.html_pages import PageRequest
from engine.store import database, web_sessions
from engine.web.people import People, SignedIn

PAUSE = 1.0
TICK = 30.0
MOST_READ = 200
"""Maximum events that a stream examines one by one; beyond that, all topics count as changed."""
_NOUN = re.compile("[a-z]+")
_ABOUT_ACCOUNTS = {"authentication", "connect"}
EVERYTHING = frozenset({"account", "message", "mailbox", "webhook", "export", "list", "track", "data"})


class Streaming:
    """The streams of one engine's pages."""

    def __init__(self, context: Context, people: People) -> None:
        self._context = context
        self._people = people

    async def stream(self, asked: PageRequest) -> Response:
        """One stream. Raises `Problem` 401 without a session, 429, 503."""
        who = self._people.of(asked.cookies)
        if who is None:
            raise Problem(401, "Sign in first")
        return sse.stream(self._context.streams.share, who.caller, self._frames(who))

    async def _frames(self, who: SignedIn) -> AsyncGenerator[bytes, None]:
        context, store = self._context, self._context.store
        yield b"retry: %d\n" % sse.RETRY + sse.GREETING
        position, version = context.streams.journal.last, self._version()
        tick = silent = trio.current_time()
        with context.changes.watching(None) as watcher:
            while not context.stopping.is_set():
                with trio.move_on_after(PAUSE):
                    await context.stopping.wait()
                now = trio.current_time()
                if not web_sessions.lasts(store.reader, who.session.hash, context.world.now()):
                    return
                topics = self._happened(position) | ({"account"} if watcher.take_now() else set())
                position = context.streams.journal.last
                version, before = self._version(), version
                if version != before:
                    topics.add("data")
                if now - tick >= TICK:
                    tick = now
                    topics.add("tick")
                if topics:
                    silent = now
                    yield b"event: changed\ndata: %b\n\n" % " ".join(sorted(topics)).encode()
                elif now - silent >= sse.KEEP_ALIVE:
                    silent = now
                    yield sse.STILL_HERE

    def _version(self) -> int:
        """A number that changes with each commit."""
        return database.data_version(self._context.store.reader)

    def _happened(self, position: int) -> set[str]:
        journal = self._context.streams.journal
        if journal.last <= position:
            return set()
        if journal.last - position > MOST_READ:
            return set(EVERYTHING)
        page = journal.page(position, MOST_READ, None, None)
        return {topic_of(entry[2]) for entry in page.entries}


def topic_of(event: str) -> str:
    """The topic that an event is about: the noun that its name begins with."""
    match = _NOUN.match(event)
    noun = match[0] if match is not None else event
    return "account" if noun in _ABOUT_ACCOUNTS else noun
