"""The client's address: that of the connection, or the one that a trusted proxy reports.

`X-Forwarded-For` is trusted only as far as proxies listed in `http.proxies` wrote it. It is read from its end: an
address is trusted if the next hop, which reported it, is such a proxy. Any client can put anything into the rest. An
IPv4 client of a port that also listens for IPv6 appears with its IPv4 address.
"""

from __future__ import annotations

from collections.abc import Sequence

from quart.wrappers.base import BaseRequestWebsocket

from engine.model.token_restrictions import Address, parsed_address, parsed_network

UNKNOWN = "unknown"


class Addresses:
    """Finds a client's address behind trusted proxies, given as addresses or networks."""

    def __init__(self, proxies: Sequence[str]) -> None:
        self._proxies = [parsed_network(each) for each in proxies]

    def of(self, request: BaseRequestWebsocket) -> str:
        """The client's address."""
        peer = request.remote_addr or UNKNOWN
        if peer.startswith("::"):
            peer = str(parsed_address(peer) or peer)
        if not self._proxies:
            return peer
        told = [each.strip() for line in request.headers.getlist("X-Forwarded-For") for each in line.split(",")]
        while told and self._is_proxy(peer):
            address = _parsed(told.pop())
            if address is None:
                break
            peer = str(address)
        return peer

    def _is_proxy(self, text: str) -> bool:
        address = _parsed(text)
        return address is not None and any(address in network for network in self._proxies)


def known(address: str) -> str | None:
    """The client's address; None if it is unknown."""
    return address if _parsed(address) is not None else None


def _parsed(text: str) -> Address | None:
    """Parse an address, perhaps with a port; an IPv4-mapped IPv6 address becomes IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return parsed_address(text)
