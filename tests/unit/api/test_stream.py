"""The event stream over a real websocket: seams, gaps, close codes, consumers, clients that misbehave."""

from __future__ import annotations

import json
import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trio
from http_service import WAIT, Service, closing, serving
from trio_websocket import ConnectionClosed, WebSocketConnection

from engine.store import events


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
        await service.store.commit(lambda tx: events.remove(tx, 3))
        async with service.stream("after=1") as client:
            assert json.loads(await client.get_message()) == {"stream": "gap", "first": 4}
            assert json.loads(await client.get_message())["seq"] == 4


async def test_a_cursor_ahead_of_the_journal_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, service.stream("after=7") as client:
        assert await closing(client) == (1008, "cursor is ahead of the journal")


async def test_stopping_closes_the_stream_with_going_away(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, service.stream() as client:
        service.stop.set()
        assert (await closing(client))[0] == 1001


async def test_an_error_of_ours_closes_with_1011(tmp_path: Path, engine_errors: list[Any]) -> None:
    async with serving(tmp_path) as service:
        await service.add(1)
        service.journal.page = lambda *_: 1 / 0  # type: ignore[assignment]
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


async def frames(client: WebSocketConnection, n: int) -> list[dict[str, Any]]:
    with trio.fail_after(WAIT):
        return [json.loads(await client.get_message()) for _ in range(n)]


@pytest.mark.once
@pytest.mark.long
async def test_there_is_no_seam_wherever_a_reader_comes_in(tmp_path: Path) -> None:
    """Readers come at random numbers while events are written; each gets exactly what is above its number."""
    total, chance = 900, random.Random(4)
    async with serving(tmp_path) as service, trio.open_nursery() as nursery:

        async def write() -> None:
            async with trio.open_nursery() as writers:
                for _ in range(5):
                    writers.start_soon(service.add, total // 5)

        async def read(after: int) -> None:
            async with service.stream(f"after={after}") as client:
                found = await frames(client, total - after)
            assert [each["seq"] for each in found] == list(range(after + 1, total + 1))

        nursery.start_soon(write)
        for _ in range(30):
            await service.journal.wait_for_more(min(service.journal.last + chance.randrange(40), total - 1))
            nursery.start_soon(read, chance.randrange(service.journal.last))


async def test_a_reader_that_retention_overtakes_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.add(10)
        async with service.stream("after=0") as client:
            assert len(await frames(client, 10)) == 10
            page = service.journal.page(0, 100)
            assert page.first is None
            await service.store.commit(lambda tx: events.remove(tx, 7))
            page = service.journal.page(3, 100)
            assert page.first == 8
            assert [entry[0] for entry in page.entries] == [8, 9, 10]


async def test_too_many_streams_are_told_to_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with ExitStack() as others:
            for number in range(120):
                others.enter_context(service.streams.share.hold(f"token {number}"))
            async with service.stream() as client:
                assert await closing(client) == (1013, "too many streams; come back later")
        with ExitStack() as mine:
            for _ in range(100):
                mine.enter_context(service.streams.share.hold(""))
            async with service.stream() as client:
                reason = "too many streams with this token, 100 at most: come back later"
                assert await closing(client) == (1013, reason)
        async with service.stream("after=0") as client:
            await service.add(1)
            assert len(await frames(client, 1)) == 1


async def test_who_waits_for_a_consumer_and_leaves_takes_it_from_nobody(tmp_path: Path) -> None:
    """Two clients took it from each other before, so a third has to wait; it is gone when its turn comes."""
    query = "consumer=billing&after=0"
    async with serving(tmp_path) as service, service.stream(query) as first:
        await frames(first, 1)
        async with service.stream(query) as second:
            await frames(second, 1)
            async with service.stream(query) as third:
                await frames(third, 1)
                assert service.streams.consumers.wait("", "billing") == 1
                async with service.stream(query) as fourth:
                    assert (await frames(fourth, 1))[0]["stream"] == "contended"
                    await fourth._stream.aclose()
                with trio.move_on_after(2):
                    await third.get_message()
                await service.add(1)
                assert [each["seq"] for each in await frames(third, 1)] == [1]


async def test_a_token_that_is_revoked_ends_the_stream_before_the_next_event(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, service.stream() as client:
        await service.add(1)
        assert [each["seq"] for each in await frames(client, 1)] == [1]
        service.token_holds = False
        await service.add(1)
        assert await closing(client) == (1008, "the token is not valid any more")


async def test_a_flood_ends_the_stream(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, service.stream() as client:
        with trio.fail_after(WAIT):
            try:
                for _ in range(1001):
                    await client.send_message("x" * 100)
            except ConnectionClosed:
                pass
        assert await closing(client) == (1008, "too many messages")


async def test_a_message_that_is_too_large_ends_the_stream(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, service.stream() as client:
        await client.send_message("x" * 100_000)
        assert (await closing(client))[0] == 1009


async def test_a_client_that_never_answers_is_taken_as_gone(tmp_path: Path) -> None:
    async with serving(tmp_path, websocket_ping=0.05) as service:
        client = await service.connect()
        await client.send_all(
            b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        with trio.fail_after(WAIT):
            await service.stream_ended.wait()
        await client.aclose()


async def test_readers_that_do_not_read_cost_others_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, write_timeout=0.3) as service:
        stuck = []
        for _ in range(10):
            mute = await service.connect()
            await mute.send_all(
                b"GET /stream?after=0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            stuck.append(mute)
        async with service.stream("after=0") as client:
            for _ in range(20):
                await service.add_large(100, 4000)
                assert len(await frames(client, 100)) == 100
        for each in stuck:
            await trio.aclose_forcefully(each)


# Consumers.


async def test_a_consumer_goes_on_where_it_acknowledged(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.add(6)
        async with service.stream("after=2&consumer=billing") as client:
            assert await frames(client, 1) == [{"stream": "consumer", "consumer": "billing", "seq": 2}]
            assert [each["seq"] for each in await frames(client, 4)] == [3, 4, 5, 6]
            await client.send_message(json.dumps({"ack": 4}))
            assert await frames(client, 1) == [{"stream": "acked", "seq": 4}]
            assert service.consumers.find("", "billing").seq == 4
        async with service.stream("after=0&consumer=billing") as client:
            assert [each["seq"] for each in await frames(client, 3)] == [4, 5, 6]


async def test_an_acknowledgement_never_goes_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.add(3)
        async with service.stream("after=0&consumer=c") as client:
            await frames(client, 4)
            for seq in (3, 1, -5, 2):
                await client.send_message(json.dumps({"ack": seq}))
            assert await frames(client, 1) == [{"stream": "acked", "seq": 3}]
        assert service.consumers.find("", "c").seq == 3


async def test_what_was_not_sent_cannot_be_acknowledged(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, service.stream("consumer=c") as client:
        await frames(client, 1)
        await client.send_message(json.dumps({"ack": 7}))
        assert await closing(client) == (1008, "acknowledged an event that was not sent")


async def test_the_newer_connection_takes_a_consumer_over(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, service.stream("consumer=c") as first:
        await frames(first, 1)
        async with service.stream("consumer=c") as second:
            await frames(second, 1)
            assert await closing(first) == (1008, "the consumer was taken over, moved or removed")
            assert service.consumers.connected("", "c")
            await service.add(1)
            assert (await frames(second, 1))[0]["seq"] == 1


async def test_the_last_acknowledgement_of_one_who_leaves_is_kept(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.add(3)
        async with service.stream("after=0&consumer=c") as client:
            await frames(client, 4)
            await client.send_message(json.dumps({"ack": 3}))
        with trio.fail_after(WAIT):
            await service.stream_ended.wait()
        assert service.consumers.find("", "c").seq == 3


@pytest.mark.parametrize("noise", ["{}", "[]", '{"ack":"x"}', '{"ack":1,"more":2}', "\\", '{"ack":1.5}'])
async def test_what_is_no_acknowledgement_is_ignored(tmp_path: Path, noise: str) -> None:
    async with serving(tmp_path) as service:
        async with service.stream("consumer=c") as client:
            await frames(client, 1)
            await client.send_message(noise)
            await client.send_message(noise.encode())
            await service.add(1)
            assert (await frames(client, 1))[0]["seq"] == 1
        assert isinstance(service, Service)
