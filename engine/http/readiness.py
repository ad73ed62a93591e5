"""`GET /health`, whether the process is alive, and `GET /ready`, whether it takes new work.

Neither needs a token or waits for the disk. The engine listens only after everything on disk has been read and what the
last run left has been put right, so before that neither answers.
"""

from __future__ import annotations

from engine.errors import EngineError, StorageFailed
from engine.http.problems import as_problem
from engine.store.storage_errors import busy, full
from engine.store.writer import STALLED, Store

FAILED = "the data folder could not be written"


def must_be_well(store: Store) -> None:
    """Raise what a change would raise now: `StorageFailed`, `StorageUnavailable` or `StorageBusy`."""
    if store.failed:
        raise StorageFailed(FAILED)
    store.must_be_in_place()
    if store.locked_out:
        raise busy()


def trouble(store: Store) -> str | None:
    """What a change would be refused with now."""
    try:
        must_be_well(store)
    except EngineError as error:
        return str(error)
    return None


def unready(store: Store, stopping: bool) -> dict[str, str]:
    """What keeps the engine from taking new work, in words, by part; empty if nothing does."""
    found: dict[str, str] = {}
    if stopping:
        found["engine"] = "is stopping"
    try:
        must_be_well(store)
        if store.waits_for_room or not store.has_room():
            raise full()
        if (seconds := store.stalled()) > STALLED:
            found["storage"] = f"a commit has been under way for {seconds:.0f} seconds"
    except EngineError as error:
        found["storage"] = as_problem(error).message
    return found
