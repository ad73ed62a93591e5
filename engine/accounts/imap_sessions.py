"""Opens, counts and closes the IMAP sessions of one account, all in the same way.

Each is set up with a login slot of its host (`login_slots`). All sessions of one registration share what is known about
the server (`Refusals`, the names of mailboxes), the protocol log, and the rules for dialling.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from engine.accounts.access_tokens import AccessTokens
from engine.accounts.login_slots import LoginSlots
from engine.accounts.protocol_log import ConnectionLines, ProtocolLog
from engine.accounts.status import Status
from engine.errors import NetworkError
from engine.imap.refusals import Refusals
from engine.imap.session import ImapEndpoint, ImapSession
from engine.proxies.proxy import Proxy
from engine.silent_hosts import Hosts
from engine.world import Dial, World

NONCE_BYTES = 18
LEAVE_SECONDS = 2.0


class Connector:
    """Sets up connections, and notes addresses that accept a connection and then stay silent."""

    def __init__(
        self,
        gate: LoginSlots,
        hosts: Hosts,
        world: World,
        client_id: Callable[[], dict[str, str]],
        as_set: Callable[[ImapEndpoint], ImapEndpoint],
    ) -> None:
        self._gate = gate
        self._hosts = hosts
        self._world = world
        self._client_id = client_id
        self._as_set = as_set

    async def connect(
        self,
        endpoint: ImapEndpoint,
        dial: Dial,
        *,
        log: ConnectionLines | None = None,
        refusals: Refusals | None = None,
        proxy: Proxy | None = None,
    ) -> ImapSession:
        """Wait for a slot, dial and log in; `proxy` is the one that `dial` uses.

        Raises `NetworkError`, `ProtocolError`, `LoginRefused`. Cancelled or failed: nothing stays open.
        """
        async with self._gate.at(endpoint.host, endpoint.port, None if proxy is None else proxy.at):
            if log is not None:
                through = "" if proxy is None else f" through {proxy.place}"
                log.note(f"connecting to {endpoint.host}:{endpoint.port}{through}")
            try:
                return await ImapSession.connect(
                    self._as_set(endpoint),
                    dial=dial,
                    trace=log,
                    client_id=self._client_id(),
                    nonce=self._world.token_bytes(NONCE_BYTES).hex(),
                    refusals=refusals,
                )
            except NetworkError as error:
                self._hosts.note_mute(error.mute)
                raise


class Sessions:
    """The sessions of one account by its current registration. `compress`: compress them if the server can.

    `proxy` is the one that `dial` uses. `tokens`: what is logged in with, None where `endpoint` says.
    """

    def __init__(
        self,
        endpoint: ImapEndpoint,
        dial: Dial,
        connector: Connector,
        status: Status,
        *,
        log: ProtocolLog | None,
        compress: bool,
        proxy: Proxy | None = None,
        tokens: AccessTokens | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.tokens = tokens
        self.proxy = proxy
        self._dial = dial
        self._connector = connector
        self._status = status
        self._log = log
        self._compress = compress
        self._refusals = Refusals()
        self._names: dict[str, bytes] = {}
        self._following: set[ImapSession] = set()

    async def open(self, name: str = "", *, follows: bool = True) -> ImapSession:
        """Open a logged-in session; close it with `leave`. Raises like `Connector.connect`, and `TokenError`.

        `name` identifies its lines in the protocol log, "" for the idling session. `follows`: it listens to a mailbox,
        and counts among the account's connections.
        """
        log = None if self._log is None else self._log.of(name)

        async def connect(endpoint: ImapEndpoint) -> ImapSession:
            return await self._connector.connect(
                endpoint, self._dial, log=log, refusals=self._refusals, proxy=self.proxy
            )

        if self.tokens is None:
            session = await connect(self.endpoint)
        else:
            session = await self.tokens.session(self.endpoint, connect, ImapSession.logout)
        session.share_names(self._names)
        if follows:
            self._following.add(session)
            self._status.connections = len(self._following)
        try:
            if self._compress:
                await session.compress()
            await session.enable("CONDSTORE", "QRESYNC")
        except BaseException:
            await self.leave(session)
            raise
        return session

    async def leave(self, session: ImapSession) -> None:
        """Log out within two seconds, even if cancelled, and close; a broken session is only closed."""
        self._following.discard(session)
        self._status.connections = len(self._following)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LEAVE_SECONDS):
            await session.logout()
