"""What the process writes to standard error: one line an event, which nobody outside can forge.

A traceback follows its line indented, so that it cannot be taken for an event. Libraries never log below `info`: at
`debug` some of them write headers, and with these tokens.
"""

from __future__ import annotations

import logging
import sys

from engine.visible import visible

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Formatter(logging.Formatter):
    """The line of an event; the lines of a traceback below it begin with four spaces."""

    def format(self, record: logging.LogRecord) -> str:
        """The text of `record`, every line of it free of control characters."""
        record.message = visible(record.getMessage())
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += ("    " + visible(line) for line in self.formatException(record.exc_info).split("\n"))
        return "\n".join(lines)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The first line, with the time in front."""
        record.asctime = self.formatTime(record)
        return super().formatMessage(record)


def to_stderr(level: str) -> None:
    """Log events at `level` (`debug`, `info`, `warning`, `error`) and above, those of libraries from `info` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(FORMAT))
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=[handler], level=max(number, logging.INFO))
    logging.getLogger("engine").setLevel(number)
