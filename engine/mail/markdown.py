"""Markdown as HTML: CommonMark with tables, strikethrough and links made of bare URLs; HTML in it is kept.

It accepts at most `LONGEST` characters, since markdown-it takes quadratic time for some odd texts.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

LONGEST: Final = 100_000


class TooLong(ValueError):
    """The Markdown is longer than `LONGEST`."""


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # a tenth of what the start imports

    return MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(["table", "strikethrough", "linkify"])


def html_of(markdown: str) -> str:
    """The HTML of `markdown`. Raises `TooLong`."""
    if len(markdown) > LONGEST:
        raise TooLong(f"is longer than {LONGEST:,} characters once it is rendered, which Markdown may have")
    return str(_parser().render(markdown))
