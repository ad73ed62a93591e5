"""What becomes of a dialogue whose call was cut short, and of one that rests between two commands."""

import math

import pytest
import trio
from imap_script import Scripted

from engine.errors import NetworkError, NetworkKind
from engine.imap.responses import Exists
from engine.imap.wake import Wake

HELLO = b"* PREAUTH [CAPABILITY IMAP4rev1 LITERAL+] hello\r\n"


async def cut_short(scripted, doing, after=1):
    session = await scripted.connect()
    with trio.move_on_after(after) as scope:
        await doing(session)
    assert scope.cancelled_caught
    assert not session.usable
    return session


async def test_the_rest_of_an_answer_is_read(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.answer(b'A1 LIST "" "*"', b'* LIST () "/" a\r\n* LIST ()')
        await trio.sleep(3)
        await server.say(b' "/" b\r\n* 3 EXISTS\r\nA1 OK\r\n')
        await server.answer(b'A2 LIST "" "*"', b'* LIST () "/" c\r\nA2 OK\r\n')

    async with Scripted(script) as scripted:
        session = await cut_short(scripted, lambda each: each.list_mailboxes())
        assert await session.settle(3)
        assert [each.path for each in await session.list_mailboxes()] == ["c"]
        assert session.take_pending() == [Exists(3)]
        await session.close()


async def test_an_answer_that_does_not_end_is_given_up(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.answer(b'A1 LIST "" "*"', b'* LIST () "/" a\r\n')
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await cut_short(scripted, lambda each: each.list_mailboxes())
        began = trio.current_time()
        assert not await session.settle(3)
        assert trio.current_time() - began == 3
        await session.close()


@pytest.mark.parametrize("end", [b"* BYE no\r\n", b"", b"* 1 FETCH (" + b"(" * 1000 + b"\r\n"])
async def test_a_server_that_ends_meanwhile(end, autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.hear(b'A1 LIST "" "*"')
        await trio.sleep(2)
        await server.say(end)
        await server.close()

    async with Scripted(script) as scripted:
        session = await cut_short(scripted, lambda each: each.list_mailboxes())
        assert not await session.settle(3)
        assert not session.usable
        await session.close()


async def test_an_upload_that_waits_for_the_server_is_not_gone_on_with(autojump_clock):
    async def script(server):
        await server.say(HELLO.replace(b" LITERAL+", b""))
        await server.hear(b'A1 APPEND "Sent" {5}')
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await cut_short(scripted, lambda each: each.append("Sent", [b"x\r\ny\r"], flags=()))
        assert not await session.settle(3)
        assert trio.current_time() == 1
        await session.close()


async def test_a_command_that_went_out_in_part_is_the_end(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.stream.receive_some(10)
        await trio.sleep(2)

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        stream = scripted.streams[0]
        send_all = stream.send_all

        async def slowly(data):
            await send_all(data[:5])
            await trio.sleep_forever()

        stream.send_all = slowly
        with trio.move_on_after(1):
            await session.list_mailboxes()
        assert not await session.settle(3)
        assert trio.current_time() == 1
        await session.close()


async def test_no_command_waits_beyond_the_deadline(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.hear(b'A1 LIST "" "*"')
        await trio.sleep(6)
        await server.say(b"A1 OK\r\n")
        await server.answer(b"A2 NOOP", b"A2 OK\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        session.deadline = trio.current_time() + 5
        with pytest.raises(NetworkError) as caught:
            await session.list_mailboxes()
        assert caught.value.kind is NetworkKind.TIMEOUT
        assert trio.current_time() == session.deadline
        assert not session.usable
        session.deadline = math.inf
        assert await session.settle(3)
        session.deadline = trio.current_time() - 1
        with pytest.raises(NetworkError):
            await session.noop()  # is not even sent
        session.deadline = math.inf
        assert await session.settle(3)
        await session.noop()
        await session.close()


async def test_at_rest_news_is_kept_and_the_end_is_noticed(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await trio.sleep(5)
        await server.say(b"* 4 EXISTS\r\n")
        await trio.sleep(5)
        await server.say(b"* BYE idle for too long\r\n")

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.rest(Wake(), trio.current_time() + 6)
        assert session.pending == (Exists(4),)
        woken = Wake()
        woken.set()
        await session.rest(woken, math.inf)
        assert session.usable
        with pytest.raises(NetworkError, match="idle for too long"):
            await session.rest(Wake(), math.inf)
        assert trio.current_time() == 10
        assert not session.usable
        await session.close()


async def test_closing_it_ends_the_wait_of_the_one_who_uses_it(autojump_clock):
    async def script(server):
        await server.say(HELLO)
        await server.hear(b'A1 LIST "" "*"')
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        async with trio.open_nursery() as nursery:

            async def use() -> None:
                with pytest.raises(NetworkError):
                    await session.list_mailboxes()

            nursery.start_soon(use)
            await trio.sleep(1)
            await session.close()
        assert trio.current_time() == 1
