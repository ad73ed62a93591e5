"""In which order the tests run, where several processes of pytest-xdist run them: what waits comes first, dealt out.

With `--dist worksteal` each process gets an equal, connected share of the list, and one that is done takes over the end
of another's. In the order of the files one process would have nearly all tests that wait for servers and for real time,
and would be left with them when the others have nothing to take over any more. So each share begins with some of them,
and ends with quick tests of single parts, which may go to any process.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
BROWSER = TESTS / "browser"
LONG, WITH_SERVERS, SIMULATED, QUICK = range(4)
_ROOMS = {"real": WITH_SERVERS, "torture": WITH_SERVERS, "browser": WITH_SERVERS, "sim": SIMULATED}


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("long") is not None:
        return LONG
    return _ROOMS.get(item.path.relative_to(TESTS).parts[0], QUICK) if item.path.is_relative_to(TESTS) else QUICK


def dealt(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """The same tests, share by share. Those of one file stay together, as they may share an engine; long ones need not.

    Within a share they keep their order, rank by rank. Only half of the processes begin with pages in a browser: its
    start costs as much as ten tests of pages. Every process must come to the same list.
    """
    hands: list[list[pytest.Item]] = [[] for _ in range(processes)]
    turn, browsing = itertools.cycle(hands), itertools.cycle(hands[: max(1, processes // 2)])
    quick: list[pytest.Item] = []
    for rank, ranked in itertools.groupby(sorted(items, key=_rank), key=_rank):
        if rank == QUICK:
            quick = list(ranked)
        elif rank == LONG:
            for item in ranked:
                next(turn).append(item)
        else:
            for path, together in itertools.groupby(ranked, key=lambda item: item.path):
                (next(browsing) if path.parent == BROWSER else min(hands, key=len)).extend(together)
    found: list[pytest.Item] = []
    for number, hand in enumerate(hands):
        # As pytest-xdist divides: each gets an equal part of what those before it have left.
        size = (len(items) - len(found)) // (processes - number)
        missing = max(0, size - len(hand))
        found += hand + quick[:missing]
        del quick[:missing]
    return found + quick
