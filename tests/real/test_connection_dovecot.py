"""An engine process and a real Dovecot, while another client changes the mailbox: each change is announced once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import trio
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.processes import wait_until

from engine import sasl
from engine.imap.session import ImapEndpoint, ImapSession
from engine.transport import TlsRules
from engine.world import World

EVERY = ((1, 2**32 - 1),)

pytestmark = [pytest.mark.real, pytest.mark.process]

MESSAGE = (
    b"From: Alice <alice@x.example>\r\nTo: b@example.com\r\nSubject: hello %d\r\n"
    b"Message-ID: <%d@x.example>\r\n\r\nhi\r\n"
)
SEED = 4711


def registration(dovecot: Dovecot, account: str, **more: Any) -> dict[str, Any]:
    login, password = dovecot.user()
    imap = {
        "host": dovecot.plain_host,
        "port": dovecot.plain_port,
        "auth": {"user": login, "pass": password},
        "resyncDelay": 2,
    }
    return {"account": account, "name": "Jane", "email": login, "imap": imap, **more}


async def foreign(dovecot: Dovecot, given: dict[str, Any]) -> ImapSession:
    auth = given["imap"]["auth"]
    endpoint = ImapEndpoint(
        host=dovecot.plain_host,
        port=dovecot.plain_port,
        secure=False,
        tls=TlsRules(),
        credentials=sasl.Credentials(user=auth["user"], password=auth["pass"], access_token=None),
    )
    return await ImapSession.connect(endpoint, dial=World().dial, client_id={"name": "foreign"})


def events(engine: EngineProcess, account: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["seq"] if found else 0
        page = engine.request("GET", f"/v1/events?limit=1000&account={account}&after={after}").json["events"]
        if not page:
            return found
        found += page


def mailbox_of(told: list[dict[str, Any]]) -> dict[tuple[str, int], frozenset[str]]:
    """What a reader of the events knows; fails for a change told twice or of nothing."""
    known: dict[tuple[str, int], frozenset[str]] = {}
    for each in told:
        name, data = each["event"], each["data"]
        key = (data.get("path", ""), data.get("uid", 0))
        if name == "messageNew":
            assert key not in known
            known[key] = frozenset(data["flags"])
        elif name == "messageUpdated":
            assert known[key] != frozenset(data["changes"]["flags"]["value"])
            known[key] = frozenset(data["changes"]["flags"]["value"])
        elif name == "messageDeleted":
            del known[key]
    return known


async def contents(session: ImapSession) -> dict[tuple[str, int], frozenset[str]]:
    found = {}
    for mailbox in await session.list_mailboxes():
        await session.select(mailbox.path, read_only=True)
        for each in await session.fetch(EVERY, ["UID", "FLAGS"]):
            found[mailbox.path, each.uid] = each.flags or frozenset()
    return found


async def change_something(session: ImapSession, dice: random.Random, number: int) -> None:
    path = dice.choice(["INBOX", "INBOX", "Trash"])
    selected = await session.select(path)
    uids = list(await session.search("ALL")) if selected.exists else []
    action = dice.random()
    if action < 0.5 or not uids:
        await session.append(path, [MESSAGE % (number, number)], flags=())
    elif action < 0.75:
        flags = dice.sample(["\\Seen", "\\Flagged", "\\Answered", "$One"], 2)
        await session.store([dice.choice(uids)], flags, dice.choice(["+", "-", ""]))
    elif action < 0.9:
        chosen = dice.sample(uids, min(2, len(uids)))
        await session.store(chosen, ("\\Deleted",))
        await session.expunge(chosen)
    else:
        await session.move([dice.choice(uids)], "Trash" if path == "INBOX" else "INBOX")


async def test_every_gap(start_engine: Callable[..., EngineProcess], dovecot: Dovecot) -> None:
    """Changes while connected, while Dovecot restarts or hangs, and while the engine is stopped, killed and back."""
    engine = start_engine(ENGINE_IMAP__RECONNECT_MIN="100ms", ENGINE_IMAP__RECONNECT_MAX="500ms")
    given = registration(dovecot, "jane", notifyFrom=None)
    assert engine.request("POST", "/v1/account", given).status == 200
    engine.wait_for_state("jane", "connected")
    dice = random.Random(SEED)
    number = 0

    async def change(times: int) -> None:
        nonlocal number
        session = await foreign(dovecot, given)
        for _ in range(times):
            number += 1
            await change_something(session, dice, number)
        await session.logout()

    await change(30)
    dovecot.restart()
    await change(10)
    dovecot.freeze()
    await trio.sleep(0.3)
    dovecot.thaw()
    await change(10)
    engine.kill9()
    await change(15)
    engine.start()
    await change(10)
    engine.terminate()
    await change(10)
    engine.start()
    await change(10)
    session = await foreign(dovecot, given)
    there = await contents(session)
    await session.logout()
    wait_until(lambda: mailbox_of(events(engine, "jane")) == there, f"events that tell of {there}")
    counted = Counter(each["event"] for each in events(engine, "jane"))
    assert counted["mailboxReset"] == counted["messageMissing"] == 0


async def test_a_new_uidvalidity(start_engine: Callable[..., EngineProcess], dovecot: Dovecot) -> None:
    """Dovecot loses its list of UIDs, as a restored mailbox does."""
    engine = start_engine(ENGINE_IMAP__RECONNECT_MIN="100ms", ENGINE_IMAP__RECONNECT_MAX="500ms")
    given = registration(dovecot, "jane", notifyFrom=None)
    session = await foreign(dovecot, given)
    for number in range(5):
        await session.append("INBOX", [MESSAGE % (number, number)], flags=())
    await session.logout()
    assert engine.request("POST", "/v1/account", given).status == 200
    engine.wait_for_state("jane", "connected")
    engine.terminate()
    maildir = dovecot.folder / "mail" / given["email"] / "Maildir"
    for file in maildir.glob("dovecot*"):
        file.unlink()
    await trio.sleep(1.1)  # a UIDVALIDITY is made of seconds
    engine.start()
    engine.wait_for_state("jane", "connected")

    def names() -> Counter[str]:
        told = events(engine, "jane")
        return Counter(each["event"] for each in told if each["data"].get("path") == "INBOX")

    wait_until(lambda: names()["mailboxReset"] == 1, "mailboxReset")
    session = await foreign(dovecot, given)
    await session.append("INBOX", [MESSAGE % (9, 9)], flags=())
    await session.logout()
    wait_until(lambda: names()["messageNew"] == 6, "the sixth message")
    assert names() == {"mailboxNew": 1, "messageNew": 6, "mailboxReset": 1}
