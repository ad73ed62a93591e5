"""A byte stream with both directions deflated (RFC 4978): raw DEFLATE inside whatever stream it is given.

A server may send a megabyte as a kilobyte, so no more is inflated than was requested. It costs about 200 KB of memory
for each connection. Damaged data breaks the stream.
"""

from __future__ import annotations

import zlib

import trio

RAW = -zlib.MAX_WBITS
LEVEL = 6
DICTIONARY_MEMORY = 5


class DeflateStream(trio.abc.Stream):
    """Wraps `stream`, of which nothing compressed may have been read yet."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW, DICTIONARY_MEMORY)
        self._inflate = zlib.decompressobj(RAW)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Deflate and send all of it, so that the peer can read it now."""
        await self._stream.send_all(self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH))

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until sending would not block."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """At most `max_bytes` inflated bytes; empty at the end. Raises `trio.BrokenResourceError` for damaged data."""
        limit = max_bytes or 65536
        while True:
            pending = self._inflate.unconsumed_tail or await self._stream.receive_some(limit)
            if not pending:
                return b""
            try:
                data = self._inflate.decompress(pending, limit)
            except zlib.error as error:
                raise trio.BrokenResourceError("the peer sent damaged compressed data") from error
            if data:
                return data
            if self._inflate.eof:
                return b""
            await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close the stream inside."""
        await self._stream.aclose()
