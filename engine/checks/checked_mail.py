"""A composed message as the rules see it: its fields, its texts, its files. *pure*

It is read from the octets that will be sent, so a message given whole is checked like one that the engine composed.
Nothing here raises, and the time is proportional to the length of the message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from engine.checks.html_reading import HtmlContents, read_html
from engine.mail.compose import Composed
from engine.mail.decode import body_text, header_text
from engine.mail.header_reading import fields, raw_fields
from engine.mail.whole_html import structured

MOST_DEPTH = 10
MOST_PARTS = 1_000
_TEXTS = ("text/plain", "text/html")
_ENCRYPTED = frozenset({"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})


class _Part(NamedTuple):
    kind: str
    parameters: dict[str, bytes]
    disposition: str
    encoding: str
    ids: tuple[str, ...]
    body: bytes


class CheckedMail(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules know about a message.

    * `whole`: the caller gave it as `raw`. `size`: the octets that are sent. `recipients`: how many get it.
    * `fields`: the values of its header fields, by lower-case name.
    * `text` and `htmls`: its texts. `cids`: the ids by which HTML may refer to its files.
    * `is_readable` False: its contents are encrypted.
    * `to_list`: the caller named a list. `unresolved`: variables without a value, by the member that names them.
    """

    whole: bool
    size: int
    fields: dict[str, list[str]]
    text: str
    htmls: tuple[HtmlContents, ...]
    cids: frozenset[str]
    is_readable: bool = True
    to_list: bool = False
    unresolved: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)

    @property
    def subject(self) -> str:
        """The subject, "" if there is none."""
        return (self.fields.get("subject") or [""])[0]

    def member(self, name: str) -> str:
        """The member of the request that a fault of the content `name` is in."""
        return "raw" if self.whole else name


def read_mail(
    composed: Composed,
    *,
    whole: bool = False,
    to_list: bool = False,
    unresolved: dict[str, tuple[str, ...]] | None = None,
    target: Callable[[str], str] = str,
) -> CheckedMail:
    """Take a message apart; `target` returns what a link in it leads to."""
    texts: list[str] = []
    htmls: list[HtmlContents] = []
    ids: set[str] = set()
    readable = True
    for part in _parts(composed.header, composed.body + composed.tail):
        ids.update(part.ids)
        readable = readable and part.kind not in _ENCRYPTED
        if part.kind not in _TEXTS or part.disposition == "attachment":
            continue
        charset = part.parameters.get("charset", b"").decode("ascii", "replace")
        text = body_text(part.body, part.encoding, charset, html=part.kind == "text/html")
        if part.kind == "text/html":
            htmls.append(read_html(text, target))
        else:
            texts.append(text)
    return CheckedMail(
        whole=whole,
        size=composed.size,
        fields=fields(composed.header),
        text="\n".join(texts),
        htmls=tuple(htmls),
        cids=frozenset(ids),
        is_readable=readable,
        to_list=to_list,
        unresolved=unresolved or {},
    )


def _parts(header: bytes, body: bytes) -> Iterator[_Part]:
    """The parts that contain no others, at most `MOST_PARTS`."""
    ahead, seen = [(header, body, MOST_DEPTH)], 0
    while ahead and seen < MOST_PARTS:
        head, content, depth = ahead.pop()
        part = _part(head, content)
        boundary = part.parameters.get("boundary") if part.kind.startswith("multipart/") else None
        if boundary and depth and part.kind not in _ENCRYPTED:
            inner = [(*each, depth - 1) for each in _inside(content, boundary)]
            ahead += reversed(inner)
        else:
            seen += 1
            yield part


def _part(header: bytes, body: bytes) -> _Part:
    given: dict[str, bytes] = {}
    for name, value in raw_fields(header):
        given.setdefault(name, value)
    kind, parameters = structured(given.get("content-type", b"text/plain"))
    disposition, _ = structured(given.get("content-disposition", b""))
    encoding, _ = structured(given.get("content-transfer-encoding", b""))
    ids = [header_text(given[name]).strip() for name in ("content-id", "content-location") if name in given]
    return _Part(kind, parameters, disposition, encoding, tuple(each.strip("<> ") for each in ids), body)


def _inside(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The header and body of each part between the delimiters (RFC 2046 section 5.1.1)."""
    delimiter = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*+(?:\r\n|\Z)", re.MULTILINE)
    start = -1
    for found in delimiter.finditer(body):
        if start >= 0:
            yield _apart(body[start : max(start, found.start() - 2)])
        start = found.end()
        if found[1]:
            return
    if start >= 0:
        yield _apart(body[start:])


def _apart(raw: bytes) -> tuple[bytes, bytes]:
    if raw.startswith(b"\r\n"):
        return b"", raw[2:]
    head, _, body = raw.partition(b"\r\n\r\n")
    return head + b"\r\n", body
