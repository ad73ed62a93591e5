"""What reading a mailbox costs here, beside two IMAP clients that ask the same server for the same.

One engine process, one account at a real Dovecot (root only) with 10,000 messages in its inbox and one with a large
file in another folder. Both clients are logged in and have the folder selected. The client does what a program without
the engine would: IMAPClient takes the answers apart, Python's email package decodes them, and JSON comes out. The bare
client is the least there can be: it sends the commands that are needed and reads the answers to their end, without
parsing them; a file it decodes. All take turns, so that they see the same machine; the processor time of the engine is
told beside. Everything is on loopback and ends by itself.
"""

from __future__ import annotations

import base64
import binascii
import os
import random
import re
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench_accounts import REPOSITORY, Engine, wait
from bench_parts.imap_client import MailboxClient

MESSAGES = 10_000
PAGE = 20
ROUNDS = 200
FILE_BYTES = 25_000_000
DOWNLOADS = 8
CLIENTS = 16
DESCRIPTION = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE"
LITERAL = re.compile(rb"\{(\d+)\}\r\n$")
MAIL = """\
From: =?utf-8?q?J=C3=BCrgen?= <juergen{number}@x.example>
To: Jane <jane@x.example>, Bob <bob@x.example>
Cc: list@x.example
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= number {number}
Date: Sun, 22 Nov 2026 11:00:00 +0000
Message-ID: <{number}@x.example>
In-Reply-To: <{before}@x.example>
References: <{before}@x.example>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="b"

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

{plain}
--b
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p>{plain}</p>
--b--
"""


class Bare:
    """A client of one folder; it reads answers without looking at them."""

    def __init__(self, server: dict[str, Any], folder: str) -> None:
        self.socket = socket.create_connection((server["host"], server["port"]))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", buffering=1 << 18)
        self.file.readline()
        auth = server["auth"]
        self.ask(f'LOGIN "{auth["user"]}" "{auth["pass"]}"')
        self.ask(f"EXAMINE {folder}")

    def ask(self, command: str) -> list[bytes]:
        """The lines and the literals of the answer."""
        self.socket.sendall(f"a {command}\r\n".encode())
        found: list[bytes] = []
        while True:
            line = self.file.readline()
            found.append(line)
            if line.startswith(b"a ") or not line:
                if not line.startswith(b"a OK"):
                    raise SystemExit(f"{command}: {line!r}")
                return found
            if line.endswith(b"}\r\n") and (literal := LITERAL.search(line)):
                found.append(self.file.read(int(literal[1])))

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Client:
    """A client of the engine on one connection."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.engine.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", buffering=1 << 18)

    def get(self, target: str) -> int:
        """How many octets the answer has."""
        head = f"GET /v1/account/jane/{target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.engine.token}\r\n\r\n"
        self.socket.sendall(head.encode())
        if b" 200" not in (status := self.file.readline()):
            raise SystemExit(f"{target}: {status!r}")
        fields = {}
        while (line := self.file.readline()) != b"\r\n":
            name, _, value = line.lower().partition(b":")
            fields[name] = value.strip()
        if b"content-length" in fields:
            total = self._skip(int(fields[b"content-length"]))
        else:
            total = 0
            while size := int(self.file.readline(), 16):
                total += self._skip(size)
                self.file.readline()
            self.file.readline()
        if fields.get(b"connection") == b"close":
            self.socket.close()
            self._connect()
        return total

    def _skip(self, octets: int) -> int:
        left = octets
        while left:
            left -= len(self.file.read(min(left, 1 << 18)))
        return octets


def dovecot(stack: ExitStack) -> dict[str, Any]:
    """A private Dovecot with the mailbox in it; the server of its registration."""
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from real.certificates import Certificates
    from real.dovecot import Dovecot
    from real.servers import VMAIL_UID, private_folder

    certificates = Certificates(stack.enter_context(private_folder("certificates")))
    server = Dovecot(stack.enter_context(private_folder("dovecot")), certificates)
    login, password = server.user("jane")
    maildir = server.folder / "mail" / login / "Maildir"
    fill(
        maildir, [MAIL.format(number=each, before=each - 1, plain="Grüße aus Köln. " * 20) for each in range(MESSAGES)]
    )
    fill(maildir / ".Large", [large_message()])
    for path in (maildir.parent, *maildir.parent.rglob("*")):
        os.chown(path, VMAIL_UID, VMAIL_UID)
    stack.callback(server.stop)
    server.start()
    return {
        "host": server.plain_host,
        "port": server.plain_port,
        "secure": False,
        "auth": {"user": login, "pass": password},
    }


def fill(maildir: Path, messages: list[str]) -> None:
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True)
    for number, text in enumerate(messages, 1):
        raw = text.replace("\n", "\r\n").encode()
        (maildir / "cur" / f"{1_700_000_000 + number}.M{number}.x,S={len(raw)}:2,").write_bytes(raw)


def large_message() -> str:
    content = base64.encodebytes(random.Random(4711).randbytes(FILE_BYTES)).decode()
    return (
        'Subject: large\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n--b\n\nsee the file\n--b\n'
        "Content-Type: application/zip\nContent-Transfer-Encoding: base64\n"
        f'Content-Disposition: attachment; filename="large.zip"\n\n{content}--b--\n'
    )


def timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def compare(
    what: str, rounds: int, engine: Engine, ask: Callable[[int], object], **others: Callable[[int], object]
) -> None:
    """All in turns: the medians, and what each of the others takes beside the engine."""
    each = {"engine": ask, **others}
    for do in each.values():
        do(0)
    took: dict[str, list[float]] = {name: [] for name in each}
    used = 0.0
    for number in range(rounds):
        for name, do in each.items():
            before = engine.cpu()
            took[name].append(timed(lambda do=do, n=number: do(n)))  # type: ignore[misc]
            if name == "engine":
                used += engine.cpu() - before
    median = {name: 1000 * statistics.median(times) for name, times in took.items()}
    ours = median["engine"]
    beside = ", ".join(
        f"the {name.replace('_', ' ')} {median[name]:.2f} ms ({ours / median[name]:.2f})" for name in others
    )
    print(f"{what}: {ours:.2f} ms ({1000 * used / rounds:.1f} ms of processor time), {beside}", flush=True)


def peak(engine: Engine, do: Callable[[], object]) -> float:
    """By how many MB the engine's memory rises at most while something is done."""
    assert engine.process is not None
    process = Path(f"/proc/{engine.process.pid}")
    (process / "clear_refs").write_text("5")
    before = engine.memory()
    do()
    return int((process / "status").read_text().partition("VmHWM:")[2].split()[0]) / 1024 - before


def at_once(engine: Engine, target: Callable[[int], str], count: int) -> float:
    """Requests a second of several clients."""
    clients = [Client(engine) for _ in range(CLIENTS)]

    def work(number: int) -> None:
        for each in range(number, count, CLIENTS):
            clients[number].get(target(each))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - began)


def main() -> None:
    with ExitStack() as stack:
        server = dovecot(stack)
        engine = Engine(stack)
        engine.start()
        body = {"account": "jane", "name": "Jane", "email": "jane@x.example", "imap": server}
        engine.request("POST", "/v1/account", body)
        wait(lambda: engine.connected() == 1, "the account")
        inbox = "messages?path=INBOX"
        wait(lambda: engine.request("GET", f"/v1/account/jane/{inbox}").get("total") == MESSAGES, "the messages")
        newest = engine.request("GET", f"/v1/account/jane/{inbox}&pageSize=1000")["messages"]
        ids = [each["id"] for each in newest]
        client, bare = Client(engine), Bare(server, "INBOX")
        first = MESSAGES - PAGE + 1

        def listed(number: int) -> None:
            bare.ask("NOOP")
            bare.ask(f"FETCH {first}:{MESSAGES} ({DESCRIPTION})")

        known = MailboxClient(server, "INBOX")
        stack.callback(known.close)

        def get_page(number: int) -> None:
            client.get(f"{inbox}&pageSize={PAGE}")

        compare(
            f"a list of {PAGE} of {MESSAGES:,}",
            ROUNDS,
            engine,
            get_page,
            client=lambda n: known.page(first, MESSAGES),
            bare_client=listed,
        )

        def anew(number: int) -> None:
            other = Bare(server, "INBOX")
            other.ask(f"FETCH {first}:{MESSAGES} ({DESCRIPTION})")
            other.ask("LOGOUT")
            other.close()

        compare("the same, the bare client connects anew", 50, engine, get_page, bare_client=anew)

        def read(number: int) -> None:
            bare.ask(f"FETCH {MESSAGES - number} ({DESCRIPTION} BODY.PEEK[HEADER])")
            bare.ask(f"FETCH {MESSAGES - number} (BODY.PEEK[1] BODY.PEEK[2])")

        compare(
            "a message with its text",
            ROUNDS,
            engine,
            lambda n: client.get(f"message/{ids[n]}?textType=*"),
            client=lambda n: known.message(MESSAGES - n),
            bare_client=read,
        )
        for what, target in (
            ("lists", lambda n: f"{inbox}&pageSize={PAGE}&page={n % 50}"),
            ("messages", lambda n: f"message/{ids[n]}?textType=*"),
        ):
            print(f"{CLIENTS} clients at once: {at_once(engine, target, 640):.0f} {what} a second", flush=True)
        large = engine.request("GET", "/v1/account/jane/messages?path=Large")["messages"][0]
        file = f"attachment/{large['attachments'][0]['id']}"
        bare.ask("EXAMINE Large")

        def decoded(number: int) -> None:
            assert len(binascii.a2b_base64(bare.ask("FETCH 1 BODY.PEEK[2]")[1])) == FILE_BYTES

        def passed_on(number: int) -> None:
            assert client.get(file) == FILE_BYTES

        # The first time: later ones find room that is there already.
        print(f"memory while a file passes: {peak(engine, lambda: passed_on(0)):.1f} MB more", flush=True)
        compare(f"a file of {FILE_BYTES / 1e6:.0f} MB", DOWNLOADS, engine, passed_on, bare_client=decoded)


if __name__ == "__main__":
    main()
