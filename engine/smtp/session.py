"""One SMTP connection: greeting, TLS, login, then message after message (RFC 5321, 3207, 4954).

`connect` gives a session that is ready to send or raises `DeliveryError`; it never goes on in clear where TLS was
offered or required. `send` answers for every recipient. The final dot is written only after the caller's `before_dot`
has returned, so the caller knows on disk that a message may be out before it can be. A session that broke, was told
421 or was cancelled in the middle is not `usable`: close it. One task uses a session.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec
import trio

from engine import sasl
from engine.errors import EngineError, Fault, NetworkError, NetworkKind, ProtocolError, Remedy
from engine.smtp.dots import DotStuffer
from engine.smtp.protocol import GROUP_RECIPIENTS, Capabilities, Envelope, Transaction, capabilities, refused_here
from engine.smtp.replies import Reply, ReplyParser
from engine.smtp.verdict import Kind, Stage, Verdict, error_text, of_network, of_reply
from engine.trace import Trace
from engine.transport import TlsRules, Transport
from engine.world import Dial

__all__ = ["DeliveryError", "Envelope", "Outcome", "SmtpEndpoint", "SmtpSession", "Timeouts"]

BLOCK_BYTES = 256 * 1024
QUIT_SECONDS = 2.0
AUTH_ROUNDS = 8
SECRET = "[secret]"


class SmtpEndpoint(msgspec.Struct, frozen=True):
    """A server and how to log in there. `secure`: TLS from the first byte; else STARTTLS where offered."""

    host: str
    port: int
    secure: bool
    tls: TlsRules
    credentials: sasl.Credentials | None


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in seconds, RFC 5321 section 4.5.3.2 where it has one; `connect` counts for TLS handshakes too."""

    connect: float = 30
    greeting: float = 300
    command: float = 300
    data: float = 120
    block: float = 180
    dot: float = 600


class Outcome(msgspec.Struct, frozen=True):
    """What became of each recipient; `reply` is the server's to the message; `dot_sent`: the message went out."""

    recipients: dict[str, Verdict]
    reply: Reply | None
    dot_sent: bool


class DeliveryError(EngineError):
    """The connection failed, or the server did not let us in.

    `recipients` holds a verdict for each recipient of a `send` (empty for `connect`), those decided before the failure
    with their own. `dot_sent`: the message whose reply did not come may have been accepted.
    """

    fault = Fault.PROVIDER
    remedy = Remedy.RETRY

    def __init__(self, verdict: Verdict, recipients: dict[str, Verdict], dot_sent: bool) -> None:
        super().__init__(error_text(verdict))
        self.verdict = verdict
        self.recipients = recipients
        self.dot_sent = dot_sent


class SmtpSession:
    """Made by `connect`."""

    def __init__(self, transport: Transport, timeouts: Timeouts, trace: Trace | None) -> None:
        self._transport = transport
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
        self.in_flight = False
        """The end of a message may be on its way and its reply has not been read."""
        self.timings: dict[str, float] = {}
        """Seconds each step of the last `send` took, with those of `connect` for the first one."""

    @classmethod
    async def connect(
        cls,
        endpoint: SmtpEndpoint,
        *,
        dial: Dial,
        ehlo_name: str,
        timeouts: Timeouts | None = None,
        trace: Trace | None = None,
    ) -> SmtpSession:
        """Dial, greet, secure, log in. Raises `DeliveryError`. Cancelled: nothing stays open."""
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
            raise DeliveryError(verdict, {}, dot_sent=False) from error
        session = cls(transport, timeouts, trace)
        session._timed("connect", started)
        try:
            await session._prepare(endpoint, ehlo_name)
        except (NetworkError, ProtocolError) as error:
            await session.close()
            raise DeliveryError(of_network(session._stage, error, dot_sent=False), {}, dot_sent=False) from error
        except BaseException:
            await session.close()
            raise
        return session

    @property
    def tls_version(self) -> str | None:
        """`TLSv1.3` and the like, None in clear."""
        return self._transport.tls_version

    async def send(
        self,
        envelope: Envelope,
        body: Iterable[bytes],
        before_dot: Callable[[], Awaitable[None]],
        after_group: Callable[[dict[str, Verdict]], Awaitable[None]] | None = None,
    ) -> Outcome:
        """Hand over one message; `body` is its wire form in chunks, not dot-stuffed, and is not kept.

        More than 100 recipients go in several transactions. `before_dot` is awaited once in each, while the server
        works on the envelope, and `after_group` after each but the last, with its recipients' verdicts; if one of them
        or `body` raises, the connection is closed before the end of data and the exception goes on as it is. Raises
        `DeliveryError` when the connection breaks. Cancelled: `usable` is false and nothing is known about the message.
        """
        if not self.usable:
            raise RuntimeError("This session has ended")
        if self._used:
            self.timings = {}
        self._used = True
        verdicts = refused_here(envelope, self.capabilities)
        recipients = [recipient for recipient in dict.fromkeys(envelope.recipients) if recipient not in verdicts]
        if len(recipients) > GROUP_RECIPIENTS and isinstance(body, Iterator):
            body = list(body)
        delivery = _Delivery(body, before_dot)
        for first in range(0, len(recipients), GROUP_RECIPIENTS):
            group = recipients[first : first + GROUP_RECIPIENTS]
            if self.usable:
                transaction = Transaction(envelope, group, self.capabilities, reset=self._reset)
                try:
                    with self._breaking():
                        await self._transact(transaction, delivery)
                except (NetworkError, ProtocolError) as error:
                    await self.close()
                    verdict = of_network(self._stage, error, dot_sent=self.in_flight)
                    transaction.fail(verdict)
                    verdicts.update(transaction.verdicts)
                    untried = of_network(self._stage, error, dot_sent=False)
                    verdicts.update(dict.fromkeys(recipients[first + GROUP_RECIPIENTS :], untried))
                    raise DeliveryError(verdict, _ordered(envelope, verdicts), self.in_flight) from error
                except Exception:
                    await self.close()
                    raise
                verdicts.update(transaction.verdicts)
                if after_group is not None and first + GROUP_RECIPIENTS < len(recipients):
                    await after_group(transaction.verdicts)
            else:
                verdicts.update(dict.fromkeys(group, _ENDED))
        return Outcome(_ordered(envelope, verdicts), delivery.reply, delivery.dot_sent)

    async def quit(self) -> None:
        """Say QUIT if the session is usable, wait 2 seconds at most for the answer, close. Never raises."""
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

    async def _prepare(self, endpoint: SmtpEndpoint, ehlo_name: str) -> None:
        started = trio.current_time()
        greeting = await self._reply(self._timeouts.greeting)
        if greeting.code != 220:
            raise _refused(Stage.GREETING, greeting)
        started = self._timed("greeting", started)
        await self._hello(ehlo_name)
        started = self._timed("ehlo", started)
        if not endpoint.secure and (self.capabilities.starttls or endpoint.tls.required):
            await self._start_tls()
            await self._hello(ehlo_name)
            started = self._timed("tls", started)
        if endpoint.credentials is not None:
            await self._log_in(endpoint.credentials)
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
        if reply.code != 220:
            raise _refused(Stage.TLS, reply)
        if self._replies or not self._parser.idle:
            raise ProtocolError("The server sent data behind its answer to STARTTLS; it may have been injected")
        await self._transport.start_tls(self._timeouts.connect)

    async def _log_in(self, credentials: sasl.Credentials) -> None:
        self._stage = Stage.AUTH
        offered = self.capabilities.auth
        mechanism = sasl.choose(offered, credentials)
        if mechanism is None:
            offer = f"AUTH {' '.join(offered)}, none of it usable" if offered else "no AUTH, so nothing usable"
            raise _login_refused(f"The server offers {offer} with these credentials")
        command = shown = f"AUTH {mechanism.name}"
        try:
            initial = mechanism.initial()
        except ValueError as error:
            raise _login_refused(str(error)) from error
        if initial is not None:
            command, shown = f"{command} {_base64(initial) or '='}", f"{shown} {SECRET}"
        reply = await self._ask(command, self._timeouts.command, shown)
        rounds = 0
        while reply.code == 334:
            rounds += 1
            if rounds > AUTH_ROUNDS:
                raise ProtocolError(f"The server asked more than {AUTH_ROUNDS} times in one login")
            try:
                answer = mechanism.respond(_challenge(reply))
            except ValueError as error:
                raise ProtocolError(f"The server's challenge makes no sense: {error}") from error
            reply = await self._ask(_base64(answer), self._timeouts.command, SECRET)
        if reply.code >= 300:
            raise _refused(Stage.AUTH, reply)

    async def _transact(self, transaction: Transaction, delivery: _Delivery) -> None:
        started = trio.current_time()
        self.in_flight = False
        asked = False
        self._stage = Stage.MAIL
        while commands := transaction.take():
            await self._write(commands)
            if transaction.data_asked and not asked:
                # The server answers into the socket's buffer meanwhile, so this costs no waiting and needs no task.
                asked = True
                await delivery.before_dot()
            while transaction.waiting:
                self._stage = transaction.stage
                limit = self._timeouts.data if self._stage is Stage.DATA else self._timeouts.command
                transaction.receive(await self._reply(limit))
        started = self._timed("envelope", started)
        if transaction.go_ahead and transaction.accepted:
            await self._send_data(delivery)
            self._stage = Stage.DOT
            started = self._timed("data", started)
            reply = await self._reply(self._timeouts.dot)
            self.in_flight = False
            delivery.reply = reply
            if transaction.finish(reply).kind is Kind.ACCEPTED:
                self.sent += 1
            self._timed("dot", started)
        elif transaction.go_ahead:
            # Pipelining: the server wants data though it took no recipient (RFC 2920 section 3.1).
            await self._transport.send(b".\r\n", self._timeouts.command)
            self._note_client(".")
            transaction.finish(await self._reply(self._timeouts.dot))
        self._reset = transaction.open
        if transaction.broken or self._replies or not self._parser.idle:
            self.usable = False

    async def _send_data(self, delivery: _Delivery) -> None:
        stuffer = DotStuffer()
        blocks: list[bytes] = []
        held = total = 0
        for chunk in _cut_up(delivery.body):
            block = stuffer.feed(chunk)
            if blocks and held + len(block) > BLOCK_BYTES:
                await self._transport.send(b"".join(blocks), self._timeouts.block)
                blocks.clear()
                held = 0
            blocks.append(block)
            held += len(block)
            total += len(block)
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
        """The next reply, whole within `limit` seconds. Raises `NetworkError` and `ProtocolError`."""
        if not self._replies:
            deadline = trio.current_time() + limit
            while not self._replies:
                if self._parser.error is not None:
                    raise self._parser.error
                data = await self._transport.receive(max(deadline - trio.current_time(), 0))
                if not data:
                    raise self._transport.end_of_stream()
                self._replies.extend(self._parser.feed(data))
        reply = self._replies.popleft()
        if self.trace is not None:
            if reply.code == 334:
                self.trace.server(f"334 [{len(reply.text)} bytes]")
            else:
                for line in reply.line.split("\n"):
                    self.trace.server(line)
        return reply

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


class _Delivery:
    """What is common to all transactions of one message."""

    def __init__(self, body: Iterable[bytes], before_dot: Callable[[], Awaitable[None]]) -> None:
        self.body = body
        self.before_dot = before_dot
        self.dot_sent = False
        self.reply: Reply | None = None


def _cut_up(body: Iterable[bytes]) -> Iterator[bytes]:
    """No chunk longer than a block, so that the end of data never goes with more than about two of them."""
    for chunk in body:
        if len(chunk) <= BLOCK_BYTES:
            yield chunk
        else:
            for start in range(0, len(chunk), BLOCK_BYTES):
                yield chunk[start : start + BLOCK_BYTES]


_ENDED = Verdict(Kind.LATER, Stage.MAIL, None, None, "The server ended the connection before this recipient's turn")


def _ordered(envelope: Envelope, verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
    return {recipient: verdicts[recipient] for recipient in envelope.recipients}


def _refused(stage: Stage, reply: Reply) -> DeliveryError:
    verdict = of_reply(stage, reply)
    if verdict.kind is Kind.ACCEPTED:
        # A 2xx or 3xx that is not the one the command asks for opens no door.
        verdict = msgspec.structs.replace(verdict, kind=Kind.LATER)
    return DeliveryError(verdict, {}, dot_sent=False)


def _login_refused(text: str) -> DeliveryError:
    return DeliveryError(Verdict(Kind.LOGIN_REFUSED, Stage.AUTH, None, None, text), {}, dot_sent=False)


def _base64(data: bytes) -> str:
    # RFC 4954 section 4: an empty initial response is written "=", an empty later one is an empty line.
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _challenge(reply: Reply) -> bytes:
    try:
        return base64.b64decode(reply.text, validate=True)
    except ValueError:
        # Some servers prompt in clear for LOGIN, whose wording means nothing anyway.
        return reply.text.encode("utf-8")
