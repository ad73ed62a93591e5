"""What commands write: lines on standard error, tables and JSON on standard output, colours and progress for people.

Standard output has only the result. Colours and progress are for a terminal, never for a file or a pipe, and there are
no colours where `NO_COLOR` is set (no-color.org) or the terminal is `dumb`. Text from elsewhere, such as from a server
or a receiver, is made fit for one line before it is shown: it must not move the cursor.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

PROGRAM = "engine"
PROGRESS_AFTER = 1.0
"""Seconds after which progress is shown."""

_BOLD, _RED, _GREEN, _YELLOW = "1", "31", "32", "33"
_COLOURS = {
    **dict.fromkeys(("ok", "connected", "sent", "active", "accepted"), _GREEN),
    **dict.fromkeys(("BAD", "authenticationError", "connectError", "failed", "failing", "disabled"), _RED),
    **dict.fromkeys(("disconnected", "unset", "bounced", "expired", "warning", "error"), _RED),
    **dict.fromkeys(("held", "in_doubt", "deferred", "connecting", "syncing", "init", "paused"), _YELLOW),
}


def say(text: str) -> None:
    """Print one line to standard error."""
    print(text, file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """Print what went wrong to standard error."""
    say(f"{PROGRAM}: {printable(text)}")


def warn(text: str) -> None:
    """Print what may be wrong to standard error."""
    say(f"{PROGRAM}: {coloured('warning', 'warning', sys.stderr)}: {printable(text)}")


def printable(line: str) -> str:
    """`line` without what could move the terminal's cursor or begin another line."""
    return "".join(c if c.isprintable() else "?" for c in line).rstrip()


def put_json(value: Any) -> None:
    """Print one JSON document on a line of standard output."""
    import msgspec

    sys.stdout.write(f"{msgspec.json.encode(value).decode()}\n")


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows, of which the first is the heading, in columns; all but the last are padded to their widest cell."""
    widths = [max(len(printable(row[column])) for row in rows) for column in range(len(rows[0]) - 1)] + [0]
    for number, row in enumerate(rows):
        cells = [printable(text) for text in row]
        padded = [text.ljust(width) for text, width in zip(cells, widths, strict=True)]
        if number == 0:
            print(_painted("  ".join(padded).rstrip(), _BOLD, sys.stdout))
        else:
            print("  ".join(coloured(word, text) for word, text in zip(cells, padded, strict=True)).rstrip())


def details(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and their values, one on a line."""
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        word = text.partition(" ")[0].rstrip(",:")
        shown = printable(text)
        print(f"{_painted(name.ljust(width), _BOLD, sys.stdout)}  {coloured(word, word)}{shown[len(word) :]}")


def coloured(word: str, text: str, stream: TextIO | None = None) -> str:
    """`text` in the colour of `word`, where `stream` (standard output) is for people and the word has one."""
    colour = _COLOURS.get(word)
    return text if colour is None else _painted(text, colour, stream or sys.stdout)


def for_people(stream: TextIO) -> bool:
    """Whether a person reads it."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _painted(text: str, colour: str, stream: TextIO) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if for_people(stream) and not os.environ.get("NO_COLOR") else text


@contextmanager
def progress(doing: str) -> Iterator[None]:
    """Show on a terminal what goes on, and for how long, when the block takes more than a second."""
    if not for_people(sys.stderr):
        yield
        return
    over = threading.Event()

    def tell() -> None:
        seconds = PROGRESS_AFTER
        while not over.wait(1.0):
            sys.stderr.write(f"\r\x1b[K{doing} ... {seconds:.0f} s")
            sys.stderr.flush()
            seconds += 1.0
        if seconds > PROGRESS_AFTER:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
