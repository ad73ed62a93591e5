"""Blocklists: the lists, their entries, adding and removing recipients by request.

A token for one account sees and changes only what counts for that account alone.
"""

from __future__ import annotations

from msgspec import UNSET
from quart import request

from engine.api.context import Context, find_account
from engine.decoding.decode import decode_query
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.client_address import Addresses, known
from engine.http.operation import operation
from engine.isotime import iso
from engine.schema.blocklists import (
    BlockedRecipient,
    Blocklist,
    BlocklistAdd,
    BlocklistAdded,
    BlocklistEntries,
    BlocklistEntriesQuery,
    BlocklistName,
    BlocklistPage,
    BlocklistQuery,
    BlocklistRemove,
    BlocklistRemoved,
    ListId,
)
from engine.store import blocklists
from engine.store.blocklists import FOR_ALL, Entry
from engine.store.tokens import Token

_TAGS = ("Blocklists",)
_PATH = "/v1/blocklist/{listId}"


@operation("GET", "/v1/blocklists", access=Access.HANDLER, scope="api", group="blocklist", tags=_TAGS)
async def listing(context: Context, query: BlocklistQuery, *, caller: Token | None = None) -> BlocklistPage:
    """List blocklists.

    A list exists while it has at least one recipient.
    """
    first = query.page * query.page_size
    total, found = blocklists.lists(context.store.reader, _scope(caller), first, query.page_size)
    shown = tuple(Blocklist(list_id=name, count=count) for name, count in found)
    return BlocklistPage(**paging.numbers(total, query), blocklists=shown)


@operation("GET", _PATH, access=Access.HANDLER, scope="api", group="blocklist", tags=_TAGS)
async def read(
    context: Context, list_id: ListId, query: BlocklistEntriesQuery, *, caller: Token | None = None
) -> BlocklistEntries:
    """List the entries of a blocklist."""
    name = _name(list_id)
    first = query.page * query.page_size
    scope, reader = _scope(caller), context.store.reader
    total, found = blocklists.entries(reader, scope, name, first, query.page_size, query.query or "")
    if not total and not (query.query and blocklists.entries(reader, scope, name, 0, 0)[0]):
        raise _not_found()
    return BlocklistEntries(**paging.numbers(total, query), list_id=name, addresses=tuple(map(_shown, found)))


@operation(
    "POST",
    _PATH,
    access=Access.HANDLER,
    scope="api",
    group="blocklist",
    tags=_TAGS,
    change=Change("blocklist.add", lambda path, answer: path["listId"] if answer.added else None),
)
async def add(context: Context, list_id: ListId, body: BlocklistAdd, *, caller: Token | None = None) -> BlocklistAdded:
    """Add a recipient to a blocklist.

    Submissions with this `listId` skip the recipient. A recipient added with a token for one account is skipped only in
    that account's mail. No event is raised.
    """
    name = _name(list_id)
    if caller is not None and caller.account not in (None, body.account):
        raise Problem(403, "Unauthorized account")
    find_account(context, body.account)
    entry = Entry(
        list_id=name,
        scope=_scope(caller),
        recipient=body.recipient,
        account=body.account,
        source="api",
        reason=body.reason or "block",
        remote_address=known(Addresses(context.config.http.proxies).of(request)),
        user_agent=blocklists.short_agent(request.headers.get("User-Agent")),
        created=context.world.now(),
    )
    return BlocklistAdded(added=await carry_through(context.store.admit(lambda tx: blocklists.add(tx, entry))))


@operation(
    "DELETE",
    _PATH,
    access=Access.HANDLER,
    scope="api",
    group="blocklist",
    tags=_TAGS,
    change=Change("blocklist.remove", lambda path, answer: path["listId"] if answer.deleted else None),
)
async def remove(
    context: Context, list_id: ListId, query: BlocklistRemove, *, caller: Token | None = None
) -> BlocklistRemoved:
    """Remove a recipient from a blocklist.

    No event is raised.
    """
    name, scope = _name(list_id), _scope(caller)
    total, _ = blocklists.entries(context.store.reader, scope, name, 0, 0)
    if not total:
        raise _not_found()
    gone = context.store.commit(lambda tx: blocklists.remove(tx, scope, name, query.recipient))
    return BlocklistRemoved(deleted=await carry_through(gone))


def _scope(caller: Token | None) -> str:
    return FOR_ALL if caller is None or caller.account is None else caller.account


def _name(list_id: str) -> str:
    """The list's name. Raises `Problem` 400 if none can be called so."""
    return decode_query(BlocklistName, [("listId", list_id)]).list_id


def _not_found() -> Problem:
    return Problem(404, "Requested blocklist was not found")


def _shown(entry: Entry) -> BlockedRecipient:
    return BlockedRecipient(
        recipient=entry.recipient,
        account=entry.account,
        message_id=entry.message_id or UNSET,
        source=entry.source,
        reason=entry.reason,
        remote_address=entry.remote_address or UNSET,
        user_agent=entry.user_agent or UNSET,
        created=iso(entry.created),
    )
