"""The consent page of the sandbox's OAuth2 provider, for a browser: the same provider that the engine dials in memory.

It is served beside the form. Only the page itself is, and it leads back to this engine alone: it must not be a way for
anybody to send people elsewhere.
"""

from __future__ import annotations

from quart import Response

from engine.api.context import Context
from engine.api.oauth2 import redirect_url
from engine.errors import Problem
from engine.http.pages import FORM, PageRequest
from engine.sandbox.oauth_pages import ISSUER, WebRequest, answer
from engine.web.rendering import HEADERS

PATH = "/sandbox/authorize"


def local(url: str) -> str:
    """Where a browser at the form finds this page of the provider."""
    return url.replace(ISSUER, "../sandbox", 1)


async def consent(context: Context, asked: PageRequest) -> Response:
    """The page, or what follows from what was decided on it. Raises `Problem`."""
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
    """Where sandbox apps have people sent back to."""
    apps = [made.app for made in context.oauth.book.made.values()]
    return {url for app in apps if app.provider == "sandbox" and (url := redirect_url(context, app)) is not None}
