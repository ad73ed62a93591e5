"""A grant: the tokens with which an account reaches its mailbox, and when they are to be refreshed.

`Grant` holds them in clear while they are in memory; `sealed` and `opened` are the way to the store and back.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import DamagedSecret
from engine.oauth.answers import Tokens
from engine.store.grants import SEALED, GrantRow
from engine.store.vault import Vault

MARGIN, PART = 60.0, 0.1
"""Seconds before its end, or part of its life if that is longer, at which an access token is refreshed."""
LONGEST_PART = 0.25
"""At most this part of its life: a token that lives for seconds would else be refreshed all the time."""
DYING = 5.0
"""Seconds before its end from which on an access token is not begun a login with."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What an account holds. Times in seconds since 1970.

    `user` signed in; for apps that speak for themselves it is the mailbox. `previous_token` is the refresh token before
    `refresh_token`, kept until the new one has worked. `version` is another one with each sign-in. `asked`: a refresh
    was begun then and its answer is not known. `gone`: the error that ended it, as `lastError` shows it.
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

    def __repr__(self) -> str:
        return f"Grant(account={self.account!r}, app={self.app!r}, user={self.user!r}, version={self.version!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown of it."""
        return tuple(each for each in (self.refresh_token, self.previous_token, self.access_token) if each)

    def refresh_at(self) -> float | None:
        """When the access token is to be refreshed; None: not before it is refused."""
        if self.expires is None:
            return None
        life = self.expires - self.obtained if self.obtained is not None else 3600.0
        return self.expires - min(max(MARGIN, life * PART), max(life, 0.0) * LONGEST_PART)

    def usable_at(self, now: float) -> bool:
        """Whether a login may be begun with the access token."""
        if self.access_token is None:
            return False
        if self.expires is None:
            return True
        life = self.expires - self.obtained if self.obtained is not None else 3600.0
        return now < self.expires - min(DYING, max(life, 0.0) / 8)

    def renewed(self, tokens: Tokens, now: float) -> Grant:
        """The same grant after a refresh."""
        rotated = tokens.refresh_token is not None and tokens.refresh_token != self.refresh_token
        return msgspec.structs.replace(
            self,
            refresh_token=tokens.refresh_token if rotated else self.refresh_token,
            # Where the one before has not worked yet either, it is used up all the same.
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
    """The grant that a sign-in has just brought."""
    return msgspec.structs.replace(
        Grant(account=account, app=app, user=user).renewed(tokens, now), previous_token=None, refresh_obtained=now
    )


def sealed(grant: Grant, vault: Vault) -> GrantRow:
    """The grant as it is stored."""
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
    )


def opened(row: GrantRow, vault: Vault) -> Grant:
    """A stored grant. Tokens that cannot be opened are as good as gone, which `gone` then says."""
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
    )


def _members(stored: bytes | None) -> dict[str, Any] | None:
    if stored is None:
        return None
    try:
        return msgspec.json.decode(stored, type=dict[str, Any])
    except (msgspec.DecodeError, TypeError):
        return {"response": "The grant has ended", "serverResponseCode": "EUNREADABLE"}
