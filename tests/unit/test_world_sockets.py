"""What the kernel is told about connections, and which descriptors no dial takes: on real sockets."""

from __future__ import annotations

import logging
import os
import resource
import socket

import pytest
import trio
from seeded_world import SeededWorld

from engine import transport
from engine.errors import NetworkError
from engine.silent_hosts import Hosts
from engine.smtp.delivery import SmtpEndpoint, Timeouts
from engine.smtp.protocol import SmtpEnvelope
from engine.smtp.session import MARGIN_SECONDS, SmtpSession
from engine.transport import TlsRules
from engine.world import STANDSTILL, UNACKNOWLEDGED_SECONDS, World

TIMEOUTS = Timeouts(block=180, dot=600)


def patience(stream: trio.abc.Stream) -> float:
    assert isinstance(stream, trio.SocketStream)
    return int(stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)) / 1000


async def test_the_kernel_bears_with_a_server_as_long_as_each_phase_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first octet of a message on at once; for commands again where their answer lets us wait."""
    monkeypatch.setattr(transport, "ENDURE_SECONDS", 0.01)
    dialled: list[trio.abc.Stream] = []
    world = World()
    patient = 600 + MARGIN_SECONDS
    at_first_line: list[float] = []
    at_the_dot: list[float] = []

    async def dial(host: str, port: int) -> trio.abc.Stream:
        dialled.append(await world.dial(host, port))
        return dialled[-1]

    async def until(seconds: float) -> None:
        while patience(dialled[0]) != seconds:  # noqa: ASYNC110
            await trio.sleep(0.001)

    async def serve(stream: trio.SocketStream) -> None:
        buffer = b""

        async def line() -> bytes:
            nonlocal buffer
            while b"\r\n" not in buffer:
                buffer += await stream.receive_some()
            found, buffer = buffer.split(b"\r\n", 1)
            return found

        await stream.send_all(b"220 x\r\n")
        while (command := await line()) != b"QUIT":
            await until(UNACKNOWLEDGED_SECONDS)
            if command == b"DATA":
                await stream.send_all(b"354 go\r\n")
                await line()
                at_first_line.append(patience(dialled[0]))
                while await line() != b".":
                    pass
                at_the_dot.append(patience(dialled[0]))
            await stream.send_all(b"250 ok\r\n")
        await stream.send_all(b"221 bye\r\n")

    async def before_dot() -> None:
        pass

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            endpoint = SmtpEndpoint("127.0.0.1", listener.socket.getsockname()[1], False, TlsRules(), None)
            session = await SmtpSession.connect(endpoint, dial=dial, ehlo_name="me", timeouts=TIMEOUTS)
            envelope = SmtpEnvelope(sender="a@x.example", recipients=("b@x.example",), smtputf8=False, size=10)
            for _ in range(2):
                await session.send(envelope, [b"Subject: x\r\n\r\nx\r\n"], before_dot)
            await session.quit()
            nursery.cancel_scope.cancel()
    assert at_first_line == at_the_dot == [patient, patient]


async def test_a_dial_that_is_cancelled_says_just_that_and_its_host_is_silent() -> None:
    """Not a group of it: who is cancelled in a dial, as at each time limit, must be able to tell."""
    hosts, woken = Hosts(), trio.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        host, port = full.getsockname()
        dial = hosts.watched(World().dial)
        waiting = []
        while True:  # until the kernel takes no more
            raised: BaseException | None = None
            with trio.move_on_after(0.3) as limit:
                try:
                    waiting.append(await dial(host, port))
                except BaseException as error:
                    raised = error
                    raise
            if limit.cancelled_caught:
                break
        assert isinstance(raised, trio.Cancelled)
        with hosts.listening(host, port, woken.set):
            hosts.answered(host, port)
        assert woken.is_set()
        for each in waiting:
            await each.aclose()


async def test_no_dial_takes_the_last_descriptors(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests before this one may have left hundreds in use, with gaps between them; the 64 after those count here.
    monkeypatch.setattr("engine.descriptor_reserve.KEPT_SHARE", 1_000_000)
    world = World()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    taken: list[int] = []
    try:
        highest = max(map(int, os.listdir("/proc/self/fd")))
        while not taken or taken[-1] < highest:
            taken.append(os.dup(0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 64, before[1]))
        await (await world.dial("127.0.0.1", port)).aclose()
        taken += [os.dup(0) for _ in range(50)]
        with caplog.at_level(logging.WARNING, "engine.world"):
            for _ in range(50):
                with pytest.raises(NetworkError) as refused:
                    await world.dial("127.0.0.1", port)
                assert refused.value.code == "EMFILE"
        assert len(caplog.records) == 1
        os.close(os.dup(0))  # there is room for other things
        while taken:
            os.close(taken.pop())
        await (await world.dial("127.0.0.1", port)).aclose()
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        await listener.aclose()


async def test_time_for_which_the_machine_stood_still_has_passed(autojump_clock: trio.testing.MockClock) -> None:
    world = SeededWorld(1)
    began = world.elapsed()
    await trio.sleep(100)
    assert world.elapsed() - began == 100
    world._start += 3 * 3600
    assert world.elapsed() - began == 100 + 3 * 3600
    world._start -= 86_400
    assert world.elapsed() - began == 100 + 3 * 3600
    world._start += 2 * STANDSTILL
    await trio.sleep(10)
    assert world.elapsed() - began == 110 + 3 * 3600
