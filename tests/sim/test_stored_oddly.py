"""Settings and webhook endpoints whose stored value cannot be read: each costs only itself, and is shown."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio.testing
from answers import plain
from simulation import OPERATOR, Engine, Simulation

from engine.api import settings as settings_api
from engine.api import webhooks as api
from engine.errors import Problem
from engine.masking import MASK
from engine.model.webhook import EndpointSettings, Header
from engine.schema.fields import CustomHeader
from engine.schema.settings import SettingsQuery, SettingsUpdate
from engine.schema.webhooks import WebhookReplay, WebhookUpdate
from engine.store import database
from engine.webhooks.health import Health, health_of

Clock = trio.testing.MockClock
URL = "https://hooks.example/in"
ASKED = SettingsQuery(
    webhooks=True, webhooks_enabled=True, webhook_events=True, webhooks_custom_headers=True, notify_text=True
)


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


@asynccontextmanager
async def after(simulation: Simulation, statement: str, *values: Any) -> AsyncIterator[Engine]:
    """The engine once more, after a statement on its journal."""
    db = sqlite3.connect(simulation.folder / database.FILE)
    with db:
        db.execute(statement, values)
    db.close()
    async with simulation.running() as engine:
        yield engine


@pytest.mark.parametrize("name", ["webhooks", "webhooksEnabled", "webhookEvents", "webhooksCustomHeaders"])
@pytest.mark.parametrize("value", [b"\xff", b"", b"7", b'{"sealed":"v1.01234567.AAAA"}', b'{"sealed":7}', b"[[]]", 5])
async def test_a_webhook_setting_that_cannot_be_read_has_webhooks_wait(
    simulation: Simulation, name: str, value: Any, autojump_clock: Clock, engine_errors: list[logging.LogRecord]
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.context.settings.update(webhooks=URL, webhooks_enabled=True, service_secret="s")
        assert engine.context.webhooks.default.active
    async with after(simulation, "INSERT OR REPLACE INTO setting VALUES (?, ?)", name, value) as engine:
        assert not engine.context.webhooks.default.active
        await engine.submit("acme", "a@x.example")
        await engine.event("acme", "messageSent")
        shown = plain(await settings_api.read(engine.context, ASKED))
        assert shown["unreadable"] == [name]
        default = plain(await api.read(engine.context, "default", caller=OPERATOR))
        assert (default["state"], default["disabledReason"]) == ("disabled", f"stored settings cannot be read: {name}")
        assert engine_errors[0].getMessage().startswith(f"the stored setting {name} cannot be read, so webhooks")
        made_again: dict[str, Any] = {
            "webhooks": URL,
            "webhooks_enabled": True,
            "webhook_events": ("*",),
            "webhooks_custom_headers": (),
        }
        await settings_api.update(engine.context, SettingsUpdate(**made_again))
        assert engine.context.webhooks.default.active
        assert "unreadable" not in plain(await settings_api.read(engine.context, ASKED))
    engine_errors.clear()
    async with simulation.running() as engine:
        assert engine.context.webhooks.default.active
    assert engine_errors == []


async def test_a_mask_sent_back_leaves_a_setting_as_it_is(simulation: Simulation, autojump_clock: Clock) -> None:
    url = "https://user:word@hooks.example/in"
    async with simulation.running() as engine:
        headers = (CustomHeader(key="X-Key", value="k"),)
        given = SettingsUpdate(webhooks=url, webhooks_custom_headers=headers, service_secret="s")
        await settings_api.update(engine.context, given)
        before = engine.context.settings.values
        assert (before.webhooks, before.webhooks_custom_headers) == (url, (Header("X-Key", "k"),))
        asked = SettingsQuery(webhooks=True, webhooks_custom_headers=True, service_secret=True)
        shown = plain(await settings_api.read(engine.context, asked))
        assert "word" not in str(shown) and shown["serviceSecret"] == MASK
        assert shown["webhooksCustomHeaders"] == [{"key": "X-Key", "value": MASK}]
        again = msgspec.convert({**shown, "notifyText": True}, SettingsUpdate)
        assert plain(await settings_api.update(engine.context, again))["updated"] == ["notifyText"]
        assert engine.context.settings.values == msgspec.structs.replace(before, notify_text=True)
        for changed in (
            {"webhooks": shown["webhooks"] + "/other"},
            {"webhooksCustomHeaders": [{"key": "X-Other", "value": MASK}]},
            {"serviceSecret": MASK + "1"},
        ):
            with pytest.raises(Problem) as caught:
                await settings_api.update(engine.context, msgspec.convert(changed, SettingsUpdate))
            assert caught.value.status == 400
    async with simulation.running() as engine:
        assert engine.context.settings.values == msgspec.structs.replace(before, notify_text=True)


async def test_a_pause_that_cannot_be_read_holds(
    simulation: Simulation, autojump_clock: Clock, engine_errors: list[logging.LogRecord]
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
    async with after(simulation, "INSERT INTO setting VALUES ('queuePaused', 'tru')") as engine:
        assert engine.context.pauses.paused("acme")
        await engine.pause(False)
        await engine.submit("acme", "a@x.example")
        await engine.event("acme", "messageSent")
    assert [each.getMessage().partition(":")[0] for each in engine_errors] == [
        "the stored setting queuePaused cannot be read, so all mail waits until it is set again"
    ]


async def test_a_tightened_limit_and_a_later_version_stop_nothing(
    simulation: Simulation, autojump_clock: Clock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
    many = msgspec.json.encode(["x" * 5000] * 5000)
    async with after(simulation, "INSERT INTO setting VALUES ('notifyHeaders', ?), ('later', '{')", many) as engine:
        assert len(engine.context.settings.values.notify_headers) == 5000
        assert engine.context.settings.unreadable == set()


@pytest.mark.parametrize(
    "record", [b"\xff", b"", b"v1.01234567.AAAA", b"{}", 7, "other", "no filter", "no url", "number"], ids=str
)
async def test_an_endpoint_that_cannot_be_read_is_shown_and_left_alone(
    simulation: Simulation, record: Any, autojump_clock: Clock, engine_errors: list[logging.LogRecord]
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        service = engine.context.webhooks
        odd = await service.create(EndpointSettings(url=URL), "acme", 0)
        well = await service.create(EndpointSettings(url=URL), None, 0)
        kept = {
            "other": service._sealed(well.id, odd.record),
            "no filter": service._sealed(odd.id, msgspec.structs.replace(odd.record, filter="[[")),
            "no url": service._sealed(odd.id, msgspec.structs.replace(odd.record, url="hooks")),
            "number": service._sealed(odd.id, msgspec.structs.replace(odd.record, accounts=7)),
        }
    changes = "UPDATE webhook SET record = ?, health = '{' WHERE id = ?"
    async with after(simulation, changes, kept.get(record, record), odd.id) as engine:
        service = engine.context.webhooks
        assert service.made[well.id].endpoint.active
        assert not service.made[odd.id].endpoint.active
        shown = plain(await api.read(engine.context, odd.id, caller=OPERATOR))
        assert (shown["enabled"], shown["state"], shown["account"]) == (False, "disabled", "acme")
        assert shown["disabledReason"].startswith("the stored endpoint cannot be read: ")
        for refused in (
            api.update(engine.context, odd.id, WebhookUpdate(enabled=True), caller=OPERATOR),
            api.replay(engine.context, odd.id, WebhookReplay(after=0, url=URL), caller=OPERATOR),
            api.test(engine.context, odd.id, caller=OPERATOR),
        ):
            with pytest.raises(Problem, match="remove it and create another") as caught:
                await refused
            assert caught.value.status == 409
        await api.remove(engine.context, odd.id, caller=OPERATOR)
    assert [each.getMessage().partition(": ")[0] for each in engine_errors] == ["the endpoint is disabled"]
    assert engine_errors[0].__dict__["webhook"] == odd.id
    engine_errors.clear()
    async with simulation.running() as engine:
        assert set(engine.context.webhooks.made) == {well.id}
    assert engine_errors == []


@pytest.mark.parametrize("stored", [b"", b"[]", b'{"delivered":"x"}', 7])
def test_an_endpoint_whose_health_cannot_be_read_goes_on_where_it_stands(stored: Any) -> None:
    assert health_of(stored) == Health(started=True)
