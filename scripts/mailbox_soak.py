"""Does what the events tell of a mailbox stay true while requests and a second client change it at the same time?

One account in one engine process. Requests and a second IMAP client (Python's imaplib) change flags, copy, move, store
and remove messages, make, rename and delete folders, at random and at once; others walk through pages meanwhile. Every
`--seconds` all pause, and the mailbox as a reader of the events knows it is compared with what is there. Requests and
the second client have flags and names of their own, and requests alone remove messages with an odd UID, so that each
event shows whose change it tells of: it must have `source: "api"` or not. A walk through pages must show what is there
all the time exactly once. With `--kills`, the engine is killed in each second round.

Without `--server` the mailbox is at a private Dovecot (root only). At any other server it must be empty. All is on
loopback and ends by itself. The exit code is 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from soak_parts.heard import Reader, differences  # noqa: E402
from soak_parts.requests import Asked, Requests, walk  # noqa: E402
from soak_parts.server import BROKEN, Client, Server  # noqa: E402
from torture_parts.engine import Engine  # noqa: E402

SETTLE_SECONDS = 60.0
ENOUGH = 300
"""About so many messages are kept."""


class Second:
    """The second client: one change after another."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client: Client | None = None
        self._number = 0
        self._folders: list[str] = []

    def change(self, dice: random.Random, paths: list[str], *, many: bool) -> None:
        """One change; what another has just taken away is no fault."""
        try:
            self._client = self._client or Client(self._server)
            self._change(self._client, dice, paths, many=many)
        except BROKEN:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _change(self, client: Client, dice: random.Random, paths: list[str], *, many: bool) -> None:
        self._number += 1
        action, path = dice.random(), dice.choice(paths)
        if action < 0.05:
            self._change_folders(client, dice)
            return
        if action < (0.12 if many else 0.35):
            client.append(path, f"other {self._number}")
            return
        uids = client.uids(path)
        if not uids:
            return
        chosen = dice.sample(uids, min(len(uids), dice.randint(1, 4)))
        even = [uid for uid in chosen if uid % 2 == 0]
        if action < 0.7:
            client.store(chosen, dice)
        elif action < (0.73 if many else 0.8):
            client.transfer(chosen, dice.choice(paths), keep=True)
        elif even and action < 0.9:
            client.remove(even)
        elif even:
            client.transfer(even, dice.choice([each for each in paths if each != path]), keep=False)

    def _change_folders(self, client: Client, dice: random.Random) -> None:
        action, name = dice.random(), f"{client.prefix}other {self._number}"
        if len(self._folders) < 2 or action < 0.3:
            client.create(name)
            self._folders.append(name)
            return
        path = self._folders.pop(dice.randrange(len(self._folders)))
        if action < 0.7:
            client.rename(path, name)
            self._folders.append(name)
        else:
            client.delete(path)


def private_dovecot(stack: ExitStack) -> Server:
    from real.certificates import Certificates
    from real.dovecot import Dovecot
    from real.servers import private_folder

    certificates = Certificates(stack.enter_context(private_folder("certificates")))
    server = Dovecot(stack.enter_context(private_folder("dovecot")), certificates)
    stack.callback(server.stop)
    server.start()
    return Server(server.plain_host, server.plain_port, *server.user("jane"))


def round_of(seconds: float, *work: Callable[[], None], meanwhile: Callable[[], None]) -> None:
    """Everything at once, again and again, until the time is up."""
    until = time.monotonic() + seconds
    failed: list[BaseException] = []

    def again(do: Callable[[], None]) -> None:
        try:
            while time.monotonic() < until and not failed:
                do()
        except (Exception, SystemExit) as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=again, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def run(options: argparse.Namespace, stack: ExitStack) -> int:
    if options.server:
        host, _, port = options.server.rpartition(":")
        server = Server(host, int(port), options.user, options.password)
    else:
        server = private_dovecot(stack)
    engine = Engine(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailbox-soak-"))))
    stack.callback(engine.kill)
    engine.start()
    engine.issue_token()
    engine.call("POST", "/v1/account", server.registration())
    await_connected(engine)
    time.sleep(2)  # mail of the second in which the account was registered may count as older
    truth = Client(server)
    paths = [each for each in truth.folders() if each.rpartition(truth.delimiter)[2] in ("INBOX", "Sent", "Trash")]
    ask, reader, second = Asked(engine), Reader(), Second(server)
    requests = [Requests(ask, f"{truth.prefix}{each}", truth.delimiter) for each in ("", "")]
    requests[1]._number = 1_000_000
    dices = [random.Random(f"{options.seed}:{each}") for each in range(5)]
    told: list[dict[str, Any]] = []
    heard, changes, wrong = 0, 0, ["nothing was compared"]
    ends = time.monotonic() + 60 * options.minutes
    killed = found = 0
    number = 0
    while time.monotonic() < ends and found < 50:
        number += 1
        many = len(reader.messages) > ENOUGH
        ask.killed = options.kills and number % 2 == 0

        def kill(now: bool = ask.killed) -> None:
            if now:
                time.sleep(dices[4].uniform(0.2, options.seconds / 2))
                engine.kill()
                engine.start()

        def counted(change: Callable[..., None], dice: random.Random, many: bool = many) -> None:
            nonlocal changes
            changes += 1
            change(dice, paths, many=many)

        round_of(
            options.seconds,
            *(
                lambda each=each, dice=dice: counted(each.change, dice)
                for each, dice in zip(requests, dices, strict=False)
            ),
            lambda: counted(second.change, dices[2]),
            lambda: walk(ask, dices[3], dices[3].sample(paths, 1), several=False),
            lambda: walk(ask, dices[3], dices[3].sample(paths, 2), several=True),
            meanwhile=kill,
        )
        killed += ask.killed
        await_connected(engine)
        there = truth.contents()
        until = time.monotonic() + SETTLE_SECONDS
        wrong = ["nothing was compared"]
        while wrong and time.monotonic() < until:
            engine.ask("PUT", "/v1/account/jane/sync", {"sync": True})
            time.sleep(0.5)
            for event in engine.events(told)[heard:]:
                reader.hear(event)
            heard = len(told)
            reader.read_again(there[1])
            wrong = differences(reader, there)
        for faults in (ask.faults, reader.faults):
            for each in faults:
                print(f"round {number}: WRONG: {each}", flush=True)
            found += len(faults)
            faults.clear()
        if wrong:
            break
        if number % 10 == 0:
            print(
                f"round {number}: {changes} changes, {heard} events, {len(reader.messages)} messages in "
                f"{len(reader.folders)} folders, {engine.rss():.0f} MB, {found} faults",
                flush=True,
            )
    print(f"{number} rounds, {killed} kills, {changes} changes, {len(reader.messages)} messages left")
    print(", ".join(f"{count} {name}" for name, count in sorted(reader.counted.items())))
    print(", ".join(f"{count} {name}" for name, count in sorted(ask.answers.items())))
    if "Traceback" in engine.log:
        wrong.append(f"the engine crashed: {engine.log[-3000:]}")
    for each in wrong[:50]:
        print(f"WRONG: {each}")
    print(f"{found + len(wrong)} things are wrong")
    return 1 if found + len(wrong) else 0


def await_connected(engine: Engine) -> None:
    until = time.monotonic() + SETTLE_SECONDS
    while (state := engine.call("GET", "/v1/account/jane")["state"]) != "connected":
        if time.monotonic() > until:
            raise SystemExit(f"the account does not connect: {state}; {engine.log[-3000:]}")
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long between comparisons (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="for other changes (default: 1)")
    parser.add_argument("--kills", action="store_true", help="kill the engine in each second round")
    parser.add_argument("--server", help="HOST:PORT of an IMAP server without TLS (default: a private Dovecot)")
    parser.add_argument("--user", default="", help="the login there")
    parser.add_argument("--password", default="", help="the password there")
    options = parser.parse_args()
    with ExitStack() as stack:
        return run(options, stack)


if __name__ == "__main__":
    sys.exit(main())
