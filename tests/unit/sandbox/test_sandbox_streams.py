import pytest
import trio
from trio.testing import check_half_closeable_stream, check_two_way_stream, wait_all_tasks_blocked

from engine.sandbox.streams import stream_pair


async def make_pair():
    return stream_pair(4096)


async def make_clogged_pair():
    left, right = stream_pair(16)
    left._outgoing.data += bytes(16)
    right._outgoing.data += bytes(16)
    return left, right


async def test_they_pass_trios_own_checks_for_streams():
    await check_two_way_stream(make_pair, make_clogged_pair)
    await check_half_closeable_stream(make_pair, make_clogged_pair)


async def test_a_writer_waits_for_a_reader_that_does_not_read(nursery):
    left, right = stream_pair(10)
    nursery.start_soon(left.send_all, b"0123456789abcdef")
    await wait_all_tasks_blocked()
    assert bytes(right._incoming.data) == b"0123456789"
    assert await right.receive_some(4) == b"0123"
    await wait_all_tasks_blocked()
    assert bytes(right._incoming.data) == b"456789abcd"


async def test_closing_wakes_the_other_side():
    left, right = stream_pair(4)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def write():
            with pytest.raises(trio.BrokenResourceError):
                await left.send_all(b"too much for the pipe")

        await wait_all_tasks_blocked()
        right.close()
    assert await left.receive_some() == b""


async def test_a_cancelled_read_loses_nothing():
    left, right = stream_pair()
    with trio.CancelScope() as scope:
        scope.cancel()
        await right.receive_some()
    await left.send_all(b"all of it")
    with trio.CancelScope() as scope:
        scope.cancel()
        await right.receive_some()
    assert await right.receive_some() == b"all of it"


async def test_what_was_written_before_the_close_is_still_read():
    left, right = stream_pair()
    await left.send_all(b"last words")
    left.close()
    assert await right.receive_some() == b"last words"
    assert await right.receive_some() == b""
