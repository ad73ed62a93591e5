"""A message that the server cannot show, or that cannot be described: the next ones are announced within seconds."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from inbox import SERVERS, box, deliver, folder, mail_events
from simulation import Simulation

from engine.accounts import arrivals
from engine.accounts.message_summary import summary
from engine.imap.fetched import Fetched
from engine.sandbox.faults import HANG_UP, SILENCE
from engine.store import mailboxes

SEED = 4711
REPORT = (
    b"From: mailer@x.example\r\nSubject: Failed\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nIt failed\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x.example\r\n\r\n"
    b"Final-Recipient: rfc822; a@x.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
)


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", SEED)


def stumbles(uid: int, item: str, how: bytes, met: list[str]) -> Callable[[str, str, bytes], bytes | None]:
    """A server that cannot tell `item` of one message, and answers for none that is asked for with it."""

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        if name != "UID FETCH":
            return None
        asked = re.search(r"UID FETCH ([0-9:,]+) ", line.decode())
        assert asked is not None
        spans = [span.split(":") for span in asked[1].split(",")]
        if item not in line.decode() or not any(int(span[0]) <= uid <= int(span[-1]) for span in spans):
            return None
        met.append(asked[1])
        return how if how in (HANG_UP, SILENCE) else tag.encode() + b" " + how + b"\r\n"

    return script


@pytest.mark.parametrize("server", ["everything", "nothing"])
@pytest.mark.parametrize("how", [b"NO [SERVERBUG] Internal error", b"BAD no", HANG_UP, SILENCE], ids=str)
@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("BODYSTRUCTURE", {"size"}),
        ("RFC822.SIZE", {"flags"}),
        ("FLAGS", None),
    ],
)
async def test_what_the_server_cannot_tell_of_one_message(
    simulation: Simulation,
    server: str,
    item: str,
    told: set[str] | None,
    how: bytes,
    autojump_clock: trio.testing.MockClock,
) -> None:
    met: list[str] = []
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= SERVERS[server]
        await engine.register("acme")
        engine.sandbox.faults.imap_script = stumbles(5, item, how, met)
        began = trio.current_time()
        for number in range(9):
            deliver(engine, number)
        await engine.event("acme", "messageNew", 9 if told else 8)
        patience = 145 if how == SILENCE else 15
        assert trio.current_time() - began < patience + (60 if server == "nothing" else 0)
        expected = [("messageNew" if told or uid != 5 else "messageMissing", "INBOX", uid) for uid in range(1, 10)]
        assert mail_events(engine) == expected
        if told:
            odd, good = (engine.events("acme", "messageNew")[place]["data"] for place in (4, 5))
            assert told <= odd.keys()
            envelope = item == "BODYSTRUCTURE" and how not in (HANG_UP, SILENCE)
            assert (odd["subject"], good["subject"]) == ("Grüße" if envelope else "", "Grüße")
        assert engine.events("acme", "connectError") == []
        asked = len(met)
        await trio.sleep(3000)
        assert len(met) <= asked + 4
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_script = stumbles(5, item, HANG_UP, met)
        await trio.sleep(100)
        account = engine.context.registry.get("acme")
        assert account is not None
        assert account.status.state == "connected"


@pytest.mark.parametrize("how", [b"NO no", b"BAD no"], ids=str)
@pytest.mark.parametrize("item", [b"EMAILID", b"HEADER.FIELDS"], ids=str)
async def test_an_item_the_server_never_takes(
    simulation: Simulation, item: bytes, how: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    def script(tag: str, name: str, line: bytes) -> bytes | None:
        if name == "UID FETCH" and item in line:
            refused.append(line)
            return tag.encode() + b" " + how + b"\r\n"
        return None

    refused: list[bytes] = []
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_rewrite = lambda response: response.replace(b" IDLE", b" IDLE OBJECTID")
        engine.sandbox.faults.imap_script = script
        await engine.register("acme")
        for number in range(3):
            deliver(engine, number)
            await engine.event("acme", "messageNew", number + 1)
        told = [each["data"] for each in engine.events("acme", "messageNew")]
        assert [each["subject"] for each in told] == ["Grüße"] * 3
        if item == b"EMAILID":
            assert all("attachments" in each for each in told)
            assert len(refused) <= 2


async def test_a_line_that_fails_over_a_message_does_not_cost_what_is_told_of_it(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """Once the answer to each question about it is lost on the way; the server can tell all of it."""
    met: list[str] = []
    lost: set[str] = set()

    async with simulation.running() as engine:
        await engine.register("acme")
        silent = stumbles(1, "UID", SILENCE, met)

        def script(tag: str, name: str, line: bytes) -> bytes | None:
            items = line.decode().partition("(")[2]
            if name != "UID FETCH" or items in lost:
                return None
            lost.add(items)
            return silent(tag, name, line)

        engine.sandbox.faults.imap_script = script
        deliver(engine, 0)
        told = await engine.event("acme", "messageNew")
        assert met
        assert told["data"]["subject"] == "Grüße"


async def test_what_broke_the_connection_is_known_after_a_restart(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    met: list[str] = []
    async with simulation.running() as engine:
        await engine.register("acme")
        post = engine.sandbox._post
        engine.sandbox.faults.imap_script = stumbles(2, "RFC822.SIZE", HANG_UP, met)
        for number in range(3):
            deliver(engine, number)
        await trio.sleep(6)
        assert met[-1] == "2"
        assert len(engine.events("acme", "messageNew")) == 1
    met.clear()
    async with simulation.running(post=post) as engine:
        engine.sandbox.faults.imap_script = stumbles(2, "RFC822.SIZE", HANG_UP, met)
        await engine.event("acme", "messageNew", 3)
        assert met == []
        row = mailboxes.of_account(engine.context.store.reader, "acme")[0]
        assert mailboxes.failures(engine.context.store.reader, row.id) == {(2, "basics"): 1}


async def test_many_messages_are_searched_for_the_guilty_one_in_few_connections(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    met: list[str] = []
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_script = stumbles(77, "FLAGS", HANG_UP, met)
        for number in range(700):
            deliver(engine, number, age=100_000)
        await engine.register("acme")
        assert len(met) <= 10
        row = mailboxes.of_account(engine.context.store.reader, "acme")[0]
        assert mailboxes.count(engine.context.store.reader, row.id) == 699
        assert engine.events("acme", "connectError") == []
        folder(engine).set_flags(folder(engine).messages[80], frozenset({"\\Seen"}))
        await engine.event("acme", "messageUpdated")


@pytest.mark.parametrize("how", [b"NO no", HANG_UP, SILENCE], ids=str)
@pytest.mark.parametrize("part", ["text", "report"])
async def test_a_second_question_costs_only_its_answer(
    simulation: Simulation, part: str, how: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.context.settings.update(notify_text=part == "text")
        await engine.register("acme")
        item = "BODY.PEEK[1" if part == "text" else "BODY.PEEK[2"
        engine.sandbox.faults.imap_script = stumbles(1, item, how, [])
        folder(engine).add(REPORT, engine.context.world.now())
        deliver(engine, 2)
        new = [(await engine.event("acme", "messageNew", number))["data"] for number in (1, 2)]
        assert [each["subject"] for each in new] == ["Failed", "Grüße"]
        assert new[0]["text"].get("plain") is None if part == "text" else "isBounce" not in new[0]
        assert len(engine.events("acme", "messageBounce")) == (part == "text")
        assert engine.events("acme", "connectError") == []


async def test_a_server_that_tells_nothing_of_any_message_is_not_believed(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """An outage of its store: few messages are given up before it is left in peace."""
    async with simulation.running() as engine:
        await engine.register("acme")

        def script(tag: str, name: str, line: bytes) -> bytes | None:
            return tag.encode() + b" NO [UNAVAILABLE] Try later\r\n" if name == "UID FETCH" else None

        engine.sandbox.faults.imap_script = script
        for number in range(50):
            deliver(engine, number)
        await trio.sleep(600)
        engine.sandbox.faults.imap_script = None
        await engine.event("acme", "messageNew", 50)
        assert engine.events("acme", "messageMissing") == []


@pytest.mark.parametrize("where", ["summary", "report", "journal"])
async def test_whatever_a_message_raises_it_is_told_of(
    simulation: Simulation,
    where: str,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    engine_errors: list[logging.LogRecord],
) -> None:
    """No input is known that does this, which is why the fault is put in."""

    def odd(one: Fetched, *rest: Any) -> dict[str, Any]:
        if one.uid == 2 and one.envelope is not None:
            if where == "summary":
                raise ZeroDivisionError
            return {**summary(one, *rest), "subject": "\ud800"}
        return summary(one, *rest)

    async def report(*_: Any) -> None:
        raise KeyError

    async with simulation.running() as engine:
        await engine.register("acme")
        if where in ("summary", "journal"):
            monkeypatch.setattr(arrivals, "summary", odd)
        else:
            monkeypatch.setattr(arrivals, "is_report", lambda row, one: one.uid == 2)
            monkeypatch.setattr(arrivals, "read_report", report)
        for number in range(3):
            deliver(engine, number)
        await engine.event("acme", "messageNew", 3)
        assert mail_events(engine) == [("messageNew", "INBOX", uid) for uid in (1, 2, 3)]
        shown = [each["data"]["subject"] for each in engine.events("acme", "messageNew")]
        assert shown == ["Grüße", "" if where in ("summary", "journal") else "Grüße", "Grüße"]
        assert len(engine.events("acme", "connectError")) == 0
        assert len(engine_errors) == (where != "journal")


async def test_a_subject_nothing_can_encode(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        odd = b"From: =?utf-7?Q?+2AA-?= <a@x.example>\r\nSubject: =?utf-7?Q?+2AA-?=\r\n\r\nx\r\n"
        box(engine).folder("INBOX").add(odd, engine.context.world.now())
        deliver(engine)
        await engine.event("acme", "messageNew", 2)
        assert [each["data"]["subject"] for each in engine.events("acme", "messageNew")] == ["\ufffd", "Grüße"]
