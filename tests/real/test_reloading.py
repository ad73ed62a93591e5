"""SIGHUP at a running engine: what it takes over, what needs a restart, and a configuration with a fault."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from real.engine_process import REPOSITORY, EngineProcess
from real.processes import wait_until
from real.servers import free_ports

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """The engines of this file hear SIGHUP, also if the tests were started to ignore it (nohup)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_reload_takes_over_what_it_can_and_keeps_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("")
    engine = EngineProcess(tmp_path, ENGINE_CONFIG=str(file))

    def reload(text: str, expected: str) -> str:
        before = len(engine.log)
        file.write_text(text)
        os.kill(engine.pid, signal.SIGHUP)
        wait_until(lambda: expected in engine.log[before:], expected)
        assert engine.request("GET", "/v1/accounts").status == 200
        return engine.log[before:]

    engine.start()
    try:
        said = reload(
            '[http]\nrequests_per_token = 7\n[msa]\npassword = "secret-word"\n', "taken over: http.requests_per_token"
        )
        assert "these keys need a restart: msa.password" in said
        assert "secret-word" not in said
        said = reload('[log]\nlevel = "loud"\n', "the one in force stays")
        assert "log.level must be" in said
        reload('[log]\nlevel = "error"\n[http]\nstreams = 0\n', "http.streams must be at least 1")
        assert "taken over: http.streams" in reload("[http]\nstreams = 1\nrequests_per_token = 7\n", "taken over")
        kept = "[http]\nstreams = 1\nrequests_per_token = 7\n"
        said = reload(f'{kept}[sinks.bus]\nurl = "nats://:secret-word@127.0.0.1:1"\n', "takes no events")
        assert "taken over: sinks.bus" in said
        assert "the sink bus ends" in reload(kept, "taken over: sinks.bus")
        assert "secret-word" not in engine.log
        assert engine.terminate() == 0
    finally:
        engine.kill9()


def test_closing_the_terminal_ends_an_engine_in_the_foreground(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    own = {"PYTHONPATH": str(REPOSITORY), "ENGINE_HTTP__PORT": str(port), "ENGINE_STORE__PATH": str(tmp_path / "data")}
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-m", "engine", "serve"], {**os.environ, **own})
    said = b""
    while b"listens on" not in said:
        said += os.read(terminal, 4096)
    time.sleep(0.5)  # what begins after it listens
    os.close(terminal)
    ended: list[int] = []

    def has_ended() -> bool:
        pid, status = os.waitpid(child, os.WNOHANG)
        ended.append(status)
        return pid == child

    wait_until(has_ended, "the end of the engine")
    assert os.WIFSIGNALED(ended[-1]) and os.WTERMSIG(ended[-1]) == signal.SIGHUP
