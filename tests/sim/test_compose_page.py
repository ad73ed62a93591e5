"""Sending a test mail from the pages, and what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from simulation import Simulation
from visitor import Visitor

PATH = "/admin/compose"
HOSTILE = '"><img src=x onerror=alert(1)>\u202egnp.exe' + "W" * 200


@asynccontextmanager
async def visiting(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        ann = await Visitor.at(engine)
        await ann.enter("ann", "operator")
        yield ann


async def test_a_test_mail_is_sent_and_followed(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(PATH)
        assert ann.has("No accounts yet")
        await ann.engine.register("acme")
        await ann.get(PATH)
        assert 'name="account" type="text" value="acme"' in ann.page, "the only one there is"
        mail = {
            "account": "acme",
            "to": "you@outside.invalid; reject+x@sandbox.example",
            "subject": HOSTILE,
            "text": "a\r\nb",
        }
        await ann.follow(await ann.post(PATH, **mail))
        assert "data-live" in ann.page and "<img" not in ann.page and ann.has("gnp.exe")
        await trio.sleep(30)
        await ann.get(ann.url)
        assert ann.has("Sent") and ann.has("User unknown") and "/admin/outbox/" in ann.page
        (caught,) = ann.engine.sandbox.caught.values()
        assert caught.envelope.recipients == ("you@outside.invalid",) and b"a\r\nb" in caught.raw
        await ann.get(f"{PATH}?sent=nothing")
        assert ann.has("From account"), "a message that is gone is not an error here"


async def test_what_is_wrong_stands_beside_its_field(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        await ann.get(PATH)
        for form, told in (
            ({"account": "", "to": "x@sandbox.example"}, "Choose an account"),
            ({"account": "acme", "to": " , "}, "Give the address of a recipient"),
            ({"account": "nobody", "to": "x@sandbox.example"}, "Account record was not found"),
            ({"account": "acme", "to": "no address"}, "valid"),
        ):
            answer = await ann.post(PATH, subject="kept", text="kept too", **form)
            assert answer.status == 422 and ann.has(told), (form, ann.page)
            assert 'value="kept"' in ann.page and ann.has("kept too") and 'aria-invalid="true"' in ann.page
        assert not ann.engine.sandbox.caught


async def test_a_test_mail_is_only_checked(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        await ann.get(PATH)
        mail = {"account": "acme", "to": "you@sandbox.example", "subject": "Dear {{name}}", "text": "kept"}
        answer = await ann.post(PATH, check="1", **mail)
        assert answer.status == 200
        assert ann.has("What was found; nothing was sent") and "Dear {{name}}" in ann.page and ann.has("doubtful")
        assert ann.has("looks like a variable that was not replaced") and ann.has("kept")
        await trio.sleep(30)
        assert not ann.engine.sandbox.caught


async def test_a_reader_sends_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        bob = await ann.also("bob", "reader")
        assert not bob.has("Test mail"), "it is not in the menu"
        assert (await bob.get(PATH)).status == 403
        assert (await bob.post(PATH, account="acme", to="x@sandbox.example")).status == 403
