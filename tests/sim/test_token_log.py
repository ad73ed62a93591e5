"""What is noted of a token's use: its last use, its log, how much of it, and that it outlives a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from asking import Caller
from test_token_limits import issued, owning

from engine.edge import token_uses as noting
from engine.errors import StorageFull
from engine.store import token_uses, tokens


async def log_of(owner: Caller, caller: Caller, query: str = "") -> list[dict[str, Any]]:
    """The entries of a token's log, without their times."""
    answer = await owner.ask("GET", f"/v1/tokens/{tokens._hash(bytes.fromhex(caller.token))}/log{query}")
    assert answer.status == 200, answer.json
    return [{name: value for name, value in each.items() if name != "time"} for each in answer.json["entries"]]


def entry(method: str, path: str, grant: str, **more: Any) -> dict[str, Any]:
    action, group = grant.split()
    account = "acme" if "{account}" in path else None
    status = "denied" if more.get("reason") else "allowed"
    common = {"ip": "127.0.0.1", "account": account, "reason": None, "change": None, "object": None}
    return {"method": method, "path": path, "action": action, "group": group, "status": status, **common, **more}


async def test_changes_and_refusals_always_reads_by_the_setting(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        caller = await issued(owner, restrictions={"rateLimit": {"maxRequests": 7, "timeWindow": 60}})
        await caller.ask("GET", "/v1/accounts")
        assert await log_of(owner, caller) == []
        await caller.ask("GET", "/v1/account/acme/oauth-token")
        await trio.sleep(1)
        await caller.ask("PUT", "/v1/account/acme", {"name": "new"})
        await trio.sleep(1)
        assert (await owner.ask("POST", "/v1/settings", {"tokenAuditLog": True})).status == 200
        await caller.ask("GET", "/v1/account/acme")
        await trio.sleep(1)
        await caller.ask("PUT", "/v1/account/acme", {"name": "newer"})  # a change is there once
        await trio.sleep(1)
        await caller.ask("PUT", "/v1/account/acme", {"name": 7})
        await trio.sleep(1)
        await caller.ask("PUT", "/v1/account/acme/flush", {"flush": False})
        await trio.sleep(1)
        for _ in range(2):
            await caller.ask("GET", "/v1/accounts")
        at = "/v1/account/{account}"
        expected = [
            entry("GET", "/v1/accounts", "read account", reason="rateLimit"),
            entry("GET", "/v1/accounts", "read account"),
            entry("PUT", f"{at}/flush", "destructive account"),
            entry("PUT", at, "write admin"),
            entry("PUT", at, "write admin", change="account.update", object="acme"),
            entry("GET", at, "read account"),
            entry("PUT", at, "write admin", change="account.update", object="acme"),
            entry("GET", f"{at}/oauth-token", "read admin", reason="scope"),
        ]
        assert await log_of(owner, caller) == expected
        assert await log_of(owner, caller, "?pageSize=2&page=1") == expected[2:4]
        assert (await owner.ask("POST", "/v1/settings", {"tokenAuditLog": False})).status == 200
        await trio.sleep(60)
        await caller.ask("GET", "/v1/accounts")
        assert await log_of(owner, caller) == expected


async def test_every_reason(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (engine, owner):
        await engine.register("other")
        free = {"addresses": ["10.0.0.0/8"], "referrers": ["https://a.example/*"]}
        permissions = {"actions": ["read", "write"], "groups": ["account"]}
        caller = await issued(owner, account="acme", permissions=permissions, restrictions=free)
        for method, path, address, reason in (
            ("GET", "/v1/account/acme/oauth-token", "10.0.0.1", "scope"),
            ("GET", "/v1/account/other", "10.0.0.1", "account"),
            ("GET", "/v1/stats", "10.0.0.1", "account"),
            ("GET", "/v1/changes?account=other", "10.0.0.1", "account"),
            ("PUT", "/v1/account/acme", "10.0.0.1", "restricted"),
            ("DELETE", "/v1/account/acme", "10.0.0.1", "action"),
            ("GET", "/v1/account/acme/mailboxes", "10.0.0.1", "group"),
            ("GET", "/v1/account/acme", "11.0.0.1", "address"),
            ("GET", "/v1/account/acme", "10.0.0.1", "referrer"),
        ):
            caller.address = address
            assert (await caller.ask(method, path, {} if method == "PUT" else None)).status == 403, path
            (newest, *_) = await log_of(owner, caller)
            assert (newest["reason"], newest["status"], newest["ip"]) == (reason, "denied", address)
            await trio.sleep(1)
        assert len(await log_of(owner, caller)) == 9


async def test_the_last_use(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (engine, owner):
        caller = await issued(owner, restrictions={"addresses": ["10.0.0.1"]})
        id = tokens._hash(bytes.fromhex(caller.token))

        async def access() -> Any:
            return (await owner.ask("GET", f"/v1/tokens/{id}")).json["access"]

        assert await access() == {"time": None, "ip": None}
        for address in ("10.0.0.1", "::ffff:192.0.2.9"):  # also one that is refused
            caller.address = address
            await caller.ask("GET", "/v1/accounts")
            first = await access()
            assert first["ip"] == address.removeprefix("::ffff:")
        assert id not in token_uses.last_uses(engine.context.store.reader)
        await trio.sleep(noting.EVERY + 1)
        assert token_uses.last_uses(engine.context.store.reader)[id].address == "192.0.2.9"
        assert await access() == first
        assert (await owner.ask("DELETE", f"/v1/tokens/{id}")).json == {"deleted": True}
        assert id not in token_uses.last_uses(engine.context.store.reader)


async def test_a_stop_keeps_what_was_noted(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        caller = await issued(owner)
        await caller.ask("GET", "/v1/account/acme/oauth-token")
    async with owning(tmp_path) as (_, owner):
        assert await log_of(owner, caller) == [
            entry("GET", "/v1/account/{account}/oauth-token", "read admin", reason="scope")
        ]
        shown = (await owner.ask("GET", "/v1/tokens")).json["tokens"]
        assert [each["access"]["ip"] for each in shown] == ["127.0.0.1"] * 3


async def test_a_revoked_token_has_its_log_and_is_not_noted_again(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (engine, owner):
        caller = await issued(owner)
        id = tokens._hash(bytes.fromhex(caller.token))
        await caller.ask("GET", "/v1/account/acme/oauth-token")
        assert (await owner.ask("DELETE", f"/v1/tokens/{id}")).json == {"deleted": True}
        await trio.sleep(noting.EVERY + 1)
        assert id not in token_uses.last_uses(engine.context.store.reader)
        assert len(await log_of(owner, caller)) == 1
        assert (await owner.ask("GET", "/v1/tokens/" + "0" * 12 + "/log")).status == 404


async def test_how_much_is_kept(tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (noting, token_uses):
        monkeypatch.setattr(module, "MOST", 3)
    assert token_uses._SECONDS == token_uses.DAYS * 86_400
    monkeypatch.setattr(token_uses, "_SECONDS", 86_400.0)  # each day of the engine takes half a second
    async with owning(tmp_path) as (engine, owner):
        caller, other = await issued(owner), await issued(owner)
        paths = ["/v1/account/acme/oauth-token", "/v1/account/b/oauth-token", "/v1/account/c/oauth-token"]
        for path in [*paths, *paths, paths[0]]:
            await caller.ask("GET", path)
            await trio.sleep(1)
        assert [each["account"] for each in await log_of(owner, caller)] == ["acme", "c", "b"]
        await other.ask("GET", paths[2])
        await caller.ask("GET", paths[1])
        assert [each["account"] for each in await log_of(owner, caller)] == ["b", "acme", "c"]
        await trio.sleep(86_400 + 1)
        assert await log_of(owner, caller) == []
        await caller.ask("GET", paths[1])
        await log_of(owner, caller)
        (rows,) = engine.context.store.reader.execute("SELECT count(*) FROM token_request").fetchone()
        assert rows == 1  # those of the other went, too


async def test_a_full_disk_costs_no_request_and_no_note(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with owning(tmp_path) as (engine, owner):
        caller = await issued(owner)
        store, admit, tries = engine.context.store, engine.context.store.admit, 0

        async def full(change: Any) -> Any:
            nonlocal tries
            tries += 1
            raise StorageFull("the disk is full")

        monkeypatch.setattr(store, "admit", full)
        await caller.ask("GET", "/v1/account/acme/oauth-token")
        await trio.sleep(3 * noting.EVERY + 1)
        assert tries >= 3
        assert await log_of(owner, caller) == []
        monkeypatch.setattr(store, "admit", admit)
        await trio.sleep(noting.EVERY + 1)
        assert len(await log_of(owner, caller)) == 1


async def test_what_waits_is_bounded(tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "HELD", 2)
    async with owning(tmp_path) as (_, owner):
        caller = await issued(owner)
        for name in ("acme", "b", "c"):
            await caller.ask("GET", f"/v1/account/{name}/oauth-token")
        assert [each["account"] for each in await log_of(owner, caller)] == ["b", "acme"]
        await caller.ask("GET", "/v1/account/c/oauth-token")
        assert len(await log_of(owner, caller)) == 3


async def test_metadata_of_a_list_is_bounded(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.api.tokens.METADATA_OF_A_PAGE", 250)
    async with owning(tmp_path) as (_, owner):
        metadata = msgspec.json.encode("x" * 98).decode()
        for _ in range(3):
            await issued(owner, metadata=metadata)
        listed = (await owner.ask("GET", "/v1/tokens?query=x")).json["tokens"]
        assert ["metadata" in each for each in listed] == [True, True, False]
        assert (await owner.ask("GET", f"/v1/tokens/{listed[2]['id']}")).json["metadata"] == metadata
