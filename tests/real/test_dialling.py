"""What a caller with a token for one account can make a real engine dial."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.servers import HOST

pytestmark = pytest.mark.process


@contextmanager
def internal_service() -> Iterator[tuple[int, list[int]]]:
    """A service with a telling banner: its port, and a list that grows with each connection."""
    connections: list[int] = []
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connections.append(1)
                with connection:
                    connection.sendall(b"SECRET-BANNER 1.2.3 of an internal service\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], connections
        listener.shutdown(socket.SHUT_RDWR)


def server(port: int, host: str = HOST) -> dict[str, Any]:
    return {"host": host, "port": port, "auth": {"user": "u", "pass": "p"}}


def narrow(engine: EngineProcess) -> str:
    issued = engine.command("tokens", "issue", "-d", "one", "-s", "api", "--account", "a", "--unregistered")
    return issued.stdout.strip()


@pytest.mark.parametrize(
    ("member", "host", "port"),
    [
        ("imap.host", "127.0.0.1", 143),
        ("imap.host", "localhost", 993),
        ("imap.host", "169.254.169.254", 143),
        ("imap.host", "10.0.0.1", 143),
        ("imap.host", "::1", 143),
        ("imap.host", "192.0.0.192", 143),
        ("imap.port", "203.0.114.1", 22),
        ("imap.port", "127.0.0.1", 6379),
    ],
)
def test_a_narrowed_token_cannot_name_it(shared_engine: EngineProcess, member: str, host: str, port: int) -> None:
    token = narrow(shared_engine)
    given = {"account": "a", "name": "a", "imap": server(port, host)}
    answer = shared_engine.request("POST", "/v1/account", given, token=token)
    assert (answer.status, answer.json["code"]) == (400, "EgressRefused")
    assert [field["path"] for field in answer.json["fields"]] == [member]
    assert shared_engine.request("POST", "/v1/account", {**given, "imap": False}, token=token).status == 200
    answer = shared_engine.request("PUT", "/v1/account/a", {"imap": server(port, host)}, token=token)
    assert [field["path"] for field in answer.json["fields"]] == [member]
    assert shared_engine.request("DELETE", "/v1/account/a").status == 200


def test_what_a_trusted_caller_named_is_dialled_and_stays_so(engine: EngineProcess) -> None:
    token = narrow(engine)
    with internal_service() as (port, connections):
        assert engine.request("POST", "/v1/account", {"account": "a", "name": "a", "imap": server(port)}).status == 200
        wait_until(lambda: connections, "the engine to dial")
        password = {"imap": {**server(port), "auth": {"user": "u", "pass": "new"}}}
        assert engine.request("PUT", "/v1/account/a", password, token=token).status == 200
        connections.clear()
        assert engine.request("PUT", "/v1/account/a/reconnect", {"reconnect": True}, token=token).status == 200
        wait_until(lambda: connections, "the engine to dial again")
        # Another port at the same host is another server, which the tenant names.
        answer = engine.request("PUT", "/v1/account/a", {"imap": {"partial": True, "port": 2525}}, token=token)
        assert (answer.status, answer.json["code"]) == (400, "EgressRefused")
        assert [field["path"] for field in answer.json["fields"]] == ["imap.host"]
        assert engine.request("GET", "/v1/account/a").json["imap"]["port"] == port


def test_nobody_reaches_the_metadata_service(engine: EngineProcess) -> None:
    given = {"account": "a", "name": "a", "imap": server(143, "169.254.169.254")}
    assert engine.request("POST", "/v1/account", given).status == 200
    account = engine.wait_for_state("a", "connectError")
    assert account["lastError"]["serverResponseCode"] == "EACCES"
    answer = engine.request("POST", "/v1/verifyAccount", {"smtp": server(25, "169.254.169.254")})
    assert (answer.json["smtp"]["success"], answer.json["smtp"]["code"]) == (False, "EACCES")
