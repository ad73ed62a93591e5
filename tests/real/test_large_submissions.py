"""Ten attachments of 25 MB at a time: from the request by way of the spool to SMTP, in little memory."""

from __future__ import annotations

import base64
import http.client
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.smtp_sink import SmtpSink

pytestmark = [pytest.mark.real, pytest.mark.process, pytest.mark.executed, pytest.mark.long]

AT_A_TIME = 10
SIZE = 25_000_000
MOST = 200 * 1024**2
"""Bytes of memory that the engine may take."""
PATIENCE_SECONDS = 120.0


def test_ten_large_attachments_at_a_time_take_little_memory(
    start_engine: Callable[..., EngineProcess], smtp_sink: SmtpSink
) -> None:
    engine = start_engine()
    engine.request(
        "POST",
        "/v1/account",
        {
            "account": "acme",
            "name": "Acme",
            "email": "acme@example.com",
            "smtp": {"host": smtp_sink.host, "port": smtp_sink.port, "secure": False, "auth": False},
        },
    )
    engine.wait_for_state("acme", "connected")
    file = {"filename": "large.bin", "content": base64.b64encode(os.urandom(SIZE)).decode()}
    body = json.dumps({"to": "you@example.com", "html": "<p>Hello</p>", "attachments": [file]}).encode()
    answers: list[int] = []
    clients = [threading.Thread(target=lambda: answers.append(_submit(engine, body))) for _ in range(AT_A_TIME)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert answers == [200] * AT_A_TIME

    def sent() -> int:
        events = engine.request("GET", "/v1/events?limit=1000").json["events"]
        return sum(each["event"] == "messageSent" for each in events)

    wait_until(lambda: sent() == AT_A_TIME, f"{AT_A_TIME} messages", PATIENCE_SECONDS)
    status = Path(f"/proc/{engine.pid}/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    assert peak <= MOST, f"{peak / 1024**2:.0f} MiB"


def _submit(engine: EngineProcess, body: bytes) -> int:
    connection = http.client.HTTPConnection(engine.host, engine.port, timeout=PATIENCE_SECONDS)
    try:
        fields = {"Content-Type": "application/json", "Authorization": f"Bearer {engine.token}"}
        connection.request("POST", "/v1/account/acme/submit", body, fields)
        return connection.getresponse().status
    finally:
        connection.close()
