"""Suppression lists: who gets no mail, adding and removing recipients.

A token for one account sees and changes only the list of that account.
"""

from __future__ import annotations

from msgspec import UNSET

from engine.api.context import Context, find_account
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.isotime import iso, iso_or_none
from engine.schema.suppression import (
    SuppressedAddress,
    SuppressionAdd,
    SuppressionAdded,
    SuppressionPage,
    SuppressionQuery,
    SuppressionRemove,
    SuppressionRemoved,
)
from engine.store import suppressions
from engine.store.suppressions import FOR_ALL, Suppression
from engine.store.tokens import Token

_TAGS = ("Blocklists",)
_PATH = "/v1/suppression"


@operation("GET", _PATH, access=Access.HANDLER, scope="api", group="blocklist", tags=_TAGS)
async def listing(context: Context, query: SuppressionQuery, *, caller: Token | None = None) -> SuppressionPage:
    """List suppressed recipients.

    They get no mail, whatever list it is of: from one account, or from any (`account` is `null`). Entries that have
    expired are not shown.
    """
    scope, first = _scope(context, query.account, caller), query.page * query.page_size
    now, part = context.world.now(), query.query or ""
    total, found = suppressions.entries(context.store.reader, scope, now, first, query.page_size, part)
    return SuppressionPage(**paging.numbers(total, query), suppressed=tuple(map(_shown, found)))


@operation(
    "POST",
    _PATH,
    access=Access.HANDLER,
    scope="api",
    group="blocklist",
    tags=_TAGS,
    change=Change("suppression.add", lambda path, answer: "added" if answer.added else "replaced"),
)
async def add(context: Context, body: SuppressionAdd, *, caller: Token | None = None) -> SuppressionAdded:
    """Suppress a recipient.

    A message that waits already goes to this recipient no more, unless its `ifSuppressed` is `send`. No event is raised
    for the entry.
    """
    scope = _scope(context, None if body.account is UNSET else body.account, caller)
    now = context.world.now()
    expires = body.expires.timestamp() if body.expires else None
    if expires is not None and expires <= now:
        raise invalid("expires", "must be in the future")
    entry = Suppression(
        scope=FOR_ALL if scope is None else scope,
        recipient=body.recipient,
        reason=body.reason,
        source="api",
        created=now,
        expires=expires,
    )
    return SuppressionAdded(added=await carry_through(context.store.admit(lambda tx: suppressions.put(tx, entry))))


@operation(
    "DELETE",
    _PATH,
    access=Access.HANDLER,
    scope="api",
    group="blocklist",
    tags=_TAGS,
    change=Change("suppression.remove", lambda path, answer: str(answer.deleted) if answer.deleted else None),
)
async def remove(context: Context, query: SuppressionRemove, *, caller: Token | None = None) -> SuppressionRemoved:
    """Remove suppressed recipients.

    One call removes a recipient from every list that the token may change, or with `all=true` everyone.
    """
    if (query.recipient is None) is not query.all:
        raise invalid("recipient", "is required unless all is true, and not allowed if it is")
    scope = _scope(context, query.account, caller)
    gone = context.store.commit(lambda tx: suppressions.remove(tx, scope, query.recipient))
    return SuppressionRemoved(deleted=await carry_through(gone))


def _scope(context: Context, account: str | None, caller: Token | None) -> str | None:
    """The list that is meant; None: all of them."""
    own = None if caller is None else caller.account
    if own is not None and account not in (None, own):
        raise Problem(403, "Unauthorized account")
    return own if account is None else find_account(context, account).id


def _shown(entry: Suppression) -> SuppressedAddress:
    return SuppressedAddress(
        recipient=entry.recipient,
        account=entry.scope or None,
        reason=entry.reason,
        source="event" if entry.source == "event" else "api",
        event=UNSET if entry.evidence is None else entry.evidence,
        created=iso(entry.created),
        expires=iso_or_none(entry.expires),
    )
