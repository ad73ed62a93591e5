"""Events through the API of a real process: polling, server-sent events, tokens for one account, consumers."""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from real.engine_process import EngineProcess
from real.processes import PATIENCE_SECONDS, wait_until
from real.servers import HOST

from engine.store import tokens
from engine.world import World

pytestmark = pytest.mark.process


def register(engine: EngineProcess, account: str, **members: Any) -> None:
    given = {"account": account, "name": account, "email": f"{account}@sandbox.example", "sandbox": True, **members}
    answer = engine.request("POST", "/v1/account", given)
    assert answer.status == 200, answer.body
    engine.wait_for_state(account, "connected")


def submit(engine: EngineProcess, account: str, to: str = "x@sandbox.example", token: str | None = None) -> None:
    body = {"to": {"address": to}, "subject": "s", "text": "t"}
    answer = engine.request("POST", f"/v1/account/{account}/submit", body, token=token)
    assert answer.status == 200, answer.body


def events(engine: EngineProcess, query: str = "", token: str | None = None) -> list[dict[str, Any]]:
    answer = engine.request("GET", f"/v1/events?limit=1000&{query}", token=token)
    assert answer.status == 200, answer.body
    return answer.json["events"]


def wait_for_event(engine: EngineProcess, account: str, name: str) -> None:
    wait_until(lambda: events(engine, f"account={account}&events={name}"), f"{name} of {account}")


def bound_token(engine: EngineProcess, account: str) -> str:
    issued = engine.command("tokens", "issue", "-d", "one", "-s", "api", "--account", account, "--unregistered")
    return issued.stdout.strip()


def weak_token(engine: EngineProcess) -> str:
    """One of a scope that allows nothing, as only an earlier version could issue it."""
    with closing(sqlite3.connect(engine.folder / "journal.db")) as db, db:
        weak, _ = tokens.issue(db, "weak", ["metrics"], World())
    return weak


@contextmanager
def streaming(engine: EngineProcess, path: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(HOST, engine.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {engine.token}", **headers})
        yield connection.getresponse()
    finally:
        connection.close()


def messages(response: http.client.HTTPResponse, n: int) -> list[dict[str, str]]:
    """The next `n` messages of an event stream, comments left out."""
    found: list[dict[str, str]] = []
    message: dict[str, str] = {}
    while len(found) < n:
        line = response.readline().decode().rstrip("\n")
        if not line:
            if "data" in message:
                found.append(message)
            message = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            message[name] = value.removeprefix(" ")
    return found


# Polling.


def test_a_poll_waits_for_the_next_event(engine: EngineProcess) -> None:
    register(engine, "a")
    last = engine.request("GET", "/v1/events").json["last"]
    empty = engine.request("GET", f"/v1/events?after={last}&wait=1&events=messageSent").json
    assert (empty["events"], empty["next"]) == ([], last)
    submit(engine, "a")
    page = engine.request("GET", f"/v1/events?after={last}&wait=60&events=messageSent,messageFailed").json
    assert [event["event"] for event in page["events"]] == ["messageSent"]
    assert page["next"] >= page["events"][0]["seq"]


def test_a_number_that_does_not_exist_yet_is_refused(engine: EngineProcess) -> None:
    answer = engine.request("GET", "/v1/events?after=99999")
    assert (answer.status, answer.json["code"], answer.json["last"]) == (400, "FutureCursor", 0)
    assert engine.request("GET", "/v1/events/sse?after=99999").status == 400


def test_a_poll_that_waits_does_not_hold_up_the_stop(engine: EngineProcess) -> None:
    client = socket.create_connection((HOST, engine.port))
    client.sendall(
        f"GET /v1/events?after=0&wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {engine.token}\r\n\r\n".encode()
    )
    assert engine.terminate() == 0
    client.close()


# Server-sent events.


def test_server_sent_events_begin_with_the_number_they_begin_at(engine: EngineProcess) -> None:
    register(engine, "a")
    last = json.loads(engine.request("GET", "/v1/events").body)["last"]
    with streaming(engine, "/v1/events/sse") as response:
        assert response.readline() == f"id: {last}\n".encode()
    with streaming(engine, "/v1/events/sse?after=1") as response:
        assert response.readline() == b"id: 1\n"


def test_server_sent_events_replay_and_go_on_from_the_last_id(engine: EngineProcess) -> None:
    register(engine, "a")
    with streaming(engine, "/v1/events/sse?after=0") as response:
        assert response.getheader("Content-Type") == "text/event-stream"
        found = messages(response, 2)
    assert [message["id"] for message in found] == ["1", "2"]
    assert json.loads(found[0]["data"])["seq"] == 1
    with streaming(engine, "/v1/events/sse?after=0", **{"Last-Event-ID": "2"}) as response:
        assert messages(response, 1)[0]["id"] == "3"
        submit(engine, "a")
        wait_for_event(engine, "a", "messageSent")
        between = set()
        while (live := json.loads(messages(response, 1)[0]["data"])["event"]) != "messageSent":
            between.add(live)
        assert between <= {"mailboxNew", "accountInitialized"}


def test_changes_are_those_of_emailengine(engine: EngineProcess) -> None:
    with streaming(engine, "/v1/changes") as response:
        assert response.readline().startswith(b": Mailbox Engine v")
        register(engine, "a")
        found = messages(response, 1)
        while json.loads(found[-1]["data"])["key"] != "connected":
            found += messages(response, 1)
        change = json.loads(found[-1]["data"])
        assert found[-1]["event"] == "message"
        assert change == {
            "account": "a",
            "type": "state",
            "key": "connected",
            "payload": None,
            "stateLabel": {"type": "success", "name": "Connected"},
        }
    bad = {"host": HOST, "port": 1, "auth": {"user": "u", "pass": "p"}}
    with streaming(engine, "/v1/changes?account=b") as response:
        response.readline()
        engine.request("POST", "/v1/account", {"account": "b", "name": "b", "imap": bad})
        change = json.loads(messages(response, 1)[-1]["data"])
        while change["key"] != "connectError":
            change = json.loads(messages(response, 1)[-1]["data"])
        assert "ECONNREFUSED" in change["payload"]["error"]["response"]


# Tokens for one account.


def test_a_token_for_one_account_sees_no_other(engine: EngineProcess) -> None:
    register(engine, "a")
    register(engine, "b")
    token = bound_token(engine, "a")

    def status(method: str, path: str, body: Any = None) -> int:
        return engine.request(method, path, body, token=token).status

    assert {event["account"] for event in events(engine, token=token)} == {"a"}
    assert {event["account"] for event in events(engine)} == {"a", "b"}
    assert status("GET", "/v1/events?account=b") == 403
    assert status("GET", "/v1/account/a") == 200
    assert status("GET", "/v1/account/b") == 403
    assert status("PUT", "/v1/account/b", {"name": "x"}) == 403
    assert status("DELETE", "/v1/account/b") == 403
    assert status("POST", "/v1/account", {"account": "c", "name": "c", "sandbox": True}) == 403
    assert status("POST", "/v1/account", {"account": None, "name": "c", "sandbox": True}) == 403
    assert status("GET", "/v1/settings?webhooks=true") == 403
    assert status("POST", "/v1/settings", {"webhooks": "https://example.com/"}) == 403
    assert status("GET", "/v1/webhooks/default") == 404
    listed = engine.request("GET", "/v1/accounts", token=token).json
    assert [account["account"] for account in listed["accounts"]] == ["a"]
    submit(engine, "a", token=token)
    answer = engine.request("POST", "/v1/account/b/submit", {"to": {"address": "x@y.example"}}, token=token)
    assert (answer.status, answer.json["message"]) == (403, "Unauthorized account")


def test_every_operation_is_closed_to_a_bound_token_unless_it_knows_about_it(engine: EngineProcess) -> None:
    """Whatever is added to the API: with a token for one account it answers 403, or nothing of another account."""
    register(engine, "a")
    register(engine, "secretive")
    token = bound_token(engine, "a")
    document = engine.request("GET", "/openapi.json", token="").json
    asked = 0
    for path, operations in document["paths"].items():
        if "get" not in operations or path in ("/v1/events/sse", "/v1/changes"):
            continue
        filled = path.replace("{account}", "secretive").replace("{webhook}", "default").replace("{consumer}", "c")
        answer = engine.request("GET", filled.replace("{queueId}", "q"), token=token)
        asked += 1
        assert answer.status in (200, 400, 403, 404), path
        assert b"secretive" not in answer.body, path
    assert asked > 5


def test_the_streams_of_a_bound_token_are_narrowed(engine: EngineProcess) -> None:
    register(engine, "b")
    register(engine, "a")
    token = bound_token(engine, "a")
    with streaming(engine, f"/v1/events/sse?after=0&access_token={token}", Authorization="") as response:
        assert response.status == 401
    with streaming(engine, "/v1/events/sse?after=0", Authorization=f"Bearer {token}") as response:
        assert {json.loads(message["data"])["account"] for message in messages(response, 3)} == {"a"}
    with streaming(engine, "/v1/events/sse?account=b", Authorization=f"Bearer {token}") as response:
        assert response.status == 403
    with streaming(engine, "/v1/changes?account=b", Authorization=f"Bearer {token}") as response:
        assert response.status == 403


def handshake(engine: EngineProcess, query: str) -> int:
    """The HTTP status that the websocket's handshake is answered with."""
    client = socket.create_connection((HOST, engine.port), timeout=PATIENCE_SECONDS)
    with client:
        client.sendall(
            f"GET /v1/events/stream?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        return int(client.recv(100).split()[1])


def test_what_the_websocket_refuses_before_it_begins(engine: EngineProcess) -> None:
    register(engine, "a")
    token = bound_token(engine, "a")
    weak = weak_token(engine)
    assert handshake(engine, "after=0") == 401
    assert handshake(engine, "access_token=00") == 401
    assert handshake(engine, f"access_token={weak}") == 403
    assert handshake(engine, f"access_token={token}&account=b") == 403
    assert handshake(engine, f"access_token={token}&after=x") == 400
    assert handshake(engine, f"access_token={token}&consumer=a%2Fb") == 400
    assert handshake(engine, f"access_token={token}&account=a") == 101
    assert handshake(engine, f"access_token={token}&events=messageSent&consumer=a.b-c_1") == 101


def test_consumers_belong_to_who_made_them(engine: EngineProcess) -> None:
    register(engine, "a")
    token = bound_token(engine, "a")
    assert engine.request("PUT", "/v1/events/consumers/billing", {"seq": 2}).json["seq"] == 2
    assert engine.request("GET", "/v1/events/consumers/billing", token=token).status == 404
    assert engine.request("PUT", "/v1/events/consumers/billing", {"seq": 1}, token=token).json["account"] == "a"
    assert len(engine.request("GET", "/v1/events/consumers").json["consumers"]) == 2
    assert len(engine.request("GET", "/v1/events/consumers", token=token).json["consumers"]) == 1
    engine.restart()
    assert engine.request("GET", "/v1/events/consumers/billing").json["seq"] == 2
    assert engine.request("DELETE", "/v1/events/consumers/billing").json["deleted"] is True
    assert engine.request("GET", "/v1/events/consumers/billing").status == 404
    assert engine.request("PUT", "/v1/events/consumers/billing", {"seq": 999}).json["code"] == "FutureCursor"
