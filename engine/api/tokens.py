"""The changes made with tokens."""

from __future__ import annotations

from engine.api import operations
from engine.api.context import Context
from engine.errors import Problem
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.operation import Operation, operation
from engine.isotime import iso
from engine.schema.tokens import TokenId, TokenLog, TokenLogEntry, TokenLogQuery
from engine.store import audit, tokens
from engine.store.tokens import ID_LENGTH

HASH_LENGTH = 64


@operation("GET", "/v1/tokens/{token}/log", access=Access.ALL_ACCOUNTS, scope="api", tags=("Token",))
async def log(context: Context, token: TokenId, query: TokenLogQuery) -> TokenLog:
    """Read the changes made with a token.

    They come newest first; a revoked token has them, too. Only changes are recorded, never reads or refused requests.
    """
    reader = context.store.reader
    name = token.lower()[:ID_LENGTH] if len(token) in (ID_LENGTH, HASH_LENGTH) else ""
    wanted = audit.AuditFilter(token=name)
    total = audit.count(reader, wanted)
    if not name or (total == 0 and not tokens.named(reader, name)):
        raise Problem(404, "There is no token with this id")
    entries = audit.entries(reader, wanted, query.page_size, query.page * query.page_size)
    changing = {each.change.operation: each for each in operations() if each.change is not None}
    shown = tuple(_shown(each, changing.get(each.operation)) for each in entries)
    return TokenLog(**paging.numbers(total, query), token=name, entries=shown)


def _shown(entry: audit.Entry, operation: Operation | None) -> TokenLogEntry:
    group = entry.operation.partition(".")[0]
    return TokenLogEntry(
        time=iso(entry.time),
        ip=entry.address,
        method=operation.method if operation is not None else None,
        path=operation.path if operation is not None else None,
        action=entry.operation,
        group=group,
        account=entry.object if group == "account" else None,
        object=entry.object,
        status="allowed",
        reason=None,
    )
