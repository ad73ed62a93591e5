"""How much an account may still send within its provider's limits."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Request, Response, When
from engine.schema.servers import PresetName

WindowName = Literal["perMinute", "perHour", "perDay", "recipientsPerDay"]


class PresetInfo(Response, frozen=True, kw_only=True):
    """Where the figures of a preset come from."""

    name: Annotated[PresetName, Meta(description="The preset.")]
    as_of: Annotated[str, Meta(description="The month in which they were last compared.", examples=["2026-11"])]
    source: Annotated[str, Meta(description="Where the provider publishes them.")]


class QuotaWindowInfo(Response, frozen=True, kw_only=True):
    """One limit, and what counts against it now."""

    name: Annotated[WindowName, Meta(description="The member of `smtp.limits`.")]
    limit: Annotated[int, Meta(description="How many messages or recipients it allows.", examples=[500])]
    used: Annotated[int, Meta(description="How many count now.", examples=[123])]
    left: Annotated[int, Meta(description="How many it still allows now.", examples=[377])]
    seconds: Annotated[int, Meta(description="The length of the window.", examples=[86_400])]
    frees_at: Annotated[When | None, Meta(description="When the oldest of them no longer counts. `null`: none counts.")]


class ProviderClosed(Response, frozen=True, kw_only=True):
    """The provider says that the account has sent all that it may."""

    since: Annotated[When, Meta(description="When it said so.")]
    until: Annotated[When, Meta(description="When the engine sends again: as the provider said, else after 24 hours.")]
    response: Annotated[str, Meta(description="Its reply.", examples=["550 5.4.5 Daily user sending limit exceeded."])]


class AccountQuota(Response, frozen=True, kw_only=True):
    """How much an account may still send by its own server."""

    EXAMPLE = {
        "account": "mine",
        "preset": {"name": "gmail", "asOf": "2026-11", "source": "https://support.google.com/mail/answer/22839"},
        "windows": [
            {
                "name": "perDay",
                "limit": 500,
                "used": 123,
                "left": 377,
                "seconds": 86400,
                "freesAt": "2026-11-28T10:00:00.000Z",
            }
        ],
        "recipientsPerMessage": 100,
        "closed": None,
        "waiting": 0,
    }

    account: Annotated[str, Meta(description="The account.")]
    preset: Annotated[PresetInfo | UnsetType, Meta(description="The preset. Absent: none is set.")] = UNSET
    windows: Annotated[tuple[QuotaWindowInfo, ...], Meta(description="The limits in force; none if it has none.")]
    recipients_per_message: Annotated[
        int | UnsetType, Meta(description="The most recipients of one transaction. Absent: no limit is set.")
    ] = UNSET
    closed: Annotated[
        ProviderClosed | None, Meta(description="What the provider said last. `null`: it takes the account's mail.")
    ]
    waiting: Annotated[int, Meta(description="How many of the account's messages are due.", examples=[0])]


class QuotaUpdate(Request, frozen=True, kw_only=True):
    """Send again."""

    EXAMPLE = {"reopen": True}

    reopen: Annotated[bool, Meta(description="`true`: send again now, whatever the provider said.")]


class QuotaUpdated(Response, frozen=True, kw_only=True):
    """Whether the engine sends again."""

    reopen: Annotated[bool, Meta(description="What the request said.")]
