"""A cache of the newest events, so that many readers at the end of the journal share one query.

It is bounded in events and octets, holds only committed events, and has no gaps. A reader further back reads the
journal itself.
"""

from __future__ import annotations

MOST = 2000
MOST_BYTES = 4 * 1024**2

Entry = tuple[int, str | None, str, bytes]
"""One event: its number, account, name and body."""


class RecentEvents:
    """The events numbered `first` to `last`; empty while `first > last`."""

    def __init__(self, last: int, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._entries: dict[int, Entry] = {}
        self._bytes = 0
        self.first = last + 1
        self.last = last

    def add(self, entry: Entry) -> None:
        """Add the event after `last`. Any other number empties the cache first."""
        if entry[0] != self.last + 1:
            self._entries.clear()
            self._bytes = 0
            self.first = entry[0]
        self.last = entry[0]
        self._entries[entry[0]] = entry
        self._bytes += len(entry[3])
        while self._entries and (len(self._entries) > self._most or self._bytes > self._most_bytes):
            self._bytes -= len(self._entries.pop(self.first)[3])
            self.first += 1

    def after(self, seq: int, upto: int) -> list[Entry] | None:
        """The events numbered above `seq` up to `upto`; None unless the cache has all of them."""
        if seq + 1 < self.first or upto > self.last:
            return None
        entries = self._entries
        return [entries[number] for number in range(seq + 1, upto + 1)]
