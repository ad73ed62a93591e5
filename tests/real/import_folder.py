"""The data folder that an import goes to, and the command that imports, run in this process."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from real.emailengine_data import SECRET
from real.redis_server import RedisServer

from engine import cli
from engine.accounts import registration
from engine.model.registration import Registration
from engine.oauth import grant
from engine.oauth.grant import Grant
from engine.store import accounts, database, grants, vault_keys
from engine.store.vault import Vault
from engine.world import World


class Folder:
    """The folder, and what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, work: Callable[[Any], Any]) -> Any:
        """What `work` finds in the journal."""
        with contextlib.closing(database.open_reader(self.path)) as db:
            return work(db)

    @property
    def vault(self) -> Vault:
        """What opens its secrets."""
        return Vault(vault_keys.read(self.path / "key"), World())

    def registration(self, account: str) -> Registration:
        """A registration with its secrets."""
        return registration.unseal(self.read(lambda db: accounts.get(db, account)).record, self.vault)

    def grant(self, account: str) -> Grant:
        """The OAuth2 tokens of an account."""
        return grant.opened(self.read(lambda db: grants.get(db, account)), self.vault)

    def names(self) -> list[str]:
        """The accounts."""
        return sorted(self.read(accounts.ids))


class Done(NamedTuple):
    """How the command ended. `items` has what `--json` printed, by kind and id."""

    code: int
    output: str
    said: str

    @property
    def items(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(each["kind"], each["id"]): each for each in map(json.loads, self.output.splitlines())}

    def result(self, kind: str, id: str) -> tuple[str, str | None]:
        """What became of one record, and why."""
        item = self.items[kind, id]
        return item["result"], item["reason"]


class ImportCommand:
    """`engine import emailengine` from one Redis into one folder."""

    def __init__(
        self,
        redis: RedisServer,
        folder: Folder,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self._redis = redis
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.setenv("ENGINE_STORE__PATH", str(folder.path))

    def __call__(self, *arguments: str, secret: str | None = SECRET, url: str | None = None) -> Done:
        """Run it; `secret` is in the environment."""
        if secret is None:
            self._monkeypatch.delenv("EENGINE_SECRET", raising=False)
        else:
            self._monkeypatch.setenv("EENGINE_SECRET", secret)
        self._capsys.readouterr()
        # A command changes that of its process.
        mask = os.umask(0o077)
        try:
            with warnings.catch_warnings():
                # Where a connection fails, coredis leaves its streams to the garbage collection, which complains.
                warnings.simplefilter("ignore", ResourceWarning)
                code = cli.main(["import", "emailengine", "--redis", url or self._redis.url, "--json", *arguments])
                gc.collect()
        finally:
            os.umask(mask)
        return Done(code, *self._capsys.readouterr())
