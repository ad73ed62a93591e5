"""Makes plain text for a message that has only HTML.

It reads at most `limit` characters, in time proportional to them, and never raises: broken markup gives poorer text. It
keeps paragraphs, line breaks, lists, quotes, links, table rows, preformatted text and the alt text of images. It
ignores styles, so text hidden by a style is kept too.
"""

from __future__ import annotations

import re

from engine.mail.html_markup import Tag, characters, pieces

LIMIT = 131_072

_ATTRIBUTE = re.compile(
    r"""(?:^|[\s"'/])(href|alt)\s*+=\s*+(?:"([^"]*+)"?|'([^']*+)'?|([^\s"'>][^\s>]*+))""", re.IGNORECASE
)
_BLANK = re.compile(r"[ \t\r\n\f]+")
_INVISIBLE = re.compile("[\u00ad\u034f\u200b\u200c\u2060\ufeff]")
_EMPTY_LINES = re.compile(r"\n{3,}")

_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "dl", "blockquote", "pre", "table"})
_LISTS = frozenset({"ul", "ol"})
_LINES = frozenset(
    {"address", "article", "aside", "body", "caption", "center", "dd", "details", "div", "dt", "fieldset", "figcaption"}
    | {"figure", "footer", "form", "header", "html", "li", "main", "nav", "section", "summary", "tr"}
)
_KNOWN = _PARAGRAPHS | _LISTS | _LINES | {"a", "br", "hr", "img", "td", "th"}
_DEEPEST = 8
_LINK = re.compile(r"(?i:https?|ftp|mailto|tel):[^\x00-\x20\x7f-\xa0]{1,2000}")


def html_to_text(html: str, limit: int = LIMIT) -> str:
    """The text of `html` with LF between lines; the last line is "[...]" if `html` is longer than `limit`."""
    writer = _Writer()
    for piece in pieces(html[:limit]):
        if not isinstance(piece, Tag):
            writer.data(piece)
        elif piece.name in _KNOWN:
            if piece.closing:
                writer.close(piece.name)
            else:
                writer.open(piece.name, piece.attributes)
    writer.end_line()
    if len(html) > limit:
        writer.lines.append("[...]")
    return _EMPTY_LINES.sub("\n\n", "\n".join(writer.lines)).strip("\n")


def _attribute(attributes: str, name: str) -> str:
    for match in _ATTRIBUTE.finditer(attributes):
        if match[1].lower() == name:
            return _characters(match[2] or match[3] or match[4] or "")
    return ""


def _characters(text: str) -> str:
    """`text` with its character references replaced and invisible characters removed."""
    text = characters(text)
    return text if text.isascii() else _INVISIBLE.sub("", text)


class _Writer:
    """Arranges words in lines; knows which quotes, lists, links and preformatted blocks are open."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._words: list[str] = []
        self._gap = False
        self._bullet = ""
        self._quotes = 0
        self._quote_above = ""
        self._preformatted = 0
        self._lists: list[int | None] = []
        self._href = ""
        self._link_text: list[str] = []

    def data(self, source: str) -> None:
        """Add text between tags."""
        text = _characters(source)
        if self._href:
            self._link_text.append(text)
        if self._preformatted:
            first, *rest = text.replace("\r\n", "\n").split("\n")
            self._words.append(first)
            for line in rest:
                self.end_line(always=True)
                self._words.append(line)
        else:
            self._inline(text)

    def _inline(self, text: str) -> None:
        if "  " in text or not text.isprintable():
            text = _BLANK.sub(" ", text)
        if not self._words or self._words[-1].endswith(" "):
            text = text.lstrip(" ")
        if text:
            self._words.append(text)

    def end_line(self, *, always: bool = False) -> None:
        """Finish the current line; an empty one counts only with `always`."""
        line = "".join(self._words).replace("\xa0", " ").rstrip()
        self._words.clear()
        if not line and not always:
            return
        quote = "> " * min(self._quotes, _DEEPEST)
        if self._gap and self.lines:
            self.lines.append(min(quote, self._quote_above).rstrip())
        self._gap = False
        self._quote_above = quote
        depth = min(len(self._lists), _DEEPEST)
        indent = "  " * (depth - 1 if self._bullet else depth)
        self.lines.append(f"{quote}{indent}{self._bullet}{line}".rstrip())
        self._bullet = ""

    def _paragraph(self) -> None:
        self.end_line()
        self._gap = True

    def open(self, name: str, attributes: str) -> None:
        """Handle a start tag."""
        if name == "br":
            self.end_line(always=True)
        elif name in _PARAGRAPHS:
            self._paragraph()
            self._quotes += name == "blockquote"
            self._preformatted += name == "pre"
        elif name in _LISTS:
            self.end_line()
            self._gap |= not self._lists
            self._lists.append(0 if name == "ol" else None)
        elif name in _LINES:
            self.end_line()
            if name == "li":
                self._bullet = self._next_bullet()
        elif name in ("td", "th"):
            self._inline(" ")
        elif name == "a":
            self._end_link()
            href = _attribute(attributes, "href").strip()
            self._href = href if _LINK.fullmatch(href) else ""
        elif name == "img":
            self.data(_attribute(attributes, "alt"))
        elif name == "hr":
            self._paragraph()
            self._inline("---")
            self._paragraph()

    def close(self, name: str) -> None:
        """Handle an end tag."""
        if name in _PARAGRAPHS:
            self._paragraph()
            if name == "blockquote" and self._quotes:
                self._quotes -= 1
            elif name == "pre" and self._preformatted:
                self._preformatted -= 1
        elif name in _LISTS:
            self.end_line()
            if self._lists:
                self._lists.pop()
            self._gap |= not self._lists
        elif name in _LINES:
            self.end_line()
        elif name == "a":
            self._end_link()

    def _next_bullet(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return "* "
        self._lists[-1] = number + 1
        return f"{number + 1}. "

    def _end_link(self) -> None:
        """Add the target of a link after its text, unless the text is the target."""
        text = "".join(self._link_text).strip()
        if self._href and text not in (self._href, self._href.partition(":")[2].strip("/")):
            self._inline(f" <{self._href}>")
        self._href = ""
        self._link_text.clear()
