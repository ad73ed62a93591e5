"""A grant: the tokens with which an account accesses its mailbox.

`Grant` has them in clear text in memory; `sealed` and `opened` convert to and from the stored form.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from engine.errors import DamagedSecret
from engine.oauth import refresh_schedule
from engine.oauth.answers import Tokens
from engine.store.grants import SEALED, GrantRow
from engine.store.vault import Vault


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The grant of an account. Times in seconds since 1970.

    `user` signed in; for service apps it is the mailbox. `previous_token` is the refresh token before `refresh_token`,
    kept until the new one has worked. `version` changes with each sign-in. `asked`: when a refresh began whose answer
    is not known. `gone`: the error that ended the grant, in the form of `lastError`. `given`: the fingerprint of the
    refresh token that it began with.
    """

    account: str
    app: str
    user: str
    refresh_token: str | None = None
    previous_token: str | None = None
    access_token: str | None = None
    scopes: tuple[str, ...] = ()
    obtained: float | None = None
    expires: float | None = None
    refresh_obtained: float | None = None
    version: int = 1
    asked: float | None = None
    gone: dict[str, Any] | None = None
    given: str | None = None

    def __repr__(self) -> str:
        return f"Grant(account={self.account!r}, app={self.app!r}, user={self.user!r}, version={self.version!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown of it."""
        return tuple(each for each in (self.refresh_token, self.previous_token, self.access_token) if each)

    def has_used_up(self, other: Grant) -> bool:
        """Whether another grant has a refresh token that this grant has renewed: using it again could end both."""
        token = other.refresh_token
        if self.gone is not None or token in (None, self.refresh_token):
            return False
        same = self.app == other.app and self.user.casefold() == other.user.casefold()
        return same and (token == self.previous_token or fingerprint(token) == self.given)

    def refresh_at(self) -> float | None:
        """When to refresh the access token; None: only once it is refused."""
        return refresh_schedule.refresh_at(self.expires, self.obtained)

    def usable_at(self, now: float) -> bool:
        """Whether the access token may be used for a new login."""
        return self.access_token is not None and refresh_schedule.usable_at(now, self.expires, self.obtained)

    def renewed(self, tokens: Tokens, now: float) -> Grant:
        """The same grant after a refresh."""
        rotated = tokens.refresh_token is not None and tokens.refresh_token != self.refresh_token
        return msgspec.structs.replace(
            self,
            refresh_token=tokens.refresh_token if rotated else self.refresh_token,
            # Even if the current refresh token has not been proved to work, it is used up now.
            previous_token=self.refresh_token if rotated else self.previous_token,
            access_token=tokens.access_token,
            scopes=self.scopes if tokens.scopes is None else tokens.scopes,
            obtained=now,
            expires=None if tokens.expires_in is None else now + tokens.expires_in,
            refresh_obtained=now if rotated else self.refresh_obtained,
            asked=None,
            gone=None,
        )


def signed_in(account: str, app: str, user: str, tokens: Tokens, now: float) -> Grant:
    """The grant from a new sign-in."""
    began = Grant(account=account, app=app, user=user).renewed(tokens, now)
    given = fingerprint(began.refresh_token)
    return msgspec.structs.replace(began, previous_token=None, refresh_obtained=now, given=given)


def fingerprint(refresh_token: str | None) -> str | None:
    """A fingerprint that recognises a refresh token which is not kept; the token cannot be guessed from it."""
    return None if refresh_token is None else hashlib.sha256(refresh_token.encode()).hexdigest()


def sealed(grant: Grant, vault: Vault) -> GrantRow:
    """The grant in stored form."""
    tokens = {
        name: None if (token := getattr(grant, name)) is None else vault.seal(grant.account, field, token)
        for name, field in SEALED.items()
    }
    return GrantRow(
        account=grant.account,
        app=grant.app,
        user=grant.user,
        **tokens,
        scopes=" ".join(grant.scopes),
        obtained=grant.obtained,
        expires=grant.expires,
        refresh_obtained=grant.refresh_obtained,
        version=grant.version,
        asked=grant.asked,
        gone=None if grant.gone is None else msgspec.json.encode(grant.gone),
        given=grant.given,
    )


def opened(row: GrantRow, vault: Vault) -> Grant:
    """Open a stored grant. If its tokens cannot be opened, the grant counts as gone, and `gone` says so."""
    tokens: dict[str, str | None] = {}
    gone = _members(row.gone)
    for name, field in SEALED.items():
        token = getattr(row, name)
        try:
            tokens[name] = None if token is None else vault.open(row.account, field, token)
        except DamagedSecret as error:
            tokens[name] = None
            if name == "refresh_token":
                gone = gone or {
                    "response": f"The stored token cannot be read: {error}",
                    "serverResponseCode": "EUNREADABLE",
                    "hint": "Restore the key that sealed it, or have the owner of the mailbox sign in again.",
                }
    return Grant(
        account=row.account,
        app=row.app,
        user=row.user,
        **tokens,
        scopes=tuple(row.scopes.split()),
        obtained=row.obtained,
        expires=row.expires,
        refresh_obtained=row.refresh_obtained,
        version=row.version,
        asked=row.asked,
        gone=gone,
        given=row.given,
    )


def _members(stored: bytes | None) -> dict[str, Any] | None:
    if stored is None:
        return None
    try:
        return msgspec.json.decode(stored, type=dict[str, Any])
    except (msgspec.DecodeError, TypeError):
        return {"response": "The grant has ended", "serverResponseCode": "EUNREADABLE"}
