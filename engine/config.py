"""The configuration: `config.toml` plus `ENGINE_<SECTION>__<KEY>` overrides, checked once, frozen.

Every key has a default here; `config.toml` in the repository shows them all with their units. An unknown section or
key, or a value of the wrong type, is a `ConfigError` whose text is one line that names the key and its origin; so is a
mistyped name in the environment (`environment.py`). A relative path, the default one included, is relative to the
folder of its file; in the environment, or without a file, to the current folder.

Sinks are tables with names of their own (`sink_config.py`).

Units: a duration is a number of seconds or a text such as `250ms`, `10s`, `5m`, `1h`, `2d`; a size is a number of bytes
or a text such as `64KiB`, `50MiB`. In the environment a list is separated by spaces.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from engine import sink_config
from engine.config_values import Bytes, Seconds, Section, no_choice, read, read_text, too_small
from engine.environment import KEY, refuse_near_misses
from engine.errors import ConfigError, NoFile
from engine.sink_config import SinkConfig

DEFAULT_SCHEDULE = (10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 172800.0)

_MOVED = {("webhooks", "allow_private"): ("network", "allow_private")}
"""Keys that have moved, by their old names: an older configuration still works."""

PATHS = (
    ("store", "path"),
    ("store", "key_file"),
    ("http", "cert"),
    ("http", "key"),
    ("msa", "cert"),
    ("msa", "key"),
)

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS = {("http", "80"), ("https", "443")}
_HOST_NAME = re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*")


class Http(Section, frozen=True):
    """`[http]`: where the API listens and what it accepts."""

    host: str = "127.0.0.1"
    port: int = 3000
    cert: str = ""
    key: str = ""
    max_body: Bytes = 50 * 1024**2
    max_members: int = 250_000
    bodies: Bytes = 1024**3
    keep_alive: Seconds = 65.0
    body_timeout: Seconds = 60.0
    write_timeout: Seconds = 50.0
    slowest: Bytes = 512
    websocket_ping: Seconds = 25.0
    streams: int = 1000
    streams_per_token: int = 500
    requests_per_token: int = 1000
    consumers: int = 250
    proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    cors_max_age: Seconds = 60.0

    def faults(self) -> Iterator[str]:
        if not 0 <= self.port <= 65535:
            yield f"port must be between 0 and 65535, not {self.port}"
        if bool(self.cert) != bool(self.key):
            yield "cert and http.key must be set together"
        yield from _no_networks("proxies", self.proxies, strict=True)
        yield from _no_origins("cors_origins", self.cors_origins)
        yield from too_small(self, "streams", "max_members", "bodies", "streams_per_token", "requests_per_token")


class StoreConfig(Section, frozen=True):
    """`[store]`: the data folder and the key that seals secrets."""

    path: str = "data"
    key: str = ""
    key_file: str = ""
    spool_above: Bytes = 256 * 1024
    reserve: Bytes = 16 * 1024**2

    def faults(self) -> Iterator[str]:
        if self.key and self.key_file:
            yield "key and store.key_file cannot both be set"


class Retry(Section, frozen=True):
    """`[retry]`: when the engine tries again to send a message."""

    schedule: tuple[Seconds, ...] = DEFAULT_SCHEDULE
    attempts: int = 10
    jitter: float = 0.1

    def faults(self) -> Iterator[str]:
        if not self.schedule:
            yield "schedule must name at least one duration"
        if not 1 <= self.attempts <= 1000:
            yield f"attempts must be between 1 and 1000, not {self.attempts}"
        if not 0 <= self.jitter <= 0.5:
            yield f"jitter must be between 0 and 0.5, not {self.jitter}"


class Queue(Section, frozen=True):
    """`[queue]`: the defaults for messages that do not say otherwise."""

    on_doubt: str = "resend"

    def faults(self) -> Iterator[str]:
        yield from no_choice("on_doubt", self.on_doubt, "resend", "hold", "fail")


class Smtp(Section, frozen=True):
    """`[smtp]`: sessions with the accounts' SMTP servers."""

    ehlo_name: str = ""
    sessions: int = 50
    messages_per_session: int = 100
    session_idle: Seconds = 15.0
    connect_timeout: Seconds = 30.0
    greeting_timeout: Seconds = 300.0
    command_timeout: Seconds = 300.0
    data_timeout: Seconds = 120.0
    block_timeout: Seconds = 180.0
    dot_timeout: Seconds = 600.0

    def faults(self) -> Iterator[str]:
        yield from too_small(self, "sessions", "messages_per_session")


class Msa(Section, frozen=True):
    """`[msa]`: the SMTP door, for programs that submit mail by SMTP."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 2525
    tls_port: int = 0
    cert: str = ""
    key: str = ""
    name: str = ""
    password: str = ""
    require_login: bool = True
    clear_text_login: bool = False
    max_message: Bytes = 25 * 1024**2
    max_recipients: int = 1000
    connections: int = 200
    connections_per_address: int = 50
    timeout: Seconds = 300.0
    login_timeout: Seconds = 60.0
    slowest: Bytes = 512

    def faults(self) -> Iterator[str]:
        for key in ("port", "tls_port"):
            if not 0 <= getattr(self, key) <= 65535:
                yield f"{key} must be between 0 and 65535, not {getattr(self, key)}"
        if bool(self.cert) != bool(self.key):
            yield "cert and msa.key must be set together"
        if self.tls_port and not self.cert:
            yield "tls_port needs msa.cert and msa.key"
        if self.name and not _HOST_NAME.fullmatch(self.name):
            yield f"name must be a host name, not {self.name!r}"
        if not 1 <= self.max_recipients <= 1000:
            yield f"max_recipients must be between 1 and 1000, not {self.max_recipients}"
        yield from too_small(self, "connections", "connections_per_address", "max_message", "timeout", "login_timeout")


class MetricsConfig(Section, frozen=True):
    """`[metrics]`: a port of its own for Prometheus, which needs no token."""

    host: str = "127.0.0.1"
    port: int = 0

    def faults(self) -> Iterator[str]:
        if not 0 <= self.port <= 65535:
            yield f"port must be between 0 and 65535, not {self.port}"


class Imap(Section, frozen=True):
    """`[imap]`: sessions with the accounts' IMAP servers."""

    logins: int = 20
    idle: Seconds = 540.0
    heartbeat: Seconds = 90.0
    compress: bool = False
    reconnect_min: Seconds = 2.0
    reconnect_max: Seconds = 600.0
    give_up_refused: Seconds = 3 * 86_400.0
    copy_schedule: tuple[Seconds, ...] = (10.0, 60.0, 300.0, 900.0, 3600.0)

    def faults(self) -> Iterator[str]:
        yield from too_small(self, "logins")
        if self.heartbeat < 10:
            yield f"heartbeat must be at least 10s, not {self.heartbeat:g}s"


class Network(Section, frozen=True):
    """`[network]`: which addresses webhooks and mail servers may have."""

    allow_private: bool = True
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    mail_ports: tuple[int, ...] = (25, 143, 465, 587, 993, 2525)
    proxy_names: bool = False

    def faults(self) -> Iterator[str]:
        yield from _no_networks("allow", self.allow, strict=False)
        yield from _no_networks("deny", self.deny, strict=False)
        if not all(1 <= port <= 65535 for port in self.mail_ports):
            yield "mail_ports must be between 1 and 65535"


class WebhooksConfig(Section, frozen=True):
    """`[webhooks]`: posting events to their receivers."""

    timeout: Seconds = 15.0
    parallel: int = 10
    endpoints: int = 250
    schedule: tuple[Seconds, ...] = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 21600.0, 43200.0, 86400.0, 86400.0)

    def faults(self) -> Iterator[str]:
        yield from too_small(self, "parallel")


class RetentionConfig(Section, frozen=True):
    """`[retention]`: how long ended messages, events and the audit record are kept; 0 is no limit."""

    messages: Seconds = 30 * 86_400.0
    events: Seconds = 30 * 86_400.0
    audit: Seconds = 365 * 86_400.0
    size: Bytes = 10 * 1024**3


class ExportConfig(Section, frozen=True):
    """`[export]`: how long the files of exports stay, and how much room they may take."""

    keep: Seconds = 86_400.0
    quota: Bytes = 10 * 1024**3
    spare: Bytes = 1024**3


class SandboxConfig(Section, frozen=True):
    """`[sandbox]`: the mail provider inside the engine, for trying things out."""

    enabled: bool = True


class SignOnConfig(Section, frozen=True):
    """`[signon]`: an OpenID Connect provider at which people sign in to the pages, and which role each has."""

    issuer: str = ""
    client_id: str = ""
    client_secret: str = ""
    name: str = ""
    scopes: tuple[str, ...] = ()
    claim: str = "email"
    owners: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()

    def faults(self) -> Iterator[str]:
        if not self.issuer:
            return
        if not self.issuer.startswith(("https://", "http://")):
            yield "issuer must be a URL such as https://id.example.com"
        if not self.client_id:
            yield "client_id must be given with an issuer"
        if not self.claim:
            yield "claim must name a claim, such as email or groups"
        if not (self.owners or self.operators or self.readers):
            yield "owners, operators or readers must say who may sign in at the issuer"


class Shutdown(Section, frozen=True):
    """`[shutdown]`: how long a stop may take."""

    grace: Seconds = 10.0


class Log(Section, frozen=True):
    """`[log]`: what the process writes to standard error."""

    level: str = "info"
    format: str = "text"

    def faults(self) -> Iterator[str]:
        yield from no_choice("level", self.level, "debug", "info", "warning", "error")
        yield from no_choice("format", self.format, "text", "json")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All sections."""

    http: Http = Http()
    store: StoreConfig = StoreConfig()
    retry: Retry = Retry()
    queue: Queue = Queue()
    smtp: Smtp = Smtp()
    msa: Msa = Msa()
    metrics: MetricsConfig = MetricsConfig()
    imap: Imap = Imap()
    network: Network = Network()
    webhooks: WebhooksConfig = WebhooksConfig()
    retention: RetentionConfig = RetentionConfig()
    export: ExportConfig = ExportConfig()
    sandbox: SandboxConfig = SandboxConfig()
    signon: SignOnConfig = SignOnConfig()
    shutdown: Shutdown = Shutdown()
    log: Log = Log()
    sinks: dict[str, SinkConfig] = {}


def load(file: Path | None, environ: Mapping[str, str]) -> Config:
    """Read `file` (None: defaults only), lay the overrides in `environ` over it, check everything.

    Raises `ConfigError` with one line of text.
    """
    refuse_near_misses(environ, _names())
    tables = _read(file) if file is not None else {}
    values: dict[str, dict[str, Any]] = {}
    sinks = sink_config.read_sinks(tables.pop("sinks", {}), f"{file}", file.parent if file is not None else Path())
    for section, table in tables.items():
        _known_section(section, f"{file}")
        if not isinstance(table, dict):
            raise ConfigError(f"{file}: {section} must be a table, written as [{section}]")
        for key, value in table.items():
            home, name = _MOVED.get((section, key), (section, key))
            values.setdefault(home, {})[name] = _value(home, name, value, f"{file}")
    if file is not None:
        _count_from(file.parent, values)
    for name, text in sorted(environ.items()):
        match = KEY.fullmatch(name)
        if match is None:
            continue
        section, key = match[1].lower(), match[2].lower()
        section, key = _MOVED.get((section, key), (section, key))
        if section == "sinks":
            sink, key, value = sink_config.read_variable(key, text, name)
            sinks.setdefault(sink, {})[key] = value
            continue
        _known_section(section, name)
        values.setdefault(section, {})[key] = _value(section, key, _from_env(section, key, text), name)
    config = msgspec.convert(values, Config)
    _check(config)
    return msgspec.structs.replace(config, sinks=sink_config.made(sinks))


def sections(config: Config) -> dict[str, Section]:
    """The tables by name, without those of the sinks."""
    return {name: table for name, table in msgspec.structs.asdict(config).items() if name != "sinks"}


def _count_from(folder: Path, values: dict[str, dict[str, Any]]) -> None:
    """Make the paths in a file, and their defaults, relative to its folder."""
    for section, key in PATHS:
        default = getattr(getattr(Config(), section), key)
        path = values.get(section, {}).get(key, default)
        if path:
            values.setdefault(section, {})[key] = str(folder / path)


def _names() -> dict[str, str]:
    """Each key as `section.key`, by the name of its variable."""
    tables = msgspec.to_builtins(Config())
    return {f"ENGINE_{s.upper()}__{key.upper()}": f"{s}.{key}" for s, table in tables.items() for key in table}


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NoFile(str(file)) from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: is nested too deeply") from error
    except ValueError as error:  # of TOML, of UTF-8, or a number with thousands of digits
        raise ConfigError(f"{file}: is not valid TOML: {error}") from error


def _known_section(section: str, where: str) -> None:
    if section not in Config.__struct_fields__:
        known = ", ".join(Config.__struct_fields__)
        raise ConfigError(f"{where}: unknown section [{section}]; the sections are {known}")


@functools.cache
def _hints(section: str) -> dict[str, Any]:
    return get_type_hints(get_type_hints(Config)[section], include_extras=True)


def _hint(section: str, key: str, where: str) -> Any:
    hints = _hints(section)
    if key not in hints:
        raise ConfigError(f"{where}: unknown key {section}.{key}; the keys of [{section}] are {', '.join(hints)}")
    return hints[key]


def _from_env(section: str, key: str, text: str) -> Any:
    return read_text(_hint(section, key, f"ENGINE_{section.upper()}__{key.upper()}"), text)


def _value(section: str, key: str, value: Any, where: str) -> Any:
    hint = _hint(section, key, where)
    try:
        return read(hint, value)
    except ValueError as error:
        raise ConfigError(f"{where}: {section}.{key} {error}, not {value!r}") from error


def _check(config: Config) -> None:
    for name, section in sections(config).items():
        for fault in section.faults():
            raise ConfigError(f"{name}.{fault}")


def _no_networks(key: str, texts: tuple[str, ...], *, strict: bool) -> Iterator[str]:
    for text in texts:
        try:
            ip_network(text, strict=strict)
        except ValueError as error:
            yield f"{key} must list addresses or networks, not {text!r}: {error}"


def _no_origins(key: str, texts: tuple[str, ...]) -> Iterator[str]:
    """What no browser would send as `Origin` (RFC 6454 section 6.2), and so would never match."""
    for text in texts:
        match = _ORIGIN.fullmatch(text)
        if text == "*":
            if len(texts) > 1:
                yield f'{key} must name no other origin beside "*", which allows all'
        elif match is None:
            yield (
                f"{key} must list origins as browsers send them, such as https://app.example.com: in lower case, "
                f"without a path or a slash at the end, not {text!r}"
            )
        elif match.groups() in _DEFAULT_PORTS:
            yield f"{key} must leave the usual port out, as browsers do, not {text!r}"
