"""The connection to one account's mailbox: connect, sync, IDLE, reconnect by itself.

One task owns the session, so nothing needs a lock. The wait between two connections doubles from `reconnect_min` to
`reconnect_max` and starts again from below only after a connection has survived five minutes: a server that accepts and
drops cannot make it spin. In this version a sync learns the folders and opens INBOX; while idle it files sent copies
and, where the provider files them itself, looks for mail in doubt among them.
"""

from __future__ import annotations

import logging

import trio

from engine.accounts.sentcopy import SentCopies
from engine.accounts.services import Services
from engine.accounts.state import AccountState
from engine.accounts.status import Status
from engine.errors import LoginRefused, NetworkError, ProtocolError
from engine.imap.session import CommandRefused, ImapEndpoint, ImapSession
from engine.queue.evidence import Evidence
from engine.world import Dial

log = logging.getLogger("engine.mailbox")

SURVIVED = 300.0
CLIENT_ID = {"name": "mailbox-engine", "vendor": "mailbox-engine"}


class MailboxTask:
    """Keeps one account connected. `run` is its service; `wake` has it look at the sent copies now."""

    def __init__(
        self,
        endpoint: ImapEndpoint,
        dial: Dial,
        sent_path: str | None,
        status: Status,
        copies: SentCopies,
        evidence: Evidence,
        services: Services,
    ) -> None:
        self._endpoint = endpoint
        self._dial = dial
        self._sent_path = sent_path
        self._status = status
        self._copies = copies
        self._evidence = evidence
        self._services = services
        self._wake = trio.Event()

    def wake(self) -> None:
        """Something is to be done over the session."""
        self._wake.set()

    async def run(self) -> None:
        """Connect again and again until cancelled; then the session is closed."""
        config = self._services.config.imap
        wait = config.reconnect_min
        while True:
            started = trio.current_time()
            try:
                await self._stay_connected()
            except (NetworkError, ProtocolError, LoginRefused, CommandRefused) as error:
                was_connected = self._status.state is AccountState.CONNECTED
                if was_connected and not isinstance(error, LoginRefused):
                    self._status.state = AccountState.DISCONNECTED
                else:
                    await self._status.failed(error)
            finally:
                self._status.connections = 0
            if trio.current_time() - started >= SURVIVED:
                wait = config.reconnect_min
            await trio.sleep(wait * (1 + 0.2 * self._services.world.random.random()))
            wait = min(wait * 2, config.reconnect_max)

    async def _stay_connected(self) -> None:
        self._status.state = AccountState.CONNECTING
        async with self._services.logins:
            session = await ImapSession.connect(self._endpoint, dial=self._dial, client_id=CLIENT_ID)
        try:
            self._status.connections = 1
            await self._status.logged_in(self._endpoint.credentials.user)
            await self._status.files_sent(session.files_sent_itself)
            self._status.state = AccountState.SYNCING
            folder = await self._sync(session)
            await self._status.connected()
            while True:
                self._wake = trio.Event()
                await self._copies.make_due(session, folder)
                await self._look_for_doubts(session, folder)
                await session.idle(self._wake, self._seconds_of_rest(session))
        finally:
            await self._leave(session)

    async def _sync(self, session: ImapSession) -> str | None:
        """Learn the folders and open INBOX; the path of the Sent folder."""
        folders = await session.list_mailboxes()
        await session.select("INBOX")
        if self._sent_path is not None:
            return self._sent_path
        return next((each.path for each in folders if each.special_use == "\\Sent"), None)

    async def _look_for_doubts(self, session: ImapSession, folder: str | None) -> None:
        """Search the Sent folder for mail in doubt, where that tells anything."""
        if not session.files_sent_itself or folder is None:
            return
        searches = self._evidence.due()
        for search in searches:
            found = await session.holds(folder, search.message_id)
            await self._evidence.tell(search, found=found)
        if searches:
            await session.select("INBOX")

    def _seconds_of_rest(self, session: ImapSession) -> float:
        dues = [self._copies.seconds_to_next()]
        if session.files_sent_itself:
            dues.append(self._evidence.seconds_to_next())
        return min([self._services.config.imap.idle, *(due for due in dues if due is not None)])

    async def _leave(self, session: ImapSession) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
            await session.logout()
