"""What a message costs when little happens: CPU time of the engine for each message of a quiet, real mix.

In a rush many messages share a commit, a wake-up and a write; most installations never see one. Here `--accounts` (40)
accounts at a private Dovecot (root only) idle in their INBOX, their Sent folder takes a copy of each message sent,
`--sent` (30) messages a second are submitted, one after another and each to another account, `--arriving` (3) a second
come in by delivery into the Maildirs, and 10 websockets and one webhook endpoint follow the events. Beside it stands
what the same engine uses with all of that connected and nothing to do. Everything is on loopback and ends by itself.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from bench_accounts import PARTS, REPOSITORY, Engine, wait

sys.path.insert(0, str(REPOSITORY / "tests"))

from real.certificates import Certificates
from real.dovecot import Dovecot
from real.servers import VMAIL_UID, private_folder

WEBSOCKETS = 10
ENDPOINTS = 1
IDLE_SECONDS = 10.0
TEXT = "All work and no play makes this a rather plain message.\n" * 18
ARRIVING = (
    "From: Alice <alice@x.example>\r\nTo: b@example.com\r\nSubject: %d\r\nMessage-ID: <%d@x.example>\r\n\r\nhi\r\n"
)


class Mix:
    """The processes of one run."""

    def __init__(self, stack: ExitStack, accounts: int) -> None:
        self._stack = stack
        self.accounts = accounts
        certificates = Certificates(stack.enter_context(private_folder("certificates")))
        self._server = Dovecot(stack.enter_context(private_folder("dovecot")), certificates)
        self._logins = [self._server.user(f"q{number}") for number in range(accounts)]
        stack.callback(self._server.stop)
        self._server.start()
        sink = self._start(PARTS / "sink.py", stdout=subprocess.PIPE)
        assert sink.stdout is not None
        self._sink_port, control = map(int, sink.stdout.readline().split())
        self._control = stack.enter_context(socket.create_connection(("127.0.0.1", control), 10)).makefile("rw")
        self.engine = Engine(stack)
        self.engine.start()
        for number in range(accounts):
            self._register(number)
        wait(lambda: self.engine.connected() == accounts, "all accounts")
        followers = self._start(
            PARTS / "followers.py",
            self.engine.port,
            self.engine.token,
            WEBSOCKETS,
            ENDPOINTS,
            stdout=subprocess.PIPE,
        )
        assert followers.stdout is not None
        followers.stdout.readline()

    def _start(self, *command: object, stdout: int | None = None) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        process = subprocess.Popen([sys.executable, *map(str, command)], env=environment, stdout=stdout)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        return process

    def _register(self, number: int) -> None:
        user, password = self._logins[number]
        imap = {
            "host": self._server.plain_host,
            "port": self._server.plain_port,
            "auth": {"user": user, "pass": password},
        }
        smtp = {"host": "127.0.0.1", "port": self._sink_port, "secure": False}
        body = {"account": f"q{number}", "name": "Q", "email": user, "imap": imap, "smtp": smtp}
        self.engine.request("POST", "/v1/account", body)

    def send(self, seconds: float, each_second: float) -> int:
        """Submit one message after another; how many."""
        connection = HTTPConnection("127.0.0.1", self.engine.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.engine.token}", "Content-Type": "application/json"}
        body = json.dumps({"to": [{"address": "somebody@example.net"}], "subject": "Quiet", "text": TEXT})
        count = 0
        for number in self._paced(seconds, each_second):
            connection.request("POST", f"/v1/account/q{number % self.accounts}/submit", body, headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise SystemExit(answer.read().decode())
            answer.read()
            count += 1
        return count

    def arrive(self, seconds: float, each_second: float) -> None:
        """Deliver one message after another into an INBOX, past IMAP."""
        for number in self._paced(seconds, each_second):
            maildir = self._server.folder / "mail" / self._logins[number % self.accounts][0] / "Maildir"
            name = f"{time.time():.6f}.{number}.x"
            (maildir / "tmp" / name).write_text(ARRIVING % (number, number))
            os.chown(maildir / "tmp" / name, VMAIL_UID, VMAIL_UID)
            (maildir / "tmp" / name).rename(maildir / "new" / name)

    @staticmethod
    def _paced(seconds: float, each_second: float) -> Any:
        began = time.monotonic()
        for number in itertools.count():
            due = began + number / each_second
            if due > began + seconds:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            yield number

    def settled(self, count: int) -> None:
        """Return once the sink has `count` messages and their copies are filed."""
        wait(lambda: self._look() >= count, "the sink")
        time.sleep(2)

    def _look(self) -> int:
        self._control.write("look\n")
        self._control.flush()
        return int(json.loads(self._control.readline())["count"])

    def cpu(self) -> float:
        """Seconds of CPU that all threads of the engine have used so far."""
        assert self.engine.process is not None
        tasks = Path(f"/proc/{self.engine.process.pid}/task").iterdir()
        return sum(int((each / "schedstat").read_text().split()[0]) for each in tasks) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=40)
    parser.add_argument("--sent", type=float, default=30.0, metavar="PER_SECOND")
    parser.add_argument("--arriving", type=float, default=3.0, metavar="PER_SECOND")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--pid-file", type=Path, help="where to write the process id of the engine, for a profiler")
    options = parser.parse_args()
    with ExitStack() as stack:
        mix = Mix(stack, options.accounts)
        assert mix.engine.process is not None
        if options.pid_file:
            options.pid_file.write_text(str(mix.engine.process.pid))
        mix.settled(0)
        before = mix.cpu()
        time.sleep(IDLE_SECONDS)
        idle = (mix.cpu() - before) / IDLE_SECONDS
        before, began = mix.cpu(), time.monotonic()
        arriving = threading.Thread(target=mix.arrive, args=(options.seconds, options.arriving))
        arriving.start()
        sent = mix.send(options.seconds, options.sent)
        arriving.join()
        mix.settled(sent)
        used, took = mix.cpu() - before, time.monotonic() - began
        messages = sent + int(options.seconds * options.arriving)
        print(
            json.dumps(
                {
                    "messages": messages,
                    "cpuMsPerMessage": round(1000 * used / messages, 2),
                    "cores": round(used / took, 3),
                    "coresIdle": round(idle, 4),
                    "memoryMb": round(mix.engine.memory(), 1),
                }
            )
        )


if __name__ == "__main__":
    main()
