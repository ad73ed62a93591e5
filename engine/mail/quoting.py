"""Quotes a message in another one, as text and as HTML: below the new text, under a line in the reader's language.

A reply names its author and date, and quotes (`>`, `<blockquote>`); a forward has a block of header fields, and the
message unchanged. Only the harmless part of the quoted HTML is used (`web_safe`), well nested, so no style, script or
end tag in it affects what surrounds it. Pictures that came with the message (`cid:`) stay, and the caller attaches
them. Time is proportional to the length.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import NamedTuple

from engine.mail.addresses import Address
from engine.mail.html_places import at_end
from engine.mail.html_text import html_to_text
from engine.mail.quote_words import MONTHS, Words
from engine.mail.replying import Action, Original
from engine.mail.web_safe import text_as_html, web_safe

MOST_ADDRESSES = 50
"""Maximum addresses of a field that are shown above a forwarded message."""
_BLOCKQUOTE = '<blockquote type="cite" style="margin:0 0 0 .8ex;border-left:1px solid #ccc;padding-left:1ex">'


class Texts(NamedTuple):
    """The texts of a message; empty for one that it lacks."""

    plain: str
    html: str


def quoted(original: Original, texts: Texts, action: Action, words: Words, zone: tzinfo) -> Texts:
    """What to put below the new text, in both forms. `zone` is that of the dates shown."""
    plain = (texts.plain if texts.plain.strip() else html_to_text(texts.html)).replace("\r\n", "\n").replace("\r", "\n")
    plain = plain.rstrip()
    html = web_safe(texts.html) if texts.html.strip() else text_as_html(plain)
    if action == "forward":
        rows = _rows(original, words, zone)
        above = [f"---------- {words.forwarded} ----------", *(f"{name}: {value}" for name, value in rows)]
        shown = "<br>".join(f"<b>{escape(name)}:</b> {escape(value, quote=False)}" for name, value in rows)
        block = f"<p>---------- {escape(words.forwarded)} ----------<br>{shown}</p>"
        return Texts("\n".join([*above, "", plain]), f"<div>{block}<div>{html}</div></div>")
    line = _wrote(original, words, zone)
    below = "\n".join(_quoted_line(each) for each in plain.split("\n"))
    return Texts(f"{line}\n{below}", f"<div><p>{escape(line, quote=False)}</p>{_BLOCKQUOTE}{html}</blockquote></div>")


def with_quoted(given: Texts, quote: Texts) -> Texts:
    """The new texts with the quoted ones below. If there are no new ones, both forms."""
    if not given.plain and not given.html:
        return quote
    return Texts(
        f"{given.plain.rstrip()}\n\n{quote.plain}" if given.plain else "",
        at_end(given.html, f"<br>{quote.html}") if given.html else "",
    )


def date_shown(seconds: float | None, words: Words, zone: tzinfo) -> str:
    """A date in words; empty if there is none, or it cannot exist."""
    if seconds is None:
        return ""
    try:
        when = datetime.fromtimestamp(seconds, zone)
    except (ValueError, OverflowError, OSError):
        return ""
    time = f"{when.hour:02}:{when.minute:02}{' UTC' if zone is UTC else ''}"
    day, month, mon = when.day, when.month, MONTHS[when.month - 1]
    return words.date.format(d=day, m=month, y=when.year, dd=f"{day:02}", mm=f"{month:02}", mon=mon, time=time)


def _wrote(original: Original, words: Words, zone: tzinfo) -> str:
    """The line above the quote in a reply."""
    author = next(iter(original.shown_author or original.author), Address("?"))
    name, date = author.name or author.address, date_shown(original.date, words, zone)
    return words.wrote.format(date=date, name=name) if date else f"{name}:"


def _rows(original: Original, words: Words, zone: tzinfo) -> list[tuple[str, str]]:
    """The header fields above a forwarded message."""
    rows = (
        (words.author, _addresses(original.shown_author or original.author)),
        (words.when, date_shown(original.date, words, zone)),
        (words.subject, original.subject),
        (words.to, _addresses(original.shown_to or original.to)),
        (words.cc, _addresses(original.shown_cc or original.cc)),
    )
    return [(name, value) for name, value in rows if value]


def _addresses(given: Sequence[Address]) -> str:
    shown = [
        f"{each.name} <{each.address}>" if each.name and each.address else each.name or each.address
        for each in given[:MOST_ADDRESSES]
    ]
    return ", ".join([*shown, *(["…"] if len(given) > MOST_ADDRESSES else [])])


def _quoted_line(line: str) -> str:
    """RFC 3676 section 4.5: no space between quote marks."""
    return f">{line}" if not line or line.startswith(">") else f"> {line}"
