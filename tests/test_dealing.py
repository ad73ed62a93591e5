"""The order of the tests, and that pytest-xdist divides it as `dealing.py` takes for granted."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dealing import TESTS, dealt
from xdist.scheduler import WorkStealingScheduling


class Item:
    """What `dealt` looks at."""

    def __init__(self, path: str, name: str, *, long: bool = False) -> None:
        self.path = TESTS / path
        self.name = f"{path}::{name}"
        self._long = long

    def get_closest_marker(self, name: str) -> object:
        return self if name == "long" and self._long else None


def items() -> list[Any]:
    made = [Item(f"unit/test_{number // 50}.py", f"test_{number}") for number in range(1000)]
    for room in ("browser", "real", "sim", "torture"):
        made += [Item(f"{room}/test_{number // 4}.py", f"test_{number}") for number in range(40)]
    made += [Item("real/test_long.py", f"test_{number}", long=True) for number in range(10)]
    made.append(Item("sim/test_0.py", "test_long", long=True))
    return sorted(made, key=lambda item: str(item.path))


class Node:
    """What the scheduler of pytest-xdist asks of a process."""

    shutting_down = False

    def __init__(self, number: int) -> None:
        self.given: list[int] = []
        self.gateway = SimpleNamespace(id=f"gw{number}")

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += indices


def shares(tests: list[Any], processes: int) -> list[list[Any]]:
    """What pytest-xdist gives to each process at first."""
    config = cast(Any, pytest.Config.fromdictargs({"numprocesses": processes, "tx": [f"{processes}*popen"]}, []))
    scheduler = WorkStealingScheduling(config)
    nodes: list[Any] = [Node(number) for number in range(processes)]
    for node in nodes:
        scheduler.add_node(node)
    for node in nodes:
        scheduler.add_node_collection(node, [each.name for each in tests])
    scheduler.schedule()
    return [[tests[index] for index in node.given] for node in nodes]


@pytest.mark.parametrize("processes", [1, 2, 3, 5, 6])
def test_each_process_begins_with_its_part_of_what_takes_long(processes: int) -> None:
    tests = items()
    found = dealt(tests, processes)
    assert sorted(found, key=tests.index) == tests
    for share in shares(found, processes):
        long = sum(each.get_closest_marker("long") is not None for each in share)
        assert long in (11 // processes, 11 // processes + 1)
        assert all(each.get_closest_marker("long") for each in share[:long])
        waiting = sum(not each.path.is_relative_to(TESTS / "unit") for each in share)
        assert not any(each.path.is_relative_to(TESTS / "unit") for each in share[:waiting])
        assert abs(waiting - 171 / processes) <= 10
        files = [each.path for each in share[long:waiting]]
        assert files == sorted(files, key=files.index), "those of a file run one after the other"


def test_every_process_comes_to_the_same_order_and_few_tests_are_no_trouble() -> None:
    tests = items()
    assert dealt(tests, 4) == dealt(list(tests), 4)
    for seed in range(50):
        some = random.Random(seed).sample(tests, 30)
        assert sorted(dealt(some, 6), key=some.index) == some
    assert dealt([], 3) == []
    outside: Any = Item("x", "y")
    outside.path = Path("/elsewhere/test_small.py")
    assert dealt([outside], 2) == [outside]
