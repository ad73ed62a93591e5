"""Makes the HTML of a message safe to embed in any page: no scripts, no forms, nothing positioned outside its place.

`nh3` removes everything that is not listed here. Images sent with the message (`cid:`) stay, for `with_pictures` to
fill in. Images on the web stay, are removed, or are loaded through a proxy, as the caller chooses: loading them tells
the sender that the mail was read.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from html import escape
from urllib.parse import quote, unquote

import nh3

from engine.mail.html_nesting import ELEMENTS, nested

LONGEST = 8 * 1024 * 1024
"""Maximum characters of HTML that are read; the rest is left out."""
_EVERYWHERE = frozenset({"align", "bgcolor", "dir", "height", "lang", "style", "title", "valign", "width"})
_OF_ELEMENT = {
    "a": {"href"},
    "img": {"alt", "border", "hspace", "src", "vspace"},
    "font": {"color", "face", "size"},
    "table": {"background", "border", "cellpadding", "cellspacing", "summary"},
    "td": {"abbr", "background", "colspan", "nowrap", "rowspan", "scope"},
    "th": {"abbr", "background", "colspan", "nowrap", "rowspan", "scope"},
    "tr": {"background"},
    "col": {"span"},
    "colgroup": {"span"},
    "ol": {"start", "type"},
    "ul": {"type"},
    "li": {"type", "value"},
    "hr": {"color", "noshade", "size"},
    "br": {"clear"},
    "div": {"background"},
    "blockquote": {"type"},
}
_ATTRIBUTES = {element: _EVERYWHERE | _OF_ELEMENT.get(element, set()) for element in ELEMENTS}
_SCHEMES = {"http", "https", "mailto", "tel", "sms", "cid", "data"}
_PICTURES = frozenset({"src", "background"})
_PICTURE_DATA = re.compile(r"data:image/[a-z0-9.+-]{1,40}(?:;[a-z0-9=-]{1,40})?[;,]", re.IGNORECASE)
_QUOTED = r""""[^"]*+"?|'[^']*+'?"""
_INNER = rf"""\((?:[^)"']++|{_QUOTED})*+\)?+"""
_CALL = rf"""\((?:[^()"']++|{_QUOTED}|{_INNER})*+\)?+"""
_DECLARATION = re.compile(rf"""\s*+([A-Za-z-]{{1,60}})\s*+:((?:[^;"'()]++|{_QUOTED}|{_CALL})*+);?+""")
"""A property and its value, in which a function may be an argument of another."""
_STYLES = re.compile(
    r"(?:background|border|color|direction|display|float|clear|font|height|letter-spacing|line-height|list-style|margin"
    r"|max-height|max-width|min-height|min-width|opacity|outline|overflow|overflow-wrap|padding|table-layout|text"
    r"|unicode-bidi|vertical-align|visibility|white-space|width|word-break|word-spacing|word-wrap|caption-side"
    r"|empty-cells)(?:-[a-z-]{1,40})?",
    re.IGNORECASE,
)
_STYLE_URL = re.compile(r"""url\(\s*+["']?([^"'()]*+)["']?\s*+\)""", re.IGNORECASE)
_STYLE_DANGER = re.compile(r"[\\<>@{}]|/\*|expression|javascript|behaviou?r|-moz-binding|url", re.IGNORECASE)
_STYLE_CALL = re.compile(r"([a-z0-9_-]*+)\(", re.IGNORECASE)
_STYLE_CALLS = re.compile(
    r"|rgba?|hsla?|hwb|lab|lch|oklab|oklch|color|calc|min|max|clamp|(?:repeating-)?(?:linear|radial|conic)-gradient",
    re.IGNORECASE,
)
"""The functions that load nothing. Others may, such as `image-set` and `src`, whose URL is a string."""
_CID = re.compile(r"""((?:=|\()\s*+["']?(?:&quot;)?)cid:([^"'\s>)&]{1,1000})""", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s<>\"]{1,2000}[^\s<>\".,;:!?)\]']", re.IGNORECASE)

_IN_URL = "%/:?#[]@!$&*+,;=~-._"
"""Characters that need no encoding in a URL of a style."""
_IN_CID = "!$*+,/:;=?@^_~-."
"""Characters that need no encoding in the URL of a Content-ID."""

Remote = Callable[[str], str | None]
"""Takes the URL of an image on the web; returns the URL to use, or None to remove the image."""


def keep(address: str) -> str | None:
    """Leave images on the web as they are."""
    return address


def drop(address: str) -> str | None:
    """Remove images on the web."""
    return None


def by_way_of(prefix: str) -> Remote:
    """Load images on the web from `prefix` followed by their percent-encoded URL."""
    return lambda address: prefix + quote(address, safe="")


def web_safe(html: str, remote: Remote = keep) -> str:
    """The harmless part of `html`. Time is proportional to its length."""
    return nh3.clean(
        nested(html[:LONGEST]),
        tags=set(ELEMENTS),
        clean_content_tags=set(),
        attributes={element: set(names) for element, names in _ATTRIBUTES.items()},
        attribute_filter=lambda element, name, value: _attribute(element, name, value, remote),
        url_schemes=_SCHEMES,
        url_relative="deny",
        link_rel="noopener noreferrer",
    )


def text_as_html(text: str) -> str:
    """Plain text as HTML that looks the same, with its URLs as links."""
    written = [_linked(line) for line in text.replace("\r\n", "\n").split("\n")]
    return f'<div style="white-space: pre-wrap">{"<br>".join(written)}</div>' if text else ""


def wanted_pictures(html: str) -> set[str]:
    """The Content-IDs of the pictures that `html` shows, without angle brackets."""
    return {unquote(match[2]) for match in _CID.finditer(html)}


def with_pictures(html: str, pictures: Mapping[str, tuple[str, bytes]]) -> str:
    """`html` with these images embedded: media type and content, by Content-ID without angle brackets."""

    def put_in(match: re.Match[str]) -> str:
        found = pictures.get(unquote(match[2]))
        if found is None:
            return match[0]
        return f"{match[1]}data:{found[0]};base64,{base64.b64encode(found[1]).decode('ascii')}"

    return _CID.sub(put_in, html)


def renamed_pictures(html: str, names: Mapping[str, str]) -> str:
    """`html` with other Content-IDs: new by old, all without angle brackets."""

    def rename(match: re.Match[str]) -> str:
        new = names.get(unquote(match[2]))
        return match[0] if new is None else f"{match[1]}cid:{quote(new, safe=_IN_CID)}"

    return _CID.sub(rename, html)


def _attribute(element: str, name: str, value: str, remote: Remote) -> str | None:
    if name == "style":
        return _style(value, remote)
    if name in _PICTURES:
        return _picture(value.strip(), remote)
    if name == "href" and value.strip().lower().startswith(("cid:", "data:")):
        return None
    return value


def _picture(address: str, remote: Remote) -> str | None:
    lowered = address[:8].lower()
    if lowered.startswith("cid:"):
        return address
    if lowered.startswith("data:"):
        return address if _PICTURE_DATA.match(address) else None
    if address.startswith("//"):
        address = f"https:{address}"
        lowered = address[:8]
    return remote(address) if lowered.startswith(("http://", "https://")) else None


def _style(written: str, remote: Remote) -> str | None:
    kept = []
    for name, value in _DECLARATION.findall(written):
        if not _STYLES.fullmatch(name):
            continue
        shown = _with_urls(value, remote)
        if shown is not None:
            kept.append(f"{name.lower()}:{shown.strip()}")
    return ";".join(kept) or None


def _with_urls(value: str, remote: Remote) -> str | None:
    """A value of a style with its URLs replaced as allowed; None if the value is not allowed at all."""
    *between, last = _STYLE_URL.split(value)
    texts, addresses = [*between[::2], last], [_picture(url.strip(), remote) for url in between[1::2]]
    between_urls = " ".join(texts)
    calls = _STYLE_CALL.findall(between_urls)
    if _STYLE_DANGER.search(between_urls) or None in addresses or not all(map(_STYLE_CALLS.fullmatch, calls)):
        return None
    written = [f"url('{quote(address or '', safe=_IN_URL)}')" for address in addresses]
    return "".join(text + url for text, url in zip(texts, [*written, ""], strict=True))


def _linked(line: str) -> str:
    shown = []
    at = 0
    for match in _ADDRESS.finditer(line):
        address = escape(match[0])
        shown += [
            escape(line[at : match.start()], quote=False),
            f'<a href="{address}" rel="noopener noreferrer">{address}</a>',
        ]
        at = match.end()
    return "".join([*shown, escape(line[at:], quote=False)])
