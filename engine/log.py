"""What the process writes to standard error: one line for one fact, which nobody outside can forge.

A line is a time, a level, the part of the engine that writes, what the line is about, and a text: to be read
(`2026-11-27 12:03:35,787 WARNING engine.account account=bob: ...`) or, with `log.format = "json"`, one JSON object with
the same members. What it is about (`FIELDS`) is given with the line (`extra`) or holds for all that a task does
(`concerns`); it stands in front of the text, which may hold the words of strangers. A traceback follows its line
indented, in JSON it is the member `traceback`. Libraries never log below `info`: at `debug` some of them write headers,
and with these tokens.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

from engine.escaping import escape_controls

FIELDS = ("request", "account", "queueId", "webhook", "event")
"""What a line may be about, in the order in which it is written."""

_SIMPLE = re.compile(r"[\w.@+/-]+")
_NOTHING: Mapping[str, object] = MappingProxyType({})
_concerned: ContextVar[Mapping[str, object]] = ContextVar("concerned")


def concerns(**fields: str | Callable[[], str] | None) -> None:
    """Each line of the task at hand, and of the tasks it starts, is about this and nothing else from now on.

    A value that can be called is asked at each line.
    """
    _concerned.set(fields)


class TextFormatter(logging.Formatter):
    """The line of an event; the lines of a traceback below it begin with four spaces."""

    def format(self, record: logging.LogRecord) -> str:
        """The text of `record`, every line of it free of control characters."""
        about = "".join(f" {name}={_quoted(value)}" for name, value in _about(record).items())
        message = escape_controls(record.getMessage())
        head = f"{self.formatTime(record)} {record.levelname} {record.name}{about}: {message}"
        return "\n".join([head, *(f"    {line}" for line in _traceback(self, record))])


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The object of `record`; `time` is in UTC."""
        moment = datetime.fromtimestamp(record.created, UTC)
        entry: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escape_controls(record.getMessage()),
        }
        entry |= _about(record)
        if traceback := _traceback(self, record):
            entry["traceback"] = "\n".join(traceback)
        return msgspec.json.encode(entry).decode()


def to_stderr(level: str, form: str = "text") -> None:
    """Log at `level` (`debug`, `info`, `warning`, `error`) and above, libraries from `info` on, in one of `FORMATS`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if form == "json" else TextFormatter())
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=[handler], level=max(number, logging.INFO))
    logging.getLogger("engine").setLevel(number)


def _about(record: logging.LogRecord) -> dict[str, str]:
    given = {**_concerned.get(_NOTHING), **record.__dict__}
    found = {name: given[name] for name in FIELDS if given.get(name) is not None}
    return {name: escape_controls(str(value() if callable(value) else value)) for name, value in found.items()}


def _quoted(value: str) -> str:
    if _SIMPLE.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    if not record.exc_info:
        return []
    return [escape_controls(line) for line in formatter.formatException(record.exc_info).split("\n")]
