"""Settings → Webhooks: the webhook of the settings, further endpoints, tests, tries, parked events, replays."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from simulation import Simulation
from visitor import Visitor

from engine.schema.account import AccountCreate
from engine.schema.events import EVENT_DATA
from engine.store import webhooks as stored
from engine.web.texts import texts_of

PATH = "/admin/settings/webhooks"
NOWHERE = "http://127.0.0.1:9/hook"
HOSTILE = '"><img src=x onerror=alert(1)>\u202egnp.exe\u2066' + "W" * 200


@asynccontextmanager
async def visiting(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        account = {"account": "acme", "name": "Acme", "email": "acme@sandbox.example", "sandbox": True}
        await engine.context.registry.register(msgspec.convert(account, AccountCreate))
        await trio.sleep(5)
        ann = await Visitor.at(engine)
        await ann.enter()
        await ann.get(PATH)
        yield ann


def form(**more: str) -> list[tuple[str, str]]:
    return [*{"webhooks": NOWHERE, "enabled": "on", "headers": "", **more}.items()]


async def create(ann: Visitor, *events: str, **more: str) -> str:
    fields = {"url": NOWHERE, "description": "CRM", "enabled": "on", **more}
    answer = await ann.post(f"{PATH}/new", [*fields.items(), *(("events", each) for each in events)])
    assert answer.status == 200 and ann.has("Copy this secret now."), ann.page
    return re.findall(r"wh_[0-9a-f]+", ann.page)[0]


def test_every_event_is_told_of() -> None:
    assert [name for name in EVENT_DATA if f"event.{name}" not in texts_of("en")] == []


async def test_the_webhook_of_the_settings(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        settings = ann.engine.context.settings
        assert ann.has("No URL yet")
        answer = await ann.post(PATH, [*form(headers="X-Key: s3cret\nX-Other: 2"), ("events", "messageSent")])
        assert answer.status == 200 and ann.has("Copy this secret now.")
        secret = settings.values.service_secret
        assert secret and secret in ann.page and "s3cret" not in ann.page
        values = settings.values
        assert (values.webhooks, values.webhooks_enabled, values.webhook_events) == (NOWHERE, True, ("messageSent",))
        assert [(each.key, each.value) for each in values.webhooks_custom_headers] == [
            ("X-Key", "s3cret"),
            ("X-Other", "2"),
        ]
        await ann.get(PATH)
        assert secret not in ann.page and "X-Key: ******" in ann.page
        kept = form(headers="X-Key: ******\r\nX-Other: ******")
        await ann.follow(await ann.post(PATH, [*kept, ("events", "*"), ("events", "messageSent")]))
        assert ann.has("The webhook is saved.") and settings.values.webhook_events == ("*",)
        assert settings.values.webhooks_custom_headers == values.webhooks_custom_headers
        renewed = await ann.post(f"{PATH}/secret", x="y")
        assert renewed.status == 200 and settings.values.service_secret in ann.page
        assert settings.values.service_secret != secret


async def test_what_is_wrong_stands_beside_its_field(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        answer = await ann.post(PATH, form(webhooks="ftp://x", headers="Host: x"))
        assert answer.status == 422 and 'value="ftp://x"' in ann.page
        assert ann.page.count('aria-invalid="true"') == 2
        assert ann.engine.context.settings.values.webhooks is None
        masked = await ann.post(PATH, form(headers="X-Key: ******"))
        assert masked.status == 422 and ann.has("is a masked value")


async def test_a_test_shows_the_answer(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.post(PATH, [*form(), ("events", "*")])
        answer = await ann.post(f"{PATH}/default/test", x="y")
        assert answer.status == 200 and ann.has("Your server did not accept the test.") and ann.has("ECONNREFUSED")
        await ann.engine.submit("acme", "you@sandbox.example")
        await trio.sleep(60)
        await ann.get(PATH)
        assert ann.has("Failing") and ann.has("attempts failed") and ann.has("acme")
        assert (await ann.get(f"{PATH}/default")).headers["location"].endswith("/admin/settings/webhooks")


async def test_another_endpoint(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        name = await create(ann, "*", filter="event == 'messageSent'", headers="X-A: 1", accounts="acme\r\n\r\nother")
        service = ann.engine.context.webhooks
        record = service.get(name).record
        assert record.accounts == ("acme", "other") and record.events is None and record.headers == (("X-A", "1"),)
        assert f'hx-get="../../../admin/settings/webhooks/{name}"' in ann.page, (
            "what is renewed is not the form for another"
        )
        changed = {"url": NOWHERE, "description": HOSTILE, "headers": "X-A: ******", "map": "{is: event}"}
        await ann.follow(await ann.post(f"{PATH}/{name}", [*changed.items(), ("events", "messageNew")]))
        assert ann.has("The endpoint is saved.") and "<img" not in ann.page
        record = service.get(name).record
        assert (record.events, record.map, record.filter, record.enabled) == (
            ("messageNew",),
            "{is: event}",
            None,
            False,
        )
        assert record.headers == (("X-A", "1"),)
        await ann.get(PATH)
        assert ann.has("gnp.exe") and "<img" not in ann.page
        wrong = await ann.post(f"{PATH}/{name}", [*changed.items(), ("filter", "!a.b")])
        assert wrong.status == 422 and ann.has("holds a part that is always null")
        assert ann.has("New secret …")
        (before,) = service.get(name).record.secrets
        renewed = await ann.post(f"{PATH}/{name}/secret", x="y")
        (secret,) = service.get(name).record.secrets
        assert renewed.status == 200 and secret in ann.page and secret != before and before not in ann.page
        await ann.get(f"{PATH}/{name}")
        assert secret not in ann.page
        await ann.follow(await ann.post(f"{PATH}/{name}/remove", x="y"))
        assert ann.has("The endpoint is removed.") and service.get(name) is None


async def test_filter_and_map_are_tried_on_a_real_event(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(f"{PATH}/new")
        assert '<option value="1">1 · accountAdded · acme' in ann.page
        tries: list[tuple[dict[str, Any], str]] = [
            ({"filter": "event == 'accountAdded'", "map": "{who: data.account}"}, '"who": "acme"'),
            ({"filter": "event == 'messageSent'"}, "The filter leaves this event out."),
            ({"map": "length(`5`)"}, "The event would be parked"),
            ({"filter": "event =="}, "is not JMESPath"),
        ]
        for typed, shown in tries:
            answer = await ann.post(f"{PATH}/new/try", seq="1", url="not yet", **typed)
            assert answer.status in (200, 422) and ann.has(shown), (typed, ann.page)
            assert all(msgspec_text in ann.page for msgspec_text in ('value="not yet"',)), "what was typed stays"
        gone = await ann.post(f"{PATH}/new/try", seq="999999")
        assert gone.status == 200 and ann.has("There is no such event")
        assert not ann.engine.context.webhooks.made, "nothing is saved"


async def test_parked_events_are_posted_again_or_dropped(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        name = await create(ann, "*", map="length(`5`)")
        for _ in range(3):
            await ann.engine.submit("acme", "you@sandbox.example")
        await trio.sleep(30)
        await ann.get(f"{PATH}/{name}")
        reader = ann.engine.context.store.reader
        before = stored.parked_count(reader, name)
        assert before >= 3 and ann.has("Parked events") and ann.has("the map cannot be applied")
        one = str(stored.parked(reader, name, 1, 0)[0].seq)
        await ann.follow(await ann.post(f"{PATH}/{name}/parked", action="skip", seq=one))
        assert ann.has("One event is dropped.") and stored.parked_count(reader, name) == before - 1
        await ann.follow(await ann.post(f"{PATH}/{name}/parked", action="retry"))
        assert ann.has("The engine posts")
        await ann.get(f"{PATH}/{name}")
        await ann.follow(await ann.post(f"{PATH}/{name}/parked", action="skip"))
        assert stored.parked_count(reader, name) == 0


async def test_past_events_are_replayed(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        name = await create(ann, "*")
        made = ann.engine.context.webhooks.get(name)
        assert made.endpoint.position > 1
        await ann.follow(await ann.post(f"{PATH}/{name}/replay", span="all"))
        assert ann.has("The replay has begun.") and min(each.seq for each in made.endpoint.lines.values()) < 2
        await ann.follow(await ann.post(f"{PATH}/{name}/replay", span="hour", url="http://127.0.0.1:9/other"))
        assert ann.has("http://127.0.0.1:9/other") and len(ann.engine.context.webhooks.made) == 2


async def test_a_reader_only_looks(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        name = await create(ann, "*", headers="X-A: 1")
        bob = await ann.also("bob", "reader")
        for path in (PATH, f"{PATH}/{name}", f"{PATH}/new"):
            assert (await bob.get(path)).status == 200
            assert bob.page.count("<form") == 1, "signing out is all"
        for path in (
            "",
            "/secret",
            "/new",
            *(f"/{name}/{each}" for each in ("test", "try", "parked", "replay", "remove", "secret")),
        ):
            assert (await bob.post(PATH + path, url=NOWHERE)).status == 403
        assert ann.engine.context.webhooks.get(name) is not None
        oscar = await ann.also("oscar", "operator")
        assert (await oscar.post(f"{PATH}/secret", x="y")).status == 403
