"""`engine backup`: a copy of the data folder, with or without a running engine."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.commands.common import Add
from engine.commands.target import chosen
from engine.commands.terminal import progress, put_json, say

EXAMPLES = """\
examples:
  engine backup /backup/monday
  ENGINE_STORE__PATH=/backup/monday engine doctor    is the copy in order?

The copy is a data folder. An engine started on it holds all unsent mail, because some of it may have been sent since:
see it with "engine outbox list", send it with "engine outbox release". It holds the key that opens the passwords in
it, so keep it as safe as the folder itself.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the command."""
    command = add(commands, "backup", "copy the data folder, also while the engine runs", _backup, EXAMPLES)
    command.add_argument("target", metavar="DEST", type=Path, help="the folder to make; must not exist, or be empty")


def _backup(options: argparse.Namespace) -> int:
    import msgspec

    from engine.store.backup import back_up
    from engine.world import World

    found = chosen(options)
    folder, store = found.folder, found.store
    key = Path(store.key_file) if store.key_file else folder / "key"
    has_file = not found.key_is_in_configuration and key.exists()
    # Made absolute at once: it is renamed into place by its parent.
    target = options.target.absolute()
    with progress(f"copying {folder} to {target}"):
        summary = back_up(folder, target, key if has_file else None, World().now())
    if options.json:
        put_json({"source": str(folder), "target": str(target), **msgspec.structs.asdict(summary)})
    else:
        print(
            f"{target}: {summary.messages} messages, {summary.unsent} of them unsent, {summary.events} events, "
            f"{summary.size / 1024**2:.1f} MiB"
        )
    if found.key_is_in_configuration:
        say("the key is in the configuration (store.key) and not in the copy: without it no password can be read")
    elif not has_file:
        say("there is no key yet, so none is in the copy")
    return 0
