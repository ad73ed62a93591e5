"""What each start of an engine works out anew and always finds the same is worked out once for all simulated engines.

Fourteen hundred tests start one. That they are the same to the bit is what `test_quick_starts.py` holds.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import memory
import pytest

from engine.http import dispatch, operation_view
from engine.store import database

_ONLY_OF_THE_PATH = ("_parts", "_trace", "_converters", "arguments")
"""What Werkzeug finds out about the path of a rule."""


_migrate, _compile = database.migrate, dispatch._Rule.compile
_fields = functools.cache(operation_view._fields)
_known: dict[Any, dict[str, Any]] = {}


@contextmanager
def quick_starts() -> Iterator[None]:
    """Inside, engines in this process start quickly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "migrate", _migrate_quickly)
        patch.setattr(operation_view, "_fields", _fields)
        patch.setattr(dispatch._Rule, "compile", _compile_quickly)
        yield


@contextmanager
def slow_starts() -> Iterator[None]:
    """Inside, they start as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "migrate", _migrate)
        patch.setattr(dispatch._Rule, "compile", _compile)
        yield


@functools.cache
def _migrated() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", check_same_thread=False)
    with memory.folder("journal-") as folder, closing(database._connect(folder, "rwc")) as db:
        _migrate(db, folder)
        db.backup(made)
    return made


def _migrate_quickly(db: sqlite3.Connection, path: Path) -> None:
    """A new journal is a copy of one that all migrations have made."""
    if database._version(db) == 0:
        _migrated().backup(db)
    _migrate(db, path)


def _compile_quickly(rule: Any) -> None:
    """A rule of the same path as one before is compiled to the same."""
    path = (rule.rule, rule.host, rule.subdomain, rule.merge_slashes, rule.map.host_matching)
    if path in _known:
        vars(rule).update(_known[path])
    else:
        _compile(rule)
        _known[path] = {name: getattr(rule, name) for name in _ONLY_OF_THE_PATH}
