"""Webhooks posted to a real HTTP server from a real store."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from real.webhook_receiver import WebhookReceiver

from engine.config import Network, WebhooksConfig
from engine.egress import Egress
from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.silent_hosts import Hosts
from engine.store import database, webhooks
from engine.store.vault import Vault
from engine.store.writer import Store
from engine.webhooks.registry import EndpointRegistry
from engine.world import World

WAIT = 120


class Engine:
    def __init__(self, folder: Path, allow_private: bool = True, **settings: Any) -> None:
        world = World()
        self.store = Store(folder, world)
        self.journal = Journal(self.store, Hub(), world)
        vault = Vault(bytes(32), world)
        egress = Egress(Network(allow_private=allow_private), world, Hosts())
        self.webhooks = EndpointRegistry(self.journal, self.store, vault, WebhooksConfig(**settings), world, egress)

    async def add(self, n: int = 1, name: str = "messageSent") -> None:
        for number in range(n):
            await self.store.commit(partial(self.journal.append, name=name, account="a", data={"n": number}))

    def line(self, account: str) -> webhooks.LineRow | None:
        """An account's line at the endpoint of the settings, as it is on disk."""
        found = [line for line in webhooks.lines(self.store.reader, "default") if line.account == account]
        return found[0] if found else None

    def parked(self, endpoint: str = "default") -> list[int]:
        """The numbers of what is parked."""
        return [row.seq for row in webhooks.parked(self.store.reader, endpoint)]

    @property
    def cursor(self) -> int | None:
        """How far the endpoint of the settings has come, by what is on disk; None while an account lags."""
        (row,) = [row for row in webhooks.every(self.store.reader) if row.id == "default"]
        return None if webhooks.lines(self.store.reader, "default") else row.seq


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[Engine]:
    database.prepare_folder(folder)
    engine = Engine(folder, **{"schedule": (0.01, 0.01)} | settings)
    async with trio.open_nursery() as stores, trio.open_nursery() as nursery:
        await stores.start(engine.store.run)
        await nursery.start(engine.webhooks.run)
        yield engine
        nursery.cancel_scope.cancel()
        stores.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(WAIT):
        while not condition():  # noqa: ASYNC110 - the receiver is a thread
            await trio.sleep(0.005)


def seqs(receiver: WebhookReceiver) -> list[int]:
    return [event["seq"] for event in receiver.events()]


async def test_posts_the_bytes_of_the_journal_in_order(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    async with running(tmp_path) as engine:
        await engine.add(3)
        url = webhook_receiver.url.replace("http://", "http://u%40x:p%3Aw@") + "?a=b%20c"
        engine.webhooks.configure(url, True, ["*"])
        await engine.add(250)
        await until(lambda: len(webhook_receiver.webhooks) == 250)
        assert seqs(webhook_receiver) == list(range(4, 254))
        first = webhook_receiver.webhooks[0]
        assert first.body == engine.journal.read(3, 1)[0][2]
        assert first.path == "/hook?a=b%20c"
        assert first.headers["Content-Type"] == "application/json"
        assert first.headers["User-Agent"].startswith("mailbox-engine/")
        assert first.headers["X-EE-Wh-Id"] == "4"
        assert first.headers["X-EE-Wh-Event-Id"] == first.event["eventId"]
        assert first.headers["X-EE-Wh-Attempts-Made"] == "0"
        assert base64.b64decode(first.headers["Authorization"].removeprefix("Basic ")) == b"u@x:p:w"
        assert "@" not in first.headers["Host"]
        await until(lambda: engine.cursor == 253)


async def test_goes_on_after_a_restart(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    async with running(tmp_path) as engine:
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await engine.add(2)
        await until(lambda: len(webhook_receiver.webhooks) == 2)
        engine.webhooks.configure(webhook_receiver.url, False, ["*"])
        await engine.add(1)
    async with running(tmp_path) as engine:
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await until(lambda: 3 in seqs(webhook_receiver))
    assert sorted(set(seqs(webhook_receiver))) == [1, 2, 3]


async def test_posts_only_the_names_asked_for(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    async with running(tmp_path) as engine:
        engine.webhooks.configure(webhook_receiver.url, True, ["messageFailed"])
        await engine.add(3, "messageSent")
        await engine.add(1, "messageFailed")
        await engine.add(1, "messageSent")
        await until(lambda: engine.cursor == 5)
    assert seqs(webhook_receiver) == [4]


@pytest.mark.parametrize("status", [301, 400, 500])
async def test_an_event_not_taken_is_repeated_then_left_behind(
    tmp_path: Path, webhook_receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    webhook_receiver.status = status
    webhook_receiver.headers = {"Location": "/elsewhere"}
    async with running(tmp_path) as engine:
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await engine.add(2)
        await until(lambda: len(webhook_receiver.webhooks) == 6)
        await until(lambda: engine.cursor == 2)
    assert seqs(webhook_receiver) == [1, 1, 1, 2, 2, 2]
    assert [hook.headers["X-EE-Wh-Attempts-Made"] for hook in webhook_receiver.webhooks] == ["0", "1", "2"] * 2
    assert {hook.path for hook in webhook_receiver.webhooks} == {"/hook"}
    assert " is parked after 3 attempts: " in caplog.text


async def test_retry_after_makes_no_wait_shorter(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    webhook_receiver.status, webhook_receiver.headers = 429, {"Retry-After": "0"}
    async with running(tmp_path, schedule=(3600.0, 3600.0)) as engine:
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await engine.add(1)
        await until(lambda: engine.line("a") is not None and engine.line("a").attempts == 1)
        assert engine.line("a").next_at > time.time() + 3000
    assert len(webhook_receiver.webhooks) == 1


async def test_gone_stops_until_configured_again(
    tmp_path: Path, webhook_receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    webhook_receiver.status = 410
    async with running(tmp_path) as engine:
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await engine.add(2)
        await until(lambda: "410 Gone" in caplog.text)
        assert seqs(webhook_receiver) == [1]
        webhook_receiver.status = 200
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await until(lambda: len(webhook_receiver.webhooks) == 3)
    assert seqs(webhook_receiver) == [1, 1, 2]


async def test_configuring_wakes_it_from_a_long_pause(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    webhook_receiver.status = 500
    async with running(tmp_path, schedule=(3600.0,)) as engine:
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await engine.add(1)
        await until(lambda: len(webhook_receiver.webhooks) == 1)
        webhook_receiver.status = 200
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await until(lambda: engine.cursor == 1)


async def test_a_silent_receiver_is_given_up_at_the_limit_but_its_event_waits(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    webhook_receiver.delay = 3600
    async with running(tmp_path, timeout=0.05, schedule=()) as engine:
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await engine.add(1)
        await until(lambda: engine.line("a") is not None and engine.line("a").attempts == 1)
        assert engine.line("a").error == "no answer within 0.05 seconds"
        assert engine.parked() == []
        webhook_receiver.delay = 0
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await until(lambda: engine.cursor == 1)


async def test_private_addresses_can_be_off_limits(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    async with running(tmp_path, allow_private=False) as engine:
        engine.webhooks.configure(webhook_receiver.url, True, ["*"])
        await engine.add(1)
        await until(lambda: engine.line("a") is not None and engine.line("a").attempts >= 1)
        assert (
            engine.line("a").error
            == "127.0.0.1 leads to 127.0.0.1, which may not be reached: see [network] in config.toml"
        )
    assert webhook_receiver.webhooks == []


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "http://[::1", "http://x:99999/", "nothing"])
async def test_a_url_that_cannot_be_used_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture, url: str) -> None:
    caplog.set_level(logging.WARNING)
    async with running(tmp_path) as engine:
        engine.webhooks.configure(url, True, ["*"])
    assert "the URL cannot be used" in caplog.text
