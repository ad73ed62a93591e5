"""Webhook endpoints whose receivers fail, are away, or ask for time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import trio
from endpoint_engine import DAY, running, world
from receivers import Cut, Post

from engine.config import WebhooksConfig
from engine.store import webhooks


@pytest.mark.once
@pytest.mark.parametrize("days", [0.125, 3.0, 10.0])
async def test_a_receiver_that_was_away_gets_everything_in_order(tmp_path: Path, autojump_clock, days: float) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        receiver.up = False
        made = await engine.make()
        await engine.add("a", 50)
        await engine.add("b", 50)
        await trio.sleep(days * DAY)
        assert webhooks.parked(engine.store.reader, made.id) == []
        receiver.up = True
        await engine.done(made, within=2 * 3600)
        assert sorted(receiver.seqs) == list(range(1, 101))
        for account in "ab":
            numbers = [post.event["seq"] for post in receiver.posts if post.event["account"] == account]
            assert numbers == sorted(numbers)


@pytest.mark.parametrize("minutes", [10, 30, 120])
async def test_after_a_dead_path_events_go_within_a_minute(tmp_path: Path, autojump_clock, minutes: int) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        receiver.path = False
        made = await engine.make()
        for account in "ab":
            await engine.add(account, 5)
        await trio.sleep(minutes * 60)
        assert len(w.dialled) < minutes * 60 / 15 * 2 + 2
        receiver.path = True
        await engine.done(made, within=60)
        for account in "ab":
            numbers = [post.event["seq"] for post in receiver.posts if post.event["account"] == account]
            assert numbers == sorted(numbers) and len(numbers) == 5


async def test_a_line_that_is_too_slow_lengthens_no_wait(tmp_path: Path, autojump_clock) -> None:
    """Posts that were not answered in time are made again at once, and a refusal after them is the first."""
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        slow = True

        async def too_late(post: Post):
            if slow:
                await trio.sleep_forever()
            return (500 if len(receiver.posts) == refused else 200), {}, b""

        receiver.behave = too_late
        made = await engine.make()
        await engine.add("a")
        await trio.sleep(3600)
        waits = [after.at - before.at for before, after in pairwise(receiver.posts)]
        assert max(waits) < 15 + 6
        refused = len(receiver.posts) + 1
        slow = False
        await engine.done(made, within=60)
        assert webhooks.parked(engine.store.reader, made.id) == []


async def test_coming_back_brings_those_who_wait_forward(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        receiver.up = False
        made = await engine.make()
        await engine.add("quiet")
        await trio.sleep(DAY)
        receiver.up = True
        began = trio.current_time()
        await engine.add("busy")
        await engine.done(made, within=2 * 3600)
        assert trio.current_time() - began < 120


async def test_a_poison_event_is_parked_after_three_days_and_holds_up_nobody_after(
    tmp_path: Path, autojump_clock
) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")

        async def refuse(post: Post):
            return (500 if post.event["seq"] == 2 else 200), {}, b"cannot parse this"

        receiver.behave = refuse
        made = await engine.make()
        await engine.add("a", 4)
        await trio.sleep(2.5 * DAY)
        assert receiver.seqs[:1] == [1] and set(receiver.seqs[1:]) == {2}
        await trio.sleep(0.8 * DAY)
        await engine.done(made)
        assert receiver.seqs[-2:] == [3, 4]
        (row,) = webhooks.parked(engine.store.reader, made.id)
        assert (row.seq, row.attempts, row.reason) == (2, 11, "the answer was 500: cannot parse this")
        waits = [b.at - a.at for a, b in zip(receiver.posts[1:], receiver.posts[2:12], strict=False)]
        ratios = [
            wait / planned
            for wait, planned in zip(waits, (5, 30, 120, 600, 1800, 7200, 21600, 43200, 86400, 86400), strict=True)
        ]
        assert all(0.899 < ratio < 1.101 for ratio in ratios)
        assert max(ratios) - min(ratios) > 0.02
        assert [post.headers["x-ee-wh-attempts-made"] for post in receiver.posts[1:12]] == [str(n) for n in range(11)]
        assert len({post.headers["webhook-id"] for post in receiver.posts[1:12]}) == 1
        assert len({post.headers["webhook-timestamp"] for post in receiver.posts[1:12]}) == 11


@pytest.mark.once
async def test_an_event_that_breaks_the_receiver_is_parked_and_not_hammered(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")

        async def break_on_two(post: Post):
            if post.event["seq"] == 2:
                raise Cut
            return 200, {}, b""

        receiver.behave = break_on_two
        made = await engine.make()
        await engine.add("a", 3)
        for _ in range(600):
            await trio.sleep(0.005 * DAY)
            await engine.add("b")
        await engine.done(made, within=3600)
        assert [row.seq for row in webhooks.parked(engine.store.reader, made.id)] == [2]
        # 72 attempts by the hour and one for each event of b; each twice where the connection had been kept.
        assert receiver.seqs.count(2) < 1400


async def test_429_holds_the_whole_endpoint_for_as_long_as_it_says(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")

        async def busy(post: Post):
            return (429, {"Retry-After": "100"}, b"") if len(receiver.posts) == 1 else (200, {}, b"")

        receiver.behave = busy
        made = await engine.make()
        await engine.add("a")
        await engine.until(lambda: len(receiver.posts) == 1)
        await engine.add("b")
        await engine.done(made, within=200)
        assert [post.at - receiver.posts[0].at >= 100 for post in receiver.posts[1:]] == [True, True]


async def test_the_schedule_holds_whatever_a_receiver_asks_for(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver, asked = w.host("hooks.example"), ["0", "1", "Thu, 01 Jan 1970 00:00:00 GMT", "-5", "9" * 40, "2", "x"]

        async def busy(post: Post):
            return 503, {"Retry-After": asked[len(receiver.posts) % len(asked)]}, b""

        receiver.behave = busy
        made = await engine.make()
        await engine.add("a")
        await engine.until(lambda: webhooks.parked_count(engine.store.reader, made.id) == 1, within=20 * DAY)
        assert len(receiver.posts) == 11
        waits = [after.at - before.at for before, after in pairwise(receiver.posts)]
        schedule = WebhooksConfig().schedule
        assert [wait >= 0.9 * step for wait, step in zip(waits, schedule, strict=True)] == [True] * 10
        assert receiver.posts[-1].at - receiver.posts[0].at > 2.6 * DAY


async def test_an_endpoint_that_is_changed_waits_no_longer_for_what_was_asked(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")

        async def once_later(post: Post):
            return (503, {"Retry-After": "86400"}, b"") if len(receiver.posts) == 1 else (200, {}, b"")

        receiver.behave = once_later
        made = await engine.make()
        await engine.add("a")
        await engine.until(lambda: len(receiver.posts) == 1)
        await engine.webhooks.update(made, made.record)
        await engine.done(made, within=10)
        assert receiver.seqs == [1, 1]


async def test_one_receiver_that_asks_for_time_holds_no_other(tmp_path: Path, autojump_clock) -> None:
    """Accounts' own URLs belong to the endpoint of the settings, but each to a different owner."""
    async with world() as w, running(tmp_path, w) as engine:
        busy, free = w.host("busy.example"), w.host("free.example", "203.0.114.2")

        async def later(post: Post):
            return 503, {"Retry-After": "86400"}, b""

        busy.behave = later
        engine.webhooks.configure("http://free.example/", True, ["*"])
        engine.webhooks.account("b", "http://busy.example/")
        await engine.add("b")
        await engine.until(lambda: len(busy.posts) == 1)
        await engine.add("a")
        await engine.until(lambda: len(free.posts) == 1)


async def test_a_start_after_a_wrong_clock_holds_nothing_back(tmp_path: Path, autojump_clock) -> None:
    async with world() as w:
        receiver = w.host("hooks.example")
        receiver.status = 500
        w._start += 40 * DAY
        async with running(tmp_path, w) as engine:
            made = await engine.make()
            await engine.add("a")
            await engine.until(lambda: engine.position(made) is None)
        w._start -= 40 * DAY
        receiver.status = 200
        async with running(tmp_path, w) as engine:
            await engine.done(engine.webhooks.made[made.id], within=10)
