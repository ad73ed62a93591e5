"""Permissions and restrictions of tokens at the API: who is let in, and what the refused are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from asking import Caller
from simulation import Engine, Simulation

from engine.api.app import make_app
from engine.config import Http
from engine.store.writer import Tx

READER = {"actions": ["read"], "groups": ["message", "mailbox", "account"]}


@asynccontextmanager
async def owning(folder: Path, **options: Any) -> AsyncIterator[tuple[Engine, Caller]]:
    """A running engine with the account `acme`, and one who may do everything."""
    async with Simulation(folder / "data", 4711, **options).running() as engine:
        await engine.register("acme")
        yield engine, await Caller.of(engine, app=make_app(engine.context))


async def issued(owner: Caller, **body: Any) -> Caller:
    """One who asks with a token issued by `owner`."""
    answer = await owner.ask("POST", "/v1/tokens", {"description": "x", "scopes": ["api"], **body})
    assert answer.status == 200, answer.json
    return Caller(owner._app, answer.json["token"])


async def test_permissions_take_away(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        reader = await issued(owner, permissions=READER)
        assert (await reader.ask("GET", "/v1/account/acme")).status == 200
        assert (await reader.ask("GET", "/v1/accounts")).status == 200
        for method, path, required in (
            ("PUT", "/v1/account/acme/reconnect", ("write", "account")),
            ("DELETE", "/v1/account/acme", ("destructive", "account")),
            ("POST", "/v1/account/acme/submit", ("send", "submit")),
            ("GET", "/v1/outbox", ("read", "outbox")),
            ("GET", "/v1/logs/acme", ("read", "logs")),
            ("GET", "/v1/stats", ("read", "diagnostics")),
            ("GET", "/v1/settings", ("read", "admin")),
            ("GET", "/v1/tokens", ("read", "admin")),
            ("POST", "/v1/tokens", ("write", "admin")),
            ("PUT", "/v1/account/acme", ("write", "admin")),
            ("POST", "/v1/account", ("write", "admin")),
            ("POST", "/v1/webhooks", ("write", "admin")),
        ):
            answer = await reader.ask(method, path, {} if method in ("POST", "PUT") else None)
            assert answer.json == {
                "statusCode": 403,
                "error": "Forbidden",
                "message": "Unauthorized permission",
                "requiredPermission": {"action": required[0], "group": required[1]},
            }, path
        # Nor does an answer depend on what the rest of the request is like.
        assert (await reader.ask("PUT", "/v1/account/nobody", raw=b"{")).status == 403


async def test_one_axis_alone_and_neither(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        anything_read = await issued(owner, permissions={"actions": "read"})
        assert (await anything_read.ask("GET", "/v1/outbox")).status == 200
        assert (await anything_read.ask("GET", "/v1/settings?notifyText=true")).status == 403
        assert (await anything_read.ask("PUT", "/v1/account/acme/reconnect", {"reconnect": True})).status == 403
        nothing = await issued(owner, permissions={"groups": []})
        assert (await nothing.ask("GET", "/v1/outbox")).status == 403
        refused: tuple[Any, ...] = ({}, {"actions": ["fly"]}, {"groups": ["admin"]}, {"grants": []}, [], "read")
        for wrong in refused:
            body = {"description": "x", "scopes": ["api"], "permissions": wrong}
            assert (await owner.ask("POST", "/v1/tokens", body)).status == 400, wrong


async def test_permissions_that_cannot_be_read_allow_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (engine, owner):
        other = await issued(owner)

        def damage(tx: Tx, column: str, value: str | None) -> None:
            tx.execute(f"UPDATE token SET {column} = ? WHERE description = 'x'", (value,))

        for column in ("permissions", "restrictions"):
            await engine.context.store.commit(partial(damage, column=column, value="{"))
            assert (await other.ask("GET", "/v1/accounts")).status == 403
            await engine.context.store.commit(partial(damage, column=column, value=None))
        assert (await other.ask("GET", "/v1/accounts")).status == 200


async def test_a_token_with_permissions_names_no_proxy(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        sender = await issued(owner, permissions={"actions": ["send"], "groups": ["submit"]})
        body = {"to": "you@sandbox.example", "subject": "x", "text": "x"}
        assert (await sender.ask("POST", "/v1/account/acme/submit", body)).status == 200
        answer = await sender.ask("POST", "/v1/account/acme/submit", {**body, "proxy": "socks5://192.0.2.1:1080"})
        assert (answer.status, answer.json["code"]) == (403, "ProxyRefused")


async def test_addresses(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        caller = await issued(
            owner, restrictions={"addresses": ["198.51.100.0/24", "::ffff:192.0.2.7", "2001:db8::/32"]}
        )
        for address, status in (
            ("127.0.0.1", 403),
            ("198.51.100.9", 200),
            ("::ffff:198.51.100.9", 200),
            ("192.0.2.7", 200),
            ("2001:db8::1", 200),
            ("2001:db9::1", 403),
        ):
            caller.address = address
            # No proxy is trusted here, so nobody's word for another address counts.
            answer = await caller.ask("GET", "/v1/accounts", headers={"X-Forwarded-For": "192.0.2.7"})
            assert answer.status == status, address
        assert answer.json == {
            "statusCode": 403,
            "error": "Forbidden",
            "message": "Unauthorized address",
            "remoteAddress": "2001:db9::1",
        }


async def test_addresses_behind_a_proxy(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path, http=Http(proxies=("10.0.0.0/8",))) as (_, owner):
        caller = await issued(owner, restrictions={"addresses": ["192.0.2.7"]})
        for peer, told, status in (
            ("10.0.0.1", "192.0.2.7", 200),
            ("::ffff:10.0.0.1", "::ffff:192.0.2.7", 200),
            ("10.0.0.1", "192.0.2.7, 10.9.9.9", 200),
            ("10.0.0.1", "192.0.2.7, 203.0.113.5", 403),
            ("203.0.113.5", "192.0.2.7", 403),
            ("10.0.0.1", "", 403),
        ):
            caller.address = peer
            answer = await caller.ask("GET", "/v1/accounts", headers={"X-Forwarded-For": told})
            assert answer.status == status, (peer, told)


async def test_referrers(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        caller = await issued(owner, restrictions={"referrers": "https://*.shop.example/*"})
        for referrer, status in (("https://a.shop.example/x", 200), ("https://shop.example/", 403), (None, 403)):
            answer = await caller.ask("GET", "/v1/accounts", headers={"Referer": referrer} if referrer else {})
            assert answer.status == status
        assert answer.json["message"] == "Unauthorized referrer"
        free = await issued(owner, restrictions={"referrers": [], "addresses": None, "rateLimit": None})
        assert (await free.ask("GET", "/v1/accounts")).status == 200


async def test_a_rate_limit(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        caller = await issued(owner, restrictions={"rateLimit": {"maxRequests": 3, "timeWindow": 20}})
        other = await issued(owner, restrictions={"rateLimit": {"maxRequests": 3, "timeWindow": 20}})
        limits = {"x-ratelimit-limit": "3", "x-ratelimit-reset": "20"}
        # An answer that is no success counts and tells the same; a request that is refused for another reason does not.
        assert (await caller.ask("GET", "/v1/accounts")).headers.items() >= {
            **limits,
            "x-ratelimit-remaining": "2",
        }.items()
        assert (await caller.ask("GET", "/v1/account/acme/oauth-token")).status == 403
        answer = await caller.ask("GET", "/v1/account/nobody")
        assert answer.status == 404
        assert answer.headers.items() >= {**limits, "x-ratelimit-remaining": "1"}.items()
        await trio.sleep(4.5)
        answer = await caller.ask("PUT", "/v1/account/acme/reconnect", raw=b"{")
        assert (answer.status, answer.headers["x-ratelimit-remaining"]) == (400, "0")
        answer = await caller.ask("GET", "/v1/accounts")
        assert answer.status == 429
        assert (
            answer.json["ttl"] == int(answer.headers["retry-after"]) == int(answer.headers["x-ratelimit-reset"]) == 16
        )
        assert answer.json["message"] == "Rate limit exceeded"
        assert answer.headers["x-ratelimit-limit"] == "3"
        assert "x-ratelimit-remaining" not in answer.headers
        assert (await other.ask("GET", "/v1/accounts")).status == 200
        assert "x-ratelimit-limit" not in (await owner.ask("GET", "/v1/accounts")).headers
        await trio.sleep(16)
        assert (await caller.ask("GET", "/v1/accounts")).headers["x-ratelimit-remaining"] == "2"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("addresses", []),
        ("addresses", ["x"]),
        ("addresses", ["fe80::1%eth0"]),
        ("addresses", ["10.0.0.0/33"]),
        ("referrers", [""]),
        ("rateLimit", {"maxRequests": 0, "timeWindow": 1}),
        ("rateLimit", {"maxRequests": 1, "timeWindow": 0}),
        ("rateLimit", {"maxRequests": 1}),
        ("rateLimit", {"maxRequests": 1.5, "timeWindow": 1}),
        ("countries", ["de"]),
    ],
)
async def test_restrictions_that_are_none(tmp_path: Path, autojump_clock: object, member: str, value: Any) -> None:
    async with owning(tmp_path) as (_, owner):
        body = {"description": "x", "scopes": ["api"], "restrictions": {member: value}}
        answer = await owner.ask("POST", "/v1/tokens", body)
        assert answer.status == 400
        assert answer.json["fields"][0]["path"].startswith(f"restrictions.{member}")


async def test_no_token_issues_a_wider_one(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        limits = {"addresses": ["127.0.0.0/8"], "rateLimit": {"maxRequests": 100, "timeWindow": 60}}
        caller = await issued(owner, restrictions=limits, expires="2999-01-01T00:00:00Z")
        narrow = {
            "description": "x",
            "scopes": ["api"],
            "expires": "2998-01-01T00:00:00Z",
            "restrictions": {"addresses": "127.0.0.1", "rateLimit": {"maxRequests": 10, "timeWindow": 60}},
        }
        assert (await caller.ask("POST", "/v1/tokens", narrow)).status == 200
        for changes, said in (
            ({"restrictions": None}, "restrictions.addresses and restrictions.rateLimit"),
            ({"restrictions": {**limits, "addresses": ["0.0.0.0/0"]}}, "restrictions.addresses"),
            (
                {"restrictions": {**limits, "rateLimit": {"maxRequests": 101, "timeWindow": 60}}},
                "restrictions.rateLimit",
            ),
            ({"expires": None}, "expires"),
            ({"expires": "2999-01-01T00:00:01Z"}, "expires"),
        ):
            answer = await caller.ask("POST", "/v1/tokens", {**narrow, **changes})
            assert (answer.status, answer.json["code"]) == (403, "WiderToken"), changes
            assert f": {said} would be wider" in answer.json["message"]
        assert (await caller.ask("POST", "/v1/tokens", {**narrow, "scopes": ["smtp"]})).json["code"] == "ScopeNotHeld"
        # One with permissions, and one for an account, issue none at all.
        for narrowed in (await issued(owner, permissions=READER), await issued(owner, account="acme")):
            assert (await narrowed.ask("POST", "/v1/tokens", narrow)).status == 403
            for own in ("GET", "DELETE"):
                assert (await narrowed.ask(own, "/v1/tokens/" + "0" * 12)).status == 403


async def test_a_token_is_shown_as_it_was_issued(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        owner.address = "::ffff:192.0.2.1"
        body = {
            "description": "shop",
            "scopes": "smtp",
            "account": "acme",
            "metadata": '{"team": "shop"}',
            "ip": "2001:DB8::7",
            "permissions": {"actions": "send", "groups": ["submit"]},
            "restrictions": {
                "addresses": ["::ffff:10.1.2.3/104", "192.0.2.7"],
                "referrers": "https://a.example/*",
                "rateLimit": {"maxRequests": "5", "timeWindow": 60},
            },
        }
        made = (await owner.ask("POST", "/v1/tokens", body)).json
        shown = (await owner.ask("GET", f"/v1/tokens/{made['id']}")).json
        assert {**shown, "created": ""} == {
            "id": made["id"],
            "account": "acme",
            "description": "shop",
            "scopes": ["smtp"],
            "permissions": {"actions": ["send"], "groups": ["submit"]},
            "restrictions": {
                "addresses": ["10.0.0.0/8", "192.0.2.7"],
                "referrers": ["https://a.example/*"],
                "rateLimit": {"maxRequests": 5, "timeWindow": 60},
            },
            "metadata": '{"team": "shop"}',
            "ip": "2001:db8::7",
            "remoteAddress": "192.0.2.1",
            "created": "",
            "access": {"time": None, "ip": None},
        }
        assert (await owner.ask("GET", "/v1/tokens?account=acme")).json["tokens"] == [shown]
        plain = (await owner.ask("POST", "/v1/tokens", {"description": "y", "scopes": "api", "metadata": ""})).json
        shown = (await owner.ask("GET", f"/v1/tokens/{plain['id']}")).json
        assert (shown["permissions"], shown["restrictions"], "metadata" in shown) == (None, None, False)
        for wrong in ("{", "nope", 7, {"a": 1}, "[" * 100_000):
            answer = await owner.ask("POST", "/v1/tokens", {**body, "metadata": wrong})
            assert answer.json["fields"][0]["path"] == "metadata"


async def test_paths_that_are_no_operation(tmp_path: Path, autojump_clock: object) -> None:
    async with owning(tmp_path) as (_, owner):
        for method, path, status in (
            ("POST", "/v1/token", 404),
            ("GET", "/v1/token", 404),
            ("DELETE", "/v1/token/" + "0" * 64, 404),
            ("GET", "/v1/tokens/account/acme", 404),
            ("PATCH", "/v1/tokens", 405),
            ("POST", "/v1/nothing", 404),
        ):
            for caller in (owner, Caller(owner._app, "0" * 64)):
                answer = await caller.ask(method, path, {} if method == "POST" else None)
                assert answer.status == status, path
                assert answer.headers["content-type"] == "application/json; charset=utf-8"
                assert answer.json["statusCode"] == status
