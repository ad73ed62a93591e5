"""The client side of one IMAP connection as a pure machine: commands in, bytes out; bytes in, answers out.

1. It owns the tags, the state (in the tables below and nowhere else), continuation requests, the SASL dialogue, and
   unsolicited responses.
2. `start` gives it a command, and `take_outgoing` returns the chunks to send. One command is in flight at a time, or
   several that were started together.
3. `receive` takes bytes from the server. `completion` then says how the command ended, `news` what came unsolicited.
4. What the server sends out of turn is ignored: an answer to no command, a continuation request that is not awaited, a
   second greeting.
5. Anything too dangerous to ignore raises `ProtocolError`: bytes after the reply to STARTTLS, a success before the
   command was complete, more than `limits`. The connection must then be closed.

Calling a method out of turn is a bug of ours and raises `RuntimeError`.
"""

from __future__ import annotations

import binascii
import re
from collections import deque
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TypeGuard

import msgspec

from engine.errors import EngineError, Fault, ProtocolError, Remedy
from engine.imap import limits
from engine.imap.commands import SECRET, Chunk, Command, encode, unasked_limit
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
from engine.masking import Masker
from engine.sasl import Mechanism
from engine.transcript import Trace


class ProtocolState(StrEnum):
    """The state of the connection (RFC 9051 section 3)."""

    GREETING = "greeting"
    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    IDLING = "idling"
    LOGOUT = "logout"


_OPEN = frozenset({ProtocolState.NOT_AUTHENTICATED, ProtocolState.AUTHENTICATED, ProtocolState.SELECTED})
_SELECTING = frozenset({"SELECT", "EXAMINE"})
_LOGINS = frozenset({"LOGIN", "AUTHENTICATE"})
_LOGGED_IN = frozenset({ProtocolState.AUTHENTICATED, ProtocolState.SELECTED})
_IN_MAILBOX = frozenset({ProtocolState.SELECTED})

ALLOWED: dict[str, frozenset[ProtocolState]] = {
    "CAPABILITY": _OPEN,
    "NOOP": _OPEN,
    "ID": _OPEN,
    "LOGOUT": _OPEN,
    "STARTTLS": frozenset({ProtocolState.NOT_AUTHENTICATED}),
    "LOGIN": frozenset({ProtocolState.NOT_AUTHENTICATED}),
    "AUTHENTICATE": frozenset({ProtocolState.NOT_AUTHENTICATED}),
    "LIST": _LOGGED_IN,
    "LSUB": _LOGGED_IN,
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
    "FETCH": _IN_MAILBOX,
    "UID FETCH": _IN_MAILBOX,
    "UID SEARCH": _IN_MAILBOX,
    "UID THREAD": _IN_MAILBOX,
    "UID STORE": _IN_MAILBOX,
    "UID COPY": _IN_MAILBOX,
    "UID MOVE": _IN_MAILBOX,
    "UID EXPUNGE": _IN_MAILBOX,
    "EXPUNGE": _IN_MAILBOX,
    "UNSELECT": _IN_MAILBOX,
    "IDLE": _IN_MAILBOX,
}
"""The states in which each command may be sent."""

GREETED: dict[StatusKind, ProtocolState] = {
    StatusKind.OK: ProtocolState.NOT_AUTHENTICATED,
    StatusKind.PREAUTH: ProtocolState.AUTHENTICATED,
    StatusKind.NO: ProtocolState.LOGOUT,
    StatusKind.BAD: ProtocolState.LOGOUT,
    StatusKind.BYE: ProtocolState.LOGOUT,
}
"""The state after each kind of greeting."""

COMPLETED: dict[tuple[str, StatusKind], ProtocolState] = {
    ("LOGIN", StatusKind.OK): ProtocolState.AUTHENTICATED,
    ("AUTHENTICATE", StatusKind.OK): ProtocolState.AUTHENTICATED,
    ("SELECT", StatusKind.OK): ProtocolState.SELECTED,
    ("SELECT", StatusKind.NO): ProtocolState.AUTHENTICATED,
    ("SELECT", StatusKind.BAD): ProtocolState.AUTHENTICATED,
    ("EXAMINE", StatusKind.OK): ProtocolState.SELECTED,
    ("EXAMINE", StatusKind.NO): ProtocolState.AUTHENTICATED,
    ("EXAMINE", StatusKind.BAD): ProtocolState.AUTHENTICATED,
    ("UNSELECT", StatusKind.OK): ProtocolState.AUTHENTICATED,
    ("IDLE", StatusKind.OK): ProtocolState.SELECTED,
    ("IDLE", StatusKind.NO): ProtocolState.SELECTED,
    ("IDLE", StatusKind.BAD): ProtocolState.SELECTED,
    ("LOGOUT", StatusKind.OK): ProtocolState.LOGOUT,
}
"""The state after a command's completion; pairs not listed change nothing. BYE leads to LOGOUT from every state."""

_FETCH = re.compile(rb"\* [0-9]{1,20} FETCH\b", re.IGNORECASE)

_CHANGES = {"FLAGS", "MODSEQ"}
"""The items that a server sends unsolicited about a changed message."""

NEWS = (Exists, Expunge, Vanished, Fetch, ListEntry, MailboxStatus)
"""The responses that count as news when they are unsolicited."""


class CommandRefused(EngineError):
    """The server answered a command with NO or BAD. `response` is its line, `code` its response code if it gave one."""

    fault = Fault.PROVIDER
    remedy = Remedy.GIVE_UP

    def __init__(self, response: str, code: str | None) -> None:
        super().__init__(response)
        self.response = response
        self.code = code


class Completion(msgspec.Struct, frozen=True):
    """The end of a command: its tagged response and the untagged ones that belong to it."""

    status: StatusResponse
    data: list[Untagged]

    @property
    def ok(self) -> bool:
        """Whether the command succeeded."""
        return self.status.kind is StatusKind.OK

    @property
    def code(self) -> str | None:
        """The name of the tagged response's code, if any."""
        return self.status.code.name if self.status.code else None

    @property
    def lowest_processed(self) -> int | None:
        """The lowest UID processed, if the server processed only the highest ones (RFC 9738); else None."""
        code = self.status.code
        return code.number(1) if code is not None and code.name == "MESSAGELIMIT" else None

    def refused(self) -> CommandRefused:
        """The error for a command that failed."""
        return CommandRefused(self.status.line, self.code)


class _Given:
    """A command that was started, and what has arrived of its answer."""

    def __init__(self, tag: str, command: Command) -> None:
        self.tag = tag
        self.command = command
        self.data: list[Untagged] = []
        self.completion: Completion | None = None

    def take_data(self) -> list[Untagged]:
        data, self.data = self.data, []
        return data


class Protocol:
    """One connection's machine. After every call that may produce output, send what `take_outgoing` returns."""

    def __init__(self, trace: Trace | None = None, secrets: Iterable[str] = ()) -> None:
        """`secrets` are masked in the server's texts, both those returned and those in `trace`."""
        self.state = ProtocolState.GREETING
        self.greeting: StatusResponse | None = None
        self.bye: StatusResponse | None = None
        self.capabilities: frozenset[str] | None = None
        """In upper case; None until the server lists them, and again after STARTTLS or a login, which void them."""
        self.enabled: frozenset[str] = frozenset()
        self.completion: Completion | None = None
        """How the last command ended; None while a command is in flight."""
        self._trace = trace
        self._masker = Masker(secrets)
        self._tokenizer = Tokenizer()
        self._tags = 0
        self._given: list[_Given] = []
        self._waiting: deque[list[Chunk]] = deque()
        self._rounds = 0
        self._renumbered = False
        self._before_login: frozenset[str] | None = None
        self._outgoing: list[Chunk] = []
        self._weight = 0
        self._news: list[Untagged] = []
        self._news_weight = 0

    @property
    def utf8(self) -> bool:
        """Whether mailbox names are sent as UTF-8 instead of modified UTF-7 (RFC 6855, RFC 9051)."""
        offered = self.capabilities or frozenset()
        only_rev2 = "IMAP4REV2" in offered and "IMAP4REV1" not in offered
        return only_rev2 or bool(self.enabled & {"UTF8=ACCEPT", "IMAP4REV2"})

    @property
    def news(self) -> tuple[Untagged, ...]:
        """The unsolicited responses since the last `take_news`, oldest first."""
        return tuple(self._news)

    def take_news(self) -> list[Untagged]:
        """Return `news` and empty it."""
        news, self._news = self._news, []
        self._news_weight = 0
        return news

    @property
    def missing(self) -> int:
        """How many octets of the current literal are still missing."""
        return self._tokenizer.missing

    @property
    def completions(self) -> list[Completion]:
        """How the commands that were started together ended, in the order in which they were given."""
        return [each.completion for each in self._given if each.completion is not None]

    @property
    def _command(self) -> Command | None:
        """The command in flight, the first of several."""
        return next((each.command for each in self._given if each.completion is None), None)

    @property
    def unsent(self) -> bool:
        """Whether a part of the command in flight waits for a continuation request."""
        return bool(self._waiting)

    def take_data(self) -> list[Untagged]:
        """Remove and return what has arrived of the current answer; the `completion` will contain the rest."""
        return self._given[0].take_data()

    def take_outgoing(self) -> list[Chunk]:
        """Remove and return the chunks to send now, in order."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def start(self, command: Command, unasked: int | None = None, behind: Sequence[Command] = ()) -> None:
        """Start a command. Raises `RuntimeError` if one is in flight or the state does not allow it.

        `unasked` is the most bytes of a literal to send without a continuation request; None: as the server offers.
        The commands `behind` it are sent at once and may be answered in any order; they must contain no literal and
        change no state.
        """
        if self._command is not None or any(self.state not in ALLOWED[each.name] for each in (command, *behind)):
            raise RuntimeError(f"{command.name} cannot be given now ({self.state})")
        unasked = unasked_limit(self.capabilities or ()) if unasked is None else unasked
        self.completion = None
        self._given = []
        self._weight = 0
        self._rounds = 0
        self._renumbered = False
        self._waiting = deque(self._give(command, unasked))
        self._outgoing += self._waiting.popleft()
        if command.name in _LOGINS:
            # The server may list the new ones before its tagged reply.
            self._before_login, self.capabilities = self.capabilities, None
        if command.name in _SELECTING:
            self.take_news()
        for each in behind:
            (chunks,) = self._give(each, unasked)
            self._outgoing += chunks

    def _give(self, command: Command, unasked: int) -> list[list[Chunk]]:
        self._tags += 1
        given = _Given(f"A{self._tags}", command)
        self._given.append(given)
        self._note_client(f"{given.tag} {command.name} {command.shown}".rstrip())
        return encode(command, given.tag, unasked)

    def done(self) -> None:
        """End IDLE, even if the server has not confirmed its beginning. Raises `RuntimeError` without an IDLE."""
        if self._command is None or self._command.name != "IDLE":
            raise RuntimeError(f"DONE cannot be said now ({self.state})")
        self._outgoing.append(b"DONE\r\n")
        self._note_client("DONE")

    def receive(self, data: bytes) -> None:
        """Take bytes from the server. Raises `ProtocolError`."""
        self._tokenizer.feed(data)
        while (frame := self._tokenizer.next_frame()) is not None:
            if frame.line:
                response = parse(frame)
                if isinstance(response, StatusResponse):
                    response = self._masked(response)
                self._note_server(frame, response)
                cost = weight(frame, response)
            else:
                # Some servers add an empty line after a literal.
                response, cost = None, frame.weight
            self._weight += cost
            if self._weight > limits.COLLECTED_WEIGHT:
                raise ProtocolError("The server sent more than it may send in answer to one command")
            if response is not None:
                self._take(response, cost)

    def _take(self, response: Response, cost: int) -> None:
        if self.state is ProtocolState.GREETING:
            self._greet(response)
        elif isinstance(response, Continuation):
            self._continue(response.text)
        elif isinstance(response, StatusResponse) and response.tag is not None:
            self._complete(response)
        else:
            self._take_untagged(response, cost)

    def _greet(self, response: Response) -> None:
        if not _greets(response):
            raise ProtocolError("The server's greeting is not that of an IMAP server")
        self.greeting = response
        self.state = GREETED[response.kind]
        if self.state is ProtocolState.LOGOUT:
            self.bye = response
        self._learn(response)

    def _take_untagged(self, response: Untagged, cost: int) -> None:
        if isinstance(response, Capability):
            self._know(response.names)
        elif isinstance(response, Enabled):
            if self._command is not None and self._command.name == "ENABLE":
                self.enabled |= response.names
        elif isinstance(response, StatusResponse):
            self._learn(response)
            if response.kind is StatusKind.BYE:
                self.bye = response
                self.state = ProtocolState.LOGOUT
        elif isinstance(response, (Expunge, Vanished)):
            self._renumbered = True
        owner = next((each for each in self._given if each.completion is None and self._belongs(each, response)), None)
        if owner is not None:
            owner.data.append(response)
        elif isinstance(response, NEWS) and not (self._command and self._command.name in _SELECTING):
            # While a mailbox is being selected, responses outside the answer concern the previous one.
            self._news_weight += cost
            if self._news_weight > limits.COLLECTED_WEIGHT:
                raise ProtocolError("The server sent more updates than the engine can keep")
            self._news.append(response)

    def _belongs(self, given: _Given, response: Untagged) -> bool:
        """Whether `response` is part of the answer to a command in flight."""
        command = given.command
        if isinstance(response, Fetch) and command.name.startswith("UID ") and "UID" not in response.items:
            # Another client changed a flag in the meantime, or the server spreads a message over several responses.
            spread = not self._renumbered and not response.items.keys() <= _CHANGES
            return spread and isinstance(response, command.takes)
        if command.name in _SELECTING and isinstance(response, StatusResponse) and _is(response, "CLOSED"):
            given.data = []  # earlier data was about the mailbox that is now closed
        return isinstance(response, command.takes)

    def _learn(self, response: StatusResponse) -> None:
        code = response.code
        if code is not None and code.name == "CAPABILITY":
            self._know(capability_names(code.arguments))

    def _know(self, names: frozenset[str]) -> None:
        # Every list must name the version of IMAP (RFC 9051 section 7.2.2); one without it is damaged.
        if self.capabilities is None or any(name.startswith("IMAP4") for name in names):
            self.capabilities = names

    def _continue(self, text: bytes) -> None:
        command = self._command
        if command is None:
            return
        if self._waiting:
            self._outgoing += self._waiting.popleft()
        elif command.mechanism is not None:
            self._answer(command, command.mechanism, text)
        elif command.name == "IDLE" and self.state is ProtocolState.SELECTED:
            self.state = ProtocolState.IDLING

    def _answer(self, command: Command, mechanism: Mechanism, text: bytes) -> None:
        self._rounds += 1
        if self._rounds > limits.AUTHENTICATE_ROUNDS:
            raise ProtocolError(f"The server asked more than {limits.AUTHENTICATE_ROUNDS} questions in one login")
        first = self._rounds == 1
        if first and command.initial is not None and (not text or not command.at_once):
            response: bytes | None = command.initial
        else:
            try:
                response = mechanism.respond(_decoded(text))
            except ValueError:
                response = command.initial if first and command.at_once else None
        # "*" cancels this mechanism (RFC 9051 section 6.2.2); the server's refusal follows.
        encoded = b"*" if response is None else binascii.b2a_base64(response, newline=False)
        self._outgoing.append(encoded + b"\r\n")
        self._note_client("*" if response is None else SECRET)

    def _complete(self, status: StatusResponse) -> None:
        tag = (status.tag or "").upper()
        given = next((each for each in self._given if each.tag == tag and each.completion is None), None)
        if given is None:
            return
        command = given.command
        if status.kind not in (StatusKind.OK, StatusKind.NO):
            status = msgspec.structs.replace(status, kind=StatusKind.BAD)
        ok = status.kind is StatusKind.OK
        if ok and self._waiting:
            raise ProtocolError(f"The server answered {command.name} before it was complete")
        if ok and command.name == "COMPRESS" and not self._tokenizer.empty:
            raise ProtocolError("The server sent uncompressed text after its reply to COMPRESS")
        if ok and command.name == "STARTTLS":
            if not self._tokenizer.empty:
                raise ProtocolError("The server sent data after its reply to STARTTLS, which may have been injected")
            self.capabilities = None
            self.take_news()
        else:
            self._learn(status)
        if not ok and command.name in _LOGINS and self.capabilities is None:
            self.capabilities = self._before_login
        if self.state is not ProtocolState.LOGOUT:
            self.state = COMPLETED.get((command.name, status.kind), self.state)
        self._waiting.clear()  # a refused message need not stay in memory
        given.completion = Completion(status, given.take_data())
        if self._command is None:
            self.completion = given.completion

    def _note_client(self, text: str) -> None:
        if self._trace is not None:
            self._trace.client(text)

    def _masked(self, response: StatusResponse) -> StatusResponse:
        line = self._masker.mask(response.line)
        if line == response.line:
            return response
        return msgspec.structs.replace(response, line=line, text=self._masker.mask(response.text))

    def _note_server(self, frame: Frame, response: Response) -> None:
        if self._trace is None:
            return
        if self.state is ProtocolState.GREETING and not _greets(response):
            # Do not show it: it could reveal an internal service's banner to the reader of the log.
            self._trace.server(f"[{len(frame.line)} bytes that are no IMAP greeting]")
            return
        fetch = _FETCH.match(frame.line)
        if fetch is not None:
            self._trace.server(f"{plain_text(fetch[0])} [{frame.size} bytes]")
        elif frame.line.startswith(b"+") and self._command is not None and self._command.mechanism is not None:
            self._trace.server(f"+ [{len(frame.line) - 1} bytes]")
        else:
            self._trace.server(self._masker.mask(plain_text(frame.line)))


def _greets(response: Response) -> TypeGuard[StatusResponse]:
    return isinstance(response, StatusResponse) and response.tag is None and response.kind in GREETED


def _decoded(challenge: bytes) -> bytes:
    """A challenge decoded from base64, or unchanged: some servers prompt unencoded."""
    try:
        return binascii.a2b_base64(challenge, strict_mode=True)
    except ValueError:
        return challenge


def _is(response: StatusResponse, code: str) -> bool:
    return response.code is not None and response.code.name == code
