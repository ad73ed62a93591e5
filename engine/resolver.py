"""Resolves names with the system's resolver, in separate threads.

1. Simultaneous requests for the same name share one lookup.
2. Names whose servers are silent do not delay others: a lookup that takes longer than `SLOW_SECONDS` moves to a
   separate group, and a name that was slow last time starts there.
3. Each group has at most `at_once` lookups under way, first come, first served.

Cancelled: the thread is left to finish.
"""

from __future__ import annotations

import copy
import math
import socket
from collections import deque
from functools import partial
from typing import Any

import outcome
import trio

SLOW_SECONDS = 1.0
KEPT = 10_000
"""Maximum slow names that are remembered."""

_Question = tuple[bytes | None, bytes | str | int | None, int, int, int, int]


class Resolver(trio.abc.HostnameResolver):
    """At most `at_once` lookups in each group, quick and slow. Belongs to one run of Trio."""

    def __init__(self, at_once: int) -> None:
        self._lookups: dict[_Question, _Lookup] = {}
        self._quick = _Kind(at_once)
        self._slow = _Kind(at_once)
        self._slow_names: dict[bytes | None, None] = {}

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        question = (host, port, family, type, proto, flags)
        lookup = self._lookups.get(question)
        if lookup is None:
            lookup = self._lookups[question] = _Lookup(question)
            (self._slow if host in self._slow_names else self._quick).waiting.append(lookup)
        lookup.callers += 1
        try:
            while True:
                self._begin_due()
                with trio.move_on_at(math.inf if lookup.began is not None else self._next_slow()) as waiting:
                    await lookup.ended.wait()
                if not waiting.cancelled_caught:
                    break
        finally:
            lookup.callers -= 1
            if not lookup.callers and lookup.began is None:
                self._forget(lookup)
        return lookup.answer()

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        return await trio.to_thread.run_sync(socket.getnameinfo, sockaddr, flags, abandon_on_cancel=True)

    def _begin_due(self) -> None:
        late = trio.current_time() - SLOW_SECONDS
        for lookup in [each for each in self._quick.under_way if (each.began or 0.0) <= late]:
            if not self._slow.has_room:
                break
            self._quick.under_way.discard(lookup)
            self._slow.under_way.add(lookup)
        for kind in (self._quick, self._slow):
            while kind.waiting and kind.has_room:
                self._begin(kind.waiting.popleft(), kind)

    def _begin(self, lookup: _Lookup, kind: _Kind) -> None:
        kind.under_way.add(lookup)
        lookup.began = trio.current_time()
        token = trio.lowlevel.current_trio_token()

        def deliver(found: outcome.Outcome[Any]) -> None:
            try:
                token.run_sync_soon(self._end, lookup, found)
            except trio.RunFinishedError:
                pass  # the Trio run has ended

        trio.lowlevel.start_thread_soon(partial(socket.getaddrinfo, *lookup.question), deliver, "lookup")

    def _end(self, lookup: _Lookup, found: outcome.Outcome[Any]) -> None:
        lookup.found = found
        self._forget(lookup)
        self._note_time(lookup.question[0], trio.current_time() - (lookup.began or 0.0))
        lookup.ended.set()
        self._begin_due()

    def _forget(self, lookup: _Lookup) -> None:
        del self._lookups[lookup.question]
        for kind in (self._quick, self._slow):
            kind.under_way.discard(lookup)
            if lookup in kind.waiting:
                kind.waiting.remove(lookup)

    def _note_time(self, host: bytes | None, took: float) -> None:
        self._slow_names.pop(host, None)
        if took >= SLOW_SECONDS:
            self._slow_names[host] = None
            if len(self._slow_names) > KEPT:
                del self._slow_names[next(iter(self._slow_names))]

    def _next_slow(self) -> float:
        """When the next quick lookup becomes slow; one for which the slow group has no room waits for an end there."""
        now = trio.current_time()
        ends = [(each.began or 0.0) + SLOW_SECONDS for each in self._quick.under_way]
        return min((end for end in ends if end > now), default=math.inf)


class _Kind:
    """The group of quick lookups, or of slow ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.under_way: set[_Lookup] = set()
        self.waiting: deque[_Lookup] = deque()

    @property
    def has_room(self) -> bool:
        return len(self.under_way) < self._most


class _Lookup:
    """One lookup, and the tasks that wait for it."""

    def __init__(self, question: _Question) -> None:
        self.question = question
        self.callers = 0
        self.began: float | None = None
        self.ended = trio.Event()
        self.found: outcome.Outcome[Any] | None = None

    def answer(self) -> Any:
        """The result; each caller gets its own exception object, since raising one modifies it."""
        if isinstance(self.found, outcome.Error):
            raise copy.copy(self.found.error)
        assert isinstance(self.found, outcome.Value)
        return self.found.value
