"""What an account learns of lines that die of quiet, and what it does not take for one."""

from __future__ import annotations

import pytest
import trio
from seeded_world import SeededWorld

from engine.accounts.heartbeat import LEARNT_SECONDS, SHORTEST, Heartbeat, WatchedLine
from engine.errors import NetworkError, NetworkKind, ProtocolError

CLOSED = NetworkError(NetworkKind.CLOSED, "ECONNECTION", "Connection closed unexpectedly")
MUTE = NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", "mail.example.com:993 did not answer in time")


def bye(text: str) -> NetworkError:
    return NetworkError(NetworkKind.CLOSED, "ECONNECTION", f"The server closed the connection: {text}")


def made() -> Heartbeat:
    return Heartbeat(90.0, SeededWorld(4711))


def died(line: WatchedLine, quiet: float, error: Exception) -> bool:
    line.quiet = quiet
    return line.died(error)


@pytest.mark.parametrize("error", [CLOSED, MUTE, bye("Idle for too long"), bye("Autologout; idle for too long")])
@pytest.mark.parametrize("quiet", [25.0, 55.0, 60.0, 89.0])
async def test_the_next_line_speaks_sooner_for_a_day(
    error: NetworkError, quiet: float, autojump_clock: trio.abc.Clock
) -> None:
    heartbeat = made()
    line = WatchedLine(heartbeat)
    assert died(line, quiet, error)
    assert heartbeat.interval == 90
    assert line.connected()
    assert not line.connected()
    assert SHORTEST <= heartbeat.interval < quiet
    assert heartbeat.shown() is not None
    await trio.sleep(LEARNT_SECONDS + 1)
    assert heartbeat.interval == 90
    assert heartbeat.shown() is None


@pytest.mark.parametrize(
    ("quiet", "error"),
    [
        (0.0, CLOSED),
        (5.0, CLOSED),
        (55.0, ProtocolError("nonsense")),
        (55.0, bye("Server shutting down")),
        (300.0, CLOSED),
        (19.0, MUTE),
    ],
)
async def test_what_teaches_nothing(quiet: float, error: Exception, autojump_clock: trio.abc.Clock) -> None:
    heartbeat = made()
    line = WatchedLine(heartbeat)
    assert not died(line, quiet, error)
    assert not line.connected()
    assert heartbeat.interval == 90


async def test_an_outage_teaches_nothing(autojump_clock: trio.abc.Clock) -> None:
    heartbeat = made()
    line, other = WatchedLine(heartbeat), WatchedLine(heartbeat)
    assert died(line, 50.0, MUTE)
    assert not line.died(NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", "connect ETIMEDOUT"))
    assert not other.connected()
    assert not line.connected()
    assert heartbeat.interval == 90


async def test_what_one_line_learnt_holds_for_all(autojump_clock: trio.abc.Clock) -> None:
    heartbeat = made()
    line, other = WatchedLine(heartbeat), WatchedLine(heartbeat)
    assert died(line, 25.0, CLOSED)
    assert died(other, 60.0, CLOSED)
    assert line.connected()
    assert not other.connected()  # it knew longer quiet only
    assert heartbeat.interval == 20


async def test_what_was_learnt_is_kept_over_a_restart(autojump_clock: trio.abc.Clock) -> None:
    world = SeededWorld(4711)
    before = Heartbeat(90.0, world)
    before.learn(44.0)
    await trio.sleep(1000)
    learnt = before.remembered
    after = Heartbeat(90.0, world, learnt)
    assert (after.interval, after.shown()) == (44.0, before.shown())
    await trio.sleep(LEARNT_SECONDS - 1000 + 1)
    assert (after.interval, after.remembered) == (90.0, None)
    assert Heartbeat(90.0, world, learnt).interval == 90
    world._start -= 30 * LEARNT_SECONDS  # a clock that was set back keeps nothing for longer than a day
    late = Heartbeat(90.0, world, learnt)
    await trio.sleep(LEARNT_SECONDS + 1)
    assert late.interval == 90


async def test_at_the_shortest_interval_nothing_more_is_learnt(autojump_clock: trio.abc.Clock) -> None:
    heartbeat = made()
    line = WatchedLine(heartbeat)
    lessons = 0
    while died(line, heartbeat.interval, CLOSED):
        line.connected()
        lessons += 1
    assert heartbeat.interval == SHORTEST
    assert lessons < 15


async def test_many_accounts_do_not_beat_together(autojump_clock: trio.abc.Clock) -> None:
    heartbeat = made()
    beats = [heartbeat.next() for _ in range(100)]
    assert 75 < min(beats) < 80
    assert 88 < max(beats) <= 90
