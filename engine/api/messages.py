"""The messages of a folder, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from engine.accounts import page_cursor
from engine.accounts.message_list import Asked, Page, looking_for, page_of_all
from engine.accounts.message_summary import entry
from engine.api.context import Context
from engine.api.mailbox_access import NOT_CONNECTED, TOO_LATE, leased
from engine.http.account_tokens import Access
from engine.http.operation import Encoded, operation
from engine.http.problems import NEWLINE
from engine.schema.command_headers import CommandHeaders
from engine.schema.fields import AccountId
from engine.schema.messages import MessagesPage, MessagesQuery
from engine.schema.paging import PageQuery


@operation(
    "GET",
    "/v1/account/{account}/messages",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=("Message",),
    errors={
        400: "The cursor is of another folder, or its UIDs are void (`InvalidCursorValue`).",
        404: "There is no such folder; `path` names it.",
        503: NOT_CONNECTED,
        504: TOO_LATE,
    },
)
async def messages(
    context: Context, account: AccountId, query: MessagesQuery, headers: CommandHeaders
) -> Encoded[MessagesPage]:
    """List the messages of a folder, newest first.

    A cursor keeps its place while mail comes and goes, so paging with it shows no message twice and skips none.
    """
    scope = f"{account}\n{query.path}".encode()
    asked = page_asked_for(query, query.cursor, scope)
    async with leased(context, account, headers, where=query.path) as mailbox:
        opened = await mailbox.locator.open(mailbox.session, query.path, looking=looking_for(asked))
        page = await page_of_all(mailbox.session, opened, asked)
    return page_shown(page, (entry(one, opened.row.id) for one in page.messages), asked.size, scope)


def page_asked_for(query: PageQuery, cursor: str | UnsetType, scope: bytes) -> Asked:
    """The page that a query requests. Raises `Problem` 400 for an invalid cursor."""
    if cursor is UNSET or not cursor.strip():
        return Asked(query.page, query.page_size)
    return Asked(query.page, query.page_size, page_cursor.read(cursor, scope))


def page_shown(page: Page, entries: Iterable[dict[str, Any]], size: int, scope: bytes) -> Encoded[MessagesPage]:
    """A page in the form of the answer."""
    shown = {
        "total": page.total,
        "page": page.page,
        "pages": max(-(-page.total // size), 1),
        "nextPageCursor": None if page.next is None else page_cursor.written(page.next, scope),
        "prevPageCursor": None if page.previous is None else page_cursor.written(page.previous, scope),
        "messages": list(entries),
    }
    return Encoded(msgspec.json.encode(shown) + NEWLINE)
