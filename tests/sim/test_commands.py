"""Command connections: leased in turn, given back in order or closed, at the cost of nothing but a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from inbox import box, deliver, folder
from simulation import Engine, Simulation, servers

from engine.accounts.account import Account
from engine.accounts.leased_connections import TURN_SECONDS, NoSession
from engine.imap.session import CommandRefused
from engine.sandbox.faults import HANG_UP, SILENCE
from engine.schema.account import AccountCreate, AccountUpdate

Clock = trio.testing.MockClock
SEED = 4711


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Simulation(tmp_path / "data", SEED).running() as engine:
        await engine.register("acme")
        yield engine


def account(engine: Engine) -> Account:
    found = engine.context.registry.get("acme")
    assert found is not None
    return found


def heard(engine: Engine, *without: str) -> list[str]:
    """The names of the commands given from now on."""
    names: list[str] = []

    def script(tag: str, name: str, line: bytes) -> None:
        if name not in without:
            names.append(name)

    engine.sandbox.faults.imap_script = script
    return names


def answers(engine: Engine, command: str, answer: bytes) -> None:
    """Have the next such command answered with this in place of what the server does."""

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        if name != command:
            return None
        engine.sandbox.faults.imap_script = None
        return answer

    engine.sandbox.faults.imap_script = script


def connected(engine: Engine) -> int:
    """Connections to the IMAP server: the one that follows the mailbox, and those that requests lease."""
    assert account(engine).status.connections == 1
    return len(engine.sandbox.faults.imap_connections)


async def ask(engine: Engine, seconds: float = 10) -> int:
    """One short command; how many messages INBOX has."""
    async with account(engine).commands.lease(seconds) as session:
        return (await session.enter("INBOX")).exists


async def ask_long(engine: Engine) -> int:
    """The same as long work."""
    async with account(engine).commands.lease_in_turns(10) as turns:
        return (await turns.session.enter("INBOX")).exists


async def with_servers(engine: Engine) -> None:
    """An account whose registration can be changed, in place of the one in the sandbox."""
    await engine.context.registry.remove(account(engine))
    given = {"account": "acme", "name": "acme", "email": "acme@sandbox.example", **servers("acme", "x")}
    await engine.context.registry.register(msgspec.convert(given, AccountCreate))
    await engine.event("acme", "accountInitialized", 2)


async def refused(doing: Awaitable[object]) -> tuple[int, str, float]:
    """Status, code, and how many seconds it took."""
    began = trio.current_time()
    with pytest.raises(NoSession) as caught:
        await doing
    return caught.value.status, caught.value.extra["code"], trio.current_time() - began


async def test_one_is_opened_when_asked_for_and_closed_after_a_minute(engine: Engine, autojump_clock: Clock) -> None:
    assert connected(engine) == 1
    names = heard(engine)
    assert await ask(engine) == 0
    assert names.count("AUTHENTICATE") == 1
    assert connected(engine) == 2
    await trio.sleep(59)
    assert await ask(engine) == 0
    assert names.count("AUTHENTICATE") == 1
    await trio.sleep(59)
    assert connected(engine) == 2
    await trio.sleep(2)
    assert connected(engine) == 1
    assert names[-1] == "LOGOUT"


async def test_two_at_most_and_first_come_first_served(engine: Engine, autojump_clock: Clock) -> None:
    done: list[tuple[int, float]] = []
    began = trio.current_time()

    async def work(number: int) -> None:
        async with account(engine).commands.lease(100):
            await trio.sleep(10)
            done.append((number, round(trio.current_time() - began)))

    names = heard(engine)
    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(work, number)
            await trio.sleep(0.01)
        await trio.sleep(1)
        assert connected(engine) == 3
    assert done == [(0, 10), (1, 10), (2, 20), (3, 20), (4, 30), (5, 30)]
    assert names.count("AUTHENTICATE") == 2


async def test_long_work_leaves_a_connection_to_what_is_short(engine: Engine, autojump_clock: Clock) -> None:
    order: list[str] = []

    async def work(name: str, seconds: float, *, long: bool) -> None:
        async with account(engine).commands.lease(1000, long=long):
            order.append(name)
            await trio.sleep(seconds)

    async with trio.open_nursery() as nursery:
        for name, seconds, long in [
            ("download", 100, True),
            ("another download", 100, True),
            ("list", 1, False),
            ("message", 1, False),
        ]:
            nursery.start_soon(lambda *given: work(*given[:2], long=given[2]), name, seconds, long)
            await trio.sleep(0.01)
        await trio.sleep(5)
        assert order == ["download", "list", "message"]
        await trio.sleep(100)
        assert order[-1] == "another download"
        assert await ask(engine) == 0
        assert connected(engine) == 3


async def test_long_work_that_stands_still_gives_way_to_other_long_work(engine: Engine, autojump_clock: Clock) -> None:
    commands, began = account(engine).commands, trio.current_time()
    async with commands.lease_in_turns(10, path="INBOX") as stalled:
        first = stalled.session
        with stalled.offered():
            async with commands.lease_in_turns(10) as other:
                assert trio.current_time() - began == pytest.approx(TURN_SECONDS, abs=1)
                assert stalled.lost and not other.lost
                assert other.session is first
                with other.offered():  # nobody waits
                    await trio.sleep(100)
                assert not other.lost
                assert await ask(engine) == 0
        await stalled.regain(10)
        assert not stalled.lost
        assert (await stalled.session.enter("INBOX")).exists == 0
        # What offers nothing keeps it.
        assert (await refused(ask_long(engine)))[:2] == (504, "Timeout")
        assert not stalled.lost
    assert await ask_long(engine) == 0


async def test_who_stops_waiting_is_passed_over(engine: Engine, autojump_clock: Clock) -> None:
    order: list[int] = []
    scopes = [trio.CancelScope() for _ in range(5)]

    async def work(number: int) -> None:
        with scopes[number]:
            async with account(engine).commands.lease(1000):
                order.append(number)
                await trio.sleep(10)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(work, number)
            await trio.sleep(0.01)
        scopes[2].cancel()
        await trio.sleep(1)
    assert order == [0, 1, 3, 4]
    assert connected(engine) == 3


async def test_a_server_that_hangs_costs_the_request(engine: Engine, autojump_clock: Clock) -> None:
    answers(engine, "SELECT", SILENCE)
    answers(engine, "EXAMINE", SILENCE)
    assert await refused(ask(engine)) == (504, "Timeout", pytest.approx(10, abs=0.1))
    assert account(engine).status.state == "connected"
    assert await ask(engine) == 0
    assert [each["event"] for each in engine.events("acme")][-1] == "accountInitialized"


async def test_a_request_waits_no_longer_than_it_has_time(engine: Engine, autojump_clock: Clock) -> None:
    async with account(engine).commands.lease(100), account(engine).commands.lease(100):
        assert await refused(ask(engine, 7)) == (504, "Timeout", 7)
    assert await ask(engine) == 0


async def test_a_server_that_never_greets_costs_the_request(engine: Engine, autojump_clock: Clock) -> None:
    engine.sandbox.faults.imap_greeting = b""
    assert await refused(ask(engine)) == (504, "Timeout", 10)
    await trio.sleep(20.5)
    assert await refused(ask(engine)) == (503, "ConnectionError", 0)
    engine.sandbox.faults.imap_greeting = None
    await trio.sleep(60)
    assert account(engine).status.state == "connected"
    assert await ask(engine) == 0


@pytest.mark.parametrize("answer", [b"* BYE going down\r\n", HANG_UP, b"* 1 FETCH (" + b"(" * 1000 + b"\r\n"])
async def test_a_connection_that_ends_in_the_middle(engine: Engine, answer: bytes, autojump_clock: Clock) -> None:
    idling = set(engine.sandbox.faults.imap_connections)
    assert await ask(engine) == 0
    answers(engine, "EXAMINE", answer)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def close() -> None:
            await trio.sleep(1)
            for stream in engine.sandbox.faults.imap_connections - idling:
                stream.close()

        assert (await refused(select(engine)))[:2] == (503, "IMAPUnavailable")
    assert account(engine).status.state == "connected"
    assert await ask(engine) == 0
    assert connected(engine) == 2


async def test_one_that_was_closed_while_at_rest_is_not_handed_out(engine: Engine, autojump_clock: Clock) -> None:
    idling = set(engine.sandbox.faults.imap_connections)
    assert await ask(engine) == 0
    for stream in engine.sandbox.faults.imap_connections - idling:
        stream.close()
    await trio.sleep(0.1)
    assert connected(engine) == 1
    assert await ask(engine) == 0


async def test_one_that_was_forgotten_on_the_way_is_not_handed_out(engine: Engine, autojump_clock: Clock) -> None:
    assert await ask(engine) == 0
    asked: list[str] = []

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        """The first command after the rest meets a line that is dead."""
        asked.append(name)
        return SILENCE if len(asked) == 1 else None

    await trio.sleep(50)
    engine.sandbox.faults.imap_script = script
    assert await ask(engine) == 0
    assert connected(engine) == 2


@pytest.mark.parametrize("refusal", ["reject_login", "login_later"])
async def test_a_refused_login_is_no_storm_and_changes_nothing(
    engine: Engine, refusal: str, autojump_clock: Clock
) -> None:
    getattr(engine.sandbox.faults, refusal).add("acme@sandbox.example")
    names = heard(engine)
    code = "AuthenticationFails" if refusal == "reject_login" else "ConnectionError"
    before = len(engine.events("acme"))
    for _ in range(600):
        assert await refused(ask(engine)) == (503, code, pytest.approx(0, abs=0.01))
        await trio.sleep(0.5)
    assert 3 <= names.count("AUTHENTICATE") <= 9
    assert (account(engine).status.state, len(engine.events("acme"))) == ("connected", before)
    getattr(engine.sandbox.faults, refusal).clear()
    await trio.sleep(600)
    assert await ask(engine) == 0


async def test_a_server_that_hangs_up_after_each_login_is_not_dialled_all_the_time(
    engine: Engine, autojump_clock: Clock
) -> None:
    names: list[str] = []

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        names.append(name)
        return HANG_UP if name == "EXAMINE" else None

    engine.sandbox.faults.imap_script = script
    for _ in range(600):
        assert (await refused(select(engine)))[0] == 503
        await trio.sleep(0.5)
    assert names.count("AUTHENTICATE") <= 9
    assert account(engine).status.state == "connected"


async def select(engine: Engine) -> None:
    async with account(engine).commands.lease(10) as session:
        await session.select("INBOX", read_only=True)


async def test_what_a_state_means(engine: Engine, autojump_clock: Clock) -> None:
    await with_servers(engine)
    engine.sandbox.faults.reject_login.add("acme@sandbox.example")
    account(engine).reconnect()
    await trio.sleep(1)
    assert await refused(ask(engine)) == (503, "AuthenticationFails", 0)
    engine.sandbox.faults.reject_login.clear()
    engine.sandbox.faults.imap_greeting = b"* BYE no\r\n"
    account(engine).reconnect()
    await trio.sleep(1)
    assert await refused(ask(engine)) == (503, "ConnectionError", 0)
    await account(engine).pause()
    assert await refused(ask(engine)) == (503, "NoAvailable", 0)
    await engine.context.registry.update(account(engine), msgspec.convert({"imap": False}, AccountUpdate))
    account(engine).resume()
    await trio.sleep(1)
    assert account(engine).status.state == "connected"  # that of the SMTP login
    assert await refused(ask(engine)) == (503, "NotSyncing", 0)


async def test_before_the_first_login_it_is_waited_for(engine: Engine, autojump_clock: Clock) -> None:
    names = heard(engine)
    account(engine).reconnect()
    assert await ask(engine) == 0
    assert names.count("AUTHENTICATE") == 2


@pytest.mark.parametrize("how", ["removed", "paused", "changed", "reconnected"])
async def test_what_ends_the_account_s_connections_ends_these(engine: Engine, how: str, autojump_clock: Clock) -> None:
    await with_servers(engine)
    told: list[tuple[int, str]] = []

    async def work(*, stuck: bool) -> None:
        with pytest.raises(NoSession) as caught:
            async with account(engine).commands.lease(1000) as session:
                if stuck:
                    await session.select("INBOX")
                await trio.sleep(2)
                await session.noop()
        told.append((caught.value.status, caught.value.extra["code"]))

    engine.sandbox.faults.imap_script = lambda tag, name, line: SILENCE if name == "SELECT" else None
    streams = set(engine.sandbox.faults.imap_connections)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: work(stuck=True))
        await trio.sleep(0.1)
        nursery.start_soon(lambda: work(stuck=False))
        await trio.sleep(0.1)
        streams |= engine.sandbox.faults.imap_connections
        engine.sandbox.faults.imap_script = None
        assert connected(engine) == 3
        if how == "removed":
            await engine.context.registry.remove(account(engine))
        elif how == "paused":
            await account(engine).pause()
            assert not engine.sandbox.faults.imap_connections
        elif how == "changed":
            update = {"imap": {"partial": True, "auth": {"user": "acme@sandbox.example", "pass": "new"}}}
            await engine.context.registry.update(account(engine), msgspec.convert(update, AccountUpdate))
        else:
            account(engine).reconnect()
        await trio.sleep(1)
        assert not engine.sandbox.faults.imap_connections & streams
    assert told == [(503, "IMAPUnavailable")] * 2
    if how in ("changed", "reconnected"):
        assert await ask(engine) == 0
        assert connected(engine) == 2


async def test_a_request_may_come_at_any_moment_of_their_end(engine: Engine, autojump_clock: Clock) -> None:
    async def request() -> None:
        with suppress(NoSession):
            async with account(engine).commands.lease(5):
                pass

    for moment in range(60):
        account(engine).resume()
        await trio.sleep(5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(account(engine).pause)
            for _ in range(moment):
                await trio.lowlevel.checkpoint()
            nursery.start_soon(request)


async def test_who_waits_hears_that_the_account_is_gone(engine: Engine, autojump_clock: Clock) -> None:
    commands = account(engine).commands
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(NoSession):
                async with commands.lease(1000):
                    pass
            with pytest.raises(NoSession):
                async with commands.lease(1000):
                    pass

        with pytest.raises(NoSession):
            async with commands.lease(100) as one, commands.lease(100):
                nursery.start_soon(wait)
                await trio.sleep(1)
                await engine.context.registry.remove(account(engine))
                await trio.sleep(1)
                await one.noop()
        began = trio.current_time()
    assert trio.current_time() - began < 1


async def test_what_the_server_refuses_leaves_the_session_in_order(engine: Engine, autojump_clock: Clock) -> None:
    names = heard(engine)
    for _ in range(5):
        with pytest.raises(CommandRefused):
            async with account(engine).commands.lease(10) as session:
                await session.enter("No such folder")
        with pytest.raises(KeyError):
            async with account(engine).commands.lease(10) as session:
                raise KeyError
    assert names.count("AUTHENTICATE") == 1


async def test_the_mailbox_stays_selected_for_the_next(engine: Engine, autojump_clock: Clock) -> None:
    deliver(engine, 1)
    names = heard(engine, "ID", "ENABLE", "AUTHENTICATE", "COMPRESS", "IDLE", "DONE")
    assert await ask(engine) == 1
    await trio.sleep(1)
    names.clear()
    assert await ask(engine) == 1
    assert names == ["NOOP", "STATUS"]
    engine.sandbox.faults.imap_script = None
    deliver(engine, 2)
    assert await ask(engine) == 2
    folder(engine).remove([1])
    assert await ask(engine) == 1
    await trio.sleep(1)  # the main connection has seen it too
    names = heard(engine)
    async with account(engine).commands.lease(100) as session:
        held = session.selection
        assert held is not None
        assert await session.enter("INBOX", uid_validity=held.uid_validity) == held
        assert names == []
        await session.enter("INBOX", read_only=False)
        assert names == ["SELECT"]
        await session.enter("INBOX")
        assert names == ["SELECT", "NOOP", "STATUS"]
        await trio.sleep(11)
        names.clear()
        await session.enter("INBOX")
        assert names == ["EXAMINE"]


async def test_another_mailbox_under_the_same_path_is_selected_anew(engine: Engine, autojump_clock: Clock) -> None:
    deliver(engine, 1, "Trash")
    deliver(engine, 2, "Trash")

    async def enter(uid_validity: int | None = None) -> tuple[int, int | None]:
        async with account(engine).commands.lease(10) as session:
            selected = await session.enter("Trash", uid_validity=uid_validity)
            return selected.exists, selected.uid_validity

    old = await enter()
    assert old[0] == 2
    box(engine).delete("Trash")
    box(engine).create("Trash", engine.context.world.now())
    deliver(engine, 3, "Trash")
    deliver(engine, 4, "Trash")
    new = await enter()
    assert new[0] == 2
    assert new[1] != old[1]
    assert await enter(uid_validity=old[1]) == new


async def test_the_one_that_has_the_mailbox_selected_is_preferred(engine: Engine, autojump_clock: Clock) -> None:
    commands = account(engine).commands
    async with commands.lease(10) as one, commands.lease(10) as other:
        await one.enter("Trash")
        await other.enter("Sent")
    for path, wanted in (("Trash", one), ("Sent", other), ("Trash", one)):
        await trio.sleep(0.1)
        async with commands.lease(10, path=path) as session:
            assert session is wanted
