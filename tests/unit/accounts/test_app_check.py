"""Testing an app against providers that answer wrongly: the step that fails is the one to blame, with what to do."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
import pytest
import trio.testing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from seeded_world import SeededWorld

from engine.accounts.server_access import ServerAccess
from engine.accounts.verify_app import AppCheck
from engine.errors import NetworkError, NetworkKind
from engine.oauth.apps import App
from engine.oauth.http_client import HttpAnswer, Wire
from engine.oauth.keepers import OAuth
from engine.oauth.providers import Endpoints
from engine.oauth.token_requests import TokenRequests

ISSUER = "https://login.example"
BACK = "https://mail.example/oauth"
APP = App(
    id="x",
    provider="oidc",
    name="x",
    enabled=True,
    client_id="engine",
    client_secret="s3cret",
    endpoints=Endpoints(issuer=ISSUER),
)
Said = HttpAnswer | Exception


def said(status: int, content: Any = b"", **headers: str) -> HttpAnswer:
    return HttpAnswer(status, headers, content if isinstance(content, bytes) else msgspec.json.encode(content))


GOOD: dict[str, Said] = {
    "/.well-known/openid-configuration": said(
        200, {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/page", "token_endpoint": f"{ISSUER}/token"}
    ),
    "/token": said(400, {"error": "invalid_grant"}),
    "/page": said(200, b"<p>Who are you?</p>"),
}


class Scripted(Wire):
    """A provider that says what a test wants. `forms` are those that the token endpoint was asked with."""

    def __init__(self, answers: dict[str, Said]) -> None:
        self._answers = answers
        self.forms: list[Any] = []

    async def get(self, url: str, headers: Any = None) -> HttpAnswer:
        answer = self._answers[urlsplit(url).path]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def post(self, url: str, form: Any, headers: Any = None) -> HttpAnswer:
        self.forms.append(form)
        return await self.get(url)


async def checked(app: App, wire: Wire, name: str | None = None) -> dict[str, dict[str, Any]]:
    """The steps by id."""
    world = SeededWorld(1)
    oauth = cast(OAuth, SimpleNamespace(requests=TokenRequests(wire, None, world)))
    check = AppCheck(app, BACK, oauth, cast(ServerAccess, SimpleNamespace(world=world)), name, None)
    return {step.id: msgspec.to_builtins(step) for step in await check.run(login=False)}


def refused(code: str) -> NetworkError:
    return NetworkError(NetworkKind.CONNECT, code, "connect")


@pytest.mark.parametrize(
    ("path", "answer", "failed", "message", "hint"),
    [
        ("/.well-known/openid-configuration", said(404), "reachable", "answered 404", "issuer"),
        ("/.well-known/openid-configuration", said(503), "reachable", "answered 503", "in a few minutes"),
        ("/.well-known/openid-configuration", said(200, b"<html>"), "reachable", "not a JSON object", "issuer"),
        ("/.well-known/openid-configuration", refused("ECONNREFUSED"), "reachable", "connect", "Nothing listens"),
        ("/token", refused("EPROXY"), "reachable", "connect", "proxyUrl"),
        ("/token", said(503), "reachable", "answered 503", "in a few minutes"),
        ("/token", said(400, {"error": "temporarily_unavailable"}), "reachable", "unavailable", "in a few minutes"),
        ("/token", said(404, b"<html>"), "client", "is no token endpoint: it answered 404", "tokenUrl"),
        ("/token", said(200, b"<html>"), "client", "is no token endpoint: it answered 200", "tokenUrl"),
        ("/token", said(401, {"error": "invalid_client"}), "client", "invalid_client", "client id and secret"),
        ("/page", said(400, b"redirect_uri did not match"), "redirect", f"does not know {BACK}", f"exactly {BACK}"),
        ("/page", said(400, b"?"), "redirect", "answered 400", f"exactly {BACK}"),
        ("/page", said(502), "redirect", "answered 502", "in a few minutes"),
        ("/page", said(303, location=f"{BACK}?error=invalid_scope"), "scopes", "invalid_scope", "extraScopes"),
        ("/page", said(303, location=f"{BACK}?error=unauthorized_client"), "client", "back at once", "permissions"),
    ],
)
async def test_the_step_to_blame_fails_and_no_other(
    path: str, answer: Said, failed: str, message: str, hint: str, autojump_clock: trio.testing.MockClock
) -> None:
    steps = await checked(APP, Scripted({**GOOD, path: answer}))
    assert list(steps) == ["config", "reachable", "client", "redirect", "scopes", "login"]
    assert [id for id, step in steps.items() if step["status"] == "fail"] == [failed]
    assert message in steps[failed]["message"] and hint in steps[failed]["hint"]
    assert "by itself" not in steps[failed]["hint"], "a check asks once"


async def test_an_unknown_client_is_no_fault_of_the_redirect_url(autojump_clock: trio.testing.MockClock) -> None:
    unknown = {"/token": said(401, {"error": "invalid_client"}), "/page": said(400, b"<p>invalid_client</p>")}
    steps = await checked(APP, Scripted({**GOOD, **unknown}))
    assert (steps["client"]["status"], steps["redirect"]["status"]) == ("fail", "skip")
    assert steps["client"]["message"].startswith("invalid_client")


async def test_endpoints_of_the_app_need_no_discovery_document(autojump_clock: trio.testing.MockClock) -> None:
    named = msgspec.structs.replace(APP.endpoints, authorize=f"{ISSUER}/page", token=f"{ISSUER}/token")
    wire = Scripted({**GOOD, "/.well-known/openid-configuration": said(404)})
    steps = await checked(msgspec.structs.replace(APP, endpoints=named), wire)
    assert not [step for step in steps.values() if step["status"] == "fail"]


def service_app() -> App:
    key = rsa.generate_private_key(65537, 1024)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return App(
        id="x",
        provider="gmailService",
        name="x",
        enabled=True,
        service_client="1",
        service_client_email="robot@x.iam.example",
        service_key=pem,
        endpoints=Endpoints(token=f"{ISSUER}/token"),
    )


def claims(form: dict[str, str]) -> dict[str, Any]:
    part = form["assertion"].split(".")[1]
    return dict(msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


async def test_a_service_account_is_tested_without_a_mailbox(autojump_clock: trio.testing.MockClock) -> None:
    wire = Scripted({"/token": said(200, {"access_token": "t", "expires_in": 3599})})
    steps = await checked(service_app(), wire)
    assert {id: step["status"] for id, step in steps.items()} == {
        **dict.fromkeys(("config", "reachable", "client"), "ok"),
        **dict.fromkeys(("scopes", "login"), "skip"),
    }
    assert "sub" not in claims(wire.forms[0])
    await checked(service_app(), wire, "ann@example.com")
    assert claims(wire.forms[1])["sub"] == "ann@example.com"


@pytest.mark.parametrize(
    ("error", "description", "failed"),
    [
        ("unauthorized_client", "Client is unauthorized to retrieve access tokens using this method", "scopes"),
        ("invalid_grant", "Invalid email or User ID", "scopes"),
        ("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)", "client"),
        ("invalid_grant", "Invalid JWT Signature.", "client"),
        ("invalid_client", "The OAuth client was not found.", "client"),
        ("invalid_scope", "Invalid OAuth scope or ID token audience provided.", "scopes"),
    ],
)
async def test_what_google_refuses_a_service_account_is_shown_at_its_step(
    error: str, description: str, failed: str, autojump_clock: trio.testing.MockClock
) -> None:
    wire = Scripted({"/token": said(400, {"error": error, "error_description": description})})
    steps = await checked(service_app(), wire, "ann@example.com")
    assert [id for id, step in steps.items() if step["status"] == "fail"] == [failed]
    assert steps["reachable"]["status"] == "ok" and steps[failed]["hint"]


@pytest.mark.parametrize(
    ("answer", "failed", "hint"),
    [
        (said(200, b"<html>"), "client", "tokenUrl"),
        (said(400, {"error": "invalid_request", "error_codes": [90002]}), "client", "authority"),
        (said(400, {"error": "invalid_scope", "error_codes": [70011]}), "scopes", "extraScopes"),
        (said(400, {"error": "unauthorized_client", "error_codes": [700016]}), "client", "clientId"),
    ],
)
async def test_what_microsoft_refuses_an_app_that_speaks_for_itself(
    answer: Said, failed: str, hint: str, autojump_clock: trio.testing.MockClock
) -> None:
    app = msgspec.structs.replace(
        APP, provider="outlookService", authority="t", endpoints=Endpoints(token=f"{ISSUER}/token")
    )
    steps = await checked(app, Scripted({"/token": answer}), "ann@example.com")
    assert [id for id, step in steps.items() if step["status"] == "fail"] == [failed]
    assert hint in steps[failed]["hint"]


def google(error: str) -> str:
    """The page to which Google sends browsers in place of the sign-in."""
    told = base64.b64encode(b"\n" + bytes([len(error)]) + error.encode() + b"\x12\x04more").decode()
    return f"https://accounts.google.com/signin/oauth/error?authError={quote(told)}&client_id=x"


@pytest.mark.parametrize(("error", "failed"), [("redirect_uri_mismatch", "redirect"), ("invalid_client", "client")])
async def test_what_google_says_in_the_url_of_another_page(
    error: str, failed: str, autojump_clock: trio.testing.MockClock
) -> None:
    location = google(error)
    assert error not in location and parse_qs(urlsplit(location).query)["authError"]
    steps = await checked(APP, Scripted({**GOOD, "/page": said(302, location=location)}))
    assert [id for id, step in steps.items() if step["status"] == "fail"] == [failed]


@pytest.mark.parametrize(
    ("text", "failed", "hint"),
    [
        ("AADSTS50011: The redirect URI 'x' does not match", "redirect", BACK),
        ("AADSTS700016: Application with identifier 'x' was not found", "client", "clientId"),
        ("AADSTS90002: Tenant 'x' not found", "client", "authority"),
    ],
)
async def test_what_microsoft_says_within_its_page(
    text: str, failed: str, hint: str, autojump_clock: trio.testing.MockClock
) -> None:
    steps = await checked(APP, Scripted({**GOOD, "/page": said(200, f'<script>{{"m":"{text}"}}'.encode())}))
    assert [id for id, step in steps.items() if step["status"] == "fail"] == [failed]
    assert hint in steps[failed]["hint"]
