"""A data folder restored from a backup: nothing in it is sent until an operator releases it.

Some of its messages may have been sent after the backup was made. So every unsent message is held, and a message in
doubt stays so until a decision. The service `Releases` puts held messages back on the agenda after
`engine outbox release`; it ends once no message is held.
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
    """Whether this folder is a restored backup on which no engine has run yet."""
    return folder_metadata.get(tx, folder_metadata.RESTORED) is not None


def hold(tx: Tx, now: float) -> None:
    """Hold what waits, leave doubts undecided, and clear the mark of a restored backup; log it after the commit."""
    waiting, doubtful = held_messages.hold(tx, now), held_messages.hold_doubts(tx, now)
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
    """Puts messages that `engine outbox release` released back on the agenda."""

    def __init__(self, store: Store, schedule: Schedule) -> None:
        self._store = store
        self._schedule = schedule

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look once a second until no message is held. Cancelled: nothing is lost."""
        reader = self._store.reader
        waiting, seen = held_messages.ids(reader), folder_metadata.get(reader, folder_metadata.RELEASED)
        task_status.started()
        while waiting:
            await trio.sleep(LOOK_EVERY)
            if (count := folder_metadata.get(reader, folder_metadata.RELEASED)) == seen:
                continue
            seen = count
            still = held_messages.ids(reader)
            for message, account, gateway, due in held_messages.due(reader, waiting - still):
                self._schedule.add(message, due, account=account, gateway=gateway)
            waiting = still
