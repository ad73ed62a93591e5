"""Blocklists: the recipients who no longer get the mail of a list.

A list is a name whose case does not matter; it exists while it has entries. An entry applies to every account that
sends to the list (`scope` ""), or to one account only: that of the token that requested it, or with which the mail was
submitted. So no tenant blocks the mail of another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from engine.store.writer import Tx

Db = sqlite3.Connection | Tx
FOR_ALL = ""
LONGEST_AGENT = 1024
"""Maximum characters of a user agent that are kept."""
_COLUMNS = (
    "list, scope, recipient, account, message_id, source, reason, remote_address, user_agent, created"  # of `Entry`
)
_VISIBLE = "(?1 = '' OR scope = ?1)"
_MOST_VARIABLES = 500


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `created` is in seconds since 1970."""

    list_id: str
    scope: str
    recipient: str
    account: str
    message_id: str | None = None
    source: str
    reason: str
    remote_address: str | None = None
    user_agent: str | None = None
    created: float


def short_agent(agent: str | None) -> str | None:
    """The stored form of a user agent; None if there is none."""
    return (agent or "")[:LONGEST_AGENT] or None


def key_of(address: str) -> str:
    """The form in which addresses are compared."""
    return address.strip().lower()


def add(tx: Tx, entry: Entry) -> bool:
    """Add an entry; False, with nothing changed, if the recipient is on the list already."""
    values = msgspec.structs.astuple(entry)
    made = tx.execute(
        f"INSERT INTO blocked ({_COLUMNS}, address) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*values, key_of(entry.recipient)),
    )
    return bool(made.rowcount)


def remove(tx: Tx, scope: str, list_id: str, recipient: str) -> bool:
    """Remove the entry for a recipient (`FOR_ALL`: all of them); False if there is none."""
    gone = tx.execute(
        f"DELETE FROM blocked WHERE {_VISIBLE} AND list = ?2 AND address = ?3", (scope, list_id, key_of(recipient))
    )
    return bool(gone.rowcount)


def take_back(tx: Tx, scopes: Sequence[str], list_id: str, recipient: str) -> bool:
    """Remove the entries for a recipient in any of `scopes`; False if there are none."""
    gone = tx.executemany(
        "DELETE FROM blocked WHERE list = ? AND address = ? AND scope = ?",
        [(list_id, key_of(recipient), scope) for scope in scopes],
    )
    return gone.rowcount > 0


def reasons(db: Db, account: str, list_id: str, addresses: Sequence[str]) -> dict[str, str]:
    """Why an account sends no mail of a list to those of `addresses` that are on it."""
    by_key = {key_of(each): each for each in addresses}
    keys, found = list(by_key), {}
    for start in range(0, len(keys), _MOST_VARIABLES):
        part = keys[start : start + _MOST_VARIABLES]
        rows = db.execute(
            "SELECT address, reason FROM blocked WHERE list = ? AND scope IN ('', ?) "
            f"AND address IN ({', '.join('?' * len(part))})",
            (list_id, account, *part),
        )
        found.update({address: str(reason) for address, reason in rows})
    return {each: found[key_of(each)] for each in addresses if key_of(each) in found}


def lists(db: Db, scope: str, first: int, most: int) -> tuple[int, list[tuple[str, int]]]:
    """How many lists there are, and a page of them by name: each with its number of entries."""
    (total,) = db.execute(f"SELECT count(DISTINCT list) FROM blocked WHERE {_VISIBLE}", (scope,)).fetchone()
    rows = db.execute(
        f"SELECT min(list), count(*) FROM blocked WHERE {_VISIBLE} GROUP BY list ORDER BY list LIMIT ?2 OFFSET ?3",
        (scope, most, first),
    )
    return int(total), [(str(name), int(count)) for name, count in rows]


def entries(db: Db, scope: str, list_id: str, first: int, most: int, part: str = "") -> tuple[int, list[Entry]]:
    """How many entries of a list have `part` in their address, and a page of them by address."""
    where = f"WHERE {_VISIBLE} AND list = ?2 AND instr(address, ?3)"
    values = (scope, list_id, key_of(part))
    (total,) = db.execute(f"SELECT count(*) FROM blocked {where}", values).fetchone()
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM blocked {where} ORDER BY address, scope LIMIT ?4 OFFSET ?5", (*values, most, first)
    )
    return int(total), [Entry(**dict(zip(Entry.__struct_fields__, row, strict=True))) for row in rows]
