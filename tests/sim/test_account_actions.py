"""Reconnecting, syncing, flushing, the protocol log, and how an account recovers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from answers import plain
from simulation import FIRST_FOLDERS, QUIET, Engine, Simulation, servers

from engine.accounts.account import Account
from engine.accounts.protocol_log import ProtocolLog
from engine.api import account_actions
from engine.errors import NetworkError, NetworkKind, Problem
from engine.schema.account import AccountUpdate
from engine.schema.account_actions import Flush, Reconnect, Sync, VerifyAccount
from engine.store import mailboxes

Clock = trio.testing.MockClock
MAIL = b"From: a@x.example\r\nSubject: hi\r\nMessage-ID: <%d@x.example>\r\n\r\nhi\r\n"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        yield engine


def account(engine: Engine) -> Account:
    found = engine.context.registry.get("acme")
    assert found is not None
    return found


def deliver(engine: Engine, number: int, path: str = "INBOX") -> None:
    engine.sandbox.account("acme@sandbox.example").folder(path).add(MAIL % number, engine.context.world.now())


def count(engine: Engine, name: str) -> int:
    return len(engine.events("acme", name))


async def test_reconnect(engine: Engine, autojump_clock: Clock) -> None:
    await engine.register("acme")
    (before,) = engine.sandbox.faults.imap_connections
    assert plain(await account_actions.reconnect(engine.context, "acme", Reconnect())) == {"reconnect": False}
    await trio.sleep(1)
    assert engine.sandbox.faults.imap_connections == {before}
    assert plain(await account_actions.reconnect(engine.context, "acme", Reconnect(reconnect=True))) == {
        "reconnect": True
    }
    await trio.sleep(1)
    (after,) = engine.sandbox.faults.imap_connections
    assert after is not before
    assert (account(engine).status.state, account(engine).status.connections) == ("connected", 1)
    assert count(engine, "accountInitialized") == 1


async def test_sync(engine: Engine, autojump_clock: Clock) -> None:
    await engine.register("acme")
    deliver(engine, 1, "Sent")
    await trio.sleep(10)
    assert count(engine, "messageNew") == 0
    assert plain(await account_actions.sync(engine.context, "acme", Sync(sync=True))) == {"sync": True}
    await trio.sleep(1)
    assert count(engine, "messageNew") == 1
    engine.sandbox.faults.refuse_dial = NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", "refused")
    engine.sandbox.faults.cut_imap()
    await trio.sleep(60)
    with pytest.raises(Problem) as refused:
        await account_actions.sync(engine.context, "acme", Sync(sync=True))
    assert (refused.value.status, refused.value.extra["code"]) == (503, "ConnectionError")


async def test_flush_forgets_and_begins_anew_in_silence(engine: Engine, autojump_clock: Clock) -> None:
    await engine.register("acme", notifyFrom=None)
    for number in range(5):
        deliver(engine, number)
    await engine.event("acme", "messageNew", 5)
    db = engine.context.store.reader
    (before, *_) = mailboxes.of_account(db, "acme")
    await trio.sleep(5)
    assert plain(await account_actions.flush(engine.context, "acme", Flush())) == {"flush": False}
    assert plain(await account_actions.flush(engine.context, "acme", Flush(flush=True))) == {"flush": True}
    await trio.sleep(5)
    (after, *_) = mailboxes.of_account(db, "acme")
    assert after.id > before.id
    assert (after.uid_next, mailboxes.count(db, after.id), mailboxes.count(db, before.id)) == (6, 5, 0)
    assert (count(engine, "messageNew"), count(engine, "mailboxNew"), account(engine).status.state) == (
        5,
        2 * FIRST_FOLDERS,
        "connected",
    )
    everything = msgspec.convert({"flush": True, "notifyFrom": None, "imapIndexer": "fast"}, Flush)
    await account_actions.flush(engine.context, "acme", everything)
    await engine.event("acme", "messageNew", 10)
    assert account(engine).record.imap_indexer == "fast"


async def test_an_account_is_paused_while_it_is_flushed(engine: Engine, autojump_clock: Clock) -> None:
    await engine.register("acme")
    await account(engine).pause()
    assert account(engine).status.state == "paused"
    assert not engine.sandbox.faults.imap_connections
    account(engine).resume()
    await trio.sleep(1)
    assert account(engine).status.state == "connected"


def entries(log: ProtocolLog) -> list[dict[str, Any]]:
    """The lines of a log, without their times."""
    lines = [msgspec.json.decode(each) for each in log.text().splitlines()]
    assert all(each.pop("time") >= 1_800_000_000_000 for each in lines)
    return lines


async def test_the_protocol_log(engine: Engine, autojump_clock: Clock) -> None:
    await engine.register("acme", logs=True, **servers("acme", "geheim"))
    log = account(engine).log
    assert log is not None
    deliver(engine, 1)
    await engine.event("acme", "messageNew")
    lines = entries(log)
    assert {"level": 30, "msg": "connecting to imap.sandbox.example:143"} in lines
    assert {"level": 20, "src": "c", "msg": "A1 AUTHENTICATE PLAIN [secret]"} in lines
    assert b"Subject: hi" not in log.text() and b"geheim" not in log.text()
    await engine.submit("acme", "you@sandbox.example", text="between us")
    await engine.event("acme", "messageSent")
    await trio.sleep(1)
    lines = entries(log)
    assert any("SMTP, an attempt that has just ended" in each["msg"] for each in lines)
    said = [each["src"] for each in lines if each["msg"].startswith(("MAIL FROM:<acme@", "250 2.0.0 Ok: queued as"))]
    assert said == ["c", "s"]
    assert b"geheim" not in log.text() and b"between us" not in log.text()
    engine.sandbox.faults.cut_imap()
    await trio.sleep(60)
    lines = entries(log)
    connecting = [each.get("cid") for each in lines if each["msg"].startswith("connecting to imap")]
    assert sorted(connecting, key=str) == [None, None, "commands 1"]
    filing = [each for each in lines if re.match(r'A\d+ APPEND "Sent" ', each["msg"])]
    assert [(each["cid"], each["src"]) for each in filing] == [("commands 1", "c")]
    await engine.context.registry.update(account(engine), AccountUpdate(logs=False))
    await trio.sleep(1)
    assert account(engine).log is None


async def test_accounts_prove_their_password_where_the_server_can_check_that(
    engine: Engine, autojump_clock: Clock
) -> None:
    engine.sandbox.faults.knows_passwords = True
    engine.sandbox.set_password("acme@sandbox.example", "geheim")
    await engine.register("acme", logs=True, **servers("acme", "geheim"))
    await trio.sleep(1)
    engine.sandbox.faults.cut_imap()
    await trio.sleep(60)
    log = account(engine).log
    assert log is not None
    assert account(engine).status.state == "connected"
    assert [each["src"] for each in entries(log) if "A1 AUTHENTICATE SCRAM-SHA-256" in each["msg"]] == ["c", "c"]
    assert b"PLAIN" not in log.text().replace(b"AUTH=PLAIN", b"")


async def test_verifying_waits_at_the_gate_of_the_server(engine: Engine, autojump_clock: Clock) -> None:
    gate = engine.context.access.logins
    given = msgspec.convert({**servers("acme", "right"), "smtp": False}, VerifyAccount)
    async with trio.open_nursery() as nursery:

        async def log_in() -> None:
            async with gate.at("imap.sandbox.example", 143):
                await trio.sleep(100)

        for _ in range(engine.context.config.imap.logins):
            nursery.start_soon(log_in)
        await trio.sleep(1)
        began = trio.current_time()
        assert plain(await account_actions.verify(engine.context, given))["imap"] == {"success": True}
        assert trio.current_time() - began == 2  # a slot lasts three seconds


async def test_verifying(engine: Engine, autojump_clock: Clock) -> None:
    def given(password: str, **more: Any) -> VerifyAccount:
        return msgspec.convert({**servers("acme", password), **more}, VerifyAccount)

    answer = plain(await account_actions.verify(engine.context, given("right", mailboxes=True)))
    assert (answer["imap"], answer["smtp"]) == ({"success": True}, {"success": True})
    assert answer["mailboxes"][0] == {
        "path": "INBOX",
        "delimiter": "/",
        "name": "INBOX",
        "listed": True,
        "subscribed": True,
        "specialUse": "\\Inbox",
        "specialUseSource": "name",
        "noInferiors": False,
    }
    assert [each["path"] for each in answer["mailboxes"]] == ["INBOX", "Sent", "Drafts", "Junk", "Trash"]
    answer = plain(await account_actions.verify(engine.context, given("wrong")))
    assert "Correct imap.auth.user and imap.auth.pass" in answer["imap"].pop("description")
    assert "Correct smtp.auth.user and smtp.auth.pass" in answer["smtp"]["description"]
    assert answer["imap"] == {
        "success": False,
        "error": "Command failed",
        "code": "AUTHENTICATIONFAILED",
        "responseText": "Authentication failed.",
    }
    assert (answer["smtp"]["success"], answer["smtp"]["code"], answer["smtp"]["statusCode"]) == (False, "EAUTH", 535)
    engine.sandbox.faults.dead.add(143)
    answer = plain(await account_actions.verify(engine.context, given("right", smtp=False)))
    assert "Nothing listens at imap.sandbox.example:143" in answer["imap"].pop("description")
    assert answer == {
        "imap": {
            "success": False,
            "error": "connect ECONNREFUSED imap.sandbox.example:143",
            "code": "ECONNREFUSED",
        }
    }
    engine.sandbox.faults.hang_smtp = True
    answer = plain(await account_actions.verify(engine.context, given("right", imap=False)))
    assert (answer["smtp"]["success"], answer["smtp"]["code"]) == (False, "ETIMEDOUT")
    assert "sends nothing" in answer["smtp"]["description"]
    assert engine.context.registry.every() == []


async def test_a_server_that_takes_and_drops_is_not_stormed(engine: Engine, autojump_clock: Clock) -> None:
    dials = 0
    await engine.register("acme", **servers("acme", "x"))
    world = engine.context.world
    real = world.dial

    async def dial(host: str, port: int, choose: Any = None, local: Any = ()) -> trio.abc.Stream:
        nonlocal dials
        dials += 1
        stream = await real(host, port)
        nursery.start_soon(cut)
        return stream

    async def cut() -> None:
        await trio.sleep(2)  # long enough to log in and sync
        engine.sandbox.faults.cut_imap()

    async with trio.open_nursery() as nursery:
        world.dial = dial
        account(engine).reconnect()
        await trio.sleep(3600)
        world.dial = real
        nursery.cancel_scope.cancel()
    assert dials <= 15
    assert count(engine, "authenticationError") == count(engine, "connectError") == 0


async def test_the_same_error_is_announced_once_in_a_day_of_failing(engine: Engine, autojump_clock: Clock) -> None:
    await engine.register("acme", **servers("acme", "first"))
    engine.sandbox.set_password("acme@sandbox.example", "second")
    engine.sandbox.faults.cut_imap()
    await trio.sleep(86_400)
    assert count(engine, "authenticationError") == 1
    assert account(engine).status.state == "authenticationError"
    auth = {"user": "acme@sandbox.example", "pass": "second"}
    change = {"imap": {"partial": True, "auth": auth}}
    await engine.context.registry.update(account(engine), msgspec.convert(change, AccountUpdate))
    await trio.sleep(1)
    assert account(engine).status.state == "connected"


async def test_two_refused_logins_are_announced_once_each(tmp_path: Path, autojump_clock: Clock) -> None:
    simulation = Simulation(tmp_path / "data", 4711)
    async with simulation.running() as engine:
        await engine.register("acme", **servers("acme", "first"))
        engine.sandbox.set_password("acme@sandbox.example", "second")
        engine.sandbox.faults.cut_imap()
        answer = await engine.submit("acme", "x@sandbox.example")
        await trio.sleep(6 * 3600)
        assert count(engine, "authenticationError") == 2
        assert count(engine, "messageDeliveryError") > 5
        entry = await engine.entry(answer["queueId"])
        assert (entry["attemptsMade"], entry["waitingFor"]["kind"]) == (0, "login")
        assert "correct the password" in entry["waitingFor"]["remedy"]
    async with simulation.running() as engine:
        engine.sandbox.set_password("acme@sandbox.example", "second")
        await trio.sleep(6 * 3600)
        assert count(engine, "authenticationError") == 2
        assert account(engine).status.last_error is not None
        assert account(engine).status.last_error["serverResponseCode"] == "AUTHENTICATIONFAILED"


async def test_a_login_refused_for_days_is_given_up_until_something_changes(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    imap = msgspec.structs.replace(QUIET, give_up_refused=6 * 3600.0)
    simulation = Simulation(tmp_path / "data", 4711, imap=imap)
    async with simulation.running() as engine:
        await engine.register("acme", **servers("acme", "first"), subconnections=["Sent"])
        engine.sandbox.set_password("acme@sandbox.example", "second")
        engine.sandbox.faults.cut_imap()
        await trio.sleep(5.8 * 3600)
        assert account(engine).status.state == "authenticationError"
        await trio.sleep(0.4 * 3600)
        assert account(engine).status.state == "unset"
        assert account(engine).status.last_error is not None
    async with simulation.running() as engine:
        engine.sandbox.set_password("acme@sandbox.example", "second")
        await trio.sleep(60)
        assert account(engine).status.state == "unset"
        assert count(engine, "authenticationError") == 1
        engine.sandbox.set_password("acme@sandbox.example", "first")
        await trio.sleep(6 * 3600)
        assert account(engine).status.state == "unset"
        await account_actions.reconnect(engine.context, "acme", Reconnect(reconnect=True))
        await trio.sleep(1)
        assert account(engine).status.state == "connected"


async def test_mail_that_came_while_locked_out_is_told_later(engine: Engine, autojump_clock: Clock) -> None:
    await engine.register("acme")
    engine.sandbox.faults.reject_login.add("acme@sandbox.example")
    engine.sandbox.faults.cut_imap()
    await trio.sleep(3600)
    for number in range(3):
        deliver(engine, number)
    engine.sandbox.faults.reject_login.clear()
    await engine.event("acme", "messageNew", 3)
    await trio.sleep(3600)
    assert count(engine, "messageNew") == 3


async def test_removing_an_account_forgets_its_mailboxes(engine: Engine, autojump_clock: Clock) -> None:
    for number in range(2500):
        deliver(engine, number)
    await engine.register("acme", notifyFrom="2030-01-01T00:00:00Z")
    db = engine.context.store.reader
    assert db.execute("SELECT count(*) FROM mailbox_message").fetchone() == (2500,)
    await engine.context.registry.remove(account(engine))
    await trio.sleep(5)
    for table in ("mailbox", "mailbox_message", "mailbox_gone"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
