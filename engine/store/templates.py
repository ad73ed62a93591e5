"""Stored templates, each of one account or of all."""

from __future__ import annotations

import sqlite3

import msgspec

from engine.store.writer import Tx

_SUMMARY = "id, account, name, description, format, created, updated"


class Content(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """The texts of a template; None: it has none."""

    subject: str | None = None
    text: str | None = None
    html: str | None = None
    preview_text: str | None = None


class Summary(msgspec.Struct, frozen=True):
    """A template without its texts. Times in seconds since 1970; `updated` None: never."""

    id: str
    account: str | None
    name: str
    description: str | None
    format: str
    created: float
    updated: float | None


class Stored(msgspec.Struct, frozen=True):
    """A template."""

    summary: Summary
    content: Content


def get(db: sqlite3.Connection | Tx, template: str) -> Stored | None:
    """The template with this id."""
    row = db.execute(f"SELECT {_SUMMARY}, content FROM template WHERE id = ?", (template,)).fetchone()
    return None if row is None else Stored(Summary(*row[:-1]), msgspec.json.decode(row[-1], type=Content))


def count(db: sqlite3.Connection | Tx, account: str | None) -> int:
    """How many templates an account has; None: how many belong to all accounts."""
    (found,) = db.execute("SELECT count(*) FROM template WHERE account IS ?", (account,)).fetchone()
    return int(found)


def page(db: sqlite3.Connection, account: str | None, first: int, most: int) -> list[Summary]:
    """Some of an account's templates, or of those of all accounts, newest first."""
    rows = db.execute(
        f"SELECT {_SUMMARY} FROM template WHERE account IS ? ORDER BY created DESC, id DESC LIMIT ? OFFSET ?",
        (account, most, first),
    )
    return [Summary(*row) for row in rows]


def put(tx: Tx, template: Stored) -> None:
    """Add a template, or replace the one with its id."""
    values = msgspec.structs.astuple(template.summary)
    tx.execute(
        f"INSERT OR REPLACE INTO template ({_SUMMARY}, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, msgspec.json.encode(template.content).decode()),
    )


def remove(tx: Tx, template: str) -> bool:
    """Remove a template; False if there is none."""
    return tx.execute("DELETE FROM template WHERE id = ?", (template,)).rowcount > 0


def remove_all(tx: Tx, account: str) -> int:
    """Remove all templates of an account; return how many."""
    return tx.execute("DELETE FROM template WHERE account = ?", (account,)).rowcount
