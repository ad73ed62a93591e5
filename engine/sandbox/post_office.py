"""Delivers the sandbox's mail: decides who may log in, finds the account of an address, records deliveries.

Mail to an address at `example` or any domain below it goes to that address's INBOX; all other mail goes to `outside`.
Nothing leaves the process. `delivered`, `outside` and `caught` contain only the newest entries (`Limits`). Nothing here
waits, so a message is stored for all its recipients or for none.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol

import msgspec

from engine.sandbox import answering_mail, recipient_script
from engine.sandbox.accounts import Limits, SandboxAccount, SandboxAccounts, SandboxFolder, SandboxMessage
from engine.sandbox.answering_mail import Answer, AnswerKind, Original
from engine.sandbox.recipient_script import Act, Played
from engine.world import World

HOSTNAME = "sandbox.example"
WRONG_PASSWORD = "wrong"
RATE_SECONDS = 10.0

_MESSAGE_ID = re.compile(rb"^message-id:[ \t]*(?:\r\n[ \t]+)?(\S+)", re.IGNORECASE | re.MULTILINE)


class ReceivedEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """The data of MAIL and RCPT. `user` is the login, `helo` the client's name, `envelope_id` ENVID.

    `account` is the id of the account that sent it, None for none.
    """

    sender: str
    recipients: tuple[str, ...]
    user: str | None = None
    account: str | None = None
    helo: str = "localhost"
    smtputf8: bool = False
    eight_bit: bool = False
    envelope_id: str = ""


class DeliveredMessage(msgspec.Struct, frozen=True):
    """One message stored for one recipient, at `time` (seconds since 1970). `message_id` is empty if it has none."""

    queue_id: str
    sender: str
    recipient: str
    message_id: str
    time: float
    user: str | None


class CaughtMessage(msgspec.Struct, frozen=True, eq=False):
    """One message as it was handed over, at `time` (seconds since 1970)."""

    id: str
    envelope: ReceivedEnvelope
    raw: bytes
    time: float


class TokenBook(Protocol):
    """The issuer of access tokens."""

    def issued(self, token: str) -> bool:
        """Whether this looks like one of its tokens."""

    def opens(self, user: str, token: str) -> bool:
        """Whether it opens the account of `user` now."""


class PostOffice:
    """Users, their accounts, and the record of deliveries. `tokens` decides about access tokens that it issued."""

    def __init__(self, world: World, limits: Limits, tokens: TokenBook | None = None) -> None:
        self._tokens = tokens
        self.limits = limits
        self.accounts = SandboxAccounts(limits)
        self.played = Played()
        self.delivered: list[DeliveredMessage] = []
        self.outside: list[tuple[ReceivedEnvelope, bytes]] = []
        self._outside_bytes = 0
        self.caught: dict[str, CaughtMessage] = {}
        self._caught_bytes = 0
        self.later: Callable[[str, bytes], None] | None = None
        """Has a message arrive in a user's INBOX a moment later; None: the sandbox is not running."""
        self._passwords: dict[str, str] = {}
        self._taken: dict[str, deque[float]] = {}
        self._world = world
        # Queue numbers count up from a random start, so that each is unique.
        self._queue_number = world.random.randrange(0x100000, 0x800000)

    def now(self) -> float:
        """Wall clock, seconds since 1970."""
        return self._world.now()

    def account(self, user: str) -> SandboxAccount:
        """The account of a user or address, created if it does not exist."""
        return self.accounts.open(account_name(user), self.now())

    def set_password(self, user: str, password: str) -> None:
        """Accept only this password for `user` from now on."""
        self._passwords[account_name(user)] = password

    def password(self, user: str) -> str | None:
        """The password that was set; None if every password is accepted."""
        return self._passwords.get(account_name(user))

    def nonce(self) -> str:
        """A random value that is used once."""
        return self._world.token_bytes(12).hex()

    def may_login(self, user: str, password: str) -> bool:
        """Whether this password (or token) opens the account: any but `wrong`, unless one was set."""
        expected = self._passwords.get(account_name(user))
        return password != WRONG_PASSWORD if expected is None else password == expected

    def may_use(self, user: str, token: str) -> bool:
        """Whether this access token opens the account; one that was never issued is checked like a password."""
        if self._tokens is not None and self._tokens.issued(token):
            return self._tokens.opens(user, token)
        return self.may_login(user, token)

    def deliver(self, envelope: ReceivedEnvelope, raw: bytes) -> str:
        """Store a message for all its recipients; return its queue id."""
        self._queue_number += 1
        queue_id = f"{self._queue_number:X}"
        now = self.now()
        name = message_id(raw)
        outside = []
        for recipient in dict.fromkeys(envelope.recipients):
            if is_local(recipient):
                account = self.account(recipient)
                self.file(
                    account, account.folder("INBOX"), _trace_fields(envelope, recipient, queue_id, now) + raw, now
                )
            else:
                outside.append(recipient)
            self.delivered.append(DeliveredMessage(queue_id, envelope.sender, recipient, name, now, envelope.user))
            self.played.kept(recipient.lower(), envelope.sender)
        del self.delivered[: -self.limits.log_entries]
        self._catch(CaughtMessage(queue_id, envelope, raw, now))
        self._have_answered(envelope, raw)
        if outside:
            self._keep_outside(msgspec.structs.replace(envelope, recipients=tuple(outside)), raw)
        return queue_id

    def arrive(self, user: str, raw: bytes) -> None:
        """Put a message into the INBOX of a user."""
        account = self.account(user)
        self.file(account, account.folder("INBOX"), raw, self.now())

    def _have_answered(self, envelope: ReceivedEnvelope, raw: bytes) -> None:
        """Have those recipients answer whose address says so, to the user who sent the message."""
        if envelope.user is None or self.later is None:
            return
        for recipient in dict.fromkeys(envelope.recipients):
            outcome = recipient_script.read(recipient)
            if outcome is None or outcome.row.act is not Act.MAIL:
                continue
            header = raw[: raw.find(b"\r\n\r\n") + 2]
            about = Original(
                message_id(raw), envelope.sender or envelope.user, recipient, envelope.envelope_id, header, self.now()
            )
            answer = Answer(AnswerKind(outcome.row.mail))
            self.later(envelope.user, answering_mail.build(answer, about, self._world.uuid()))

    def too_fast(self, user: str, per_second: float) -> bool:
        """Whether one more message from `user` is beyond the limit, counted over the last ten seconds."""
        now = self._world.now()
        taken = self._taken.setdefault(user, deque())
        while taken and taken[0] <= now - RATE_SECONDS:
            taken.popleft()
        if len(taken) >= per_second * RATE_SECONDS:
            return True
        taken.append(now)
        return False

    def file(
        self, account: SandboxAccount, folder: SandboxFolder, raw: bytes, date: float, flags: Iterable[str] = ()
    ) -> SandboxMessage:
        """Put a message into a folder and drop what no longer fits."""
        message = folder.add(raw, date, flags)
        self.accounts.make_room(account)
        return message

    def _keep_outside(self, envelope: ReceivedEnvelope, raw: bytes) -> None:
        self.outside.append((envelope, raw))
        self._outside_bytes += len(raw)
        while self._outside_bytes > self.limits.outside_bytes or len(self.outside) > self.limits.log_entries:
            self._outside_bytes -= len(self.outside.pop(0)[1])

    def forget_caught(self) -> int:
        """Drop all caught messages; how many there were."""
        count = len(self.caught)
        self.caught.clear()
        self._caught_bytes = 0
        return count

    def _catch(self, message: CaughtMessage) -> None:
        self.caught[message.id] = message
        self._caught_bytes += len(message.raw)
        while self._caught_bytes > self.limits.caught_bytes or len(self.caught) > self.limits.log_entries:
            self._caught_bytes -= len(self.caught.pop(next(iter(self.caught))).raw)


def account_name(user: str) -> str:
    """The address a user name stands for: lower case, at the sandbox if it names no domain."""
    user = user.lower()
    return user if "@" in user else f"{user}@{HOSTNAME}"


def is_local(address: str) -> bool:
    """Whether an address is the sandbox's: its domain is `example` or ends in `.example` (RFC 2606)."""
    domain = address.lower().rpartition("@")[2]
    return domain == "example" or domain.endswith(".example")


def message_id(raw: bytes) -> str:
    """The Message-ID of a message, empty if it has none."""
    end = raw.find(b"\r\n\r\n")
    match = _MESSAGE_ID.search(raw, 0, len(raw) if end < 0 else end)
    return match[1].decode("utf-8", "replace") if match else ""


def _trace_fields(envelope: ReceivedEnvelope, recipient: str, queue_id: str, now: float) -> bytes:
    """The trace fields that a server adds to a message (RFC 5321 section 4.4)."""
    protocol = ("UTF8SMTP" if envelope.smtputf8 else "ESMTP") + ("A" if envelope.user else "")
    return (
        f"Return-Path: <{envelope.sender}>\r\n"
        f"Delivered-To: {recipient}\r\n"
        f"Received: from {envelope.helo} ([127.0.0.1])\r\n"
        f"\tby {HOSTNAME} with {protocol} id {queue_id}\r\n"
        f"\tfor <{recipient}>; {format_datetime(datetime.fromtimestamp(now, UTC))}\r\n"
    ).encode()
