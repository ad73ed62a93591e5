"""Makes answers of templates: always escaped, with the headers that allow no script but the engine's own.

Each link is relative to the page it stands on, so that the pages work under any path of a proxy.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
import msgspec
from markupsafe import Markup
from quart import Response

from engine.web import static_files
from engine.web.account_words import for_people
from engine.web.texts import shown

STATIC = "/admin/static/"
_ZIP_ABOVE = 1000
_FAST = 5
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_NAMED = re.compile("<(?:bdi|title)[^>]*>[^<]*")
"""What others have named. One who opens an isolate in it and leaves it open turns around the words behind it, too."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}
"""The headers of every answer, where it sets none of its own."""


def _iso(moment: float | str | datetime) -> str:
    """A moment, as seconds since 1970 or as the API writes it, for the `datetime` of `<time>`."""
    if isinstance(moment, str):
        return moment
    at = moment if isinstance(moment, datetime) else datetime.fromtimestamp(moment, UTC)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc(moment: float | str | datetime) -> str:
    """The same for people without script."""
    return f"{_iso(moment)[:16].replace('T', ' ')} UTC"


def _seconds(moment: str) -> float:
    """A moment as the API writes it, in seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()


def _size(octets: int) -> str:
    """Octets as people read them."""
    number, unit = float(octets), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" or number >= 10 else f"{number:.1f} {unit}"


def _duration(seconds: float) -> str:
    """A duration as people read it: 40 ms, 12 s, 3 min, 5 h, 2 d."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 else "0 s"
    number, unit = seconds, "s"
    for following, length in (("min", 60), ("h", 60), ("d", 24)):
        if number < 2 * length:
            break
        number, unit = number / length, following
    return f"{number:.0f} {unit}"


def _json(value: Any) -> Markup:
    """A value as JSON inside an attribute."""
    return Markup.escape(msgspec.json.encode(value).decode())


def _pretty(value: Any, most: int = 40_000) -> str:
    """A value as JSON for people, cut where it is longer than `most` characters."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return text if len(text) <= most else f"{text[:most]}…"


def _prose(text: str) -> Markup:
    """A docstring for people: its paragraphs, lists, and what is code in it."""
    made = []
    for number, part in enumerate(text.split("```")):
        if number % 2:
            made.append(Markup("<pre tabindex=0>{}</pre>").format(part.partition("\n")[2].rstrip()))
            continue
        for block in filter(None, (each.strip() for each in part.split("\n\n"))):
            items = re.split(r"\n(?=[*-] )", f"\n{block}")
            made += [Markup("<p>{}</p>").format(_inline(each)) for each in items[:1] if each.strip()]
            if len(items) > 1:
                lines = Markup().join(Markup("<li>{}</li>").format(_inline(each[2:])) for each in items[1:])
                made.append(Markup("<ul class=lines>{}</ul>").format(lines))
    return Markup("\n").join(made)


def _inline(text: str) -> Markup:
    """Lines of a paragraph as one, with `code`."""
    parts = re.sub(r"\s+", " ", text.strip()).split("`")
    return Markup().join(Markup("<code>{}</code>").format(each) if at % 2 else each for at, each in enumerate(parts))


environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.filters.update(
    iso=_iso,
    utc=_utc,
    size=_size,
    duration=_duration,
    seconds=_seconds,
    json=_json,
    number=shown,
    pretty=_pretty,
    prose=_prose,
    for_people=for_people,
)


def link(here: str, path: str, query: Mapping[str, object] | None = None) -> str:
    """`path` relative to the page at `here`, both as sent; `query` without those that are None or empty."""
    depth = here.count("/") - 1
    target = f"{'../' * depth}{path.lstrip('/')}" if depth else path.lstrip("/")
    given = {name: str(value) for name, value in (query or {}).items() if value is not None and value != ""}
    return f"{target}?{urlencode(given)}" if given else target


def asset(here: str, name: str) -> str:
    """The URL of a file of `static/`, relative to the page at `here`. Raises KeyError."""
    return link(here, f"{STATIC}{static_files.files()[name].url_name}")


def path(pattern: str, *ids: str) -> str:
    """A path with its ids, each percent-encoded: `path("/admin/outbox/{}", queue_id)`."""
    return pattern.format(*(quote(each, safe="") for each in ids))


def render(template: str, values: Mapping[str, Any], *, status: int, zipped: bool) -> Response:
    """A page. The macros of `macros.html` are `m` in it."""
    macros = environment.get_template("macros.html").make_module(dict(values))
    text = environment.get_template(template).render(**values, m=macros)
    if _DIRECTIONS.search(text):
        text = _NAMED.sub(lambda found: _DIRECTIONS.sub("", found[0]), text)
    data = text.encode()
    headers = {"Content-Type": "text/html; charset=utf-8", "Vary": "Accept-Encoding, Cookie"}
    if zipped and len(data) > _ZIP_ABOVE:
        data = gzip.compress(data, _FAST, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(data, status, headers=headers)
