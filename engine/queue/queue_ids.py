"""Makes the ids by which callers know messages: 19 hex digits that sort by the time of sending.

11 digits are for the milliseconds, then 8 tell messages of the same millisecond apart. With 8 random digits, one of
100,000 messages that are due at the same time would probably get the id of another. So they come from a counter that
begins anywhere: within one process it repeats after 2**32 ids. An id of an earlier process is recognised in the
journal, which is only asked about ids up to the newest that it had at the start.
"""

from __future__ import annotations

import sqlite3

from engine.store import messages
from engine.world import World

_STEP = 0x9E3779B1
"""Odd, so that multiplying by it (modulo 2**32) gives each number once; ids in a row then look unlike each other."""
_MASK = 0xFFFFFFFF


class QueueIds:
    """Makes ids. `reader` reads the journal in which they are to be new, and to which no other process writes."""

    def __init__(self, reader: sqlite3.Connection, world: World) -> None:
        self._reader = reader
        self._newest = messages.newest_queue_id(reader)
        self._count = int.from_bytes(world.token_bytes(4), "big")

    def new(self, send_at: float) -> str:
        """A new id for a message due at `send_at` (seconds since 1970).

        Beyond the year 2527 the first digit is dropped, as EmailEngine does.
        """
        moment = f"{int(send_at * 1000):011x}"[-11:]
        while True:
            self._count += 1
            found = f"{moment}{self._count * _STEP & _MASK:08x}"
            if found > self._newest or not messages.exists(self._reader, found):
                return found
