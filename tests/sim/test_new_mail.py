"""New messages are told at once, in full, each once and in order, whatever the server can do and whatever it hides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from inbox import MAIL, deliver, folder, mail_events
from simulation import Simulation

from engine.accounts import message_ids
from engine.imap.session import ImapSession
from engine.isotime import iso
from engine.sandbox.imap_fetch import written_date
from engine.store import mailboxes

SEED = 4711


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", SEED)


async def test_a_new_message_is_told_in_full(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        await engine.context.settings.update(notify_text=True, notify_headers=("X-Tag",))
        started = trio.current_time()
        deliver(engine)
        event = await engine.event("acme", "messageNew")
        patience = 70 if "IDLE" in missing else 0.1
        assert trio.current_time() - started < patience
        row = mailboxes.of_account(engine.context.store.reader, "acme")[0]
        data = event["data"]
        assert data["id"] == message_ids.message_id(row.id, 1)
        assert data == {
            "id": data["id"],
            "uid": 1,
            "path": "INBOX",
            "date": data["date"],
            "flags": [],
            "unseen": True,
            "size": len(MAIL % 1),
            "subject": "Grüße",
            "from": {"name": "Älice", "address": "alice@x.example"},
            "replyTo": [{"name": "Älice", "address": "alice@x.example"}],
            "sender": {"name": "Älice", "address": "alice@x.example"},
            "to": [{"name": "", "address": "acme@sandbox.example"}],
            "attachments": [
                {
                    "id": data["attachments"][0]["id"],
                    "contentType": "text/plain",
                    "encodedSize": 1,
                    "embedded": False,
                    "inline": False,
                    "encodedInMessage": False,
                    "filename": "a.txt",
                }
            ],
            "messageId": "<1@x.example>",
            "text": {"id": data["text"]["id"], "encodedSize": {"plain": 12}, "plain": "Grüße"},
            "headers": {"x-tag": ["one", "two"]},
            "specialUse": "\\Inbox",
            "messageSpecialUse": "\\Inbox",
            "seemsLikeNew": True,
        }


async def test_a_burst_is_told_at_once_and_in_order(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        started = trio.current_time()
        for number in range(230):
            deliver(engine, number)
            if number % 7 == 0:
                await trio.sleep(0.001)
        await engine.event("acme", "messageNew", 230)
        assert trio.current_time() - started < (130 if "IDLE" in missing else 1)
        assert mail_events(engine) == [("messageNew", "INBOX", uid) for uid in range(1, 231)]


@pytest.mark.parametrize("asks", ["nothing more", "text"])
async def test_a_burst_with_gaps(
    simulation: Simulation, missing: frozenset[str], asks: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.context.settings.update(notify_text=asks == "text")
        await engine.register("acme")
        for number in range(330):
            deliver(engine, number)
        gone = [3, 150, 151, 329]
        folder(engine).remove(gone)
        deliver(engine, 330)
        await engine.event("acme", "messageNew", 331 - len(gone))
        told = [("messageNew", "INBOX", uid) for uid in range(1, 332) if uid not in gone]
        assert mail_events(engine) == told


async def test_flags_changed_while_new_mail_is_described_are_told_at_once(
    simulation: Simulation,
    missing: frozenset[str],
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetch_each = ImapSession.fetch_each

    async def meanwhile(session: ImapSession, *asked: Any) -> None:
        inbox = folder(engine)
        inbox.set_flags(inbox.messages[0], frozenset({"\\Flagged"}))
        inbox.set_flags(inbox.messages[-1], frozenset({"\\Seen"}))
        await fetch_each(session, *asked)

    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        deliver(engine, age=1000)
        await engine.register("acme")
        monkeypatch.setattr(ImapSession, "fetch_each", meanwhile)
        started = trio.current_time()
        deliver(engine, 2)
        await engine.event("acme", "messageUpdated")
        assert trio.current_time() - started < (130 if "IDLE" in missing else 1)
        assert mail_events(engine) == [("messageNew", "INBOX", 2), ("messageUpdated", "INBOX", 1)]


async def test_notify_from_reaches_back(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        ages = [86_400 * 9, 86_400 * 2, 7_000, 3_700, 3_000, 10]
        for number, age in enumerate(ages):
            deliver(engine, number, age=age)
        since = engine.context.world.now() - 3600
        await engine.register("acme", notifyFrom=iso(since))
        assert mail_events(engine) == [("messageNew", "INBOX", 5), ("messageNew", "INBOX", 6)]
        deliver(engine, 7, age=5000)  # moved here from elsewhere
        deliver(engine, 8)
        await engine.event("acme", "messageNew", 3)
        assert mail_events(engine)[2:] == [("messageNew", "INBOX", 8)]
        folder(engine).remove([7])
        await engine.event("acme", "messageDeleted")


async def test_a_message_the_server_hides_holds_nothing_up(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        engine.sandbox.faults.imap_silent_about.add(2)
        for number in range(3):
            deliver(engine, number)
        event = await engine.event("acme", "messageMissing")
        assert (event["data"]["uid"], event["data"]["missingRetries"], event["data"]["missingDelay"]) == (2, 3, 5600)
        await engine.event("acme", "messageNew", 2)
        assert mail_events(engine) == [
            ("messageNew", "INBOX", 1),
            ("messageMissing", "INBOX", 2),
            ("messageNew", "INBOX", 3),
        ]


@pytest.mark.parametrize("most", [1, 400])
async def test_messages_that_go_before_they_are_described_hold_nothing_up(
    simulation: Simulation, missing: frozenset[str], most: int, autojump_clock: trio.testing.MockClock
) -> None:
    gone = [uid for uid in range(1, 401) if uid % 100 > 3][:most]

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        if name == "UID FETCH" and b"ENVELOPE" in line:
            folder(engine).remove(gone)  # another client is quicker
        return None

    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        engine.sandbox.faults.imap_script = script
        began = trio.current_time()
        for number in range(401):
            deliver(engine, number)
        await engine.event("acme", "messageNew", 401 - len(gone))
        assert trio.current_time() - began < (70 if "IDLE" in missing else 3)
        await trio.sleep(200)
        assert mail_events(engine) == [("messageNew", "INBOX", uid) for uid in range(1, 402) if uid not in gone]
        deliver(engine, 402)
        await engine.event("acme", "messageNew", 402 - len(gone))
        folder(engine).remove([1])
        await engine.event("acme", "messageDeleted")
        assert mail_events(engine)[-2:] == [("messageNew", "INBOX", 402), ("messageDeleted", "INBOX", 1)]


async def test_a_message_shown_empty_because_it_was_just_removed_raises_no_event(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    """As Dovecot shows it: no octets, of 1970. That date is before `notifyFrom`, which hid it from the events."""

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        if name != "UID FETCH" or b"ENVELOPE" not in line or 2 not in uids():
            return None
        folder(engine).remove([2])
        shown = [b'* %d FETCH (UID %d FLAGS () INTERNALDATE "%s" RFC822.SIZE %d)' % (uid, uid, *of) for uid, of in told]
        return b"\r\n".join([*shown, tag.encode() + b" OK\r\n"])

    def uids() -> list[int]:
        return [each.uid for each in folder(engine).messages]

    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        now = written_date(engine.context.world.now()).encode()
        told = [(1, (now, 9)), (2, (b"01-Jan-1970 00:00:00 +0000", 0)), (3, (now, 9))]
        engine.sandbox.faults.imap_script = script
        for number in range(3):
            deliver(engine, number)
        await engine.event("acme", "messageNew", 2)
        await trio.sleep(200)
        assert uids() == [1, 3]
        assert mail_events(engine) == [("messageNew", "INBOX", uid) for uid in (1, 3)]


async def test_a_message_nobody_can_describe_holds_nothing_up(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        engine.sandbox.faults.imap_garbles.add(2)
        for number in range(3):
            deliver(engine, number)
        await engine.event("acme", "messageNew", 3)
        assert mail_events(engine) == [("messageNew", "INBOX", uid) for uid in (1, 2, 3)]
        shown = [each["data"]["subject"] for each in engine.events("acme", "messageNew")]
        assert shown == ["Grüße", "", "Grüße"]
