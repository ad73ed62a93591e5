"""Repairs the nesting of HTML and bounds its depth, so that a parser reads it in linear time.

A browser's rules for broken nesting take quadratic time in its depth, and fill memory with copies of unclosed elements:
a mail of 14 kB becomes 4 MB, and one of 1 MB occupies a parser for minutes. Here each element is closed about where a
browser would close it; an element that is left open or nested too deeply only loses its formatting. Comments, and
elements not shown in mail, are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape

from engine.mail.html_markup import Tag, characters, pieces

DEEPEST = 200
"""Maximum elements inside each other."""
TAGS = 100_000
"""Maximum tags in all; later tags are left out, but not their text."""
ATTRIBUTES = 100
"""Maximum attributes of one element; with more it has none."""
RUN = 4096
"""Characters after which a comment interrupts a text, since parsers take ever longer to append to a long one."""

VOID = frozenset({"br", "col", "hr", "img", "wbr"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_CLOSE_PARAGRAPH = _HEADINGS | frozenset(
    {"address", "article", "aside", "blockquote", "center", "dd", "details", "dir", "div", "dl", "dt", "figcaption"}
    | {"figure", "footer", "header", "hr", "li", "main", "menu", "nav", "ol", "p", "pre", "section", "summary", "table"}
    | {"ul"}
)
_INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd"}
    | {"mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt"}
    | {"u", "var"}
)
_TABLE_PARTS = frozenset({"caption", "colgroup", "tbody", "td", "tfoot", "th", "thead", "tr"})
ELEMENTS = VOID | _CLOSE_PARAGRAPH | _INLINE | _TABLE_PARTS
_SECTIONS = frozenset({"caption", "colgroup", "tbody", "tfoot", "thead"})
_CELLS = frozenset({"td", "th"})
_BOUNDS = _CELLS | {"table", "caption"}
_OF_TABLES = _TABLE_PARTS | {"table"}
_END_BOUNDS = {"table": frozenset[str](), **dict.fromkeys(_TABLE_PARTS, frozenset({"table"}))}
"""The elements beyond which the start of an end tag's element is not searched, if other than `_BOUNDS`."""
_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "a": (frozenset({"a"}), _BOUNDS),
    "li": (frozenset({"li"}), _BOUNDS | {"ul", "ol", "menu", "dir"}),
    **dict.fromkeys(("dd", "dt"), (frozenset({"dd", "dt"}), _BOUNDS | {"dl"})),
    **dict.fromkeys(_CELLS, (_CELLS, frozenset({"tr", "table"}))),
    "tr": (frozenset({"tr"}), _SECTIONS | {"table"}),
    **dict.fromkeys(_SECTIONS, (_SECTIONS | {"tr"}, frozenset({"table"}))),
}
"""The open elements that a start tag ends, and the elements beyond which they are not searched."""


def nested(html: str) -> str:
    """`html` with its elements properly nested."""
    return "".join(_Nesting().of(html))


class _Nesting:
    def __init__(self) -> None:
        self._open: list[str] = []
        self._how_many: Counter[str] = Counter()
        """The number of open elements by name."""

    def of(self, html: str) -> Iterator[str]:
        tags = 0
        for piece in pieces(html):
            if not isinstance(piece, Tag):
                yield _text(piece)
                continue
            tags += 1
            if tags > TAGS:
                continue
            name = "div" if piece.name == "body" else piece.name
            if name not in ELEMENTS:
                continue
            if piece.closing:
                yield from self._close(frozenset({name}), _END_BOUNDS.get(name, _BOUNDS))
            else:
                yield from self._begin(name, piece.attributes)
        yield self._end(0)

    def _begin(self, name: str, attributes: str) -> Iterator[str]:
        if name in _CLOSE_PARAGRAPH:
            yield from self._close(frozenset({"p"}), _BOUNDS)
        if name in _TABLE_PARTS or name == "col":
            if not self._how_many["table"]:
                return  # a browser ignores it
            place = len(self._open)
            while self._open[place - 1] not in _OF_TABLES:
                place -= 1
            yield self._end(place)  # an element begun between two rows has been moved before the table
        if name in _ENDS:
            yield from self._close(*_ENDS[name])
        if name not in VOID:
            if len(self._open) == DEEPEST:
                return
            self._open.append(name)
            self._how_many[name] += 1
        yield f"<{name}{_attributes(attributes)}>"

    def _close(self, names: frozenset[str], bounds: frozenset[str]) -> Iterator[str]:
        """Close the innermost open element of `names` and all inside it, unless one of `bounds` is in between."""
        if not any(self._how_many[name] for name in names):
            return
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place] in names:
                yield self._end(place)
                return
            if self._open[place] in bounds:
                return

    def _end(self, place: int) -> str:
        """Close the open elements from this depth on."""
        ended = self._open[place:]
        del self._open[place:]
        self._how_many.subtract(ended)
        return "".join(f"</{each}>" for each in reversed(ended))


def _attributes(written: str) -> str:
    written = written.rstrip("/ \t\r\n\f").replace("\0", "")
    if not written or written.count("=") + written.count(" ") > 8 * ATTRIBUTES:
        return ""
    if written.count('"') % 2 or (written.count("'") % 2 and "'" not in _between_double_quotes(written)):
        return ""  # it would continue into the text
    return written if written[0] in " \t\r\n\f" else f" {written}"


def _between_double_quotes(written: str) -> str:
    return "".join(written.split('"')[1::2])


def _text(source: str) -> str:
    text = characters(source).replace("\0", "")
    if len(text) <= RUN:
        return escape(text, quote=False)
    runs = (escape(text[at : at + RUN], quote=False) for at in range(0, len(text), RUN))
    return "<!---->".join(runs)
