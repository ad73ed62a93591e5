"""One IMAP connection: dialling, STARTTLS, login, IDLE, time limits, LOGOUT; the verbs are in `session`.

It promises what `dialogue` does, and that no unsolicited response is lost (`pending`, and what `idle` returns). If a
server refuses an extension that it offers, the connection works without it and remembers that (`refusals`). It never
falls back from TLS to clear text. It reconnects only within one login; otherwise that is left to the account.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

import trio

from engine import sasl
from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.imap import commands
from engine.imap.commands import Command
from engine.imap.dialogue import COMMAND_SECONDS, Dialogue
from engine.imap.logins import DIALS, TEMPORARY_CODES, ImapLogin
from engine.imap.protocol import Completion, Protocol, ProtocolState
from engine.imap.refusals import Refusals, Server, steady
from engine.imap.responses import Id, Untagged
from engine.imap.selection import Selected
from engine.imap.wake import Wake
from engine.transcript import Trace
from engine.transport import Endpoint, Transport
from engine.world import Dial

log = logging.getLogger("engine.imap")

CONNECT_SECONDS = 30.0
GO_AHEAD_SECONDS = 20.0
"""How long a server may take to begin IDLE, or to end one that it never confirmed."""
LOGOUT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
"""How long a server may be silent after DONE or NOOP, by which we check that it is still there."""
POLL_SECONDS = 60.0

_NOT_THE_FORM = TEMPORARY_CODES | {"NONEXISTENT", "TRYCREATE", "NOPERM", "AUTHORIZATIONFAILED"}
"""Codes of a refusal that another form of the same command would meet too."""

_FILES_SENT = (".office365.com", ".outlook.com")


class ImapEndpoint(Endpoint, frozen=True):
    """An IMAP server and how to log in there. `imap4rev2`: whether that may be used (RFC 9051)."""

    credentials: sasl.Credentials
    imap4rev2: bool = True


class ImapConnection(Dialogue):
    """A connection that is logged in. Made by `connect`."""

    def __init__(self, endpoint: ImapEndpoint, transport: Transport, protocol: Protocol, refusals: Refusals) -> None:
        super().__init__(transport, protocol)
        self.selected: str | None = None
        """The path of the selected mailbox."""
        self.selection: Selected | None = None
        """What the server said about it."""
        self.selected_at = -math.inf
        """When it was selected, by Trio's clock."""
        self.server_id: dict[str, str | None] = {}
        """How the server identifies itself (ID, RFC 2971)."""
        self.quiet = 0.0
        """Seconds for which the server was silent in the last `idle`, until we used the connection or it ended."""
        self._endpoint = endpoint
        self._refusals = refusals
        self._said = ""
        self._names: dict[str, bytes] = {}
        self._idles = True

    @classmethod
    async def connect(
        cls,
        endpoint: ImapEndpoint,
        *,
        dial: Dial,
        trace: Trace | None = None,
        client_id: Mapping[str, str],
        nonce: str | None = None,
        refusals: Refusals | None = None,
    ) -> Self:
        """Dial, use STARTTLS if offered, log in, exchange ID.

        `client_id` are our ID fields; `nonce` is for SCRAM (`sasl.mechanisms`); `refusals` is the account's memory of
        its servers. If a server hangs up on one way to log in, it is dialled again for the next (`logins`). Raises
        `NetworkError`, `ProtocolError` or `LoginRefused`. Cancelled or failed: nothing stays open.
        """
        refusals = Refusals() if refusals is None else refusals
        login = ImapLogin(endpoint.credentials, nonce, refusals)
        dials = 0
        while True:
            dials += 1
            transport = await Transport.open(
                dial,
                endpoint.host,
                endpoint.port,
                secure=endpoint.secure,
                tls=endpoint.tls,
                timeout=CONNECT_SECONDS,
            )
            transport.notice_silence()
            session = cls(endpoint, transport, Protocol(trace, endpoint.credentials.secrets), refusals)
            try:
                await session._greet()
                await session._secure()
                if await session._log_in(login, last=dials == DIALS):
                    await session._identify(client_id)
                    return session
            except BaseException:
                await session.close()
                raise
            await session.close()

    @property
    def capabilities(self) -> frozenset[str]:
        """The server's capabilities in upper case: those that it offers and is not known to refuse."""
        usable = self._refusals.usable(self._server)
        return usable if self._endpoint.imap4rev2 else usable - {"IMAP4REV2"}

    @property
    def tls_version(self) -> str | None:
        """Such as `TLSv1.3`; None in clear text."""
        return self._transport.tls_version

    @property
    def files_sent_itself(self) -> bool:
        """Whether the provider itself files copies of mail sent through it, as Gmail and Outlook do."""
        return "X-GM-EXT-1" in self.capabilities or f".{self._endpoint.host.lower()}".endswith(_FILES_SENT)

    @property
    def pending(self) -> tuple[Untagged, ...]:
        """The unsolicited responses that `idle` has not returned yet, oldest first."""
        return self._protocol.news

    async def compress(self) -> bool:
        """Compress both directions if the server can (RFC 4978); return whether it is done. Raises `NetworkError`."""
        if "COMPRESS=DEFLATE" not in self.capabilities:
            return False
        with self._leaning_on("COMPRESS=DEFLATE"):
            completion = await self._run(commands.compress())
            if completion.ok:
                self._transport.compress()
                await self._run(commands.noop())  # check that the server really deflates
        return self._taken("COMPRESS=DEFLATE", completion)

    def share_names(self, names: dict[str, bytes]) -> None:
        """Share the map from paths to names on the wire with other sessions of the account."""
        self._names = names

    def take_pending(self) -> list[Untagged]:
        """Return `pending` and empty it."""
        return self._protocol.take_news()

    async def noop(self) -> None:
        """Ask the server for news, which goes into `pending`. Raises `CommandRefused`, `NetworkError`."""
        await self._require(commands.noop())

    async def look(self) -> None:
        """`noop`, if the session may not know the present flags.

        RFC 3501 lets a session show flags as they were when it last looked for news, and Courier's sessions put their
        keywords over those that another has set meanwhile. With CONDSTORE (RFC 7162), a server knows what is new.
        """
        if "CONDSTORE" not in self.capabilities:
            await self.noop()

    async def idle(self, wake: Wake, limit: float, heartbeat: float = math.inf) -> list[Untagged]:
        """Wait until the server has news of the selected mailbox, `wake` is set, or `limit` seconds have passed.

        Returns the news, perhaps none; what is pending is returned at once. `limit` should be below the server's own
        timeout (29 minutes by RFC 2177, 10 at some providers). After `heartbeat` silent seconds IDLE is ended and
        started again, which a live server answers. A server without IDLE is polled once a minute. Raises `NetworkError`
        if the connection ends, or the server stays silent or says BYE, and `ProtocolError`.
        """
        until = trio.current_time() + limit
        with self._breaking():
            while not self._protocol.news and not wake.is_set() and trio.current_time() < until:
                self._check_bye()
                await self._read_due(ANSWER_SECONDS)
                if self._idles and "IDLE" in self.capabilities:
                    await self._idle(wake, until, heartbeat)
                else:
                    await self._poll(wake, min(until, trio.current_time() + heartbeat))
            return self._protocol.take_news()

    async def logout(self) -> None:
        """Send LOGOUT, wait at most five seconds for the reply, close. Raises nothing but `Cancelled`."""
        try:
            if self.usable:
                await self._run(commands.logout(), LOGOUT_SECONDS)
        except (NetworkError, ProtocolError):
            pass
        finally:
            await self.close()

    async def _greet(self) -> None:
        protocol = self._protocol
        deadline = trio.current_time() + CONNECT_SECONDS
        while protocol.greeting is None:
            await self._receive(deadline)
        if protocol.bye is not None:
            raise self._end()
        self._said = steady(protocol.greeting.text)

    async def _secure(self) -> None:
        """Use STARTTLS if the server offers it; raise `ProtocolError` if it is required and not offered."""
        if self._endpoint.secure:
            return
        await self._learn_capabilities()
        if self._protocol.state is ProtocolState.NOT_AUTHENTICATED and "STARTTLS" in self.capabilities:
            completion = await self._run(commands.start_tls())
            if not completion.ok:
                raise NetworkError(NetworkKind.TLS, "ETLS", f"STARTTLS refused: {completion.status.line}")
            await self._transport.start_tls(CONNECT_SECONDS)
        elif self._endpoint.tls.required:
            raise NetworkError(NetworkKind.TLS, "ETLS", f"{self._endpoint.host} does not offer STARTTLS")

    async def _log_in(self, login: ImapLogin, *, last: bool) -> bool:
        """Log in; False if the server hung up and another way is left.

        On the `last` connection a hang-up is an error.
        """
        refused = False
        while self._protocol.state is ProtocolState.NOT_AUTHENTICATED:
            await self._learn_capabilities()
            server = self._server
            way = login.next(server)
            try:
                completion = await self._run(way.command)
            except NetworkError as error:
                if error.kind is not NetworkKind.CLOSED or self._protocol.bye is not None:
                    raise
                if last or not (refused or login.cut(server, way)):
                    raise login.error or error from error
                return False
            if completion.ok:
                login.accepted(server, way)
                break
            login.refused(server, way, completion.status)
            refused = True
            if not self.usable:
                login.next(server)
                if last and login.error is not None:
                    raise login.error
                return False
        await self._learn_capabilities()
        return True

    async def _identify(self, client_id: Mapping[str, str]) -> None:
        if "ID" not in self.capabilities:
            return
        completion = await self._try("ID", commands.identify(client_id))
        for response in completion.data:
            if isinstance(response, Id):
                self.server_id = response.fields

    async def _learn_capabilities(self) -> None:
        if self._protocol.capabilities is None:
            await self._run(commands.capability())

    @property
    def _server(self) -> Server:
        return self._said, self._protocol.capabilities or frozenset()

    @contextmanager
    def _leaning_on(self, extension: str) -> Iterator[None]:
        """If the connection ends inside the block, note that `extension` may have caused it."""
        server = self._server
        try:
            yield
        except (NetworkError, ProtocolError):
            self._refusals.cut(server, extension)
            raise

    def _taken(self, extension: str, completion: Completion) -> bool:
        """Whether a command that uses `extension` succeeded; remembered, unless the refusal is temporary."""
        if completion.ok:
            self._refusals.worked(self._server, extension)
        elif completion.code not in TEMPORARY_CODES:
            self._refusals.refused(self._server, extension)
        return completion.ok

    async def _try(self, extension: str, command: Command) -> Completion:
        """Send an optional command; if the server refuses it, it is not sent again."""
        with self._leaning_on(extension):
            completion = await self._run(command)
        self._taken(extension, completion)
        return completion

    async def _first_taken(
        self, forms: Sequence[tuple[str | None, Command]], timeout: float = COMMAND_SECONDS
    ) -> tuple[str | None, Completion]:
        """Send several forms of one command until the server accepts one; return that form's extension.

        Each form uses the extension named with it, the last one none. The extensions of the forms before the accepted
        one are remembered as refused. Raises `CommandRefused` if the server accepts none, or gives a reason that
        applies to every form.
        """
        refused: list[str] = []
        for extension, command in forms:
            if extension is None:
                completion = await self._require(command, timeout)
                break
            with self._leaning_on(extension):
                completion = await self._run(command, timeout)
            if completion.ok:
                self._refusals.worked(self._server, extension)
                break
            if completion.code in _NOT_THE_FORM:
                raise completion.refused()
            refused.append(extension)
        for name in refused:
            self._refusals.refused(self._server, name)
        return extension, completion

    async def _idle(self, wake: Wake, until: float, heartbeat: float) -> None:
        protocol = self._protocol
        with self._leaning_on("IDLE"):
            protocol.start(commands.idle())
            await self._send_due(trio.current_time() + COMMAND_SECONDS)
            go_ahead = trio.current_time() + GO_AHEAD_SECONDS
            while protocol.state is ProtocolState.SELECTED and protocol.completion is None:
                if not await self._receive_or_wake(Wake(), go_ahead):
                    break
        if protocol.completion is not None:
            # The server refused IDLE or ended it of its own accord: repeating it at once would only loop.
            self._idles = False
            if not protocol.completion.ok:
                self._taken("IDLE", protocol.completion)
            return
        if protocol.state is ProtocolState.SELECTED:
            if not self._refusals.has_worked(self._server, "IDLE"):
                log.warning("%s: the server does not start IDLE, so the engine polls it instead", self._endpoint.host)
                self._refusals.refused(self._server, "IDLE")
            protocol.done()
            await self._finish(trio.current_time() + GO_AHEAD_SECONDS)
            return
        self._refusals.worked(self._server, "IDLE")
        with self._measuring_quiet():
            while protocol.state is ProtocolState.IDLING and not protocol.news:
                if not await self._receive_or_wake(wake, min(until, self._heard + heartbeat)):
                    break
        if protocol.state is ProtocolState.IDLING:
            protocol.done()
            await self._be_answered()
        else:
            self._idles = False
        self.quiet = 0.0

    async def _poll(self, wake: Wake, until: float) -> None:
        pause = min(until, trio.current_time() + POLL_SECONDS)
        with self._measuring_quiet():
            while not self._protocol.news and await self._receive_or_wake(wake, pause):
                self._check_bye()
        if not self._protocol.news and not wake.is_set():
            self._protocol.start(commands.noop())
            await self._be_answered()
        self.quiet = 0.0

    @contextmanager
    def _measuring_quiet(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.quiet = trio.current_time() - self._heard

    async def _be_answered(self) -> None:
        """Finish a command that costs the server nothing, so that a live server begins to answer soon."""
        until = trio.current_time() + COMMAND_SECONDS
        while self._protocol.completion is None:
            await self._exchange(min(until, trio.current_time() + ANSWER_SECONDS))
