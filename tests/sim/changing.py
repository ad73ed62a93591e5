"""An account whose messages requests change, and the events about them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from asking import Answer, Caller
from inbox import deliver, folder
from simulation import Engine, Simulation

BASE = "/v1/account/acme"
TOLD = ("messageNew", "messageUpdated", "messageDeleted")


class Mail:
    """An account whose mail is changed, and the events about it."""

    def __init__(self, engine: Engine, caller: Caller) -> None:
        self.engine = engine
        self.caller = caller
        self.seen = 0

    async def ask(self, method: str, target: str, body: Any = None) -> Any:
        answer = await self.answer(method, target, body)
        assert answer.status == 200, answer
        return answer.json

    async def answer(self, method: str, target: str, body: Any = None) -> Answer:
        return await self.caller.ask(method, f"{BASE}/{target}", body)

    async def id_of(self, uid: int, path: str = "INBOX") -> str:
        listed = await self.ask("GET", f"messages?path={path}&pageSize=1000")
        return next(each["id"] for each in listed["messages"] if each["uid"] == uid)

    def told(self) -> list[tuple[str, str, int, str | None]]:
        """The events about messages since the last call: event, folder, UID, source."""
        events = [each for each in self.engine.events("acme") if each["event"] in TOLD]
        new, self.seen = events[self.seen :], len(events)
        return [(each["event"], each["path"], each["data"]["uid"], each["data"].get("source")) for each in new]

    async def rounds(self) -> None:
        """Long enough for several rounds to see what is there."""
        await self.caller.ask("PUT", f"{BASE}/sync", {"sync": True})
        await trio.sleep(3_600)

    def uids(self, path: str = "INBOX") -> list[int]:
        return [each.uid for each in folder(self.engine, path).messages]

    def flags(self, uid: int, path: str = "INBOX") -> frozenset[str]:
        return next(each.flags for each in folder(self.engine, path).messages if each.uid == uid)


@asynccontextmanager
async def changing(
    simulation: Simulation, missing: frozenset[str] = frozenset(), count: int = 3, **members: Any
) -> AsyncIterator[Mail]:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme", **members)
        await trio.sleep(90)
        for number in range(count):
            deliver(engine, number)
        await trio.sleep(90)
        mail = Mail(engine, await Caller.of(engine))
        mail.told()
        yield mail
