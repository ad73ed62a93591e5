"""Splits HTML into tags and the text between them, as a browser does (WHATWG HTML section 13.2.5).

It makes one pass from left to right, in which a tag, comment or script that never ends swallows the rest, so the time
is proportional to the length of any input. The standard library's parser backtracks after every wrong guess: 40 kB of
"<a " take it half a minute, and "<![" fails an assertion. Only its table of character references is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from html.entities import html5
from typing import NamedTuple

# A tag (groups 1 to 3), or the start of markup that is not a tag. Possessive throughout: nothing is matched twice. A
# quote counts only after "=", as in a browser.
_MARKUP = re.compile(r"""<(?:(/?)([A-Za-z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"?|'[^']*+'?)?+)*+)>?|!--|[/!?])""")
# Python refuses to parse an integer of thousands of digits; no character reference needs more than seven.
_ENDLESS_NUMBER = re.compile(r"&#[0-9]{8,}+;?")
_REFERENCE = re.compile(r"&(?:#(?:[0-9]++|[xX][0-9A-Fa-f]++);?|([A-Za-z][A-Za-z0-9]*+);?)")
# One attribute: its name, then perhaps a value in double quotes, in single quotes, or bare.
_ATTRIBUTE = re.compile(r"""([^\s"'>/=]++)(?:\s*+=\s*+(?:"([^"]*+)"?+|'([^']*+)'?+|([^\s"'>][^\s>]*+)))?+""")
_REFERENCES = {f"&{name}": text for name, text in html5.items()}
_RAW = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "title", "iframe", "noembed")}
"""Elements whose content is not shown as text."""


class Tag(NamedTuple):
    """A start tag, or an end tag if `closing`: its name in lower case, and the raw text after the name."""

    name: str
    attributes: str
    closing: bool


def pieces(source: str) -> Iterator[str | Tag]:
    """Texts, with character references not replaced, and tags, in order; comments and the like are left out."""
    at = 0
    for start, end, tag in _markup(source):
        if start > at:
            yield source[at:start]
        if tag is not None:
            yield tag
        at = end
    if at < len(source):
        yield source[at:]


def tags(source: str) -> Iterator[tuple[int, int, Tag]]:
    """The tags, each with the places where it begins and ends."""
    return ((start, end, tag) for start, end, tag in _markup(source) if tag is not None)


def attributes(raw: str) -> dict[str, str]:
    """The attributes in the raw text of a tag: the names in lower case, of which the first counts, and their values."""
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(raw):
        found.setdefault(match[1].lower(), attribute_characters(match[2] or match[3] or match[4] or ""))
    return found


def _markup(source: str) -> Iterator[tuple[int, int, Tag | None]]:
    """What is not text: where it begins and ends, and the tag, if it is one."""
    at = 0
    while (markup := _MARKUP.search(source, at)) is not None:
        start = markup.start()
        end_mark, name, attributes = markup.groups()
        at = markup.end()
        if name is None:
            # "<!-->" is a complete comment: its hyphens belong to both the start and the end.
            ending, after = ("-->", at - 2) if markup[0] == "<!--" else (">", at)
            end = source.find(ending, after)
            at = len(source) if end < 0 else end + len(ending)
            yield start, at, None
            continue
        name = name.lower()
        yield start, at, Tag(name, attributes, bool(end_mark))
        if name in _RAW and not end_mark:
            closing = _RAW[name].search(source, at)
            raw, at = at, len(source) if closing is None else closing.start()
            yield raw, at, None


def characters(text: str) -> str:
    """Replace the character references in `text`."""
    return unescape(_ENDLESS_NUMBER.sub("\ufffd", text)) if "&" in text else text


def attribute_characters(value: str) -> str:
    """Replace the character references in an attribute's value.

    There, a name without its semicolon counts only if no letter, digit or "=" follows, so that `?a=1&copy=2` means what
    it says (WHATWG HTML section 13.2.5.73).
    """
    return _REFERENCE.sub(_referred, value) if "&" in value else value


def _referred(reference: re.Match[str]) -> str:
    text, name = reference[0], reference[1]
    if name is None:
        return characters(text)
    if text not in _REFERENCES or (text[-1] != ";" and reference.string.startswith("=", reference.end())):
        return text
    return _REFERENCES[text]
