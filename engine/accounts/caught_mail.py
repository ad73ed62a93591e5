"""Describes a message that the sandbox has caught: its header, its text, its files.

The sandbox's own description of its parts is read by what reads those of real servers, so that a caught message looks
as it does in a mailbox. Everything here takes time in proportion to the message: call it in a thread.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.accounts.message_summary import filename, is_text
from engine.accounts.message_text import part_text
from engine.imap.fetched import read_fetch
from engine.imap.responses import Fetch, parse
from engine.imap.structure import BodyPart
from engine.imap.tokens import Tokenizer
from engine.mail.decode import header_text
from engine.mail.header_reading import fields
from engine.mail.media_types import guess_media_type
from engine.mail.transfer import body_bytes
from engine.mail.web_safe import Remote, drop, text_as_html, wanted_pictures, web_safe, with_pictures
from engine.sandbox import imap_mime
from engine.sandbox.post_office import CaughtMessage as CaughtMessage

HEADER_BYTES = 256 * 1024
"""Octets of a message in which its header is searched for."""
PICTURE_BYTES = 12 * 1024 * 1024
"""Maximum octets of all images that are put into a text."""


class CaughtFile(NamedTuple):
    """An attached file. `part` is its section number, `size` in octets as decoded."""

    part: str
    name: str
    kind: str
    content: bytes
    inline: bool


class CaughtText(NamedTuple):
    """The texts of a message; `html` is harmless, and made of the plain text where there is no other."""

    plain: str
    html: str
    has_html: bool


def header_of(raw: bytes) -> dict[str, list[str]]:
    """The header fields by name in lower case, each with all its values."""
    return fields(raw[:HEADER_BYTES])


def texts_of(raw: bytes, remote: Remote = drop) -> CaughtText:
    """The texts, with the pictures that came with the message; those on the web as `remote` says."""
    whole, parts = _read(raw)
    texts = [(part, part_text(part, _section(whole, part), cut=False)) for part in parts if is_text(part)]
    plain = "\n".join(text for part, text in texts if part.kind == "text/plain")
    written = "\n".join(text for part, text in texts if part.kind == "text/html")
    html = web_safe(written, remote) if written else text_as_html(plain)
    wanted, left = wanted_pictures(html), PICTURE_BYTES
    pictures: dict[str, tuple[str, bytes]] = {}
    for part in parts:
        name = header_text(part.content_id).removeprefix("<").removesuffix(">")
        kind = part.kind if part.kind.startswith("image/") else guess_media_type(filename(part))
        if name in wanted and name not in pictures and kind.startswith("image/") and part.size <= left:
            left -= part.size
            pictures[name] = (kind, body_bytes(_section(whole, part), part.encoding))
    return CaughtText(plain, with_pictures(html, pictures), bool(written))


def files_of(raw: bytes) -> list[CaughtFile]:
    """The attached files, decoded."""
    whole, parts = _read(raw)
    return [
        CaughtFile(
            part.path,
            filename(part),
            part.kind,
            body_bytes(_section(whole, part), part.encoding),
            part.disposition == "inline" or bool(part.content_id and "multipart/related" in part.parents),
        )
        for part in parts
        if not is_text(part)
    ]


def _read(raw: bytes) -> tuple[imap_mime.ParsedPart, tuple[BodyPart, ...]]:
    whole = imap_mime.parse(raw)
    tokenizer = Tokenizer()
    tokenizer.feed(b"* 1 FETCH (UID 1 BODYSTRUCTURE %b)\r\n" % imap_mime.structure(whole))
    frame = tokenizer.next_frame()
    answer = None if frame is None else parse(frame)
    one = read_fetch(answer) if isinstance(answer, Fetch) else None
    return whole, () if one is None or one.structure is None else one.structure.parts


def _section(whole: imap_mime.ParsedPart, part: BodyPart) -> bytes:
    return imap_mime.section(whole, [int(number) for number in part.path.split(".")], "") or b""
