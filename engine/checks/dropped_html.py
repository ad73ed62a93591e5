"""HTML that common mail programs drop or ignore. *pure* data.

Those of caniemail.com are from its tests, each feature on a page of its own; `as_of` is the month in which it was last
compared. A feature is listed only if Gmail, Outlook or Yahoo lacks it and the message loses something by that: what
degrades by itself, such as rounded corners, is not. To change an entry, change its `as_of` too.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Kind = Literal["element", "attribute", "style", "url"]
"""Where a feature is looked for: names of elements or attributes, the text of styles, `element url` of each URL."""

CAN_I_EMAIL = "https://www.caniemail.com/features/"


class Dropped(NamedTuple):
    """One feature. `finds` is searched in what `kind` says. `by`: who drops it. `instead`: what to do."""

    name: str
    kind: Kind
    finds: re.Pattern[str]
    by: str
    instead: str
    source: str
    as_of: str


GMAIL_CLIPS = 102 * 1024
"""Octets of HTML above which Gmail shows only the beginning, with a link to the rest."""
GMAIL_CLIPS_SOURCE = "https://www.spamresource.com/2022/01/what-is-gmail-clipping-and-what-to-do.html"
GMAIL_CLIPS_AS_OF = "2026-11"

NO_SCRIPTS = "https://tavo.work/en/blog/email-technical-limits/"
_LINK = "link to a page that has it"
_TABLES = "lay it out with tables"


def _element(names: str, by: str, instead: str, source: str) -> Dropped:
    pattern = re.compile("|".join(names.split()))
    return Dropped(f"<{names.split()[0]}>", "element", pattern, by, instead, source, "2026-11")


def _style(name: str, pattern: str, by: str, instead: str, source: str) -> Dropped:
    return Dropped(name, "style", re.compile(pattern, re.IGNORECASE), by, instead, CAN_I_EMAIL + source, "2026-11")


def _url(name: str, pattern: str, by: str, instead: str, source: str) -> Dropped:
    return Dropped(name, "url", re.compile(pattern, re.IGNORECASE), by, instead, CAN_I_EMAIL + source, "2026-11")


DROPPED: tuple[Dropped, ...] = (
    _element("script", "all mail programs", _LINK, NO_SCRIPTS),
    _element("iframe frame frameset", "nearly all mail programs", _LINK, NO_SCRIPTS),
    _element("object embed applet", "Gmail, Outlook and Yahoo", _LINK, f"{CAN_I_EMAIL}html-object/"),
    _element("video", "Gmail, Outlook and Yahoo", "show a picture that links to it", f"{CAN_I_EMAIL}html-video/"),
    _element("audio", "Gmail, Outlook and Yahoo", _LINK, f"{CAN_I_EMAIL}html-audio/"),
    _element("form", "Outlook for Windows, and Gmail for iOS in part", _LINK, f"{CAN_I_EMAIL}html-form/"),
    _element("input textarea select", "Outlook for Windows", _LINK, f"{CAN_I_EMAIL}html-input-text/"),
    _element("svg", "Gmail, Outlook and Yahoo", "use a PNG file", f"{CAN_I_EMAIL}html-svg/"),
    _element("base", "Outlook and Yahoo in part", "write URLs in full", f"{CAN_I_EMAIL}html-base/"),
    Dropped(
        "<link> to a style sheet",
        "url",
        re.compile(r"link ."),
        "Gmail, Outlook.com and Yahoo",
        "put its rules into the HTML, with render.inlineCss into style attributes",
        f"{CAN_I_EMAIL}html-link/",
        "2026-11",
    ),
    Dropped(
        "handlers of events (onclick and the like)",
        "attribute",
        re.compile(r"on[a-z]+"),
        "all mail programs",
        _LINK,
        NO_SCRIPTS,
        "2026-11",
    ),
    _style("@import", r"@import\b", "Gmail, Outlook.com and Yahoo", "put the rules into the HTML", "css-at-import/"),
    _style(
        "@font-face", r"@font-face\b", "Gmail, Outlook and Yahoo", "name a font that is common", "css-at-font-face/"
    ),
    _style(
        "position: absolute, fixed or sticky",
        r"(?<![\w-])position\s*+:\s*+(?:absolute|fixed|sticky)",
        "Gmail, Outlook and Yahoo",
        _TABLES,
        "css-position/",
    ),
    _style(
        "display: flex",
        r"(?<![\w-])display\s*+:\s*+(?:inline-)?flex",
        "Outlook for Windows, and Gmail for accounts elsewhere",
        _TABLES,
        "css-display-flex/",
    ),
    _style(
        "display: grid",
        r"(?<![\w-])display\s*+:\s*+(?:inline-)?grid",
        "Gmail, Outlook and Yahoo",
        _TABLES,
        "css-display-grid/",
    ),
    _style(
        "CSS variables", r"(?<![\w-])--[\w-]++\s*+:", "Gmail, Outlook and Yahoo", "write values out", "css-variables/"
    ),
    _style(
        "background-image",
        r"(?<![\w-])background(?:-image)?\s*+:[^;}:]{0,500}?url\(",
        "Outlook for Windows",
        "set a background colour as well",
        "css-background-image/",
    ),
    _style(
        "animation", r"(?<![\w-])animation(?:-name)?\s*+:", "Gmail, Outlook and Yahoo", "use a GIF", "css-animation/"
    ),
    _url(
        "SVG pictures", r"img [^?#]*\.svg(?:[?#]|\Z)", "Gmail and Outlook for Windows", "use a PNG file", "image-svg/"
    ),
    _url(
        "WebP pictures", r"img [^?#]*\.webp(?:[?#]|\Z)", "Outlook for Windows", "use a JPEG or PNG file", "image-webp/"
    ),
    _url(
        "pictures in data: URLs",
        r"(?:img|css) data:",
        "Outlook for Windows and Gmail for iOS",
        "attach the picture and refer to it by cid:",
        "image-base64/",
    ),
    Dropped(
        "javascript: links",
        "url",
        re.compile(r"\w+ javascript:", re.IGNORECASE),
        "all mail programs",
        _LINK,
        NO_SCRIPTS,
        "2026-11",
    ),
)

STYLE_IN_BODY = Dropped(
    "<style> in <body>",
    "element",
    re.compile("style"),
    "Gmail and Outlook for Windows",
    "put it into <head>, or set render.inlineCss",
    f"{CAN_I_EMAIL}html-style/",
    "2026-11",
)
