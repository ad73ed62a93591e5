"""The engine as its users run it: `engine serve`, a process of its own with a data folder of its own.

It is forked from a process that has imported it (`real.forking`), or started as `python -m engine` where that matters.
Talks to it by plain HTTP with the standard library, so that no code of the engine stands between a test and the wire;
each answer is held against what its operation declares. What it logs is kept in `log`, over all its starts.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from answers import check
from real import forking
from real.forking import REPOSITORY
from real.processes import PATIENCE_SECONDS, wait_until
from real.servers import HOST, free_ports

from engine.store import database, tokens
from engine.world import World


class Answer(NamedTuple):
    """One HTTP answer; `json` is None where the body is not JSON."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body[:1] in (b"{", b"[") else None


class EngineProcess:
    """One engine on `url`, not started yet. `settings` are environment overrides such as `ENGINE_RETRY__SCHEDULE`.

    `executed`: each start is one of Python, for what measures memory and for what only a start from nothing shows.
    """

    host = HOST

    def __init__(self, folder: Path, *, executed: bool = False, **settings: str) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://{HOST}:{self.port}"
        self.folder = folder / "data"
        self._log_file = folder / "engine.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")},
            "PYTHONPATH": str(REPOSITORY),
            "ENGINE_HTTP__HOST": HOST,
            "ENGINE_HTTP__PORT": str(self.port),
            "ENGINE_STORE__PATH": str(self.folder),
            **settings,
        }
        self._executed = executed
        self._process: subprocess.Popen[bytes] | forking.ForkedEngine | None = None
        self._token: str | None = None
        self.trust: ssl.SSLContext | None = None
        """Whose certificates count, once it is configured to speak TLS."""
        self.crash_expected = False
        """Set by a test that makes it crash on purpose; otherwise a traceback in the log fails the test."""

    def configure(self, **settings: str) -> None:
        """More overrides, for its next start."""
        self._environment.update(settings)

    @property
    def log(self) -> str:
        """Its standard output and error so far."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    @property
    def pid(self) -> int:
        """The process's number, for strace, RSS and signals."""
        assert self._process is not None, "the engine does not run"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended by itself since."""
        return self._process is not None and self._process.poll() is None

    @property
    def token(self) -> str:
        """An API token for everything, issued on first use as `engine tokens issue` does, without its start."""
        if self._token is None:
            folder = self._log_file.parent / self._environment["ENGINE_STORE__PATH"]
            database.prepare_folder(folder)
            with contextlib.closing(database.open_writer(folder)) as db:
                self._token, _ = tokens.issue(db, "test", ["*"], World())
        return self._token

    def command(self, *arguments: str, under: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run `engine ARGUMENTS` on the same data folder. Raises `CalledProcessError` when it fails.

        `under`: a command that runs it, such as strace.
        """
        folder = self._log_file.parent
        if self._forked(under):
            done = forking.run(arguments, self._environment, folder)
        else:
            command = [*under, sys.executable, "-m", "engine", *arguments]
            done = subprocess.run(command, env=self._environment, cwd=folder, capture_output=True, text=True)
        done.check_returncode()
        return done

    def start(self, under: Sequence[str] = ()) -> None:
        """Start it and wait until `/health` answers. Raises `RuntimeError`, with its log, when it ends or is silent.

        `under`: a command that runs it, such as strace or prlimit. `kill9` ends both; signals go to that command.
        """
        mortal = ["setpriv", "--pdeathsig", "KILL"]
        with self._log_file.open("ab") as log:
            if self._forked(under):
                self._process = forking.start(["serve"], self._environment, self._log_file.parent, log.fileno())
            else:
                self._process = subprocess.Popen(
                    [*mortal, *under, *(mortal if under else []), sys.executable, "-m", "engine", "serve"],
                    env=self._environment,
                    cwd=self._log_file.parent,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        try:
            wait_until(lambda: self._process.poll() is not None or self._healthy(), "start of the engine")
        except TimeoutError as error:
            self.kill9()
            raise RuntimeError(f"{error}\n{self.log}") from error
        if self._process.poll() is not None:
            raise RuntimeError(f"the engine ended with {self._process.returncode}\n{self.log}")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own. `body`: bytes as they are, anything else as JSON.

        `token` instead of the usual one; an empty one sends none. Raises `OSError` when there is no answer.
        """
        fields = {} if body is None else {"Content-Type": "application/json"}
        fields.update(headers or {})
        if used := self.token if token is None else token:
            fields["Authorization"] = f"Bearer {used}"
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE_SECONDS)
        if self.trust is not None:
            connection = http.client.HTTPSConnection(HOST, self.port, timeout=PATIENCE_SECONDS, context=self.trust)
        try:
            connection.request(method, path, data, fields)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
            check(method, path, answer.status, answer.body)
            return answer
        finally:
            connection.close()

    def wait_for_state(self, account: str, state: str) -> dict[str, Any]:
        """The account, as soon as its state is `state`. Raises `TimeoutError` naming the last one seen."""
        seen: dict[str, Any] = {}

        def reached() -> bool:
            seen.update(self.request("GET", f"/v1/account/{account}").json)
            return seen["state"] == state

        try:
            wait_until(reached, f"state {state} of {account}")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it is {seen.get('state')}, {seen.get('lastError')}") from error
        return seen

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """The first line of its log that `pattern` finds, also one that comes only after it answers `/health`."""
        wait_until(lambda: re.search(pattern, self.log, re.MULTILINE), f"a line like {pattern!r} in the log")
        found = re.search(pattern, self.log, re.MULTILINE)
        assert found is not None
        return found

    def kill9(self) -> None:
        """End it with no chance to clean up; nothing to do when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self) -> int:
        """SIGTERM; its exit code. Raises `subprocess.TimeoutExpired` when it does not end within its grace time."""
        assert self._process is not None, "the engine does not run"
        self._process.terminate()
        code = self._process.wait(PATIENCE_SECONDS)
        self._process = None
        return code

    def wait_for_end(self) -> int:
        """Its exit code, once it has ended by itself. Raises `subprocess.TimeoutExpired`."""
        assert self._process is not None, "the engine does not run"
        code = self._process.wait(PATIENCE_SECONDS)
        self._process = None
        return code

    def restart(self) -> None:
        """Terminate and start again on the same port and folder."""
        self.terminate()
        self.start()

    def _forked(self, under: Sequence[str]) -> bool:
        return not self._executed and not under and forking.can_fork(self._environment)

    def _healthy(self) -> bool:
        try:
            return self.request("GET", "/health", token="").status == 200
        except (OSError, http.client.HTTPException):
            return False
