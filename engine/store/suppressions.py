"""Who gets no mail at all: one list for the engine (`scope` is ''), and one for each account, as rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.mail.addresses import parse_address
from engine.store.writer import Tx

FOR_ALL = ""
"""The scope of the engine's list."""
_MOST_VARIABLES = 500
_COLUMNS = "scope, recipient, reason, source, evidence, created, expires"

Db = sqlite3.Connection | Tx


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. Times in seconds since 1970; `expires` None: never. `evidence`: the number of the event that told it.

    `source`: `event`, or `api` for a request.
    """

    scope: str
    recipient: str
    reason: str
    source: str
    evidence: int | None = None
    created: float
    expires: float | None = None


def key_of(address: str) -> str:
    """By what addresses are compared: as they are sent to, if they can be, in lower case."""
    address = address.strip()
    try:
        return parse_address(address).lower()
    except ValueError:
        return address.lower()


def put(tx: Db, entry: Suppression) -> bool:
    """Add an entry, or replace the one for the same recipient; whether it is new."""
    key = key_of(entry.recipient)
    (before,) = tx.execute(
        "SELECT count(*) FROM suppressed WHERE scope = ? AND address = ? AND coalesce(expires > ?, 1)",
        (entry.scope, key, entry.created),
    ).fetchone()
    tx.execute(
        f"INSERT OR REPLACE INTO suppressed ({_COLUMNS}, address) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*msgspec.structs.astuple(entry), key),
    )
    return not before


def requested(tx: Tx, scope: str, recipient: str, now: float) -> bool:
    """Whether a request has put this recipient on the list, and it is still there."""
    found = tx.execute(
        "SELECT 1 FROM suppressed WHERE scope = ? AND address = ? AND source = 'api' AND coalesce(expires > ?, 1)",
        (scope, key_of(recipient), now),
    ).fetchone()
    return found is not None


def remove(tx: Db, scope: str | None, recipient: str | None) -> int:
    """Remove a recipient from one list, or from all (`scope` None); with `recipient` None all of them. How many."""
    where, values = _where(scope, recipient)
    return int(tx.execute(f"DELETE FROM suppressed WHERE {where}", values).rowcount)


def of_recipients(db: Db, account: str, addresses: Sequence[str], now: float) -> dict[str, Suppression]:
    """Those of `addresses` to which an account sends nothing, by address; the engine's list before the account's."""
    keys, found = {each: key_of(each) for each in addresses}, dict[str, Suppression]()
    wanted = list(dict.fromkeys(keys.values()))
    for start in range(0, len(wanted), _MOST_VARIABLES):
        part = wanted[start : start + _MOST_VARIABLES]
        rows = db.execute(
            f"SELECT address, {_COLUMNS} FROM suppressed WHERE scope IN ('', ?) "
            f"AND address IN ({', '.join('?' * len(part))}) AND coalesce(expires > ?, 1) ORDER BY scope DESC",
            (account, *part, now),
        )
        found.update({address: _entry(row) for address, *row in rows})
    return {each: found[key] for each, key in keys.items() if key in found}


def entries(
    db: Db, scope: str | None, now: float, first: int, most: int, part: str = ""
) -> tuple[int, list[Suppression]]:
    """How many entries have `part` in their address, of one list or of all (`scope` None), and a page of them."""
    where, values = _where(scope, None)
    where += " AND coalesce(expires > ?, 1) AND instr(address, ?)"
    values += (now, part.strip().lower())
    (total,) = db.execute(f"SELECT count(*) FROM suppressed WHERE {where}", values).fetchone()
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM suppressed WHERE {where} ORDER BY address, scope LIMIT ? OFFSET ?",
        (*values, most, first),
    )
    return int(total), [_entry(row) for row in rows]


def _where(scope: str | None, recipient: str | None) -> tuple[str, tuple[Any, ...]]:
    where, values = "1", tuple[Any, ...]()
    if scope is not None:
        where, values = where + " AND scope = ?", (*values, scope)
    if recipient is not None:
        where, values = where + " AND address = ?", (*values, key_of(recipient))
    return where, values


def _entry(row: Sequence[Any]) -> Suppression:
    return Suppression(**dict(zip(Suppression.__struct_fields__, row, strict=True)))
