"""The change of the key killed at exactly the Nth call: every secret opens, and what is left is done."""

from __future__ import annotations

import contextlib
import subprocess

import pytest
from real.engine_process import EngineProcess

from engine.config import StoreConfig
from engine.store import database, sealed, vault_keys
from engine.store.vault import key_id
from engine.world import World
from torture.test_kill_points import killed_at

pytestmark = pytest.mark.process

SECRET = "hunter2"


def register(engine: EngineProcess) -> None:
    smtp = {"host": "127.0.0.1", "port": 9, "auth": {"user": "jane", "pass": SECRET}}
    assert engine.request("POST", "/v1/account", {"account": "jane", "name": "Jane", "smtp": smtp}).status == 200


def opened(engine: EngineProcess) -> str:
    """The secret, as a start would open it now."""
    with contextlib.closing(database.open_reader(engine.folder)) as db:
        (record,) = db.execute("SELECT json_extract(CAST(record AS TEXT), '$.smtp.auth.pass') FROM account").fetchone()
        found = vault_keys.load(engine.folder, StoreConfig(), World(), sealed.key_ids(db))
    return found.vault(World()).open("jane", "smtp.pass", record)


def assert_done(engine: EngineProcess, before: bytes) -> None:
    now = vault_keys.read(engine.folder / "key")
    assert now != before
    assert vault_keys.offered(engine.folder) is None
    with contextlib.closing(database.open_reader(engine.folder)) as db:
        assert sealed.key_ids(db) == {key_id(now)}
    assert opened(engine) == SECRET


def test_the_command_is_killed_at_each_step(engine: EngineProcess) -> None:
    register(engine)
    engine.terminate()
    died = 0
    for call, number in (
        ("link", 1),
        ("fsync", 3),
        ("fdatasync", 1),
        ("rename", 1),
        ("unlink", 2),
    ):
        before = vault_keys.read(engine.folder / "key")
        try:
            engine.command("vault", "rotate", under=killed_at(call, number))
        except subprocess.CalledProcessError:
            died += 1
        assert opened(engine) == SECRET, (call, number)
        if vault_keys.read(engine.folder / "key") == before or vault_keys.offered(engine.folder) is not None:
            engine.command("vault", "rotate")
        assert_done(engine, before)
    assert died >= 4, "the kills did not hit"
    engine.start()


def test_the_engine_is_killed_in_it_and_the_command_goes_on(engine: EngineProcess) -> None:
    register(engine)
    before = vault_keys.read(engine.folder / "key")
    engine.kill9()
    engine.start(under=killed_at("rename", 1))
    engine.command("vault", "rotate")
    assert not engine.running
    assert_done(engine, before)
    engine.kill9()
    engine.start()
