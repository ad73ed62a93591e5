"""A path that is dead for minutes and hours: what is sent once it is back, and when; what is dialled until then."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from simulation import Simulation, servers, when

from engine.config import Retry
from engine.errors import NetworkError, NetworkKind
from engine.model.message_states import State
from engine.sandbox.provider import SMTP_PORTS
from engine.smtp.verdict import Stage, of_network, silent, unanswered
from engine.world import Choose

START = 1_800_000_000.0
SYNS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds after each SYN of a dial until the kernel sends the next one, or the dial is given up."""
MINUTE = 60.0
DOMAIN = "sandbox.example"


class DeadPath:
    """A world where SMTP servers cannot be reached while `error` is set; `dials` has the times of all attempts."""

    def __init__(self, simulation: Simulation) -> None:
        self.error: NetworkError | None = None
        self.dials: list[float] = []
        through = simulation.world.dial

        async def dial(host: str, port: int, choose: Choose | None = None) -> trio.abc.Stream:
            if port in SMTP_PORTS:
                self.dials.append(trio.current_time())
                if self.error is not None:
                    failed = self.error
                    for seconds in SYNS if failed.kind is NetworkKind.TIMEOUT else ():
                        await trio.sleep(seconds)
                        if self.error is None:  # the next SYN gets through
                            return await through(host, port, choose)
                    raise NetworkError(failed.kind, failed.code, str(failed))
            return await through(host, port, choose)

        simulation.world.dial = dial


SILENT = NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", "connect ETIMEDOUT x")
NO_WAY = NetworkError(NetworkKind.CONNECT, "EHOSTUNREACH", "connect EHOSTUNREACH x")
NO_NAME = NetworkError(NetworkKind.DNS, "EAI_AGAIN", "getaddrinfo EAI_AGAIN x")


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 31)


@pytest.mark.parametrize("error", [SILENT, NO_WAY, NO_NAME], ids=lambda error: error.code)
@pytest.mark.parametrize("minutes", [10, 30, 120])
async def test_mail_goes_within_a_minute_of_the_return_and_the_oldest_first(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, error: NetworkError, minutes: int
) -> None:
    path = DeadPath(simulation)
    async with simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"))
        path.error = error
        path.dials.clear()
        answers = []
        for number in range(5):
            answers.append(await engine.submit("acme", f"{number}@{DOMAIN}"))
            await trio.sleep(minutes * 12)
        assert len(path.dials) <= minutes * 2.5 + 5
        told = engine.events("acme", "messageDeliveryError")
        assert [each["data"]["queueId"] for each in told] == [answers[0]["queueId"]]
        account = engine.context.registry.get("acme")
        assert account is not None and (waiting := account.mail_waits_for()) is not None
        assert waiting.kind == "connection"
        path.error = None
        back = trio.current_time()
        answers.append(await engine.submit("acme", f"new@{DOMAIN}"))
        await engine.until_ended(*(each["queueId"] for each in answers))
        assert trio.current_time() - back <= MINUTE
        assert [each["data"]["queueId"] for each in engine.events("acme", "messageSent")] == [
            each["queueId"] for each in answers
        ]
        assert len(engine.sandbox.delivered) == 6


async def test_another_dial_that_succeeds_sends_mail_at_once(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """A port that is shut is looked at rarely, but when any account gets through to it everybody's mail goes."""
    path = DeadPath(simulation)
    async with simulation.running() as engine:
        for name in ("acme", "other"):
            await engine.register(name, **servers(name, "secret"))
        path.error = NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", "connect ECONNREFUSED x")
        waiting = [await engine.submit("acme", f"{number}@{DOMAIN}") for number in range(3)]
        await trio.sleep(2 * 3600)
        dials = len(path.dials)
        assert dials < 40
        path.error = None
        await engine.submit("other", f"first@{DOMAIN}")
        back = trio.current_time()
        await engine.until_ended(*(each["queueId"] for each in waiting))
        assert trio.current_time() - back < 5
        sent = [each["data"]["queueId"] for each in engine.events("acme", "messageSent")]
        assert sent == [each["queueId"] for each in waiting]


async def test_a_dead_path_uses_up_one_attempt_at_most(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", 31, retry=Retry(schedule=(10.0, 60.0, 600.0, 600.0), attempts=5))
    path = DeadPath(simulation)
    async with simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"))
        answer = await engine.submit("acme", f"defer3+x@{DOMAIN}")
        await engine.event("acme", "messageDeliveryError", 3)
        path.error = NO_WAY
        dials = len(path.dials)
        await engine.event("acme", "messageDeliveryError", 4)
        await trio.sleep(300)
        assert len(path.dials) > dials + 5
        path.error = None
        await engine.until_ended(answer["queueId"])
        assert engine.state(answer["queueId"]) is State.SENT


async def test_what_never_comes_back_ends_after_as_long_as_attempts_take(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    simulation = Simulation(tmp_path / "data", 31, retry=Retry(schedule=(10.0, 60.0, 600.0), attempts=4))
    path = DeadPath(simulation)
    async with simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"))
        path.error = NO_WAY
        began = trio.current_time()
        answers = [await engine.submit("acme", f"{number}@{DOMAIN}") for number in range(3)]
        await engine.until_ended(*(each["queueId"] for each in answers))
        failed = engine.events("acme", "messageFailed")
        assert len(failed) == 3
        assert all(670 < when(each) - START - began < 870 for each in failed)
        assert "EHOSTUNREACH" in failed[0]["data"]["error"]


async def test_a_machine_that_stood_still_sends_when_it_is_due(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """Trio's clock stops in a suspended machine; the wall clock is ahead after it."""
    async with simulation.running() as engine:
        await engine.register("acme", **servers("acme", "secret"))
        answer = await engine.submit("acme", f"defer5+x@{DOMAIN}")
        await engine.event("acme", "messageDeliveryError", 5)
        await trio.sleep(120)
        simulation.world._start += 3 * 3600.0
        resumed = trio.current_time()
        await engine.until_ended(answer["queueId"])
        assert trio.current_time() - resumed <= MINUTE + 1


@pytest.mark.parametrize(
    ("stage", "kind", "code", "no_answer", "nothing"),
    [
        (Stage.CONNECT, NetworkKind.TIMEOUT, "ETIMEDOUT", True, True),
        (Stage.CONNECT, NetworkKind.DNS, "ENOTFOUND", True, True),
        (Stage.CONNECT, NetworkKind.CONNECT, "ENETUNREACH", True, True),
        (Stage.CONNECT, NetworkKind.CONNECT, "EMFILE", True, True),
        (Stage.CONNECT, NetworkKind.CONNECT, "ECONNREFUSED", True, False),
        (Stage.GREETING, NetworkKind.TIMEOUT, "ETIMEDOUT", True, True),
        (Stage.GREETING, NetworkKind.CLOSED, "ECONNECTION", True, False),
        (Stage.TLS, NetworkKind.TIMEOUT, "ETIMEDOUT", True, True),
        (Stage.TLS, NetworkKind.TLS, "CERT_HAS_EXPIRED", False, False),
        (Stage.CONNECT, NetworkKind.CONNECT, "EACCES", False, False),
        (Stage.CONNECT, NetworkKind.CONNECT, "EPROXY", True, True),
        (Stage.CONNECT, NetworkKind.CONNECT, "EPROXYTARGET", True, True),
        (Stage.CONNECT, NetworkKind.CONNECT, "EPROXYAUTH", True, False),
        (Stage.CONNECT, NetworkKind.CONNECT, "EPROXYDENIED", True, False),
        (Stage.EHLO, NetworkKind.CLOSED, "ECONNECTION", False, False),
        (Stage.MAIL, NetworkKind.TIMEOUT, "ETIMEDOUT", False, False),
        (Stage.DOT, NetworkKind.TIMEOUT, "ETIMEDOUT", False, False),
    ],
)
def test_what_counts_as_no_answer(stage: Stage, kind: NetworkKind, code: str, no_answer: bool, nothing: bool) -> None:
    verdict = of_network(stage, NetworkError(kind, code, "x"), dot_sent=False)
    assert (unanswered(verdict), silent(verdict)) == (no_answer, nothing)
