"""Lists page by page: which rows are on the page asked for, and the members of the answer that say which page it is."""

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
    """Which page it is, and of how many."""
    return {"total": total, "page": query.page, "pages": -(-total // query.page_size)}


def cut(rows: Sequence[T], query: PageQuery) -> Sequence[T]:
    """The rows on the page asked for."""
    first = query.page * query.page_size
    return rows[first : first + query.page_size]
