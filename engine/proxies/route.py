"""The route of a connection: its proxy and its local address. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

import msgspec

from engine.proxies.proxy import Proxy


class Route(msgspec.Struct, frozen=True):
    """One route. `local`: local addresses, of which the first in the target's family is used; empty: the system's.

    `at_random`: shuffle them for each connection. `fault`: why nothing may be dialled at all, empty if it may.
    """

    proxy: Proxy | None = None
    local: tuple[str, ...] = ()
    at_random: bool = False
    fault: str = ""

    @property
    def via(self) -> tuple[str, int] | None:
        """The proxy's host and port, if there is a proxy."""
        return None if self.proxy is None else self.proxy.at


DIRECT = Route()


def dedicated(addresses: Iterable[str], account: str) -> tuple[str, ...]:
    """The addresses in this account's order of preference; adding or removing one moves few accounts."""
    return tuple(sorted(addresses, key=lambda each: hashlib.sha256(f"{each} {account}".encode()).digest()))


def same_family(address: str, other: str) -> bool:
    """Whether both are IPv4 or both IPv6, ignoring a zone (`%eth0`)."""
    versions = {ipaddress.ip_address(each.partition("%")[0]).version for each in (address, other)}
    return len(versions) == 1
