"""Which addresses a webhook may reach.

A webhook URL comes from an API caller, so it must not become a way into what only this machine can see. A name is
resolved once, the addresses are checked, and the connection goes to a checked address: what the name says a moment
later does not matter. Link-local addresses (the metadata services of clouds among them), multicast and reserved ranges
are never reached; loopback and private networks only where the configuration allows them. A refusal is
`EgressRefused`.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any

import trio

from engine.errors import EngineError, Fault, NetworkError, Remedy
from engine.world import World

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


def choose(host: str, addresses: Iterable[str], *, allow_private: bool) -> list[str]:
    """Those of a host's addresses a webhook may go to. Raises `EgressRefused` when that is none."""
    addresses = list(addresses)
    good = [address for address in addresses if allowed(address, allow_private=allow_private)]
    if not good:
        raise EgressRefused(f"{host} leads to {', '.join(addresses[:1])}, which webhooks may not reach")
    return good


def network_backend(world: World, *, allow_private: bool) -> AsyncNetworkBackend:
    """The backend for an httpcore2 connection pool that connects to allowed addresses only.

    The world resolves and dials. Its `connect_tcp` raises `EgressRefused` or `NetworkError`. httpcore2 is imported
    here: an engine without webhooks never loads it.
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
            good = choose(host, await world.resolve(host, port), allow_private=allow_private)
            for address in good[:-1]:
                try:
                    return _stream(await world.dial(address, port))
                except NetworkError:
                    continue
            return _stream(await world.dial(good[-1], port))

    return Guarded()


def _stream(stream: trio.abc.Stream) -> AsyncNetworkStream:
    """A stream of ours as httpcore2 wants it. It has no timeouts: the whole post has one."""
    import httpcore2

    class Wrapped(httpcore2.AsyncNetworkStream):
        async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            try:
                return bytes(await stream.receive_some(max_bytes))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise httpcore2.ReadError(str(error) or "connection reset") from error

        async def write(self, buffer: bytes, timeout: float | None = None) -> None:
            try:
                await stream.send_all(buffer)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise httpcore2.WriteError(str(error) or "connection reset") from error

        async def aclose(self) -> None:
            await trio.aclose_forcefully(stream)

        async def start_tls(
            self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
        ) -> AsyncNetworkStream:
            secured = trio.SSLStream(stream, ssl_context, server_hostname=server_hostname, https_compatible=True)
            try:
                await secured.do_handshake()
            except trio.BrokenResourceError as error:
                await trio.aclose_forcefully(stream)
                raise httpcore2.ConnectError(f"no TLS: {error.__cause__ or error}") from error
            return _stream(secured)

        def get_extra_info(self, info: str) -> Any:
            if info == "is_readable" and isinstance(stream, trio.SocketStream):
                return stream.socket.is_readable()
            if info == "server_addr" and isinstance(stream, trio.SocketStream):
                return stream.socket.getpeername()
            return None

    return Wrapped()


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one (RFC 4291 mapped, RFC 3056 6to4, RFC 6052 NAT64), else the address itself."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
