"""Pages of messages: newest first, and steady while mail comes and goes, whatever the server can do."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Caller
from inbox import box, deliver, folder
from simulation import Engine, Simulation

LIST = "/v1/account/acme/messages"


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


@asynccontextmanager
async def reading(
    simulation: Simulation, missing: frozenset[str] = frozenset(), messages: int = 0
) -> AsyncIterator[tuple[Engine, Caller]]:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        for number in range(1, messages + 1):
            deliver(engine, number)
        await trio.sleep(90)
        yield engine, await Caller.of(engine)


async def page(caller: Caller, query: str) -> Any:
    answer = await caller.ask("GET", f"{LIST}?path=INBOX&{query}")
    assert answer.status == 200, answer
    return answer.json


async def searched(caller: Caller, search: dict[str, Any], query: str = "path=INBOX", **body: Any) -> Any:
    answer = await caller.ask("POST", f"/v1/account/acme/search?{query}", {"search": search, **body})
    assert answer.status == 200, answer
    return answer.json


def uids(shown: Any) -> list[int]:
    return [each["uid"] for each in shown["messages"]]


async def test_pages_by_number(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with reading(simulation, missing, 5) as (_, caller):
        first = await page(caller, "pageSize=2")
        assert (uids(first), first["total"], first["page"], first["pages"]) == ([5, 4], 5, 0, 3)
        assert first["prevPageCursor"] is None
        assert uids(await page(caller, "pageSize=2&page=1")) == [3, 2]
        last = await page(caller, "pageSize=2&page=2")
        assert (uids(last), last["nextPageCursor"]) == ([1], None)
        beyond = await page(caller, "pageSize=2&page=3")
        assert (beyond["messages"], beyond["page"], beyond["nextPageCursor"]) == ([], 3, None)
        assert uids(await page(caller, f"pageSize=2&cursor={beyond['prevPageCursor']}")) == [1]
        everything = await page(caller, "pageSize=1000")
        assert uids(everything) == [5, 4, 3, 2, 1]


async def test_an_empty_folder(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with reading(simulation) as (_, caller):
        shown = await page(caller, "")
        assert shown == {
            "total": 0,
            "page": 0,
            "pages": 1,
            "nextPageCursor": None,
            "prevPageCursor": None,
            "messages": [],
        }
        assert (await searched(caller, {"seen": True}))["total"] == 0


@pytest.mark.parametrize("search", [None, {"unseen": True}], ids=["list", "search"])
async def test_mail_that_comes_and_goes_between_pages_neither_repeats_nor_hides_one(
    simulation: Simulation, search: Any, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async def ask(query: str) -> Any:
        return await (page(caller, query) if search is None else searched(caller, search, f"path=INBOX&{query}"))

    async with reading(simulation, missing, 12) as (engine, caller):
        first = await ask("pageSize=3")
        seen = uids(first)
        deliver(engine, 13)
        deliver(engine, 14)
        second = await ask(f"pageSize=3&cursor={first['nextPageCursor']}")
        seen += uids(second)
        folder(engine).remove([2, 5, 12])
        third = await ask(f"pageSize=3&cursor={second['nextPageCursor']}")
        seen += uids(third)
        folder(engine).remove([4])
        fourth = await ask(f"pageSize=3&cursor={third['nextPageCursor']}")
        seen += uids(fourth)
        assert seen == [12, 11, 10, 9, 8, 7, 6, 4, 3, 1]
        assert fourth["nextPageCursor"] is None
        assert [each["page"] for each in (first, second, third, fourth)] == [0, 1, 2, 3]
        # Back again the same way, and on to what came meanwhile.
        back = await ask(f"pageSize=3&cursor={fourth['prevPageCursor']}")
        assert (uids(back), back["page"]) == ([7, 6, 3], 2)
        back = await ask(f"pageSize=3&cursor={back['prevPageCursor']}")
        assert uids(back) == [10, 9, 8]
        back = await ask(f"pageSize=3&cursor={back['prevPageCursor']}")
        assert (uids(back), back["page"]) == ([14, 13, 11], 0)
        assert back["prevPageCursor"] is None


@pytest.mark.parametrize("way", ["nextPageCursor", "prevPageCursor"])
async def test_mail_that_goes_while_the_place_is_looked_for(
    simulation: Simulation, missing: frozenset[str], way: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Numbers shift with the very answer that was to tell where to go on, as at Cyrus."""
    async with reading(simulation, missing, 30) as (engine, caller):
        shown = await page(caller, "pageSize=5&page=2")
        assert uids(shown) == [20, 19, 18, 17, 16]
        there = folder(engine)
        there.remove({16, 20})

        def script(tag: str, name: str, line: bytes) -> bytes | None:
            if name == "UID SEARCH":
                there.remove({1, 2, 3})
            return None

        def found_still(response: bytes) -> bytes:
            """The answer to a search, with what its EXPUNGE takes away."""
            response = re.sub(rb"COUNT (\d+)", lambda match: b"COUNT %d" % (int(match[1]) + 3), response)
            return response.replace(b"ALL 4", b"ALL 1").replace(b"* SEARCH 4", b"* SEARCH 1 2 3 4")

        engine.sandbox.faults.imap_script = script
        engine.sandbox.faults.imap_rewrite = found_still
        beside = await page(caller, f"pageSize=5&cursor={shown[way]}")
        assert uids(beside) == ([15, 14, 13, 12, 11] if way == "nextPageCursor" else [25, 24, 23, 22, 21])


@pytest.mark.parametrize(
    ("cursor", "code"),
    [("x", "InvalidCursorValue"), ("imap_AAAA", "InvalidCursorValue"), ("graph_AAAA", "InvalidCursorType")],
)
async def test_what_is_no_cursor(
    simulation: Simulation, cursor: str, code: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with reading(simulation) as (_, caller):
        answer = await caller.ask("GET", f"{LIST}?path=INBOX&cursor={cursor}")
        assert (answer.status, answer.json["code"]) == (400, code)


async def test_a_cursor_is_for_one_folder_and_one_search_and_void_with_the_uids(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with reading(simulation, messages=3) as (engine, caller):
        cursor = (await page(caller, "pageSize=1"))["nextPageCursor"]
        found = (await searched(caller, {"unseen": True}, "path=INBOX&pageSize=1"))["nextPageCursor"]
        box(engine).renumber("INBOX")
        await caller.ask("PUT", "/v1/account/acme/sync", {"sync": True})
        await trio.sleep(60)
        for query in (f"path=Sent&cursor={cursor}", f"path=INBOX&cursor={found}", f"path=INBOX&cursor={cursor}"):
            answer = await caller.ask("GET", f"{LIST}?{query}")
            assert (answer.status, answer.json.get("code")) == (400, "InvalidCursorValue"), query
        body = {"search": {"seen": True}}
        assert (await caller.ask("POST", f"/v1/account/acme/search?path=INBOX&cursor={found}", body)).status == 400


async def test_a_folder_that_is_not_watched_is_listed_and_its_ids_stay(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme", path=["INBOX"])
        caller = await Caller.of(engine)
        deliver(engine, path="Sent")
        listed = await caller.ask("GET", f"{LIST}?path=%5CSent")
        (one,) = listed.json["messages"]
        await caller.ask("PUT", "/v1/account/acme/sync", {"sync": True})
        await trio.sleep(2000)
        assert (await caller.ask("GET", f"/v1/account/acme/message/{one['id']}")).json["specialUse"] == "\\Sent"
        await caller.ask("PUT", "/v1/account/acme", {"path": ["*"]})
        await trio.sleep(60)
        assert (await caller.ask("GET", f"/v1/account/acme/message/{one['id']}")).json["path"] == "Sent"
        assert [each["data"]["id"] for each in engine.events("acme", "messageNew")] == [one["id"]]


async def test_a_message_the_server_garbles_costs_itself_alone(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with reading(simulation, messages=3) as (engine, caller):
        engine.sandbox.faults.imap_garbles.add(2)
        assert uids(await page(caller, "")) == [3, 2, 1]


async def test_searching_several_folders(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with reading(simulation, missing) as (engine, caller):
        for number, path, age in (
            (1, "INBOX", 50),
            (1, "Sent", 40),
            (2, "INBOX", 30),
            (2, "Sent", 20),
            (1, "Junk", 10),
        ):
            deliver(engine, number, path, age=age)
        expected = [("Junk", 1), ("Sent", 2), ("INBOX", 2), ("Sent", 1), ("INBOX", 1)]
        query, seen = "path=*&pageSize=2", []
        for _ in range(3):
            shown = await searched(caller, {"subject": "=?utf-8?q?Gr"}, query)
            assert (shown["total"], shown["pages"]) == (5, 3)
            seen += [(each["path"], each["uid"]) for each in shown["messages"]]
            query = f"path=*&pageSize=2&cursor={shown['nextPageCursor']}"
        assert seen == expected
        assert shown["nextPageCursor"] is None
        second = await searched(caller, {"unseen": True}, "path=*&pageSize=2&page=1")
        assert [(each["path"], each["uid"]) for each in second["messages"]] == expected[2:4]
        some = await searched(caller, {"unseen": True}, "pageSize=9", paths=["Sent", "Junk"])
        assert [(each["path"], each["uid"]) for each in some["messages"]] == [("Junk", 1), ("Sent", 2), ("Sent", 1)]


async def test_going_back_through_several_folders(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    paths = ("INBOX", "Sent", "Junk")

    async def at(cursor: str | None, more: str = "") -> tuple[list[tuple[str, int]], Any]:
        query = f"path=*&pageSize=3{more}" + (f"&cursor={cursor}" if cursor else "")
        shown = await searched(caller, {"unseen": True}, query)
        return [(each["path"], each["uid"]) for each in shown["messages"]], shown

    async with reading(simulation, missing) as (engine, caller):
        dice = random.Random(4711)
        counts = dict.fromkeys(paths, 0)
        for age in range(20):
            path = dice.choice(paths)
            counts[path] += 1
            deliver(engine, counts[path], path, age=1000 - age // 2)  # two at a time
        pages: list[Any] = []
        cursor = None
        while not pages or cursor:
            found, shown = await at(cursor)
            pages.append((found, shown["page"], shown["total"]))
            cursor = shown["nextPageCursor"]
        assert sorted(each for found, _, _ in pages for each in found) == sorted(
            (path, uid) for path in paths for uid in range(1, counts[path] + 1)
        )
        for number in reversed(range(len(pages) - 1)):
            found, shown = await at(shown["prevPageCursor"])
            assert (found, shown["page"], shown["total"]) == pages[number]
            assert (await at(shown["nextPageCursor"]))[0] == pages[number + 1][0]
        assert shown["prevPageCursor"] is None
        # By its number, too, and past the end, where it leads back to the oldest.
        _, third = await at(None, "&page=2")
        assert (await at(third["prevPageCursor"]))[0] == pages[1][0]
        found, far = await at(None, "&page=9")
        assert found == []
        assert (await at(far["prevPageCursor"]))[0] == [each for found, _, _ in pages for each in found][-3:]
        # Mail that came and went in the meantime.
        new = deliver(engine, 99, "Junk")
        (path, uid), *rest = pages[0][0]
        folder(engine, path).remove([uid])
        found, shown = await at(third["prevPageCursor"])
        assert found == pages[1][0]
        assert (await at(shown["prevPageCursor"]))[0] == [("Junk", new), *rest]


async def test_a_folder_that_cannot_be_opened_costs_a_search_of_all_itself_alone(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    def script(tag: str, name: str, line: bytes) -> bytes | None:
        closed = name in ("SELECT", "EXAMINE") and b"Sent" in line
        return f"{tag} NO [NOPERM] not yours\r\n".encode() if closed else None

    async with reading(simulation) as (engine, caller):
        for path in ("INBOX", "Sent"):
            deliver(engine, path=path)
        engine.sandbox.faults.imap_script = script
        shown = await searched(caller, {"unseen": True}, "path=*")
        assert [each["path"] for each in shown["messages"]] == ["INBOX"]
        body = {"search": {"unseen": True}, "paths": ["INBOX", "Sent"]}
        answer = await caller.ask("POST", "/v1/account/acme/search", body)
        assert (answer.status, answer.json["path"]) == (404, "Sent")


async def test_a_renumbered_folder_can_be_read_as_soon_as_the_answer_says(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with reading(simulation, missing) as (engine, caller):
        deliver(engine, path="Sent")
        await page(caller, "")
        await caller.ask("PUT", "/v1/account/acme/sync", {"sync": True})
        await trio.sleep(10)
        box(engine).renumber("Sent")
        body = {"search": {"unseen": True}}
        answer = await caller.ask("POST", "/v1/account/acme/search?path=*", body)
        assert answer.status == 503, answer
        await trio.sleep(int(answer.headers["retry-after"]))
        assert [each["path"] for each in (await searched(caller, {"unseen": True}, "path=*"))["messages"]] == ["Sent"]
        assert [each["data"]["path"] for each in engine.events("acme", "mailboxReset")] == ["Sent"]


async def test_what_the_server_cannot_search_for(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with reading(simulation) as (_, caller):
        for search in ({"gmailRaw": "x"}, {"emailId": "1"}, {"threadId": "1"}, {"labels": {"has": ["x"]}}):
            answer = await caller.ask("POST", "/v1/account/acme/search?path=INBOX", {"search": search})
            assert (answer.status, answer.json["code"]) == (422, "MissingServerExtension")
        for body, query in (({"search": {"seq": "1,x"}}, "?path=INBOX"), ({"search": {}}, ""), ({}, "?path=INBOX")):
            answer = await caller.ask("POST", f"/v1/account/acme/search{query}", body)
            assert (answer.status, answer.json["message"]) == (400, "Invalid input")


async def test_a_folder_there_is_not(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with reading(simulation) as (_, caller):
        for path in ("Nowhere", "%5CArchive", "a%00b", "x" * 1000):
            answer = await caller.ask("GET", f"{LIST}?path={path}")
            assert answer.status in (400, 404), path
        answer = await caller.ask("GET", f"{LIST}?path=Nowhere")
        assert (answer.json["message"], answer.json["path"]) == ("Mailbox record was not found", "Nowhere")


async def test_an_account_without_a_mailbox(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        await caller.ask("POST", "/v1/account", {"account": "none", "name": "x", "imap": False, "smtp": False})
        answer = await caller.ask("GET", "/v1/account/none/messages?path=INBOX")
        assert (answer.status, answer.json["code"], answer.json["state"]) == (503, "NotSyncing", "unset")
        assert (await caller.ask("GET", "/v1/account/nobody/messages?path=INBOX")).status == 404


@pytest.mark.parametrize(("given", "seconds"), [("3000", 3), ("1", 0), ("0", 10)])
async def test_a_server_that_is_silent_is_waited_for_as_long_as_was_said(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, given: str, seconds: float
) -> None:
    async with reading(simulation, messages=1) as (engine, caller):
        engine.sandbox.faults.hang_imap = True
        began = trio.current_time()
        answer = await caller.ask("GET", f"{LIST}?path=INBOX", headers={"x-ee-timeout": given})
        assert (answer.status, answer.json["code"]) == (504, "Timeout")
        assert trio.current_time() - began == pytest.approx(seconds, abs=0.1)
