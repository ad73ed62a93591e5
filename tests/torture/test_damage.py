"""A journal that lost its tail, or more: what was synced before is there, and what cannot be read is refused."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from real.engine_process import EngineProcess
from real.smtp_server import SmtpServer

from torture.accounts import register, submit

pytestmark = pytest.mark.process

HEADER, FRAME = 32, 24 + 4096
"""Octets of the write-ahead log's header and of one frame (SQLite's file format, section 4)."""
FAR = "2027-06-01T00:00:00Z"


@pytest.fixture
def folder(engine: EngineProcess, smtp_server: SmtpServer) -> Path:
    """The folder of an engine that was killed with ten messages queued."""
    register(engine, "jane", smtp_server.port)
    for number in range(10):
        submit(engine, "jane", subject=f"m{number}", sendAt=FAR)
    engine.kill9()
    return engine.folder


def opened(folder: Path) -> tuple[int, str]:
    """Messages in a journal as SQLite recovers it, and what its own check says."""
    with sqlite3.connect(folder / "journal.db") as db:
        (count,) = db.execute("SELECT count(*) FROM message").fetchone()
        (check,) = db.execute("PRAGMA integrity_check").fetchone()
    db.close()
    return count, check


def test_a_log_torn_anywhere_in_its_tail_loses_no_commit_before_it(
    folder: Path, engine: EngineProcess, tmp_path: Path
) -> None:
    whole = (folder / "journal.db-wal").read_bytes()
    sizes = [int.from_bytes(whole[at + 4 : at + 8], "big") for at in range(HEADER, len(whole) - FRAME + 1, FRAME)]
    # A frame that names the size of the file ends a commit; the last of them hold the last messages.
    ends = [HEADER + FRAME * (number + 1) for number, size in enumerate(sizes) if size]
    start, found = ends[-4], {}
    for cut in range(start, ends[-1] + 1, 419):
        torn = tmp_path / f"torn-{cut}"
        torn.mkdir()
        shutil.copy(folder / "journal.db", torn)
        (torn / "journal.db-wal").write_bytes(whole[:cut])
        found[cut], check = opened(torn)
        assert check == "ok"
    commits = {cut: sum(end <= cut for end in ends) for cut in found}
    for cut, count in found.items():
        # Every commit up to the cut is there: cutting within one commit changes nothing.
        assert count == found[min(each for each in found if commits[each] == commits[cut])]
    assert len(set(found.values())) > 1
    engine.start()
    assert engine.request("GET", "/v1/outbox?pageSize=1").json["total"] == 10


def test_a_journal_cut_in_half_is_refused_by_name(folder: Path, engine: EngineProcess) -> None:
    engine.start()
    engine.terminate()
    journal = folder / "journal.db"
    octets = journal.read_bytes()
    journal.write_bytes(octets[: len(octets) // 2])
    logged = len(engine.log)
    with pytest.raises(RuntimeError, match="the engine ended with 2"):
        engine.start()
    (line,) = engine.log[logged:].splitlines()
    assert str(journal) in line
    assert journal.read_bytes() == octets[: len(octets) // 2]
