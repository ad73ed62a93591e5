"""The engine under torture: a process of its own, started as its users start it, and the way to talk to it.

It dies with the script that started it. What it logs is in `log`, over all its starts.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0


def free_port() -> int:
    """A loopback port below the kernel's range for outgoing connections, so that no client can take it meanwhile."""
    while True:
        with socket.socket() as probe:
            port = random.SystemRandom().randrange(20000, 32000)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of another engine, with both kinds of module in reach."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    return {**clean, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'scripts'}", **settings}


class Engine:
    """One data folder and the engine on it. `start` may follow every end."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.folder = folder / "data"
        self._log_file = folder / "engine.log"
        self._environment = environment(
            ENGINE_HTTP__PORT=str(self.port),
            ENGINE_STORE__PATH=str(self.folder),
            ENGINE_LOG__LEVEL="warning",
            **settings,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.token = ""

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self._log_file.read_text(errors="replace")

    def start(self) -> float:
        """Start it; seconds until `/health` answered. Raises `SystemExit`, with its log, when it does not get there."""
        started = time.monotonic()
        command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "engine", "serve"]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, cwd=self._log_file.parent, stdout=log, stderr=log
            )
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > started + READY_SECONDS:
                raise SystemExit(f"the engine does not start; its log:\n{self.log}")
            time.sleep(0.005)
        return time.monotonic() - started

    def kill(self) -> None:
        """End it as a power switch does; nothing to do when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it in order."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(READY_SECONDS)
        self._process = None

    def rss(self) -> float:
        """Resident memory in MB (10^6 bytes)."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6

    def issue_token(self) -> None:
        """Have a token for everything."""
        command = [sys.executable, "-m", "engine", "tokens", "issue", "-d", "torture", "-s", "*", "--create"]
        issued = subprocess.run(
            command, env=self._environment, cwd=self._log_file.parent, check=True, capture_output=True
        )
        self.token = issued.stdout.decode().strip()

    def register(self, account: str, smtp_port: int) -> None:
        """Register an account that sends through a server on this machine; return once it is connected."""
        server = {"host": "127.0.0.1", "port": smtp_port, "secure": False}
        body = {"account": account, "name": "T", "email": f"{account}@example.com", "smtp": server}
        self.call("POST", "/v1/account", body)
        deadline = time.monotonic() + 30
        while self.call("GET", f"/v1/account/{account}")["state"] != "connected":
            if time.monotonic() > deadline:
                raise SystemExit(f"account {account} did not connect")
            time.sleep(0.02)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of the answer. Raises `SystemExit` when it is not 200."""
        status, answer = self.ask(method, path, body)
        if status != 200:
            raise SystemExit(f"{method} {path}: {status} {answer}")
        return answer

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of the answer. Raises `OSError` and `HTTPException` when there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def events(self, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Add what is new to `known` and return it."""
        while True:
            after = known[-1]["seq"] if known else 0
            page = self.call("GET", f"/v1/events?limit=1000&after={after}")["events"]
            known += page
            if len(page) < 1000:
                return known

    def outbox(self, state: str = "") -> list[dict[str, Any]]:
        """The outbox's entries, without `state` all that have not ended."""
        entries: list[dict[str, Any]] = []
        page = 0
        while True:
            query = f"pageSize=1000&page={page}" + (f"&state={state}" if state else "")
            shown = self.call("GET", f"/v1/outbox?{query}")
            entries += shown["messages"]
            page += 1
            if page >= shown["pages"]:
                return entries

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
