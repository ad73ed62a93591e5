"""Permissions and restrictions of tokens: from the words of the API to what is stored, and back."""

from __future__ import annotations

from typing import TypeVar

from msgspec import UNSET, UnsetType

from engine.model.token_permissions import Permissions
from engine.model.token_restrictions import RateLimit, Restrictions
from engine.schema.tokens import (
    ShownPermissions,
    ShownRateLimit,
    ShownRestrictions,
    TokenPermissions,
    TokenRestrictions,
)

T = TypeVar("T")


def permissions_of(given: TokenPermissions | UnsetType | None) -> Permissions | None:
    """What is stored of permissions; None for none."""
    if not isinstance(given, TokenPermissions):
        return None
    return Permissions(_given(given.actions), _given(given.groups))


def restrictions_of(given: TokenRestrictions | UnsetType | None) -> Restrictions | None:
    """What is stored of restrictions; None for none."""
    if not isinstance(given, TokenRestrictions):
        return None
    limit = _given(given.rate_limit)
    found = Restrictions(
        _given(given.addresses),
        _given(given.referrers) or None,
        None if limit is None else RateLimit(limit.max_requests, limit.time_window),
    )
    return None if found == Restrictions() else found


def shown_permissions(permissions: Permissions | None) -> ShownPermissions | None:
    """Stored permissions as the API shows them."""
    if permissions is None:
        return None
    return ShownPermissions(
        actions=UNSET if permissions.actions is None else permissions.actions,
        groups=UNSET if permissions.groups is None else permissions.groups,
    )


def shown_restrictions(restrictions: Restrictions | None) -> ShownRestrictions | None:
    """Stored restrictions as the API shows them."""
    if restrictions is None:
        return None
    limit = restrictions.rate_limit
    return ShownRestrictions(
        referrers=restrictions.referrers,
        addresses=restrictions.addresses,
        rate_limit=None
        if limit is None
        else ShownRateLimit(max_requests=limit.max_requests, time_window=limit.time_window),
    )


def _given(value: T | UnsetType | None) -> T | None:
    return None if isinstance(value, UnsetType) else value
