"""An engine that starts quickly has the journal and the routes of any other."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from quart import Quart
from quick_starts import quick_starts, slow_starts

from engine.http import dispatch
from engine.store import database


def test_the_journal_is_what_the_migrations_make(tmp_path: Path) -> None:
    kinds = (
        "page_size", "auto_vacuum", "journal_mode", "user_version", "application_id", "encoding", "synchronous",
        "foreign_keys", "wal_autocheckpoint", "integrity_check",
    )  # fmt: skip
    dumps = []
    for name, how in {"slow": slow_starts, "quick": quick_starts}.items():
        folder = tmp_path / name
        database.prepare_folder(folder)
        with how(), closing(database.open_writer(folder)) as db:
            dumps.append(([db.execute(f"PRAGMA {each}").fetchall() for each in kinds], list(db.iterdump())))
    assert dumps[0] == dumps[1]


def test_a_path_leads_to_the_same() -> None:
    def routes() -> dict[str, Any]:
        app = Quart("routes")
        app.url_rule_class = dispatch._Rule
        for path in ("/v1/account/<account>/message/<message>", "/v1/account/<account>", "/v1/account"):
            app.add_url_rule(path, endpoint=path, view_func=str, methods=["GET"])
        adapter = app.url_map.bind("")
        return {
            path: adapter.match(path, "GET") for path in ("/v1/account", "/v1/account/a%2Fb", "/v1/account/a/message/b")
        }

    with slow_starts():
        slow = routes()
    with quick_starts():
        assert [routes(), routes()] == [slow, slow]
