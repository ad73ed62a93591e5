"""`engine events pipe`: what is written is acknowledged, what is not comes again, and no line is cut."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator

import pytest
import trio
import trio_websocket

from engine.commands.events import follow
from engine.commands.events_pipe import Pipe

ID = "12e4946a-8333-41a1-b97b-cd87b53d6446"


def event(seq: int, text: str = "") -> str:
    head = {"serviceUrl": None, "account": "a", "date": "2026-11-28T10:00:00.000Z", "event": "messageSent"}
    return json.dumps({**head, "data": {"response": text}, "seq": seq, "eventId": ID}, separators=(",", ":"))


class Server:
    """Events 1 to `last`; a connection gets those above what is acknowledged."""

    def __init__(self, last: int, text: str = "") -> None:
        self.last, self.text = last, text
        self.acked = 0
        self.queries: list[str] = []
        self.cut_after: list[int] = []
        """How many events each connection gets before it is closed; then all."""
        self.done = trio.Event()

    async def handle(self, request: trio_websocket.WebSocketRequest) -> None:
        self.queries.append(request.path.partition("?")[2])
        socket = await request.accept()
        most = self.cut_after.pop(0) if self.cut_after else self.last
        try:
            async with trio.open_nursery() as nursery:

                async def listen() -> None:
                    while True:
                        self.acked = json.loads(await socket.get_message())["ack"]
                        if self.acked == self.last:
                            self.done.set()

                nursery.start_soon(listen)
                await socket.send_message(f'{{"stream":"consumer","consumer":"x","seq":{self.acked}}}')
                for seq in range(self.acked + 1, min(self.acked + most, self.last) + 1):
                    await socket.send_message(event(seq, self.text))
                if most < self.last:
                    await socket.aclose()
                    nursery.cancel_scope.cancel()
                await trio.sleep_forever()
        except* trio_websocket.ConnectionClosed:
            pass


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The reading and the writing end of a small pipe."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
    yield ends
    for end in ends:
        os.close(end)


async def run(server: Server, pipe: tuple[int, int], cloudevents: bool = False, pause: float = 0.0) -> list[bytes]:
    """All lines that come through the pipe until the server has every acknowledgement."""
    read = bytearray()
    async with trio.open_nursery() as nursery:
        listening = await nursery.start(trio_websocket.serve_websocket, server.handle, "127.0.0.1", 0, None)
        url = f"ws://127.0.0.1:{listening.port}/v1/events/stream"
        stream = Pipe(url, None, {"consumer": "x", "after": "0"}, None, None, cloudevents=cloudevents, out=pipe[1])
        nursery.start_soon(follow, stream, (0.01,))

        async def drain() -> None:
            os.set_blocking(pipe[0], False)
            while True:
                await trio.lowlevel.wait_readable(pipe[0])
                read.extend(os.read(pipe[0], 3000))
                await trio.sleep(pause)

        nursery.start_soon(drain)
        with trio.fail_after(60):
            await server.done.wait()
            while not read.endswith(b"\n") or read.count(b"\n") < server.last:  # noqa: ASYNC110 - the last of a pipe
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    return bytes(read).splitlines()


async def test_each_event_is_a_line_and_is_acknowledged(pipe: tuple[int, int]) -> None:
    server = Server(300)
    assert await run(server, pipe) == [event(seq).encode() for seq in range(1, 301)]
    assert server.queries == ["consumer=x&after=0"]


async def test_a_lost_connection_repeats_only_what_was_not_acknowledged(pipe: tuple[int, int], capsys) -> None:
    server = Server(40, "x" * 9000)
    server.cut_after = [3, 7, 1]
    lines = [json.loads(line)["seq"] for line in await run(server, pipe, pause=0.001)]
    firsts = sorted(set(lines), key=lines.index)
    assert firsts == list(range(1, 41))
    assert len(server.queries) == 4


async def test_in_cloudevents(pipe: tuple[int, int]) -> None:
    lines = await run(Server(2), pipe, cloudevents=True)
    assert [json.loads(line)["sequence"][-1] for line in lines] == ["1", "2"]
    assert json.loads(lines[0])["data"] == json.loads(event(1))


async def test_a_reader_that_has_gone_ends_it(pipe: tuple[int, int]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    server = Server(1)
    async with trio.open_nursery() as nursery:
        listening = await nursery.start(trio_websocket.serve_websocket, server.handle, "127.0.0.1", 0, None)
        url = f"ws://127.0.0.1:{listening.port}/v1/events/stream"
        stream = Pipe(url, None, {"consumer": "x"}, None, None, cloudevents=False, out=writing)
        with pytest.RaisesGroup(BrokenPipeError, flatten_subgroups=True):
            await follow(stream, (0.01,))
        nursery.cancel_scope.cancel()
    os.close(writing)
    assert server.acked == 0
