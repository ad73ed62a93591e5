"""What these tests ask of the engine: an account at a server, a message, its events, its entry in the outbox."""

from __future__ import annotations

from typing import Any

from real.engine_process import Answer, EngineProcess
from real.servers import HOST


def register(engine: EngineProcess, account: str, port: int, *, login: bool = False, wait: bool = True) -> None:
    """Register an account that only sends, through `port` on this machine."""
    smtp: dict[str, Any] = {"host": HOST, "port": port}
    if login:
        smtp["auth"] = {"user": "jane", "pass": "secret"}
    body = {"account": account, "name": "Jane", "email": "jane@example.com", "smtp": smtp}
    answer = engine.request("POST", "/v1/account", body)
    assert answer.status == 200, answer.body
    if wait:
        engine.wait_for_state(account, "connected")


def post(
    engine: EngineProcess, account: str, *, to: tuple[str, ...] = ("a@example.com",), key: str = "", **members: Any
) -> Answer:
    """Hand in a message; `key` is its Idempotency-Key."""
    body = {"to": [{"address": each} for each in to], "subject": "Hello", "text": "Hi", **members}
    headers = {"Idempotency-Key": key} if key else None
    return engine.request("POST", f"/v1/account/{account}/submit", body, headers=headers)


def submit(engine: EngineProcess, account: str, **members: Any) -> dict[str, Any]:
    """The answer to a message that was taken."""
    answer = post(engine, account, **members)
    assert answer.status == 200, answer.body
    return dict(answer.json)


def events(engine: EngineProcess, account: str | None = None) -> list[dict[str, Any]]:
    """Every event so far, or one account's."""
    found: list[dict[str, Any]] = []
    query = f"&account={account}" if account else ""
    while True:
        after = found[-1]["seq"] if found else 0
        page = engine.request("GET", f"/v1/events?limit=1000&after={after}{query}").json["events"]
        found += page
        if len(page) < 1000:
            return found


def message_events(engine: EngineProcess, account: str) -> list[dict[str, Any]]:
    """One account's events about messages."""
    return [each for each in events(engine, account) if each["event"].startswith("message")]


def entry(engine: EngineProcess, queue_id: str) -> dict[str, Any]:
    """One message as the outbox shows it."""
    answer = engine.request("GET", f"/v1/outbox/{queue_id}")
    assert answer.status == 200, answer.body
    return dict(answer.json)


def message_id(data: bytes) -> str:
    """The Message-ID of a message as it came to a server."""
    (line,) = [line for line in data.split(b"\r\n") if line.lower().startswith(b"message-id:")]
    return line.partition(b":")[2].strip().decode()
