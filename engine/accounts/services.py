"""What every account's tasks are given: the engine's shared parts, in one frozen bundle."""

from __future__ import annotations

import msgspec
import trio

from engine.accounts.slots import LoginSlots
from engine.config import Config
from engine.events.journal import Journal
from engine.queue.attempt import Attempts
from engine.queue.schedule import Schedule
from engine.sandbox.provider import Sandbox
from engine.settings import SettingsBook
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
    settings: SettingsBook
    schedule: Schedule
    attempts: Attempts
    sandbox: Sandbox
    slots: trio.CapacityLimiter
    logins: LoginSlots
