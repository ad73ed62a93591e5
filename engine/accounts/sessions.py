"""The IMAP sessions of one account, each opened, counted and closed in the same way, whatever it is for.

Each is set up through the gate of its host (`login_slots`). All sessions of one registration share what is remembered
of the server (`Refusals`, what it calls its mailboxes), the protocol log, and the rules for dialling.
"""

from __future__ import annotations

import trio

from engine.accounts.access_tokens import AccessTokens
from engine.accounts.login_slots import LoginSlots
from engine.accounts.protocol_log import ConnectionLines, ProtocolLog
from engine.accounts.status import Status
from engine.errors import NetworkError
from engine.hosts import Hosts
from engine.imap.refusals import Refusals
from engine.imap.session import ImapEndpoint, ImapSession
from engine.proxies.proxy import Proxy
from engine.world import Dial, World

NONCE_BYTES = 18
CLIENT_ID = {"name": "mailbox-engine", "vendor": "mailbox-engine"}
LEAVE_SECONDS = 2.0


class Connector:
    """Sets up connections, and notes the addresses that accept one and say nothing."""

    def __init__(self, gate: LoginSlots, hosts: Hosts, world: World) -> None:
        self._gate = gate
        self._hosts = hosts
        self._world = world

    async def connect(
        self,
        endpoint: ImapEndpoint,
        dial: Dial,
        *,
        log: ConnectionLines | None = None,
        refusals: Refusals | None = None,
        proxy: Proxy | None = None,
    ) -> ImapSession:
        """Wait for a slot, dial and log in; `proxy` is the one that `dial` goes through.

        Raises `NetworkError`, `ProtocolError`, `LoginRefused`.

        Cancelled or failed: nothing stays open.
        """
        async with self._gate.at(endpoint.host, endpoint.port, None if proxy is None else proxy.at):
            if log is not None:
                through = "" if proxy is None else f" through {proxy.place}"
                log.note(f"connecting to {endpoint.host}:{endpoint.port}{through}")
            try:
                return await ImapSession.connect(
                    endpoint,
                    dial=dial,
                    trace=log,
                    client_id=CLIENT_ID,
                    nonce=self._world.token_bytes(NONCE_BYTES).hex(),
                    refusals=refusals,
                )
            except NetworkError as error:
                self._hosts.note_mute(error.mute)
                raise


class Sessions:
    """The sessions of one account as its registration says now. `compress`: deflate them where the server can.

    `proxy` is the one that `dial` goes through. `tokens`: what is logged in with, None where `endpoint` says.
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

    async def open(self, name: str = "") -> ImapSession:
        """A session that is logged in; `name` tells its lines in the protocol log from those of the one that idles.

        Raises as `Connector.connect`, and `TokenError`. It ends with `leave`.
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
        self._status.connections += 1
        try:
            if self._compress:
                await session.compress()
            await session.enable("CONDSTORE", "QRESYNC")
        except BaseException:
            await self.leave(session)
            raise
        return session

    async def leave(self, session: ImapSession) -> None:
        """Say goodbye, within two seconds also where cancelled, and close; what is broken is only closed."""
        self._status.connections -= 1
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LEAVE_SECONDS):
            await session.logout()
