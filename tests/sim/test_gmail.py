"""A server like Gmail's: All Mail, labels, ids of messages and threads, its own search, the tabs of its inbox."""

from __future__ import annotations

import re
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

ALL, BIN, SPAM = "[Gmail]/All Mail", "[Gmail]/Bin", "[Gmail]/Spam"
USES = {ALL: b"\\All", BIN: b"\\Trash", SPAM: b"\\Junk"}
BASE = "/v1/account/acme"
PROMOTION = 2
"""The UID of the one message that is an advertisement."""


def as_gmail_lists(response: bytes) -> bytes:
    for path, use in USES.items():
        if response.startswith(b"* LIST") and path.encode() in response:
            return response.replace(b"* LIST (", b"* LIST (" + use + b" ")
    return response


def as_gmail_searches(tag: str, name: str, line: bytes) -> bytes | None:
    if name != "UID SEARCH" or b"X-GM-" not in line:
        return None
    fits = b"category:promotions" in line or b'X-GM-RAW "offers"' in line or b"X-GM-THRID 1000000000000000002" in line
    one = re.search(rb" UID (\d+)$", line.rstrip())
    fits = fits and (one is None or int(one[1]) == PROMOTION)
    return b"* SEARCH%s\r\n%s OK\r\n" % (b" %d" % PROMOTION if fits else b"", tag.encode())


@asynccontextmanager
async def gmail(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Engine, Caller]]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        faults = engine.sandbox.faults
        faults.play_gmail = True
        faults.imap_capabilities_drop.add("ESEARCH")
        faults.imap_rewrite, faults.imap_script = as_gmail_lists, as_gmail_searches
        for path in ("Trash", "Junk"):
            box(engine).delete(path)
        for path in USES:
            box(engine).create(path, engine.context.world.now())
        caller = await Caller.of(engine)
        if settings:
            assert (await caller.ask("POST", "/v1/settings", settings)).status == 200
        await engine.register("acme")
        await trio.sleep(90)
        for number in (1, PROMOTION, 3):
            deliver(engine, number, ALL)
        await engine.event("acme", "messageNew", 3)
        yield engine, caller


@pytest.mark.parametrize("search", [{"gmailRaw": "offers"}, {"threadId": "1000000000000000002"}], ids=["raw", "thread"])
async def test_searching_all_folders_finds_each_message_once(
    tmp_path: Path, search: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    async with gmail(tmp_path) as (_, caller):
        every = (await caller.ask("POST", f"{BASE}/search?path=*", {"search": {}})).json
        assert [(each["path"], each["uid"]) for each in every["messages"]] == [(ALL, 3), (ALL, 2), (ALL, 1)]
        found = (await caller.ask("POST", f"{BASE}/search?path=%5CAll", {"search": search})).json
        (one,) = found["messages"]
        assert (one["uid"], one["threadId"], one["labels"]) == (PROMOTION, "1000000000000000002", ["\\Inbox"])
        shown = (await caller.ask("GET", f"{BASE}/message/{one['id']}")).json
        assert (shown["emailId"], shown["labels"]) == (one["emailId"], ["\\Inbox"])


@pytest.mark.parametrize("on", [True, False])
async def test_the_tab_of_new_mail(tmp_path: Path, on: bool, autojump_clock: trio.testing.MockClock) -> None:
    async with gmail(tmp_path, resolveGmailCategories=on) as (engine, _):
        told = {each["data"]["uid"]: each["data"].get("category") for each in engine.events("acme", "messageNew")}
        assert told == {1: None, PROMOTION: "promotions" if on else None, 3: None}


async def test_deleting_moves_to_the_bin(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with gmail(tmp_path) as (engine, caller):
        listed = (await caller.ask("GET", f"{BASE}/messages?path=%5CAll")).json["messages"]
        done = (await caller.ask("DELETE", f"{BASE}/message/{listed[0]['id']}")).json
        assert done["moved"]["destination"] == BIN
        gone = (await engine.event("acme", "messageDeleted"))["data"]
        assert (gone["uid"], gone["source"]) == (3, "api")
        assert (await caller.ask("GET", f"{BASE}/message/{done['moved']['message']}")).status == 200
