"""Which engine a command talks to: one rule for all of them, which `engine where` prints.

1. `--config FILE`: the data folder that file names.
2. `ENGINE_CONFIG`, which stands for `--config`, and `ENGINE_STORE__PATH`, which names the folder itself.
3. The running engine that was started in the current folder; one of several must be named.
4. `./config.toml`.
5. The folder `data` here.

As everywhere, a variable `ENGINE_<SECTION>__<KEY>` overrides the file. A missing folder is an error: a new one would
hide that another one was meant. Standard error names any folder but the default, and warns of an engine that answers on
the port of this configuration while none runs on the folder: it works on another one.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from engine.commands.terminal import say, warn
from engine.environment import CONFIG
from engine.errors import ConfigError, EngineError, Fault

if TYPE_CHECKING:
    from engine.config import Config, StoreConfig

T = TypeVar("T")
PATH = "ENGINE_STORE__PATH"
FILE = "config.toml"
RULES = (
    "--config FILE",
    f"{CONFIG} or {PATH} in the environment",
    "the running engine that was started in this folder",
    f"./{FILE}",
    "./data",
)
CONTROL_PATIENCE = 10.0
"""The maximum seconds for an engine to say what it is; one that starts on a large journal takes a while."""


class NotThere(EngineError):
    """There is no data folder, or no journal in it."""

    fault = Fault.CALLER


class EngineTarget(msgspec.Struct, frozen=True):
    """The data folder a command works on, and the engine on it.

    `rule` counts from 1, as in `RULES`; `pid` is None where no engine runs; `about` is what that engine says about
    itself, None where it says nothing.
    """

    folder: Path
    config: Config
    file: Path | None
    rule: int
    pid: str | None
    about: dict[str, Any] | None

    @property
    def why(self) -> str:
        """How it was chosen."""
        if self.rule == 2 and PATH not in os.environ:
            return f"{CONFIG}={self.file}"
        given = f"--config {self.file}" if self.rule == 1 else RULES[self.rule - 1]
        if PATH in os.environ and self.rule in (1, 2):
            return PATH if self.rule == 2 else f"{PATH}, which overrides {given}"
        return given

    @property
    def store(self) -> StoreConfig:
        """The `[store]` that applies: that of the running engine, except for a key that is given here."""
        from engine.config import StoreConfig

        if self.about is None:
            return self.config.store
        running = msgspec.convert(self.about["settings"]["store"], StoreConfig, strict=False)
        given = self.config.store
        if given.key or given.key_file:
            return msgspec.structs.replace(running, key=given.key, key_file=given.key_file)
        return running

    @property
    def key_is_in_configuration(self) -> bool:
        """Whether the key is in `store.key` of the engine, and so in no file."""
        return bool(self.store.key or (self.about or {}).get("keyIsInConfiguration"))

    @property
    def journal(self) -> Path:
        """Where the journal is."""
        from engine.store import database

        return self.folder / database.FILE

    def has_journal(self) -> bool:
        """Whether there is one yet. Raises `ConfigError` if there was one that is missing now."""
        from engine.store import database

        database.check_present(self.folder)
        return self.journal.exists()

    def writing(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` does with a connection that may write. Raises `ConfigError`, `StorageFailed` of SQLite."""
        import contextlib

        from engine.errors import StorageFailed
        from engine.store import database

        database.check_present(self.folder)
        if not database.in_use(self.folder):
            database.check_log(self.folder)
        with contextlib.closing(database.open_writer(self.folder)) as db:
            try:
                return work(db)
            except sqlite3.Error as error:
                raise StorageFailed(f"{self.journal}: {error}") from error

    def reading(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds with a connection that only reads. Raises `StorageFailed` where SQLite fails."""
        import contextlib

        from engine.errors import StorageFailed
        from engine.store import database

        try:
            with contextlib.closing(database.open_reader(self.folder)) as db:
                return work(db)
        except sqlite3.Error as error:
            raise StorageFailed(f"{self.journal}: {error}") from error


def chosen(options: argparse.Namespace, *, new: bool = False) -> EngineTarget:
    """The target of a command; its files belong to this user alone. `new`: it need not have a journal yet.

    Says on standard error which it is. Raises `ConfigError`, `NotThere`.
    """
    from engine.store import files

    target = find(options)
    files.secure(target.folder)
    if not new and not target.has_journal():
        what = "no engine has run on it yet" if target.folder.is_dir() else "there is no such folder"
        near = [str(each.parent) for each in target.folder.glob("*/journal.db")]
        hint = f"; {near[0]} has a journal" if near else ""
        raise NotThere(
            f"data folder {target.folder} ({target.why}): {what}{hint}. Name another one with --config FILE or "
            f"{PATH}, or "
            "start the engine with: engine serve; see: engine where"
        )
    announce(options, target)
    return target


def find(options: argparse.Namespace) -> EngineTarget:
    """The target by the rule above. It changes nothing and does not check who owns the folder.

    Raises `ConfigError`.
    """
    from engine.config import Config, StoreConfig, load
    from engine.store import control_socket

    file, rule = config_file(options), _rule_of(options)
    if rule > 2:
        ours, others = control_socket.started_here(Path.cwd())
        if len(ours) > 1:
            names = ", ".join(map(str, ours))
            raise ConfigError(
                f"several engines that were started in this folder are running: name one with {PATH}; they run on "
                f"{names}"
            )
        for other in others:
            warn(f"another user started an engine in this folder, on {other}: run this as that user to reach it")
        if ours:
            about = _asked(ours[0])
            config = Config(store=StoreConfig(path=str(ours[0])))
            if about is not None:
                config = msgspec.convert(about["settings"], Config, strict=False)
            started_with = None if about is None or about["config"] is None else Path(about["config"])
            return EngineTarget(ours[0], config, started_with, 3, _pid(ours[0]), about)
    config = load(file, os.environ)
    refuse_left_behind(file, config)
    folder = Path(config.store.path).absolute()
    if ".." in folder.parts:
        folder = folder.resolve()
    pid = _pid(folder)
    return EngineTarget(folder, config, file, rule, pid, None if pid is None else _asked(folder))


def config_file(options: argparse.Namespace) -> Path | None:
    """The file given by `--config`, else by `ENGINE_CONFIG`, else `config.toml` here if there is one, else None."""
    given: Path | None = options.config
    if given is None and os.environ.get(CONFIG):
        given = Path(os.environ[CONFIG])
    here = Path(FILE)
    return given or (here if here.exists() else None)


def refuse_left_behind(file: Path | None, config: Config) -> None:
    """Refuse a relative `store.path` that earlier versions took from the current folder, where its journal still is.

    Raises `ConfigError`.
    """
    from engine.store import database

    if file is None or PATH in os.environ or file.parent.absolute() == Path.cwd():
        return
    folder = Path(config.store.path)
    if not folder.is_relative_to(file.parent) or (folder / database.FILE).exists():
        return
    old = folder.relative_to(file.parent)
    if not old.is_absolute() and (old / database.FILE).exists():
        raise ConfigError(
            f"{file}: store.path {str(old)!r} is relative to the folder of this file, where there is no journal; there "
            "is one relative to the current folder, as in earlier versions. Set in the file: path = "
            f"{str(old.absolute())!r}"
        )


def announce(options: argparse.Namespace, target: EngineTarget) -> None:
    """Print which folder a command works on where it is not the default, and warn of another engine."""
    if not options.quiet and target.folder != Path.cwd() / "data":
        engine = f"engine with pid {target.pid or 'unknown'}" if target.pid is not None else "no engine runs on it"
        say(f"engine: data folder {target.folder} ({engine}; chosen by {target.why})")
    if (stranger := stranger_of(target)) is not None:
        warn(f"{stranger}; no engine runs on {target.folder}, which this command works on; see: engine where")


def stranger_of(target: EngineTarget) -> str | None:
    """The engine of another folder that answers on the port this configuration names, in words; None without one."""
    from engine.commands.client import healthy

    http = target.config.http
    if target.pid is None and http.port and healthy(http):
        return f"an engine with another data folder answers on {http.host} port {http.port}"
    return None


def _rule_of(options: argparse.Namespace) -> int:
    if options.config is not None:
        return 1
    if os.environ.get(CONFIG) or os.environ.get(PATH):
        return 2
    return 4 if Path(FILE).exists() else 5


def _pid(folder: Path) -> str | None:
    from engine.store import database

    try:
        return database.owner(folder)
    except OSError:
        return None  # `files.faults` says why


def _asked(folder: Path) -> dict[str, Any] | None:
    """What the engine on `folder` says about itself; None where it has no control socket."""
    from engine.commands.client import ask_about

    return ask_about(folder, CONTROL_PATIENCE)
