"""The token keepers by account, and the parts of OAuth2 in one bundle."""

from __future__ import annotations

import msgspec

from engine.oauth import grant as grants
from engine.oauth.app_book import AppBook
from engine.oauth.auth_server import AuthServer
from engine.oauth.keeper import Herald, Keeper
from engine.oauth.token_requests import TokenRequests
from engine.store import grants as rows
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.world import World


class Keepers:
    """Creates a keeper for each account with a grant. The caller of `take` runs it in the account's nursery."""

    def __init__(self, book: AppBook, requests: TokenRequests, store: Store, vault: Vault, world: World) -> None:
        self._book = book
        self._requests = requests
        self._store = store
        self._vault = vault
        self._world = world
        self._keepers: dict[str, Keeper] = {}

    def of(self, account: str) -> Keeper | None:
        """The keeper of an account; None if it has no grant."""
        return self._keepers.get(account)

    def take(self, account: str, herald: Herald) -> Keeper | None:
        """Create or update an account's keeper from its grant on disk; None, and removed, if it has no grant."""
        row = rows.get(self._store.reader, account)
        if row is None:
            self._keepers.pop(account, None)
            return None
        grant = grants.opened(row, self._vault)
        state = self._book.state(grant.app)
        keeper = self._keepers.get(account)
        if keeper is None:
            keeper = Keeper(grant, state, self._requests, self._store, self._vault, self._world, herald)
            self._keepers[account] = keeper
        elif keeper.grant.version != grant.version:
            keeper.replace(grant, state)
        return keeper

    def save(self, tx: Tx, grant: grants.Grant, *, keeps_refresh_token: bool = False) -> None:
        """Store a new grant in the commit that creates or changes the account, unless its refresh token is used up.

        `keeps_refresh_token`: it has the refresh token that is on disk by then, which a refresh may have just renewed.
        """
        row = rows.get(tx, grant.account)
        before = None if row is None else grants.opened(row, self._vault)
        if before is not None and before.has_used_up(grant):
            return
        if before is not None and keeps_refresh_token:
            grant = msgspec.structs.replace(
                grant,
                refresh_token=before.refresh_token,
                previous_token=before.previous_token,
                refresh_obtained=before.refresh_obtained,
                asked=before.asked,
                given=before.given,
            )
        rows.save(tx, grants.sealed(grant, self._vault))

    def holder(self, tx: Tx, grant: grants.Grant) -> str | None:
        """Another account of the same user with the same refresh token; None: there is none."""
        if grant.refresh_token is None:
            return None
        for other in rows.of_user(tx, grant.app, grant.user):
            row = rows.get(tx, other)
            held = None if row is None or other == grant.account else grants.opened(row, self._vault)
            if held is not None and grant.refresh_token in (held.refresh_token, held.previous_token):
                return other
            if held is not None and grants.fingerprint(grant.refresh_token) == held.given:
                return other
        return None

    def forget(self, account: str) -> None:
        """Drop the keeper of an account that was removed or has no grant any more."""
        self._keepers.pop(account, None)


class OAuth(msgspec.Struct, frozen=True):
    """The apps, the requests to their providers, the keepers of their tokens, the server that provides logins."""

    book: AppBook
    requests: TokenRequests
    keepers: Keepers
    auth_server: AuthServer
