"""Processes beside the test: waiting for them, signalling a whole family, and ending it for sure.

A family is found through `/proc`, since Postfix's daemons leave the parent that started them. Everything here blocks;
an async test calls it only if nothing in the test's own loop has to run in the meantime.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 60.0
"""How long anything may take on a slow, busy machine. On a good day nothing waits a hundredth of it."""


def wait_until(condition: Callable[[], object], what: str, timeout: float = PATIENCE_SECONDS) -> None:
    """Return when `condition` holds; raise `TimeoutError` naming `what` after `timeout` seconds.

    It looks less often the longer it has waited, since looking mostly means a request to what is waited for.
    """
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        if waited > timeout:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(min(max(0.01, waited / 10), 0.25))


def process_tree(pid: int) -> list[int]:
    """`pid` and all that descend from it, parents first; empty when it is gone."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _living_parent(int(entry.name))) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    tree = [pid] if _alive(pid) else []
    for member in tree:
        tree += children.get(member, [])
    return tree


def signal_tree(pid: int, number: signal.Signals) -> None:
    """Send one signal to `pid` and all that descend from it."""
    _signal_all(process_tree(pid), number)


def end_tree(pid: int) -> None:
    """SIGTERM to `pid`, and SIGKILL to what is still there of its tree two seconds later. Ends a stopped tree too."""
    tree = process_tree(pid)
    _signal_all(tree, signal.SIGCONT)
    _signal_all(tree[:1], signal.SIGTERM)
    try:
        wait_until(lambda: not any(map(_alive, tree)), f"end of process {pid}", timeout=2.0)
    except TimeoutError:
        _signal_all(tree, signal.SIGKILL)


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _alive(pid: int) -> bool:
    return _living_parent(pid) is not None


def _living_parent(pid: int) -> int | None:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else int(parent)
