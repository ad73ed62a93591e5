"""Sign-on for people: an OpenID Connect provider identifies them, and its claims decide their roles.

A sign-on in progress is kept in a sealed cookie of the browser that began it, and nothing is stored. The role is
decided at each sign-on; a person whose claims no longer give one is signed out everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from engine.api.context import Context
from engine.config import SignOnConfig
from engine.errors import DamagedSecret
from engine.oauth import authorization
from engine.oauth.apps import App
from engine.oauth.authorization import CallbackRefused, Pending
from engine.oauth.errors import TokenError
from engine.oauth.providers import Endpoints
from engine.store.people import LONGEST_NAME
from engine.web.people import People, Refused
from engine.web.roles import Role

log = logging.getLogger("engine.web")

_FIELD = "sign-on"
LONGEST_NEXT = 1000
"""Characters of the page to go to afterwards; a longer one is forgotten."""


class UnderWay(msgspec.Struct, frozen=True):
    """One sign-on in progress: what its callback must match, and where to go afterwards."""

    pending: Pending
    next: str


class SignOn:
    """Sign-on at the provider of `[signon]`."""

    def __init__(self, context: Context, people: People) -> None:
        self._context = context
        self._people = people
        self._config = config = context.config.signon
        self.name = config.name or urlsplit(config.issuer).hostname or ""
        """What the provider is called; empty: there is none."""
        self._app = App(
            id=_FIELD,
            provider="oidc",
            name=self.name,
            client_id=config.client_id,
            client_secret=config.client_secret,
            endpoints=Endpoints(issuer=config.issuer),
            extra_scopes=("profile", *config.scopes),
            skip_scopes=("offline_access",),
        )

    async def begin(self, back: str, next_: str) -> tuple[str, str]:
        """The provider's URL for the browser, and the cookie to give it. Raises `Refused`."""
        world = self._context.world
        try:
            endpoints = await self._context.oauth.requests.endpoints(self._app)
            url, pending = authorization.begin(
                self._app, endpoints, back, world.token_bytes, world.now(), parameters={}
            )
        except (TokenError, ValueError) as error:
            log.warning("no one can sign in at %s: %s", self._config.issuer, error)
            raise Refused("sign_in.sign_on_away", name=self.name) from error
        under_way = UnderWay(pending, next_ if len(next_) <= LONGEST_NEXT else "")
        return url, self._context.vault.seal("", _FIELD, msgspec.json.encode(under_way).decode())

    def under_way(self, cookie: str) -> UnderWay:
        """What the browser began. Raises `Refused`."""
        try:
            return msgspec.json.decode(self._context.vault.open("", _FIELD, cookie), type=UnderWay)
        except (DamagedSecret, ValueError) as error:
            raise Refused("sign_in.sign_on_late") from error

    async def end(self, under_way: UnderWay, query: Mapping[str, str], address: str, agent: str) -> str:
        """Begin a session for the person whom the provider sent back; return its cookie. Raises `Refused`."""
        try:
            code = authorization.code_of(under_way.pending, query, self._context.world.now())
            claims = await self._claims(under_way.pending, code)
        except CallbackRefused as error:
            if error.error == "invalid_state":
                raise Refused("sign_in.sign_on_late") from error
            raise Refused("sign_in.sign_on_refused", why=str(error)) from error
        except TokenError as error:
            log.warning("a sign-on at %s did not work: %s. %s", self._config.issuer, error, error.hint or "")
            raise Refused("sign_in.sign_on_away", name=self.name) from error
        subject, role = f"{under_way.pending.issuer} {claims['sub']}", role_by(self._config, claims)
        return await self._people.sign_on(subject, _name(claims), role, address, agent)

    async def _claims(self, pending: Pending, code: str) -> dict[str, Any]:
        """The provider's claims about the person, `sub` among them."""
        requests, app = self._context.oauth.requests, self._app
        tokens = await requests.exchange(app, code, pending.verifier, pending.redirect_url)
        claims = authorization.checked_claims(app, tokens, pending, self._context.world.now())
        subject = claims.get("sub") if claims is not None else None
        if claims is None or not isinstance(subject, str) or not subject:
            raise CallbackRefused("server_error", "The provider does not say who signed in.")
        if self._config.claim not in claims:
            more = await requests.userinfo(app, tokens.access_token)
            # OpenID Connect Core 1.0 section 5.3.2: an answer about someone else must not be used.
            claims = {**more, **claims} if more.get("sub") == subject else claims
        return claims


def role_by(config: SignOnConfig, claims: Mapping[str, Any]) -> Role | None:
    """The highest role that the claims give; None: this person may not sign in."""
    if config.claim == "email" and claims.get("email_verified") in (False, "false"):
        return None
    value = claims.get(config.claim)
    has = {each.casefold() for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)}
    if config.claim == "email":
        has |= {f"*@{each.rpartition('@')[2]}" for each in has if "@" in each}
    for role, wanted in (
        (Role.OWNER, config.owners),
        (Role.OPERATOR, config.operators),
        (Role.READER, config.readers),
    ):
        if has & {each.casefold() for each in wanted}:
            return role
    return None


def _name(claims: Mapping[str, Any]) -> str:
    """What to call the person here: their address, else a name."""
    names = ("email", "preferred_username", "name", "sub")
    told = (" ".join(each.split()) for name in names if isinstance(each := claims.get(name), str))
    return next(filter(None, told), "")[:LONGEST_NAME]
