"""Adds HTML to the HTML of a message without changing the rest."""

from __future__ import annotations

from engine.mail.html_markup import tags


def at_end(html: str, more: str) -> str:
    """`html` with `more` as the last thing that it shows."""
    ends = {tag.name: start for start, _, tag in tags(html) if tag.closing}
    end = ends.get("body", ends.get("html", len(html)))
    return html[:end] + more + html[end:]
