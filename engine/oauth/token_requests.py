"""Requests to a provider for an app: tokens for a code, a refresh or an assertion; who signed in; revocation.

Requests go to the endpoints of the app, of the provider, or of the issuer's discovery document, which is read again
once a day (`endpoints`). Every failure is a `TokenError` in one of three classes: no answer is passing, the provider's
answer is classified by its `error`, and a missing key or endpoint is the app's fault. Secrets echoed in an answer are
masked in the part that is stored.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote_plus

import msgspec
import trio

from engine.errors import NetworkError, ProtocolError
from engine.masking import Masker
from engine.oauth.answers import Tokens, login_ways, read_endpoints, read_members, read_tokens
from engine.oauth.apps import App, known_endpoints, scopes
from engine.oauth.assertions import assertion, service_key
from engine.oauth.errors import TokenError, Trouble
from engine.oauth.http_client import AnswerLost, HttpAnswer, Wire
from engine.oauth.providers import Endpoints
from engine.oauth.unanswered import hint_of_unanswered
from engine.retry_after import seconds as retry_after_seconds
from engine.world import World

DISCOVERY_SECONDS = 86_400.0
"""Seconds for which an issuer's discovery document is cached."""
STALE_SECONDS = 600.0
"""Seconds for which it still counts where it could not be read again: otherwise each request to a provider that is
down would be three, and could take longer than its time."""
LONGEST_RESPONSE = 2000
"""Maximum characters of an answer that are stored for display."""
_MASK = "******"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class _Discovered(msgspec.Struct, frozen=True):
    endpoints: Endpoints
    ways: tuple[str, ...]
    until: float


class RefreshCounts:
    """Access tokens asked for without a person, by outcome: (`success` or `failure`, provider, HTTP status or 0)."""

    def __init__(self) -> None:
        self.by_outcome: Counter[tuple[str, str, str]] = Counter()

    async def note(self, app: App, asked: Awaitable[Tokens]) -> Tokens:
        """Await the answer and count it."""
        try:
            tokens = await asked
        except TokenError as error:
            self.by_outcome["failure", app.provider, str(error.status or 0)] += 1
            raise
        self.by_outcome["success", app.provider, "200"] += 1
        return tokens


class TokenRequests:
    """All requests to providers. `wire` sends them, `sandbox` those of sandbox apps; None if that is switched off."""

    def __init__(self, wire: Wire, sandbox: Wire | None, world: World) -> None:
        self.refreshes = RefreshCounts()
        self._wire = wire
        self._sandbox = sandbox
        self._world = world
        self._discovered: dict[str, _Discovered] = {}

    def through(self, wire: Wire, *, queued: bool) -> TokenRequests:
        """The same requests sent by `wire`; what issuers tell of themselves, and the counts, are shared.

        `queued`: they take turns with the others. Those that wait for a proxy of their own must not hold others up.
        """
        if queued:
            wire.queue_with(self._wire)
        found = TokenRequests(wire, self._sandbox, self._world)
        found._discovered, found.refreshes = self._discovered, self.refreshes
        return found

    async def endpoints(self, app: App) -> Endpoints:
        """The endpoints of an app's provider. Raises `TokenError` if discovery fails."""
        known = known_endpoints(app)
        if known.issuer is None or (known.authorize and known.token):
            return known
        found = (await self._discover(app, known.issuer)).endpoints
        given = {name: value for name in known.__struct_fields__ if (value := getattr(known, name))}
        return msgspec.structs.replace(found, **{**given, "issuer": found.issuer})

    async def exchange(self, app: App, code: str, verifier: str, redirect_url: str) -> Tokens:
        """Exchange the code from a sign-in for the first tokens. Raises `TokenError`."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_url,
            "code_verifier": verifier,
        }
        return await self._ask(app, form, secrets=(code, verifier))

    async def refresh(self, app: App, refresh_token: str) -> Tokens:
        """Exchange a refresh token, which this may use up, for new tokens. Raises `TokenError`.

        Cancelled: it is unknown whether the refresh token was used up.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self.refreshes.note(app, self._ask(app, form, secrets=(refresh_token,)))

    async def for_itself(self, app: App, user: str | None) -> Tokens:
        """A token with which a service app accesses the mailbox of `user`; None: its own, which opens none.

        Raises `TokenError`.
        """
        return await self.refreshes.note(app, self._for_itself(app, user))

    async def _for_itself(self, app: App, user: str | None) -> Tokens:
        if app.of.grant == "client_credentials":
            return await self._ask(app, {"grant_type": "client_credentials", "scope": " ".join(scopes(app))})
        endpoints = await self.endpoints(app)
        audience = endpoints.token or ""
        try:
            key = await self._world.in_thread(service_key, app.service_key)
        except ValueError as error:
            raise TokenError(
                Trouble.APP_BROKEN,
                f"The service key {error}",
                error="invalid_client",
                hint="Make a new JSON key for the service account in the Google Cloud console and set it on the app.",
                whole_app=True,
            ) from error
        issuer = app.service_client_email or app.service_client
        signed = assertion(key, issuer, user, scopes(app), audience, self._world.now())
        return await self._ask(app, {"grant_type": _JWT_BEARER, "assertion": signed}, secrets=(signed,))

    async def userinfo(self, app: App, access_token: str) -> dict[str, Any]:
        """The provider's claims about who signed in; empty if it has no such endpoint. Raises `TokenError`."""
        url = (await self.endpoints(app)).userinfo
        if url is None:
            return {}
        if app.provider == "mailRu":
            url = f"{url}{'&' if '?' in url else '?'}access_token={quote_plus(access_token)}"
        answer = await self._get(app, url, {"Authorization": f"Bearer {access_token}"})
        if answer.status != 200:
            raise TokenError(Trouble.PASSING, f"The userinfo endpoint answered {answer.status}", status=answer.status)
        return read_members(answer.body)

    async def page(self, app: App, url: str) -> HttpAnswer:
        """Get a URL of the provider without following redirects. Raises `TokenError`."""
        return await self._get(app, url, {"Accept": "text/html"})

    async def revoke(self, app: App, token: str) -> bool:
        """Revoke a grant (RFC 7009); False if the provider has no endpoint for that. Raises `TokenError`."""
        url = (await self.endpoints(app)).revocation
        if url is None:
            return False
        form, headers = await self._with_login(app, {"token": token})
        answer = await self._post(app, url, form, headers)
        if answer.status >= 400 and not (answer.status == 400 and b"invalid_token" in answer.body):
            raise TokenError(Trouble.PASSING, f"The revocation endpoint answered {answer.status}", status=answer.status)
        return True

    async def _ask(self, app: App, form: dict[str, str], secrets: tuple[str, ...] = ()) -> Tokens:
        url = (await self.endpoints(app)).token
        shown: dict[str, Any] = {
            "url": url or "",
            "method": "post",
            "grant": form["grant_type"],
            "provider": app.provider,
            "clientId": app.client_id or app.service_client,
            "scopes": list(scopes(app)),
        }
        if app.client_secret:
            shown["clientSecret"] = _MASK
        if url is None:
            text = "The app has no token endpoint"
            hint = "Give the app an issuer, or its tokenUrl."
            raise TokenError(Trouble.APP_BROKEN, text, hint=hint, request=shown, whole_app=True)
        filled, headers = await self._with_login(app, form)
        try:
            answer = await self._post(app, url, filled, headers)
            return read_tokens(answer.status, answer.body, app.provider, _retry_after(answer, self._world.now()))
        except TokenError as error:
            masker = Masker((*app.secrets, *secrets))
            if error.status is not None:
                shown["status"] = error.status
                body = answer.body[: LONGEST_RESPONSE * 4].decode("utf-8", "replace")
                shown["response"] = masker.mask(body, cut=True)[:LONGEST_RESPONSE]
            if error.error is not None:
                shown["code"] = error.error
            error.args = (masker.mask(str(error)),)
            error.request = shown
            raise

    async def _with_login(self, app: App, form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """The form and headers that authenticate the client (RFC 6749 section 2.3.1)."""
        if app.of.grant == "jwt_bearer":
            return form, {}
        way = app.of.client_login
        if way is None:
            ways = await self._login_ways(app)
            way = "basic" if not ways or "client_secret_basic" in ways else "post"
        if not app.client_secret:
            return {**form, "client_id": app.client_id}, {}
        if way == "post":
            return {**form, "client_id": app.client_id, "client_secret": app.client_secret}, {}
        login = f"{quote_plus(app.client_id)}:{quote_plus(app.client_secret)}"
        return form, {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}

    async def _login_ways(self, app: App) -> tuple[str, ...]:
        """How the issuer wants the client to log in; empty if it does not say."""
        issuer = app.endpoints.issuer
        if issuer is None:
            return ()
        try:
            return (await self._discover(app, issuer)).ways
        except TokenError:
            if app.endpoints.token is None:
                raise
            return ()  # the app names its endpoints, so that it needs no discovery

    async def _discover(self, app: App, issuer: str) -> _Discovered:
        known = self._discovered.get(issuer)
        if known is not None and trio.current_time() < known.until:
            return known
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            answer = await self._get(app, url, {})
            if answer.status != 200:
                raise TokenError(
                    Trouble.PASSING,
                    f"{url} answered {answer.status}",
                    status=answer.status,
                    hint="Check the app's issuer: its discovery document must be there.",
                )
            found = read_endpoints(answer.body, issuer)
        except TokenError:
            if known is None:
                raise
            # Yesterday's document is better than none.
            self._discovered[issuer] = msgspec.structs.replace(known, until=trio.current_time() + STALE_SECONDS)
            return known
        except ValueError as error:
            text, hint = f"{url}: {error}", "Check the app's issuer, or name the endpoints on the app."
            raise TokenError(Trouble.APP_BROKEN, text, hint=hint, whole_app=True) from error
        until = trio.current_time() + DISCOVERY_SECONDS
        self._discovered[issuer] = _Discovered(found, login_ways(answer.body), until)
        return self._discovered[issuer]

    async def _get(self, app: App, url: str, headers: dict[str, str]) -> HttpAnswer:
        try:
            return await self._wire_of(app).get(url, headers)
        except (NetworkError, ProtocolError) as error:
            raise _unanswered(error) from error

    async def _post(self, app: App, url: str, form: dict[str, str], headers: dict[str, str]) -> HttpAnswer:
        try:
            return await self._wire_of(app).post(url, form, headers)
        except (NetworkError, ProtocolError) as error:
            lost = _unanswered(error)
            lost.answer_lost = isinstance(error, AnswerLost)
            raise lost from error

    def _wire_of(self, app: App) -> Wire:
        if app.provider != "sandbox":
            return self._wire
        if self._sandbox is None:
            hint = "Switch it on: enabled = true in [sandbox] of config.toml."
            raise TokenError(Trouble.APP_BROKEN, "The sandbox is switched off", hint=hint, whole_app=True)
        return self._sandbox


def _unanswered(error: NetworkError | ProtocolError) -> TokenError:
    return TokenError(
        Trouble.PASSING,
        str(error),
        error=error.code if isinstance(error, NetworkError) else "EPROTOCOL",
        hint=hint_of_unanswered(error),
    )


def _retry_after(answer: HttpAnswer, now: float) -> float | None:
    value = answer.headers.get("retry-after")
    return None if value is None else retry_after_seconds(value, now)
