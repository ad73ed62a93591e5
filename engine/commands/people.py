"""`engine people`: who may sign in to the pages, and one-time links at which they choose a password.

All work on the data folder with or without a running engine, as `engine tokens` does. Each change is in the audit
record, in the same transaction.
"""

from __future__ import annotations

import argparse
import sqlite3
from typing import TYPE_CHECKING

from engine.commands.common import Add, group
from engine.commands.target import EngineTarget, chosen
from engine.commands.terminal import complain, put_json, table
from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.store.people import PersonRow

ROLES = ("owner", "operator", "reader")
LINK_EXAMPLES = """\
examples:
  engine people link                            for someone new, who will be an owner
  engine people link --role reader              for someone new, who may only look
  engine people link --name ann                 a new password for ann

The link works once and for 24 hours. An owner may do everything, an operator runs the engine, and a reader only looks.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    people = group(commands, "people", "who may sign in to the pages for people")
    link = add(people, "link", "print a one-time link to choose a password", _link, LINK_EXAMPLES)
    link.add_argument("--name", metavar="NAME", help="who forgot their password (default: someone new)")
    link.add_argument("--role", choices=ROLES, default="owner", help="what someone new may do (default: owner)")
    link.add_argument("--create", action="store_true", help="create the journal if there is none yet")
    add(people, "list", "show who may sign in", _list)
    remove = add(people, "remove", "remove someone, and end their sessions", _remove)
    remove.add_argument("name", metavar="NAME")


def _link(options: argparse.Namespace) -> int:
    from engine.store import audit, database, entry_links, people
    from engine.world import World

    target, world = chosen(options, new=options.create), World()
    database.prepare_folder(target.folder)

    def make(db: sqlite3.Connection) -> str:
        with database.transaction(db):
            row = people.named(db, options.name) if options.name is not None else None
            if options.name is not None and row is None:
                raise ConfigError(f"there is no {options.name!r}; see: engine people list")
            key = entry_links.make(db, world, row.role if row else options.role, row.id if row else None)
            audit.add(db, audit.Entry(world.now(), audit.CLI, None, "person.link", row.name if row else "*"))
        return key

    url = f"{_base(target)}{entry_links.PATH}?key={target.writing(make)}"
    if options.json:
        put_json({"url": url})
    else:
        print(url)
    return 0


def _base(target: EngineTarget) -> str:
    """Where browsers find the engine: `serviceUrl` if it is set, else where it listens."""
    import msgspec

    from engine.store import settings

    told = target.writing(settings.load).get("serviceUrl")
    url = msgspec.json.decode(told) if told is not None else None
    if isinstance(url, str) and url:
        return url.rstrip("/")
    if target.about is not None and target.about["urls"]:
        return str(target.about["urls"][0])
    http = target.config.http
    host = "127.0.0.1" if http.host in ("", "0.0.0.0", "::") else http.host
    return f"{'https' if http.cert else 'http'}://{f'[{host}]' if ':' in host else host}:{http.port}"


def _list(options: argparse.Namespace) -> int:
    from engine.isotime import iso
    from engine.store import people

    every: list[PersonRow] = chosen(options).writing(people.every)
    if options.json:
        for each in every:
            put_json(
                {"name": each.name, "role": each.role, "codes": each.totp is not None, "created": iso(each.created)}
            )
        return 0
    rows = [("NAME", "ROLE", "CODES", "CREATED")]
    rows += [(each.name, each.role, "yes" if each.totp is not None else "no", iso(each.created)) for each in every]
    table(rows)
    return 0


def _remove(options: argparse.Namespace) -> int:
    from engine.store import audit, database, people
    from engine.world import World

    def remove(db: sqlite3.Connection) -> bool:
        with database.transaction(db):
            row = people.named(db, options.name)
            if row is not None:
                people.remove(db, row.id)
                audit.add(db, audit.Entry(World().now(), audit.CLI, None, "person.remove", row.name))
        return row is not None

    if not chosen(options).writing(remove):
        complain(f"there is no {options.name!r}; see: engine people list")
        return 1
    if options.json:
        put_json({"removed": options.name})
    else:
        print(f"{options.name} is removed")
    return 0
