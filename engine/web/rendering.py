"""Renders the pages for strangers (the form, lists): always escaped, without scripts, with a policy that forbids them.

Everything that a page refers to (`form.css`) has a relative URL, so that pages work under any path of a proxy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
from quart import Response, request

_HERE = Path(__file__).parent
_CSS = (_HERE / "form.css").read_bytes()
_VERSION = hashlib.sha256(_CSS).hexdigest()[:12]
"""Part of the style's URL, so that browsers load a changed style."""
FOLDER = "/accounts/"
"""The path of the pages and their style."""
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "public_templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""The headers of every answer of this package, except that the browser may go back to the steps of a form."""
_STEPS = frozenset({"choose.html", "address.html", "mail_servers.html"})
"""With `no-store`, the back button leads from the answer to a form to the browser's "confirm form resubmission"."""


def page(template: str, status: int = 200, *, leads_to: Iterable[str] = (), **values: Any) -> Response:
    """A page. `leads_to`: URLs to which the answers to its forms may redirect."""
    folder = "" if request.path.startswith(FOLDER) else FOLDER.lstrip("/")
    text = _environment.get_template(template).render(folder=folder, version=_VERSION, **values)
    headers = {**HEADERS, "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": _policy(leads_to)}
    if template in _STEPS:
        headers["Cache-Control"] = "private, no-cache"
    return Response(text, status, headers=headers)


def redirect(url: str) -> Response:
    """Redirect the browser with GET."""
    return Response("", 303, headers={**HEADERS, "Location": url, "Content-Type": "text/plain; charset=utf-8"})


def style() -> Response:
    """The style of all pages."""
    headers = {**HEADERS, "Content-Type": "text/css; charset=utf-8", "Cache-Control": "public, max-age=31536000"}
    return Response(_CSS, headers=headers)


def _policy(leads_to: Iterable[str]) -> str:
    # Chromium checks every redirect after a form against `form-action`, including later ones by other sites, which are
    # unknown here. So any https URL is allowed.
    clear = sorted({f"http://{urlsplit(url).netloc}" for url in leads_to if url.lower().startswith("http://")})
    targets = " ".join(("'self'", "https:", *clear))
    return f"default-src 'none'; style-src 'self'; form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
