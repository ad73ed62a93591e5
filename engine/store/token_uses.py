"""When and from where tokens were used: the last use of each, and its latest requests.

Changes are in the audit record (`engine.store.audit`), so a request that made one has no row here; `log` reads both. A
token keeps at most `MOST` rows, each for at most `DAYS`; its changes stay in the audit record.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from engine.store.tokens import ID_LENGTH
from engine.store.writer import Tx

MOST = 200
"""The maximum requests kept of one token."""
DAYS = 7
_SECONDS = DAYS * 86_400.0


class Use(msgspec.Struct, frozen=True):
    """One use: when (seconds since 1970; None: never), and the client's address (None: unknown)."""

    time: float | None
    address: str | None


NEVER = Use(None, None)


class AskedWith(msgspec.Struct, frozen=True):
    """One request. `token` is the public id, `path` that of the operation; `group` is `admin` for one without a group.

    `refusal` says why it was refused, None if it was allowed.
    """

    token: str
    time: float
    address: str | None
    method: str
    path: str
    action: str
    group: str
    account: str | None
    refusal: str | None


class Logged(msgspec.Struct, frozen=True):
    """One line of a token's log: a request, or a change (`change`, a noun and a verb, and the `object` changed)."""

    time: float
    address: str | None
    method: str | None
    path: str | None
    action: str | None
    group: str | None
    account: str | None
    refusal: str | None
    change: str | None
    object: str | None


def last_uses(db: sqlite3.Connection) -> dict[str, Use]:
    """The last use of every token, by hash."""
    return {token: Use(time, address) for token, time, address in db.execute("SELECT * FROM token_use")}


def write(tx: Tx, uses: Mapping[str, Use], requests: Sequence[AskedWith], now: float) -> None:
    """Store last uses by hash, and requests, oldest first; remove those that are too old or too many."""
    tx.executemany(
        """INSERT INTO token_use (token, time, address) SELECT ?1, ?2, ?3 WHERE EXISTS (
            SELECT 1 FROM token WHERE hash = ?1
        ) ON CONFLICT (token) DO UPDATE SET time = excluded.time, address = excluded.address""",
        [(hash_, use.time, use.address) for hash_, use in uses.items()],
    )
    tx.executemany(
        "INSERT INTO token_request (token, time, address, method, path, action, affected, account, refusal) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [msgspec.structs.astuple(each) for each in requests],
    )
    tx.executemany(
        """DELETE FROM token_request WHERE token = ?1 AND id <= (
            SELECT id FROM token_request WHERE token = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2
        )""",
        [(token, MOST) for token in {each.token for each in requests}],
    )
    tx.execute("DELETE FROM token_request WHERE time < ?", (now - _SECONDS,))


def log(db: sqlite3.Connection, token: str, now: float, limit: int, offset: int) -> tuple[int, list[Logged]]:
    """How many requests and changes with a token are known, and `limit` of them from `offset`, newest first.

    `token` is its public id.
    """
    assert len(token) == ID_LENGTH
    since = now - _SECONDS
    (requests,) = db.execute(
        "SELECT count(*) FROM token_request WHERE token = ? AND time >= ?", (token, since)
    ).fetchone()
    (changes,) = db.execute("SELECT count(*) FROM audit WHERE token = ?", (token,)).fetchone()
    rows = db.execute(
        """SELECT time, address, method, path, action, affected, account, refusal, NULL, NULL, 0 AS kind, id
        FROM token_request WHERE token = ?1 AND time >= ?2
        UNION ALL
        SELECT * FROM (
            SELECT time, address, NULL, NULL, NULL, NULL, NULL, NULL, operation, object, 1, id
            FROM audit WHERE token = ?1 ORDER BY id DESC LIMIT ?3 + ?4
        )
        ORDER BY time DESC, kind DESC, id DESC LIMIT ?3 OFFSET ?4""",
        (token, since, limit, offset),
    )
    return requests + changes, [Logged(*row[:10]) for row in rows]
