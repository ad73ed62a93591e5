"""What an operation leaves in the audit record, declared at each, and the writing of it.

The entry is on disk before the answer. It is a commit of its own after that of the change, so a process killed between
the two has made the change without an entry, and has told nobody that it was made. What was refused leaves none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engine.http.client_disconnect import carry_through
from engine.store import audit
from engine.store.tokens import Token
from engine.store.writer import Store
from engine.world import World

Path = dict[str, str]


class Change(msgspec.Struct, frozen=True):
    """A noun and a verb; and how to tell from path and answer what was changed, None when nothing was."""

    operation: str
    object: Callable[[Path, Any], str | None]


async def record(
    store: Store, world: World, change: Change, caller: Token, address: str | None, path: Path, answer: Any
) -> None:
    """Write down what a request has changed. Raises `StorageFailed`.

    To be called at once after the change, which the caller's hanging up has not stopped and must not leave unrecorded.
    """
    changed = change.object(path, answer)
    if changed is not None:
        entry = audit.Entry(world.now(), caller.id, address, change.operation, changed)
        await carry_through(store.commit(lambda tx: audit.add(tx, entry)))
