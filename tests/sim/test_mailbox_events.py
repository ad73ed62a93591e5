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
from inbox import MAIL, box, deliver, folder, mail_events
from simulation import FIRST_FOLDERS, Engine, Simulation

from engine.accounts import folder_watch
from engine.config import Imap
from engine.sandbox.accounts import SandboxAccount
from engine.schema.account import AccountUpdate
from engine.store import database, events, mailboxes

SEED = 4711


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", SEED)


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
        # The provider outlives the engine.
        post = None if sandbox is None else sandbox._post
        async with simulation.running(cut=bool(run % 2), post=post) as engine:
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
            _do_something_at(sandbox.account("acme@sandbox.example"), dice, sandbox)
    async with simulation.running(post=sandbox._post) as engine:
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


def _do_something_at(mailbox: SandboxAccount, dice: random.Random, sandbox: Any) -> None:
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
        row = mailboxes.of_account(engine.context.store.reader, "acme")[0]
        assert mailboxes.count(engine.context.store.reader, row.id) == 3000
        assert (row.path, row.uid_next) == ("INBOX", 3001)
        await trio.sleep(86_400)
        assert mail_events(engine) == []
        assert [each["event"] for each in engine.events("acme")] == [
            "accountAdded",
            "authenticationSuccess",
            *FIRST_FOLDERS * ["mailboxNew"],
            "accountInitialized",
        ]


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


def noted(engine: Engine) -> int:
    """How many messages the engine remembers."""
    (count,) = engine.context.store.reader.execute("SELECT count(*) FROM mailbox_message").fetchone()
    return int(count)


async def test_folders_come_and_go(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_watch, "GONE_KEPT", 3600.0)
    async with simulation.running() as engine:
        await engine.register("acme")
        box(engine).create("Projects/New", engine.context.world.now())
        deliver(engine, 1, "Projects/New")
        await engine.event("acme", "mailboxNew", FIRST_FOLDERS + 2)
        shown = [each["data"] for each in engine.events("acme", "mailboxNew")[FIRST_FOLDERS:]]
        assert [(each["path"], each["name"], each["specialUse"]) for each in shown] == [
            ("Projects", "Projects", False),
            ("Projects/New", "New", False),
        ]
        await engine.event("acme", "messageNew")
        box(engine).delete("Projects/New")
        gone = await engine.event("acme", "mailboxDeleted")
        assert gone["data"] == {"path": "Projects/New", "name": "New", "specialUse": False}
        assert engine.events("acme", "messageDeleted") == []
        assert noted(engine) == 1
        await trio.sleep(2 * 3600)
        assert noted(engine) == 0


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
        rows = mailboxes.of_account(engine.context.store.reader, "acme")
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
        assert engine.events("acme", "mailboxDeleted") == engine.events("acme", "mailboxNew")[FIRST_FOLDERS:] == []
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


async def test_gmail(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.play_gmail = True
        await engine.register("acme")
        deliver(engine, 1)
        data = (await engine.event("acme", "messageNew"))["data"]
        assert (data["emailId"], data["threadId"], data["labels"]) == (str(10**18 + 1), str(10**18 + 1), ["\\Inbox"])


async def test_idle_is_taken_up_again_before_ten_minutes(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    simulation = Simulation(tmp_path / "data", SEED, imap=Imap())
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_timeout = 600
        await engine.register("acme")
        (stream,) = engine.sandbox.faults.imap_connections
        await trio.sleep(86_400)
        assert engine.sandbox.faults.imap_connections == {stream}


async def test_a_round_of_its_own_length(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", SEED, imap=Imap(idle=100.0))
    async with simulation.running() as engine:
        imap = {
            "host": "h.example",
            "port": 143,
            "auth": {"user": "acme@sandbox.example", "pass": "x"},
            "tls": {"required": False},
        }
        await engine.register("acme", imap={**imap, "resyncDelay": 40}, smtp=False)
        deliver(engine, 1, "Sent")
        with trio.fail_after(41):
            await engine.event("acme", "messageNew")
