"""One key, one message: asked for twice at once, after a restart, with another body, and by a client that hung up."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from typing import Any

import pytest
from real.engine_process import Answer, EngineProcess
from real.processes import wait_until
from real.smtp_server import SmtpServer

from torture.accounts import events, post, register, submit

pytestmark = pytest.mark.process


@pytest.fixture
def jane(one_engine: EngineProcess, smtp_server: SmtpServer) -> str:
    """A new account, which sends to `smtp_server`."""
    account = f"jane-{uuid.uuid4()}"
    register(one_engine, account, smtp_server.port)
    return account


def request_bytes(engine: EngineProcess, account: str, key: str, subject: str) -> bytes:
    """A submission as it goes over the wire."""
    body = json.dumps({"to": [{"address": "a@example.com"}], "subject": subject, "text": "Hi"}).encode()
    head = (
        f"POST /v1/account/{account}/submit HTTP/1.1\r\nHost: engine\r\nAuthorization: Bearer {engine.token}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def settled(engine: EngineProcess, account: str, server: SmtpServer, count: int) -> None:
    """Wait for `count` messages, and for one more of another submission, behind which none can be that came before."""
    submit(engine, account, subject="the last")
    server.wait_for_messages(count + 1)
    assert len(server.messages) == count + 1


def test_asked_for_many_times_at_once_there_is_one_message(
    one_engine: EngineProcess, jane: str, smtp_server: SmtpServer
) -> None:
    answers: list[Answer] = []
    barrier = threading.Barrier(10)

    def ask() -> None:
        barrier.wait()
        answers.append(post(one_engine, jane, key="order-1"))

    assert one_engine.token
    clients = [threading.Thread(target=ask) for _ in range(10)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert [each.status for each in answers] == [200] * 10
    assert len({each.json["queueId"] for each in answers}) == 1
    assert sorted(each.json["idempotency"]["status"] for each in answers) == ["HIT"] * 9 + ["MISS"]
    settled(one_engine, jane, smtp_server, 1)


def test_a_key_survives_restart_and_kill(one_engine: EngineProcess, jane: str, smtp_server: SmtpServer) -> None:
    first = post(one_engine, jane, key="order-2").json
    smtp_server.wait_for_messages(1)
    for end in (one_engine.terminate, one_engine.kill9):
        end()
        one_engine.start()
        again = post(one_engine, jane, key="order-2").json
        assert again == {**first, "idempotency": {"key": "order-2", "status": "HIT"}}
    settled(one_engine, jane, smtp_server, 1)


def test_a_key_with_another_body_is_a_conflict(one_engine: EngineProcess, jane: str, smtp_server: SmtpServer) -> None:
    assert post(one_engine, jane, key="order-3").status == 200
    other = post(one_engine, jane, key="order-3", subject="Another")
    assert (other.status, other.json["code"]) == (409, "IdempotencyConflict")
    assert post(one_engine, jane, key="order-3").json["idempotency"]["status"] == "HIT"
    settled(one_engine, jane, smtp_server, 1)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 1.0])
def test_a_client_that_hangs_up_can_ask_again(
    share: float, one_engine: EngineProcess, jane: str, smtp_server: SmtpServer
) -> None:
    octets = request_bytes(one_engine, jane, "order-4", "Hello")
    for _ in range(5):
        with socket.create_connection((one_engine.host, one_engine.port)) as client:
            client.sendall(octets[: int(len(octets) * share)])
    answer = post(one_engine, jane, key="order-4")
    assert answer.status == 200, answer.body
    settled(one_engine, jane, smtp_server, 1)
    wait_until(
        lambda: len([each for each in events(one_engine, jane) if each["event"] == "messageSent"]) == 2, "both events"
    )


def test_a_refused_submission_leaves_its_key_free(
    one_engine: EngineProcess, jane: str, smtp_server: SmtpServer
) -> None:
    wrong: dict[str, Any] = {"to": ("not an address",)}
    assert post(one_engine, jane, key="order-5", **wrong).status == 400
    assert post(one_engine, jane, key="order-5", dryRun=True).status == 200
    assert post(one_engine, jane, key="order-5").json["idempotency"]["status"] == "MISS"
    settled(one_engine, jane, smtp_server, 1)
