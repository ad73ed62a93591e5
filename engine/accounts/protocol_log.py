"""The protocol log of one account: the lines of its IMAP connections, and of each SMTP attempt once it has ended.

Newest last, in memory: kept only for an account registered with `logs`, bounded in lines, gone with the process.
Secrets and the content of messages never get in: the protocol machines write placeholders instead.
"""

from __future__ import annotations

from engine.isotime import iso
from engine.transcript import Trace
from engine.world import World

LINES = 10_000


class ProtocolLog(Trace):
    """A trace with the time before each line."""

    def __init__(self, world: World) -> None:
        super().__init__(LINES)
        self._world = world

    def note(self, text: str) -> None:
        """Note something that is no line of the protocol."""
        self._write("-- ", text)

    def take(self, trace: Trace, what: str) -> None:
        """Add the lines of a dialogue that has ended, below a note of what it was."""
        self.note(what)
        for line in trace.lines():
            self._write("", line)

    def of(self, connection: str) -> ConnectionLines:
        """What one more connection beside the one that idles writes to: each of its lines begins with the name."""
        return ConnectionLines(self, connection)

    def text(self) -> str:
        """The whole log, one line each."""
        return "".join(line + "\n" for line in self.lines())

    def _write(self, prefix: str, text: str) -> None:
        super()._write(f"{iso(self._world.now())} {prefix}", text)


class ConnectionLines(Trace):
    """One connection's part of a protocol log."""

    def __init__(self, log: ProtocolLog, name: str) -> None:
        super().__init__(0)
        self._log = log
        self._name = f"[{name}] " if name else ""

    def note(self, text: str) -> None:
        """Note something that is no line of the protocol."""
        self._write("-- ", text)

    def _write(self, prefix: str, text: str) -> None:
        self._log._write(self._name + prefix, text)
