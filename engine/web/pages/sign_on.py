"""`/admin/sign-in/provider`: to the OpenID Connect provider of people, and back.

The way there is a link, as the policy of the pages lets no form lead to another site.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from quart import Response

from engine.errors import Problem
from engine.web.cookies import SESSION, SIGN_ON
from engine.web.page import page
from engine.web.pages.sign_in import shown
from engine.web.people import Refused
from engine.web.visit import Visit

PATH = "/admin/sign-in/provider"
BACK = f"{PATH}/back"


@page(PATH, role=None)
async def leave(visit: Visit) -> Response:
    """Send the browser to the provider. Raises `Problem` 404 if there is none."""
    _must_be_offered(visit)
    back = visit.url(BACK)
    try:
        url, cookie = await visit.sign_on.begin(back, visit.query.get("next", ""))
    except Refused as refused:
        return shown(visit, refused)
    response = Response("", 303, headers={"Location": url, "Content-Type": "text/plain; charset=utf-8"})
    return SIGN_ON.put(response, cookie, secure=urlsplit(back).scheme == "https")


@page(BACK, role=None)
async def back(visit: Visit) -> Response:
    """Begin a session for the person whom the provider sends back. Raises `Problem` 404 if there is none."""
    _must_be_offered(visit)
    cookies, address = visit.asked.cookies, visit.asked.address
    try:
        under_way = visit.sign_on.under_way(SIGN_ON.value(cookies))
        cookie = await visit.sign_on.end(under_way, visit.query, address, visit.agent)
    except Refused as refused:
        response = shown(visit, refused)
    else:
        secure = urlsplit(under_way.pending.redirect_url).scheme == "https"
        response = SESSION.put(visit.to_url(under_way.next), cookie, secure=secure)
    if SIGN_ON.is_in(cookies):
        SIGN_ON.delete(response)
    return response


def _must_be_offered(visit: Visit) -> None:
    if not visit.sign_on.name:
        raise Problem(404, visit.text("error.no_page"))
