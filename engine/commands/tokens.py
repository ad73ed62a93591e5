"""`engine tokens`: issue, list and revoke API tokens.

All three work on the data folder with or without a running engine: SQLite's own lock is enough, so they do not take the
folder's. Each change is in the audit record, in the same transaction.
"""

from __future__ import annotations

import argparse
import sqlite3
from typing import TYPE_CHECKING, Any

from engine.commands.common import Add, group, lifetime
from engine.commands.target import chosen
from engine.commands.terminal import complain, put_json, table
from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.model.token_permissions import Permissions
    from engine.model.token_restrictions import Restrictions
    from engine.store.token_uses import Use
    from engine.store.tokens import Token

REVOKE_AT_LEAST = 8  # characters; fewer could name other tokens

ISSUE_EXAMPLES = """\
examples:
  engine tokens issue -d "my app" -s "*"
  engine tokens issue -d "one customer, for a while" -s api --account example --expires 90d
  engine tokens issue -d "newsletter" -s api --action send --group submit --address 192.0.2.0/24
  engine tokens issue -d "a browser" -s api --action read --referrer "https://shop.example.com/*" --rate 100/1m
  engine tokens issue -d "my app" -s "*" --create      before the first start
  TOKEN=$(engine tokens issue -d "dashboard" -s api)

The token is shown only once; the engine keeps its hash. Scopes: every request needs "api", except the one
for an account's OAuth2 access token, which needs "oauth-token"; programs that submit mail by SMTP need
"smtp", those that read the metrics "metrics"; "*" is all scopes. What an action and a group allow is in
docs/operate.md; --address, --referrer and --rate hold for every request.
"""
REVOKE_EXAMPLES = """\
examples:
  engine tokens revoke 3f9a12bc44de              as shown by: engine tokens list
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    tokens = group(commands, "tokens", "issue, list and revoke API tokens")
    issue = add(tokens, "issue", "create an API token and print it", _issue, ISSUE_EXAMPLES)
    issue.add_argument("-d", "--description", metavar="TEXT", required=True, help="what the token is for")
    issue.add_argument(
        "-s",
        "--scope",
        metavar="SCOPE",
        action="append",
        required=True,
        help='what the token may do, "*" for everything; repeatable',
    )
    issue.add_argument("-a", "--account", metavar="A", help="the only account it may see and use (default: all)")
    issue.add_argument("--unregistered", action="store_true", help="the account will be registered later")
    issue.add_argument("--create", action="store_true", help="create the journal if there is none yet")
    issue.add_argument(
        "--expires", metavar="TIME", type=lifetime, help="how long it is valid, such as 90d or 12h (default: forever)"
    )
    narrowing = issue.add_argument_group("narrowing")
    for option, metavar, what in (
        ("--action", "ACTION", "what it may do: read, write, send or destructive; repeatable (default: all)"),
        ("--group", "GROUP", "what it may touch, such as message or submit; repeatable (default: all)"),
        ("--address", "ADDRESS", "an address or network from which it may be used; repeatable (default: all)"),
        ("--referrer", "PATTERN", "what the Referer of its requests must match, * for any text; repeatable"),
    ):
        narrowing.add_argument(option, metavar=metavar, action="append", help=what)
    narrowing.add_argument(
        "--rate", metavar="N/TIME", type=_rate, help="the most requests in a window, such as 100/1m (default: no limit)"
    )
    issue.add_argument("--metadata", metavar="JSON", help="notes that are kept with it")
    add(tokens, "list", "show all tokens, oldest first", _list)
    revoke = add(tokens, "revoke", "revoke a token, from the next request on", _revoke, REVOKE_EXAMPLES)
    revoke.add_argument("id", metavar="ID", help="the first 8 or more characters of its hash, or the token itself")


def _rate(text: str) -> tuple[int, int]:
    """The maximum requests, and the seconds of a window."""
    from engine.quantities import parse_duration

    most, slash, window = text.partition("/")
    try:
        rate = int(most), int(parse_duration(window))
    except ValueError as error:
        raise argparse.ArgumentTypeError("must be such as 100/1m") from error
    if not slash or min(rate) < 1:
        raise argparse.ArgumentTypeError("must be such as 100/1m, at least 1 request in 1 s")
    return rate


def _permissions(options: argparse.Namespace) -> Permissions | None:
    from typing import get_args

    from engine.model import token_permissions

    given = {"action": options.action, "group": options.group}
    allowed = {"action": get_args(token_permissions.Action), "group": get_args(token_permissions.Group)}
    for name, values in given.items():
        for value in values or ():
            if value not in allowed[name]:
                raise ConfigError(f"there is no {name} {value!r}; the {name}s are: {', '.join(allowed[name])}")
    if options.action is None and options.group is None:
        return None
    return token_permissions.Permissions(_several(options.action), _several(options.group))


def _restrictions(options: argparse.Namespace) -> Restrictions | None:
    from engine.model.token_restrictions import RateLimit, Restrictions, parsed_network

    for text in options.address or ():
        try:
            parsed_network(text)
        except ValueError as error:
            raise ConfigError(f"--address {text}: this is neither an address nor a network") from error
    if "" in (options.referrer or ()):
        raise ConfigError("--referrer must not be empty")
    rate = None if options.rate is None else RateLimit(*options.rate)
    found = Restrictions(_several(options.address), _several(options.referrer), rate)
    return None if found == Restrictions() else found


def _several(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(dict.fromkeys(values))


def _metadata(text: str | None) -> str | None:
    import msgspec

    try:
        msgspec.json.decode(text or "null")
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"--metadata is not JSON: {error}") from error
    return text or None


def _issue(options: argparse.Namespace) -> int:
    from engine.store import accounts, audit, database, token_uses, tokens
    from engine.world import World

    for scope in options.scope:
        if scope not in tokens.SCOPES:
            raise ConfigError(f"there is no scope {scope!r}; the scopes are: {', '.join(tokens.SCOPES)}")
    permissions, restrictions = _permissions(options), _restrictions(options)
    details = tokens.Details(metadata=_metadata(options.metadata))
    target, world = chosen(options, new=options.create), World()
    database.prepare_folder(target.folder)

    def issue(db: sqlite3.Connection) -> tuple[str, tokens.Token]:
        if options.account is not None and not options.unregistered:
            _must_be_registered(options.account, accounts.ids(db))
        with database.transaction(db):
            secret, token = tokens.issue(
                db,
                options.description,
                options.scope,
                world,
                options.account,
                options.expires,
                permissions,
                restrictions,
                details,
            )
            audit.add(db, audit.Entry(world.now(), audit.CLI, None, "token.issue", token.id))
        return secret, token

    secret, token = target.writing(issue)
    if options.json:
        put_json({"token": secret, **_shown(token, token_uses.NEVER)})
    else:
        print(secret)
    return 0


def _must_be_registered(account: str, known: list[str]) -> None:
    import difflib

    if account in known:
        return
    near = difflib.get_close_matches(account, known, n=3) or sorted(known)[:5]
    there = f"known are: {', '.join(near)}{' ...' if len(known) > len(near) else ''}" if known else "there is none yet"
    raise ConfigError(
        f"there is no account {account!r}; {there}. For an account that will be registered later, give --unregistered"
    )


def _shown(token: Token, use: Use) -> dict[str, object]:
    from engine.isotime import iso, iso_or_none

    return {
        "id": token.id,
        "description": token.description,
        "scopes": token.scopes,
        "account": token.account,
        "created": iso(token.created),
        "expires": iso_or_none(token.expires),
        "permissions": token.permissions,
        "restrictions": token.restrictions,
        "access": {"time": iso_or_none(use.time), "ip": use.address},
    }


def _narrowed(token: Token) -> list[str]:
    """What makes it narrower than its scopes."""
    limits = token.restrictions
    narrowed = {
        "permissions": token.permissions,
        "addresses": limits and limits.addresses,
        "referrers": limits and limits.referrers,
        "rate": limits and limits.rate_limit,
    }
    return [name for name, limit in narrowed.items() if limit is not None]


def _list(options: argparse.Namespace) -> int:
    from engine.isotime import iso, iso_or_none
    from engine.store import token_uses, tokens
    from engine.world import World

    target, now = chosen(options), World().now()
    every, uses = target.writing(lambda db: (tokens.every(db), token_uses.last_uses(db)))
    if options.json:
        for each in every:
            put_json(_shown(each, uses.get(each.hash, token_uses.NEVER)))
        return 0
    rows = [("ID", "CREATED", "EXPIRES", "USED", "SCOPES", "NARROWED", "ACCOUNT", "DESCRIPTION")]
    for each in every:
        expires = (iso_or_none(each.expires) or "never") if each.holds(now) else "expired"
        used = iso_or_none(uses.get(each.hash, token_uses.NEVER).time) or "never"
        scopes, narrowed = ",".join(each.scopes), ",".join(_narrowed(each)) or "-"
        rows.append(
            (each.id, iso(each.created), expires, used, scopes, narrowed, each.account or "*", each.description)
        )
    table(rows)
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from engine.store import audit, database, tokens
    from engine.world import World

    start = options.id.strip().lower()
    if len(start) < REVOKE_AT_LEAST:
        complain(f"give at least the first {REVOKE_AT_LEAST} characters of the ID, so that it names no other token")
        return 1
    target, now = chosen(options), World().now()

    def revoke(db: sqlite3.Connection) -> list[tokens.Token]:
        with database.transaction(db):
            named = tokens.named(db, start)
            tokens.revoke(db, named)
            for each in named:
                audit.add(db, audit.Entry(now, audit.CLI, None, "token.revoke", each.id))
        return named

    gone = target.writing(revoke)
    if not gone:
        complain("there is no such token; see: engine tokens list")
        return 1
    if options.json:
        put_json({"revoked": [each.id for each in gone]})
    else:
        print(f"{len(gone)} {'token' if len(gone) == 1 else 'tokens'} revoked")
    return 0
