"""Suppressed recipients: who they are, and what becomes of mail to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from answers import plain
from asking import Caller
from simulation import Engine, Simulation

from engine.accounts.suppression_feed import SuppressionFeed
from engine.api import suppression
from engine.errors import Problem
from engine.isotime import iso
from engine.schema.suppression import SuppressionAdd, SuppressionQuery, SuppressionRemove
from engine.store import suppressions
from engine.store.suppressions import Suppression
from engine.store.tokens import Token

HOUR, DAY = 3600.0, 86_400.0
OWN = Token("1" * 64, "own", ["api"], 0.0, account="acme")


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine with two accounts."""
    async with Simulation(tmp_path / "data", 21).running() as engine:
        await engine.register("acme")
        await engine.register("other")
        yield engine


async def add(engine: Engine, recipient: str, caller: Token | None = None, **members: Any) -> bool:
    body = msgspec.convert({"recipient": recipient, **members}, SuppressionAdd)
    return bool(plain(await suppression.add(engine.context, body, caller=caller))["added"])


async def listed(engine: Engine, caller: Token | None = None, **query: Any) -> list[dict[str, Any]]:
    page = await suppression.listing(engine.context, msgspec.convert(query, SuppressionQuery), caller=caller)
    found: list[dict[str, Any]] = plain(page)["suppressed"]
    return found


async def remove(engine: Engine, caller: Token | None = None, **query: Any) -> int:
    answer = await suppression.remove(engine.context, msgspec.convert(query, SuppressionRemove), caller=caller)
    return int(plain(answer)["deleted"])


class TestLists:
    async def test_one_of_the_engine_and_one_of_each_account(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            assert await add(engine, "Ann@x.example", reason="asked")
            assert not await add(engine, "ann@X.example", reason="asked again")
            assert await add(engine, "ann@x.example", account="acme")
            assert await add(engine, "bob@x.example", OWN)
            assert [(each["recipient"], each["account"]) for each in await listed(engine)] == [
                ("ann@X.example", None),
                ("ann@x.example", "acme"),
                ("bob@x.example", "acme"),
            ]
            assert [each["recipient"] for each in await listed(engine, OWN, query="B")] == ["bob@x.example"]
            assert await remove(engine, OWN, recipient="ann@x.example") == 1
            assert [each["account"] for each in await listed(engine, query="ann")] == [None]

    async def test_an_entry_that_has_expired_replaces_none(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            await add(engine, "ann@x.example")
            body = {"recipient": "ann@x.example", "expires": iso(engine.context.world.now() - HOUR)}
            answer = await (await Caller.of(engine)).ask("POST", "/v1/suppression", body)
            assert (answer.status, [each["key"] for each in answer.json["fields"]]) == (400, ["expires"])
            assert [each["recipient"] for each in await listed(engine)] == ["ann@x.example"]

    async def test_whoever_is_listed_can_be_removed(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            odd = "two..dots@x.example"  # as a bounce may name a recipient, and a request may not
            entry = Suppression(scope="acme", recipient=odd, reason="hard-bounce", source="event", created=0.0)
            await engine.context.store.commit(lambda tx: suppressions.put(tx, entry))
            caller = await Caller.of(engine)
            assert (await caller.ask("DELETE", f"/v1/suppression?recipient={odd}")).json == {"deleted": 1}
            assert (await caller.ask("DELETE", "/v1/suppression?recipient=")).status == 400

    async def test_an_address_is_the_same_however_it_is_written(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            assert await add(engine, "ann@b\u00fccher.example")
            assert (await engine.submit("acme", "Ann@xn--bcher-kva.example"))["response"] == "Skipped"
            assert await remove(engine, recipient="ann@B\u00dcCHER.example") == 1
            odd = Suppression(scope="acme", recipient="a..b@x.example", reason="x", source="event", created=0.0)
            await engine.context.store.commit(lambda tx: suppressions.put(tx, odd))
            assert (await engine.submit("acme", '"a..b"@x.example'))["response"] == "Skipped"

    async def test_one_call_deletes_from_all_or_everyone(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            for account in ("acme", "other"):
                await add(engine, "ann@x.example", account=account)
            await add(engine, "ann@x.example")
            await add(engine, "bob@x.example")
            assert await remove(engine, recipient="ANN@x.example") == 3
            with pytest.raises(Problem, match="Invalid input"):
                await remove(engine)
            assert await remove(engine, all=True) == 1
            assert await listed(engine) == []

    async def test_another_account_is_not_one_s_own(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            with pytest.raises(Problem, match="Unauthorized account"):
                await add(engine, "ann@x.example", OWN, account="other")

    async def test_an_entry_expires_and_goes_with_its_account(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            await add(engine, "ann@x.example", expires=iso(engine.context.world.now() + HOUR))
            await add(engine, "bob@x.example", account="other")
            account = engine.context.registry.get("other")
            assert account is not None
            await engine.context.registry.remove(account)
            assert [each["recipient"] for each in await listed(engine)] == ["ann@x.example"]
            await trio.sleep(HOUR + 1)
            assert await listed(engine) == []
            assert "queueId" in await engine.submit("acme", "ann@x.example")


class TestMail:
    async def test_others_get_it_and_all_is_told(self, tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
        async with running(tmp_path) as engine:
            await add(engine, "ann@x.example", reason="asked")
            answer = await engine.submit("acme", "Ann@x.example", "bob@x.example")
            assert answer["suppressed"] == [{"recipient": "Ann@x.example", "outcome": "skipped", "reason": "asked"}]
            sent = await engine.event("acme", "messageSent")
            assert sent["data"]["accepted"] == ["bob@x.example"]
            said = {"address": "Ann@x.example", "response": "Not sent: suppressed (asked)"}
            assert sent["data"]["rejected"] == [said]
            entry = await engine.entry(answer["queueId"])
            assert [(each["address"], each["state"]) for each in entry["recipients"]] == [
                ("bob@x.example", "sent"),
                ("Ann@x.example", "failed"),
            ]
            assert [each.recipient for each in engine.sandbox.delivered] == ["bob@x.example"]

    async def test_nobody_left(self, tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
        async with running(tmp_path) as engine:
            await add(engine, "ann@x.example", account="acme")
            answer = await engine.submit("acme", "ann@x.example")
            assert (answer["response"], answer["skipped"]["reason"]) == ("Skipped", "request")
            assert answer["suppressed"][0]["outcome"] == "skipped"
            assert "queueId" in await engine.submit("other", "ann@x.example")

    async def test_a_rehearsal_tells_who_is_left_out(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            await add(engine, "ann@x.example", reason="asked")
            told = {"recipient": "ann@x.example", "outcome": "skipped", "reason": "asked"}
            answer = await engine.submit("acme", "ann@x.example", "bob@x.example", dryRun=True)
            assert (answer["response"], answer["suppressed"]) == ("Dry run", [told])
            assert "suppressed" not in await engine.submit("acme", "bob@x.example", dryRun=True)
            entries = [{"to": {"address": each}} for each in ("ann@x.example", "bob@x.example")]
            body = {"mailMerge": entries, "text": "Hello", "ifSuppressed": "send", "dryRun": True}
            merged = (await (await Caller.of(engine)).ask("POST", "/v1/account/acme/submit", body)).json["mailMerge"]
            assert [each.get("suppressed") for each in merged] == [[{**told, "outcome": "sent"}], None]

    async def test_fail_and_send(self, tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
        async with running(tmp_path) as engine:
            await add(engine, "ann@x.example")
            with pytest.raises(Problem) as refused:
                await engine.submit("acme", "ann@x.example", "bob@x.example", ifSuppressed="fail")
            assert (refused.value.status, refused.value.extra["code"]) == (422, "RecipientSuppressed")
            answer = await engine.submit("acme", "ann@x.example", ifSuppressed="send")
            assert answer["suppressed"][0]["outcome"] == "sent"
            await engine.until_ended(answer["queueId"])
            assert [each.recipient for each in engine.sandbox.delivered] == ["ann@x.example"]

    async def test_a_merge_skips_or_fails_an_entry(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            await add(engine, "ann@x.example")
            entries = [{"to": {"address": f"{name}@x.example"}} for name in ("ann", "bob")]
            for choice, told in (("skip", (True, "request")), ("fail", (False, None))):
                answer = await engine.submit("acme", to=[], mailMerge=entries, ifSuppressed=choice)
                first, second = answer["mailMerge"]
                assert (first["success"], first.get("skipped", {}).get("reason")) == told
                assert "queueId" in second


async def test_what_feeds_the_lists(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with running(tmp_path) as engine:
        context = engine.context
        feed = SuppressionFeed(context.settings, context.world)

        async def told(**settings: Any) -> dict[str, tuple[str | None, str, int]]:
            await remove(engine, all=True)
            await context.settings.update(**settings)

            def change(tx: Any) -> None:
                feed.bounced(tx, "acme", "hard@x.example", 1, linked=True)
                feed.bounced(tx, "acme", "made-up@x.example", 2, linked=False)
                feed.bounced(tx, "acme", "postmaster", 4, linked=True)
                feed.complained(tx, "acme", "cross@x.example", "abuse", 5, linked=True)
                feed.complained(tx, "acme", "glad@x.example", "not-spam", 6, linked=True)

            await context.store.commit(change)
            return {
                each["recipient"].partition("@")[0]: (each["account"], each["reason"], each["event"])
                for each in await listed(engine)
            }

        assert await told() == {}
        assert await told(suppress_bounces="account") == {
            "hard": ("acme", "hard-bounce", 1),
            "made-up": ("acme", "hard-bounce", 2),
        }
        found = await told(suppress_bounces=None, suppress_complaints="engine", suppression_days=30)
        assert found == {"cross": (None, "complaint", 5)}
        (entry,) = await listed(engine)
        assert entry["expires"] == iso(context.world.now() + 30 * DAY)
        assert set(await told(suppress_bounces="engine", suppress_sent_only=True)) == {"hard", "cross"}
        await remove(engine, all=True)
        await add(engine, "hard@x.example", reason="asked")
        await context.store.commit(lambda tx: feed.bounced(tx, "acme", "hard@x.example", 7, linked=True))
        assert [each["reason"] for each in await listed(engine)] == ["asked"]


class TestSuppressedWhileItWaits:
    """A message that was queued before its recipient was suppressed."""

    @staticmethod
    async def waiting(engine: Engine, *recipients: str, **members: Any) -> str:
        """The queue id of a message that is due in an hour."""
        when = iso(engine.context.world.now() + HOUR)
        queue_id: str = (await engine.submit("acme", *recipients, sendAt=when, **members))["queueId"]
        return queue_id

    async def test_nobody_is_left(self, tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
        async with running(tmp_path) as engine:
            queue_id = await self.waiting(engine, "ann@x.example")
            await add(engine, "Ann@X.example", reason="hard-bounce")
            failed = (await engine.event("acme", "messageFailed"))["data"]
            said = "Not sent: suppressed (hard-bounce)"
            assert (failed["queueId"], failed["error"], failed["errorCode"]) == (
                queue_id,
                f"Error: {said}",
                "EENVELOPE",
            )
            assert failed["rejected"] == [{"address": "ann@x.example", "response": said}]
            assert (failed["attemptsMade"], failed["envelope"]["to"]) == (0, ["ann@x.example"])
            entry = await engine.entry(queue_id)
            assert (entry["state"], entry["recipients"][0]["response"]) == ("failed", said)
            assert entry["progress"]["status"] == "error"
            assert engine.sandbox.delivered == []

    async def test_the_others_get_it(self, tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
        async with running(tmp_path) as engine:
            queue_id = await self.waiting(engine, "ann@x.example", "bob@x.example")
            await add(engine, "ann@x.example", account="acme", reason="complaint")
            sent = (await engine.event("acme", "messageSent"))["data"]
            assert sent["accepted"] == ["bob@x.example"] == [each.recipient for each in engine.sandbox.delivered]
            assert sent["rejected"] == [{"address": "ann@x.example", "response": "Not sent: suppressed (complaint)"}]
            entry = await engine.entry(queue_id)
            assert [each["state"] for each in entry["recipients"]] == ["failed", "sent"]

    async def test_fail_sends_to_nobody_and_send_to_all(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            await self.waiting(engine, "bob@x.example", "ann@x.example", ifSuppressed="fail")
            sent = await self.waiting(engine, "ann@x.example", ifSuppressed="send")
            await add(engine, "ann@x.example")
            failed = (await engine.event("acme", "messageFailed"))["data"]
            assert [each["response"] for each in failed["rejected"]] == [
                "Not sent: ann@x.example is suppressed, and ifSuppressed is fail",
                "Not sent: suppressed (request)",
            ]
            await engine.until_ended(sent)
            assert [each.recipient for each in engine.sandbox.delivered] == ["ann@x.example"]

    async def test_between_two_attempts(self, tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
        async with running(tmp_path) as engine:
            answer = await engine.submit("acme", "bob@x.example", "defer3+bob@x.example")
            await engine.event("acme", "messageDeliveryError")
            await add(engine, "defer3+bob@x.example", reason="hard-bounce")
            failed = (await engine.event("acme", "messageFailed"))["data"]
            assert failed["rejected"][0]["response"] == "Not sent: suppressed (hard-bounce)"
            entry = await engine.entry(answer["queueId"])
            assert [each["state"] for each in entry["recipients"]] == ["sent", "failed"]
            assert entry["state"] == "sent"

    async def test_another_account_s_list_or_one_that_has_expired_changes_nothing(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with running(tmp_path) as engine:
            queue_id = await self.waiting(engine, "ann@x.example")
            await add(engine, "ann@x.example", account="other")
            await add(engine, "ann@x.example", expires=iso(engine.context.world.now() + HOUR / 2))
            await engine.until_ended(queue_id)
            assert [each.recipient for each in engine.sandbox.delivered] == ["ann@x.example"]
