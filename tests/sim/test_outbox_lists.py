"""Lists of the outbox by recipient; how much of a rate limit and of a protocol log an account shows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import trio
from asking import Caller
from simulation import Simulation, servers

LATER = "2030-01-01T00:00:00Z"


async def test_by_what_an_address_begins_with(tmp_path: Path, autojump_clock: object) -> None:
    async with Simulation(tmp_path / "data", 4713).running() as engine:
        await engine.register("a")
        await engine.register("b")
        caller = await Caller.of(engine)
        both = await engine.submit("a", "Mira@fabrikam.example", "lind@adatum.example", sendAt=LATER)
        other = await engine.submit("b", "mirabel@x.example", sendAt=LATER)
        gone = await engine.submit("a", "MIRA@fabrikam.example")
        await engine.until_ended(gone["queueId"])

        async def found(query: str) -> list[str]:
            answer = await caller.ask("GET", f"/v1/outbox?{query}")
            assert answer.status == 200, answer.body
            listed = msgspec.json.decode(answer.body)
            assert listed["total"] == len(listed["messages"])
            return [each["queueId"] for each in listed["messages"]]

        assert await found("recipient=mira") == [both["queueId"], other["queueId"]]
        assert await found("recipient=mIRA%40") == [both["queueId"]]
        assert await found("recipient=lind") == [both["queueId"]]
        assert await found("recipient=mira&account=b") == [other["queueId"]]
        assert await found("recipient=mira&state=sent") == [gone["queueId"]]
        assert await found("recipient=adatum") == []
        assert await found("recipient=%25") == []


async def test_what_a_rate_limit_leaves(tmp_path: Path, autojump_clock: object) -> None:
    async with Simulation(tmp_path / "data", 4713).running() as engine:
        given = servers("slow", "x")
        given["smtp"]["rateLimit"] = {"messages": 3, "seconds": 86_400}
        await engine.register("slow", **given)
        await engine.register("free")
        caller = await Caller.of(engine)

        async def left(account: str) -> object:
            answer = await caller.ask("GET", f"/v1/account/{account}")
            return msgspec.json.decode(answer.body)["sending"].get("left")

        assert (await left("slow"), await left("free")) == (3, None)
        sent = [await engine.submit("slow", f"{n}@sandbox.example") for n in range(2)]
        await engine.until_ended(*(each["queueId"] for each in sent))
        assert await left("slow") == 1


async def test_the_end_of_a_log(tmp_path: Path, autojump_clock: object) -> None:
    async with Simulation(tmp_path / "data", 4713).running() as engine:
        await engine.register("a", logs=True)
        caller = await Caller.of(engine)
        await trio.sleep(60)  # the account has come to rest
        whole = (await caller.ask("GET", "/v1/logs/a")).body.splitlines()
        first, *rest = (await caller.ask("GET", "/v1/logs/a?lines=2")).body.splitlines()
        assert msgspec.json.decode(first)["msg"] == f"{len(whole) - 2} lines dropped"
        assert rest == whole[-2:]
        assert (await caller.ask("GET", "/v1/logs/a?lines=0")).status == 400
