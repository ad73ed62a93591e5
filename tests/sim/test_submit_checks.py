"""Checks in the answer to a submission: of a rehearsal, of mail that is sent, of merges."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Caller
from simulation import Engine, Simulation

from engine.checks.checker import SECONDS
from engine.dns_records import RecordKind, Records
from engine.errors import NetworkError, NetworkKind
from engine.smtp.protocol import Capabilities
from engine.submission.checking import ascii_domain
from engine.world import World

Clock = trio.testing.MockClock
SUBMIT = "/v1/account/acme/submit"
TO = {"to": [{"address": "you@sandbox.example"}], "subject": "Hello", "text": "Hello"}
PUBLISHED = {
    ("sender.test", "MX"): ("10 mx.sender.test.",),
    ("sender.test", "TXT"): ("v=spf1 ip4:203.0.113.0/24 -all",),
    ("_dmarc.sender.test", "TXT"): ("v=DMARC1; p=reject",),
    ("long.test", "MX"): ("10 mx.long.test.",),
    ("long.test", "TXT"): ("v=spf1 include:i0.test -all",),
    **{(f"i{n}.test", "TXT"): (f"v=spf1 include:i{n + 1}.test -all",) for n in range(20)},
}


class NameServer:
    """Name servers of a simulated world: a table, or silence. `asked` are all questions."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, str]] = []
        self.is_dead = False
        self.seconds = 0.0
        monkeypatch.setattr(world, "records", self.records)

    async def records(self, name: str, kind: RecordKind, seconds: float) -> Records:
        self.asked.append((name, kind))
        if self.is_dead:
            await trio.sleep(seconds)
            raise NetworkError(NetworkKind.DNS, "EDNS", f"query {kind} {name}: silence")
        await trio.sleep(self.seconds)
        found = PUBLISHED.get((name, kind))
        return Records(exists=False) if found is None else Records(found)


class Rehearsal:
    """An engine with one account, and its name servers."""

    def __init__(self, engine: Engine, caller: Caller, names: NameServer) -> None:
        self.engine = engine
        self.names = names
        self.caller = caller

    async def submit(self, query: str = "", **members: Any) -> dict[str, Any]:
        """The answer to a submission."""
        body = {("from" if name == "sender" else name): value for name, value in members.items()}
        answer = await self.caller.ask("POST", SUBMIT + query, {**TO, **body})
        assert answer.status == 200, answer.json
        return dict(answer.json)

    async def merge(self, entries: list[dict[str, Any]], **members: Any) -> dict[str, Any]:
        """The answer to a rehearsed merge."""
        body = {"mailMerge": entries, "subject": "Hello", "dryRun": True, **members}
        answer = await self.caller.ask("POST", SUBMIT, body)
        assert answer.status == 200, answer.json
        return dict(answer.json)


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4716)


@asynccontextmanager
async def rehearsing(simulation: Simulation) -> AsyncIterator[Rehearsal]:
    """An engine in a world with name servers."""
    with pytest.MonkeyPatch.context() as patch:
        names = NameServer(simulation.world, patch)
        async with simulation.running() as engine:
            await engine.register("acme")
            yield Rehearsal(engine, await Caller.of(engine), names)


def codes(answer: dict[str, Any]) -> list[str]:
    """The codes of the checks in an answer."""
    return [each["code"] for each in answer["checks"]]


async def test_a_rehearsal_is_checked(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        answer = await rehearsal.submit(dryRun=True, html='<p>Hi<img src="cid:x"><a href="http://a.test">a</a>')
        assert codes(answer) == ["cidBroken", "linkNotSecure", "notLookedUp"]
        assert answer["checks"][0]["severity"] == "error"
        assert answer["checks"][0]["field"] == "html"
        assert b"Hello" in base64.b64decode(answer["preview"])
        assert rehearsal.names.asked == []


async def test_checks_may_be_left_out_of_a_rehearsal(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        assert "checks" not in await rehearsal.submit("?check=0", dryRun=True)


async def test_mail_is_checked_only_on_request_and_sent_anyway(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        plain = await rehearsal.submit(sender={"address": "a@sender.test"})
        assert "checks" not in plain
        assert rehearsal.names.asked == []
        html = '<p>Hi<img src="cid:x">'
        answer = await rehearsal.submit("?check=1", html=html, sender={"address": "a@sender.test"})
        assert codes(answer) == ["cidBroken", "dmarcUnknown", "spfUnknown", "dkimUnknown"]
        await rehearsal.engine.until_ended(plain["queueId"], answer["queueId"])
        assert len(rehearsal.engine.sandbox.delivered) == 2


async def test_name_servers_are_asked_once_an_hour(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        mail: dict[str, Any] = {"dryRun": True, "sender": {"address": "a@sender.test"}}
        first = await rehearsal.submit(**mail)
        asked = list(rehearsal.names.asked)
        assert ("sender.test", "TXT") in asked
        assert len(set(asked)) == len(asked)
        await trio.sleep(3500)
        assert (await rehearsal.submit(**mail))["checks"] == first["checks"]
        assert rehearsal.names.asked == asked
        await trio.sleep(200)
        await rehearsal.submit(**mail)
        assert len(rehearsal.names.asked) == 2 * len(asked)


async def test_dead_name_servers_cost_three_seconds_and_say_so(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        rehearsal.names.is_dead = True
        began = trio.current_time()
        answer = await rehearsal.submit("?check=1", sender={"address": "a@sender.test"})
        assert trio.current_time() - began <= SECONDS + 0.5
        failed = [each for each in answer["checks"] if each["code"] == "lookupFailed"]
        assert len(failed) == 3
        assert all("could not be looked up" in each["message"] for each in failed)
        assert answer["queueId"]
        began = trio.current_time()
        await rehearsal.submit("?check=1", sender={"address": "a@sender.test"})
        assert trio.current_time() - began <= 1.0
        rehearsal.names.is_dead = False
        await trio.sleep(60)
        answer = await rehearsal.submit("?check=1", sender={"address": "a@sender.test"})
        assert "lookupFailed" not in codes(answer)


async def test_slow_name_servers_cost_only_what_needs_many_answers(
    simulation: Simulation, autojump_clock: Clock
) -> None:
    async with rehearsing(simulation) as rehearsal:
        rehearsal.names.seconds = 0.9
        began = trio.current_time()
        answer = await rehearsal.submit(dryRun=True, sender={"address": "a@long.test"})
        assert trio.current_time() - began <= SECONDS + 0.5
        (failed,) = [each["message"] for each in answer["checks"] if each["code"] == "lookupFailed"]
        assert failed.startswith("SPF could not be looked up")
        assert "dmarcMissing" in codes(answer)
        again = await rehearsal.submit(dryRun=True, sender={"address": "a@long.test"})
        assert "lookupFailed" in codes(again) or "spfInvalid" in codes(again)


async def test_a_repeated_request_gets_the_first_checks(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        caller = rehearsal.caller
        headers = {"Idempotency-Key": "k"}
        first = await caller.ask("POST", f"{SUBMIT}?check=1", TO, headers=headers)
        second = await caller.ask("POST", SUBMIT, TO, headers=headers)
        assert first.json["checks"] == second.json["checks"]
        assert second.json["idempotency"]["status"] == "HIT"


async def test_variables_without_a_value(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        text = "{{params.name}} {{first}} {{account.name}} {{#if params.extra}}{{params.extra}}{{/if}} {{params.zero}}"
        text += "{{#each params.list}}{{title}}{{/each}}"
        answer = await rehearsal.submit(dryRun=True, text=text, render={"params": {"zero": 0, "list": []}})
        (check,) = [each for each in answer["checks"] if each["code"] == "variableUnresolved"]
        assert check["field"] == "text"
        assert "params.name, first" in check["message"]
        for name in ("extra", "zero", "title", "account"):
            assert name not in check["message"]


async def test_the_size_that_the_server_takes(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        sizes = rehearsal.engine.context.access.sizes
        account = rehearsal.engine.context.registry.get("acme")
        assert account is not None
        endpoint = account.smtp_endpoint
        assert endpoint is not None
        sent = await rehearsal.submit()
        await rehearsal.engine.until_ended(sent["queueId"])
        # What the sandbox offers in EHLO.
        assert (sizes.of(endpoint.host, endpoint.port) or 0) > 1_000_000
        sizes.note(endpoint.host, endpoint.port, Capabilities(size=5_000))
        assert codes(await rehearsal.submit(dryRun=True)) == ["notLookedUp"]
        assert codes(await rehearsal.submit(dryRun=True, text="x" * 6_000))[0] == "tooLarge"


async def test_a_merge_is_checked_once_for_each_content(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        entries = [{"to": {"address": f"u{n}@x.test"}, "params": {"name": "Jo"} if n else {"x": 1}} for n in range(3)]
        html = '<p>Hello {{params.name}}<img src="cid:x">'
        answer = await rehearsal.merge(entries, html=html, **{"from": {"address": "a@sender.test"}})
        assert codes(answer) == ["cidBroken", "dmarcUnknown", "spfUnknown", "dkimUnknown"]
        own = [each.get("checks") for each in answer["mailMerge"]]
        assert own[1:] == [None, None]
        assert [each["code"] for each in own[0]] == ["variableUnresolved"]
        assert rehearsal.names.asked.count(("sender.test", "TXT")) == 1


async def test_a_merge_of_many_contents_is_checked_in_part(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        entries = [{"to": {"address": f"u{n}@x.test"}, "params": {"name": str(n)}} for n in range(30)]
        answer = await rehearsal.merge(entries, text="Hello {{params.name}}")
        (check,) = [each for each in answer["checks"] if each["code"] == "contentNotChecked"]
        assert "10 messages" in check["message"]


@pytest.mark.parametrize(
    ("domain", "asked"), [("stra\u00dfe.de", "xn--strae-oqa.de"), ("B\u00fccher.de", "xn--bcher-kva.de")]
)
def test_a_domain_is_looked_up_as_its_mail_is_sent(domain: str, asked: str) -> None:
    assert ascii_domain(domain) == asked


async def test_a_whole_message_is_checked(simulation: Simulation, autojump_clock: Clock) -> None:
    async with rehearsing(simulation) as rehearsal:
        raw = (
            b"From: a@sender.test\r\nContent-Type: text/html\r\nDKIM-Signature: v=1; d=sender.test; s=k\r\n\r\n<p>x\r\n"
        )
        members: dict[str, Any] = {"raw": base64.b64encode(raw).decode(), "dryRun": True, "subject": None, "text": None}
        answer = await rehearsal.submit(**members)
        assert codes(answer) == ["dkimInvalid", "textMissing", "dmarcUnknown", "spfUnknown", "dkimUnknown"]
