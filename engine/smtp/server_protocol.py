"""The server's side of the SMTP dialogue without a network: what a client may say next, and the replies in order.

RFC 5321, 2920 (PIPELINING), 2034 (enhanced codes), 3207 (STARTTLS), 4954 (AUTH); the parameters are in
`server_commands.py`. Used by the SMTP door and by the sandbox's server.

1. `feed` it bytes, then take `next` until it returns None, which means that it needs more bytes.
2. Answer each event: `reply` after doing what its class says, or `refuse`. Wrong commands are answered here.
3. Send what `replies` returns when `next` has returned None, so that a pipelined group is answered in one write.
4. Close the connection once `closing` is true and the replies are sent.

A hostile client is bounded: too many faults, or too many commands that bring no message closer, end the dialogue.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from engine import sasl_server
from engine.errors import ProtocolError
from engine.smtp.server_commands import MailFrom, RcptTo, Refused, mail_from, rcpt_to
from engine.smtp.server_input import DataPiece, ServerInput

MOST_FAULTS: Final = 20
"""Faults since the last message after which the dialogue ends, as in Postfix."""
MOST_IDLE: Final = 100
"""Commands since the last message, apart from recipients and what they need, after which it ends, as in Postfix."""

_HELO = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_OTHER_PROTOCOL = re.compile(r"(?:CONNECT|GET|HEAD|POST|PUT|OPTIONS|DELETE|PATCH)\b.* HTTP/", re.IGNORECASE)
"""A browser or proxy that was made to talk to this port; the rest of what it sends must not be taken for commands."""


class Hello(msgspec.Struct, frozen=True):
    """EHLO or HELO. Reply with `greet`."""

    name: str
    extended: bool


class LoggedIn(msgspec.Struct, frozen=True):
    """The exchange of AUTH has ended; `user` is None if the check refused. Set `user` with the reply to accept."""

    user: str | None


class StartTls(msgspec.Struct, frozen=True):
    """The client wants TLS: reply, send the reply, do the handshake, then call `forget`."""


class Verify(msgspec.Struct, frozen=True):
    """VRFY."""

    argument: str


class DataCommand(msgspec.Struct, frozen=True):
    """DATA. Call `start_data` after a 354; the events that follow are `DataPiece`, until `end_data` after the last."""


Event: TypeAlias = Hello | LoggedIn | StartTls | Verify | MailFrom | RcptTo | DataCommand | DataPiece


class ServerProtocol:
    """One connection. `host` is the server's name, `keywords` what the reply to EHLO offers at the moment.

    `check` says whether a user may log in with a password, `check_token` with an access token. `mail` is the MAIL under
    way, `recipients` its accepted recipients: the owner sets both by `begin` and `add`.
    """

    def __init__(
        self,
        host: str,
        keywords: Sequence[str],
        check: sasl_server.Check,
        check_token: sasl_server.Check,
        *,
        most_faults: int = MOST_FAULTS,
        most_idle: int = MOST_IDLE,
    ) -> None:
        self.host = host
        self.keywords = tuple(keywords)
        self.helo: str | None = None
        self.user: str | None = None
        self.mail: MailFrom | None = None
        self.recipients: list[RcptTo] = []
        self.closing = False
        self._checks = check, check_token
        self._most_faults, self._most_idle = most_faults, most_idle
        self._input = ServerInput()
        self._replies: list[str] = []
        self._exchange: sasl_server.Exchange | None = None
        self._recipient_seen = False
        self._in_data = False
        self._faults = 0
        self._idle = 0

    # For the owner

    def feed(self, data: bytes) -> None:
        """Add bytes from the client."""
        self._input.feed(data)

    def next(self) -> Event | None:
        """The next event; None if more bytes are needed, or the dialogue is over."""
        while not self.closing:
            if self._in_data:
                return self._input.data()
            try:
                line = self._input.line()
            except ProtocolError as error:
                self.end(f"500 5.5.2 Error: {error}")
                return None
            if line is None:
                return None
            try:
                event = self._perform(line)
            except Refused as error:
                self.refuse(error.reply)
                event = None
            if event is not None:
                return event
        return None

    def replies(self) -> list[str]:
        """The replies since the last call, in order, without line ends."""
        replies, self._replies = self._replies, []
        return replies

    def reply(self, text: str) -> None:
        """Answer the event."""
        self._replies.append(text)

    def refuse(self, text: str) -> None:
        """Answer with a refusal that is the client's fault; the last one that is allowed ends the dialogue."""
        self.reply(text)
        self._faults += 1
        if self._faults >= self._most_faults and not self.closing:
            self.end(f"421 4.7.0 {self.host} Error: too many errors")

    def end(self, text: str) -> None:
        """Answer, and end the dialogue."""
        self.reply(text)
        self.closing = True

    def greet(self, hello: Hello) -> None:
        """Answer `Hello`."""
        if hello.extended:
            lines = (self.host, *self.keywords)
            self._replies += [f"250-{line}" for line in lines[:-1]]
            self.reply(f"250 {lines[-1]}")
        else:
            self.reply(f"250 {self.host}")

    def begin(self, mail: MailFrom) -> None:
        """Accept MAIL."""
        self.mail = mail
        self.reply("250 2.1.0 Ok")

    def add(self, recipient: RcptTo) -> None:
        """Accept RCPT."""
        self.recipients.append(recipient)
        self.reply("250 2.1.5 Ok")

    def start_data(self) -> None:
        """Take what follows as a message."""
        self._in_data = True
        self._input.start_data()

    def end_data(self, text: str, *, taken: bool) -> None:
        """Answer the end of the message; `taken`: the client has made progress."""
        self._in_data = False
        self._reset()
        self.reply(text)
        if taken:
            self._faults = self._idle = 0

    def forget(self) -> None:
        """Start again after the TLS handshake. What came in clear text after STARTTLS is never used (RFC 3207)."""
        self._input.discard()
        self.helo = self.user = None
        self._reset()

    def offers(self, keyword: str) -> bool:
        """Whether the reply to EHLO offers this."""
        return any(each.partition(" ")[0] == keyword for each in self.keywords)

    # The commands

    def _perform(self, line: bytes) -> Event | None:
        if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
            raise Refused("500 5.5.2 Error: bad syntax")
        if self._exchange is not None:
            return self._respond(line[:-2])
        try:
            text = line[:-2].decode()
        except UnicodeDecodeError:
            raise Refused("500 5.5.2 Error: bad syntax") from None
        verb, _, argument = text.partition(" ")
        command = _COMMANDS.get(verb.upper())
        if command is None:
            if _OTHER_PROTOCOL.match(text):
                self.end("500 5.5.2 Error: this is an SMTP server")
                return None
            if verb.upper() in _NOT_IMPLEMENTED:
                raise Refused("502 5.5.1 Error: command not implemented")
            raise Refused("500 5.5.2 Error: command not recognized" if verb else "500 5.5.2 Error: bad syntax")
        if verb.upper() not in _PROGRESS:
            self._idle += 1
            if self._idle > self._most_idle:
                self.end(f"421 4.7.0 {self.host} Error: too many commands without a message")
                return None
        return command(self, argument.strip(" "))

    def _ehlo(self, name: str) -> Event | None:
        return self._hello("EHLO", name)

    def _helo(self, name: str) -> Event | None:
        return self._hello("HELO", name)

    def _hello(self, verb: str, name: str) -> Event:
        if not _HELO.fullmatch(name):
            raise Refused(f"501 Syntax: {verb} hostname")
        self.helo = name
        self._reset()
        return Hello(name, extended=verb == "EHLO")

    def _auth(self, argument: str) -> Event | None:
        mechanism, _, initial = argument.partition(" ")
        mechanism = mechanism.upper()
        if self.helo is None:
            raise Refused("503 5.5.1 Error: send HELO/EHLO first")
        if not self.offers("AUTH"):
            if self.offers("STARTTLS"):
                raise Refused("538 5.7.11 Encryption required for a login: send STARTTLS first")
            raise Refused("503 5.5.1 Error: authentication not enabled")
        if self.user is not None:
            raise Refused("503 5.5.1 Error: already authenticated")
        if self.mail is not None:
            raise Refused("503 5.5.1 Error: MAIL transaction in progress")
        if not mechanism:
            raise Refused("501 5.5.4 Syntax: AUTH mechanism")
        if mechanism not in self._mechanisms():
            raise Refused("535 5.7.8 Error: authentication failed: Invalid authentication mechanism")
        self._exchange = sasl_server.exchange(mechanism, *self._checks)
        challenge = next(self._exchange)
        if initial:
            return self._respond(initial.encode())
        self._challenge(challenge)
        return None

    def _respond(self, response: bytes) -> Event | None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        if response == b"*":
            raise Refused("501 5.7.0 Authentication aborted")
        try:
            challenge = exchange.send(sasl_server.decode(response))
        except StopIteration as end:
            return LoggedIn(end.value)
        except ValueError as error:
            raise Refused(f"535 5.7.8 Error: authentication failed: {error}") from error
        self._exchange = exchange
        self._challenge(challenge)
        return None

    def _challenge(self, challenge: bytes) -> None:
        self.reply("334 " + base64.b64encode(challenge).decode())

    def _mechanisms(self) -> list[str]:
        return [word for each in self.keywords if each.startswith("AUTH ") for word in each.split()[1:]]

    def _starttls(self, argument: str) -> Event | None:
        if not self.offers("STARTTLS"):
            raise Refused("502 5.5.1 Error: command not implemented")
        if argument:
            raise Refused("501 5.5.4 Syntax: STARTTLS")
        return StartTls()

    def _mail_command(self, argument: str) -> Event | None:
        if self.helo is None:
            raise Refused("503 5.5.1 Error: send HELO/EHLO first")
        if self.mail is not None:
            raise Refused("503 5.5.1 Error: nested MAIL command")
        return mail_from(argument, self._names())

    def _rcpt(self, argument: str) -> Event | None:
        if self.mail is None:
            raise Refused("503 5.5.1 Error: need MAIL command")
        recipient = rcpt_to(argument, self._names(), smtputf8=self.mail.smtputf8)
        self._recipient_seen = True
        return recipient

    def _data(self, argument: str) -> Event | None:
        if self.mail is None or not self._recipient_seen:
            raise Refused("503 5.5.1 Error: need RCPT command")
        if not self.recipients:
            raise Refused("554 5.5.1 Error: no valid recipients")
        if argument:
            raise Refused("501 5.5.4 Syntax: DATA")
        return DataCommand()

    def _rset(self, argument: str) -> Event | None:
        if argument:
            raise Refused("501 5.5.4 Syntax: RSET")
        self._reset()
        self.reply("250 2.0.0 Ok")
        return None

    def _noop(self, argument: str) -> Event | None:
        self.reply("250 2.0.0 Ok")
        return None

    def _help(self, argument: str) -> Event | None:
        self.reply(f"214 2.0.0 Commands: {' '.join(sorted(_COMMANDS))} (RFC 5321)")
        return None

    def _vrfy(self, argument: str) -> Event | None:
        if not argument:
            raise Refused("501 5.5.4 Syntax: VRFY address [SMTPUTF8]")
        return Verify(argument)

    def _quit(self, argument: str) -> Event | None:
        self.end("221 2.0.0 Bye")
        return None

    def _names(self) -> set[str]:
        return {each.partition(" ")[0] for each in self.keywords}

    def _reset(self) -> None:
        self.mail, self.recipients, self._recipient_seen = None, [], False


_COMMANDS: Final[dict[str, Callable[[ServerProtocol, str], Event | None]]] = {
    "EHLO": ServerProtocol._ehlo,
    "HELO": ServerProtocol._helo,
    "AUTH": ServerProtocol._auth,
    "MAIL": ServerProtocol._mail_command,
    "RCPT": ServerProtocol._rcpt,
    "DATA": ServerProtocol._data,
    "RSET": ServerProtocol._rset,
    "NOOP": ServerProtocol._noop,
    "VRFY": ServerProtocol._vrfy,
    "HELP": ServerProtocol._help,
    "STARTTLS": ServerProtocol._starttls,
    "QUIT": ServerProtocol._quit,
}
_NOT_IMPLEMENTED: Final = frozenset({"EXPN", "SEND", "SOML", "SAML", "TURN", "ETRN"})
"""Known, so 502 and not 500 (RFC 5321 section 4.2.4)."""
_PROGRESS: Final = frozenset({"RCPT", "DATA", "QUIT"})
