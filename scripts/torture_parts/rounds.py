"""Kill rounds: start, submit under load, kill -9 at a random moment, again; at the end everything is counted.

The engine has a data folder of its own, the submitters and the SMTP server are processes that outlive it. Which moment
and which message misbehaves is drawn from the seed; what the machine makes of it is not repeatable.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torture_parts.engine import Engine, environment
from torture_parts.ledger import Findings, reckon, unsettled

FINISH_SECONDS = 60.0


@dataclass(frozen=True)
class Plan:
    """What to do. `trouble`, `hold`, `cancel`: shares of the mail; `rate`: submissions a second; `settle`: seconds."""

    rounds: int
    seed: int
    clients: int = 50
    rate: float = 200.0
    accounts: int = 10
    trouble: float = 0.1
    hold: float = 0.2
    cancel: float = 0.05
    keys: bool = True
    shortest: float = 0.05
    longest: float = 2.0
    settle: float = 120.0


@dataclass
class Run:
    """What came of it. `ready` are the seconds of each start."""

    findings: Findings
    ready: list[float]
    unsettled: int
    log: str


def lines(file: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def answers(file: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(acknowledged submissions, answers to cancellations) of a file that the submitters wrote."""
    found = lines(file)
    return [each for each in found if "queueId" in each], [each for each in found if "deleted" in each]


def start_sink(stack: ExitStack, file: Path) -> int:
    """Start the SMTP server for as long as `stack` lives; its port."""
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "torture_parts.sink", str(file)]
    sink = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE)
    stack.callback(sink.wait)
    stack.callback(sink.kill)
    assert sink.stdout is not None
    stack.callback(sink.stdout.close)
    return int(sink.stdout.readline())


def kill_rounds(plan: Plan, folder: Path) -> Run:
    """Do it. Raises `SystemExit` when the engine does not come up again or refuses a submission."""
    chance = random.Random(plan.seed)
    acknowledged, arrived = folder / "acknowledged", folder / "arrived"
    with ExitStack() as stack:
        port = start_sink(stack, arrived)
        engine = Engine(folder, ENGINE_RETRY__SCHEDULE="500ms 1s", ENGINE_RETRY__ATTEMPTS="50")
        stack.callback(engine.kill)
        ready = [engine.start()]
        engine.issue_token()
        accounts = [f"t{number}" for number in range(plan.accounts)]
        for account in accounts:
            engine.register(account, port)
        load = _start_load(stack, plan, engine, accounts, acknowledged)
        for _ in range(plan.rounds):
            time.sleep(chance.uniform(plan.shortest, plan.longest))
            if load.poll() is not None:
                raise SystemExit("the submitters ended early")
            engine.kill()
            ready.append(engine.start())
        assert load.stdin is not None
        load.stdin.close()
        if load.wait(FINISH_SECONDS) != 0:
            raise SystemExit("the submitters were not content")
        events: list[dict[str, Any]] = []
        promised, cancelled = answers(acknowledged)
        open_still = _settle(engine, promised, events, plan.settle)
        waiting = {each["queueId"] for each in engine.outbox()}
        engine.stop()
        findings = reckon(promised, lines(arrived), events, waiting, keys=plan.keys, cancelled=cancelled)
        return Run(findings, ready, len(open_still), engine.log)


def _start_load(
    stack: ExitStack, plan: Plan, engine: Engine, accounts: list[str], file: Path
) -> subprocess.Popen[bytes]:
    options = {
        "port": engine.port,
        "token": engine.token,
        "accounts": accounts,
        "clients": plan.clients,
        "rate": plan.rate,
        "seed": plan.seed,
        "trouble": plan.trouble,
        "hold": plan.hold,
        "cancel": plan.cancel,
        "keys": plan.keys,
        "file": str(file),
    }
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "torture_parts.load", json.dumps(options)]
    load = subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE)
    stack.callback(load.wait)
    stack.callback(load.kill)
    return load


def _settle(
    engine: Engine, acknowledged: list[dict[str, Any]], events: list[dict[str, Any]], patience: float
) -> set[str]:
    """Wait until everything has ended or is held; what has not by then."""
    deadline = time.monotonic() + patience
    while True:
        held = {each["queueId"] for each in engine.outbox("in_doubt") if each["nextAttempt"] is False}
        left = unsettled(acknowledged, engine.events(events), held)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)
