"""The session against a server that follows a script: sending, and every way it breaks."""

from typing import Any

import pytest
import trio
import trio.testing
from imap_script import Scripted
from smtp_script import BODY, ENVELOPE, GROUP, WIRE, connect, greet, nothing

from engine.errors import NetworkKind
from engine.smtp.session import DeliveryError, SmtpEnvelope
from engine.smtp.verdict import Kind, Stage
from engine.transcript import Trace


async def test_two_messages_pipelined(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        for number in (b"1", b"2"):
            await server.hear(*GROUP)
            await server.say(b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n")
            await server.hear(*WIRE)
            await server.say(b"250 2.0.0 queued as %s\r\n" % number)
        await server.answer(b"QUIT", b"221 bye\r\n")
        await server.hung_up()

    trace = Trace()
    async with Scripted(script) as scripted:
        session = await connect(scripted, trace=trace)
        assert set(session.timings) == {"connect", "greeting", "ehlo"}
        for number in ("1", "2"):
            outcome = await session.send(ENVELOPE, BODY, nothing)
            assert outcome.reply.line == f"250 2.0.0 queued as {number}"
            assert [v.kind for v in outcome.recipients.values()] == [Kind.ACCEPTED, Kind.REJECTED]
            assert list(outcome.recipients) == ["a@x", "b@x"]
            assert outcome.recipients["b@x"].text == "550 5.1.1 no"
            assert outcome.dot_sent
            connecting = {"connect", "greeting", "ehlo"} if number == "1" else set()
            assert set(session.timings) == {"envelope", "data", "dot"} | connecting
        assert session.usable
        assert session.sent == 2
        await session.quit()
        assert not session.usable
    assert trace.lines()[1:14] == [
        "C: EHLO me.example",
        "S: 250-mx",
        "S: 250 PIPELINING",
        *("C: " + line.decode() for line in GROUP),
        "S: 250 ok",
        "S: 250 ok",
        "S: 550 5.1.1 no",
        "S: 354 go",
        "C: [21 bytes]",
        "C: .",
    ]


async def test_one_at_a_time_then_reset(autojump_clock):
    async def script(server):
        await server.say(b"220 hi\r\n")
        await server.answer(b"EHLO me.example", b"502 what\r\n")
        await server.answer(b"HELO me.example", b"250 mx\r\n")
        await server.answer(GROUP[0], b"250 ok\r\n")
        await server.answer(GROUP[1], b"450 a\r\n")
        await server.answer(GROUP[2], b"450 b\r\n")
        await server.answer(b"RSET", b"250 ok\r\n")
        for command in GROUP[:3]:
            await server.answer(command, b"250 ok\r\n")
        await server.answer(b"DATA", b"354 go\r\n")
        await server.hear(*WIRE)
        await server.say(b"451 not now\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        outcome = await session.send(ENVELOPE, BODY, nothing)
        assert [v.kind for v in outcome.recipients.values()] == [Kind.LATER, Kind.LATER]
        assert not outcome.dot_sent
        assert outcome.reply is None
        outcome = await session.send(ENVELOPE, BODY, nothing)
        assert {(v.kind, v.stage, v.text) for v in outcome.recipients.values()} == {
            (Kind.LATER, Stage.DOT, "451 not now")
        }
        assert session.sent == 0
        assert session.usable
        await session.close()


async def test_a_lone_dot_when_data_is_wanted_for_nobody(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n550 a\r\n550 b\r\n354 go\r\n")
        await server.answer(b".", b"554 no recipients\r\n")
        await server.hear(*GROUP)
        await server.say(b"421 closing\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        outcome = await session.send(ENVELOPE, BODY, nothing)
        assert [v.text for v in outcome.recipients.values()] == ["550 a", "550 b"]
        assert (outcome.reply, outcome.dot_sent, session.usable) == (None, False, True)
        outcome = await session.send(ENVELOPE, BODY, nothing)
        assert {v.text for v in outcome.recipients.values()} == {"421 closing"}
        assert not session.usable
        await session.close()


async def test_the_dot_waits_for_before_dot(autojump_clock):
    committed = trio.Event()

    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        with trio.move_on_after(50) as early:
            await server.octets(1)
        assert early.cancelled_caught
        committed.set()
        await server.hear(*WIRE)
        await server.say(b"250 ok\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert (await session.send(ENVELOPE, BODY, committed.wait)).dot_sent
        await session.close()


@pytest.mark.parametrize("where", ["before_dot", "body"])
async def test_our_own_failure_sends_no_dot(where, autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        await server.hung_up()

    async def fail():
        await trio.testing.wait_all_tasks_blocked()
        raise ZeroDivisionError

    def broken_body():
        yield b"x\r\n"
        raise ZeroDivisionError

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(ZeroDivisionError):
            if where == "body":
                await session.send(ENVELOPE, broken_body(), nothing)
            else:
                await session.send(ENVELOPE, BODY, fail)
        assert not session.usable


@pytest.mark.parametrize(
    ("ending", "network"),
    [(None, NetworkKind.CLOSED), (b"rubbish\r\n", None), (b"25", NetworkKind.CLOSED)],
)
async def test_cut_after_the_dot_is_doubt(ending, network, autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n")
        await server.hear(*WIRE)
        if ending:
            await server.say(ending)
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(DeliveryError) as caught:
            await session.send(ENVELOPE, BODY, nothing)
        error = caught.value
        assert error.dot_sent
        assert (error.verdict.kind, error.verdict.stage, error.verdict.network) == (Kind.DOUBT, Stage.DOT, network)
        assert [v.kind for v in error.recipients.values()] == [Kind.DOUBT, Kind.REJECTED]
        assert not session.usable


async def test_silence_after_the_dot_is_doubt(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        await server.hear(*WIRE)
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(DeliveryError) as caught:
            await session.send(ENVELOPE, BODY, nothing)
        assert (caught.value.verdict.kind, caught.value.verdict.network) == (Kind.DOUBT, NetworkKind.TIMEOUT)


@pytest.mark.parametrize("heard", range(4))
async def test_cut_before_the_dot_is_later(heard, autojump_clock):
    async def script(server):
        await greet(server)
        for command in GROUP[:heard]:
            await server.answer(command, b"250 ok\r\n")
        await server.hear(GROUP[heard])
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(DeliveryError) as caught:
            await session.send(ENVELOPE, BODY, nothing)
        assert not caught.value.dot_sent
        assert {v.kind for v in caught.value.recipients.values()} == {Kind.LATER}
        assert len(caught.value.recipients) == 2
        assert caught.value.verdict.stage == (Stage.MAIL, Stage.RCPT, Stage.RCPT, Stage.DATA)[heard]


async def test_many_recipients_go_in_groups(autojump_clock):
    everybody = tuple(f"{i}@x" for i in range(250))
    calls: list[Any] = []

    async def before_dot():
        calls.append("dot")
        await nothing()

    async def after_group(verdicts):
        calls.append(tuple(verdicts))
        assert {verdict.kind for verdict in verdicts.values()} == {Kind.ACCEPTED}
        await nothing()

    async def script(server):
        await greet(server, b"PIPELINING")
        for first in (0, 100, 200):
            group = everybody[first : first + 100]
            await server.hear(GROUP[0], *(b"RCPT TO:<%s>" % r.encode() for r in group), b"DATA")
            await server.say(b"250 ok\r\n" * (1 + len(group)) + b"354 go\r\n")
            await server.hear(*WIRE)
            if first == 200:
                await server.close()
            else:
                await server.say(b"250 queued\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with pytest.raises(DeliveryError) as caught:
            await session.send(SmtpEnvelope("s@x", everybody), BODY, before_dot, after_group)
        kinds = [caught.value.recipients[r].kind for r in everybody]
        assert kinds == [Kind.ACCEPTED] * 200 + [Kind.DOUBT] * 50
        assert calls == ["dot", everybody[:100], "dot", everybody[100:200], "dot"]


async def test_a_big_body_in_blocks(autojump_clock):
    line = b"." * 998 + b"\r\n"

    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        assert await server.octets(1001 * 1000) == (b"." + line) * 1000
        await server.answer(b".", b"250 ok\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert (await session.send(ENVELOPE, [line * 1000], nothing)).dot_sent
        await session.close()


async def test_cancelled_while_sending(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        with trio.move_on_after(5) as scope:
            await session.send(ENVELOPE, BODY, nothing)
        assert scope.cancelled_caught
        assert not session.usable
        await session.quit()
