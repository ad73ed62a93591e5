"""What Microsoft's servers say and mean otherwise, over real sockets: in events, in the account, when verified."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from real.engine_process import EngineProcess
from real.exchange import Exchange
from real.processes import wait_until
from real.smtp_server import SmtpServer

pytestmark = pytest.mark.process

SHARED, ANN = "sales@x.example", "ann@x.example"
TENANT = (
    "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit "
    "https://aka.ms/smtp_auth_disabled for more information."
)
MAILBOX = TENANT.replace("Tenant", "Mailbox")
BASIC = "550 5.7.30 Basic authentication is not supported for Client Submission."


def token_of(user: str) -> str:
    """An access token as Microsoft's are for organizations: it says whose it is."""
    parts = ({"alg": "RS256"}, {"aud": "https://outlook.office.com", "upn": user, "scp": "IMAP.AccessAsUser.All"})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2ln"])


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with Exchange() as server:
        yield server


def server(of: Exchange | SmtpServer, **auth: str) -> dict[str, Any]:
    return {"host": of.host, "port": of.port, "secure": False, "auth": auth}


def told(engine: EngineProcess, account: str, **given: Any) -> dict[str, Any]:
    """The account's first `authenticationError`, once it is registered."""
    answer = engine.request("POST", "/v1/account", {"account": account, "name": account, **given})
    assert answer.status == 200, answer.json
    found: list[dict[str, Any]] = []

    def came() -> bool:
        events = engine.request("GET", f"/v1/events?account={account}&after=0").json["events"]
        found.extend(each["data"] for each in events if each["event"] == "authenticationError")
        return bool(found)

    wait_until(came, "an authenticationError")
    return found[0]


def test_a_mailbox_of_somebody_else_is_named_with_both_addresses(engine: EngineProcess, exchange: Exchange) -> None:
    imap = server(exchange, user=SHARED, accessToken=token_of(ANN))
    event = told(engine, "acme", imap=imap)
    assert event["serverResponseCode"] == "MailboxMismatch"
    assert ANN in event["description"] and SHARED in event["description"]
    assert f"Add-MailboxPermission -Identity {SHARED} -User {ANN}" in event["hint"]
    assert "authenticated but not connected" in event["response"]
    shown = engine.wait_for_state("acme", "authenticationError")
    assert shown["lastError"]["serverResponseCode"] == "MailboxMismatch"
    assert shown["lastError"]["hint"] == event["hint"]
    verified = engine.request("POST", "/v1/verifyAccount", {"imap": imap}).json["imap"]
    assert (verified["success"], verified["code"]) == (False, "MailboxMismatch")
    assert ANN in verified["description"] and SHARED in verified["description"]
    logins = exchange.commands.count("AUTHENTICATE")
    time.sleep(2.0)
    assert exchange.commands.count("AUTHENTICATE") - logins <= 2, "no login storm"


def test_the_right_user_is_not_told_to_sign_in(engine: EngineProcess, exchange: Exchange) -> None:
    event = told(engine, "acme", imap=server(exchange, user=ANN, accessToken=token_of(ANN)))
    assert event["serverResponseCode"] == "MailboxMismatch"
    assert f"Set-CASMailbox {ANN} -ImapEnabled $true" in event["hint"] and "the user is right" in event["hint"]


@pytest.mark.parametrize(
    ("reply", "code", "command"),
    [
        (TENANT, "SmtpAuthDisabled", "Set-TransportConfig -SmtpClientAuthenticationDisabled $false"),
        (MAILBOX, "SmtpAuthDisabled", f"Set-CASMailbox -Identity {ANN} -SmtpClientAuthenticationDisabled $false"),
        (
            "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated "
            "successfully. Contact your administrator.",
            "SmtpAuthDisabled",
            "Set-CASMailbox",
        ),
        (BASIC, "PasswordsNotAccepted", "/v1/authentication/form"),
    ],
)
def test_what_an_administrator_must_do_is_never_a_wrong_password(
    engine: EngineProcess, smtp_server: SmtpServer, reply: str, code: str, command: str
) -> None:
    smtp_server.replies["AUTH"] = reply
    smtp = server(smtp_server, user=ANN, **{"pass": "geheim"})
    event = told(engine, "acme", smtp=smtp)
    assert event["serverResponseCode"] == code
    assert command in event["hint"]
    assert "auth.pass" not in str(event) and "geheim" not in str(event)
    shown = engine.request("GET", "/v1/account/acme").json
    assert shown["lastError"]["serverResponseCode"] == code
    assert shown["sending"]["lastError"]["hint"] == event["hint"]
    verified = engine.request("POST", "/v1/verifyAccount", {"smtp": smtp}).json["smtp"]
    assert (verified["success"], verified["code"], verified["hint"]) == (False, code, event["hint"])
    assert verified["statusCode"] == int(reply[:3])


def test_a_refusal_of_the_login_after_the_login_charges_no_message(
    engine: EngineProcess, smtp_server: SmtpServer
) -> None:
    smtp = server(smtp_server, user=ANN, **{"pass": "geheim"})
    engine.request("POST", "/v1/account", {"account": "acme", "name": "acme", "email": ANN, "smtp": smtp})
    engine.wait_for_state("acme", "connected")
    smtp_server.replies["MAIL"] = BASIC
    given = {"to": [{"address": "bob@x.example"}], "subject": "Hello", "text": "Hi"}
    queued = engine.request("POST", "/v1/account/acme/submit", given).json["queueId"]

    def waits() -> bool:
        entry = engine.request("GET", f"/v1/outbox/{queued}").json
        return entry["waitingFor"] is not None and "/v1/authentication/form" in entry["waitingFor"]["remedy"]

    wait_until(waits, "the way out in the outbox")
    entry = engine.request("GET", f"/v1/outbox/{queued}").json
    assert entry["attemptsMade"] == 0 and "password" not in entry["waitingFor"]["remedy"].replace("no passwords", "")


def test_a_wrong_password_is_still_a_wrong_password(engine: EngineProcess, smtp_server: SmtpServer) -> None:
    smtp_server.replies["AUTH"] = "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect."
    event = told(engine, "acme", smtp=server(smtp_server, user=ANN, **{"pass": "geheim"}))
    assert event["serverResponseCode"] == "535" and "smtp.auth.pass" in event["description"]
