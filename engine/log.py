"""The log on standard error: one line for each fact, which text from outside cannot forge.

A line has a time, a level, the part of the engine, what it is about, and a text
(`2026-11-27 12:03:35,787 WARNING engine.account account=bob: ...`). With `log.format = "json"` it is one JSON object
with the same members. What it is about (`FIELDS`) is passed with the line (`extra`) or set for a whole task
(`concerns`); it precedes the text, which may contain text from outside. A traceback follows its line, indented; in JSON
it is the member `traceback`. Libraries never log below `info`: at `debug` some of them write headers, which contain
tokens.
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

FIELDS = ("request", "account", "queueId", "webhook", "sink", "event")
"""What a line may be about, in the order in which it is written."""

_SIMPLE = re.compile(r"[\w.@+/-]+")
_NOTHING: Mapping[str, object] = MappingProxyType({})
_concerned: ContextVar[Mapping[str, object]] = ContextVar("concerned")


def concerns(**fields: str | Callable[[], str] | None) -> None:
    """Set what the lines of the current task, and of the tasks it starts, are about from now on.

    A callable value is called for each line.
    """
    _concerned.set(fields)


class TextFormatter(logging.Formatter):
    """One line for each record; the lines of a traceback after it begin with four spaces."""

    def format(self, record: logging.LogRecord) -> str:
        """The text of `record`, every line of it free of control characters."""
        about = "".join(f" {name}={_quoted(value)}" for name, value in _about(record).items())
        message = escape_controls(record.getMessage())
        head = f"{self.formatTime(record)} {record.levelname} {record.name}{about}: {message}"
        return "\n".join([head, *(f"    {line}" for line in _traceback(self, record))])


class Json(logging.Formatter):
    """One JSON object on each line."""

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
    logging.basicConfig(handlers=[handler])
    set_level(level)


def set_level(level: str) -> None:
    """Log at `level` and above from now on, libraries from `info` on."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(max(number, logging.INFO))
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
