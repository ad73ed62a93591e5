"""The same seed is the same run, so a failing one repeats; a new Trio or Python that changes that is noticed here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from seeded import determinism
from seeded.universe import Mode, simulate

DAYS = 0.1


def order_of_tasks(seed: int) -> list[int]:
    """In which order tasks that are always ready get their turns."""
    order: list[int] = []

    async def work(number: int) -> None:
        for _ in range(5):
            order.append(number)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(work, number)

    determinism.run(main, seed, determinism.Steps())
    return order


def test_the_scheduler_follows_the_seed() -> None:
    assert order_of_tasks(1) == order_of_tasks(1)
    assert order_of_tasks(1) != order_of_tasks(2)


def test_the_same_seed_is_the_same_run_in_another_process(engine_errors: list[object]) -> None:
    """Also where texts hash otherwise: what is kept in sets must not decide an order."""
    trace = simulate(1, Mode.SAFETY, DAYS)
    assert len(trace.lines) > 100
    assert any("was killed" in line or "failed" in line for line in trace.lines)
    code = f"from seeded.universe import *; print(simulate(1, Mode.SAFETY, {DAYS}).digest())"
    folder = Path(__file__).parent
    path = os.pathsep.join([str(folder), str(folder.parent), str(folder.parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == trace.digest()


def test_another_seed_is_another_run(engine_errors: list[object]) -> None:
    assert simulate(1, Mode.SAFETY, DAYS).digest() != simulate(5, Mode.SAFETY, DAYS).digest()


def test_a_step_between_two_awaits_can_be_chosen() -> None:
    seen: list[int] = []
    steps = determinism.Steps()

    async def main() -> None:
        steps.after(3, lambda: seen.append(trio.lowlevel.current_statistics().tasks_living))
        for _ in range(10):
            await trio.lowlevel.checkpoint()

    determinism.run(main, 1, steps)
    assert len(seen) == 1


@pytest.mark.parametrize("name", ["_ALLOW_DETERMINISTIC_SCHEDULING", "_r"])
def test_the_private_names_are_still_there(name: str) -> None:
    assert hasattr(determinism.scheduler, name)
