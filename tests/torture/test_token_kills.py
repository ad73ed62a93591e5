"""A process that keeps tokens killed with SIGKILL at every step of a refresh, and the provider as the judge.

The provider rotates refresh tokens, and takes one that is used after its successor was for stolen: that ends the grant,
and so would a client that keeps the wrong one, keeps the right one too late, or uses what it has not kept.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from real.engine_process import REPOSITORY

from engine.oauth import grant as grants
from engine.oauth.grant import Grant
from engine.sandbox.oauth import OAuthProvider
from engine.sandbox.oauth_pages import WebAnswer, WebRequest
from engine.sandbox.web_server import WebConnection
from engine.store import accounts, database
from engine.store import grants as rows
from engine.store.vault import Vault
from engine.store.writer import Store
from engine.world import World
from torture.token_process import KEY

ACCOUNTS = 5
LIFE = 2.0
STEPS = ("asked", "carried out", "answered", "answered and a moment", "answered and a while", "used")
ROUNDS = 2
"""Kills at each step."""


class Judge(WebConnection):
    """A connection to the provider that kills its client at the step which is next."""

    at: Scene
    number: int
    """Which of the scene's processes is at its other end."""

    async def _request(self) -> WebRequest | None:
        request = await super()._request()
        if request is not None and request.target == "/token":
            await self.at.reached("asked", self.number)
        return request

    async def _send(self, found: WebAnswer) -> None:
        is_token = b"access_token" in found.body
        if is_token:
            await self.at.reached("carried out", self.number)
        await super()._send(found)
        if is_token:
            await self.at.reached("answered", self.number)
            await self.at.reached("answered and a moment", self.number, 0.002)
            await self.at.reached("answered and a while", self.number, 0.01)
        elif b"email_verified" in found.body:
            await self.at.reached("used", self.number)


class Scene:
    """The provider, served over TCP, and the process that is killed."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder = folder
        self.world = world
        self.provider = OAuthProvider(world)
        self.provider.access_seconds = LIFE
        self.url = ""
        self.next: str | None = None
        self.process: trio.Process | None = None
        self.number = 0
        self.killed = trio.Event()

    async def reached(self, step: str, number: int, after: float = 0.0) -> None:
        # What a killed process had asked may be answered while the next one starts: that is none of its steps.
        if step == self.next and number == self.number and self.process is not None:
            self.next = None
            await trio.sleep(after)
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()
            self.killed.set()

    async def start(self) -> None:
        program = str(Path(__file__).with_name("token_process.py"))
        self.killed = trio.Event()
        self.process = None
        self.number += 1
        self.process = await trio.lowlevel.open_process(
            [sys.executable, program, str(self.folder), f"{self.url}/token"], cwd=REPOSITORY, env={"PYTHONPATH": "."}
        )

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = Judge(stream, self.provider, self.world)  # type: ignore[arg-type]
        connection.at, connection.number = self, self.number
        try:
            await connection.run()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def sign_in(self) -> None:
        store, vault = Store(self.folder, self.world), Vault(KEY, self.world)
        async with trio.open_nursery() as nursery:
            await nursery.start(store.run)
            for number in range(ACCOUNTS):
                name = f"a{number}"
                issued = self.provider.grant(f"{name}@sandbox.example", scopes=("mail", "openid"))
                grant = Grant(
                    account=name,
                    app="app",
                    user=f"{name}@sandbox.example",
                    refresh_token=issued.refresh_token,
                    access_token=issued.access_token,
                    obtained=self.world.now(),
                    expires=self.world.now() + LIFE,
                )
                await store.commit(partial(accounts.save, account=name, record=b"{}", now=0.0))
                await store.commit(partial(rows.save, row=grants.sealed(grant, vault)))
            nursery.cancel_scope.cancel()

    def stored(self) -> list[Grant]:
        vault = Vault(KEY, self.world)
        db = database.open_reader(self.folder)
        try:
            found = [rows.get(db, f"a{number}") for number in range(ACCOUNTS)]
        finally:
            db.close()
        return [grants.opened(row, vault) for row in found if row is not None]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    database.prepare_folder(folder)
    found = Scene(folder, World())
    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(partial(trio.serve_tcp, found.serve, 0, host="127.0.0.1"))
        found.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        await found.sign_in()
        try:
            yield found
        finally:
            if found.process is not None and found.process.returncode is None:
                found.process.send_signal(signal.SIGKILL)
                await found.process.wait()
            nursery.cancel_scope.cancel()


@pytest.mark.process
@pytest.mark.parametrize("step", STEPS)
async def test_a_process_killed_at_any_step_of_a_refresh_loses_no_grant(tmp_path: Path, step: str) -> None:
    async with scene(tmp_path / "data") as at:
        for _ in range(ROUNDS):
            at.next = step
            await at.start()
            with trio.fail_after(60):
                await at.killed.wait()
        before = at.provider.refreshes
        await at.start()
        with trio.fail_after(60):
            while at.provider.refreshes < before + 3 * ACCOUNTS:  # noqa: ASYNC110 - of another process
                await trio.sleep(0.05)
        assert at.provider.reused == []
        assert all(family.alive for family in at.provider.families)
        assert [grant.gone for grant in at.stored()] == [None] * ACCOUNTS
