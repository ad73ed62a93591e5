"""What the lanes of all accounts and gateways share, and the limits of their sessions."""

from __future__ import annotations

import msgspec

from engine.config import Smtp
from engine.queue.attempt import Attempts
from engine.queue.pause import Pauses
from engine.queue.schedule import Schedule
from engine.queue.session_slots import SessionSlots
from engine.silent_hosts import Hosts
from engine.smtp.session import Timeouts
from engine.world import World


class LaneLimits(msgspec.Struct, frozen=True):
    """How many messages a session may carry, and how many seconds it may stay idle."""

    messages_per_session: int
    session_idle: float
    timeouts: Timeouts


def lane_limits(smtp: Smtp) -> LaneLimits:
    """The limits that the configuration sets."""
    timeouts = Timeouts(
        connect=smtp.connect_timeout,
        greeting=smtp.greeting_timeout,
        command=smtp.command_timeout,
        data=smtp.data_timeout,
        block=smtp.block_timeout,
        dot=smtp.dot_timeout,
    )
    return LaneLimits(smtp.messages_per_session, smtp.session_idle, timeouts)


class Dispatch(msgspec.Struct, frozen=True):
    """What the lanes of all accounts share. If `ehlo_name` is empty, each lane greets with its account's domain."""

    schedule: Schedule
    attempts: Attempts
    slots: SessionSlots
    pauses: Pauses
    limits: LaneLimits
    ehlo_name: str
    hosts: Hosts
    world: World
