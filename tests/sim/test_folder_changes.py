"""Folders made, renamed and removed by request: told at once, once, as done by the API, whatever the server can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Caller
from inbox import box, deliver
from simulation import Engine, Simulation

from engine.imap.mailboxes import encode_name

BASE = "/v1/account/acme"


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


class Folders:
    """An account whose folders are changed."""

    def __init__(self, engine: Engine, caller: Caller) -> None:
        self.engine = engine
        self.caller = caller
        self.seen = 0

    async def ask(self, method: str, query: str = "", body: Any = None) -> Any:
        answer = await self.caller.ask(method, f"{BASE}/mailbox{query}", body)
        assert answer.status == 200, answer
        return answer.json

    async def listed(self, query: str = "") -> dict[str, Any]:
        answer = await self.caller.ask("GET", f"{BASE}/mailboxes{query}")
        assert answer.status == 200, answer
        return {each["path"]: each for each in answer.json["mailboxes"]}

    def told(self) -> list[tuple[str, str, str | None]]:
        """The events about folders since the last call: event, path, source."""
        events = [each for each in self.engine.events("acme") if each["event"] in ("mailboxNew", "mailboxDeleted")]
        new, self.seen = events[self.seen :], len(events)
        return [(each["event"], each["data"]["path"], each["data"].get("source")) for each in new]

    async def rounds(self) -> None:
        """Long enough for several rounds to see what is there."""
        await self.caller.ask("PUT", f"{BASE}/sync", {"sync": True})
        await trio.sleep(3_600)


@asynccontextmanager
async def changing(
    simulation: Simulation, missing: frozenset[str] = frozenset(), **members: Any
) -> AsyncIterator[Folders]:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme", **members)
        await trio.sleep(90)
        folders = Folders(engine, await Caller.of(engine))
        folders.told()
        yield folders


async def test_made_renamed_and_removed(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, missing) as folders:
        made = await folders.ask("POST", body={"path": ["Küsse", "Grüße"]})
        assert (made["path"], made["created"]) == ("Küsse/Grüße", True)
        told = folders.told()
        assert ("mailboxNew", "Küsse/Grüße", "api") in told
        assert {each[2] for each in told} == {"api"}
        await folders.rounds()
        assert folders.told() == []

        uid = deliver(folders.engine, path=encode_name("Küsse/Grüße", utf8=False).decode())
        mail = await folders.engine.event("acme", "messageNew")
        assert mail["data"]["uid"] == uid
        moved = await folders.ask("PUT", body={"path": "Küsse/Grüße", "newPath": "Neu"})
        assert (moved["newPath"], moved["renamed"]) == ("Neu", True)
        assert folders.told() == [("mailboxDeleted", "Küsse/Grüße", "api"), ("mailboxNew", "Neu", "api")]
        await folders.rounds()
        assert folders.told() == []
        # Its mail is not announced again, and its ids are good.
        assert len(folders.engine.events("acme", "messageNew")) == 1
        shown = await folders.caller.ask("GET", f"{BASE}/message/{mail['data']['id']}")
        assert (shown.status, shown.json["path"]) == (200, "Neu")

        assert await folders.ask("DELETE", "?path=Neu") == {"path": "Neu", "deleted": True}
        assert folders.told() == [("mailboxDeleted", "Neu", "api")]
        await folders.rounds()
        assert folders.told() == []
        assert (await folders.caller.ask("GET", f"{BASE}/message/{mail['data']['id']}")).status == 404
        assert await folders.ask("DELETE", "?path=Neu") == {"path": "Neu", "deleted": False}


async def test_what_is_below_a_folder_moves_with_it(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, missing) as folders:
        await folders.ask("POST", body={"path": "A"})
        await folders.ask("POST", body={"path": "A/B"})
        folders.told()
        await folders.ask("PUT", body={"path": "A", "newPath": "C"})
        assert sorted(folders.told()) == [
            ("mailboxDeleted", "A", "api"),
            ("mailboxDeleted", "A/B", "api"),
            ("mailboxNew", "C", "api"),
            ("mailboxNew", "C/B", "api"),
        ]
        await folders.rounds()
        assert folders.told() == []
        listed = await folders.listed()
        assert (listed["C/B"]["parentPath"], listed["C/B"]["name"]) == ("C", "B")


async def test_a_path_that_ends_in_a_delimiter(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation) as folders:
        assert (await folders.ask("POST", body={"path": "Clients/"}))["path"] == "Clients"
        assert folders.told() == [("mailboxNew", "Clients", "api")]
        assert (await folders.ask("POST", body={"path": "Clients/"}))["created"] is False
        renamed = await folders.ask("PUT", body={"path": "Clients", "newPath": "Customers/"})
        assert renamed["newPath"] == "Customers"
        assert (await folders.listed())["Customers"]["subscribed"] is True
        await folders.rounds()
        assert sorted(folders.told()) == [("mailboxDeleted", "Clients", "api"), ("mailboxNew", "Customers", "api")]


async def test_one_that_is_there_already(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation) as folders:
        await folders.ask("POST", body={"path": "A"})
        folders.told()
        assert await folders.ask("POST", body={"path": "A"}) == {"path": "A", "created": False}
        await folders.ask("POST", body={"path": "B"})
        folders.told()
        answer = await folders.caller.ask("PUT", f"{BASE}/mailbox", {"path": "A", "newPath": "B"})
        assert answer.status == 400
        answer = await folders.caller.ask("PUT", f"{BASE}/mailbox", {"path": "Nowhere", "newPath": "D"})
        assert answer.status == 400
        assert folders.told() == []


async def test_one_that_the_server_refuses_to_make(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    def script(tag: str, name: str, line: bytes) -> bytes | None:
        return f"{tag} NO Invalid mailbox name\r\n".encode() if name == "CREATE" else None

    async with changing(simulation) as folders:
        await folders.ask("POST", body={"path": "A"})
        folders.engine.sandbox.faults.imap_script = script
        answer = await folders.caller.ask("POST", f"{BASE}/mailbox", {"path": "a/b"})
        assert (answer.status, answer.json["message"]) == (400, "Create failed")
        assert answer.json["details"] == {"response": "NO Invalid mailbox name"}
        # It says as little about one that is there already.
        assert await folders.ask("POST", body={"path": "A"}) == {"path": "A", "created": False}


async def test_one_that_is_open_is_renamed_and_removed(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    """Courier refuses to rename and to remove the mailbox that is selected, and has no UNSELECT."""
    selected: list[bytes] = []

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        if name in ("SELECT", "EXAMINE", "UNSELECT"):
            selected[:] = [line.split()[2]] if name != "UNSELECT" else []
        if name in ("RENAME", "DELETE") and line.split()[2] in selected:
            return f"{tag} NO Can't change the currently-open folder\r\n".encode()
        return None

    async with changing(simulation, missing) as folders:
        await folders.ask("POST", body={"path": "A"})
        assert (await folders.caller.ask("GET", f"{BASE}/messages?path=A")).status == 200
        folders.engine.sandbox.faults.imap_script = script
        selected[:] = [b'"A"']
        assert (await folders.ask("PUT", body={"path": "A", "newPath": "B"}))["renamed"] is True
        assert (await folders.caller.ask("GET", f"{BASE}/messages?path=B")).status == 200
        assert await folders.ask("DELETE", "?path=B") == {"path": "B", "deleted": True}


async def test_subscriptions_and_counters(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation) as folders:
        await folders.ask("POST", body={"path": "A"})
        deliver(folders.engine, 1, "A")
        deliver(folders.engine, 2, "A", ("\\Seen",))
        listed = await folders.listed("?counters=true")
        assert next(iter(listed)) == "INBOX"
        assert (listed["A"]["subscribed"], listed["A"]["status"]) == (True, {"messages": 2, "unseen": 1})
        assert await folders.ask("PUT", body={"path": "A", "subscribed": False}) == {"path": "A", "subscribed": False}
        listed = await folders.listed()
        assert "subscribed" not in listed["A"]
        assert "status" not in listed["A"]


async def test_one_that_is_not_to_be_watched_is_made_in_silence(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, path=["INBOX"]) as folders:
        await folders.ask("POST", body={"path": "A"})
        assert folders.told() == []
        deliver(folders.engine, 1, "A")
        answer = await folders.caller.ask("GET", f"{BASE}/messages?path=A")
        (entry,) = answer.json["messages"]
        assert (await folders.caller.ask("GET", f"{BASE}/message/{entry['id']}")).json["path"] == "A"
        await folders.ask("DELETE", "?path=A")
        assert folders.told() == []
        assert (await folders.caller.ask("GET", f"{BASE}/message/{entry['id']}")).status == 404


async def test_a_foreign_client_that_renames_is_told_without_a_source(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation) as folders:
        await folders.ask("POST", body={"path": "A"})
        folders.told()
        box(folders.engine).rename("A", "B", folders.engine.context.world.now())
        await folders.rounds()
        assert sorted(folders.told()) == [("mailboxDeleted", "A", None), ("mailboxNew", "B", None)]


async def test_a_folder_that_another_client_renames_keeps_its_mail_where_the_server_proves_it(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    def rewrite(response: bytes) -> bytes:
        if b"CAPABILITY" in response:
            return response.replace(b" LIST-STATUS", b" LIST-STATUS OBJECTID")
        return response

    async with simulation.running() as engine:
        engine.sandbox.faults.imap_rewrite = rewrite
        await engine.register("acme")
        folders = Folders(engine, await Caller.of(engine))
        box(engine).create("A", engine.context.world.now())
        deliver(engine, path="A")
        mail = await engine.event("acme", "messageNew")
        await folders.rounds()
        folders.told()
        box(engine).rename("A", "B", engine.context.world.now())
        await folders.rounds()
        assert folders.told() == [("mailboxDeleted", "A", None), ("mailboxNew", "B", None)]
        gone, new = (engine.events("acme", name)[-1]["data"] for name in ("mailboxDeleted", "mailboxNew"))
        assert (gone["renamedTo"], new["renamedFrom"]) == ("B", "A")
        assert new["uidValidity"].isdigit()
        assert len(engine.events("acme", "messageNew")) == 1
        assert engine.events("acme", "messageDeleted") == []
        shown = await folders.caller.ask("GET", f"{BASE}/message/{mail['data']['id']}")
        assert (shown.status, shown.json["path"]) == (200, "B")
        deliver(engine, 2, path="B")
        again = await engine.event("acme", "messageNew", 2)
        assert (again["data"]["path"], again["data"]["id"][:6]) == ("B", mail["data"]["id"][:6])


async def test_mail_that_comes_right_after_a_folder_was_made_is_told(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, missing) as folders:
        await folders.ask("POST", body={"path": "A"})
        deliver(folders.engine, 1, "A")
        began = trio.current_time()
        await folders.ask("POST", body={"path": "A"})  # which also has every folder looked into
        told = await folders.engine.event("acme", "messageNew")
        assert told["data"]["path"] == "A"
        assert trio.current_time() - began < 15


async def test_a_folder_that_is_listed_late(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    """Dovecot's LIST may lack what another session has just created."""
    async with changing(simulation) as folders:
        listing = False
        faults = folders.engine.sandbox.faults
        faults.imap_rewrite = lambda said: b"" if said.endswith(b" New\r\n") and not listing else said
        assert (await folders.ask("POST", body={"path": ["New"]}))["created"]
        assert folders.told() == []
        listing = True
        await folders.rounds()
        assert folders.told() == [("mailboxNew", "New", "api")]
        # What another client makes in its place later is not the request's.
        box(folders.engine).delete("New")
        await folders.rounds()
        box(folders.engine).create("New", 0)
        await folders.rounds()
        assert folders.told() == [("mailboxDeleted", "New", None), ("mailboxNew", "New", None)]
