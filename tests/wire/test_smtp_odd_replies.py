"""The session against a server that follows a script: replies out of step, twice, too early, too late."""

import socket

import pytest
import trio
from imap_script import Scripted
from smtp_script import BODY, ENVELOPE, GROUP, WIRE, connect, greet, nothing, send_after

from engine.smtp.session import DeliveryError, SmtpEnvelope
from engine.smtp.verdict import Kind


async def test_a_stray_reply_ends_the_session(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        await server.hear(*WIRE)
        await server.say(b"250 ok\r\n250 stray\r\n")

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        assert (await session.send(ENVELOPE, BODY, nothing)).reply.line == "250 ok"
        assert not session.usable
        await session.close()


GO = b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"\r\n250 ok\r\n", Kind.ACCEPTED),
        (b"250-ok\r\n", Kind.ACCEPTED),
        (b"250 ok", Kind.ACCEPTED),
        (b"250-Ok\r\n queued\r\n250 done\r\n", Kind.ACCEPTED),
        (b"250 " + b"x" * 5000 + b"\r\n", Kind.ACCEPTED),
        (b"thanks\r\n250 ok\r\n", Kind.ACCEPTED),
        (b"2xx\r\n", Kind.ACCEPTED),
        (b"550-no\r\n", Kind.REJECTED),
        (b"554 sp", Kind.REJECTED),
        (b"\r\n451 not now\r\n", Kind.LATER),
    ],
)
async def test_a_reply_to_the_dot_that_was_read_decides(reply, kind, autojump_clock):
    outcome, _ = await send_after(GO, last=reply)
    assert {verdict.kind for verdict in outcome.recipients.values()} == {kind}


@pytest.mark.parametrize("go", [b"354 go\r\n", b"\r\n354\r\n", b"350 go\r\n", b"3xx\r\n", b"354-a\r\n354 b\r\n"])
async def test_odd_replies_to_the_envelope(go, autojump_clock):
    outcome, _ = await send_after(b"\r\n250\tok\r\n251-a\r\n250 b\r\n250ok\r\n" + go, last=b"250 ok\r\n")
    assert {verdict.kind for verdict in outcome.recipients.values()} == {Kind.ACCEPTED}


@pytest.mark.parametrize(
    "replies",
    [
        b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n",
        b"250 ok\r\n550 a\r\n550 a\r\n250 ok\r\n354 go\r\n",
        b"550 other\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
        b"250 ok\r\n354 go\r\n250 ok\r\n250 ok\r\n",
        GO + b"250 queued\r\n",
        GO + b"550 other\r\n",
    ],
)
async def test_replies_out_of_step_are_no_verdicts(replies, autojump_clock):
    error, usable = await send_after(replies)
    assert isinstance(error, DeliveryError)
    assert error.out_of_step
    assert (error.recipients, error.dot_sent, error.verdict.kind) == ({}, False, Kind.LATER)
    assert not usable


@pytest.mark.parametrize(("last", "step"), [(b"250 ok\r\n", True), (b"354 go\r\n", False), (b"503 no\r\n", False)])
async def test_refusals_for_good_are_proven(last, step, autojump_clock):
    result, usable = await send_after(b"250 ok\r\n550 a\r\n550 b\r\n554 nobody\r\n", last=last)
    assert isinstance(result, DeliveryError) is not step
    assert usable is step
    if step:
        assert [verdict.text for verdict in result.recipients.values()] == ["550 a", "550 b"]


@pytest.mark.parametrize("at", [b"MAIL FROM:<s@x>", b"RCPT TO:<a@x>", None])
async def test_a_dot_answered_twice_fails_nobody_else(at, autojump_clock):
    """One command at a time, the second answer may come just after MAIL or RCPT; a refusal of its own still counts."""
    one = SmtpEnvelope("s@x", ("a@x",))

    async def script(server):
        await greet(server)
        await server.hear(b"MAIL FROM:<s@x>")
        await server.say(b"250 ok\r\n")
        await server.hear(b"RCPT TO:<a@x>")
        await server.say(b"250 ok\r\n")
        await server.hear(b"DATA")
        await server.say(b"354 go\r\n")
        await server.hear(*WIRE)
        await server.say(b"250 ok\r\n")
        for command, own in ((b"MAIL FROM:<s@x>", b"250 ok\r\n"), (b"RCPT TO:<a@x>", b"550 own\r\n")):
            await server.hear(command)
            if command == at:
                await server.say(b"550 other\r\n")
            await server.say(own)
            if command == at:
                break
        await server.hear(b"QUIT")
        if at is None:
            await server.say(b"221 bye\r\n")
        await server.hung_up()
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        await session.send(one, BODY, nothing)
        if at is None:
            outcome = await session.send(one, BODY, nothing)
            assert [verdict.text for verdict in outcome.recipients.values()] == ["550 own"]
        else:
            with pytest.raises(DeliveryError) as caught:
                await session.send(one, BODY, nothing)
            assert (caught.value.out_of_step, caught.value.recipients) == (True, {})
        assert not session.usable
        await session.close()


class OverSockets(Scripted):
    """A script over a real pair of sockets, on which is seen whether anything has come."""

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(each)) for each in socket.socketpair())
        self.socket = ours.socket
        self._nursery.start_soon(self._run, theirs)
        return ours


@pytest.mark.parametrize("secure", [False, True])
async def test_a_reply_nobody_asked_for_voids_the_next_transaction(secure, upgrade, trusting):
    taken = trio.Event()

    async def script(server):
        server = upgrade(server) if secure else server
        await greet(server, b"PIPELINING")
        for _ in range(2):
            await server.hear(*GROUP)
            await server.say(GO)
            await server.hear(*WIRE)
            await server.say(b"250 ok\r\n")
        await taken.wait()
        await server.say(b"550 other\r\n")
        await server.hung_up()
        await server.close()

    with trio.fail_after(20):
        async with OverSockets(script) as scripted:
            session = await connect(scripted, secure=secure, tls=trusting if secure else None)
            for _ in range(2):
                await session.send(ENVELOPE, BODY, nothing)
            assert session.usable
            taken.set()
            await trio.lowlevel.wait_readable(scripted.socket)
            with pytest.raises(DeliveryError, match="550 other") as caught:
                await session.send(ENVELOPE, BODY, nothing)
            assert caught.value.out_of_step
            assert caught.value.recipients == {}


async def test_a_server_that_refuses_while_we_write_has_the_last_word(autojump_clock):
    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(GO)
        await server.octets(100_000)
        await server.say(b"552 5.3.4 too big\r\n")
        await server.close()

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        outcome = await session.send(ENVELOPE, [b"x" * 998 + b"\r\n"] * 1000, nothing)
        assert {(v.kind, v.text) for v in outcome.recipients.values()} == {(Kind.REJECTED, "552 5.3.4 too big")}
        assert not session.in_flight
        await session.close()


@pytest.mark.parametrize(
    "full", [b"452 4.5.3 Too many recipients", b"452 enough", b"552 5.5.3 too many", b"452-4.5.3 a\r\n452 b"]
)
async def test_those_beyond_the_servers_limit_go_at_once(full, autojump_clock):
    everybody = tuple(f"{i}@x" for i in range(7))
    groups = []

    async def after_group(verdicts):
        groups.append(list(verdicts))
        await nothing()

    async def take(server, recipients, accepted):
        await server.hear(GROUP[0], *(b"RCPT TO:<%s>" % r.encode() for r in recipients), b"DATA")
        late = len(recipients) - accepted
        await server.say(b"250 ok\r\n" * (1 + accepted) + (full + b"\r\n") * late + b"354 go\r\n")
        await server.hear(*WIRE)
        await server.say(b"250 queued\r\n")

    async def script(server):
        await greet(server, b"PIPELINING")
        await take(server, everybody, 3)
        await take(server, everybody[3:6], 3)
        await take(server, everybody[6:], 1)
        # The limit is known from the first time on.
        await take(server, everybody[:3], 3)
        await take(server, everybody[3:6], 3)
        await take(server, everybody[6:], 1)

    async with Scripted(script) as scripted:
        session = await connect(scripted)
        for _ in range(2):
            outcome = await session.send(SmtpEnvelope("s@x", everybody), BODY, nothing, after_group)
            assert {verdict.kind for verdict in outcome.recipients.values()} == {Kind.ACCEPTED}
            assert list(outcome.recipients) == list(everybody)
        assert groups == [list(everybody[:3]), list(everybody[3:6])] * 2
        await session.close()


async def test_no_progress_is_later(autojump_clock):
    outcome, _ = await send_after(b"250 ok\r\n452 4.5.3 no\r\n452 4.5.3 no\r\n503 nobody\r\n")
    assert [verdict.kind for verdict in outcome.recipients.values()] == [Kind.LATER, Kind.LATER]


class OverTcp(Scripted):
    """A script over a TCP connection with small buffers: what is written is on its way until it is read."""

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        with trio.socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
            await listening.bind(("127.0.0.1", 0))
            listening.listen()
            ours = trio.socket.socket()
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
            await ours.connect(listening.getsockname())
            theirs, _ = await listening.accept()
        self._nursery.start_soon(self._run, trio.SocketStream(theirs))
        return trio.SocketStream(ours)


@pytest.mark.parametrize("reads_on", [False, True])
@pytest.mark.parametrize(
    "reply", [b"552 5.3.4 too big\r\n", b"552-5.3.4 too\r\n552 5.3.4 big\r\n", b"552 5.3.4 too big"]
)
async def test_a_refusal_amid_the_message_and_the_end_of_the_connection(reply, reads_on):
    """The server closes with what it has not read, or says no more and reads on to the end."""

    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(GO)
        await server.octets(100_000)
        await server.say(reply)
        if reads_on:
            await server.stream.send_eof()
            while await server.stream.receive_some():
                pass
        await server.close()

    with trio.fail_after(20):
        async with OverTcp(script) as scripted:
            session = await connect(scripted)
            outcome = await session.send(ENVELOPE, [b"x" * 998 + b"\r\n"] * 1000, nothing)
            assert {(v.kind, v.code) for v in outcome.recipients.values()} == {(Kind.REJECTED, 552)}
            assert not session.in_flight
            assert not session.usable
            await session.close()


async def test_a_refusal_amid_the_message_that_is_read_on_may_be_of_another_one():
    """Before the end of the message no reply to it is due: it may be the second one to the message before."""

    async def script(server):
        await greet(server, b"PIPELINING")
        await server.hear(*GROUP)
        await server.say(GO)
        await server.octets(100_000)
        await server.say(b"554 no\r\n")
        while await server.stream.receive_some():
            pass
        await server.close()

    with trio.fail_after(20):
        async with OverTcp(script) as scripted:
            session = await connect(scripted)
            with pytest.raises(DeliveryError, match="554 no") as caught:
                await session.send(ENVELOPE, [b"x" * 998 + b"\r\n"] * 1000, nothing)
            assert caught.value.out_of_step
            assert not session.in_flight
