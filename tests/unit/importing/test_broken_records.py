"""What a Redis may hold besides what EmailEngine writes: one broken value costs its record and nothing else."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
import pytest

from engine.importing.destination import Destination
from engine.importing.encryption import Decryption
from engine.importing.item import Item
from engine.importing.plan import plan
from engine.importing.records import seconds
from engine.importing.source import Entry, Stored
from engine.store import database
from engine.store.vault import Vault
from engine.world import World

HASH = "a" * 64
packed = msgspec.msgpack.encode
json = msgspec.json.encode
DEEP = b"[" * 200 + b"]" * 200
NOTHING: dict[str, Any] = {
    "prefix": "",
    "settings": {},
    "accounts": {},
    "apps": {},
    "gateways": {},
    "templates": [],
    "routes": [],
    "tokens": {},
    "blocklists": {},
    "queued": 0,
    "events": 0,
    "runs": False,
}


async def planned(tmp_path: Any, **stored: Any) -> dict[str, Item]:
    world = World()
    with sqlite3.connect(":memory:", isolation_level=None) as db:
        database.migrate(db, tmp_path)
        to = Destination(db, Vault(bytes(32), world), world, Decryption(None), replace=False)
        items = await plan(Stored(**NOTHING | {"settings": {"serviceUrl": b'"https://a.example"'}} | stored), to, 250)
    db.close()
    return {f"{each.kind} {each.id}": each for each in items}


@pytest.mark.parametrize(
    ("stored", "item", "reason"),
    [
        ({"accounts": {"jane": {"imap": DEEP}}}, "account jane", "imap: is nested more than 50 levels deep"),
        ({"apps": {"app": b"\x81\xa1a" * 200 + b"\xc0"}}, "oauth2 app app", "a: is nested more than 50 levels deep"),
        ({"blocklists": {"news": {"a@example.com": DEEP}}}, "blocklist news", "it has no entries"),
        ({"tokens": {HASH: packed({"account": ["jane"]})}}, "token aaaaaaaaaaaa", "account: must be a string"),
        ({"tokens": {HASH: packed({"account": {"a": 1}})}}, "token aaaaaaaaaaaa", "account: must be a string"),
        ({"gateways": {"g": {"tls": b"\xa2\xff\xfe"}}}, "gateway g", "tls: cannot be read"),
    ],
)
async def test_a_broken_value_costs_its_record(tmp_path: Any, stored: Any, item: str, reason: str) -> None:
    found = await planned(tmp_path, **stored)
    assert (found[item].outcome, found[item].reason) == ("refused", reason)
    assert found["setting serviceUrl"].outcome == "new"


async def test_an_empty_id_does_not_come(tmp_path: Any) -> None:
    """No path of the API could name it, so nothing could change or remove it."""
    app = {"name": "A", "provider": "gmail", "enabled": True, "clientId": "c", "clientSecret": "s"}
    found = await planned(
        tmp_path,
        apps={"": packed(app | {"redirectUrl": "https://a.example/oauth", "baseScopes": "imap"})},
        templates=[Entry("", packed({"name": "T"}), packed({"html": "h"}))],
        routes=[Entry("", packed({"targetUrl": "https://a.example/"}), packed({"fn": "return true"}))],
    )
    for kind in ("oauth2 app", "template", "webhook route"):
        assert (found[f"{kind} "].outcome, found[f"{kind} "].reason) == ("refused", "its id is empty")


async def test_events_that_are_no_names_are_left_out(tmp_path: Any) -> None:
    names = json(["messageNew", [], {}, 1, None, "*", "nosuch"])
    found = (await planned(tmp_path, settings={"webhookEvents": names}))["setting webhookEvents"]
    assert found.outcome == "new"
    assert [note.split(",")[0] for note in found.notes] == [
        f"without {each}" for each in ("[]", "{}", "1", "None", "nosuch")
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, -1, "0001-01-01T00:00:00+00:00", True, [], None])
def test_a_moment_that_no_clock_shows_is_the_default(value: object) -> None:
    assert seconds(value, 7.0) == 7.0
