"""An engine that starts on what was imported from a real Redis: it logs in, knows the tokens, announces nothing old.

The page about coming from EmailEngine is typed here as it stands, but for the address of Redis.
"""

from __future__ import annotations

import imaplib
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real.documents import blocks, environment_folder
from real.dovecot import Dovecot
from real.emailengine_data import ROUTE, SECRET, TEMPLATE, TOKEN, EmailEngine, everything
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.redis_server import RedisServer

pytestmark = pytest.mark.process
PAGE = "docs/coming-from-emailengine.md"
IN_THE_PAGE = "redis://127.0.0.1:6379/8"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine that is not started yet."""
    process = EngineProcess(tmp_path, EENGINE_SECRET=SECRET)
    yield process
    if process.running:
        process.terminate()


def test_an_engine_starts_on_it(
    redis_server: RedisServer, dovecot: Dovecot, engine: EngineProcess, tmp_path: Path
) -> None:
    redis_server.empty()
    there = EmailEngine(redis_server)
    everything(there)
    login, password = dovecot.user()
    server = there.password(dovecot.host, dovecot.tls_port, login, password, tls={"rejectUnauthorized": False})
    there.account("mine", name="Mine", email=login, imap=server | {"secure": True})
    append(dovecot, login, password, "old")
    for block in blocks(PAGE):
        typed(block.text.replace(IN_THE_PAGE, redis_server.url), engine, tmp_path)
    engine.start()

    def ask(path: str) -> Any:
        answer = engine.request("GET", path, token=TOKEN.hex())
        assert answer.status == 200, answer.body
        return answer.json

    assert ask("/v1/account/mine?wait=connected")["state"] == "connected"
    append(dovecot, login, password, "new")

    def announced() -> list[str]:
        found = ask("/v1/events?after=0&limit=500")["events"]
        return [each["data"]["subject"] for each in found if each["event"] == "messageNew"]

    wait_until(lambda: bool(announced()), "the new message")
    assert announced() == ["new"]
    assert ask(f"/v1/templates/template/{TEMPLATE}")["content"]["subject"] == "Hello {{params.name}}"
    assert ask(f"/v1/webhookRoutes/webhookRoute/{ROUTE}")["enabled"] is True
    assert ask("/v1/gateway/relay")["host"] == "relay.example.com"
    assert ask("/v1/settings?webhooksEnabled=true")["webhooksEnabled"] is True
    with pytest.raises(subprocess.CalledProcessError) as refused:
        engine.command("import", "emailengine", "--redis", redis_server.url)
    assert refused.value.returncode == 1
    assert f"an engine (pid {engine.pid}) runs on" in refused.value.stderr
    dry = engine.command("import", "emailengine", "--redis", redis_server.url, "--dry-run")
    assert "nothing was changed" in dry.stderr


def typed(script: str, engine: EngineProcess, folder: Path) -> None:
    """Run a block of the page on the engine's data folder. Fails the test at the first command that fails."""
    home = folder / "environment"
    if not home.exists():
        environment_folder(home)
    environment = {**os.environ, "ENGINE_STORE__PATH": str(engine.folder), "EENGINE_SECRET": SECRET}
    environment["PATH"] = f"{home / 'bin'}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def append(dovecot: Dovecot, login: str, password: str, subject: str) -> None:
    """Put a message into the inbox."""
    context = ssl.create_default_context(cadata=dovecot.ca_pem)
    with imaplib.IMAP4_SSL(dovecot.host, dovecot.tls_port, ssl_context=context) as client:
        client.login(login, password)
        client.append("INBOX", "", "", f"Subject: {subject}\r\n\r\n{subject}\r\n".encode())
