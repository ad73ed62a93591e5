"""A session that is logged in: LIST, SELECT, APPEND, NOOP, LOGOUT, and what breaks it."""

import pytest
import trio
from imap_script import HELLO, Scripted

from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.imap import limits
from engine.imap.responses import Exists, Expunge
from engine.imap.session import COMMAND_SECONDS, LOGOUT_SECONDS, Appended, CommandRefused, Selected
from engine.imap.wake import Wake
from engine.transcript import Trace


def hello(capabilities: bytes = b"") -> bytes:
    return b"* PREAUTH [CAPABILITY IMAP4rev1 " + capabilities + b"] hello\r\n"


# LIST


async def test_list(autojump_clock):
    async def script(server):
        await server.say(hello(b"SPECIAL-USE LIST-EXTENDED"))
        await server.answer(
            b'A1 LIST "" "*" RETURN (SPECIAL-USE)',
            b'* LIST (\\HasNoChildren) "/" INBOX\r\n'
            b'* LIST (\\HasNoChildren \\Sent) "/" Sent\r\n'
            b'* LIST () "/" {10}\r\nEntw&APw-r\r\n'
            b"A1 OK\r\n",
        )

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        found = await session.list_mailboxes()
        assert [(mailbox.path, mailbox.special_use, mailbox.special_use_source) for mailbox in found] == [
            ("INBOX", "\\Inbox", "name"),
            ("Sent", "\\Sent", "extension"),
            ("Entwür", None, None),
        ]
        await session.close()


@pytest.mark.parametrize("capabilities", [b"", b"SPECIAL-USE", b"LIST-EXTENDED"])
async def test_list_where_nothing_more_can_be_asked(capabilities, autojump_clock):
    async def script(server):
        await server.say(hello(capabilities))
        await server.answer(b'A1 LIST "" "*"', b'* LIST () "." INBOX.Gesendet\r\nA1 OK\r\n')

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        (mailbox,) = await session.list_mailboxes()
        assert (mailbox.path, mailbox.special_use, mailbox.special_use_source) == ("INBOX.Gesendet", "\\Sent", "name")
        await session.close()


async def test_names_go_back_as_they_were_listed(autojump_clock):
    """Servers break the naming rules; the name they gave is the name they know."""

    async def script(server):
        await server.say(hello())
        await server.answer(
            b'A1 LIST "" "*"',
            b'* LIST () "/" "a&b"\r\n* LIST () "/" "W\xc3\xbcrze"\r\n* LIST () "/" "b\xfcro"\r\nA1 OK\r\n',
        )
        await server.answer(b'A2 SELECT "a&b"', b"* 0 EXISTS\r\nA2 OK\r\n")
        await server.answer(b"A3 SELECT {6}", b"+ go\r\n")
        await server.answer("Würze".encode(), b"* 0 EXISTS\r\nA3 OK\r\n")
        await server.answer(b"A4 SELECT {4}", b"+ go\r\n")
        await server.answer(b"b\xfcro", b"* 0 EXISTS\r\nA4 OK\r\n")
        await server.answer(b'A5 SELECT "Gr&APw-n"', b"* 0 EXISTS\r\nA5 OK\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        paths = [mailbox.path for mailbox in await session.list_mailboxes()]
        assert paths == ["a&b", "Würze", "b�FCro"]
        for path in [*paths, "Grün"]:
            await session.select(path)
        await session.close()


async def test_list_refused(autojump_clock):
    async def script(server):
        await server.say(hello())
        await server.answer(b'A1 LIST "" "*"', b"A1 BAD User is authenticated but not connected.\r\n")
        await server.answer(b"A2 NOOP", b"A2 OK\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        with pytest.raises(CommandRefused) as caught:
            await session.list_mailboxes()
        assert (caught.value.response, caught.value.code) == ("A1 BAD User is authenticated but not connected.", None)
        assert session.usable
        await session.noop()
        await session.close()


# SELECT


@pytest.mark.parametrize(
    ("reply", "selected"),
    [
        (
            b"* FLAGS (\\Seen)\r\n* OK [PERMANENTFLAGS (\\Seen \\*)] ok\r\n* 12 EXISTS\r\n* 0 RECENT\r\n"
            b"* OK [UNSEEN 3] x\r\n* OK [UIDVALIDITY 1795000000] ok\r\n* OK [UIDNEXT 99] ok\r\n"
            b"* OK [HIGHESTMODSEQ 715194045007] ok\r\nA1 OK [READ-WRITE] done\r\n",
            Selected(12, 1795000000, 99, 715194045007, False),
        ),
        (b"* 3 EXISTS\r\n* OK [NOMODSEQ] none\r\nA1 OK [READ-ONLY] done\r\n", Selected(3, None, None, None, True)),
        (b"* 9 EXISTS\r\n* 3 EXISTS\r\n* OK [UIDNEXT x] odd\r\nA1 OK\r\n", Selected(3, None, None, None, False)),
    ],
)
async def test_select(reply, selected, autojump_clock):
    async def script(server):
        await server.say(hello())
        await server.answer(b'A1 SELECT "INBOX"', reply)

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert await session.select("INBOX") == selected
        assert session.pending == ()
        await session.close()


async def test_select_asks_for_modseq_where_it_is_kept(autojump_clock):
    async def script(server):
        await server.say(hello(b"CONDSTORE"))
        await server.answer(b'A1 SELECT "INBOX" (CONDSTORE)', b"* 1 EXISTS\r\n* OK [HIGHESTMODSEQ 7]\r\nA1 OK\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert (await session.select("INBOX")).highest_modseq == 7
        await session.close()


async def test_examine(autojump_clock):
    async def script(server):
        await server.say(hello())
        await server.answer(b'A1 EXAMINE "INBOX"', b"* 1 EXISTS\r\nA1 OK\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert (await session.select("INBOX", read_only=True)).read_only
        await session.close()


async def test_select_refused(autojump_clock):
    async def script(server):
        await server.say(hello())
        await server.answer(b'A1 SELECT "nope"', b"A1 NO [NONEXISTENT] no such mailbox\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        with pytest.raises(CommandRefused) as caught:
            await session.select("nope")
        assert caught.value.code == "NONEXISTENT"
        assert session.usable
        await session.close()


async def test_a_path_imap_cannot_carry(autojump_clock):
    async def script(server):
        await server.say(hello())

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        with pytest.raises(ValueError):
            await session.select("\ud800")
        assert session.usable
        await session.close()


# APPEND

MESSAGE = [b"Subject: x\r\n", b"\r\n", b"body\r\n"]
WHOLE = b"".join(MESSAGE)


async def test_append_waits_for_the_go_ahead(autojump_clock):
    async def script(server):
        await server.say(hello(b"UIDPLUS"))
        await server.answer(b'A1 APPEND "Sent" (\\Seen) "26-Oct-2026 07:33:20 +0000" {20}', b"+ go\r\n")
        assert await server.octets(20) == WHOLE
        await server.answer(b"", b"A1 OK [APPENDUID 38505 3955] stored\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert await session.append("Sent", MESSAGE, date=1_793_000_000) == Appended(38505, 3955)
        await session.close()


async def test_append_with_literal_plus(autojump_clock):
    async def script(server):
        await server.say(hello(b"LITERAL+"))
        await server.hear(b'A1 APPEND "Entw&APw-rfe" {20+}')
        assert await server.octets(20) == WHOLE
        await server.answer(b"", b"A1 OK stored\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert await session.append("Entwürfe", MESSAGE, flags=()) == Appended(None, None)
        await session.close()


async def test_append_of_something_large(autojump_clock):
    """Many pieces of all sizes arrive whole, and only after the go-ahead."""
    pieces = [b"x" * size for size in (1, 300_000, 10, 100_000, 200_000, 5)] + [b"y" * 1000] * 1000
    size = sum(map(len, pieces))

    async def script(server):
        await server.say(hello(b"LITERAL+"))
        await server.answer(b'A1 APPEND "Sent" (\\Seen) {%d}' % size, b"+ go\r\n")
        assert await server.octets(size) == b"".join(pieces)
        await server.answer(b"", b"A1 OK [APPENDUID 1 2] stored\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert await session.append("Sent", pieces) == Appended(1, 2)
        await session.close()


@pytest.mark.parametrize(
    ("reply", "code"),
    [(b"NO [TRYCREATE] no mailbox", "TRYCREATE"), (b"NO [OVERQUOTA] full", "OVERQUOTA"), (b"BAD what", None)],
)
@pytest.mark.parametrize("literal_plus", [True, False])
async def test_append_refused(reply, code, literal_plus, autojump_clock):
    async def script(server):
        await server.say(hello(b"LITERAL+" if literal_plus else b""))
        await server.line()
        if literal_plus:
            await server.octets(20 + 2)
        await server.say(b"A1 " + reply + b"\r\n")
        tag = b"A1"
        if literal_plus and reply.startswith(b"BAD"):
            tag = b"A2"
            await server.answer(b'A2 APPEND "Sent" (\\Seen) {20}', b"A2 " + reply + b"\r\n")
        await server.answer(b"A%d NOOP" % (int(tag[1:]) + 1), b"A%d OK\r\n" % (int(tag[1:]) + 1))

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        with pytest.raises(CommandRefused) as caught:
            await session.append("Sent", MESSAGE)
        assert (caught.value.code, caught.value.response[3:]) == (code, reply.decode())
        await session.noop()
        await session.close()


@pytest.mark.parametrize("code", [b"[APPENDUID]", b"[APPENDUID x y]", b"[APPENDUID (1) 2", b"[APPENDUID 1:2]"])
async def test_an_odd_appenduid_is_none(code, autojump_clock):
    async def script(server):
        await server.say(hello(b"LITERAL+"))
        await server.line()
        await server.octets(20 + 2)
        await server.say(b"A1 OK " + code + b" stored\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        appended = await session.append("Sent", MESSAGE)
        assert appended.uid is None
        await session.close()


async def test_append_has_time_for_its_size(autojump_clock):
    """8 MiB over a slow line: far beyond a minute, and still one command."""

    async def script(server):
        await server.say(hello(b"UIDPLUS"))
        await server.line()
        await server.say(b"+ go\r\n")
        for _ in range(8 * 4):
            await server.octets(256 * 1024)
            await trio.sleep(7)
        await server.answer(b"", b"A1 OK [APPENDUID 1 2] stored\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        start = trio.current_time()
        assert await session.append("Sent", [b"x" * 256 * 1024] * 32) == Appended(1, 2)
        assert trio.current_time() - start > 200
        await session.close()


async def test_append_is_given_up_at_last(autojump_clock):
    async def script(server):
        await server.say(hello())
        await server.line()
        await server.say(b"+ go\r\n")
        await server.octets(20)
        await server.hear(b"")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        with pytest.raises(NetworkError) as caught:
            await session.append("Sent", MESSAGE)
        assert caught.value.kind is NetworkKind.TIMEOUT
        assert not session.usable
        await session.close()


@pytest.mark.parametrize(("flags", "date"), [(("not a flag",), None), ((), 1e20)])
async def test_append_of_what_imap_cannot_carry(flags, date, autojump_clock):
    async def script(server):
        await server.say(hello())
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        with pytest.raises(ValueError):
            await session.append("Sent", MESSAGE, flags, date)
        assert session.usable
        await session.close()


# News, breaking, leaving


async def test_what_comes_unasked_is_kept(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.answer(b'A1 SELECT "INBOX"', b"* 1 EXISTS\r\nA1 OK\r\n* 2 EXISTS\r\n")
        await server.answer(b"A2 NOOP", b"* 1 EXPUNGE\r\n* OK [ALERT] hi\r\nA2 OK\r\n")
        await server.answer(b'A3 LIST "" "*"', b"* LIST () NIL INBOX\r\n* 5 EXISTS\r\nA3 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.select("INBOX")
        await session.noop()
        await session.list_mailboxes()
        assert session.pending == (Exists(2), Expunge(1), Exists(5))
        assert await session.idle(Wake(), 1000) == [Exists(2), Expunge(1), Exists(5)]
        assert session.pending == ()
        await session.close()


async def test_a_silent_server_breaks_the_session(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.hear(b"A1 NOOP")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        start = trio.current_time()
        with pytest.raises(NetworkError) as caught:
            await session.noop()
        assert caught.value.kind is NetworkKind.TIMEOUT
        assert trio.current_time() - start == COMMAND_SECONDS
        assert not session.usable
        with pytest.raises(NetworkError, match="closed"):
            await session.noop()
        await session.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"x" * (limits.LINE_BYTES + 2),
        b"* LIST () NIL {%d}\r\n" % (limits.LITERAL_BYTES + 1),
    ],
)
async def test_a_violation_breaks_the_session(reply, autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.answer(b"A1 NOOP", reply)
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        with pytest.raises(ProtocolError):
            await session.noop()
        assert not session.usable
        await session.logout()


async def test_cancelling_breaks_the_session(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.hear(b"A1 NOOP")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        with trio.move_on_after(5) as scope:
            await session.noop()
        assert scope.cancelled_caught
        assert not session.usable
        await session.close()


async def test_bye_ends_the_session(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.answer(b"A1 NOOP", b"* BYE shutting down\r\nA1 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.noop()
        assert not session.usable
        with pytest.raises(NetworkError):
            await session.noop()
        await session.close()


async def test_logout(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.answer(b"A1 LOGOUT", b"* BYE see you\r\nA1 OK\r\n")
        await server.hung_up()

    trace = Trace()
    async with Scripted(script) as scripted:
        session = await scripted.connect(trace=trace)
        await session.logout()
        assert not session.usable
    assert trace.lines()[-3:] == ["C: A1 LOGOUT", "S: * BYE see you", "S: A1 OK"]


async def test_logout_does_not_wait_for_ever(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.hear(b"A1 LOGOUT")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        start = trio.current_time()
        await session.logout()
        assert trio.current_time() - start == LOGOUT_SECONDS


async def test_logout_of_a_server_that_left(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.close()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.logout()
        assert not session.usable


@pytest.mark.parametrize(
    ("host", "capabilities", "files"),
    [
        ("imap.gmail.com", b"X-GM-EXT-1", True),
        ("outlook.office365.com", b"", True),
        ("OUTLOOK.OFFICE365.COM", b"", True),
        ("imap-mail.outlook.com", b"", True),
        ("outlook.com", b"", True),
        ("imap.notoutlook.com", b"", False),
        ("imap.example.com", b"", False),
    ],
)
async def test_files_sent_itself(host, capabilities, files, autojump_clock):
    async def script(server):
        await server.say(hello(capabilities))
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect(host=host)
        assert session.files_sent_itself is files
        await session.close()


@pytest.mark.parametrize("together", [True, False])
async def test_status_of_every_mailbox(together, autojump_clock):
    listed = b'* LIST () "/" INBOX\r\n* LIST (\\Noselect) "/" x\r\n'
    status = b"* STATUS INBOX (MESSAGES 3 UIDNEXT 8)\r\n"

    async def script(server):
        await server.say(hello(b"LIST-STATUS" if together else b""))
        if together:
            await server.answer(b'A1 LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT))', listed + status + b"A1 OK\r\n")
        else:
            await server.answer(b'A1 LIST "" "*"', listed + b"A1 OK\r\n")
            await server.answer(b'A2 STATUS "INBOX" (MESSAGES UIDNEXT)', status + b"A2 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        found, items = await session.list_with_status(["MESSAGES", "UIDNEXT"])
        assert [(each.path, each.selectable) for each in found] == [("INBOX", True), ("x", False)]
        assert items == {"INBOX": {"MESSAGES": 3, "UIDNEXT": 8}}
        await session.close()
