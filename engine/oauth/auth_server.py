"""Asking the operator's own server for logins: the setting `authServer`, for accounts with `useAuthServer`.

`GET <authServer>?account=<id>&proto=imap|smtp` answers `{"user", "accessToken" | "pass"}`; `expires` (a time),
`expiresIn` (seconds) or `Cache-Control` may say for how long. User and password in the URL are sent as Basic. Each
request has a connection of its own, an answer has at most 256 KiB and 20 s, and redirects are not followed
(`http_client.py`).

Every failure is a `TokenError`: passing, or, if the server has no login for the account, like a grant that is gone.
Nothing stored ever replaces an answer.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import msgspec
import trio

from engine.errors import NetworkError, ProtocolError
from engine.escaping import has_controls
from engine.oauth.answers import read_json
from engine.oauth.errors import TokenError, Trouble
from engine.oauth.http_client import HttpAnswer, Wire
from engine.retry_after import seconds as retry_after_seconds
from engine.sasl import Credentials
from engine.world import World

Protocol = Literal["imap", "smtp"]

DEFAULT_LIFE = 60.0
"""Seconds for which credentials are kept that do not say when they expire."""
LONGEST_LIFE = 86_400.0
DYING = 5.0
"""Seconds before their end from which on no login is begun with credentials."""
LONGEST_USER, LONGEST_PASSWORD, LONGEST_TOKEN = 256, 1024, 32_768
_NOTHING_FOR_IT = frozenset({403, 404, 410})
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
_NO_STORE = re.compile(r"(?:^|[,\s])no-(?:store|cache)\b", re.IGNORECASE)
_STILL_CLOSED = "The engine asks again by itself; until then, it uses no stored password instead."
_EXPECTED = '{"user": "…", "accessToken": "…"}, or with "pass"'


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A login: a password or an access token. `until`: by Trio's clock."""

    user: str
    password: str | None
    access_token: str | None
    until: float

    @property
    def secret(self) -> str:
        """What must not be shown of it."""
        return self.access_token or self.password or ""

    def into(self, credentials: Credentials) -> Credentials:
        """A login with it, instead of that of `credentials`."""
        return msgspec.structs.replace(
            credentials, user=self.user, password=self.password, access_token=self.access_token
        )

    def __repr__(self) -> str:
        return f"Given(user={self.user!r}, until={self.until!r})"


class AuthServer:
    """The server at `url()`; None: there is none. `changed` is to be called when the setting changes."""

    def __init__(self, wire: Wire, url: Callable[[], str | None], world: World) -> None:
        self._wire = wire
        self._url = url
        self.world = world
        self.edition = 0
        """Another one each time the setting is changed: what was given before is void."""
        self.moved = trio.Event()

    def changed(self) -> None:
        """The setting has changed, so every wait is over."""
        self.edition += 1
        self.moved.set()
        self.moved = trio.Event()

    async def ask(self, account: str, protocol: Protocol) -> Given:
        """What to log in with now. Raises `TokenError`. Cancelled: nothing is lost."""
        if not (base := self._url()):
            hint = "Set it: POST /v1/settings with authServer. Until then nothing is dialled for this account."
            raise TokenError(Trouble.PASSING, "The setting authServer is not set", error="ENOAUTHSERVER", hint=hint)
        url, shown, headers = _request(base, account, protocol)
        request: dict[str, Any] = {"url": shown, "method": "get", "grant": "authServer", "provider": "authServer"}
        request |= {"clientId": "", "scopes": []}
        try:
            answer = await self._wire.get(url, headers)
        except (NetworkError, ProtocolError) as error:
            code = error.code if isinstance(error, NetworkError) else "EPROTOCOL"
            hint = f"Check that it runs, and authServer (POST /v1/settings). {_STILL_CLOSED}"
            raise TokenError(
                Trouble.PASSING, f"The auth server: {error}", error=code, hint=hint, request=request
            ) from error
        if answer.status != 200:
            raise self._refusal(answer, {**request, "status": answer.status})
        return self._read(answer, {**request, "status": 200})

    def _refusal(self, answer: HttpAnswer, request: dict[str, Any]) -> TokenError:
        status, text = answer.status, f"The auth server answered {answer.status}"
        trouble, hint = Trouble.PASSING, f"See its log. {_STILL_CLOSED}"
        if status in _NOTHING_FOR_IT:
            trouble = Trouble.GRANT_GONE
            text = f"The auth server has no credentials for this account: it answered {status}"
            hint = f"Have it answer 200 with {_EXPECTED}. The engine asks again by itself."
        elif status == 401:
            hint = "It requires a login: put user and password into authServer (https://user:password@host/path)."
        elif 300 <= status < 400:
            hint = "It redirects, which the engine does not follow: set authServer to the target."
        value = answer.headers.get("retry-after")
        later = None if value is None else retry_after_seconds(value, self.world.now())
        return TokenError(
            trouble, text, error="EAUTHSERVER", status=status, retry_after=later, hint=hint, request=request
        )

    def _read(self, answer: HttpAnswer, request: dict[str, Any]) -> Given:
        try:
            members = read_json(answer.body.decode())
            if not isinstance(members, dict):
                raise ValueError("is no JSON object")
            user = _text(members, ("user",), LONGEST_USER)
            token = _text(members, ("accessToken", "access_token"), LONGEST_TOKEN)
            password = _text(members, ("pass", "password"), LONGEST_PASSWORD) if token is None else None
            if user is None:
                raise ValueError("names no user")
            if token is None and password is None:
                raise ValueError("holds neither accessToken nor pass")
        except (ValueError, RecursionError) as error:
            # What the decoder says may quote the answer.
            why = str(error) if type(error) is ValueError else "is no JSON"
            raise TokenError(
                Trouble.PASSING,
                f"What the auth server answered {why}",
                error="EAUTHSERVER",
                status=200,
                hint=f"Have it answer {_EXPECTED}. The engine asks again by itself.",
                request=request,
            ) from None
        life = _life(members, answer.headers, self.world.now())
        until = trio.current_time() + life - min(DYING, life / 8)
        return Given(user=user, password=password, access_token=token, until=until)


def _request(base: str, account: str, protocol: Protocol) -> tuple[str, str, dict[str, str]]:
    """The URL to request, the same as it may be shown, and the headers to send."""
    parts = urlsplit(base)
    ours = {"account": account, "proto": protocol}
    others = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in ours]
    place = parts.netloc.rpartition("@")[2]
    url = urlunsplit((parts.scheme, place, parts.path, urlencode([*others, *ours.items()], quote_via=quote), ""))
    hidden = [(name, "******") for name, _ in others]
    query = urlencode([*hidden, *ours.items()], safe="*", quote_via=quote)
    shown = urlunsplit((parts.scheme, place, parts.path, query, ""))
    if parts.username is None:
        return url, shown, {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return url, shown, {"Authorization": f"Basic {base64.b64encode(login.encode()).decode('ascii')}"}


def _text(members: Mapping[str, Any], names: tuple[str, ...], longest: int) -> str | None:
    """The first of these members that is set. Raises `ValueError` for one that cannot be used."""
    for name in names:
        value = members.get(name)
        if value is None or value == "":
            continue
        if not isinstance(value, str) or len(value) > longest or has_controls(value):
            raise ValueError(f"holds a {name} that cannot be used")
        return value
    return None


def _life(members: Mapping[str, Any], headers: Mapping[str, str], now: float) -> float:
    """Seconds for which credentials may be kept, from 0 to `LONGEST_LIFE`."""
    found = _seconds(members.get("expiresIn", members.get("expires_in")))
    if found is None and (expires := _moment(members.get("expires"))) is not None:
        found = expires - now
    if found is None:
        control = headers.get("cache-control", "")
        if _NO_STORE.search(control):
            found = 0.0
        elif (age := _MAX_AGE.search(control)) is not None:
            found = float(age[1])
    return DEFAULT_LIFE if found is None else min(max(found, 0.0), LONGEST_LIFE)


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None


def _moment(value: Any) -> float | None:
    """Seconds since 1970 of a time, given as such, in milliseconds, or in ISO 8601."""
    if (number := _seconds(value)) is not None:
        return number / 1000 if number > 1e11 else number
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
