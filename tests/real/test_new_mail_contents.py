"""What `messageNew` includes by the settings, and how the engine names itself, at a real Dovecot."""

from __future__ import annotations

import base64
import imaplib
from collections.abc import Iterator
from typing import Any

import pytest
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.processes import PATIENCE_SECONDS, wait_until
from real.servers import EXPIRED_HOST
from real.webhook_receiver import WebhookReceiver

pytestmark = [pytest.mark.real, pytest.mark.process]

CALENDAR = (
    b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@x.example\r\nSUMMARY:Lunch\r\n"
    b"DTSTART;TZID=Europe/Tallinn:20261122T110000\r\nDTEND:20261122T100000Z\r\n"
    b"ORGANIZER:mailto:alice@x.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
PIXEL = b"\x89PNG\r\n\x1a\n pixel"
FILE = b"some file " * 50


def part(kind: str, content: bytes, *more: str) -> str:
    lines = [
        f"Content-Type: {kind}",
        "Content-Transfer-Encoding: base64",
        *more,
        "",
        base64.encodebytes(content).decode(),
    ]
    return "--b\r\n" + "\r\n".join(lines).replace("\n\n", "\n")


LETTER = (
    "From: Alice <alice@x.example>\r\nTo: jane@x.example\r\nSubject: Lunch\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + part("text/html; charset=utf-8", b'<p onclick="x()">hi <img src="cid:pixel"></p>')
    + part("image/png", PIXEL, "Content-ID: <pixel>")
    + part("application/pdf; name=a.pdf", FILE, "Content-Disposition: attachment; filename=a.pdf")
    + part("text/calendar; method=REQUEST", CALENDAR)
    + "--b--\r\n"
).encode()


class Person:
    def __init__(self, engine: EngineProcess, dovecot: Dovecot) -> None:
        self.engine = engine
        self.login, self.password = dovecot.user()
        self.imap: dict[str, Any] = {
            "host": dovecot.plain_host,
            "port": dovecot.plain_port,
            "auth": {"user": self.login, "pass": self.password},
        }
        self.client = imaplib.IMAP4(dovecot.plain_host, dovecot.plain_port, PATIENCE_SECONDS)
        self.client.login(self.login, self.password)

    def register(self, **more: Any) -> None:
        given = {"account": "jane", "name": "Jane", "email": self.login, "imap": self.imap, **more}
        assert self.engine.request("POST", "/v1/account", given).status == 200
        self.engine.wait_for_state("jane", "connected")

    def deliver(self, folder: str = "INBOX", raw: bytes = LETTER) -> dict[str, Any]:
        count = len(self.told())
        assert self.client.append(folder, "", "", raw)[0] == "OK"
        self.engine.request("PUT", "/v1/account/jane/sync", {"sync": True})
        wait_until(lambda: len(self.told()) > count, "the new message")
        return dict(self.told()[-1]["data"])

    def told(self) -> list[dict[str, Any]]:
        return list(self.engine.request("GET", "/v1/events?limit=1000&account=jane&events=messageNew").json["events"])

    def settings(self, **given: Any) -> None:
        answer = self.engine.request("POST", "/v1/settings", given)
        assert answer.status == 200, answer


@pytest.fixture
def person(engine: EngineProcess, dovecot: Dovecot) -> Iterator[Person]:
    person = Person(engine, dovecot)
    yield person
    person.client.shutdown()


def test_contents(person: Person) -> None:
    person.register()
    bare = person.deliver()
    assert "calendarEvents" not in bare and "html" not in bare["text"]
    assert not any("content" in each for each in bare["attachments"])
    person.settings(notifyText=True, notifyWebSafeHtml=True, notifyAttachments=True, notifyCalendarEvents=True)
    full = person.deliver()
    assert full["text"]["webSafe"] is True
    assert "onclick" not in full["text"]["html"]
    assert f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}" in full["text"]["html"]
    contents = {each["contentType"]: base64.b64decode(each["content"]) for each in full["attachments"]}
    assert contents == {"image/png": PIXEL, "application/pdf": FILE, "text/calendar": CALENDAR}
    (invitation,) = full["calendarEvents"]
    assert base64.b64decode(invitation.pop("content")) == CALENDAR
    ids = {each["contentType"]: each["id"] for each in full["attachments"]}
    assert invitation == {
        "eventId": "1@x.example",
        "attachment": ids["text/calendar"],
        "method": "REQUEST",
        "summary": "Lunch",
        "timezone": "Europe/Tallinn",
        "startDate": "2026-11-22T09:00:00.000Z",
        "endDate": "2026-11-22T10:00:00.000Z",
        "organizer": "alice@x.example",
        "filename": "invite.ics",
        "contentType": "text/calendar",
        "encoding": "base64",
    }
    person.settings(notifyAttachmentSize=100)
    small = person.deliver()
    assert [each["contentType"] for each in small["attachments"] if "content" in each] == ["image/png"]


def test_a_file_without_room_is_left_out(person: Person) -> None:
    person.register()
    person.settings(notifyAttachments=True)
    large = LETTER.replace(base64.encodebytes(FILE).replace(b"\n\n", b"\n"), base64.encodebytes(FILE * 300))
    assert len(large) > 180_000
    told = person.deliver(raw=large)
    assert [each["contentType"] for each in told["attachments"] if "content" not in each] == ["application/pdf"]


def test_only_mail_in_the_inbox_is_posted(person: Person, webhook_receiver: WebhookReceiver) -> None:
    person.settings(webhooks=webhook_receiver.url, webhooksEnabled=True, inboxNewOnly=True)
    person.register()
    assert person.deliver("Trash")["path"] == "Trash"
    assert person.deliver("INBOX")["path"] == "INBOX"
    posted = webhook_receiver.wait_for("messageNew")
    assert [each["path"] for each in posted] == ["INBOX"]
    assert webhook_receiver.wait_for("mailboxNew", 5)


def test_the_engine_names_itself_as_it_is_told(person: Person) -> None:
    person.settings(imapClientName="Acme Mail", imapClientVersion="7", imapClientSupportUrl="mailto:help@x.example")
    person.register(logs=True)
    log = person.engine.request("GET", "/v1/logs/jane").body.decode()
    assert 'ID (\\"name\\" \\"Acme Mail\\" \\"version\\" \\"7\\" \\"support-url\\" \\"mailto:help@x.example\\")' in log


def test_certificates_that_are_not_trusted(person: Person, dovecot: Dovecot) -> None:
    tls = {"host": EXPIRED_HOST, "port": dovecot.tls_port, "secure": True}
    lax = {**person.imap, **tls}
    for name, imap in (("lax", lax), ("strict", {**lax, "tls": {"rejectUnauthorized": True}})):
        given = {"account": name, "name": "x", "imap": imap}
        assert person.engine.request("POST", "/v1/account", given).status == 200
        person.engine.wait_for_state(name, "connectError")
    person.settings(ignoreMailCertErrors=True)
    person.engine.wait_for_state("lax", "connected")
    assert person.engine.request("GET", "/v1/account/strict").json["state"] != "connected"
    person.settings(ignoreMailCertErrors=False)
    person.engine.wait_for_state("lax", "connectError")
