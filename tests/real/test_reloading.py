"""SIGHUP at a running engine: what it takes over, what needs a restart, and a configuration with a fault."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until

pytestmark = pytest.mark.process


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
        assert engine.terminate() == 0
    finally:
        engine.kill9()
