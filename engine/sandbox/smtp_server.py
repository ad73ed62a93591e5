"""One SMTP connection of the sandbox, server side (RFC 5321), worded like Postfix.

It supports PIPELINING, SIZE, 8BITMIME, SMTPUTF8, DSN, ENHANCEDSTATUSCODES and AUTH; the dialogue is the door's
(`smtp/server_protocol.py`), with patience for any number of faults. A message is stored before its dot is answered. It
is stricter than real servers on purpose: a lone CR or LF is refused in message data too. It acts out the scripts of
recipients (`recipient_script.py`) and of the account (`script.py`), and `Faults`. Cancelled: it sends 421, unless it
was answering a dot; the message may then have been stored and the client must not be told "later", so it just ends the
stream.
"""

from __future__ import annotations

import sys
from typing import Final, NoReturn

import trio

from engine import sasl_server
from engine.sandbox import recipient_script
from engine.sandbox.faults import Faults
from engine.sandbox.post_office import HOSTNAME, PostOffice, ReceivedEnvelope, account_name, message_id
from engine.sandbox.recipient_script import Act, ScriptedOutcome, ScriptStage
from engine.sandbox.rehearsal import Rehearsal
from engine.sandbox.script import FOR_RECIPIENTS, ScriptedFault, ScriptStep, Server, Stage
from engine.sandbox.streams import MemoryStream
from engine.smtp.server_commands import MailFrom, RcptTo
from engine.smtp.server_input import DataPiece
from engine.smtp.server_protocol import DataCommand, Event, Hello, LoggedIn, ServerProtocol, StartTls, Verify

MAX_RECIPIENTS: Final = 1000
GOODBYE_SECONDS: Final = 1.0


class _Over(Exception):
    """The connection is to be closed."""


class SmtpConnection:
    """`run` it once. `stream` is closed by its owner."""

    def __init__(self, stream: MemoryStream, post: PostOffice, faults: Faults, rehearsal: Rehearsal) -> None:
        self._stream = stream
        self._post = post
        self._faults = faults
        self._rehearsal = rehearsal
        self._served = False
        self._protocol = ServerProtocol(
            HOSTNAME, (), post.may_login, post.may_use, most_faults=sys.maxsize, most_idle=sys.maxsize
        )
        self._data = bytearray()
        self._too_big = self._bare = False
        self._may_speak = True

    async def run(self) -> None:
        """Serve until either side ends it. Raises Trio's stream errors when the client is gone."""
        try:
            await self._converse()
        except _Over:
            pass
        except trio.Cancelled:
            if self._may_speak:
                with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                    await self._stream.send_all(f"421 4.3.2 {HOSTNAME} Service shutting down\r\n".encode())
            raise

    async def _converse(self) -> None:
        await self._flush()
        if (step := await self._rehearsal.take(Server.SMTP, Stage.GREETING)) is not None:
            await self._act(step)
            await self._close()
        greeting = self._faults.greeting
        if greeting is None:
            self._say(f"220 {HOSTNAME} ESMTP")
        else:
            await self._stream.send_all(greeting)
            if not greeting.startswith(b"220"):
                return
        while True:
            self._protocol.keywords = self._keywords()
            event = self._protocol.next()
            if event is not None:
                await self._handle(event)
            elif self._protocol.closing:
                await self._close()
            else:
                await self._receive()

    def _keywords(self) -> tuple[str, ...]:
        every = (
            "PIPELINING",
            f"SIZE {self._post.limits.message_bytes}",
            "AUTH " + " ".join(sasl_server.MECHANISMS),
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8",
        )
        return tuple(each for each in every if each.partition(" ")[0] not in self._faults.smtp_capabilities_drop)

    async def _handle(self, event: Event) -> None:
        match event:
            case Hello():
                self._protocol.greet(event)
            case LoggedIn():
                await self._logged_in(event.user)
            case Verify():
                self._say(f"252 2.0.0 {event.argument}")
            case MailFrom():
                await self._mail(event)
            case RcptTo():
                await self._rcpt(event)
            case DataCommand():
                await self._start_data()
            case DataPiece():
                await self._take(event)
            case StartTls():
                raise AssertionError("STARTTLS is not offered")

    async def _logged_in(self, user: str | None) -> None:
        if (step := await self._rehearsal.take(Server.SMTP, Stage.LOGIN)) is not None:
            await self._act(step)
        elif user is not None and account_name(user) in self._faults.login_later:
            self._say("454 4.7.0 Temporary authentication failure: Connection lost to authentication server")
        elif user is None or account_name(user) in self._faults.reject_login:
            self._say("535 5.7.8 Error: authentication failed: (reason unavailable)")
        else:
            self._protocol.user = account_name(user)
            self._say("235 2.7.0 Authentication successful")

    async def _mail(self, mail: MailFrom) -> None:
        user, limit = self._protocol.user, self._faults.messages_per_second
        if self._served and self._rehearsal.begins_anew():
            # A server may hang up between two messages; the next connection meets the step.
            raise _Over
        if (step := await self._rehearsal.take(Server.SMTP, Stage.MAIL, attempt=mail)) is not None:
            await self._act(step)
        elif self._faults.require_login and user is None:
            self._say("530 5.7.0 Authentication required")
        elif limit is not None and self._post.too_fast(user or "", limit):
            self._say("451 4.7.1 Error: too much mail, slow down")
        elif mail.size > self._post.limits.message_bytes:
            self._say("552 5.3.4 Message size exceeds fixed limit")
        else:
            self._protocol.begin(mail)

    async def _rcpt(self, recipient: RcptTo) -> None:
        if len(self._protocol.recipients) >= MAX_RECIPIENTS:
            self._say("452 4.5.3 Error: too many recipients")
            return
        if (step := await self._step(Stage.RCPT, recipient)) is not None:
            await self._act(step)
            return
        outcome = self._scripted(ScriptStage.RCPT, recipient.recipient, self._current.sender)
        if outcome is None:
            self._protocol.add(recipient)
        else:
            self._say(outcome.row.reply.format(recipient=recipient.recipient))
            if outcome.row.act is Act.REPLY_AND_CLOSE:
                await self._close()

    async def _start_data(self) -> None:
        sender = self._current.sender
        if (step := await self._step(Stage.DATA, *self._protocol.recipients)) is not None:
            await self._act(step)
            return
        if any(self._scripted(ScriptStage.DATA, each.recipient, sender) for each in self._protocol.recipients):
            await self._close()
        self._say("354 End data with <CR><LF>.<CR><LF>")
        self._protocol.start_data()
        self._data.clear()
        self._too_big = self._bare = False

    async def _take(self, piece: DataPiece) -> None:
        self._bare |= piece.bare
        self._too_big |= len(self._data) + len(piece.content) > self._post.limits.message_bytes
        if self._too_big:
            self._data.clear()
        else:
            self._data += piece.content
        if piece.last:
            self._may_speak = False
            await self._answer_dot()
            await self._flush()
            self._may_speak = True

    async def _answer_dot(self) -> None:
        if self._too_big:
            self._end_data("552 5.3.4 Error: message file too big")
        elif self._bare:
            self._end_data("550 5.5.2 Error: bare <CR> or <LF> received")
        elif (step := await self._step(Stage.DOT, *self._protocol.recipients)) is not None:
            await self._act_on_message(step)
        else:
            # If several recipients have a script for the dot, the first decides for the message.
            name = message_id(bytes(self._data))
            scripted = (self._scripted(ScriptStage.DOT, each.recipient, name) for each in self._protocol.recipients)
            outcome = next((one for one in scripted if one is not None), None)
            if outcome is None:
                self._end_data(self._keep())
            else:
                await self._play(outcome)

    async def _step(self, stage: Stage, *recipients: RcptTo) -> ScriptStep | None:
        """The account's step for these recipients of the current transaction."""
        assert stage in FOR_RECIPIENTS
        concerned = {each.recipient.lower() for each in recipients}
        return await self._rehearsal.take(Server.SMTP, stage, concerned, self._current)

    async def _act(self, step: ScriptStep) -> None:
        """Reply, or end the connection, before a message is there."""
        if step.reply is not None:
            self._say(step.reply)
            if not step.reply.startswith("421"):
                return
        elif step.fault is ScriptedFault.SILENCE:
            await self._flush()
            await self._be_silent()
        await self._close()

    async def _act_on_message(self, step: ScriptStep) -> None:
        """Answer the dot, or do not."""
        if step.fault is ScriptedFault.KEEP_AND_CUT:
            self._keep()
        if step.reply is None:
            await self._act(step)
            return
        if step.reply.startswith("2"):
            self._keep()
        self._end_data(step.reply)
        if step.reply.startswith("421"):
            await self._close()

    async def _play(self, outcome: ScriptedOutcome) -> None:
        """Act out a recipient's script for the dot."""
        match outcome.row.act:
            case Act.REPLY:
                self._end_data(outcome.row.reply)
            case Act.WAIT:
                reply = self._keep()
                await self._flush()
                await self._rehearsal.wait(recipient_script.seconds(outcome))
                self._end_data(reply)
            case Act.HANG:
                await self._flush()
                await self._be_silent()
            case Act.KEEP_AND_CUT:
                self._keep()
                await self._close()
            case _:
                await self._close()

    def _keep(self) -> str:
        mail, user, raw = self._current, self._protocol.user, bytes(self._data)
        envelope = ReceivedEnvelope(
            sender=mail.sender,
            recipients=tuple(each.recipient for each in self._protocol.recipients),
            user=user,
            account=self._rehearsal.account,
            helo=self._protocol.helo or HOSTNAME,
            smtputf8=mail.smtputf8,
            eight_bit=mail.eight_bit,
            envelope_id=mail.envelope_id,
        )
        if self._faults.files_sent and user is not None:
            account = self._post.account(user)
            self._post.file(account, account.folder("Sent"), raw, self._post.now(), ("\\Seen",))
        return f"250 2.0.0 Ok: queued as {self._post.deliver(envelope, raw)}"

    def _end_data(self, reply: str) -> None:
        self._served = True
        self._protocol.end_data(reply, taken=True)

    def _scripted(self, stage: ScriptStage, recipient: str, whose: str) -> ScriptedOutcome | None:
        """The script of this recipient at this stage, if it acts; counts as an attempt."""
        outcome = recipient_script.read(recipient)
        if outcome is None or outcome.row.stage is not stage:
            return None
        acts = self._post.played.acts(outcome, recipient.lower(), whose, trio.current_time() + self._rehearsal.moved)
        return outcome if acts else None

    @property
    def _current(self) -> MailFrom:
        assert self._protocol.mail is not None
        return self._protocol.mail

    # The wire

    def _say(self, reply: str) -> None:
        self._protocol.reply(reply)

    async def _flush(self) -> None:
        if self._faults.hang_smtp:
            await self._be_silent()
        if replies := self._protocol.replies():
            rewrite = self._faults.smtp_rewrite or str
            out = "".join(f"{rewrite(reply)}\r\n" for reply in replies)
            before, self._may_speak = self._may_speak, False
            await self._stream.send_all(out.encode())
            self._may_speak = before

    async def _receive(self) -> None:
        await self._flush()
        with trio.move_on_after(self._faults.smtp_timeout):
            data = await self._stream.receive_some()
            if not data:
                raise _Over
            self._protocol.feed(data)
            return
        self._say(f"421 4.4.2 {HOSTNAME} Error: timeout exceeded")
        await self._close()

    async def _close(self) -> NoReturn:
        """Send the pending replies, then end the connection."""
        await self._flush()
        raise _Over

    async def _be_silent(self) -> NoReturn:
        """Read and send nothing until the client hangs up."""
        self._may_speak = False
        await self._rehearsal.be_silent(self._stream)
        raise _Over
