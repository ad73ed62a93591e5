"""How long events waited for a webhook, and what the answers of receivers say of the engine's clock."""

from __future__ import annotations

from email.utils import formatdate
from pathlib import Path

import pytest
import trio
from endpoint_engine import running, world
from receivers import Answer, Post

from engine.webhooks.event_waits import HOUR, HOURS, EventWaits


async def test_hours_of_waiting(tmp_path: Path, autojump_clock: object) -> None:
    async with world() as the_world:
        waits = EventWaits(the_world)
        assert waits.last_day(None) == [0.0] * HOURS
        await trio.sleep(HOUR - the_world.now() % HOUR + 1800)
        waits.accepted(the_world.now() - 2)
        waits.accepted(the_world.now() - 7)
        waits.accepted(the_world.now() - 3)
        assert waits.last_day(None)[-1] == 7
        await trio.sleep(HOUR)
        assert waits.last_day(None)[-2:] == [7, 0]
        since = the_world.now() - HOUR
        assert waits.last_day(since)[-3:] == [0, 1800, HOUR], "what waits still, had waited half an hour before"
        await trio.sleep(HOURS * HOUR)
        assert waits.last_day(None) == [0.0] * HOURS
        waits.accepted(the_world.now())
        assert len(waits._longest) == 1


async def test_events_that_wait_and_are_accepted(tmp_path: Path, autojump_clock: object) -> None:
    async with world() as the_world, running(tmp_path / "data", the_world) as engine:
        receiver = the_world.host("hooks.example")
        receiver.up = False
        made = await engine.make()
        await engine.add()
        await trio.sleep(100)
        since = engine.webhooks.waiting_since()
        assert since is not None and abs(the_world.now() - since - 100) < 2
        receiver.up = True
        await engine.done(made, 3000)
        assert engine.webhooks.waiting_since() is None
        assert max(engine.webhooks.waits.last_day(None)) >= 100
        longest = max(engine.webhooks.waits.last_day(None))
        await trio.sleep(30_000)
        await engine.webhooks.replay(made.endpoint, 0)
        await engine.done(made, 3000)
        assert max(engine.webhooks.waits.last_day(None)) == longest, "what is replayed has not waited"


@pytest.mark.parametrize("owner", [None, "a"])
async def test_a_receiver_tells_the_time(tmp_path: Path, autojump_clock: object, owner: str | None) -> None:
    async def dated(post: Post) -> Answer:
        return 200, {"Date": formatdate(the_world.now() - 300, usegmt=True)}, b""

    async with world() as the_world, running(tmp_path / "data", the_world) as engine:
        the_world.host("hooks.example").behave = dated
        made = await engine.make(owner=owner)
        await engine.add()
        await engine.done(made)
        wrong = engine.egress.clocks.wrong()
        if owner is None:
            assert wrong is not None and 298 < wrong.ahead < 302 and wrong.hosts == ("hooks.example",)
        else:
            assert wrong is None, "the receiver of a customer is not believed"
