"""Replies and forwards of a message at a real Dovecot, as they arrive at Postfix's sink, and the marks afterwards."""

from __future__ import annotations

import base64
import email
import email.policy
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from real.certificates import Certificates
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.servers import private_folder
from real.shared_mailbox import SharedMailbox
from real.smtp_sink import SmtpSink

from engine.isotime import iso

pytestmark = [pytest.mark.real, pytest.mark.process]

PICTURE, TABLE = b"\x89PNG\r\n\x1a\n one", "a;b\r\n1;2\r\n".encode("utf-16")


class Mailbox(SharedMailbox):
    """The mailbox, and what the account sends."""

    def __init__(self, engine: EngineProcess, dovecot: Dovecot, sink: SmtpSink) -> None:
        super().__init__(engine, dovecot)
        self.sink = sink
        smtp = {"host": sink.host, "port": sink.port, "secure": False, "auth": False}
        assert engine.request("PUT", "/v1/account/jane", {"smtp": smtp}).status == 200
        engine.wait_for_state("jane", "connected")
        self.address = str(self.ask("GET", "")["email"])

    def put(self, message: bytes) -> str:
        """Put a message into INBOX; return its id."""
        assert self.client.append("INBOX", "", "", message.replace(b"\n", b"\r\n"))[0] == "OK"
        wait_until(lambda: bool(self.events("messageNew")), "the message to be seen")
        return str(self.ask("GET", "messages?path=INBOX")["messages"][0]["id"])

    def flags(self, uid: int = 1) -> bytes:
        assert self.client.select("INBOX", readonly=True)[0] == "OK"
        return b" ".join(line for line in self.client.uid("FETCH", str(uid), "(FLAGS)")[1] if isinstance(line, bytes))

    def sent_raw(self, count: int) -> list[bytes]:
        # The sink has a file from the first octet on.
        wait_until(lambda: len(self.events("messageSent")) >= count, "the messages to be sent")
        return self.sink.wait_for_messages(count)

    def sent(self, count: int = 1) -> list[EmailMessage]:
        found = []
        for raw in self.sent_raw(count):
            message = email.message_from_bytes(raw, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            assert not message.defects
            found.append(message)
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        told = self.engine.request("GET", f"/v1/events?limit=1000&account=jane&events={name}&after=0").json["events"]
        return list(told)


def original(me: str) -> bytes:
    message = EmailMessage()
    message["From"] = "Zoë <zoe@x.example>"
    message["To"] = f"{me}, Bob <bob@x.example>"
    message["Cc"] = "carol@x.example"
    message["Subject"] = "Grüße 🎈"
    message["Message-ID"] = "<2@x.example>"
    message["In-Reply-To"] = "<1@x.example>"
    message["Date"] = "Sun, 22 Nov 2026 12:45:00 +0100"
    message.set_content("Hallo,\n\n> früher\nשלום\n")
    message.add_alternative(
        "<html><head><style>p{color:red}</style></head><body><p>Hallo</p><img src='cid:l@x'></div></blockquote>"
        "<script>alert(1)</script><p>שלום</body></html>",
        subtype="html",
    )
    html = message.get_body(("html",))
    assert html is not None
    html.add_related(PICTURE, "image", "png", cid="<l@x>", filename="l.png")
    message.add_attachment(TABLE, "text", "csv", filename="Übersicht.csv", params={"charset": "utf-16"})
    message.add_attachment(b"%PDF " + os.urandom(100_000), "application", "pdf", filename="a.pdf")
    return message.as_bytes()


@pytest.fixture
def mailbox(engine: EngineProcess, dovecot: Dovecot, smtp_sink: SmtpSink) -> Iterator[Mailbox]:
    mailbox = Mailbox(engine, dovecot, smtp_sink)
    yield mailbox
    mailbox.client.shutdown()


def test_a_reply_to_all(mailbox: Mailbox) -> None:
    id = mailbox.put(original(mailbox.address))
    reference = {"message": id, "action": "reply-all", "inline": True}
    body = {"text": "Danke", "html": "<p>Danke</p>", "reference": reference, "locale": "de", "tz": "Europe/Berlin"}
    done = mailbox.ask("POST", "submit", body)
    assert done["reference"] == {"message": id, "documentStore": False, "success": True}
    (sent,) = mailbox.sent()
    assert (sent["Subject"], sent["Cc"]) == ("Re: Grüße 🎈", "carol@x.example")
    assert sent["To"] == "Zoë <zoe@x.example>, Bob <bob@x.example>"
    assert (sent["In-Reply-To"], sent["References"]) == ("<2@x.example>", "<1@x.example> <2@x.example>")
    plain = sent.get_body(("plain",)).get_content()
    line = "Am 22.11.2026 um 12:45 schrieb Zoë:"
    assert plain.replace("\r\n", "\n").rstrip() == f"Danke\n\n{line}\n> Hallo,\n>\n>> früher\n> שלום"
    html = sent.get_body(("html",)).get_content()
    assert html.count("<p>Danke</p>") == html.count("cid:l@x") == html.count("</blockquote>") == 1
    assert "script" not in html
    assert "style>" not in html
    pictures = [part.get_content() for part in sent.walk() if part["Content-ID"] == "<l@x>"]
    assert pictures == [PICTURE]
    wait_until(lambda: b"\\Answered" in mailbox.flags(), "the mark")
    wait_until(lambda: bool(mailbox.events("messageUpdated")), "its event")
    (event,) = mailbox.events("messageUpdated")
    assert (event["data"]["id"], event["data"]["source"]) == (id, "api")


def test_a_forward(mailbox: Mailbox) -> None:
    raw = original(mailbox.address)
    id = mailbox.put(raw)
    reference = {"message": id, "action": "forward", "inline": True, "forwardAttachments": True}
    mailbox.ask("POST", "submit", {"to": "dave@x.example", "html": "<body>zur Info</body>", "reference": reference})
    (sent,) = mailbox.sent()
    assert (sent["Subject"], sent["To"], sent["In-Reply-To"]) == ("Fwd: Grüße 🎈", "dave@x.example", None)
    before = email.message_from_bytes(raw, policy=email.policy.default)
    files = {part.get_filename(): part.get_payload(decode=True) for part in before.walk() if part.get_filename()}
    assert len(files) == 3
    after = {part.get_filename(): part.get_payload(decode=True) for part in sent.walk() if part.get_filename()}
    assert after == files
    wait_until(lambda: b"$Forwarded" in mailbox.flags(), "the mark")
    assert b"\\Answered" not in mailbox.flags()


def test_a_file_of_another_message_in_a_draft(mailbox: Mailbox) -> None:
    id = mailbox.put(original(mailbox.address))
    pdf = next(each for each in mailbox.ask("GET", f"message/{id}")["attachments"] if each["filename"] == "a.pdf")
    body = {"path": "INBOX", "text": "x", "attachments": [{"reference": pdf["id"]}], "reference": {"message": id}}
    done = mailbox.ask("POST", "message", body)
    shown = mailbox.ask("GET", f"message/{done['id']}")
    assert (shown["subject"], shown["inReplyTo"]) == ("Re: Grüße 🎈", "<2@x.example>")
    (file,) = shown["attachments"]
    assert file["filename"] == "a.pdf"
    target = "attachment/"
    assert mailbox.ask("GET", target + file["id"]) == mailbox.ask("GET", target + pdf["id"])


def test_killed_after_sending_and_before_the_mark(
    start_engine: Callable[..., EngineProcess], certificates: Certificates, smtp_sink: SmtpSink
) -> None:
    with private_folder("dovecot") as folder:
        dovecot = Dovecot(folder, certificates)
        dovecot.start()
        try:
            engine = start_engine()
            mailbox = Mailbox(engine, dovecot, smtp_sink)
            id = mailbox.put(original(mailbox.address))
            body = {"text": "x", "reference": {"message": id}, "sendAt": iso(time.time() + 2)}
            mailbox.ask("POST", "submit", body)
            mailbox.client.shutdown()
            dovecot.stop()
            wait_until(lambda: bool(mailbox.events("messageSent")), "the message to be sent")
            engine.kill9()
            dovecot.start()
            engine.start()
            engine.wait_for_state("jane", "connected")
            wait_until(lambda: _answered(mailbox, id), "the mark")
            mailbox.sent(1)
            assert len(mailbox.sink.messages()) == 1
        finally:
            dovecot.stop()


def peak_of(pid: int) -> int:
    """The most memory that a process has had, in octets."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def _answered(mailbox: Mailbox, id: str) -> bool:
    return bool(mailbox.ask("GET", f"message/{id}").get("answered", False))


@pytest.mark.executed
def test_a_large_forward_takes_little_memory(mailbox: Mailbox) -> None:
    big = EmailMessage()
    big["From"], big["Subject"], big["Message-ID"] = "a@x.example", "big", "<big@x.example>"
    big.set_content("x")
    big.add_attachment(os.urandom(22_000_000), "application", "zip", filename="big.zip")
    id = mailbox.put(big.as_bytes())
    reference = {"message": id, "action": "forward", "forwardAttachments": True}
    before = peak_of(mailbox.engine.pid)
    mailbox.ask("POST", "submit", {"to": "dave@x.example", "text": "x", "reference": reference})
    took = peak_of(mailbox.engine.pid) - before
    assert took < 160 * 1024**2
    (sent,) = mailbox.sent()
    assert len([part for part in sent.walk() if part.get_filename() == "big.zip"]) == 1


@pytest.mark.executed
@pytest.mark.long
def test_ten_large_forwards_at_once_take_little_memory(mailbox: Mailbox) -> None:
    big = EmailMessage()
    big["From"], big["Subject"], big["Message-ID"] = "a@x.example", "big", "<big@x.example>"
    big.set_content("x")
    content = os.urandom(25_000_000)
    big.add_attachment(content, "application", "zip", filename="big.zip")
    id = mailbox.put(big.as_bytes())
    (file,) = mailbox.ask("GET", f"message/{id}")["attachments"]
    reference = {"message": id, "action": "forward", "forwardAttachments": True}

    def submit(number: int) -> None:
        body: dict[str, Any] = {"to": "dave@x.example", "text": "x"}
        by_itself = {"attachments": [{"reference": file["id"]}]}
        body |= by_itself if number % 2 else {"reference": reference}
        answer = mailbox.engine.request("POST", "/v1/account/jane/submit", body, headers={"x-ee-timeout": "60000"})
        assert answer.status == 200, answer

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(submit, range(10)))
    encoded = base64.encodebytes(content)
    for raw in mailbox.sent_raw(10):
        # Python takes seconds to read a message of this size, so it reads one with the content replaced.
        small = raw.translate(None, b"\r").replace(encoded, base64.encodebytes(b"that"))
        (attached,) = [part for part in email.message_from_bytes(small).walk() if part.get_filename() == "big.zip"]
        assert attached.get_payload(decode=True) == b"that"
    assert peak_of(mailbox.engine.pid) < 200 * 1024**2
