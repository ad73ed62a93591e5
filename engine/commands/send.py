"""`engine send`: one message through an account, from the command line."""

from __future__ import annotations

import argparse
import base64
import sys
import time
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import quote

from engine.commands.client import Client, add_options
from engine.commands.common import Add
from engine.commands.terminal import complain, details, progress, put_json, say, table
from engine.errors import ConfigError

WAIT = 60.0
LOOK_EVERY = 0.25

EXAMPLES = """\
examples:
  engine send example --to friend@example.net --subject Hello --text "Hello!"
  engine send example --to "A Friend <friend@example.net>" --subject Report --attach report.pdf < letter.txt
  engine send example --to friend@example.net --html letter.html --wait
  engine send example --to friend@example.net --html letter.html --dry-run

Without --text and --html, the text is read from standard input. --wait ends when the message is sent or has failed,
with exit code 0 or 1. If that takes longer, the engine keeps trying, and "engine outbox show" shows more. --dry-run
sends nothing; it shows what mail servers and mail programs will hold against the message, and ends with 1 if it would
be refused.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the command."""
    command = add(commands, "send", "send one message through an account", _send, EXAMPLES)
    command.add_argument("account", metavar="ACCOUNT", help="the account to send through; see: engine account list")
    command.add_argument("--to", metavar="ADDRESS", action="append", default=[], help="recipient; repeatable")
    command.add_argument("--cc", metavar="ADDRESS", action="append", default=[], help="the same, shown as Cc")
    command.add_argument("--bcc", metavar="ADDRESS", action="append", default=[], help="the same, shown to no one")
    command.add_argument("--from", metavar="ADDRESS", dest="sender", help="author (default: the account)")
    command.add_argument("--reply-to", metavar="ADDRESS", help="address for replies (default: the author)")
    command.add_argument("--subject", metavar="TEXT", help="subject (default: none)")
    command.add_argument("--text", metavar="TEXT", help="plain text (default: standard input, or derived from --html)")
    command.add_argument("--html", metavar="FILE", type=Path, help="file with HTML")
    command.add_argument("--attach", metavar="FILE", type=Path, action="append", default=[], help="repeatable")
    command.add_argument("--at", metavar="TIME", help="earliest time, such as 2026-11-27T18:00:00Z (default: now)")
    command.add_argument("--key", metavar="K", help="Idempotency-Key: with the same key, the message is sent only once")
    command.add_argument("--check", action="store_true", help="check the message, and send it whatever is found")
    command.add_argument("--dry-run", action="store_true", help="check the message, and send nothing")
    command.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_seconds,
        nargs="?",
        const=WAIT,
        help="wait for the outcome (default: at most 60 s)",
    )
    add_options(command)


def _skipped(why: dict[str, str]) -> str:
    """Why nobody gets the message: the recipients are suppressed, or have left its list."""
    where = f"on the blocklist {why['listId']}" if "listId" in why else "suppressed"
    return f"the recipient is {where} ({why['reason']})"


def _seconds(text: str) -> float:
    from engine.quantities import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _send(options: argparse.Namespace) -> int:
    client = Client(options)
    headers = {"Idempotency-Key": options.key} if options.key else {}
    message = _message(options)
    with progress("submitting"):
        path = f"/v1/account/{quote(options.account, safe='')}/submit"
        answer = client.ask("POST", f"{path}?check=1" if options.check else path, message, headers)
    if options.dry_run:
        return _rehearsed(answer, as_json=options.json)
    if options.check and not options.json:
        _show_checks(answer)
    if "queueId" not in answer:
        put_json(answer) if options.json else complain(f"nothing was queued: {_skipped(answer['skipped'])}")
        return 1
    if options.wait is None:
        if options.json:
            put_json(answer)
        else:
            details([("queued", answer["queueId"]), ("Message-ID", answer["messageId"]), ("due", answer["sendAt"])])
        return 0
    entry = _outcome(client, answer["queueId"], options.wait)
    if options.json:
        put_json(entry)
    else:
        show(entry)
    if "ended" not in entry:
        complain(
            f"not finished after {options.wait:g} s; the engine keeps trying, see: engine outbox show "
            f"{entry['queueId']}"
        )
    return 0 if entry["state"] == "sent" else 1


def _rehearsed(answer: dict[str, Any], *, as_json: bool) -> int:
    """Show what became of a dry run; the exit code."""
    if as_json:
        put_json(answer)
    elif "skipped" in answer:
        complain(f"nothing would be sent: {_skipped(answer['skipped'])}")
    else:
        _show_checks(answer)
    is_wrong = any(each["severity"] == "error" for each in answer.get("checks", ()))
    return 1 if is_wrong or "skipped" in answer else 0


def _show_checks(answer: dict[str, Any]) -> None:
    rows = [(each["severity"], each["code"], each["message"]) for each in answer.get("checks", ())]
    if rows:
        table([("severity", "check", "what"), *rows])
    else:
        say("no problem was found in the message")


def show(entry: dict[str, Any]) -> None:
    """Print one message of the outbox, for people."""
    rows = [
        ("state", entry["state"]),
        ("queue id", entry["queueId"]),
        ("account", entry["account"]),
        ("subject", entry.get("subject") or "-"),
        ("Message-ID", entry["messageId"]),
        ("attempts", f"{entry['attemptsMade']} of at most {entry['attempts']}"),
    ]
    if "ended" in entry:
        rows.append(("ended", entry["ended"]))
    elif entry["nextAttempt"]:
        rows.append(("next", entry["nextAttempt"]))
    if waiting := entry.get("waitingFor"):
        rows.append(("waits for", f"{waiting['kind']}: {waiting['remedy']}"))
    for each in entry.get("recipients", ()):
        rows.append(("to", f"{each['address']}: {each['state']}{_said(each)}"))
    details(rows)


def _said(recipient: dict[str, Any]) -> str:
    return f" ({recipient['response']})" if "response" in recipient else ""


def _outcome(client: Client, queue_id: str, seconds: float) -> dict[str, Any]:
    """The message once it has ended, or as it is when the time is over."""
    looks = max(1, int(seconds / LOOK_EVERY))
    entry: dict[str, Any] = {}
    with progress(f"waiting for the outcome of {queue_id}"):
        for look in range(looks):
            entry = client.ask("GET", f"/v1/outbox/{queue_id}")
            if "ended" in entry or look == looks - 1:
                break
            time.sleep(LOOK_EVERY)
    return entry


def _message(options: argparse.Namespace) -> dict[str, Any]:
    if not (options.to or options.cc or options.bcc):
        raise ConfigError("a message needs a recipient: give --to, --cc or --bcc")
    message: dict[str, Any] = {
        name: [_address(each) for each in getattr(options, name)]
        for name in ("to", "cc", "bcc")
        if getattr(options, name)
    }
    if options.sender:
        message["from"] = _address(options.sender)
    if options.reply_to:
        message["replyTo"] = [_address(options.reply_to)]
    for name, value in (("subject", options.subject), ("sendAt", options.at)):
        if value is not None:
            message[name] = value
    if options.dry_run:
        message["dryRun"] = True
    if options.html is not None:
        message["html"] = _read(options.html).decode(errors="replace")
    if options.text is not None:
        message["text"] = options.text
    elif options.html is None:
        message["text"] = _typed()
    if options.attach:
        message["attachments"] = [
            {"filename": each.name, "content": base64.b64encode(_read(each)).decode()} for each in options.attach
        ]
    return message


def _typed() -> str:
    if sys.stdin.isatty():
        say("type the text, and end it with Ctrl-D on an empty line:")
    return sys.stdin.read()


def _address(text: str) -> dict[str, str]:
    name, address = parseaddr(text)
    return {"address": address or text, **({"name": name} if name else {})}


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
