"""One account's tasks in one nursery: its IMAP connection (or the probe of its SMTP login) and its outbox lane.

A crash in here is caught at this edge: logged with its traceback, shown as the account's `lastError`, and started again
after a growing wait. No other account notices. A changed registration restarts the connection at once, while the lane
goes on and takes the new way out from the next message on, so that no final dot is ever cut.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import trio

from engine.accounts import registration as records
from engine.accounts.access_tokens import AccessTokens, LoginSource, SmtpLogins
from engine.accounts.commands import Commands
from engine.accounts.connection import AccountConnection
from engine.accounts.ehlo_name import ehlo_name
from engine.accounts.heartbeat import Heartbeat, Learnt
from engine.accounts.ledger import Ledger
from engine.accounts.probe import probe, watch_sending
from engine.accounts.protocol_log import ProtocolLog
from engine.accounts.reauth import Reauth
from engine.accounts.sent_copies import SentCopies
from engine.accounts.server_access import ServerAccess
from engine.accounts.sessions import Sessions
from engine.accounts.state import AccountState
from engine.accounts.status import Status
from engine.errors import StorageFailed, leaves
from engine.imap.session import ImapEndpoint
from engine.log import concerns
from engine.model.message import Message
from engine.model.registration import SERVERS, Registration, ServerName, SmtpServer
from engine.model.waiting import Waiting, WaitingKind
from engine.oauth.answers import user_of_token
from engine.oauth.app_state import AppState
from engine.oauth.apps import App
from engine.oauth.auth_server_logins import AuthServerLogins
from engine.oauth.errors import Trouble
from engine.oauth.keeper import Keeper
from engine.oauth.keepers import OAuth
from engine.oauth.token_requests import TokenRequests
from engine.proxies.route import DIRECT, Route
from engine.queue.lane import Dispatch, Lane, OutgoingServer
from engine.queue.recovery import recover_account
from engine.queue.sent_folder_search import SentFolderSearches
from engine.schema.account import FolderError, LearntHeartbeat
from engine.settings import SettingsBook
from engine.smtp.verdict import Stage, Verdict
from engine.store.accounts import AccountRow
from engine.transcript import Trace
from engine.world import Dial

log = logging.getLogger("engine.account")

FIRST_RESTART = 1.0
LONGEST_RESTART = 60.0
HEALTHY = 300.0
"""Seconds a task must have run for its crash to be taken as the first one."""
PAUSE_SECONDS = 5.0


class Account:
    """One registered account while the engine runs. `run` is its service."""

    def __init__(
        self,
        row: AccountRow,
        record: Registration,
        unreadable: str | None = None,
        *,
        ledger: Ledger,
        access: ServerAccess,
        dispatch: Dispatch,
        settings: SettingsBook,
        oauth: OAuth,
        reauth: Reauth,
    ) -> None:
        self.id = row.id
        self.record = record
        self.restricted = row.restricted
        """Which of its servers were named with a token for this account alone."""
        self.unreadable = unreadable
        """Why its stored registration cannot be read; it is then left alone, and `record` stands in for it."""
        self._ledger = ledger
        self._access = access
        self._dispatch = dispatch
        self._settings = settings
        self._oauth = oauth
        self._world = access.world
        store, imap = ledger.store, access.imap
        self.status = Status(row, store, ledger.journal, ledger.changes, self._world, imap.give_up_refused)
        self.status.reauth_url = lambda tx: reauth.url_in(tx, self.record)
        self.status.signed_in = self._signed_in
        self._sign_in_changed = trio.Event()
        self._keeper_changed = trio.Event()
        self.keeper: Keeper | None = None
        """The keeper of its tokens; None: it does not sign in."""
        self._asked: dict[ServerName, AuthServerLogins] = {}
        """For the servers at which the auth server says how to log in."""
        self._smtp_source: LoginSource | None = None
        self._smtp_logins: SmtpLogins | None = None
        oauth.keepers.forget(row.id)  # one for another object of the same account
        self._take_keeper()
        self.status.servers = records.servers(record, self.app)
        self._note_sandbox()
        if records.is_sandbox(record) and row.sending is None:
            self.status.forget_sending(AccountState.CONNECTED)
        self._copies = SentCopies(row.id, store, ledger.spool, ledger.journal, imap.copy_schedule, self._world)
        self._evidence = SentFolderSearches(row.id, store, ledger.recorder, self._world)
        self._heartbeat = Heartbeat(imap.heartbeat, self._world, _learnt(row))
        self.commands = Commands(self.status, offered=records.imap_endpoint(record, self.app) is not None)
        """The connections that requests lease."""
        self._connection: AccountConnection | None = None
        self._changed = trio.Event()
        self._paused = False
        self._at_rest = trio.Event()
        self.log: ProtocolLog | None = None
        """The protocol log; None while none is kept."""
        self._verdicts_in, self._verdicts = trio.open_memory_channel[Verdict](100)
        dispatch.pauses.pause(row.id, row.queue_paused)
        self._lane = Lane(row.id, self._server(), dispatch, self._tried)
        self._made_from = self._connections()
        self._way_out = self.way_out(record)
        self._lane_began = False
        self._lane_ended = trio.Event()
        if unreadable is not None:
            self.status.state = AccountState.UNSET
            self.status.last_error = {"response": unreadable, "serverResponseCode": "EUNREADABLE"}
            self._lane_ended.set()

    def change(self, record: Registration, restricted: frozenset[str]) -> None:
        """Go on with a changed registration: what it changes nothing about and works stays connected."""
        self.record, self.restricted = record, restricted
        self._take_keeper()
        self._note_sandbox()
        if self.keeper is not None and records.is_sandbox(record):
            self.status.forget_sending(AccountState.CONNECTED)
        self._take_up(anyway=True)

    def change_routes(self) -> None:
        """Go on by what the settings say now of proxies and local addresses."""
        self._take_up(anyway=False)

    def way_out(self, record: Registration) -> tuple[object, ...]:
        """How mail would leave with this registration: as long as it is the same, so is whether it may."""
        endpoint = records.smtp_endpoint(record, self._app_of(record))
        signs_in = records.wants_token(record, endpoint)
        return endpoint, self._route("smtp", record), record.oauth2 if signs_in else None

    @property
    def folder_errors(self) -> tuple[FolderError, ...]:
        """The folders that cannot be looked into, as the account shows them."""
        return self._connection.folder_errors if self._connection is not None else ()

    @property
    def learnt_heartbeat(self) -> LearntHeartbeat | None:
        """What the account has learnt of lines that die of quiet, as it shows it; None: nothing."""
        return self._heartbeat.shown()

    @property
    def app(self) -> App | None:
        """The OAuth2 app through which the account signs in; None: it does not, or there is no such app."""
        return self._app_of(self.record)

    @property
    def has_imap(self) -> bool:
        """Whether there is a mailbox to connect to."""
        return records.has_imap(self.record, self.app)

    @property
    def has_smtp(self) -> bool:
        """Whether there is a server to send through."""
        return records.has_smtp(self.record, self.app)

    def mail_waits_for(self) -> Waiting | None:
        """What keeps all of the account's mail from being sent now."""
        waiting, keeper = self._lane.waiting(), self.keeper
        refused = self.status.sending["lastError"] or {}
        if waiting is not None and waiting.kind == "login" and "hint" in refused:
            remedy = f"The login was refused ({refused['response']}). {refused['hint']}"
            return Waiting(waiting.kind, waiting.since, waiting.until, remedy)
        trouble = keeper.obstacle if keeper is not None and not (keeper.ready and self.app) else None
        if waiting is None or trouble is None or waiting.kind not in ("smtp", "connection"):
            return waiting
        kind: WaitingKind = "login" if trouble.trouble is Trouble.GRANT_GONE else "connection"
        return Waiting(kind, waiting.since, waiting.until, f"{trouble}. {trouble.hint or ''}".strip())

    @property
    def reconnecting(self) -> bool:
        """Whether what is connected to the account is about to be closed and connected anew."""
        return self._changed.is_set()

    def reconnect(self) -> None:
        """Close what is connected to the account and connect anew, now."""
        self._changed.set()

    def look_soon(self) -> None:
        """Look into every folder now."""
        if self._connection is not None:
            self._connection.look_soon()

    async def pause(self) -> None:
        """Have nothing connected to the account until `resume`; return once it is so, or after five seconds."""
        self._at_rest = trio.Event()
        self._paused = True
        self._changed.set()
        with trio.move_on_after(PAUSE_SECONDS):
            await self._at_rest.wait()

    def resume(self) -> None:
        """Connect again after `pause`."""
        self._paused = False
        self._changed.set()

    def pause_queue(self, paused: bool) -> None:
        """Hold back the account's mail, or let it go."""
        self._dispatch.pauses.pause(self.id, paused)

    def hasten(self, message: int, now: float) -> None:
        """Have a message that waits be due now."""
        self._dispatch.schedule.of(self.id).add(message, now)

    def forget(self) -> None:
        """The account was removed: what others keep in memory of it goes."""
        self.pause_queue(False)
        self._oauth.keepers.forget(self.id)
        self._dispatch.schedule.forget(self.id)
        self._ledger.recorder.sandboxes.discard(self.id)
        self._ledger.changes.gone(self.id)

    async def stop_lane(self) -> None:
        """Take no more mail; return once the message at hand is done or aborted. Cancelled: it is left as it is."""
        self._lane.stop()
        await self._lane_ended.wait()

    async def run(self) -> None:
        """Run the account's tasks until cancelled."""
        concerns(account=self.id)
        if self.unreadable is not None:
            await trio.sleep_forever()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._guarded, self._run_keeper)
                nursery.start_soon(self._guarded, self._follow_sign_in)
                nursery.start_soon(self._guarded, self._run_lane)
                nursery.start_soon(self._guarded, self._run_connection)
                nursery.start_soon(self._guarded, self._note_verdicts)
        finally:
            self.commands.change(offered=False)

    async def _guarded(self, service: Callable[[], Awaitable[None]]) -> None:
        wait = FIRST_RESTART
        while True:
            began = trio.current_time()
            try:
                await service()
                return
            except Exception as error:
                if _disk_failed(error):
                    return
                if trio.current_time() - began >= HEALTHY:
                    wait = FIRST_RESTART
                log.exception("a task crashed and restarts in %d s", wait)
                self.status.last_error = {
                    "response": f"Internal error: {leaves(error)[0]!r}",
                    "serverResponseCode": "EINTERNAL",
                }
            except BaseExceptionGroup as group:
                crash, others = group.split(Exception)
                if crash is not None and not _disk_failed(crash):
                    log.error("a task crashed while it was ending", exc_info=crash)
                raise others or group from None
            await trio.sleep(wait)
            wait = min(wait * 2, LONGEST_RESTART)

    def _take_keeper(self) -> None:
        """Have the keeper of the grant on disk, if the account signs in."""
        before, sign_in = self.keeper, records.sign_in_of(self.record)
        if sign_in is None:
            if before is not None:
                self._oauth.keepers.forget(self.id)
            self.keeper = None
        else:
            self.keeper = self._oauth.keepers.take(self.id, self.status)
        if self.keeper is not None:
            self.keeper.ask_through(self.token_requests())
        if self.keeper is not before:
            self._keeper_changed.set()
        server = self._oauth.auth_server
        self._asked = {
            each: AuthServerLogins(server, self.id, each)
            for each in SERVERS
            if records.asks_auth_server(self.record, each)
        }
        source = self._source("smtp")
        if source is not self._smtp_source:
            self._smtp_source, self._smtp_logins = source, None if source is None else SmtpLogins(source)
        self._sign_in_changed.set()

    def _source(self, server: ServerName) -> LoginSource | None:
        """What there is to log in with at a server that wants more than is registered."""
        return self._asked.get(server) or self.keeper

    def token_requests(self) -> TokenRequests:
        """How tokens are asked for: through the account's own proxy, if it has one."""
        record, requests = self.record, self._oauth.requests
        if not record.proxy and not record.local_address:
            return requests

        async def dial(host: str, port: int) -> trio.abc.Stream:
            route = self._access.routes.of_account(record, None)
            return await self._access.egress.dialer(restricted=False, route=route)(host, port)

        return requests.through(dial)

    async def _run_keeper(self) -> None:
        """Keep the account's tokens. Nothing but another keeper, and the account's end, cuts a refresh short."""
        while True:
            self._keeper_changed = trio.Event()
            async with trio.open_nursery() as nursery:
                if self.keeper is not None:
                    nursery.start_soon(self.keeper.run)
                await self._keeper_changed.wait()
                nursery.cancel_scope.cancel()

    async def _follow_sign_in(self) -> None:
        """Take up what becomes of the account's grant and of its app."""
        while True:
            self._sign_in_changed = trio.Event()
            async with trio.open_nursery() as nursery:
                if (sign_in := records.sign_in_of(self.record)) is not None:
                    nursery.start_soon(self._follow_app, self._oauth.book.state(sign_in.provider))
                if self.keeper is not None:
                    nursery.start_soon(self._follow_grant, self.keeper)
                if (asked := self._asked.get("smtp")) is not None:
                    nursery.start_soon(self._follow_auth_server, asked)
                await self._sign_in_changed.wait()
                nursery.cancel_scope.cancel()

    async def _follow_app(self, app: AppState) -> None:
        while True:
            await app.moved.wait()
            self._take_up(anyway=False)

    async def _follow_grant(self, keeper: Keeper) -> None:
        ended = keeper.grant.gone is not None
        while True:
            if keeper.ready:
                self._lane.has_token()
            if keeper.grant.gone is not None and not ended:
                # Who takes the permission back does not want the mailbox read on over what is open still.
                self.reconnect()
            ended = keeper.grant.gone is not None
            await keeper.moves()

    async def _follow_auth_server(self, asked: AuthServerLogins) -> None:
        while True:
            await asked.moves()
            self._lane.has_token()

    async def _run_lane(self) -> None:
        if self._lane_began:
            ledger, now = self._ledger, self._world.now()
            await recover_account(self.id, ledger.store, ledger.recorder, self._dispatch.schedule, now)
        self._lane_began = True
        await self._lane.run()
        self._lane_ended.set()

    async def _run_connection(self) -> None:
        while True:
            self._changed = trio.Event()
            if not self._paused and any(self._connections()[:2]):
                # Not only once it dials: until then the state would be that of what was connected before.
                self.status.state = AccountState.CONNECTING
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_connected)
                await self._changed.wait()
                nursery.cancel_scope.cancel()
            self._connection = None

    async def _keep_connected(self) -> None:
        if self._paused:
            self.status.state = AccountState.PAUSED
            self._at_rest.set()
            await trio.sleep_forever()
        if self.record.logs is not True:
            self.log = None
        elif self.log is None:
            self.log = ProtocolLog(self._world)
        endpoint, timeouts = records.imap_endpoint(self.record, self.app), self._dispatch.limits.timeouts
        if endpoint is not None:
            rules = records.watch_rules(self.record, self.status.created)
            route = self._route("imap", self.record)
            sessions = Sessions(
                endpoint,
                self._dial("imap", route),
                self._access.connector,
                self.status,
                log=self.log,
                compress=self._access.imap.compress,
                proxy=route.proxy,
                tokens=self._tokens(endpoint),
            )
            backoff = self._access.backoff(endpoint.host, endpoint.port, route.via)
            self._connection = AccountConnection(
                sessions,
                self.commands,
                rules,
                self.status,
                self._copies,
                self._evidence,
                self._ledger,
                self._access,
                self._settings,
                self._heartbeat,
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._connection.run)
                nursery.start_soon(self._guarded, partial(self.commands.run, sessions, backoff))
                if (server := self._server()) is not None and not records.is_sandbox(self.record):
                    nursery.start_soon(watch_sending, server, timeouts, self.status, self._access, self._lane_knocks)
        elif self.keeper is not None and self.app is None:
            await self._wait_for_app(self.keeper)
        elif (server := self._server()) is not None:
            await probe(server, timeouts, self.status, self._access)
        else:
            self.status.state = AccountState.UNSET

    def _tokens(self, endpoint: ImapEndpoint) -> AccessTokens | None:
        source = self._source("imap") if records.is_told_later(self.record, endpoint) else None
        return None if source is None else AccessTokens(source, "imap")

    async def _wait_for_app(self, keeper: Keeper) -> None:
        """Say that there is no app any more; nobody knows which servers to dial."""
        if (error := keeper.obstacle) is not None:
            await self.status.without_token(error)
            await self.status.cannot_send_without_token(error)

    def _take_up(self, *, anyway: bool) -> None:
        before, self._made_from = self._made_from, self._connections()
        if self._made_from == before and not anyway:
            return
        way_out, self._way_out = self._way_out, self.way_out(self.record)
        if self._way_out != way_out:
            self.status.forget_sending()
        self.status.servers = records.servers(self.record, self.app)
        self._lane.change(self._server())
        self.commands.change(offered=records.imap_endpoint(self.record, self.app) is not None)
        if self._made_from != before or self.status.state is not AccountState.CONNECTED:
            self.status.forget_error()
            self._changed.set()

    def _note_sandbox(self) -> None:
        of = self._ledger.recorder.sandboxes
        (of.add if records.is_sandbox(self.record) else of.discard)(self.id)

    def _lane_knocks(self) -> bool:
        return self._lane.knocks

    async def _note_verdicts(self) -> None:
        async for verdict in self._verdicts:
            logins = self._smtp_logins
            if verdict.stage is not Stage.TOKEN:
                await self.status.smtp_tried(verdict)
            elif logins is not None and logins.error is not None:
                await self.status.cannot_send_without_token(logins.error)

    def _tried(self, verdict: Verdict, trace: Trace) -> None:
        if self.log is not None:
            self.log.take(trace, "SMTP, an attempt that has just ended")
        try:
            self._verdicts_in.send_nowait(verdict)
        except trio.WouldBlock:
            pass  # a hundred newer ones are waiting to be noted
        self._copies.look()
        if self._connection is not None and self._evidence.seconds_to_next() is not None:
            self._connection.wake()

    def _connections(self) -> tuple[object, ...]:
        """What the connection, or the probe, was made from."""
        return (
            records.imap_endpoint(self.record, self.app),
            records.smtp_endpoint(self.record, self.app),
            self.record.oauth2,
            self.restricted,
            records.watch_rules(self.record, self.status.created),
            self.record.logs is True,
            self._route("imap", self.record),
            self._route("smtp", self.record),
        )

    def _server(self) -> OutgoingServer | None:
        endpoint = records.smtp_endpoint(self.record, self.app)
        if endpoint is None:
            return None
        tokens = self._smtp_logins if records.is_told_later(self.record, endpoint) else None
        name = ehlo_name(self.record, self._dispatch.ehlo_name)
        limit = self.record.smtp.rate_limit if isinstance(self.record.smtp, SmtpServer) else None
        record, route = self.record, self._route("smtp", self.record)
        server = OutgoingServer(endpoint, self._dial("smtp", route), name, limit or None, route, tokens=tokens)

        def by(message: Message) -> OutgoingServer:
            own = self._access.routes.of_message(message, record)
            return msgspec.structs.replace(server, dial=self._dial("smtp", own), route=own)

        return server if records.is_sandbox(record) else msgspec.structs.replace(server, by=by)

    def _signed_in(self, server: str) -> str | None:
        """Whose token is used at a server; None: it does not say, or there is none."""
        config, sign_in = getattr(self.record, server), records.sign_in_of(self.record)
        token = getattr(getattr(config, "auth", None), "access_token", None)
        if sign_in is not None and not token and self.keeper is not None:
            token = self.keeper.grant.access_token
        return (user_of_token(token) if token else None) or (sign_in.auth.user if sign_in is not None else None)

    def _app_of(self, record: Registration) -> App | None:
        sign_in = records.sign_in_of(record)
        made = None if sign_in is None else self._oauth.book.made.get(sign_in.provider)
        return None if made is None or made.state.app is None else made.app

    def _route(self, server: ServerName, record: Registration) -> Route:
        return DIRECT if records.is_sandbox(record) else self._access.routes.of_account(record, server)

    def _dial(self, server: ServerName, route: Route) -> Dial:
        sandbox, restricted = records.is_sandbox(self.record), server in self.restricted
        return self._access.dial(sandbox=sandbox, restricted=restricted, route=route)


def _disk_failed(error: BaseException) -> bool:
    """Whether the store has failed, which its own service tells; a nursery on the way here makes a group of it."""
    return any(isinstance(each, StorageFailed) for each in leaves(error))


def _learnt(row: AccountRow) -> Learnt | None:
    if row.heartbeat is None or row.heartbeat_until is None:
        return None
    return Learnt(row.heartbeat, row.heartbeat_until)
