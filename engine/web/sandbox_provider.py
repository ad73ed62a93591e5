"""The consent page of the sandbox's OAuth2 provider, for a browser: the same provider that the engine dials in memory.

Only this page is served, next to the form, and it redirects only to this engine, so that it is not an open redirect.
"""

from __future__ import annotations

from quart import Response

from engine.api.context import Context
from engine.api.oauth2 import redirect_url
from engine.errors import Problem
from engine.http.html_pages import FORM, PageRequest
from engine.sandbox.oauth_pages import ISSUER, WebRequest, answer
from engine.web.rendering import HEADERS

PATH = "/sandbox/authorize"


def local(url: str) -> str:
    """The URL of this page for a browser at the form."""
    return url.replace(ISSUER, "../sandbox", 1)


async def consent(context: Context, asked: PageRequest) -> Response:
    """The page, or the redirect after the decision on it. Raises `Problem`."""
    sandbox = context.access.sandbox
    if sandbox is None:
        raise Problem(404, "The sandbox is switched off")
    given = asked.form if asked.method == "POST" else asked.query
    if given.get("redirect_uri") not in _own(context):
        raise Problem(400, "This sign-in does not lead back here")
    request = WebRequest(asked.method, f"/authorize?{asked.query_string}", {"content-type": FORM}, asked.body)
    found = answer(sandbox.oauth, context.world, request)
    return Response(found.body, found.status, headers={**HEADERS, **found.headers})


def _own(context: Context) -> set[str]:
    """The redirect URLs of sandbox apps."""
    apps = [made.app for made in context.oauth.book.made.values()]
    return {url for app in apps if app.provider == "sandbox" and (url := redirect_url(context, app)) is not None}
