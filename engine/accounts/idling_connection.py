"""The idling IMAP connection of one account: connects, syncs, idles, and reconnects by itself.

1. One task owns the session, so no locks are needed. Each subconnection is another task with its own session.
2. `backoff` sets the waits between connections. `heartbeat` keeps an idle connection alive and notices a dead one.
3. If a connection ends because of one message or one folder other than the main one, the next follows soon and avoids
   that; no error is announced.
4. While idle, it looks into the other folders and does the jobs that need this session (`_do_jobs`). Work that may take
   long or break the connection, such as filing copies, uses a command connection (`leased_connections`).
"""

from __future__ import annotations

import logging
import math

import trio

from engine.accounts.arrivals import Arrivals
from engine.accounts.backoff import Backoff
from engine.accounts.error_comparison import words
from engine.accounts.folder_sync import WatchedFolder
from engine.accounts.folder_watch import Watch
from engine.accounts.follow_ups import FollowUps
from engine.accounts.heartbeat import Heartbeat, WatchedLine
from engine.accounts.imap_sessions import Sessions
from engine.accounts.leased_connections import Commands, NoSession
from engine.accounts.ledger import Ledger
from engine.accounts.message_lookup import Locator
from engine.accounts.registration import WatchRules
from engine.accounts.requested_changes import Changer
from engine.accounts.sent_copies import SentCopies
from engine.accounts.server_access import ServerAccess
from engine.accounts.status import Status
from engine.errors import EngineError, LoginRefused, NetworkError, ProtocolError
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.wake import Wake
from engine.model.account_states import AccountState
from engine.oauth.errors import TokenError
from engine.queue.sent_folder_search import SentFolderSearches
from engine.repeated_errors import RepeatedErrors
from engine.schema.account_condition import FolderError
from engine.settings import SettingsBook

log = logging.getLogger("engine.connection")

FILING_SECONDS = 300.0
"""Seconds for which a copy waits for a command connection that may have other work."""
FILING_PAUSE = 5.0
"""Seconds before a command connection is requested again, if none was available."""
FAILURES = (NetworkError, ProtocolError, LoginRefused, CommandRefused, TokenError)


class AccountConnection:
    """Keeps one account connected. `run` is its service; `wake` makes it check its jobs now."""

    def __init__(
        self,
        sessions: Sessions,
        commands: Commands,
        rules: WatchRules,
        status: Status,
        copies: SentCopies,
        follow_ups: FollowUps,
        evidence: SentFolderSearches,
        ledger: Ledger,
        access: ServerAccess,
        settings: SettingsBook,
        heartbeat: Heartbeat,
    ) -> None:
        self._sessions = sessions
        self._commands = commands
        self._rules = rules
        self._status = status
        self._copies = copies
        self._follow_ups = follow_ups
        self._evidence = evidence
        self._ledger = ledger
        self._access = access
        self._settings = settings
        self._heartbeat = heartbeat
        self._wake = Wake()
        self._synced = trio.Event()
        self._filed: set[str] = set()
        """Folders that got a message and are to be looked into."""
        self._to_file: trio.Event | None = None
        """Not None while the next copy must be filed over the idling session; set once that is done."""
        self._arrivals = self._new_arrivals()
        self._watch = Watch(
            status.account,
            rules.paths,
            self._arrivals,
            ledger.store,
            ledger.journal,
            access.world,
            full=rules.full,
            passing=rules.passing,
            uses=dict(rules.uses),
            elsewhere=rules.subconnections,
            requested=commands.folder_changes,
        )

    @property
    def folder_errors(self) -> tuple[FolderError, ...]:
        """The folders that cannot be looked into, in the form in which the account shows them."""
        return self._watch.troubles.shown()

    def wake(self) -> None:
        """Check the jobs of the session now."""
        self._wake.set()

    def look_soon(self) -> None:
        """Look into every folder now instead of in the next round."""
        self._watch.look_soon()
        self._wake.set()

    def look_into(self, path: str) -> None:
        """Look into one folder now."""
        self._filed.add(path)
        self._wake.set()

    async def run(self) -> None:
        """Stay connected until cancelled; then every session is closed.

        Returns, with the state `unset`, once the login has been refused for so long that it is given up.
        """
        async with trio.open_nursery() as nursery:
            for path in dict.fromkeys(self._rules.subconnections):
                nursery.start_soon(self._run_beside, path)
            nursery.start_soon(self._file_copies)
            nursery.start_soon(self._follow_up)
            await self._run_main()
            nursery.cancel_scope.cancel()

    async def _run_main(self) -> None:
        backoff, line = self._backoff(), WatchedLine(self._heartbeat)
        while True:
            began = trio.current_time()
            try:
                await self._stay_connected(line)
            except TokenError as error:
                self._synced = trio.Event()
                await self._status.without_token(error)
                if self._sessions.tokens is not None:
                    await self._sessions.tokens.recovers()
                continue
            except FAILURES as error:
                ended: EngineError = error
                self._synced = trio.Event()
                anew = line.died(error)
                if self._sessions.tokens is not None:
                    await self._sessions.tokens.ended(error)
                was_connected = self._status.state is AccountState.CONNECTED
                if await self._arrivals.care.stumbled(error) or self._watch.stumbled(error):
                    log.info("reconnecting after: %s", error)
                    self._status.state = AccountState.DISCONNECTED
                    await backoff.wait_shortly()
                    continue
                worked = was_connected and not isinstance(error, (LoginRefused, CommandRefused))
                if was_connected and not isinstance(error, LoginRefused):
                    if (server := self._status.servers.imap) is not None:
                        self._status.story.lost(server, error)
                    self._status.state = AccountState.DISCONNECTED
                else:
                    await self._status.failed(error)
                    if self._status.refused.given_up:
                        self._status.story.given_up(self._access.imap.give_up_refused)
                        self._status.state = AccountState.UNSET
                        return
            await backoff.wait(ended, trio.current_time() - began, anew=anew, worked=worked)

    def _backoff(self) -> Backoff:
        endpoint, proxy = self._sessions.endpoint, self._sessions.proxy
        return self._access.backoff(endpoint.host, endpoint.port, None if proxy is None else proxy.at)

    def _new_arrivals(self) -> Arrivals:
        store, journal, rules = self._ledger.store, self._ledger.journal, self._rules
        return Arrivals(
            self._status.account,
            rules.notify_from,
            store,
            journal,
            self._settings,
            self._access.world,
            full=rules.full,
            requested=self._commands.message_changes,
        )

    async def _stay_connected(self, line: WatchedLine) -> None:
        self._status.state = AccountState.CONNECTING
        session = await self._open(line)
        try:
            await self._status.logged_in(self._sessions.endpoint.credentials.user)
            await self._status.files_sent(session.files_sent_itself)
            self._status.state = AccountState.SYNCING
            await self._watch.begin_round(session, self._rules.resync_delay)
            if self._watch.troubles:
                # A fault in another folder does not keep the account from being connected.
                await self._status.connected()
            await self._watch.end_round(session)
            if self._status.state is not AccountState.CONNECTED:
                await self._status.connected()
            self._synced.set()
            while True:
                self._wake = Wake()
                await self._do_jobs(session)
                await self._watch.come_back(session)
                if self._watch.seconds_to_unseen == 0:
                    await self._watch.look_for_unseen(session)
                if self._watch.seconds_to_next == 0:
                    log.debug("a round of all folders begins")
                    await self._watch.begin_round(session, self._rules.resync_delay)
                    await self._watch.end_round(session)
                news = await session.idle(self._wake, self._idle_seconds(session), self._heartbeat.next())
                if news:
                    await self._watch.hear(session, news)
        finally:
            line.quiet = session.quiet
            if self._to_file is not None:
                self._to_file.set()
            await self._sessions.leave(session)

    async def _do_jobs(self, session: ImapSession) -> None:
        """Do the jobs that need this session; each checks whether it is due, and may select a folder."""
        if self._to_file is not None:
            if (path := await self._copies.make_next(session, self._watch.sent_path)) is not None:
                self._filed.add(path)
            self._to_file.set()
        filed, self._filed = self._filed, set()
        for path in filed:
            await self._watch.look_into(session, path)
        await self._look_for_doubts(session)

    async def _file_copies(self) -> None:
        """File the copies of sent mail as they fall due, one after another, each over a command connection.

        If none is available, as with a server that allows only one connection, the idling session is used.
        """
        while True:
            await self._synced.wait()
            large = await self._copies.fall_due(files_sent=self._status.provider_files_sent)
            leased = False
            try:
                async with self._commands.lease(FILING_SECONDS, long=large, path=self._watch.sent_path) as session:
                    leased, session.deadline = True, math.inf  # each command has its own limit
                    path = await self._copies.make_next(session, self._watch.sent_path)
            except NoSession as error:
                log.debug("no copy is filed over a connection of its own: %s", error)
                if not leased:
                    self._to_file = trio.Event()
                    self._wake.set()
                    await self._to_file.wait()
                    self._to_file = None
            else:
                self._follow_ups.look()
                if path is not None:
                    self.look_into(path)

    async def _follow_up(self) -> None:
        """Do what follows from sent mail as it falls due, one after the other, each over a command connection."""
        account, ledger, commands = self._status.account, self._ledger, self._commands
        locator = Locator(account, ledger.store, dict(self._rules.uses), self.look_soon)
        while True:
            await self._synced.wait()
            await self._follow_ups.fall_due()
            try:
                async with commands.lease(FILING_SECONDS) as session:
                    session.deadline = math.inf  # each command has a limit of its own
                    changer = Changer(session, commands.message_changes, ledger.store, ledger.journal)
                    files_sent = self._status.provider_files_sent
                    path = await self._follow_ups.do_next(session, locator, changer, files_sent=files_sent)
            except NoSession as error:
                log.debug("nothing follows from sent mail yet: %s", error)
                await trio.sleep(FILING_PAUSE)
            else:
                if path is not None:
                    self.look_into(path)

    async def _look_for_doubts(self, session: ImapSession) -> None:
        """Search the Sent folder for mail in doubt, if that can settle the doubt."""
        folder = self._watch.sent_path
        searches = self._evidence.due() if session.files_sent_itself and folder is not None else []
        if not searches or folder is None:
            return
        await session.select(folder, read_only=True)
        for search in searches:
            found = await session.search("HEADER Message-ID", search.message_id.encode())
            await self._evidence.tell(search, found=bool(found))

    def _idle_seconds(self, session: ImapSession) -> float:
        limits = [self._access.imap.idle, self._watch.seconds_to_next, self._watch.seconds_to_unseen]
        if session.files_sent_itself and self._watch.sent_path is not None:
            due = self._evidence.seconds_to_next()
            return min(*limits, math.inf if due is None else due)
        return min(limits)

    async def _run_beside(self, path: str) -> None:
        """Listen to one more folder. Connects only after the main session has, so that logins are not simultaneous."""
        await self._synced.wait()
        known = self._watch.beside(path)
        if known is None:
            return  # there is no such folder, or the main session already listens to it
        arrivals, ledger = self._new_arrivals(), self._ledger
        folder = WatchedFolder(known.row, known.mailbox, arrivals, ledger.store, ledger.journal, full=self._rules.full)
        backoff, line, refrain = self._backoff(), WatchedLine(self._heartbeat), RepeatedErrors()
        while True:
            await self._synced.wait()
            began = trio.current_time()
            try:
                await self._listen_beside(folder, line)
            except FAILURES as error:
                ended: EngineError = error
                anew = line.died(error)
                more = refrain.failed(words(str(error)), self._access.world.elapsed())
                if more is not None:
                    log.warning("the second connection, which watches %s, broke%s: %s", path, more, error)
                if await arrivals.care.stumbled(error):
                    await backoff.wait_shortly()
                    continue
            await backoff.wait(ended, trio.current_time() - began, anew=anew)

    async def _listen_beside(self, folder: WatchedFolder, line: WatchedLine) -> None:
        session = await self._open(line)
        try:
            await folder.reload()
            await folder.look(session)
            while True:
                news = await session.idle(Wake(), self._access.imap.idle, self._heartbeat.next())
                await folder.hear(session, news)
        finally:
            line.quiet = session.quiet
            await self._sessions.leave(session)

    async def _open(self, line: WatchedLine) -> ImapSession:
        session = await self._sessions.open()
        try:
            if line.connected():
                await self._status.remember_heartbeat(self._heartbeat.remembered)
        except BaseException:
            await self._sessions.leave(session)
            raise
        return session
