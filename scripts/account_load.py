"""Is every change of every mailbox told, once, whatever happens to the server and to the engine?

Many accounts of a private Dovecot in one engine process. Foreign IMAP clients (Python's imaplib) and plain deliveries
into the Maildirs change them all the time - new mail, flags, copies, moves, expunges, folders made and deleted - while
Dovecot is restarted or stopped with SIGSTOP, and the engine is killed with SIGKILL or stopped and started again. Then
the mailboxes as a reader of the events knows them are compared with the mailboxes as they are: all messages with their
flags, all folders; no message told of twice, no change of a message nobody was told of, no gap in the numbers, every
account connected. What came and went while nobody looked is in no event, and cannot be.

Needs root and Dovecot 2.3; everything is on loopback and ends by itself. The exit code is 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import imaplib
import itertools
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from real.certificates import Certificates  # noqa: E402
from real.dovecot import Dovecot  # noqa: E402
from real.servers import VMAIL_UID, private_folder  # noqa: E402
from torture_parts.engine import Engine  # noqa: E402

MESSAGE = (
    "From: Alice <alice@x.example>\r\nTo: b@example.com\r\nSubject: %d\r\nMessage-ID: <%d@x.example>\r\n\r\nhi\r\n"
)
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "$One")
CLIENTS = 8
ROUNDS = ("calm", "restart of Dovecot", "Dovecot hangs", "kill of the engine", "stop and start of the engine")
SETTLE_SECONDS = 180.0
BROKEN = (OSError, imaplib.IMAP4.error, imaplib.IMAP4.abort)

Contents = dict[tuple[str, int], frozenset[str]]
"""Flags by folder and UID."""


class Account:
    """One mailbox, as a foreign client sees and changes it."""

    def __init__(self, number: int, server: Dovecot) -> None:
        self.id = f"u{number}"
        self.login, self.password = server.user(self.id)
        self._server = server
        self.folders = ["INBOX", "Trash", "Sent"]

    def registration(self, resync: int) -> dict[str, Any]:
        """What it is registered with."""
        auth = {"user": self.login, "pass": self.password}
        server = {"host": self._server.plain_host, "port": self._server.plain_port, "auth": auth, "resyncDelay": resync}
        return {"account": self.id, "name": "U", "email": self.login, "imap": server, "notifyFrom": None}

    def open(self) -> imaplib.IMAP4:
        """A session of its own."""
        client = imaplib.IMAP4(self._server.plain_host, self._server.plain_port, timeout=30)
        client.login(self.login, self.password)
        return client

    def deliver(self, number: int) -> None:
        """New mail in the INBOX, past IMAP."""
        maildir = self._server.folder / "mail" / self.login / "Maildir"
        name = f"{time.time():.6f}.{number}.x"
        if not (maildir / "tmp").is_dir():
            return  # nobody has logged in yet
        (maildir / "tmp" / name).write_text(MESSAGE % (number, number))
        os.chown(maildir / "tmp" / name, VMAIL_UID, VMAIL_UID)
        (maildir / "tmp" / name).rename(maildir / "new" / name)

    def change(self, dice: random.Random, numbers: itertools.count[int], times: int) -> None:
        """Do something to it, `times` times. Raises `BROKEN`."""
        client = self.open()
        for _ in range(times):
            self._change(client, dice, next(numbers))
        client.logout()

    def _change(self, client: imaplib.IMAP4, dice: random.Random, number: int) -> None:
        path, action = dice.choice(["INBOX", *self.folders]), dice.random()
        if action < 0.04:
            new = f"Folder {number}"
            client.create(f'"{new}"')
            self.folders.append(new)
            return
        if action < 0.06 and len(self.folders) > 3:
            client.delete(f'"{self.folders.pop()}"')
            return
        client.select(f'"{path}"')
        uids = client.uid("SEARCH", "ALL")[1][0].split()
        if action < 0.5 or not uids:
            client.append(f'"{path}"', "", None, (MESSAGE % (number, number)).encode())
            return
        chosen = b",".join(dice.sample(uids, min(dice.randint(1, 3), len(uids)))).decode()
        if action < 0.75:
            how = dice.choice(("+FLAGS", "-FLAGS", "FLAGS"))
            client.uid("STORE", chosen, how, f"({' '.join(dice.sample(FLAGS, 2))})")
        elif action < 0.85:
            client.uid("STORE", chosen, "+FLAGS", "(\\Deleted)")
            client.expunge()
        else:
            client.uid(dice.choice(("COPY", "MOVE")), chosen, f'"{dice.choice(self.folders)}"')

    def contents(self) -> tuple[set[str], Contents]:
        """Every folder and every message there is. Raises `BROKEN`."""
        client = self.open()
        folders = {re.sub(r'^.* "?/"? ', "", line.decode()).strip('"') for line in client.list()[1] if line}
        found: Contents = {}
        for path in folders:
            client.select(f'"{path}"', readonly=True)
            for line in client.uid("FETCH", "1:*", "(FLAGS)")[1]:
                if line and (match := re.search(rb"UID (\d+) FLAGS \(([^)]*)\)|FLAGS \(([^)]*)\) UID (\d+)", line)):
                    uid, flags = (match[1], match[2]) if match[1] else (match[4], match[3])
                    found[path, int(uid)] = frozenset(flags.decode().split()) - {"\\Recent"}
        client.logout()
        return folders, found


class Reader:
    """What a reader of the events knows of each account."""

    def __init__(self, folders: dict[str, set[str]]) -> None:
        self.folders = folders
        self.messages: dict[str, Contents] = {account: {} for account in folders}
        self.faults: list[str] = []
        self.counted: Counter[str] = Counter()
        self._last = 0

    def hear(self, event: dict[str, Any]) -> None:
        """The next event of the journal."""
        if event["seq"] != self._last + 1:
            self.faults.append(f"event {event['seq']} came after {self._last}")
        self._last = event["seq"]
        name, account, data = event["event"], event["account"], event["data"]
        self.counted[name] += 1
        known, path = self.messages.get(account, {}), data.get("path", "")
        key, where = (path, data.get("uid", 0)), f"{account}: {path} {data.get('uid', '')}, event {event['seq']}"
        if name == "messageNew":
            if key in known:
                self.faults.append(f"told twice: {where}")
            known[key] = frozenset(data["flags"])
        elif name == "messageUpdated":
            if known.get(key) == frozenset(data["changes"]["flags"]["value"]):
                self.faults.append(f"the same flags told again: {where}")
            if key not in known:
                self.faults.append(f"flags of what nobody was told of: {where}")
            known[key] = frozenset(data["changes"]["flags"]["value"])
        elif name == "messageDeleted":
            if known.pop(key, None) is None:
                self.faults.append(f"deleted, and nobody was told of it: {where}")
        elif name == "mailboxNew":
            if path in self.folders[account]:
                self.faults.append(f"a folder told twice: {where}")
            self.folders[account].add(path)
        elif name == "mailboxDeleted":
            if path not in self.folders[account]:
                self.faults.append(f"a folder deleted that nobody was told of: {where}")
            self.folders[account].discard(path)
            for gone in [each for each in known if each[0] == path]:
                del known[gone]
        elif name in ("mailboxReset", "messageMissing"):
            self.faults.append(f"{name}: {where}")


class Load:
    """Those who change the mailboxes, until told to stop."""

    def __init__(self, accounts: list[Account], seed: int) -> None:
        self._accounts = accounts
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._done = itertools.count()
        self.sessions = 0
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{seed}:{number}"), number))
            for number in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, dice: random.Random, number: int) -> None:
        mine = self._accounts[number::CLIENTS]
        while mine and not self._stop.is_set():
            account = dice.choice(mine)
            if dice.random() < 0.3:
                account.deliver(next(self._numbers))
            try:
                account.change(dice, self._numbers, dice.randint(1, 6))
                self.sessions += 1
            except BROKEN:
                self._stop.wait(0.2)  # Dovecot is away
            self._stop.wait(0.02)


def connected(engine: Engine) -> int:
    return int(engine.call("GET", "/v1/accounts?state=connected&pageSize=1")["total"])


def wait_for_all(engine: Engine, count: int) -> float:
    """Return when every account is connected; seconds that took. Raises `SystemExit`."""
    began = time.monotonic()
    while connected(engine) < count:
        if time.monotonic() > began + SETTLE_SECONDS:
            raise SystemExit(f"only {connected(engine)} of {count} accounts are connected")
        time.sleep(0.1)
    return time.monotonic() - began


def disturb(what: str, engine: Engine, server: Dovecot, seconds: float) -> None:
    if what == "restart of Dovecot":
        server.restart()
    elif what == "Dovecot hangs":
        server.freeze()
        time.sleep(seconds)
        server.thaw()
    elif what == "kill of the engine":
        engine.kill()
        time.sleep(seconds / 2)
        engine.start()
    elif what == "stop and start of the engine":
        engine.stop()
        time.sleep(seconds / 2)
        engine.start()
    time.sleep(seconds)


def differences(reader: Reader, account: str, there: tuple[set[str], Contents]) -> list[str]:
    folders, messages = there
    found = [f"{account}: folder {path}" for path in folders ^ reader.folders[account]]
    known = reader.messages[account]
    for key in sorted(messages.keys() | known.keys()):
        if messages.get(key) != known.get(key):
            found.append(f"{account}: {key} is {messages.get(key)}, was told to be {known.get(key)}")
    return found


def run(options: argparse.Namespace, stack: ExitStack) -> int:
    certificates = Certificates(stack.enter_context(private_folder("certificates")))
    server = Dovecot(stack.enter_context(private_folder("dovecot")), certificates)
    limits = f"default_client_limit = {3 * options.accounts + 1000}\n"
    limits += f"service imap {{\n  process_limit = {2 * options.accounts + 100}\n}}\n"
    config = server.folder / "dovecot.conf"
    config.write_text(config.read_text() + limits)
    accounts = [Account(number, server) for number in range(options.accounts)]
    stack.callback(server.stop)
    server.start()
    engine = Engine(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="account-load-"))))
    stack.callback(engine.kill)
    engine.start()
    engine.issue_token()
    for account in accounts:
        engine.call("POST", "/v1/account", account.registration(options.resync))
    print(f"{options.accounts} accounts connected after {wait_for_all(engine, options.accounts):.1f} s", flush=True)
    reader = Reader({account.id: set() for account in accounts})
    load = Load(accounts, options.seed)
    load.start()
    try:
        for number in range(options.rounds):
            what = ROUNDS[number % len(ROUNDS)]
            disturb(what, engine, server, options.seconds)
            print(f"round {number + 1}: {what}; {connected(engine)} connected, {engine.rss():.0f} MB", flush=True)
    finally:
        load.stop()
    took = wait_for_all(engine, options.accounts)
    there = {account.id: account.contents() for account in accounts}
    told: list[dict[str, Any]] = []
    heard, wrong, until = 0, ["nothing was compared"], time.monotonic() + SETTLE_SECONDS
    while wrong and time.monotonic() < until:
        time.sleep(1)
        for event in engine.events(told)[heard:]:
            reader.hear(event)
        heard = len(told)
        wrong = [each for account in accounts for each in differences(reader, account.id, there[account.id])]
    messages = sum(len(each[1]) for each in there.values())
    print(
        f"{load.sessions} sessions of foreign clients; {messages} messages left; all connected again after {took:.1f} s"
    )
    print(", ".join(f"{count} {name}" for name, count in sorted(reader.counted.items())))
    for each in (reader.faults + wrong)[:50]:
        print(f"WRONG: {each}")
    if "Traceback" in engine.log:
        wrong.append("the engine crashed")
        print(engine.log[-3000:])
    print(f"{len(reader.faults) + len(wrong)} things are wrong")
    return 1 if reader.faults or wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accounts", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--rounds", type=int, default=10, help="what happens in turn: " + ", ".join(ROUNDS))
    parser.add_argument("--seconds", type=float, default=10.0, help="about so long is each round (default: 10)")
    parser.add_argument("--resync", type=int, default=5, help="resyncDelay of the accounts in seconds (default: 5)")
    parser.add_argument("--seed", type=int, default=1, help="for other changes (default: 1)")
    options = parser.parse_args()
    with ExitStack() as stack:
        return run(options, stack)


if __name__ == "__main__":
    sys.exit(main())
