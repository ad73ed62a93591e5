"""The engine ends after the mail server made a change and before it is known: afterwards it is told as the API's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Caller
from changing import BASE, changing
from inbox import box
from simulation import Engine, Simulation

from engine.sandbox.post_office import PostOffice
from engine.store import unfinished_changes

RAW = "RnJvbTogYUB4LmV4YW1wbGUNClN1YmplY3Q6IHUNCk1lc3NhZ2UtSUQ6IDx1QHguZXhhbXBsZT4NCg0KeA0K"
CHANGES: list[tuple[str, str, Any, list[tuple[str, str, str | None]]]] = [
    ("PUT", "message/{id}", {"flags": {"add": ["$x"]}}, [("messageUpdated", "INBOX", "api")]),
    ("DELETE", "message/{id}?force=true", None, [("messageDeleted", "INBOX", "api")]),
    (
        "PUT",
        "message/{id}/move",
        {"path": "Trash"},
        [("messageDeleted", "INBOX", "api"), ("messageNew", "Trash", "api")],
    ),
    ("POST", "message", {"path": "INBOX", "raw": RAW}, [("messageNew", "INBOX", "api")]),
    ("POST", "mailbox", {"path": ["New"]}, [("mailboxNew", "New", "api")]),
    ("DELETE", "mailbox?path=Junk", None, [("mailboxDeleted", "Junk", "api")]),
    (
        "PUT",
        "mailbox",
        {"path": "Junk", "newPath": "Else"},
        [("mailboxNew", "Else", "api"), ("mailboxDeleted", "Junk", "api")],
    ),
]


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def crashed_after(simulation: Simulation, method: str, target: str, body: Any) -> tuple[PostOffice, int]:
    """What is at the mail server after a request was carried out there, and the engine's last event."""
    async with changing(simulation) as mail:
        engine, id = mail.engine, await mail.id_of(2)
        before, made = state(engine), trio.Event()

        def silent(response: bytes) -> bytes:
            if state(engine) == before:
                return response
            made.set()
            return b""

        # The server does what it is told to, and says nothing more, to no session.
        engine.sandbox.faults.imap_rewrite = silent
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mail.caller.ask, method, f"{BASE}/{target.format(id=id)}", body)
            await made.wait()
            nursery.cancel_scope.cancel()
        return engine.sandbox._post, len(engine.events("acme"))


def state(engine: Engine) -> Any:
    """What any change of messages or folders changes."""
    return {
        path: [(each.uid, each.flags - {"\\Deleted"}) for each in there.messages]
        for path, there in box(engine).folders.items()
    }


@pytest.mark.parametrize(("method", "target", "body", "told"), CHANGES)
async def test_the_source_of_a_change_survives_the_end_of_the_engine(
    simulation: Simulation,
    method: str,
    target: str,
    body: Any,
    told: list[tuple[str, str, str | None]],
    autojump_clock: trio.testing.MockClock,
) -> None:
    post, seen = await crashed_after(simulation, method, target, body)
    async with simulation.running(post=post) as engine:
        await trio.sleep(7_200)
        events = [each for each in engine.events("acme")[seen:] if each["event"].startswith(("message", "mailbox"))]
        assert [(each["event"], each["path"], each["data"].get("source")) for each in events] == told
        # It counts only for what was changed then, and for a while.
        caller = await Caller.of(engine)
        await caller.ask("PUT", f"{BASE}/sync", {"sync": True})
        await trio.sleep(7_200)
        assert unfinished_changes.of_account(engine.context.store.reader, "acme") == {}
