"""Images given as `data:` URLs in the HTML become parts of the message, to which the HTML refers by `cid:`.

Most mail programs show no `data:` URL. Only the URL changes, whatever the quotes around it; one that cannot be decoded
stays as it is. The same image is attached once. Only the `src` of `img` counts, as with EmailEngine. *pure*
"""

from __future__ import annotations

import hashlib
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from engine.mail.compose import AttachedFile, Draft
from engine.mail.html_markup import characters, tags

MOST = 1_000
"""Maximum images; later ones stay as they are."""
_ATTRIBUTE = re.compile(r"""([^\s"'>/=]++)(?:\s*+=\s*+(?:"([^"]*+)"?+|'([^']*+)'?+|([^\s"'>][^\s>]*+)))?+""")
_URL = re.compile(
    r"\s*+data:\s*+(image/[a-z0-9.+-]{1,60})((?:;[a-z0-9._-]{1,60}=[^;,]{0,60})*)(;\s*base64)?\s*,", re.IGNORECASE
)
_BLANK = re.compile(rb"[\s\x00]+")
_ENDINGS = {"jpeg": "jpg", "svg+xml": "svg", "x-icon": "ico", "vnd.microsoft.icon": "ico"}


class _Image(NamedTuple):
    """An image, and where its URL begins and ends."""

    start: int
    end: int
    kind: str
    data: bytes


def with_inline_images(draft: Draft) -> Draft:
    """The draft with its `data:` images as inline parts. Takes time in proportion to the HTML."""
    html = draft.html or ""
    if "data:" not in html.lower():
        return draft
    files: dict[str, AttachedFile] = {}
    pieces: list[str] = []
    at = 0
    for image in _images(html):
        cid = f"{hashlib.sha256(image.kind.encode() + image.data).hexdigest()[:32]}@inline"
        if cid not in files:
            if len(files) == MOST:
                break
            ending = image.kind.partition("/")[2]
            name = f"image{len(files) + 1}.{_ENDINGS.get(ending, ending)}"
            files[cid] = AttachedFile(image.data, name, image.kind, "inline", cid)
        pieces += [html[at : image.start], f"cid:{cid}"]
        at = image.end
    if not files:
        return draft
    attachments = (*draft.attachments, *files.values())
    return msgspec.structs.replace(draft, html="".join([*pieces, html[at:]]), attachments=attachments)


def _images(html: str) -> Iterator[_Image]:
    for start, _, tag in tags(html):
        if tag.name != "img" or tag.closing:
            continue
        first = start + len("<img")
        for found in _ATTRIBUTE.finditer(html, first, first + len(tag.attributes)):
            if found[1].lower() == "src":
                group = found.lastindex or 1
                image = _decoded(found[group]) if group > 1 else None
                if image is not None:
                    yield _Image(found.start(group), found.end(group), *image)
                break  # a browser takes the first


def _decoded(written: str) -> tuple[str, bytes] | None:
    """The media type and content of a URL; None if it is not of an image, or broken."""
    url = characters(written)
    if (match := _URL.match(url)) is None:
        return None
    data = unquote_to_bytes(url[match.end() :].encode("utf-8", "surrogatepass"))
    if match[3]:
        data = _BLANK.sub(b"", data)
        try:
            data = a2b_base64(data.rstrip(b"=") + b"=" * (-len(data.rstrip(b"=")) % 4), strict_mode=True)
        except Base64Error:
            return None
    return (match[1].lower(), data) if data else None
