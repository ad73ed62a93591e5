"""Messages changed through the API of a real process at a real Dovecot, beside another client of the same mailbox."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from real.certificates import Certificates
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.servers import private_folder
from real.shared_mailbox import SharedMailbox

pytestmark = [pytest.mark.real, pytest.mark.process]

OLD = "IMAP4rev1 ID IDLE NAMESPACE CHILDREN LIST-EXTENDED SPECIAL-USE UNSELECT LITERAL+"
"""What a server of another time can do: neither MOVE nor UIDPLUS, neither CONDSTORE nor QRESYNC."""
TOLD = ("messageNew", "messageUpdated", "messageDeleted")
ODD = ["$Forwarded", "NonJunk", "$label1", "a[b", "\\Flagged", "\\Answered", "!#$&'+,-./:;<=>?@^_`|}~"]


@pytest.fixture(scope="module")
def old_dovecot(certificates: Certificates) -> Iterator[Dovecot]:
    with private_folder("dovecot") as folder:
        server = Dovecot(folder, certificates, prefix="INBOX.", offers=OLD)
        try:
            server.start()
            yield server
        finally:
            server.stop()


class Mailbox(SharedMailbox):
    """The mailbox, whose folders beside INBOX begin with `prefix`."""

    def __init__(self, engine: EngineProcess, dovecot: Dovecot, prefix: str) -> None:
        super().__init__(engine, dovecot)
        self.prefix = prefix
        self._events: list[dict[str, Any]] = []
        assert self.client.select()[0] == "OK"

    def path(self, name: str) -> str:
        return name if name == "INBOX" else self.prefix + name

    def append(self, number: int, name: str = "INBOX") -> None:
        raw = f"Subject: {number}\r\nMessage-ID: <{number}@x.example>\r\n\r\n{number}\r\n".encode()
        assert self.client.append(self.path(name), "", "", raw)[0] == "OK"

    def events(self) -> list[dict[str, Any]]:
        """All so far. Those of before are kept, as events never change and tens of thousands are waited for here."""
        names = ",".join(TOLD)
        while True:
            after = self._events[-1]["seq"] if self._events else 0
            page = self.engine.request("GET", f"/v1/events?limit=1000&account=jane&events={names}&after={after}").json
            if not page["events"]:
                return list(self._events)
            self._events += page["events"]

    def ids(self, name: str = "INBOX") -> dict[int, str]:
        listed = self.ask("GET", f"messages?path={self.path(name)}&pageSize=1000")["messages"]
        return {each["uid"]: each["id"] for each in listed}

    def truth(self, name: str) -> dict[int, frozenset[str]]:
        """UIDs and flags, as the other client sees them."""
        assert self.client.select(self.path(name), readonly=True)[0] == "OK"
        found: dict[int, frozenset[str]] = {}
        for line in self.client.uid("FETCH", "1:*", "(FLAGS)")[1]:
            match = re.search(rb"UID (\d+) FLAGS \(([^)]*)\)", line or b"") if isinstance(line, bytes) else None
            if match is not None:
                found[int(match[1])] = frozenset(match[2].decode().split()) - {"\\Recent"}
        return found

    def told(self) -> dict[str, dict[int, frozenset[str]]]:
        """What the events make of the mailbox. No message may be told of twice, or after it is gone."""
        found: dict[str, dict[int, frozenset[str]]] = {}
        gone = set()
        for each in self.events():
            data = each["data"]
            place, folder = (each["path"], data["uid"]), found.setdefault(each["path"], {})
            assert place not in gone, each
            if each["event"] == "messageNew":
                assert data["uid"] not in folder, each
                folder[data["uid"]] = frozenset(data["flags"])
            elif each["event"] == "messageUpdated":
                changes = data["changes"]["flags"]
                value = frozenset(changes["value"])
                assert value != folder[data["uid"]], each
                folder[data["uid"]] = value
            else:
                del folder[data["uid"]]
                gone.add(place)
        return {path: folder for path, folder in found.items() if folder}


@pytest.fixture(params=["Dovecot", "an old server"])
def mailbox(request: pytest.FixtureRequest, engine: EngineProcess) -> Iterator[Mailbox]:
    old = request.param != "Dovecot"
    server = request.getfixturevalue("old_dovecot" if old else "dovecot")
    mailbox = Mailbox(engine, server, "INBOX." if old else "")
    yield mailbox
    mailbox.client.shutdown()


def test_changed_moved_and_deleted(mailbox: Mailbox) -> None:
    for number in range(1, 5):
        mailbox.append(number)
    wait_until(lambda: len(mailbox.events()) == 4, "4 events")
    ids = mailbox.ids()
    assert mailbox.ask("PUT", f"message/{ids[1]}", {"flags": {"add": ODD}}) == {"flags": {"add": True}}
    assert mailbox.truth("INBOX")[1] == frozenset(ODD)
    answer = mailbox.engine.request("PUT", f"/v1/account/jane/message/{ids[1]}", {"flags": {"add": ["\\Foo"]}})
    assert (answer.status, answer.json["message"][:19]) == (400, "The mail server doe")
    # What another client has marked as deleted is none of ours.
    assert mailbox.client.select()[0] == "OK"
    assert mailbox.client.uid("STORE", "4", "+FLAGS", "(\\Deleted)")[0] == "OK"
    moved = mailbox.ask("PUT", f"message/{ids[1]}/move", {"path": mailbox.path("Sent")})
    removed = mailbox.ask("DELETE", f"message/{ids[2]}?force=true")
    trashed = mailbox.ask("DELETE", f"message/{ids[3]}")
    assert (moved["path"], removed) == (mailbox.path("Sent"), {"deleted": True})
    assert (trashed["deleted"], trashed["moved"]["destination"]) == (False, mailbox.path("Trash"))
    assert mailbox.truth("INBOX") == {4: {"\\Deleted"}}
    assert mailbox.truth("Sent") == {1: frozenset(ODD)}
    if not mailbox.prefix:
        assert moved["id"] == mailbox.ids("Sent")[1]
        assert trashed["moved"]["message"] == mailbox.ids("Trash")[1]
    raw = base64.b64encode(b"Subject: up\r\n\r\nx\r\n").decode()
    stored = mailbox.ask("POST", "message", {"path": "\\Drafts", "raw": raw, "flags": ["\\Draft"]})
    assert (stored["path"], stored["id"]) == (mailbox.path("Drafts"), mailbox.ids("Drafts")[1])
    names = ("INBOX", "Sent", "Trash", "Drafts")
    wait_until(lambda: mailbox.told() == {mailbox.path(each): mailbox.truth(each) for each in names}, "all events")
    sources = {
        (each["event"], each["path"], each["data"]["uid"]): each["data"].get("source") for each in mailbox.events()
    }
    assert sources["messageNew", mailbox.path("Drafts"), 1] == "api"
    assert sources["messageDeleted", "INBOX", 1] == sources["messageDeleted", "INBOX", 2] == "api"
    assert sources["messageNew", "INBOX", 1] is None
    if not mailbox.prefix:
        assert sources["messageNew", "Sent", 1] == sources["messageNew", "Trash", 1] == "api"


@pytest.mark.long
def test_ten_thousand_at_once(mailbox: Mailbox) -> None:
    """Every second one of many: their UIDs make a set of 50,000 octets, which no server takes in one command."""
    count = 2_000 if mailbox.prefix else 10_000
    for flags in ("", "\\Flagged"):
        assert mailbox.client.append("INBOX", flags, "", b"Subject: many\r\n\r\nx\r\n")[0] == "OK"
    there = 2
    while there < count:
        assert mailbox.client.noop()[0] == "OK"
        assert mailbox.client.copy(f"1:{min(there, count - there)}", "INBOX")[0] == "OK"
        there += min(there, count - there)
    wait_until(lambda: len(mailbox.events()) >= count, f"{count} events", 120)
    body = {"search": {"flagged": True}, "update": {"flags": {"add": ["\\Seen"]}}}
    assert mailbox.ask("PUT", "messages?path=INBOX", body) == {"flags": {"add": True}}
    moved = mailbox.ask("PUT", "messages/move?path=INBOX", {"search": {"seen": True}, "path": mailbox.path("Trash")})
    if not mailbox.prefix:
        assert len(moved["idMap"]) == count // 2
    assert mailbox.ask("PUT", "messages/delete?path=INBOX&force=true", {"search": {}}) == {"deleted": True}
    events = mailbox.events()
    assert sum(each["event"] == "messageDeleted" and each["path"] == "INBOX" for each in events) == count
    assert {each["data"].get("source") for each in events if each["event"] != "messageNew"} == {"api"}
    wait_until(lambda: len(mailbox.told().get(mailbox.path("Trash"), ())) == count // 2, "all in the trash", 120)
    assert set(mailbox.told()) == {mailbox.path("Trash")}


@pytest.mark.parametrize("seed", [1, 2])
def test_random_changes_by_both(mailbox: Mailbox, seed: int) -> None:
    """What the events make of the mailbox is what is in it, and each change by request is told once, as one."""
    dice = random.Random(seed)
    names = ("INBOX", "Sent", "Trash")
    flags = ("\\Seen", "\\Flagged", "$a", "$b")
    for number in range(12):
        mailbox.append(number, dice.choice(names))
    mailbox.ask("PUT", "sync", {"sync": True})
    wait_until(lambda: len(mailbox.events()) >= 12, "12 events")
    for number in range(100, 160):
        name = dice.choice(names)
        if dice.random() < 0.5:
            there = mailbox.truth(name)
            if not there or dice.random() < 0.3:
                mailbox.append(number, name)
                continue
            mailbox.client.select(mailbox.path(name))
            uid = str(dice.choice(list(there)))
            if dice.random() < 0.7:
                mailbox.client.uid("STORE", uid, dice.choice(["+FLAGS", "-FLAGS", "FLAGS"]), f"({dice.choice(flags)})")
            else:
                mailbox.client.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
                mailbox.client.expunge()
            continue
        ids = mailbox.ids(name)
        if not ids:
            continue
        id = dice.choice(list(ids.values()))
        kind = dice.random()
        if kind < 0.5:
            update = {dice.choice(["add", "delete", "set"]): dice.sample(flags, 2)}
            mailbox.ask("PUT", f"message/{id}", {"flags": update})
        elif kind < 0.7:
            mailbox.ask("PUT", f"message/{id}/move", {"path": mailbox.path(dice.choice(names))})
        elif kind < 0.8:
            mailbox.ask("DELETE", f"message/{id}")
        elif kind < 0.9:
            body = {"search": {"flagged": True}, "update": {"flags": {"delete": ["\\Flagged"]}}}
            mailbox.ask("PUT", f"messages?path={mailbox.path(name)}", body)
        else:
            raw = base64.b64encode(f"Subject: {number}\r\n\r\nx\r\n".encode()).decode()
            mailbox.ask("POST", "message", {"path": mailbox.path(name), "raw": raw})
    mailbox.ask("PUT", "sync", {"sync": True})
    truth = {mailbox.path(name): found for name in names if (found := mailbox.truth(name))}
    try:
        wait_until(lambda: mailbox.told() == truth, "events that tell of what is there")
    except TimeoutError:
        assert mailbox.told() == truth
