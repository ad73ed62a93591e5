"""Do events reach every reader, whatever happens? Load, readers of every kind, kills, and a look at what each got.

Readers: websockets that keep up, websockets that never read, a named consumer, a poller, a stream of server-sent
events, and five webhook endpoints: two good ones, one that is down until the end, a slow one, and one that answers 500
to one event. The engine is killed with SIGKILL and started again on the way. Everything is on loopback and ends by
itself; the exit code is 1 when a reader missed an event, had one out of order, or saw more repeats than the kills
explain.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import h11
import trio
from torture_parts.engine import free_port

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[1]
SEQ = re.compile(rb'"seq":(\d+),"eventId"')
ACCOUNT = re.compile(rb'"account":"([^"]*)"')
PER_SUBMIT = 11  # ten attempts that are put off and the end
ACCOUNTS = 20


class Engine:
    """The process under test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")},
            "PYTHONPATH": str(ROOT),
            "ENGINE_STORE__PATH": str(folder / "data"),
            "ENGINE_HTTP__PORT": str(self.port),
            "ENGINE_RETRY__SCHEDULE": "10ms",
            "ENGINE_WEBHOOKS__SCHEDULE": "50ms 200ms 1s",
            "ENGINE_HTTP__WRITE_TIMEOUT": "5s",
            "ENGINE_LOG__LEVEL": "warning",
        }
        self.token = subprocess.run(
            [sys.executable, "-m", "engine", "tokens", "issue", "-d", "load", "-s", "*", "--create"],
            env=self.environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        self.process: subprocess.Popen[bytes] | None = None
        self.peak = 0

    async def start(self) -> None:
        self._spawn()
        with trio.fail_after(60):
            while True:
                try:
                    if (await self.ask("GET", "/health"))[0] == 200:
                        return
                except OSError:
                    self._must_run()
                await trio.sleep(0.05)

    def _spawn(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "engine", "serve"],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def _must_run(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"the engine ended by itself with {self.process.returncode}:\n{self.log()}")

    def kill(self) -> None:
        self._must_run()
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        """The end of what it logged."""
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def rss(self) -> int:
        """Resident memory in MiB."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        now = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024
        self.peak = max(self.peak, now)
        return now

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """One request on a connection of its own. Raises OSError."""
        data = b"" if body is None else json.dumps(body).encode()
        stream = await trio.open_tcp_stream(HOST, self.port)
        async with stream:
            try:
                await stream.send_all(
                    f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
                    f"Connection: close\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(data)}\r\n\r\n".encode()
                    + data
                )
                answer = b""
                while chunk := await stream.receive_some(65536):
                    answer += chunk
            except trio.BrokenResourceError as error:
                raise ConnectionError("cut") from error
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if not head or (length and len(rest) < int(length[1])):
            raise ConnectionError("no answer, or a part of one")
        return int(head.split()[1]), rest


async def upgraded(engine: Engine, query: str) -> trio.SocketStream:
    """A websocket, spoken by hand. Raises OSError."""
    stream = await trio.open_tcp_stream(HOST, engine.port)
    key = base64.b64encode(os.urandom(16)).decode()
    try:
        await stream.send_all(
            f"GET /v1/events/stream?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {engine.token}\r\n"
            f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise ConnectionError("cut") from error
    return stream


def masked(opcode: int, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


class Log:
    """What one reader got, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seqs: list[int] = []
        self.gaps = 0


async def again(work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` until cancelled, also when the engine is not there."""
    while True:
        try:
            await work()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await trio.sleep(0.1)


async def subscribe(engine: Engine, log: Log, consumer: str | None = None) -> None:
    async def once() -> None:
        after = log.seqs[-1] if log.seqs else 0
        query = f"after={after}" if consumer is None else f"after=0&consumer={consumer}"
        async with await upgraded(engine, query) as stream:
            data = b""
            while b"\r\n\r\n" not in data:
                if not (chunk := await stream.receive_some(65536)):
                    return
                data += chunk
            if not data.startswith(b"HTTP/1.1 101"):
                return
            data = data.partition(b"\r\n\r\n")[2]
            while True:
                place = 0
                while len(data) - place >= 2:
                    length, start = data[place + 1], place + 2
                    if length == 126:
                        length, start = int.from_bytes(data[place + 2 : place + 4], "big"), place + 4
                    elif length == 127:
                        length, start = int.from_bytes(data[place + 2 : place + 10], "big"), place + 10
                    if len(data) < start + length:
                        break
                    opcode, payload = data[place] & 15, data[start : start + length]
                    place = start + length
                    if opcode == 1:
                        found = SEQ.search(payload)
                        if found:
                            log.seqs.append(int(found[1]))
                        elif b'"gap"' in payload:
                            log.gaps += 1
                    elif opcode == 9:
                        await stream.send_all(masked(10, payload))
                    elif opcode == 8:
                        return
                data = data[place:]
                if consumer is not None and log.seqs:
                    await stream.send_all(masked(1, b'{"ack":%d}' % log.seqs[-1]))
                if not (chunk := await stream.receive_some(262144)):
                    return
                data += chunk

    await again(once)


async def never_read(engine: Engine) -> None:
    async def once() -> None:
        async with await upgraded(engine, "after=0"):
            await trio.sleep(20)

    await again(once)


async def poll(engine: Engine, log: Log) -> None:
    async def once() -> None:
        after = log.seqs[-1] if log.seqs else 0
        status, body = await engine.ask("GET", f"/v1/events?after={after}&limit=1000&wait=5")
        if status == 200:
            log.seqs += [event["seq"] for event in json.loads(body)["events"]]

    await again(once)


async def server_sent(engine: Engine, log: Log) -> None:
    async def once() -> None:
        after = log.seqs[-1] if log.seqs else 0
        async with await trio.open_tcp_stream(HOST, engine.port) as stream:
            await stream.send_all(
                f"GET /v1/events/sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {engine.token}\r\n"
                f"Last-Event-ID: {after}\r\n\r\n".encode()
            )
            client = h11.Connection(h11.CLIENT)
            client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
            client.send(h11.EndOfMessage())
            rest = b""
            while True:
                event = client.next_event()
                if event is h11.NEED_DATA:
                    client.receive_data(await stream.receive_some(65536))
                elif isinstance(event, h11.Data):
                    *whole, rest = (rest + event.data).split(b"\n\n")
                    log.seqs += [int(line[4:].split(b"\n")[0]) for line in whole if b"\ndata: " in line]
                elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                    return

    try:
        await again(once)
    except h11.RemoteProtocolError:
        await server_sent(engine, log)


class Receiver:
    """A webhook receiver. `slow` in seconds; `poison` is the event it answers with 500."""

    def __init__(self, name: str, slow: float = 0.0, poison: int | None = None) -> None:
        self.name = name
        self.slow = slow
        self.poison = poison
        self.posts: list[tuple[int, str]] = []
        self.port = 0

    async def listen(self, nursery: trio.Nursery) -> None:
        listeners = await trio.open_tcp_listeners(self.port, host=HOST)
        self.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, self.serve, listeners)

    async def serve(self, stream: trio.SocketStream) -> None:
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    if not (chunk := await stream.receive_some(65536)):
                        return
                    data += chunk
                head, _, data = data.partition(b"\r\n\r\n")
                length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
                while len(data) < length:
                    if not (chunk := await stream.receive_some(65536)):
                        return
                    data += chunk
                body, data = data[:length], data[length:]
                if self.slow:
                    await trio.sleep(self.slow)
                seq = int(SEQ.search(body)[1])
                good = seq != self.poison
                if good:
                    account = ACCOUNT.search(body)
                    self.posts.append((seq, account[1].decode() if account else ""))
                await stream.send_all(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % (b"204 x" if good else b"500 x"))
        except trio.BrokenResourceError:
            pass


async def load(engine: Engine, events: int) -> None:
    """Cause about this many events with mail that is deferred repeatedly."""
    numbers = iter(range(math.ceil(events / PER_SUBMIT)))

    async def submit() -> None:
        for number in numbers:
            body = {"to": {"address": "defer+x@sandbox.example"}, "subject": "s", "text": "t", "deliveryAttempts": 10}
            while True:
                try:
                    status, _ = await engine.ask("POST", f"/v1/account/a{number % ACCOUNTS}/submit", body)
                    if status == 200:
                        break
                except OSError:
                    pass
                await trio.sleep(0.05)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(submit)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is spread over many readers
        await trio.sleep(1)


async def newest(engine: Engine) -> int:
    try:
        return int(json.loads((await engine.ask("GET", "/v1/events?limit=1"))[1])["last"])
    except OSError:
        return -1


def wrong_with(log: Log, last: int, repeats_allowed: int) -> str | None:
    first_seen = list(dict.fromkeys(log.seqs))
    if log.gaps:
        return "was told of a gap"
    if first_seen != list(range(1, last + 1)):
        missing = sorted(set(range(1, last + 1)) - set(first_seen))
        return f"missed {len(missing)} events ({missing[:5]}...), or had them out of order"
    if len(log.seqs) - last > repeats_allowed:
        return f"got {len(log.seqs) - last} repeats"
    return None


def wrong_with_receiver(receiver: Receiver, last: int, repeats_allowed: int) -> str | None:
    expected = set(range(1, last + 1)) - {receiver.poison}
    got = {seq for seq, _ in receiver.posts}
    if got != expected:
        return f"missed {len(expected - got)} events ({sorted(expected - got)[:5]}...)"
    newest_of: dict[str, int] = {}
    seen: set[int] = set()
    for seq, account in receiver.posts:
        if seq not in seen:
            if seq < newest_of.get(account, 0):
                return f"got event {seq} of {account} out of order"
            newest_of[account] = seq
            seen.add(seq)
    if len(receiver.posts) - len(got) > repeats_allowed:
        return f"got {len(receiver.posts) - len(got)} repeats"
    return None


async def run(options: argparse.Namespace, folder: Path) -> int:
    engine = Engine(folder)
    await engine.start()
    for number in range(ACCOUNTS):
        account = {"account": f"a{number}", "name": "x", "email": f"a{number}@sandbox.example", "sandbox": True}
        await engine.ask("POST", "/v1/account", account)
    receivers = [
        Receiver("good 1"),
        Receiver("good 2"),
        Receiver("slow", slow=0.01),
        Receiver("poison", poison=options.events // 2),
        Receiver("down"),
    ]
    logs = [Log(f"websocket {number}") for number in range(options.subscribers - options.stuck)]
    consumer, polled, sse = Log("consumer"), Log("poller"), Log("server-sent events")
    async with trio.open_nursery() as nursery:
        for receiver in receivers:
            # The one that is down has listened once, to have a port that nobody else takes.
            async with trio.open_nursery() as briefly:
                await receiver.listen(briefly if receiver.name == "down" else nursery)
                briefly.cancel_scope.cancel()
            await engine.ask("POST", "/v1/webhooks", {"url": f"http://{HOST}:{receiver.port}/", "after": 0})
        for log in logs:
            nursery.start_soon(subscribe, engine, log)
        for _ in range(options.stuck):
            nursery.start_soon(never_read, engine)
        nursery.start_soon(subscribe, engine, consumer, "billing")
        nursery.start_soon(poll, engine, polled)
        nursery.start_soon(server_sent, engine, sse)
        began = time.monotonic()
        sampled: list[int] = []

        async def watch() -> None:
            kills = [options.events * (each + 1) // (options.kills + 1) for each in range(options.kills)]
            while True:
                await trio.sleep(0.25)
                last = await newest(engine)
                if kills and last >= kills[0]:
                    kills.pop(0)
                    engine.kill()
                    print(f"killed at about event {last}", flush=True)
                    await engine.start()
                    sampled.clear()
                if engine.process is None or engine.process.poll() is not None:
                    raise RuntimeError(f"the engine ended by itself:\n{engine.log()}")
                if last >= 0:
                    sampled.append(engine.rss())

        nursery.start_soon(watch)
        with trio.fail_after(options.limit):
            await load(engine, options.events)
            made = time.monotonic() - began
            last, before = await newest(engine), -1
            while last != before or last < 0:
                await trio.sleep(2)
                before, last = last, await newest(engine)
            print(f"{last} events, all mail handed in after {made:.0f} s", flush=True)
            await receivers[-1].listen(nursery)
            everyone = [*logs, consumer, polled, sse]

            def through() -> bool:
                if not all(log.seqs and log.seqs[-1] >= last for log in everyone):
                    return False
                return all(len({seq for seq, _ in r.posts}) >= last - (r.poison is not None) for r in receivers)

            await until(through)
        print(f"everything everywhere after {time.monotonic() - began:.0f} s", flush=True)
        _, body = await engine.ask("GET", "/v1/webhooks")
        parked = {each["url"]: each["parked"] for each in json.loads(body)["webhooks"]}
        third = max(1, len(sampled) // 3)
        early, late = max(sampled[:third], default=0), max(sampled[-third:], default=0)
        nursery.cancel_scope.cancel()
    engine.kill()
    faults = [(log.name, wrong_with(log, last, 0)) for log in [*logs, polled, sse]]
    faults.append(("consumer", wrong_with(consumer, last, last)))
    # A kill lets come again what was posted within the last second or hundred posts, for each endpoint.
    faults += [(r.name, wrong_with_receiver(r, last, options.kills * 2000)) for r in receivers]
    faults += [("parked", f"{parked}")] if sorted(parked.values()) != [0, 0, 0, 0, 0, 1] else []
    for receiver in receivers:
        repeats = len(receiver.posts) - len(set(receiver.posts))
        print(f"webhook {receiver.name}: {len(receiver.posts)} posts, {repeats} repeated")
    print(f"memory of the engine since its last start: {early} MiB early, {late} MiB late, {engine.peak} MiB at most")
    wrong = [(name, fault) for name, fault in faults if fault is not None]
    for name, fault in wrong:
        print(f"WRONG: {name} {fault}")
    print("every reader has every event" if not wrong else f"{len(wrong)} readers are wrong")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000, help="about so many (default: 200000)")
    parser.add_argument("--subscribers", type=int, default=100, help="websockets (default: 100)")
    parser.add_argument("--stuck", type=int, default=10, help="of them, those that never read (default: 10)")
    parser.add_argument("--kills", type=int, default=2, help="times the engine is killed (default: 2)")
    parser.add_argument("--limit", type=float, default=3600, help="seconds until it gives up (default: 3600)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="event-load-") as folder:
        return trio.run(run, options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
