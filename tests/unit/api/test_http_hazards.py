"""What hangs or lies in a plain HTTP stack, over a real loopback socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from quart import request, websocket
from quart_trio import QuartTrio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from engine import config
from engine.api.server import install, read_body, serve_http
from engine.api.stream import Streams, Wanted, serve_stream
from engine.errors import ConfigError, Problem
from engine.events.consumers import Consumers
from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.store import database
from engine.store.writer import Store
from engine.world import World

WAIT = 20
LIMIT = 100_000


class Service:
    def __init__(self, store: Store, world: World) -> None:
        self.store = store
        self.hub = Hub()
        self.journal = Journal(store, self.hub, world)
        self.consumers = Consumers(store, world)
        self.streams = Streams(self.journal, self.hub, self.consumers, most=120)
        self.token_holds = True
        self.stop = trio.Event()
        self.returned = trio.Event()
        self.stream_ended = trio.Event()
        self.url = ""

    def may_go_on(self) -> bool:
        return self.token_holds

    async def add(self, n: int) -> None:
        for number in range(n):
            await self.store.commit(
                lambda tx, number=number: self.journal.append(tx, "messageSent", "a", {"n": number})
            )

    async def connect(self) -> trio.SocketStream:
        parts = urlsplit(self.url)
        return await trio.open_tcp_stream(parts.hostname, parts.port)

    @asynccontextmanager
    async def stream(self, query: str = "") -> AsyncIterator[WebSocketConnection]:
        async with open_websocket_url(self.url.replace("http", "ws") + f"/stream?{query}") as client:
            try:
                yield client
            finally:
                # The client library leaves its socket open when the server closes first.
                await trio.aclose_forcefully(client._stream)


def make_app(service: Service) -> QuartTrio:
    app = QuartTrio("hazards")
    install(app)

    @app.errorhandler(Problem)
    async def problem(error: Problem):
        return error.message, error.status

    @app.get("/")
    async def root():
        return "ok"

    @app.get("/large")
    async def large():
        return b"x" * 50_000_000

    @app.post("/refuse")
    async def refuse():
        return "no", 401

    @app.post("/read")
    async def read():
        return str(len(await read_body(request, LIMIT)))

    @app.websocket("/stream")
    async def stream():
        after = websocket.args.get("after", type=int)
        try:
            wanted = Wanted(after=after, consumer=websocket.args.get("consumer"))
            await serve_stream(websocket, service.streams, wanted, stopping=service.stop, may_go_on=service.may_go_on)
        finally:
            service.stream_ended.set()

    return app


@asynccontextmanager
async def serving(folder: Path, **settings: object) -> AsyncIterator[Service]:
    database.prepare_folder(folder)
    world = World()
    store = Store(folder, world)
    service = Service(store, world)

    async def serve(task_status: trio.TaskStatus[list[str]]) -> None:
        await serve_http(make_app(service), config.Http(port=0, **settings), stop=service.stop, task_status=task_status)
        service.returned.set()

    with trio.fail_after(60):
        async with trio.open_nursery() as stores, trio.open_nursery() as nursery:
            await stores.start(store.run)
            (service.url,) = await nursery.start(serve)
            yield service
            service.stop.set()
            with trio.fail_after(WAIT):
                await service.returned.wait()
            stores.cancel_scope.cancel()


async def answer(stream: trio.SocketStream) -> tuple[int, dict[str, str], bytes]:
    data = b""
    with trio.fail_after(WAIT):
        while b"\r\n\r\n" not in data:
            chunk = await stream.receive_some()
            assert chunk, data
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(body) < int(headers["content-length"]):
            body += await stream.receive_some()
    return int(status.split()[1]), headers, body


async def test_a_client_that_stops_reading_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        client = await service.connect()
        await client.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.receive_some(1000)
        service.stop.set()
        with trio.fail_after(WAIT):
            await service.returned.wait()
        await client.aclose()


async def test_a_client_that_stops_reading_is_cut_after_the_write_timeout(tmp_path: Path) -> None:
    async with serving(tmp_path, write_timeout=0.2) as service:
        await service.add(1)
        client = await service.connect()
        await client.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.receive_some(1000)
        received = 0
        # Reading again only once the server must have given up: what it had not sent by then never comes.
        await trio.sleep(1)
        with trio.fail_after(WAIT):
            try:
                while chunk := await client.receive_some(1 << 20):
                    received += len(chunk)
            except trio.BrokenResourceError:
                pass
        assert received < 50_000_000
        await client.aclose()


async def test_connections_are_kept(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        client = await service.connect()
        for _ in range(3):
            await client.send_all(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            status, headers, body = await answer(client)
            assert (status, body) == (200, b"3")
            assert "connection" not in headers and "server" not in headers
            await client.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await answer(client))[2] == b"ok"
        await client.aclose()


async def test_an_early_answer_arrives_and_closes(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for _ in range(20):
            client = await service.connect()
            head = b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n"
            with trio.fail_after(WAIT):
                await client.send_all(head + b"x" * 500_000)
                status, headers, _ = await answer(client)
                assert (status, headers["connection"]) == (401, "close")
                assert await client.receive_some() == b""
            await client.aclose()
        client = await service.connect()
        await client.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await answer(client))[0] == 200
        await client.aclose()


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_over_the_limit_is_refused(tmp_path: Path, chunked: bool) -> None:
    async with serving(tmp_path) as service:
        client = await service.connect()
        if chunked:
            chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            data = b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 4
        else:
            data = b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000
        await client.send_all(b"POST /read HTTP/1.1\r\nHost: x\r\n" + data)
        status, headers, body = await answer(client)
        assert status == 413
        assert body.decode() == f"Payload content length greater than maximum allowed: {LIMIT}"
        assert headers["connection"] == "close"
        await client.aclose()


async def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path, body_timeout=0.05) as service:
        client = await service.connect()
        await client.send_all(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
        assert (await answer(client))[0] == 408
        await client.aclose()


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        port = urlsplit(service.url).port
        with pytest.raises(ConfigError, match=f"http.port {port} on 127.0.0.1 is taken by another program"):
            await serve_http(QuartTrio("other"), config.Http(port=port), stop=trio.Event())


async def test_the_stream_replays_then_follows(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.add(450)
        async with service.stream("after=10") as client:
            await service.add(50)
            with trio.fail_after(WAIT):
                frames = [await client.get_message() for _ in range(490)]
        assert [json.loads(frame)["seq"] for frame in frames] == list(range(11, 501))
        assert frames[0].encode() == service.journal.read(10, 1)[0][2]


async def test_the_stream_tells_of_a_gap(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.add(5)
        await service.store.commit(lambda tx: tx.execute("DELETE FROM event WHERE seq < 4"))
        async with service.stream("after=1") as client:
            assert json.loads(await client.get_message()) == {"stream": "gap", "first": 4}
            assert json.loads(await client.get_message())["seq"] == 4


async def closing(client) -> tuple[int, str]:
    with trio.fail_after(WAIT), pytest.raises(ConnectionClosed) as closed:
        await client.get_message()
    return closed.value.reason.code, closed.value.reason.reason


async def test_a_cursor_ahead_of_the_journal_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, service.stream("after=7") as client:
        assert await closing(client) == (1008, "cursor is ahead of the journal")


async def test_stopping_closes_the_stream_with_going_away(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, service.stream() as client:
        service.stop.set()
        assert (await closing(client))[0] == 1001


async def test_an_error_of_ours_closes_with_1011(tmp_path: Path, engine_errors: list) -> None:
    async with serving(tmp_path) as service:
        await service.add(1)
        service.journal.page = lambda *_: 1 / 0
        async with service.stream() as client:
            assert (await closing(client))[0] == 1011
    assert [record.getMessage() for record in engine_errors] == ["the event stream broke"]


async def test_a_client_that_vanished_is_noticed(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, service.stream() as client:
        for _ in range(50):
            await client.send_message("noise")
        await client._stream.aclose()
        with trio.fail_after(WAIT):
            await service.stream_ended.wait()
