"""The protocol log of one account: the lines of its IMAP connections, and of each SMTP attempt once it has ended.

It exists only for an account registered with `logs`, in memory, with a bounded number of lines, newest last. Each line
is a JSON object: `level` (20, or 30 for a note), `time` in milliseconds, `cid` for any connection but the idling one,
`src` (`c` the engine, `s` the server; absent for a note) and `msg`. It never contains secrets or the content of
messages: the protocol machines write placeholders instead.
"""

from __future__ import annotations

from collections import deque

import msgspec

from engine.escaping import escape_controls
from engine.transcript import LINE_LENGTH, Trace
from engine.world import World

LINES = 10_000
NOTE = "-- "
_SOURCES = {"C: ": "c", "S: ": "s"}
_DEBUG, _INFO = 20, 30


class ProtocolLog(Trace):
    """A trace of JSON objects, one on each line."""

    def __init__(self, world: World) -> None:
        super().__init__(LINES)
        self._world = world
        self._entries: deque[bytes] = deque(maxlen=LINES)

    def note(self, text: str) -> None:
        """Note something that is not a line of the protocol."""
        self.put("", NOTE, text)

    def take(self, trace: Trace, what: str) -> None:
        """Add the lines of a dialogue that has ended, after a note that names it."""
        self.note(what)
        for line in trace.lines():
            prefix = line[:3] if line[:3] in _SOURCES else ""
            self.put("", prefix, line[len(prefix) :])

    def of(self, connection: str) -> ConnectionLines:
        """The trace for one more connection; each of its lines has the connection's name."""
        return ConnectionLines(self, connection)

    def put(self, connection: str, prefix: str, text: str) -> None:
        """Add one line of a connection; `""` is the idling one."""
        if len(text) > LINE_LENGTH:
            text = text[:LINE_LENGTH] + "..."
        source = _SOURCES.get(prefix)
        entry: dict[str, str | int] = {
            "level": _DEBUG if source else _INFO,
            "time": round(self._world.now() * 1000),
            **({"cid": connection} if connection else {}),
            **({"src": source} if source else {}),
            "msg": escape_controls(text),
        }
        self._entries.append(msgspec.json.encode(entry))
        self._written += 1

    def text(self, last: int = LINES) -> bytes:
        """The `last` lines, one object on each line; the first says how many come before them, if any do."""
        entries = list(self._entries)[-last:]
        dropped = self._written - len(entries)
        first = [msgspec.json.encode({"level": _INFO, "msg": f"{dropped} lines dropped"})] if dropped else []
        return b"".join(line + b"\n" for line in (*first, *entries))

    def _write(self, prefix: str, text: str) -> None:
        self.put("", prefix, text)


class ConnectionLines(Trace):
    """One connection's part of a protocol log."""

    def __init__(self, log: ProtocolLog, name: str) -> None:
        super().__init__(0)
        self._log = log
        self._name = name

    def note(self, text: str) -> None:
        """Note something that is not a line of the protocol."""
        self._write(NOTE, text)

    def _write(self, prefix: str, text: str) -> None:
        self._log.put(self._name, prefix, text)
