"""The API of one running engine: the operations of every resource, served."""

from __future__ import annotations

from quart_trio import QuartTrio

from engine.api import operations
from engine.api.context import Context
from engine.api.tags import TAGS
from engine.http import dispatch
from engine.http.html_pages import NO_PAGES, Pages


def make_app(context: Context, pages: Pages = NO_PAGES) -> QuartTrio:
    """The app, with `pages` for people. Raises `ValueError` for an operation whose declaration does not fit it."""
    return dispatch.make_app(context, operations(), TAGS, pages)
