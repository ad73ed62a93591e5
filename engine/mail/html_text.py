"""Plain text for a message that came as HTML only.

Promises to read at most `limit` characters, in time proportional to them whatever they are, and never to raise: broken
markup gives poorer text. It reads tags the way a browser does (WHATWG HTML §13.2.5): one walk from left to right, in
which a tag, comment or script that never ends swallows the rest. The standard library's parser goes back after every
wrong guess instead: 40 kB of "<a " hold it for half a minute, "<![" ends it with an assertion; one caller could stop
the engine. Only its table of character references is used.
Keeps paragraphs, line breaks, lists, quotes, links, table rows, preformatted text and the alt text of images; knows no
styles, so text that a style hides is kept.
"""

from __future__ import annotations

import re
from html import unescape

LIMIT = 131_072

# A tag (groups 1 to 3), or the opening of what is none. Possessive throughout: nothing is tried twice. A quote counts
# only after "=", as in a browser.
_MARKUP = re.compile(r"""<(?:(/?)([A-Za-z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"?|'[^']*+'?)?+)*+)>?|!--|[/!?])""")
_ATTRIBUTE = re.compile(
    r"""(?:^|[\s"'/])(href|alt)\s*+=\s*+(?:"([^"]*+)"?|'([^']*+)'?|([^\s"'>][^\s>]*+))""", re.IGNORECASE
)
_BLANK = re.compile(r"[ \t\r\n\f]+")
_INVISIBLE = re.compile("[\u00ad\u034f\u200b\u200c\u2060\ufeff]")
# Python refuses to read an integer of thousands of digits; no character has more than seven.
_ENDLESS_NUMBER = re.compile(r"&#[0-9]{8,}+;?")
_EMPTY_LINES = re.compile(r"\n{3,}")

_RAW = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "title", "iframe", "noembed")}
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "dl", "blockquote", "pre", "table"})
_LISTS = frozenset({"ul", "ol"})
_LINES = frozenset(
    {"address", "article", "aside", "body", "caption", "center", "dd", "details", "div", "dt", "fieldset", "figcaption"}
    | {"figure", "footer", "form", "header", "html", "li", "main", "nav", "section", "summary", "tr"}
)
_KNOWN = _PARAGRAPHS | _LISTS | _LINES | {"a", "br", "hr", "img", "td", "th"}
_DEEPEST = 8
_LINK = re.compile(r"(?:https?|ftp|mailto|tel):[!-~\u00a1-\U0010ffff]{1,2000}", re.IGNORECASE)


def html_to_text(html: str, limit: int = LIMIT) -> str:
    """The text of `html`, LF between its lines; "[...]" is the last one when `html` was longer than `limit`."""
    writer = _Writer()
    source = html[:limit]
    at = 0
    while (markup := _MARKUP.search(source, at)) is not None:
        if markup.start() > at:
            writer.data(source[at : markup.start()])
        at = _read(markup, source, writer)
    writer.data(source[at:])
    writer.end_line()
    if len(html) > limit:
        writer.lines.append("[...]")
    return _EMPTY_LINES.sub("\n\n", "\n".join(writer.lines)).strip("\n")


def _read(markup: re.Match[str], source: str, writer: _Writer) -> int:
    """Act on one piece of markup; returns where it ends."""
    end_mark, name, attributes = markup.groups()
    if name is None:
        # "<!-->" is a whole comment: its hyphens serve twice.
        ending, at = ("-->", markup.end() - 2) if markup[0] == "<!--" else (">", markup.end())
        end = source.find(ending, at)
        return len(source) if end < 0 else end + len(ending)
    name = name.lower()
    if name in _KNOWN:
        if end_mark:
            writer.close(name)
        else:
            writer.open(name, attributes)
    elif name in _RAW and not end_mark:
        closing = _RAW[name].search(source, markup.end())
        return len(source) if closing is None else closing.start()
    return markup.end()


def _attribute(attributes: str, name: str) -> str:
    for match in _ATTRIBUTE.finditer(attributes):
        if match[1].lower() == name:
            return _characters(match[2] or match[3] or match[4] or "")
    return ""


def _characters(text: str) -> str:
    """`text` with its character references replaced and what nobody sees removed."""
    if "&" in text:
        text = unescape(_ENDLESS_NUMBER.sub("\ufffd", text))
    return text if text.isascii() else _INVISIBLE.sub("", text)


class _Writer:
    """Puts words into lines; knows which quotes, lists, links and preformatted blocks are open."""

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
        """Text between tags."""
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
        """Finish the line in hand; an empty one only counts with `always`."""
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
        """A start tag."""
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
        """An end tag."""
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
        """Name the target of a link behind its text, unless the text already is the target."""
        text = "".join(self._link_text).strip()
        if self._href and text not in (self._href, self._href.partition(":")[2].strip("/")):
            self._inline(f" <{self._href}>")
        self._href = ""
        self._link_text.clear()
