"""How much of all bodies is in memory, whose, and what is refused before it is read."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from http_service import LIMIT, WAIT, Service, serving
from test_http_hazards import answer

from engine.errors import Problem
from engine.http.request_bodies import SMALL, Bodies

MIB = 1024**2


def hold(stack: ExitStack, bodies: Bodies, token: str, size: int) -> None:
    body = stack.enter_context(bodies.of(token))
    body.size += size
    bodies.take(token, body.size, size)


def test_a_token_may_hold_as_much_as_it_leaves_free() -> None:
    bodies = Bodies(10 * MIB)
    with ExitStack() as stack:
        for _ in range(5):
            hold(stack, bodies, "greedy", MIB)
        with pytest.raises(Problem, match="come back later") as caught:
            hold(stack, bodies, "greedy", MIB)
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "2")
    assert bodies.total == 0
    with ExitStack() as stack:
        for _ in range(5):
            hold(stack, bodies, "greedy", MIB)
        hold(stack, bodies, "second", 2 * MIB)
        hold(stack, bodies, "third", MIB)
        hold(stack, bodies, "greedy", SMALL)
    assert bodies.total == 0


def test_nobody_gets_more_than_there_is() -> None:
    bodies = Bodies(10 * MIB)
    with ExitStack() as stack:
        hold(stack, bodies, "a", 7 * MIB)
        with pytest.raises(Problem):
            hold(stack, bodies, "b", 3 * MIB + 1)
    with ExitStack() as stack, pytest.raises(Problem):
        for number in range(11 * MIB // SMALL):
            hold(stack, bodies, f"token {number}", SMALL)
    assert bodies.total == 0


async def post(service: Service, head: str, data: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    client = await service.connect()
    await client.send_all(f"POST /read HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + data)
    try:
        return await answer(client)
    finally:
        await client.aclose()


async def test_bodies_that_are_held_open_count(tmp_path: Path) -> None:
    """20 clients that send nearly all of a body and stop: the rest is told to come back, others are served."""
    async with serving(tmp_path) as service:
        head = f"Content-Length: {LIMIT}\r\nX-Token: greedy"
        clients = []
        for _ in range(20):
            client = await service.connect()
            clients.append(client)
            await client.send_all(f"POST /read HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + b"x" * (LIMIT - 1))
            await trio.sleep(0.02)
        with trio.fail_after(WAIT):
            statuses = [(await answer(client))[0] for client in clients[4:]]
        assert set(statuses) == {503}
        assert service.bodies.total <= 4 * LIMIT
        assert (await post(service, f"Content-Length: {LIMIT}\r\nX-Token: other", b"y" * LIMIT))[0] == 200
        assert (await post(service, "Content-Length: 9\r\nX-Token: greedy", b"y" * 9))[0] == 200
        for client in clients[:4]:
            await client.send_all(b"x")
            assert (await answer(client))[0] == 200
        for client in clients:
            await client.aclose()
        assert (await post(service, head, b"z" * LIMIT))[0] == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip", "x"])
async def test_a_compressed_body_is_refused(tmp_path: Path, encoding: str) -> None:
    async with serving(tmp_path) as service:
        status, _, body = await post(service, f"Content-Length: 3\r\nContent-Encoding: {encoding}", b"abc")
        assert (status, b"Content-Encoding" in body) == (415, True)
        assert (await post(service, "Content-Length: 3\r\nContent-Encoding: Identity", b"abc"))[0] == 200
