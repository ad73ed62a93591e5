"""What can be asked of the messages in a mailbox: by number, by search, in part, with servers that do less at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from imap_script import Scripted

from engine.imap.reader import DOWNLOAD_BYTES
from engine.imap.session import CommandRefused, ImapSession

ITEMS = ["UID", "FLAGS"]
PIECE = b"x" * DOWNLOAD_BYTES


@asynccontextmanager
async def selected(capabilities: bytes, *said: tuple[bytes, bytes]) -> AsyncIterator[ImapSession]:
    """A session in a mailbox of nine, at a server that hears these lines and answers each."""

    async def script(server):
        await server.say(b"* PREAUTH [CAPABILITY IMAP4rev1 " + capabilities + b"] hello\r\n")
        await server.answer(b'A1 SELECT "INBOX"', b"* 9 EXISTS\r\nA1 OK\r\n")
        for line, reply in said:
            await server.answer(line, reply)
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.select("INBOX")
        yield session
        await session.close()


async def test_messages_by_number(autojump_clock):
    reply = (
        b"* 8 FETCH (UID 80 FLAGS ())\r\n* 7 FETCH (UID 70 FLAGS (\\Seen))\r\n* 2 FETCH (UID 20 FLAGS ())\r\nA2 OK\r\n"
    )
    async with selected(b"", (b"A2 FETCH 7:8 (UID FLAGS)", reply)) as session:
        found = await session.fetch_numbered(7, 8, ITEMS)
        assert [(one.number, one.uid) for one in found] == [(7, 70), (8, 80)]
        assert await session.fetch_numbered(1, 0, ITEMS) == []


async def test_a_server_that_shows_only_so_many_is_asked_for_the_rest(autojump_clock):
    async with selected(
        b"MESSAGELIMIT=2",
        (b"A2 FETCH 1:3 (UID)", b"* 3 FETCH (UID 30)\r\n* 2 FETCH (UID 20)\r\nA2 OK [MESSAGELIMIT 2 20] part\r\n"),
        (b"A3 FETCH 1:1 (UID)", b"* 1 FETCH (UID 10)\r\nA3 OK\r\n"),
        (b"A4 UID FETCH 10:30 (UID)", b"* 3 FETCH (UID 30)\r\n* 2 FETCH (UID 20)\r\nA4 OK [MESSAGELIMIT 2 20] .\r\n"),
        (b"A5 UID FETCH 10:19 (UID)", b"* 1 FETCH (UID 10)\r\nA5 OK\r\n"),
    ) as session:
        assert [one.uid for one in await session.fetch_numbered(1, 3, ["UID"])] == [10, 20, 30]
        assert {one.uid for one in await session.fetch(((10, 30),), ["UID"])} == {10, 20, 30}


@pytest.mark.parametrize("again", [b"A4 OK\r\n", b"A4 OK [MESSAGELIMIT 1000 1]\r\n"])
async def test_a_server_that_searches_only_so_many_is_asked_for_the_rest(again, autojump_clock):
    async with selected(
        b"",
        (b"A2 UID SEARCH UNSEEN", b"* SEARCH 900\r\nA2 OK [MESSAGELIMIT 1000 850] part\r\n"),
        (b"A3 UID SEARCH UNSEEN UID 1:849", b"* SEARCH 300\r\nA3 OK [MESSAGELIMIT 1000 200] part\r\n"),
        (b"A4 UID SEARCH UNSEEN UID 1:199", b"* SEARCH 5 6\r\n" + again),
    ) as session:
        assert list(await session.search("UNSEEN")) == [5, 6, 300, 900]


async def test_a_server_that_never_gets_on_is_left(autojump_clock):
    limited = b"OK [MESSAGELIMIT 1000 850] part\r\n"
    async with selected(
        b"",
        (b"A2 UID SEARCH UNSEEN", b"* SEARCH 900\r\nA2 " + limited),
        (b"A3 UID SEARCH UNSEEN UID 1:849", b"* SEARCH 900\r\nA3 " + limited),
    ) as session:
        assert list(await session.search("UNSEEN")) == [900]


@pytest.mark.parametrize(
    ("first", "last", "option", "part", "uids"),
    [
        (-1, -2, b"-1:-2", b"(-1:-2 8:9)", [8, 9]),
        (1, 2, b"1:2", b"(1:2 3,5)", [3, 5]),
        (-21, -40, b"-21:-40", b"(-21:-40 NIL)", []),
    ],
)
async def test_part_of_what_matches(first, last, option, part, uids, autojump_clock):
    command = b"A2 UID SEARCH RETURN (COUNT PARTIAL " + option + b") UNSEEN"
    reply = b"* ESEARCH (TAG A2) UID COUNT 4 PARTIAL " + part + b"\r\nA2 OK\r\n"
    async with selected(b"ESEARCH PARTIAL", (command, reply)) as session:
        found, total = await session.search_part(("UNSEEN",), first, last)
        assert (list(found), total) == (uids, 4)


@pytest.mark.parametrize(
    ("first", "last", "uids"), [(-1, -2, [8, 9]), (-3, -4, [3, 5]), (-4, -9, [3]), (-5, -9, []), (1, 3, [3, 5, 8])]
)
async def test_the_same_where_the_server_tells_of_all(first, last, uids, autojump_clock):
    async with selected(b"", (b"A2 UID SEARCH UNSEEN", b"* SEARCH 9 3 5 8\r\nA2 OK\r\n")) as session:
        found, total = await session.search_part(("UNSEEN",), first, last)
        assert (list(found), total) == (uids, 4)


async def test_text_outside_ascii_names_its_charset(autojump_clock):
    said = [
        (b"A2 UID SEARCH CHARSET UTF-8 SUBJECT {3}", b"+ go\r\n"),
        ("é".encode() + b"x", b"* SEARCH 4\r\nA2 OK\r\n"),
    ]
    async with selected(b"", *said) as session:
        assert list(await session.search("SUBJECT", "éx".encode())) == [4]


async def test_where_everything_is_utf8_no_charset_is_named(autojump_clock):
    said = [
        (b"A2 ENABLE UTF8=ACCEPT", b"* ENABLED UTF8=ACCEPT\r\nA2 OK\r\n"),
        ('A3 UID SEARCH SUBJECT "é"'.encode(), b"* SEARCH 4\r\nA3 OK\r\n"),
    ]
    async with selected(b"ENABLE UTF8=ACCEPT", *said) as session:
        await session.enable("UTF8=ACCEPT")
        assert list(await session.search("SUBJECT", "é".encode())) == [4]


async def test_a_charset_the_server_does_not_know_is_told(autojump_clock):
    refusal = b"NO [BADCHARSET (US-ASCII)] no\r\n"
    said = [
        (b"A2 UID SEARCH RETURN (ALL) CHARSET UTF-8 SUBJECT {2+}", b""),
        ("é".encode(), b"A2 " + refusal),
        (b"A3 UID SEARCH CHARSET UTF-8 SUBJECT {2+}", b""),
        ("é".encode(), b"A3 " + refusal),
    ]
    async with selected(b"ESEARCH LITERAL+", *said) as session:
        with pytest.raises(CommandRefused) as caught:
            await session.search("SUBJECT", "é".encode())
        assert caught.value.code == "BADCHARSET"


async def test_conversations(autojump_clock):
    reply = b"* THREAD (2)(3 6 (4 23)(44 7 96))((5)(8))\r\nA2 OK\r\n"
    async with selected(b"THREAD=REFERENCES", (b"A2 UID THREAD REFERENCES UTF-8 ALL", reply)) as session:
        assert await session.threads("REFERENCES", ("ALL",)) == [(2,), (3, 6, 4, 23, 44, 7, 96), (5, 8)]


async def test_a_part_decoded_by_the_server(autojump_clock):
    said = [
        (b"A2 UID FETCH 7 (UID BINARY.PEEK[2]<0.262144>)", b"* 1 FETCH (UID 7 BINARY[2]<0> ~{3}\r\na\0b)\r\nA2 OK\r\n"),
        (b"A3 UID FETCH 7 (BINARY.SIZE[2])", b"* 1 FETCH (UID 7 BINARY.SIZE[2] 3)\r\nA3 OK\r\n"),
    ]
    async with selected(b"BINARY", *said) as session:
        assert [piece async for piece in session.download(7, "2", decoded=True)] == [b"a\0b"]
        assert (await session.fetch(((7, 7),), ["BINARY.SIZE[2]"]))[0].decoded_sizes == {"2": 3}


async def test_octets_in_the_middle(autojump_clock):
    said = [(b"A2 UID FETCH 7 (UID BODY.PEEK[]<5.3>)", b"* 1 FETCH (UID 7 BODY[]<5> {3}\r\nabc)\r\nA2 OK\r\n")]
    async with selected(b"", *said) as session:
        assert [piece async for piece in session.download(7, "", offset=5, end=8)] == [b"abc"]


@pytest.mark.parametrize("settled", [True, False])
async def test_the_next_piece_is_asked_for_before_one_is_handed_on(settled, autojump_clock):
    first = b"* 1 FETCH (UID 7 BODY[1]<0> {262144}\r\n" + PIECE + b")\r\nA2 OK\r\n"
    second = b"* 1 FETCH (UID 7 BODY[1]<262144> {3}\r\nend)\r\nA3 OK\r\n"
    said = [
        (b"A2 UID FETCH 7 (UID BODY.PEEK[1]<0.262144>)", first),
        (b"A3 UID FETCH 7 (UID BODY.PEEK[1]<262144.262144>)", second),
        (b"A4 NOOP", b"A4 OK\r\n"),
    ]
    async with selected(b"", *said) as session:
        pieces = session.download(7, "1")
        assert await anext(pieces) == PIECE
        await pieces.aclose()
        assert not session.in_order  # the second piece is on its way
        if settled:
            assert await session.settle(1)
            assert session.in_order
        await session.noop()
        assert session.in_order


@pytest.mark.parametrize("there", [True, False])
async def test_a_message_that_is_removed_during_a_download(there, autojump_clock):
    first = b"* 1 FETCH (UID 7 BODY[1]<0> {262144}\r\n" + PIECE + b")\r\nA2 OK\r\n"
    said = [
        (b"A2 UID FETCH 7 (UID BODY.PEEK[1]<0.262144>)", first),
        (b"A3 UID FETCH 7 (UID BODY.PEEK[1]<262144.262144>)", b"A3 OK\r\n"),
        (b"A4 UID FETCH 7 (UID)", b"* 1 FETCH (UID 7)\r\nA4 OK\r\n" if there else b"A4 OK\r\n"),
    ]
    async with selected(b"", *said) as session:
        pieces = session.download(7, "1")
        assert await anext(pieces) == PIECE
        if there:  # it ended with the piece
            assert [each async for each in pieces] == []
        else:
            with pytest.raises(CommandRefused, match="was removed"):
                await anext(pieces)
        assert session.in_order


@pytest.mark.parametrize(
    ("capabilities", "command", "reply"),
    [
        (b"", b'A2 UID SEARCH HEADER Message-ID "<a@b>"', b"* SEARCH 9 2 5\r\n"),
        (b"ESEARCH", b'A2 UID SEARCH RETURN (ALL) HEADER Message-ID "<a@b>"', b"* ESEARCH (TAG A2) UID ALL 2,5,9\r\n"),
    ],
)
async def test_search_either_way(capabilities, command, reply, autojump_clock):
    async with selected(capabilities, (command, reply + b"A2 OK\r\n")) as session:
        assert list(await session.search("HEADER Message-ID", b"<a@b>")) == [2, 5, 9]


async def test_a_large_section_comes_in_pieces(autojump_clock):
    said = [
        (
            b"A2 UID FETCH 7 (UID BODY.PEEK[1]<0.262144>)",
            b"* 1 FETCH (UID 7 BODY[1]<0> {262144}\r\n" + PIECE + b")\r\nA2 OK\r\n",
        ),
        (
            b"A3 UID FETCH 7 (UID BODY.PEEK[1]<262144.262144>)",
            b"* 1 FETCH (UID 7 BODY[1]<262144> {3}\r\nend)\r\nA3 OK\r\n",
        ),
        (b"A4 UID FETCH 8 (UID BODY.PEEK[1]<0.262144>)", b"A4 OK\r\n"),
    ]
    async with selected(b"", *said) as session:
        assert [piece async for piece in session.download(7, "1")] == [PIECE, b"end"]
        assert [piece async for piece in session.download(8, "1")] == []


@pytest.mark.parametrize("size", [100, 262144, 300000])
async def test_a_server_that_gives_the_whole_for_a_piece(size, autojump_clock):
    whole = b"* 1 FETCH (UID 7 BODY[1] {%d}\r\n" % size + b"x" * size + b")\r\nA2 OK\r\n"
    async with selected(b"", (b"A2 UID FETCH 7 (UID BODY.PEEK[1]<0.262144>)", whole)) as session:
        assert [len(piece) async for piece in session.download(7, "1")] == [size]
