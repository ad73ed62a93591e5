"""Lists page by page, in EmailEngine's shape: pages start at 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class PageQuery(Protocol):
    """A query that asks for one page."""

    @property
    def page(self) -> int: ...

    @property
    def page_size(self) -> int: ...


def numbers(total: int, query: PageQuery) -> dict[str, int]:
    """The members of an answer that say which page it is, and of how many."""
    return {"total": total, "page": query.page, "pages": -(-total // query.page_size)}


def cut(rows: Sequence[T], query: PageQuery) -> Sequence[T]:
    """The rows on the page asked for."""
    first = query.page * query.page_size
    return rows[first : first + query.page_size]
