"""The sandbox: a whole mail provider inside the process, which the real client code uses over in-memory streams.

Both the quickstart and the tests use it. Any address at `*.example` has an account, created on first use; any password
but `wrong` opens it. A recipient's address can script what happens (`recipient_script.py`); `faults` breaks the rest.
Mail never leaves the process, everything is bounded, and all of it is gone when the process ends. A connection that
crashes is logged and closed, without effect on the others. Every port uses clear text only.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import trio

from engine.errors import NetworkError, NetworkKind
from engine.sandbox.accounts import Limits, SandboxAccount
from engine.sandbox.faults import Faults
from engine.sandbox.imap_server import ImapServerConnection
from engine.sandbox.oauth import OAuthProvider
from engine.sandbox.oauth_pages import HOST as SIGN_IN_HOST
from engine.sandbox.post_office import CaughtMessage, DeliveredMessage, PostOffice, ReceivedEnvelope
from engine.sandbox.rehearsal import PATIENCE, Rehearsal
from engine.sandbox.script import Scripts, Server
from engine.sandbox.smtp_server import SmtpConnection
from engine.sandbox.streams import MemoryStream, stream_pair
from engine.sandbox.web_server import WebConnection
from engine.world import Dial, World

SMTP_PORTS: Final = frozenset({25, 465, 587, 2525})
IMAP_PORTS: Final = frozenset({143, 993})
WEB_PORT: Final = 80
ANSWER_SECONDS: Final = 0.5
"""Seconds after which the answer of a recipient arrives: by then it is known that the message was sent."""

logger = logging.getLogger("engine.sandbox")


class Sandbox:
    """`await nursery.start(sandbox.run)`, then give `sandbox.dial` to clients.

    `faults` may be changed at any time.
    """

    def __init__(self, world: World, limits: Limits | None = None) -> None:
        self.faults = Faults()
        self.oauth = OAuthProvider(world)
        """The provider where the sandbox's users sign in; browsers use it through `oauth_pages.answer`."""
        self._world = world
        self._post = PostOffice(world, limits or Limits(), self.oauth)
        self._nursery: trio.Nursery | None = None
        self._rehearsals: dict[str, Rehearsal] = {}
        self.patience = PATIENCE
        """Seconds after which a client that hears nothing gives up at the latest."""
        self.scripts: Scripts | None = None
        """What the connections of single accounts follow; None: nothing."""

    @property
    def delivered(self) -> list[DeliveredMessage]:
        """The delivered messages, one entry per message and recipient, newest last; the oldest are dropped."""
        return self._post.delivered

    @property
    def outside(self) -> list[tuple[ReceivedEnvelope, bytes]]:
        """Messages to addresses outside the sandbox, unchanged, newest last; the oldest are dropped."""
        return self._post.outside

    @property
    def caught(self) -> Mapping[str, CaughtMessage]:
        """Every message that was handed over, to any address, by its id, newest last; the oldest are dropped."""
        return self._post.caught

    def forget_caught(self) -> int:
        """Drop all caught messages; how many there were. Mailboxes keep theirs."""
        return self._post.forget_caught()

    def account(self, user: str) -> SandboxAccount:
        """The account of an address, created if it does not exist."""
        return self._post.account(user)

    def arrive(self, user: str, raw: bytes) -> None:
        """Put a message into the INBOX of `user`, as mail that has just come."""
        self._post.arrive(user, raw)

    def set_password(self, user: str, password: str) -> None:
        """Accept only this password (or access token) for `user` from now on."""
        self._post.set_password(user, password)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve connections until cancelled; then every client hears 421 or BYE and the end of its stream."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._post.later = lambda user, raw: nursery.start_soon(self._arrive_later, user, raw)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._post.later = None

    async def _arrive_later(self, user: str, raw: bytes) -> None:
        await trio.sleep(ANSWER_SECONDS)
        self._post.arrive(user, raw)

    def rehearsal(self, account: str) -> Rehearsal:
        """What the provider does for this account (its id) alone."""
        found = self._rehearsals.get(account)
        if found is None:
            script = None if self.scripts is None else self.scripts.script_of(account)
            found = self._rehearsals[account] = Rehearsal(account, script, self.patience)
        return found

    def forget(self, account: str) -> None:
        """Drop what concerns an account (its id) that was removed. Its mail stays."""
        self._rehearsals.pop(account, None)
        if self.scripts is not None:
            self.scripts.forget(account)

    def dial_for(self, account: str) -> Dial:
        """A `dial` for this account (its id), whose connections follow its script."""

        async def dial(host: str, port: int) -> trio.abc.Stream:
            rehearsal = self.rehearsal(account)
            if port in SMTP_PORTS or port in IMAP_PORTS:
                server = Server.SMTP if port in SMTP_PORTS else Server.IMAP
                await rehearsal.refuse_dial(server, host, port)
            return await self._dial(host, port, rehearsal)

        return dial

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        """A connection to the sandbox's SMTP or IMAP server, by port; every host is the sandbox.

        Its OAuth2 provider has its own host, `sign-in.sandbox.example` at port 80.

        Raises `NetworkError` ECONNREFUSED for other ports, dead hosts, and while `run` is not running. Cancelled:
        nothing stays open.
        """
        return await self._dial(host, port, Rehearsal())

    async def _dial(self, host: str, port: int, rehearsal: Rehearsal) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        faults = self.faults
        if faults.refuse_dial is not None:
            raise NetworkError(faults.refuse_dial.kind, faults.refuse_dial.code, str(faults.refuse_dial))
        nursery = self._nursery
        serves = port in SMTP_PORTS or port in IMAP_PORTS or (port == WEB_PORT and host == SIGN_IN_HOST)
        if nursery is None or not serves or host in faults.dead or port in faults.dead:
            raise NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", f"connect ECONNREFUSED {host}:{port}")
        client, server = stream_pair()
        nursery.start_soon(self._serve, server, port, rehearsal, name=f"sandbox {host}:{port}")
        return client

    async def _serve(self, stream: MemoryStream, port: int, rehearsal: Rehearsal) -> None:
        if port == WEB_PORT:
            await self._serve_web(stream)
            return
        smtp = port in SMTP_PORTS
        connections = self.faults.smtp_connections if smtp else self.faults.imap_connections
        connections.add(stream)
        if not smtp:
            rehearsal.imap_connections.add(stream)
        try:
            connection = (SmtpConnection if smtp else ImapServerConnection)(stream, self._post, self.faults, rehearsal)
            await connection.run()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The client hung up, or a fault cut the connection.
            pass
        except Exception:
            logger.exception("the sandbox's %s server crashed", "SMTP" if smtp else "IMAP")
        finally:
            connections.discard(stream)
            rehearsal.imap_connections.discard(stream)
            stream.close()

    async def _serve_web(self, stream: MemoryStream) -> None:
        try:
            await WebConnection(stream, self.oauth, self._world).run()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client hung up
        except Exception:
            logger.exception("the sandbox's OAuth2 provider crashed")
        finally:
            stream.close()
