"""Failing folders, wrong lists, servers that say too little or too much: INBOX is announced, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from answers import plain
from inbox import box, deliver, folder, mail_events
from simulation import FIRST_FOLDERS, OPERATOR, Engine, Simulation

from engine.api import account as api
from engine.sandbox.faults import HANG_UP, SILENCE
from engine.schema.account import AccountQuery
from engine.store import mailboxes

SEED = 4711
Script = Callable[[str, str, bytes], bytes | None]


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", SEED)


def at(commands: tuple[str, ...], where: bytes, how: bytes) -> Script:
    """What the server says to these commands where their line holds `where`."""

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        if name not in commands or where not in line:
            return None
        return how if how in (HANG_UP, SILENCE) else how.replace(b"TAG", tag.encode())

    return script


async def shown(engine: Engine) -> dict[str, str]:
    account = plain(await api.read(engine.context, "acme", AccountQuery(), caller=OPERATOR))
    assert account["state"] == "connected"
    return {each["path"]: each["error"] for each in account.get("folderErrors", [])}


NOTHING = b"* STATUS Trash (\r\nTAG OK\r\n"
BAD = [HANG_UP, SILENCE, b"* BYE Internal error\r\n", NOTHING, b"TAG NO [NOPERM] no\r\n"]


@pytest.mark.parametrize("how", BAD, ids=str)
@pytest.mark.parametrize("commands", [("STATUS",), ("SELECT",)])
async def test_one_bad_folder(
    simulation: Simulation, commands: tuple[str, ...], how: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        if commands == ("STATUS",):
            engine.sandbox.faults.imap_capabilities_drop.add("LIST-STATUS")
        engine.sandbox.faults.imap_script = at(commands, b"Trash", how)
        began = trio.current_time()
        await engine.register("acme")
        assert trio.current_time() - began < 40
        deliver(engine, 1)
        deliver(engine, 2, "Trash")
        await engine.event("acme", "messageNew")
        if commands == ("SELECT",) or (b"NO" not in how and how != NOTHING):
            assert list(await shown(engine)) == ["Trash"]
        await trio.sleep(20_000)
        assert engine.events("acme", "connectError") == []
        engine.sandbox.faults.imap_script = None
        await engine.event("acme", "messageNew", 2)
        await trio.sleep(30_000)
        assert await shown(engine) == {}


@pytest.mark.parametrize("command", ["UID SEARCH", "UID FETCH"])
async def test_a_folder_that_opens_and_then_says_nothing(
    simulation: Simulation, command: str, autojump_clock: trio.testing.MockClock
) -> None:
    selected = b""

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        nonlocal selected
        selected = line if name == "SELECT" else selected
        return SILENCE if name == command and b"Trash" in selected else None

    async with simulation.running() as engine:
        await engine.register("acme", notifyFrom=None)
        deliver(engine, 1, "Trash")
        await engine.event("acme", "messageNew")
        account = engine.context.registry.get("acme")
        assert account is not None
        await engine.context.registry.remove(account)
        engine.sandbox.faults.imap_script = script
        await engine.register("acme")
        await trio.sleep(10)  # while the other folder is awaited
        deliver(engine, 2)
        with trio.fail_after(70):
            await engine.event("acme", "messageNew", 2)
        with trio.fail_after(200):
            await engine.event("acme", "accountInitialized", 2)


@pytest.mark.parametrize("how", [HANG_UP, b"TAG NO no\r\n", b"TAG BAD what\r\n", b"* LIST (((\r\nTAG OK\r\n"], ids=str)
async def test_a_list_that_cannot_be_had(
    simulation: Simulation, how: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_script = at(("LIST",), b"", how)
        await engine.register("acme")
        deliver(engine, 1)
        await engine.event("acme", "messageNew")
        engine.sandbox.faults.imap_script = None
        deliver(engine, 2, "Sent")
        await engine.event("acme", "messageNew", 2)


def hiding(*names: bytes) -> Callable[[bytes], bytes]:
    def rewrite(response: bytes) -> bytes:
        listed = response.startswith((b"* LIST", b"* STATUS")) and any(name in response for name in names)
        return b"" if listed else response

    return rewrite


async def test_a_short_list_is_no_news(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme", notifyFrom=None)
        for number, path in enumerate(["Trash", "Sent", "INBOX"]):
            deliver(engine, number, path)
        await engine.event("acme", "messageNew", 3)
        new = engine.events("acme", "mailboxNew")
        await trio.sleep(1000 - trio.current_time() % 900)
        engine.sandbox.faults.imap_rewrite = hiding(b"Trash", b"Sent", b"INBOX")
        account = engine.context.registry.get("acme")
        assert account is not None
        account.look_soon()
        await trio.sleep(5)
        engine.sandbox.faults.imap_rewrite = None
        deliver(engine, 4, "Trash")
        await engine.event("acme", "messageNew", 4)
        await trio.sleep(2000)
        assert [each["event"] for each in engine.events("acme") if each["event"].startswith("mailbox")] == [
            "mailboxNew" for _ in new
        ]
        assert len(mail_events(engine)) == 4


async def test_a_folder_that_comes_back_goes_on_where_it_was(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme", notifyFrom=None)
        deliver(engine, 1, "Trash")
        first = await engine.event("acme", "messageNew")
        engine.sandbox.faults.imap_rewrite = hiding(b"Trash")
        await engine.event("acme", "mailboxDeleted")
        engine.sandbox.faults.imap_rewrite = None
        deliver(engine, 2, "Trash")
        await engine.event("acme", "mailboxNew", FIRST_FOLDERS + 1)
        second = await engine.event("acme", "messageNew", 2)
        await trio.sleep(2000)
        assert mail_events(engine) == [("messageNew", "Trash", 1), ("messageNew", "Trash", 2)]
        assert first["data"]["id"][:6] == second["data"]["id"][:6]
        box(engine).delete("Trash")
        await engine.event("acme", "mailboxDeleted", 2)
        box(engine).create("Trash", engine.context.world.now() + 1000)
        deliver(engine, 1, "Trash")
        await engine.event("acme", "mailboxNew", FIRST_FOLDERS + 2)
        await engine.event("acme", "messageNew", 3)


async def test_a_folder_that_is_only_a_level_for_a_while(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    def rewrite(response: bytes) -> bytes:
        if response.startswith(b"* STATUS") and b"Trash" in response:
            return b""
        if response.startswith(b"* LIST") and b"Trash" in response:
            return response.replace(b"* LIST (", b"* LIST (\\NonExistent \\NoSelect ")
        return response

    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme", notifyFrom=None)
        deliver(engine, 1, "Trash")
        await engine.event("acme", "messageNew")
        engine.sandbox.faults.imap_rewrite = rewrite
        await engine.event("acme", "mailboxDeleted")
        engine.sandbox.faults.imap_rewrite = None
        await engine.event("acme", "mailboxNew", FIRST_FOLDERS + 1)
        deliver(engine, 2, "Trash")
        await engine.event("acme", "messageNew", 2)
        await trio.sleep(2000)
        assert mail_events(engine) == [("messageNew", "Trash", 1), ("messageNew", "Trash", 2)]


@pytest.mark.parametrize("name", [b"inbox", b'"Inbox"', b"", b"(\\NoSelect) INBOX"])
async def test_inbox_is_watched_however_it_is_listed(
    simulation: Simulation, name: bytes, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    def rewrite(response: bytes) -> bytes:
        if response.startswith((b"* LIST", b"* STATUS")) and b"INBOX" in response:
            if b"NoSelect" in name:
                return response.replace(b"* LIST (", b"* LIST (\\NoSelect ")
            return response.replace(b"INBOX", name) if name else b""
        return response

    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        engine.sandbox.faults.imap_rewrite = rewrite
        await engine.register("acme")
        deliver(engine, 1)
        await engine.event("acme", "messageNew")
        await trio.sleep(2000)
        assert mail_events(engine) == [("messageNew", "INBOX", 1)]
        rows = mailboxes.of_account(engine.context.store.reader, "acme")
        assert len([row for row in rows if row.path.upper() == "INBOX"]) == 1


@pytest.mark.parametrize("asked", [True, False])
async def test_a_server_that_never_says_what_is_new(
    simulation: Simulation, missing: frozenset[str], asked: bool, autojump_clock: trio.testing.MockClock
) -> None:
    def rewrite(response: bytes) -> bytes:
        return b"" if muted and response.endswith(b" EXISTS\r\n") else response

    muted = False
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        engine.sandbox.faults.imap_rewrite = rewrite
        await engine.register("acme")
        await trio.sleep(10)
        muted = True
        deliver(engine, 1)
        await trio.sleep(10)
        muted = False
        assert mail_events(engine) == []
        account = engine.context.registry.get("acme")
        assert account is not None
        if asked:
            account.look_soon()
        with trio.fail_after(5 if asked else 1000):
            await engine.event("acme", "messageNew")


async def test_a_message_counted_before_it_can_be_seen(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        await trio.sleep(1)
        account = engine.context.registry.get("acme")
        assert account is not None
        hidden = True

        def script(tag: str, name: str, line: bytes) -> bytes | None:
            if hidden and name == "UID SEARCH":
                return (b"* ESEARCH (TAG %s) UID\r\n" if b"RETURN" in line else b"* SEARCH\r\n%.0s") % tag.encode() + (
                    tag.encode() + b" OK done\r\n"
                )
            return tag.encode() + b" OK done\r\n" if hidden and name == "UID FETCH" else None

        engine.sandbox.faults.imap_script = script
        deliver(engine, 1)
        await trio.sleep(70 if "IDLE" in missing else 4)
        assert mail_events(engine) == []
        hidden = False
        with trio.fail_after(100 if "IDLE" in missing else 20):
            await engine.event("acme", "messageNew")


@pytest.mark.parametrize("line", [b"* 2 EXISTS", b"* 0 EXPUNGE", b"* 77 EXPUNGE", b"* 77 FETCH (FLAGS (\\Seen))"])
async def test_numbers_that_cannot_be_are_not_believed(
    simulation: Simulation, missing: frozenset[str], line: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """The server drops messages without a word, then speaks in numbers that have moved."""
    if "IDLE" in missing:
        missing -= {"IDLE"}
    said = b""

    def rewrite(response: bytes) -> bytes:
        nonlocal said
        if b" EXPUNGE" in response or b"VANISHED" in response:
            said, first = b"", said
            return first
        return response

    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        for number in range(6):
            deliver(engine, number, age=5000)
        await engine.register("acme")
        engine.sandbox.faults.imap_rewrite = rewrite
        said = line + b"\r\n* 2 FETCH (FLAGS (\\Flagged))\r\n"
        inbox = folder(engine)
        inbox.remove([1, 2, 3, 4])
        await engine.event("acme", "messageDeleted", 4)
        await trio.sleep(100)
        told = {(name, uid) for name, _, uid in mail_events(engine)}
        assert told == {("messageDeleted", uid) for uid in (1, 2, 3, 4)}


async def test_a_sent_copy_is_told_of_at_once(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        await engine.submit("acme", "x@sandbox.example")
        await engine.event("acme", "messageSent")
        with trio.fail_after(70 if "IDLE" in missing else 5):
            event = await engine.event("acme", "messageNew")
        assert (event["data"]["path"], event["data"]["seemsLikeNew"]) == ("Sent", False)


GMAIL = [
    (b'"\\\\Inbox" "\\\\Important" "Caf&AOk-"', "\\Inbox", True, ["\\Inbox", "\\Important", "Café"]),
    (b'"\\\\Sent"', "\\Sent", False, ["\\Sent"]),
    (b"\\Inbox \\Sent", "\\Sent", True, ["\\Inbox", "\\Sent"]),
    (b'"\\\\Draft"', "\\Drafts", False, ["\\Draft"]),
    (b"Lists &BCEEPwQwBDw-", None, True, ["Lists", "Спам"]),
    (b"", None, True, []),
]


@pytest.mark.parametrize(("labels", "use", "new", "names"), GMAIL)
async def test_gmails_labels(
    simulation: Simulation,
    labels: bytes,
    use: str | None,
    new: bool,
    names: list[str],
    autojump_clock: trio.testing.MockClock,
) -> None:
    """All Mail is watched; what a message is, its labels say."""
    path = "[Gmail]/All Mail"

    def rewrite(response: bytes) -> bytes:
        if response.startswith(b"* LIST") and path.encode() in response:
            return response.replace(b"* LIST (", b"* LIST (\\All ")
        return response.replace(b'X-GM-LABELS ("\\\\Inbox")', b"X-GM-LABELS (" + labels + b")")

    async with simulation.running() as engine:
        engine.sandbox.faults.play_gmail = True
        engine.sandbox.faults.imap_rewrite = rewrite
        box(engine).create(path, engine.context.world.now())
        await engine.register("acme")
        deliver(engine, 1, path)
        data = (await engine.event("acme", "messageNew"))["data"]
        assert (data["path"], data["specialUse"]) == (path, "\\All")
        assert (data.get("messageSpecialUse"), data["seemsLikeNew"], data["labels"]) == (use, new, names)


async def test_uids_beyond_what_the_protocol_knows(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        deliver(engine, 1)
        await engine.register("acme", notifyFrom=None)
        inbox = folder(engine)
        inbox.uid_next = 5_000_000_000
        for number in (2, 3):
            deliver(engine, number)
        await engine.event("acme", "messageNew", 3)
        inbox.remove([5_000_000_000])
        await engine.event("acme", "messageDeleted")
        assert mail_events(engine) == [
            ("messageNew", "INBOX", 1),
            ("messageNew", "INBOX", 5_000_000_000),
            ("messageNew", "INBOX", 5_000_000_001),
            ("messageDeleted", "INBOX", 5_000_000_000),
        ]
        assert len({each["data"]["id"] for each in engine.events("acme", "messageNew")}) == 3


async def test_a_search_that_finds_nothing_is_not_believed(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    """EXISTS says that there are messages, so they are not all gone."""
    asked: list[str] = []

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        if name != "UID SEARCH" or not line.rstrip().endswith(b"ALL"):
            return None
        asked.append(tag)
        return b"* SEARCH\r\n%s OK done\r\n" % tag.encode()

    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        deliver(engine, 1)
        await engine.register("acme", notifyFrom=None)
        await engine.event("acme", "messageNew")
        engine.sandbox.faults.imap_script = script
        account = engine.context.registry.get("acme")
        assert account is not None
        account.look_soon()
        await trio.sleep(100)
        assert asked
        deliver(engine, 2)
        await engine.event("acme", "messageNew", 2)
        assert engine.events("acme", "messageDeleted") == []


async def test_a_question_for_changes_that_is_overlooked(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """The server accepts QRESYNC with SELECT, but does not report what has changed since."""

    def rewrite(response: bytes) -> bytes:
        return b"" if b"VANISHED" in response else response

    async with simulation.running() as engine:
        for number in range(4):
            deliver(engine, number)
        await engine.register("acme", notifyFrom=None)
        await engine.event("acme", "messageNew", 4)
        engine.sandbox.faults.imap_rewrite = rewrite
        folder(engine).remove([2])
        await trio.sleep(2000)
        assert [each["data"]["uid"] for each in engine.events("acme", "messageDeleted")] == [2]


async def test_more_is_said_to_have_vanished_than_there_is(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme", notifyFrom=None)
        said = b"* VANISHED 1:4294967295\r\n"

        def rewrite(response: bytes) -> bytes:
            return said if response.startswith(b"* VANISHED") else response

        for number in range(3):
            deliver(engine, number)
        await engine.event("acme", "messageNew", 3)
        engine.sandbox.faults.imap_rewrite = rewrite
        folder(engine).remove([1, 2, 3])
        asked: list[str] = []
        engine.sandbox.faults.imap_script = lambda tag, name, line: asked.append(name)
        await engine.event("acme", "messageDeleted", 3)
        await trio.sleep(100)
        assert "NOOP" not in asked, "thousands of millions of messages are looked for"
        deliver(engine, 7)
        await engine.event("acme", "messageNew", 4)
