"""Reads the answers of providers: tokens, errors, identities, an issuer's discovery. Pure.

Lenient: numbers may be strings, scopes may be a list, a 200 may contain an error; an odd member affects only itself. An
answer without a token raises `TokenError`.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any
from urllib.parse import parse_qs

import msgspec

from engine.oauth.errors import TokenError, Trouble, hint_of, trouble_of
from engine.oauth.providers import Endpoints
from engine.oauth.service_account_errors import fault_of

LONGEST_TOKEN = 32_768
"""Maximum characters of a token; Microsoft's have about 2,500, or several times that if they list many groups."""
LONGEST_TEXT = 500
"""Maximum characters stored of an error description."""
LONGEST_LIFE = 10 * 366 * 86_400.0


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """A token endpoint's answer. `expires_in` is in seconds, None if not stated; `scopes` None: all those requested."""

    access_token: str
    expires_in: float | None = None
    refresh_token: str | None = None
    scopes: tuple[str, ...] | None = None
    id_token: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The parts that must not be shown."""
        return tuple(each for each in (self.access_token, self.refresh_token, self.id_token) if each)

    def __repr__(self) -> str:
        return f"Tokens(expires_in={self.expires_in!r}, scopes={self.scopes!r})"


def read_tokens(status: int, body: bytes, provider: str, retry_after: float | None) -> Tokens:
    """Read the tokens of an answer. Raises `TokenError`."""
    members = _members(body)
    access = _token(members, "access_token")
    if status < 300 and access is not None and not members.get("error"):
        return Tokens(
            access_token=access,
            expires_in=_seconds(members.get("expires_in")),
            refresh_token=_token(members, "refresh_token"),
            scopes=_scopes(members.get("scope")),
            id_token=_token(members, "id_token"),
        )
    raise refusal(status, members, provider, retry_after)


def refusal(status: int, members: dict[str, Any], provider: str, retry_after: float | None = None) -> TokenError:
    """The error for an answer without a token."""
    error, described = _error(members)
    trouble, whole_app = trouble_of(error, status)
    subtype = members.get("error_subtype")
    codes = _codes(members.get("error_codes"))
    hint = hint_of(trouble, provider, error, codes, subtype if isinstance(subtype, str) else None)
    if provider == "gmailService" and trouble is not Trouble.PASSING:
        trouble = Trouble.APP_BROKEN  # without a sign-in there is no grant that could be gone
        if (fault := fault_of(described)) is not None:
            trouble = Trouble.GRANT_GONE if fault.about == "mailbox" else trouble
            whole_app, hint = fault.about == "app", fault.hint
    if error is None:
        text = f"The token endpoint answered {status} without a token" if status < 300 else f"answered {status}"
        if status >= 300:
            text = f"The token endpoint {text} without saying why"
    else:
        text = f"{error}: {described}" if described else error
    return TokenError(
        trouble,
        text,
        error=error,
        status=status,
        retry_after=retry_after,
        hint=hint,
        whole_app=whole_app,
        # A success that cannot be read may hold the only copy of the next refresh token.
        answer_lost=error is None and status < 300,
    )


def read_members(body: bytes) -> dict[str, Any]:
    """The members of a JSON object or a form; empty if the body is neither."""
    return _members(body)


def read_json(text: str) -> Any:
    """Any JSON; a number that no float holds (`1e400`) is None. Raises `ValueError`, `RecursionError`."""
    try:
        return msgspec.json.decode(text)
    except msgspec.ValidationError:
        # It refuses the whole text for such a number, but writes infinity as null.
        return msgspec.json.decode(msgspec.json.encode(json.loads(text, parse_int=_whole)))


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)


def read_endpoints(body: bytes, issuer: str) -> Endpoints:
    """Read an issuer's discovery document (OpenID Connect Discovery 1.0 section 4). Raises `ValueError`."""
    members = _members(body)
    if not members:
        raise ValueError("its discovery document is not a JSON object")
    named = members.get("issuer")
    if not isinstance(named, str) or named.rstrip("/") != issuer.rstrip("/"):
        raise ValueError(f"its discovery document is that of another issuer: {_short(str(named))}")
    found = {
        ours: value
        for ours, theirs in (
            ("authorize", "authorization_endpoint"),
            ("token", "token_endpoint"),
            ("userinfo", "userinfo_endpoint"),
            ("revocation", "revocation_endpoint"),
        )
        if isinstance(value := members.get(theirs), str) and value.startswith(("https://", "http://"))
    }
    for needed in ("authorize", "token"):
        if needed not in found:
            raise ValueError(f"its discovery document names no {needed} endpoint")
    return Endpoints(issuer=named, **found)


def login_ways(body: bytes) -> tuple[str, ...]:
    """The client's login methods at the token endpoint, from the discovery document; the default if it has none."""
    ways = _members(body).get("token_endpoint_auth_methods_supported")
    return tuple(map(str, ways)) if isinstance(ways, list) else ("client_secret_basic",)


def claims_of(id_token: str) -> dict[str, Any]:
    """The claims of an id token; its signature is not checked. Raises `ValueError`.

    It came directly from the token endpoint over TLS, which may replace the check of the signature (OpenID Connect Core
    1.0, section 3.1.3.7, number 6).
    """
    parts = id_token.split(".")
    if len(parts) != 3:
        raise ValueError("it is not a signed token")
    payload = parts[1]
    try:
        claims = read_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode())
    except (ValueError, RecursionError) as error:
        raise ValueError("it cannot be read") from error
    if not isinstance(claims, dict):
        raise ValueError("it holds no claims")
    return claims


def user_of_token(access_token: str) -> str | None:
    """Whose access token this is, where it says so itself, as Microsoft's do for organizations."""
    try:
        claims = claims_of(access_token)
    except ValueError:
        return None
    names = ("upn", "preferred_username", "unique_name", "email")
    return next((value for name in names if isinstance(value := claims.get(name), str) and "@" in value), None)


def _members(body: bytes) -> dict[str, Any]:
    # A byte order mark, or a description in another charset, costs only itself.
    text = body.decode("utf-8-sig", "replace")
    try:
        found = read_json(text)
    except (ValueError, RecursionError):
        found = None
        # Some providers answer with a form, whatever was requested.
        if "=" in text[:200] and text.lstrip()[:1] not in ("<", "{", "["):
            found = {name: values[0] for name, values in parse_qs(text).items()}
    return found if isinstance(found, dict) else {}


def _token(members: dict[str, Any], name: str) -> str | None:
    value = members.get(name)
    good = isinstance(value, str) and 0 < len(value) <= LONGEST_TOKEN and value.isprintable() and value.isascii()
    return value if good and isinstance(value, str) else None


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(seconds, LONGEST_LIFE) if math.isfinite(seconds) and seconds > 0 else None


def _scopes(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    if isinstance(value, list):
        return tuple(each for each in value if isinstance(each, str))
    return None


def _error(members: dict[str, Any]) -> tuple[str | None, str]:
    error, described = members.get("error"), members.get("error_description")
    if isinstance(error, dict):
        # Google's APIs and Yahoo's older answers.
        described = described or error.get("message") or error.get("localizedMessage") or error.get("description")
        error = error.get("errorId") or error.get("status") or error.get("code")
    if error is None or not str(error).strip():
        return None, ""
    return _short(str(error)), _short(described) if isinstance(described, str) else ""


def _codes(value: Any) -> frozenset[int]:
    return frozenset(each for each in value if type(each) is int) if isinstance(value, list) else frozenset()


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
