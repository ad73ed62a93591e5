"""What is stored of webhooks: the headers that go with them, and what an endpoint is told to do. *pure*"""

from __future__ import annotations

import msgspec

Headers = tuple[tuple[str, str], ...]
"""Names and values."""


class Header(msgspec.Struct, frozen=True):
    """A header that goes with the webhooks of the settings, or of an account."""

    key: str
    value: str = ""


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an endpoint of the API is told to do. None is all of them, for `events` and `accounts`.

    `until`: the event after which a replay is done, `replay_of` the endpoint whose events it posts again. `stopped`:
    why the engine has disabled it.
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
