"""Who may sign in to the pages: names, roles, passwords as scrypt hashes, sealed keys of one-time codes.

The functions take a bare connection as well as a `Tx`, because `engine people` works on the folder with or without a
running engine.
"""

from __future__ import annotations

import sqlite3

import msgspec

from engine.store.writer import Tx

LONGEST_NAME = 100
_COLUMNS = "id, name, role, password, totp, totp_step, created, subject"

Db = sqlite3.Connection | Tx


class PersonRow(msgspec.Struct, frozen=True):
    """One person. `password` and `totp` are None if there is none; `totp_step` is the step of the last code used.

    `subject` is the issuer and the subject of a person who signs in at a provider.
    """

    id: int
    name: str
    role: str
    password: str | None
    totp: str | None
    totp_step: int
    created: float
    subject: str | None = None


def add(db: Db, name: str, role: str, password: str | None, now: float, subject: str | None = None) -> int:
    """Add a person; return the new id. Raises sqlite3.IntegrityError if the name or the subject is taken."""
    row = db.execute(
        "INSERT INTO person (name, role, password, created, subject) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (name, role, password, now, subject),
    ).fetchone()
    return int(row[0])


def every(db: Db) -> list[PersonRow]:
    """All people, by name."""
    return [PersonRow(*row) for row in db.execute(f"SELECT {_COLUMNS} FROM person ORDER BY name")]


def count(db: Db) -> int:
    """How many people there are."""
    (number,) = db.execute("SELECT count(*) FROM person").fetchone()
    return int(number)


def named(db: Db, name: str) -> PersonRow | None:
    """The person with this name, whose case does not matter."""
    return _one(db, "name = ?", name)


def of_subject(db: Db, subject: str) -> PersonRow | None:
    """The person who signs in as this subject of a provider."""
    return _one(db, "subject = ?", subject)


def get(db: Db, person: int) -> PersonRow | None:
    """The person with this id."""
    return _one(db, "id = ?", person)


def owners(db: Db) -> int:
    """How many owners there are."""
    (number,) = db.execute("SELECT count(*) FROM person WHERE role = 'owner'").fetchone()
    return int(number)


def set_password(db: Db, person: int, password: str) -> None:
    """Replace the password, as its hash."""
    db.execute("UPDATE person SET password = ? WHERE id = ?", (password, person))


def set_role(db: Db, person: int, role: str) -> None:
    """Replace the role."""
    db.execute("UPDATE person SET role = ? WHERE id = ?", (role, person))


def set_totp(db: Db, person: int, totp: str | None, step: int = 0) -> None:
    """Replace the sealed key of one-time codes; `step` is that of the code that proved it."""
    db.execute("UPDATE person SET totp = ?, totp_step = ? WHERE id = ?", (totp, step, person))


def take_code(db: Db, person: int, step: int) -> bool:
    """Note that the code of this step was used; False if that one or a later one was used before."""
    return (
        db.execute("UPDATE person SET totp_step = ? WHERE id = ? AND totp_step < ?", (step, person, step)).rowcount > 0
    )


def remove(db: Db, person: int) -> None:
    """Remove a person, and with them their sessions."""
    db.execute("DELETE FROM person WHERE id = ?", (person,))


def _one(db: Db, where: str, value: object) -> PersonRow | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM person WHERE {where}", (value,)).fetchone()
    return None if row is None else PersonRow(*row)
