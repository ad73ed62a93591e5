"""`engine import emailengine`: accounts and all that belongs to them, from the Redis of an EmailEngine.

It works on the data folder under its lock, so the engine must be stopped; with `--dry-run` it may run. Secrets are
better in a file or in the environment than among the arguments, which other users of the machine can see.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.common import Add, group
from engine.commands.target import EngineTarget, NotThere, chosen
from engine.commands.terminal import progress, put_json, say, table, warn
from engine.errors import ConfigError, EngineError, Fault, leaves

if TYPE_CHECKING:
    from engine.importing.item import Item
    from engine.importing.source import Stored

REDIS, SECRET, PREFIX = "EENGINE_REDIS", "EENGINE_SECRET", "EENGINE_REDIS_PREFIX"
LONGEST_SECRET = 64 * 1024
_SHOWN = {"new": "comes", "replaced": "replaces", "there": "is here", "refused": "stays"}

EXAMPLES = f"""\
examples:
  engine import emailengine --redis redis://127.0.0.1:6379/8 --dry-run        list what would come, and what not
  engine import emailengine --redis redis://127.0.0.1:6379/8 --create         before the first start
  engine import emailengine --redis redis://:password@db:6379/8 --secret-file eengine.secret
  engine import emailengine --redis redis://127.0.0.1:6379/8 --json | jq 'select(.result == "refused")'

Stop EmailEngine first, but not its Redis, and this engine too. All that can come comes in one commit. What is here
already is left alone unless you give --replace, so the command can be repeated. Accounts keep their ids and passwords,
programs their tokens; mail that is older than the import is not announced again. The variables {REDIS}, {SECRET} and
{PREFIX}, as EmailEngine knows them, stand for the options. See docs/coming-from-emailengine.md.
"""


class NotImported(EngineError):
    """Nothing was imported."""

    fault = Fault.CALLER


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the command."""
    sources = group(commands, "import", "bring over what another product has stored")
    command = add(sources, "emailengine", "bring over what an EmailEngine has stored", _import, EXAMPLES)
    command.add_argument("--redis", metavar="URL", help=f"its Redis, redis:// or rediss:// (default: {REDIS})")
    secret = command.add_mutually_exclusive_group()
    secret.add_argument("--secret", metavar="TEXT", help=f"what it encrypts with; others see it (default: {SECRET})")
    secret.add_argument("--secret-file", metavar="FILE", help="the same, from a file; - reads standard input")
    command.add_argument("--prefix", metavar="NAME", help=f"how its keys begin (default: {PREFIX}, else found)")
    command.add_argument("--dry-run", action="store_true", help="only list what would come and what would not")
    command.add_argument("--replace", action="store_true", help="replace what is here already")
    command.add_argument("--create", action="store_true", help="create the journal if there is none yet")


def _import(options: argparse.Namespace) -> int:
    import trio

    url = options.redis or os.environ.get(REDIS)
    if not url:
        raise ConfigError(f"name EmailEngine's Redis with --redis URL or {REDIS}, as in redis://127.0.0.1:6379/8")
    prefix = options.prefix if options.prefix is not None else os.environ.get(PREFIX)
    secret = _secret(options)
    try:
        target = chosen(options, new=options.create or options.dry_run)
    except NotThere as error:
        raise NotThere(f"{error}; or give --create to import before the first start") from error
    if target.pid is not None and not options.dry_run:
        raise NotImported(
            f"an engine (pid {target.pid or 'unknown'}) runs on {target.folder}: stop it, import, and start it again"
        )
    try:
        stored, items = trio.run(_run, url, prefix, secret, target, options)
    except BaseExceptionGroup as group_:
        causes = leaves(group_)
        raise (causes[0] if isinstance(causes[0], EngineError) else group_) from None
    _tell(stored, items, options)
    return 0


async def _run(
    url: str, prefix: str | None, secret: str | None, target: EngineTarget, options: argparse.Namespace
) -> tuple[Stored, list[Item]]:
    import msgspec

    from engine.importing import run, source
    from engine.importing.encryption import Decryption
    from engine.world import World

    world, secrets = World(), Decryption(secret)
    config = msgspec.structs.replace(
        target.config, store=msgspec.structs.replace(target.store, path=str(target.folder))
    )
    with progress(f"reading {source.shown(url)}"):
        stored = await source.read(url, prefix)
    if stored.runs:
        warn(
            "EmailEngine still runs: stop it, or both announce new mail, and OAuth2 tokens that one of them "
            "renews may end for the other"
        )
    with progress("making the keys for what EmailEngine has encrypted"):
        await secrets.prepare(stored.values(), world)
    work = run.dry_run if options.dry_run else run.run
    with progress(f"{'planning' if options.dry_run else 'importing'} {len(stored.accounts)} accounts"):
        return stored, await work(stored, secrets, config, world, replace=options.replace)


def _secret(options: argparse.Namespace) -> str | None:
    """The secret without a line break at its end, which editors add. Raises `ConfigError`."""
    source: str | None = options.secret_file
    if source is None:
        text = options.secret if options.secret is not None else os.environ.get(SECRET)
        return text or None
    try:
        text = sys.stdin.read(LONGEST_SECRET) if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--secret-file {source}: cannot be read: {error}") from error
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ConfigError(f"--secret-file {source}: is empty")
    return text


def _tell(stored: Stored, items: list[Item], options: argparse.Namespace) -> None:
    if options.json:
        for item in items:
            put_json(
                {
                    "kind": item.kind,
                    "id": item.id,
                    "result": item.outcome,
                    "reason": item.reason,
                    "notes": item.notes,
                }
            )
    else:
        rows = [("KIND", "RESULT", "ID", "WHY")]
        table(rows + [(item.kind, _SHOWN[item.outcome], item.id, item.why) for item in items])
    counts = Counter(item.outcome for item in items)
    brought = counts["new"] + counts["replaced"]
    would = "would be " if options.dry_run else ""
    there = f"{counts['there']} are here already" + (" (--replace replaces them)" if counts["there"] else "")
    say(
        f"{brought} records {would}brought over, {there}, {counts['refused']} do not come"
        + (f" (prefix {stored.prefix.removesuffix(':')})" if stored.prefix else "")
    )
    if options.dry_run:
        say("nothing was changed: this was a dry run")
    elif brought:
        say("start the engine with: engine serve")
