"""Weeks of mail from an account with limits: kills, restarts and clocks that are set, all from a seed.

`QUOTA_SEEDS=20 QUOTA_DAYS=21` runs longer.
"""

from __future__ import annotations

import itertools
import os
import random
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing
from simulation import Engine, Simulation, servers

from engine.sandbox.post_office import PostOffice
from engine.store import messages

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
LIMITS = {"perMinute": 3, "perHour": 8, "perDay": 20, "recipientsPerDay": 30}
DAYS = float(os.environ.get("QUOTA_DAYS", "1.5"))
SEEDS = range(1, 1 + int(os.environ.get("QUOTA_SEEDS", "1")))
_MESSAGE_ID = re.compile(r"^Message-ID: *(\S+)", re.IGNORECASE | re.MULTILINE)


class Taken(NamedTuple):
    """One transaction that the provider took; `run` counts the starts of the engine."""

    at: float
    recipients: int
    run: int


class Life:
    """One account's life."""

    def __init__(self, folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.simulation = Simulation(folder / "data", seed)
        self.random = random.Random(seed)
        self.taken: list[Taken] = []
        self.submitted: dict[str, tuple[float, int]] = {}
        self.runs = 0
        self.ids = set[str]()
        deliver = PostOffice.deliver

        def noted(office: PostOffice, envelope: Any, raw: bytes) -> str:
            self.taken.append(Taken(trio.current_time(), len(envelope.recipients), self.runs))
            self.ids.update(_MESSAGE_ID.findall(raw.decode()))
            return deliver(office, envelope, raw)

        monkeypatch.setattr(PostOffice, "deliver", noted)

    async def live(self, end: float) -> None:
        """Run one engine after another until `end`, each ended cleanly or cut off."""
        while (now := trio.current_time()) < end:
            self.runs += 1
            async with self.simulation.running(cut=self.random.random() < 0.5) as engine:
                if self.runs == 1:
                    given = {**servers("acme", "secret"), "imap": False}
                    await engine.register("acme", **{**given, "smtp": {**given["smtp"], "limits": LIMITS}})
                await self.work(engine, min(end, now + self.random.uniform(0.1, 1.5) * DAY))
            await trio.sleep(self.random.choice((1.0, 1.0, 2 * HOUR)))
            self.set_clock()

    async def work(self, engine: Engine, until: float) -> None:
        """Hand in messages now and then; some are answered so slowly that a cut leaves them in doubt."""
        while (now := trio.current_time()) < until:
            for _ in range(self.random.choice((0, 0, 0, 1, 2, 9))):
                people = self.random.choice((1, 1, 1, 4))
                first = self.random.choice(("friend", "friend", "slow40+friend"))
                to = [f"{first}{number}@sandbox.example" for number in range(people)]
                self.submitted[(await engine.submit("acme", *to))["messageId"]] = (now, people)
            await trio.sleep(min(self.random.choice((20.0, self.random.uniform(0, 0.6 * DAY))), until - now))
            if self.random.random() < 0.3:
                self.set_clock()

    def set_clock(self) -> None:
        """Set the wall clock ahead or back, or leave it."""
        self.simulation.world._start += self.random.choice((0, 0, HOUR, -HOUR, 9 * DAY, -9 * DAY, -300 * DAY))

    async def finish(self) -> None:
        """Send what is left; nothing is lost."""
        self.runs += 1
        async with self.simulation.running() as engine:
            with trio.fail_after(20 * DAY):
                while messages.open_of_account(engine.context.store.reader, "acme"):
                    journal = engine.context.streams.journal
                    await journal.wait_for_more(journal.last)
        assert self.ids == self.submitted.keys()

    def waiting(self) -> int:
        """How many recipients still wait."""
        return sum(people for message_id, (_, people) in self.submitted.items() if message_id not in self.ids)

    def most(self, seconds: float, *, recipients: bool = False) -> int:
        """The most transactions, or recipients, that were taken within any such time."""
        return max(
            sum(each.recipients if recipients else 1 for each in self.taken if first.at <= each.at < first.at + seconds)
            for first in self.taken
        )

    def gaps_while_waiting(self) -> list[float]:
        """Seconds between messages taken in one run, behind one that had waited for the day's window."""
        found = []
        for _, each_run in itertools.groupby(self.taken, lambda each: each.run):
            spread = False
            for before, after in itertools.pairwise(each_run):
                handed_in = sum(at <= before.at for at, _ in self.submitted.values())
                waits = handed_in > sum(each.at <= before.at for each in self.taken)
                if not waits:
                    spread = False
                    continue
                if spread:
                    found.append(after.at - before.at)
                # Only the windows of a day hold mail up for so long.
                spread = spread or after.at - before.at > 1.1 * HOUR
        return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_weeks_of_mail(
    seed: int, tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path, seed, monkeypatch)
    await life.live(DAYS * DAY)
    waiting, began = life.waiting(), trio.current_time()
    await life.finish()
    assert life.most(MINUTE) <= LIMITS["perMinute"]
    assert life.most(HOUR) <= LIMITS["perHour"]
    assert life.most(DAY) <= LIMITS["perDay"]
    assert life.most(DAY, recipients=True) <= LIMITS["recipientsPerDay"]
    # The wider of the two windows of a day may be full alone.
    assert min(life.gaps_while_waiting(), default=DAY) > 0.99 * DAY / LIMITS["recipientsPerDay"]
    # A message to four waits until all of them fit, so a few recipients a day remain unused.
    assert trio.current_time() - began < DAY * (2 + waiting / (LIMITS["recipientsPerDay"] - 4))
