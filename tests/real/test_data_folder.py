"""The data folder of a running engine: moved, robbed of files, asked for by a second engine or by another user."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from real.engine_process import Answer, EngineProcess
from real.processes import wait_until
from real.smtp_server import SmtpServer, Trouble
from real.test_process import all_events, register

pytestmark = pytest.mark.process

StartEngine = Callable[..., EngineProcess]
NOBODY = 65534


def hand_in(engine: EngineProcess, text: str = "Hi") -> Answer:
    body = {"to": [{"address": "a@example.com"}], "subject": "Hello", "text": text}
    return engine.request("POST", "/v1/account/jane/submit", body)


def refused_start(engine: EngineProcess) -> str:
    """The one line with which a start ends, without a port of its own."""
    with pytest.raises(RuntimeError) as caught:
        engine.start()
    text = str(caught.value)
    assert text.startswith("the engine ended with 2\n"), text
    return text.splitlines()[-1]


def test_a_moved_folder_takes_nothing_in_and_goes_on_when_it_is_back(
    start_engine: StartEngine, smtp_server: SmtpServer
) -> None:
    engine = start_engine(
        ENGINE_STORE__SPOOL_ABOVE="4KiB", ENGINE_SMTP__DOT_TIMEOUT="500ms", ENGINE_RETRY__SCHEDULE="200ms"
    )
    register(engine, "jane", smtp_server)
    smtp_server.trouble = Trouble.HANG_AFTER_DOT
    assert hand_in(engine).status == 200
    smtp_server.wait_for_messages(1)
    elsewhere = engine.folder.with_name("elsewhere")
    engine.folder.rename(elsewhere)
    smtp_server.trouble = Trouble.NONE
    for text in ("Hi", "Hi " * 3000):
        answer = hand_in(engine, text)
        assert (answer.status, answer.json["code"]) == (503, "StorageUnavailable")
        assert answer.headers["Retry-After"] == "60"
    assert engine.request("DELETE", "/v1/account/jane").status == 503
    assert engine.request("POST", "/v1/settings", {"notifyText": True}).status == 503
    assert engine.request("GET", "/ready", token="").status == 503
    # What is there already can be read.
    assert engine.request("GET", "/v1/account/jane").status == 200
    assert not engine.folder.exists()
    elsewhere.rename(engine.folder)
    assert engine.request("GET", "/ready", token="").status == 200
    assert hand_in(engine, "Hi " * 3000).status == 200
    smtp_server.wait_for_messages(3)
    assert engine.log.count("is no longer the file that the engine has open") == 1
    engine.wait_for_line("the journal is back")
    engine.kill9()
    assert engine.log.count("the journal is back") == 1
    engine.start()
    wait_until(lambda: [each["event"] for each in all_events(engine)].count("messageSent") == 2, "both messages")


def test_a_removed_journal_is_not_written_to_and_not_made_anew(engine: EngineProcess) -> None:
    body = {"account": "jane", "name": "Jane", "sandbox": True, "email": "jane@sandbox.example"}
    assert engine.request("POST", "/v1/account", body).status == 200
    (engine.folder / "journal.db").unlink()
    assert hand_in(engine).status == 503
    assert engine.request("GET", "/ready", token="").status == 503
    for command in (
        ("tokens", "issue", "-d", "x", "-s", "*"),
        ("tokens", "list"),
        ("backup", str(engine.folder) + "2"),
    ):
        with pytest.raises(subprocess.CalledProcessError) as caught:
            engine.command(*command)
        assert "journal.db: is gone, and an engine is running on it" in caught.value.stderr
    assert not (engine.folder / "journal.db").exists()
    assert engine.terminate() == 0
    assert "journal.db: is gone or empty, but its write-ahead log is there" in refused_start(engine)


def test_what_is_missing_or_not_ours_is_said(engine: EngineProcess) -> None:
    body = {
        "account": "jane",
        "name": "Jane",
        "smtp": {"host": "127.0.0.1", "port": 9, "auth": {"user": "u", "pass": "p"}},
    }
    assert engine.request("POST", "/v1/account", body).status == 200
    (engine.folder / "lock").unlink()
    second = EngineProcess(engine.folder.parent, ENGINE_STORE__PATH=str(engine.folder))
    assert "another engine (pid unknown) is using it" in refused_start(second)
    shutil.rmtree(engine.folder / "spool")
    engine.restart()
    assert (engine.folder / "spool").stat().st_mode & 0o777 == 0o700
    engine.terminate()
    key = engine.folder / "key"
    key.rename(engine.folder / "key.away")
    assert refused_start(engine).endswith(
        f"{key}: the key is missing, and secrets in the journal are sealed with it: restore the right one, "
        "from a backup"
    )
    assert not key.exists()
    (engine.folder / "key.away").rename(key)
    os.chown(engine.folder, NOBODY, NOBODY)
    refusal = f"store.path {engine.folder} belongs to user nobody and this runs as root: run it as nobody"
    assert refused_start(engine).endswith(refusal)
    for command in ("tokens", "issue", "-d", "x", "-s", "*"), ("audit",), ("vault", "rotate"), ("outbox", "list"):
        with pytest.raises(subprocess.CalledProcessError) as caught:
            engine.command(*command)
        assert caught.value.stderr == f"engine: {refusal}\n"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        engine.command("doctor")
    assert f"BAD  files: {refusal}" in caught.value.stdout
    os.chown(engine.folder, os.geteuid(), os.getegid())
    for each in (engine.folder, engine.folder / "journal.db"):
        each.chmod(0o755)
    engine.start()
    assert oct((engine.folder / "journal.db").stat().st_mode)[-3:] == "600"
    assert oct(Path(engine.folder).stat().st_mode)[-3:] == "700"
