"""The one account whose mailbox the tests fill, and the events about it."""

from __future__ import annotations

from simulation import Engine

from engine.sandbox.accounts import SandboxAccount, SandboxFolder
from engine.sandbox.faults import EXTENSIONS

SERVERS = {
    "everything": frozenset[str](),
    "condstore": frozenset({"QRESYNC", "ENABLE"}),
    "no modseq": frozenset({"QRESYNC", "CONDSTORE", "ENABLE", "ESEARCH", "LIST-STATUS"}),
    "nothing": EXTENSIONS,
}
"""What mail servers cannot do."""

MAIL = (
    b"From: =?utf-8?q?=C3=84lice?= <alice@x.example>\r\nTo: acme@sandbox.example\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <%d@x.example>\r\nX-Tag: one\r\nX-Tag: two\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n"
    b'--b\r\nContent-Type: text/plain; name="a.txt"\r\n'
    b'Content-Disposition: attachment; filename="a.txt"\r\n\r\nx\r\n--b--\r\n'
)


def box(engine: Engine) -> SandboxAccount:
    return engine.sandbox.account("acme@sandbox.example")


def folder(engine: Engine, path: str = "INBOX") -> SandboxFolder:
    return box(engine).folder(path)


def deliver(engine: Engine, number: int = 1, path: str = "INBOX", flags: tuple[str, ...] = (), age: float = 0) -> int:
    now = engine.context.world.now()
    return folder(engine, path).add(MAIL % number, now - age, flags).uid


def mail_events(engine: Engine) -> list[tuple[str, str, int]]:
    names = ("messageNew", "messageUpdated", "messageDeleted", "messageMissing")
    return [
        (each["event"], each["data"]["path"], each["data"]["uid"])
        for each in engine.events("acme")
        if each["event"] in names
    ]
