"""Reads the text of a message from the server, as far as requested, and makes it safe for a web page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.accounts.message_summary import TextParts, filename
from engine.imap.fetched import Fetched
from engine.imap.gathering import with_sections
from engine.imap.session import ImapSession
from engine.imap.structure import BodyPart
from engine.mail.decode import body_text, header_text, parameter
from engine.mail.flowed import unflowed
from engine.mail.media_types import guess_media_type
from engine.mail.transfer import body_bytes
from engine.mail.web_safe import Remote, keep, text_as_html, wanted_pictures, web_safe, with_pictures
from engine.world import World

PIECE_BYTES = 1024 * 1024
"""Octets of a part that are requested first; longer parts are downloaded."""
GLANCE_BYTES = 24 * 1024
"""Octets requested of each part that is likely to be text, before the structure of the message is known."""
GLANCES = tuple(f"BODY.PEEK[{section}]<0.{GLANCE_BYTES}>" for section in ("1", "2"))
"""Asking for the texts of most messages: alone, or plain and HTML side by side."""
TOGETHER_BYTES = 6 * 1024 * 1024
"""Maximum octets of several parts that are requested at once."""
TEXT_BYTES = 16 * 1024 * 1024
"""Maximum encoded octets of all texts of a message that are read."""
PICTURE_BYTES = 12 * 1024 * 1024
"""Maximum encoded octets of all images that are embedded in a text."""
HERE_BYTES = 64 * 1024
"""Octets above which a text is decoded in a thread, so that it does not delay other tasks."""
_OCTETS_OF_A_CHARACTER = {"quoted-printable": 12, "base64": 6}
_SLACK = 256


class Wanted(NamedTuple):
    """Which text to read, and how much: at most `most` characters of each kind, None for all."""

    plain: bool = True
    html: bool = True
    most: int | None = None


async def read_text(
    session: ImapSession, one: Fetched, wanted: Wanted, world: World, parts: TextParts | None = None
) -> dict[str, Any]:
    """The members `plain`, `html` and `hasMore` of a message's text. Raises `CommandRefused`.

    The folder must be selected. `one` must have the message's structure, and may already have some sections.
    """
    texts = parts or TextParts(one.structure)
    kinds = [("plain", texts.plain)] * wanted.plain + [("html", texts.html)] * wanted.html
    sections = await _sections(session, one, [part for _, several in kinds for part in several], wanted.most)
    shown: dict[str, Any] = {}
    more = False
    for name, several in kinds:
        if not several:
            continue
        read = [await _decoded(part, *sections[part.path], world) for part in several]
        text = "\n".join(read)
        more = more or any(sections[part.path][1] for part in several)
        if wanted.most is not None and len(text) > wanted.most:
            text, more = text[: wanted.most], True
        shown[name] = text
    return shown | {"hasMore": more}


async def made_safe(text: dict[str, Any], world: World, remote: Remote = keep) -> None:
    """Replace the text's HTML by safe HTML; make it from the plain text if there is none.

    It is in one element that scrolls, so that wide content does not widen the page that shows it.
    """
    if html := text.get("html"):
        safe = await world.in_thread(web_safe, html, remote)
    elif plain := text.get("plain"):
        safe = text_as_html(plain)
    else:
        return
    text["html"], text["webSafe"] = f'<div style="overflow: auto;">{safe}</div>', True


async def with_own_pictures(session: ImapSession, one: Fetched, html: str, world: World) -> str:
    """`html` with the message's own images embedded. Raises `CommandRefused`."""
    wanted = wanted_pictures(html)
    pictures: dict[str, tuple[str, bytes]] = {}
    left = PICTURE_BYTES
    for part in one.structure.parts if wanted and one.structure is not None else ():
        name = header_text(part.content_id).removeprefix("<").removesuffix(">")
        kind = part.kind if part.kind.startswith("image/") else guess_media_type(filename(part))
        if name not in wanted or name in pictures or not kind.startswith("image/") or part.size > left:
            continue
        raw = b"".join([piece async for piece in session.download(one.uid, part.path, end=left)])
        left -= len(raw)
        pictures[name] = (kind, await world.in_thread(body_bytes, raw, part.encoding))
    return await world.in_thread(with_pictures, html, pictures) if pictures else html


async def _sections(
    session: ImapSession, one: Fetched, parts: Sequence[BodyPart], most: int | None
) -> dict[str, tuple[bytes, bool]]:
    """The octets of each part, and whether some are missing."""
    left = TEXT_BYTES
    found: dict[str, tuple[bytes, bool]] = {}
    for batch in _batches([part for part in parts if part.path not in one.sections], most):
        items = [f"BODY.PEEK[{part.path}]<0.{min(_octets(part, most), PIECE_BYTES)}>" for part in batch]
        for each in await session.fetch(((one.uid, one.uid),), ["UID", *items]):
            if each.uid == one.uid:
                one = with_sections(one, each)
    for part in parts:
        limit = min(_octets(part, most), left)
        data = one.sections.get(part.path, b"")
        if part.path in one.cut and len(data) in (GLANCE_BYTES, PIECE_BYTES) and len(data) < limit:
            rest = session.download(one.uid, part.path, offset=len(data), end=limit)
            data = b"".join([data, *[piece async for piece in rest]])
        found[part.path] = (data[:limit], len(data) > limit or (len(data) == limit and part.size > limit))
        left -= len(found[part.path][0])
    return found


def _batches(parts: Sequence[BodyPart], most: int | None) -> list[list[BodyPart]]:
    """The parts in batches that are requested together."""
    batches: list[list[BodyPart]] = []
    room = 0
    for part in parts:
        need = min(_octets(part, most), PIECE_BYTES)
        if not batches or need > room:
            batches.append([])
            room = TOGETHER_BYTES
        batches[-1].append(part)
        room -= need
    return batches


def _octets(part: BodyPart, most: int | None) -> int:
    """How many octets of a part contain at least `most` characters in any charset, but not uselessly few."""
    if most is None:
        return TEXT_BYTES
    return min(_OCTETS_OF_A_CHARACTER.get(part.encoding, 4) * most + _SLACK, TEXT_BYTES)


def part_text(part: BodyPart, raw: bytes, *, cut: bool) -> str:
    """The text of a part, decoded, from its octets; `cut`: these are only the beginning."""
    charset, html = parameter(part.parameters, "charset"), part.kind == "text/html"
    text = body_text(raw, part.encoding, charset, cut=cut, html=html)
    if part.kind == "text/plain" and parameter(part.parameters, "format").lower() == "flowed":
        return unflowed(text, delete_blank=parameter(part.parameters, "delsp").lower() == "yes")
    return text


async def _decoded(part: BodyPart, raw: bytes, cut: bool, world: World) -> str:
    if len(raw) <= HERE_BYTES:
        return part_text(part, raw, cut=cut)
    return await world.in_thread(lambda: part_text(part, raw, cut=cut))
