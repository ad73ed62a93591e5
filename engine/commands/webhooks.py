"""`engine webhooks list|test|replay`: the health of the endpoints, testing one, posting events again."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from engine.commands.client import Client, add_options
from engine.commands.common import Add, group
from engine.commands.terminal import printable, progress, put_json, table

REPLAY_EXAMPLES = """\
examples:
  engine webhooks replay wh_5f2b8c9d01e34a67 --after 4711
  engine webhooks replay default --since 2026-11-20T00:00:00Z
  engine webhooks replay default --after 0 --to https://other.example.com/hook
"""

MISSING = {
    "no events": "it names no event of this engine, so nothing is posted and events wait; * means all events",
    "no url": "it has no URL",
}
"""What an endpoint in these states lacks."""

Run = Callable[[argparse.Namespace, Client], int]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    webhooks = group(commands, "webhooks", "list, test and replay webhooks")

    def command(name: str, text: str, run: Run, epilog: str | None = None) -> argparse.ArgumentParser:
        made = add(webhooks, name, text, lambda options: run(options, Client(options)), epilog)
        add_options(made)
        return made

    command("list", "show every endpoint and its health", _list)
    tested = command("test", "post a test event to an endpoint and show the result", _test)
    tested.add_argument("id", metavar="ID", help="the endpoint; default is that of the settings")
    replayed = command("replay", "post events again", _replay, REPLAY_EXAMPLES)
    replayed.add_argument("id", metavar="ID", help="the endpoint; default is that of the settings")
    start = replayed.add_mutually_exclusive_group(required=True)
    start.add_argument("--after", metavar="N", type=int, help="events numbered above N")
    start.add_argument("--since", metavar="TIME", help="events from this time on, such as 2026-11-20T00:00:00Z")
    replayed.add_argument("--to", metavar="URL", help="post them to this URL, and leave the endpoint as it is")


def _list(options: argparse.Namespace, client: Client) -> int:
    rows = [("ID", "STATE", "SEQ", "BEHIND", "PARKED", "URL")]
    notes = []
    page, pages = 0, 1
    while page < pages:
        answer = client.ask("GET", f"/v1/webhooks?pageSize=100&page={page}")
        page, pages = page + 1, answer["pages"]
        for each in answer["webhooks"]:
            if options.json:
                put_json(each)
            counts = (str(each["seq"]), str(each["behind"]), str(each["parked"]))
            rows.append((each["id"], each["state"], *counts, each["url"] or "-"))
            if each["state"] == "disabled" and "disabledReason" in each:
                notes.append(f"{each['id']}: {each['disabledReason']}")
            elif each["state"] in MISSING:
                notes.append(f"{each['id']}: {MISSING[each['state']]}")
            elif each["state"] == "failing" and each["lastError"]:
                notes.append(f"{each['id']}: {each['lastError']['message']} ({each['lastError']['time']})")
            if (filtered := each["filtered"]) and filtered["leftOut"] and not filtered["passed"]:
                notes.append(f"{each['id']}: its filter left out all {filtered['leftOut']} events so far")
    if not options.json:
        table(rows)
        for note in notes:
            print(printable(note))
    return 0


def _test(options: argparse.Namespace, client: Client) -> int:
    with progress(f"posting to {options.id}"):
        answer = client.ask("POST", f"/v1/webhooks/{quote(options.id, safe='')}/test", {})
    if options.json:
        put_json(answer)
    else:
        print(
            printable(
                f"{'accepted' if answer['success'] else 'not accepted'}: {answer['message']} ({answer['took']} ms)"
            )
        )
        if signature := _signature(answer):
            print(f"signature: {signature}")
    return 0 if answer["success"] else 1


def _signature(answer: dict[str, Any]) -> str:
    if answer["status"] in (400, 401, 403):
        return "perhaps the receiver refused the signature: does it have the secret of this webhook?"
    if not answer["success"]:
        return ""
    known = {
        True: "the receiver checks it: it accepted the right one and refused a wrong one",
        False: "the receiver does not check it: it accepted a wrong one, too",
        None: "unknown whether the receiver checks it: the webhook has no secret, or a wrong one had no clear answer",
    }
    return known[answer["verifies"]]


def _replay(options: argparse.Namespace, client: Client) -> int:
    body = {name: value for name, value in (("after", options.after), ("since", options.since)) if value is not None}
    if options.to:
        body["url"] = options.to
    answer = client.ask("POST", f"/v1/webhooks/{quote(options.id, safe='')}/replay", body)
    if options.json:
        put_json(answer)
        return 0
    until = f" up to {answer['until']}" if "until" in answer else ""
    print(f"{answer['id']} posts the events after {answer['seq']}{until}")
    return 0
