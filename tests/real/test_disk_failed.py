"""A disk that fails under the running engine: `strace` makes one sync of the real process fail."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.smtp_server import SmtpServer, Trouble
from real.test_process import all_events, message_id, register

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def strace() -> None:
    """What makes a system call fail; `scripts/test` installs it."""
    if shutil.which("strace") is None and os.environ.get("CI") != "true":
        pytest.skip("a failing disk left out: strace is not installed (Debian: strace)")


SMALL, LARGE = 10, 400_000


@contextlib.contextmanager
def failing(engine: EngineProcess, call: str, number: int, notes: Path) -> Iterator[None]:
    """Have the process's `number`-th system call `call`, counted by thread from now on, end in an I/O error."""
    inject = f"inject={call}:error=EIO:when={number}"
    command = ["strace", "-f", "-q", "-p", str(engine.pid), "-e", f"trace={call}", "-e", inject, "-o", str(notes)]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        tracer = Path(f"/proc/{engine.pid}/status")
        wait_until(lambda: f"TracerPid:\t{strace.pid}" in tracer.read_text(), "strace")
        yield
    finally:
        strace.terminate()
        strace.communicate()


def hand_in(engine: EngineProcess, size: int) -> tuple[int, str]:
    """The status and Message-ID of one submission; status 0 when there was no answer."""
    body = {"to": [{"address": "a@example.com"}], "subject": "Hello", "text": "x" * size}
    try:
        answer = engine.request("POST", "/v1/account/jane/submit", body)
    except (OSError, http.client.HTTPException):
        return 0, ""
    return answer.status, answer.json.get("messageId", "")


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize(("call", "size"), [("fdatasync", SMALL), ("fsync", LARGE)], ids=["commit", "spool"])
def test_after_a_failed_sync_nothing_is_acknowledged_and_a_restart_has_the_rest(
    call: str, size: int, number: int, engine: EngineProcess, smtp_server: SmtpServer, tmp_path: Path
) -> None:
    register(engine, "jane", smtp_server)
    smtp_server.trouble = Trouble.HANG_AFTER_GREETING
    acknowledged = [hand_in(engine, SMALL)[1] for _ in range(5)]
    wait_until(lambda: smtp_server.connections, "the lane")
    engine.wait_for_line(r"/admin/enter\?key=")  # The last of its start, which comes after /health answers.
    before = engine.log
    with failing(engine, call, number, tmp_path / "strace"):
        statuses = []
        for _ in range(40):
            status, message = hand_in(engine, size)
            statuses.append(status)
            if status == 200:
                acknowledged.append(message)
            if status == 0:
                break
        code = engine.wait_for_end()
    assert "EIO" in (tmp_path / "strace").read_text()
    first = next(place for place, status in enumerate(statuses) if status != 200)
    assert set(statuses[first:]) <= {0, 503}
    assert code == 1
    (line,) = engine.log.removeprefix(before).splitlines()
    assert "acknowledges no further changes" in line
    smtp_server.trouble = Trouble.NONE
    smtp_server.hang_up()
    engine.start()

    def sent() -> set[str]:
        return {each["data"]["messageId"] for each in all_events(engine) if each["event"] == "messageSent"}

    wait_until(lambda: set(acknowledged) <= sent(), "all acknowledged messages")
    came = [message_id(each.data) for each in smtp_server.messages]
    assert len(came) == len(set(came))


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal"])
def test_a_damaged_file_is_one_line_and_nothing_is_forgotten_silently(
    name: str, engine: EngineProcess, smtp_server: SmtpServer
) -> None:
    register(engine, "jane", smtp_server)
    smtp_server.trouble = Trouble.HANG_AFTER_GREETING
    acknowledged = [hand_in(engine, SMALL)[1] for _ in range(5)]
    engine.kill9()
    file = engine.folder / name
    data = file.read_bytes()
    place = 3 if name == "journal.db" else len(data) // 2
    file.write_bytes(data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :])
    before = engine.log
    with pytest.raises(RuntimeError, match="the engine ended with 2"):
        engine.start()
    (line,) = engine.log.removeprefix(before).splitlines()
    assert f"{file}: " in line
    with pytest.raises(subprocess.CalledProcessError) as examined:
        engine.command("doctor")
    bad = [each for each in examined.value.stdout.splitlines() if each.startswith("BAD")]
    assert any(str(file) in each for each in bad), bad
    file.write_bytes(data)
    smtp_server.trouble = Trouble.NONE
    smtp_server.hang_up()
    engine.start()
    smtp_server.wait_for_messages(5)
    assert sorted(message_id(each.data) for each in smtp_server.messages) == sorted(acknowledged)
