"""Drafts submitted: sent as they are, and gone from their folder once that is so, once."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import trio
import trio.testing
from changing import Mail, changing
from inbox import box, deliver, folder
from simulation import Simulation


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def drafted(mail: Mail, to: str = "you@x.example") -> str:
    body = {
        "path": "Drafts",
        "flags": ["\\Draft"],
        "to": [{"address": to}],
        "bcc": [{"address": "hidden@x.example"}],
        "subject": "later",
        "text": "Hallo",
        "messageId": "<draft@x.example>",
    }
    return str((await mail.ask("POST", "message", body))["id"])


async def test_sent_and_gone(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, missing, count=0) as mail:
        id = await drafted(mail)
        done = await mail.ask("POST", f"message/{id}/submit", {})
        assert (done["response"], done["messageId"]) == ("Queued for delivery", "<draft@x.example>")
        sent = (await mail.engine.event("acme", "messageSent"))["data"]
        assert sent["queueId"] == done["queueId"]
        assert sorted(sent["envelope"]["to"]) == ["hidden@x.example", "you@x.example"]
        await trio.sleep(60)
        assert mail.uids("Drafts") == []
        assert mail.uids("Trash") == []
        (copy,) = folder(mail.engine, "Sent").messages
        assert b"Bcc: hidden@x.example" in copy.raw
        await mail.rounds()
        told = mail.told()
        assert ("messageNew", "Drafts", 1, "api") in told
        assert ("messageDeleted", "Drafts", 1, "api") in told
        assert len(told) == 3
        assert len(mail.engine.events("acme", "messageSent")) == 1


async def test_without_a_copy_it_goes_to_the_trash(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        await mail.ask("POST", f"message/{await drafted(mail)}/submit", {"copy": False})
        await mail.engine.event("acme", "messageSent")
        await trio.sleep(60)
        assert (mail.uids("Drafts"), mail.uids("Sent"), mail.uids("Trash")) == ([], [], [1])


async def test_it_stays_while_it_is_not_sent(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        id = await drafted(mail)
        first = await mail.ask("POST", f"message/{id}/submit", {"sendAt": "2027-06-01T00:00:00Z"})
        answer = await mail.answer("POST", f"message/{id}/submit", {})
        assert (answer.status, answer.json["code"]) == (409, "DraftSubmitted")
        await trio.sleep(3_600)
        assert mail.uids("Drafts") == [1]
        # Once that is cancelled, it can be submitted again.
        assert (await mail.caller.ask("DELETE", f"/v1/outbox/{first['queueId']}")).json["deleted"] is True
        refused = await mail.ask("POST", f"message/{id}/submit", {"envelope": {"to": ["reject+you@x.example"]}})
        await mail.engine.until_ended(refused["queueId"])
        await trio.sleep(3_600)
        assert mail.uids("Drafts") == [1]
        await mail.ask("POST", f"message/{id}/submit", {})
        await trio.sleep(3_600)
        assert mail.uids("Drafts") == []


@pytest.mark.parametrize("length", [1, 100_000], ids=["in the journal", "in the spool"])
async def test_text_beyond_ascii_is_sent_as_it_is_or_fails(
    simulation: Simulation, length: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:

        async def sent(text: str) -> tuple[str, str]:
            """How it ended, and what the server was told."""
            head = "To: acme@sandbox.example\r\nContent-Type: text/plain; charset=utf-8\r\n"
            raw = f"{head}Content-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n".encode() + b".x\r\n" * length
            body = {"path": "Drafts", "flags": ["\\Draft"], "raw": base64.b64encode(raw).decode()}
            draft = await mail.ask("POST", "message", body)
            done = await mail.ask("POST", f"message/{draft['id']}/submit", {})
            await mail.engine.until_ended(done["queueId"])
            entry = (await mail.caller.ask("GET", f"/v1/outbox/{done['queueId']}")).json
            return entry["state"], "".join(entry["attemptLog"][0]["transcript"])

        state, said = await sent("Grüße")
        assert (state, "BODY=8BITMIME" in said) == ("sent", True)
        assert "Grüße".encode() in folder(mail.engine).messages[-1].raw
        mail.engine.sandbox.faults.smtp_capabilities_drop.add("8BITMIME")
        mail.engine.sandbox.faults.cut_smtp()
        assert (await sent("plain"))[0] == "sent"
        assert (await sent("Grüße"))[0] == "failed"
        error = (await mail.engine.event("acme", "messageFailed"))["data"]["error"]
        assert error.endswith("the server does not offer 8BITMIME")


@pytest.mark.parametrize(
    ("raw", "longest"),
    [
        (b"To: you@x.example\r\n\r\n" + b"x" * 998, None),
        (b"To: you@x.example\r\n\r\nok\r\n" + b"x" * 999, 999),
        (b"To: you@x.example\r\nX: " + b"x" * 2_000 + b"\r\n\r\nok", 2_003),
        (b"To: you@x.example\r\n\r\n" + b"y\r\n" * 200_000 + b"x" * 5_000, 5_000),
    ],
    ids=["998", "text", "header", "large"],
)
async def test_a_line_that_smtp_cannot_carry_is_refused_at_once(
    simulation: Simulation, raw: bytes, longest: int | None, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        uid = folder(mail.engine, "Drafts").add(raw, 1.0, ("\\Draft",)).uid
        await mail.rounds()
        answer = await mail.answer("POST", f"message/{await mail.id_of(uid, 'Drafts')}/submit", {})
        if longest is None:
            assert answer.status == 200
            return
        assert (answer.status, answer.json["code"]) == (400, "LineTooLong")
        assert answer.json["message"].startswith(f"The draft has a line of {longest} octets")
        assert "raw" not in answer.body.decode() and mail.uids("Drafts") == [uid]
        assert (await mail.caller.ask("GET", "/v1/outbox")).json["total"] == 0


async def test_a_key_that_is_used_again(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        target, key = f"/v1/account/acme/message/{await drafted(mail)}/submit", {"Idempotency-Key": "k"}
        first = await mail.caller.ask("POST", target, {}, headers=key)
        await trio.sleep(3_600)
        assert mail.uids("Drafts") == []
        again = await mail.caller.ask("POST", target, {}, headers=key)
        assert (again.status, again.json["queueId"]) == (200, first.json["queueId"])
        assert again.json["idempotency"] == {"key": "k", "status": "HIT"}


async def test_what_is_no_draft(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=1) as mail:
        id = await mail.id_of(1)
        answer = await mail.answer("POST", f"message/{id}/submit", {})
        assert (answer.status, answer.json["code"]) == (400, "MessageNotDraft")
        answer = await mail.answer("POST", f"message/{id[:-1]}9/submit", {})
        assert (answer.status, answer.json["code"]) == (404, "MessageNotFound")
        empty = await mail.ask("POST", "message", {"path": "INBOX", "flags": ["\\Draft"], "subject": "x"})
        answer = await mail.answer("POST", f"message/{empty['id']}/submit", {})
        assert (answer.status, answer.json["code"]) == (400, "DraftHasNoRecipients")
        done = await mail.ask("POST", f"message/{empty['id']}/submit", {"envelope": {"to": ["you@x.example"]}})
        await mail.engine.until_ended(done["queueId"])
        await trio.sleep(60)
        assert mail.uids() == [1]


async def test_it_goes_after_a_restart_too(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        id = await drafted(mail)
        mail.engine.sandbox.faults.imap_capabilities_drop |= {"MOVE"}
        box(mail.engine)  # the folder is there
        await mail.ask("POST", f"message/{id}/submit", {"sendAt": "2027-01-15T12:00:00Z"})
    async with simulation.running() as engine:
        sent = await engine.event("acme", "messageSent")
        assert sent["data"]["messageId"] == "<draft@x.example>"
        await trio.sleep(60)
        assert folder(engine, "Drafts").messages == []
        deliver(engine, 7)
