"""A folder that came back from a backup: nothing in it is sent again until somebody says so.

The backup may be older than what was sent since, so every message that was still to be sent is held, and one in doubt
stays in doubt until it is decided. `Releases` is the service that puts held messages back on the agenda after
`engine outbox release`; while none is held it does nothing.
"""

from __future__ import annotations

import logging

import trio

from engine.queue.schedule import Schedule
from engine.store import folder_metadata, held_messages
from engine.store.writer import Store, Tx

log = logging.getLogger("engine")

LOOK_EVERY = 1.0


def is_restored(tx: Tx) -> bool:
    """Whether this folder is a backup that has not been served yet."""
    return folder_metadata.get(tx, folder_metadata.RESTORED) is not None


def hold(tx: Tx, now: float) -> None:
    """Hold what waits, keep doubts as they are, and forget that the folder is a backup; log it once it is on disk."""
    waiting, doubtful = held_messages.hold(tx), held_messages.hold_doubts(tx, now)
    folder_metadata.remove(tx, folder_metadata.RESTORED)
    tx.after_commit(lambda: _tell(waiting, doubtful))


def _tell(waiting: int, doubtful: int) -> None:
    if waiting == doubtful == 0:
        log.info("this folder is a restored backup; it holds no unsent mail")
        return
    log.warning(
        "this folder is a restored backup: %d unsent messages are held, %d in doubt wait for a decision. "
        "See them with: engine outbox list. Send what is held with: engine outbox release",
        waiting,
        doubtful,
    )


class Releases:
    """Notices what `engine outbox release` has released."""

    def __init__(self, store: Store, schedule: Schedule) -> None:
        self._store = store
        self._schedule = schedule

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look once a second for as long as messages are held. Cancelled: nothing happens."""
        reader = self._store.reader
        waiting, seen = held_messages.ids(reader), folder_metadata.get(reader, folder_metadata.RELEASED)
        task_status.started()
        while waiting:
            await trio.sleep(LOOK_EVERY)
            if (count := folder_metadata.get(reader, folder_metadata.RELEASED)) == seen:
                continue
            seen = count
            still = held_messages.ids(reader)
            for message, account, due in held_messages.due(reader, waiting - still):
                self._schedule.of(account).add(message, due)
            waiting = still
