"""Messages described in the round trip that checks whether the mailbox is still the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from imap_script import Scripted

from engine.imap.session import HELD_SECONDS, ImapSession

SELECTED = b"* 9 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\nA1 OK\r\n"
ASKED = (b"A2 FETCH 8:9 (UID)", b"A3 NOOP", b'A4 STATUS "INBOX" (MESSAGES UIDNEXT UIDVALIDITY)')
TWO = b"* 8 FETCH (UID 80)\r\n* 9 FETCH (UID 90)\r\nA2 OK\r\n"


@asynccontextmanager
async def selected(*said: tuple[bytes, bytes]) -> AsyncIterator[ImapSession]:
    async def script(server):
        await server.say(b"* PREAUTH [CAPABILITY IMAP4rev1] hello\r\n")
        await server.answer(b'A1 EXAMINE "INBOX"', SELECTED)
        for line, reply in said:
            await server.answer(line, reply)
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.select("INBOX", read_only=True)
        yield session
        await session.close()


def last_two(exists: int) -> tuple[int, int]:
    return exists - 1, exists


def together(noop: bytes, status: bytes, fetch: bytes = TWO) -> Sequence[tuple[bytes, bytes]]:
    """All three are sent before the first is answered."""
    answer = fetch + noop + b"A3 OK\r\n* STATUS INBOX (" + status + b")\r\nA4 OK\r\n"
    return [(ASKED[0], b""), (ASKED[1], b""), (ASKED[2], answer)]


async def test_in_one_round_trip(autojump_clock):
    async with selected(*together(b"", b"MESSAGES 9 UIDNEXT 91 UIDVALIDITY 7")) as session:
        now, glance = await session.enter_looking("INBOX", last_two, ("UID",))
        assert (now.exists, now.uid_next) == (9, 91)
        assert glance is not None
        assert (glance.first, glance.last, [one.uid for one in glance.messages]) == (8, 9, [80, 90])


@pytest.mark.parametrize(
    ("noop", "status", "fetch", "exists"),
    [
        (b"* 10 EXISTS\r\n", b"MESSAGES 10 UIDVALIDITY 7", TWO, 10),
        (b"* 3 EXPUNGE\r\n", b"MESSAGES 8 UIDVALIDITY 7", TWO, 8),
        # One has gone and one has come: as many, under other numbers.
        (b"* 3 EXPUNGE\r\n* 9 EXISTS\r\n", b"MESSAGES 9 UIDVALIDITY 7", TWO, 9),
        (b"", b"MESSAGES 9 UIDVALIDITY 7", b"A2 NO [SERVERBUG] cannot\r\n", 9),
    ],
)
async def test_what_it_showed_does_not_hold(noop: bytes, status: bytes, fetch: bytes, exists: int, autojump_clock):
    async with selected(*together(noop, status, fetch)) as session:
        now, glance = await session.enter_looking("INBOX", last_two, ("UID",))
        assert (now.exists, glance) == (exists, None)
        assert session.selection is not None
        assert session.selection.same_messages


async def test_another_mailbox_is_at_the_path(autojump_clock):
    anew = (b'A5 EXAMINE "INBOX"', b"* 2 EXISTS\r\n* OK [UIDVALIDITY 8] valid\r\nA5 OK\r\n")
    async with selected(*together(b"", b"MESSAGES 9 UIDVALIDITY 8"), anew) as session:
        now, glance = await session.enter_looking("INBOX", last_two, ("UID",))
        assert (now.exists, now.uid_validity, glance) == (2, 8, None)


async def test_nothing_is_looked_at_where_it_has_to_be_selected(autojump_clock):
    anew = (b'A2 EXAMINE "INBOX"', SELECTED.replace(b"A1", b"A2"))
    async with selected(anew) as session:
        await trio.sleep(HELD_SECONDS + 1)
        assert (await session.enter_looking("INBOX", last_two, ("UID",)))[1] is None
    async with selected((b'A2 EXAMINE "Sent"', SELECTED.replace(b"A1", b"A2"))) as session:
        assert (await session.enter_looking("Sent", last_two, ("UID",)))[1] is None
    status = b"* STATUS INBOX (MESSAGES 9 UIDVALIDITY 7)\r\nA3 OK\r\n"
    together = [(b"A2 NOOP", b""), (ASKED[2].replace(b"A4", b"A3"), b"A2 OK\r\n" + status)]
    async with selected(*together) as session:
        assert (await session.enter_looking("INBOX", lambda exists: None, ("UID",)))[1] is None
