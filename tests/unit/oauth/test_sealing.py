"""Secrets of apps and grants: sealed on disk, sealed again with another key, and what a lost key leaves."""

from __future__ import annotations

from pathlib import Path

import msgspec
from keeping import APP, KEY, SlowDisk, desk, provider
from trio.testing import MockClock

from engine.oauth import grant as grants
from engine.oauth.app_book import AppBook
from engine.store import grants as rows
from engine.store import sealed
from engine.store.rotation import seal_anew
from engine.store.vault import Vault, key_id

NEW = b"n" * 32


async def test_another_key_seals_apps_and_grants_too(
    tmp_path: Path, autojump_clock: MockClock, engine_errors: list[object]
) -> None:
    world = SlowDisk(1)
    async with provider(world) as sandbox, desk(tmp_path / "data", world, sandbox) as at:
        app = msgspec.structs.replace(APP, service_key="a key")
        before = await at.sign_in(app=app, previous_token="sandbox-refresh-before")
        both = Vault(KEY, world)
        both.use(NEW)
        assert await at.store.commit(lambda tx: seal_anew(tx, both, 0.0)) == 5
        assert sealed.left(at.store.reader, key_id(NEW)) == []
        after = Vault(NEW, world)
        row = rows.get(at.store.reader, "ann")
        assert row is not None
        assert grants.opened(row, after) == before
        assert AppBook(at.store, after, at.journal, world).made["app"].app == app
        # With the old key alone they are lost, and say so.
        lost = grants.opened(row, Vault(KEY, world))
        assert lost.gone is not None
        assert lost.gone["serverResponseCode"] == "EUNREADABLE"
        assert not AppBook(at.store, Vault(KEY, world), at.journal, world).state("app").usable
        assert len(engine_errors) == 1


async def test_no_token_lies_on_disk_in_clear(tmp_path: Path, autojump_clock: MockClock) -> None:
    world = SlowDisk(1)
    async with provider(world) as sandbox, desk(tmp_path / "data", world, sandbox) as at:
        await at.sign_in()
        keeper = at.keeper()
        token = await keeper.token()
        await keeper.after_refusal("imap", token.access_token)
        secrets = [*at.stored().secrets, token.access_token, APP.client_secret]
        assert len(secrets) == 5
        raw = b"".join(each.read_bytes() for each in (tmp_path / "data").glob("journal.db*"))
        assert [each for each in secrets if each.encode() in raw] == []
