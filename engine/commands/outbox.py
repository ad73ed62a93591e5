"""`engine outbox`: what is not sent yet, and releasing what is held after a restore.

Both work on the data folder with or without a running engine, which notices a release within about a second. Events are
never written here: their numbers belong to the engine.
"""

from __future__ import annotations

import argparse
import sqlite3

from engine.commands.common import (
    PROGRAM,
    Add,
    data_folder,
    has_journal,
    load_config,
    printable,
    reading,
    say,
    with_journal,
)

EXAMPLES = """\
examples:
  engine outbox list                             everything that has not ended
  engine outbox list --state held --account jane
  engine outbox release                          send everything that is held
  engine outbox release --account jane
  engine outbox release 018f2c5a7b3d4e6f901
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    outbox = commands.add_parser("outbox", help="list the queue, release what is held").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    listing = add(outbox, "list", "show the messages that have not ended, oldest first", _list, EXAMPLES)
    listing.add_argument("--state", metavar="S", help="only these: queued, deferred, in_doubt, held, also sent ...")
    listing.add_argument("--account", metavar="A", help="only those of this account")
    release = add(outbox, "release", "send what is held since a backup was restored", _release, EXAMPLES)
    release.add_argument("--account", metavar="A", help="only what is held of this account")
    release.add_argument("queue_ids", metavar="QUEUE_ID", nargs="*", help="only these messages")


def _list(options: argparse.Namespace) -> int:
    from engine.queue.lifecycle import State

    if options.state is not None and options.state not in set(State):
        say(f"{PROGRAM}: there is no state {options.state!r}; there are: {', '.join(State)}")
        return 2
    folder = data_folder(load_config(options))
    _print("QUEUE ID", "STATE", "DUE", "ACCOUNT", "SUBJECT")
    if not has_journal(folder):
        return 0
    reading(folder, lambda db: _print_messages(db, options.state, options.account))
    return 0


def _print_messages(db: sqlite3.Connection, state: str | None, account: str | None) -> None:
    from engine.isotime import iso

    where = "ended IS NULL" if state is None else "state = ?"
    arguments = [] if state is None else [state]
    if account is not None:
        where += " AND account = ?"
        arguments.append(account)
    rows = db.execute(
        f"SELECT queue_id, state, next_at, account, subject FROM message WHERE {where} ORDER BY id", arguments
    )
    for queue_id, found, due, owner, subject in rows:
        _print(queue_id, found, "-" if due is None else iso(due), owner, subject or "")


def _print(queue_id: str, state: str, due: str, account: str, subject: str) -> None:
    print(printable(f"{queue_id:19}  {state:9}  {due:24}  {account:16}  {subject}"))


def _release(options: argparse.Namespace) -> int:
    from engine.store import database, held
    from engine.world import World

    folder = data_folder(load_config(options))
    named = list(dict.fromkeys(options.queue_ids))
    if not has_journal(folder):
        say(f"{PROGRAM}: {folder / database.FILE}: there is no journal yet; check store.path")
        return 1
    released = with_journal(folder, lambda db: held.release(db, World().now(), options.account, set(named) or None))
    print(f"{released} {'message' if released == 1 else 'messages'} released")
    if released < len(named):
        say(f"{PROGRAM}: {len(named) - released} of those named are not held; see: engine outbox list --state held")
        return 1
    return 0
