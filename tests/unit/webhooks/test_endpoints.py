"""Webhook endpoints against receivers in memory: order, lines, crashes, retention, expressions."""

from __future__ import annotations

import base64
import logging
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trio
from endpoint_engine import DAY, URL, running, world
from receivers import Post
from standardwebhooks import Webhook as Verifier

from engine.model.webhook import EndpointSettings
from engine.store import events, webhooks


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


@pytest.mark.once
async def test_secrets_that_a_receiver_echoes_are_masked(
    tmp_path: Path, autojump_clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = (("Authorization", "Bearer canary-bearer"), ("X-Key", "canary-key"), ("Cookie", "a=canary-cookie; b=1"))
    secret = "whsec_" + base64.b64encode(b"canary-secret-canary-secret").decode()
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        signatures: set[Any] = set()

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


@pytest.mark.once
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
