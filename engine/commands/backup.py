"""`engine backup`: a copy of the data folder, with or without a running engine."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.commands.common import Add
from engine.commands.target import chosen
from engine.commands.terminal import progress, put_json, say, warn

EXAMPLES = """\
examples:
  engine backup /backup/monday
  ENGINE_STORE__PATH=/backup/monday engine doctor    check the copy

The copy is a data folder. An engine that starts on it holds all unsent mail, because some of it may have been sent
since then: "engine outbox list" shows it, "engine outbox release" sends it. The copy includes the key to the passwords
in it, so keep it as safe as the folder itself.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the command."""
    command = add(commands, "backup", "copy the data folder, even while the engine runs", _backup, EXAMPLES)
    command.add_argument(
        "target", metavar="DEST", type=Path, help="the folder to create; it must not exist, or be empty"
    )


def _backup(options: argparse.Namespace) -> int:
    import msgspec

    from engine.store import sealed
    from engine.store.backup import back_up
    from engine.world import World

    found = chosen(options)
    folder, store = found.folder, found.store
    key = Path(store.key_file) if store.key_file else folder / "key"
    has_file = not found.key_is_in_configuration and key.exists()
    # Absolute from the start: its parent renames it into place.
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
        say("the key is in the configuration (store.key), not in the copy: without it, no password can be read")
    elif not has_file and found.reading(sealed.key_ids):
        warn(
            f"the key of the passwords is not in {key}, so the copy has none, and is of no use without it: keep both, "
            "or name its file in ENGINE_STORE__KEY_FILE and run this again"
        )
    elif not has_file:
        say("there is no key yet, so the copy has none")
    return 0
