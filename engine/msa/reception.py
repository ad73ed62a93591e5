"""One message as it arrives at the SMTP door: its header in memory, its body in memory or, if large, in the spool.

The client waits while a piece is written, so that what it sends never piles up. Lone CRs and LFs become CRLF, as they
would when the message is sent on. After a fault the rest of the message is read and dropped, and the fault is the reply
to its dot.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from engine.errors import EngineError
from engine.mail.header_writing import LONGEST_LINE
from engine.msa.replies import reply_of
from engine.smtp.server_input import DataPiece
from engine.store.bodies import Spool, SpoolFile

MOST_HEADER = 256 * 1024
BLOCK = 256 * 1024
"""Bytes that are written to the spool at once."""

LONG_LINE = (
    f"The message has a line of more than {LONGEST_LINE} octets, which mail servers cut or refuse: "
    "encode that part as quoted-printable or base64"
)

_LINE_END = re.compile(rb"\r\n|\r|\n")


class Received(msgspec.Struct, frozen=True):
    """A whole message. `header` ends before the empty line; `spooled` has the body if `body` is None.

    `eight_bit`: there are octets beyond ASCII.
    """

    header: bytes
    body: bytes | None
    spooled: str | None
    body_size: int
    eight_bit: bool


class Reception:
    """Takes in one message of at most `limit` bytes; bodies over `spool_above` go into the file `name` of the spool."""

    def __init__(self, spool: Spool, spool_above: int, limit: int, name: Callable[[], str]) -> None:
        self._spool = spool
        self._spool_above = spool_above
        self._limit = limit
        self._name = name
        self._header: bytes | None = None
        self._buffer = bytearray()
        self._searched = 0
        self._file: SpoolFile | None = None
        self._body_size = 0
        self._eight_bit = False
        self._line = 0
        self.size = 0
        self.fault: str | None = None
        """The reply that refuses the message."""

    @property
    def hopeless(self) -> bool:
        """Whether the message is so far over the limit that its end is not worth waiting for."""
        return self.size > 2 * self._limit

    async def add(self, piece: DataPiece) -> None:
        """Take in a piece. Cancelled: `discard` it."""
        content = _LINE_END.sub(b"\r\n", piece.content) if piece.bare else piece.content
        self.size += len(content)
        self._eight_bit = self._eight_bit or not content.isascii()
        if self.size > self._limit:
            self._refuse(f"552 5.3.4 The message is larger than {self._limit} octets")
        if self._longest_line(content) > LONGEST_LINE:
            self._refuse(f"554 5.6.0 {LONG_LINE}")
        if self.fault is not None:
            return
        self._buffer += content
        if self._header is None:
            self._find_body()
        if self._header is not None:
            try:
                await self._store()
            except EngineError as error:
                self._file = None
                self._refuse(reply_of(error))

    async def finish(self) -> Received | None:
        """The message, its file synced; None if it is refused."""
        if self.fault is None and self._header is None:
            # Nothing but fields, or nothing at all.
            self._header = bytes(self._buffer)
            self._buffer.clear()
        if self.fault is not None or self._header is None:
            return None
        if self._file is None:
            return Received(self._header, bytes(self._buffer), None, len(self._buffer), self._eight_bit)
        file, self._file = self._file, None
        try:
            if self._buffer:
                self._body_size += len(self._buffer)
                await file.write(bytes(self._buffer))
            await file.finish()
        except EngineError as error:
            self._refuse(reply_of(error))
            return None
        except BaseException:
            file.discard()
            raise
        return Received(self._header, None, file.name, self._body_size, self._eight_bit)

    def discard(self) -> None:
        """Drop what there is so far."""
        if self._file is not None:
            self._file.discard()
            self._file = None

    def _longest_line(self, content: bytes) -> int:
        """Octets of the longest line so far that ends, or continues, in `content`."""
        first, *others = content.split(b"\r\n")
        longest = max(self._line + len(first), max(map(len, others), default=0))
        self._line = len(others[-1]) if others else self._line + len(first)
        return longest

    def _find_body(self) -> None:
        if self._buffer.startswith(b"\r\n"):
            end, rest = 0, 2
        elif (found := self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3), MOST_HEADER + 4)) >= 0:
            end, rest = found + 2, found + 4
        else:
            self._searched = len(self._buffer)
            if len(self._buffer) > MOST_HEADER:
                self._refuse(f"552 5.3.4 The header of the message is larger than {MOST_HEADER} octets")
            return
        self._header = bytes(self._buffer[:end])
        del self._buffer[:rest]

    async def _store(self) -> None:
        if self._file is None:
            if len(self._buffer) <= self._spool_above:
                return
            self._file = await self._spool.start(self._name())
        if len(self._buffer) >= BLOCK:
            block = bytes(self._buffer)
            self._buffer.clear()
            self._body_size += len(block)
            await self._file.write(block)

    def _refuse(self, reply: str) -> None:
        if self.fault is None:
            self.fault = reply
        self.discard()
        self._buffer.clear()
