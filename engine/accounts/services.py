"""What every account's tasks are given: the engine's shared parts, in one frozen bundle."""

from __future__ import annotations

import msgspec

from engine.accounts.login_slots import LoginSlots
from engine.config import Config
from engine.egress import Egress
from engine.events.journal import Journal
from engine.events.state_changes import StateChanges
from engine.hosts import Hosts
from engine.oauth.keepers import OAuth
from engine.queue.attempt import Attempts
from engine.queue.outbox import Outbox
from engine.queue.pause import Pauses
from engine.queue.recorder import Recorder
from engine.queue.schedule import Schedule
from engine.queue.session_slots import SessionSlots
from engine.sandbox.provider import Sandbox
from engine.settings import SettingsBook
from engine.store.bodies import Spool
from engine.store.vault import Vault
from engine.store.writer import Store
from engine.webhooks.registry import EndpointRegistry
from engine.world import World


class Services(msgspec.Struct, frozen=True):
    """`slots` shares the process's SMTP sessions out, `logins` limits how many accounts log in at once.

    `sandbox` is None where `[sandbox] enabled` is false.
    """

    config: Config
    world: World
    hosts: Hosts
    egress: Egress
    store: Store
    spool: Spool
    vault: Vault
    journal: Journal
    changes: StateChanges
    webhooks: EndpointRegistry
    settings: SettingsBook
    schedule: Schedule
    recorder: Recorder
    attempts: Attempts
    outbox: Outbox
    pauses: Pauses
    sandbox: Sandbox | None
    slots: SessionSlots
    logins: LoginSlots
    oauth: OAuth
