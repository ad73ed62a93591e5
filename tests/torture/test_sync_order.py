"""What reaches the disk before what leaves the process, as the kernel saw it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.smtp_server import SmtpServer

from torture.accounts import register, submit
from torture.syscalls import Unproven, calls, prove_answer, prove_dot, strace

pytestmark = pytest.mark.process

StartEngine = Callable[..., EngineProcess]


def test_no_yes_and_no_final_dot_leaves_before_the_sync_that_covers_it(
    engine: EngineProcess, smtp_server: SmtpServer, tmp_path: Path
) -> None:
    register(engine, "jane", smtp_server.port)
    engine.kill9()
    log = tmp_path / "strace.log"
    engine.start(under=strace(log))
    markers = [f"m{uuid.uuid4().hex}" for _ in range(8)]
    for number, marker in enumerate(markers, 1):
        # One after another, so that no other message's sync can stand in for this one's.
        submit(engine, "jane", subject=marker, text="Hi" * (100 if number % 2 else 50_000))
        smtp_server.wait_for_messages(number)
    engine.kill9()
    # A Message-ID of the last one in the log: strace has written all it saw before it.
    wait_until(lambda: markers[-1] in log.read_text(errors="replace"), "the log of strace")
    seen = calls(log.read_text(errors="replace"))
    for marker in markers:
        prove_answer(seen, marker)
        prove_dot(seen, marker)


def test_a_spooled_body_is_synced_before_the_yes(
    start_engine: StartEngine, smtp_server: SmtpServer, tmp_path: Path
) -> None:
    engine = start_engine(ENGINE_STORE__SPOOL_ABOVE="1KiB")
    register(engine, "jane", smtp_server.port)
    engine.kill9()
    log = tmp_path / "strace.log"
    engine.start(under=strace(log))
    marker = f"m{uuid.uuid4().hex}"
    queue_id = submit(engine, "jane", subject=marker, text="Hi " * 1000)["queueId"]
    engine.kill9()
    seen = calls(log.read_text(errors="replace"))
    prove_answer(seen, marker)
    (synced,) = [call for call in seen if call.name == "fsync" and call.target.endswith(f"spool/{queue_id}")]
    (folder, *_) = [call for call in seen if call.name == "fsync" and call.target.endswith("/spool")]
    # The commit that names the file begins when both are on disk.
    named = next(call for call in seen if call.name == "pwrite64" and queue_id in call.text)
    assert synced.end is not None and synced.end < folder.begin
    assert folder.end is not None and folder.end < named.begin


GOOD = """\
1 recvfrom(9<TCP:[127.0.0.1:3000->127.0.0.1:5000]>, "POST /v1 m1", 65536, 0, NULL, NULL) = 11
2 pwrite64(5</d/journal.db-wal>, "m1 row", 4096, 56) = 4096
2 fdatasync(5</d/journal.db-wal> <unfinished ...>
1 recvfrom(9<TCP:[127.0.0.1:3000->127.0.0.1:5000]>, 0x1, 65536, 0, NULL, NULL) = -1 EAGAIN
2 <... fdatasync resumed>) = 0
1 sendto(9<TCP:[127.0.0.1:3000->127.0.0.1:5000]>, "HTTP/1.1 200 ", 13, 0, NULL, 0) = 13
"""
LINES = GOOD.splitlines()


def test_the_proof_holds_for_an_engine_that_waits() -> None:
    prove_answer(calls(GOOD), "m1")


def test_what_the_next_commit_writes_is_no_part_of_it() -> None:
    prove_answer(calls("\n".join([*LINES[:-1], LINES[1], LINES[-1]])), "m1")


@pytest.mark.parametrize(
    "order",
    [
        pytest.param([0, 1, 2, 3, 5, 4], id="answered while it is synced"),
        pytest.param([0, 1, 5], id="never synced"),
        pytest.param([0, 2, 3, 4, 1, 5], id="synced before it is written"),
        pytest.param([0, 5, 1, 2, 3, 4], id="answered at once"),
    ],
)
def test_the_proof_fails_for_an_engine_that_does_not(order: list[int]) -> None:
    with pytest.raises(Unproven):
        prove_answer(calls("\n".join(LINES[each] for each in order)), "m1")


def test_a_failed_sync_proves_nothing() -> None:
    with pytest.raises(Unproven):
        prove_answer(calls(GOOD.replace("resumed>) = 0", "resumed>) = -1 EIO (Input/output error)")), "m1")
