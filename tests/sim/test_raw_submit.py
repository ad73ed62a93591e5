"""Messages that come whole, and what a submission may ask for beside its message."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from changing import Mail, changing
from inbox import folder
from simulation import Simulation

from engine.store import messages

RAW = (
    b"Received: from somewhere\r\nFrom: Me <me@x.example>\r\nTo: you@x.example\r\nBcc: hidden@x.example\r\n"
    b"Subject: a\r\n  folded one\r\nMessage-ID: <own@x.example>\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b".one\r\n\r\n  gr\xc3\xbcn \r\n"
)


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


async def preview(mail: Mail, raw: bytes, **members: Any) -> bytes:
    done = await mail.ask("POST", "submit", {"raw": encoded(raw), "dryRun": True, **members})
    return base64.b64decode(done["preview"])


async def fault(mail: Mail, raw: bytes, **members: Any) -> str:
    answer = await mail.answer("POST", "submit", {"raw": encoded(raw), **members})
    assert answer.status == 400
    return str(answer.json["fields"][0]["message"])


async def test_it_is_sent_as_it_is_and_bcc_stays_in_the_copy(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        done = await mail.ask("POST", "submit", {"raw": encoded(RAW)})
        assert done["messageId"] == "<own@x.example>"
        sent = (await mail.engine.event("acme", "messageSent"))["data"]
        assert sent["envelope"] == {"from": "me@x.example", "to": ["you@x.example", "hidden@x.example"]}
        await trio.sleep(60)
        (copy,) = folder(mail.engine, "Sent").messages
        hidden = b"Bcc: hidden@x.example\r\n"
        assert copy.raw.replace(hidden, b"") == RAW.replace(hidden, b"")
        assert hidden in copy.raw


async def test_members_replace_the_fields_of_their_names(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        made = await preview(
            mail,
            RAW,
            to=["A <a@x.example>"],
            bcc="b@x.example",
            subject="gr\u00fcn",
            messageId="new@x.example",
            headers={"X-New": "1", "received": ""},
        )
        header = RAW.partition(b"\r\n\r\n")[0] + b"\r\n"
        for before, after in (
            (b"Received: from somewhere\r\n", b""),
            (b"To: you@x.example", b"To: A <a@x.example>"),
            (b"Bcc: hidden@x.example\r\n", b""),
            (b"Subject: a\r\n  folded one", b"Subject: =?UTF-8?Q?gr=C3=BCn?="),
            (b"<own@x.example>", b"<new@x.example>"),
        ):
            header = header.replace(before, after)
        assert made == header + b"X-New: 1\r\nBcc: b@x.example\r\n\r\n" + RAW.partition(b"\r\n\r\n")[2]
        assert b"From: Me <me@x.example>" in await preview(mail, RAW, subject="other")


async def test_what_is_missing_is_added(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        made = await preview(mail, b"To: you@x.example\n\nhi\n")
        assert made.startswith(b"To: you@x.example\r\nMessage-ID: <")
        assert b"\r\nDate: " in made
        assert b"\r\nFrom: " in made
        assert made.endswith(b"\r\n\r\nhi\r\n")


async def test_control_fields_decide_and_go(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        raw = b"X-EE-Send-At: 2039-01-01T00:00:00Z\r\nX-EE-Delivery-Attempts: 0\r\n" + RAW
        done = await mail.ask("POST", "submit", {"raw": encoded(raw), "deliveryAttempts": 5})
        assert done["sendAt"] == "2039-01-01T00:00:00.000Z"
        entry = await mail.engine.entry(done["queueId"])
        assert entry["attempts"] == 1
        made = await preview(mail, raw)
        assert b"X-EE" not in made
        assert b"Date: Sat, 01 Jan 2039 00:00:00 +0000" in made


async def test_what_cannot_be_sent_is_refused(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        assert await fault(mail, b"From: a@x.example\r\n\r\n") == (
            '"raw" names no recipient: give them in to, cc, bcc or envelope.to'
        )
        assert "cannot be used: nobody" in await fault(mail, b"From: a@x.example\r\nTo: nobody\r\n\r\n")
        assert "has a line of 1200 octets" in await fault(mail, RAW + b"x" * 1200)
        assert await fault(mail, RAW, text="a") == '"text" is not allowed beside raw'
        assert await fault(mail, b"") == '"raw" is not allowed to be empty'
        done = await mail.ask(
            "POST", "submit", {"raw": encoded(b"To: nobody\r\n\r\n"), "envelope": {"from": "", "to": ["a@x.example"]}}
        )
        assert done["messageId"].endswith("@sandbox.example>")
        sent = (await mail.engine.event("acme", "messageSent"))["data"]
        assert sent["envelope"] == {"from": "", "to": ["a@x.example"]}


@pytest.mark.parametrize("moment", ["2039-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z"])
async def test_any_time_ahead_and_reports_survive_a_restart(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, moment: str
) -> None:
    dsn = {"id": "order 1", "return": "headers", "notify": ["success", "failure"], "recipient": "o@x.example"}
    async with changing(simulation, count=0) as mail:
        done = await mail.engine.submit("acme", "you@x.example", sendAt=moment, dsn=dsn)
        assert done["sendAt"] == moment
        assert len(done["queueId"]) == 19
    async with simulation.running() as engine:
        entry = await engine.entry(done["queueId"])
        assert (entry["scheduled"], entry["nextAttempt"]) == (moment, moment)
        stored = messages.by_queue_id(engine.context.store.reader, done["queueId"])
        assert stored is not None
        assert stored.dsn is not None
        assert (stored.dsn.id, stored.dsn.full, stored.dsn.notify) == ("order 1", False, ("SUCCESS", "FAILURE"))
        assert stored.dsn.recipient == "o@x.example"


async def test_a_server_without_reports_is_named(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        for offered in (True, False):
            if not offered:
                mail.engine.sandbox.faults.smtp_capabilities_drop |= {"DSN"}
            await trio.sleep(3600)
            done = await mail.engine.submit("acme", "you@x.example", dsn={"return": "full"})
            await mail.engine.until_ended(done["queueId"])
            (attempt,) = (await mail.engine.entry(done["queueId"]))["attemptLog"]
            assert attempt["dsn"] is offered
        done = await mail.engine.submit("acme", "you@x.example")
        await mail.engine.until_ended(done["queueId"])
        assert "dsn" not in (await mail.engine.entry(done["queueId"]))["attemptLog"][0]
