"""A keeper at work on a store of its own, against the sandbox's provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from seeded_world import SeededWorld

from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.oauth import grant as grants
from engine.oauth.app_book import AppBook
from engine.oauth.apps import App
from engine.oauth.errors import TokenError
from engine.oauth.grant import Grant
from engine.oauth.http_client import Wire
from engine.oauth.keeper import Keeper, Token
from engine.oauth.token_requests import TokenRequests
from engine.sandbox.provider import Sandbox
from engine.store import accounts, database
from engine.store import grants as rows
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.world import StoreThread

APP = App(id="app", provider="sandbox", name="Sandbox", enabled=True, client_id="engine", client_secret="s3cret")
KEY = bytes(32)


class SlowDisk(SeededWorld):
    """A world whose disk can be made to take its time: no commit ends before `disk` is set."""

    disk: trio.Event | None = None

    def store_thread(self) -> StoreThread:
        world, thread = self, super().store_thread()

        class Slow:
            async def run(self, job: Callable[[], None]) -> None:
                if world.disk is not None:
                    await world.disk.wait()
                await thread.run(job)

            def close(self) -> None:
                thread.close()

        return Slow()


class Told:
    """The announced ends of grants."""

    def __init__(self) -> None:
        self.gone_for: list[TokenError] = []

    def gone(self, tx: Tx, error: TokenError) -> None:
        self.gone_for.append(error)


class Desk:
    """One run of the engine's part: store, apps, and keepers of accounts."""

    def __init__(self, store: Store, world: SlowDisk, sandbox: Sandbox) -> None:
        self.store = store
        self.world = world
        self.sandbox = sandbox
        self.provider = sandbox.oauth
        self.vault = Vault(KEY, world)
        self.journal = Journal(store, Hub(), world)
        self.book = AppBook(store, self.vault, self.journal, world)
        self.told = Told()
        dial = sandbox.dial
        self.requests = TokenRequests(Wire(dial, dial), Wire(dial, dial), world)
        self.nursery: trio.Nursery
        self.scopes: dict[str, trio.CancelScope] = {}
        self.ended: dict[str, trio.Event] = {}

    async def sign_in(self, account: str = "ann", app: App = APP, **members: Any) -> Grant:
        """An account whose owner has just signed in; the grant is on disk."""
        issued = self.provider.grant(f"{account}@sandbox.example")
        now = self.world.now()
        given = {
            "user": f"{account}@sandbox.example",
            "refresh_token": issued.refresh_token,
            "access_token": issued.access_token,
            "obtained": now,
            "expires": now + issued.expires_in,
            **members,
        }
        grant = Grant(account=account, app=app.id, **given)
        if app.id not in self.book.made:
            await self.book.add(app)
        row = grants.sealed(grant, self.vault)

        def change(tx: Tx) -> int:
            if not accounts.exists(tx, account):
                accounts.save(tx, account, b"{}", now)
            return rows.save(tx, row)

        version = await self.store.commit(change)
        return grants.opened(row._replace(version=version), self.vault)

    def stored(self, account: str = "ann") -> Grant:
        """The grant as it lies on disk."""
        row = rows.get(self.store.reader, account)
        assert row is not None
        return grants.opened(row, self.vault)

    def keeper(self, account: str = "ann", *, start: bool = True) -> Keeper:
        """The keeper of an account, at work."""
        grant = self.stored(account)
        state = self.book.state(grant.app)
        keeper = Keeper(grant, state, self.requests, self.store, self.vault, self.world, self.told)
        if start:
            self.start(keeper, account)
        return keeper

    def start(self, keeper: Keeper, account: str = "ann") -> None:
        scope, ended = trio.CancelScope(), trio.Event()
        self.scopes[account], self.ended[account] = scope, ended

        async def run() -> None:
            with scope:
                await keeper.run()
            ended.set()

        self.nursery.start_soon(run)

    def opens(self, token: Token) -> bool:
        """Whether a mail server would take it."""
        return self.provider.opens(token.user, token.access_token)

    def events(self, name: str) -> list[bytes]:
        return [body for _, each, body in self.journal.read(0, 1000) if each == name]


@asynccontextmanager
async def desk(folder: Path, world: SlowDisk, sandbox: Sandbox) -> AsyncIterator[Desk]:
    """The engine's part, until the block ends: then everything is cut, but for what is being committed."""
    database.prepare_folder(folder)
    store = Store(folder, world)
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        found = Desk(store, world, sandbox)
        found.nursery = nursery
        yield found
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def provider(world: SeededWorld) -> AsyncIterator[Sandbox]:
    """The provider, which outlives the engine."""
    sandbox = Sandbox(world)
    async with trio.open_nursery() as nursery:
        await nursery.start(sandbox.run)
        yield sandbox
        nursery.cancel_scope.cancel()
