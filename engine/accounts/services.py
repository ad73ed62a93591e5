"""What every account's tasks are given: the engine's shared parts, in one frozen bundle."""

from __future__ import annotations

import msgspec
import trio

from engine.config import Config
from engine.events.changes import Changes
from engine.events.journal import Journal
from engine.events.webhooks import Webhooks
from engine.queue.attempt import Attempts
from engine.queue.schedule import Schedule
from engine.sandbox.provider import Sandbox
from engine.store.bodies import Spool
from engine.store.vault import Vault
from engine.store.writer import Store
from engine.world import World


class Services(msgspec.Struct, frozen=True):
    """`slots` limits the process's SMTP sessions, `logins` how many accounts log in at once."""

    config: Config
    world: World
    store: Store
    spool: Spool
    vault: Vault
    journal: Journal
    changes: Changes
    webhooks: Webhooks
    schedule: Schedule
    attempts: Attempts
    sandbox: Sandbox
    slots: trio.CapacityLimiter
    logins: trio.CapacityLimiter
