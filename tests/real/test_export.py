"""Exports of mailboxes at a real Dovecot: complete, over a crash too, ended in order, removed in time."""

from __future__ import annotations

import base64
import gzip
import imaplib
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.processes import PATIENCE_SECONDS, wait_until

pytestmark = [pytest.mark.real, pytest.mark.process]

SPAN = {"startDate": "2026-03-01T00:00:00Z", "endDate": "2026-04-01T00:00:00Z"}
FILE = b"content of a file " * 3000
WITH_FILE = (
    b"From: alice@x.example\r\nSubject: file\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(FILE)
    + b"\r\n--b--\r\n"
)


class Exporter:
    def __init__(self, engine: EngineProcess, dovecot: Dovecot, account: str = "jane") -> None:
        self.engine, self.account = engine, account
        login, password = dovecot.user()
        self.client = imaplib.IMAP4(dovecot.plain_host, dovecot.plain_port, PATIENCE_SECONDS)
        self.client.login(login, password)
        imap = {"host": dovecot.plain_host, "port": dovecot.plain_port, "auth": {"user": login, "pass": password}}
        given = {"account": account, "name": "Jane", "email": login, "imap": imap}
        assert engine.request("POST", "/v1/account", given).status == 200
        engine.wait_for_state(account, "connected")

    def append(self, number: int, day: str = "15-Mar-2026", folder: str = "INBOX", raw: bytes | None = None) -> None:
        text = raw or b"From: a@x.example\r\nSubject: mail %d\r\n\r\n%s\r\n" % (number, b"text %d " % number * 300)
        assert self.client.append(folder, "", f'"{day} 12:00:00 +0000"', text)[0] == "OK"

    def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.engine.request(method, f"/v1/account/{self.account}/{path}", body)
        assert answer.status == status, answer
        return answer.body if answer.json is None else answer.json

    def start(self, **more: Any) -> str:
        made = self.ask("POST", "export", {**SPAN, **more})
        assert made["status"] == "queued"
        return str(made["exportId"])

    def ended(self, export: str) -> dict[str, Any]:
        wait_until(lambda: self.ask("GET", f"export/{export}")["status"] in ("completed", "failed"), "the export")
        return dict(self.ask("GET", f"export/{export}"))

    def is_beyond(self, export: str, exported: int) -> bool:
        told = self.ask("GET", f"export/{export}")
        return told["status"] == "completed" or told["progress"]["messagesExported"] > exported

    def lines(self, export: str) -> list[dict[str, Any]]:
        packed = self.ask("GET", f"export/{export}/download")
        return [json.loads(line) for line in gzip.decompress(packed).splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        found = self.engine.request("GET", f"/v1/events?limit=1000&account={self.account}&events={name}").json
        return [each["data"] for each in found["events"]]


Make = Callable[[EngineProcess], Exporter]


@pytest.fixture
def exporter(dovecot: Dovecot) -> Iterator[Make]:
    made: list[Exporter] = []

    def make(engine: EngineProcess) -> Exporter:
        made.append(Exporter(engine, dovecot))
        return made[-1]

    yield make
    for each in made:
        each.client.shutdown()


def test_a_span_of_some_folders(engine: EngineProcess, exporter: Make) -> None:
    one = exporter(engine)
    for number, day in enumerate(("28-Feb-2026", "01-Mar-2026", "31-Mar-2026", "01-Apr-2026")):
        one.append(number, day)
    one.append(10, folder="Trash")
    one.append(11, folder="Sent", raw=WITH_FILE)
    export = one.start(folders=["INBOX", "\\Sent", "INBOX"], includeAttachments=True)
    told = one.ended(export)
    assert (told["status"], told["phase"], told["error"], told["truncated"]) == ("completed", "complete", None, False)
    lines = one.lines(export)
    assert [(each["path"], each["subject"]) for each in lines] == [
        ("INBOX", "mail 1"),
        ("INBOX", "mail 2"),
        ("Sent", "file"),
    ]
    assert lines[0]["text"]["plain"].startswith("text 1 text 1")
    assert lines[0]["headers"]["from"] == ["a@x.example"]
    assert lines[2]["text"]["plain"].strip() == "Grüße"
    (attachment,) = lines[2]["attachments"]
    assert base64.b64decode(attachment["content"]) == FILE
    shown = one.ask("GET", f"message/{lines[2]['id']}")
    assert shown["attachments"] == [{name: value for name, value in attachment.items() if name != "content"}]

    progress = told["progress"]
    assert (progress["foldersScanned"], progress["foldersTotal"], progress["messagesExported"]) == (2, 2, 3)
    (completed,) = one.events("exportCompleted")
    assert (completed["exportId"], completed["folders"]) == (export, ["INBOX", "Sent"])
    assert (completed["messagesExported"], completed["messagesSkipped"]) == (3, 0)
    assert (completed["bytesWritten"], completed["expiresAt"]) == (progress["bytesWritten"], told["expiresAt"])
    assert (completed["startDate"], completed["endDate"]) == ("2026-03-01T00:00:00.000Z", "2026-04-01T00:00:00.000Z")

    headers = {"Range": "bytes=0-9"}
    part = engine.request("GET", f"/v1/account/jane/export/{export}/download", headers=headers)
    assert (part.status, len(part.body), part.headers["Content-Type"]) == (206, 10, "application/gzip")
    listed = one.ask("GET", "exports")
    assert [each["exportId"] for each in listed["exports"]] == [export]
    assert one.ask("DELETE", f"export/{export}") == {"deleted": True}
    for method, path in (("GET", ""), ("GET", "/download"), ("DELETE", "")):
        one.ask(method, f"export/{export}{path}", status=404)
    assert list((engine.folder / "exports").iterdir()) == []


def test_text_and_files_only_where_wanted(engine: EngineProcess, exporter: Make) -> None:
    one = exporter(engine)
    one.append(1)
    one.append(2, raw=WITH_FILE)
    export = one.start(maxBytes=10, textType="plain")
    one.ended(export)
    first, second = one.lines(export)
    assert (first["text"]["plain"], first["text"]["hasMore"]) == ("text 1 tex", True)
    assert "content" not in second["attachments"][0]


@pytest.mark.long
def test_a_crash_repeats_nothing_and_leaves_nothing_out(engine: EngineProcess, exporter: Make) -> None:
    one = exporter(engine)
    total = 600
    for number in range(total):
        one.append(number, raw=WITH_FILE.replace(b"Subject: file", b"Subject: mail %d" % number))
    export = one.start(includeAttachments=True)
    crashes = 0
    while one.ask("GET", f"export/{export}")["status"] != "completed" and crashes < 4:
        before = one.ask("GET", f"export/{export}")["progress"]["messagesExported"]
        time.sleep(1.0)
        engine.kill9()
        engine.start()
        crashes += 1
        # Each start gets at least one turn further, so that this ends.
        wait_until(partial(one.is_beyond, export, before), "some progress")
    assert crashes
    assert one.ended(export)["progress"]["messagesExported"] == total
    lines = one.lines(export)
    assert [each["subject"] for each in lines] == [f"mail {number}" for number in range(total)]
    assert all(base64.b64decode(each["attachments"][0]["content"]) == FILE for each in lines)
    assert len(one.events("exportCompleted")) == 1


def test_limits_cut_it_short(engine: EngineProcess, exporter: Make) -> None:
    one = exporter(engine)
    for number in range(5):
        one.append(number)
    assert engine.request("POST", "/v1/settings", {"exportMaxMessages": 3}).status == 200
    export = one.start()
    told = one.ended(export)
    assert (told["status"], told["truncated"], told["progress"]["messagesExported"]) == ("completed", True, 3)
    assert len(one.lines(export)) == 3


def test_what_cannot_be_exported_fails(engine: EngineProcess, exporter: Make) -> None:
    one = exporter(engine)
    export = one.start(folders="No such folder")
    told = one.ended(export)
    assert (told["status"], told["error"]) == ("failed", "There is no folder No such folder")
    (failed,) = one.events("exportFailed")
    assert (failed["exportId"], failed["errorCode"], failed["phase"]) == (export, "MailboxNotFound", "indexing")
    one.ask("GET", f"export/{export}/download", status=409)
    wrong = {"startDate": SPAN["endDate"], "endDate": SPAN["startDate"]}
    refused = one.ask("POST", "export", wrong, status=400)
    assert [each["key"] for each in refused["fields"]] == ["endDate"]


def test_without_room(start_engine: Callable[..., EngineProcess], exporter: Make) -> None:
    engine = start_engine(ENGINE_EXPORT__QUOTA="100B")
    one = exporter(engine)
    one.append(1)
    assert one.ended(one.start())["status"] == "completed"
    assert one.ask("POST", "export", SPAN, status=507)["message"].startswith("The files of all exports")


def test_removed_in_time_and_with_the_account(start_engine: Callable[..., EngineProcess], exporter: Make) -> None:
    engine = start_engine(ENGINE_EXPORT__KEEP="1s")
    one = exporter(engine)
    export = one.start()
    wait_until(lambda: one.events("exportCompleted"), "the export")
    time.sleep(1.1)
    engine.restart()
    one.engine.wait_for_state("jane", "connected")
    wait_until(lambda: list((engine.folder / "exports").iterdir()) == [], "its end")
    one.ask("GET", f"export/{export}", status=404)


def test_it_goes_with_its_account(engine: EngineProcess, exporter: Make) -> None:
    one = exporter(engine)
    one.append(1)
    one.ended(one.start())
    assert engine.request("DELETE", "/v1/account/jane").status == 200
    engine.restart()
    wait_until(lambda: list((engine.folder / "exports").iterdir()) == [], "its end")
