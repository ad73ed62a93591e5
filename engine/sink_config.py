"""`[sinks.NAME]` of `config.toml`: a broker that the event stream goes into."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import unquote, urlsplit

import msgspec

from engine.config_values import Section, no_choice, read, read_text
from engine.errors import ConfigError

PREFIX = "sink:"
"""Of the names of their consumers. No stream can be opened with such a name."""
PATHS = ("creds", "ca")
"""Keys that name files."""
PORTS = {"nats": 4222, "tls": 4222, "redis": 6379, "rediss": 6379}
"""The usual port of each scheme."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_STREAM = re.compile(r"[A-Za-z0-9_-]+")
_EVENT = re.compile(r"[A-Za-z0-9]+")
_HOW = "nats://HOST:PORT, tls://HOST:PORT, redis://HOST:PORT/DATABASE or rediss://HOST:PORT/DATABASE"


class SinkConfig(Section, frozen=True):
    """One sink."""

    url: str = ""
    user: str = ""
    password: str = ""
    token: str = ""
    creds: str = ""
    ca: str = ""
    stream: str = ""
    subject: str = "mailbox"
    max_length: int = 1_000_000
    format: str = "event"
    events: tuple[str, ...] = ()
    begin: str = "oldest"

    @property
    def scheme(self) -> str:
        """`nats`, `tls`, `redis` or `rediss`."""
        return urlsplit(self.url).scheme

    @property
    def is_nats(self) -> bool:
        """Whether it is NATS JetStream; otherwise it is Redis Streams."""
        return self.scheme in ("nats", "tls")

    @property
    def encrypted(self) -> bool:
        """Whether the connection must use TLS."""
        return self.scheme in ("tls", "rediss")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or PORTS[parts.scheme]

    @property
    def place(self) -> str:
        """Where it is, without the login."""
        host, port = self.address
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def login(self) -> tuple[str, str]:
        """User and password, from the keys or the URL; empty texts for none."""
        parts = urlsplit(self.url)
        return self.user or unquote(parts.username or ""), self.password or unquote(parts.password or "")

    @property
    def database(self) -> int:
        """The number of the Redis database."""
        return int(urlsplit(self.url).path.strip("/") or 0)

    @property
    def names(self) -> frozenset[str] | None:
        """The names of the events that go into it; None: all."""
        return frozenset(self.events) or None

    def faults(self) -> Iterator[str]:
        if (fault := self._url_fault()) is not None:
            yield fault
            return
        yield from no_choice("format", self.format, "event", "cloudevents")
        yield from no_choice("begin", self.begin, "oldest", "newest")
        if self.max_length < 0:
            yield f"max_length must be 0 (no limit) or more, not {self.max_length}"
        for name in self.events:
            if not _EVENT.fullmatch(name):
                yield f"events must list names of events, such as messageSent, not {name!r}"
        if self.is_nats:
            if not _SUBJECT.fullmatch(self.subject) or len(self.subject) > 200:
                yield "subject must be words of letters, digits, - and _ with dots between them, such as mailbox"
            if self.stream and not _STREAM.fullmatch(self.stream):
                yield "stream must be the name of a JetStream stream: letters, digits, - and _"
            ways = [self.login != ("", ""), bool(self.token), bool(self.creds)]
            if sum(ways) > 1:
                yield "user and password, token, and creds exclude each other"
        else:
            for key in ("token", "creds"):
                if getattr(self, key):
                    yield f"{key} is for NATS only; Redis takes user and password"
        if self.ca and not self.encrypted:
            yield "ca needs a url that begins with tls:// or rediss://"

    def _url_fault(self) -> str | None:
        """What is wrong with the URL, without repeating it: it may hold a password."""
        try:
            parts = urlsplit(self.url)
            well = parts.scheme in PORTS and bool(parts.hostname) and (parts.port is None or parts.port >= 1)
        except ValueError:
            well = False
        if not well or parts.query or parts.fragment:
            return f"url must be {_HOW}"
        path = parts.path.strip("/")
        if self.is_nats and path:
            return "url must have nothing after the port: key stream names the stream"
        if path and not re.fullmatch("[0-9]{1,4}", path):
            return "url must end with the number of a Redis database, or with the port"
        return None


def read_sinks(tables: Any, where: str, folder: Path) -> dict[str, dict[str, Any]]:
    """The values of each sink in a file, by name; paths are relative to `folder`. Raises `ConfigError`."""
    if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
        raise ConfigError(f"{where}: each sink must be a table with a name, written as [sinks.NAME]")
    found = {
        name: {key: _value(name, key, value, where) for key, value in table.items()} for name, table in tables.items()
    }
    for table in found.values():
        for key in PATHS:
            if table.get(key):
                table[key] = str(folder / table[key])
    return found


def read_variable(key: str, text: str, variable: str) -> tuple[str, str, Any]:
    """Name, key and value of `ENGINE_SINKS__<NAME>__<KEY>`, where `key` is `name__key`. Raises `ConfigError`."""
    name, _, last = key.partition("__")
    hints = _hints()
    if last not in hints:
        raise ConfigError(f"{variable}: must be ENGINE_SINKS__<NAME>__<KEY>; the keys are {', '.join(hints)}")
    return name, last, _value(name, last, read_text(hints[last], text), variable)


def made(tables: dict[str, dict[str, Any]]) -> dict[str, SinkConfig]:
    """The sinks, checked. Raises `ConfigError`."""
    sinks = {name: msgspec.convert(table, SinkConfig) for name, table in tables.items()}
    for name, sink in sinks.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(f"sinks.{name}: the name of a sink is small letters, digits, - and _, 64 at most")
        for fault in sink.faults():
            raise ConfigError(f"sinks.{name}.{fault}")
    return sinks


def _hints() -> dict[str, Any]:
    return get_type_hints(SinkConfig, include_extras=True)


def _value(name: str, key: str, value: Any, where: str) -> Any:
    hints = _hints()
    if key not in hints:
        raise ConfigError(f"{where}: unknown key sinks.{name}.{key}; the keys of a sink are {', '.join(hints)}")
    try:
        return read(hints[key], value)
    except ValueError as error:
        raise ConfigError(f"{where}: sinks.{name}.{key} {error}, not a {type(value).__name__}") from error
