"""Files from messages in the mailbox, to send along: downloaded piece by piece, within limits.

The files of one message have at most the size of a request, and those of all messages being made at most `Room.most`
octets: beyond that, a request is refused as busy. Large files wait on disk, however many a slow server sends at once,
until their request has its turn. Names and types are brought into a form that a header can carry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.accounts.message_download import content, file_of
from engine.accounts.message_summary import filename
from engine.arriving_body import ArrivingBody
from engine.errors import Problem
from engine.imap.session import ImapSession
from engine.imap.structure import MESSAGE, BodyPart
from engine.mail.compose import AttachedFile
from engine.mail.decode import parameter
from engine.mail.media_types import OCTET_STREAM
from engine.mail.parts import Disposition
from engine.world import World

LONGEST_NAME = 255
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_TOKEN = re.compile(r"[A-Za-z0-9._:+-]{1,60}")
_KEPT = ("charset", "method", "format", "delsp")
"""Parameters of a media type that are sent on; the others describe the old message."""


class Waiting(NamedTuple):
    """A file that has arrived; `file` lacks its content."""

    file: AttachedFile
    arrived: ArrivingBody

    async def load(self) -> AttachedFile:
        """The file, in memory. Raises `StorageUnavailable`."""
        return msgspec.structs.replace(self.file, content=bytes(await self.arrived.load()))


class Room:
    """The room for the files of all messages being made: in memory, large ones in `folder`."""

    def __init__(self, most: int, folder: Path | None, world: World) -> None:
        self.most = most
        self.folder = folder
        self.world = world
        self.held = 0

    @contextmanager
    def share(self, most: int) -> Iterator[Share]:
        """The share of one message, at most `most` octets; it and its files are held until the block ends."""
        share = Share(self, most)
        try:
            yield share
        finally:
            self.held -= share.held
            for each in share.files:
                each.close()


class Share:
    """The share of one message's files."""

    def __init__(self, room: Room, most: int) -> None:
        self._room = room
        self._most = most
        self.held = 0
        self.files: list[ArrivingBody] = []

    def file(self) -> ArrivingBody:
        """A new file, empty."""
        self.files.append(ArrivingBody(self._room.folder, self._room.world))
        return self.files[-1]

    def take(self, size: int) -> None:
        """Hold `size` more octets. Raises `Problem` 413 beyond the message's share, 503 where there is no room now."""
        if self.held + size > self._most:
            raise Problem(413, f"The files from the mailbox have more than {self._most} octets", code="TooLarge")
        if self._room.held + size > self._room.most and self._room.held > self.held:
            raise Problem(
                503, "Too many large requests at once, come back later", code="Busy", headers={"Retry-After": "2"}
            )
        self.held += size
        self._room.held += size


async def downloaded(
    session: ImapSession, uid: int, part: BodyPart, share: Share, seconds: float, cid: str | None = None
) -> Waiting:
    """A part as a file to attach, or with `cid` as one that the HTML shows; each piece may take `seconds`.

    Raises `Problem` as `share` does, `CommandRefused`, `StorageFull`, `StorageUnavailable`, and what a broken session
    raises.
    """
    file = await file_of(session, uid, part, sized=False)
    arrived = share.file()
    async for piece in content(session, uid, file, seconds):
        share.take(len(piece))
        await arrived.add(piece)
    kind = file.kind if _MEDIA_TYPE.fullmatch(file.kind) else OCTET_STREAM
    given = [(name, parameter(part.parameters, name)) for name in _KEPT] if kind.startswith("text/") else []
    kept = "".join(f"; {name}={value}" for name, value in given if _TOKEN.fullmatch(value))
    name = filename(part) or ("message.eml" if part.kind == MESSAGE else "")
    disposition: Disposition = "attachment" if cid is None else "inline"
    return Waiting(AttachedFile(b"", name[-LONGEST_NAME:] or None, kind + kept, disposition, cid), arrived)
