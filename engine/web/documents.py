"""The documents of `docs/` as pages: Markdown rendered, cut into pages of a readable length, linked among themselves.

How it works:

1. Each document is one page, but `api.md`: there, each section of operations is a page of its own, `api-SECTION`.
   `config.toml` is a page that is all code.
2. Headings get the anchors that GitHub gives them. A link to an anchor leads to the page that has it.
3. A link to another document of `docs/` leads to its page; one to a file that is not served becomes plain text.

All are rendered at the first request, which takes about a second of computing, so call `pages` in a thread.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

FOLDER = Path(__file__).resolve().parents[1] / "docs"
GROUPS: dict[str, tuple[str, ...]] = {
    "Begin": ("tutorial", "operate", "commands"),
    "How to": (
        "sandbox",
        "coming-from-emailengine",
        "oauth2",
        "reverse-proxy",
        "containers",
        "grow",
        "smtp",
        "form",
        "templates",
        "lists-and-tracking",
        "checks",
        "limits",
    ),
    "Reference": ("api", "events", "errors", "metrics", "config", "differences"),
    "Background": ("lifecycle", "reliability", "performance", "simulation", "design"),
}
"""The documents by purpose, in the order in which they are listed. A test checks that none is left out."""
FILES = frozenset({"grafana.json"})
"""Files that are not documents and are served unchanged."""
_CUT = {"api": frozenset({"in-general", "operations"})}
"""The documents whose sections are pages of their own, except these sections."""
_LINK = re.compile(r"(?:\.\./)?(?P<name>[a-z0-9-]+)\.(?:md|toml)(?:#(?P<anchor>.*))?")
_CONFIG = "# Configuration\n\nEvery key, with its default.\n\n```toml\n{}```\n"


class Heading(msgspec.Struct, frozen=True):
    """A heading of a page, as its list of contents shows it."""

    text: str
    anchor: str


class DocumentPage(msgspec.Struct, frozen=True):
    """One page. `part_of` is the document whose section it is, "" if it is a whole one."""

    name: str
    title: str
    html: str
    contents: tuple[Heading, ...]
    part_of: str = ""


class _Piece(msgspec.Struct):
    """The tokens of one page before they are rendered."""

    name: str
    title: str
    tokens: list[Token]
    document: str


@functools.cache
def pages() -> dict[str, DocumentPage]:
    """Every page by name."""
    from markdown_it import MarkdownIt  # a tenth of what the start imports

    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    texts = {file.stem: file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.md"))}
    texts["config"] = _CONFIG.format((FOLDER / "config.toml").read_text(encoding="utf-8"))
    pieces = [piece for name, text in texts.items() for piece in _pieces(parser, name, text)]
    anchors: dict[str, dict[str, str]] = {piece.document: {} for piece in pieces}
    for piece in pieces:
        for heading in _headings(piece.tokens):
            anchors[piece.document].setdefault(heading.anchor, piece.name)
    found = {}
    for piece in pieces:
        _link(piece, anchors)
        contents = tuple(_headings(piece.tokens, "h2"))
        html = _accessible(str(parser.renderer.render(piece.tokens, parser.options, {})))
        part_of = piece.document if piece.name != piece.document else ""
        found[piece.name] = DocumentPage(piece.name, piece.title, html, contents, part_of)
    return found


def listed() -> Iterator[tuple[str, list[DocumentPage]]]:
    """Each group with its documents."""
    every = pages()
    for group, names in GROUPS.items():
        yield group, [every[name] for name in names if name in every]


def parts(document: str) -> list[DocumentPage]:
    """The pages into which a document is cut, without the first."""
    return [page for page in pages().values() if page.part_of == document]


def anchor_of(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _pieces(parser: MarkdownIt, name: str, markdown: str) -> Iterator[_Piece]:
    """The pages of one document."""
    tokens = parser.parse(markdown)
    used: Counter[str] = Counter()
    piece = _Piece(name, name, [], name)
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            text = tokens[at + 1].content.replace("`", "")
            anchor = anchor_of(text)
            token.attrSet("id", f"{anchor}-{used[anchor]}" if used[anchor] else anchor)
            used[anchor] += 1
            if token.tag == "h1":
                piece.title = text
            elif token.tag == "h2" and anchor not in _CUT.get(name, {anchor}):
                yield piece
                piece = _Piece(f"{name}-{anchor}", text, [], name)
        if token.type in ("heading_open", "heading_close") and piece.name != name:
            token.tag = f"h{int(token.tag[1]) - 1}"
        piece.tokens.extend(_scrolling(token) if token.type in ("table_open", "table_close") else (token,))
    yield piece


def _scrolling(token: Token) -> Sequence[Token]:
    """Make a table that is wider than a phone scroll apart from the page."""
    around = type(token)("html_block", "", 0)
    if token.type == "table_open":
        around.content = '<div class="scroll" tabindex="0">'
        return around, token
    around.content = "</div>\n"
    return token, around


def _accessible(html: str) -> str:
    """Let keys scroll code that is wider than the page too, and make no heading of an empty cell."""
    return html.replace("<pre>", '<pre tabindex="0">').replace("<th></th>", "<td></td>")


def _headings(tokens: Sequence[Token], tag: str = "") -> Iterator[Heading]:
    """The headings with this tag, or all."""
    for at, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == (tag or token.tag):
            yield Heading(tokens[at + 1].content.replace("`", ""), str(token.attrGet("id")))


def _link(piece: _Piece, anchors: dict[str, dict[str, str]]) -> None:
    """Make the links of a page lead to pages."""
    for token in piece.tokens:
        outside = 0
        for child in token.children or ():
            if child.type == "link_open":
                target = _target(str(child.attrGet("href")), piece, anchors)
                if target is None:
                    child.type, child.tag, child.attrs, outside = "em_open", "em", {}, outside + 1
                else:
                    child.attrSet("href", target)
            elif child.type == "link_close" and outside:
                child.type, child.tag, outside = "em_close", "em", outside - 1


def _target(href: str, piece: _Piece, anchors: dict[str, dict[str, str]]) -> str | None:
    """Where a link leads; None: to a file that is not served."""
    if re.match("[a-z]+:", href) or href in FILES:
        return href
    if href.startswith("#"):
        return _at(piece.document, href[1:], anchors, here=piece.name)
    link = _LINK.fullmatch(href)
    if link is None or link["name"] not in anchors:
        return None
    return _at(link["name"], link["anchor"] or "", anchors)


def _at(document: str, anchor: str, anchors: dict[str, dict[str, str]], here: str | None = None) -> str:
    page = anchors[document].get(anchor, document)
    if page == here:
        return f"#{anchor}"
    return f"{page}#{anchor}" if anchor else page
