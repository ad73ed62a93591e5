"""Paging in EmailEngine's shape: what all queries for a page, and all pages, have in common."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from engine.schema.fields import Request, Response


class PageQuery(Request, frozen=True, kw_only=True):
    """Which page of a list."""

    page: Annotated[
        Annotated[int, Meta(ge=0, le=1_048_576)], Meta(description="The number of the page, counted from 0.")
    ] = 0
    page_size: Annotated[Annotated[int, Meta(ge=1, le=1000)], Meta(description="The number of entries on a page.")] = 20


class Page(Response, frozen=True, kw_only=True):
    """One page of a list; each list has a name of its own for its entries."""

    total: Annotated[int, Meta(description="The number of entries on all pages.", examples=[1])]
    page: Annotated[int, Meta(description="The number of this page, counted from 0.", examples=[0])]
    pages: Annotated[int, Meta(description="The number of pages.", examples=[1])]
