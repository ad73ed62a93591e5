"""The transcript of one connection to a mail server, line by line.

It keeps the last `limit` lines and the number of dropped ones, so a connection that lasts for weeks takes a fixed
amount of memory. Each line is cut to `LINE_LENGTH` characters and control characters are made visible, so a server
cannot forge lines. It does not know secrets: the code that writes to it replaces them by placeholders.
"""

from __future__ import annotations

from collections import deque

from engine.escaping import escape_controls

LINE_LENGTH = 500


class Trace:
    """Lines such as `C: EHLO example.com` and `S: 250 ok`, oldest first. `limit` is the maximum number of lines."""

    def __init__(self, limit: int = 200) -> None:
        self._lines: deque[str] = deque(maxlen=limit)
        self._written = 0

    def client(self, text: str) -> None:
        """Add a line that we sent, with secrets already replaced."""
        self._write("C: ", text)

    def server(self, text: str) -> None:
        """Add a line that the server sent."""
        self._write("S: ", text)

    def lines(self) -> list[str]:
        """The lines, oldest first; the first entry is `[12 lines dropped]` if any were dropped."""
        dropped = self._written - len(self._lines)
        return ([f"[{dropped} lines dropped]"] if dropped else []) + list(self._lines)

    def _write(self, prefix: str, text: str) -> None:
        if len(text) > LINE_LENGTH:
            text = text[:LINE_LENGTH] + "..."
        self._lines.append(prefix + escape_controls(text))
        self._written += 1
