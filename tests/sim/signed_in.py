"""An engine with accounts that sign in with OAuth2; the sandbox is their provider and their mail server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from asking import Caller
from person import SERVICE
from simulation import Engine, Simulation

from engine.isotime import iso
from engine.sandbox.oauth import Issued

APP = {"name": "Sandbox", "provider": "sandbox", "clientId": "engine", "clientSecret": "s3cret", "enabled": True}
ANN = "ann@sandbox.example"
ELSEWHERE = "you@x.example"


class At:
    """An engine, one who asks it, and the sandbox's app."""

    def __init__(self, engine: Engine, caller: Caller, app: str) -> None:
        self.engine = engine
        self.caller = caller
        self.app = app
        self.oauth = engine.sandbox.oauth

    async def ask(self, method: str, target: str, body: Any = None) -> dict[str, Any]:
        answer = await self.caller.ask(method, target, body)
        assert answer.status == 200, answer
        return answer.json

    def granted(self, user: str = ANN) -> tuple[Issued, dict[str, Any]]:
        """What somebody's sign-in elsewhere has brought, and the member of a registration that says so."""
        issued = self.oauth.grant(user)
        return issued, {
            "provider": self.app,
            "auth": {"user": user},
            "accessToken": issued.access_token,
            "refreshToken": issued.refresh_token,
            "expires": iso(self.engine.context.world.now() + issued.expires_in),
        }

    async def register(self, account: str = "acme", user: str = ANN) -> Issued:
        """Register an account and wait until it is connected."""
        issued, oauth2 = self.granted(user)
        oauth2 = {**oauth2, "useAuthServer": False}
        given = {"account": account, "name": account, "email": user, "oauth2": oauth2}
        assert (await self.ask("POST", "/v1/account", given))["state"] == "new"
        await self.engine.event(account, "accountInitialized")
        return issued

    async def shown(self, account: str = "acme") -> dict[str, Any]:
        return await self.ask("GET", f"/v1/account/{account}")

    def names(self, account: str = "acme") -> list[str]:
        return [each["event"] for each in self.engine.events(account)]

    async def until(self, state: str, account: str = "acme") -> dict[str, Any]:
        changes = self.engine.context.changes
        with trio.fail_after(86_400), changes.watching(account) as watcher:
            while (shown := await self.shown(account))["state"] != state:
                await watcher.take()
        return shown

    async def send(self, account: str = "acme") -> str:
        return (await self.engine.submit(account, ELSEWHERE))["queueId"]


@asynccontextmanager
async def at(simulation: Simulation, app: str | None = None) -> AsyncIterator[At]:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        if app is None:
            await engine.context.settings.update(service_url=SERVICE)
            app = (await caller.ask("POST", "/v1/oauth2", APP)).json["id"]
        yield At(engine, caller, app)
