"""By which way a connection leaves: through which proxy, and from which address of this machine. *pure*"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

import msgspec

from engine.proxies.proxy import Proxy


class Route(msgspec.Struct, frozen=True):
    """One way out. `local`: addresses to leave from, the first of the target's family is taken; none: the system's.

    `at_random`: in another order for each connection. `fault`: why nothing may be dialled at all, empty if it may.
    """

    proxy: Proxy | None = None
    local: tuple[str, ...] = ()
    at_random: bool = False
    fault: str = ""

    @property
    def via(self) -> tuple[str, int] | None:
        """Where the proxy is, if there is one."""
        return None if self.proxy is None else self.proxy.at


DIRECT = Route()


def dedicated(addresses: Iterable[str], account: str) -> tuple[str, ...]:
    """The addresses in the order in which this account takes them; another one among them moves few accounts."""
    return tuple(sorted(addresses, key=lambda each: hashlib.sha256(f"{each} {account}".encode()).digest()))


def same_family(address: str, other: str) -> bool:
    """Whether both are IPv4 or both IPv6; a zone (`%eth0`) is no part of an address."""
    versions = {ipaddress.ip_address(each.partition("%")[0]).version for each in (address, other)}
    return len(versions) == 1
