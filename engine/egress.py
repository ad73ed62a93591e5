"""Which addresses the engine may dial: one rule for webhooks and for accounts' mail servers.

URLs and server names come from API callers, so they must not give access to what only this machine can reach. A name is
resolved once, its addresses are checked, and the connection goes to a checked address, whatever the name resolves to a
moment later. Behind a proxy the same holds for both ends: the proxy must be one that may be dialled, and a target's
name is resolved and checked here and the proxy given the address, unless `[network] proxy_names` leaves names to it.
Link-local addresses, the metadata services of clouds, multicast and reserved ranges are never reached. Loopback and
private networks are reached only where `[network]` allows it, and by what was set with a token for one account
(`restricted`) only where `network.allow` lists them. A refusal is `EgressRefused`. Secrets go in clear text only to
this machine and private networks, wherever the proxy stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import trio

from engine.config import Network
from engine.errors import NetworkError, NetworkKind
from engine.proxies.proxy import Proxy
from engine.proxies.route import DIRECT, Route
from engine.proxies.tunnel import through
from engine.remote_clocks import RemoteClocks
from engine.silent_hosts import Hosts
from engine.world import Dial, World

RESOLVE_SECONDS = 5.0

_PRIVATE = tuple(
    ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")
)
# What Python versions disagree on, or hold for global although nothing on the internet answers there.
_RESERVED = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890), one cloud's metadata service among them
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
        "64:ff9b:1::/48",  # local NAT64 (RFC 8215): the IPv4 address inside cannot be told
        "2001::/32",  # Teredo (RFC 4380): likewise
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
        "fec0::/10",  # site-local, deprecated (RFC 3879)
    )
)
# Metadata services that clouds put outside of link-local addresses.
_METADATA = {ip_address(text) for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16")}
_NAT64 = ip_network("64:ff9b::/96")


class EgressRefused(NetworkError):
    """A host leads only to addresses that must not be reached, or a port that must not be used."""

    def __init__(self, text: str) -> None:
        super().__init__(NetworkKind.CONNECT, "EACCES", text)


class Egress:
    """The rules of `[network]`. `restricted` below: on behalf of a caller with a token for one account.

    `clocks` hears of each answer by HTTP.
    """

    def __init__(self, rules: Network, world: World, hosts: Hosts) -> None:
        self._world = world
        self._hosts = hosts
        self.clocks = RemoteClocks(world)
        self._allow_private = rules.allow_private
        self._mail_ports = frozenset(rules.mail_ports)
        self._proxy_names = rules.proxy_names
        self._allow = tuple(ip_network(text, strict=False) for text in rules.allow)
        self._deny = tuple(ip_network(text, strict=False) for text in rules.deny)

    def permits(self, ip: str, *, restricted: bool) -> bool:
        """Whether this address (IPv4, IPv6 with or without a zone) may be dialled. Raises ValueError if it is none."""
        address = _unwrap(ip_address(ip.partition("%")[0]))
        if address in _METADATA or any(address in network for network in self._deny):
            return False
        if any(address in network for network in _PRIVATE):
            if any(address in network for network in self._allow):
                return True
            return self._allow_private and not restricted
        if any(address in network for network in _RESERVED):
            return False
        return address.is_global and not (address.is_multicast or address.is_reserved)

    def choose(self, host: str, addresses: Sequence[str], *, restricted: bool) -> list[str]:
        """Those of a host's addresses that may be dialled. Raises `EgressRefused` if there are none."""
        good = [address for address in addresses if self.permits(address, restricted=restricted)]
        if not good:
            # What a name resolves to inside this network is not for a caller who may not go there.
            where = "an address" if restricted else ", ".join(addresses[:1])
            raise EgressRefused(f"{host} leads to {where}, which may not be reached: see [network] in config.toml")
        return good

    def dialer(self, *, restricted: bool, mail: bool = False, route: Route = DIRECT, clear_text: bool = False) -> Dial:
        """Dials what is permitted, by `route`.

        `mail`: as a mail server, for which a restricted caller may use mail ports only. `clear_text`: secrets will go
        unencrypted, so only private addresses are permitted. The proxy of a route was named by the operator:
        `restricted` and `clear_text` are about the target.
        """

        def check(port: int) -> None:
            if route.fault:
                raise NetworkError(NetworkKind.CONNECT, "EROUTE", route.fault)
            if mail:
                self.check_port(port, restricted=restricted)

        async def dial(host: str, port: int) -> trio.abc.Stream:
            check(port)
            return await self._dial(host, port, route, restricted=restricted, clear_text=clear_text)

        if (proxy := route.proxy) is None:
            return self._hosts.watched(dial)

        async def dial_proxy(host: str, port: int) -> trio.abc.Stream:
            return await self._dial(host, port, route, restricted=False)

        reach = self._hosts.watched(dial_proxy)

        async def dial_through(host: str, port: int) -> trio.abc.Stream:
            check(port)
            targets = await self._targets(proxy, host, port, restricted=restricted, clear_text=clear_text)
            return await through(proxy, lambda: reach(proxy.host, proxy.port), targets, port)

        return self._hosts.watched(dial_through, route.via)

    async def _dial(
        self, host: str, port: int, route: Route, *, restricted: bool, clear_text: bool = False
    ) -> trio.abc.Stream:
        def choose(found: Sequence[str]) -> list[str]:
            good = self.choose(host, found, restricted=restricted)
            return self._hosts.ordered(_private(host, good) if clear_text else good)

        if not route.local:
            return await self._world.dial(host, port, choose)
        local = route.local
        if route.at_random:
            local = tuple(self._world.random.sample(local, len(local)))
        return await self._world.dial(host, port, choose, local)

    async def _targets(self, proxy: Proxy, host: str, port: int, *, restricted: bool, clear_text: bool) -> list[str]:
        """What to ask a proxy for: the permitted addresses of a host, or its name if resolving is left to the proxy.

        IPv4 first: many proxies have nothing else.
        """
        if self._proxy_names and not restricted and not clear_text and not _is_address(host):
            return [host]
        found = self.choose(host, await self._world.resolve(host, port), restricted=restricted)
        return sorted(_private(host, found) if clear_text else found, key=lambda each: ":" in each)

    def listening(self, host: str, port: int, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Within the block `wake` is called whenever the host answers again (`Hosts.listening`)."""
        return self._hosts.listening(host, port, wake)

    async def check(self, host: str, port: int | None, *, restricted: bool) -> None:
        """Raise `EgressRefused` if a host must not be dialled.

        A name that cannot be resolved within five seconds passes: each connection is checked anyway.
        """
        with trio.move_on_after(RESOLVE_SECONDS):
            try:
                addresses = await self._world.resolve(host, port)
            except NetworkError:
                return
            self.choose(host, addresses, restricted=restricted)

    def check_port(self, port: int, *, restricted: bool) -> None:
        """Raise `EgressRefused` if a mail server must not have this port."""
        if restricted and port not in self._mail_ports:
            ports = ", ".join(str(each) for each in sorted(self._mail_ports))
            raise EgressRefused(f"port {port} is not a mail port; a token for one account may use {ports}")


def _private(host: str, addresses: Sequence[str]) -> list[str]:
    """The private ones among the addresses. Raises `NetworkError` if there are none."""
    unwrapped = {each: _unwrap(ip_address(each.partition("%")[0])) for each in addresses}
    found = [each for each, address in unwrapped.items() if any(address in network for network in _PRIVATE)]
    if not found:
        text = (
            f"{host} is asked without TLS, which is for private addresses only: use a URL with TLS (https, tls, rediss)"
        )
        raise NetworkError(NetworkKind.TLS, "ETLS", text)
    return found


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one (RFC 4291 mapped, RFC 3056 6to4, RFC 6052 NAT64), else the address itself."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
