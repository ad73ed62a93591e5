"""One SMTP connection of the sandbox, server side (RFC 5321), worded like Postfix.

It supports PIPELINING, SIZE, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES and AUTH; replies to a pipelined group are sent in
one write. A message is stored before its dot is answered. It is stricter than real servers on purpose: a lone CR or LF
is refused, in commands and in message data, and so is an address beyond ASCII without SMTPUTF8. It acts out the scripts
of recipients (`recipient_script.py`) and `Faults`. Cancelled: it sends 421, unless it was answering a dot; the message
may then have been stored and the client must not be told "later", so it just ends the stream.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import trio

from engine.errors import ProtocolError
from engine.sandbox import login, recipient_script
from engine.sandbox.faults import Faults
from engine.sandbox.post_office import HOSTNAME, PostOffice, ReceivedEnvelope, account_name, message_id
from engine.sandbox.recipient_script import Act, ScriptedOutcome, ScriptStage
from engine.sandbox.smtp_input import Data, SmtpInput
from engine.sandbox.streams import MemoryStream

MAX_RECIPIENTS: Final = 1000
GOODBYE_SECONDS: Final = 1.0

_PATH = r'<((?:"(?:[^"\\]|\\.)*"|[^<>"])*)>(.*)'
_MAIL = re.compile("FROM:" + _PATH, re.IGNORECASE)
_RCPT = re.compile("TO:" + _PATH, re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s@].*@[^\s@]+", re.DOTALL)
_HELO = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_SIZE = re.compile(r"[0-9]{1,20}")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2}){1,100}")
_DSN_OPTION = re.compile(
    r"NOTIFY=(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})|ORCPT=[A-Z0-9-]+;\S{1,500}",
    re.IGNORECASE,
)


class _Over(Exception):
    """The connection is to be closed."""


class _Transaction:
    """The data of MAIL and RCPT so far; `sender` is None before MAIL."""

    def __init__(self) -> None:
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.recipient_seen = False
        self.smtputf8 = False
        self.eight_bit = False
        self.envelope_id = ""


class SmtpConnection:
    """`run` it once. `stream` is closed by its owner."""

    def __init__(self, stream: MemoryStream, post: PostOffice, faults: Faults) -> None:
        self._stream = stream
        self._post = post
        self._faults = faults
        self._input = SmtpInput()
        self._replies: list[str] = []
        self._helo: str | None = None
        self._user: str | None = None
        self._may_speak = True
        self._mail = _Transaction()

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
        greeting = self._faults.greeting
        if greeting is None:
            self._say(f"220 {HOSTNAME} ESMTP")
        else:
            await self._stream.send_all(greeting)
            if not greeting.startswith(b"220"):
                return
        while True:
            line = await self._line()
            if line is None:
                return
            if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
                self._say("500 5.5.2 Error: bad syntax")
                continue
            await self._perform(line[:-2])

    async def _perform(self, line: bytes) -> None:
        try:
            verb, _, rest = line.decode().partition(" ")
        except UnicodeDecodeError:
            verb, rest = "", ""
        command = _COMMANDS.get(verb.upper())
        if command is None:
            self._say("500 5.5.2 Error: command not recognized" if verb else "500 5.5.2 Error: bad syntax")
        else:
            await command(self, rest.strip(" "))

    # Commands

    async def _ehlo(self, name: str) -> None:
        if not self._hello("EHLO", name):
            return
        keywords = [
            "PIPELINING",
            f"SIZE {self._post.limits.message_bytes}",
            "AUTH " + " ".join(login.MECHANISMS),
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8",
        ]
        lines = [HOSTNAME, *(keyword for keyword in keywords if self._offers(keyword.partition(" ")[0]))]
        self._replies += [f"250-{line}" for line in lines[:-1]]
        self._say(f"250 {lines[-1]}")

    async def _helo_command(self, name: str) -> None:
        if self._hello("HELO", name):
            self._say(f"250 {HOSTNAME}")

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        if self._helo is None:
            self._say("503 5.5.1 Error: send HELO/EHLO first")
        elif not self._offers("AUTH"):
            self._say("503 5.5.1 Error: authentication not enabled")
        elif self._user is not None:
            self._say("503 5.5.1 Error: already authenticated")
        elif self._mail.sender is not None:
            self._say("503 5.5.1 Error: MAIL transaction in progress")
        elif not mechanism:
            self._say("501 5.5.4 Syntax: AUTH mechanism")
        elif mechanism.upper() not in login.MECHANISMS:
            self._say("535 5.7.8 Error: authentication failed: Invalid authentication mechanism")
        else:
            await self._authenticate(mechanism.upper(), initial.encode() if initial else None)

    async def _mail_command(self, argument: str) -> None:
        match = _MAIL.fullmatch(argument)
        if self._helo is None:
            self._say("503 5.5.1 Error: send HELO/EHLO first")
        elif self._mail.sender is not None:
            self._say("503 5.5.1 Error: nested MAIL command")
        elif match is None:
            self._say("501 5.5.4 Syntax: MAIL FROM:<address>")
        elif self._faults.require_login and self._user is None:
            self._say("530 5.7.0 Authentication required")
        elif match[1] and not _ADDRESS.fullmatch(match[1]):
            self._say("501 5.1.7 Bad sender address syntax")
        elif (limit := self._faults.messages_per_second) is not None and self._post.too_fast(self._user or "", limit):
            self._say("451 4.7.1 Error: too much mail, slow down")
        else:
            refusal = self._read_options(match[2])
            if not refusal and not self._mail.smtputf8 and not match[1].isascii():
                refusal = "553 5.6.7 Must declare SMTPUTF8 to send unicode address"
            if refusal:
                self._mail = _Transaction()
            else:
                self._mail.sender = match[1]
            self._say(refusal or "250 2.1.0 Ok")

    async def _rcpt(self, argument: str) -> None:
        match = _RCPT.fullmatch(argument)
        if self._mail.sender is None:
            self._say("503 5.5.1 Error: need MAIL command")
        elif match is None:
            self._say("501 5.5.4 Syntax: RCPT TO:<address>")
        elif (unknown := self._unknown_option(match[2])) is not None:
            self._say(f"555 5.5.4 Unsupported option: {unknown}")
        elif not _ADDRESS.fullmatch(match[1]):
            self._say("501 5.1.3 Bad recipient address syntax")
        elif not match[1].isascii() and not self._mail.smtputf8:
            self._say("553 5.6.7 Must declare SMTPUTF8 to send unicode address")
        elif len(self._mail.recipients) >= MAX_RECIPIENTS:
            self._say("452 4.5.3 Error: too many recipients")
        else:
            self._mail.recipient_seen = True
            outcome = self._scripted(ScriptStage.RCPT, match[1], self._mail.sender)
            if outcome is None:
                self._mail.recipients.append(match[1])
                self._say("250 2.1.5 Ok")
            else:
                self._say(outcome.row.reply.format(recipient=match[1]))
                if outcome.row.act is Act.REPLY_AND_CLOSE:
                    await self._close()

    async def _data(self, argument: str) -> None:
        if self._mail.sender is None or not self._mail.recipient_seen:
            self._say("503 5.5.1 Error: need RCPT command")
        elif not self._mail.recipients:
            self._say("554 5.5.1 Error: no valid recipients")
        elif argument:
            self._say("501 5.5.4 Syntax: DATA")
        else:
            if any(
                self._scripted(ScriptStage.DATA, recipient, self._mail.sender) for recipient in self._mail.recipients
            ):
                await self._close()
            self._say("354 End data with <CR><LF>.<CR><LF>")
            data = await self._message()
            self._may_speak = False
            await self._answer_dot(data, self._mail.sender)
            await self._flush()
            self._may_speak = True
            self._mail = _Transaction()

    async def _rset(self, argument: str) -> None:
        if argument:
            self._say("501 5.5.4 Syntax: RSET")
        else:
            self._mail = _Transaction()
            self._say("250 2.0.0 Ok")

    async def _noop(self, argument: str) -> None:
        self._say("250 2.0.0 Ok")

    async def _vrfy(self, argument: str) -> None:
        self._say(f"252 2.0.0 {argument}" if argument else "501 5.5.4 Syntax: VRFY address [SMTPUTF8]")

    async def _starttls(self, argument: str) -> None:
        self._say("502 5.5.1 Error: command not implemented")

    async def _quit(self, argument: str) -> None:
        self._say("221 2.0.0 Bye")
        await self._close()

    # Their parts

    def _hello(self, verb: str, name: str) -> bool:
        if not _HELO.fullmatch(name):
            self._say(f"501 Syntax: {verb} hostname")
            return False
        self._helo = name
        self._mail = _Transaction()
        return True

    async def _authenticate(self, mechanism: str, response: bytes | None) -> None:
        exchange = login.exchange(mechanism, self._post.may_login, self._post.may_use)
        challenge = next(exchange)
        try:
            while True:
                if response is None:
                    self._say("334 " + base64.b64encode(challenge).decode())
                    line = await self._line()
                    if line is None:
                        raise _Over
                    response = line.rstrip(b"\r\n")
                    if response == b"*":
                        self._say("501 5.7.0 Authentication aborted")
                        return
                challenge = exchange.send(login.decode(response))
                response = None
        except StopIteration as end:
            user = end.value
        except ValueError as error:
            self._say(f"535 5.7.8 Error: authentication failed: {error}")
            return
        if user is not None and account_name(user) in self._faults.login_later:
            self._say("454 4.7.0 Temporary authentication failure: Connection lost to authentication server")
        elif user is None or account_name(user) in self._faults.reject_login:
            self._say("535 5.7.8 Error: authentication failed: (reason unavailable)")
        else:
            self._user = account_name(user)
            self._say("235 2.7.0 Authentication successful")

    def _read_options(self, text: str) -> str | None:
        """Note the options of MAIL; return the refusal if one of them is unknown."""
        for option in text.split():
            name, _, value = option.upper().partition("=")
            if name == "SIZE" and self._offers("SIZE"):
                if not _SIZE.fullmatch(value):
                    return "501 5.5.4 Bad message size syntax"
                if int(value) > self._post.limits.message_bytes:
                    return "552 5.3.4 Message size exceeds fixed limit"
            elif name == "BODY" and value in ("7BIT", "8BITMIME") and self._offers("8BITMIME"):
                self._mail.eight_bit = value == "8BITMIME"
            elif name == "ENVID" and _XTEXT.fullmatch(value) and self._offers("DSN"):
                self._mail.envelope_id = option.partition("=")[2]
            elif name == "RET" and value in ("FULL", "HDRS") and self._offers("DSN"):
                pass
            elif name == "SMTPUTF8" and not value and self._offers("SMTPUTF8"):
                self._mail.smtputf8 = True
            elif name != "AUTH":
                return f"555 5.5.4 Unsupported option: {option}"
        return None

    def _unknown_option(self, text: str) -> str | None:
        """The first unknown option of RCPT. DSN options (RFC 3461) are accepted and ignored."""
        unknown = text.split()
        if self._offers("DSN"):
            unknown = [option for option in unknown if not _DSN_OPTION.fullmatch(option)]
        return unknown[0] if unknown else None

    async def _answer_dot(self, data: Data, sender: str) -> None:
        if data.too_big:
            self._say("552 5.3.4 Error: message file too big")
        elif data.bare:
            self._say("550 5.5.2 Error: bare <CR> or <LF> received")
        else:
            # If several recipients have a script for the dot, the first decides for the message.
            name = message_id(data.raw)
            scripted = (self._scripted(ScriptStage.DOT, recipient, name) for recipient in self._mail.recipients)
            outcome = next((one for one in scripted if one is not None), None)
            if outcome is None:
                self._say(self._keep(data, sender))
            else:
                await self._play(outcome, data, sender)

    async def _play(self, outcome: ScriptedOutcome, data: Data, sender: str) -> None:
        """Act out a recipient's script for the dot."""
        match outcome.row.act:
            case Act.REPLY:
                self._say(outcome.row.reply)
            case Act.WAIT:
                reply = self._keep(data, sender)
                await self._flush()
                await trio.sleep(recipient_script.seconds(outcome))
                self._say(reply)
            case Act.HANG:
                await self._flush()
                await self._be_silent()
            case Act.KEEP_AND_CUT:
                self._keep(data, sender)
                await self._close()
            case _:
                await self._close()

    def _keep(self, data: Data, sender: str) -> str:
        envelope = ReceivedEnvelope(
            sender=sender,
            recipients=tuple(self._mail.recipients),
            user=self._user,
            helo=self._helo or HOSTNAME,
            smtputf8=self._mail.smtputf8,
            eight_bit=self._mail.eight_bit,
            envelope_id=self._mail.envelope_id,
        )
        if self._faults.files_sent and self._user is not None:
            account = self._post.account(self._user)
            self._post.file(account, account.folder("Sent"), data.raw, self._post.now(), ("\\Seen",))
        return f"250 2.0.0 Ok: queued as {self._post.deliver(envelope, data.raw)}"

    def _scripted(self, stage: ScriptStage, recipient: str, whose: str) -> ScriptedOutcome | None:
        """The script of this recipient at this stage, if it acts; counts as an attempt."""
        outcome = recipient_script.read(recipient)
        if outcome is None or outcome.row.stage is not stage:
            return None
        acts = self._post.played.acts(outcome, recipient.lower(), whose, trio.current_time())
        return outcome if acts else None

    def _offers(self, keyword: str) -> bool:
        return keyword not in self._faults.smtp_capabilities_drop

    # The wire

    def _say(self, reply: str) -> None:
        self._replies.append(reply)

    async def _flush(self) -> None:
        if self._faults.hang_smtp:
            await self._be_silent()
        if self._replies:
            rewrite = self._faults.smtp_rewrite or str
            out = "".join(f"{rewrite(reply)}\r\n" for reply in self._replies)
            self._replies.clear()
            before, self._may_speak = self._may_speak, False
            await self._stream.send_all(out.encode())
            self._may_speak = before

    async def _line(self) -> bytes | None:
        """The next line; None if the client hung up or was silent for too long."""
        while True:
            try:
                line = self._input.line()
            except ProtocolError as error:
                self._say(f"500 5.5.2 Error: {error}")
                await self._close()
            if line is not None:
                return line
            if not await self._receive():
                return None

    async def _message(self) -> Data:
        self._input.start_data(self._post.limits.message_bytes)
        while True:
            data = self._input.data()
            if data is not None:
                return data
            if not await self._receive():
                raise _Over

    async def _receive(self) -> bool:
        await self._flush()
        with trio.move_on_after(self._faults.smtp_timeout):
            data = await self._stream.receive_some()
            self._input.feed(data)
            return bool(data)
        self._say(f"421 4.4.2 {HOSTNAME} Error: timeout exceeded")
        return await self._close()

    async def _close(self) -> NoReturn:
        """Send the pending replies, then end the connection."""
        await self._flush()
        raise _Over

    async def _be_silent(self) -> NoReturn:
        """Read and send nothing until the client hangs up."""
        self._may_speak = False
        while await self._stream.receive_some():
            pass
        raise _Over


_COMMANDS: Final[dict[str, Callable[[SmtpConnection, str], Awaitable[None]]]] = {
    "EHLO": SmtpConnection._ehlo,
    "HELO": SmtpConnection._helo_command,
    "AUTH": SmtpConnection._auth,
    "MAIL": SmtpConnection._mail_command,
    "RCPT": SmtpConnection._rcpt,
    "DATA": SmtpConnection._data,
    "RSET": SmtpConnection._rset,
    "NOOP": SmtpConnection._noop,
    "VRFY": SmtpConnection._vrfy,
    "STARTTLS": SmtpConnection._starttls,
    "QUIT": SmtpConnection._quit,
}
