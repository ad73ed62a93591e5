"""Days to months of OAuth2: refreshes, outages, revocations, a broken app, restarts and kills; a seed says which.

The provider and the mail servers outlive the engine. The oracle: no rotated refresh token is used again, no grant is
lost that nobody took back, no message is charged for any of it, and nobody is stormed with logins or token requests.
`OAUTH_SEEDS=1-20 OAUTH_DAYS=90` runs more of it.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from asking import Caller
from simulation import CLEAR_TEXT, Engine, Simulation
from trio.testing import MockClock

from engine.config import RetentionConfig, SandboxConfig
from engine.errors import NetworkError, NetworkKind
from engine.isotime import iso
from engine.model.message_states import State
from engine.sandbox.oauth import Fault
from engine.sandbox.provider import Sandbox
from engine.world import Choose

DAYS = float(os.environ.get("OAUTH_DAYS", "1.25"))
FIRST, _, LAST = os.environ.get("OAUTH_SEEDS", "81").partition("-")
SEEDS = range(int(FIRST), int(LAST or FIRST) + 1)
NAMES = ("ann", "bob", "cleo")
HOUR = 3600.0
MOST_TOKEN_REQUESTS = 16
"""In an hour for each account: ever later from 30 s to 10 minutes, from the start after each restart and trouble."""
MOST_LOGINS = 24
"""In an hour for each account and server."""
STORM = 1000
APP: dict[str, Any] = {
    "name": "Own",
    "provider": "oidc",
    "enabled": True,
    "clientId": "engine",
    "clientSecret": "s3cret",
    "issuer": "http://sign-in.sandbox.example",
    "extraScopes": ["mail"],
    "imap": {"host": "imap.sandbox.example", "port": 143, "secure": False},
    "smtp": {"host": "smtp.sandbox.example", "port": 587, "secure": False},
}
OUTAGES = {
    "429": Fault(status=429, error="slow_down", retry_after="120"),
    "503": Fault(status=503),
    "silence": Fault(after=600.0),
    "cut": Fault(cut=True),
    "lost": Fault(lost=True),
}


class Months:
    """One seed: the world around the engine, what is done to it, and what must come of it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        everything = RetentionConfig(messages=0, events=0)  # the oracle asks for what ended months ago
        self.simulation = Simulation(folder / "data", seed, sandbox=SandboxConfig(enabled=False), retention=everything)
        self.world = self.simulation.world
        self.sandbox = self.world.sandbox = Sandbox(self.world)
        self.oauth = self.sandbox.oauth
        self.copy = folder / "copy"
        self.sent: list[str] = []
        self.revoked: set[str] = set()
        self.dials: Counter[tuple[int, int]] = Counter()
        self.restarts: Counter[int] = Counter()
        self.mended: Counter[int] = Counter()
        self.done: Counter[str] = Counter()
        self.dead = False
        dial = type(self.world).dial

        async def counted(host: str, port: int, choose: Choose | None = None) -> trio.abc.Stream:
            when = int(trio.current_time() // HOUR), port
            self.dials[when] += 1
            if self.dials[when] > STORM:
                await trio.sleep(HOUR)  # it would never end on a clock that stands still meanwhile; `judge` counts it
            if self.dead:
                raise NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", "the machine is gone")
            return await dial(self.world, host, port, choose)

        self.world.dial = counted

    async def run(self) -> None:
        """From the registration to the end of all days, over every restart."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.sandbox.run)
            async with self.running() as (engine, caller):
                app = (await self.ask(caller, "POST", "/v1/oauth2", APP))["id"]
                for name in NAMES:
                    await self.sign_in(caller, app, name)
                    await engine.event(name, "accountInitialized")
            while trio.current_time() < DAYS * 24 * HOUR:
                self.restarts[int(trio.current_time() // HOUR)] += 1
                async with self.running() as (engine, caller):
                    await self.live(engine, caller, app)
            async with self.running() as (engine, caller):
                await self.heal(engine, caller, app)
            nursery.cancel_scope.cancel()
        self.judge()

    async def live(self, engine: Engine, caller: Caller, app: str) -> None:
        """What happens until the engine is stopped or killed."""
        while trio.current_time() < DAYS * 24 * HOUR:
            what = self.random.choice(
                [*OUTAGES, "dns", "revoke", "app", "drop", "short", "early", "stop", "kill", *["quiet"] * 6]
            )
            self.done[what] += 1
            for name in NAMES:
                self.sent.append((await engine.submit(name, "you@sandbox.example"))["queueId"])
            if what in OUTAGES:
                self.oauth.outage = OUTAGES[what]
            elif what == "dns":
                self.sandbox.faults.dead.add("sign-in.sandbox.example")
            elif what == "revoke":
                name = self.random.choice(NAMES)
                self.revoked.add(name)
                self.oauth.revoke_user(f"{name}@sandbox.example")
            elif what == "app":
                self.oauth.clients = {"engine": "another"}
            elif what == "drop":
                self.sandbox.faults.dead.add("imap.sandbox.example")
            elif what == "early":
                await self.end_early(engine, caller)
            self.oauth.access_seconds = 600.0 if what == "short" else HOUR
            await trio.sleep(self.random.uniform(0.2, 5.0) * HOUR)
            if what == "kill":
                return await self.kill()
            self.mend()
            for name in sorted(self.revoked):
                await self.sign_in(caller, app, name)
            if what == "stop":
                return None
        return None

    async def end_early(self, engine: Engine, caller: Caller) -> None:
        """The servers refuse the access tokens before these expire, while the provider gives no others."""
        self.oauth.outage = OUTAGES["503"]
        for name in NAMES:
            account = engine.context.registry.get(name)
            assert account is not None and account.sign_in.keeper is not None
            if token := account.sign_in.keeper.grant.access_token:
                self.oauth.expire(token)
            await self.ask(caller, "PUT", f"/v1/account/{name}/reconnect", {"reconnect": True})

    def mend(self) -> None:
        """Everything works again."""
        self.mended[int(trio.current_time() // HOUR)] += 1
        self.oauth.outage, self.oauth.clients, self.oauth.access_seconds = None, {}, HOUR
        self.sandbox.faults.dead.clear()

    async def kill(self) -> None:
        """Leave what is on disk now, and nothing that the engine does or hears from now on."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.simulation.folder, self.copy, ignore=lambda _, names: [n for n in names if ".sock" in n])
        self.dead = True

    async def sign_in(self, caller: Caller, app: str, name: str) -> None:
        """The owner of a mailbox signs in: the account gets what that brought."""
        user = f"{name}@sandbox.example"
        issued = self.oauth.grant(user, scopes=("openid", "email", "offline_access", "mail"))
        login = {
            "provider": app,
            "auth": {"user": user},
            "accessToken": issued.access_token,
            "refreshToken": issued.refresh_token,
            "expires": iso(self.world.now() + issued.expires_in),
        }
        servers = {each: {**APP[each], "tls": CLEAR_TEXT} for each in ("imap", "smtp")}
        await self.ask(
            caller, "POST", "/v1/account", {"account": name, "name": name, "email": user, "oauth2": login, **servers}
        )
        self.revoked.discard(name)

    async def heal(self, engine: Engine, caller: Caller, app: str) -> None:
        """All is well for some hours: every account must be connected, and every message gone."""
        self.mend()
        for name in sorted(self.revoked):
            await self.sign_in(caller, app, name)
        await trio.sleep(3 * HOUR)
        for name in NAMES:
            shown = await self.ask(caller, "GET", f"/v1/account/{name}")
            assert (shown["state"], shown["sending"]["state"]) == ("connected", "connected"), shown["lastError"]
        for each in self.sent:
            entry = await engine.entry(each)
            assert engine.state(each) is State.SENT, entry
            assert entry["attemptsMade"] <= 1, entry

    def judge(self) -> None:
        """What the provider and the network have seen."""
        assert self.oauth.reused == [], "a rotated refresh token was used again"
        assert len(self.sandbox.delivered) == len(self.sent)
        for (hour, port), count in self.dials.items():
            more = 1 + self.restarts[hour] + self.restarts[hour - 1] + self.mended[hour]
            most = (MOST_TOKEN_REQUESTS if port == 80 else MOST_LOGINS) * len(NAMES) * more
            assert count <= most, f"{count} dials of port {port} in hour {hour}"

    async def ask(self, caller: Caller, method: str, target: str, body: Any = None) -> Any:
        answer = await caller.ask(method, target, body)
        assert answer.status == 200, answer
        return answer.json

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Engine, Caller]]:
        """The engine; killed if the block has said so."""
        self.dead = False
        async with self.simulation.running() as engine:
            yield engine, await Caller.of(engine)
        if self.dead:
            shutil.rmtree(self.simulation.folder)
            shutil.copytree(self.copy, self.simulation.folder)


@pytest.mark.parametrize("seed", SEEDS)
async def test_months_of_tokens(tmp_path: Path, seed: int, autojump_clock: MockClock) -> None:
    months = Months(tmp_path, seed)
    await months.run()
    print(f"seed {seed}: {dict(months.done)}, {months.oauth.refreshes} refreshes, {len(months.sent)} messages")
