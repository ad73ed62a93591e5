"""What receivers may answer, and what becomes of the connection."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from engine.errors import EngineError, NetworkError, ProtocolError
from engine.webhooks.http_client import BODY_SECONDS, IDLE, Connections
from engine.webhooks.http_response import MAX_HEAD, HttpResponse

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


async def posts(n: int, *answers: bytes | None) -> tuple[list[HttpResponse | EngineError], Server]:
    found: list[HttpResponse | EngineError] = []
    async with trio.open_nursery() as nursery:
        server = Server(nursery, *answers)
        connections = Connections(server.connect, None, 2)
        for _ in range(n):
            try:
                with trio.move_on_after(60) as limit:
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
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 x\r\n\r\n",
        b"\r\nHTTP/1.1 204 after an empty line\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1\t200 OK\r\nContent-Length: 0, 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\nX-A : b\r\n no name\r\nX-\x00: \xff\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n2;ext=1\r\nok\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n",
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
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b"x" * 32768 + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\nX: " + b"x" * (MAX_HEAD + 10),
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
        b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,
        b"\r\n" * 20_000,
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


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok",
        b"HTTP/1.1 500 no\r\n\r\nok",
    ],
)
async def test_an_answer_that_does_not_end_is_left_soon(autojump_clock, answer: bytes) -> None:
    (found,), _ = await posts(1, answer)
    assert found.status in (200, 500) and bytes(found.body).rstrip()[:2] in (b"ok", b"")
    assert trio.current_time() <= BODY_SECONDS


class Script:
    """A receiver whose behaviour is scripted octet by octet for each connection."""

    def __init__(self) -> None:
        self.streams: list[trio.StapledStream[Any, Any]] = []

    async def connect(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self.streams.append(theirs)
        return ours

    async def post(self, connections: Connections, answer: bytes) -> HttpResponse:
        found: list[HttpResponse] = []

        async def ask() -> None:
            found.append(await connections.post(REQUEST, 1024, lambda reply: None))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await self.streams[-1].send_all(answer)
        return found[0]


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "surplus", [GOOD, b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"HTTP/1.1 410 Gone\r\n\r\n", b"\r\n", b"x", None]
)
async def test_what_nobody_asked_for_is_no_answer(autojump_clock, surplus: bytes | None) -> None:
    script = Script()
    connections = Connections(script.connect, None, 2)
    assert (await script.post(connections, GOOD)).status == 200
    if surplus is None:
        await script.streams[0].aclose()
    else:
        await script.streams[0].send_all(surplus)
    assert (await script.post(connections, b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n")).status == 500
    assert len(script.streams) == 2
    assert (await script.post(connections, GOOD)).status == 200
    assert len(script.streams) == 2, "the second one is as good as new"


async def test_408_that_meets_the_request_is_asked_again(autojump_clock) -> None:
    idle = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
    found, server = await posts(2, GOOD, idle, GOOD)
    assert [reply.status for reply in found] == [200, 200]
    assert (server.connections, server.requests) == (2, 3)
    (timed_out,), _ = await posts(1, idle)
    assert timed_out.status == 408


async def test_idle_connections_are_closed_though_nothing_is_posted(autojump_clock) -> None:
    script = Script()
    connections = Connections(script.connect, None, 2)
    await script.post(connections, GOOD)
    assert connections.idle_until == trio.current_time() + IDLE
    await trio.sleep(IDLE)
    assert not connections.unused
    await connections.close_idle()
    assert connections.unused and connections.idle_until is None
    await script.streams[0].wait_send_all_might_not_block()
    with pytest.raises(trio.BrokenResourceError):
        await script.streams[0].send_all(b"x")


@pytest.mark.parametrize("size", [300, 3_000_000])
@pytest.mark.parametrize("head", [b"HTTP/1.1 413 Too Large\r\n\r\nlarge", b"HTTP/1.1 413\n\n", b"HTTP/1.1 413 Too La"])
async def test_an_answer_that_comes_early_is_read(head: bytes, size: int) -> None:
    """On real sockets: the receiver answers after the first octets and closes with the rest unread, so it is reset."""

    async def early(stream: trio.SocketStream) -> None:
        await stream.receive_some(100)
        await stream.send_all(head)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, early, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]

        async def connect() -> trio.abc.Stream:
            return await trio.open_tcp_stream("127.0.0.1", port)

        connections = Connections(connect, None, 2)
        for _ in range(20):
            with trio.fail_after(60):
                reply = await connections.post(REQUEST + b"x" * size, 1024, lambda reply: None)
            assert reply.status == 413
        nursery.cancel_scope.cancel()


async def test_an_early_answer_ends_the_sending(autojump_clock) -> None:
    """The receiver neither reads the rest nor closes."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def connect() -> trio.abc.Stream:
        return trio.StapledStream(_NeverDone(), ours.receive_stream)

    await theirs.send_all(b"HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n")
    connections = Connections(connect, None, 2)
    reply = await connections.post(REQUEST + b"x" * 100_000, 1024, lambda reply: None)
    assert (reply.status, connections.unused, trio.current_time()) == (413, True, 0)


@pytest.mark.parametrize("echoed", [False, True])
async def test_who_takes_it_early_gets_the_rest(autojump_clock, echoed: bool) -> None:
    """Some receivers answer first and then read; one that echoes keeps reading only while its answer is read."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    got = 0

    async def early() -> None:
        nonlocal got
        await theirs.send_all(b"HTTP/1.1 200 x\r\nContent-Length: 100000\r\n\r\n")
        while octets := await theirs.receive_some(4096):
            got += len(octets)
            if echoed and got < len(REQUEST + body):
                await theirs.send_all(octets)

    async def connect() -> trio.abc.Stream:
        return trio.StapledStream(_Narrow(ours.send_stream), ours.receive_stream)

    body = b"x" * 300_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(early)
        with trio.fail_after(5):
            reply = await Connections(connect, None, 2).post(REQUEST + body, 1024, lambda reply: None)
    assert (reply.status, got) == (200, len(REQUEST + body))
    assert len(reply.body) <= 1024


async def test_who_takes_it_early_and_never_reads_the_rest_has_it_all_the_same(autojump_clock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def connect() -> trio.abc.Stream:
        return trio.StapledStream(_NeverDone(), ours.receive_stream)

    await theirs.send_all(b"HTTP/1.1 202 x\r\nContent-Length: 0\r\n\r\n")
    heard: list[int] = []
    with trio.move_on_after(60) as limit:
        connections = Connections(connect, None, 2)
        await connections.post(REQUEST + b"x" * 100_000, 1024, lambda reply: heard.append(reply.status))
    assert (limit.cancelled_caught, heard) == (True, [202])


class _Narrow(trio.abc.SendStream):
    """A line on which little is under way at a time."""

    def __init__(self, line: trio.abc.SendStream) -> None:
        self._line = line

    async def send_all(self, data: bytes) -> None:
        for start in range(0, len(data), 4096):
            await self._line.send_all(data[start : start + 4096])

    async def wait_send_all_might_not_block(self) -> None: ...

    async def aclose(self) -> None:
        await self._line.aclose()


class _NeverDone(trio.abc.SendStream):
    async def send_all(self, data: bytes) -> None:
        await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None: ...

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
