"""One message as a line of an export: what its own page shows, with its text and, if requested, its files.

Files are passed on in base64 as they arrive, so the memory used does not grow with them.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import trio

from engine.accounts.message_download import content, file_of, find_part
from engine.accounts.message_ids import read_attachment
from engine.accounts.message_summary import details
from engine.accounts.message_text import Wanted as WantedText
from engine.accounts.message_text import read_text
from engine.export.files import ExportFile
from engine.imap.fetched import Fetched
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.structure import BodyPart
from engine.mail.header_reading import fields
from engine.model.export import Wanted
from engine.store.mailboxes import MailboxRow
from engine.world import World

SECONDS = 60.0
"""How long the server has for each piece of a message."""


async def write_message(
    session: ImapSession, row: MailboxRow, one: Fetched, wanted: Wanted, file: ExportFile, world: World
) -> None:
    """Write the line of one message. Raises what a broken session raises, `CommandRefused` before anything is written.

    A file that the server refuses has no `content`.
    """
    session.deadline = trio.current_time() + SECONDS
    shown: dict[str, Any] = {**details(one, row.id, row.path, row.special_use), "headers": fields(one.header)}
    if wanted.plain or wanted.html:
        shown["text"] |= await read_text(session, one, WantedText(wanted.plain, wanted.html, wanted.most), world)
    files = shown.pop("attachments", [])
    line = msgspec.json.encode(shown)
    if not files:
        await file.write(line + b"\n")
        return
    await file.write(line[:-1] + b',"attachments":[')
    for number, each in enumerate(files):
        await file.write((b"," if number else b"") + msgspec.json.encode(each)[:-1])
        part = find_part(one, _section(each["id"])) if wanted.attachments else None
        if part is not None:
            await _write_content(session, one, part, file)
        await file.write(b"}")
    await file.write(b"]}\n")


async def _write_content(session: ImapSession, one: Fetched, part: BodyPart, file: ExportFile) -> None:
    session.deadline = trio.current_time() + SECONDS
    pieces = content(session, one.uid, await file_of(session, one.uid, part, sized=False), SECONDS)
    begun, rest = False, b""
    try:
        async for piece in pieces:
            if not begun:
                await file.write(b',"content":"')
                begun = True
            rest += piece
            whole = len(rest) - len(rest) % 3
            await file.write(base64.b64encode(rest[:whole]))
            rest = rest[whole:]
    except CommandRefused:
        if not begun:
            return
    finally:
        await pieces.aclose()
    if not begun:
        await file.write(b',"content":"')
    await file.write(base64.b64encode(rest) + b'"')


def _section(attachment: str) -> str:
    place = read_attachment(attachment)
    return place.part if place is not None else ""
