"""Permissions, restrictions and the log of tokens at the SMTP door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio
from asking import Caller as HttpCaller
from test_smtp_door import Clock, opened

from engine.api.app import make_app
from engine.model.token_permissions import Permissions
from engine.model.token_restrictions import RateLimit, Restrictions
from engine.store import tokens

HERE = ("127.0.0.0/8", "::1")


async def login(door: Any, **more: Any) -> str:
    """The reply to a login with a new token."""
    secret = await issue(door, **more)
    caller = await door.connect()
    return str(await caller.say(door.auth(token=secret)))


async def issue(door: Any, **more: Any) -> str:
    world = door.engine.context.world
    secret, _ = await door.engine.context.store.commit(
        lambda tx: tokens.issue(tx, "a program", ["smtp"], world, "acme", None, **more)
    )
    return str(secret)


async def test_permissions(tmp_path: Path, autojump_clock: Clock) -> None:
    async with opened(tmp_path) as door:
        assert (await login(door, permissions=Permissions(("send",), ("submit", "message")))).startswith("235 ")
        assert (await login(door, permissions=Permissions(("send",)))).startswith("235 ")
        for lacking in (Permissions(("read", "write"), ("submit",)), Permissions(None, ("message",)), Permissions(())):
            said = await login(door, permissions=lacking)
            assert said == "535 5.7.8 Authentication failed: the permissions of the token do not allow it to send"


async def test_addresses_and_referrers(tmp_path: Path, autojump_clock: Clock) -> None:
    async with opened(tmp_path) as door:
        assert (await login(door, restrictions=Restrictions(HERE))).startswith("235 ")
        said = await login(door, restrictions=Restrictions(("192.0.2.0/24",)))
        assert said == "535 5.7.8 Authentication failed: the token may not be used from your address"
        said = await login(door, restrictions=Restrictions(referrers=("*",)))
        assert said == "535 5.7.8 Authentication failed: the token is for web pages alone"


async def test_each_message_counts(tmp_path: Path, autojump_clock: Clock) -> None:
    async with opened(tmp_path) as door:
        secret = await issue(door, restrictions=Restrictions(rate_limit=RateLimit(2, 60)))
        app = make_app(door.engine.context)
        for _ in range(2):  # a login counts nothing, and each connection counts with the others
            caller = await door.connect()
            assert (await caller.say(door.auth(token=secret))).startswith("235 ")
            assert (await caller.say("MAIL FROM:<acme@sandbox.example>")).startswith("250 ")
            assert (await caller.say("RSET")).startswith("250 ")
        assert await caller.say("MAIL FROM:<acme@sandbox.example>") == (
            "451 4.7.1 The rate limit of the token is reached: wait 60 s"
        )
        # One window for all ways in.
        http = HttpCaller(app, secret)
        assert (await http.ask("GET", "/v1/accounts")).json["message"] == "Unauthorized scope"
        await trio.sleep(61)
        assert (await caller.say("MAIL FROM:<acme@sandbox.example>")).startswith("250 ")


async def test_the_log(tmp_path: Path, autojump_clock: Clock) -> None:
    async with opened(tmp_path) as door:
        secret = await issue(door, restrictions=Restrictions(("192.0.2.0/24",)))
        good = await issue(door)
        owner = await HttpCaller.of(door.engine)
        assert (await owner.ask("POST", "/v1/settings", {"tokenAuditLog": True})).status == 200
        for each, status in ((secret, "535"), (good, "235")):
            caller = await door.connect()
            assert (await caller.say(door.auth(token=each))).startswith(status)
        for each, status, reason in ((secret, "denied", "address"), (good, "allowed", None)):
            id = tokens._hash(bytes.fromhex(each))
            (only,) = (await owner.ask("GET", f"/v1/tokens/{id}/log")).json["entries"]
            assert (only["method"], only["path"], only["account"]) == ("SMTP", "AUTH", "acme")
            assert (only["action"], only["group"]) == ("send", "submit")
            assert (only["status"], only["reason"], only["ip"]) == (status, reason, "127.0.0.1")
            assert (await owner.ask("GET", f"/v1/tokens/{id}")).json["access"]["ip"] == "127.0.0.1"
