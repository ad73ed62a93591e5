"""A small app on hypercorn over a real loopback socket, with a journal behind its event stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from quart import Response, request, websocket
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from engine import config
from engine.api.context import Streams
from engine.api.stream import StreamRequest, serve_stream
from engine.edge.certificate import Certificate
from engine.errors import Problem
from engine.events.consumers import Consumers
from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.http.request_bodies import Bodies
from engine.http.server import serve_http
from engine.http.shared_limits import SharedLimit
from engine.http.short_path import ShortPathApp
from engine.store import database
from engine.store.writer import Store
from engine.world import World

WAIT = 120
LIMIT = 100_000


class Service:
    def __init__(self, store: Store, world: World) -> None:
        self.store = store
        self.hub = Hub()
        self.journal = Journal(store, self.hub, world)
        self.consumers = Consumers(store, world)
        self.streams = Streams(self.journal, self.hub, self.consumers, SharedLimit("streams", 120, 100), 100)
        self.bodies = Bodies(8 * LIMIT)
        self.token_holds = True
        self.stop = trio.Event()
        self.returned = trio.Event()
        self.stream_ended = trio.Event()
        self.url = ""

    def may_go_on(self) -> bool:
        return self.token_holds

    async def add(self, n: int) -> None:
        for number in range(n):
            await self.store.commit(partial(self.journal.append, name="messageSent", account="a", data={"n": number}))

    async def add_large(self, n: int, size: int) -> None:
        def change(tx) -> None:
            for _ in range(n):
                self.journal.append(tx, "messageSent", "a", {"text": "x" * size})

        await self.store.commit(change)

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


def make_app(service: Service) -> ShortPathApp:
    app = ShortPathApp("hazards")

    @app.errorhandler(Problem)
    async def problem(error: Problem):
        return Response(error.message, error.status)

    @app.get("/")
    async def root():
        return Response("ok")

    @app.get("/large")
    async def large():
        return Response(b"x" * 50_000_000)

    @app.route("/endless", methods=["GET", "POST"])
    async def endless():
        async def forever():
            try:
                yield b"begun"
                await trio.sleep_forever()
            finally:
                service.stream_ended.set()

        return Response(forever())

    @app.post("/refuse")
    async def refuse():
        return Response("no", 401)

    @app.post("/read")
    async def read():
        with service.bodies.of(request.headers.get("X-Token", "")) as body:
            return Response(str(len(await body.read(request, LIMIT))))

    @app.websocket("/stream")
    async def stream():
        after = websocket.args.get("after", type=int)
        try:
            wanted = StreamRequest(
                token="", newest=service.journal.last, after=after, consumer=websocket.args.get("consumer")
            )
            await serve_stream(websocket, service.streams, wanted, stopping=service.stop, may_go_on=service.may_go_on)
        finally:
            service.stream_ended.set()

    return app


@asynccontextmanager
async def serving(folder: Path, certificate: Certificate | None = None, **settings: Any) -> AsyncIterator[Service]:
    database.prepare_folder(folder)
    world = World()
    store = Store(folder, world)
    service = Service(store, world)

    async def serve(task_status: trio.TaskStatus[list[str]]) -> None:
        await serve_http(
            make_app(service),
            config.Http(port=0, **settings),
            stop=service.stop,
            certificate=certificate,
            task_status=task_status,
        )
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


async def closing(client) -> tuple[int, str]:
    with trio.fail_after(WAIT), pytest.raises(ConnectionClosed) as closed:
        await client.get_message()
    return closed.value.reason.code, closed.value.reason.reason
