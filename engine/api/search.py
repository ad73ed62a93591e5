"""Searching an account's folders."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from engine.accounts.message_summary import entry
from engine.accounts.searching import every_folder, search_folder, search_folders
from engine.api.context import Context
from engine.api.mailbox_access import NOT_CONNECTED, TOO_LATE, leased
from engine.api.messages import page_asked_for, page_shown
from engine.errors import Problem
from engine.http.account_tokens import Access
from engine.http.operation import Encoded, operation
from engine.schema.command_headers import CommandHeaders
from engine.schema.fields import AccountId
from engine.schema.messages import MessagesPage
from engine.schema.search import Search, SearchPage

EVERY = "*"


@operation(
    "POST",
    "/v1/account/{account}/search",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=("Message",),
    reads=True,
    errors={
        400: "The cursor is of another search, or its UIDs are void (`InvalidCursorValue`).",
        404: "There is no such folder; `path` names it.",
        422: "It lacks an extension that the search needs (`MissingServerExtension`).",
        503: NOT_CONNECTED,
        504: TOO_LATE,
    },
)
async def search(
    context: Context, account: AccountId, body: Search, query: SearchPage, headers: CommandHeaders
) -> Encoded[MessagesPage]:
    """Search for messages.

    The search covers one folder, several, or all; the newest messages come first. How text matches is up to the mail
    server. If several folders are searched, each message has its `path`.
    """
    paths = body.paths if body.paths is not UNSET else () if query.path is UNSET else (query.path,)
    if not paths:
        said = {"message": '"path" is required', "key": "path", "path": "path"}
        raise Problem(400, "Invalid input", fields=[said])
    scope = b"\n".join([account.encode(), msgspec.json.encode(paths), msgspec.json.encode(body.search)])
    asked = page_asked_for(query, query.cursor, scope)
    one = len(paths) == 1 and paths[0] != EVERY
    async with leased(context, account, headers, where=paths[0] if one else None) as mailbox:
        session, locator = mailbox.session, mailbox.locator
        if one:
            opened = await locator.open(session, paths[0])
            page = await search_folder(session, opened, body.search, asked)
            shown = [entry(each, opened.row.id) for each in page.messages]
        else:
            every = EVERY in paths
            wanted = await every_folder(session) if every else paths
            found, page = await search_folders(session, locator, wanted, body.search, asked, all_needed=not every)
            shown = [{**entry(each.one, each.row.id), "path": each.row.path} for each in found]
    return page_shown(page, shown, asked.size, scope)
