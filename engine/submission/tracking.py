"""Opens and clicks: a picture and links that lead through the engine, put into the HTML of a message. Pure.

1. Links are the http and https URLs in `href` of `<a>` and `<area>`, where a browser sees such a tag: not in comments,
   scripts, styles or other tags' attributes. An attribute's value is read as a browser reads it: the first `href` of a
   tag, in quotes or without, its character references replaced, blanks around it and line breaks in it dropped.
2. A link that leads through the engine already, or unsubscribes, is left as it is; so is one too long to be signed.
3. Only the value is replaced, by characters that need neither quotes nor references (but `&amp;`): every other octet
   stays, so putting the old values back gives the same HTML.
4. The picture goes before the last `</body>`, or `</html>`, or at the end of the last line.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from engine.host_names import ascii_name
from engine.mail.html_markup import attribute_characters, tags

OPEN_PATH, CLICK_PATH, UNSUBSCRIBE_PATH = "/open.gif", "/redirect", "/unsubscribe"
LONGEST_DATA = 5000
"""Maximum octets of a link's JSON: encoded, it must fit into the request line that any proxy accepts."""
LONGEST_KEPT = 100_000
"""Maximum characters of HTML whose links are kept for the next message."""
_OWN_PATHS = (OPEN_PATH, CLICK_PATH, UNSUBSCRIBE_PATH)
_LINKS = frozenset({"a", "area"})
_TEXTS = frozenset({"textarea", "xmp", "noframes"})
"""Elements in which a browser sees no tags."""
# One attribute: its name, then perhaps a value in double quotes, in single quotes, bare (WHATWG HTML 13.2.5.32-38), or
# in quotes that never end.
_ATTRIBUTE = re.compile(r"""([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)|(["'])))?""")
_ENDLESS = 5
_WEB = re.compile(r"https?://[^/?#]", re.IGNORECASE)
_IN_PATH = "%/:@!$&'()*+,;=~-._"
_BREAKS = re.compile(r"[\t\r\n]")
_BLANKS = "".join(map(chr, range(33)))
"""The C0 controls and the space, which a browser strips from a URL."""

Sign = Callable[[bytes], str]
"""Makes the query of a link (`data=…&sig=…`) from its JSON."""


class Tracked(NamedTuple):
    """What is tracked in a message, and the URL of the links.

    `base` is the engine's public URL, without a final slash. `left` holds URLs that stay as they are.
    """

    opens: bool
    clicks: bool
    base: str
    account: str
    message_id: str
    sign: Sign
    left: frozenset[str] = frozenset()


class _Click(msgspec.Struct):
    act: str
    url: str


class LinkIn(NamedTuple):
    """A link in HTML: where its raw value is, and the URL that it means."""

    start: int
    end: int
    url: str


def tracked(html: str, what: Tracked) -> str:
    """The HTML with the tracking put into it. Takes time in proportion to its length."""
    found, end = _places(html)
    new = [(link.start, link.end, ours) for link in found if (ours := _ours(link, what))] if what.clicks else []
    if what.opens:
        new.append((end, end, _picture(what)))
    written, at = [], 0
    for start, end, text in sorted(new):
        written += [html[at:start], text]
        at = end
    return "".join([*written, html[at:]])


def links(html: str) -> Iterator[LinkIn]:
    """The links to the web in `html`, in order."""
    inside = None
    for start, end, tag in tags(html):
        if inside is not None:
            inside = None if tag.closing and tag.name == inside else inside
        elif tag.closing:
            continue
        elif tag.name in _TEXTS:
            inside = tag.name
        elif tag.name in _LINKS and html[end - 1] == ">":
            found = _href(tag.attributes, start + len(tag.name) + 1)
            if found is not None and _WEB.match(found.url):
                yield found


def base_of(url: str) -> str:
    """The part of a URL to which the paths of public pages are added: in ASCII, without user, query and slash."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    try:
        place = ascii_name(place)
    except UnicodeError:
        place = quote(place)
    return f"{parts.scheme}://{place}{quote(parts.path.rstrip('/'), safe=_IN_PATH)}"


def click_data(account: str, message_id: str, url: str) -> bytes:
    """The JSON of a link that leads to `url`."""
    return msgspec.json.encode({"act": "click", "url": url, "acc": account, "msg": message_id})


def click_target(url: str) -> str:
    """The URL that a link made by `tracked` leads to; any other URL is returned as it is."""
    parts = urlsplit(url) if f"{CLICK_PATH}?data=" in url else None
    if parts is None or not parts.path.endswith(CLICK_PATH):
        return url
    data = parts.query.removeprefix("data=").partition("&")[0]
    try:
        said = msgspec.json.decode(base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)), type=_Click)
    except (ValueError, msgspec.DecodeError):
        return url
    return said.url if said.act == "click" else url


def open_data(account: str, message_id: str) -> bytes:
    """The JSON of a picture's link."""
    return msgspec.json.encode({"act": "open", "acc": account, "msg": message_id})


def _href(attributes: str, at: int) -> LinkIn | None:
    """The first `href` among attributes that begin at `at`; later ones do not count."""
    for attribute in _ATTRIBUTE.finditer(attributes):
        which = attribute.lastindex or 1
        if which == _ENDLESS:
            return None
        if attribute[1].lower() != "href":
            continue
        if which == 1:
            return None
        raw = attribute[which]
        url = _BREAKS.sub("", attribute_characters(raw).strip(_BLANKS))
        return LinkIn(at + attribute.start(which), at + attribute.end(which), url)
    return None


def _ours(link: LinkIn, what: Tracked) -> str | None:
    """The value that makes a link lead through the engine; None if it stays as it is."""
    if link.url in what.left or _is_own(link.url, what.base):
        return None
    try:
        data = click_data(what.account, what.message_id, link.url)
    except UnicodeEncodeError:
        # What is no text leads nowhere, with or without us.
        return None
    return None if len(data) > LONGEST_DATA else _escaped(f"{what.base}{CLICK_PATH}?{what.sign(data)}")


def _is_own(url: str, base: str) -> bool:
    lowered, own = url.lower(), base.lower()
    return any(lowered.startswith((f"{own}{path}?", f"{own}{path}#")) or lowered == own + path for path in _OWN_PATHS)


def _picture(what: Tracked) -> str:
    query = what.sign(open_data(what.account, what.message_id))
    source = _escaped(f"{what.base}{OPEN_PATH}?{query}")
    return f'<img src="{source}" alt="" width="1" height="1" style="border:0;width:1px;height:1px">'


class _Places(NamedTuple):
    """Where tracking goes in HTML: its links, and the place for the picture."""

    links: tuple[LinkIn, ...]
    end: int


def _places(html: str) -> _Places:
    return _kept_places(html) if len(html) <= LONGEST_KEPT else _found_places(html)


def _found_places(html: str) -> _Places:
    return _Places(tuple(links(html)), _end_of_body(html))


@functools.lru_cache(maxsize=1)
def _kept_places(html: str) -> _Places:
    """Those of the last HTML are kept: it is the same in all messages of many merges."""
    return _found_places(html)


def _end_of_body(html: str) -> int:
    """Where the last `</body>` begins, or the last `</html>`; if there is neither, the end of the last line."""
    ends = {"body": -1, "html": -1}
    for start, _, tag in tags(html):
        if tag.closing and tag.name in ends:
            ends[tag.name] = start
    return next((place for place in ends.values() if place >= 0), len(html.rstrip("\r\n")))


def _escaped(url: str) -> str:
    return url.replace("&", "&amp;").replace('"', "%22").replace("'", "%27").replace("<", "%3C").replace(">", "%3E")
