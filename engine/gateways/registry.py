"""All gateways: adds, changes, removes and finds them, and runs each in one nursery.

A change is on disk before anything acts on it. A removed gateway leaves its messages in the queue: they wait until a
gateway with this id exists again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import trio

from engine.gateways import records
from engine.gateways.gateway import RunningGateway
from engine.model.gateway import Gateway
from engine.model.message import LaneId, Message
from engine.model.registration import Unreadable
from engine.model.waiting import Waiting
from engine.queue.dispatch import Dispatch
from engine.store import gateways, messages
from engine.store.gateways import GatewayRow
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine.gateway")


class Gateways:
    """The gateways of this engine. `run` is the service that owns their tasks."""

    def __init__(
        self,
        make: Callable[[GatewayRow, Gateway | None], RunningGateway],
        store: Store,
        vault: Vault,
        dispatch: Dispatch,
        world: World,
        grace: float,
    ) -> None:
        """Load all gateways. `grace`: seconds that a removed one has for its current message."""
        self._make = make
        self._store = store
        self._vault = vault
        self._schedule = dispatch.schedule
        self._pauses = dispatch.pauses
        self._world = world
        self._grace = grace
        self._nursery: trio.Nursery | None = None
        self._changing = trio.Lock()
        self._running = {row.id: make(row, self._read(row)) for row in gateways.every(store.reader)}

    def get(self, gateway: str) -> RunningGateway | None:
        """The gateway with this id."""
        return self._running.get(gateway)

    def host_of(self, gateway: str) -> str | None:
        """The host of the gateway with this id, "" if its record cannot be read; None if there is none."""
        running = self._running.get(gateway)
        if running is None:
            return None
        return running.record.host if running.record is not None else ""

    def every(self) -> list[RunningGateway]:
        """All gateways, oldest first."""
        return list(self._running.values())

    def mail_waits_for(self, message: Message) -> Waiting | None:
        """What keeps all mail of the message's gateway and account from being sent now."""
        if (paused := self._pauses.waiting(message.account)) is not None:
            return paused
        running = self._running.get(message.gateway or "")
        if running is None:
            remedy = f"The gateway {message.gateway} was removed: create it again with POST /v1/gateway, or cancel this"
            return Waiting("gateway", message.created, None, f"{remedy} with DELETE /v1/outbox/{{queueId}}")
        return running.mail_waits_for()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run every gateway until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for gateway in self._running.values():
                nursery.start_soon(gateway.run, name=f"gateway {gateway.id}")
            task_status.started()
            await trio.sleep_forever()

    async def stop_lanes(self, grace: float) -> None:
        """Stop all lanes; return when the last current message is done, at most `grace` seconds later."""
        with trio.move_on_after(grace):
            async with trio.open_nursery() as nursery:
                for gateway in self._running.values():
                    nursery.start_soon(gateway.stop_lane)

    def change_routes(self) -> None:
        """Apply changed settings for proxies, local addresses or certificates."""
        for gateway in self._running.values():
            gateway.change_routes()

    async def save(self, gateway: str, decide: Callable[[Gateway | None], Gateway]) -> bool:
        """Add or replace the gateway with this id; return whether it is new.

        `decide` makes its record from the existing one (None if there is none, or it cannot be read). What it raises
        propagates, and nothing is changed then. Messages that waited for the gateway are due at once.
        """
        async with self._changing:
            running = self._running.get(gateway)
            before = running.record if running is not None else None
            record = records.guarded(decide(before), before)
            sealed, now = records.seal(record, self._vault), self._world.now()

            def change(tx: Tx) -> None:
                gateways.save(tx, gateway, sealed, now)
                for message, account in messages.hasten(tx, LaneId(gateway=gateway), now):
                    add = partial(self._schedule.add, message, now, account=account, gateway=gateway)
                    tx.after_commit(add)

            await self._store.admit(change)
            if running is not None:
                running.change(record)
                return False
            row = gateways.get(self._store.reader, gateway)
            assert row is not None and self._nursery is not None
            running = self._running[gateway] = self._make(row, record)
            self._nursery.start_soon(running.run, name=f"gateway {gateway}")
            return True

    async def remove(self, gateway: RunningGateway) -> int:
        """Remove a gateway; return how many messages still wait for it."""
        async with self._changing:
            if self._running.get(gateway.id) is not gateway:
                return 0
            await self._store.commit(lambda tx: gateways.remove(tx, gateway.id))
            self._running.pop(gateway.id)
            await gateway.end(self._grace)
            return gateways.waiting(self._store.reader, gateway.id)

    def _read(self, row: GatewayRow) -> Gateway | None:
        try:
            return records.unseal(row.id, row.record, self._vault)
        except Unreadable as error:
            log.error("nothing goes through the gateway %s: its stored record cannot be read: %s", row.id, error)
            return None
