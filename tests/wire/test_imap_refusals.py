"""Extensions that are offered and then refused, taken no notice of, or answered by hanging up: done without."""

from __future__ import annotations

from array import array

import pytest
import trio
from imap_script import Scripted, Server

from engine.errors import NetworkError
from engine.imap.connection import GO_AHEAD_SECONDS
from engine.imap.refusals import SERVERS, Refusals, steady
from engine.imap.responses import Exists
from engine.imap.session import POLL_SECONDS, Appended, CommandRefused, ImapSession
from engine.imap.wake import Wake

REFUSALS = [b"NO not here", b"BAD Unknown command", b"BAD"]
MESSAGE = [b"Subject: x\r\n\r\nbody\r\n"]


def hello(capabilities: bytes) -> bytes:
    return b"* PREAUTH [CAPABILITY IMAP4rev1 " + capabilities + b"] mail.example.com ready <17.42@mail>\r\n"


async def opened(server: Server, capabilities: bytes) -> None:
    await server.say(hello(capabilities))
    await server.answer(b'A1 SELECT "INBOX"', b"* 3 EXISTS\r\nA1 OK\r\n")


class Case:
    """`asked` is refused, `plain` is what is asked instead with the answer to it; `call` gives `result` either way."""

    def __init__(self, name, capabilities, asked, plain, call, result, selects=True):
        self.name, self.capabilities, self.asked, self.plain = name, capabilities, asked, plain
        self.call, self.result, self.selects = call, result, selects


async def changed(session: ImapSession) -> list[int]:
    return [each.uid for each in await session.fetch(((1, 9),), ("UID", "FLAGS"), changed_since=5)]


async def listed(session: ImapSession) -> tuple[list[str], dict[str, dict[str, int]]]:
    found, status = await session.list_with_status(("UIDNEXT",))
    return [each.path for each in found], status


async def resynced(session: ImapSession) -> tuple[int, bool]:
    selected = await session.select("x", known=(1, 2))
    return selected.exists, selected.tells_changes


async def existing(session: ImapSession) -> int:
    return (await session.select("x")).exists


LISTED = b'* LIST () "/" INBOX\r\n'
STATUS = (b'STATUS "INBOX" (UIDNEXT)', b"* STATUS INBOX (UIDNEXT 7)\r\n")
SEARCHED = (b"UID SEARCH UID 1:9", b"* SEARCH 4 6\r\n")
CASES = [
    Case(
        "ENABLE",
        b"ENABLE CONDSTORE",
        b"ENABLE CONDSTORE",
        [],
        lambda s: s.enable("CONDSTORE", "QRESYNC"),
        frozenset(),
        False,
    ),
    Case("NAMESPACE", b"NAMESPACE", b"NAMESPACE", [], lambda s: s.namespace(), None, False),
    Case("COMPRESS=DEFLATE", b"COMPRESS=DEFLATE", b"COMPRESS DEFLATE", [], lambda s: s.compress(), False, False),
    Case(
        "CONDSTORE", b"CONDSTORE", b'SELECT "x" (CONDSTORE)', [(b'SELECT "x"', b"* 3 EXISTS\r\n")], existing, 3, False
    ),
    Case(
        "QRESYNC",
        b"QRESYNC",
        b'SELECT "x" (QRESYNC (1 2))',
        [(b'SELECT "x"', b"* 3 EXISTS\r\n")],
        resynced,
        (3, False),
        False,
    ),
    Case(
        "CHANGEDSINCE",
        b"CONDSTORE",
        b"UID FETCH 1:9 (UID FLAGS) (CHANGEDSINCE 5)",
        [SEARCHED, (b"UID FETCH 4:6 (UID FLAGS)", b"* 1 FETCH (UID 4 FLAGS ())\r\n* 2 FETCH (UID 6 FLAGS ())\r\n")],
        changed,
        [4, 6],
    ),
    Case(
        "ESEARCH",
        b"ESEARCH",
        b"UID SEARCH RETURN (ALL) ALL",
        [(b"UID SEARCH ALL", b"* SEARCH 5\r\n")],
        lambda s: s.search("ALL"),
        array("I", [5]),
    ),
    Case(
        "LIST-EXTENDED",
        b"LIST-EXTENDED SPECIAL-USE",
        b'LIST "" "*" RETURN (SPECIAL-USE)',
        [(b'LIST "" "*"', LISTED), STATUS],
        listed,
        (["INBOX"], {"INBOX": {"UIDNEXT": 7}}),
        False,
    ),
    Case(
        "LIST-STATUS",
        b"LIST-STATUS",
        b'LIST "" "*" RETURN (STATUS (UIDNEXT))',
        [(b'LIST "" "*"', LISTED), STATUS],
        listed,
        (["INBOX"], {"INBOX": {"UIDNEXT": 7}}),
        False,
    ),
]


def named(case: Case) -> str:
    return case.asked.decode()


async def begun(server: Server, case: Case) -> int:
    """Up to where the extension would be used; the number of the next tag."""
    await server.say(hello(case.capabilities))
    if not case.selects:
        return 1
    condstore = b" (CONDSTORE)" if b"CONDSTORE" in case.capabilities else b""
    await server.answer(b'A1 SELECT "INBOX"' + condstore, b"* 3 EXISTS\r\nA1 OK\r\n")
    return 2


async def go_without(server: Server, case: Case, tag: int) -> int:
    for command, answer in case.plain:
        await server.answer(b"A%d %b" % (tag, command), answer + b"A%d OK\r\n" % tag)
        tag += 1
    return tag


async def used(scripted: Scripted, case: Case, refusals: Refusals) -> ImapSession:
    session = await scripted.connect(refusals=refusals)
    if case.selects:
        await session.select("INBOX")
    return session


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("case", CASES, ids=named)
async def test_what_is_refused_is_done_without_and_not_asked_for_again(case, refusal, autojump_clock):
    async def script(server):
        if len(scripted.dials) == 1:
            tag = await begun(server, case)
            await server.answer(b"A%d %b" % (tag, case.asked), b"A%d %b\r\n" % (tag, refusal))
            tag = await go_without(server, case, tag + 1)
        else:
            tag = await begun(server, case)
        await go_without(server, case, tag)
        await server.hung_up()

    refusals = Refusals()
    async with Scripted(script) as scripted:
        for calls in (2, 1):
            session = await used(scripted, case, refusals)
            for _ in range(calls):
                assert await case.call(session) == case.result
            assert case.name not in session.capabilities
            await session.close()


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_what_a_connection_ends_upon_twice_in_a_row_is_done_without(case, autojump_clock):
    async def script(server):
        if len(scripted.dials) < 3:
            tag = await begun(server, case)
            await server.hear(b"A%d %b" % (tag, case.asked))
            await server.close()
            return
        tag = await begun(server, case)
        await go_without(server, case, tag)
        await server.hung_up()

    refusals = Refusals()
    async with Scripted(script) as scripted:
        for _ in range(2):
            session = await used(scripted, case, refusals)
            with pytest.raises(NetworkError):
                await case.call(session)
            await session.close()
        session = await used(scripted, case, refusals)
        assert await case.call(session) == case.result
        await session.close()


@pytest.mark.parametrize(("reply", "refused"), [(b"A1 BAD no\r\n", True), (b"A1 NO [UNAVAILABLE] later\r\n", False)])
async def test_an_id_is_a_courtesy(reply, refused, autojump_clock):
    async def script(server):
        await server.say(hello(b"ID"))
        if len(scripted.dials) == 1 or not refused:
            await server.answer(b'A1 ID ("name" "engine")', reply)
        await server.hung_up()

    refusals = Refusals()
    async with Scripted(script) as scripted:
        for _ in range(2):
            session = await scripted.connect(refusals=refusals)
            await session.close()


async def test_a_mailbox_that_cannot_be_opened_says_nothing_of_the_extension(autojump_clock):
    async def script(server):
        await server.say(hello(b"CONDSTORE"))
        await server.answer(b'A1 SELECT "x" (CONDSTORE)', b"A1 NO Permission denied\r\n")
        await server.answer(b'A2 SELECT "x"', b"A2 NO Permission denied\r\n")
        await server.answer(b'A3 SELECT "x" (CONDSTORE)', b"A3 NO [NONEXISTENT] none\r\n")
        await server.answer(b'A4 SELECT "x" (CONDSTORE)', b"* 0 EXISTS\r\nA4 OK\r\n")
        await server.answer(b'A5 SELECT "x" (CONDSTORE)', b"* FLAGS ()\r\nA5 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        for _ in range(2):
            with pytest.raises(CommandRefused):
                await session.select("x")
        await session.select("x")
        with pytest.raises(CommandRefused, match="contents"):
            await session.select("x")
        assert session.selected is None
        await session.close()


@pytest.mark.parametrize(("answer", "asked_again"), [(b"* SEARCH 5\r\n", False), (b"", True)])
async def test_a_search_that_takes_no_notice_of_return(answer, asked_again, autojump_clock):
    async def script(server):
        await opened(server, b"ESEARCH")
        await server.answer(b"A2 UID SEARCH RETURN (ALL) ALL", answer + b"A2 OK\r\n")
        if asked_again:
            await server.answer(b"A3 UID SEARCH ALL", b"* SEARCH 5\r\nA3 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.select("INBOX")
        assert await session.search("ALL") == array("I", [5])
        assert ("ESEARCH" in session.capabilities) != asked_again
        await session.close()


async def test_a_list_that_takes_no_notice_of_status(autojump_clock):
    async def script(server):
        await server.say(hello(b"LIST-STATUS"))
        await server.answer(b'A1 LIST "" "*" RETURN (STATUS (UIDNEXT))', LISTED + b"A1 OK\r\n")
        await server.answer(b"A2 " + STATUS[0], STATUS[1] + b"A2 OK\r\n")
        await server.answer(b'A3 LIST "" "*"', LISTED + b"A3 OK\r\n")
        await server.answer(b"A4 " + STATUS[0], STATUS[1] + b"A4 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        for _ in range(2):
            assert await listed(session) == (["INBOX"], {"INBOX": {"UIDNEXT": 7}})
        await session.close()


async def test_a_literal_the_server_does_not_take_unasked(autojump_clock):
    async def script(server):
        await server.say(hello(b"LITERAL+"))
        await server.hear(b'A1 APPEND "Sent" (\\Seen) {20+}')
        await server.octets(22)
        # What such a server makes of the message it did not expect.
        await server.say(
            b"A1 BAD Missing literal\r\nSubject: BAD Unknown command\r\n* BAD Null command\r\nbody BAD x\r\n"
        )
        for tag in (b"A2", b"A3"):
            await server.answer(tag + b' APPEND "Sent" (\\Seen) {20}', b"+ go\r\n")
            await server.octets(22)
            await server.say(tag + b" OK [APPENDUID 1 2] stored\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        for _ in range(2):
            assert await session.append("Sent", MESSAGE) == Appended(1, 2)
        await session.close()


@pytest.mark.parametrize("ending", [b"A2 OK done\r\n", b"A2 BAD what\r\n", b"DONE BAD what\r\nA2 NO x\r\n"])
async def test_a_server_that_does_not_begin_to_idle_is_asked_for_news(ending, autojump_clock):
    async def script(server):
        await opened(server, b"IDLE")
        if len(scripted.dials) == 1:
            await server.hear(b"A2 IDLE")
            await server.answer(b"DONE", ending)
            await server.answer(b"A3 NOOP", b"* 4 EXISTS\r\nA3 OK\r\n")
        else:
            await server.answer(b"A2 NOOP", b"* 4 EXISTS\r\nA2 OK\r\n")
        await server.hung_up()

    refusals = Refusals()
    async with Scripted(script) as scripted:
        for seconds in (GO_AHEAD_SECONDS + POLL_SECONDS, POLL_SECONDS):
            session = await scripted.connect(refusals=refusals)
            await session.select("INBOX")
            start = trio.current_time()
            assert await session.idle(Wake(), 1000) == [Exists(4)]
            assert trio.current_time() - start == pytest.approx(seconds)
            await session.close()


async def test_a_connection_that_ends_while_idling_says_nothing_of_idle(autojump_clock):
    async def script(server):
        await opened(server, b"IDLE")
        await server.answer(b"A2 IDLE", b"+\r\n")
        await server.close()

    refusals = Refusals()
    async with Scripted(script) as scripted:
        for _ in range(3):
            session = await scripted.connect(refusals=refusals)
            await session.select("INBOX")
            with pytest.raises(NetworkError):
                await session.idle(Wake(), 1000)
            assert "IDLE" in session.capabilities
            await session.close()


def test_a_server_is_another_when_its_greeting_or_its_capabilities_change():
    refusals, old = Refusals(), (steady("Dovecot ready. <17.42@mx7>"), frozenset({"CONDSTORE", "QRESYNC", "ID"}))
    refusals.refused(old, "CONDSTORE")
    assert refusals.usable(old) == {"ID"}
    assert refusals.usable((steady("Dovecot ready. <18.43@mx9>"), old[1])) == {"ID"}
    for other in ((steady("Dovecot (2) prepared."), old[1]), (old[0], old[1] | {"X"})):
        assert refusals.usable(other) == other[1]


def test_only_so_many_servers_are_remembered():
    refusals = Refusals()
    servers = [(f"{chr(97 + number)}", frozenset({"ID"})) for number in range(SERVERS + 1)]
    for server in servers:
        refusals.refused(server, "ID")
    assert [bool(refusals.usable(server)) for server in servers] == [True] + [False] * SERVERS


def test_two_ends_of_a_connection_with_a_success_between_are_chance():
    refusals, server = Refusals(), ("", frozenset({"ID"}))
    for _ in range(5):
        refusals.cut(server, "ID")
        refusals.worked(server, "ID")
    assert refusals.usable(server) == {"ID"}


async def test_compression_that_was_promised_and_does_not_come(autojump_clock):
    async def script(server):
        await server.say(hello(b"COMPRESS=DEFLATE"))
        if len(scripted.dials) < 3:
            await server.answer(b"A1 COMPRESS DEFLATE", b"A1 OK\r\n")
            await server.stream.receive_some(100)
            await server.say(b"A2 OK not deflated\r\n")
        await server.hung_up()

    refusals = Refusals()
    async with Scripted(script) as scripted:
        for _ in range(2):
            session = await scripted.connect(refusals=refusals)
            with pytest.raises(NetworkError):
                await session.compress()
            await session.close()
        session = await scripted.connect(refusals=refusals)
        assert not await session.compress()
        await session.close()
