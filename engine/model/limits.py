"""Limits that a registration sets and the queue keeps. *pure*"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

WindowName = Literal["perMinute", "perHour", "perDay", "recipientsPerDay"]
PresetName = Literal["gmail", "workspace", "microsoft365", "none"]
TooMany = Literal["split", "refuse"]
"""What happens to a message with more recipients than one transaction may have."""

MINUTE, HOUR, DAY = 60, 3600, 86_400
"""Seconds."""


class SendingLimit(msgspec.Struct, frozen=True):
    """At most `messages` attempts begin within any `seconds`."""

    messages: int
    seconds: int


class SendingLimits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the provider lets an account send: a preset, and members that replace the preset's; None: no such limit."""

    preset: PresetName | UnsetType = UNSET
    per_minute: int | UnsetType | None = UNSET
    per_hour: int | UnsetType | None = UNSET
    per_day: int | UnsetType | None = UNSET
    recipients_per_day: int | UnsetType | None = UNSET
    recipients_per_message: int | UnsetType | None = UNSET
    too_many_recipients: TooMany | UnsetType = UNSET


class WindowLimit(NamedTuple):
    """At most `most` transactions, or recipients if it `counts_recipients`, within any `seconds`.

    `name` is the member of `smtp.limits` that sets it.
    """

    name: WindowName
    most: int
    seconds: int
    counts_recipients: bool = False


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """The limits in force, a preset's among them; None: no such limit."""

    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    recipients_per_day: int | None = None
    recipients_per_message: int | None = None

    @property
    def windows(self) -> tuple[WindowLimit, ...]:
        """The limits on what is sent within some time."""
        found: tuple[tuple[WindowName, int | None, int, bool], ...] = (
            ("perMinute", self.per_minute, MINUTE, False),
            ("perHour", self.per_hour, HOUR, False),
            ("perDay", self.per_day, DAY, False),
            ("recipientsPerDay", self.recipients_per_day, DAY, True),
        )
        return tuple(
            WindowLimit(name, most, seconds, recipients)
            for name, most, seconds, recipients in found
            if most is not None
        )
