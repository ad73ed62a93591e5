"""Writes the audit entries that operations declare.

The entry is on disk before the answer is sent. It has its own commit, after that of the change, so a process killed
between the two leaves a change without an entry; the caller then got no answer. Refused requests leave no entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engine.edge.client_disconnect import carry_through
from engine.store import audit
from engine.store.tokens import Token
from engine.store.writer import Store
from engine.world import World

Path = dict[str, str]


class Change(msgspec.Struct, frozen=True):
    """The operation as noun and verb, and how to derive the changed object from path and answer (None: no change)."""

    operation: str
    object: Callable[[Path, Any], str | None]


async def record(
    store: Store, world: World, change: Change, caller: Token, address: str | None, path: Path, answer: Any
) -> bool:
    """Record what a request has changed, if anything; whether it has. Raises `StorageFailed`.

    Call this right after the change: a caller that disconnects does not stop the change, so it must be recorded.
    """
    changed = change.object(path, answer)
    if changed is None:
        return False
    entry = audit.Entry(world.now(), caller.id, address, change.operation, changed)
    await carry_through(store.commit(lambda tx: audit.add(tx, entry)))
    return True
