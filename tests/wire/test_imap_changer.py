"""What is sent to change messages, with servers that can do less at once."""

from __future__ import annotations

import pytest
from imap_script import Scripted

from engine.imap.session import CommandRefused


def hello(capabilities: bytes = b"") -> bytes:
    return b"* PREAUTH [CAPABILITY IMAP4rev1 " + capabilities + b"] hello\r\n"


async def test_move_without_the_extension(autojump_clock):
    async def script(server):
        await server.say(hello(b"UIDPLUS"))
        await server.answer(b'A1 SELECT "INBOX"', b"* 9 EXISTS\r\nA1 OK\r\n")
        await server.answer(b"A2 NOOP", b"A2 OK\r\n")
        await server.answer(b'A3 UID COPY 2:3,7 "Trash"', b"A3 OK [COPYUID 1 2:3,7 4:6] .\r\n")
        await server.answer(b"A4 UID STORE 2:3,7 +FLAGS.SILENT (\\Deleted)", b"A4 OK\r\n")
        await server.answer(b"A5 UID EXPUNGE 2:3,7", b"* 2 EXPUNGE\r\nA5 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.select("INBOX")
        assert (await session.move([7, 2, 3], "Trash")).uids == {2: 4, 3: 5, 7: 6}
        await session.close()


@pytest.mark.parametrize(
    ("said", "uids"),
    [
        (b"[COPYUID 9 2:3,7 14:16]", {2: 14, 3: 15, 7: 16}),
        (b"[COPYUID 9 7,2:3 14:16]", {7: 14, 2: 15, 3: 16}),
        (b"[COPYUID 9 2:3,7 14:15]", {}),
        (b"[COPYUID 9 2:4000000000 1:3999999999]", {}),
        (b"[COPYUID x 2:3,7 14:16]", {}),
        (b"[COPYUID 9]", {}),
        (b"Moved.", {}),
    ],
)
async def test_where_moved_messages_are(said, uids, autojump_clock):
    async def script(server):
        await server.say(hello(b"MOVE UIDPLUS"))
        await server.answer(b'A1 SELECT "INBOX"', b"* 9 EXISTS\r\nA1 OK\r\n")
        await server.answer(b'A2 UID MOVE 2:3,7 "Trash"', b"* OK " + said + b" .\r\n* 2 EXPUNGE\r\nA2 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.select("INBOX")
        assert (await session.move([7, 2, 3], "Trash")).uids == uids
        await session.close()


async def test_others_marks_are_given_back_where_expunge_is_refused(autojump_clock):
    async def script(server):
        await server.say(hello(b""))
        await server.answer(b'A1 SELECT "INBOX"', b"* 9 EXISTS\r\nA1 OK\r\n")
        await server.answer(b"A2 UID SEARCH DELETED", b"* SEARCH 2 5 6\r\nA2 OK\r\n")
        await server.answer(b"A3 UID STORE 5:6 -FLAGS.SILENT (\\Deleted)", b"A3 OK\r\n")
        await server.answer(b"A4 UID SEARCH DELETED", b"* SEARCH 2\r\nA4 OK\r\n")
        await server.answer(b"A5 EXPUNGE", b"A5 NO not now\r\n")
        await server.answer(b"A6 UID STORE 5:6 +FLAGS.SILENT (\\Deleted)", b"A6 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.select("INBOX")
        with pytest.raises(CommandRefused):
            await session.expunge([2])
        await session.close()
