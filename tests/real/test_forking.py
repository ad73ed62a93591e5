"""An engine that is forked is a process like one that is started: it has what it is given and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from real import forking
from real.engine_process import REPOSITORY, EngineProcess
from real.processes import wait_until

pytestmark = pytest.mark.process


def test_a_command_is_as_if_python_had_started_it(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "ENGINE_STORE__PATH": "mine"}
    for arguments in (["--version"], ["no-such"], ["where"], ["tokens", "issue", "--help"], ["outbox", "list"]):
        command = [sys.executable, "-m", "engine", *arguments]
        started = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        forked = forking.run(arguments, environment, tmp_path)
        assert (forked.returncode, forked.stdout, forked.stderr) == (
            started.returncode,
            started.stdout,
            started.stderr,
        )


def test_it_has_its_folder_its_environment_and_no_open_file_of_ours(
    start_engine: Callable[..., EngineProcess], tmp_path: Path
) -> None:
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        one, other = start_engine(ENGINE_OWN="1"), start_engine()
        for engine in (one, other):
            assert os.getsid(engine.pid) == engine.pid
            assert os.readlink(f"/proc/{engine.pid}/cwd") == str(engine.folder.parent)
        held = [set(map(os.readlink, Path(f"/proc/{pid}/fd").iterdir())) for pid in (one.pid, other.pid, _server())]
    assert [str(tmp_path / "ours") in each for each in held] == [False] * 3
    assert held[0] & held[1] <= {"/dev/null", "anon_inode:[eventpoll]", "anon_inode:[eventfd]"}
    assert not [each for each in (held[0] | held[1]) & held[2] if each.startswith("socket:")]


def _server() -> int:
    return forking._server()._process.pid


def test_killed_it_is_gone_at_once_and_lets_go_of_all(engine: EngineProcess) -> None:
    process = engine._process
    assert isinstance(process, forking.ForkedEngine)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    pid = engine.pid
    engine.kill9()
    assert (process.returncode, process.poll(), process.wait()) == (-signal.SIGKILL,) * 3
    process.kill()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ConnectionRefusedError):
        engine.request("GET", "/health")
    engine.start()  # The lock of its data folder is free.
    assert engine.terminate() == 0


def test_what_counts_at_the_start_of_python_needs_one(tmp_path: Path) -> None:
    assert forking.can_fork({"PYTHONPATH": str(REPOSITORY), "ENGINE_HTTP__PORT": "0"})
    assert not forking.can_fork({"PYTHONPATH": str(REPOSITORY), "PYTHONDEVMODE": "1"})
    assert not forking.can_fork({"LD_PRELOAD": "/lib/nothing.so"})
    engine = EngineProcess(tmp_path, PYTHONVERBOSE="1")
    assert "import 'engine.cli'" in engine.command("--version").stderr


LEAVING = """
import os, signal, sys
from pathlib import Path
from real.engine_process import EngineProcess
engine = EngineProcess(Path.cwd())
engine.start()
print(engine.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_none_outlives_the_tests(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-c", LEAVING], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: not Path(f"/proc/{int(done.stdout)}").exists(), "its end")
