"""What a caller's own tests ask of a sandbox account: the provider's next answers, and days that pass in moments."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from asking import Caller
from simulation import Engine, Simulation, servers, when

from engine.config import SandboxConfig
from engine.isotime import iso
from engine.model.message_states import State
from engine.schema.account import AccountCreate

PATH = "/v1/sandbox/script"
DAY = 86_400


class Rehearsal:
    """An engine with an account `shop`, and one who scripts it."""

    def __init__(self, engine: Engine, caller: Caller) -> None:
        self.engine = engine
        self.caller = caller

    async def script(self, *steps: dict[str, Any], account: str = "shop", **members: Any) -> dict[str, Any]:
        body = {"account": account, "steps": list(steps), **members}
        answer = await self.caller.ask("POST", f"{PATH}?wait=50", body)
        assert answer.status == 200, answer.body
        return answer.json

    async def submit(self, *to: str, **members: Any) -> str:
        return (await self.engine.submit("shop", *(to or ("ada@example.com",)), **members))["queueId"]

    async def told(self, name: str, number: int = 1) -> dict[str, Any]:
        """The data of an event, which comes within a minute of the clock."""
        with trio.fail_after(60):
            return (await self.engine.event("shop", name, number))["data"]


@asynccontextmanager
async def rehearsing(tmp_path: Path, **sections: Any) -> AsyncIterator[Rehearsal]:
    async with Simulation(tmp_path / "data", 4711, **sections).running() as engine:
        await engine.register("shop")
        yield Rehearsal(engine, await Caller.of(engine))


@pytest.fixture
async def shop(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> AsyncIterator[Rehearsal]:
    async with rehearsing(tmp_path) as found:
        yield found


async def test_a_deferral_and_its_retries_over_three_days(shop: Rehearsal) -> None:
    await shop.script({"stage": "rcpt", "reply": "451 4.7.1 Greylisted", "times": None})
    began = trio.current_time()
    await shop.submit()
    await shop.told("messageDeliveryError")
    shown = await shop.script(advance=5 * DAY)
    assert shown["time"] == {"ahead": 0.0, "passed": 5.0 * DAY}
    failed = await shop.told("messageFailed")
    assert trio.current_time() - began < 60
    told = [each["data"] for each in shop.engine.events("shop", "messageDeliveryError")]
    assert len(told) == failed["attemptsMade"] == 10
    assert {each["smtpResponse"] for each in told} == {"451 4.7.1 Greylisted"}
    assert [each["job"]["attemptsMade"] for each in told] == list(range(1, 11))
    promised = [when({"date": each["job"]["nextAttempt"]}) for each in told[:-1]]
    made = [when(each) for each in shop.engine.events("shop", "messageDeliveryError")]
    waits = [at - told_at for at, told_at in zip(promised, made, strict=False)]
    assert all(one < other for one, other in itertools.pairwise(waits[:5]))
    assert sum(waits) > 2.7 * DAY


async def test_a_step_acts_as_often_as_it_says_and_is_gone(shop: Rehearsal) -> None:
    shown = await shop.script(
        {"stage": "rcpt", "reply": "451 4.7.1 Later", "times": 2}, {"stage": "dot", "reply": "250 2.0.0 OK 1234 gsmtp"}
    )
    assert [(each["stage"], each["times"]) for each in shown["steps"]] == [("rcpt", 2), ("dot", 1)]
    queue_id = await shop.submit("ada@example.com", "bob@example.com")
    await shop.script(advance=3600)
    sent = await shop.told("messageSent")
    assert (sent["queueId"], sent["response"]) == (queue_id, "250 2.0.0 OK 1234 gsmtp")
    assert len(shop.engine.events("shop", "messageDeliveryError")) == 2
    assert (await shop.caller.ask("GET", f"{PATH}?account=shop")).json["steps"] == []


async def test_only_the_recipient_named(shop: Rehearsal) -> None:
    await shop.script({"stage": "rcpt", "reply": "550 5.1.1 Unknown", "recipient": "Bob@example.com"})
    await shop.submit("ada@example.com")
    await shop.told("messageSent")
    await shop.submit("ada@example.com", "bob@example.com")
    sent = await shop.told("messageSent", 2)
    assert [each["address"] for each in sent["rejected"]] == ["bob@example.com"]


async def test_a_recipient_is_the_same_however_the_domain_is_written(shop: Rehearsal) -> None:
    await shop.script({"stage": "rcpt", "reply": "451 4.7.1 Later", "recipient": "ada@b\u00fccher.example"})
    body = {"to": [{"address": "ada@b\u00fccher.example"}], "text": "Hello"}
    queue_id = (await shop.caller.ask("POST", "/v1/account/shop/submit", body)).json["queueId"]
    await shop.told("messageDeliveryError")
    await shop.script(advance=60)
    await shop.told("messageSent")
    await shop.script(mail=[{"kind": "reply", "queueId": queue_id, "recipient": "ada@b\u00fccher.example"}])
    assert (await shop.told("messageReply"))["queueId"] == queue_id


FAULTS = [
    ({"fault": "refused"}, "ESOCKET", "connect ECONNREFUSED"),
    ({"fault": "unknownHost"}, "EDNS", "ENOTFOUND"),
    ({"fault": "timeout"}, "ETIMEDOUT", "ETIMEDOUT"),
    ({"fault": "certificate"}, "ETLS", "self-signed"),
    ({"fault": "cut", "stage": "greeting"}, "ECONNECTION", "closed"),
    ({"reply": "554 5.7.1 No access", "stage": "greeting"}, None, "554 5.7.1 No access"),
    ({"reply": "454 4.7.0 Login later", "stage": "login"}, None, "454 4.7.0 Login later"),
    ({"reply": "421 4.7.0 Too fast", "stage": "mail"}, None, "421 4.7.0 Too fast"),
    ({"fault": "cut", "stage": "data"}, "ECONNECTION", "closed"),
    ({"reply": "452 4.3.1 No room", "stage": "data"}, None, "452 4.3.1 No room"),
]


@pytest.mark.parametrize(("step", "code", "text"), FAULTS, ids=str)
async def test_a_fault_and_the_attempt_after_it(
    shop: Rehearsal, step: dict[str, Any], code: str | None, text: str
) -> None:
    await shop.script(step)
    await shop.submit()
    error = await shop.told("messageDeliveryError")
    assert text in error["error"] and error["job"]["nextAttempt"]
    if code is not None:
        assert error["errorCode"] == code
    await shop.script(advance=3600)
    await shop.told("messageSent")
    assert len(shop.engine.events("shop", "messageDeliveryError")) == 1


async def test_a_step_before_the_mail_concerns_a_connection_that_is_open(shop: Rehearsal) -> None:
    await shop.submit()
    await shop.told("messageSent")
    await shop.script({"fault": "refused"})
    await shop.submit()
    assert "ECONNREFUSED" in (await shop.told("messageDeliveryError"))["error"]


@pytest.mark.parametrize("stage", ["greeting", "login", "mail", "rcpt", "data", "dot"])
async def test_silence_ends_when_time_passes(shop: Rehearsal, stage: str) -> None:
    began = trio.current_time()
    await shop.script({"fault": "silence", "stage": stage})
    await shop.submit()
    await trio.sleep(1)
    await shop.script(advance=700)
    error = await shop.told("messageDeliveryError")
    assert error["errorCode"] == "ETIMEDOUT"
    assert error.get("inDoubt", False) is (stage == "dot")
    assert trio.current_time() - began < 60
    await shop.script(advance=3600)
    await shop.told("messageSent")


@pytest.mark.parametrize("fault", ["keepAndCut", "cut"])
async def test_a_doubt(shop: Rehearsal, fault: str) -> None:
    await shop.script({"fault": fault, "stage": "dot"})
    queue_id = await shop.submit(onDoubt="hold")
    doubt = await shop.told("messageInDoubt")
    assert doubt["queueId"] == queue_id
    assert len(shop.engine.sandbox.caught) == (fault == "keepAndCut")
    await shop.script(advance=DAY)
    assert shop.engine.events("shop", "messageSent") == []
    await shop.engine.change(queue_id, onDoubt="resend")
    await shop.told("messageSent")


async def test_the_log_of_a_doubt_that_is_held(shop: Rehearsal, caplog: pytest.LogCaptureFixture) -> None:
    await shop.script(
        {"stage": "rcpt", "reply": "451 4.7.1 Later", "recipient": "bob@example.com"}, {"fault": "keepAndCut"}
    )
    queue_id = await shop.submit("ada@example.com", "bob@example.com", onDoubt="hold")
    assert (await shop.told("messageInDoubt"))["nextAttempt"]  # for the other recipient
    (said,) = [each.message for each in caplog.records if "in doubt" in each.message]
    assert f"It waits for a decision: PUT /v1/outbox/{queue_id}" in said


async def test_a_refused_login(shop: Rehearsal) -> None:
    began = trio.current_time()
    await shop.script({"stage": "login", "reply": "535 5.7.8 Bad credentials", "times": 2})
    await shop.submit()
    error = await shop.told("messageDeliveryError")
    assert error["errorCode"] == "EAUTH" and "535 5.7.8" in error["error"]
    assert await shop.told("authenticationError")
    await shop.script(advance=2 * 3600)
    await shop.told("messageSent")
    assert trio.current_time() - began < 60


async def test_a_refused_login_at_the_mailbox(shop: Rehearsal) -> None:
    await shop.script({"server": "imap", "stage": "login", "reply": "NO [AUTHENTICATIONFAILED] Invalid credentials"})
    error = await shop.told("authenticationError")
    assert "Invalid credentials" in error["response"]


async def test_a_quota_that_is_used_up(shop: Rehearsal) -> None:
    began = trio.current_time()
    await shop.script({"stage": "dot", "reply": "550 5.4.5 Daily user sending limit exceeded"})
    queue_id = await shop.submit()
    await trio.sleep(1)
    entry = await shop.engine.entry(queue_id)
    assert entry["waitingFor"]["kind"] == "quota"
    await shop.script(advance=23 * 3600)
    assert shop.engine.events("shop", "messageSent") == []
    await shop.script(advance=2 * 3600)
    await shop.told("messageSent")
    assert trio.current_time() - began < 60


async def test_time_moves_what_waits_and_nobody_elses(shop: Rehearsal) -> None:
    engine, began = shop.engine, trio.current_time()
    await engine.register("other")
    now = engine.context.world.now()
    at = {"sendAt": iso(now + DAY)}
    others = await engine.submit("other", "ada@example.com", **at)
    queue_id = await shop.submit(**at)
    for account in ("shop", "other"):
        body = {"account": account, "recipient": "bob@example.com", "expires": iso(now + DAY)}
        assert (await shop.caller.ask("POST", "/v1/suppression", body)).status == 200
    await shop.script(advance=DAY - 3600)
    assert engine.events("shop", "messageSent") == []
    await shop.script(advance=2 * 3600)
    assert (await shop.told("messageSent"))["queueId"] == queue_id
    assert engine.events("other", "messageSent") == []
    assert engine.state(others["queueId"]) is State.QUEUED
    lists = [(await shop.caller.ask("GET", f"/v1/suppression?account={each}")).json for each in ("shop", "other")]
    assert [each["total"] for each in lists] == [0, 1]
    assert trio.current_time() - began < 60


ANSWERS = [
    ("reply", "messageReply", {"auto": False, "extractedText": "Yes please."}),
    ("autoReply", "messageReply", {"auto": "autoReply"}),
    ("outOfOffice", "messageReply", {"auto": "outOfOffice"}),
    ("bounce", "messageBounce", {"bounceType": "hard", "recipient": "ada@example.com", "action": "failed"}),
    ("softBounce", "messageBounce", {"bounceType": "soft", "recipient": "ada@example.com"}),
    ("complaint", "messageComplaint", {}),
]


@pytest.mark.parametrize(("kind", "event", "said"), ANSWERS, ids=[kind for kind, _, _ in ANSWERS])
async def test_mail_that_arrives_is_read_as_real_mail_is(
    shop: Rehearsal, kind: str, event: str, said: dict[str, Any]
) -> None:
    await shop.engine.context.settings.update(suppress_bounces="account", suppress_complaints="account")
    queue_id = await shop.submit(subject="Grüße & more")
    await shop.told("messageSent")
    text = {"text": "Yes please."} if kind == "reply" else {}
    await shop.script(mail=[{"kind": kind, "queueId": queue_id, **text}])
    data = await shop.told(event)
    assert data["queueId"] == queue_id and data["sandbox"] is True
    assert {name: data[name] for name in said} == said
    listed = (await shop.caller.ask("GET", "/v1/suppression?account=shop")).json
    assert listed["total"] == (kind in ("bounce", "complaint"))


async def test_what_came_back_stays_so_whatever_arrives_later(shop: Rehearsal) -> None:
    queue_id = await shop.submit()
    await shop.told("messageSent")
    await shop.script(mail=[{"kind": kind, "queueId": queue_id} for kind in ("bounce", "delay", "complaint")])
    await shop.told("messageComplaint")
    await shop.script(mail=[{"kind": "bounce", "queueId": queue_id}])
    await shop.told("messageBounce", 2)
    (recipient,) = (await shop.engine.entry(queue_id))["recipients"]
    assert (recipient["state"], recipient["response"][:9]) == ("bounced", "550 5.1.1")
    counted = (await shop.caller.ask("GET", "/v1/stats")).json["delivery"]["total"]
    assert (counted["bounced"], counted["complaints"]) == (1, 1)


async def test_a_delay_and_what_a_server_said(shop: Rehearsal) -> None:
    queue_id = await shop.submit("ada@example.com", "bob@example.com")
    await shop.told("messageSent")
    mail = {"queueId": queue_id, "recipient": "bob@example.com"}
    await shop.script(mail=[{"kind": "delay", **mail}])
    with trio.fail_after(60):
        while not (found := [each for each in shop.engine.events("shop", "messageNew") if each["path"] == "INBOX"]):
            await shop.engine.context.streams.journal.wait_for_more(shop.engine.context.streams.journal.last)
    assert found[0]["data"]["deliveryReport"][0]["action"] == "delayed"
    await shop.script(mail=[{"kind": "bounce", "response": "552 5.2.2 Mailbox is over quota", **mail}])
    bounce = await shop.told("messageBounce")
    assert (bounce["recipient"], bounce["response"]["status"]) == ("bob@example.com", "5.2.2")
    assert "over quota" in bounce["response"]["message"]


WORDS = {"reply": "messageReply", "away": "messageReply", "bounce": "messageBounce", "soft-bounce": "messageBounce"}


@pytest.mark.parametrize(("word", "event"), [*WORDS.items(), ("complain", "messageComplaint")])
async def test_a_recipient_who_answers(shop: Rehearsal, word: str, event: str) -> None:
    queue_id = await shop.submit(f"{word}+x@sandbox.example")
    data = await shop.told(event)
    assert data["queueId"] == queue_id and data["sandbox"] is True
    names = [each["event"] for each in shop.engine.events("shop")]
    assert names.index("messageSent") < names.index(event)
    assert shop.engine.events("shop", "messageSent")[0]["data"]["sandbox"] is True


async def test_what_is_asked_for_outlives_restarts(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    async with rehearsing(tmp_path) as shop:
        await shop.script({"stage": "rcpt", "reply": "451 4.3.0 Later", "times": 40})
        queue_id = await shop.submit()
        answer = await shop.caller.ask("POST", PATH, {"account": "shop", "advance": 4 * DAY})
        assert answer.json["time"]["ahead"] > 3 * DAY
    for attempts in (2, 4, 6):
        async with Simulation(tmp_path / "data", 4711 + attempts).running(cut=True) as engine:
            with trio.fail_after(60):
                await engine.event("shop", "messageDeliveryError", attempts)
    async with Simulation(tmp_path / "data", 4720).running() as engine:
        caller = await Caller.of(engine)
        shown = (await caller.ask("GET", f"{PATH}?account=shop&wait=50")).json
        failed = await engine.event("shop", "messageFailed")
        assert failed["data"]["queueId"] == queue_id
        assert shown["time"] == {"ahead": 0.0, "passed": 4.0 * DAY}
        # An attempt that the end of the process interrupts has met its step, and is made again.
        assert 25 < shown["steps"][0]["times"] <= 30
    assert trio.current_time() - began < 200


async def test_what_a_start_finds_out_is_of_the_sandbox_too(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with Simulation(tmp_path / "data", 4711).running(cut=True) as engine:
        await engine.register("shop")
        shop = Rehearsal(engine, await Caller.of(engine))
        await shop.script({"stage": "dot", "fault": "silence"})
        queue_id = await shop.submit(onDoubt="hold")
        while (await engine.entry(queue_id))["progress"]["status"] != "smtp-starting":  # noqa: ASYNC110
            await trio.sleep(0.1)
    async with Simulation(tmp_path / "data", 4712).running() as engine:
        for name in ("messageInDoubt", "messageDeliveryError"):
            assert (await engine.event("shop", name))["data"]["sandbox"] is True


async def test_clearing(shop: Rehearsal) -> None:
    await shop.engine.pause(True)
    await shop.script({"stage": "rcpt", "reply": "451 4.3.0 Later", "times": None}, {"fault": "refused"})
    cleared = await shop.caller.ask("DELETE", f"{PATH}?account=shop")
    assert cleared.json == {"account": "shop", "deleted": 2}
    shown = await shop.script({"stage": "mail", "reply": "550 5.7.1 No"})
    shown = await shop.script({"stage": "dot", "reply": "550 5.7.1 No"}, replace=True)
    assert [each["stage"] for each in shown["steps"]] == ["dot"]


async def test_the_same_key_changes_nothing_again(shop: Rehearsal) -> None:
    body = {"account": "shop", "advance": 60, "steps": [{"fault": "refused"}]}
    key = {"Idempotency-Key": "setup-1"}
    for _ in range(2):
        answer = await shop.caller.ask("POST", f"{PATH}?wait=10", body, key)
        assert (answer.status, len(answer.json["steps"])) == (200, 1)
        assert answer.json["time"]["passed"] == 60
    answer = await shop.caller.ask("POST", PATH, {**body, "advance": 61}, key)
    assert (answer.status, answer.json["code"]) == (409, "IdempotencyConflict")


WRONG = [
    ({"account": "real"}, "account", "must be a sandbox account"),
    ({}, "account", "is required"),
    (
        {"account": "shop", "steps": [{"stage": "rcpt", "reply": "451"}]},
        "steps[0].reply",
        "must be a code (4xx or 5xx)",
    ),
    ({"account": "shop", "steps": [{"stage": "rcpt"}]}, "steps[0].reply", "is required, unless there is a fault"),
    ({"account": "shop", "steps": [{"reply": "550 no"}]}, "steps[0].stage", "is required"),
    ({"account": "shop", "steps": [{"stage": "rcpt", "reply": "250 fine"}]}, "steps[0].reply", "must be a code (4xx"),
    ({"account": "shop", "steps": [{"stage": "dot", "reply": "354 go"}]}, "steps[0].reply", "must be a code (2xx"),
    ({"account": "shop", "steps": [{"stage": "rcpt", "fault": "refused"}]}, "steps[0].fault", "cannot be refused"),
    ({"account": "shop", "steps": [{"stage": "dot", "server": "imap", "fault": "cut"}]}, "steps[0].stage", "must be"),
    ({"account": "shop", "steps": [{"fault": "refused", "recipient": "a@b.c"}]}, "steps[0].recipient", "is not allow"),
    (
        {"account": "shop", "steps": [{"fault": "cut", "stage": "rcpt", "recipient": "a"}]},
        "steps[0].recipient",
        "valid",
    ),
    ({"account": "shop", "steps": [{"fault": "refused"}] * 101}, "steps", "less than or equal to 100"),
    ({"account": "shop", "mail": [{"kind": "reply", "queueId": "NONE"}]}, "mail[0].queueId", "must be the queueId"),
    ({"account": "shop", "mail": [{"kind": "reply", "queueId": "1", "response": "x"}]}, "mail[0].response", "is only"),
    ({"account": "shop", "advance": 10**9}, "advance", "must be"),
]


async def test_what_is_wrong_is_named(shop: Rehearsal) -> None:
    await shop.engine.register("real", **servers("real", "x"))
    for body, path, text in WRONG:
        answer = await shop.caller.ask("POST", PATH, body)
        assert answer.status == 400, body
        (field,) = answer.json["fields"]
        assert field["path"] == path and text in field["message"], body


async def test_more_steps_than_an_account_may_have(shop: Rehearsal) -> None:
    await shop.script(*[{"fault": "refused"}] * 100)
    answer = await shop.caller.ask("POST", PATH, {"account": "shop", "steps": [{"fault": "refused"}]})
    assert (answer.status, answer.json["fields"][0]["path"]) == (400, "steps")


async def test_who_may(shop: Rehearsal) -> None:
    await shop.engine.register("other")
    own = await Caller.of(shop.engine, "shop")
    assert (await own.ask("POST", PATH, {"account": "shop"})).status == 200
    assert (await own.ask("GET", PATH)).json["account"] == "shop"
    assert (await own.ask("POST", PATH, {"account": "other"})).status == 403
    assert (await own.ask("DELETE", f"{PATH}?account=other")).status == 403
    assert (await shop.caller.ask("GET", PATH)).json["fields"][0]["path"] == "account"
    assert (await shop.caller.ask("GET", f"{PATH}?account=none")).status == 404


async def test_an_account_that_is_removed_takes_its_script_along(shop: Rehearsal) -> None:
    await shop.script({"fault": "refused"}, advance=5)
    assert (await shop.caller.ask("DELETE", "/v1/account/shop")).status == 200
    await shop.engine.context.registry.register(
        msgspec.convert(
            {"account": "shop", "name": "S", "email": "shop@sandbox.example", "sandbox": True}, AccountCreate
        )
    )
    shown = (await shop.caller.ask("GET", f"{PATH}?account=shop")).json
    assert (shown["steps"], shown["time"]["passed"]) == ([], 0)


async def test_where_the_sandbox_is_switched_off(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", 4711, sandbox=SandboxConfig(enabled=False))
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        assert (await caller.ask("POST", PATH, {"account": "shop"})).status == 404


async def test_limits_move_with_time(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        given = servers("shop", "x")
        await engine.register("shop", imap=given["imap"], smtp={**given["smtp"], "limits": {"perDay": 2}})
        account = engine.context.registry.get("shop")
        assert account is not None
        # No request gives a sandbox account limits; one that signs in with OAuth2 at the sandbox may have them.
        account.change(msgspec.structs.replace(account.record, sandbox=True), account.restricted)
        shop = Rehearsal(engine, await Caller.of(engine))
        first, second, third = [await shop.submit() for _ in range(3)]
        await engine.until_ended(first, second)
        assert engine.state(third) is State.QUEUED
        await shop.script(advance=DAY - 3600)
        assert engine.state(third) is State.QUEUED
        await shop.script(advance=3700)
        await shop.told("messageSent", 3)
        windows = (await shop.caller.ask("GET", "/v1/account/shop/quota")).json["windows"]
        assert windows[0]["used"] == 1
    assert trio.current_time() - began < 60


async def test_the_mailbox_is_cut_off(shop: Rehearsal) -> None:
    await shop.script({"server": "imap", "fault": "certificate", "times": None})
    assert "self-signed" in (await shop.told("connectError"))["response"]
    await shop.caller.ask("DELETE", f"{PATH}?account=shop")
    account = shop.engine.context.registry.get("shop")
    assert account is not None
    account.reconnect()
    with trio.fail_after(60):
        while account.status.state != "connected":
            await account.status.moves()


async def test_the_mail_of_one_account(shop: Rehearsal) -> None:
    await shop.engine.register("other")
    await shop.engine.submit("other", "shop@sandbox.example")
    await shop.engine.event("other", "messageSent")
    await shop.submit(subject="Mine")
    await shop.told("messageSent")
    listed = (await shop.caller.ask("GET", "/v1/sandbox/messages?account=shop")).json
    assert [(each["subject"], each["account"]) for each in listed["messages"]] == [("Mine", "shop")]
    inbox = (await shop.caller.ask("GET", "/v1/account/shop/messages?path=INBOX")).json
    assert [each["subject"] for each in inbox["messages"]] == ["Hello"]


async def test_a_server_that_is_away_for_days(shop: Rehearsal) -> None:
    began = trio.current_time()
    await shop.script({"fault": "timeout", "times": None})
    queue_id = await shop.submit()
    await shop.script(advance=3 * DAY)
    # An attempt may have come due at that very moment.
    assert shop.engine.state(queue_id) in (State.DEFERRED, State.SENDING)
    await shop.script(advance=3 * DAY)
    assert (await shop.told("messageFailed"))["queueId"] == queue_id
    assert trio.current_time() - began < 120
