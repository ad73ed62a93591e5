"""A server whose sessions show the flags that they last looked for, as Courier's do: each change is told once."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from changing import Mail, changing
from inbox import SERVERS, folder
from simulation import Simulation

from engine.accounts import folder_sync

NO_MODSEQ = SERVERS["no modseq"]
COUNT = 40


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


def values(mail: Mail) -> list[tuple[list[str], str | None]]:
    """The flags that each new event about messages tells, and its source."""
    events = [each for each in mail.engine.events("acme") if each["event"] == "messageUpdated"]
    new = events[len(events) - len(mail.told()) :]
    return [(each["data"]["changes"]["flags"]["value"], each["data"].get("source")) for each in new]


async def test_a_change_by_request_while_the_watch_hears_of_anothers(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """The watch's session has seen the other's change, and not yet the request's, which its commands do not show."""
    async with changing(simulation, NO_MODSEQ) as mail:
        id = await mail.id_of(2)
        faults, inbox = mail.engine.sandbox.faults, folder(mail.engine)
        faults.imap_remembers_flags = True

        def script(tag: str, name: str, line: bytes) -> None:
            if name == "UID FETCH" and b"RFC822.SIZE" in line:
                inbox.set_flags(inbox.messages[1], frozenset({"\\Seen"}))

        faults.imap_script = script
        await mail.ask("PUT", f"message/{id}", {"flags": {"add": ["$a"]}})
        faults.imap_script = None
        await mail.rounds()
        assert values(mail) == [(["$a", "\\Seen"], "api")]


async def test_a_change_in_a_folder_that_is_read_in_batches(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """What a later batch shows is as old as the opening of the folder."""
    monkeypatch.setattr(folder_sync, "CHUNK", 1)
    async with changing(simulation, NO_MODSEQ, count=0) as mail:
        trash, faults = folder(mail.engine, "Trash"), mail.engine.sandbox.faults
        for number in range(COUNT):
            trash.add(b"Subject: %d\r\n\r\n" % number, 0)
        await mail.rounds()
        mail.told()
        id = await mail.id_of(COUNT, "Trash")
        await trio.sleep(90)
        faults.imap_remembers_flags = True
        first = trio.Event()

        def script(tag: str, name: str, line: bytes) -> None:
            if name == "UID FETCH" and line.endswith(b" (UID FLAGS)"):
                first.set()

        async def change() -> None:
            await first.wait()
            faults.imap_script = None
            await mail.ask("PUT", f"message/{id}", {"flags": {"add": ["$a"]}})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(change)
            faults.imap_script = script
            await mail.rounds()
        assert values(mail) == [(["$a"], "api")]


async def test_requests_see_and_keep_what_others_have_set(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """Also on a connection on which the folder is still open."""
    async with changing(simulation, NO_MODSEQ) as mail:
        mail.engine.sandbox.faults.imap_remembers_flags = True
        id, inbox = await mail.id_of(2), folder(mail.engine)
        for flag in ("$b", "$c"):
            await mail.ask("GET", f"message/{id}")
            inbox.set_flags(inbox.messages[1], mail.flags(2) | {flag})
            assert flag in (await mail.ask("GET", f"message/{id}"))["flags"]
        await mail.ask("PUT", f"message/{id}", {"flags": {"add": ["$a"]}})
        inbox.set_flags(inbox.messages[1], mail.flags(2) | {"$d"})
        moved = await mail.ask("PUT", "messages/move?path=INBOX", {"search": {"uid": "2"}, "path": "Trash"})
        assert folder(mail.engine, "Trash").messages[0].flags == {"$a", "$b", "$c", "$d"}, moved
