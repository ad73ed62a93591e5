"""What providers answer, read leniently: one odd member costs only itself."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.oauth.answers import Tokens, claims_of, login_ways, read_endpoints, read_tokens
from engine.oauth.errors import TokenError, Trouble


def tokens(**members: Any) -> Tokens:
    return read_tokens(200, msgspec.json.encode({"access_token": "a", **members}), "oidc", None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3600, 3600.0),
        ("3599", 3599.0),
        (8.5, 8.5),
        (0, None),
        (-1, None),
        (None, None),
        ("soon", None),
        ([], None),
        (True, 1.0),
        ("nan", None),
        ("inf", None),
        (1e300, 10 * 366 * 86_400.0),
    ],
)
def test_lifetimes(value: Any, seconds: float | None) -> None:
    assert tokens(expires_in=value).expires_in == seconds


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + "0" * 400, "9" * 5000])
def test_a_number_that_no_float_holds_counts_as_absent(number: str) -> None:
    body = f'{{"access_token": "a", "refresh_token": "r", "expires_in": {number}, "error_codes": [7]}}'
    found = read_tokens(200, body.encode(), "oidc", None)
    assert (found.access_token, found.refresh_token, found.expires_in) == ("a", "r", None)


@pytest.mark.parametrize(
    ("value", "scopes"),
    [
        ("a b", ("a", "b")),
        ("a,b", ("a", "b")),
        (["a", 1, "b"], ("a", "b")),
        ("", ()),
        (None, None),
        (7, None),
    ],
)
def test_scopes(value: Any, scopes: tuple[str, ...] | None) -> None:
    assert tokens(scope=value).scopes == scopes


@pytest.mark.parametrize("value", ["", None, 1, "a\nb", "a\0", "ä", "x" * 40_000, ["a"]])
def test_what_is_no_token_is_none(value: Any) -> None:
    assert tokens(refresh_token=value).refresh_token is None
    with pytest.raises(TokenError):
        tokens(access_token=value)


def test_a_form_is_read_too() -> None:
    assert read_tokens(200, b"access_token=a%20b&expires_in=5", "oidc", None).access_token == "a b"


@pytest.mark.parametrize("error", [None, ""])
def test_an_error_that_is_none_is_none(error: str | None) -> None:
    assert tokens(access_token="a", error=error).access_token == "a"
    with pytest.raises(TokenError, match="answered 400"):
        read_tokens(400, msgspec.json.encode({"error": error}), "oidc", None)


def test_what_is_odd_about_the_text_costs_only_itself() -> None:
    assert read_tokens(200, b'\xef\xbb\xbf{"access_token": "a"}', "oidc", None).access_token == "a"
    with pytest.raises(TokenError, match=r"invalid_grant: r.voqu") as caught:
        read_tokens(400, b'{"error": "invalid_grant", "error_description": "r\xe9voqu\xe9"}', "oidc", None)
    assert caught.value.trouble is Trouble.GRANT_GONE


@pytest.mark.parametrize(
    ("status", "body", "lost"),
    [(200, b"<html>", True), (201, b"", True), (200, b'{"error":"x"}', False), (503, b"", False)],
)
def test_a_success_that_cannot_be_read_is_an_answer_lost(status: int, body: bytes, lost: bool) -> None:
    with pytest.raises(TokenError) as caught:
        read_tokens(status, body, "oidc", None)
    assert caught.value.answer_lost is lost


def test_an_error_in_a_200_is_one() -> None:
    with pytest.raises(TokenError, match="invalid_grant"):
        tokens(error="invalid_grant")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ({"errorId": "INVALID_REFRESH_TOKEN", "localizedMessage": "no"}, "INVALID_REFRESH_TOKEN"),
        ({"status": "UNAUTHENTICATED", "message": "no"}, "UNAUTHENTICATED"),
        ("invalid_grant", "invalid_grant"),
        (["x"], "['x']"),
    ],
)
def test_errors_of_other_shapes(error: Any, name: str) -> None:
    with pytest.raises(TokenError) as caught:
        read_tokens(400, msgspec.json.encode({"error": error}), "yahoo", None)
    assert caught.value.error == name


@given(st.integers(min_value=200, max_value=599), st.binary(max_size=300))
def test_octets_of_any_kind_are_tokens_or_an_error(status: int, body: bytes) -> None:
    try:
        read_tokens(status, body, "oidc", None)
    except TokenError as error:
        assert error.status == status


NAMES = st.sampled_from(
    ["error", "access_token", "expires_in", "scope", "error_codes", "error_description", "id_token"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(NAMES, each)
)


@given(JSON)
def test_json_of_any_kind_is_tokens_or_an_error(value: Any) -> None:
    try:
        body = msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError, ValueError):
        return
    for status in (200, 400):
        try:
            read_tokens(status, body, "oidc", None)
        except TokenError:
            pass


ISSUER = "https://id.example.com"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": 7,
    "revocation_endpoint": "javascript:x",
}


def test_discovery() -> None:
    found = read_endpoints(msgspec.json.encode(DOCUMENT), ISSUER + "/")
    assert (found.authorize, found.token) == (f"{ISSUER}/auth", f"{ISSUER}/token")
    assert (found.userinfo, found.revocation) == (None, None)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({**DOCUMENT, "issuer": "https://other.example"}, "another issuer"),
        ({**DOCUMENT, "issuer": None}, "another issuer"),
        ({"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/auth"}, "no token endpoint"),
        ([], "not a JSON object"),
        ("<html>", "not a JSON object"),
    ],
)
def test_discovery_that_says_too_little(document: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_endpoints(msgspec.json.encode(document), ISSUER)


def test_how_a_client_logs_in() -> None:
    assert login_ways(b"{}") == ("client_secret_basic",)
    assert login_ways(b'{"token_endpoint_auth_methods_supported":["client_secret_post"]}') == ("client_secret_post",)


NO_CLAIMS = "a." + base64.b64encode(b"[").decode() + ".c"


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "a.!.c", "a.W10.c", NO_CLAIMS])
def test_what_is_no_id_token(token: str) -> None:
    with pytest.raises(ValueError):
        claims_of(token)


def test_tokens_do_not_show_themselves() -> None:
    assert "geheim" not in repr(tokens(access_token="geheim", refresh_token="geheim", id_token="geheim"))
