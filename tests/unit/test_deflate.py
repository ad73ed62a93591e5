from __future__ import annotations

import os
import zlib

import pytest
import trio
import trio.testing

from engine.deflate import RAW, DeflateStream


async def test_what_goes_in_comes_out():
    one, other = (DeflateStream(each) for each in trio.testing.memory_stream_pair())
    for data in (b"a", b"hello\r\n" * 50_000, os.urandom(200_000)):
        await one.send_all(data)
        got = b""
        while len(got) < len(data):
            got += await other.receive_some(65536)
        assert got == data
    await one.aclose()
    assert await other.receive_some(10) == b""


async def test_no_more_is_inflated_than_was_asked_for():
    raw, end = trio.testing.memory_stream_pair()
    bomb = zlib.compressobj(9, zlib.DEFLATED, RAW)
    await raw.send_all(bomb.compress(bytes(50_000_000)) + bomb.flush(zlib.Z_SYNC_FLUSH))
    assert len(await DeflateStream(end).receive_some(1000)) == 1000


async def test_damaged_data_breaks_it():
    raw, end = trio.testing.memory_stream_pair()
    await raw.send_all(b"\xff" * 100)
    with pytest.raises(trio.BrokenResourceError):
        await DeflateStream(end).receive_some(1000)
