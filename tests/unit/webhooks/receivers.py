"""Webhook receivers in memory, and a world whose names lead to them: days of delivery pass in no time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import h11
import msgspec
import trio
from seeded_world import SeededWorld

from engine.errors import NetworkError, NetworkKind
from engine.world import Choose

Answer = tuple[int, dict[str, str], bytes]
Behaviour = Callable[["Post"], Awaitable[Answer]]


class Post(msgspec.Struct):
    """One post as it came, and when (seconds of the world's clock)."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)


class Cut(Exception):
    """Close the connection without an answer."""


class Receiver:
    """One host. `behave` answers each post; without `up` it refuses connections, without `path` dials get no answer."""

    def __init__(self, world: ReceiverWorld) -> None:
        self._world = world
        self.posts: list[Post] = []
        self.status = 200
        self.up = True
        self.path = True
        self.behave: Behaviour = self._plainly
        self.connections = 0

    async def _plainly(self, post: Post) -> Answer:
        return self.status, {}, b""

    @property
    def seqs(self) -> list[int]:
        return [post.event["seq"] for post in self.posts]

    async def serve(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        self.connections += 1
        try:
            while True:
                request, body = None, b""
                while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                    if event is h11.NEED_DATA:
                        connection.receive_data(bytes(await stream.receive_some(65536)))
                    elif isinstance(event, h11.Request):
                        request = event
                    elif isinstance(event, h11.Data):
                        body += event.data
                    elif isinstance(event, h11.ConnectionClosed):
                        return
                assert request is not None
                headers = {name.decode(): value.decode() for name, value in request.headers}
                post = Post(request.target.decode(), headers, bytes(body), self._world.now())
                self.posts.append(post)
                status, more, text = await self.behave(post)
                fields = [*more.items(), ("Content-Length", str(len(text)))]
                await stream.send_all(
                    connection.send(h11.Response(status_code=status, headers=fields))
                    + connection.send(h11.Data(data=text))
                    + connection.send(h11.EndOfMessage())
                )
                connection.start_next_cycle()
        except (Cut, trio.BrokenResourceError):
            pass
        finally:
            self.connections -= 1
            await trio.aclose_forcefully(stream)


class ReceiverWorld(SeededWorld):
    """`names` says which addresses a host has, `hosts` who is there."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(7)
        self._nursery = nursery
        self.names: dict[str, list[str]] = {}
        self.hosts: dict[str, Receiver] = {}
        self.dialled: list[str] = []

    def host(self, name: str, address: str = "203.0.114.1") -> Receiver:
        self.names[name] = [address]
        self.hosts[address] = Receiver(self)
        return self.hosts[address]

    async def resolve(self, host: str, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        if host not in self.names:
            raise NetworkError(NetworkKind.DNS, "ENOTFOUND", f"getaddrinfo ENOTFOUND {host}")
        return list(self.names[host])

    async def dial(self, host: str, port: int, choose: Choose | None = None) -> trio.abc.Stream:
        if choose is not None:
            host = choose(await self.resolve(host, port))[-1]
        await trio.lowlevel.checkpoint()
        self.dialled.append(host)
        receiver = self.hosts.get(host)
        if receiver is not None and not receiver.path:
            await trio.sleep_forever()
        if receiver is None or not receiver.up:
            raise NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", f"connect ECONNREFUSED {host}:{port}")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(receiver.serve, theirs)
        return ours
