"""Passkeys of the people who sign in to the pages: their public keys, and where each was made."""

from __future__ import annotations

import msgspec

from engine.store.people import Db

_COLUMNS = "id, person, origin, public_key, sign_count, name, created, used"


class PasskeyRow(msgspec.Struct, frozen=True):
    """One passkey. `id` is the credential's, in base64url; `origin` is of the pages at which it was made.

    `sign_count` is the authenticator's at the last use, 0 if it keeps none; `used` is None before the first.
    """

    id: str
    person: int
    origin: str
    public_key: bytes
    sign_count: int
    name: str
    created: float
    used: float | None = None


def add(db: Db, row: PasskeyRow) -> None:
    """Add a passkey. Raises sqlite3.IntegrityError if its id is taken."""
    db.execute(f"INSERT INTO passkey ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(row))


def find(db: Db, id_: str) -> PasskeyRow | None:
    """The passkey with this id."""
    row = db.execute(f"SELECT {_COLUMNS} FROM passkey WHERE id = ?", (id_,)).fetchone()
    return None if row is None else PasskeyRow(*row)


def of_person(db: Db, person: int) -> list[PasskeyRow]:
    """A person's passkeys, oldest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM passkey WHERE person = ? ORDER BY created, id", (person,))
    return [PasskeyRow(*row) for row in rows]


def note_use(db: Db, row: PasskeyRow, sign_count: int, now: float) -> bool:
    """Note that it was used; False if it is gone, or was used since `row` was read."""
    done = db.execute(
        "UPDATE passkey SET sign_count = ?, used = ? WHERE id = ? AND sign_count = ?",
        (sign_count, now, row.id, row.sign_count),
    )
    return done.rowcount > 0


def remove(db: Db, person: int, id_: str) -> bool:
    """Remove a passkey; False if the person has none with this id."""
    return db.execute("DELETE FROM passkey WHERE person = ? AND id = ?", (person, id_)).rowcount > 0


def remove_all(db: Db, person: int) -> None:
    """Remove all of a person's passkeys."""
    db.execute("DELETE FROM passkey WHERE person = ?", (person,))
