"""`engine where`: which data folder and which engine commands work on here, and why."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.commands.common import Add
from engine.commands.target import RULES, find, stranger_of
from engine.commands.terminal import details, put_json, warn

EXAMPLES = """\
examples:
  engine where
  engine where --config /etc/mailbox-engine.toml
  curl --unix-socket "$(engine where --json | jq -r .control)" http://localhost/v1/accounts
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the command."""
    add(commands, "where", "show which data folder and which engine commands work on here", _where, EXAMPLES)


def _where(options: argparse.Namespace) -> int:
    from engine.store import files

    target = find(options)
    about = target.about or {}
    stranger = stranger_of(target)
    fault = next(files.faults(target.folder, spooled=False), None)
    warning = stranger if fault is None else fault.text
    control = target.folder / "control"
    if options.json:
        put_json(
            {
                "folder": str(target.folder),
                "exists": target.folder.is_dir(),
                "rule": target.rule,
                "why": target.why,
                "config": None if target.file is None else str(target.file.absolute()),
                "running": target.pid is not None,
                "pid": int(target.pid) if target.pid else None,
                "version": about.get("version"),
                "urls": about.get("urls", []),
                "startedIn": about.get("startedIn"),
                "control": str(control) if about else None,
                "warning": warning,
            }
        )
        return 0
    engine = "no engine runs on this folder"
    if target.pid is not None:
        engine = f"running, version {about['version']}, pid {target.pid}" if about else f"running, pid {target.pid}"
    rows = [
        ("data folder", f"{target.folder}{'' if target.folder.is_dir() else ' (does not exist yet)'}"),
        ("chosen by", target.why),
        ("settings", str(target.file.absolute()) if target.file else "no file, so the defaults apply"),
        ("engine", engine),
    ]
    if about:
        rows += [("listens on", ", ".join(about["urls"]) or "nothing yet"), ("control", str(control))]
        if Path(about["startedIn"]) != Path.cwd():
            rows.append(("started in", about["startedIn"]))
    elif target.pid is not None:
        rows.append(("control", f"{control} does not answer: check the log of the engine"))
    details(rows)
    print("\nEvery command takes the first of these that exists:")
    for number, rule in enumerate(RULES, 1):
        print(f"  {'*' if number == target.rule else ' '} {number}. {rule}")
    if warning is not None:
        warn(warning)
    return 0
