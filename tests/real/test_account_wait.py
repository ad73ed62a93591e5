"""`GET /v1/account/{account}?wait=connected`: when the answer comes, what it counts as, who ends it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from real.engine_process import Answer, EngineProcess
from real.processes import wait_until
from real.servers import HOST, free_ports
from real.test_event_channels import submit

pytestmark = pytest.mark.process

TRUSTING = {"required": False, "rejectUnauthorized": False}
SANDBOX = {"name": "a", "email": "a@sandbox.example", "sandbox": True}


class Asked(threading.Thread):
    """A request in a thread of its own."""

    def __init__(self, engine: EngineProcess, path: str) -> None:
        super().__init__(daemon=True)
        self._engine, self._path = engine, path
        self.answer: Answer | None = None
        self.start()

    def run(self) -> None:
        self.answer = self._engine.request("GET", self._path)


def unreachable(port: int) -> dict[str, Any]:
    server = {"host": HOST, "port": port, "secure": False, "tls": {"required": False}}
    return {"imap": {**server, "auth": {"user": "u", "pass": "p"}}}


def test_what_is_registered_can_send_as_soon_as_the_wait_ends(engine: EngineProcess) -> None:
    for number in range(10):
        engine.request("POST", "/v1/account", {**SANDBOX, "account": f"a{number}"})
        assert engine.request("GET", f"/v1/account/a{number}?wait=connected").json["state"] == "connected"
        submit(engine, f"a{number}")


def test_the_parameter_is_checked_and_the_account_must_be_there(engine: EngineProcess) -> None:
    wrong = engine.request("GET", "/v1/account/a?wait=sent")
    assert (wrong.status, wrong.json["fields"][0]["path"]) == (400, "wait")
    assert "connected" in wrong.json["fields"][0]["message"]
    assert engine.request("GET", "/v1/account/a?wait=connected").status == 404


def test_a_refused_login_and_nothing_to_connect_to_end_it_at_once(engine: EngineProcess, dovecot: Any) -> None:
    user, password = dovecot.user()
    server = {"host": HOST, "port": dovecot.port, "secure": False, "tls": TRUSTING}
    wrong: dict[str, Any] = {"account": "a", "name": "a", "email": "a@x.example"}
    wrong["imap"] = {**server, "auth": {"user": user, "pass": "no"}}
    assert engine.request("POST", "/v1/account", wrong).status == 200
    refused = engine.request("GET", "/v1/account/a?wait=connected").json
    assert (refused["state"], refused["lastError"] is None) == ("authenticationError", False)
    right = {"imap": {**server, "auth": {"user": user, "pass": password}}}
    assert engine.request("PUT", "/v1/account/a", right).status == 200
    assert engine.request("GET", "/v1/account/a?wait=connected").json["state"] == "connected", "not the old refusal"
    assert engine.request("PUT", "/v1/account/a", {"imap": wrong["imap"]}).status == 200
    assert engine.request("GET", "/v1/account/a?wait=connected").json["state"] == "authenticationError"
    engine.request("POST", "/v1/account", {"account": "none", "name": "n", "email": "n@x.example"})
    assert engine.request("GET", "/v1/account/none?wait=connected").json["state"] == "unset"


def test_it_ends_with_the_account_and_with_the_engine(engine: EngineProcess) -> None:
    (port,) = free_ports(1)
    for account in ("gone", "left"):
        engine.request("POST", "/v1/account", {"account": account, "name": "n", "email": "n@x.e", **unreachable(port)})
    gone, left = Asked(engine, "/v1/account/gone?wait=connected"), Asked(engine, "/v1/account/left?wait=connected")
    engine.wait_for_state("gone", "connectError")
    assert engine.request("DELETE", "/v1/account/gone").status == 200
    gone.join(30)
    assert gone.answer is not None and gone.answer.status == 404
    assert left.answer is None
    engine.terminate()
    left.join(30)
    assert left.answer is not None and left.answer.json["state"] in ("connectError", "connecting")


def test_it_counts_as_a_stream_until_the_client_leaves(start_engine: Callable[..., EngineProcess]) -> None:
    engine = start_engine(ENGINE_HTTP__STREAMS_PER_TOKEN="1")
    (port,) = free_ports(1)
    engine.request("POST", "/v1/account", {"account": "a", "name": "n", "email": "n@x.e", **unreachable(port)})
    path = "/v1/account/a?wait=connected"

    def taken() -> bool:
        return engine.request("GET", "/v1/events?events=messageSent&wait=1").status == 429

    with socket.create_connection((HOST, engine.port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {engine.token}\r\n\r\n".encode())
        wait_until(taken, "the wait to be counted")
        assert engine.request("GET", path).json["code"] == "TooMany"
        assert engine.request("GET", "/v1/account/a").status == 200, "what does not wait does not count"
    wait_until(lambda: not taken(), "the end of the wait")
    engine.request("POST", "/v1/account", {**SANDBOX, "account": "b"})
    assert engine.request("GET", "/v1/account/b?wait=connected").json["state"] == "connected"
    assert not taken()
