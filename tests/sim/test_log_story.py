"""The log and the account say what is wrong with a mailbox or with sending, once a cause, and when it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from asking import Caller
from simulation import CLEAR_TEXT, Engine, Simulation, servers

from engine.config import Imap
from engine.log import TextFormatter
from engine.schema.account import AccountCreate

Clock = trio.testing.MockClock
HOUR = 3600.0


class Lines(logging.Handler):
    """The lines of the log, without time."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(TextFormatter())
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record).split(" ", 2)[2])

    def of(self, account: str) -> list[str]:
        """Those about an account, without what stands before their text."""
        return [text for head, _, text in (line.partition(": ") for line in self.found) if f"account={account}" in head]


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, log = Lines(), logging.getLogger("engine")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711, imap=Imap(give_up_refused=0))


async def register(engine: Engine, name: str, **changes: Any) -> None:
    given = {"account": name, "name": name, "email": f"{name}@sandbox.example", **servers(name, "secret"), **changes}
    await engine.context.registry.register(msgspec.convert(given, AccountCreate))


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(864_000):
        while not condition():  # noqa: ASYNC110 - the clock jumps
            await trio.sleep(1)


def status(engine: Engine, name: str) -> Any:
    account = engine.context.registry.get(name)
    assert account is not None
    return account.status


async def shown(engine: Engine, name: str) -> Any:
    """`sending` as the account shows it, alone and in the list."""
    caller = await Caller.of(engine)
    read = (await caller.ask("GET", f"/v1/account/{name}")).json
    (listed,) = (await caller.ask("GET", f"/v1/accounts?query={name}")).json["accounts"]
    assert listed["sending"] == read["sending"]
    return read["sending"]


async def test_a_good_account_is_two_lines(simulation: Simulation, lines: Lines, autojump_clock: Clock) -> None:
    async with simulation.running() as engine:
        await register(engine, "bob")
        await until(lambda: status(engine, "bob").sending["state"] == "connected")
        await until(lambda: status(engine, "bob").state == "connected")
        await engine.until_ended(
            *[(await engine.submit("bob", "friend@sandbox.example"))["queueId"] for _ in range(20)]
        )
        await trio.sleep(12 * HOUR)
        assert sorted(lines.of("bob")) == [
            "can send through smtp.sandbox.example:587",
            "connected to imap.sandbox.example:143",
        ]
    async with simulation.running() as engine:
        # It is known that it may send, and the server is not asked again.
        await until(lambda: status(engine, "bob").state == "connected")
        await trio.sleep(HOUR)
        assert status(engine, "bob").sending["state"] == "connected"
        assert sum("can send" in line for line in lines.of("bob")) == 1


async def test_a_dead_mailbox_is_told_once_then_hourly_then_that_it_is_back(
    simulation: Simulation, lines: Lines, autojump_clock: Clock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.dead.add("imap.sandbox.example")
        await register(engine, "bob", smtp=False)
        await trio.sleep(2.4 * HOUR)
        first, second, third = lines.of("bob")
        assert first.startswith("no connection to the IMAP server: Nothing listens at imap.sandbox.example:143. Start")
        assert second.startswith("still no connection to the IMAP server (")
        assert "times within the last " in second
        assert "it has failed for 2 h): Nothing listens" in third
        engine.sandbox.faults.dead.clear()
        await until(lambda: status(engine, "bob").state == "connected")
        assert lines.of("bob")[3:] == [lines.of("bob")[-1]]
        assert lines.of("bob")[-1].startswith("connected to imap.sandbox.example:143 again after 2 h, in which ")


async def test_a_refused_login_is_named_with_the_member_to_correct(
    simulation: Simulation, lines: Lines, autojump_clock: Clock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.reject_login.add("bob@sandbox.example")
        await register(engine, "bob")
        await until(lambda: status(engine, "bob").state == "authenticationError")
        await trio.sleep(600)
        # The same password is not tried at the SMTP server too.
        assert status(engine, "bob").sending["state"] == "init"
        (line,) = lines.of("bob")
        assert "refuses the login of bob@sandbox.example. Correct imap.auth.user and imap.auth.pass." in line
        assert "PUT /v1/account/bob" in line
        assert "secret" not in line
        error = status(engine, "bob").last_error
        assert error["description"] in line
        engine.sandbox.faults.reject_login.clear()
        await until(lambda: status(engine, "bob").sending["state"] == "connected")


async def test_a_dead_smtp_shows_beside_a_live_mailbox(
    simulation: Simulation, lines: Lines, autojump_clock: Clock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.dead.add(587)
        await register(engine, "bob")
        await until(lambda: status(engine, "bob").sending["state"] == "connectError")
        await until(lambda: status(engine, "bob").state == "connected")
        sending = await shown(engine, "bob")
        assert sending["lastError"]["serverResponseCode"] == "ECONNREFUSED"
        assert "smtp.host and smtp.port" in sending["lastError"]["description"]
        assert [line for line in lines.of("bob") if line.startswith("cannot send: Nothing listens at smtp.sandbox")]
    async with simulation.running() as engine:
        engine.sandbox.faults.dead.add(587)
        assert (await shown(engine, "bob"))["since"] == sending["since"]
        engine.sandbox.faults.dead.clear()
        await until(lambda: status(engine, "bob").sending["state"] == "connected")
        assert await shown(engine, "bob") == {**await shown(engine, "bob"), "lastError": None}


async def test_an_smtp_that_dies_later_shows_when_mail_meets_it_and_heals_without_mail(
    simulation: Simulation, lines: Lines, autojump_clock: Clock
) -> None:
    async with simulation.running() as engine:
        await register(engine, "bob")
        await until(lambda: status(engine, "bob").sending["state"] == "connected")
        await engine.event("bob", "accountInitialized")
        engine.sandbox.faults.dead.add(587)
        queue_id = (await engine.submit("bob", "friend@sandbox.example"))["queueId"]
        await until(lambda: status(engine, "bob").sending["state"] == "connectError")
        await engine.cancel(queue_id)
        engine.sandbox.faults.dead.clear()
        await until(lambda: status(engine, "bob").sending["state"] == "connected")
        assert lines.of("bob")[-1].startswith("can send through smtp.sandbox.example:587 again after ")


async def test_a_refused_smtp_login_is_an_event_at_registration(
    simulation: Simulation, lines: Lines, autojump_clock: Clock
) -> None:
    async with simulation.running() as engine:
        engine.sandbox.faults.reject_login.add("other@sandbox.example")
        smtp = {"host": "smtp.sandbox.example", "port": 587, "tls": CLEAR_TEXT}
        await register(engine, "bob", smtp={**smtp, "auth": {"user": "other@sandbox.example", "pass": "secret"}})
        await engine.event("bob", "authenticationError")
        assert (await shown(engine, "bob"))["state"] == "authenticationError"
        await trio.sleep(12 * HOUR)
        assert len(engine.events("bob", "authenticationError")) == 1
        assert status(engine, "bob").state == "connected"
    async with simulation.running() as engine:
        engine.sandbox.faults.reject_login.add("other@sandbox.example")
        await trio.sleep(12 * HOUR)
        assert len(engine.events("bob", "authenticationError")) == 1
        engine.sandbox.faults.reject_login.clear()
        account = engine.context.registry.get("bob")
        assert account is not None
        account.reconnect()
        await until(lambda: status(engine, "bob").sending["state"] == "connected")
        await until(lambda: status(engine, "bob").last_error is None)


async def test_another_smtp_server_is_asked_anew(simulation: Simulation, lines: Lines, autojump_clock: Clock) -> None:
    async with simulation.running() as engine:
        await register(engine, "bob")
        await until(lambda: status(engine, "bob").sending["state"] == "connected")
        engine.sandbox.faults.dead.add("other.sandbox.example")
        smtp = {**servers("bob", "secret")["smtp"], "host": "other.sandbox.example"}
        await register(engine, "bob", smtp=smtp)
        assert (await shown(engine, "bob"))["state"] == "init"
        await until(lambda: status(engine, "bob").sending["state"] == "connectError")
        await register(engine, "bob", smtp=False)
        assert await shown(engine, "bob") == {"state": "unset", "lastError": None}


async def test_what_becomes_of_messages(simulation: Simulation, lines: Lines, autojump_clock: Clock) -> None:
    async with simulation.running() as engine:
        await engine.register("bob")
        gone = (await engine.submit("bob", "reject+x@sandbox.example"))["queueId"]
        well = (await engine.submit("bob", "friend@sandbox.example"))["queueId"]
        doubt = (await engine.submit("bob", "cut-before-keep+x@sandbox.example", onDoubt="fail"))["queueId"]
        await engine.until_ended(gone, well, doubt)
        told = [line for line in lines.found if "queueId=" in line]
        assert len(told) == 2
        assert (
            f"account=bob queueId={gone}: given up after 1 attempt: 1 recipient does not get it. The error: " in told[0]
        )
        assert f"account=bob queueId={doubt}: given up after 1 attempt" in told[1]
        assert "it is not known whether it arrived" in told[1]


async def test_a_sandbox_says_that_its_mail_goes_nowhere_and_nothing_of_its_numbers(
    simulation: Simulation, lines: Lines, autojump_clock: Clock
) -> None:
    for _ in range(2):
        async with simulation.running() as engine:
            if engine.context.registry.get("bob") is None:
                await engine.register("bob")
            await until(lambda: status(engine, "bob").state == "connected")
            assert (await shown(engine, "bob"))["state"] == "connected"
            queue_id = (await engine.submit("bob", "friend@sandbox.example"))["queueId"]
            await engine.until_ended(queue_id)
    assert lines.of("bob") == ["connected to the sandbox, whose mail reaches nobody"] * 2
    async with simulation.running() as engine:
        assert [each["data"]["sandbox"] for each in engine.events("bob", "messageSent")] == [True, True]
        await register(engine, "real")
        await engine.event("real", "accountInitialized")
        await engine.until_ended((await engine.submit("real", "friend@sandbox.example"))["queueId"])
        assert "sandbox" not in (await engine.event("real", "messageSent"))["data"]
