"""Asks name servers for checks: within a few seconds, and each question once an hour.

1. What name servers answer is kept for `KEPT_SECONDS`, also that there is nothing; an error or a silence for
   `FAILED_SECONDS`, so that dead name servers do not make every request wait.
2. At most `AT_ONCE` questions are under way in the whole engine; others wait, within their time.
3. A name that no question can hold, because it is too long or has an empty label, has no records.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final, NamedTuple

import trio

from engine.checks.name_servers import Ask, LookupFailed
from engine.dns_records import RecordKind, Records
from engine.errors import NetworkError
from engine.world import World

KEPT_SECONDS: Final = 3600.0
FAILED_SECONDS: Final = 30.0
FAIR_SECONDS: Final = 1.0
"""A silence that was shorter than this, because time ran out, is not kept."""
AT_ONCE: Final = 40
MOST_OCTETS: Final = 4 * 1024**2
"""Octets of all answers that are kept; the oldest give way."""
OCTETS_OF_EACH: Final = 300
"""About what an answer takes apart from its text."""
# Octets of a label but the dot, and the backslash, which would begin an escape.
_LABEL = r"[!-\-/-\[\]-~]{1,63}"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_Question = tuple[str, RecordKind]


class _Kept(NamedTuple):
    until: float
    answer: Records | LookupFailed
    octets: int


class Lookups:
    """The questions of one engine, and the answers that are kept."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: OrderedDict[_Question, _Kept] = OrderedDict()
        self._octets = 0
        self._turns = trio.Semaphore(AT_ONCE)

    def until(self, deadline: float) -> Ask:
        """What asks, until `deadline` by Trio's clock; after that, only what is kept is answered."""

        async def ask(name: str, kind: RecordKind) -> Records:
            return await self._asked(name.rstrip(".").lower(), kind, deadline)

        return ask

    async def _asked(self, name: str, kind: RecordKind, deadline: float) -> Records:
        if not is_askable(name):
            return Records(exists=False)
        kept = self._kept.get((name, kind))
        if kept is None or kept.until <= trio.current_time():
            answer = await self._fresh(name, kind, deadline)
        else:
            answer = kept.answer
        if isinstance(answer, LookupFailed):
            raise LookupFailed(str(answer))
        return answer

    async def _fresh(self, name: str, kind: RecordKind, deadline: float) -> Records | LookupFailed:
        answer: Records | LookupFailed = LookupFailed(f"{name} ({kind}): the name servers did not answer in time")
        began = trio.current_time()
        with trio.move_on_at(deadline):
            async with self._turns:
                try:
                    answer = await self._world.records(name, kind, max(deadline - trio.current_time(), 0.01))
                except NetworkError as error:
                    answer = LookupFailed(f"{name} ({kind}): {error}")
        if isinstance(answer, Records) or trio.current_time() - began >= FAIR_SECONDS:
            self._keep((name, kind), answer)
        return answer

    def _keep(self, question: _Question, answer: Records | LookupFailed) -> None:
        seconds = FAILED_SECONDS if isinstance(answer, LookupFailed) else KEPT_SECONDS
        octets = OCTETS_OF_EACH + (sum(map(len, answer.values)) if isinstance(answer, Records) else 0)
        before = self._kept.pop(question, None)
        self._octets += octets - (before.octets if before is not None else 0)
        self._kept[question] = _Kept(trio.current_time() + seconds, answer, octets)
        while self._octets > MOST_OCTETS:
            _, oldest = self._kept.popitem(last=False)
            self._octets -= oldest.octets


def is_askable(name: str) -> bool:
    """Whether a question can hold a name, and name servers may know it."""
    return len(name) <= 253 and "." in name and _NAME.fullmatch(name) is not None
