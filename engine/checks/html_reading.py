"""What rules look at in an HTML text: its elements, URLs, styles and words. *pure*"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from engine.mail.html_markup import Tag, attributes, characters, pieces, tags

_URLS = {
    "a": ("href",),
    "area": ("href",),
    "img": ("src",),
    "form": ("action",),
    "link": ("href",),
    "source": ("src",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "input": ("src",),
    "iframe": ("src",),
    "object": ("data",),
    "embed": ("src",),
}
"""The attributes of each element that hold a URL; `background` does in any."""
_BREAKS = re.compile(r"[\t\r\n]")
_CSS_URL = re.compile(r"""url\(\s*+["']?+([^"')]++)""", re.IGNORECASE)
_COMMENT = re.compile(r"/\*(?:[^*]|\*(?!/))*+\*/")
_BLANKS = "".join(map(chr, range(33)))


class Url(NamedTuple):
    """A URL in HTML, and the element that it is in; `css` for one in a style."""

    element: str
    url: str


class HtmlContents(msgspec.Struct, frozen=True):
    """What is in an HTML text.

    * `elements`: the names of its start tags. `attributes`: the names of their attributes.
    * `body_styles`: whether a `<style>` stands behind `<body>`.
    * `styles`: the text of all its styles, without comments. `words`: its text and the values of attributes.
    * `size`: its octets in UTF-8.
    """

    elements: frozenset[str]
    attributes: frozenset[str]
    body_styles: bool
    styles: str
    urls: tuple[Url, ...]
    words: str
    size: int


def read_html(html: str, target: Callable[[str], str] = str) -> HtmlContents:
    """Read HTML in time proportional to its length. `target` returns what a link in it leads to."""
    elements: set[str] = set()
    names: set[str] = set()
    styles: list[str] = []
    urls: list[Url] = []
    words: list[str] = []
    in_body = body_styles = False
    for piece in pieces(html):
        if not isinstance(piece, Tag):
            words.append(characters(piece))
        elif not piece.closing:
            elements.add(piece.name)
            in_body = in_body or piece.name == "body"
            body_styles = body_styles or (in_body and piece.name == "style")
            _read_tag(piece, names, styles, urls, words, target)
    if "style" in elements:
        styles += _style_sheets(html)
    css = _COMMENT.sub("", "\n".join(styles))
    urls += [Url("css", match[1].strip()) for match in _CSS_URL.finditer(css)]
    return HtmlContents(
        elements=frozenset(elements),
        attributes=frozenset(names),
        body_styles=body_styles,
        styles=css,
        urls=tuple(dict.fromkeys(urls)),
        words="\n".join(words),
        size=len(html.encode("utf-8", "surrogatepass")),
    )


def _style_sheets(html: str) -> Iterator[str]:
    begins = -1
    for start, end, tag in tags(html):
        if begins >= 0:
            yield html[begins:start]
        begins = end if tag.name == "style" and not tag.closing else -1
    if begins >= 0:
        yield html[begins:]


def _read_tag(
    tag: Tag, names: set[str], styles: list[str], urls: list[Url], words: list[str], target: Callable[[str], str]
) -> None:
    given = attributes(tag.attributes)
    names.update(given)
    for name, value in given.items():
        if name == "style":
            styles.append(value)
        elif name == "background" or name in _URLS.get(tag.name, ()):
            url = target(_BREAKS.sub("", value.strip(_BLANKS)))
            urls.append(Url(tag.name, url))
            words.append(url)
        elif value:
            words.append(value)
