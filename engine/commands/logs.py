"""`engine logs`: the protocol log of an account, which is the dialogue of its servers and the engine."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from engine.commands.client import Client, add_options
from engine.commands.common import Add
from engine.commands.terminal import complain, printable, put_json, say
from engine.isotime import iso

LOOK_EVERY = 1.0

EXAMPLES = """\
examples:
  engine logs example --on                       keep a protocol log from now on
  engine logs example                            print the log
  engine logs example -f                         and follow it until Ctrl-C
  engine logs example --off

The log is in memory: it has 10,000 lines, and ends with the process. It never has passwords or the content of messages.
The engine writes its own log to standard error.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the command."""
    command = add(commands, "logs", "show the dialogue of an account's servers and the engine", _logs, EXAMPLES)
    command.add_argument("account", metavar="ACCOUNT", help="the account; see: engine account list")
    command.add_argument("-f", "--follow", action="store_true", help="continue until Ctrl-C")
    switch = command.add_mutually_exclusive_group()
    switch.add_argument("--on", dest="switch", action="store_const", const=True, help="start keeping a log")
    switch.add_argument("--off", dest="switch", action="store_const", const=False, help="stop keeping it")
    add_options(command)


def _logs(options: argparse.Namespace) -> int:
    client, account = Client(options), quote(options.account, safe="")
    if options.switch is not None:
        client.ask("PUT", f"/v1/account/{account}", {"logs": options.switch})
        kept = "the engine now keeps a protocol log" if options.switch else "the engine no longer keeps a protocol log"
        say(f"{options.account}: {kept}")
        if not (options.switch and options.follow):
            return 0
    elif client.ask("GET", f"/v1/account/{account}")["logs"] is not True:
        complain(f"{options.account}: the engine keeps no protocol log. Start with: engine logs {options.account} --on")
        return 1
    shown: list[str] = []
    while True:
        lines = client.text(f"/v1/logs/{account}").splitlines()
        if lines and "time" not in msgspec.json.decode(lines[0]):
            # How many were dropped before the first one that is kept.
            dropped = lines.pop(0)
            if not shown:
                _print(dropped, options.json)
        for line in lines[known(shown, lines) :]:
            _print(line, options.json)
        shown = lines
        if not options.follow:
            return 0
        time.sleep(LOOK_EVERY)


def known(before: Sequence[str], now: Sequence[str]) -> int:
    """The number of lines in `now` that were in `before` already. The oldest ones in `before` may be gone."""
    for start, line in enumerate(before):
        if line == next(iter(now), None) and before[start:] == now[: len(before) - start]:
            return len(before) - start
    return 0


def _print(line: str, as_json: bool) -> None:
    entry = msgspec.json.decode(line)
    if as_json:
        put_json(entry)
        return
    moment = f"{iso(entry['time'] / 1000)} " if "time" in entry else ""
    connection = f"[{entry['cid']}] " if "cid" in entry else ""
    source = f"{entry['src'].upper()}: " if "src" in entry else "-- "
    print(printable(moment + connection + source + entry["msg"]), flush=True)
