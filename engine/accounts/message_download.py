"""Passes on a message, or a part of one, as it arrives: at any size, it takes only the memory of a few pieces."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple

import trio

from engine.accounts.leased_connections import Turns
from engine.accounts.message_summary import filename
from engine.imap.fetched import Fetched
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.structure import BodyPart
from engine.mail.media_types import OCTET_STREAM, guess_media_type
from engine.mail.transfer import IDENTITY, Decoder

DECODED_BYTES = 4 * 1024 * 1024
"""Maximum encoded octets of a file that the server is to decode: Dovecot rereads it from the start for each piece."""


class File(NamedTuple):
    """A part as a file, read from `section`. `decoded`: the server decodes it; otherwise its encoding is `encoding`.

    `size` is in octets, as the server reports it before the download; None if it cannot. Servers sometimes report a
    size other than they send; only the size of what they decode themselves is `sure`.
    """

    section: str
    kind: str
    name: str
    size: int | None
    encoding: str = ""
    decoded: bool = False

    @property
    def sure(self) -> bool:
        """Whether `size` is reliable."""
        return self.decoded


def find_part(one: Fetched, path: str) -> BodyPart | None:
    """The part of a message with this section number."""
    structure = one.structure
    parts = (*structure.parts, *structure.attached) if structure is not None else ()
    return next((part for part in parts if part.path == path), None)


async def file_of(session: ImapSession, uid: int, part: BodyPart, *, sized: bool) -> File:
    """A part as a file. The server is asked to decode it if it is small, or if its size is needed (`sized`).

    Raises what a broken session raises.
    """
    name = filename(part)
    kind = part.kind if part.kind != OCTET_STREAM or not name else guess_media_type(name)
    if part.encoding in IDENTITY:
        return File(part.path, kind, name, part.size)
    message = part.kind.startswith("message/")  # Dovecot sends an attached message as it is, whatever its encoding
    if not message and {"BINARY", "IMAP4REV2"} & session.capabilities and (sized or part.size <= DECODED_BYTES):
        try:
            told = await session.fetch(((uid, uid),), ("UID", f"BINARY.SIZE[{part.path}]"))
        except CommandRefused:
            told = []  # the server does not know the encoding or the command
        size = next((each.decoded_sizes[part.path] for each in told if part.path in each.decoded_sizes), None)
        if size is not None:
            return File(part.path, kind, name, size, decoded=True)
    return File(part.path, kind, name, None, part.encoding)


def content(
    session: ImapSession, uid: int, file: File, seconds: float, first: int = 0, end: int | None = None
) -> AsyncGenerator[bytes]:
    """The octets of a file from `first` up to, but not including, `end`; use these only if its size is known.

    Each piece may take `seconds`, by the session's deadline. Raises what a broken session raises, `CommandRefused`.
    """
    return _decoded(_pieces(session, uid, file, seconds, first, end), file.encoding)


def content_in_turns(
    turns: Turns,
    reopen: Callable[[ImapSession], Awaitable[object]],
    uid: int,
    file: File,
    seconds: float,
    first: int = 0,
    end: int | None = None,
) -> AsyncGenerator[bytes]:
    """The same, but other long work may have the session while a piece is left untaken.

    `reopen` makes sure of the message in another session. Raises also what that raises, and `NoSession` if there is no
    turn in time.
    """
    return _decoded(_pieces_in_turns(turns, reopen, uid, file, seconds, first, end), file.encoding)


async def _decoded(pieces: AsyncGenerator[bytes], encoding: str) -> AsyncGenerator[bytes]:
    decoder = Decoder(encoding)
    async with aclosing(pieces):
        async for piece in pieces:
            if said := decoder.feed(piece):
                yield said
    if rest := decoder.end():
        yield rest


async def _pieces(
    session: ImapSession, uid: int, file: File, seconds: float, first: int, end: int | None
) -> AsyncGenerator[bytes]:
    pieces = session.download(uid, file.section, decoded=file.decoded, offset=first, end=end)
    async with aclosing(pieces):
        async for piece in pieces:
            session.deadline = trio.current_time() + seconds
            yield piece
            session.deadline = trio.current_time() + seconds


async def _pieces_in_turns(
    turns: Turns,
    reopen: Callable[[ImapSession], Awaitable[object]],
    uid: int,
    file: File,
    seconds: float,
    first: int,
    end: int | None,
) -> AsyncGenerator[bytes]:
    while True:
        session = turns.session
        pieces = session.download(uid, file.section, decoded=file.decoded, offset=first, end=end)
        async with aclosing(pieces):
            async for piece in pieces:
                first += len(piece)
                session.deadline = trio.current_time() + seconds
                with turns.offered():
                    yield piece
                if turns.lost:
                    break
                session.deadline = trio.current_time() + seconds
        if not turns.lost:
            return
        await turns.regain(seconds)
        await reopen(turns.session)
