"""A process that does nothing but keep tokens: `token_process.py FOLDER TOKEN_URL`, until it is killed.

Its store, keepers and requests are the engine's; the key is known, so that a test can look into the folder afterwards.
Each new access token is used at the provider at once, as a login would, and said to have worked.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urljoin

import trio

from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.oauth.app_book import AppBook
from engine.oauth.apps import App
from engine.oauth.errors import TokenError
from engine.oauth.http_client import Wire
from engine.oauth.keeper import Keeper
from engine.oauth.keepers import Keepers
from engine.oauth.providers import Endpoints
from engine.oauth.token_requests import TokenRequests
from engine.store import accounts, database
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.world import World

KEY = bytes(32)
USE_SECONDS = 0.05


def app(token_url: str) -> App:
    """The app whose provider answers there."""
    endpoints = Endpoints(authorize=urljoin(token_url, "/authorize"), token=token_url)
    return App(id="app", provider="oidc", name="x", enabled=True, client_id="engine", endpoints=endpoints)


class Nobody:
    """Announces nothing: the grant on disk shows it."""

    def gone(self, tx: Tx, error: TokenError) -> None:
        pass


async def keep(folder: Path, token_url: str) -> None:
    """Keep the tokens of every account in the folder."""
    world = World()
    database.prepare_folder(folder)
    store, vault = Store(folder, world), Vault(KEY, world)
    wire = Wire(world.dial, world.dial)
    requests = TokenRequests(wire, None, world)
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        book = AppBook(store, vault, Journal(store, Hub(), world), world)
        if not book.made:
            await book.add(app(token_url))
        keepers = Keepers(book, requests, store, vault, world)

        async def use(keeper: Keeper) -> None:
            used = None
            while True:
                try:
                    token = await keeper.token()
                except TokenError:
                    pass
                else:
                    if token.access_token != used:
                        used = token.access_token
                        headers = {"Authorization": f"Bearer {used}"}
                        answer = await wire.get(urljoin(token_url, "/userinfo"), headers)
                        if answer.status == 200:
                            await keeper.accepted("imap", used)
                await trio.sleep(USE_SECONDS)

        for account in accounts.ids(store.reader):
            keeper = keepers.take(account, Nobody())
            assert keeper is not None
            nursery.start_soon(keeper.run)
            nursery.start_soon(use, keeper)
        print("ready", flush=True)


if __name__ == "__main__":
    trio.run(keep, Path(sys.argv[1]), sys.argv[2])
