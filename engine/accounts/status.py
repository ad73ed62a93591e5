"""The status of one account, and the events that announce changes of it.

It is held in memory for the API, and what a restart must remember is also stored. An error is announced once: the same
error again causes no second event, even after a restart, or with another time or session id in its text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from engine.accounts import remedies
from engine.accounts.connection_log import IMAP, SENDING, ConnectionLog
from engine.accounts.error_comparison import gist
from engine.accounts.heartbeat import Learnt
from engine.accounts.login_hints import hint
from engine.accounts.refused_login import RefusedLogin
from engine.accounts.remedies import Server, Servers
from engine.errors import EngineError, LoginRefused, NetworkError
from engine.events.journal import Journal
from engine.events.state_changes import StateChanges
from engine.isotime import iso
from engine.model.account_states import AccountState
from engine.oauth.errors import TokenError, Trouble
from engine.smtp.named_refusals import Who, named
from engine.smtp.verdict import BEFORE_ANY_MESSAGE, Kind, Verdict, command, error_code, error_text
from engine.store import accounts
from engine.store.accounts import AccountRow
from engine.store.writer import Store, Tx
from engine.world import World

_IMAP = "imap"
_SMTP = "smtp"


class Status:
    """One account's state. The coroutines return once what they announce is on disk.

    `sending` is whether the SMTP server lets the account send, in the form in which the API shows it, apart from the
    IMAP state. `servers` are the servers of both.
    """

    def __init__(
        self,
        row: AccountRow,
        store: Store,
        journal: Journal,
        changes: StateChanges,
        world: World,
        refused: RefusedLogin,
    ) -> None:
        self.account = row.id
        self.created = row.created
        self._state = AccountState.INIT
        self._moved = trio.Event()
        self._changes = changes
        self.initialized = row.initialized
        self.last_error = row.last_error
        self.smtp_status = row.smtp_status
        self.sync_time = row.sync_time
        self.refused = refused
        self.sending: dict[str, Any] = row.sending or _sending(AccountState.INIT, row.created, None)
        self.servers = Servers()
        self.story = ConnectionLog(row.id, world)
        self.signed_in: Callable[[str], str | None] = lambda member: None
        """Whose token is used at the server `member`, where that is known."""
        self.reauth_url: Callable[[Tx], str | None] = lambda tx: None
        """Makes the URL at which the owner of the mailbox signs in again."""
        self.connections = 0
        self._store = store
        self._journal = journal
        self._world = world
        self.provider_files_sent = row.files_sent
        """Whether the provider files sent mail itself."""
        self._told = _told_before(row)
        """The gist of the last announced error of IMAP and of the SMTP login; the two are independent."""
        self._logged_in = row.initialized and row.last_error is None

    @property
    def state(self) -> AccountState:
        """The account's state; each change is passed to the watchers."""
        return self._state

    @state.setter
    def state(self, state: AccountState) -> None:
        changed, self._state = state is not self._state, state
        if changed:
            self._moved.set()
            self._moved = trio.Event()
            failing = state in (AccountState.AUTHENTICATION_ERROR, AccountState.CONNECT_ERROR)
            self._changes.state(self.account, state, self.last_error if failing else None)

    async def moves(self) -> None:
        """Wait until the state, or that of sending, differs from now."""
        await self._moved.wait()

    def forget_error(self) -> None:
        """The registration has changed, so an earlier error may be announced again."""
        self.last_error = None
        self.refused.over()
        self._told.clear()
        self._logged_in = False
        self.story.changed()

    async def logged_in(self, user: str) -> None:
        """Note an accepted login; it is announced the first time and after an error."""
        if self._logged_in:
            return
        self._logged_in = True

        def change(tx: Tx) -> None:
            self._journal.append(tx, "authenticationSuccess", self.account, {"user": user})

        await self._store.commit(change)

    async def files_sent(self, itself: bool) -> None:
        """Store whether the provider files sent mail itself, which decides how mail in doubt is treated."""
        if itself != self.provider_files_sent:
            self.provider_files_sent = itself
            await self._store.commit(lambda tx: accounts.remember(tx, self.account, files_sent=itself))

    async def remember_heartbeat(self, learnt: Learnt | None) -> None:
        """Store the learnt heartbeat interval for the next start."""
        seconds, until = (None, None) if learnt is None else (learnt.seconds, learnt.until)

        def change(tx: Tx) -> None:
            accounts.remember(tx, self.account, heartbeat=seconds, heartbeat_until=until)

        await self._store.commit(change)

    async def connected(self) -> None:
        """Note that the account is connected and synced; the first time, announce `accountInitialized`."""
        first = not self.initialized
        now = self._world.now()

        def become() -> None:
            self.initialized = True
            self.state = AccountState.CONNECTED
            self.last_error = None
            self.refused.over()
            self._told.pop(_IMAP, None)
            self.sync_time = now

        def change(tx: Tx) -> None:
            accounts.remember(tx, self.account, initialized=1, last_error=None, refused_since=None, sync_time=now)
            # Before any reader gets the event: a client that then submits must not be refused.
            tx.after_commit(become)
            if first:
                self._journal.append(tx, "accountInitialized", self.account, {"initialized": True})

        await self._store.commit(change)
        if self.servers.imap is not None:
            self.story.well(IMAP, self._name_of(self.servers.imap))

    async def failed(self, error: EngineError) -> None:
        """Note that the IMAP server cannot be used: set the state, and announce the error unless it is the last one."""
        refused = needs_somebody = isinstance(error, LoginRefused) and not error.temporary
        shown: dict[str, Any] = {"response": str(error)}
        code = error.code if isinstance(error, (LoginRefused, NetworkError)) else "EPROTOCOL"
        if code is not None:
            shown["serverResponseCode"] = code
        if (server := self.servers.imap or self.servers.smtp) is not None:
            shown["description"] = remedies.of_error(error, server)
            if self._name(shown, server):
                # It may be a passing fault at a mailbox that was connected before.
                needs_somebody = refused or not self.initialized
            elif isinstance(error, LoginRefused):
                self._add_hint(shown, server)
        if self.servers.imap is not None:
            self.story.failed(IMAP, shown)
        if refused:
            self.refused.again(same=self._told.get(_IMAP) == gist(shown))
        else:
            self.refused.over()
        await self._announce(_IMAP, "authenticationError" if needs_somebody else "connectError", shown)
        self.state = AccountState.AUTHENTICATION_ERROR if needs_somebody else AccountState.CONNECT_ERROR

    async def without_token(self, error: TokenError) -> None:
        """There is no access token to connect with: what kind of trouble that is says how it is shown.

        That the grant is gone was announced when it was found out; what is wrong with the app is announced by the app.
        """
        shown, gone = self._shown(error), error.trouble is Trouble.GRANT_GONE
        self.refused.over()
        if (imap := self.servers.imap) is not None:
            self.story.failed(IMAP, shown)
        if imap is None or (imap.signs_in and self._sends_by_grant):
            await self.cannot_send_without_token(error)
        if gone and shown is self.last_error:
            self._told[_IMAP] = gist(shown)
        elif gone:
            await self._store.commit(lambda tx: self.gone(tx, error))
        elif error.trouble is not Trouble.APP_BROKEN:
            await self._announce(_IMAP, "connectError", shown)
        elif self.last_error != shown:
            self._told.pop(_IMAP, None)
            self.last_error = shown
            await self._store.commit(lambda tx: accounts.remember(tx, self.account, last_error=shown))
        self.state = AccountState.AUTHENTICATION_ERROR if gone else AccountState.CONNECT_ERROR

    async def cannot_send_without_token(self, error: TokenError) -> None:
        """There is no access token to send with."""
        shown = self._shown(error)
        self.story.failed(SENDING, shown)
        gone = error.trouble is Trouble.GRANT_GONE
        state = AccountState.AUTHENTICATION_ERROR if gone else AccountState.CONNECT_ERROR
        await self._remember_sending(state, shown)

    @property
    def _sends_by_grant(self) -> bool:
        """Whether the SMTP server gets the tokens of the account's sign-in: without one, nothing can be sent."""
        return self.servers.smtp is not None and self.servers.smtp.signs_in

    def _shown(self, error: TokenError) -> dict[str, Any]:
        """As `lastError` shows it: what is shown already, with its way out, where that says the same."""
        shown = error.shown()
        known = self.last_error
        return known if known is not None and gist(known) == gist(shown) else shown

    def gone(self, tx: Tx, error: TokenError) -> None:
        """The account's grant has ended, inside the commit that says so: `authenticationError`, with the way out."""
        shown = error.shown()
        if (url := self.reauth_url(tx)) is not None:
            shown["reauthUrl"] = url
        sending = self.sending
        if self._sends_by_grant:
            sending = _sending(AccountState.AUTHENTICATION_ERROR, self._world.now(), shown)

        def become() -> None:
            self.sending = sending
            self.last_error = shown
            self._told[_IMAP] = gist(shown)
            self._logged_in = False
            self.state = AccountState.AUTHENTICATION_ERROR

        accounts.remember(tx, self.account, last_error=shown, sending=sending)
        self._journal.append(tx, "authenticationError", self.account, shown)
        tx.after_commit(become)

    async def smtp_tried(self, verdict: Verdict) -> None:
        """Store how an SMTP attempt ended; a refused login is announced like one of IMAP."""
        ok = verdict.kind is Kind.ACCEPTED
        status: dict[str, Any] = {"created": iso(self._world.now()), "status": "ok" if ok else "error"}
        status["response"] = verdict.text
        if not ok:
            if verdict.code is not None:
                status["responseCode"] = verdict.code
            status.update(code=error_code(verdict), command=command(verdict), description=error_text(verdict))
        changed = self.smtp_status is None or {**self.smtp_status, "created": None} != {**status, "created": None}
        self.smtp_status = status
        if not ok and changed:
            await self._store.commit(lambda tx: accounts.remember(tx, self.account, smtp_status=status))
        if not ok and verdict.stage in BEFORE_ANY_MESSAGE:
            await self.cannot_send(verdict)
        elif self.sending["state"] != AccountState.CONNECTED or (ok and self.last_error is not None):
            await self.can_send()

    async def can_send(self) -> None:
        """Note that the SMTP server lets the account send."""
        if self.state is AccountState.CONNECTED and self.last_error is not None:
            await self.connected()
        self._told.pop(_SMTP, None)
        if (server := self.servers.smtp) is not None:
            self.story.well(SENDING, self._name_of(server))
        await self._remember_sending(AccountState.CONNECTED, None)

    async def cannot_send(self, verdict: Verdict, *, announce: bool = True) -> None:
        """Note that the SMTP server is unreachable or refuses the login; `announce`: announce a refused login."""
        refused = verdict.kind is Kind.LOGIN_REFUSED
        shown = smtp_error(verdict)
        if (server := self.servers.smtp) is not None:
            shown["description"] = remedies.of_verdict(verdict, server)
            if refused and not self._name(shown, server):
                self._add_hint(shown, server)
        self.story.failed(SENDING, shown)
        state = AccountState.AUTHENTICATION_ERROR if refused else AccountState.CONNECT_ERROR
        await self._remember_sending(state, shown)
        if refused and announce:
            await self._announce(_SMTP, "authenticationError", shown)

    async def _remember_sending(self, state: AccountState, error: dict[str, Any] | None) -> None:
        before = self.sending
        if before["state"] == state and before["lastError"] == error:
            return
        same = before["state"] == state
        self.sending = _sending(state, self._world.now(), error)
        self._moved.set()
        self._moved = trio.Event()
        if same:
            self.sending["since"] = before["since"]
            if error is not None and before["lastError"] is not None and gist(error) == gist(before["lastError"]):
                return  # the same error worded differently, which need not be stored
        sending = self.sending
        await self._store.commit(lambda tx: accounts.remember(tx, self.account, sending=sending))

    def forget_sending(self, state: AccountState = AccountState.INIT) -> None:
        """The SMTP server has changed: set `sending` to `state`, by default to unknown."""
        self.sending = _sending(state, self._world.now(), None)

    def _name_of(self, server: Server) -> str:
        return "the sandbox, whose mail reaches nobody" if self.servers.sandbox else str(server)

    def _name(self, shown: dict[str, Any], server: Server) -> bool:
        """Give an error a name of its own if it means something other than it says; return whether it has one."""
        found = named(shown["response"], Who(server.user, self.signed_in(server.member)))
        if found is not None:
            shown.update(serverResponseCode=found.code, description=found.description, hint=found.hint)
        return found is not None

    def _add_hint(self, shown: dict[str, Any], server: Server) -> None:
        if said := hint(server.host, shown["response"], token=server.member in self.servers.tokens):
            shown["hint"] = said

    async def _announce(self, of: str, event: str, shown: dict[str, Any]) -> None:
        if self._told.get(of) == gist(shown):
            return
        self._told[of] = gist(shown)
        if of == _IMAP or _IMAP not in self._told:
            self.last_error = shown
        if of == _IMAP:
            self._logged_in = False

        def change(tx: Tx) -> None:
            accounts.remember(tx, self.account, last_error=self.last_error, refused_since=self.refused.since)
            self._journal.append(tx, event, self.account, shown)

        await self._store.commit(change)


def _told_before(row: AccountRow) -> dict[str, tuple[str, str]]:
    told = {}
    sending = row.sending or {}
    if sending.get("state") == AccountState.AUTHENTICATION_ERROR:
        told[_SMTP] = gist(sending["lastError"])
    if row.last_error is not None and gist(row.last_error) != told.get(_SMTP):
        told[_IMAP] = gist(row.last_error)
    return told


def _sending(state: AccountState, since: float, error: dict[str, Any] | None) -> dict[str, Any]:
    return {"state": str(state), "since": iso(since), "lastError": error}


def smtp_error(verdict: Verdict) -> dict[str, Any]:
    """A failure before any message in the form of `lastError`."""
    shown: dict[str, Any] = login_error(verdict)
    if verdict.kind is not Kind.LOGIN_REFUSED:
        shown["serverResponseCode"] = verdict.network_code or str(verdict.code or error_code(verdict))
    return shown


def login_error(verdict: Verdict) -> dict[str, Any]:
    """A refused SMTP login in the form of `lastError`."""
    return {"response": verdict.text, "serverResponseCode": str(verdict.code) if verdict.code is not None else "EAUTH"}
