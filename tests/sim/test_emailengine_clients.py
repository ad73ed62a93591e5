"""What clients of EmailEngine say and expect in places where it is easily overlooked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from asking import Caller
from simulation import CLEAR_TEXT, FIRST_FOLDERS, Engine, Simulation

from engine.config import Msa

SMTP = {"host": "smtp.sandbox.example", "port": 587, "auth": {"user": "u", "pass": "p"}, "tls": CLEAR_TEXT}
MAIL = {"to": [{"address": "you@sandbox.example"}], "text": "Hi"}


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[tuple[Engine, Caller]]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        yield engine, await Caller.of(engine)


async def test_an_account_that_only_sends(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    _, caller = asking
    given = {"account": "sends", "name": "x", "imap": False, "smtp": {**SMTP, "useAuthServer": False}, "webhooks": ""}
    assert (await caller.ask("POST", "/v1/account", given)).status == 200
    shown = (await caller.ask("GET", "/v1/account/sends")).json
    assert (shown["sendOnly"], shown["imap"], shown["webhooks"], shown["type"]) == (True, False, "", "sending")
    listed = (await caller.ask("GET", "/v1/accounts?query=sends")).json["accounts"][0]
    assert listed["webhooks"] == ""
    assert {"sendOnly", "imap", "webhooks"}.isdisjoint((await caller.ask("GET", "/v1/account/acme")).json)


async def test_counters_and_connections(asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock) -> None:
    _, caller = asking
    assert (await caller.ask("GET", "/v1/account/acme/messages?path=INBOX")).status == 200
    shown = (await caller.ask("GET", "/v1/account/acme")).json
    assert shown["connections"] == 1
    assert shown["counters"]["events"] == {
        "accountInitialized": 1,
        "authenticationSuccess": 1,
        "mailboxNew": FIRST_FOLDERS,
    }


async def test_each_folder_of_a_new_account_is_told(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    engine, _ = asking
    told = engine.events("acme", "mailboxNew")
    assert {each["path"] for each in told} == {"INBOX", "Sent", "Drafts", "Junk", "Trash"}
    assert all(each["data"]["uidValidity"].isdigit() for each in told)


async def test_a_slash_at_the_end(asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock) -> None:
    _, caller = asking
    for path in ("/v1/accounts", "/v1/account/acme", "/v1/settings/queue/submit"):
        plain, slashed = [await caller.ask("GET", each) for each in (path, path + "/")]
        assert (plain.status, plain.body) == (slashed.status, slashed.body)
    assert (await caller.ask("GET", "/v1/accounts//")).status == 404


async def test_the_other_queues(asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock) -> None:
    engine, caller = asking
    queue = "/v1/settings/queue/"
    jobs = {"active": 0, "delayed": 0, "paused": 0, "waiting": 0}
    for name in ("notify", "documents"):
        shown = (await caller.ask("GET", queue + name)).json
        assert shown == {"queue": name, "jobs": jobs, "paused": False, "oldest": None}
    assert (await caller.ask("GET", queue + "nosuch")).status == 400
    assert (await caller.ask("PUT", queue + "notify", {"account": "acme", "paused": True})).status == 400
    hook = {"webhooks": "http://127.0.0.1:9/", "webhooksEnabled": True}
    assert (await caller.ask("POST", "/v1/settings", hook)).status == 200
    assert (await caller.ask("PUT", queue + "notify", {"paused": True})).json == {"queue": "notify", "paused": True}
    assert (await caller.ask("GET", "/v1/webhooks/default")).json["state"] == "paused"
    await engine.submit("acme", "you@sandbox.example")
    await engine.event("acme", "messageSent")
    assert (await caller.ask("GET", queue + "notify")).json["jobs"]["waiting"] > 0
    assert (await caller.ask("PUT", queue + "notify", {})).json == {"queue": "notify", "paused": True}
    assert (await caller.ask("PUT", queue + "notify", {"paused": False})).json == {"queue": "notify", "paused": False}
    assert (await caller.ask("GET", "/v1/webhooks/default")).json["state"] != "paused"
    await trio.sleep(60)
    shown = (await caller.ask("GET", queue + "notify")).json
    assert (shown["jobs"]["waiting"], shown["jobs"]["delayed"]) == (0, 1)


async def test_a_paused_queue_waits(asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock) -> None:
    engine, caller = asking
    queue = "/v1/settings/queue/submit"
    assert (await caller.ask("PUT", queue, {})).json == {"queue": "submit", "paused": False}
    await engine.pause(True)
    await engine.submit("acme", "you@sandbox.example")
    jobs = {"active": 0, "delayed": 0, "paused": 0, "waiting": 1}
    shown = (await caller.ask("GET", queue)).json
    assert shown.pop("oldest") is not None
    assert shown == {"queue": "submit", "jobs": jobs, "paused": True}
    assert (await caller.ask("PUT", queue, {})).json == {"queue": "submit", "paused": True}


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("POST", "/v1/account", '"account" is required'),
        ("POST", "/v1/account/acme/submit", '"to" is required'),
        ("PUT", "/v1/account/acme/reconnect", '"value" must be of type object'),
    ],
)
async def test_a_body_that_is_missing(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock, method: str, path: str, said: str
) -> None:
    _, caller = asking
    answer = await caller.ask(method, path)
    assert (answer.status, answer.json["message"], answer.json["fields"][0]["message"]) == (400, "Invalid input", said)


async def test_a_header_is_named_in_lower_case(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    _, caller = asking
    answer = await caller.ask("POST", "/v1/account/acme/submit", MAIL, {"Idempotency-Key": "x" * 2000})
    assert [each["key"] for each in answer.json["fields"]] == ["idempotency-key"]


async def test_what_makes_no_difference_is_taken(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    _, caller = asking
    off: dict[str, Any] = {"render": False, "trackingEnabled": False, "trackOpens": False, "trackClicks": False}
    query = "?useStructuredFormat=true&documentStore=false"
    assert (await caller.ask("POST", f"/v1/account/acme/submit{query}", {**MAIL, **off})).status == 200
    settings: dict[str, Any] = {"trackOpens": False, "generateEmailSummary": False, "queueKeep": 0}
    settings |= {"imapIndexer": "full", "httpProxyUrl": None, "pageBrandName": None, "disableTokens": False}
    settings |= {"documentStoreEnabled": None, "openAiAPIKey": "", "openAiPrompt": None, "openAiTemperature": 0}
    settings |= {"scriptEnv": "", "templateHeader": "", "imapProxyServerPort": None}
    updated = (await caller.ask("POST", "/v1/settings", settings)).json["updated"]
    assert sorted(updated) == sorted(settings)
    question = "&".join(f"{name}=true" for name in settings)
    assert (await caller.ask("GET", f"/v1/settings?{question}")).json == settings
    for wrong in ({"queueKeep": 10}, {"imapIndexer": "fast"}):
        assert (await caller.ask("POST", "/v1/settings", wrong)).status == 400
    for name, value, least in (
        ("sentryEnabled", True, "false"),
        ("disableTokens", True, "false"),
        ("pageBrandName", "x", "empty"),
        ("openAiAPIKey", "sk-1", "empty"),
        ("openAiMaxTokens", 4000, "0"),
    ):
        answer = await caller.ask("POST", "/v1/settings", {name: value})
        said = f'"{name}" must be {least}: the engine does not do this yet'
        assert (answer.status, [each["message"] for each in answer.json["fields"]]) == (400, [said])
    assert (await caller.ask("DELETE", "/v1/account/acme?revoke=true")).status == 200


DOOR_OFF = {
    "smtpServerEnabled": False,
    "smtpServerHost": "127.0.0.1",
    "smtpServerPort": 2525,
    "smtpServerTLSEnabled": False,
    "smtpServerAuthEnabled": True,
    "smtpServerPassword": None,
}


DOOR = "/v1/settings?" + "&".join(f"{name}=true" for name in DOOR_OFF)


async def test_the_settings_of_the_smtp_door_say_how_the_configuration_sets_it(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    _, caller = asking
    assert (await caller.ask("GET", DOOR)).json == DOOR_OFF
    all_off = dict.fromkeys(DOOR_OFF, False) | {"smtpServerHost": "", "smtpServerPort": 0, "smtpServerPassword": ""}
    for form in (DOOR_OFF, all_off, dict.fromkeys(DOOR_OFF)):
        answer = await caller.ask("POST", "/v1/settings", form)
        assert (answer.status, answer.json) == (200, {"updated": []})
    answer = await caller.ask("POST", "/v1/settings", {"smtpServerEnabled": True, "smtpServerPort": 3025})
    assert answer.status == 400
    assert [each["message"] for each in answer.json["fields"]] == [
        f'"{name}" is set by {key} in the section [msa] of config.toml, and cannot be changed by a request'
        for name, key in (("smtpServerEnabled", "enabled"), ("smtpServerPort", "port"))
    ]
    assert (await caller.ask("GET", "/health")).json == {"success": True}


async def test_the_settings_of_an_open_smtp_door(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    msa = Msa(enabled=True, password="of all", port=2600)
    async with Simulation(tmp_path / "data", 4712, msa=msa).running() as engine:
        caller = await Caller.of(engine)
        on = DOOR_OFF | {"smtpServerEnabled": True, "smtpServerPort": 2600, "smtpServerPassword": "******"}
        assert (await caller.ask("GET", DOOR)).json == on
        assert (await caller.ask("POST", "/v1/settings", on)).status == 200
        for wrong in ({"smtpServerEnabled": False}, {"smtpServerPassword": ""}, {"smtpServerTLSEnabled": True}):
            assert (await caller.ask("POST", "/v1/settings", wrong)).status == 400
        # The simulation opens no ports.
        assert (await caller.ask("GET", "/health")).json == {"success": True, "smtpDoor": False}


async def test_a_login_that_is_wanted_and_not_given(
    asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock
) -> None:
    _, caller = asking
    smtp = {name: value for name, value in SMTP.items() if name != "auth"}
    answer = (await caller.ask("POST", "/v1/verifyAccount", {"smtp": smtp})).json["smtp"]
    assert (answer["success"], answer["code"]) == (False, "ENOAUTH")
    assert answer["error"] == "Authentication info was not provided"
    imap = {"host": "imap.sandbox.example", "port": 143, "tls": CLEAR_TEXT}
    answer = (await caller.ask("POST", "/v1/verifyAccount", {"imap": imap, "mailboxes": True})).json["imap"]
    assert (answer["success"], answer["code"]) == (False, "ENOAUTH")


async def test_a_port_that_is_shut(asking: tuple[Engine, Caller], autojump_clock: trio.testing.MockClock) -> None:
    engine, caller = asking
    engine.sandbox.faults.dead.add(587)
    answer = (await caller.ask("POST", "/v1/verifyAccount", {"smtp": SMTP})).json["smtp"]
    assert (answer["success"], answer["code"]) == (False, "ESOCKET")
    assert answer["error"].startswith("connect ECONNREFUSED")
