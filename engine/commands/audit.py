"""`engine audit`: who changed which account, setting, token or webhook endpoint, when and from where."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from engine.commands.common import Add
from engine.commands.target import chosen
from engine.commands.terminal import put_json, table

if TYPE_CHECKING:
    from engine.store.audit import Entry

LIMIT = 100

EXAMPLES = """\
examples:
  engine audit                                   the last 100 changes, newest first
  engine audit --operation account --object jane
  engine audit --operation token --since 30d
  engine audit --token 3f9a12bc44de --json --limit 0 | jq .

Tokens have the ids that "engine tokens list" shows; changes made by a command have the token "cli".
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the command."""
    command = add(commands, "audit", "show who changed what, newest first", _audit, EXAMPLES)
    command.add_argument("--token", metavar="ID", help="only changes made with this token, or cli")
    command.add_argument(
        "--operation", metavar="OP", help="only this operation, such as account.update, or account for all of them"
    )
    command.add_argument("--object", metavar="ID", help="only changes of this account, token, endpoint or setting")
    command.add_argument(
        "--since",
        metavar="TIME",
        type=_since,
        help="only since this time: 2026-11-20T00:00:00Z, or 2d for two days ago",
    )
    command.add_argument("--limit", metavar="N", type=_limit, default=LIMIT, help="at most N; 0: all (default: 100)")


def _since(text: str) -> float:
    from datetime import UTC, datetime

    from engine.quantities import parse_duration
    from engine.world import World

    try:
        return World().now() - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("must be a time such as 2026-11-20T00:00:00Z, or an age such as 2d") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def _audit(options: argparse.Namespace) -> int:
    import msgspec

    from engine.isotime import iso
    from engine.store import audit

    target = chosen(options)
    token = options.token and options.token.lower()[: len("3f9a12bc44de")]
    wanted = audit.AuditFilter(token, options.operation, options.object, options.since)
    entries = target.writing(lambda db: list(audit.entries(db, wanted, options.limit or -1)))
    if options.json:
        for each in entries:
            put_json({**msgspec.structs.asdict(each), "time": iso(each.time)})
    else:
        table([("TIME", "WHO", "ADDRESS", "OPERATION", "OBJECT"), *(_row(each) for each in entries)])
    return 0


def _row(entry: Entry) -> tuple[str, ...]:
    from engine.isotime import iso

    return (iso(entry.time), entry.token, entry.address or "-", entry.operation, entry.object)
