"""Send an engine's port what no client should send: it must go on, answer others meanwhile, and forget it.

An engine of its own runs on loopback, in a folder of its own. Each input is one connection: requests and websockets
made up from the grammar or changed at random places, HTTP/2, TLS, noise (`fuzz_parts/http_inputs.py`), in pieces of
random size, left by closing, by half-closing or by a reset. Findings: the process ends; it logs an error; it answers
with 500, without a reason phrase or with an error that is not the API's JSON; `GET /health` takes longer than
`--health` seconds meanwhile; memory has grown by more than 20 MiB, or connections are open, when all is over; the log
is longer than a disk stands. The exit code is 1 when there is one.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import trio  # noqa: E402
from fuzz_parts.http_inputs import Input, made  # noqa: E402
from real.engine_process import EngineProcess  # noqa: E402

WORKERS = 16
READ_SECONDS = 0.3
"""How long an answer is waited for where the connection stays open."""
WARM_UP = 1000
GROWTH_MIB = 20
LOG_BYTES_A_MINUTE = 50_000
MINUTE = 60.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z][^\r\n]*\r\n")
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Fuzz:
    """One run against one engine."""

    def __init__(self, engine: EngineProcess, seed: int, health: float) -> None:
        self.engine = engine
        self.seed = seed
        self.health = health
        self.findings: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0
        self._warm = trio.Event()

    def found(self, text: str) -> None:
        """Note a finding."""
        self.findings.append(text)
        print(f"FOUND {text}", flush=True)

    async def run(self, seconds: float, start: int) -> None:
        """Send inputs from `start` on for `seconds`, then judge what is left behind."""
        began, idle = time.monotonic(), descriptors(self.engine.pid)
        numbers = iter(range(start, sys.maxsize))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_health)
            async with trio.open_nursery() as workers:
                for _ in range(WORKERS):
                    workers.start_soon(self._work, numbers, began + seconds)
                with trio.move_on_after(seconds / 2):
                    await self._warm.wait()
                before = resident(self.engine.pid) if self.engine.running else 0
            nursery.cancel_scope.cancel()
        await self._judge_end(before, idle, time.monotonic() - began)

    async def one(self, number: int) -> str:
        """Send input `number`; what came of it."""
        given = made(self.seed, number, self.engine.token)
        received = await exchange(self.engine.port, given)
        outcome, problem = judged(given, received)
        if problem:
            self.found(f"{problem}; repeat it with --seed {self.seed} --only {number}: {received[:300]!r}")
        return outcome

    async def _work(self, numbers: Iterator[int], until: float) -> None:
        while time.monotonic() < until and self.engine.running:
            self.outcomes[await self.one(next(numbers))] += 1
            if sum(self.outcomes.values()) >= WARM_UP:
                self._warm.set()

    async def _watch_health(self) -> None:
        while self.engine.running:
            began = time.monotonic()
            answer = b""
            with trio.move_on_after(10 * self.health):
                answer = await exchange(self.engine.port, Input([HEALTH], "read"), patience=10 * self.health)
            took = time.monotonic() - began
            self.slowest = max(self.slowest, took)
            if took > self.health or not answer.startswith(b"HTTP/1.1 200 OK"):
                self.found(f"/health took {took:.2f} s: {answer[:100]!r}")
            await trio.sleep(0.1)

    async def _judge_end(self, before: int, idle: int, seconds: float) -> None:
        if not self.engine.running:
            self.found(f"the process has ended\n{self.engine.log[-3000:]}")
            return
        grown = left = 0
        for _ in range(100):
            grown, left = resident(self.engine.pid) - before, descriptors(self.engine.pid) - idle
            if grown <= GROWTH_MIB and left <= 0:
                break
            await trio.sleep(0.1)
        print(f"memory {before} MiB, grew by {grown}; slowest /health {self.slowest:.3f} s")
        if grown > GROWTH_MIB:
            self.found(f"memory has grown by {grown} MiB")
        if left > 0:
            self.found(f"{left} connections are still open")
        log = self.engine.log
        for line in log.splitlines():
            if " ERROR " in line or "Traceback" in line:
                self.found(f"the engine logged: {line[:300]}")
        if len(log) > LOG_BYTES_A_MINUTE * (1 + seconds / MINUTE):
            self.found(f"{len(log)} bytes of log in {seconds:.0f} s")


async def exchange(port: int, given: Input, *, patience: float = READ_SECONDS) -> bytes:
    """Send `given`; what came back until the end, or until nothing came for `patience` seconds."""
    received = b""
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return received
    async with stream, trio.open_nursery() as nursery:

        async def send() -> None:
            for piece in given.pieces:
                await stream.send_all(piece)
                await trio.lowlevel.checkpoint()
            if given.ending == "half":
                await stream.send_eof()
            elif given.ending == "close":
                await stream.aclose()
            elif given.ending == "reset":
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                stream.socket.close()

        async def guarded() -> None:
            try:
                await send()
            except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                pass

        nursery.start_soon(guarded)
        try:
            while True:
                chunk = b""
                with trio.move_on_after(patience) as waiting:
                    chunk = await stream.receive_some()
                if waiting.cancelled_caught or not chunk:
                    break
                received += chunk
                if len(received) > 1_000_000:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        nursery.cancel_scope.cancel()
    return received


def judged(given: Input, received: bytes) -> tuple[str, str]:
    """What came of an input in a word, and what is wrong with it ("" when nothing is)."""
    if not received:
        return f"nothing after {given.ending}", ""
    rest = received
    while rest.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
        rest = rest.partition(b"\r\n\r\n")[2]
    if not rest:
        return "100", ""
    line = _STATUS.match(rest)
    if line is None:
        return "?", "no status line with a reason phrase"
    status = int(line[1])
    if status == 500:
        return "500", "an internal error"
    head, _, body = rest.partition(b"\r\n\r\n")
    length = re.search(rb"\r\n(?i:content-length): (\d+)", head)
    whole = length is not None and len(body) >= int(length[1])
    if status >= 400 and b"HEAD" not in given.data and given.ending in ("read", "half") and whole:
        try:
            shown = json.loads(body[: int(length[1])])
        except ValueError:
            return str(status), "an error that is no JSON"
        if shown.get("statusCode") != status or not shown.get("error") or not shown.get("message"):
            return str(status), "an error in another shape"
        if status == 405 and b"\r\nallow: " not in head.lower():
            return "405", "a 405 without Allow"
    return str(status), ""


def resident(pid: int) -> int:
    """Resident memory of a process in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4 // 1024


def descriptors(pid: int) -> int:
    """Files and sockets that a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other inputs (default: 1)")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="begin with input N")
    parser.add_argument("--only", type=int, metavar="N", help="input N alone")
    parser.add_argument("--health", type=float, default=1.0, help="seconds /health may take meanwhile (default: 1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-http-") as folder:
        engine = EngineProcess(Path(folder))
        engine.start()
        try:
            fuzz = Fuzz(engine, options.seed, options.health)
            if options.only is not None:
                print(made(options.seed, options.only, engine.token))
                print(trio.run(fuzz.one, options.only))
                print(engine.log)
            else:
                trio.run(fuzz.run, options.minutes * MINUTE, options.start)
            if engine.running and engine.terminate() != 0:
                fuzz.found(f"it did not stop in good order\n{engine.log[-3000:]}")
        finally:
            engine.kill9()
    print(f"{sum(fuzz.outcomes.values())} inputs from --seed {options.seed}, {len(fuzz.findings)} findings")
    for outcome, count in fuzz.outcomes.most_common():
        print(f"{count:12} {outcome}")
    return 1 if fuzz.findings else 0


if __name__ == "__main__":
    sys.exit(main())
