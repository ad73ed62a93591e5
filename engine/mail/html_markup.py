"""HTML cut into its tags and the text between them, the way a browser does (WHATWG HTML section 13.2.5).

One walk from left to right, in which a tag, comment or script that never ends swallows the rest: the time is
proportional to the length, whatever stands there. The standard library's parser goes back after every wrong guess
instead: 40 kB of "<a " hold it for half a minute, "<![" ends it with an assertion. Only its table of character
references is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

# A tag (groups 1 to 3), or the opening of what is none. Possessive throughout: nothing is tried twice. A quote counts
# only after "=", as in a browser.
_MARKUP = re.compile(r"""<(?:(/?)([A-Za-z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"?|'[^']*+'?)?+)*+)>?|!--|[/!?])""")
# Python refuses to read an integer of thousands of digits; no character has more than seven.
_ENDLESS_NUMBER = re.compile(r"&#[0-9]{8,}+;?")
_RAW = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "title", "iframe", "noembed")}
"""Elements whose content is no text to be read."""


class Tag(NamedTuple):
    """A start tag, or an end tag if `closing`; its name in lower case, and what stands behind that, as it is."""

    name: str
    attributes: str
    closing: bool


def pieces(source: str) -> Iterator[str | Tag]:
    """Texts, with their character references as they stand, and tags, in order; comments and the like left out."""
    at = 0
    while (markup := _MARKUP.search(source, at)) is not None:
        if markup.start() > at:
            yield source[at : markup.start()]
        end_mark, name, attributes = markup.groups()
        at = markup.end()
        if name is None:
            # "<!-->" is a whole comment: its hyphens serve twice.
            ending, start = ("-->", at - 2) if markup[0] == "<!--" else (">", at)
            end = source.find(ending, start)
            at = len(source) if end < 0 else end + len(ending)
            continue
        name = name.lower()
        yield Tag(name, attributes, bool(end_mark))
        if name in _RAW and not end_mark:
            closing = _RAW[name].search(source, at)
            at = len(source) if closing is None else closing.start()
    if at < len(source):
        yield source[at:]


def characters(text: str) -> str:
    """`text` with its character references replaced."""
    return unescape(_ENDLESS_NUMBER.sub("\ufffd", text)) if "&" in text else text
