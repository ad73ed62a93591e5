"""Lists page by page, in EmailEngine's shape: what each such query and each such answer have in common."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from engine.schema.fields import Request, Response


class PageQuery(Request, frozen=True, kw_only=True):
    """Which page of a list."""

    page: Annotated[Annotated[int, Meta(ge=0, le=1_048_576)], Meta(description="Page number, from 0.")] = 0
    page_size: Annotated[Annotated[int, Meta(ge=1, le=1000)], Meta(description="Entries on a page.")] = 20


class Page(Response, frozen=True, kw_only=True):
    """One page of a list; what is on it has a name of its own in each."""

    total: Annotated[int, Meta(description="Entries on all pages.")]
    page: Annotated[int, Meta(description="This page, from 0.")]
    pages: Annotated[int, Meta(description="Number of pages.")]
