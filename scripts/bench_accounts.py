"""What many idle accounts cost here: memory, CPU, the time until all are connected, the delay of new mail.

`--accounts N` accounts (1,000) in one engine process, each idle in its INBOX. The servers are the sandbox behind a TCP
port, with `--dovecot` a real Dovecot (root only), with `--tls` that one by TLS. Everything is on loopback and ends by
itself.
"""

from __future__ import annotations

import argparse
import imaplib
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import trio

PARTS = Path(__file__).resolve().parent / "bench_parts"
REPOSITORY = PARTS.parent.parent
PATIENCE = 300.0
IDLE_SECONDS = 30.0
BURST = 200
ALONE = 30
LOGINS = 20


class Engine:
    """One engine process and its API."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="engine-bench-"))
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "ENGINE_HTTP__PORT": str(self.port),
            "ENGINE_STORE__PATH": folder,
            "ENGINE_LOG__LEVEL": "warning",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""

    def start(self) -> float:
        """Start it; when it was started."""
        started = time.monotonic()
        command = [sys.executable, "-m", "engine", "serve"]
        self.process = subprocess.Popen(command, env=self.environment, cwd=REPOSITORY)
        self.stack.callback(self.stop)
        wait(lambda: self.reachable(), "start of the engine")
        if not self.token:
            issue = [sys.executable, "-m", "engine", "tokens", "issue", "-d", "bench", "-s", "*"]
            issued = subprocess.run(issue, env=self.environment, cwd=REPOSITORY, check=True, capture_output=True)
            self.token = issued.stdout.decode().strip()
        return started

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def reachable(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def request(self, method: str, path: str, body: Any = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def connected(self) -> int:
        return int(self.request("GET", "/v1/accounts?state=connected&pageSize=1")["total"])

    def memory(self) -> float:
        """Resident memory in MB."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def cpu(self) -> float:
        """Seconds of CPU used so far."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait(reached: Any, what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > until:
            raise SystemExit(f"gave up waiting for {what}")
        time.sleep(0.05)


def bridge(stack: ExitStack) -> tuple[subprocess.Popen[str], Any]:
    """The sandbox behind a port, and the registration of its account number n."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, str(PARTS / "imap_bridge.py")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(process.kill)
    assert process.stdout is not None
    port = int(process.stdout.readline())

    def imap(number: int) -> dict[str, Any]:
        auth = {"user": f"u{number}@x.example", "pass": "x"}
        return {"host": "127.0.0.1", "port": port, "auth": auth}

    return process, imap


def dovecot(stack: ExitStack, accounts: int, tls: bool) -> Any:
    """A private Dovecot with as many users; the registration of its account number n."""
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from real.certificates import Certificates
    from real.dovecot import Dovecot
    from real.servers import private_folder

    certificates = Certificates(stack.enter_context(private_folder("certificates")))
    server = Dovecot(stack.enter_context(private_folder("dovecot")), certificates)
    limits = f"default_client_limit = {3 * accounts + 1000}\nservice imap {{\n  process_limit = {accounts + 100}\n}}\n"
    config = server.folder / "dovecot.conf"
    config.write_text(config.read_text() + limits)
    logins = [server.user(f"u{number}") for number in range(accounts)]
    stack.callback(server.stop)
    server.start()

    def imap(number: int) -> dict[str, Any]:
        user, password = logins[number]
        auth = {"user": user, "pass": password}
        if tls:
            ca = {"ca": server.ca_pem}
            return {"host": server.host, "port": server.tls_port, "secure": True, "auth": auth, "tls": ca}
        return {"host": server.plain_host, "port": server.plain_port, "auth": auth}

    return imap


def delays(engine: Engine, process: subprocess.Popen[str]) -> list[float]:
    """Milliseconds from each message of a burst to its event."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{BURST} u0@x.example\n")
    process.stdin.flush()
    told = {}
    while (line := process.stdout.readline().strip()) != "done":
        number, when = line.split()
        told[f"<{number}@x.example>"] = float(when)
    found: dict[str, float] = {}

    def all_there() -> bool:
        page = engine.request("GET", "/v1/events?account=u0&limit=1000")["events"]
        for event in page:
            if event["event"] == "messageNew":
                found[event["data"]["messageId"]] = datetime.fromisoformat(event["date"]).timestamp()
        return len(found) >= BURST

    wait(all_there, "the events of the burst")
    return sorted(1000 * (found[each] - told[each]) for each in told)


def bare_logins(servers: list[dict[str, Any]]) -> float:
    """Seconds until a client that does nothing else has logged in everywhere, as many at once as the engine tries."""
    context = None
    if "tls" in servers[0]:
        context = ssl.create_default_context(cadata=servers[0]["tls"]["ca"])

    async def login(server: dict[str, Any], limit: trio.CapacityLimiter, opened: list[trio.abc.Stream]) -> None:
        async with limit:
            stream: trio.abc.Stream = await trio.open_tcp_stream(server["host"], server["port"])
            if context is not None:
                stream = trio.SSLStream(stream, context, server_hostname=server["host"])
            opened.append(stream)
            await until(stream, b"* OK")
            auth = server["auth"]
            await stream.send_all(f'a LOGIN "{auth["user"]}" "{auth["pass"]}"\r\n'.encode())
            await until(stream, b"a OK")

    async def until(stream: trio.abc.Stream, word: bytes) -> None:
        data = b""
        while word not in data:
            data += await stream.receive_some(65536)

    async def everywhere() -> float:
        began = time.monotonic()
        limit = trio.CapacityLimiter(LOGINS)
        opened: list[trio.abc.Stream] = []
        async with trio.open_nursery() as nursery:
            for server in servers:
                nursery.start_soon(login, server, limit, opened)
        took = time.monotonic() - began
        for stream in opened:
            await trio.aclose_forcefully(stream)
        return took

    return trio.run(everywhere)


def delays_from_the_line(engine: Engine, server: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Milliseconds from Dovecot's own EXISTS line to the event at a websocket: of messages alone, and of a burst."""
    relay = subprocess.Popen(
        [sys.executable, PARTS / "imap_relay.py", server["host"], str(server["port"]), str(engine.port), engine.token],
        stdout=subprocess.PIPE,
        text=True,
    )
    engine.stack.callback(relay.kill)
    assert relay.stdout is not None
    port = int(relay.stdout.readline())
    body = {"account": "relayed", "name": "R", "email": "r@x.example", "notifyFrom": None}
    engine.request("POST", "/v1/account", {**body, "imap": {**server, "host": "127.0.0.1", "port": port}})
    wait(lambda: engine.request("GET", "/v1/account/relayed")["state"] == "connected", "the account behind the relay")
    foreign = imaplib.IMAP4(server["host"], server["port"])
    foreign.login(server["auth"]["user"], server["auth"]["pass"])
    told: dict[int, float] = {}
    came: dict[int, float] = {}

    def append(count: int, pause: float) -> list[float]:
        before = len(came)
        for number in range(count):
            foreign.append("INBOX", "", None, b"From: a@x.example\r\nSubject: %d\r\n\r\nhi\r\n" % number)
            time.sleep(pause)
        while len(came) < before + count:
            kind, uid, when = relay.stdout.readline().split()
            if kind == "event":
                came[int(uid)] = float(when)
            for each in range(len(told) + 1, int(number) + 1 if kind == "exists" else 0):
                told[each] = float(when)
        return sorted(1000 * (came[each] - told[each]) for each in range(before + 1, before + count + 1))

    alone = append(ALONE, 0.3)
    return alone, append(BURST, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--dovecot", action="store_true")
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        process, imap = None, None
        if options.dovecot or options.tls:
            imap = dovecot(stack, options.accounts, options.tls)
        else:
            process, imap = bridge(stack)
        engine = Engine(stack)
        engine.start()
        empty = engine.memory()
        for number in range(options.accounts):
            body = {"account": f"u{number}", "name": "U", "email": f"u{number}@x.example", "imap": imap(number)}
            assert engine.request("POST", "/v1/account", body)["state"] == "new"
        wait(lambda: engine.connected() == options.accounts, "all accounts")
        engine.stop()
        started = engine.start()
        wait(lambda: engine.connected() == options.accounts, "all accounts")
        took = time.monotonic() - started
        print(f"start to all {options.accounts} connected: {took:.1f} s")
        time.sleep(5)
        before, since = engine.cpu(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        share = (engine.cpu() - before) / (time.monotonic() - since)
        used = engine.memory()
        each = 1024 * (used - empty) / options.accounts
        print(f"memory: {used:.0f} MB, {empty:.0f} MB without accounts, {each:.0f} KB each")
        print(f"CPU while idle: {100 * share:.1f} % of a core")
        if process is None:
            if not options.tls:
                for what, found in zip(
                    ("alone", f"burst of {BURST}"), delays_from_the_line(engine, imap(0)), strict=True
                ):
                    print(
                        f"Dovecot's line to the event, {what}: p50 {statistics.median(found):.1f} ms, "
                        f"worst {found[-1]:.1f} ms"
                    )
            engine.stop()
            time.sleep(2)
            bare = bare_logins([imap(number) for number in range(options.accounts)])
            print(f"bare logins to all {options.accounts}: {bare:.1f} s; the engine takes {took / bare:.2f} of that")
        else:
            found = delays(engine, process)
            print(
                f"new mail to event, burst of {BURST}: p50 {statistics.median(found):.1f} ms, worst {found[-1]:.1f} ms"
            )


if __name__ == "__main__":
    main()
