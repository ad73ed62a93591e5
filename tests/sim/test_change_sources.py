"""Whose a change is when several are under way, or the engine ended before the watch saw it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Caller
from changing import BASE, Mail, changing
from inbox import deliver, folder
from simulation import Simulation

from engine.store import unfinished_changes


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


@pytest.mark.parametrize(
    ("method", "target", "body", "event"),
    [
        ("PUT", "message/{id}", {"flags": {"add": ["$a"]}}, "messageUpdated"),
        ("DELETE", "message/{id}?force=true", None, "messageDeleted"),
    ],
)
async def test_the_engine_ends_between_announcing_a_message_and_its_change(
    simulation: Simulation, method: str, target: str, body: Any, event: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The request was answered before the message was announced, as it was before."""
    async with changing(simulation) as mail:
        faults, post = mail.engine.sandbox.faults, mail.engine.sandbox._post
        faults.imap_silent_about.add(4)
        for number in (4, 5):
            deliver(mail.engine, number)
        await trio.sleep(2)  # the fifth has been read, and waits for the fourth
        await mail.ask(method, target.format(id=await mail.id_of(5)), body)

        # From then on the server only says what the watch needs to announce the fifth.
        def silent(response: bytes) -> bytes:
            return b"" if mail.engine.events("acme", "messageMissing") else response

        faults.imap_rewrite = silent
        await trio.sleep(10)
        assert mail.told() == [("messageNew", "INBOX", 5, None)]
        before = len(mail.engine.events("acme"))
    async with simulation.running(post=post) as engine:
        await trio.sleep(30)
        events = [each for each in engine.events("acme")[before:] if each["event"].startswith("message")]
        assert [(each["event"], each["data"]["uid"], each["data"].get("source")) for each in events] == [
            (event, 5, "api")
        ]
        caller = await Caller.of(engine)
        await trio.sleep(7_200)
        await caller.ask("PUT", f"{BASE}/sync", {"sync": True})
        await trio.sleep(7_200)
        assert unfinished_changes.of_account(engine.context.store.reader, "acme") == {}


async def test_two_requests_change_one_message(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    """The first is shown the flags before the second changes them, and the answer ends afterwards."""
    async with changing(simulation) as mail:
        faults, id = mail.engine.sandbox.faults, await mail.id_of(2)
        begun = trio.Event()
        tags: list[str] = []

        def script(tag: str, name: str, line: bytes) -> bytes | None:
            if name != "UID FETCH" or not line.endswith(b"2 (UID FLAGS)") or tags:
                return None
            tags.append(tag)
            begun.set()
            return b"* 2 FETCH (UID 2 FLAGS ($a))\r\n"

        faults.imap_script = script
        async with trio.open_nursery() as nursery:
            before = set(faults.imap_connections)
            nursery.start_soon(mail.ask, "PUT", f"message/{id}", {"flags": {"add": ["$a"]}})
            await begun.wait()
            nursery.start_soon(mail.ask, "PUT", f"message/{id}", {"flags": {"add": ["$b"]}})
            await trio.sleep(1)
            for stream in before:
                await stream.send_all(f"{tags[0]} OK done\r\n".encode())
        await mail.rounds()
        assert mail.flags(2) == {"$a", "$b"}
        assert values(mail) == [(["$a"], "api"), (["$a", "$b"], "api")]


async def test_a_request_finds_what_another_may_have_changed(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation) as mail:
        faults, trash = mail.engine.sandbox.faults, folder(mail.engine, "Trash")
        moved = await mail.ask("PUT", f"message/{await mail.id_of(2)}/move", {"path": "Trash"})
        await mail.rounds()
        await trio.sleep(90)  # away from the next round
        mail.told()
        faults.imap_rewrite = lambda response: b"" if trash.messages[0].flags else response
        answer = await mail.answer("PUT", f"message/{moved['id']}", {"flags": {"add": ["$a"]}})
        faults.imap_rewrite = None
        assert (answer.status, trash.messages[0].flags) == (504, {"$a"})
        await mail.ask("PUT", f"message/{moved['id']}", {"flags": {"delete": ["$b"]}})
        assert values(mail) == [(["$a"], "api")]


async def test_flags_that_another_changes_after_a_removal_that_broke(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """It may have marked the message as deleted, or removed it; it changed no other flag."""
    async with changing(simulation) as mail:
        faults, inbox = mail.engine.sandbox.faults, folder(mail.engine)
        id = await mail.id_of(2)
        faults.imap_script = lambda _tag, name, _line: b"* BYE\r\n" if name in ("UID STORE", "UID MOVE") else None
        for method, target in (("DELETE", f"message/{id}?force=true"), ("DELETE", f"message/{id}")):
            answer = await mail.answer(method, target)
            assert answer.status in (503, 504), answer
        faults.imap_script = None
        for flags in (["\\Seen"], ["\\Deleted", "\\Seen"]):
            inbox.set_flags(inbox.messages[1], frozenset(flags))
            await trio.sleep(5)
        inbox.remove([2])
        await trio.sleep(5)
        assert [each[0::3] for each in mail.told()] == [
            ("messageUpdated", None),
            ("messageUpdated", "api"),
            ("messageDeleted", "api"),
        ]


def values(mail: Mail) -> list[tuple[list[str], str | None]]:
    """The flags that each new event about messages tells, and its source."""
    events = [each for each in mail.engine.events("acme") if each["event"] == "messageUpdated"]
    new = events[len(events) - len(mail.told()) :]
    return [(each["data"]["changes"]["flags"]["value"], each["data"].get("source")) for each in new]
