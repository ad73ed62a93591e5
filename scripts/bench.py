"""How fast the engine is here: accepting, delivering, latency and memory, each beside its limit on the same machine.

The limits are what the layers below can do at best: the HTTP stack with an empty handler, and an SMTP client that only
writes bytes made beforehand. Engine, load, sink and limits are processes of their own; engine and limit take turns,
five rounds each, and the median of the rounds' ratios counts. `--quick` does a fifth of the work and says less.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

PARTS = Path(__file__).resolve().parent / "bench_parts"
REPOSITORY = PARTS.parent.parent
ACCOUNTS = 20
CLIENTS = 16
WEBSOCKETS = 100
ENDPOINTS = 5
TEXT = "All work and no play makes this a rather plain message.\n" * 18
HTML = "<p>" + "All work and no play makes this a rather plain message.<br>\n" * 17 + "</p>"


class Bench:
    """The processes of one run."""

    def __init__(self, stack: ExitStack, quick: bool) -> None:
        self.rounds = 3 if quick else 5
        self.requests = 600 if quick else 3000
        self.backlog = 1000 if quick else 5000
        self.singles = 50 if quick else 200
        self.stack = stack
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="engine-bench-"))
        self.port, self.floor_port = free_port(), free_port()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "ENGINE_HTTP__PORT": str(self.port),
            "ENGINE_STORE__PATH": folder,
            "ENGINE_LOG__LEVEL": "warning",
        }
        sink = self.start(PARTS / "sink.py")
        assert sink.stdout is not None
        self.sink_port, control = map(int, sink.stdout.readline().split())
        self.control = stack.enter_context(socket.create_connection(("127.0.0.1", control), 10)).makefile("rw")
        self.start(PARTS / "http_floor.py", self.floor_port)
        self.engine = self.start("-m", "engine", "serve")
        wait_for_port(self.floor_port)
        wait_for_port(self.port)
        command = [sys.executable, "-m", "engine", "tokens", "issue", "-d", "bench", "-s", "*"]
        issued = subprocess.run(command, env=self.environment, cwd=REPOSITORY, check=True, capture_output=True)
        self.token = issued.stdout.decode().strip()
        time.sleep(1)
        self.rss_at_start = self.rss()
        self.costs: dict[str, list[float]] = {"accepting": [], "delivering": []}
        """Milliseconds of CPU time that the engine used for each message, by round."""
        for number in range(ACCOUNTS):
            self.register(f"b{number}")

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, *map(str, arguments)]
        process = subprocess.Popen(command, env=self.environment, cwd=REPOSITORY, stdout=subprocess.PIPE)
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        return process

    def register(self, account: str) -> None:
        server = {"host": "127.0.0.1", "port": self.sink_port, "secure": False}
        self.call("POST", "/v1/account", {"account": account, "name": "B", "email": "b1@example.com", "smtp": server})
        deadline = time.monotonic() + 30
        while self.call("GET", f"/v1/account/{account}")["state"] != "connected":
            if time.monotonic() > deadline:
                raise SystemExit(f"account {account} did not connect")
            time.sleep(0.02)

    def call(self, method: str, path: str, body: object = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, json.dumps(body) if body else None, {"Authorization": f"Bearer {self.token}"})
        response = connection.getresponse()
        answer = json.load(response)
        connection.close()
        if response.status != 200:
            raise SystemExit(f"{method} {path}: {response.status} {answer}")
        return answer

    def sink(self, order: str) -> Any:
        self.control.write(order + "\n")
        self.control.flush()
        try:
            return json.loads(self.control.readline())
        except TimeoutError as error:
            raise SystemExit(f"the sink did not get what it waits for in 10 s ({order})") from error

    def await_at_sink(self, count: int) -> Any:
        """What the sink saw, once it has `count` messages; ends the run when no more come for 20 s."""
        seen, since = 0, time.monotonic()
        while (shown := self.sink("look"))["count"] < count:
            if shown["count"] > seen:
                seen, since = shown["count"], time.monotonic()
            elif time.monotonic() > since + 20:
                raise SystemExit(f"of {count} messages only {seen} came to the sink")
            time.sleep(0.05)
        return shown

    def rss(self) -> float:
        """The engine's resident memory in MB (10^6 bytes)."""
        status = Path(f"/proc/{self.engine.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6

    def cpu(self) -> float:
        """Seconds of CPU time that all threads of the engine have used."""
        tasks = Path(f"/proc/{self.engine.pid}/task").iterdir()
        return sum(int((each / "schedstat").read_text().split()[0]) for each in tasks) / 1e9

    def submissions(self, send_in: float | None) -> list[str]:
        """A request for each account, to be sent at once or after a number of seconds."""
        message: dict[str, Any] = {"to": [{"address": "somebody@example.net"}], "subject": "Bench"}
        message.update(text=TEXT, html=HTML)
        # The same length either way, so that both are held against the same limit.
        due = datetime.fromtimestamp(time.time() + (send_in or -60.0), UTC)
        body = json.dumps({**message, "sendAt": due.isoformat(timespec="milliseconds")})
        return [
            f"POST /v1/account/b{number}/submit HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            for number in range(ACCOUNTS)
        ]

    def http_rate(self, port: int, count: int, send_in: float | None) -> float:
        """Requests answered a second."""
        command = [sys.executable, str(PARTS / "http_load.py"), str(port), str(CLIENTS), str(count)]
        texts = json.dumps(self.submissions(send_in)).encode()
        return count / float(subprocess.run(command, input=texts, check=True, stdout=subprocess.PIPE).stdout)

    def accepting(self, delivering: bool) -> tuple[float, float]:
        """(submissions a second, requests a second with nothing to do)."""
        send_in = None if delivering else 3600.0
        self.sink("reset")
        floor = self.http_rate(self.floor_port, self.requests, send_in)
        before = self.cpu()
        rate = self.http_rate(self.port, self.requests, send_in)
        if delivering:
            self.await_at_sink(self.requests)
        else:
            self.costs["accepting"].append((self.cpu() - before) / self.requests * 1000)
        return rate, floor

    def delivering(self, accepted_a_second: float) -> tuple[float, float]:
        """(messages a second from the queue, messages a second at best)."""
        self.sink("reset")
        self.http_rate(self.port, self.backlog, self.backlog / accepted_a_second * 1.5 + 3)
        if self.sink("look")["count"]:
            raise SystemExit("messages became due before all were queued: the machine is busy with something else")
        before = self.cpu()
        rate, octets = self.sink_rate()
        self.costs["delivering"].append((self.cpu() - before) / self.backlog * 1000)
        self.sink("reset")
        command = [sys.executable, str(PARTS / "smtp_load.py"), str(self.sink_port), str(ACCOUNTS), str(self.backlog)]
        subprocess.run(command, input=octets, check=True)
        return rate, self.sink_rate()[0]

    def followed(self, accepted_a_second: float) -> tuple[float, float]:
        """(messages per second while many follow the events, the same without followers)."""
        alone = self.delivering(accepted_a_second)[0]
        followers = self.start(PARTS / "followers.py", self.port, self.token, WEBSOCKETS, ENDPOINTS)
        assert followers.stdout is not None
        followers.stdout.readline()
        beside = self.delivering(accepted_a_second)[0]
        followers.terminate()
        for endpoint in self.call("GET", "/v1/webhooks")["webhooks"]:
            if endpoint["id"] != "default":
                self.call("DELETE", f"/v1/webhooks/{endpoint['id']}")
        return beside, alone

    def sink_rate(self) -> tuple[float, bytes]:
        seen = self.await_at_sink(self.backlog)
        return (seen["count"] - 1) / (seen["last"] - seen["first"]), seen["octets"].encode("latin-1")

    def latencies(self) -> list[float]:
        """Milliseconds from the first byte of a submission to its message at the sink, sorted."""
        found: list[float] = []
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = self.submissions(None)[0].encode()
            self.sink("reset")
            for number in range(self.singles + 5):
                started = time.monotonic()
                connection.sendall(request)
                found.append((self.sink(f"wait {number + 1}")["last"] - started) * 1000)
                connection.recv(65536)
                time.sleep(0.02)
        return sorted(found[5:])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port} after 30 s")


def show(what: str, rounds: list[tuple[float, float]], goal: str) -> dict[str, Any]:
    """Print one row of the table; return it."""
    ratio = statistics.median(rate / limit for rate, limit in rounds)
    rate, limit = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{what:42} {rate:7.0f}/s of {limit:7.0f}/s   ratio {ratio:5.3f}   {goal}", flush=True)
    return {"what": what, "perSecond": round(rate, 1), "limit": round(limit, 1), "ratio": round(ratio, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three smaller rounds: a first impression")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    options = parser.parse_args()
    with ExitStack() as stack:
        bench = Bench(stack, options.quick)
        bench.accepting(delivering=False)
        bench.costs["accepting"].clear()
        pure = [bench.accepting(delivering=False) for _ in range(bench.rounds)]
        rows = [show("accepting, to be sent later", pure, "goal 0.8")]
        busy = [bench.accepting(delivering=True) for _ in range(bench.rounds)]
        rows.append(show("accepting, delivery going on", busy, ""))
        slowest = min(rate for rate, _ in pure)
        sent = [bench.delivering(slowest) for _ in range(bench.rounds)]
        rows.append(show(f"delivering {bench.backlog} queued messages", sent, "goal 0.25"))
        costs = {what: round(statistics.median(each), 3) for what, each in bench.costs.items()}
        followed = [bench.followed(slowest) for _ in range(bench.rounds)]
        followers = f"the same, {WEBSOCKETS} websockets and {ENDPOINTS} webhooks"
        rows.append(show(followers, followed, "of what it is without them, goal 0.7"))
        found = bench.latencies()
        p50, p99 = found[len(found) // 2], found[len(found) * 99 // 100]
        print(f"{'submit to sink, idle system':42} p50 {p50:.1f} ms, p99 {p99:.1f} ms   goal p50 10 ms")
        print(
            f"{'resident memory':42} {bench.rss_at_start:.0f} MB after start (goal 60), {bench.rss():.0f} MB after load"
        )
        for what, cost in costs.items():
            print(f"{f'CPU time of the engine, {what}':42} {cost:.2f} ms a message")
        if options.json:
            table = {
                "rows": rows,
                "cpuMsPerMessage": costs,
                "submitToSinkMs": {"p50": round(p50, 2), "p99": round(p99, 2)},
                "memoryMb": {"afterStart": round(bench.rss_at_start, 1), "afterLoad": round(bench.rss(), 1)},
            }
            options.json.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
