"""Starts engines as forks of one process that has imported the engine already: `fork_server.py`, one a test process.

For what depends on how Python itself starts, and for what measures memory, a test starts `python -m engine` instead.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from real.processes import PATIENCE_SECONDS

REPOSITORY = Path(__file__).parents[2]
_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "OPENSSL_", "SSL_")
"""How those variables begin that count when a process starts, or its modules are imported: too late after a fork."""


class ForkedEngine:
    """One engine process, with those of `subprocess.Popen`'s methods that tests use."""

    def __init__(self, server: _Server, pid: int, handle: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        """As `subprocess` has it: the exit code, or minus the signal that ended it; None until `poll` or `wait`."""
        self._server = server
        self._handle: int = handle
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Its return code, None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Its return code, once it has ended. Raises `subprocess.TimeoutExpired` after `timeout` seconds."""
        ended = select.poll()
        ended.register(self._handle, select.POLLIN)
        if not ended.poll(None if timeout is None else timeout * 1000):
            assert timeout is not None
            raise subprocess.TimeoutExpired("engine", timeout)
        with self._lock:
            if self.returncode is None:
                self.returncode = self._server.end_of(self.pid)
            return self.returncode

    def __del__(self) -> None:
        os.close(self._handle)

    def send_signal(self, number: int) -> None:
        """Nothing to do when it has ended."""
        # Its number is its own until `wait` has been told of its end.
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Server:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
        self._environment = {**environment, "PYTHONPATH": str(REPOSITORY)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("fork_server.py"), str(theirs.fileno())],
                env=self._environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self.stop)

    def can_give(self, environment: Mapping[str, str]) -> bool:
        """Whether an engine that is forked has this environment as if it had been started with it."""
        return all(
            self._environment.get(name) == value for name, value in environment.items() if name.startswith(_AT_START)
        )

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, handles: Sequence[int]
    ) -> ForkedEngine:
        request = {"arguments": arguments, "environment": dict(environment), "folder": os.path.realpath(folder)}
        answer, (handle,) = self._ask(request, handles)
        return ForkedEngine(self, answer["pid"], handle)

    def end_of(self, pid: int) -> int:
        answer, _ = self._ask({"ended": pid}, [])
        code = answer["code"]
        assert isinstance(code, int)
        return code

    def stop(self) -> None:
        self._control.close()
        self._process.wait()

    def _ask(self, request: dict[str, Any], handles: Sequence[int]) -> tuple[dict[str, Any], list[int]]:
        with self._lock:
            socket.send_fds(self._control, [json.dumps(request).encode()], handles)
            answer, got, _, _ = socket.recv_fds(self._control, 4096, 1)
        if not answer:
            raise RuntimeError(f"the fork server ended with {self._process.wait()}")
        return json.loads(answer), got


_servers: list[_Server] = []
_starting = threading.Lock()


def _server() -> _Server:
    with _starting:
        if not _servers:
            _servers.append(_Server())
        return _servers[0]


def can_fork(environment: Mapping[str, str]) -> bool:
    """Whether nothing in this environment needs a Python that starts with it."""
    return _server().can_give(environment)


def start(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: int) -> ForkedEngine:
    """`engine ARGUMENTS` in a session of its own; its output and errors go to the open file `log`.

    It is killed when the test process ends. Raises `OSError`, `RuntimeError` when the fork server has ended.
    """
    with open(os.devnull) as nothing:
        return _server().start(arguments, environment, folder, [nothing.fileno(), log, log])


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `engine ARGUMENTS` to its end, with `typed` as its input and its output in the answer.

    Raises as `start`, and `subprocess.TimeoutExpired` when it does not end.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        given.write(typed.encode())
        given.seek(0)
        handles = [given.fileno(), output.fileno(), errors.fileno()]
        code = _server().start(arguments, environment, folder, handles).wait(PATIENCE_SECONDS)
        output.seek(0)
        errors.seek(0)
        command = ["engine", *arguments]
        return subprocess.CompletedProcess(command, code, output.read().decode(), errors.read().decode())
