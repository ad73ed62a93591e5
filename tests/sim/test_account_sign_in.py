"""Accounts that sign in with OAuth2: registered, connected, refreshed, refused, revoked, removed. The sandbox is it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from asking import Caller
from person import SERVICE, Person, query_of
from signed_in import ANN, APP, at
from simulation import Simulation, came

from engine import doctor
from engine.model.message_states import State
from engine.sandbox.oauth import Fault

BACK = "https://app.example.com/back"
LIFE = 3600.0


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def test_an_account_reads_and_sends_for_days(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        await it.register()
        for _ in range(3):
            await trio.sleep(26 * 3600)
            sent = await it.send()
            await it.engine.until_ended(sent)
            assert it.engine.state(sent) is State.SENT
        shown = await it.shown()
        assert (shown["state"], shown["type"], shown["sandbox"]) == ("connected", "sandbox", True)
        sign_in = shown["oauth2"]
        assert (sign_in["provider"], sign_in["auth"]) == (it.app, {"user": ANN})
        assert sign_in["accessToken"] == sign_in["refreshToken"] == "******"
        assert sign_in["generated"] < sign_in["expires"] and "lastError" in shown
        assert it.names().count("authenticationSuccess") == 1 and "authenticationError" not in it.names()
        # Refreshed a tenth of its life ahead of the end.
        assert 78 * 3600 / LIFE < it.oauth.refreshes <= 78 * 3600 / (LIFE * 0.9) + 1
        assert it.oauth.reused == [] and len(came(it.engine)) == 3


async def test_tokens_are_nowhere_in_clear(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        issued = await it.register()
        shown = msgspec.json.encode([await it.shown(), it.engine.events("acme")])
    raw = b"".join(each.read_bytes() for each in simulation.folder.glob("journal.db*"))
    for token in (issued.access_token, issued.refresh_token or ""):
        assert token.encode() not in raw + shown


@pytest.mark.parametrize("server", ["imap", "smtp"])
async def test_a_refused_token_is_refreshed_once(simulation: Simulation, autojump_clock: object, server: str) -> None:
    async with at(simulation) as it:
        issued = await it.register()
        it.oauth.expire(issued.access_token)
        if server == "imap":
            await it.ask("PUT", "/v1/account/acme/reconnect", {"reconnect": True})
            await trio.sleep(30)
        sent = await it.send()
        await it.engine.until_ended(sent)
        assert (await it.engine.entry(sent))["attemptsMade"] == 1 and it.oauth.refreshes == 1
        assert (await it.shown())["state"] == "connected"
        assert "authenticationError" not in it.names() and "messageDeliveryError" not in it.names()


async def test_a_session_ended_for_its_token_is_opened_again_with_another_one(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with at(simulation) as it:
        await it.register()
        await trio.sleep(60)
        for number in (1, 2):
            for each in list(it.engine.sandbox.faults.imap_connections):
                await each.send_all(b"* BYE Session invalidated - AccessTokenExpired\r\n")
                each.close()
            await it.until("connected")
            await trio.sleep(60)
            assert it.oauth.refreshes == number
        assert (await it.shown())["state"] == "connected"
        assert not {"authenticationError", "connectError"} & set(it.names())


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_the_tokens_of_the_first_registration_given_once_more_end_nothing(
    simulation: Simulation, autojump_clock: object, method: str
) -> None:
    async with at(simulation) as it:
        it.oauth.forgives = False
        _, oauth2 = it.granted()
        given = {"account": "acme", "name": "Acme", "email": ANN, "oauth2": oauth2}
        await it.ask("POST", "/v1/account", given)
        await it.engine.event("acme", "accountInitialized")
        for hours in (0, 1, 50):
            await trio.sleep(hours * 3600)
            if method == "POST":
                await it.ask("POST", "/v1/account", given)
            else:
                await it.ask("PUT", "/v1/account/acme", {"oauth2": {**oauth2, "partial": True}})
        await trio.sleep(3 * 3600)
        assert (await it.shown())["state"] == "connected" and it.oauth.reused == []
        assert "authenticationError" not in it.names()
        it.oauth.revoke_user(ANN)
        await it.until("authenticationError")
        _, oauth2 = it.granted()
        await it.ask("POST", "/v1/account", {**given, "oauth2": oauth2})
        await it.until("connected")


async def test_a_revoked_grant_is_told_once_with_the_way_out(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        await it.register()
        it.oauth.revoke_user(ANN)
        shown = await it.until("authenticationError")
        sent = [await it.send() for _ in range(3)]
        await trio.sleep(7200)
        told = it.engine.events("acme", "authenticationError")
        assert len(told) == 1 and it.names().count("connectError") == 0
        error = told[0]["data"]
        assert error["serverResponseCode"] == "invalid_grant" and "sign in again" in error["hint"]
        assert error["tokenRequest"]["grant"] == "refresh_token" and error["reauthUrl"].startswith(SERVICE)
        shown = await it.shown()
        assert shown["lastError"]["tokenRequest"]["code"] == "invalid_grant"
        assert shown["sending"]["state"] == "authenticationError" and shown["connections"] == 0
        refreshes = it.oauth.requests
        assert "messageDeliveryError" not in it.names()
        for each in sent:
            entry = await it.engine.entry(each)
            assert entry["attemptsMade"] == 0 and it.engine.state(each) is State.QUEUED
            assert entry["waitingFor"]["kind"] == "login" and "sign in" in entry["waitingFor"]["remedy"]
        person = await Person.of(it.engine)
        await person.go(shown["lastError"]["reauthUrl"])
        assert query_of(person.at)["login_hint"] == ANN
        await person.submit(user=ANN, decision="allow")
        assert person.status == 200 and "Your mailbox is connected" in person.text
        await it.engine.until_ended(*sent)
        assert all(it.engine.state(each) is State.SENT for each in sent)
        shown = await it.shown()
        assert (shown["state"], shown["sending"]["state"], shown["lastError"]) == ("connected", "connected", None)
        assert (shown["name"], shown["email"]) == ("acme", ANN)
        assert it.names().count("authenticationSuccess") == 2 and it.names().count("authenticationError") == 1
        assert it.oauth.requests == refreshes + 1, "nothing was asked for while the grant was gone"


async def test_a_gone_grant_stays_gone_over_a_restart(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        app = it.app
        await it.register()
        it.oauth.revoke_user(ANN)
        await it.until("authenticationError")
        sent = await it.send()
        await trio.sleep(60)
    found = doctor.sign_ins(simulation.config)
    assert not found.ok and "account acme must sign in again" in found.text
    async with at(simulation, app) as it:
        await it.until("authenticationError")
        await trio.sleep(3600)
        assert it.names().count("authenticationError") == 1 and it.oauth.requests == 0
        assert (await it.engine.entry(sent))["attemptsMade"] == 0
        _, oauth2 = it.granted()
        await it.ask("PUT", "/v1/account/acme", {"oauth2": oauth2})
        await it.engine.until_ended(sent)
        assert doctor.sign_ins(simulation.config).ok
        assert it.engine.state(sent) is State.SENT and (await it.until("connected"))["lastError"] is None


@pytest.mark.parametrize("outage", [Fault(status=503), Fault(cut=True), Fault(status=429, error="slow_down")])
async def test_a_provider_that_is_down_costs_nothing(
    simulation: Simulation, autojump_clock: object, outage: Fault
) -> None:
    async with at(simulation) as it:
        await it.register()
        it.oauth.outage = outage
        await trio.sleep(2 * 3600)
        shown = await it.shown()
        assert shown["state"] == "connected", "what is open stays open"
        sent = await it.send()
        await trio.sleep(1800)
        assert it.names().count("messageDeliveryError") == 0
        entry = await it.engine.entry(sent)
        assert entry["attemptsMade"] == 0 and entry["waitingFor"]["kind"] == "connection"
        await it.ask("PUT", "/v1/account/acme/reconnect", {"reconnect": True})
        await trio.sleep(1800)
        shown = await it.shown()
        assert shown["state"] == "connectError" and shown["lastError"]["tokenRequest"]
        assert shown["sending"]["state"] == "connectError"
        it.oauth.outage = None
        await it.engine.until_ended(sent)
        assert it.engine.state(sent) is State.SENT
        assert (await it.until("connected"))["sending"]["state"] == "connected"
        assert "authenticationError" not in it.names() and it.names().count("connectError") == 1


async def test_a_broken_app_is_told_once_and_sends_nobody_to_sign_in(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with at(simulation) as it:
        users = [f"u{number}@sandbox.example" for number in range(4)]
        for user in users:
            await it.register(user.partition("@")[0], user)
        it.oauth.clients = {"engine": "another"}
        await trio.sleep(3 * 3600)
        sent = [await it.send(user.partition("@")[0]) for user in users]
        await trio.sleep(3600)
        journal = it.engine.context.streams.journal.read(0, 100_000, None, ["oauth2AppError"])
        assert len(journal) == 1
        for user, each in zip(users, sent, strict=True):
            names = it.names(user.partition("@")[0])
            assert "authenticationError" not in names and "connectError" not in names
            entry = await it.engine.entry(each)
            assert entry["attemptsMade"] == 0 and "app" in entry["waitingFor"]["remedy"]
        it.oauth.clients = {}
        await it.ask("PUT", f"/v1/oauth2/{it.app}", {"clientSecret": "good"})
        await it.engine.until_ended(*sent)
        assert all(it.engine.state(each) is State.SENT for each in sent)


async def test_an_app_that_is_removed_is_waited_for(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        await it.register()
        assert (await it.ask("DELETE", f"/v1/oauth2/{it.app}"))["accounts"] == 1
        await trio.sleep(3 * 3600)
        sent = await it.send()
        await trio.sleep(60)
        shown = await it.shown()
        assert shown["type"] == "oauth2" and "authenticationError" not in it.names()
        assert "no OAuth2 app" in (await it.engine.entry(sent))["waitingFor"]["remedy"]
        other = await it.ask("POST", "/v1/oauth2", APP)
        it.app = other["id"]
        _, oauth2 = it.granted()
        await it.ask("PUT", "/v1/account/acme", {"oauth2": oauth2})
        await it.engine.until_ended(sent)
        assert it.engine.state(sent) is State.SENT


async def test_removal_revokes_where_it_is_asked_to(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        kept, revoked = await it.register("kept", "kept@sandbox.example"), await it.register("gone")
        for account, query in (("kept", ""), ("gone", "?revoke=true")):
            assert (await it.ask("DELETE", f"/v1/account/{account}{query}"))["deleted"] is True
        assert kept.family.alive and not revoked.family.alive
        rows = it.engine.context.store.reader.execute("SELECT count(*) FROM oauth_grant").fetchone()
        assert rows == (0,) and it.engine.context.oauth.keepers.of("gone") is None
        assert "authenticationError" not in it.names("gone")


async def test_an_app_that_speaks_for_itself_has_nothing_to_revoke(
    simulation: Simulation, autojump_clock: object
) -> None:
    urls = {"tokenUrl": "http://sign-in.sandbox.example/token"}
    urls["revocationUrl"] = "http://sign-in.sandbox.example/revoke"
    servers = {each: {"host": "10.0.0.5", "port": 143, "secure": False} for each in ("imap", "smtp")}
    given = {**APP, "provider": "outlookService", "authority": "t", **urls, **servers}
    async with at(simulation) as it:
        it.app = (await it.ask("POST", "/v1/oauth2", given))["id"]
        oauth2 = {"provider": it.app, "auth": {"user": ANN}}
        await it.ask("POST", "/v1/account", {"account": "acme", "name": "x", "email": ANN, "oauth2": oauth2})
        account = it.engine.context.registry.get("acme")
        assert account is not None and account.sign_in.keeper is not None
        assert await account.sign_in.keeper.token()
        assert (await it.ask("DELETE", "/v1/account/acme?revoke=true"))["deleted"] is True
        assert [each.alive for each in it.oauth.families] == [True], "its token may serve other mailboxes"


@pytest.mark.parametrize("why", ["down", "disabled"])
async def test_a_refused_token_causes_no_storm_of_logins_while_there_is_no_other(
    simulation: Simulation, autojump_clock: object, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """The servers refuse it before it expires, and the provider gives no other: no use to log in with it again."""
    async with at(simulation) as it:
        issued = await it.register()
        if why == "down":
            it.oauth.outage = Fault(status=503)
        else:
            await it.ask("PUT", f"/v1/oauth2/{it.app}", {"enabled": False})
        it.oauth.expire(issued.access_token)
        dials, dial = 0, it.engine.sandbox.dial

        async def counted(*given: Any) -> Any:
            nonlocal dials
            dials += 1
            if dials > 200:
                await trio.sleep(3600)  # it is a storm, which would never end on a clock that stands still
            return await dial(*given)

        monkeypatch.setattr(it.engine.sandbox, "dial", counted)
        await it.ask("PUT", "/v1/account/acme/reconnect", {"reconnect": True})
        sent = await it.send()
        await trio.sleep(2 * 3600)
        assert (await it.shown())["state"] == "connectError"
        assert (await it.engine.entry(sent))["attemptsMade"] == 0
        assert dials < 60, "token requests included, of which there are six an hour"
        it.oauth.outage = None
        await it.ask("PUT", f"/v1/oauth2/{it.app}", {"enabled": True})
        # By now it waits ten minutes, unless it is told not to.
        await it.ask("PUT", "/v1/account/acme/reconnect", {"reconnect": True})
        with trio.fail_after(60):
            await it.until("connected")
            await it.engine.until_ended(sent)
        assert it.engine.state(sent) is State.SENT


async def test_a_reconnect_waits_for_no_token(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        issued = await it.register()
        it.oauth.outage = Fault(status=503)
        it.oauth.expire(issued.access_token)
        await it.ask("PUT", "/v1/account/acme/reconnect", {"reconnect": True})
        await trio.sleep(2 * 3600)
        assert (await it.shown())["state"] == "connectError"
        it.oauth.outage = None  # by now it asks every ten minutes
        await it.ask("PUT", "/v1/account/acme/reconnect", {"reconnect": True})
        with trio.fail_after(5):
            await it.until("connected")


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"provider": "gone"}, "oauth2.provider", "Invalid or missing OAuth2 provider"),
        ({"provider": None}, "oauth2.provider", "Invalid or missing OAuth2 provider"),
        ({"accessToken": None, "refreshToken": None, "expires": None}, "oauth2", "Invalid input"),
        ({"auth": {}}, "oauth2.auth.user", "Invalid input"),
        ({"accessToken": "******"}, "oauth2.accessToken", "Invalid input"),
        ({"authorize": True}, "oauth2.accessToken", "Invalid input"),
        ({"useAuthServer": True}, "oauth2.useAuthServer", "Invalid input"),
    ],
)
async def test_what_is_refused_names_the_member(
    simulation: Simulation, autojump_clock: object, change: dict[str, Any], path: str, words: str
) -> None:
    async with at(simulation) as it:
        _, oauth2 = it.granted()
        oauth2 = {name: value for name, value in {**oauth2, **change}.items() if value is not None}
        answer = await it.caller.ask("POST", "/v1/account", {"account": "acme", "name": "x", "oauth2": oauth2})
        assert answer.status == 400 and answer.json["message"] == words
        told = {each["path"]: each["message"] for each in answer.json["fields"]}
        assert path in told and ("useAuthServer" not in change or "in imap and smtp" in told[path])
        assert it.engine.context.registry.every() == []


async def test_an_app_that_is_not_enabled_is_refused(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        await it.ask("PUT", f"/v1/oauth2/{it.app}", {"enabled": False})
        _, oauth2 = it.granted()
        answer = await it.caller.ask("POST", "/v1/account", {"account": "acme", "name": "x", "oauth2": oauth2})
        assert answer.status == 400 and "not enabled" in answer.json["fields"][0]["message"]


async def test_a_mailbox_is_one_account_but_a_user_may_open_several(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with at(simulation) as it:
        it.oauth.shared[ANN] = {"team@sandbox.example"}
        await it.register()
        _, oauth2 = it.granted()
        answer = await it.caller.ask("POST", "/v1/account", {"account": "other", "name": "x", "oauth2": oauth2})
        assert answer.status == 400
        assert (answer.json["code"], answer.json["existingAccount"]) == ("AccountAlreadyExists", "acme")
        assert it.engine.context.registry.get("other") is None
        oauth2["auth"]["delegatedUser"] = "team@sandbox.example"
        await it.ask("POST", "/v1/account", {"account": "team", "name": "x", "oauth2": oauth2})
        shown = await it.until("connected", "team")
        assert shown["oauth2"]["auth"] == {"user": ANN, "delegatedUser": "team@sandbox.example"}
        assert it.engine.events("team", "authenticationSuccess")[0]["data"]["user"] == "team@sandbox.example"


async def test_a_registration_waits_for_somebody_to_sign_in(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        given = {
            "account": "acme",
            "name": "Acme",
            "logs": True,
            "webhooksCustomHeaders": [{"key": "X-Key", "value": "k3y"}],
            "oauth2": {"provider": it.app, "auth": {"user": ANN}, "authorize": True, "redirectUrl": BACK},
        }
        answer = await it.ask("POST", "/v1/account", given)
        assert answer.keys() == {"redirect"} and it.engine.context.registry.every() == []
        assert "k3y" not in answer["redirect"]
        person = await Person.of(it.engine)
        await person.go(answer["redirect"])
        assert query_of(person.at)["login_hint"] == ANN
        await person.submit(user="bob@sandbox.example", decision="allow")
        assert person.told == {"account": "acme", "state": "new"} and person.at.startswith(BACK)
        shown = await it.until("connected")
        assert (shown["name"], shown["email"], shown["logs"]) == ("Acme", "bob@sandbox.example", True)
        assert shown["webhooksCustomHeaders"] == [{"key": "X-Key", "value": "******"}]
        assert shown["oauth2"]["redirectUrl"] == BACK
        await person.go(answer["redirect"])
        assert "used" in person.text


@pytest.mark.parametrize("user", ["CORP\\ann", "<script>a@b</script>", "ann@", '"><b>@x.example', "a b@x.example"])
async def test_a_user_that_is_no_address_makes_a_link_that_opens(
    simulation: Simulation, autojump_clock: object, user: str
) -> None:
    async with at(simulation) as it:
        oauth2 = {"provider": it.app, "auth": {"user": user}, "authorize": True, "redirectUrl": BACK}
        answer = await it.ask("POST", "/v1/account", {"account": "acme", "name": "<b>Acme</b>", "oauth2": oauth2})
        person = await Person.of(it.engine)
        await person.go(answer["redirect"])
        await person.submit(user=ANN, decision="allow")
        assert person.told == {"account": "acme", "state": "new"}


async def test_a_registration_waits_for_the_one_who_is_expected(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        oauth2 = {"provider": it.app, "authorize": True, "redirectUrl": BACK}
        given = {"account": "acme", "name": "Acme", "expectedEmail": ANN, "oauth2": oauth2}
        answer = await it.ask("POST", "/v1/account", given)
        person = await Person.of(it.engine)
        for user in ("eve@sandbox.example", ANN):
            await person.go(answer["redirect"])
            await person.submit(user=user, decision="allow")
            assert (it.engine.context.registry.get("acme") is not None) == (user == ANN), person.text
        assert (await it.until("connected"))["email"] == ANN
        _, oauth2 = it.granted("bob@sandbox.example")
        refused = await it.caller.ask("POST", "/v1/account", {**given, "account": "bob", "oauth2": oauth2})
        assert (refused.status, refused.json["fields"][0]["path"]) == (400, "expectedEmail")


async def test_the_access_token_is_shown_to_those_who_may(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        issued = await it.register()
        refused = await it.caller.ask("GET", "/v1/account/acme/oauth-token")
        assert (refused.status, refused.json["code"]) == (403, "ApiEndpointDisabled")
        assert "enableOAuthTokensApi" in refused.json["message"]
        await it.ask("POST", "/v1/settings", {"enableOAuthTokensApi": True})
        answer = await it.ask("GET", "/v1/account/acme/oauth-token")
        assert answer["accessToken"] == issued.access_token and answer["cached"] is True
        assert (answer["user"], answer["app"], answer["provider"]) == (ANN, it.app, "sandbox")
        await it.engine.register("plain")
        refused = await it.caller.ask("GET", "/v1/account/plain/oauth-token")
        assert (refused.status, refused.json["code"]) == (403, "AccountNotOAuth2")
        narrow = await Caller.of(it.engine, scopes=["api"])
        refused = await narrow.ask("GET", "/v1/account/acme/oauth-token")
        assert (refused.status, refused.json["requestedScope"]) == (403, "oauth-token")
        it.oauth.revoke_user(ANN)
        await it.until("authenticationError")
        refused = await it.caller.ask("GET", "/v1/account/acme/oauth-token")
        assert (refused.status, refused.json["code"]) == (403, "OauthRenewError")


async def test_a_sign_in_can_be_ended(simulation: Simulation, autojump_clock: object) -> None:
    async with at(simulation) as it:
        await it.register()
        await it.ask("PUT", "/v1/account/acme", {"oauth2": False})
        shown = await it.until("connected")
        assert "oauth2" not in shown and shown["type"] == "imap"
        assert it.engine.context.oauth.keepers.of("acme") is None
        rows = it.engine.context.store.reader.execute("SELECT count(*) FROM oauth_grant").fetchone()
        assert rows == (0,)
