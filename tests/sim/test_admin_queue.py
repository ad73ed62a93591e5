"""The page of the queues: counts, since when, pausing and resuming."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import trio
from asking import Caller
from test_admin_pages import entries, visiting

PATH = "/admin/settings/queue"


async def test_a_queue_is_paused_fills_and_is_resumed(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        await ann.engine.event("acme", "accountInitialized")
        await ann.get(PATH)
        assert ann.has("No message is due.") and ann.has("Runs")
        await ann.follow(await ann.post(f"{PATH}/submit/pause"))
        assert ann.has("Sending is paused.") and "queue/submit/resume" in ann.page
        assert entries(ann.engine)[0] == ("person:ann", "settings.queue", "submit *")
        caller = await Caller.of(ann.engine, app=ann._caller._app)
        message = {"to": "b@sandbox.example", "subject": "x", "text": "y"}
        before = ann.engine.context.world.now()
        assert (await caller.ask("POST", "/v1/account/acme/submit", message)).status == 200
        assert (await caller.ask("POST", "/v1/account/acme/submit", {**message, "sendAt": "2099-01-01"})).status == 200
        await trio.sleep(3600)
        told = (await caller.ask("GET", "/v1/settings/queue/submit?account=acme")).json
        assert told["jobs"]["waiting"] == 1 and told["jobs"]["delayed"] == 1
        assert told == {**(await caller.ask("GET", "/v1/settings/queue/submit")).json, "account": "acme"}
        assert abs(datetime.fromisoformat(told["oldest"]).timestamp() - before) < 60
        await ann.get(PATH)
        assert ann.has("The message that waits longest became due") and told["oldest"] in ann.page
        await ann.follow(await ann.post(f"{PATH}/submit/resume"))
        assert ann.has("The engine sends messages again.")
        await trio.sleep(60)
        assert (await caller.ask("GET", "/v1/settings/queue/submit")).json["oldest"] is None


async def test_the_age_of_events_that_wait(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        caller = await Caller.of(ann.engine, app=ann._caller._app)
        assert (await caller.ask("GET", "/v1/settings/queue/notify")).json["oldest"] is None
        settings = {"webhooks": "https://hooks.example/x", "webhooksEnabled": True, "webhookEvents": ["*"]}
        assert (await caller.ask("POST", "/v1/settings", settings)).status == 200
        await ann.get(PATH)
        await ann.post(f"{PATH}/notify/pause")
        await ann.engine.register("acme")
        told = (await caller.ask("GET", "/v1/settings/queue/notify")).json
        assert told["paused"] and told["jobs"]["waiting"] >= 1
        event = (await caller.ask("GET", "/v1/events?limit=1000")).json["events"][0]
        assert told["oldest"] == event["date"]
        await ann.get(PATH)
        assert ann.has("The oldest event that waits happened")


async def test_a_reader_pauses_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        rita = await ann.also("rita")
        await rita.get(PATH)
        assert rita.has("No message is due.") and "<form" not in rita.page.partition("<main")[2]
        for what in ("pause", "resume"):
            assert (await rita.post(f"{PATH}/submit/{what}")).status == 403
        await ann.get(PATH)
        assert (await ann.post(f"{PATH}/documents/pause")).status == 404
