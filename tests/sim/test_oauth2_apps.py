"""OAuth2 apps through the API: what each provider needs, what is shown, masked, refused, verified and warned of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from asking import Answer, Caller
from simulation import Engine, Simulation

from engine.config import RetentionConfig
from engine.doctor import client_secrets
from engine.oauth.apps import App
from engine.sandbox.oauth import Fault
from engine.schema.oauth2 import OAuthAppUpdate
from engine.store import oauth_apps

SANDBOX = {"name": "Sandbox", "provider": "sandbox", "clientId": "engine", "clientSecret": "s3cret", "enabled": True}
GMAIL = {"name": "Gmail", "provider": "gmail", "clientId": "id.apps.googleusercontent.com", "clientSecret": "GOCSPX-x"}


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def made(caller: Caller, **members: Any) -> str:
    answer = await caller.ask("POST", "/v1/oauth2", members)
    assert answer.status == 200, answer
    assert answer.json["created"] is True
    return str(answer.json["id"])


def wrong(answer: Answer) -> dict[str, str]:
    assert answer.status == 400, answer
    return {each["path"]: each["message"] for each in answer.json["fields"]}


async def test_an_app_is_kept_over_a_restart_and_shows_no_secret(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        await caller.ask("POST", "/v1/settings", {"serviceUrl": "https://mail.example.com"})
        app = await made(caller, **GMAIL, clientSecretExpires="2027-06-01T00:00:00Z")
    raw = b"".join(each.read_bytes() for each in simulation.folder.glob("journal.db*"))
    assert b"GOCSPX-x" not in raw
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        shown = (await caller.ask("GET", f"/v1/oauth2/{app}")).json
        assert shown["clientSecret"] == "******"
        assert shown["clientSecretExpires"] == "2027-06-01T00:00:00.000Z"
        assert shown["redirectUrl"] == "https://mail.example.com/oauth"
        assert shown["accounts"] == 0
        assert shown["enabled"] is False
        assert "cloud" not in shown
        assert engine.context.oauth.book.made[app].app.client_secret == "GOCSPX-x"
        listed = (await caller.ask("GET", "/v1/oauth2?pageSize=1")).json
        assert (listed["total"], listed["pages"], listed["apps"][0]["id"]) == (1, 1, app)
        assert "accounts" not in listed["apps"][0]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"provider": "gmail"}, {"clientId", "clientSecret"}),
        ({"provider": "gmailService"}, {"serviceClient", "serviceClientEmail", "serviceKey"}),
        ({"provider": "outlookService", "clientId": "x", "clientSecret": "y"}, {"authority"}),
        ({"provider": "outlookService", "clientId": "x", "clientSecret": "y", "authority": "common"}, {"authority"}),
        ({"provider": "oidc", "clientId": "x"}, {"authorizationUrl", "tokenUrl"}),
        ({"provider": "outlook", "clientId": "x", "authority": "a/b"}, {"authority"}),
        ({"provider": "outlook", "clientId": "x", "baseScopes": "api"}, {"baseScopes"}),
        ({"provider": "outlook", "clientId": "x", "pubSubApp": "x"}, {"pubSubApp"}),
        ({"provider": "outlook", "clientId": "x", "clientSecret": "******"}, {"clientSecret"}),
        ({"provider": "nobody"}, {"provider"}),
    ],
)
async def test_what_a_provider_cannot_do_without(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, given: dict[str, Any], missing: set[str]
) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        assert set(wrong(await caller.ask("POST", "/v1/oauth2", {"name": "x", **given}))) == missing


async def test_a_service_key_that_is_none_is_refused_without_being_repeated(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    service = {"name": "x", "provider": "gmailService", "serviceClient": "1", "serviceClientEmail": "a@b.example"}
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        for key in ("geheim", '{"private_key": "geheim"}', '{"geheim": 1}', "{"):
            answer = await caller.ask("POST", "/v1/oauth2", {**service, "serviceKey": key})
            assert set(wrong(answer)) == {"serviceKey"}
            assert b"geheim" not in answer.body


async def test_an_issuer_that_must_not_be_reached_is_refused(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        given = {"name": "x", "provider": "oidc", "clientId": "x", "issuer": "http://169.254.169.254"}
        answer = await caller.ask("POST", "/v1/oauth2", given)
        assert "issuer" in wrong(answer)
        assert answer.json["code"] == "EgressRefused"


async def test_a_change_keeps_what_is_absent_and_empties_what_is_false(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        app = await made(caller, **SANDBOX, redirectUrl="https://x.example/oauth", extraScopes=["more"])
        answer = await caller.ask("PUT", f"/v1/oauth2/{app}", {"redirectUrl": False, "name": "y", "extraScopes": []})
        assert answer.json == {"id": app, "updated": True}
        kept = engine.context.oauth.book.made[app].app
        assert (kept.name, kept.redirect_url, kept.extra_scopes) == ("y", "", ())
        assert (kept.client_secret, kept.enabled) == ("s3cret", True)
        assert set(wrong(await caller.ask("PUT", f"/v1/oauth2/{app}", {"clientSecret": "******"}))) == {"clientSecret"}


async def test_null_empties_every_member_that_may_be_absent(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    names = [each.encode_name for each in msgspec.structs.fields(OAuthAppUpdate)]
    always = {"name", "enabled", "googleWorkspaceAccounts"}
    emptied = dict.fromkeys(set(names) - always)
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        server = {"host": "imap.example.com", "port": 993}
        given: dict[str, Any] = {"description": "d", "title": "t", "extraScopes": ["x"], "skipScopes": ["y"]}
        given |= {
            "cloud": "china",
            "authority": "tenant",
            "redirectUrl": "https://x.example/oauth",
            "imap": server,
            "smtp": server,
        }
        app = await made(caller, **{**GMAIL, "provider": "outlook"}, **given)
        assert (await caller.ask("PUT", f"/v1/oauth2/{app}", emptied)).status == 200
        kept = engine.context.oauth.book.made[app].app
        assert kept == App(id=app, provider="outlook", name="Gmail")
        for name in always:
            assert set(wrong(await caller.ask("PUT", f"/v1/oauth2/{app}", {name: None}))) == {name}
        # When one is created, it is as absent.
        absent = {name: None for name in emptied if name not in ("clientId", "tenant")}
        other = await made(caller, **{**absent, "name": "x", "provider": "outlook", "clientId": "1"})
        assert engine.context.oauth.book.made[other].app == App(id=other, provider="outlook", name="x", client_id="1")
        refused = await caller.ask("POST", "/v1/oauth2", {"name": "x", "provider": "gmail", "clientId": None})
        assert set(wrong(refused)) == {"clientId", "clientSecret"}


async def test_unknown_apps_are_404(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        app = await made(caller, **SANDBOX)
        removed = (await caller.ask("DELETE", f"/v1/oauth2/{app}")).json
        assert removed == {"id": app, "deleted": True, "accounts": 0}
        for method, path, body in (
            ("GET", "", None),
            ("PUT", "", {"name": "x"}),
            ("DELETE", "", None),
            ("POST", "/verify", {}),
        ):
            answer = await caller.ask(method, f"/v1/oauth2/{app}{path}", body)
            assert (answer.status, answer.json["code"]) == (404, "NotFound")


async def verified(caller: Caller, app: str, **body: Any) -> dict[str, Any]:
    answer = (await caller.ask("POST", f"/v1/oauth2/{app}/verify", body)).json
    assert answer["ok"] is all(step["status"] != "fail" for step in answer["steps"])
    return {step["id"]: step for step in answer["steps"]}


async def test_verifying_takes_no_body(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        app = await made(caller, **SANDBOX)
        answer = await caller.ask("POST", f"/v1/oauth2/{app}/verify", None)
        assert answer.status == 200 and answer.json["steps"][0]["id"] == "config"


async def test_verifying_says_which_step_fails(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        caller, provider = await Caller.of(engine), engine.sandbox.oauth
        app = await made(caller, **SANDBOX)
        steps = await verified(caller, app)
        assert steps["config"]["status"] == "fail"
        assert "serviceUrl" in steps["config"]["hint"]
        await caller.ask("PUT", f"/v1/oauth2/{app}", {"redirectUrl": "https://x.example/oauth"})
        steps = await verified(caller, app)
        assert {id: step["status"] for id, step in steps.items()} == {
            "config": "ok",
            "reachable": "ok",
            "client": "ok",
            "redirect": "ok",
            "scopes": "skip",
            "login": "skip",
        }
        provider.clients = {"engine": "another"}
        steps = await verified(caller, app)
        assert (steps["reachable"]["status"], steps["client"]["status"]) == ("ok", "fail")
        assert "s3cret" not in str(steps)
        engine.sandbox.faults.dead.add("sign-in.sandbox.example")
        steps = await verified(caller, app)
        assert (steps["reachable"]["status"], steps["client"]["status"]) == ("fail", "skip")


async def test_verifying_an_app_that_speaks_for_itself_opens_the_mailbox(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    given = {
        "name": "x",
        "provider": "outlookService",
        "clientId": "engine",
        "clientSecret": "s",
        "authority": "t",
    }
    async with simulation.running() as engine:
        caller, book = await Caller.of(engine), engine.context.oauth.book
        app = await made(caller, **given)
        # The provider's hosts answer TLS, which the sandbox does not speak.
        kept = book.made[app].app
        endpoints = msgspec.structs.replace(kept.endpoints, token="http://sign-in.sandbox.example/token")
        await book.change(book.made[app], msgspec.structs.replace(kept, endpoints=endpoints))
        steps = await verified(caller, app, account="ann@sandbox.example", testConnection=False)
        assert {step["status"] for step in steps.values()} == {"ok", "skip"}
        assert steps["scopes"]["message"].endswith("https://outlook.office365.com/.default.")


def warnings(engine: Engine) -> list[dict[str, Any]]:
    read = engine.context.streams.journal.read(0, 1000, None, ["oauth2AppWarning"])
    return [msgspec.json.decode(body)["data"] for _, _, body in read]


async def test_a_secret_about_to_expire_is_warned_of_three_times_over_restarts(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    day = 86_400
    simulation.config = msgspec.structs.replace(simulation.config, retention=RetentionConfig(events=0.0))
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        expires = datetime.fromtimestamp(simulation.world.now() + 31 * day, UTC).isoformat()
        app = await made(caller, **SANDBOX, clientSecretExpires=expires)
        await trio.sleep_until(0.9 * day)
        assert warnings(engine) == []
        await trio.sleep_until(1.9 * day)
        assert [each["days"] for each in warnings(engine)] == [30]
    await trio.sleep_until(23.5 * day)  # between the engines, since days of a running one take long
    async with simulation.running() as engine:
        await trio.sleep_until(23.9 * day)
        assert [each["days"] for each in warnings(engine)] == [30]
        await trio.sleep_until(24.9 * day)
        assert [each["days"] for each in warnings(engine)] == [30, 7]
    await trio.sleep_until(30.5 * day)
    async with simulation.running() as engine:
        await trio.sleep_until(30.9 * day)
        assert [each["days"] for each in warnings(engine)] == [30, 7, 1]
        caller = await Caller.of(engine)
        later = datetime.fromtimestamp(simulation.world.now() + 5 * day, UTC).isoformat()
        await caller.ask("PUT", f"/v1/oauth2/{app}", {"clientSecretExpires": later})
        await trio.sleep(0.5 * day)
        assert [each["days"] for each in warnings(engine)] == [30, 7, 1, 7]
        assert "PUT /v1/oauth2/" in warnings(engine)[0]["hint"]


@pytest.mark.parametrize(
    ("days", "said", "left", "hint"),
    [(-1, "expired on", 0, "It has expired: every account"), (2, "expires on", 7, "When it expires, every account")],
)
async def test_log_and_event_say_whether_a_secret_has_expired_already(
    simulation: Simulation,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    days: int,
    said: str,
    left: int,
    hint: str,
) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        expires = datetime.fromtimestamp(simulation.world.now() + days * 86_400, UTC).isoformat()
        await made(caller, **SANDBOX, clientSecretExpires=expires)
        await trio.sleep(1)
        (warning,) = warnings(engine)
        assert warning["days"] == left and hint in warning["hint"]
        assert [each for each in caplog.messages if "client secret" in each and said in each]


async def test_the_doctor_names_each_secret_about_to_expire(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        await made(caller, **SANDBOX)
        assert client_secrets(simulation.config).ok
        ids = []
        for name, days in (("Ours", 20), ("Theirs", -1), ("Later", 31)):
            # The doctor goes by the clock of the machine.
            expires = datetime.now(UTC) + timedelta(days=days)
            ids.append(await made(caller, **{**SANDBOX, "name": name}, clientSecretExpires=expires.isoformat()))
        finding = client_secrets(simulation.config)
        assert not finding.ok
        assert f"Theirs (PUT /v1/oauth2/{ids[1]}) has expired, that of Ours (PUT /v1/oauth2/{ids[0]}) expires on" in (
            finding.text
        )
        assert "Later" not in finding.text
        await engine.context.store.commit(lambda tx: oauth_apps.change(tx, ids[1], b"{", 1.0, 1.0))
        assert f"that of {ids[1]} (PUT /v1/oauth2/{ids[1]}) has expired" in client_secrets(simulation.config).text


async def test_an_app_whose_secret_cannot_be_opened_is_shown_and_mended_by_setting_it(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, engine_errors: list[Any]
) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        app = await made(caller, **SANDBOX)
        store = engine.context.store

        def damage(tx: Any) -> None:
            (record,) = tx.execute("SELECT record FROM oauth_app").fetchone()
            built = msgspec.json.decode(record)
            built["clientSecret"] = built["clientSecret"][:-8] + "AAAAAAA="
            tx.execute("UPDATE oauth_app SET record = ?", (msgspec.json.encode(built),))

        await store.commit(damage)
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        shown = (await caller.ask("GET", f"/v1/oauth2/{app}")).json
        assert shown["lastError"]["serverResponseCode"] == "EUNREADABLE"
        assert not engine.context.oauth.book.state(app).usable
        await caller.ask("PUT", f"/v1/oauth2/{app}", {"clientSecret": "s3cret"})
        assert engine.context.oauth.book.state(app).usable
        assert (await caller.ask("GET", f"/v1/oauth2/{app}")).json["lastError"] is None
    (error,) = engine_errors
    assert "left alone" in error.getMessage()


async def test_a_slow_provider_does_not_hold_a_check_for_ever(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        app = await made(caller, **SANDBOX, redirectUrl="https://x.example/oauth")
        engine.sandbox.oauth.outage = Fault(after=1000.0)
        steps = await verified(caller, app)
        assert steps["reachable"]["status"] == "fail"
        assert "20 s" in steps["reachable"]["message"]
