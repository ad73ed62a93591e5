"""The checks of `engine doctor`, before, during or after a run of the engine.

Each check is a small function of the configuration that returns a `Finding`: in order, or what is wrong and what to do
about it. Nothing is changed, made or repaired: a folder that is not there yet is in order, and the journal of a stopped
engine is read without SQLite's help files appearing beside it. A wrong configuration ends the examination early, since
everything else depends on it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from engine import installed_packages
from engine.commands.client import healthy
from engine.commands.target import EngineTarget
from engine.config import Config
from engine.edge.certificate import Certificate
from engine.edge.listener import opened, privileged_port
from engine.errors import ConfigError, NoFile
from engine.isotime import iso
from engine.repeated_errors import counted, spoken
from engine.sink_config import PREFIX as SINK_PREFIX
from engine.store import consumers, database, events, files, sealed, vault_keys
from engine.store.disk_reserve import LEAST_FREE
from engine.store.migrations import MIGRATIONS
from engine.world import World

PYTHON = (3, 11)
HEALTH_TIMEOUT = 3.0  # seconds
SHOWN = 5
"""Maximum accounts, or apps, that a finding names."""
DAY = 86_400.0  # seconds
SINK_LATE = 300.0
"""Seconds after which an event that a sink has not published is reported."""
SECRETS_SOON = 30 * DAY
RENEWED_BY, RENEWED_LATE = 30 * DAY, 7 * DAY
"""How long before its end a certificate is usually renewed, and when that becomes urgent."""

_HOW_TO_MAKE_ONE = (
    "Create one with: printf '[store]\\npath = \"/var/lib/mailbox-engine\"\\n' > {file} (an empty file is enough; "
    "config.toml in the source shows every key and its default)"
)

_ANOTHER = "name its folder with ENGINE_STORE__PATH or --config, or change http.port"


class Finding(msgspec.Struct, frozen=True):
    """The outcome of one check. `text` says what was found and, if that is bad, what to do."""

    ok: bool
    subject: str
    text: str

    @property
    def line(self) -> str:
        """As it is printed."""
        return f"{'ok ' if self.ok else 'BAD'}  {self.subject}: {self.text}"


def examine(find: Callable[[], EngineTarget]) -> list[Finding]:
    """Every check's finding, in a fixed order; only the first ones when the configuration is wrong.

    `find` says on which folder, with which configuration. Raises `ConfigError` then.
    """
    findings = [python(), packages()]
    try:
        target = find()
    except NoFile as error:
        return [*findings, Finding(False, "config", f"{error}. {_HOW_TO_MAKE_ONE.format(file=error.file)}")]
    except ConfigError as error:
        return [*findings, Finding(False, "config", f"{error}: correct it")]
    where = f"{target.folder} ({target.why})"
    file = f"{target.file}" if target.file else "no file, so the defaults apply"
    findings.append(Finding(True, "config", f"{file}; data folder {where}"))
    return findings + [check(target.config) for check in CHECKS]


def python() -> Finding:
    """Is the interpreter new enough?"""
    text = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < PYTHON:
        return Finding(False, "python", f"{text}: install Python {'.'.join(map(str, PYTHON))} or newer")
    return Finding(True, "python", text)


def packages() -> Finding:
    """Is every package there, in a version the engine is made for?"""
    found = installed_packages.look()
    if found.wrong:
        return Finding(False, "packages", f"{'; '.join(found.wrong)}: {installed_packages.WAY_OUT}")
    return Finding(True, "packages", ", ".join(found.right))


def data_folder(config: Config) -> Finding:
    """Can the data folder be written, and is there room?"""
    folder = Path(config.store.path).absolute()
    present = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not present.is_dir():
        return Finding(False, "data folder", f"{present} is not a folder: move it or change store.path")
    if not os.access(present, os.W_OK | os.X_OK):
        return Finding(
            False, "data folder", f"{present} cannot be written: give it to the user that the engine runs as"
        )
    free = shutil.disk_usage(present).free
    room = f"{free // 1024**2} MiB free"
    if free < LEAST_FREE:
        return Finding(False, "data folder", f"{folder}, only {room}: free at least {LEAST_FREE // 1024**2} MiB")
    if present != folder:
        return Finding(True, "data folder", f"{folder} will be created at the first start, {room}")
    return Finding(True, "data folder", f"{folder}, {room}")


def modes(config: Config) -> Finding:
    """Is everything in the data folder the user's own, and closed to others?"""
    folder = Path(config.store.path)
    try:
        found = list(files.faults(folder, spooled=True))
    except ConfigError as error:
        return Finding(False, "files", f"{error}: run this as the user that the engine runs as")
    if not found:
        return Finding(True, "files", "all belong to one user and are closed to others")
    first = found[0]
    what = first.text if first.mode is None else f"{first.text}: the next start corrects that"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Finding(False, "files", f"{what}{more}")


def lock(config: Config) -> Finding:
    """Is an engine running on the folder? Both answers are in order."""
    folder = Path(config.store.path)
    try:
        owner = database.owner(folder)
    except OSError as error:
        return Finding(
            False, "lock", f"{error.filename}: {error.strerror}: run this as the user that the engine runs as"
        )
    if owner is None:
        return Finding(True, "lock", "no engine is running on this folder")
    return Finding(True, "lock", f"an engine is running on this folder (pid {owner or 'unknown'})")


def journal(config: Config) -> Finding:
    """Can the journal be opened, and is it whole?"""
    folder = Path(config.store.path)
    file = folder / database.FILE
    try:
        database.check_present(folder)
        if not file.exists():
            return Finding(True, "journal", f"{file} will be created at the first start")
        if not database.in_use(folder):
            database.check_log(folder)
        with _reading(folder) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            rows = [str(row[0]) for row in db.execute("PRAGMA quick_check(1)")]
    except ConfigError as error:
        return Finding(False, "journal", str(error))
    except (sqlite3.Error, OSError) as error:
        return Finding(False, "journal", f"{file} cannot be read ({error}): check its owner, or restore a backup")
    if rows != ["ok"]:
        damage = " ".join(rows[0].split())
        return Finding(False, "journal", f"{file} is damaged ({damage}): stop the engine and restore a backup")
    if version > len(MIGRATIONS):
        return Finding(False, "journal", f"{file} was written by a newer engine (schema {version}): install that one")
    return Finding(True, "journal", f"{file} is whole, schema {version}")


def key(config: Config) -> Finding:
    """Is the key that seals passwords there, for the owner's eyes only, and 32 bytes long?"""
    folder = Path(config.store.path)
    file = vault_keys.file_of(folder, config.store)
    try:
        needed = _needed(folder)
        if file is not None and not config.store.key_file and not needed and not file.exists():
            return Finding(True, "key", f"{file} will be created at the first start")
        found = vault_keys.load(folder, config.store, World(), needed)
        mode = None if file is None else file.stat().st_mode & 0o777
    except ConfigError as error:
        return Finding(False, "key", f"{error}: restore it from a backup, or correct the setting")
    except OSError as error:
        return Finding(False, "key", f"{file}: {error.strerror}: run this as the user that the engine runs as")
    if mode is not None and mode & 0o177:
        return Finding(False, "key", f"{file} has mode {mode:04o}, others may read it: chmod 600 {file}")
    text = "32 bytes, from store.key" if mode is None else f"{file}, 32 bytes, mode {mode:04o}"
    if found.following is not None:
        text += f"; another one, in {folder / files.NEXT_KEY}, will replace it"
    return Finding(True, "key", text)


def port(config: Config) -> Finding:
    """Is the port free, or is it an engine that answers on it?"""
    host, number = config.http.host, config.http.port
    where = f"{host} port {number}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EACCES:
            return Finding(False, "port", f"http.port {number} {privileged_port()}")
        if error.errno != errno.EADDRINUSE:
            return Finding(False, "port", f"{where} cannot be used ({error.strerror}): change http.host or http.port")
        if healthy(config.http, HEALTH_TIMEOUT):
            if database.in_use(Path(config.store.path)):
                return Finding(True, "port", f"{where}, where an engine answers")
            return Finding(
                False,
                "port",
                f"{where}: an engine with another data folder answers there: {_ANOTHER}, see: engine where",
            )
        return Finding(False, "port", f"{where} is in use by another program: stop it or change http.port")
    return Finding(True, "port", "a free one will be chosen" if number == 0 else f"{where} is free")


def smtp_door(config: Config) -> Finding:
    """Can the SMTP door listen where it should, with its certificate, or does it?"""
    name, door = "smtp door", config.msa
    if not door.enabled:
        return Finding(True, name, "off; msa.enabled opens it")
    if door.cert:
        found = _certificate(name, "msa", door.cert, door.key)
        if not found.ok:
            return found
    runs = database.in_use(Path(config.store.path))
    for key, number in (("port", door.port), ("tls_port", door.tls_port)):
        if not number:
            continue
        if runs:
            if not _answers(door.host, number):
                text = f"the engine runs, but nothing answers on {door.host} port {number}: restart it"
                return Finding(False, name, text)
            continue
        try:
            opened(door.host, number, f"msa.{key}").close()
        except ConfigError as error:
            return Finding(False, name, f"{error}: change msa.host or msa.{key}")
    ports = f"port {door.port}" + (f" and {door.tls_port}" if door.tls_port else "")
    tls = f"with TLS, {found.text}" if door.cert else "without TLS, so that only programs on this machine can log in"
    if door.cert or not door.clear_text_login:
        return Finding(True, name, f"{door.host} {ports}, {tls}")
    return Finding(True, name, f"{door.host} {ports}, without TLS: passwords cross the network in clear text")


def https(config: Config) -> Finding:
    """Can the API's certificate be used, and for how long?"""
    if not config.http.cert:
        return Finding(True, "https", "off: a reverse proxy or http.cert adds TLS; see docs/operate.md")
    return _certificate("https", "http", config.http.cert, config.http.key)


def _certificate(name: str, section: str, cert: str, key: str) -> Finding:
    world = World()
    try:
        ends = Certificate(section, section, cert, key, world).ends
    except ConfigError as error:
        return Finding(False, name, f"{error}: correct it, or run this as the user that the engine runs as")
    left = ends - world.now()
    text = f"{cert} ends on {iso(ends)[:10]}"
    if left >= RENEWED_BY:
        return Finding(True, name, text)
    days = counted(int(left // DAY), "day")
    text = f"{text}, in {days}: renew it; the engine reads the new files by itself"
    return Finding(left >= RENEWED_LATE, name, text)


def _answers(host: str, number: int) -> bool:
    try:
        socket.create_connection((host, number), HEALTH_TIMEOUT).close()
    except OSError:
        return False
    return True


def client_secrets(config: Config) -> Finding:
    """Does a client secret of an OAuth2 app expire soon?"""
    name = "client secrets"
    try:
        if not (Path(config.store.path) / database.FILE).exists():
            return Finding(True, name, "there is no OAuth2 app yet")
        with _reading(Path(config.store.path)) as db:
            rows = db.execute("SELECT id, secret_expires, record FROM oauth_app ORDER BY secret_expires").fetchall()
    except (sqlite3.Error, OSError):
        # A journal of an earlier version has no apps; one that cannot be read is another check's finding.
        return Finding(True, name, "there is no OAuth2 app yet")
    now = World().now()
    soon = [
        f"that of {_app_name(app, record)} (PUT /v1/oauth2/{app}) "
        f"{'has expired' if expires <= now else f'expires on {iso(expires)[:10]}'}"
        for app, expires, record in rows
        if expires is not None and expires - now < SECRETS_SOON
    ]
    if soon:
        more = f", and {len(soon) - SHOWN} more" if len(soon) > SHOWN else ""
        text = f"{', '.join(soon[:SHOWN])}{more}: make a new one at the provider of each and set it there"
        return Finding(False, name, text)
    return Finding(True, name, f"none of {len(rows)} expires within 30 days" if rows else "there is no OAuth2 app yet")


def _app_name(app: str, record: bytes) -> str:
    try:
        name = msgspec.json.decode(record, type=dict[str, object]).get("name")
    except msgspec.DecodeError:
        name = None
    return name if isinstance(name, str) and name else app


def sign_ins(config: Config) -> Finding:
    """Must the owner of a mailbox sign in again, or was the app removed that an account signs in through?"""
    name = "sign-ins"
    try:
        if not (Path(config.store.path) / database.FILE).exists():
            return Finding(True, name, "no account signs in with OAuth2 yet")
        with _reading(Path(config.store.path)) as db:
            rows = db.execute(
                "SELECT account, gone IS NOT NULL, app IN (SELECT id FROM oauth_app) FROM oauth_grant ORDER BY account"
            ).fetchall()
    except (sqlite3.Error, OSError):
        return Finding(True, name, "no account signs in with OAuth2 yet")
    gone = [account for account, is_gone, _ in rows if is_gone]
    if gone:
        text = f"{_some(gone)} must sign in again: reauthUrl of lastError in GET /v1/account/{gone[0]} leads there"
        return Finding(False, name, text)
    left = [account for account, _, has_app in rows if not has_app]
    if left:
        return Finding(False, name, f"the OAuth2 app of {_some(left)} was removed: have them sign in through another")
    return Finding(True, name, f"all of {len(rows)} are good" if rows else "no account signs in with OAuth2 yet")


def gateways(config: Config) -> Finding:
    """Is there a gateway through which nothing can be sent, or one that was removed while messages wait for it?"""
    name, none = "gateways", "there is no gateway yet"
    try:
        if not (Path(config.store.path) / database.FILE).exists():
            return Finding(True, name, none)
        with _reading(Path(config.store.path)) as db:
            rows = db.execute("SELECT id, last_error FROM gateway ORDER BY id").fetchall()
            lost = db.execute(
                "SELECT gateway, count(*) FROM message WHERE ended IS NULL AND gateway IS NOT NULL "
                "AND gateway NOT IN (SELECT id FROM gateway) GROUP BY gateway ORDER BY gateway"
            ).fetchall()
    except (sqlite3.Error, OSError):
        return Finding(True, name, none)
    if lost:
        gateway, count = lost[0]
        text = f"{gateway} was removed, and {count} messages wait for it: create it again with POST /v1/gateway"
        return Finding(False, name, text)
    broken = [(gateway, msgspec.json.decode(error)) for gateway, error in rows if error is not None]
    if broken:
        gateway, error = broken[0]
        text = f"nothing can be sent through {gateway}: {error.get('description') or error['response']}"
        return Finding(False, name, text)
    return Finding(True, name, f"all of {len(rows)} are good" if rows else none)


def sinks(config: Config) -> Finding:
    """Does every sink publish the events?"""
    name = "sinks"
    if not config.sinks:
        return Finding(True, name, "there is none; docs/grow.md tells how to feed a broker")
    for key, sink in config.sinks.items():
        for option in ("creds", "ca"):
            file = getattr(sink, option)
            if file and not os.access(file, os.R_OK):
                return Finding(False, name, f"sinks.{key}.{option}: {file} cannot be read: correct it")
    try:
        positions = _sink_positions(Path(config.store.path), list(config.sinks))
    except (sqlite3.Error, OSError):
        positions = {}
    late = {key: found for key, found in positions.items() if found.seconds > SINK_LATE}
    if late:
        key, found = next(iter(late.items()))
        state = "the log says why" if database.in_use(Path(config.store.path)) else "no engine is running"
        text = f"{key} is {counted(found.events, 'event')} behind, the oldest is {spoken(found.seconds)} old: {state}"
        return Finding(False, name, text)
    told = [f"{key} is {counted(positions[key].events, 'event')} behind" for key in config.sinks if key in positions]
    told += [f"{key} has not begun" for key in config.sinks if key not in positions]
    return Finding(True, name, ", ".join(told))


class _Behind(msgspec.Struct, frozen=True):
    events: int
    seconds: float


def _sink_positions(folder: Path, names: list[str]) -> dict[str, _Behind]:
    """How far each sink that has begun is behind. Raises sqlite3.Error, OSError."""
    if not (folder / database.FILE).exists():
        return {}
    now, found = World().now(), {}
    with _reading(folder) as db:
        _, last = events.bounds(db)
        for name in names:
            consumer = consumers.find(db, "", SINK_PREFIX + name)
            if consumer is not None:
                since = events.created_after(db, consumer.seq)
                found[name] = _Behind(max(0, last - consumer.seq), 0.0 if since is None else max(0.0, now - since))
    return found


def _some(accounts: list[str]) -> str:
    more = f" and {len(accounts) - SHOWN} more" if len(accounts) > SHOWN else ""
    return f"{'account' if len(accounts) == 1 else 'accounts'} {', '.join(accounts[:SHOWN])}{more}"


CHECKS: tuple[Callable[[Config], Finding], ...] = (
    data_folder,
    modes,
    lock,
    journal,
    key,
    port,
    https,
    smtp_door,
    client_secrets,
    sign_ins,
    gateways,
    sinks,
)


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """The journal, open for reading, with nothing new in its folder. Raises sqlite3.Error, OSError."""
    file = folder / database.FILE
    log = folder / f"{database.FILE}-wal"
    if database.in_use(folder):
        with contextlib.closing(database.open_reader(folder)) as db:
            yield db
    elif log.exists() and log.stat().st_size:
        # After a crash the log holds commits the file lacks. Reading it in place would begin the recovery.
        with tempfile.TemporaryDirectory() as copy:
            shutil.copyfile(file, Path(copy) / file.name)
            shutil.copyfile(log, Path(copy) / log.name)
            with contextlib.closing(database.open_reader(Path(copy))) as db:
                yield db
    else:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", uri=True)) as db:
            yield db


def _needed(folder: Path) -> set[str]:
    """Which keys the journal needs; none when it cannot be read, which is another check's finding."""
    try:
        if not (folder / database.FILE).exists():
            return set()
        with _reading(folder) as db:
            return sealed.key_ids(db)
    except (sqlite3.Error, OSError, ValueError):
        return set()
