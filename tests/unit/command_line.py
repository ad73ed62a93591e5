"""What the tests of the command line share: how a command ends, and the tokens that it leaves."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from engine import cli
from engine.store import database, tokens
from engine.store.tokens import Token


def ended(*arguments: str) -> object:
    """The exit code of a command that ends the process."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    return caught.value.code


def known(folder: Path) -> list[Token]:
    """All tokens."""
    with contextlib.closing(database.open_reader(folder)) as db:
        return tokens.every(db)
