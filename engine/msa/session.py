"""One connection at the SMTP door.

The dialogue decides what a client may say (`smtp/server_protocol.py`); this answers its events, within time limits:

* A client logs in within `msa.login_timeout`, is never silent for `msa.timeout`, and sends a message at a minimum rate.
* A reply that is not read ends the connection.
* A stop ends it with 421 between messages. A message on its way may still arrive within the door's grace time; its 250
  is sent if and only if it is queued.

Cancelled: the connection is aborted, with 421 unless a message is being queued; then it is queued and its 250 sent.
"""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Callable
from typing import Final, NoReturn

import msgspec
import trio

from engine.config import Msa
from engine.edge.certificate import Certificate
from engine.edge.transfer_rate import TransferRate
from engine.errors import EngineError, Problem
from engine.mail.addresses import parse_address
from engine.msa.handover import HandOver
from engine.msa.logins import Login, Logins
from engine.msa.reception import Reception
from engine.msa.replies import one_line, reply_of
from engine.smtp.server_commands import MailFrom, RcptTo
from engine.smtp.server_input import DataPiece
from engine.smtp.server_protocol import DataCommand, Event, Hello, LoggedIn, ServerProtocol, StartTls, Verify

log = logging.getLogger("engine.msa")

READ_SIZE: Final = 65536
HANDSHAKE_SECONDS: Final = 30.0
WRITE_SECONDS: Final = 60.0
GOODBYE_SECONDS: Final = 1.0
MOST_LOGINS: Final = 3
"""Failed logins after which a connection is closed."""
MECHANISMS: Final = ("PLAIN", "LOGIN")


class Client(msgspec.Struct, frozen=True):
    """The client. `near`: it has a loopback address; `name` is for the log."""

    address: str
    near: bool
    name: str


class Counts(msgspec.Struct):
    """Messages that were queued, and that were refused after they had been sent, since the start."""

    accepted: int = 0
    refused: int = 0


class SessionParts(msgspec.Struct, frozen=True):
    """What all connections share; `host` is the name in the greeting."""

    config: Msa
    host: str
    logins: Logins
    hand_over: HandOver
    receptions: Callable[[], Reception]
    certificate: Certificate | None
    counts: Counts


class _Over(Exception):
    """The connection is to be closed."""


class DoorSession:
    """`run` it once. The stream is closed by its owner; `settled` is called once a client may submit."""

    def __init__(self, stream: trio.abc.Stream, client: Client, parts: SessionParts) -> None:
        self._stream = stream
        self._client = client
        self._parts = parts
        self._login: Login | None = None
        self._refusal = ""
        self._failed_logins = 0
        self._tls = False
        self._stopping = False
        self._begun = trio.current_time()
        self._waiting: trio.CancelScope | None = None
        self._reception: Reception | None = None
        self._pace = TransferRate(0, 0)
        self._protocol = ServerProtocol(parts.host, (), self._check, lambda user, token: False)
        self.settled: Callable[[], None] = lambda: None

    async def run(self, *, tls: bool) -> None:
        """Serve until either side ends it; `tls`: from the first octet. The client's faults end only this."""
        try:
            if tls:
                await self._start_tls()
            self._protocol.reply(f"220 {self._parts.host} ESMTP")
            while True:
                self._protocol.keywords = self._keywords()
                event = self._protocol.next()
                if event is not None:
                    await self._handle(event)
                elif self._protocol.closing:
                    await self._close()
                else:
                    await self._receive()
        except _Over:
            pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has left
        except trio.Cancelled:
            with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                await self._goodbye()
            raise
        finally:
            if self._reception is not None:
                self._reception.discard()

    def stop(self) -> None:
        """End it with 421 as soon as no message is on its way."""
        self._stopping = True
        if self._reception is None and self._waiting is not None:
            self._waiting.cancel()

    # Events

    async def _handle(self, event: Event) -> None:
        match event:
            case Hello():
                self._protocol.greet(event)
            case LoggedIn():
                self._answer_login(event)
            case Verify():
                self._protocol.reply("252 2.5.0 Cannot verify an address, but will accept the message")
            case StartTls():
                self._protocol.reply("220 2.0.0 Ready to start TLS")
                await self._flush()
                self._protocol.forget()
                await self._start_tls()
            case MailFrom():
                self._begin(event)
            case RcptTo():
                self._add(event)
            case DataCommand():
                self._protocol.reply("354 End data with <CR><LF>.<CR><LF>")
                self._protocol.start_data()
                self._reception = self._parts.receptions()
                self._pace = TransferRate(self._parts.config.timeout, self._parts.config.slowest)
            case DataPiece():
                await self._take(event)

    def _check(self, account: str, secret: str) -> bool:
        found = self._parts.logins.check(account, secret, self._client.address)
        if isinstance(found, Login):
            self._login = found
            return True
        self._refusal = found
        return False

    def _answer_login(self, event: LoggedIn) -> None:
        if event.user is not None:
            self._protocol.user = event.user
            self._protocol.reply("235 2.7.0 Authentication successful")
            self.settled()
            return
        self._protocol.refuse(self._refusal or "535 5.7.8 Authentication failed")
        self._failed_logins += 1
        if self._failed_logins >= MOST_LOGINS and not self._protocol.closing:
            self._protocol.end(f"421 4.7.0 {self._parts.host} Too many failed logins")

    def _begin(self, mail: MailFrom) -> None:
        refusal = None if self._login is None else self._parts.logins.refuse_message(self._login)
        if refusal is not None:
            (self._protocol.end if refusal.startswith("421") else self._protocol.reply)(refusal)
        elif self._login is None and not self._may_be_anonymous():
            self._protocol.refuse(self._how_to_log_in())
        elif mail.size > self._parts.config.max_message:
            self._protocol.refuse(f"552 5.3.4 The message is larger than {self._parts.config.max_message} octets")
        elif (fault := _address_fault(mail.sender)) is not None:
            self._protocol.refuse(one_line(f"501 5.1.7 The sender {fault}"))
        else:
            try:
                if self._login is not None:
                    self._parts.hand_over.account(self._login.account)
            except Problem as problem:
                self._protocol.reply(reply_of(problem))
            else:
                self._protocol.begin(msgspec.structs.replace(mail, sender=_parsed(mail.sender)))
                self.settled()

    def _add(self, recipient: RcptTo) -> None:
        if len(self._protocol.recipients) >= self._parts.config.max_recipients:
            most = self._parts.config.max_recipients
            self._protocol.reply(f"452 4.5.3 A message has at most {most} recipients: send it to the others separately")
        elif (fault := _address_fault(recipient.recipient)) is not None:
            self._protocol.refuse(one_line(f"501 5.1.3 The recipient {fault}"))
        else:
            self._protocol.add(msgspec.structs.replace(recipient, recipient=_parsed(recipient.recipient)))

    async def _take(self, piece: DataPiece) -> None:
        reception = self._reception
        assert reception is not None
        self._pace.moved(len(piece.content))
        await reception.add(piece)
        if reception.hopeless:
            self._protocol.end(reception.fault or "552 5.3.4 The message is too large")
            await self._close()
        if not piece.last:
            return
        reply = await self._queue(reception)
        queued = reply.startswith("250")
        self._parts.counts.accepted += queued
        self._parts.counts.refused += not queued
        self._protocol.end_data(reply, taken=queued)
        with trio.move_on_after(GOODBYE_SECONDS, shield=True):
            # A message that is queued must not be submitted again for want of its reply.
            await self._flush()

    async def _queue(self, reception: Reception) -> str:
        mail = self._protocol.mail
        assert mail is not None
        received = await reception.finish()
        self._reception = None
        if received is None:
            return reception.fault or "451 4.3.0 The message is not queued"
        try:
            answer = await self._parts.hand_over.submit(self._login, mail, self._protocol.recipients, received)
        except EngineError as error:
            return reply_of(error)
        log.debug("%s submitted %s", self._client.name, answer.queue_id)
        return one_line(
            f"250 2.0.0 Message queued for delivery as {answer.queue_id} ({answer.send_at}), "
            f"Message-ID {answer.message_id}"
        )

    # What is offered

    def _keywords(self) -> tuple[str, ...]:
        config = self._parts.config
        offered = ["PIPELINING", f"SIZE {config.max_message}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN"]
        if self._parts.certificate is not None and not self._tls:
            offered.append("STARTTLS")
        if self._tls or self._client.near or config.clear_text_login:
            offered.append("AUTH " + " ".join(MECHANISMS))
        return tuple(offered)

    def _may_be_anonymous(self) -> bool:
        return self._client.near and not self._parts.config.require_login

    def _how_to_log_in(self) -> str:
        if self._protocol.offers("AUTH"):
            return "530 5.7.0 Authentication required: log in with the account id and a token with the scope smtp"
        if self._protocol.offers("STARTTLS"):
            return "530 5.7.0 Must issue a STARTTLS command first, then log in"
        return "530 5.7.11 Encryption required for a login, but there is no certificate: set msa.cert and msa.key"

    # The wire

    async def _start_tls(self) -> None:
        assert self._parts.certificate is not None
        stream = trio.SSLStream(
            self._stream, self._parts.certificate.context(), server_side=True, https_compatible=True
        )
        try:
            with trio.move_on_after(HANDSHAKE_SECONDS) as patience:
                await stream.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            log.debug("%s: the TLS handshake failed: %s", self._client.name, error.__cause__ or error)
            raise _Over from error
        if patience.cancelled_caught:
            raise _Over
        self._stream, self._tls = stream, True

    async def _receive(self) -> None:
        await self._flush()
        if self._stopping and self._reception is None:
            self._protocol.end(self._shutting_down())
            await self._close()
        with trio.CancelScope(deadline=self._deadline()) as self._waiting:
            data = await self._stream.receive_some(READ_SIZE)
            if not data:
                raise _Over
            self._protocol.feed(bytes(data))
            self._waiting = None
            return
        if self._stopping and self._reception is None:
            self._protocol.end(self._shutting_down())
        else:
            self._protocol.end(f"421 4.4.2 {self._parts.host} Timeout exceeded")
        await self._close()

    def _deadline(self) -> float:
        """When to give up waiting for the client, on Trio's clock."""
        config = self._parts.config
        if self._reception is not None:
            return self._pace.deadline()
        is_known = self._login is not None or self._may_be_anonymous()
        latest = math.inf if is_known else self._begun + config.login_timeout
        return min(trio.current_time() + config.timeout, latest)

    def _shutting_down(self) -> str:
        return f"421 4.3.2 {self._parts.host} Service shutting down, send it again later"

    async def _goodbye(self) -> None:
        self._protocol.end(self._shutting_down())
        try:
            await self._flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError, _Over):
            pass

    async def _flush(self) -> None:
        if replies := self._protocol.replies():
            out = "".join(f"{reply}\r\n" for reply in replies).encode()
            with trio.move_on_after(WRITE_SECONDS) as patience:
                await self._stream.send_all(out)
            if patience.cancelled_caught:
                raise _Over

    async def _close(self) -> NoReturn:
        """Send the pending replies, then end the connection in good order, so that the last one is not lost."""
        await self._flush()
        with trio.move_on_after(GOODBYE_SECONDS):
            if isinstance(self._stream, trio.SocketStream):
                await self._stream.send_eof()
                while await self._stream.receive_some(READ_SIZE):
                    pass
            else:
                await self._stream.aclose()
        raise _Over


def _parsed(address: str) -> str:
    return parse_address(address) if address else ""


def _address_fault(address: str) -> str | None:
    try:
        _parsed(address)
    except ValueError as error:
        return f"{address} {error}"
    return None
