"""`engine tokens`: issue, list and revoke API tokens.

All three work on the data folder with or without a running engine: SQLite's own lock is enough, so the folder's is not
taken. What is changed stands in the audit record, in the same transaction.
"""

from __future__ import annotations

import argparse
import sqlite3

from engine.commands.common import PROGRAM, Add, data_folder, has_journal, load_config, say, table, with_journal

REVOKE_AT_LEAST = 8  # characters; fewer could name tokens nobody meant

ISSUE_EXAMPLES = """\
examples:
  engine tokens issue -d "my app" -s "*"
  engine tokens issue -d "one customer, for a while" -s api --account example --expires 90d
  TOKEN=$(engine tokens issue -d "dashboard" -s api -s metrics)

The token is shown this once; the engine keeps only its hash.
"""
REVOKE_EXAMPLES = """\
examples:
  engine tokens revoke 3f9a12bc44de              as shown by: engine tokens list
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    tokens = commands.add_parser("tokens", help="issue, list and revoke API tokens").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    issue = add(tokens, "issue", "make an API token and print it", _issue, ISSUE_EXAMPLES)
    issue.add_argument("-d", "--description", metavar="TEXT", required=True, help="what it is for")
    issue.add_argument(
        "-s", "--scope", metavar="SCOPE", action="append", required=True, help='what it may do, "*": all; repeatable'
    )
    issue.add_argument("-a", "--account", metavar="A", help="the one account it may see and use (default: all)")
    issue.add_argument(
        "--expires", metavar="TIME", type=_lifetime, help="for how long it holds, as in 90d or 12h (default: for ever)"
    )
    add(tokens, "list", "show all tokens, oldest first", _list)
    revoke = add(tokens, "revoke", "make a token useless from the next request on", _revoke, REVOKE_EXAMPLES)
    revoke.add_argument("id", metavar="ID", help="the start of its hash, 8 characters or more, or the token itself")


def _lifetime(text: str) -> float:
    from engine.config import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error} or 90d") from error
    if seconds <= 0:
        raise argparse.ArgumentTypeError("must be more than nothing")
    return seconds


def _issue(options: argparse.Namespace) -> int:
    from engine.store import audit, database, tokens
    from engine.world import World

    if not all(scope.strip() for scope in options.scope):
        say(f"{PROGRAM}: a scope must not be empty")
        return 1
    folder, world = data_folder(load_config(options)), World()
    database.prepare_folder(folder)
    given = (options.description, options.scope, world, options.account, options.expires)

    def issue(db: sqlite3.Connection) -> str:
        with database.transaction(db):
            secret, token = tokens.issue(db, *given)
            audit.add(db, audit.Entry(world.now(), audit.CLI, None, "token.issue", token.id))
        return secret

    print(with_journal(folder, issue))
    return 0


def _list(options: argparse.Namespace) -> int:
    from engine.isotime import iso, iso_or_none
    from engine.store import tokens
    from engine.world import World

    folder, now = data_folder(load_config(options)), World().now()
    every = with_journal(folder, tokens.every) if has_journal(folder) else []
    rows = [("ID", "CREATED", "EXPIRES", "SCOPES", "ACCOUNT", "DESCRIPTION")]
    for each in every:
        expires = (iso_or_none(each.expires) or "never") if each.holds(now) else "expired"
        rows.append((each.id, iso(each.created), expires, ",".join(each.scopes), each.account or "*", each.description))
    table(rows)
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from engine.store import audit, database, tokens
    from engine.world import World

    start = options.id.strip().lower()
    if len(start) < REVOKE_AT_LEAST:
        say(f"{PROGRAM}: give at least the first {REVOKE_AT_LEAST} characters of the ID, to hit no other token")
        return 1
    folder, now = data_folder(load_config(options)), World().now()

    def revoke(db: sqlite3.Connection) -> int:
        with database.transaction(db):
            named = tokens.named(db, start)
            tokens.revoke(db, named)
            for each in named:
                audit.add(db, audit.Entry(now, audit.CLI, None, "token.revoke", each.id))
        return len(named)

    gone = with_journal(folder, revoke) if has_journal(folder) else 0
    if gone == 0:
        say(f"{PROGRAM}: no such token; see: engine tokens list")
        return 1
    print(f"{gone} {'token' if gone == 1 else 'tokens'} revoked")
    return 0
