"""Paged lists: the rows on the requested page, and the members of the answer that describe the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, TypeVar

from engine.schema.paging import PageQuery

T = TypeVar("T")


class PageNumbers(TypedDict):
    """The members of every `engine.schema.paging.Page`."""

    total: int
    page: int
    pages: int


def numbers(total: int, query: PageQuery) -> PageNumbers:
    """The members for this page of `total` rows."""
    return {"total": total, "page": query.page, "pages": -(-total // query.page_size)}


def cut(rows: Sequence[T], query: PageQuery) -> Sequence[T]:
    """The rows on the requested page."""
    first = query.page * query.page_size
    return rows[first : first + query.page_size]
