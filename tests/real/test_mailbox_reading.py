"""Lists, searches, messages, files and folders through the API of a real process, at a real Dovecot."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.processes import PATIENCE_SECONDS, wait_until
from real.shared_mailbox import SharedMailbox

pytestmark = [pytest.mark.real, pytest.mark.process]

LARGE_BYTES = 18 * 1024 * 1024
"""As large as a file can be in a message of 25 MB."""
LARGE = random.Random(4711).randbytes(LARGE_BYTES)


class Mailbox(SharedMailbox):
    """The mailbox, and what the engine says of it."""

    def append(self, raw: bytes, folder: str = "INBOX") -> None:
        assert self.client.append(folder, "", "", raw)[0] == "OK"

    def events(self, name: str) -> list[dict[str, Any]]:
        found = self.engine.request("GET", f"/v1/events?limit=1000&account=jane&events={name}").json["events"]
        return [each["data"] for each in found]

    def event(self, name: str, count: int = 1) -> dict[str, Any]:
        wait_until(lambda: len(self.events(name)) >= count, f"{count} {name}")
        return self.events(name)[-1]

    def get(self, target: str) -> Any:
        return self.ask("GET", target)

    @contextlib.contextmanager
    def download(self, target: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.engine.host, self.engine.port, timeout=PATIENCE_SECONDS)
        fields = {"Authorization": f"Bearer {self.engine.token}", **headers}
        try:
            connection.request("GET", f"/v1/account/jane/{target}", headers=fields)
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()


@pytest.fixture
def mailbox(engine: EngineProcess, dovecot: Dovecot) -> Iterator[Mailbox]:
    mailbox = Mailbox(engine, dovecot)
    yield mailbox
    mailbox.client.shutdown()


def letter(subject: str, text: str = "text", *headers: str) -> bytes:
    lines = (
        "From: Alice <alice@x.example>",
        "To: jane@x.example",
        f"Subject: =?utf-8?b?{base64.b64encode(subject.encode()).decode()}?=",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        *headers,
        "",
        text,
        "",
    )
    return "\r\n".join(lines).encode()


def with_file(content: bytes) -> bytes:
    """A message with some text and one attached file."""
    start = (
        b'Subject: large\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nsee the file\r\n--b\r\n'
        b"Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="large.zip"\r\n\r\n'
    )
    return start + base64.encodebytes(content).replace(b"\n", b"\r\n") + b"--b--\r\n"


def test_a_message_is_what_was_told_of_it(mailbox: Mailbox) -> None:
    raw = letter("Grüße aus Köln", "Schöne Grüße\r\naus Köln")
    mailbox.append(raw)
    told = mailbox.event("messageNew")
    listed = mailbox.get("messages?path=INBOX")
    assert (listed["total"], listed["pages"]) == (1, 1)
    (entry,) = listed["messages"]
    assert (entry["id"], entry["text"]["id"], entry["subject"]) == (told["id"], told["text"]["id"], "Grüße aus Köln")
    shown = mailbox.get(f"message/{told['id']}?textType=*")
    assert shown["text"]["plain"].splitlines() == ["Schöne Grüße", "aus Köln"]
    assert shown["date"] == told["date"]
    assert mailbox.get(f"text/{told['text']['id']}")["plain"] == shown["text"]["plain"]
    assert mailbox.get(f"message/{told['id']}/source") == raw
    with mailbox.download(f"message/{told['id']}/source", Range="bytes=10-29") as part:
        assert (part.status, part.read()) == (206, raw[10:30])
    assert mailbox.get(f"message/{told['id']}?markAsSeen=true")["flags"] == ["\\Seen"]
    assert mailbox.client.select()[0] == "OK"
    assert b"\\Seen" in mailbox.client.fetch("1", "FLAGS")[1][0]


def test_searches(mailbox: Mailbox) -> None:
    for number in range(1, 8):
        answered = f"In-Reply-To: <{number - 2}@x.example>" if number in (3, 5) else "X-Other: x"
        text = "Straße" if number % 2 else "street"
        mailbox.append(letter(f"Größe {number}", text, f"Message-ID: <{number}@x.example>", answered))
    mailbox.event("messageNew", 7)

    def found(query: str = "", **search: Any) -> list[int]:
        shown = mailbox.ask("POST", f"search?path=INBOX{query}", {"search": search})
        assert shown["total"] >= len(shown["messages"])
        return [each["uid"] for each in shown["messages"]]

    assert found(subject="größe") == [7, 6, 5, 4, 3, 2, 1]
    assert found("&pageSize=2", subject="größe") == [7, 6]
    assert found(body="straße") == [7, 5, 3, 1]
    assert found(subject="größe 6", body="street") == [6]
    assert found(header={"X-Other": ""}) == [7, 6, 4, 2, 1]
    assert found(seen=True) == []
    # A conversation, which Dovecot puts together itself (THREAD=REFERENCES).
    third = mailbox.events("messageNew")[2]["id"]
    assert found(threadId=third) == [5, 3, 1]
    answer = mailbox.engine.request("POST", "/v1/account/jane/search?path=INBOX", {"search": {"gmailRaw": "x"}})
    assert (answer.status, answer.json["code"]) == (422, "MissingServerExtension")
    everywhere = mailbox.ask("POST", "search?path=*&pageSize=3", {"search": {"from": "alice"}})
    assert (everywhere["total"], [each["uid"] for each in everywhere["messages"]]) == (7, [7, 6, 5])
    assert {each["path"] for each in everywhere["messages"]} == {"INBOX"}


def test_folders_are_made_renamed_and_removed(mailbox: Mailbox) -> None:
    made = mailbox.ask("POST", "mailbox", {"path": ["Küsse", "Grüße & mehr"]})
    assert made == {"path": "Küsse/Grüße & mehr", "created": True}
    assert mailbox.ask("POST", "mailbox", {"path": "Küsse/Grüße & mehr"})["created"] is False
    (told,) = [each for each in mailbox.events("mailboxNew") if each["path"] == "Küsse/Grüße & mehr"]
    assert told["source"] == "api"
    names = [each.split(b' "/" ')[1].strip(b'"') for each in mailbox.client.list()[1]]
    assert b"K&APw-sse/Gr&APwA3w-e &- mehr" in names
    mailbox.append(letter("in a folder"), '"K&APw-sse/Gr&APwA3w-e &- mehr"')
    mailbox.ask("PUT", "sync", {"sync": True})
    told = mailbox.event("messageNew")
    assert told["path"] == "Küsse/Grüße & mehr"

    renamed = mailbox.ask("PUT", "mailbox", {"path": "Küsse/Grüße & mehr", "newPath": "Neu"})
    assert renamed == {"path": "Küsse/Grüße & mehr", "newPath": "Neu", "renamed": True}
    assert mailbox.get(f"message/{told['id']}")["path"] == "Neu"
    listed = {each["path"]: each for each in mailbox.get("mailboxes?counters=true")["mailboxes"]}
    assert (listed["Neu"]["status"], listed["Neu"]["subscribed"]) == ({"messages": 1, "unseen": 1}, True)
    assert list(listed)[:2] == ["INBOX", "Sent"]

    assert mailbox.ask("DELETE", f"mailbox?path={quote('Neu')}") == {"path": "Neu", "deleted": True}
    assert mailbox.ask("DELETE", f"mailbox?path={quote('Neu')}")["deleted"] is False
    assert mailbox.engine.request("GET", f"/v1/account/jane/message/{told['id']}").status == 404
    # A round later nothing is announced twice.
    mailbox.ask("PUT", "sync", {"sync": True})
    mailbox.append(letter("after the round"))
    mailbox.event("messageNew", 2)
    assert [each["path"] for each in mailbox.events("mailboxDeleted")] == ["Küsse/Grüße & mehr", "Neu"]
    assert [each["path"] for each in mailbox.events("mailboxNew")].count("Neu") == 1
    assert len(mailbox.events("messageNew")) == 2


def test_a_folder_is_gone_though_dovecot_lists_it_for_those_below(mailbox: Mailbox) -> None:
    mailbox.ask("POST", "mailbox", {"path": "Above/Below"})
    mailbox.ask("POST", "mailbox", {"path": "Above"})
    mailbox.append(letter("in a folder"), "Above")
    mailbox.ask("PUT", "sync", {"sync": True})
    mailbox.event("messageNew")
    assert mailbox.ask("DELETE", "mailbox?path=Above") == {"path": "Above", "deleted": True}
    (told,) = mailbox.events("mailboxDeleted")
    assert (told["path"], told["source"]) == ("Above", "api")
    # It is still listed, and not as new; whoever asks for its counters is told why there are none.
    mailbox.ask("PUT", "sync", {"sync": True})
    mailbox.append(letter("after the round"))
    mailbox.event("messageNew", 2)
    assert [each["path"] for each in mailbox.events("mailboxNew")].count("Above") == 1
    shown = {each["path"]: each for each in mailbox.get("mailboxes?counters=true")["mailboxes"]}["Above"]
    assert (shown["messages"], "doesn't exist" in shown["status"]["error"]) == (False, True)
    assert "folderErrors" not in mailbox.engine.request("GET", "/v1/account/jane").json
    # Made anew it is announced, with a new number.
    assert mailbox.ask("POST", "mailbox", {"path": "Above"})["created"] is True
    first, second = (each["uidValidity"] for each in mailbox.events("mailboxNew") if each["path"] == "Above")
    assert first != second


def peak_memory(pid: int) -> int:
    """Octets a process has occupied at most."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


@pytest.mark.executed
def test_a_large_file_passes_while_lists_are_read(mailbox: Mailbox) -> None:
    mailbox.append(with_file(LARGE))
    told = mailbox.event("messageNew")
    (file,) = told["attachments"]
    mailbox.get("messages?path=INBOX")
    before = peak_memory(mailbox.engine.pid)
    digest = hashlib.sha256()
    with mailbox.download(f"attachment/{file['id']}") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "application/zip")
        assert response.headers["Content-Disposition"] == 'attachment; filename="large.zip"'
        digest.update(response.read(100_000))
        # While the client does not read on, other requests are answered.
        for _ in range(5):
            assert mailbox.get("messages?path=INBOX")["total"] == 1
        while piece := response.read(1 << 20):
            digest.update(piece)
    assert digest.digest() == hashlib.sha256(LARGE).digest()
    assert peak_memory(mailbox.engine.pid) - before < 4 * 1024 * 1024
    with mailbox.download(f"attachment/{file['id']}", Range=f"bytes={LARGE_BYTES - 1000}-") as response:
        # Where the size is not known beforehand, the whole file is the answer.
        content = response.read()
        assert content == (LARGE[-1000:] if response.status == 206 else LARGE)
    with mailbox.download(f"message/{told['id']}/source", Range="bytes=1000000-1000099") as response:
        assert (response.status, response.read()) == (206, with_file(LARGE)[1_000_000:1_000_100])


def test_a_client_that_hangs_up_frees_the_connection(mailbox: Mailbox) -> None:
    mailbox.append(with_file(LARGE))
    (file,) = mailbox.event("messageNew")["attachments"]
    for _ in range(4):
        with mailbox.download(f"attachment/{file['id']}", **{"x-ee-timeout": "5000"}) as response:
            assert (response.status, response.read(1000)) == (200, LARGE[:1000])
    with mailbox.download(f"attachment/{file['id']}", **{"x-ee-timeout": "5000"}) as response:
        assert response.read() == LARGE
    wait_until(lambda: mailbox.engine.request("GET", "/v1/account/jane").json["connections"] <= 3, "few connections")


def test_downloads_that_stand_still_hold_up_no_other(mailbox: Mailbox) -> None:
    for number in range(3):
        assert mailbox.client.create(f"box{number}")[0] == "OK"
        mailbox.append(with_file(LARGE), f"box{number}")
    listed = [mailbox.get(f"messages?path=box{number}")["messages"][0] for number in range(3)]
    short = {"x-ee-timeout": "6000"}
    with contextlib.ExitStack() as stack:
        stalled = [
            stack.enter_context(mailbox.download(f"message/{listed[0]['id']}/source", **short)),
            stack.enter_context(mailbox.download(f"attachment/{listed[1]['attachments'][0]['id']}", **short)),
        ]
        assert [each.status for each in stalled] == [200, 200]
        with mailbox.download(f"attachment/{listed[2]['attachments'][0]['id']}", **short) as response:
            assert (response.status, response.read()) == (200, LARGE)
        changed = mailbox.ask("PUT", "messages?path=box1", {"search": {}, "update": {"flags": {"add": ["\\Seen"]}}})
        assert changed == {"flags": {"add": True}}
        # Those that stood still go on where they were.
        assert [each.read() for each in stalled] == [with_file(LARGE), LARGE]


def test_a_server_that_ends_during_a_download(mailbox: Mailbox, dovecot: Dovecot) -> None:
    mailbox.append(with_file(LARGE))
    (file,) = mailbox.event("messageNew")["attachments"]
    with mailbox.download(f"attachment/{file['id']}") as response:
        response.read(1000)
        dovecot.stop()
        try:
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                response.read()
        finally:
            dovecot.start()
    mailbox.engine.wait_for_state("jane", "connected")
    with mailbox.download(f"attachment/{file['id']}") as response:
        assert response.read() == LARGE
