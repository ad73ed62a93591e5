"""The sandbox's OAuth2 provider: consents, valid tokens, and what happens to used ones.

A sign-in begins a *family* of tokens. With `rotates`, each refresh issues a new refresh token. The previous one stays
valid until a token of the new pair is used (`forgives`), or is void at once; a later use counts as theft and ends the
family. Tests can inspect `reused` and `refreshes`. Any client and user are accepted, except with the secret `wrong`;
`clients` restricts them.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec

from engine.sandbox.post_office import account_name
from engine.world import World

ACCESS, REFRESH, CODE = "sandbox-access-", "sandbox-refresh-", "sandbox-code-"
CODE_SECONDS: Final = 60.0
WRONG_SECRET: Final = "wrong"
EVERY_MAILBOX: Final = "*"
KEPT: Final = 10_000
"""Maximum families and codes that are kept; the oldest are dropped."""


class OAuthRefused(Exception):
    """An error of RFC 6749 section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.status = status


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of one request to the token endpoint.

    `status` and `error` replace the answer; `retry_after` is sent with them. `after`: delay in seconds. `lost`: the
    request is carried out, and the connection is cut instead of an answer; `cut`: it is cut before that.
    """

    status: int = 0
    error: str | None = None
    description: str = "scripted"
    retry_after: str | None = None
    after: float = 0.0
    lost: bool = False
    cut: bool = False
    body: bytes | None = None


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """One consent, to be exchanged once until `expires`."""

    user: str
    client: str
    redirect_url: str
    scopes: tuple[str, ...]
    challenge: str | None
    nonce: str | None
    expires: float


class Family:
    """All tokens from one consent."""

    def __init__(self, user: str, client: str, scopes: tuple[str, ...]) -> None:
        self.user = user
        self.client = client
        self.scopes = scopes
        self.alive = True
        self.generation = 0
        """The number of refresh tokens issued."""
        self.confirmed = 0
        """The newest generation with a used token."""


class Issued(msgspec.Struct, frozen=True):
    """One pair of tokens."""

    family: Family
    access_token: str
    refresh_token: str | None
    expires_in: float
    nonce: str | None = None


class OAuthProvider:
    """The provider's state. Times are by `World`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._codes: dict[str, Code] = {}
        self._refresh: dict[str, tuple[Family, int]] = {}
        self._access: dict[str, tuple[Family, int, float]] = {}
        self.clients: dict[str, str] = {}
        """Secrets by client id; empty: every client is accepted."""
        self.access_seconds = 3600.0
        self.rotates = True
        self.forgives = True
        self.shared: dict[str, set[str]] = {}
        """Mailboxes that a user's token opens in addition to the user's own."""
        self.faults: deque[Fault] = deque()
        """Faults of the next requests to the token endpoint, one each."""
        self.outage: Fault | None = None
        """The fault of every request that `faults` does not cover."""
        self.requests = 0
        """Requests to the token endpoint, refused ones too."""
        self.refreshes = 0
        self.reused: list[str] = []
        """Refresh tokens that were used after a token of the pair that replaced them."""
        self.families: list[Family] = []

    def consent(self, user: str, client: str, redirect_url: str, scopes: tuple[str, ...], **more: str | None) -> str:
        """Record a user's consent and return its code. `challenge` and `nonce` are optional."""
        code = self._new(CODE)
        self._codes[code] = Code(
            user=account_name(user),
            client=client,
            redirect_url=redirect_url,
            scopes=scopes,
            challenge=more.get("challenge"),
            nonce=more.get("nonce"),
            expires=self._world.now() + CODE_SECONDS,
        )
        _forget_oldest(self._codes)
        return code

    def grant(self, user: str, client: str = "engine", scopes: tuple[str, ...] = ("mail",)) -> Issued:
        """Issue the tokens of a consent without a browser."""
        family = Family(account_name(user), client, scopes)
        self.families.append(family)
        del self.families[:-KEPT]
        return self._issue(family)

    def redeem(self, code: str, client: str, redirect_url: str) -> tuple[Code, Issued]:
        """Exchange a code for the first tokens. Raises `OAuthRefused`."""
        found = self._codes.pop(code, None)
        if found is None or found.client != client or found.redirect_url != redirect_url:
            raise OAuthRefused("invalid_grant", "the code is unknown, used, or for another client")
        if self._world.now() > found.expires:
            raise OAuthRefused("invalid_grant", "the code has expired")
        issued = self.grant(found.user, client, found.scopes)
        return found, msgspec.structs.replace(issued, nonce=found.nonce)

    def refresh(self, token: str, client: str) -> Issued:
        """New tokens for a refresh token. Raises `OAuthRefused`."""
        family, generation = self._refresh.get(token, (None, 0))
        if family is None or not family.alive or family.client != client:
            raise OAuthRefused("invalid_grant", "the refresh token is unknown or revoked")
        newest = family.generation
        if self.rotates and generation < newest:
            forgiven = self.forgives and generation == newest - 1 and family.confirmed < newest
            if not forgiven:
                self.reused.append(token)
                family.alive = False
                raise OAuthRefused("invalid_grant", "the refresh token was used before; the grant is revoked")
            # The pair that replaced it was never used, and never will be.
            family.generation = generation
        else:
            family.confirmed = max(family.confirmed, generation)
        self.refreshes += 1
        return self._issue(family)

    def for_itself(self, user: str, client: str) -> Issued:
        """A token for a service app; the user `EVERY_MAILBOX` opens all mailboxes."""
        family = Family(user, client, ("mail",))
        self.families.append(family)
        del self.families[:-KEPT]
        issued = self._issue(family)
        return msgspec.structs.replace(issued, refresh_token=None)

    def client(self, client: str, secret: str) -> None:
        """Authenticate a client. Raises `OAuthRefused`."""
        known = self.clients.get(client) if self.clients else secret
        if known is None or secret != known or secret == WRONG_SECRET or not client:
            raise OAuthRefused("invalid_client", "the client is unknown or its secret is wrong", 401)

    def expire(self, token: str) -> None:
        """Make an access token invalid, whatever lifetime was announced."""
        family, generation, _ = self._access[token]
        self._access[token] = (family, generation, self._world.now())

    def revoke(self, token: str) -> None:
        """End the family of a token."""
        for family in (self._refresh.get(token, (None,))[0], self._access.get(token, (None,))[0]):
            if family is not None:
                family.alive = False

    def revoke_user(self, user: str) -> None:
        """End all consents of a user, as when the user revokes an app's access."""
        for family in self.families:
            if family.user == account_name(user):
                family.alive = False

    def issued(self, token: str) -> bool:
        """Whether this looks like one of our access tokens."""
        return token.startswith(ACCESS)

    def opens(self, user: str, token: str) -> bool:
        """Whether an access token opens a mailbox; this counts as a use of it."""
        found = self._valid(token)
        if found is None or "mail" not in found.scopes:
            return False
        mailbox = account_name(user)
        return found.user in (mailbox, EVERY_MAILBOX) or mailbox in self.shared.get(found.user, ())

    def user_of(self, token: str) -> str | None:
        """The user of a valid access token; this counts as a use of it."""
        found = self._valid(token)
        return None if found is None else found.user

    def _valid(self, token: str) -> Family | None:
        family, generation, expires = self._access.get(token, (None, 0, 0.0))
        if family is None or not family.alive or self._world.now() >= expires:
            return None
        if generation <= family.generation:
            family.confirmed = max(family.confirmed, generation)
        return family

    def _issue(self, family: Family) -> Issued:
        if self.rotates or family.generation == 0:
            family.generation += 1
            refresh = self._new(REFRESH)
            self._refresh[refresh] = (family, family.generation)
            _forget_oldest(self._refresh)
        else:
            refresh = None
        access = self._new(ACCESS)
        self._access[access] = (family, family.generation, self._world.now() + self.access_seconds)
        _forget_oldest(self._access)
        return Issued(family, access, refresh, self.access_seconds)

    def _new(self, kind: str) -> str:
        return kind + self._world.token_bytes(16).hex()


def _forget_oldest(book: dict[str, Any]) -> None:
    while len(book) > KEPT:
        del book[next(iter(book))]
