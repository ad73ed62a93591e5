"""Tokens at a running engine: wrong ones, ones that expire, and the record of what was changed with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio_websocket
from real.engine_process import EngineProcess
from real.processes import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.process

StartEngine = Callable[..., EngineProcess]
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def issue(engine: EngineProcess, *more: str) -> str:
    return engine.command("tokens", "issue", "-d", "test", "-s", "api", "--unregistered", *more).stdout.strip()


def audit(engine: EngineProcess, *filters: str) -> list[dict[str, Any]]:
    """The record, oldest first."""
    lines = engine.command("audit", "--json", "--limit", "0", *filters).stdout.splitlines()
    return [json.loads(line) for line in reversed(lines)]


def test_wrong_tokens_wait_and_good_ones_do_not(engine: EngineProcess) -> None:
    asked = [
        lambda: engine.request("GET", "/v1/accounts", token="0" * 64),
        lambda: engine.request("GET", "/v1/events/sse?access_token=nonsense", token=""),
        lambda: engine.request("GET", "/v1/events/stream", token="f" * 64, headers=UPGRADE),
        lambda: engine.request("POST", "/v1/account", {"account": "x"}, token="é".encode().decode("latin-1")),
    ]
    assert engine.token
    for number in range(20):
        answer = asked[number % 4]()
        assert (answer.status, answer.json["message"]) == (401, "Bad token")
    for ask in asked:
        answer = ask()
        assert answer.status == 429
        assert 50 <= int(answer.headers["Retry-After"]) <= 60
        assert engine.request("GET", "/v1/accounts").status == 200
        assert engine.request("GET", "/v1/accounts", token="").json["message"] == "Missing authentication"
    engine.terminate()
    assert engine.log.count("requests had a bad token; they came from 1 addresses") == 1
    assert "f" * 64 not in engine.log


def test_behind_a_proxy_each_client_waits_alone(start_engine: StartEngine) -> None:
    engine = start_engine(ENGINE_HTTP__PROXIES="127.0.0.0/8")

    def wrong(client: str) -> int:
        headers = {"X-Forwarded-For": f"203.0.113.9, {client}"}
        return engine.request("GET", "/v1/accounts", token="bad", headers=headers).status

    assert [wrong("198.51.100.1") for _ in range(21)] == [401] * 20 + [429]
    assert wrong("198.51.100.2") == 401
    settings = {"notifyText": True}
    headers = {"X-Forwarded-For": "198.51.100.1"}
    assert engine.request("POST", "/v1/settings", settings, headers=headers).status == 200
    (entry,) = audit(engine, "--operation", "settings")
    assert (entry["address"], entry["object"]) == ("198.51.100.1", "notifyText")


def test_a_token_that_expires_is_unknown_from_then_on(engine: EngineProcess) -> None:
    token = issue(engine, "--expires", "2s")
    assert engine.request("GET", "/v1/accounts", token=token).status == 200
    ends: list[Any] = []

    async def follow() -> None:
        url = engine.url.replace("http", "ws") + f"/v1/events/stream?access_token={token}"
        async with trio_websocket.open_websocket_url(url) as socket:
            try:
                await socket.get_message()
            except trio_websocket.ConnectionClosed as closed:
                ends.append((closed.reason.code, closed.reason.reason))
                # The client library leaves its socket open when the server closes first.
                await trio.aclose_forcefully(socket._stream)

    async def both() -> None:
        # The server-sent stream ends by itself too.
        with trio.fail_after(PATIENCE_SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow)
                nursery.start_soon(
                    trio.to_thread.run_sync, lambda: engine.request("GET", "/v1/events/sse", token=token).status
                )

    trio.run(both)
    assert ends == [(1008, "the token is not valid any more")]
    answer = engine.request("GET", "/v1/accounts", token=token)
    assert (answer.status, answer.json["message"]) == (401, "Bad token")
    assert "  expired  " in engine.command("tokens", "list").stdout


def test_every_change_is_recorded_and_no_secret(engine: EngineProcess) -> None:
    canary = "c4n4ry"
    token = issue(engine)
    me = engine.command("tokens", "list").stdout.splitlines()[-1].split()[0]

    def ask(method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = engine.request(method, path, body, token=token)
        assert answer.status == status, answer.body
        return answer.json

    login = {"host": "127.0.0.1", "port": 9, "auth": {"user": "jane", "pass": canary}}
    ask("POST", "/v1/account", {"account": "jane", "name": "Jane", "smtp": login})
    ask("PUT", "/v1/account/jane", {"name": canary, "webhooks": f"http://u:{canary}@127.0.0.1:9/{canary}"})
    ask("PUT", "/v1/account/jane", {"name": 7}, status=400)
    ask("PUT", "/v1/account/nobody", {"name": "x"}, status=404)
    ask("POST", "/v1/settings", {"webhooks": f"http://127.0.0.1:9/{canary}", "serviceSecret": None})
    ask("POST", "/v1/settings", {})
    ask("PUT", "/v1/settings/queue/submit", {"paused": True, "account": "jane"})
    made = ask("POST", "/v1/webhooks", {"url": f"http://127.0.0.1:9/{canary}"})["id"]
    ask("PUT", f"/v1/webhooks/{made}", {"description": canary})
    ask("POST", f"/v1/webhooks/{made}/replay", {"after": 0})
    ask("POST", f"/v1/webhooks/{made}/parked", {"action": "skip"})
    ask("DELETE", f"/v1/webhooks/{made}")
    ask("PUT", "/v1/account/jane/flush", {"flush": False})
    ask("PUT", "/v1/account/jane/flush", {"flush": True})
    ask("GET", "/v1/account/jane")
    ask("DELETE", "/v1/account/jane")
    expected = [
        ("account.register", "jane"),
        ("account.update", "jane"),
        ("settings.update", "webhooks,serviceSecret"),
        ("settings.queue", "submit jane"),
        ("webhook.create", made),
        ("webhook.update", made),
        ("webhook.replay", made),
        ("webhook.settle", made),
        ("webhook.remove", made),
        ("account.flush", "jane"),
        ("account.remove", "jane"),
    ]
    entries = audit(engine, "--token", me)
    assert [(each["operation"], each["object"]) for each in entries] == expected
    assert {(each["token"], each["address"]) for each in entries} == {(me, "127.0.0.1")}
    assert canary not in json.dumps(audit(engine))
    assert [each["operation"] for each in audit(engine, "--token", "cli")] == ["token.issue"]
    log = ask("GET", f"/v1/tokens/{me}/log?pageSize=2&page=1")
    assert (log["token"], log["total"], log["page"], log["pages"]) == (me, 11, 1, 6)
    assert [(each["action"], each["group"], each["change"]) for each in log["entries"]] == [
        ("destructive", "webhook", "webhook.remove"),
        ("write", "webhook", "webhook.settle"),
    ]
    assert log["entries"][0] | {"time": ""} == {
        "time": "",
        "ip": "127.0.0.1",
        "method": "DELETE",
        "path": "/v1/webhooks/{webhook}",
        "action": "destructive",
        "group": "webhook",
        "account": None,
        "status": "allowed",
        "reason": None,
        "change": "webhook.remove",
        "object": made,
    }

    # It is for operators, and outlives the token.
    narrowed = issue(engine, "--account", "jane")
    assert engine.request("GET", f"/v1/tokens/{me}/log", token=narrowed).status == 403
    engine.command("tokens", "revoke", me)
    for name in (me, me.upper()):
        assert engine.request("GET", f"/v1/tokens/{name}/log").json["entries"][0]["account"] == "jane"
    for name in ("nope", "0" * 12, token, "cli"):
        assert engine.request("GET", f"/v1/tokens/{name}/log").status == 404


def test_the_key_is_changed_while_the_engine_runs_and_while_it_stands(engine: EngineProcess) -> None:
    login = {"host": "127.0.0.1", "port": 9, "auth": {"user": "jane", "pass": "hunter2"}}
    for name in ("jane", "jim"):
        assert engine.request("POST", "/v1/account", {"account": name, "name": name, "smtp": login}).status == 200
    before = (engine.folder / "key").read_bytes()
    for running in (True, False):
        if not running:
            engine.terminate()
        said = engine.command("vault", "rotate").stdout
        assert said.startswith("all secrets are sealed with the key ")
        now = (engine.folder / "key").read_bytes()
        assert now != before
        assert not (engine.folder / "key.next").exists()
        before = now
    engine.start()
    assert engine.request("PUT", "/v1/account/jane", {"name": "Jane"}).status == 200
    engine.restart()
    wait_until(lambda: engine.request("GET", "/v1/account/jim").json["state"] != "init", "the account")
    assert [each["token"] for each in audit(engine, "--operation", "vault.rotate")] == ["cli"] * 2


def test_restrictions_hold_on_every_way_in(start_engine: StartEngine) -> None:
    engine = start_engine(ENGINE_HTTP__PROXIES="127.0.0.0/8")
    elsewhere = issue(engine, "--address", "192.0.2.7")
    reader = issue(engine, "--action", "read", "--group", "account")
    slow = issue(engine, "--rate", "1/1h")
    stream = "/v1/events/stream"
    for path, headers in (("/v1/accounts", {}), (stream, UPGRADE), (f"/v1/events/sse?access_token={elsewhere}", {})):
        told = engine.request("GET", path, token="" if "?" in path else elsewhere, headers=headers)
        assert (told.status, told.json["message"], told.json["remoteAddress"]) == (
            403,
            "Unauthorized address",
            "127.0.0.1",
        )
    told = engine.request("GET", "/v1/accounts", token=elsewhere, headers={"X-Forwarded-For": "::ffff:192.0.2.7"})
    assert told.status == 200
    told = engine.request("GET", stream, token=reader, headers=UPGRADE)
    assert (told.status, told.json["requiredPermission"]) == (403, {"action": "read", "group": "events"})
    assert engine.request("GET", "/v1/accounts", token=slow).headers["X-RateLimit-Remaining"] == "0"
    for path, headers in (("/v1/accounts", {}), (stream, UPGRADE)):
        told = engine.request("GET", path, token=slow, headers=headers)
        assert (told.status, told.headers["X-RateLimit-Limit"]) == (429, "1")
        assert 3590 <= int(told.headers["Retry-After"]) == told.json["ttl"] <= 3600
    engine.restart()
    assert engine.request("GET", "/v1/accounts", token=slow).status == 200
    # What was noted outlives the restart.
    shown = engine.request("GET", "/v1/tokens").json["tokens"]
    assert {each["access"]["ip"] for each in shown} == {"127.0.0.1", "192.0.2.7"}
    (id,) = [each["id"] for each in shown if each["access"]["ip"] == "192.0.2.7"]
    refused = engine.request("GET", f"/v1/tokens/{id}/log").json["entries"]
    assert [each["reason"] for each in refused] == ["address"] * 3
