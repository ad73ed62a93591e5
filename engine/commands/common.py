"""What the commands share: the configuration, the journal, and where they say what went wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import sqlite3

    from engine.config import Config

T = TypeVar("T")
PROGRAM = "engine"


class Add(Protocol):
    """Adds one command to a group of commands: its name, what it does, the function that runs it, examples."""

    def __call__(
        self,
        group: argparse._SubParsersAction[argparse.ArgumentParser],
        name: str,
        text: str,
        run: Callable[[argparse.Namespace], int],
        epilog: str | None = None,
    ) -> argparse.ArgumentParser: ...


def say(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


def printable(line: str) -> str:
    """`line` without what could move the terminal's cursor or begin a line of its own."""
    return "".join(c if c.isprintable() else "?" for c in line).rstrip()


def config_file(options: argparse.Namespace) -> Path | None:
    """The file given by `--config`, else `config.toml` here if there is one, else None."""
    given: Path | None = options.config
    here = Path("config.toml")
    return given or (here if here.exists() else None)


def load_config(options: argparse.Namespace) -> Config:
    """The configuration this command runs with. Raises `ConfigError`."""
    from engine.config import load

    return load(config_file(options), os.environ)


def data_folder(config: Config) -> Path:
    """The data folder, its files this user's and nobody else's. Raises `ConfigError`."""
    from engine.store import files

    folder = Path(config.store.path)
    files.secure(folder)
    return folder


def has_journal(folder: Path) -> bool:
    """Whether there is one yet. Raises `ConfigError` when there was one and it is gone."""
    from engine.store import database

    database.check_present(folder)
    return (folder / database.FILE).exists()


def with_journal(folder: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` does with a connection that may write. Raises `ConfigError`; `StorageFailed` where SQLite fails."""
    import contextlib
    import sqlite3

    from engine.errors import StorageFailed
    from engine.store import database

    has_journal(folder)
    if not database.in_use(folder):
        database.check_log(folder)
    with contextlib.closing(database.open_writer(folder)) as db:
        try:
            return work(db)
        except sqlite3.Error as error:
            raise StorageFailed(f"{folder / database.FILE}: {error}") from error


def reading(folder: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` finds with a connection that only reads. Raises `StorageFailed` where SQLite fails."""
    import contextlib
    import sqlite3

    from engine.errors import StorageFailed
    from engine.store import database

    try:
        with contextlib.closing(database.open_reader(folder)) as db:
            return work(db)
    except sqlite3.Error as error:
        raise StorageFailed(f"{folder / database.FILE}: {error}") from error


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as they need to be; the last column is as long as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        line = "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]])
        print(printable(line))
