"""`engine suppression`: who gets no mail at all; adding and removing addresses, also those in a file.

All work on the data folder with or without a running engine, as `engine tokens` does. Each command leaves an entry in
the audit record. Addresses are written in batches, so that a long file does not keep a running engine waiting.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.common import Add, group, lifetime
from engine.commands.target import chosen
from engine.commands.terminal import complain, put_json, table
from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.commands.address_files import Line
    from engine.store.suppressions import Suppression

BATCH = 200
"""Addresses in one transaction."""
NAMED = 20
"""The most wrong lines that are shown."""
PAGE = 1000

ADD_EXAMPLES = """\
examples:
  engine suppression add ann@example.com --reason "asked by telephone"
  engine suppression add --file exported.csv --account example --expires 365d
  grep -v corp.example addresses.txt | engine suppression add --file -

The file has one address a line, or is CSV with a column "email", "recipient" or "address", and perhaps "reason".
Empty lines and those that begin with # do not count. If a line is wrong, nothing is added, unless --skip-wrong is
given. An address that is on the list already gets the new reason and expiry.
"""
REMOVE_EXAMPLES = """\
examples:
  engine suppression remove ann@example.com                    from every list
  engine suppression remove ann@example.com --account example  only from the list of this account
  engine suppression remove --all --account example
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    suppression = group(commands, "suppression", "who gets no mail at all")
    listing = add(suppression, "list", "show who gets no mail, by address", _list)
    listing.add_argument("--account", metavar="A", help="only the list of this account (default: all lists)")
    listing.add_argument("--query", metavar="TEXT", default="", help="only addresses that contain this")
    adding = add(suppression, "add", "suppress recipients", _add, ADD_EXAMPLES)
    adding.add_argument("--account", metavar="A", help="whose mail they do not get (default: that of all accounts)")
    adding.add_argument("--reason", metavar="TEXT", help="why; for addresses for which the file has no reason")
    adding.add_argument(
        "--expires", metavar="TIME", type=lifetime, help="for how long, such as 90d (default: until removed)"
    )
    removing = add(suppression, "remove", "let recipients have mail again", _remove, REMOVE_EXAMPLES)
    removing.add_argument(
        "--account", metavar="A", help="only from the list of this account (default: from every list)"
    )
    removing.add_argument("--all", action="store_true", help="everyone")
    for command in (adding, removing):
        command.add_argument("--file", metavar="FILE", help="a file of addresses; - is standard input")
        command.add_argument("--skip-wrong", action="store_true", help="take the other lines if some are wrong")
        command.add_argument("addresses", metavar="ADDRESS", nargs="*", help="a recipient's address")


def _list(options: argparse.Namespace) -> int:
    from engine.store import suppressions
    from engine.world import World

    target, now = chosen(options), World().now()

    def every(db: sqlite3.Connection) -> Iterator[Suppression]:
        _must_be_known(db, options.account)
        at, found = 0, True
        while found:
            _, page = suppressions.entries(db, options.account, now, at, PAGE, options.query)
            yield from page
            at, found = at + PAGE, bool(page)

    entries = target.writing(lambda db: list(every(db)))
    if options.json:
        for each in entries:
            put_json(_shown(each))
        return 0
    rows = [("ADDRESS", "ACCOUNT", "SINCE", "UNTIL", "EVENT", "REASON")]
    for each in entries:
        shown = _shown(each)
        event = "-" if each.evidence is None else str(each.evidence)
        until = str(shown["expires"] or "-")
        rows.append((each.recipient, each.scope or "*", str(shown["created"]), until, event, each.reason))
    table(rows)
    return 0


def _shown(entry: Suppression) -> dict[str, object]:
    from engine.isotime import iso, iso_or_none

    return {
        "recipient": entry.recipient,
        "account": entry.scope or None,
        "reason": entry.reason,
        "source": entry.source,
        **({} if entry.evidence is None else {"event": entry.evidence}),
        "created": iso(entry.created),
        "expires": iso_or_none(entry.expires),
    }


def _add(options: argparse.Namespace) -> int:
    from engine.store import audit, database, suppressions
    from engine.world import World

    given, skipped = _addresses(options, "add")
    target, now = chosen(options), World().now()
    expires = None if options.expires is None else now + options.expires
    scope = suppressions.FOR_ALL if options.account is None else options.account

    def put(db: sqlite3.Connection) -> int:
        _must_be_known(db, options.account)
        new = 0
        for at in range(0, len(given), BATCH):
            part = given[at : at + BATCH]
            with database.transaction(db):
                for each in part:
                    entry = suppressions.Suppression(
                        scope=scope,
                        recipient=each.address,
                        reason=each.reason or options.reason or "request",
                        source="api",
                        created=now,
                        expires=expires,
                    )
                    new += suppressions.put(db, entry)
                audit.add(db, audit.Entry(now, audit.CLI, None, "suppression.add", str(len(part))))
        return new

    new = target.writing(put)
    if options.json:
        put_json({"added": new, "replaced": len(given) - new, "skipped": skipped})
    else:
        from engine.repeated_errors import counted

        print(
            f"{new} added, {len(given) - new} replaced"
            + (f", {counted(skipped, 'wrong line')} skipped" if skipped else "")
        )
    return 0


def _remove(options: argparse.Namespace) -> int:
    from engine.store import audit, database, suppressions
    from engine.world import World

    if options.all and (options.addresses or options.file):
        raise ConfigError("--all goes without addresses")
    given, skipped = ([], 0) if options.all else _addresses(options, "remove")
    target, now = chosen(options), World().now()
    wanted: list[str | None] = [None] if options.all else [each.address for each in given]
    missing: list[str] = []

    def remove(db: sqlite3.Connection) -> int:
        _must_be_known(db, options.account)
        gone = 0
        for at in range(0, len(wanted), BATCH):
            part = wanted[at : at + BATCH]
            with database.transaction(db):
                before = gone
                for address in part:
                    found = suppressions.remove(db, options.account, address)
                    gone += found
                    missing.extend([address] if address is not None and not found else [])
                if gone > before:
                    audit.add(db, audit.Entry(now, audit.CLI, None, "suppression.remove", str(gone - before)))
        return gone

    removed = target.writing(remove)
    if options.json:
        put_json({"removed": removed, "skipped": skipped})
    else:
        print(f"{removed} {'entry' if removed == 1 else 'entries'} removed")
    for address in missing[:NAMED]:
        complain(f"{address} is on no list{'' if options.account is None else f' of {options.account}'}")
    if len(missing) > NAMED:
        complain(f"nor are {len(missing) - NAMED} more")
    return 1 if missing else 0


def _addresses(options: argparse.Namespace, what: str) -> tuple[Sequence[Line], int]:
    """The addresses that are given, and how many lines of the file are wrong and skipped. Raises `ConfigError`."""
    from engine.commands import address_files

    if not options.addresses and options.file is None:
        raise ConfigError(f"nothing to {what}: give addresses or --file")
    named = []
    for each in options.addresses:
        found, wrong = address_files.read(each)
        if what == "add" and (wrong or len(found) != 1):
            raise ConfigError(f"{each!r} is not an address")
        # An address that a bounce told may be an odd one; it can be removed as it is listed.
        named.append(found[0] if what == "add" else address_files.Line(0, each, None))
    if options.file is None:
        return named, 0
    found, wrong = address_files.read(_text(options.file))
    for number, text in wrong[:NAMED]:
        complain(f"{options.file}, line {number}: {text}")
    if len(wrong) > NAMED:
        complain(f"{options.file}: {len(wrong) - NAMED} more lines are wrong")
    if wrong and not options.skip_wrong:
        lines = "1 line is wrong" if len(wrong) == 1 else f"{len(wrong)} lines are wrong"
        raise ConfigError(f"{options.file}: {lines}; nothing was done. Correct it, or give --skip-wrong")
    return [*named, *found], len(wrong)


def _text(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"--file {file} cannot be read: {error.strerror}") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return data.decode(encoding, "replace")


def _must_be_known(db: sqlite3.Connection, account: str | None) -> None:
    from engine.store import accounts

    if account is not None and account not in accounts.ids(db):
        raise ConfigError(f"there is no account {account!r}; see: engine account list")
