"""What well-known providers let one account send. *pure* data, as published by the providers.

A limit that a provider counts otherwise than the engine can is given on the safe side. To change a figure, change
`as_of` of its preset too.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from engine.model.limits import PresetName, Quota, SendingLimits


class Preset(msgspec.Struct, frozen=True):
    """One provider's limits. `source`: where it publishes them; `as_of`: when they were last compared."""

    limits: Quota
    source: str
    as_of: str


PRESETS: dict[PresetName, Preset] = {
    # A free account; it also refuses a message with more than 500 recipients in all.
    "gmail": Preset(
        Quota(per_day=500, recipients_per_message=100), "https://support.google.com/mail/answer/22839", "2026-11"
    ),
    # A paid account; one on trial may send 500 messages a day, and at most 3,000 recipients may be external.
    "workspace": Preset(
        Quota(per_day=2000, recipients_per_day=10_000, recipients_per_message=100),
        "https://support.google.com/a/answer/166852",
        "2026-11",
    ),
    "microsoft365": Preset(
        Quota(per_minute=30, recipients_per_day=10_000),
        "https://learn.microsoft.com/en-us/office365/servicedescriptions/exchange-online-service-description/"
        "exchange-online-limits",
        "2026-11",
    ),
    "none": Preset(Quota(), "", "2026-11"),
}


def quota_of(limits: SendingLimits) -> Quota:
    """The limits in force: those of the preset, replaced one by one by those given."""
    preset = PRESETS["none" if limits.preset is UNSET else limits.preset].limits
    given = {
        name: value
        for name in Quota.__struct_fields__
        if not isinstance(value := getattr(limits, name), msgspec.UnsetType)
    }
    return msgspec.structs.replace(preset, **given)
