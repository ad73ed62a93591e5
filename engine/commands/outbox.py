"""`engine outbox`: the unsent messages, and releasing those that are held after a restore.

`list` and `release` work on the data folder with or without a running engine, which notices a release within about a
second. Events are never written here: their numbers belong to the engine. `show` asks the engine.
"""

from __future__ import annotations

import argparse
import sqlite3
from itertools import count
from typing import Any
from urllib.parse import quote

from engine.commands.client import Client, add_options
from engine.commands.common import Add, group
from engine.commands.send import show
from engine.commands.target import chosen
from engine.commands.terminal import complain, printable, put_json, table
from engine.errors import ConfigError

SHOWN = 5
"""The most recipients of an entry that its line names."""
ON_A_PAGE = 100
EXAMPLES = """\
examples:
  engine outbox list                             all messages that have not ended
  engine outbox list --state held --account jane
  engine outbox show 018f2c5a7b3d4e6f901         its recipients, what it waits for, all that happened
  engine outbox release                          send all held messages
  engine outbox release --account jane
  engine outbox release 018f2c5a7b3d4e6f901
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    outbox = group(commands, "outbox", "list the queue, show a message, release held messages")
    listing = add(outbox, "list", "show the messages that have not ended, oldest first", _list, EXAMPLES)
    listing.add_argument("--state", metavar="S", help="only this state: queued, deferred, in_doubt, held, sent ...")
    listing.add_argument("--account", metavar="A", help="only messages of this account")
    shown = add(outbox, "show", "show one message: its recipients, what it waits for, all that happened to it", _show)
    shown.add_argument("queue_id", metavar="QUEUE_ID", help="as shown by: engine outbox list")
    add_options(shown)
    release = add(outbox, "release", "send messages that are held since a backup was restored", _release, EXAMPLES)
    release.add_argument("--account", metavar="A", help="only held messages of this account")
    release.add_argument("queue_ids", metavar="QUEUE_ID", nargs="*", help="only these messages")


def _list(options: argparse.Namespace) -> int:
    from engine.model.message_states import State

    if options.state is not None and options.state not in set(State):
        raise ConfigError(f"there is no state {options.state!r}; the states are: {', '.join(State)}")
    target = chosen(options)
    rows = [("QUEUE ID", "STATE", "DUE", "ACCOUNT", "SUBJECT")]
    found = target.reading(lambda db: _messages(db, options.state, options.account))
    if options.json:
        for queue_id, state, due, account, subject in found:
            put_json({"queueId": queue_id, "state": state, "due": due, "account": account, "subject": subject})
        return 0
    table([*rows, *((name, state, due or "-", account, text or "") for name, state, due, account, text in found)])
    return 0


def _messages(
    db: sqlite3.Connection, state: str | None, account: str | None
) -> list[tuple[str, str, str | None, str, str | None]]:
    from engine.isotime import iso_or_none

    where = "ended IS NULL" if state is None else "state = ?"
    arguments = [] if state is None else [state]
    if account is not None:
        where += " AND account = ?"
        arguments.append(account)
    rows = db.execute(
        f"SELECT queue_id, state, next_at, account, subject FROM message WHERE {where} ORDER BY id", arguments
    )
    return [(queue_id, found, iso_or_none(due), owner, subject) for queue_id, found, due, owner, subject in rows]


def _show(options: argparse.Namespace) -> int:
    client = Client(options)
    queue_id = quote(options.queue_id, safe="")
    entry = client.ask("GET", f"/v1/outbox/{queue_id}")
    happened = _timeline(client, queue_id)
    if options.json:
        put_json({**entry, "timeline": happened})
        return 0
    show(entry)
    print()
    for each in happened:
        print(printable(_line(each)))
        for line in each.get("attempt", {}).get("transcript", ()):
            print(f"  {printable(line)}")
    return 0


def _timeline(client: Client, queue_id: str) -> list[dict[str, Any]]:
    """All entries of a message's timeline."""
    found: list[dict[str, Any]] = []
    for page in count():
        answer = client.ask("GET", f"/v1/outbox/{queue_id}/timeline?page={page}&pageSize={ON_A_PAGE}")
        found += answer["entries"]
        if page + 1 >= answer["pages"]:
            break
    return found


def _line(entry: dict[str, Any]) -> str:
    """One entry of a timeline as a line: when, what, whom it concerns, and the words that go with it."""
    attempt = entry.get("attempt")
    said = entry.get("response") or entry.get("url") or entry.get("path") or entry.get("sendAt") or ""
    if "from" in entry:
        said = f"from {entry['from']['address']}"
    if attempt is not None:
        said = attempt.get("outcome", "under way")
    parts = [
        entry["at"],
        entry["type"] if attempt is None else f"attempt {attempt['number']}",
        f"#{entry['seq']}" if "seq" in entry else "",
        ", ".join(entry.get("recipients", ())[:SHOWN]),
        f"and {more} more" if (more := _others(entry)) > 0 else "",
        said,
        "(the event was removed)" if entry.get("eventRemoved") else "",
    ]
    return "  ".join(filter(None, parts))


def _others(entry: dict[str, Any]) -> int:
    return len(entry.get("recipients", ())[SHOWN:]) + int(entry.get("moreRecipients", 0))


def _release(options: argparse.Namespace) -> int:
    from engine.store import held_messages
    from engine.world import World

    target = chosen(options)
    named = list(dict.fromkeys(options.queue_ids))
    released = target.writing(lambda db: held_messages.release(db, World().now(), options.account, set(named) or None))
    if options.json:
        put_json({"released": released})
    else:
        print(f"{released} {'message' if released == 1 else 'messages'} released")
    if released < len(named):
        complain(f"{len(named) - released} of the named messages are not held; see: engine outbox list --state held")
        return 1
    return 0
