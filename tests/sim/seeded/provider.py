"""One mail provider: a sandbox that outlives the engine's processes, and how well it can be reached."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import trio

from engine.errors import NetworkError, NetworkKind
from engine.sandbox.accounts import Limits
from engine.sandbox.post_office import DeliveredMessage
from engine.sandbox.provider import Sandbox
from engine.sandbox.streams import MemoryStream
from engine.world import World
from seeded.wire import Trouble, Wire

STORM = 60
"""Connections in a minute from which on it is no longer a client that waits between its attempts."""


class Provider:
    """`run` is its service; it ends with the simulation."""

    def __init__(self, name: str, world: World, dice: Random) -> None:
        self.name = name
        self.sandbox = Sandbox(world, Limits(log_entries=100_000))
        self.trouble = Trouble()
        self.dial_error: NetworkKind | None = None
        self._dice = dice
        self._seen = 0
        self._dials: list[float] = []

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.sandbox.run(task_status)

    async def dial(self, host: str, port: int, read: Callable[[str], None]) -> Wire:
        """A connection; `read` hears the queue id of every message whose acceptance was read."""
        self._dials = [each for each in self._dials if each > trio.current_time() - 60] + [trio.current_time()]
        await trio.sleep(self.trouble.delay * self._dice.random())
        if self.dial_error is NetworkKind.TIMEOUT:
            await trio.sleep_forever()
        if self.dial_error is not None:
            code = "ENOTFOUND" if self.dial_error is NetworkKind.DNS else "ECONNREFUSED"
            raise NetworkError(self.dial_error, code, f"connect {code} {host}:{port}")

        def heard(data: bytes) -> None:
            for line in data.split(b"\r\n"):
                if line.startswith(_TAKEN):
                    read(line.removeprefix(_TAKEN).decode())

        inner = await self.sandbox.dial(host, port)
        assert isinstance(inner, MemoryStream)
        return Wire(inner, self.trouble, self._dice, heard)

    @property
    def storm(self) -> bool:
        """Whether it is connected to again and again without a pause."""
        return len(self._dials) > STORM

    def news(self) -> list[DeliveredMessage]:
        """What was delivered since the last call."""
        new = self.sandbox.delivered[self._seen :]
        self._seen = len(self.sandbox.delivered)
        return new

    def mend(self) -> None:
        """Everything works from now on."""
        faults = self.sandbox.faults
        fresh = type(faults)(files_sent=faults.files_sent)
        for name in (
            "refuse_dial",
            "greeting",
            "imap_greeting",
            "hang_smtp",
            "hang_imap",
            "messages_per_second",
            "sent_append_fails",
        ):
            setattr(faults, name, getattr(fresh, name))
        for each in (faults.dead, faults.reject_login, faults.login_later, faults.smtp_capabilities_drop):
            each.clear()
        self.dial_error = None
        self.trouble = Trouble()


_TAKEN = b"250 2.0.0 Ok: queued as "
