"""Command connections of a running engine at a real Dovecot, while a foreign client changes the mailbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
from real.dovecot import Dovecot

from engine import app, sasl
from engine.accounts import leased_connections
from engine.accounts.account import Account
from engine.accounts.leased_connections import NoSession
from engine.api.context import Context
from engine.config import Config, StoreConfig
from engine.imap import session
from engine.imap.dialogue import Dialogue
from engine.imap.session import ImapEndpoint, ImapSession
from engine.schema.account import AccountCreate
from engine.store import database
from engine.transport import TlsRules
from engine.world import World

pytestmark = pytest.mark.real

LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 250_000
"""4 MB in one line, which no deflating makes small enough to have arrived when a call is cut short."""


@asynccontextmanager
async def running(folder: Path, given: dict[str, object]) -> AsyncIterator[Account]:
    """An engine in this process with one account, which is connected."""
    database.prepare_folder(folder)
    stop = trio.Event()
    with database.lock_folder(folder):
        async with trio.open_nursery() as nursery:

            async def run(task_status: trio.TaskStatus[Context]) -> None:
                config = Config(store=StoreConfig(path=str(folder)))
                await app.run(config, World(), stop, http=False, task_status=task_status)

            context: Context = await nursery.start(run)
            await context.registry.register(msgspec.convert(given, AccountCreate))
            account = context.registry.get("jane")
            assert account is not None
            while account.status.state != "connected":
                await account.status.moves()
            yield account
            stop.set()


@asynccontextmanager
async def foreign(dovecot: Dovecot, login: str, password: str) -> AsyncIterator[ImapSession]:
    endpoint = ImapEndpoint(
        dovecot.plain_host,
        dovecot.plain_port,
        False,
        TlsRules(),
        sasl.Credentials(user=login, password=password, access_token=None),
    )
    client = await ImapSession.connect(endpoint, dial=World().dial, client_id={"name": "foreign"})
    try:
        yield client
    finally:
        await client.close()


def registration(dovecot: Dovecot, login: str, password: str, *, secure: bool = False) -> dict[str, object]:
    imap: dict[str, object] = {
        "host": dovecot.host if secure else dovecot.plain_host,
        "port": dovecot.tls_port if secure else dovecot.plain_port,
        "secure": secure,
        "tls": {"ca": dovecot.ca_pem},
        "auth": {"user": login, "pass": password},
    }
    return {"account": "jane", "name": "Jane", "email": login, "imap": imap}


async def test_what_a_foreign_client_does_between_two_leases(
    dovecot: Dovecot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login, password = dovecot.user()

    async def enter(path: str = "Work") -> tuple[int, int | None, int | None]:
        async with account.commands.lease(10) as leased:
            found = await leased.enter(path)
            assert found.exists == len(await leased.search("ALL"))
            return found.exists, found.uid_validity, found.uid_next

    async with (
        running(tmp_path / "data", registration(dovecot, login, password)) as account,
        foreign(dovecot, login, password) as other,
    ):
        await other.create("Work")
        for _ in range(3):
            await other.append("Work", [b"Subject: one\r\n\r\n"])
        first = await enter()
        assert (first[0], first[2]) == (3, 4)
        assert await enter() == first
        await other.append("Work", [b"Subject: two\r\n\r\n"])
        assert await enter() == (4, first[1], 5)
        await other.select("Work")
        await other.store([1, 3], ["\\Deleted"])
        await other.expunge([1, 3])
        assert await enter() == (2, first[1], 5)
        await other.unselect()
        await other.rename("Work", "Old")
        await other.create("Work")
        await other.append("Work", [b"Subject: three\r\n\r\n"])
        # To STATUS of a path that is selected Dovecot answers from the session.
        monkeypatch.setattr(session, "HELD_SECONDS", 0.0)
        now = await enter()
        assert now[0] == 1
        assert now[1] != first[1]
        assert await enter("Old") == (2, first[1], 5)
        assert account.status.state == "connected"


def give_up_after(pieces: int, scope: trio.CancelScope, patch: pytest.MonkeyPatch) -> None:
    """Cancel `scope` once that many pieces of an answer have arrived: a call that is still being sent cannot settle."""
    take, left = Dialogue._take, iter(range(pieces - 1, -1, -1))

    def counting(dialogue: Dialogue, data: bytes) -> None:
        take(dialogue, data)
        if next(left, None) == 0:
            scope.cancel()

    patch.setattr(Dialogue, "_take", counting)


@pytest.mark.parametrize("secure", [False, True])
async def test_a_download_that_is_given_up_gives_the_connection_back(
    dovecot: Dovecot, secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine, reading the rest of 4 MB may take longer than a session is worth.
    monkeypatch.setattr(leased_connections, "SETTLE_SECONDS", 60.0)
    login, password = dovecot.user()
    async with running(tmp_path / "data", registration(dovecot, login, password, secure=secure)) as account:
        async with account.commands.lease(10) as leased:
            await leased.append("INBOX", [LARGE])
            kept = leased
            validity = (await leased.enter("INBOX")).uid_validity
        for pieces in (1, 2, 4, 8, 16):
            with trio.CancelScope() as scope:
                async with account.commands.lease(10, long=True, path="INBOX") as leased:
                    await leased.enter("INBOX", uid_validity=validity)
                    with monkeypatch.context() as patch:
                        give_up_after(pieces, scope, patch)
                        await leased.fetch(((1, 1),), ["UID", "BODY.PEEK[]<0.4000000>"])
            assert scope.cancelled_caught
            async with account.commands.lease(10, path="INBOX") as leased:
                assert (await leased.enter("INBOX")).exists == 1
                (found,) = await leased.fetch(((1, 1),), ["UID", "BODY.PEEK[]<0.16>"])
                assert found.sections == {"": b"Subject: large\r\n"}
        assert kept.usable
        assert account.status.connections <= 3


async def test_a_restart_of_the_server_costs_a_moment(dovecot: Dovecot, tmp_path: Path) -> None:
    login, password = dovecot.user()
    async with running(tmp_path / "data", registration(dovecot, login, password)) as account:
        async with account.commands.lease(10) as leased:
            await leased.enter("INBOX")
        await trio.to_thread.run_sync(dovecot.stop)
        await trio.to_thread.run_sync(dovecot.start)
        with trio.fail_after(30):
            while True:
                try:
                    async with account.commands.lease(30) as leased:
                        assert (await leased.enter("INBOX")).exists == 0
                    break
                except NoSession as refused:  # while the account is not connected
                    assert refused.status == 503
                    await trio.sleep(0.1)
