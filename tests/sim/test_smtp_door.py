"""The SMTP door of a running engine: what is sent of what came in, its limits in time and number, and its end."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from simulation import Engine, Simulation, came

from engine.config import Msa, StoreConfig
from engine.model.message import Dsn
from engine.model.message_states import State
from engine.msa.session import Client, DoorSession
from engine.sandbox.streams import MemoryStream, stream_pair
from engine.schema.account import AccountCreate
from engine.store import messages, tokens

Clock = trio.testing.MockClock

SEED = 4712
NEAR, FAR = Client("127.0.0.1", near=True, name="near"), Client("192.0.2.1", near=False, name="far")
MESSAGE = b"Subject: hello\r\nFrom: a@sandbox.example\r\n\r\nHi\r\n"


class Caller:
    """A client of the door."""

    def __init__(self, stream: MemoryStream, session: DoorSession) -> None:
        self.stream = stream
        self.session = session
        self._heard = b""

    async def reply(self) -> str:
        """The next reply, its lines joined by `|`; "" at the end."""
        lines = []
        while True:
            while b"\r\n" not in self._heard:
                with trio.fail_after(1000):
                    data = await self.stream.receive_some()
                if not data:
                    return ""
                self._heard += data
            line, _, self._heard = self._heard.partition(b"\r\n")
            lines.append(line.decode())
            if line[3:4] != b"-":
                return "|".join(lines)

    async def say(self, *lines: str) -> str:
        """Send lines at once; the reply to the last of them."""
        await self.stream.send_all("".join(f"{line}\r\n" for line in lines).encode())
        return [await self.reply() for _ in lines][-1]

    async def submit(self, message: bytes, *recipients: str, sender: str = "a@sandbox.example", more: str = "") -> str:
        """One transaction; the reply to the dot, or the first refusal."""
        reply = await self.say(f"MAIL FROM:<{sender}>{more}")
        for each in recipients or ("you@sandbox.example",):
            if reply[0] == "2":
                reply = await self.say(f"RCPT TO:<{each}>")
        if reply[0] != "2" or (reply := await self.say("DATA"))[0] != "3":
            return reply
        await self.stream.send_all((b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
        return await self.reply()


class Door:
    """An engine with the account `acme` and a token for its door."""

    def __init__(self, engine: Engine, nursery: trio.Nursery) -> None:
        self.engine = engine
        self._nursery = nursery
        self.token = ""

    async def connect(self, client: Client = NEAR) -> Caller:
        mine, theirs = stream_pair()
        door = self.engine.context.door
        assert door is not None
        session = DoorSession(theirs, client, door.parts(None))

        async def run() -> None:
            await session.run(tls=False)
            theirs.close()

        self._nursery.start_soon(run)
        caller = Caller(mine, session)
        assert (await caller.reply()).startswith("220 mx.example ")
        assert (await caller.say("EHLO me.example")).startswith("250-mx.example|250-PIPELINING|")
        return caller

    async def logged_in(self) -> Caller:
        caller = await self.connect()
        assert (await caller.say(self.auth())).startswith("235 ")
        return caller

    def auth(self, account: str = "acme", token: str | None = None) -> str:
        return "AUTH PLAIN " + base64.b64encode(f"\0{account}\0{token or self.token}".encode()).decode()

    async def issue(self, scope: str = "smtp", account: str | None = "acme") -> str:
        world = self.engine.context.world
        return await self.engine.context.store.commit(
            lambda tx: tokens.issue(tx, "a program", [scope], world, account)[0]
        )

    def sent(self) -> list[bytes]:
        """What arrived for `you`, without the trace of its way."""
        inbox = self.engine.sandbox.account("you@sandbox.example").folder("INBOX")
        trace = re.compile(rb"\AReturn-Path:.*\r\nDelivered-To:.*\r\nReceived:.*\r\n(?:\t.*\r\n)*")
        return [trace.sub(b"", each.raw) for each in inbox.messages]


@asynccontextmanager
async def opened(folder: Path, **msa: Any) -> AsyncIterator[Door]:
    store = StoreConfig(path=str(folder / "data"), spool_above=1000)
    settings = Msa(enabled=True, name="mx.example", max_message=100_000, **msa)
    async with Simulation(folder / "data", SEED, msa=settings, store=store).running() as engine:
        await engine.register("acme")
        async with trio.open_nursery() as nursery:
            door = Door(engine, nursery)
            door.token = await door.issue()
            yield door
            nursery.cancel_scope.cancel()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with opened(tmp_path) as door:
        yield door


async def test_a_message_is_sent_as_it_came(autojump_clock: Clock, door: Door) -> None:
    caller = await door.logged_in()
    message = (
        b"X-Odd:  kept  \r\nFrom: Me <a@sandbox.example>\r\nTo: x@sandbox.example\r\nBcc: hidden@sandbox.example\r\n"
        b"x-ee-delivery-attempts: 3\r\nX-EE-Tracking-Enabled: false\r\nX-EE-Idempotency-Key: one\r\n"
        b"Message-ID: <own@x.example>\r\nDate: Sat, 1 Jan 2028 00:00:00 +0000\r\n\r\n.dot\r\n..\r\n\xe4\r\n"
    )
    reply = await caller.submit(message, "you@sandbox.example", sender="bounces@x.example", more=" BODY=8BITMIME")
    assert reply.startswith("250 2.0.0 Message queued for delivery as ")
    queue_id = reply.split()[7]
    assert reply.endswith(", Message-ID <own@x.example>")
    stored = messages.by_queue_id(door.engine.context.store.reader, queue_id)
    assert stored is not None
    assert (stored.account, stored.sender, stored.attempts_max) == ("acme", "bounces@x.example", 3)
    event = await door.engine.event("acme", "messageSent")
    assert (event["data"]["queueId"], event["data"]["envelope"]) == (
        queue_id,
        {"from": "bounces@x.example", "to": ["you@sandbox.example"]},
    )
    dropped = (b"Bcc:", b"x-ee-", b"X-EE-")
    wanted = b"\r\n".join(line for line in message.split(b"\r\n") if not line.startswith(dropped))
    assert door.sent() == [wanted]
    assert stored.size == len(wanted)


@pytest.mark.parametrize("filler", [0, 300])
@pytest.mark.parametrize(("more", "tracked"), [(b"", True), (b"DKIM-Signature: v=1; a=x\r\n", False)])
async def test_mail_that_asks_for_it_is_tracked(
    autojump_clock: Clock, door: Door, filler: int, more: bytes, tracked: bool
) -> None:
    await door.engine.context.settings.update(service_url="https://mail.example.com")
    caller = await door.logged_in()
    asking, header = b"X-EE-Tracking-Enabled: Yes\r\n", more + b"From: Me <a@sandbox.example>\r\n"
    header += b"Message-ID: <own@x.example>\r\nDate: Sat, 1 Jan 2028 00:00:00 +0000\r\nContent-Type: text/html\r\n"
    body = b"<!-- \xe4 -->\r\n" * filler + b'<a href="https://x.example">x</a>\r\n'
    for sent, asked in enumerate((asking, b""), 1):
        reply = await caller.submit(asked + header + b"\r\n" + body, more=" BODY=8BITMIME")
        await door.engine.event("acme", "messageSent", sent)
        said = door.sent()[-1]
        stored = messages.by_queue_id(door.engine.context.store.reader, reply.split()[7])
        assert stored is not None and stored.size == len(said)
        assert said.startswith(header + b"\r\n")
        if asked and tracked:
            assert said.count(b"/redirect?") == said.count(b"/open.gif?") == 1
            assert said.count(b"<!-- \xe4 -->\r\n") == filler
        else:
            assert said == header + b"\r\n" + body
    await trio.sleep(10)  # the body stays until the copy is filed
    assert not list((Path(door.engine.context.config.store.path) / "spool").iterdir())


@pytest.mark.parametrize("size", [0, 990, 1001, 60_000, 99_000])
async def test_what_is_missing_is_added(autojump_clock: Clock, door: Door, size: int) -> None:
    caller = await door.logged_in()
    body = b"x" * 98 + b"\r\n"
    reply = await caller.submit(b"Subject: x\r\nMessage-ID:\r\n\r\n" + body * (size // 100), sender="")
    assert reply.startswith("250 "), reply
    await door.engine.event("acme", "messageSent")
    (sent,) = door.sent()
    header, _, content = sent.partition(b"\r\n\r\n")
    assert content == body * (size // 100)
    names = sorted(line.partition(b":")[0] for line in header.split(b"\r\n"))
    assert names == [b"Date", b"From", b"Message-ID", b"Subject"]
    assert b"From: acme <acme@sandbox.example>" in header
    await trio.sleep(10)  # the body stays until the copy is filed
    assert not list((Path(door.engine.context.config.store.path) / "spool").iterdir())


@pytest.mark.parametrize("message", [b"", b"no colon\r\n", b"\r\n", b"\r\nbody\r\n", b"Subject: x\r\n", b" folded\r\n"])
async def test_any_text_is_a_message(autojump_clock: Clock, door: Door, message: bytes) -> None:
    caller = await door.logged_in()
    assert (await caller.submit(message)).startswith("250 ")
    await door.engine.event("acme", "messageSent")


async def test_the_same_dialogue_cut_anywhere_queues_the_same(autojump_clock: Clock, door: Door) -> None:
    dialogue = (
        f"{door.auth()}\r\nMAIL FROM:<a@sandbox.example>\r\nRCPT TO:<you@sandbox.example>\r\nDATA\r\n"
        "Subject: x\r\n\r\n..\r\ny\r\n.\r\nQUIT\r\n"
    ).encode()
    random_places = random.Random(SEED)
    for places in [list(range(1, len(dialogue))), *([random_places.randrange(1, len(dialogue))] for _ in range(20))]:
        caller = await door.connect()
        for start, end in zip([0, *places], [*places, len(dialogue)], strict=True):
            await caller.stream.send_all(dialogue[start:end])
            await trio.testing.wait_all_tasks_blocked()
        assert [(await caller.reply())[:3] for _ in range(7)] == ["235", "250", "250", "354", "250", "221", ""]
    await door.engine.event("acme", "messageSent", 21)
    assert {each.partition(b"\r\n\r\n")[2] for each in door.sent()} == {b".\r\ny\r\n"}


async def test_a_repeated_key_queues_nothing(autojump_clock: Clock, door: Door) -> None:
    caller = await door.logged_in()
    keyed = b"X-EE-Idempotency-Key: k\r\n"
    first = await caller.submit(keyed + MESSAGE)
    assert await caller.submit(keyed + MESSAGE + b"made anew\r\n" * 200) == first
    refused = await caller.submit(keyed + MESSAGE, "other@sandbox.example")
    assert refused.startswith("554 5.5.0 another message was submitted with this idempotency key")
    await door.engine.event("acme", "messageSent")
    await trio.sleep(1000)
    assert len(door.sent()) == 1
    assert not list((Path(door.engine.context.config.store.path) / "spool").iterdir())


async def test_a_message_for_later_waits(autojump_clock: Clock, door: Door) -> None:
    caller = await door.logged_in()
    later = door.engine.context.world.now() + 3600
    reply = await caller.submit(b"X-EE-Send-At: @\r\n".replace(b"@", _iso(later)) + MESSAGE)
    await trio.sleep(3000)
    assert came(door.engine) == []
    assert door.engine.state(reply.split()[7]) is State.QUEUED
    await trio.sleep(700)
    assert len(came(door.engine)) == 1


def _iso(seconds: float) -> bytes:
    from engine.isotime import iso

    return iso(seconds).encode()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("X-EE-Send-At: soon", '554 5.6.0 "X-EE-Send-At" must be a date'),
        ("X-EE-Delivery-Attempts: many", '554 5.6.0 "X-EE-Delivery-Attempts" must be a number from 0 to 1000'),
        ("X-EE-Tracking-Enabled: maybe", '554 5.6.0 "X-EE-Tracking-Enabled" must be true or false'),
        ("X-EE-Idempotency-Key: ", '554 5.6.0 "X-EE-Idempotency-Key" must not be empty'),
        ("X-EE-Account: other", "550 5.7.1 X-EE-Account names another account than the login"),
    ],
)
async def test_control_headers_that_cannot_be_honoured(
    autojump_clock: Clock, door: Door, header: str, words: str
) -> None:
    caller = await door.logged_in()
    assert (await caller.submit(f"{header}\r\n".encode() + MESSAGE * 100)).startswith(words)
    assert not list((Path(door.engine.context.config.store.path) / "spool").iterdir())
    assert (await caller.submit(MESSAGE)).startswith("250 ")


@pytest.mark.parametrize(
    ("mail", "recipients", "wanted"),
    [
        ("", ["", ""], None),
        (" RET=FULL ENVID=a+2Bb", [""], Dsn(full=True, id="a+b")),
        (
            "",
            [" NOTIFY=NEVER ORCPT=rfc822;x+2By@z.de"],
            Dsn(full=False, notify=("NEVER",), recipient="x+y@z.de"),
        ),
        (" RET=HDRS", [" NOTIFY=NEVER", " NOTIFY=DELAY", ""], Dsn(full=False, notify=("DELAY", "FAILURE"))),
    ],
)
async def test_delivery_reports_are_passed_on(
    autojump_clock: Clock, door: Door, mail: str, recipients: list[str], wanted: Dsn | None
) -> None:
    caller = await door.logged_in()
    await caller.say(f"MAIL FROM:<a@sandbox.example>{mail}")
    for number, each in enumerate(recipients):
        assert (await caller.say(f"RCPT TO:<r{number}@sandbox.example>{each}")).startswith("250 ")
    await caller.say("DATA")
    await caller.stream.send_all(b"X-EE-Gateway: none such\r\n\r\nHi\r\n.\r\n")
    reply = await caller.reply()
    stored = messages.by_queue_id(door.engine.context.store.reader, reply.split()[7])
    assert stored is not None
    assert stored.dsn == wanted


async def test_who_may_log_in(autojump_clock: Clock, door: Door) -> None:
    everyone, other = await door.issue("*", None), await door.issue(account="other")
    wrong_scope = await door.issue("api")
    caller = await door.connect()
    assert (await caller.say("MAIL FROM:<a@b.example>")).startswith("530 5.7.0 Authentication required: log in with")
    for token, account, words in [
        ("0" * 64, "acme", "535 5.7.8 Authentication failed: give the account id and a token with the scope smtp"),
        (other, "acme", "535 5.7.8 Authentication failed: give the account id and a token with the scope smtp"),
        (wrong_scope, "acme", "535 5.7.8 Authentication failed: the token lacks the scope smtp"),
        (everyone, "none", "535 5.7.8 Authentication failed: there is no account none"),
    ]:
        assert (await (await door.connect()).say(door.auth(account, token))).startswith(words)
    assert (await caller.say(door.auth(token=everyone))).startswith("235 ")
    assert (await (await door.connect(FAR)).say(door.auth())).startswith("503 ")


async def test_wrong_tokens_are_slowed_down(autojump_clock: Clock, door: Door) -> None:
    for number in range(7):
        caller = await door.connect()
        for code in ("535", "535", "454" if number == 6 else "535"):
            assert (await caller.say(door.auth(token="0" * 64)))[:3] == code
        assert (await caller.reply()).startswith("421 4.7.0 ")
        assert await caller.reply() == ""
    caller = await door.connect()
    assert (await caller.say(door.auth(token="0" * 64))).startswith("454 4.7.0 Too many failed logins")
    assert (await caller.say(door.auth())).startswith("235 ")


async def test_a_revoked_token_ends_with_the_current_message(autojump_clock: Clock, door: Door) -> None:
    caller = await door.logged_in()
    assert (await caller.submit(MESSAGE)).startswith("250 ")
    await door.engine.context.store.commit(lambda tx: tx.execute("DELETE FROM token"))
    assert (await caller.submit(MESSAGE)).startswith("421 4.7.0 The token has been revoked")


async def test_an_account_that_cannot_take_it(autojump_clock: Clock, door: Door) -> None:
    everyone, registry = await door.issue(account=None), door.engine.context.registry
    new = {"account": "new", "name": "New", "email": "new@sandbox.example", "sandbox": True}
    door.engine.sandbox.faults.hang_imap = True
    await registry.register(msgspec.convert(new, AccountCreate))
    caller, other = await door.connect(), await door.connect()
    assert (await caller.say(door.auth("new", everyone))).startswith("235 ")
    assert (await other.say(door.auth("acme", everyone))).startswith("235 ")
    assert (await caller.submit(MESSAGE)).startswith("451 4.3.0 Requested account is not yet")
    account = registry.get("acme")
    assert account is not None
    await registry.remove(account)
    assert (await other.submit(MESSAGE)).startswith("550 5.7.1 there is no account acme")


async def test_limits_of_a_message(autojump_clock: Clock, door: Door) -> None:
    caller = await door.logged_in()
    assert (await caller.submit(MESSAGE, more=" SIZE=100001")).startswith("552 5.3.4 ")
    assert (await caller.submit(MESSAGE + b"x\r\n" * 40_000)).startswith("552 5.3.4 The message is larger than 100000")
    assert (await caller.submit(MESSAGE + b"x" * 999 + b"\r\n")).startswith("554 5.6.0 The message has a line of more")
    assert (await caller.submit(b"X-Long: " + b"x" * 991 + b"\r\n" + MESSAGE)).startswith("554 5.6.0 ")
    assert (await caller.submit(MESSAGE + b"." * 997 + b"x\r\ny\r\n" + b"x" * 998 + b"\r\n")).startswith("250 ")
    many = [f"r{number}@sandbox.example" for number in range(1001)]
    assert (await caller.submit(MESSAGE, *many)).startswith("452 4.5.3 ")
    assert (await caller.say("RSET")).startswith("250 ")
    assert (await caller.submit(MESSAGE, "a b@sandbox.example")).startswith("501 5.1.3 The recipient a b@")
    await caller.say("RSET")
    assert (await caller.submit(MESSAGE, "ü@sandbox.example")).startswith("553 5.6.7 ")
    await caller.say("RSET")
    assert (await caller.submit(MESSAGE)).startswith("250 ")
    await caller.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
    with pytest.raises(trio.BrokenResourceError):
        for _ in range(100):
            await caller.stream.send_all(b"x\r\n" * 3333)
    assert (await caller.reply()).startswith("552 5.3.4 ")


async def test_a_full_disk_is_a_later(autojump_clock: Clock, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = await door.logged_in()

    with monkeypatch.context() as patch:
        patch.setattr(door.engine.context.store, "has_room", lambda size=0: False)
        for message in (MESSAGE, MESSAGE * 100):
            reply = await caller.submit(message)
            assert reply == "452 4.3.1 Insufficient system storage: the message is not queued; send it again later"
    assert (await caller.submit(MESSAGE)).startswith("250 ")
    assert not list((Path(door.engine.context.config.store.path) / "spool").iterdir())


async def test_silent_and_slow_clients_are_cut_off(autojump_clock: Clock, door: Door) -> None:
    start = trio.current_time()
    silent = await door.connect()
    assert (await silent.reply()).startswith("421 4.4.2 ")
    assert trio.current_time() - start == pytest.approx(60)
    known = await door.logged_in()
    start = trio.current_time()
    assert (await known.reply()).startswith("421 4.4.2 ")
    assert trio.current_time() - start == pytest.approx(300)
    slow = await door.logged_in()
    await slow.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
    start = trio.current_time()
    with pytest.raises(trio.BrokenResourceError):
        while True:
            await slow.stream.send_all(b"x")
            await trio.sleep(200)
    assert (await slow.reply()).startswith("421 4.4.2 ")
    assert trio.current_time() - start == pytest.approx(400, abs=201)
    assert came(door.engine) == []


async def test_a_stop_lets_a_message_on_its_way_arrive(autojump_clock: Clock, door: Door) -> None:
    idle, busy = await door.logged_in(), await door.logged_in()
    await busy.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@sandbox.example>", "DATA")
    await busy.stream.send_all(b"Subject: x\r\n")
    await trio.testing.wait_all_tasks_blocked()
    for each in (idle, busy):
        each.session.stop()
    assert (await idle.reply()).startswith("421 4.3.2 ")
    assert await idle.reply() == ""
    await busy.stream.send_all(b"\r\nHi\r\n.\r\n")
    assert (await busy.reply()).startswith("250 2.0.0 ")
    assert (await busy.reply()).startswith("421 4.3.2 ")


async def test_this_machine_may_do_without_a_login(autojump_clock: Clock, tmp_path: Path) -> None:
    async with opened(tmp_path, require_login=False, password="common secret") as door:
        caller = await door.connect()
        assert (await caller.submit(MESSAGE)).startswith("550 5.7.1 log in, or name the account in X-EE-Account")
        assert (await caller.submit(b"X-EE-Account: none\r\n" + MESSAGE)).startswith("550 5.7.1 there is no account")
        assert (await caller.submit(b"X-EE-Account: acme\r\n" + MESSAGE)).startswith("250 ")
        far = await door.connect(FAR)
        assert (await far.submit(MESSAGE)).startswith("530 5.7.11 ")
        assert (await caller.say(door.auth(token="common secret"))).startswith("235 ")
        await door.engine.event("acme", "messageSent")
        assert b"X-EE" not in door.sent()[0]
