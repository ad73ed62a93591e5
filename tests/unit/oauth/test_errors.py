"""Which of the three classes an answer is, and what is said to do about it."""

from __future__ import annotations

import msgspec
import pytest

from engine.oauth.answers import read_tokens
from engine.oauth.errors import TokenError, Trouble, trouble_of

GONE, BROKEN, PASSING = Trouble.GRANT_GONE, Trouble.APP_BROKEN, Trouble.PASSING


@pytest.mark.parametrize(
    ("error", "status", "trouble", "whole_app"),
    [
        ("invalid_grant", 400, GONE, False),
        ("INVALID_REFRESH_TOKEN", 400, GONE, False),
        ("interaction_required", 400, GONE, False),
        ("consent_required", 400, GONE, False),
        ("token not found", 400, GONE, False),
        ("invalid_client", 401, BROKEN, True),
        ("invalid_client", 400, BROKEN, True),
        ("unauthorized_client", 400, BROKEN, False),
        ("invalid_scope", 400, BROKEN, False),
        ("invalid_request", 400, BROKEN, False),
        ("invalid_resource", 400, BROKEN, False),
        ("redirect_uri_mismatch", 400, BROKEN, False),
        ("temporarily_unavailable", 400, PASSING, False),
        ("server_error", 400, PASSING, False),
        ("slow_down", 400, PASSING, False),
        # The status shows that the request was not processed.
        ("invalid_grant", 429, PASSING, False),
        ("invalid_grant", 503, PASSING, False),
        ("invalid_client", 500, PASSING, False),
        # An unknown error must not send users to sign in.
        ("a_new_word", 400, PASSING, False),
        (None, 400, PASSING, False),
        (None, 404, PASSING, False),
        (None, 403, PASSING, False),
        (None, 200, PASSING, False),
        ("", 400, PASSING, False),
    ],
)
def test_classes(error: str | None, status: int, trouble: Trouble, whole_app: bool) -> None:
    assert trouble_of(error, status) == (trouble, whole_app)


def refused(status: int, members: object, provider: str = "oidc") -> TokenError:
    with pytest.raises(TokenError) as caught:
        read_tokens(status, msgspec.json.encode(members), provider, None)
    return caught.value


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (50173, "password was changed"),
        (700082, "90 days"),
        (50076, "second factor"),
        (50057, "administrator"),
        (50034, "no longer has this user"),
        (50053, "locked"),
        (53003, "Conditional Access"),
        (700084, "Single-page application"),
        (7000112, "disabled"),
        (7000218, "clientSecret"),
        (500011, "Exchange Online"),
        (65001, "consent"),
        (7000215, "value, not its id"),
        (7000222, "expired"),
        (700016, "clientId"),
        (90002, "tenant"),
        (50194, "authority"),
        (50196, "too often"),
    ],
)
def test_microsofts_codes_make_the_hint_and_not_the_class(code: int, says: str) -> None:
    for error, trouble in (("invalid_grant", GONE), ("invalid_client", BROKEN), ("server_error", PASSING)):
        found = refused(400, {"error": error, "error_description": "AADSTS", "error_codes": [code]}, "outlook")
        assert found.trouble is trouble
        assert found.hint is not None
        assert says in found.hint


@pytest.mark.parametrize("code", [50196, 90006, 50033])
def test_a_passing_word_of_microsofts_leaves_nobody_without_the_way_out(code: int) -> None:
    gone = refused(400, {"error": "invalid_grant", "error_codes": [code]}, "outlook")
    assert "sign in again" in (gone.hint or "")
    passing = refused(400, {"error": "temporarily_unavailable", "error_codes": [code]}, "outlook")
    assert "asks again by itself" in (passing.hint or "") and "sign in" not in (passing.hint or "")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("redirect_uri_mismatch", "redirectUrl"),
        ("invalid_resource", "scopes"),
        ("admin_policy_enforced", "App access control"),
        ("org_internal", "External"),
        ("disabled_client", "disabled"),
        ("deleted_client", "deleted"),
        ("invalid_client", "client id and secret"),
    ],
)
def test_a_fault_of_the_app_is_not_always_its_secret(error: str, says: str) -> None:
    assert says in (refused(400, {"error": error}, "gmail").hint or "")


def test_google_hints() -> None:
    expired = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
    assert "Testing" in (refused(400, expired, "gmail").hint or "")
    session = {"error": "invalid_grant", "error_description": "reauth related error", "error_subtype": "invalid_rapt"}
    assert "session control" in (refused(400, session, "gmail").hint or "")
    delegation = {"error": "unauthorized_client", "error_description": "Client is unauthorized ..."}
    assert "delegation" in (refused(401, delegation, "gmailService").hint or "")


def test_what_a_provider_says_is_kept_short_and_on_one_line() -> None:
    found = refused(400, {"error": "invalid_grant", "error_description": "a\r\n\tb" + "x" * 10_000})
    assert str(found).startswith("invalid_grant: a b")
    assert len(str(found)) < 600


def test_an_error_shows_itself_as_last_error_does() -> None:
    found = refused(400, {"error": "invalid_grant"})
    found.request = {"url": "https://x.example/token"}
    assert found.shown() == {
        "response": "invalid_grant",
        "serverResponseCode": "invalid_grant",
        "hint": found.hint,
        "tokenRequest": {"url": "https://x.example/token"},
    }
    assert refused(404, {}).shown()["serverResponseCode"] == "HTTP404"
    again = found.again(hint="x")
    assert (again.trouble, str(again), again.hint, again.request) == (GONE, "invalid_grant", "x", found.request)
