"""What happened, one line an event, with the simulated time: the same seed writes the same lines."""

from __future__ import annotations

import hashlib

import trio


class Trace:
    """Lines are only ever added."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        """Add a line."""
        self.lines.append(f"{trio.current_time():14.3f}  {text}")

    def digest(self) -> str:
        """SHA-256 over all lines."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    def about(self, word: str, last: int) -> list[str]:
        """The `last` lines that hold `word`."""
        return [line for line in self.lines if word in line][-last:]
