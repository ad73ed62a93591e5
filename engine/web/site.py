"""All pages and their paths."""

from __future__ import annotations

from functools import partial

from quart import Response

from engine.api.context import Context
from engine.api.oauth2 import CALLBACK_PATH
from engine.http.html_pages import Page, PageRequest, Pages
from engine.submission.tracking import CLICK_PATH, OPEN_PATH, UNSUBSCRIBE_PATH
from engine.web import rendering, sandbox_provider
from engine.web.admin import admin_pages
from engine.web.docs_site import DocsSite
from engine.web.form_outcome import of_problem
from engine.web.form_start import connect
from engine.web.oauth_sign_in import SignInPages
from engine.web.tracking import TrackingPages
from engine.web.unsubscribe import unsubscribe


def pages(context: Context) -> Pages:
    """All pages of an engine."""
    sign_in, tracking = SignInPages(context), TrackingPages(context)
    return Pages(
        (
            Page("/accounts/new", partial(connect, context, sign_in), ("GET", "POST")),
            Page(CALLBACK_PATH, sign_in.callback),
            Page(sandbox_provider.PATH, partial(sandbox_provider.consent, context), ("GET", "POST")),
            Page(UNSUBSCRIBE_PATH, partial(unsubscribe, context), ("GET", "POST"), any_body=True),
            Page(OPEN_PATH, tracking.open),
            Page(CLICK_PATH, tracking.click),
            Page("/accounts/form.css", _style),
            *admin_pages(context),
            *DocsSite(context).pages(),
        ),
        of_problem,
    )


async def _style(asked: PageRequest) -> Response:
    return rendering.style()
