"""Webhook endpoints against receivers in memory: order, lines, waiting for days, crashes, retention, egress."""

from __future__ import annotations

import base64
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
import trio
from receivers import Cut, Post, ReceiverWorld
from standardwebhooks import Webhook as Verifier

from engine.config import Network, WebhooksConfig
from engine.egress import Egress, EgressRefused
from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.hosts import Hosts
from engine.model.webhook import EndpointSettings, Header
from engine.store import database, events, webhooks
from engine.store.vault import Vault
from engine.store.writer import Store
from engine.webhooks.registry import EndpointRegistry, Made

DAY = 86400.0


def signed(verifier: Verifier, post: Post) -> bool:
    given = {each.split(",")[1] for each in post.headers["webhook-signature"].split()}
    at = datetime.fromtimestamp(int(post.headers["webhook-timestamp"]), UTC)
    return verifier.sign(post.headers["webhook-id"], at, post.body.decode()).split(",")[1] in given


URL = "http://hooks.example/in"


class Engine:
    def __init__(self, folder: Path, world: ReceiverWorld, allow_private: bool = True, **settings: object) -> None:
        self.world = world
        self.store = Store(folder, world)
        self.journal = Journal(self.store, Hub(), world)
        config = WebhooksConfig(**settings)
        egress = Egress(Network(allow_private=allow_private), world, Hosts())
        self.webhooks = EndpointRegistry(self.journal, self.store, Vault(bytes(32), world), config, world, egress)

    async def add(self, account: str | None = "a", n: int = 1, name: str = "messageSent") -> None:
        def change(tx) -> None:
            for _ in range(n):
                self.journal.append(tx, name, account, {"accepted": ["x@y.example"]})

        await self.store.commit(change)

    async def make(self, url: str = URL, owner: str | None = None, **members: object) -> Made:
        return await self.webhooks.create(EndpointSettings(url=url, **members), owner, 0)

    async def done(self, made: Made, within: float = 5.0) -> None:
        """Return when the endpoint has nothing left to do, and that is on disk."""
        await self.until(lambda: self.position(made) == self.journal.last, within)

    def position(self, made: Made) -> int | None:
        """How far it has come by what is on disk; None while a line lags."""
        (row,) = [row for row in webhooks.every(self.store.reader) if row.id == made.id]
        return None if webhooks.lines(self.store.reader, made.id) else row.seq

    async def until(self, condition: Callable[[], bool], within: float = 5.0) -> None:
        with trio.fail_after(within):
            while not condition():  # noqa: ASYNC110 - the clock jumps
                await trio.sleep(within / 1000)


@asynccontextmanager
async def world() -> AsyncIterator[ReceiverWorld]:
    async with trio.open_nursery() as nursery:
        yield ReceiverWorld(nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(folder: Path, world: ReceiverWorld, **settings: object) -> AsyncIterator[Engine]:
    """An engine on the folder; leaving the block by an exception of the test is a crash without a last word."""
    database.prepare_folder(folder)
    engine = Engine(folder, world, **settings)
    async with trio.open_nursery() as stores, trio.open_nursery() as nursery:
        await stores.start(engine.store.run)
        await nursery.start(engine.webhooks.run)
        yield engine
        nursery.cancel_scope.cancel()
        stores.cancel_scope.cancel()


async def test_each_account_keeps_its_order_and_waits_for_no_other(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver, chance = w.host("hooks.example"), random.Random(1)

        async def slowly(post: Post):
            await trio.sleep(chance.random())
            return (500 if post.event["account"] == "bad" else 200), {}, b""

        receiver.behave = slowly
        made = await engine.make()
        for _ in range(200):
            await engine.add(chance.choice(["a", "b", "c", "bad", None]))
        expected = {
            account: [row[0] for row in engine.journal.of_account(account, 0, 200, 200)]
            for account in ("a", "b", "c", None)
        }
        await engine.until(
            lambda: sum(post.event["account"] != "bad" for post in receiver.posts) == sum(map(len, expected.values())),
            within=120,
        )
        for account, numbers in expected.items():
            assert [p.event["seq"] for p in receiver.posts if p.event["account"] == account] == numbers
        bad = {p.event["seq"] for p in receiver.posts if p.event["account"] == "bad"}
        assert len(bad) == 1, "the second event of a line must wait for the first"
        await engine.until(lambda: list(made.endpoint.lines) == ["bad"])


async def test_no_more_than_so_many_posts_are_under_way(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w, parallel=3) as engine:
        receiver, under_way, most = w.host("hooks.example"), 0, 0

        async def count(post: Post):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await trio.sleep(1)
            under_way -= 1
            return 200, {}, b""

        receiver.behave = count
        made = await engine.make()
        for number in range(12):
            await engine.add(f"a{number}")
        await engine.done(made, within=30)
        assert most == 3


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
    """Accounts' own URLs belong to the endpoint of the settings, and each to somebody else."""
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


async def test_secrets_that_a_receiver_echoes_are_masked(
    tmp_path: Path, autojump_clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = (("Authorization", "Bearer canary-bearer"), ("X-Key", "canary-key"), ("Cookie", "a=canary-cookie; b=1"))
    secret = "whsec_" + base64.b64encode(b"canary-secret-canary-secret").decode()
    async with world() as w, running(tmp_path, w) as engine:
        receiver, signatures = w.host("hooks.example"), set()

        async def echo(post: Post):
            signatures.update(each.removeprefix("v1,") for each in post.headers["webhook-signature"].split())
            signatures.add(post.headers["X-EE-Wh-Signature".lower()])
            words = [*post.headers.items(), post.path, secret]
            shown = words[len(receiver.posts) % len(words)]
            return 500, {}, (quote(str(shown)) if len(receiver.posts) % 2 else f"what is {shown}?").encode()

        receiver.behave = echo
        url = "http://canary-user:canary-password@hooks.example/canary-path-of-20-octets?token=canary-token&canary-only"
        made = await engine.make(url, headers=headers, secrets=(secret,))
        await engine.add("a", 4)
        await engine.until(lambda: webhooks.parked_count(engine.store.reader, made.id) == 4, within=20 * DAY)
        rows = [row.reason for row in webhooks.parked(engine.store.reader, made.id)]
        answer, _ = await engine.webhooks.test(made.endpoint, engine.webhooks.target(made))
        kept = [
            *rows,
            answer.text,
            str(made.endpoint.health.error),
            *(tmp_path / "journal.db-wal").read_bytes().decode("latin-1").split("the answer was"),
        ]
        said = "\n".join([caplog.text, *kept])
        assert "******" in caplog.text and "******" in rows[-1] + caplog.text
        assert len(receiver.posts) >= 40
        assert "canary" not in said
        assert secret not in said and not any(signature in said for signature in signatures)
        assert base64.b64encode(b"canary-user:canary-password").decode() not in said


async def test_a_slow_drip_is_left_at_the_limit(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")

        async def hang(post: Post):
            await trio.sleep_forever()
            return 200, {}, b""

        receiver.behave = hang
        made = await engine.make()
        await engine.add("a")
        await engine.until(lambda: made.endpoint.health.error is not None, within=16)
        assert made.endpoint.health.error == "no answer within 15 seconds"
        assert receiver.connections <= 2


async def test_a_large_answer_is_not_read(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")

        async def endless(post: Post):
            return 200, {}, b"x" * 2_000_000

        receiver.behave = endless
        made = await engine.make()
        await engine.add("a", 3)
        await engine.done(made)
        assert receiver.seqs == [1, 2, 3]


@pytest.mark.parametrize("seed", range(6))
async def test_after_crashes_nothing_is_missing_and_order_is_kept(tmp_path: Path, autojump_clock, seed: int) -> None:
    """The process ends at any moment, also with posts under way; each account's events still come in order."""
    chance = random.Random(seed)
    async with world() as w:
        receiver = w.host("hooks.example")

        async def moody(post: Post):
            await trio.sleep(chance.random() * 0.3)
            return (503 if chance.random() < 0.1 else 200), {}, b""

        receiver.behave = moody
        made_id = ""
        for run in range(4):
            with trio.move_on_after(chance.random() * 8) if run < 3 else trio.CancelScope():
                async with running(tmp_path, w, schedule=(1.0,) * 12) as engine:
                    if not made_id:
                        made_id = (await engine.make()).id
                    made = engine.webhooks.made[made_id]
                    for _ in range(80):
                        await engine.add(chance.choice("abc"))
                        await trio.sleep(chance.random() * 0.1)
                    await engine.done(made, within=3600)
        assert set(receiver.seqs) == set(range(1, engine.journal.last + 1))
        for account in "abc":
            first_seen = list(dict.fromkeys(p.event["seq"] for p in receiver.posts if p.event["account"] == account))
            assert first_seen == sorted(first_seen)
        repeats = len(receiver.seqs) - len(set(receiver.seqs))
        assert repeats < len(receiver.seqs) / 2


async def test_what_retention_took_is_told(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        receiver.up = False
        made = await engine.make()
        await engine.add("a", 40)
        await trio.sleep(60)
        await engine.store.commit(lambda tx: events.remove(tx, 36))
        receiver.up = True
        await engine.done(made, within=3 * 3600)
        gaps = [post.event["data"] for post in receiver.posts if post.event["event"] == "webhookGap"]
        assert gaps == [{"webhook": made.id, "first": 21, "last": 36, "account": "a"}]
        assert [seq for seq in receiver.seqs if seq <= 40] == [*range(1, 21), *range(37, 41)], "20 were in hand"


async def test_filter_and_map_decide_what_is_posted(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        made = await engine.make(filter="account != 'b'", map="{n: seq, e: event}", secrets=("whsec_" + "QUFB" * 10,))
        await engine.add("a")
        await engine.add("b")
        await engine.add("c")
        await engine.done(made)
        assert sorted(post.event["n"] for post in receiver.posts) == [1, 3]
        post = receiver.posts[0]
        moment = datetime.fromtimestamp(int(post.headers["webhook-timestamp"]), UTC)
        signature = Verifier("whsec_" + "QUFB" * 10).sign(post.headers["webhook-id"], moment, post.body.decode())
        assert post.headers["webhook-signature"] == signature
        health = made.endpoint.health
        assert (health.passed, health.left_out, health.last_passed is None) == (2, 1, False)
        await engine.webhooks.update(made, EndpointSettings(url=URL, filter="account == 'b'"))
        assert (health.passed, health.left_out, health.last_passed) == (0, 0, None)


async def test_an_expression_that_does_not_fit_parks_the_event_at_once(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        made = await engine.make(filter="length(seq) > `0`")
        await engine.add("a", 2)
        await engine.done(made)
        assert receiver.posts == []
        rows = webhooks.parked(engine.store.reader, made.id)
        assert [row.seq for row in rows] == [1, 2]
        assert rows[0].reason.startswith("the filter cannot be applied: ")
        await engine.webhooks.update(made, EndpointSettings(url=URL, secrets=made.record.secrets))
        assert await engine.webhooks.retry(made.endpoint, None) == 2
        await engine.until(lambda: receiver.seqs == [1, 2])
        await engine.until(lambda: webhooks.parked_count(engine.store.reader, made.id) == 0)


async def test_what_a_map_makes_has_the_bound_of_an_event(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        made = await engine.make(map="to_string(@)" + " | join('', [@, @])" * 11)
        await engine.add("a", 2)
        await engine.done(made)
        assert receiver.posts == []
        rows = webhooks.parked(engine.store.reader, made.id)
        assert [row.seq for row in rows] == [1, 2]
        assert "octets" in rows[0].reason


async def test_a_name_that_is_moved_to_a_forbidden_address_is_not_followed(tmp_path: Path, autojump_clock) -> None:
    """DNS rebinding: good while the endpoint is made, the metadata service when it is used."""
    async with world() as w, running(tmp_path, w) as engine:
        good = w.host("hooks.example", "203.0.114.9")
        metadata = w.host("metadata.example", "169.254.169.254")
        local = w.host("local.example", "127.0.0.1")
        await engine.webhooks.check(URL, restricted=True)
        made = await engine.make(owner="a", accounts=("a",))
        await engine.add("a")
        await engine.done(made)
        assert good.seqs == [1]
        for address in ("169.254.169.254", "127.0.0.1", "10.0.0.1", "::ffff:127.0.0.1"):
            w.names["hooks.example"] = [address]
            await engine.webhooks.update(made, made.record)
            await engine.add("a")
            await trio.sleep(30)
            assert "leads to an address, which may not be reached" in (made.endpoint.health.error or "")
        assert set(w.dialled) == {"203.0.114.9"}
        assert (metadata.posts, local.posts) == ([], [])
        w.names["hooks.example"] = ["10.0.0.1", "203.0.114.9"]
        await engine.webhooks.update(made, made.record)
        await engine.done(made, within=60)
        assert good.seqs == [1, 2, 3, 4, 5]
        assert set(w.dialled) == {"203.0.114.9"}


@pytest.mark.parametrize(
    ("address", "restricted", "allow_private", "may"),
    [
        ("127.0.0.1", False, True, True),
        ("10.1.2.3", False, True, True),
        ("127.0.0.1", True, True, False),
        ("192.168.1.1", True, True, False),
        ("127.0.0.1", False, False, False),
        ("169.254.169.254", False, True, False),
        ("169.254.169.254", True, True, False),
        ("203.0.114.9", True, False, True),
    ],
)
async def test_who_may_reach_what(
    tmp_path: Path, autojump_clock, address: str, restricted: bool, allow_private: bool, may: bool
) -> None:
    async with world() as w, running(tmp_path, w, allow_private=allow_private) as engine:
        receiver = w.host("hooks.example", address)
        if may:
            await engine.webhooks.check(URL, restricted=restricted)
        else:
            with pytest.raises(EgressRefused):
                await engine.webhooks.check(URL, restricted=restricted)
        await engine.make(owner="a" if restricted else None)
        await engine.add("a")
        await trio.sleep(20)
        assert bool(receiver.posts) is may


async def test_a_redirect_into_the_private_network_is_not_followed(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        w.host("local.example", "127.0.0.1")

        async def redirect(post: Post):
            return 307, {"Location": "http://127.0.0.1/"}, b""

        receiver.behave = redirect
        made = await engine.make(owner="a")
        await engine.add("a")
        await trio.sleep(20)
        assert made.endpoint.health.error == "the answer was 307, a redirect, which is not followed"
        assert set(w.dialled) == {"203.0.114.1"}


async def test_an_account_url_set_with_its_own_token_stays_out_of_private_networks(
    tmp_path: Path, autojump_clock
) -> None:
    async with world() as w:
        local = w.host("local.example", "127.0.0.1")
        async with running(tmp_path, w) as engine:
            async with engine.webhooks.setting("a", "url", bound=True):
                engine.webhooks.account("a", "http://local.example/")
            engine.webhooks.configure(None, True, ["*"])
            await engine.add("a")
            await trio.sleep(60)
            assert local.posts == []
        async with running(tmp_path, w) as engine:
            engine.webhooks.account("a", "http://local.example/")
            engine.webhooks.configure(None, True, ["*"])
            await trio.sleep(60)
            assert local.posts == []
            async with engine.webhooks.setting("a", "url", bound=False):
                engine.webhooks.account("a", "http://local.example/")
            await engine.until(lambda: local.seqs == [1], within=10)


OPERATORS = (Header("X-Api-Key", "operators"), Header("X-Other", "too"))


async def test_a_url_of_a_tenant_never_gets_what_is_the_operators(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        everybody, own = w.host("hooks.example"), w.host("own.example", "203.0.114.2")
        engine.webhooks.configure("http://u:p@hooks.example/", True, ["*"], OPERATORS, "whsec_" + "QUFB" * 10)

        async def posted(receiver, account: str) -> dict[str, str]:
            before = len(receiver.posts)
            await engine.add(account)
            await engine.until(lambda: len(receiver.posts) > before)
            return receiver.posts[-1].headers

        theirs = (("x-api-key", "tenants"), ("X-Mine", "1"), ("Authorization", "Bearer tenants"))
        engine.webhooks.account("a", None, (("X-Set-By", "operators"),))
        async with engine.webhooks.setting("a", "url", bound=True):
            engine.webhooks.account("a", "http://own.example/", (("X-Set-By", "operators"),))
        assert "operators" not in str(await posted(own, "a"))
        async with engine.webhooks.setting("a", "headers", bound=True):
            engine.webhooks.account("a", "http://own.example/", theirs)
        headers = await posted(own, "a")
        assert "operators" not in str(headers) and "x-other" not in headers
        assert not {"webhook-signature", "x-ee-wh-signature"} & headers.keys()
        assert (headers["x-api-key"], headers["x-mine"]) == ("tenants", "1")
        # The settings change while the URL stays: still nothing of them.
        engine.webhooks.configure("http://u:p@hooks.example/", True, ["*"], OPERATORS[:1], "whsec_" + "QkJC" * 10)
        assert "operators" not in str(await posted(own, "a"))

        engine.webhooks.account("a", None, theirs)
        headers = await posted(everybody, "a")
        assert (headers["x-api-key"], headers["x-mine"]) == ("operators", "1")
        assert headers["authorization"].startswith("Basic ")
        assert "webhook-signature" in headers

        async with engine.webhooks.setting("a", "url", bound=False):
            engine.webhooks.account("a", "http://own.example/", theirs)
        headers = await posted(own, "a")
        assert headers["x-api-key"] == "operators" and "webhook-signature" in headers
        async with engine.webhooks.setting("a", "headers", bound=False):
            engine.webhooks.account("a", "http://own.example/", (("X-Api-Key", "operators, for a"),))
        assert (await posted(own, "a"))["x-api-key"] == "operators, for a"


async def test_a_refused_change_leaves_a_url_whose_it_was(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        own = w.host("own.example", "203.0.114.2")
        engine.webhooks.configure(None, True, ["*"], OPERATORS)
        async with engine.webhooks.setting("a", "url", bound=False):
            engine.webhooks.account("a", "http://own.example/")
        with pytest.raises(ValueError):
            async with engine.webhooks.setting("a", "url", bound=True):
                raise ValueError("a member is missing")
        await engine.add("a")
        await engine.until(lambda: bool(own.posts))
        assert own.posts[0].headers["x-api-key"] == "operators"


async def test_one_accounts_receiver_that_is_gone_stops_that_account_alone(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        everybody, own = w.host("hooks.example"), w.host("own.example", "203.0.114.2")
        own.status = 410
        engine.webhooks.account("a", "http://own.example/")
        engine.webhooks.configure(URL, True, ["*"])
        await engine.add("a", 2)
        await engine.add("b", 2)
        await engine.until(lambda: everybody.seqs == [3, 4])
        await trio.sleep(DAY)
        assert own.seqs == [1]
        own.status = 200
        engine.webhooks.account("a", "http://own.example/again")
        await engine.until(lambda: own.seqs == [1, 1, 2])


async def test_a_crash_in_one_endpoint_is_caught_there(
    tmp_path: Path, autojump_clock, engine_errors: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        first, second = await engine.make(), await engine.make()
        monkeypatch.setattr(first.endpoint._poster, "post", lambda *_: 1 / 0)
        await engine.add("a")
        await engine.done(second)
        assert receiver.seqs == [1]
        await engine.until(lambda: "ZeroDivisionError" in (first.endpoint.health.error or ""))
        monkeypatch.undo()
        await engine.done(first, within=120)
        assert receiver.seqs == [1, 1]
    assert engine_errors


@pytest.mark.parametrize("names", [[], ["messageSnet"], ["trackOpen"]], ids=str)
async def test_what_happens_while_no_event_is_named_is_posted_later(
    tmp_path: Path, autojump_clock, names: list[str]
) -> None:
    async with world() as w:
        receiver = w.host("hooks.example")
        async with running(tmp_path, w) as engine:
            await engine.add(n=2)
            engine.webhooks.configure(URL, True, names)
            assert engine.webhooks.waits_for(None) == "no events"
            await engine.add(n=2)
        async with running(tmp_path, w) as engine:
            engine.webhooks.configure(URL, True, names)
            await engine.add()
            await trio.sleep(DAY)
            assert not receiver.posts
            engine.webhooks.configure(URL, True, ["messageSent"])
            assert engine.webhooks.waits_for(None) is None
            await engine.until(lambda: len(receiver.posts) >= 3)
            assert receiver.seqs == [3, 4, 5], "the first time, only what happens from then on"


async def test_a_start_remembers_that_webhooks_were_on(tmp_path: Path, autojump_clock) -> None:
    async with world() as w:
        receiver = w.host("hooks.example")
        receiver.up = False
        async with running(tmp_path, w) as engine:
            engine.webhooks.configure(URL, True, ["*"])
            await trio.sleep(2)
        async with running(tmp_path, w) as engine:
            await engine.add()
            engine.webhooks.configure(URL, True, ["*"])
            receiver.up = True
            await engine.until(lambda: receiver.seqs == [1])


@pytest.mark.parametrize("members", [{"events": ()}, {"events": ("trackOpen",)}, {"accounts": ()}], ids=str)
async def test_an_endpoint_that_is_told_of_nothing_waits(tmp_path: Path, autojump_clock, members) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        made = await engine.make(**members)
        assert engine.webhooks.waits_for(made) == "no events"
        await engine.add()
        await trio.sleep(60)
        assert not receiver.posts
        await engine.webhooks.update(made, EndpointSettings(url=URL, secrets=made.record.secrets))
        await engine.until(lambda: receiver.seqs == [1])


@pytest.mark.parametrize(("wrong", "verifies"), [(401, True), (400, True), (204, False), (500, None)])
async def test_a_test_says_whether_the_receiver_checks_signatures(
    tmp_path: Path, autojump_clock, wrong: int, verifies: bool | None
) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        made = await engine.make(enabled=False)
        verifier = Verifier(made.record.secrets[0])

        async def check(post: Post):
            return (200 if signed(verifier, post) else wrong), {}, b""

        receiver.behave = check
        answer, found = await engine.webhooks.test(made.endpoint, engine.webhooks.target(made))
        assert (answer.status, found) == (200, verifies)
        assert [post.event["event"] for post in receiver.posts] == ["webhookTest"] * 2


async def test_nothing_is_said_of_signatures_where_the_test_is_refused_or_unsigned(
    tmp_path: Path, autojump_clock
) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        engine.webhooks.configure(URL, False, ["*"])
        target = engine.webhooks.target(None)
        answer, found = await engine.webhooks.test(engine.webhooks.default, target)
        assert (answer.taken, found, len(receiver.posts)) == (True, None, 1)
        receiver.status = 401
        made = await engine.make(enabled=False)
        answer, found = await engine.webhooks.test(made.endpoint, engine.webhooks.target(made))
        assert (answer.taken, found, len(receiver.posts)) == (False, None, 2)
