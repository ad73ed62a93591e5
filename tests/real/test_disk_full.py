"""A really full disk: a small file system in memory, filled to the last byte beside the running engine."""

from __future__ import annotations

import collections
import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.smtp_server import SmtpServer, Trouble
from real.test_process import all_events, message_id, register

pytestmark = pytest.mark.process

StartEngine = Callable[..., EngineProcess]
MEBIBYTES = 6


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB; only root may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 and os.environ.get("CI") != "true":
        pytest.skip("a full disk left out: only root may mount one")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "disk", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Take every byte that is left; the file to remove to give them back."""
    file = folder / "filler"
    with file.open("ab", buffering=0) as out:
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    out.write(b"x" * size)
    assert os.statvfs(folder).f_bavail == 0
    return file


def hand_in(engine: EngineProcess) -> tuple[int, str, str]:
    """Status, Message-ID or error code, Retry-After of one submission."""
    body = {"to": [{"address": "a@example.com"}], "subject": "Hello", "text": "Hi " * 1000}
    answer = engine.request("POST", "/v1/account/jane/submit", body)
    word = answer.json["messageId"] if answer.status == 200 else answer.json.get("code", "")
    return answer.status, word, answer.headers.get("Retry-After", "")


def test_a_full_disk_refuses_new_mail_and_sends_what_it_has(
    small_disk: Path, start_engine: StartEngine, smtp_server: SmtpServer
) -> None:
    engine = start_engine(ENGINE_STORE__PATH=str(small_disk / "data"), ENGINE_RETRY__SCHEDULE="1s")
    register(engine, "jane", smtp_server)
    smtp_server.replies = {"MAIL": "451 4.3.0 Not now"}
    acknowledged, refused = [], []
    for _ in range(60):
        status, word, _ = hand_in(engine)
        assert status == 200, word
        acknowledged.append(word)
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            status, word, retry_after = hand_in(engine)
            if status == 200:
                acknowledged.append(word)
            else:
                refused.append((status, word, retry_after))

    loads = [threading.Thread(target=load) for _ in range(4)]
    for thread in loads:
        thread.start()
    try:
        filler = fill(small_disk)
        wait_until(lambda: len(refused) >= 50, "refusals")
        smtp_server.replies = {}
        known = set(acknowledged)

        def sent() -> list[str]:
            return [each["data"]["messageId"] for each in all_events(engine) if each["event"] == "messageSent"]

        wait_until(lambda: known <= set(sent()), "the outcomes of all messages on the full disk", timeout=60)
        assert engine.request("GET", "/health").status == 200
    finally:
        stop.set()
        for thread in loads:
            thread.join()
    assert set(refused) == {(507, "StorageFull", "60")}
    assert hand_in(engine)[0] == 507
    filler.unlink()
    wait_until(lambda: (answer := hand_in(engine))[0] == 200 and not acknowledged.append(answer[1]), "a yes again")
    wait_until(lambda: set(acknowledged) <= set(sent()), "all acknowledged messages")
    came = collections.Counter(message_id(each.data) for each in smtp_server.messages if each.data)
    assert came == collections.Counter(dict.fromkeys(acknowledged, 1))
    assert "is full: the reserve is in use" in engine.log
    assert engine.terminate() == 0


def test_killed_on_a_full_disk_it_starts_again_and_knows_everything(
    small_disk: Path, start_engine: StartEngine, smtp_server: SmtpServer
) -> None:
    engine = start_engine(ENGINE_STORE__PATH=str(small_disk / "data"), ENGINE_RETRY__SCHEDULE="1s")
    register(engine, "jane", smtp_server)
    smtp_server.trouble = Trouble.HANG_AFTER_GREETING
    acknowledged = [hand_in(engine)[1] for _ in range(30)]
    fill(small_disk)
    assert hand_in(engine)[0] == 507
    engine.kill9()
    smtp_server.trouble = Trouble.NONE
    smtp_server.hang_up()
    engine.start()
    smtp_server.wait_for_messages(30)
    assert sorted(message_id(each.data) for each in smtp_server.messages) == sorted(acknowledged)


def test_a_disk_that_is_full_from_the_start_is_one_line(tmp_path: Path, small_disk: Path) -> None:
    engine = EngineProcess(tmp_path, ENGINE_STORE__PATH=str(small_disk / "data"))
    fill(small_disk)
    with pytest.raises(RuntimeError, match="the engine ended with 2"):
        engine.start()
    (line,) = engine.log.splitlines()
    assert str(small_disk / "data") in line
    assert "full" in line or "No space left" in line
