"""The token keepers at work, by account, and all that OAuth2 needs of the engine in one bundle."""

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
    """Makes a keeper for each account with a grant. Whoever asks for one runs it in the account's nursery."""

    def __init__(self, book: AppBook, requests: TokenRequests, store: Store, vault: Vault, world: World) -> None:
        self._book = book
        self._requests = requests
        self._store = store
        self._vault = vault
        self._world = world
        self._keepers: dict[str, Keeper] = {}

    def of(self, account: str) -> Keeper | None:
        """The keeper of an account; None: it has no grant."""
        return self._keepers.get(account)

    def take(self, account: str, herald: Herald) -> Keeper | None:
        """The keeper of an account, made of its grant on disk or told of it; None, and forgotten: it has none."""
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

    def save(self, tx: Tx, grant: grants.Grant) -> None:
        """Keep what somebody has just granted, in the commit that makes or changes the account."""
        rows.save(tx, grants.sealed(grant, self._vault))

    def forget(self, account: str) -> None:
        """The account was removed, or has no grant any more."""
        self._keepers.pop(account, None)


class OAuth(msgspec.Struct, frozen=True):
    """The apps, the requests to their providers, the keepers of their tokens, the server that tells of logins."""

    book: AppBook
    requests: TokenRequests
    keepers: Keepers
    auth_server: AuthServer
