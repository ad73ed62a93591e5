"""docs/oauth2.md says of the providers what the engine knows of them, and quotes what it really says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.accounts.login_hints import hint
from engine.decoding.decode import decode_body
from engine.oauth.apps import App, mail_scopes, scopes
from engine.oauth.errors import Trouble, hint_of
from engine.oauth.providers import PROVIDERS, Provider
from engine.oauth.service_account_errors import FAULTS
from engine.schema.account import AccountCreate
from engine.schema.oauth2 import OAuthAppCreate

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "oauth2.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` (\|.*\|)$", TEXT.partition("## The providers")[2], re.MULTILINE))
LISTED = [each for each in PROVIDERS.values() if each.id != "sandbox"]
QUOTED = re.findall("“(.+?)”", TEXT)


def row(provider: Provider) -> str:
    """What the table says of a provider; of Microsoft's clouds the global one."""
    app = App(id="x", provider=provider.id, name="x")
    asked = ", ".join(f"`{each}`" for each in dict.fromkeys((*mail_scopes(app), *scopes(app))))
    servers = [f"`{each.host}` {each.port}" for each in (app.imap_server, app.smtp_server) if each is not None]
    refresh = provider.refresh_tokens if app.signs_in else "none"
    cells = (
        provider.name,
        asked,
        ", ".join(servers) or "the app's",
        ", ".join(provider.mechanisms),
        refresh,
        f"{provider.looked_up}, <{provider.source}>",
    )
    return f"| {' | '.join(cells)} |"


def said() -> Iterator[str]:
    """Every hint there is for what providers and their servers answer."""
    codes = [frozenset({code}) for code in range(50_000, 91_000)]
    codes += [frozenset({code}) for code in (700016, 700082, 7000215, 7000222)]
    for trouble in Trouble:
        for provider in PROVIDERS:
            for error in ("invalid_grant", "invalid_client", "invalid_scope", "unauthorized_client", None):
                yield hint_of(trouble, provider, error, frozenset())
    yield from {hint_of(Trouble.GRANT_GONE, "outlook", "invalid_grant", each) for each in codes}
    yield from (fault.hint for fault in FAULTS)
    for host in ("imap.gmail.com", "outlook.office365.com", "imap.mail.yahoo.com"):
        for token in (True, False):
            for response in ("NO", "Your account is not enabled for IMAP use"):
                yield hint(host, response, token=token) or ""


def test_every_provider_is_in_the_table() -> None:
    assert ROWS.keys() == {each.id for each in LISTED}


@pytest.mark.parametrize("provider", LISTED, ids=lambda each: each.id)
def test_a_row_says_what_the_data_say(provider: Provider) -> None:
    assert ROWS[provider.id] == row(provider)


@pytest.mark.once
@pytest.mark.parametrize("words", QUOTED, ids=lambda words: words[:30])
def test_what_is_quoted_is_said(words: str) -> None:
    assert words in "\n".join(said())


def test_registrations_that_are_shown_are_taken() -> None:
    shown = re.findall(r"/v1/account -d '(\{.*?\})'\n", TEXT, re.DOTALL)
    assert len(shown) >= 4
    for body in shown:
        decode_body(AccountCreate, body.replace("'$APP'", "AAABhaBPHscAAAAHq2bX").encode())


def test_members_of_an_app_are_called_what_they_are_called() -> None:
    known = {each.encode_name for each in msgspec.structs.fields(OAuthAppCreate)}
    shown = [body for body in re.findall(r"/v1/oauth2 -d '(\{.*?\})'", TEXT, re.DOTALL) if "$key" not in body]
    assert len(shown) >= 5
    for body in shown:
        msgspec.json.decode(body.replace("…", "x"), type=OAuthAppCreate)
        assert msgspec.json.decode(body).keys() <= known
