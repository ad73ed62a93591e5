"""The whole engine on the sandbox provider, in a world that repeats itself: days pass in seconds."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import trio
from answers import plain
from seeded_world import SeededWorld

from engine import app
from engine.api import outbox, queue_control
from engine.api.context import Context
from engine.api.submit import submit
from engine.config import Config, Imap, Shutdown, StoreConfig
from engine.model.message_states import ENDED, State
from engine.sandbox import provider
from engine.sandbox.post_office import PostOffice
from engine.sandbox.provider import Sandbox
from engine.schema.account import AccountCreate
from engine.schema.outbox import OutboxUpdate
from engine.schema.queue_control import QueueUpdate
from engine.schema.submit import Submit, SubmitHeaders
from engine.store import database, messages
from engine.store.tokens import Token
from engine.world import Choose

CLEAR_TEXT = {"required": False}
"""The sandbox speaks no TLS."""
FIRST_FOLDERS = 5
"""How many folders an account has at the sandbox when it is new."""
OPERATOR = Token("0" * 64, "operator", ["*"], 0.0)
"""A caller who may do everything."""
QUIET = Imap(idle=1500.0, heartbeat=1500.0)
"""Asks silent lines as seldom as the sandbox's patience of half an hour allows, so that days pass quickly."""


class SandboxWorld(SeededWorld):
    """Every server there is, is the sandbox."""

    sandbox: Sandbox
    ready: trio.Event | None = None
    """Set once `sandbox` is that of the engine which runs now: its accounts may dial before."""

    async def dial(self, host: str, port: int, choose: Choose | None = None) -> trio.abc.Stream:
        if self.ready is not None:
            await self.ready.wait()
        return await self.sandbox.dial(host, port)


class Engine:
    """A running engine."""

    def __init__(self, context: Context, stop: trio.Event) -> None:
        self.context = context
        self.sandbox: Any = context.access.sandbox
        self.stop = stop

    async def register(self, name: str, **members: Any) -> None:
        """Register an account at the sandbox and wait until it may send."""
        given = {"account": name, "name": name, "email": f"{name}@sandbox.example", **members}
        if "smtp" not in given and "imap" not in given:
            given["sandbox"] = True
        await self.context.registry.register(msgspec.convert(given, AccountCreate))
        await self.event(name, "accountInitialized")

    async def submit(self, account: str, *to: str, key: str | None = None, **members: Any) -> dict[str, Any]:
        """Hand in a message, with `key` as its Idempotency-Key; the answer."""
        given = {"to": [{"address": each} for each in to], "subject": "Hello", "text": "Hi", **members}
        headers = SubmitHeaders(idempotency_key=key)
        return plain(await submit(self.context, account, msgspec.convert(given, Submit), headers))

    async def entry(self, queue_id: str) -> dict[str, Any]:
        """What the outbox shows of a message."""
        return plain(await outbox.read(self.context, queue_id))

    async def change(self, queue_id: str, **members: Any) -> dict[str, Any]:
        """`PUT /v1/outbox/{queueId}` with these members."""
        return plain(await outbox.update(self.context, queue_id, msgspec.convert(members, OutboxUpdate)))

    async def cancel(self, queue_id: str) -> dict[str, Any]:
        """`DELETE /v1/outbox/{queueId}`."""
        return plain(await outbox.cancel(self.context, queue_id))

    async def pause(self, paused: bool, account: str | None = None) -> None:
        """Pause the queue, or one account's mail, or let it go on."""
        members = {"paused": paused, **({"account": account} if account is not None else {})}
        await queue_control.update(self.context, "submit", msgspec.convert(members, QueueUpdate))

    def events(self, account: str, name: str | None = None) -> list[dict[str, Any]]:
        """The account's events so far."""
        names = None if name is None else [name]
        found = self.context.streams.journal.read(0, 100_000, account, names)
        return [msgspec.json.decode(body) for _, _, body in found]

    async def event(self, account: str, name: str, number: int = 1) -> dict[str, Any]:
        """The account's `number`-th event of this name, waited for: ten days at most."""
        with trio.fail_after(864_000):
            while len(found := self.events(account, name)) < number:
                await self.context.streams.journal.wait_for_more(self.context.streams.journal.last)
        return found[number - 1]

    def state(self, queue_id: str) -> State:
        """Where a message stands."""
        message = messages.by_queue_id(self.context.store.reader, queue_id)
        assert message is not None
        return State(message.state)

    async def until_ended(self, *queue_ids: str) -> None:
        """Return when all these messages have ended."""
        with trio.fail_after(864_000):
            while not all(self.state(each) in ENDED for each in queue_ids):
                await self.context.streams.journal.wait_for_more(self.context.streams.journal.last)


class Simulation:
    """One data folder and one world; `running` starts an engine on them, again and again.

    `sections` of the settings are as given, others as shipped, but for `imap`, which is `QUIET`.
    """

    def __init__(self, folder: Path, seed: int, **sections: Any) -> None:
        self.folder = folder
        self.world = SandboxWorld(seed)
        self.config = Config(**{"store": StoreConfig(path=str(folder)), "imap": QUIET, **sections})
        database.prepare_folder(folder)

    @asynccontextmanager
    async def running(self, *, cut: bool = False, post: PostOffice | None = None) -> AsyncIterator[Engine]:
        """An engine for as long as the block runs; then it is stopped cleanly, or with `cut` cancelled.

        `post` is what its sandbox holds from the start: that of an engine that ran before.
        """
        stop = trio.Event()
        self.world.ready = trio.Event()
        with database.lock_folder(self.folder):
            async with trio.open_nursery() as nursery:

                async def run(task_status: trio.TaskStatus[Context]) -> None:
                    await app.run(self.config, self.world, stop, http=False, task_status=task_status)

                with nullcontext() if post is None else patch.object(provider, "PostOffice", lambda *_: post):
                    context: Context = await nursery.start(run)
                if context.access.sandbox is not None:
                    self.world.sandbox = context.access.sandbox
                self.world.ready.set()
                yield Engine(context, stop)
                stop.set()
                if cut:
                    nursery.cancel_scope.cancel()


def killed(simulation: Simulation) -> None:
    """Leave the journal as a kill does: the message whose attempt is under way stays marked as being sent."""
    with sqlite3.connect(simulation.folder / "journal.db") as db:
        db.execute("UPDATE message SET state = 'sending', attempts_made = attempts_made + 1 WHERE ended IS NULL")
    db.close()


def came(engine: Engine) -> list[str]:
    """The Message-IDs of what the sandbox kept, one for each recipient, in order."""
    return [each.message_id for each in engine.sandbox.delivered]


def when(event: dict[str, Any]) -> float:
    """An event's time in seconds since 1970."""
    return datetime.fromisoformat(event["date"]).timestamp()


def servers(name: str, password: str) -> dict[str, Any]:
    """An account with a login of its own at the sandbox's servers."""
    auth = {"user": f"{name}@sandbox.example", "pass": password}
    return {
        "imap": {"host": "imap.sandbox.example", "port": 143, "auth": auth, "tls": CLEAR_TEXT},
        "smtp": {"host": "smtp.sandbox.example", "port": 587, "auth": auth, "tls": CLEAR_TEXT},
    }


__all__ = ["Engine", "Shutdown", "Simulation", "came", "killed", "servers", "when"]
