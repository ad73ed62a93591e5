"""The stored form of webhooks: custom headers, and the settings of an endpoint. Pure."""

from __future__ import annotations

import msgspec

Headers = tuple[tuple[str, str], ...]
"""Names and values."""


class Header(msgspec.Struct, frozen=True):
    """A custom header for the webhooks of the settings or of an account."""

    key: str
    value: str = ""


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The settings of an endpoint created through the API. `events` and `accounts` None: all.

    `until`: the last event of a replay; `replay_of`: the endpoint whose events it repeats. `stopped`: why the engine
    has disabled it.
    """

    url: str
    description: str = ""
    events: tuple[str, ...] | None = None
    accounts: tuple[str, ...] | None = None
    headers: Headers = ()
    secrets: tuple[str, ...] = ()
    enabled: bool = True
    filter: str | None = None
    map: str | None = None
    until: int | None = None
    replay_of: str | None = None
    stopped: str | None = None
