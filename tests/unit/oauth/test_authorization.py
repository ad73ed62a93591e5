"""Signing in without a network: what the browser is sent away with, and what may come back."""

from __future__ import annotations

import base64
import hashlib
import random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from engine.oauth.answers import Tokens
from engine.oauth.apps import App, known_endpoints, mail_scopes, missing_scopes, scopes
from engine.oauth.authorization import (
    CallbackRefused,
    Identity,
    Pending,
    begin,
    check_granted,
    code_of,
    identity,
    identity_of,
)
from engine.oauth.expected_email import check_expected
from engine.oauth.providers import CLOUDS, PROVIDERS

REDIRECT = "https://mail.example.com/oauth"
NOW = 1_800_000_000.0
GMAIL = App(id="g", provider="gmail", name="Gmail", client_id="id", client_secret="s")
OUTLOOK = App(id="o", provider="outlook", name="Outlook", client_id="id", client_secret="s")
OIDC = App(id="c", provider="oidc", name="Own", client_id="id", extra_scopes=("mail", "profile"))


def begun(app: App = GMAIL, **more: Any) -> tuple[dict[str, str], Pending]:
    url, pending = begin(app, known_endpoints(app), REDIRECT, random.Random(1).randbytes, NOW, **more)
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}, pending


def test_the_url() -> None:
    query, pending = begun(login_hint="ann+x@example.com")
    assert query["response_type"] == "code"
    assert query["redirect_uri"] == REDIRECT
    assert query["scope"] == "openid email https://mail.google.com/"
    assert (query["access_type"], query["prompt"], query["login_hint"]) == ("offline", "consent", "ann+x@example.com")
    assert query["code_challenge_method"] == "S256"
    digest = hashlib.sha256(pending.verifier.encode()).digest()
    assert query["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert query["state"] == pending.state
    assert len(base64.urlsafe_b64decode(pending.state + "==")) == 16
    assert 43 <= len(pending.verifier) <= 128
    assert pending.verifier not in str(query)
    assert pending.verifier not in repr(pending)


def test_every_sign_in_has_its_own_secrets() -> None:
    rng = random.Random(1)
    pendings = [begin(GMAIL, known_endpoints(GMAIL), REDIRECT, rng.randbytes, NOW)[1] for _ in range(2)]
    for name in ("state", "nonce", "verifier"):
        assert getattr(pendings[0], name) != getattr(pendings[1], name)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_providers_are_complete(provider: Any) -> None:
    of = PROVIDERS[provider]
    app = App(id="x", provider=provider, name="x", client_id="id")
    assert of.id == provider
    assert of.looked_up >= "2026-11"
    assert of.source
    if provider == "oidc":
        return
    endpoints = known_endpoints(app)
    assert endpoints.token is not None
    assert "{" not in str(endpoints) + str(scopes(app)) + str(app.imap_server) + str(app.smtp_server)
    assert mail_scopes(app)
    assert app.imap_server is not None
    assert app.smtp_server is not None
    if of.grant == "authorization_code":
        assert endpoints.authorize is not None
        begun(app)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_microsofts_clouds(cloud: Any) -> None:
    app = msgspec.structs.replace(OUTLOOK, cloud=cloud, authority="contoso.com")
    endpoints = known_endpoints(app)
    hosts = CLOUDS[cloud]
    assert endpoints.token == f"https://{hosts['login']}/contoso.com/oauth2/v2.0/token"
    assert mail_scopes(app)[0] == f"https://{hosts['scopes']}/IMAP.AccessAsUser.All"


def test_scopes_left_out_and_added() -> None:
    app = msgspec.structs.replace(OUTLOOK, skip_scopes=("SMTP.Send", "email"), extra_scopes=("User.Read", "openid"))
    assert scopes(app) == (
        "openid",
        "profile",
        "offline_access",
        "https://outlook.office.com/IMAP.AccessAsUser.All",
        "User.Read",
    )


@pytest.mark.parametrize(
    ("app", "granted", "missing"),
    [
        (GMAIL, ("openid", "email"), 1),
        (GMAIL, ("https://mail.google.com/",), 0),
        (GMAIL, ("https://mail.google.com",), 0),
        (GMAIL, None, 0),
        (OUTLOOK, ("IMAP.AccessAsUser.All", "SMTP.Send"), 0),
        (OUTLOOK, ("https://outlook.office.com/IMAP.AccessAsUser.All",), 1),
        (OUTLOOK, (), 2),
        (OIDC, ("openid", "email", "offline_access"), 1),
        (OIDC, ("mail",), 0),
        (OIDC, None, 0),
    ],
)
def test_scopes_that_were_not_granted(app: App, granted: tuple[str, ...] | None, missing: int) -> None:
    assert len(missing_scopes(app, granted)) == missing
    tokens = Tokens(access_token="a", scopes=granted)
    if missing:
        with pytest.raises(CallbackRefused) as caught:
            check_granted(app, tokens)
        assert caught.value.error == "missing_scope"
    else:
        check_granted(app, tokens)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"state": "other", "code": "c"}, "invalid_state"),
        ({"state": "", "code": "c"}, "invalid_state"),
        ({"state": "\ud800", "code": "c"}, "invalid_state"),
        ({"iss": "https://evil.example", "code": "c"}, "invalid_state"),
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "consent_required"}, "access_denied"),
        ({"error": "temporarily_unavailable"}, "server_error"),
        ({"error": "<script>"}, "server_error"),
        ({}, "server_error"),
        ({"code": ""}, "server_error"),
    ],
)
def test_callbacks_that_are_refused(given: dict[str, str], error: str) -> None:
    _, pending = begun()
    with pytest.raises(CallbackRefused) as caught:
        code_of(pending, {"state": pending.state, **given}, NOW + 1)
    assert caught.value.error == error
    with pytest.raises(CallbackRefused):
        code_of(pending, {"code": "c"}, NOW + 1)


@pytest.mark.parametrize(
    ("issuer", "iss"),
    [
        ("https://accounts.google.com", "https://accounts.google.com"),
        ("https://accounts.google.com", "accounts.google.com"),
        ("https://id.example/", "https://id.example"),
        ("https://login.microsoftonline.com/common/v2.0", "https://login.microsoftonline.com/72f988bf/v2.0"),
        (None, "https://whoever.example"),
    ],
)
def test_issuers_that_are_the_same(issuer: str | None, iss: str) -> None:
    _, pending = begun()
    pending = msgspec.structs.replace(pending, issuer=issuer)
    assert code_of(pending, {"state": pending.state, "iss": iss, "code": "c"}, NOW) == "c"


@pytest.mark.parametrize(
    "iss",
    [
        "https://login.microsoftonline.com/a/b/v2.0",
        "https://evil.example/72f988bf/v2.0",
        "https://login.microsoftonline.com/v2.0",
        "",
    ],
)
def test_a_shared_tenant_is_not_any_issuer(iss: str) -> None:
    _, pending = begun(OUTLOOK)
    with pytest.raises(CallbackRefused):
        code_of(pending, {"state": pending.state, "iss": iss, "code": "c"}, NOW)


@pytest.mark.parametrize(("later", "good"), [(0, True), (3599, True), (3601, False), (-10, True), (-400, False)])
def test_a_sign_in_must_come_back_within_an_hour(later: float, good: bool) -> None:
    _, pending = begun()
    given = {"state": pending.state, "code": "c"}
    if good:
        assert code_of(pending, given, NOW + later) == "c"
    else:
        with pytest.raises(CallbackRefused):
            code_of(pending, given, NOW + later)


def id_token(**claims: Any) -> str:
    def part(members: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(members)).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln"


def test_who_signed_in() -> None:
    _, pending = begun()
    good = {
        "iss": "https://accounts.google.com",
        "aud": "id",
        "exp": NOW + 100,
        "nonce": pending.nonce,
        "email": "ann@example.com",
        "email_verified": True,
        "name": "Ann",
    }

    def of(**changes: Any) -> Identity | None:
        tokens = Tokens(access_token="a", id_token=id_token(**{**good, **changes}))
        return identity(GMAIL, tokens, pending, NOW)

    assert of() == Identity(user="ann@example.com", name="Ann")
    assert of(aud=["other", "id"]) == of()
    # No more of a claim than may stand in a login and in a header.
    assert of(email="a\x01auth=Bearer x@example.com", upn="ann@example.com", name="Ann\u00a0\n Lee ") == Identity(
        user="ann@example.com", name="Ann Lee"
    )
    assert of(email=f"{'a' * 256}@example.com", name="\x1b[2J") == Identity(user=None)
    assert of(email_verified=False) == Identity(user=None, name="Ann")
    for wrong in (
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "other"},
        {"exp": NOW - 301},
        {"exp": "later"},
        {"nonce": "other"},
        {"nonce": None},
    ):
        with pytest.raises(CallbackRefused):
            of(**wrong)
    assert identity(GMAIL, Tokens(access_token="a"), pending, NOW) is None


def test_microsofts_user_is_the_one_who_logs_in() -> None:
    """The mailbox's address is often another one, which the mail servers do not take as a user."""
    _, pending = begun(OUTLOOK)
    claims = {"iss": "https://login.microsoftonline.com/t/v2.0", "aud": "id", "exp": NOW + 9, "nonce": pending.nonce}
    claims |= {"preferred_username": "ann@contoso.onmicrosoft.com", "email": "ann.smith@contoso.com"}
    found = identity(OUTLOOK, Tokens(access_token="a", id_token=id_token(**claims)), pending, NOW)
    assert found is not None
    assert found.user == "ann@contoso.onmicrosoft.com"


@pytest.mark.parametrize(
    ("authority", "claims", "good"),
    [
        ("", {}, False),
        ("common", {"xms_edov": False}, False),
        ("common", {"xms_edov": True}, True),
        ("organizations", {"upn": "ann.s@contoso.com"}, True),
        ("9b1c-tenant", {}, True),
    ],
)
def test_microsofts_mailbox_may_have_another_address_than_its_user(
    authority: str, claims: dict[str, Any], good: bool
) -> None:
    """Whoever runs a tenant can write any address into `email`: it is not taken from every one."""
    app = msgspec.structs.replace(OUTLOOK, authority=authority)
    claims = {"preferred_username": "ann@contoso.onmicrosoft.com", "email": "Ann.Smith@contoso.com", **claims}
    found = identity_of(app, claims)
    check_expected(found, "ann@contoso.onmicrosoft.com")
    if good:
        check_expected(found, "ann.smith@contoso.com")
        return
    with pytest.raises(CallbackRefused):
        check_expected(found, "ann.smith@contoso.com")


@pytest.mark.parametrize(
    ("user", "expected", "good"),
    [
        ("ann@example.com", "Ann@Example.com ", True),
        ("ann@example.com", None, True),
        (None, None, True),
        (None, "ann@example.com", False),
        ("bob@example.com", "ann@example.com", False),
    ],
)
def test_who_was_expected(user: str | None, expected: str | None, good: bool) -> None:
    if good:
        check_expected(Identity(user=user), expected)
        return
    with pytest.raises(CallbackRefused) as caught:
        check_expected(Identity(user=user), expected)
    assert caught.value.error == "wrong_account"
