"""What happens in a mailbox is announced, each change once, whatever the server can do and whatever breaks."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from simulation import Engine, Simulation

from engine.accounts import ids
from engine.config import Imap
from engine.imap.session import ImapSession
from engine.isotime import iso
from engine.sandbox.faults import EXTENSIONS
from engine.sandbox.mailboxes import Folder, Mailbox
from engine.schema.account import AccountUpdate
from engine.store import database, events, mailboxes

SEED = 4711
SERVERS = {
    "everything": frozenset[str](),
    "condstore": frozenset({"QRESYNC", "ENABLE"}),
    "no modseq": frozenset({"QRESYNC", "CONDSTORE", "ENABLE", "ESEARCH", "LIST-STATUS"}),
    "nothing": EXTENSIONS,
}
MAIL = (
    b"From: =?utf-8?q?=C3=84lice?= <alice@x.example>\r\nTo: acme@sandbox.example\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <%d@x.example>\r\nX-Tag: one\r\nX-Tag: two\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n"
    b'--b\r\nContent-Type: text/plain; name="a.txt"\r\n'
    b'Content-Disposition: attachment; filename="a.txt"\r\n\r\nx\r\n--b--\r\n'
)


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", SEED)


@pytest.fixture(params=list(SERVERS))
def missing(request: pytest.FixtureRequest) -> frozenset[str]:
    """What the server cannot do."""
    return SERVERS[request.param]


def box(engine: Engine) -> Mailbox:
    return engine.sandbox.mailbox("acme@sandbox.example")


def folder(engine: Engine, path: str = "INBOX") -> Folder:
    return box(engine).folder(path)


def deliver(engine: Engine, number: int = 1, path: str = "INBOX", flags: tuple[str, ...] = (), age: float = 0) -> int:
    now = engine.context.services.world.now()
    return folder(engine, path).add(MAIL % number, now - age, flags).uid


def mail_events(engine: Engine) -> list[tuple[str, str, int]]:
    names = ("messageNew", "messageUpdated", "messageDeleted", "messageMissing")
    return [
        (each["event"], each["data"]["path"], each["data"]["uid"])
        for each in engine.events("acme")
        if each["event"] in names
    ]


async def test_a_new_message_is_told_in_full(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        await engine.context.settings.update({"notifyText": True, "notifyHeaders": ["X-Tag"]})
        started = trio.current_time()
        deliver(engine)
        event = await engine.event("acme", "messageNew")
        patience = 70 if "IDLE" in missing else 0.1
        assert trio.current_time() - started < patience
        row = mailboxes.of_account(engine.context.services.store.reader, "acme")[0]
        data = event["data"]
        assert data["id"] == ids.message_id(row.id, 1)
        assert data == {
            "id": data["id"],
            "uid": 1,
            "path": "INBOX",
            "date": data["date"],
            "flags": [],
            "unseen": True,
            "size": len(MAIL % 1),
            "subject": "Grüße",
            "from": {"name": "Älice", "address": "alice@x.example"},
            "replyTo": [{"name": "Älice", "address": "alice@x.example"}],
            "sender": {"name": "Älice", "address": "alice@x.example"},
            "to": [{"name": "", "address": "acme@sandbox.example"}],
            "attachments": [
                {
                    "id": data["attachments"][0]["id"],
                    "contentType": "text/plain",
                    "encodedSize": 1,
                    "embedded": False,
                    "inline": False,
                    "filename": "a.txt",
                }
            ],
            "messageId": "<1@x.example>",
            "text": {"id": data["text"]["id"], "encodedSize": {"plain": 12}, "plain": "Grüße"},
            "headers": {"x-tag": ["one", "two"]},
            "specialUse": "\\Inbox",
            "messageSpecialUse": "\\Inbox",
            "seemsLikeNew": True,
        }


async def test_flags_and_removals_are_told(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        for number in range(5):
            deliver(engine, number, age=1000)
        await engine.register("acme")
        inbox = folder(engine)
        inbox.set_flags(inbox.messages[3], frozenset({"\\Seen", "$Label"}))
        updated = await engine.event("acme", "messageUpdated")
        value = ["$Label", "\\Seen"]
        assert updated["data"]["changes"] == {"flags": {"added": value, "value": value}}
        assert updated["data"]["uid"] == 4
        inbox.remove([2, 4])
        await engine.event("acme", "messageDeleted", 2)
        inbox.set_flags(inbox.messages[2], frozenset({"\\Flagged"}))
        await engine.event("acme", "messageUpdated", 2)
        deliver(engine, 9)
        await engine.event("acme", "messageNew")
        inbox.remove([6, 1])
        await engine.event("acme", "messageDeleted", 4)
        assert Counter(mail_events(engine)) == Counter(
            [
                ("messageUpdated", "INBOX", 4),
                ("messageDeleted", "INBOX", 2),
                ("messageDeleted", "INBOX", 4),
                ("messageUpdated", "INBOX", 5),
                ("messageNew", "INBOX", 6),
                ("messageDeleted", "INBOX", 6),
                ("messageDeleted", "INBOX", 1),
            ]
        )


async def test_a_burst_is_told_at_once_and_in_order(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        started = trio.current_time()
        for number in range(230):
            deliver(engine, number)
            if number % 7 == 0:
                await trio.sleep(0.001)
        await engine.event("acme", "messageNew", 230)
        assert trio.current_time() - started < (130 if "IDLE" in missing else 1)
        assert mail_events(engine) == [("messageNew", "INBOX", uid) for uid in range(1, 231)]


async def test_flags_changed_while_new_mail_is_described_are_told_at_once(
    simulation: Simulation,
    missing: frozenset[str],
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetch_each = ImapSession.fetch_each

    async def meanwhile(session: ImapSession, *asked: Any) -> None:
        inbox = folder(engine)
        inbox.set_flags(inbox.messages[0], frozenset({"\\Flagged"}))
        inbox.set_flags(inbox.messages[-1], frozenset({"\\Seen"}))
        await fetch_each(session, *asked)

    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        deliver(engine, age=1000)
        await engine.register("acme")
        monkeypatch.setattr(ImapSession, "fetch_each", meanwhile)
        started = trio.current_time()
        deliver(engine, 2)
        await engine.event("acme", "messageUpdated")
        assert trio.current_time() - started < (130 if "IDLE" in missing else 1)
        assert mail_events(engine) == [("messageNew", "INBOX", 2), ("messageUpdated", "INBOX", 1)]


@pytest.mark.parametrize("asks", ["nothing more", "text"])
async def test_a_burst_with_gaps(
    simulation: Simulation, missing: frozenset[str], asks: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.context.settings.update({"notifyText": asks == "text"})
        await engine.register("acme")
        for number in range(330):
            deliver(engine, number)
        gone = [3, 150, 151, 329]
        folder(engine).remove(gone)
        deliver(engine, 330)
        await engine.event("acme", "messageNew", 331 - len(gone))
        told = [("messageNew", "INBOX", uid) for uid in range(1, 332) if uid not in gone]
        assert mail_events(engine) == told


class Model:
    """What a reader of the events knows of the mailbox."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, int], frozenset[str]] = {}

    def learn(self, events: list[dict[str, Any]]) -> None:
        for each in events:
            name, data = each["event"], each["data"]
            key = (data.get("path", ""), data.get("uid", 0))
            if name == "messageNew":
                assert key not in self.known, (SEED, each)
                self.known[key] = frozenset(data["flags"])
            elif name == "messageUpdated":
                assert self.known[key] != frozenset(data["changes"]["flags"]["value"]), (SEED, each)
                self.known[key] = frozenset(data["changes"]["flags"]["value"])
            elif name == "messageDeleted":
                del self.known[key]
            elif name in ("mailboxReset", "mailboxDeleted"):
                self.known = {each: flags for each, flags in self.known.items() if each[0] != data["path"]}


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_in_whatever_gap_is_told_once(
    tmp_path: Path, missing: frozenset[str], seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Deliveries, flags, moves and removals while connected, cut off, and with the engine down or killed."""
    simulation = Simulation(tmp_path / "data", seed)
    dice = random.Random(seed)
    model, position, sandbox = Model(), 0, None
    for run in range(4):
        async with simulation.running(cut=bool(run % 2)) as engine:
            if sandbox is not None:
                # The provider outlives the engine.
                engine.sandbox._post = sandbox._post
            sandbox = engine.sandbox
            sandbox.faults.imap_capabilities_drop |= missing
            if run == 0:
                await engine.register("acme", notifyFrom=None)
            for _ in range(25):
                _do_something(engine, dice)
                await trio.sleep(dice.choice([0, 0, 0.0005, 0.01, 3]))
            if run % 2 == 0:
                await trio.sleep(2000)  # more than one round
        position = _check(simulation, model, position)
        for _ in range(10):
            _do_something_at(sandbox.mailbox("acme@sandbox.example"), dice, sandbox)
    async with simulation.running() as engine:
        engine.sandbox._post = sandbox._post
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await trio.sleep(2000)
        there = {
            (path, message.uid): message.flags
            for path, each in box(engine).folders.items()
            for message in each.messages
        }
    _check(simulation, model, position)
    assert model.known == there, seed


def _check(simulation: Simulation, model: Model, position: int) -> int:
    db = database.open_reader(simulation.folder)
    found = events.after(db, position, 100_000, "acme")
    db.close()
    model.learn([msgspec.json.decode(body) for _, _, body in found])
    return found[-1][0] if found else position


def _do_something(engine: Engine, dice: random.Random) -> None:
    if dice.random() < 0.06:
        engine.sandbox.faults.cut_imap()
        return
    _do_something_at(box(engine), dice, engine.sandbox)


def _do_something_at(mailbox: Mailbox, dice: random.Random, sandbox: Any) -> None:
    path = dice.choice(["INBOX", "INBOX", "INBOX", "Sent", "Trash"])
    inside = mailbox.folder(path)
    action = dice.random()
    if action < 0.5 or not inside.messages:
        inside.add(MAIL % dice.randrange(10**6), sandbox._post.now(), dice.choice([(), ("\\Seen",)]))
    elif action < 0.75:
        flags = dice.sample(["\\Seen", "\\Flagged", "\\Answered", "$One"], dice.randrange(4))
        inside.set_flags(dice.choice(inside.messages), frozenset(flags))
    elif action < 0.95:
        inside.remove([message.uid for message in dice.sample(inside.messages, min(2, len(inside.messages)))])
    else:
        mailbox.folder("Drafts").add(MAIL % 1, sandbox._post.now(), ("\\Draft",))
        inside.remove([inside.messages[0].uid])


async def test_a_full_inbox_is_noted_and_not_told(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        for number in range(3000):
            deliver(engine, number, age=86_400 * 10)
        await engine.register("acme")
        row = mailboxes.of_account(engine.context.services.store.reader, "acme")[0]
        assert mailboxes.count(engine.context.services.store.reader, row.id) == 3000
        assert (row.path, row.uid_next) == ("INBOX", 3001)
        await trio.sleep(86_400)
        assert mail_events(engine) == []
        assert [each["event"] for each in engine.events("acme")] == [
            "accountAdded",
            "authenticationSuccess",
            "accountInitialized",
        ]


async def test_notify_from_reaches_back(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        ages = [86_400 * 9, 86_400 * 2, 7_000, 3_700, 3_000, 10]
        for number, age in enumerate(ages):
            deliver(engine, number, age=age)
        since = engine.context.services.world.now() - 3600
        await engine.register("acme", notifyFrom=iso(since))
        assert mail_events(engine) == [("messageNew", "INBOX", 5), ("messageNew", "INBOX", 6)]
        deliver(engine, 7, age=5000)  # moved here from elsewhere
        deliver(engine, 8)
        await engine.event("acme", "messageNew", 3)
        assert mail_events(engine)[2:] == [("messageNew", "INBOX", 8)]
        folder(engine).remove([7])
        await engine.event("acme", "messageDeleted")


async def test_new_numbers_are_one_event_and_no_flood(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme", notifyFrom=None)
        for number in range(20):
            deliver(engine, number)
        await engine.event("acme", "messageNew", 20)
        before = str(folder(engine).uid_validity)
        box(engine).renumber("INBOX")
        event = await engine.event("acme", "mailboxReset")
        assert event["data"] == {
            "path": "INBOX",
            "name": "INBOX",
            "specialUse": "\\Inbox",
            "uidValidity": str(folder(engine).uid_validity),
            "prevUidValidity": before,
            "reason": "uidValidityChange",
        }
        deliver(engine, 77)
        news = await engine.event("acme", "messageNew", 21)
        assert (news["data"]["uid"], news["data"]["messageId"]) == (21, "<77@x.example>")
        await trio.sleep(5000)
        assert len(engine.events("acme", "messageNew")) == 21
        assert len(engine.events("acme", "mailboxReset")) == 1
        assert engine.events("acme", "messageDeleted") == []


async def test_folders_come_and_go(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        box(engine).create("Projects/New", engine.context.services.world.now())
        deliver(engine, 1, "Projects/New")
        await engine.event("acme", "mailboxNew", 2)
        shown = [each["data"] for each in engine.events("acme", "mailboxNew")]
        assert [(each["path"], each["name"], each["specialUse"]) for each in shown] == [
            ("Projects", "Projects", False),
            ("Projects/New", "New", False),
        ]
        await engine.event("acme", "messageNew")
        box(engine).delete("Projects/New")
        gone = await engine.event("acme", "mailboxDeleted")
        assert gone["data"] == {"path": "Projects/New", "name": "New", "specialUse": False}
        assert engine.events("acme", "messageDeleted") == []
        await trio.sleep(4000)
        (left,) = engine.context.services.store.reader.execute("SELECT count(*) FROM mailbox_message").fetchone()
        assert left == 0


async def test_only_the_folders_asked_for(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme", path=["Drafts", "\\Sent"])
        for number, path in enumerate(("INBOX", "Drafts", "Sent", "Trash")):
            deliver(engine, number, path)
        await trio.sleep(2000)
        assert sorted(path for _, path, _ in mail_events(engine)) == ["Drafts", "Sent"]


async def test_a_folder_no_longer_watched_is_not_gone(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        account = engine.context.registry.get("acme")
        assert account is not None
        await engine.context.registry.update(account, AccountUpdate(path=("INBOX",)))
        await trio.sleep(10)
        deliver(engine, 1, "Trash")
        deliver(engine, 2)
        await trio.sleep(4000)
        assert mail_events(engine) == [("messageNew", "INBOX", 1)]
        assert engine.events("acme", "mailboxDeleted") == []
        rows = mailboxes.of_account(engine.context.services.store.reader, "acme")
        assert [row.path for row in rows] == ["INBOX"]


async def test_a_server_that_lists_nothing_has_lost_nothing(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        deliver(engine, 1, "Trash")
        await engine.event("acme", "messageNew")
        engine.sandbox.faults.imap_lists_nothing = True
        await trio.sleep(2000)
        engine.sandbox.faults.imap_lists_nothing = False
        await trio.sleep(2000)
        assert engine.events("acme", "mailboxDeleted") == engine.events("acme", "mailboxNew") == []
        assert len(mail_events(engine)) == 1


async def test_a_fast_indexer_tells_only_of_new_mail(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme", imapIndexer="fast")
        deliver(engine, 1)
        deliver(engine, 2)
        await engine.event("acme", "messageNew", 2)
        folder(engine).remove([1])
        folder(engine).set_flags(folder(engine).messages[0], frozenset({"\\Seen"}))
        deliver(engine, 3)
        await engine.event("acme", "messageNew", 3)
        engine.sandbox.faults.cut_imap()
        deliver(engine, 4)
        await engine.event("acme", "messageNew", 4)
        await trio.sleep(4000)
        assert [name for name, _, _ in mail_events(engine)] == ["messageNew"] * 4


async def test_a_subconnection_hears_at_once(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme", subconnections=["Trash", "INBOX", "No such"])
        await trio.sleep(1)
        account = engine.context.registry.get("acme")
        assert account is not None
        assert account.status.connections == 2
        deliver(engine, 1, "Trash")
        deliver(engine, 2)
        with trio.fail_after(130 if "IDLE" in missing else 1):
            await engine.event("acme", "messageNew", 2)
        engine.sandbox.faults.cut_imap()
        deliver(engine, 3, "Trash")
        with trio.fail_after(10):
            await engine.event("acme", "messageNew", 3)
        await trio.sleep(4000)
        assert len(mail_events(engine)) == 3
        assert account.status.connections == 2


async def test_a_message_the_server_hides_holds_nothing_up(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        engine.sandbox.faults.imap_silent_about.add(2)
        for number in range(3):
            deliver(engine, number)
        event = await engine.event("acme", "messageMissing")
        assert (event["data"]["uid"], event["data"]["missingRetries"], event["data"]["missingDelay"]) == (2, 3, 5600)
        await engine.event("acme", "messageNew", 2)
        assert mail_events(engine) == [
            ("messageNew", "INBOX", 1),
            ("messageMissing", "INBOX", 2),
            ("messageNew", "INBOX", 3),
        ]


async def test_a_message_nobody_can_describe_holds_nothing_up(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        engine.sandbox.faults.imap_garbles.add(2)
        for number in range(3):
            deliver(engine, number)
        await engine.event("acme", "messageNew", 3)
        assert mail_events(engine) == [("messageNew", "INBOX", uid) for uid in (1, 2, 3)]
        shown = [each["data"]["subject"] for each in engine.events("acme", "messageNew")]
        assert shown == ["Grüße", "", "Grüße"]


async def test_gmail(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.play_gmail = True
        await engine.register("acme")
        deliver(engine, 1)
        data = (await engine.event("acme", "messageNew"))["data"]
        assert (data["emailId"], data["threadId"], data["labels"]) == (str(10**18 + 1), str(10**18 + 1), ["\\Inbox"])


async def test_idle_is_taken_up_again_before_ten_minutes(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_timeout = 600
        await engine.register("acme")
        (stream,) = engine.sandbox.faults.imap_connections
        await trio.sleep(86_400)
        assert engine.sandbox.faults.imap_connections == {stream}


async def test_a_round_of_its_own_length(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", SEED, imap=Imap(idle=100.0))
    async with simulation.running() as engine:
        imap = {"host": "h.example", "port": 143, "auth": {"user": "acme@sandbox.example", "pass": "x"}}
        await engine.register("acme", imap={**imap, "resyncDelay": 40}, smtp=False)
        deliver(engine, 1, "Sent")
        with trio.fail_after(41):
            await engine.event("acme", "messageNew")
