"""Webhook endpoints that are gone, disabled, without events, or tested."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from endpoint_engine import DAY, URL, running, world
from receivers import Post
from standardwebhooks import Webhook as Verifier

from engine.model.webhook import EndpointSettings


def signed(verifier: Verifier, post: Post) -> bool:
    given = {each.split(",")[1] for each in post.headers["webhook-signature"].split()}
    at = datetime.fromtimestamp(int(post.headers["webhook-timestamp"]), UTC)
    return verifier.sign(post.headers["webhook-id"], at, post.body.decode()).split(",")[1] in given


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
    tmp_path: Path, autojump_clock, engine_errors: list[Any], monkeypatch: pytest.MonkeyPatch
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


@pytest.mark.parametrize("names", [[], ["messageSnet"], ["messageExpired"]], ids=str)
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


@pytest.mark.parametrize("members", [{"events": ()}, {"events": ("messageExpired",)}, {"accounts": ()}], ids=str)
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
