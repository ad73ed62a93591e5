"""Everything that outlives one process of the engine: time, providers, the disk, the callers' memory, the trace.

`simulate` is the whole of it: faults, kills and requests for some days, then, if asked for, none of them any more until
everything has settled. It returns the trace and raises `Broken` at the first thing that must not be.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import traceback
from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import memory
import msgspec
import trio
from seeded_world import SeededWorld

from engine.config import Config, Imap, RetentionConfig, StoreConfig
from engine.queue.retry import horizon
from engine.sandbox.post_office import DeliveredMessage
from engine.store import database
from seeded import determinism
from seeded.ledger import Ledger
from seeded.oracle import Oracle
from seeded.process import Process, Unanswered
from seeded.provider import Provider
from seeded.trace import Trace
from seeded.weather import Weather
from seeded.wire import Wire
from seeded.workload import ACCOUNTS, Workload

START = 1_800_000_000.0
DAY = 86_400.0
SETTLES_IN = 10 * DAY
"""Longer than anything takes: ten attempts are spread over four days, and a sendAt is a day ahead at most."""
LOOK_EVERY = DAY / 24
STAYS_FOR = DAY / 4
"""What has settled is looked at again this much later. Ten idle days of four accounts are minutes of computing."""


LAST = 40
"""Lines of the trace a failure shows in any case."""


class Mode(StrEnum):
    """What is asked of a run."""

    SAFETY = "safety"
    """Faults to the end; nothing wrong may happen."""
    LIVENESS = "liveness"
    """Then the faults stop, and everything must settle."""


class Broken(AssertionError):
    """Something that must never be; its text tells the seed and what led there, `lines` is the whole trace."""

    def __init__(self, text: str, lines: list[str]) -> None:
        super().__init__(text)
        self.lines = lines


class Universe:
    """One run. Made and run by `simulate`."""

    def __init__(self, seed: int, folder: Path, steps: determinism.Steps) -> None:
        self.steps = steps
        self.trace = Trace()
        self.ledger = Ledger()
        self.violation: str | None = None
        self.seed = seed
        self._folder = folder
        self._offset = 0.0
        self._process: Process | None = None
        self._up = trio.Event()
        self._scope = trio.CancelScope()
        self._dice = self.dice("universe")
        world = SeededWorld(self._dice.randrange(1 << 32))
        self.providers = {name: Provider(name, world, self.dice(name)) for name in ("first", "second", "third")}
        self.providers["second"].sandbox.faults.files_sent = True
        for provider in self.providers.values():
            provider.sandbox.faults.imap_timeout = 10 * DAY
        self.config = Config(
            store=StoreConfig(path="", reserve=0, spool_above=4096),
            imap=Imap(idle=DAY / 4, heartbeat=900.0),
            retention=RetentionConfig(messages=0, events=0, size=0),
        )
        retry = self.config.retry
        self.oracle = Oracle(
            self.ledger,
            self.trace,
            self._news,
            self.now,
            lambda tries: retry.schedule[min(tries, len(retry.schedule)) - 1] * (1 - retry.jitter),
            lambda tries: horizon(retry.schedule, tries, retry.jitter),
            lambda account: account == "filing",
            self.wrong,
        )

    def dice(self, of: str) -> Random:
        """Randomness of one's own, so that a throw more here changes nothing there."""
        return Random(f"{self.seed} {of}")

    def now(self) -> float:
        """The wall clock as the engine's machine shows it."""
        return START + self._offset + trio.current_time()

    def step_clock(self, seconds: float) -> None:
        """Set the wall clock; Trio's is not affected."""
        self.trace.note(f"the clock steps by {seconds:.0f} s")
        self._offset += seconds
        self.oracle.clock_stepped(seconds)

    def wrong(self, what: str) -> None:
        """Note a violation and end the run; the first one counts."""
        self.trace.note(f"WRONG: {what}")
        if self.violation is None:
            self.violation = what
            self._scope.cancel()

    @property
    def process(self) -> Process | None:
        """The engine as it runs; None while none does."""
        return self._process

    async def answering(self) -> Process:
        """The engine, once it answers."""
        while self._process is None or not self._process.answers:
            await self._up.wait()
        return self._process

    async def call(self, handler: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """One request to the engine, as soon as it answers. Raises `Unanswered` and `Problem`."""
        return await (await self.answering()).call(handler, *arguments)

    async def dial(self, host: str, port: int, process: Process) -> Wire:
        provider = self.providers[ACCOUNTS_BY_HOST[host]]
        wire = await provider.dial(host, port, partial(self._acceptance_read, process, provider))
        if provider.storm:
            self.wrong(f"a storm of connections to {host}:{port}")
        return wire

    def committed(self, process: Process) -> None:
        self.oracle.look(process.folder)

    async def run(self, mode: Mode, days: float) -> None:
        """The run itself."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for provider in self.providers.values():
                    await nursery.start(provider.run)
                workload = Workload(self)
                weather = Weather(self)
                nursery.start_soon(self._operate)
                await workload.register_all()
                with trio.move_on_after(days * DAY):
                    async with trio.open_nursery() as trouble:
                        trouble.start_soon(weather.run)
                        trouble.start_soon(workload.run)
                if mode is Mode.LIVENESS:
                    await self._settle(weather, workload)
                self.trace.note("the end")
                nursery.cancel_scope.cancel()

    async def _settle(self, weather: Weather, workload: Workload) -> None:
        self.trace.note("the faults stop")
        weather.clear()
        await workload.put_right()
        for _ in range(int(SETTLES_IN / LOOK_EVERY)):
            if not await self._unsettled():
                break
            await trio.sleep(LOOK_EVERY)
        await trio.sleep(STAYS_FOR)
        for each in await self._unsettled():
            self.wrong(each)
        process = await self.answering()
        left = {file.name for file in (process.folder / "spool").iterdir()}
        for known in self.oracle.known.values():
            if known.state in ("in_doubt", "held"):
                left.discard(known.queue_id)
        if left:
            self.wrong(f"left in the spool: {sorted(left)}")
        await workload.last_look()

    async def _unsettled(self) -> list[str]:
        process = await self.answering()
        with database.open_reader(process.folder) as db:
            return self.oracle.unsettled(db)

    async def _operate(self) -> None:
        """What the operating system's supervisor does: start the engine whenever it does not run."""
        folder = self._folder / "0"
        database.prepare_folder(folder)
        for number in range(1, 10_000):
            store = msgspec.structs.replace(self.config.store, path=str(folder))
            config = msgspec.structs.replace(self.config, store=store)
            process = Process(folder, config, self, self._dice, self._folder / str(number))
            self.trace.note(f"process {number} starts")
            self.oracle.process_starts()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._welcome, process)
                self._process = process
                left = await process.live()
                nursery.cancel_scope.cancel()
            self._process = None
            how = "was killed" if process.killed else "failed" if process.failed else "ended"
            self.trace.note(f"process {number} {how}")
            if not process.killed:
                self.oracle.look(folder)
            self.oracle.process_ended()
            if left != folder:
                shutil.rmtree(folder)
                folder = left
            await trio.sleep(self._dice.choice((0.1, 1, 30, 600)))

    async def _welcome(self, process: Process) -> None:
        await process.up.wait()
        self.oracle.process_answers()
        self._up.set()
        self._up = trio.Event()

    def _acceptance_read(self, process: Process, provider: Provider, queue_id: str) -> None:
        if not process.killed:
            self.oracle.acceptance_read(provider.name, queue_id)

    def _news(self) -> list[tuple[str, DeliveredMessage]]:
        return [(name, each) for name, provider in self.providers.items() for each in provider.news()]


ACCOUNTS_BY_HOST = {host: each.provider for each in ACCOUNTS for host in (each.imap_host, each.smtp_host) if host}


class _Errors(logging.Handler):
    """An error the engine logs is one, whatever else seems to be well; but for those of a disk that fails."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.report: Callable[[str], None] = lambda text: None

    def emit(self, record: logging.LogRecord) -> None:
        if not record.getMessage().startswith("the journal could not be written"):
            self.report(f"logged: {self.format(record)}")


def simulate(seed: int, mode: Mode, days: float) -> Trace:
    """One run of `days` with faults. Raises `Broken`."""
    errors, log = _Errors(), logging.getLogger("engine")
    handlers, level, propagate = log.handlers, log.level, log.propagate
    log.handlers, log.propagate = [errors], False
    log.setLevel(logging.ERROR)
    try:
        with memory.folder("simulation-") as folder:
            steps = determinism.Steps()
            made: list[Universe] = []

            async def main() -> None:
                universe = Universe(seed, folder, steps)
                made.append(universe)
                errors.report = universe.wrong
                await universe.run(mode, days)

            try:
                determinism.run(main, seed, steps)
            except Exception as error:
                if not made:
                    raise
                crash = "".join(traceback.format_exception(error))
                made[0].violation = made[0].violation or f"crashed: {error!r}\n{crash}"
    finally:
        log.handlers, log.propagate = handlers, propagate
        log.setLevel(level)
    (universe,) = made
    if universe.violation is not None:
        raise Broken(report(universe, mode, days), universe.trace.lines)
    return universe.trace


def report(universe: Universe, mode: Mode, days: float) -> str:
    """What a failure prints: the seed, everything about the messages concerned, and the last lines."""
    what = universe.violation or ""
    known = universe.oracle.known
    words = {word for each in known.values() if each.queue_id in what for word in (each.queue_id, each.message_id)}
    lines = universe.trace.lines
    concerned = [line for line in lines[:-LAST] if any(word in line for word in words)]
    return "\n".join(
        [
            what,
            f"SEED={universe.seed} COMMIT={_commit()}",
            f"again: scripts/simulate --seeds {universe.seed} --mode {mode} --days {days:g}",
            "",
            *concerned,
            *(["..."] if concerned else []),
            *lines[-LAST:],
        ]
    )


def _commit() -> str:
    """The commit of this checkout, `+` behind it where something is not committed."""
    root = Path(__file__).parents[3]
    try:
        run = partial(subprocess.run, cwd=root, capture_output=True, text=True, check=True, timeout=10)
        head = run(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        return head + ("+" if run(["git", "status", "--porcelain", "--", "engine", "tests/sim"]).stdout else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


__all__ = ["Broken", "Mode", "Unanswered", "Universe", "simulate"]
