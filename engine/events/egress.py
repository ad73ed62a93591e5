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
from typing import TYPE_CHECKING, Any

import trio

from engine.errors import EngineError, Fault, Remedy

if TYPE_CHECKING:
    from httpcore2 import AsyncNetworkBackend, AsyncNetworkStream

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


def network_backend(*, allow_private: bool) -> AsyncNetworkBackend:
    """The backend for an httpcore2 connection pool that connects to allowed addresses only.

    Its `connect_tcp` raises `EgressRefused`, or httpcore2's errors. httpcore2 is imported here: an engine without
    webhooks never loads it.
    """
    import httpcore2

    class Guarded(httpcore2.AsyncNetworkBackend):
        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: Iterable[Any] | None = None,
        ) -> AsyncNetworkStream:
            try:
                found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
            except OSError as error:
                raise httpcore2.ConnectError(f"{host} cannot be resolved: {error.strerror}") from error
            addresses = [str(entry[4][0]) for entry in found]
            good = [address for address in addresses if allowed(address, allow_private=allow_private)]
            if not good:
                raise EgressRefused(f"{host} leads to {addresses[0]}, which webhooks may not reach")
            backend = httpcore2.TrioBackend()
            for address in good[:-1]:
                try:
                    return await backend.connect_tcp(address, port, timeout, local_address, socket_options)
                except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                    continue
            return await backend.connect_tcp(good[-1], port, timeout, local_address, socket_options)

    return Guarded()


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one (RFC 4291 mapped, RFC 3056 6to4, RFC 6052 NAT64), else the address itself."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
