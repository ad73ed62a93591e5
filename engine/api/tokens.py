"""What tokens have changed."""

from __future__ import annotations

from typing import Any

from engine.api.audited import CHANGES
from engine.api.context import Context
from engine.errors import Problem
from engine.http import paging
from engine.isotime import iso
from engine.schema.tokens import TokenLogQuery
from engine.store import audit, tokens
from engine.store.tokens import ID_LENGTH

HASH_LENGTH = 64
_OPERATIONS = {change.operation: operation for operation, change in CHANGES.items()}


async def log(context: Context, token: str, query: TokenLogQuery) -> dict[str, Any]:
    """`GET /v1/tokens/{token}/log`: the audit record of one token, also of one that is revoked."""
    reader = context.services.store.reader
    name = token.lower()[:ID_LENGTH] if len(token) in (ID_LENGTH, HASH_LENGTH) else ""
    wanted = audit.Wanted(token=name)
    total = audit.count(reader, wanted)
    if not name or (total == 0 and not tokens.named(reader, name)):
        raise Problem(404, "There is no token with this id")
    entries = audit.entries(reader, wanted, query.page_size, query.page * query.page_size)
    return {"token": name, **paging.numbers(total, query), "entries": [_shown(each) for each in entries]}


def _shown(entry: audit.Entry) -> dict[str, Any]:
    method, path = _OPERATIONS.get(entry.operation, (None, None))
    group = entry.operation.partition(".")[0]
    return {
        "time": iso(entry.time),
        "ip": entry.address,
        "method": method,
        "path": path,
        "action": entry.operation,
        "group": group,
        "account": entry.object if group == "account" else None,
        "object": entry.object,
        "status": "allowed",
        "reason": None,
    }
