"""The process at its limits: stopped while ten messages are on their way, out of descriptors, started twice."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from real.engine_process import REPOSITORY, EngineProcess
from real.processes import PATIENCE_SECONDS, wait_until
from real.smtp_server import SmtpServer

from torture.accounts import entry, message_events, register, submit
from torture.scripted_smtp import Act, ScriptedServer

pytestmark = pytest.mark.process

StartEngine = Callable[..., EngineProcess]
BIG = [{"filename": "big.bin", "content": base64.b64encode(bytes(6_000_000)).decode()}]
"""More than fits into a socket's buffers."""


@pytest.fixture
def ten_servers() -> Iterator[list[ScriptedServer]]:
    """Ten servers."""
    servers = [ScriptedServer() for _ in range(10)]
    yield servers
    for server in servers:
        server.close()


def ten_in_data(engine: EngineProcess, servers: list[ScriptedServer]) -> list[str]:
    """Queue ids of ten messages on their way: seven before the go-ahead, three in the middle of the message."""
    queue_ids = []
    for number, server in enumerate(servers):
        register(engine, f"a{number}", server.port)
        server.play({"BODY": [Act.STALL]} if number < 3 else {"DATA": [Act.STALL]})
        asked: dict[str, Any] = {"attachments": BIG} if number < 3 else {}
        queue_ids.append(submit(engine, f"a{number}", **asked)["queueId"])
    wait_until(lambda: all(server.visits["DATA"] for server in servers), "ten sessions in DATA")
    wait_until(lambda: all(server.visits["BODY"] for server in servers[:3]), "three in the body")
    return queue_ids


def test_stopped_in_the_middle_of_ten_messages_each_is_sent_once(
    start_engine: StartEngine, ten_servers: list[ScriptedServer]
) -> None:
    engine = start_engine(ENGINE_SHUTDOWN__GRACE="1s")
    queue_ids = ten_in_data(engine, ten_servers)
    assert engine.terminate() == 0
    for server in ten_servers:
        server.play({})
        server.hang_up()
    engine.start()
    wait_until(lambda: all(server.deliveries for server in ten_servers), "every message after the restart")
    wait_until(lambda: {entry(engine, each)["state"] for each in queue_ids} == {"sent"}, "their end")
    assert [len(server.deliveries) for server in ten_servers] == [1] * 10
    assert [entry(engine, each)["attemptsMade"] for each in queue_ids] == [1] * 10
    told = {each["event"] for number in range(10) for each in message_events(engine, f"a{number}")}
    assert told == {"messageSent"}


def test_a_second_signal_ends_it_at_once(start_engine: StartEngine, ten_servers: list[ScriptedServer]) -> None:
    # The last dot of one message is out, so the first signal alone would wait for the whole grace time.
    engine = start_engine(ENGINE_SHUTDOWN__GRACE="10m")
    register(engine, "jane", ten_servers[0].port)
    ten_servers[0].play({"DOT": [Act.STALL]})
    submit(engine, "jane")
    wait_until(lambda: ten_servers[0].visits["DOT"], "the dot")
    os.kill(engine.pid, signal.SIGTERM)
    wait_until(lambda: "stopping" in engine.log, "the first signal")
    assert engine.terminate() == 0


def test_out_of_descriptors_those_who_are_connected_go_on(start_engine: StartEngine, smtp_server: SmtpServer) -> None:
    engine = start_engine(ENGINE_RETRY__SCHEDULE="500ms")
    register(engine, "jane", smtp_server.port)
    engine.terminate()
    engine.crash_expected = True  # what the server library says about a refused connection has a traceback
    engine.start(under=["prlimit", "--nofile=64:64"])
    existing = http.client.HTTPConnection(engine.host, engine.port, timeout=PATIENCE_SECONDS)
    headers = {"Authorization": f"Bearer {engine.token}", "Content-Type": "application/json"}
    with contextlib.ExitStack() as crowd:

        def ask(method: str, path: str, body: bytes | None = None) -> int:
            existing.request(method, path, body, headers)
            response = existing.getresponse()
            response.read()
            return response.status

        assert ask("GET", "/health") == 200
        for _ in range(100):
            client = crowd.enter_context(socket.create_connection((engine.host, engine.port)))
            client.sendall(b"GET /hea")
        with contextlib.suppress(OSError), socket.create_connection((engine.host, engine.port)) as late:
            late.settimeout(1.0)
            late.sendall(b"GET /health HTTP/1.1\r\nHost: engine\r\n\r\n")
            assert not late.recv(100).startswith(b"HTTP/1.1 200")
        assert ask("GET", "/v1/account/jane") == 200
        body = b'{"to":[{"address":"a@example.com"}],"subject":"Hello","text":"Hi"}'
        assert ask("POST", "/v1/account/jane/submit", body) == 200
    existing.close()
    smtp_server.wait_for_messages(1)
    wait_until(lambda: engine.request("GET", "/health").status == 200, "a new connection")
    submit(engine, "jane")
    smtp_server.wait_for_messages(2)


def test_a_client_that_leaves_without_a_word_leaves_no_descriptor(engine: EngineProcess) -> None:
    def held() -> int:
        return len(list(Path(f"/proc/{engine.pid}/fd").iterdir()))

    before = held()
    with contextlib.ExitStack() as crowd:
        for _ in range(20):
            crowd.enter_context(socket.create_connection((engine.host, engine.port)))
        wait_until(lambda: held() >= before + 19, "the connections")
    wait_until(lambda: held() <= before, "their end")


def test_after_a_kill_one_of_two_engines_gets_the_folder(engine: EngineProcess) -> None:
    engine.kill9()
    settings = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(REPOSITORY),
        "ENGINE_STORE__PATH": str(engine.folder),
        "ENGINE_HTTP__PORT": "0",
    }
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "engine", "serve"]
    both = [
        subprocess.Popen(command, env=settings, cwd=engine.folder.parent, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        wait_until(lambda: any(each.poll() is not None for each in both), "the end of one of them")
        (loser,) = [each for each in both if each.poll() is not None]
        assert loser.returncode != 0
        assert loser.stderr is not None
        (line,) = loser.stderr.read().splitlines()
        assert str(engine.folder) in line
    finally:
        for each in both:
            each.kill()
            each.communicate()
    engine.start()
