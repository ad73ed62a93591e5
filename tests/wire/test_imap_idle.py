"""IDLE: what wakes it, what it returns, and that nothing said around it is lost."""

import pytest
import trio
from imap_script import Scripted

from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.imap.connection import ANSWER_SECONDS, GO_AHEAD_SECONDS
from engine.imap.responses import Exists, Expunge, Fetch, Vanished
from engine.imap.session import POLL_SECONDS, ImapSession
from engine.imap.wake import Wake


async def selected(server, capabilities: bytes = b"IDLE") -> None:
    await server.say(b"* PREAUTH [CAPABILITY IMAP4rev1 " + capabilities + b"] hello\r\n")
    await server.answer(b'A1 SELECT "INBOX"', b"* 1 EXISTS\r\nA1 OK\r\n")


async def connect(scripted: Scripted) -> ImapSession:
    session = await scripted.connect()
    await session.select("INBOX")
    return session


@pytest.mark.parametrize(
    ("line", "news"),
    [
        (b"* 2 EXISTS\r\n", Exists(2)),
        (b"* 1 EXPUNGE\r\n", Expunge(1)),
        (b"* VANISHED 7\r\n", Vanished(False, ((7, 7),))),
        (b"* 1 FETCH (FLAGS (\\Seen))\r\n", Fetch(1, {"FLAGS": ["\\Seen"]})),
        (b'* 1 FETCH (X {3}\r\n"\r\n)\r\n', Fetch(1, {"X": b'"\r\n'})),
    ],
)
@pytest.mark.parametrize("bytewise", [False, True])
async def test_news_end_it(line, news, bytewise, autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n")
        await trio.sleep(500)
        await (server.say_bytewise if bytewise else server.say)(line)
        await server.answer(b"DONE", b"A2 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        start = trio.current_time()
        assert await session.idle(Wake(), 1000) == [news]
        assert trio.current_time() - start == 500
        assert session.usable
        await session.close()


async def test_nothing_said_around_it_is_lost(autojump_clock):
    async def script(server):
        await selected(server)
        await server.hear(b"A2 IDLE")
        await server.say(b"* 2 EXISTS\r\n+ idling\r\n* 3 EXISTS\r\n")
        await server.hear(b"DONE")
        await server.say(b"* 1 EXPUNGE\r\n* 1 FETCH (UID 5)\r\nA2 OK\r\n* 4 EXISTS\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert await session.idle(Wake(), 1000) == [
            Exists(2),
            Exists(3),
            Expunge(1),
            Fetch(1, {"UID": "5"}),
            Exists(4),
        ]
        await session.close()


async def test_keepalives_do_not_end_it(autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n")
        for _ in range(9):
            await trio.sleep(100)
            await server.say(b"* OK Still here\r\n* 0 RECENT\r\n")
        await server.answer(b"DONE", b"A2 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        start = trio.current_time()
        assert await session.idle(Wake(), 1000) == []
        assert trio.current_time() - start == 1000
        await session.close()


async def test_wake_ends_it(autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n")
        await server.answer(b"DONE", b"A2 OK\r\n")
        await server.answer(b"A3 NOOP", b"A3 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        wake = Wake()
        start = trio.current_time()

        async def waker():
            await trio.sleep(50)
            wake.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waker)
            assert await session.idle(wake, 1000) == []
        assert trio.current_time() - start == 50
        await session.noop()
        await session.close()


async def test_a_wake_already_set_says_nothing_to_the_server(autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 NOOP", b"A2 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        wake = Wake()
        wake.set()
        assert await session.idle(wake, 1000) == []
        await session.noop()
        await session.close()


async def test_again_and_again(autojump_clock):
    async def script(server):
        await selected(server)
        for number in range(2, 50):
            await server.answer(b"A%d IDLE" % number, b"+ idling\r\n")
            await server.say(b"* %d EXISTS\r\n" % number)
            await server.answer(b"DONE", b"A%d OK\r\n" % number)
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        for number in range(2, 50):
            assert await session.idle(Wake(), 1000) == [Exists(number)]
        await session.close()


# The server leaves, or forgets itself


@pytest.mark.parametrize("said", [b"", b"* BYE going down\r\n"])
async def test_restart_while_idling(said, autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n")
        await trio.sleep(100)
        await server.say(said)
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(NetworkError, match="going down" if said else "closed") as caught:
            await session.idle(Wake(), 1000)
        assert caught.value.kind is NetworkKind.CLOSED
        assert not session.usable
        await session.close()


async def test_reset_while_idling(autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n")
        await trio.sleep(100)
        scripted.streams[0].receive_stream.receive_some_hook = reset
        await server.say(b"* OK Still here\r\n")
        await server.hung_up()

    async def reset():
        raise trio.BrokenResourceError from ConnectionResetError("reset")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(NetworkError) as caught:
            await session.idle(Wake(), 1000)
        assert (caught.value.kind, caught.value.code) == (NetworkKind.CLOSED, "ECONNRESET")
        assert not session.usable
        await session.close()


@pytest.mark.parametrize("idles", [True, False])
async def test_bye_without_closing(idles, autojump_clock):
    async def script(server):
        await selected(server, b"IDLE" if idles else b"")
        if idles:
            await server.answer(b"A2 IDLE", b"+ idling\r\n")
        await server.say(b"* BYE idle for too long\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(NetworkError, match="idle for too long"):
            await session.idle(Wake(), 1000)
        await session.close()


async def test_bye_in_answer_to_done(autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n")
        await server.answer(b"DONE", b"* BYE enough\r\nA2 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert await session.idle(Wake(), 100) == []
        assert not session.usable
        await session.close()


async def test_news_before_a_bye_are_returned(autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n* 2 EXISTS\r\n* BYE enough\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert await session.idle(Wake(), 100) == [Exists(2)]
        assert not session.usable
        await session.close()


@pytest.mark.parametrize("begins", [True, False])
async def test_a_server_that_does_not_answer(begins, autojump_clock):
    async def script(server):
        await selected(server)
        await server.hear(b"A2 IDLE")
        if begins:
            await server.say(b"+ idling\r\n")
        await server.hear(b"DONE")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        start = trio.current_time()
        with pytest.raises(NetworkError) as caught:
            await session.idle(Wake(), 1000)
        assert caught.value.kind is NetworkKind.TIMEOUT
        assert trio.current_time() - start == (1000 + ANSWER_SECONDS if begins else 2 * GO_AHEAD_SECONDS)
        await session.close()


@pytest.mark.once
async def test_a_flood_ends_in_an_error(autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n")
        try:
            while True:
                await server.say(b"* OK Still here\r\n" * 3000)
                await trio.lowlevel.checkpoint()
        except trio.BrokenResourceError:
            return

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(ProtocolError):
            await session.idle(Wake(), 10_000_000)
        await session.close()


async def test_cancelled_while_idling(autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with trio.move_on_after(5) as scope:
            await session.idle(Wake(), 1000)
        assert scope.cancelled_caught
        assert not session.usable
        await session.close()


# Where the server cannot IDLE


async def test_polling(autojump_clock):
    async def script(server):
        await selected(server, b"")
        await server.answer(b"A2 NOOP", b"A2 OK\r\n")
        await server.answer(b"A3 NOOP", b"* 2 EXISTS\r\nA3 OK\r\n")
        await server.answer(b"A4 NOOP", b"A4 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        start = trio.current_time()
        assert await session.idle(Wake(), 1000) == [Exists(2)]
        assert trio.current_time() - start == 2 * POLL_SECONDS
        assert await session.idle(Wake(), 30) == []
        assert trio.current_time() - start == 2 * POLL_SECONDS + 30
        await session.close()


async def test_polling_sees_what_comes_unasked_at_once(autojump_clock):
    async def script(server):
        await selected(server, b"")
        await trio.sleep(10)
        await server.say(b"* OK nothing\r\n")
        await trio.sleep(10)
        await server.say(b"* 2 EXISTS\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        start = trio.current_time()
        assert await session.idle(Wake(), 1000) == [Exists(2)]
        assert trio.current_time() - start == 20
        await session.close()


@pytest.mark.parametrize("said", [b"", b"* BYE shutting down\r\n"])
async def test_polling_sees_the_server_leave(said, autojump_clock):
    async def script(server):
        await selected(server, b"")
        await trio.sleep(10)
        await server.say(said)
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(NetworkError, match="shutting down" if said else "closed"):
            await session.idle(Wake(), 1000)
        await session.close()


async def test_polling_is_woken(autojump_clock):
    async def script(server):
        await selected(server, b"")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        wake = Wake()
        start = trio.current_time()

        async def waker():
            await trio.sleep(20)
            wake.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waker)
            assert await session.idle(wake, 1000) == []
        assert trio.current_time() - start == 20
        await session.close()


@pytest.mark.parametrize(
    "reply", [b"A2 BAD unknown command\r\n", b"A2 NO not now\r\n", b"+ idling\r\nA2 OK enough\r\n"]
)
async def test_idle_that_does_not_work_becomes_polling(reply, autojump_clock):
    """A server that offers IDLE and does not hold it must not make us ask it all the time."""

    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", reply)
        await server.answer(b"A3 NOOP", b"* 2 EXISTS\r\nA3 OK\r\n")
        await server.answer(b"A4 NOOP", b"* 3 EXISTS\r\nA4 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        start = trio.current_time()
        assert await session.idle(Wake(), 1000) == [Exists(2)]
        assert await session.idle(Wake(), 1000) == [Exists(3)]
        assert trio.current_time() - start == 2 * POLL_SECONDS
        await session.close()


async def test_a_heartbeat_asks_only_where_the_server_says_nothing(autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n")
        for _ in range(5):
            await trio.sleep(80)
            await server.say(b"* OK Still here\r\n")
        said = trio.current_time()
        await server.answer(b"DONE", b"A2 OK\r\n")
        assert trio.current_time() - said == 90
        await server.answer(b"A3 IDLE", b"+ idling\r\n")
        await trio.sleep(10)
        await server.say(b"* 2 EXISTS\r\n")
        await server.answer(b"DONE", b"A3 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert await session.idle(Wake(), 1000, 90) == [Exists(2)]
        assert session.quiet == 0
        await session.close()


async def test_a_slow_answer_to_a_heartbeat_is_no_silence(autojump_clock):
    async def script(server):
        await selected(server)
        await server.answer(b"A2 IDLE", b"+ idling\r\n")
        await server.hear(b"DONE")
        for number in range(2, 5):
            await trio.sleep(12)
            await server.say(b"* %d EXISTS\r\n" % number)
        await server.say(b"A2 OK\r\n")
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert await session.idle(Wake(), 1000, 90) == [Exists(2), Exists(3), Exists(4)]
        await session.close()


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("capabilities", [b"IDLE", b"X"])
async def test_how_long_a_line_was_quiet_before_it_died(closes, capabilities, autojump_clock):
    async def script(server):
        await selected(server, capabilities)
        if capabilities == b"IDLE":
            await server.answer(b"A2 IDLE", b"+ idling\r\n")
        if closes:
            await trio.sleep(35)
            await server.close()
        else:
            await server.hear(b"DONE" if capabilities == b"IDLE" else b"A2 NOOP")
            await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(NetworkError):
            await session.idle(Wake(), 1000, 50)
        assert session.quiet == (35 if closes else 50)
        await session.close()
