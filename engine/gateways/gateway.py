"""One gateway while the engine runs: its lane and its errors.

The lane is like that of an account, but separate from them: a gateway that refuses the login or cannot be reached
delays only what goes through it. Its messages are taken from one account after another, each by its account's route:
through the account's own proxy and from its own address, if it has them. A dead proxy of an account delays only that
account's messages.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import trio

from engine.accounts import remedies
from engine.accounts.error_comparison import gist
from engine.accounts.ledger import Ledger
from engine.accounts.login_hints import hint
from engine.accounts.registry import Registry
from engine.accounts.restarts import restarted
from engine.accounts.server_access import ServerAccess
from engine.accounts.status import smtp_error
from engine.gateways import records
from engine.model.gateway import Gateway
from engine.model.message import LaneId, Message
from engine.model.waiting import Waiting
from engine.proxies.route import Route
from engine.queue.dispatch import Dispatch
from engine.queue.lane import Lane
from engine.queue.outgoing_server import OutgoingServer
from engine.queue.recovery import recover_lane
from engine.repeated_errors import RepeatedErrors, counted, spoken
from engine.smtp.verdict import BEFORE_ANY_MESSAGE, Kind, Verdict
from engine.store import gateways
from engine.store.gateways import GatewayRow
from engine.transcript import Trace

log = logging.getLogger("engine.gateway")


class RunningGateway:
    """One gateway. `run` is its service; `record` None: the stored one cannot be read, so nothing goes through it."""

    def __init__(
        self,
        row: GatewayRow,
        record: Gateway | None,
        *,
        ledger: Ledger,
        access: ServerAccess,
        dispatch: Dispatch,
        registry: Registry,
    ) -> None:
        self.id = row.id
        self.record = record
        self.created = row.created
        self.error = row.last_error
        """Why nothing can be sent through it, in the form of `lastError`; None: it works."""
        self._ledger = ledger
        self._access = access
        self._dispatch = dispatch
        self._registry = registry
        self._world = access.world
        self._trouble = RepeatedErrors()
        self._latest: Verdict | None = None
        self._news = trio.Event()
        self._lane = Lane(LaneId(gateway=row.id), self._server(), dispatch, self._tried)
        self._began = False
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    def change(self, record: Gateway) -> None:
        """Use a changed record from the next message on."""
        self.record, self.error, self._latest = record, None, None
        self._trouble = RepeatedErrors()
        self.change_routes()

    def change_routes(self) -> None:
        """Apply changed settings for proxies and local addresses."""
        self._lane.change(self._server())

    def mail_waits_for(self) -> Waiting | None:
        """What keeps all mail through the gateway from being sent now."""
        if self.record is None:
            remedy = f"The stored gateway {self.id} cannot be read: create it again with POST /v1/gateway"
            return Waiting("gateway", self._world.now(), None, remedy)
        return self._lane.waiting()

    async def run(self) -> None:
        """Send what goes through it, until it is stopped or cancelled."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(restarted, self._note_verdicts, self._crashed)
                await restarted(self._run_lane, self._crashed)
                self._ended.set()
                await trio.sleep_forever()

    async def stop_lane(self) -> None:
        """Stop the lane; return once its current message is done or aborted. Cancelled: the lane still stops."""
        self._lane.stop()
        await self._ended.wait()

    async def end(self, grace: float) -> None:
        """Stop for good, after at most `grace` seconds. What waits stays in the queue."""
        with trio.move_on_after(grace):
            await self.stop_lane()
        self._scope.cancel()
        await self._recover()

    async def _run_lane(self) -> None:
        if self._began:
            await self._recover()
        self._began = True
        await self._lane.run()

    async def _recover(self) -> None:
        ledger = self._ledger
        lane = LaneId(gateway=self.id)
        await recover_lane(lane, ledger.store, ledger.recorder, self._dispatch.schedule, self._world.now())

    def _tried(self, verdict: Verdict, trace: Trace, message: Message | None) -> None:
        account = self._registry.get(message.account) if message is not None else None
        if account is not None:
            account.attempted(trace, f"SMTP through the gateway {self.id}, an attempt that has just ended")
        self._latest = verdict
        self._news.set()

    async def _note_verdicts(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            if (verdict := self._latest) is None or self.record is None:
                continue
            failed = verdict.kind is not Kind.ACCEPTED and verdict.stage in BEFORE_ANY_MESSAGE
            await self._note(self._shown(verdict, self.record) if failed else None)

    async def _note(self, error: dict[str, Any] | None) -> None:
        self._tell(error)
        before, self.error = self.error, error
        if before == error or (before is not None and error is not None and gist(before) == gist(error)):
            return
        await self._ledger.store.commit(lambda tx: gateways.note_error(tx, self.id, error))

    def _shown(self, verdict: Verdict, record: Gateway) -> dict[str, Any]:
        shown: dict[str, Any] = smtp_error(verdict)
        shown["description"] = remedies.of_verdict(verdict, records.server(record))
        if verdict.kind is Kind.LOGIN_REFUSED and (said := hint(record.host, verdict.text, token=False)):
            shown["hint"] = said
        return shown

    def _tell(self, error: dict[str, Any] | None) -> None:
        now = self._world.elapsed()
        if error is None:
            if (over := self._trouble.over(now)) is not None:
                failures = counted(over.failures, "attempt")
                log.info(
                    "the gateway %s works again after %s, in which %s failed", self.id, spoken(over.seconds), failures
                )
            return
        more = self._trouble.failed(gist(error), now)
        if more is not None:
            text = f"{error['description']} The error: {error['response']}"
            log.warning("nothing can be sent through the gateway %s%s: %s", self.id, more, text)

    def _crashed(self, error: BaseException) -> None:
        self.error = {"response": f"Internal error: {error!r}", "serverResponseCode": "EINTERNAL"}

    def _server(self) -> OutgoingServer | None:
        """The server with the route of most messages; its `by` finds the route of a message."""
        if self.record is None:
            return None
        access, route = self._access, self._access.routes.of_gateway()
        domain = (self.record.user or "").rpartition("@")[2]
        common = OutgoingServer(
            access.as_set(records.endpoint(self.record)),
            access.dial(sandbox=None, restricted=False, route=route),
            self._dispatch.ehlo_name or domain or "localhost",
            route=route,
            sizes=access.sizes,
        )
        others: dict[Route, OutgoingServer] = {}

        def by(message: Message) -> OutgoingServer:
            account = self._registry.get(message.account)
            own = route if account is None else access.routes.of_message(message, account.record)
            if own == route and not message.has_own_way:
                return server
            found = others.get(own)
            if found is None or message.has_own_way:
                dial = access.dial(sandbox=None, restricted=False, route=own)
                found = msgspec.structs.replace(common, dial=dial, route=own)
                if not message.has_own_way:
                    others[own] = found
            return found

        server = msgspec.structs.replace(common, by=by)
        return server
