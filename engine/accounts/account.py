"""One account's tasks in one nursery: its IMAP connection (or the probe of its SMTP login) and its outbox lane.

A crash in these tasks is caught here: it is logged with its traceback and shown as the account's `lastError`, and the
task restarts after a growing wait. No other account is affected. A changed registration restarts the connection at
once; the lane continues and uses the new server from the next message on, so a final dot is never cut off.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import trio

from engine.accounts import registration as records
from engine.accounts.ehlo_name import ehlo_name
from engine.accounts.follow_ups import FollowUps
from engine.accounts.heartbeat import Heartbeat, Learnt
from engine.accounts.idling_connection import AccountConnection
from engine.accounts.imap_sessions import Sessions
from engine.accounts.leased_connections import Commands
from engine.accounts.ledger import Ledger
from engine.accounts.oauth_login import SignIn
from engine.accounts.protocol_log import ProtocolLog
from engine.accounts.reauth import Reauth
from engine.accounts.refused_login import RefusedLogin
from engine.accounts.restarts import restarted
from engine.accounts.sent_copies import SentCopies
from engine.accounts.server_access import ServerAccess
from engine.accounts.smtp_login_probe import probe, watch_sending
from engine.accounts.status import Status
from engine.log import concerns
from engine.model.account_states import AccountState
from engine.model.limit_presets import quota_of
from engine.model.limits import SendingLimits
from engine.model.message import LaneId, Message
from engine.model.registration import Registration, ServerName, SmtpServer
from engine.model.waiting import Waiting
from engine.oauth.keepers import OAuth
from engine.proxies.route import DIRECT, Route
from engine.queue.dispatch import Dispatch
from engine.queue.lane import Lane
from engine.queue.outgoing_server import OutgoingServer
from engine.queue.quota import SendingQuota
from engine.queue.recovery import recover_lane
from engine.queue.sent_folder_search import SentFolderSearches
from engine.schema.account_condition import FolderError, LearntHeartbeat
from engine.settings import SettingsBook
from engine.smtp.session import SmtpEndpoint
from engine.smtp.verdict import Stage, Verdict
from engine.store import unfinished_changes
from engine.store.accounts import AccountRow
from engine.transcript import Trace
from engine.world import Dial

log = logging.getLogger("engine.account")

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
        """Those of its servers that were set with a token for this account alone."""
        self.unreadable = unreadable
        """Why its stored registration cannot be read, if so; it is then not run, and `record` is a placeholder."""
        self._ledger = ledger
        self._access = access
        self._dispatch = dispatch
        self._settings = settings
        self._world = access.world
        store, imap = ledger.store, access.imap
        refused = RefusedLogin(row.refused_since, imap.give_up_refused, self._world)
        self.status = Status(row, store, ledger.journal, ledger.changes, self._world, refused)
        self.status.reauth_url = lambda tx: reauth.url_in(tx, self.record)
        self.sign_in = SignIn(record, oauth, access, self.status)
        self.status.signed_in = self.sign_in.user_at
        self.status.servers = records.servers(record, self.sign_in.app)
        self._note_sandbox()
        if records.is_sandbox(record) and row.sending is None:
            self.status.forget_sending(AccountState.CONNECTED)
        self._copies = SentCopies(row.id, store, ledger.spool, ledger.journal, imap.copy_schedule, self._world)
        self._follow_ups = FollowUps(row.id, store, imap.copy_schedule, self._world)
        self._evidence = SentFolderSearches(row.id, store, ledger.recorder, self._world)
        self._heartbeat = Heartbeat(imap.heartbeat, self._world, _learnt(row))
        self.commands = Commands(self.status, offered=records.imap_endpoint(record, self.sign_in.app) is not None)
        """The connections that requests lease."""
        self.commands.recall(unfinished_changes.of_account(store.reader, row.id))
        self._connection: AccountConnection | None = None
        self._changed = trio.Event()
        self._paused = False
        self._at_rest = trio.Event()
        self.log: ProtocolLog | None = None
        """The protocol log; None if the account has none."""
        self._verdicts_in, self._verdicts = trio.open_memory_channel[Verdict](100)
        dispatch.pauses.pause(row.id, row.queue_paused)
        self._lane = Lane(LaneId(row.id), self._server(), dispatch, self._tried)
        self._made_from = self._connections()
        self._way_out = self.way_out(record)
        self._lane_began = False
        self._lane_ended = trio.Event()
        if unreadable is not None:
            self.status.state = AccountState.UNSET
            self.status.last_error = {"response": unreadable, "serverResponseCode": "EUNREADABLE"}
            self._lane_ended.set()

    def change(self, record: Registration, restricted: frozenset[str]) -> None:
        """Apply a changed registration; working connections that it does not affect stay open."""
        self.record, self.restricted = record, restricted
        self.sign_in.change(record)
        self._note_sandbox()
        if self.sign_in.keeper is not None and records.is_sandbox(record):
            self.status.forget_sending(AccountState.CONNECTED)
        self._take_up(anyway=True)

    def change_routes(self) -> None:
        """Apply changed settings for proxies and local addresses."""
        self.sign_in.change_routes()
        self._take_up(anyway=False)

    def way_out(self, record: Registration) -> tuple[object, ...]:
        """What decides whether mail can be sent with this registration; compared to detect a change."""
        endpoint = records.smtp_endpoint(record, self.sign_in.app_of(record))
        signs_in = records.wants_token(record, endpoint)
        return endpoint, self._route("smtp", record), record.oauth2 if signs_in else None

    @property
    def folder_errors(self) -> tuple[FolderError, ...]:
        """The folders that cannot be looked into, in the form in which the account shows them."""
        return self._connection.folder_errors if self._connection is not None else ()

    @property
    def learnt_heartbeat(self) -> LearntHeartbeat | None:
        """The learnt heartbeat, in the form in which the account shows it; None if nothing has been learnt."""
        return self._heartbeat.shown()

    @property
    def has_imap(self) -> bool:
        """Whether there is a mailbox to connect to."""
        return records.has_imap(self.record, self.sign_in.app)

    @property
    def has_smtp(self) -> bool:
        """Whether there is a server to send through."""
        return records.has_smtp(self.record, self.sign_in.app)

    @property
    def in_sandbox(self) -> bool:
        """Whether its servers are those of the sandbox."""
        return records.is_sandbox(self.record)

    @property
    def smtp_endpoint(self) -> SmtpEndpoint | None:
        """The server to send through; None if there is none."""
        return records.smtp_endpoint(self.record, self.sign_in.app)

    def mail_waits_for(self) -> Waiting | None:
        """What keeps all of the account's mail from being sent now."""
        waiting, refused = self._lane.waiting(), self.status.sending["lastError"] or {}
        if waiting is not None and waiting.kind == "login" and "hint" in refused:
            remedy = f"The login was refused ({refused['response']}). {refused['hint']}"
            return Waiting(waiting.kind, waiting.since, waiting.until, remedy)
        return None if waiting is None else self.sign_in.waiting(waiting)

    @property
    def may_send_now(self) -> int | None:
        """How many messages the account's rate limit and quota allow now; None if it has none."""
        return self._lane.left

    async def reopen_quota(self) -> None:
        """Send again, although the provider said that the account has sent all it may. Raises `StorageFailed`."""
        await self.quota.reopen()
        self._dispatch.schedule.of(self.id).poke()

    @property
    def limits(self) -> SendingLimits | None:
        """The limits of its provider, as they are registered; None: none are."""
        return (self.record.smtp.limits or None) if isinstance(self.record.smtp, SmtpServer) else None

    @property
    def quota(self) -> SendingQuota:
        """What it may still send by its own server."""
        assert self._lane.quota is not None
        return self._lane.quota

    @property
    def reconnecting(self) -> bool:
        """Whether the account's connections are about to be closed and opened again."""
        return self._changed.is_set()

    def reconnect(self) -> None:
        """Close the account's connections and open them again, now, with a new attempt at an access token."""
        self.sign_in.ask_now()
        self._changed.set()

    def look_soon(self) -> None:
        """Look into every folder now."""
        if self._connection is not None:
            self._connection.look_soon()

    def look_into(self, path: str) -> None:
        """Look into one folder now."""
        if self._connection is not None:
            self._connection.look_into(path)

    async def pause(self) -> None:
        """Close all connections of the account until `resume`; return once that is done, or after five seconds."""
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
        """Pause or resume the account's mail."""
        self._dispatch.pauses.pause(self.id, paused)

    def hasten(self, message: int, now: float) -> None:
        """Make a waiting message due now."""
        self._dispatch.schedule.add(message, now, account=self.id)

    @property
    def sends_in(self) -> float:
        """Seconds until mail leaves through its own server; at most 0: it does now; infinite if nothing does."""
        return self._lane.time.sends_in

    @property
    def is_cut_off(self) -> bool:
        """Whether mail waits because its own server cannot be reached."""
        return self._lane.time.is_cut_off

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds count as passed for a sandbox account; the times of the journal were moved already."""
        self._lane.time.pass_time(seconds)
        self._copies.look()
        self._follow_ups.look()
        if self._connection is not None:
            self._connection.wake()

    def forget(self) -> None:
        """Remove what other objects hold in memory about this account, which has been removed."""
        self.pause_queue(False)
        self.sign_in.forget()
        self._dispatch.schedule.forget(self.id)
        self._ledger.journal.sandboxes.discard(self.id)
        self._ledger.changes.gone(self.id)
        if self._access.sandbox is not None:
            self._access.sandbox.forget(self.id)

    async def stop_lane(self) -> None:
        """Stop the lane; return once its current message is done or aborted. Cancelled: the lane still stops."""
        self._lane.stop()
        await self._lane_ended.wait()

    async def run(self) -> None:
        """Run the account's tasks until cancelled."""
        concerns(account=self.id)
        if self.unreadable is not None:
            await trio.sleep_forever()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._guarded, self.sign_in.run)
                nursery.start_soon(self._guarded, self._follow_sign_in)
                nursery.start_soon(self._guarded, self._run_lane)
                nursery.start_soon(self._guarded, self._run_connection)
                nursery.start_soon(self._guarded, self._note_verdicts)
        finally:
            self.commands.change(offered=False)

    async def _guarded(self, service: Callable[[], Awaitable[None]]) -> None:
        def crashed(error: BaseException) -> None:
            self.status.last_error = {
                "response": f"Internal error: {error!r}",
                "serverResponseCode": "EINTERNAL",
            }

        await restarted(service, crashed)

    async def _follow_sign_in(self) -> None:
        # Who takes the permission back does not want the mailbox read on over what is open still: `ended`.
        await self.sign_in.follow(
            app_changed=partial(self._take_up, anyway=False), has_token=self._lane.has_token, ended=self.reconnect
        )

    async def _run_lane(self) -> None:
        if self._lane_began:
            ledger, now = self._ledger, self._world.now()
            await recover_lane(LaneId(self.id), ledger.store, ledger.recorder, self._dispatch.schedule, now)
        self._lane_began = True
        await self._lane.run()
        self._lane_ended.set()

    async def _run_connection(self) -> None:
        while True:
            self._changed = trio.Event()
            if not self._paused and any(self._connections()[:2]):
                # Set it now, not only when it dials: until then the state would be that of the old connection.
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
        endpoint, timeouts = records.imap_endpoint(self.record, self.sign_in.app), self._dispatch.limits.timeouts
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
                tokens=self.sign_in.imap(endpoint),
            )
            backoff = self._access.backoff(endpoint.host, endpoint.port, route.via)
            self._connection = AccountConnection(
                sessions,
                self.commands,
                rules,
                self.status,
                self._copies,
                self._follow_ups,
                self._evidence,
                self._ledger,
                self._access,
                self._settings,
                self._heartbeat,
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._connection.run)
                nursery.start_soon(self._guarded, partial(self.commands.run, sessions, backoff))
                tried = not records.is_sandbox(self.record) or self.sign_in.keeper is not None
                if (server := self._server()) is not None and tried:
                    nursery.start_soon(watch_sending, server, timeouts, self.status, self._access, self._lane_knocks)
        elif self.sign_in.keeper is not None and self.sign_in.app is None:
            await self._wait_for_app()
        elif (server := self._server()) is not None:
            await probe(server, timeouts, self.status, self._access)
        else:
            self.status.state = AccountState.UNSET

    async def _wait_for_app(self) -> None:
        """Report that the app is gone, so that there are no servers to dial."""
        error = self.sign_in.keeper.obstacle if self.sign_in.keeper is not None else None
        if error is not None:
            await self.status.without_token(error)
            await self.status.cannot_send_without_token(error)

    def _take_up(self, *, anyway: bool) -> None:
        before, self._made_from = self._made_from, self._connections()
        if self._made_from == before and not anyway:
            return
        way_out, self._way_out = self._way_out, self.way_out(self.record)
        if self._way_out != way_out:
            self.status.forget_sending()
        self.status.servers = records.servers(self.record, self.sign_in.app)
        self._lane.change(self._server())
        self.commands.change(offered=records.imap_endpoint(self.record, self.sign_in.app) is not None)
        if self._made_from != before or self.status.state is not AccountState.CONNECTED:
            self.status.forget_error()
            self._changed.set()

    def _note_sandbox(self) -> None:
        of = self._ledger.journal.sandboxes
        (of.add if records.is_sandbox(self.record) else of.discard)(self.id)

    def _lane_knocks(self) -> bool:
        return self._lane.knocks

    async def _note_verdicts(self) -> None:
        async for verdict in self._verdicts:
            logins = self.sign_in.smtp
            if verdict.stage is not Stage.TOKEN:
                await self.status.smtp_tried(verdict)
            elif logins is not None and logins.error is not None:
                await self.status.cannot_send_without_token(logins.error)

    def _tried(self, verdict: Verdict, trace: Trace, message: Message | None) -> None:
        try:
            self._verdicts_in.send_nowait(verdict)
        except trio.WouldBlock:
            pass  # a hundred newer attempts are waiting to be noted
        self.attempted(trace, "SMTP, an attempt that has just ended")

    def attempted(self, trace: Trace, what: str) -> None:
        """Follow up an attempt to send a message of the account, whose lines begin in the log with `what`."""
        if self.log is not None:
            self.log.take(trace, what)
        self._copies.look()
        self._follow_ups.look()
        if self._connection is not None and self._evidence.seconds_to_next() is not None:
            self._connection.wake()

    def _connections(self) -> tuple[object, ...]:
        """What the connection or probe depends on; compared to detect a change."""
        return (
            records.imap_endpoint(self.record, self.sign_in.app),
            records.smtp_endpoint(self.record, self.sign_in.app),
            self.record.oauth2,
            self.restricted,
            records.watch_rules(self.record, self.status.created),
            self.record.logs is True,
            self._route("imap", self.record),
            self._route("smtp", self.record),
            self._access.any_certificate,
        )

    def _server(self) -> OutgoingServer | None:
        endpoint = records.smtp_endpoint(self.record, self.sign_in.app)
        if endpoint is None:
            return None
        name = ehlo_name(self.record, self._dispatch.ehlo_name)
        limit = self.record.smtp.rate_limit if isinstance(self.record.smtp, SmtpServer) else None
        limits = self.limits
        record, route = self.record, self._route("smtp", self.record)
        server = OutgoingServer(
            self._access.as_set(endpoint),
            self._dial("smtp", route),
            name,
            limit or None,
            quota_of(limits) if limits is not None else None,
            route,
            tokens=self.sign_in.smtp_at(endpoint),
            sizes=self._access.sizes,
        )

        def by(message: Message) -> OutgoingServer:
            own = self._access.routes.of_message(message, record)
            return msgspec.structs.replace(server, dial=self._dial("smtp", own), route=own)

        return server if records.is_sandbox(record) else msgspec.structs.replace(server, by=by)

    def _route(self, server: ServerName, record: Registration) -> Route:
        return DIRECT if records.is_sandbox(record) else self._access.routes.of_account(record, server)

    def _dial(self, server: ServerName, route: Route) -> Dial:
        sandbox, restricted = records.is_sandbox(self.record), server in self.restricted
        return self._access.dial(sandbox=self.id if sandbox else None, restricted=restricted, route=route)


def _learnt(row: AccountRow) -> Learnt | None:
    if row.heartbeat is None or row.heartbeat_until is None:
        return None
    return Learnt(row.heartbeat, row.heartbeat_until)
