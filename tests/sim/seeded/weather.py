"""Misfortune, drawn from the seed: what providers, network, disk, clock and operating system do while faults are on.

A fault is a line in a table: how often it comes, relative to the others, and what it does. What lasts is undone by
`Provider.mend` after a while.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING

import trio

from engine.errors import NetworkKind
from seeded.provider import Provider
from seeded.wire import Trouble

if TYPE_CHECKING:
    from seeded.universe import Universe

HOUR = 3600.0
NOTICED = 10.0
"""Seconds after which the engine has noticed that there is room again."""
YEAR = 365 * 24 * HOUR


class Weather:
    """`run` is its service, until cancelled; then `clear` ends what lasts."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._steps_left = 2

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for provider in self._universe.providers.values():
                nursery.start_soon(self._trouble, provider, self._universe.dice(f"weather {provider.name}"))
            for name, mean, act in self._of_the_machine():
                nursery.start_soon(self._now_and_then, mean, act, self._universe.dice(f"weather {name}"))

    def clear(self) -> None:
        """The faults stop."""
        for provider in self._universe.providers.values():
            provider.mend()
        if self._universe.process is not None:
            self._universe.process.full = False
            self._universe.process.fates.clear()
        self._universe.oracle.disk_stalls(trio.current_time() + NOTICED)
        self._universe.steps.after(0, lambda: None)

    # Providers

    async def _trouble(self, provider: Provider, dice: Random) -> None:
        acts = self._of_providers()
        while True:
            await trio.sleep(dice.expovariate(1 / (3 * HOUR)))
            name, _, act = dice.choices(acts, [weight for _, weight, _ in acts])[0]
            self._universe.trace.note(f"{provider.name}: {name}")
            act(provider, dice)
            await trio.sleep(10 ** dice.uniform(0.5, 4.3))
            self._universe.trace.note(f"{provider.name}: well again")
            provider.mend()

    def _of_providers(self) -> list[tuple[str, float, Callable[[Provider, Random], None]]]:
        return [
            ("cannot be reached", 2, _cannot_be_reached),
            ("lines break", 4, lambda provider, dice: _trouble_lines(provider, cut=dice.choice((0.2, 0.6, 0.9)))),
            ("lines fall silent", 2, lambda provider, dice: _trouble_lines(provider, silent=dice.choice((0.2, 0.8)))),
            ("slow lines", 2, lambda provider, dice: _trouble_lines(provider, delay=dice.choice((2.0, 20.0, 100.0)))),
            ("everything is cut once", 2, _cut),
            ("SMTP says nothing", 1, _fault("hang_smtp", True)),
            ("IMAP says nothing", 1, _fault("hang_imap", True)),
            ("greets badly", 2, _greets_badly),
            ("IMAP says BYE", 1, _fault("imap_greeting", b"* BYE\r\n")),
            ("refuses logins", 2, _refuses_logins),
            ("a hidden rate limit", 2, _fault("messages_per_second", 0.2)),
            ("other capabilities", 2, _other_capabilities),
            ("files no copies", 1, _fault("sent_append_fails", 20)),
        ]

    # The machine

    def _of_the_machine(self) -> list[tuple[str, float, Callable[[Random], Awaitable[None]]]]:
        return [
            ("kill", 1.5 * HOUR, self._kill),
            ("stop", 8 * HOUR, self._stop),
            ("disk", 12 * HOUR, self._fail_the_disk),
            ("full", 12 * HOUR, self._fill_the_disk),
            ("clock", 16 * HOUR, self._step_the_clock),
        ]

    async def _now_and_then(self, mean: float, act: Callable[[Random], Awaitable[None]], dice: Random) -> None:
        while True:
            await trio.sleep(dice.expovariate(1 / mean))
            await act(dice)

    async def _kill(self, dice: Random) -> None:
        process = await self._universe.answering()
        # In steps and commits most moments are moments of work, whatever the time between them.
        match dice.choice(("step", "step", "before", "after")):
            case "step":
                self._universe.steps.after(int(10 ** dice.uniform(0, 4)), self._kill_now)
            case when:
                process.fates[process.commits + int(10 ** dice.uniform(0, 1.7))] = f"kill {when}"

    def _kill_now(self) -> None:
        if self._universe.process is not None:
            self._universe.process.kill()

    async def _stop(self, dice: Random) -> None:
        await (await self._universe.answering()).leave()

    async def _fail_the_disk(self, dice: Random) -> None:
        process = await self._universe.answering()
        process.fates[process.commits + int(10 ** dice.uniform(0, 1.5))] = f"fail {dice.choice(('before', 'after'))}"

    async def _fill_the_disk(self, dice: Random) -> None:
        process = await self._universe.answering()
        self._universe.trace.note("the disk is full")
        process.full = True
        self._universe.oracle.disk_stalls(math.inf)
        await trio.sleep(10 ** dice.uniform(0, 2.5))
        process.full = False
        self._universe.oracle.disk_stalls(trio.current_time() + NOTICED)
        self._universe.trace.note("the disk has room")

    async def _step_the_clock(self, dice: Random) -> None:
        seconds = dice.choice((YEAR, -HOUR, -HOUR, 6 * HOUR, 1.5, -1.5))
        if seconds == YEAR:
            self._steps_left -= 1
        if self._steps_left >= 0:
            self._universe.step_clock(seconds)


def _fault(name: str, value: object) -> Callable[[Provider, Random], None]:
    return lambda provider, dice: setattr(provider.sandbox.faults, name, value)


def _cannot_be_reached(provider: Provider, dice: Random) -> None:
    provider.dial_error = dice.choice((NetworkKind.DNS, NetworkKind.CONNECT, NetworkKind.TIMEOUT))


def _trouble_lines(provider: Provider, delay: float = 0.05, cut: float = 0.0, silent: float = 0.0) -> None:
    provider.trouble = Trouble(delay, cut, silent)


def _cut(provider: Provider, dice: Random) -> None:
    provider.sandbox.faults.cut_smtp()
    provider.sandbox.faults.cut_imap()


def _greets_badly(provider: Provider, dice: Random) -> None:
    greetings = (b"421 4.3.2 Too busy\r\n", b"554 5.7.1 Go away\r\n", b"\xff\xfe\r\n", b"220-half a reply\r\n", b"")
    provider.sandbox.faults.greeting = dice.choice(greetings)


def _refuses_logins(provider: Provider, dice: Random) -> None:
    users = (f"{name}@sandbox.example" for name in ("plain", "filing", "sending", "limited"))
    getattr(provider.sandbox.faults, dice.choice(("reject_login", "login_later"))).update(users)


def _other_capabilities(provider: Provider, dice: Random) -> None:
    dropped = dice.sample(["PIPELINING", "AUTH", "SMTPUTF8", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES"], 2)
    provider.sandbox.faults.smtp_capabilities_drop.update(dropped)
