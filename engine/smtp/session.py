"""One SMTP connection: greeting, TLS, login, then message after message (RFC 5321, 3207, 4954).

1. `connect` returns a session that is ready to send or raises `DeliveryError`. It never continues in clear text if TLS
   is offered or required.
2. `send` gives a verdict for every recipient. It writes the final dot only after the caller's `before_dot` has
   returned, so the caller has recorded on disk that a message may have been sent before it can have been.
3. A reply that was read decides, even an unfinished one; only without any reply is the message in doubt. If the replies
   do not match the commands, none of that transaction counts (`DeliveryError.out_of_step`).
4. A session that broke, lost step, received a 421 or was cancelled during a call is not `usable`: close it. Only one
   task may use a session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec
import trio

from engine import sasl
from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.masking import Masker
from engine.smtp.delivery import BLOCK_BYTES, Delivery, DeliveryError, Outcome, SmtpEndpoint, Timeouts, cut_up
from engine.smtp.dots import DotStuffer
from engine.smtp.login import SmtpLogin
from engine.smtp.protocol import GROUP_RECIPIENTS, Capabilities, SmtpEnvelope, Transaction, capabilities
from engine.smtp.refused_beforehand import refused_here
from engine.smtp.replies import Reply, ReplyParser
from engine.smtp.verdict import Kind, Stage, Verdict, of_network, of_reply
from engine.transcript import Trace
from engine.transport import Transport
from engine.world import UNACKNOWLEDGED_SECONDS, Dial

__all__ = ["DeliveryError", "Outcome", "SmtpEndpoint", "SmtpEnvelope", "SmtpSession", "Timeouts"]

QUIT_SECONDS = 2.0
PROOF_SECONDS = 30.0
NO_GREETING = "The server's greeting is not that of an SMTP server"
"""Shown instead of the greeting, which could reveal an internal service's banner to the caller."""
_SURPLUS = "The server sent a reply to no command"
_ENDED = Verdict(Kind.LATER, Stage.MAIL, None, None, "The server ended the connection before this recipient's turn")
MARGIN_SECONDS = 30.0
"""How much longer than our own limit the kernel waits for a server that acknowledges nothing of a message."""
STRAY_SECONDS = 10.0
"""How long a reply may take after a line that is not one: the peer may not be an SMTP server at all."""


class _OutOfStep(ProtocolError):
    """A reply came without a command, or cannot be the answer to its command."""


class SmtpSession:
    """Made by `connect`."""

    def __init__(self, transport: Transport, timeouts: Timeouts, trace: Trace | None, masker: Masker) -> None:
        self._transport = transport
        self._masker = masker
        self._timeouts = timeouts
        self._parser = ReplyParser()
        self._replies: deque[Reply] = deque()
        self._reset = False
        self._stage = Stage.GREETING
        self.trace = trace
        self.capabilities = Capabilities()
        self.usable = True
        self.sent = 0
        """Messages accepted on this connection."""
        self._used = False
        self._surplus = False
        self._group = GROUP_RECIPIENTS
        self.logged_in = False
        """The server accepted a login. If it offers no AUTH, messages are sent without one."""
        self.in_flight = False
        """The end of a message may be on its way and its reply has not been read."""
        self.timings: dict[str, float] = {}
        """Seconds that each step of the last `send` took; the first `send` includes the steps of `connect`."""

    @classmethod
    async def connect(
        cls,
        endpoint: SmtpEndpoint,
        *,
        dial: Dial,
        ehlo_name: str,
        timeouts: Timeouts | None = None,
        trace: Trace | None = None,
        nonce: str | None = None,
    ) -> SmtpSession:
        """Dial, say EHLO, start TLS, log in; `nonce` is for SCRAM (`sasl.mechanisms`).

        Raises `DeliveryError`. Cancelled: nothing stays open.
        """
        timeouts = timeouts or Timeouts()
        started = trio.current_time()
        try:
            transport = await Transport.open(
                dial,
                endpoint.host,
                endpoint.port,
                secure=endpoint.secure,
                tls=endpoint.tls,
                timeout=timeouts.connect,
            )
        except (NetworkError, ProtocolError) as error:
            tls = isinstance(error, ProtocolError) or error.kind is NetworkKind.TLS
            verdict = of_network(Stage.TLS if tls else Stage.CONNECT, error, dot_sent=False)
            raise DeliveryError(verdict, {}, dot_sent=False, mute=_mute(error)) from error
        secrets = endpoint.credentials.secrets if endpoint.credentials is not None else ()
        session = cls(transport, timeouts, trace, Masker(secrets))
        session._timed("connect", started)
        try:
            await session._prepare(endpoint, ehlo_name, nonce)
        except (NetworkError, ProtocolError) as error:
            await session.close()
            verdict = of_network(session._stage, error, dot_sent=False)
            raise DeliveryError(verdict, {}, dot_sent=False, mute=_mute(error)) from error
        except BaseException:
            await session.close()
            raise
        return session

    @property
    def tls_version(self) -> str | None:
        """Such as `TLSv1.3`; None in clear text."""
        return self._transport.tls_version

    @property
    def local_address(self) -> str | None:
        """This machine's address of the connection; None if the transport has no socket."""
        return self._transport.local_address

    async def send(
        self,
        envelope: SmtpEnvelope,
        body: Iterable[bytes],
        before_dot: Callable[[], Awaitable[None]],
        after_group: Callable[[dict[str, Verdict]], Awaitable[None]] | None = None,
    ) -> Outcome:
        """Hand over one message. `body` is its wire form in chunks, not dot-stuffed; each transaction iterates over it.

        A transaction takes at most 100 recipients, or fewer if the envelope says so or the server accepts fewer. Each
        awaits `before_dot` once, while the server works on the envelope; each but the last then awaits `after_group`
        with the verdicts on its recipients. If one of the two or `body` raises, the connection is closed before the end
        of data and the exception propagates. Raises `DeliveryError` if the connection breaks or loses step. Cancelled:
        `usable` is False; `in_flight` says whether the message may have arrived.
        """
        if not self.usable:
            raise RuntimeError("This session has ended")
        self.timings = {} if self._used else self.timings
        verdicts = refused_here(envelope, self.capabilities)
        pending = [recipient for recipient in dict.fromkeys(envelope.recipients) if recipient not in verdicts]
        delivery = Delivery(body, before_dot)
        while pending:
            most = min(self._group, envelope.group)
            group, pending = pending[:most], pending[most:]
            transaction = Transaction(envelope, group, self.capabilities, reset=self._reset, used=self._used)
            self._used = True
            try:
                with self._breaking():
                    await self._transact(transaction, delivery)
            except _OutOfStep as error:
                await self.close()
                verdict = of_network(self._stage, error, dot_sent=False)
                raise DeliveryError(verdict, verdicts, dot_sent=False, out_of_step=True) from error
            except (NetworkError, ProtocolError) as error:
                await self.close()
                verdict = of_network(self._stage, error, dot_sent=self.in_flight)
                if self._parser.strayed and not self.in_flight:
                    # A line that was no reply may have been meant as one; each later reply was then misattributed.
                    transaction.verdicts.clear()
                transaction.fail(verdict)
                verdicts.update(transaction.verdicts)
                verdicts.update(dict.fromkeys(pending, of_network(self._stage, error, dot_sent=False)))
                raise DeliveryError(verdict, _ordered(envelope, verdicts), self.in_flight) from error
            except Exception:
                await self.close()
                raise
            pending = transaction.once_more() + pending
            self._group = min(self._group, transaction.limit or self._group)
            verdicts.update(transaction.verdicts)
            if pending and after_group is not None:
                await after_group(transaction.verdicts)
            if pending and not self.usable:
                if self._surplus:
                    verdict = Verdict(Kind.LATER, Stage.DOT, None, None, _SURPLUS)
                    raise DeliveryError(verdict, verdicts, dot_sent=False, out_of_step=True)
                verdicts.update(dict.fromkeys(pending, _ENDED))
                break
        return Outcome(_ordered(envelope, verdicts), delivery.reply, delivery.dot_sent)

    async def quit(self) -> None:
        """Send QUIT if the session is usable, wait at most 2 seconds for the reply, close. Never raises."""
        if self.usable:
            with trio.move_on_after(QUIT_SECONDS):
                try:
                    await self._ask("QUIT", QUIT_SECONDS)
                except (NetworkError, ProtocolError):
                    pass
        await self.close()

    async def close(self) -> None:
        """Close the connection. Never raises."""
        self.usable = False
        await self._transport.close()

    async def _prepare(self, endpoint: SmtpEndpoint, ehlo_name: str, nonce: str | None) -> None:
        started = trio.current_time()
        greeting = await self._reply(self._timeouts.greeting)
        if greeting.code >= 300:
            if not greeting.is_in_form:
                raise ProtocolError(NO_GREETING)
            raise _refused(Stage.GREETING, greeting)
        started = self._timed("greeting", started)
        await self._hello(ehlo_name)
        started = self._timed("ehlo", started)
        if not endpoint.secure and (self.capabilities.starttls or endpoint.tls.required):
            await self._start_tls()
            await self._hello(ehlo_name)
            started = self._timed("tls", started)
        if endpoint.credentials is not None and self.capabilities.auth:
            await self._log_in(endpoint.credentials, nonce)
            self._timed("auth", started)

    async def _hello(self, name: str) -> None:
        self._stage = Stage.EHLO
        reply = await self._ask(f"EHLO {name}", self._timeouts.command)
        if reply.code >= 500:
            self.capabilities = Capabilities()
            reply = await self._ask(f"HELO {name}", self._timeouts.command)
        else:
            self.capabilities = capabilities(reply)
        if reply.code >= 300:
            raise _refused(Stage.EHLO, reply)

    async def _start_tls(self) -> None:
        self._stage = Stage.TLS
        if not self.capabilities.starttls:
            raise ProtocolError("TLS is required and the server does not offer STARTTLS")
        reply = await self._ask("STARTTLS", self._timeouts.command)
        if reply.code >= 300:
            raise _refused(Stage.TLS, reply)
        if self._replies or self._parser.stray or not self._parser.idle:
            raise ProtocolError("The server sent data after its reply to STARTTLS, which may have been injected")
        self._parser = ReplyParser()
        await self._transport.start_tls(self._timeouts.connect)

    async def _log_in(self, credentials: sasl.Credentials, nonce: str | None) -> None:
        self._stage = Stage.AUTH
        login = SmtpLogin(self.capabilities.auth, credentials, nonce)
        line = login.begin()
        while line is not None:
            try:
                reply = await self._ask(line.text, self._timeouts.command, line.shown)
                line = login.receive(reply)
            except (NetworkError, ProtocolError):
                if login.refusal is None:
                    raise
                # The server had refused an earlier mechanism with a reason before it broke off this one.
                break
        if login.refusal is not None:
            raise DeliveryError(login.refusal, {}, dot_sent=False)
        self.logged_in = True

    async def _transact(self, transaction: Transaction, delivery: Delivery) -> None:
        started = trio.current_time()
        self.in_flight = False
        asked = False
        self._stage = Stage.MAIL
        # Before the data a dead connection loses nothing, and a new one is ready sooner than a dead one recovers.
        self._transport.endure(UNACKNOWLEDGED_SECONDS)
        await self._hear_surplus()
        while commands := transaction.take():
            self._refuse_surplus()
            await self._write(commands)
            if transaction.data_asked and not asked:
                # The server's replies collect in the socket's buffer in the meantime, so this delays nothing.
                asked = True
                await delivery.before_dot()
            while transaction.waiting:
                self._stage = transaction.stage
                limit = self._timeouts.data if self._stage is Stage.DATA else self._timeouts.command
                reply = await self._reply(limit)
                transaction.receive(reply)
                if transaction.out_of_step:
                    raise _OutOfStep(f"The server's replies are out of step with our commands: {reply.line}")
        started = self._timed("envelope", started)
        if transaction.go_ahead and transaction.accepted:
            self._refuse_surplus()
            await self._deliver_data(transaction, delivery)
        elif transaction.go_ahead:
            # With PIPELINING the server may ask for data although it accepted no recipient (RFC 2920 section 3.1).
            await self._transport.send(b".\r\n", self._timeouts.command)
            self._note_client(".")
            transaction.finish(await self._reply(self._timeouts.dot))
        elif transaction.doubtful:
            await self._prove_step(transaction)
        self._reset = transaction.open
        self._surplus = bool(self._replies) or not self._parser.idle
        if transaction.broken or self._surplus:
            self.usable = False

    async def _deliver_data(self, transaction: Transaction, delivery: Delivery) -> None:
        started = trio.current_time()
        self._transport.endure(max(self._timeouts.block, self._timeouts.dot) + MARGIN_SECONDS)
        try:
            await self._send_data(delivery)
        except NetworkError:
            words = await self._last_words()
            if words is None:
                raise
            # The server stopped reading the message; the reason it gave says more than our error.
            self.in_flight = False
            transaction.broken = True
            transaction.fail(of_reply(Stage.DATA, words))
            return
        started = self._timed("data", started)
        reply = await self._reply(self._timeouts.dot)
        self.in_flight = False
        delivery.reply = reply
        if transaction.finish(reply).kind is Kind.ACCEPTED:
            self.sent += 1
        self._timed("dot", started)

    async def _hear_surplus(self) -> None:
        """Raise `_OutOfStep` if the server sent an unsolicited reply, `NetworkError` if it has disconnected."""
        if self._parser.idle and not self._replies:
            data = await self._transport.arrived()
            if data is None:
                return
            if not data:
                raise self._transport.end_of_stream()
            self._replies.extend(self._parser.feed(data))
        self._refuse_surplus()

    def _refuse_surplus(self) -> None:
        if self._replies:
            said = [reply.masked(self._masker) for reply in self._replies]
            for reply in said:
                self._note_server(reply)
            raise _OutOfStep(f"{_SURPLUS}: {said[0].line}")
        if not self._parser.idle:
            raise _OutOfStep(_SURPLUS)

    async def _hear_early(self) -> None:
        """Like `_hear_surplus`, during the message: if the server hangs up after a refusal, raise `NetworkError`."""
        try:
            await self._hear_surplus()
        except _OutOfStep:
            if not self._replies or self._replies[0].code >= 400:
                with trio.move_on_after(QUIT_SECONDS):
                    while True:
                        await self._receive(QUIT_SECONDS * 2)
            raise

    async def _prove_step(self, transaction: Transaction) -> None:
        """Send a command whose reply is unmistakable, to prove that a permanent refusal belongs to its recipient.

        A reply still due would be the one to DATA, which is never 2xx, or the one to RCPT, which is never 221.
        """
        transaction.open = False
        try:
            if transaction.data_asked:
                reply = await self._ask("RSET", PROOF_SECONDS)
                proven = reply.code < 300
            else:
                transaction.broken = True
                reply = await self._ask("QUIT", QUIT_SECONDS)
                proven = reply.code == 221
        except (NetworkError, ProtocolError):
            # The server hung up after its refusal, as some do.
            transaction.broken = True
            return
        if not proven or self._replies:
            raise _OutOfStep(f"The server's replies are out of step with our commands: {reply.line}")

    async def _last_words(self) -> Reply | None:
        """The refusal of a server that closed the connection while we wrote; None if it sent none."""
        try:
            reply = await self._reply(QUIT_SECONDS)
        except (NetworkError, ProtocolError):
            return None
        return reply if reply.code >= 400 else None

    async def _send_data(self, delivery: Delivery) -> None:
        stuffer = DotStuffer()
        blocks: list[bytes] = []
        held = total = 0
        for chunk in cut_up(delivery.body):
            block = stuffer.feed(chunk)
            if blocks and held + len(block) > BLOCK_BYTES:
                await self._transport.send(b"".join(blocks), self._timeouts.block)
                blocks.clear()
                held = 0
            blocks.append(block)
            held += len(block)
            total += len(block)
        if total > BLOCK_BYTES:
            await self._hear_early()
        blocks.append(stuffer.finish())
        self._note_client(f"[{total} bytes]")
        self._stage = Stage.DOT
        delivery.dot_sent = self.in_flight = True
        await self._transport.send(b"".join(blocks), self._timeouts.block)
        self._note_client(".")

    async def _ask(self, command: str, limit: float, shown: str | None = None) -> Reply:
        await self._transport.send(command.encode("utf-8") + b"\r\n", self._timeouts.command)
        self._note_client(command if shown is None else shown)
        return await self._reply(limit)

    async def _write(self, commands: list[str]) -> None:
        await self._transport.send("\r\n".join([*commands, ""]).encode("utf-8"), self._timeouts.command)
        for command in commands:
            self._note_client(command)

    async def _reply(self, limit: float) -> Reply:
        """The next reply, complete within `limit` seconds. Raises `NetworkError` and `ProtocolError`.

        An unfinished refusal, or an unfinished reply to the message, counts as far as it was read.
        """
        if not self._replies:
            deadline = trio.current_time() + limit
            while not self._replies:
                try:
                    await self._receive(max(deadline - trio.current_time(), 0))
                except NetworkError as error:
                    self._replies.append(self._begun(error))
                if self._parser.stray and self._stage is not Stage.DOT:
                    deadline = min(deadline, trio.current_time() + STRAY_SECONDS)
        reply = self._replies.popleft()
        shown = reply.masked(self._masker)
        self._note_server(shown)
        # The dialogue itself needs these replies unmasked; they are not shown anywhere.
        is_read = reply.code < 400 and self._stage in (Stage.EHLO, Stage.AUTH)
        return reply if is_read else shown

    async def _receive(self, seconds: float) -> None:
        data = await self._transport.receive(seconds)
        if not data:
            raise self._transport.end_of_stream()
        self._replies.extend(self._parser.feed(data))

    def _begun(self, error: NetworkError) -> Reply:
        stray = self._parser.stray
        reply = self._parser.cut()
        if reply is not None and (reply.code >= 400 or self._stage is Stage.DOT):
            self.usable = False
            return reply
        if stray:
            if self._stage is Stage.GREETING:
                raise ProtocolError(NO_GREETING) from error
            said = self._masker.mask(stray)
            raise ProtocolError(f"The server sent something that is not an SMTP reply: {said!r}") from error
        raise error

    def _note_server(self, reply: Reply) -> None:
        if self.trace is None:
            return
        if 300 <= reply.code < 400 and self._stage is Stage.AUTH:
            self.trace.server(f"{reply.code} [{len(reply.text)} bytes]")
        elif self._stage is Stage.GREETING and not reply.is_in_form:
            self.trace.server(f"[{len(reply.line)} characters that are no SMTP greeting]")
        else:
            for line in reply.line.split("\n"):
                self.trace.server(line)

    def _note_client(self, text: str) -> None:
        if self.trace is not None:
            self.trace.client(text)

    def _timed(self, name: str, started: float) -> float:
        now = trio.current_time()
        self.timings[name] = self.timings.get(name, 0.0) + now - started
        return now

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.usable = False
            raise


def _mute(error: NetworkError | ProtocolError) -> str | None:
    return error.mute if isinstance(error, NetworkError) else None


def _ordered(envelope: SmtpEnvelope, verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
    return {recipient: verdicts[recipient] for recipient in envelope.recipients}


def _refused(stage: Stage, reply: Reply) -> DeliveryError:
    verdict = of_reply(stage, reply)
    if verdict.kind is Kind.ACCEPTED:
        # A 2xx or 3xx other than the one expected does not count as success.
        verdict = msgspec.structs.replace(verdict, kind=Kind.LATER)
    return DeliveryError(verdict, {}, dot_sent=False)
