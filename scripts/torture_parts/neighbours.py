"""A good account beside bad ones: how long its mail takes from the request to the server, alone and beside them.

Beside: one account with many messages queued at a server that takes its time, and more accounts with servers that hang
than the process has SMTP sessions.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from torture_parts.backlog import queue
from torture_parts.engine import Engine
from torture_parts.rounds import lines, start_sink

SESSIONS = 10
SAMPLES = 200
PATIENCE = 60.0


def measure_delays(folder: Path, count: int) -> int:
    """Print the good account's delays without and with its neighbours; 1 when some of its mail did not come."""
    with ExitStack() as stack:
        arrived = folder / "arrived"
        port = start_sink(stack, arrived)
        engine = Engine(folder, ENGINE_SMTP__SESSIONS=str(SESSIONS))
        stack.callback(engine.kill)
        engine.start()
        engine.issue_token()
        hanging = [f"h{number}" for number in range(SESSIONS + 5)]
        for account in ("good", "flood", *hanging):
            engine.register(account, port)
        alone = delays(engine, arrived, "alone")
        engine.kill()
        queue(engine.folder, "flood", count, 2000, due_in=0.0, word="slow5")
        engine.start()
        for account in hanging:
            submit(engine, account, f"hang.{account}@example.net", account)
        beside = delays(engine, arrived, "beside")
        left = count - sum(each["recipient"].startswith("slow5.b") for each in lines(arrived))
        for name, found in (("alone", alone), ("beside the others", beside)):
            at = [found[len(found) * share // 100] * 1000 if found else float("inf") for share in (50, 99)]
            print(f"{name:24} {len(found)} of {SAMPLES}, p50 {at[0]:.1f} ms, p99 {at[1]:.1f} ms")
        print(f"{'flood still queued':24} {left} of {count}")
        print(f"{'servers that hang':24} {len(hanging)}, SMTP sessions {SESSIONS}")
        return 0 if len(alone) == len(beside) == SAMPLES else 1


def submit(engine: Engine, account: str, address: str, subject: str) -> None:
    """Hand in one message."""
    body = {"to": [{"address": address}], "subject": subject, "text": f"Hello\nEND {subject}"}
    engine.call("POST", f"/v1/account/{account}/submit", body)


def delays(engine: Engine, arrived: Path, name: str) -> list[float]:
    """Seconds from each request to its message at the server, sorted; what did not come in time is missing."""
    started: dict[str, float] = {}
    for number in range(SAMPLES):
        key = f"{name}{number}"
        started[key] = time.monotonic()
        submit(engine, "good", f"ok.{key}@example.net", key)
        time.sleep(0.02)
    deadline = time.monotonic() + PATIENCE
    while True:
        came = {each["key"]: each["at"] for each in lines(arrived) if each["key"] in started}
        if len(came) == SAMPLES or time.monotonic() > deadline:
            return sorted(at - started[key] for key, at in came.items())
        time.sleep(0.2)
