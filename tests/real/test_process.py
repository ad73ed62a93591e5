"""The process as a whole: killed in mid-flight, stopped while everybody hangs, and started where it must not start."""

from __future__ import annotations

import collections
import http.client
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real.engine_process import REPOSITORY, EngineProcess
from real.processes import PATIENCE_SECONDS, wait_until
from real.smtp_server import SmtpServer, Trouble

pytestmark = pytest.mark.process

StartEngine = Callable[..., EngineProcess]


def register(engine: EngineProcess, account: str, server: SmtpServer) -> None:
    smtp = {"host": server.host, "port": server.port}
    registration = {"account": account, "name": "Jane", "email": "jane@example.com", "smtp": smtp}
    assert engine.request("POST", "/v1/account", registration).status == 200
    engine.wait_for_state(account, "connected")


def submit(engine: EngineProcess, account: str) -> str:
    """The Message-ID of an acknowledged message."""
    body = {"to": [{"address": "a@example.com"}], "subject": "Hello", "text": "Hi"}
    answer = engine.request("POST", f"/v1/account/{account}/submit", body)
    assert answer.status == 200, answer.body
    return answer.json["messageId"]


def all_events(engine: EngineProcess) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while page := engine.request("GET", f"/v1/events?limit=1000&after={len(events)}").json["events"]:
        events += page
    return events


def message_id(data: bytes) -> str:
    (line,) = [line for line in data.split(b"\r\n") if line.lower().startswith(b"message-id:")]
    return line.partition(b":")[2].strip().decode()


@pytest.mark.parametrize("kill_at", [10, 45])
def test_killed_under_load_every_message_is_sent_once_or_said_to_be_in_doubt(
    kill_at: int, engine: EngineProcess, smtp_server: SmtpServer
) -> None:
    register(engine, "jane", smtp_server)
    acknowledged: list[str] = []

    def load() -> None:
        try:
            while True:
                acknowledged.append(submit(engine, "jane"))
        except (OSError, http.client.HTTPException):
            return  # killed while this request was on its way: it was not acknowledged

    loads = [threading.Thread(target=load) for _ in range(4)]
    assert engine.token
    for thread in loads:
        thread.start()
    try:
        wait_until(lambda: len(smtp_server.messages) >= kill_at, f"{kill_at} messages sent")
    finally:
        engine.kill9()
        for thread in loads:
            thread.join()
    assert len(acknowledged) >= kill_at // 2
    engine.start()

    def sent() -> list[str]:
        return [each["data"]["messageId"] for each in all_events(engine) if each["event"] == "messageSent"]

    wait_until(lambda: set(acknowledged) <= set(sent()), "all acknowledged messages")
    in_doubt = {each["data"]["messageId"] for each in all_events(engine) if each["data"].get("inDoubt")}
    assert [name for name, count in collections.Counter(sent()).items() if count > 1] == []
    came = collections.Counter(message_id(message.data) for message in smtp_server.messages)
    assert set(acknowledged) <= set(came)
    assert {name for name, count in came.items() if count > 1} <= in_doubt
    assert max(came.values()) <= 2


def test_killed_after_the_dot_a_message_is_in_doubt(engine: EngineProcess, smtp_server: SmtpServer) -> None:
    register(engine, "jane", smtp_server)
    smtp_server.trouble = Trouble.HANG_AFTER_DOT
    doubtful = submit(engine, "jane")
    smtp_server.wait_for_messages(1)
    engine.kill9()
    smtp_server.trouble = Trouble.NONE
    engine.start()
    smtp_server.wait_for_messages(2)
    wait_until(lambda: all_events(engine)[-1]["event"] == "messageSent", "the second try")
    error, doubt, sent = all_events(engine)[-3:]
    assert (error["event"], error["data"]["messageId"]) == ("messageDeliveryError", doubtful)
    assert (doubt["event"], doubt["data"]["messageId"]) == ("messageInDoubt", doubtful)
    assert error["data"]["inDoubt"] is True
    assert sent["data"]["messageId"] == doubtful
    assert [message_id(message.data) for message in smtp_server.messages] == [doubtful, doubtful]


def test_killed_before_the_dot_a_message_is_sent_once_without_a_word(
    engine: EngineProcess, smtp_server: SmtpServer
) -> None:
    register(engine, "jane", smtp_server)
    smtp_server.trouble, before = Trouble.HANG_AFTER_GREETING, smtp_server.connections
    submit(engine, "jane")
    wait_until(lambda: smtp_server.connections > before, "connection to the hanging server")
    engine.kill9()
    smtp_server.trouble = Trouble.NONE
    engine.start()
    wait_until(lambda: all_events(engine)[-1]["event"] == "messageSent", "the message")
    assert "messageDeliveryError" not in [event["event"] for event in all_events(engine)]
    assert len(smtp_server.messages) == 1


def frames(websocket: socket.socket) -> list[tuple[int, bytes]]:
    """Opcode and payload of every short frame until the end of the connection (RFC 6455 section 5.2)."""
    found = []
    with websocket.makefile("rb") as stream:
        while head := stream.read(2):
            found.append((head[0] & 0x0F, stream.read(head[1])))
    return found


@pytest.mark.parametrize("trouble", [Trouble.HANG_AFTER_GREETING, Trouble.HANG_AFTER_DOT])
def test_a_stop_waits_for_nobody_who_hangs(
    trouble: Trouble, start_engine: StartEngine, smtp_server: SmtpServer
) -> None:
    engine = start_engine(ENGINE_SHUTDOWN__GRACE="1s")
    register(engine, "jane", smtp_server)
    smtp_server.trouble, before = trouble, smtp_server.connections
    submit(engine, "jane")
    wait_until(lambda: smtp_server.connections > before, "connection to the hanging server")
    if trouble is Trouble.HANG_AFTER_DOT:
        smtp_server.wait_for_messages(1)
    address = (engine.host, engine.port)
    with (
        socket.create_connection(address) as stuck,
        socket.create_connection(address, timeout=PATIENCE_SECONDS) as websocket,
    ):
        login = f"Host: engine\r\nAuthorization: Bearer {engine.token}\r\n"
        stuck.sendall(
            f"POST /v1/account HTTP/1.1\r\n{login}Content-Type: application/json\r\n"
            "Content-Length: 1000\r\n\r\n{".encode()
        )
        websocket.sendall(
            f"GET /v1/events/stream HTTP/1.1\r\n{login}Connection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert websocket.recv(65536).startswith(b"HTTP/1.1 101 ")
        assert engine.terminate() == 0
        # A close frame with 1001 "going away" (RFC 6455 section 7.4.1), which this client never answers.
        assert frames(websocket)[-1] == (8, (1001).to_bytes(2, "big") + b"the engine is stopping")
    assert "Traceback" not in engine.log
    # What was at hand is not lost.
    smtp_server.trouble = Trouble.NONE
    smtp_server.hang_up()
    engine.start()
    wait_until(lambda: all_events(engine)[-1]["event"] == "messageSent", "the message after the restart")


def serve(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to end by itself."""
    settings = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), **environment}
    command = [sys.executable, "-m", "engine", "serve"]
    return subprocess.run(
        command, env=settings, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


def test_a_folder_takes_one_engine_only(engine: EngineProcess, tmp_path: Path) -> None:
    second = serve(tmp_path, ENGINE_STORE__PATH=str(engine.folder), ENGINE_HTTP__PORT="0")
    assert second.returncode != 0
    (line,) = (second.stdout + second.stderr).splitlines()
    assert str(engine.folder) in line
    assert engine.request("GET", "/health").status == 200


def test_a_port_that_is_taken_is_one_line(engine: EngineProcess, tmp_path: Path) -> None:
    second = serve(tmp_path, ENGINE_HTTP__PORT=str(engine.port))
    assert second.returncode != 0
    (line,) = (second.stdout + second.stderr).splitlines()
    assert str(engine.port) in line


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("ENGINE_RETRY__SCEDULE", "1s", "retry.scedule"),
        ("ENGINE_RETRIES__SCHEDULE", "1s", "[retries]"),
        ("ENGINE_RETRY__SCHEDULE", "soon", "retry.schedule"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(name: str, value: str, word: str, tmp_path: Path) -> None:
    ended = serve(tmp_path, **{name: value})
    assert ended.returncode != 0
    (line,) = (ended.stdout + ended.stderr).splitlines()
    assert word in line
    assert name in line
    assert not (tmp_path / "data").exists()


def test_an_unknown_key_in_the_file_stops_the_start_with_one_line(tmp_path: Path) -> None:
    tmp_path.joinpath("config.toml").write_text("[retry]\nscedule = ['1s']\n")
    ended = serve(tmp_path)
    assert ended.returncode != 0
    (line,) = (ended.stdout + ended.stderr).splitlines()
    assert "config.toml" in line
    assert "retry.scedule" in line


HANGING = """
import pathlib
import trio
from engine import app, cli

async def never_ends(*_, **__):
    pathlib.Path("running").touch()
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()

app.run, app.LAST_RESORT, app.SAY_AFTER = never_ends, 0.2, 0.0
cli.main(["serve"])
"""


@pytest.mark.parametrize(("signals", "code", "word"), [(1, 1, "the shutdown hangs"), (2, 0, "exiting at once")])
def test_a_stop_that_hangs_says_so(signals: int, code: int, word: str, tmp_path: Path) -> None:
    settings = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(REPOSITORY),
        "ENGINE_SHUTDOWN__GRACE": f"{signals * 20 - 20}s",
    }
    command = [sys.executable, "-c", HANGING]
    with subprocess.Popen(command, env=settings, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        lines: list[str] = []
        assert process.stderr is not None
        # Signals are watched from then on; one that comes before ends the process at once.
        wait_until((tmp_path / "running").exists, "start")
        process.terminate()
        while "stopping" not in "".join(lines):
            lines += [process.stderr.readline()]
            assert lines[-1], "it ended without a word"
        if signals == 2:
            process.terminate()
        assert process.wait(PATIENCE_SECONDS) == code
        lines += process.stderr.readlines()
    assert word in lines[-1]
    assert "Traceback" not in "".join(lines)
    if signals == 1:
        assert "never_ends" in lines[-1]
