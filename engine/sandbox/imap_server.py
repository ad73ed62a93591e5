"""One IMAP4rev1 connection of the sandbox, server side (RFC 3501), worded like Dovecot.

It handles logins (LOGIN, AUTHENTICATE with SASL-IR), literals and IDLE (RFC 2177), and passes everything else to the
commands in `imap_folders` and `imap_messages`. It reports changes of the selected folder after each command, and at
once during IDLE. It disconnects clients that send nonsense or too much. Cancelled: it sends BYE, unless in the middle
of a response, and the connection ends.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, TypeVar

import trio

from engine import sasl_server as login
from engine.deflate import DeflateStream
from engine.errors import ProtocolError
from engine.sandbox import imap_folders, imap_messages
from engine.sandbox.accounts import SandboxRefusal
from engine.sandbox.faults import HANG_UP, SILENCE, Faults
from engine.sandbox.imap_folders import check_append
from engine.sandbox.imap_input import ImapInput, ReceivedCommand, ReceivedLiteral, Syntax, Token, text, tokens
from engine.sandbox.imap_state import (
    CAPABILITIES,
    PRELOGIN_CAPABILITIES,
    ImapState,
    arguments,
    line,
)
from engine.sandbox.post_office import PostOffice, account_name
from engine.sandbox.rehearsal import Rehearsal
from engine.sandbox.script import ScriptedFault, ScriptStep, Server, Stage
from engine.sandbox.streams import MemoryStream

GOODBYE_SECONDS: Final = 1.0
MAX_NONSENSE: Final = 20
"""Consecutive invalid commands after which the server hangs up."""
MAX_STRANGERS_NONSENSE: Final = 3
"""The same before login."""
WRITE_SIZE: Final = 65_536

_START = re.compile(rb"([^ (){%*\"\\+\x00-\x1f\x7f-\xff]+)(?: (UID )?([A-Z]+))?(?: |$)", re.IGNORECASE)
_KEEP_NUMBERS = ("FETCH", "STORE", "SEARCH")
"""Commands during which sequence numbers must not change (RFC 3501 section 7.4.1)."""
_LOOKS = ("NOOP", "CHECK", "IDLE")
"""Commands for which a session looks for changes that it does not see otherwise (`Faults.imap_remembers_flags`)."""
_NEEDS = {
    "COMPRESS": "COMPRESS=DEFLATE",
    "ENABLE": "ENABLE",
    "ID": "ID",
    "IDLE": "IDLE",
    "MOVE": "MOVE",
    "NAMESPACE": "NAMESPACE",
    "UID EXPUNGE": "UIDPLUS",
    "UID MOVE": "MOVE",
    "UNSELECT": "UNSELECT",
}
"""The capability that a command belongs to."""
T = TypeVar("T")


class _Over(Exception):
    """The connection is to be closed."""


class ImapServerConnection:
    """`run` it once. `stream` is closed by its owner."""

    def __init__(self, stream: MemoryStream, post: PostOffice, faults: Faults, rehearsal: Rehearsal) -> None:
        self._stream: trio.abc.Stream = stream
        self._client = stream
        self._rehearsal = rehearsal
        self._post = post
        self._faults = faults
        self._input = ImapInput()
        self._state = ImapState(post, faults, self._wake)
        self._changed = False
        self._idling = trio.CancelScope()
        self._heard = trio.current_time()
        self._nonsense = 0
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
                    await self._stream.send_all(b"* BYE Server shutting down.\r\n")
            raise
        finally:
            self._state.leave()

    async def _converse(self) -> None:
        await self._flush()
        if (step := await self._rehearsal.take(Server.IMAP, Stage.GREETING)) is not None:
            await self._act(step)
        greeting = self._faults.imap_greeting
        if greeting is None:
            self._state.say(f"OK [CAPABILITY {self._capabilities()}] Sandbox ready.")
        else:
            await self._stream.send_all(greeting)
            if greeting.upper().startswith(b"* BYE"):
                return
            if greeting.upper().startswith(b"* PREAUTH"):
                self._welcome(account_name("preauth"))
        while True:
            await self._perform(await self._command())

    async def _perform(self, parts: tuple[bytes, ...]) -> None:
        start = _START.match(parts[0])
        if start is None or start[3] is None:
            await self._nonsensical("*" if start is None else start[1].decode(), "received by server.")
            return
        tag = start[1].decode()
        name = (start[2] or b"").decode().upper() + start[3].decode().upper()
        if self._faults.imap_script is not None:
            said = self._faults.imap_script(tag, name, b" ".join(parts))
            if said is not None:
                await self._say_instead(said)
                return
        try:
            done = await self._answer(tag, name, tokens((parts[0][start.end() :], *parts[1:])))
            if done is not None:
                self._nonsense = 0
                await self._finish(tag, name, f"OK {done}")
        except Syntax as error:
            await self._finish(tag, name, f"BAD Error in IMAP command {name}: {error}")
        except SandboxRefusal as error:
            await self._finish(tag, name, f"NO {f'[{error.code}] ' if error.code else ''}{error.text}")

    async def _say_instead(self, said: bytes) -> None:
        if said == HANG_UP:
            raise _Over
        if said == SILENCE:
            await self._be_silent()
        await self._stream.send_all(said)

    async def _be_silent(self) -> NoReturn:
        self._may_speak = False
        while await self._stream.receive_some():
            pass
        raise _Over

    async def _answer(self, tag: str, name: str, given: list[Token]) -> str | None:
        """The text of the command's OK; None if it has already been answered."""
        state = self._state
        state.tag = tag
        in_folder = name in imap_messages.COMMANDS
        if _NEEDS.get(name) not in self._faults.imap_capabilities_drop:
            if name in _DIALOGUES and (state.user is None, name) not in _WRONG_TIME:
                return await _DIALOGUES[name](self, tag, given)
            if state.user is not None and in_folder and state.view is None:
                await self._finish(tag, name, "BAD No mailbox selected")
                return None
            if state.user is not None and name in _COMMANDS:
                return _COMMANDS[name](state, given)
        what = f"{name}: Unknown command" if state.user is not None else "received by server."
        await self._nonsensical(tag, what)
        return None

    # The commands that are a dialogue, or concern the connection

    async def _capability(self, tag: str, given: list[Token]) -> str:
        self._state.say(f"CAPABILITY {self._capabilities()}")
        return "Capability completed."

    async def _noop(self, tag: str, given: list[Token]) -> str:
        return "NOOP completed."

    async def _id(self, tag: str, given: list[Token]) -> str:
        arguments(given, 1)
        self._state.say('ID ("name" "Sandbox")')
        return "ID completed."

    async def _logout(self, tag: str, given: list[Token]) -> None:
        self._state.say("BYE Logging out")
        self._say(f"{tag} OK Logout completed.")
        await self._close()

    async def _login(self, tag: str, given: list[Token]) -> str:
        user, password = (text(token) for token in arguments(given, 2))
        return await self._let_in(user if self._post.may_login(user, password) else None)

    async def _authenticate(self, tag: str, given: list[Token]) -> str | None:
        mechanism = text(arguments(given, 1, 2)[0]).upper()
        if not self._state.offers(f"AUTH={mechanism}") or f"AUTH={mechanism}" not in PRELOGIN_CAPABILITIES:
            raise SandboxRefusal("Unsupported authentication mechanism.", "ALERT")
        if len(given) == 2 and not self._state.offers("SASL-IR"):
            raise Syntax("Initial response not supported")
        if mechanism in login.KNOWING:
            exchange = login.knowing_exchange(mechanism, self._post.password, self._post.nonce())
        else:
            exchange = login.exchange(mechanism, self._post.may_login, self._post.may_use)
        challenge = next(exchange)
        response = text(given[1]).encode("utf-8", "surrogateescape") if len(given) == 2 else None
        try:
            while True:
                if response is None:
                    self._say("+ " + base64.b64encode(challenge).decode())
                    response = await self._line()
                    if response == b"*":
                        self._say(f"{tag} BAD Authentication aborted by client.")
                        return None
                challenge = exchange.send(login.decode(response))
                response = None
        except StopIteration as end:
            return await self._let_in(end.value)
        except ValueError as error:
            await self._finish(tag, "AUTHENTICATE", f"BAD {error}")
            return None

    async def _compress(self, tag: str, given: list[Token]) -> str | None:
        if text(arguments(given, 1)[0]).upper() != "DEFLATE":
            raise SandboxRefusal("Unknown compression mechanism.")
        if isinstance(self._stream, DeflateStream):
            raise SandboxRefusal("COMPRESSION already enabled.", "COMPRESSIONACTIVE")
        await self._finish(tag, "COMPRESS", "OK Begin compression.")
        await self._flush()
        self._stream = DeflateStream(self._stream)
        return None

    async def _idle(self, tag: str, given: list[Token]) -> str | None:
        arguments(given, 0)
        self._say("+ idling")
        word = None
        self._changed = True
        while word is None:
            while self._changed:
                self._changed = False
                await self._update("IDLE")
                await self._flush()
            with trio.CancelScope() as self._idling:
                word = await self._line()
        if word.upper() == b"DONE":
            return "Idle completed."
        await self._finish(tag, "IDLE", "BAD Expected DONE")
        return None

    # Their parts

    def _capabilities(self) -> str:
        known = PRELOGIN_CAPABILITIES if self._state.user is None else CAPABILITIES
        return " ".join(capability for capability in known if self._state.offers(capability))

    async def _let_in(self, user: str | None) -> str:
        if (step := await self._rehearsal.take(Server.IMAP, Stage.LOGIN)) is not None:
            await self._act(step)
        if user is not None and account_name(user) in self._faults.login_later:
            raise SandboxRefusal("Temporary authentication failure.", "UNAVAILABLE")
        if user is None or account_name(user) in self._faults.reject_login:
            raise SandboxRefusal("Authentication failed.", "AUTHENTICATIONFAILED")
        self._welcome(account_name(user))
        return f"[CAPABILITY {self._capabilities()}] Logged in"

    async def _act(self, step: ScriptStep) -> NoReturn:
        if step.reply is not None:
            raise SandboxRefusal(step.reply.removeprefix("NO "))
        if step.fault is ScriptedFault.SILENCE:
            self._may_speak = False
            await self._rehearsal.be_silent(self._client)
        raise _Over

    def _welcome(self, user: str) -> None:
        self._state.user = user
        self._input.append_limit = self._post.limits.message_bytes

    def _wake(self) -> None:
        self._changed = True
        self._idling.cancel()

    async def _nonsensical(self, tag: str, what: str) -> None:
        self._nonsense += 1
        if self._nonsense >= (MAX_NONSENSE if self._state.user is not None else MAX_STRANGERS_NONSENSE):
            self._state.say("BYE Too many invalid IMAP commands.")
            await self._close()
        await self._finish(tag, "", f"BAD Error in IMAP command {what}")

    async def _finish(self, tag: str, name: str, answer: str) -> None:
        await self._update(name)
        stop = "" if answer.startswith("OK ") or answer.endswith(".") else "."
        self._say(f"{tag} {answer}{stop}")

    async def _update(self, name: str) -> None:
        view = self._state.view
        if view is None:
            return
        if view.stale:
            self._state.say("BYE IMAP session state is inconsistent, please relogin.")
            await self._close()
        if self._faults.imap_remembers_flags and name not in _LOOKS:
            return
        for response in view.updates(expunges=name not in _KEEP_NUMBERS, with_uid=name.startswith("UID ")):
            self._state.say(response)
        if self._faults.imap_remembers_flags:
            view.remember()

    async def _ask_leave(self, literal: ReceivedLiteral) -> None:
        """Let the client send its literal, or answer the command here and now."""
        tag, _, rest = literal.start[0].partition(b" ")
        answer = None
        if self._input.too_large(literal):
            answer = "NO [TOOBIG] Literal too large"
        elif self._state.user is not None and rest[:7].upper() == b"APPEND ":
            try:
                check_append(self._state, tokens((rest[7:], *literal.start[1:])))
            except SandboxRefusal as error:
                answer = f"NO [{error.code}] {error.text}"
            except Syntax as error:
                answer = f"BAD Error in IMAP command APPEND: {error}"
        if answer is None:
            self._say("+ OK")
        else:
            self._input.refuse()
            await self._finish(tag.decode("ascii", "replace"), "APPEND", answer)

    # The wire

    def _say(self, response: str) -> None:
        self._state.out.append(line(response))

    async def _flush(self) -> None:
        out = self._state.out
        if self._faults.hang_imap:
            await self._be_silent()
        if self._faults.imap_rewrite is not None:
            out[:] = filter(None, map(self._faults.imap_rewrite, out))
        while out:
            # A fetched message is one entry and may be large; the rest is combined into few writes.
            size = 0
            count = 0
            while count < len(out) and size < WRITE_SIZE:
                size += len(out[count])
                count += 1
            data = b"".join(out[:count])
            del out[:count]
            self._may_speak = False
            await self._stream.send_all(data)
            self._may_speak = True

    async def _command(self) -> tuple[bytes, ...]:
        while True:
            item: ReceivedCommand | ReceivedLiteral = await self._next(self._input.command)
            if isinstance(item, ReceivedCommand):
                return item.parts
            await self._ask_leave(item)

    async def _line(self) -> bytes:
        return await self._next(self._input.line)

    async def _next(self, take: Callable[[], T | None]) -> T:
        while True:
            try:
                item = take()
            except ProtocolError as error:
                self._state.say(f"BYE {error}")
                await self._close()
            if item is not None:
                return item
            await self._receive()

    async def _receive(self) -> None:
        await self._flush()
        with trio.move_on_at(self._heard + self._faults.imap_timeout):
            data = await self._stream.receive_some()
            if not data:
                raise _Over
            self._heard = trio.current_time()
            self._input.feed(bytes(data))
            return
        self._state.say("BYE Disconnected for inactivity.")
        await self._close()

    async def _close(self) -> NoReturn:
        """Send the pending responses, then end the connection."""
        await self._flush()
        raise _Over


_COMMANDS: Final = imap_folders.COMMANDS | imap_messages.COMMANDS | imap_messages.SELECTING
_DIALOGUES: Final[dict[str, Callable[[ImapServerConnection, str, list[Token]], Awaitable[str | None]]]] = {
    "AUTHENTICATE": ImapServerConnection._authenticate,
    "CAPABILITY": ImapServerConnection._capability,
    "COMPRESS": ImapServerConnection._compress,
    "ID": ImapServerConnection._id,
    "IDLE": ImapServerConnection._idle,
    "LOGIN": ImapServerConnection._login,
    "LOGOUT": ImapServerConnection._logout,
    "NOOP": ImapServerConnection._noop,
}
_WRONG_TIME: Final = {(True, "COMPRESS"), (True, "IDLE"), (False, "AUTHENTICATE"), (False, "LOGIN")}
"""Dialogues that do not exist before login (True) or after it (False)."""
