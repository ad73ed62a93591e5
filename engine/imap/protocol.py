"""The client side of one IMAP connection as a pure machine: commands in, bytes out; bytes in, answers out.

It owns the tags, the state (in the tables below and nowhere else), continuation requests, the SASL dialogue, and what
the server says unasked. One command is in flight at a time. Whatever the server may not do - an answer to a command
nobody gave, a continuation nobody waits for, bytes behind the reply to STARTTLS - raises `ProtocolError`, after which
the connection must be closed. Using it out of turn is a bug of ours and raises `RuntimeError`.
"""

from __future__ import annotations

import binascii
import re
from collections import deque
from enum import StrEnum

import msgspec

from engine.errors import EngineError, Fault, ProtocolError, Remedy
from engine.imap import limits
from engine.imap.commands import SECRET, Command, encode, unasked_limit
from engine.imap.responses import (
    Capability,
    Continuation,
    Enabled,
    Exists,
    Expunge,
    Fetch,
    ListEntry,
    MailboxStatus,
    Response,
    StatusKind,
    StatusResponse,
    Untagged,
    Vanished,
    capability_names,
    parse,
    plain_text,
    weight,
)
from engine.imap.tokens import Frame, Tokenizer
from engine.trace import Trace


class State(StrEnum):
    """Where the connection stands (RFC 9051 section 3)."""

    GREETING = "greeting"
    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    IDLING = "idling"
    LOGOUT = "logout"


_OPEN = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
_SELECTING = frozenset({"SELECT", "EXAMINE"})
_LOGGED_IN = frozenset({State.AUTHENTICATED, State.SELECTED})
_IN_MAILBOX = frozenset({State.SELECTED})

ALLOWED: dict[str, frozenset[State]] = {
    "CAPABILITY": _OPEN,
    "NOOP": _OPEN,
    "ID": _OPEN,
    "LOGOUT": _OPEN,
    "STARTTLS": frozenset({State.NOT_AUTHENTICATED}),
    "LOGIN": frozenset({State.NOT_AUTHENTICATED}),
    "AUTHENTICATE": frozenset({State.NOT_AUTHENTICATED}),
    "LIST": _LOGGED_IN,
    "SELECT": _LOGGED_IN,
    "EXAMINE": _LOGGED_IN,
    "APPEND": _LOGGED_IN,
    "ENABLE": _LOGGED_IN,
    "NAMESPACE": _LOGGED_IN,
    "COMPRESS": _LOGGED_IN,
    "STATUS": _LOGGED_IN,
    "CREATE": _LOGGED_IN,
    "DELETE": _LOGGED_IN,
    "RENAME": _LOGGED_IN,
    "SUBSCRIBE": _LOGGED_IN,
    "UNSUBSCRIBE": _LOGGED_IN,
    "UID FETCH": _IN_MAILBOX,
    "UID SEARCH": _IN_MAILBOX,
    "UID STORE": _IN_MAILBOX,
    "UID COPY": _IN_MAILBOX,
    "UID MOVE": _IN_MAILBOX,
    "UID EXPUNGE": _IN_MAILBOX,
    "EXPUNGE": _IN_MAILBOX,
    "UNSELECT": _IN_MAILBOX,
    "IDLE": _IN_MAILBOX,
}
"""In which states a command may be given."""

GREETED: dict[StatusKind, State] = {
    StatusKind.OK: State.NOT_AUTHENTICATED,
    StatusKind.PREAUTH: State.AUTHENTICATED,
    StatusKind.BYE: State.LOGOUT,
}
"""Where a greeting leads."""

COMPLETED: dict[tuple[str, StatusKind], State] = {
    ("LOGIN", StatusKind.OK): State.AUTHENTICATED,
    ("AUTHENTICATE", StatusKind.OK): State.AUTHENTICATED,
    ("SELECT", StatusKind.OK): State.SELECTED,
    ("SELECT", StatusKind.NO): State.AUTHENTICATED,
    ("SELECT", StatusKind.BAD): State.AUTHENTICATED,
    ("EXAMINE", StatusKind.OK): State.SELECTED,
    ("EXAMINE", StatusKind.NO): State.AUTHENTICATED,
    ("EXAMINE", StatusKind.BAD): State.AUTHENTICATED,
    ("UNSELECT", StatusKind.OK): State.AUTHENTICATED,
    ("IDLE", StatusKind.OK): State.SELECTED,
    ("IDLE", StatusKind.NO): State.SELECTED,
    ("IDLE", StatusKind.BAD): State.SELECTED,
    ("LOGOUT", StatusKind.OK): State.LOGOUT,
}
"""Where a command's completion leads; a pair that is not here changes nothing. BYE leads to LOGOUT from everywhere."""

_FETCH = re.compile(rb"\* [0-9]{1,20} FETCH\b", re.IGNORECASE)

NEWS = (Exists, Expunge, Vanished, Fetch, ListEntry, MailboxStatus)
"""What is worth a look when it comes unasked."""


class CommandRefused(EngineError):
    """The server answered a command with NO or BAD. `response` is its line, `code` its response code if it gave one."""

    fault = Fault.PROVIDER
    remedy = Remedy.GIVE_UP

    def __init__(self, response: str, code: str | None) -> None:
        super().__init__(response)
        self.response = response
        self.code = code


class Completion(msgspec.Struct, frozen=True):
    """The end of a command: its tagged response, and the untagged ones that belong to it."""

    status: StatusResponse
    data: list[Untagged]

    @property
    def ok(self) -> bool:
        """True if the server did it."""
        return self.status.kind is StatusKind.OK

    @property
    def code(self) -> str | None:
        """The name of the tagged response's code."""
        return self.status.code.name if self.status.code else None

    def refused(self) -> CommandRefused:
        """The error for a server that did not do it."""
        return CommandRefused(self.status.line, self.code)


class Protocol:
    """One connection's machine. After every call that may produce output, send what `take_outgoing` gives."""

    def __init__(self, trace: Trace | None = None) -> None:
        self.state = State.GREETING
        self.greeting: StatusResponse | None = None
        self.bye: StatusResponse | None = None
        self.capabilities: frozenset[str] | None = None
        """Upper case; None while the server has not said: what it said before STARTTLS or a login is forgotten."""
        self.enabled: frozenset[str] = frozenset()
        self.completion: Completion | None = None
        """How the last command ended; None while one is in flight."""
        self._trace = trace
        self._tokenizer = Tokenizer()
        self._tags = 0
        self._tag = ""
        self._command: Command | None = None
        self._waiting: deque[list[bytes]] = deque()
        self._rounds = 0
        self._outgoing: list[bytes] = []
        self._data: list[Untagged] = []
        self._weight = 0
        self._news: list[Untagged] = []
        self._news_weight = 0

    @property
    def utf8(self) -> bool:
        """True when mailbox names travel as UTF-8 instead of modified UTF-7 (RFC 6855, RFC 9051)."""
        offered = self.capabilities or frozenset()
        only_rev2 = "IMAP4REV2" in offered and "IMAP4REV1" not in offered
        return only_rev2 or bool(self.enabled & {"UTF8=ACCEPT", "IMAP4REV2"})

    @property
    def news(self) -> tuple[Untagged, ...]:
        """What the server said unasked since `take_news`, oldest first."""
        return tuple(self._news)

    def take_news(self) -> list[Untagged]:
        """`news`, which is empty afterwards."""
        news, self._news = self._news, []
        self._news_weight = 0
        return news

    def take_data(self) -> list[Untagged]:
        """What has come so far of the answer to the command in flight; its `completion` will hold the rest."""
        data, self._data = self._data, []
        return data

    def take_outgoing(self) -> list[bytes]:
        """The chunks to send now, in order; the list is empty afterwards."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def start(self, command: Command) -> None:
        """Give a command. Raises `RuntimeError` out of turn: one is in flight, or the state does not allow it."""
        if self._command is not None or self.state not in ALLOWED[command.name]:
            raise RuntimeError(f"{command.name} cannot be given now ({self.state})")
        self._tags += 1
        self._tag = f"A{self._tags}"
        self._command = command
        self.completion = None
        self._data = []
        self._weight = 0
        self._rounds = 0
        self._waiting = deque(encode(command, self._tag, unasked_limit(self.capabilities or ())))
        self._outgoing += self._waiting.popleft()
        if command.name in ("LOGIN", "AUTHENTICATE"):
            self.capabilities = None  # the server may tell the new ones before its tagged reply
        if command.name in _SELECTING:
            self.take_news()
        self._note_client(f"{self._tag} {command.name} {command.shown}".rstrip())

    def done(self) -> None:
        """End IDLE. Raises `RuntimeError` when not idling."""
        if self.state is not State.IDLING:
            raise RuntimeError(f"DONE cannot be said now ({self.state})")
        self._outgoing.append(b"DONE\r\n")
        self._note_client("DONE")

    def receive(self, data: bytes) -> None:
        """Take bytes from the server. Raises `ProtocolError`."""
        self._tokenizer.feed(data)
        while (frame := self._tokenizer.next_frame()) is not None:
            if frame.line:
                self._note_server(frame)
                response = parse(frame)
                cost = weight(frame, response)
            else:
                # Some servers add an empty line behind a literal.
                response, cost = None, frame.weight
            self._weight += cost
            if self._weight > limits.COLLECTED_WEIGHT:
                raise ProtocolError("The server sent more than one command may be answered with")
            if response is not None:
                self._take(response, cost)

    def _take(self, response: Response, cost: int) -> None:
        if self.state is State.GREETING:
            self._greet(response)
        elif isinstance(response, Continuation):
            self._continue(response.text)
        elif isinstance(response, StatusResponse) and response.tag is not None:
            self._complete(response)
        else:
            self._take_untagged(response, cost)

    def _greet(self, response: Response) -> None:
        if not isinstance(response, StatusResponse) or response.tag is not None or response.kind not in GREETED:
            raise ProtocolError("The server did not greet us as an IMAP server does")
        self.greeting = response
        if response.kind is StatusKind.BYE:
            self.bye = response
        self._learn(response)
        self.state = GREETED[response.kind]

    def _take_untagged(self, response: Untagged, cost: int) -> None:
        if isinstance(response, Capability):
            self.capabilities = response.names
        elif isinstance(response, Enabled):
            self.enabled |= response.names
        elif isinstance(response, StatusResponse):
            self._learn(response)
            if response.kind is StatusKind.PREAUTH:
                raise ProtocolError("The server greeted us twice")
            if response.kind is StatusKind.BYE:
                self.bye = response
                self.state = State.LOGOUT
        if self._command is not None and self._belongs(self._command, response):
            self._data.append(response)
        elif isinstance(response, NEWS) and not (self._command and self._command.name in _SELECTING):
            # While a mailbox is being selected, what is not part of the answer speaks of the one before.
            self._news_weight += cost
            if self._news_weight > limits.COLLECTED_WEIGHT:
                raise ProtocolError("The server sent more news than can be kept")
            self._news.append(response)

    def _belongs(self, command: Command, response: Untagged) -> bool:
        """Whether `response` is part of the answer to the command in flight."""
        if isinstance(response, Fetch) and command.name.startswith("UID ") and "UID" not in response.items:
            return False  # somebody else changed a flag meanwhile; an answer to us would name the UID
        if command.name in _SELECTING and isinstance(response, StatusResponse) and _is(response, "CLOSED"):
            self._data = []  # what came before it was still about the mailbox that is closed now
        return isinstance(response, command.takes)

    def _learn(self, response: StatusResponse) -> None:
        code = response.code
        if code is not None and code.name == "CAPABILITY":
            self.capabilities = capability_names(code.arguments)

    def _continue(self, text: bytes) -> None:
        command = self._command
        if command is not None and self._waiting:
            self._outgoing += self._waiting.popleft()
        elif command is not None and command.mechanism is not None:
            self._answer(command, text)
        elif command is not None and command.name == "IDLE" and self.state is State.SELECTED:
            self.state = State.IDLING
        else:
            raise ProtocolError("The server asked for a continuation nobody has")

    def _answer(self, command: Command, text: bytes) -> None:
        mechanism = command.mechanism
        assert mechanism is not None
        self._rounds += 1
        if self._rounds > limits.AUTHENTICATE_ROUNDS:
            raise ProtocolError(f"The server asked more than {limits.AUTHENTICATE_ROUNDS} times in one login")
        response = command.initial if self._rounds == 1 else None
        if response is None:
            try:
                response = mechanism.respond(binascii.a2b_base64(text, strict_mode=True))
            except ValueError as error:
                raise ProtocolError("The server sent a challenge that makes no sense") from error
        self._outgoing.append(binascii.b2a_base64(response, newline=False) + b"\r\n")
        self._note_client(SECRET)

    def _complete(self, status: StatusResponse) -> None:
        command = self._command
        if command is None or status.tag != self._tag:
            raise ProtocolError(f"The server answered a command nobody gave: {status.line[:100]}")
        ok = status.kind is StatusKind.OK
        if not ok and status.kind not in (StatusKind.NO, StatusKind.BAD):
            raise ProtocolError(f"The server answered a command with {status.kind}")
        if ok and self._waiting:
            raise ProtocolError(f"The server answered {command.name} before it was complete")
        if ok and command.name == "COMPRESS" and not self._tokenizer.empty:
            raise ProtocolError("The server sent text behind its reply to COMPRESS that is not compressed")
        if ok and command.name == "STARTTLS":
            if not self._tokenizer.empty:
                raise ProtocolError("The server sent text behind its reply to STARTTLS: somebody may have put it there")
            self.capabilities = None
            self.take_news()
        else:
            self._learn(status)
        if self.state is not State.LOGOUT:
            self.state = COMPLETED.get((command.name, status.kind), self.state)
        self._command = None
        self._waiting.clear()  # a message refused need not stay in memory
        self.completion = Completion(status, self._data)

    def _note_client(self, text: str) -> None:
        if self._trace is not None:
            self._trace.client(text)

    def _note_server(self, frame: Frame) -> None:
        if self._trace is None:
            return
        fetch = _FETCH.match(frame.line)
        if fetch is not None:
            self._trace.server(f"{plain_text(fetch[0])} [{frame.size} bytes]")
        elif frame.line.startswith(b"+") and self._command is not None and self._command.mechanism is not None:
            self._trace.server(f"+ [{len(frame.line) - 1} bytes]")
        else:
            self._trace.server(plain_text(frame.line))


def _is(response: StatusResponse, code: str) -> bool:
    return response.code is not None and response.code.name == code
