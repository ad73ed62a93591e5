"""The transcript of one connection to a mail server: who said what, line by line.

It keeps the last `limit` lines and says how many it dropped, so a connection that lives for weeks costs a fixed amount
of memory. Each line is cut to `LINE_LENGTH` characters and control characters are made visible, so a server cannot
forge lines. It does not know secrets: whoever writes to it puts a placeholder in their place first.
"""

from __future__ import annotations

from collections import deque

from engine.escaping import escape_controls

LINE_LENGTH = 500


class Trace:
    """Lines as `C: EHLO example.com` and `S: 250 ok`, oldest first. `limit` is the number of lines kept."""

    def __init__(self, limit: int = 200) -> None:
        self._lines: deque[str] = deque(maxlen=limit)
        self._written = 0

    def client(self, text: str) -> None:
        """Note one line we sent, secrets already replaced."""
        self._write("C: ", text)

    def server(self, text: str) -> None:
        """Note one line the server sent."""
        self._write("S: ", text)

    def lines(self) -> list[str]:
        """What is kept, oldest first; the first entry is `[12 lines dropped]` if any were."""
        dropped = self._written - len(self._lines)
        return ([f"[{dropped} lines dropped]"] if dropped else []) + list(self._lines)

    def _write(self, prefix: str, text: str) -> None:
        if len(text) > LINE_LENGTH:
            text = text[:LINE_LENGTH] + "..."
        self._lines.append(prefix + escape_controls(text))
        self._written += 1
