"""Which addresses a webhook may reach.

A webhook URL comes from an API caller, so it must not become a way into what only this machine can see. A name is
resolved once, the addresses are checked, and the connection goes to a checked address: what the name says a moment
later does not matter. Link-local addresses (the metadata services of clouds among them), multicast and reserved ranges
are never reached; loopback and private networks only where the configuration allows them. A refusal is
`EgressRefused`.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import trio

from engine.errors import EngineError, Fault, NetworkError, Remedy
from engine.world import World

_PRIVATE = tuple(
    ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")
)
# Metadata services that clouds put inside ranges which are private otherwise.
_METADATA = {ip_address("fd00:ec2::254"), ip_address("100.100.100.200")}
_NAT64 = ip_network("64:ff9b::/96")


class EgressRefused(EngineError):
    """A webhook URL leads to an address that must not be reached."""

    fault = Fault.CALLER
    remedy = Remedy.RETRY


def allowed(ip: str, *, allow_private: bool) -> bool:
    """Whether a webhook may go to this address (IPv4, IPv6 with or without a zone). Raises ValueError if it is none."""
    address = _unwrap(ip_address(ip.partition("%")[0]))
    if address in _METADATA:
        return False
    if any(address in network for network in _PRIVATE):
        return allow_private
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def choose(host: str, addresses: Iterable[str], *, allow_private: bool) -> list[str]:
    """Those of a host's addresses a webhook may go to. Raises `EgressRefused` when that is none."""
    addresses = list(addresses)
    good = [address for address in addresses if allowed(address, allow_private=allow_private)]
    if not good:
        raise EgressRefused(f"{host} leads to {', '.join(addresses[:1])}, which webhooks may not reach")
    return good


async def connect(world: World, host: str, port: int, *, allow_private: bool) -> trio.abc.Stream:
    """A stream to an allowed address of `host`. The world resolves and dials.

    Raises `EgressRefused` or `NetworkError`. The caller sets the deadline. Cancelled: nothing stays open.
    """
    good = choose(host, await world.resolve(host, port), allow_private=allow_private)
    for address in good[:-1]:
        try:
            return await world.dial(address, port)
        except NetworkError:
            continue
    return await world.dial(good[-1], port)


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one (RFC 4291 mapped, RFC 3056 6to4, RFC 6052 NAT64), else the address itself."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
