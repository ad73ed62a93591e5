"""What receivers may answer, and what becomes of the connection."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from engine.errors import EngineError, NetworkError, ProtocolError
from engine.events.http import MAX_HEAD, Connections, Reply

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """Answers each request on each connection with the next of `answers`; None closes instead."""

    def __init__(self, nursery: trio.Nursery, *answers: bytes | None) -> None:
        self._nursery = nursery
        self._answers = iter(answers)
        self.connections = 0
        self.requests = 0

    async def connect(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self.connections += 1
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            try:
                while await stream.receive_some(65536):
                    self.requests += 1
                    answer = next(self._answers, None)
                    if answer is None:
                        return
                    await stream.send_all(answer)
            except trio.BrokenResourceError:
                pass


async def posts(n: int, *answers: bytes | None) -> tuple[list[Reply | EngineError], Server]:
    found: list[Reply | EngineError] = []
    async with trio.open_nursery() as nursery:
        server = Server(nursery, *answers)
        connections = Connections(server.connect, None, 2)
        for _ in range(n):
            try:
                with trio.move_on_after(5) as limit:
                    found.append(await connections.post(REQUEST, 1024, lambda reply: None))
                assert not limit.cancelled_caught
            except EngineError as error:
                found.append(error)
        await connections.aclose()
        nursery.cancel_scope.cancel()
    return found, server


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n",
    ],
)
async def test_a_connection_is_kept_where_the_answer_ended(autojump_clock, answer: bytes) -> None:
    found, server = await posts(3, answer, answer, answer)
    assert [reply.status // 100 for reply in found] == [2, 2, 2]
    assert (server.connections, server.requests) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n",
    ],
)
async def test_it_is_closed_where_the_answer_did_not(autojump_clock, answer: bytes) -> None:
    found, server = await posts(2, answer, answer)
    assert [reply.status for reply in found] == [200, 200]
    assert server.connections == 2
    assert all(len(reply.body) <= 1024 for reply in found)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 x\r\n\r\n",
        b"HTTP/1.1 abc x\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"x" * (MAX_HEAD + 20_000),
    ],
)
async def test_what_is_not_http_is_an_error_of_the_receiver(autojump_clock, answer: bytes) -> None:
    (found,), _ = await posts(1, answer)
    assert isinstance(found, ProtocolError)


async def test_a_kept_connection_that_was_closed_is_replaced_once(autojump_clock) -> None:
    good = b"HTTP/1.1 204 x\r\n\r\n"
    found, server = await posts(2, good, None, good)
    assert [reply.status for reply in found] == [204, 204]
    assert (server.connections, server.requests) == (2, 3)


async def test_a_new_connection_that_breaks_is_an_error(autojump_clock) -> None:
    (found,), server = await posts(1, None)
    assert isinstance(found, NetworkError)
    assert str(found) == "the connection broke before an answer"
    assert server.requests == 1
