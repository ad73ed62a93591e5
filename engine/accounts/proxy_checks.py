"""Refuses invalid proxies and local addresses when they are set. Each connection is checked as well."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UnsetType

from engine.accounts.server_access import ServerAccess
from engine.egress import EgressRefused
from engine.errors import Problem
from engine.field_errors import FieldErrors, FieldPath, invalid
from engine.masking import MASK
from engine.proxies.proxy import parse


async def refuse_way(
    access: ServerAccess,
    proxy: str | UnsetType | None,
    local_address: str | UnsetType | None,
    *,
    narrowed: bool,
    limited: bool = False,
) -> None:
    """Raise `Problem` for a proxy or local address that an account or message may not use.

    `narrowed`: the token is for one account; it may set no proxy, and only local addresses listed in the settings.
    `limited`: it has permissions; it may set no proxy, which would see the login at the mail server.
    """
    if proxy and limited:
        raise Problem(403, "A token with permissions may not name a proxy", code="ProxyRefused")
    if proxy and narrowed:
        raise Problem(403, "A token for one account may not name a proxy", code="ProxyRefused")
    await refuse_proxy(access, "proxy", proxy or None)
    if not local_address:
        return
    listed = access.routes.local_addresses
    if (listed or narrowed) and local_address not in listed:
        raise invalid("localAddress", "must be one of the setting localAddresses")
    if not access.world.has_address(local_address):
        raise invalid("localAddress", "must be an address of this machine")


async def refuse_proxy(access: ServerAccess, member: str, url: str | None) -> None:
    """Raise `Problem` 400 for a proxy that must not be dialled."""
    if not url:
        return
    if MASK in url:
        raise invalid(member, "is a masked value")
    proxy = parse(url)
    try:
        await access.egress.check(proxy.host, proxy.port, restricted=False)
    except EgressRefused as error:
        raise invalid(member, f"cannot be used: {error}", code="EgressRefused") from error


def refuse_local_addresses(access: ServerAccess, addresses: Sequence[str]) -> None:
    """Raise `Problem` 400 that lists each address not assigned to this machine."""
    found = FieldErrors()
    for number, address in enumerate(addresses):
        if not access.world.has_address(address):
            found.add(FieldPath.of(f"localAddresses[{number}]"), "must be an address of this machine")
    found.refuse()
