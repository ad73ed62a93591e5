"""From where, on which pages and how often a token may be used: its `restrictions`. Pure.

* `addresses`: the client's address must be one of them or in one of the networks. An IPv4-mapped IPv6 address counts as
  the IPv4 address that it holds, on either side.
* `referrers`: the `Referer` of a request must match one of the patterns as a whole, whatever its case; `*` stands for
  any text, and a pattern after `!` refuses what it matches. A request without `Referer` matches none.
* `rate_limit`: at most `max_requests` in each window of `time_window` seconds.

What is stored and cannot be read allows no address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

import msgspec

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_REMEMBERED = 1024
"""Tokens whose restrictions are kept ready."""


class RateLimit(msgspec.Struct, frozen=True, rename="camel"):
    """At most `max_requests` in each window of `time_window` seconds."""

    max_requests: int
    time_window: int


class Restrictions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """The restrictions of one token; None: that one does not restrict it."""

    addresses: tuple[str, ...] | None = None
    referrers: tuple[str, ...] | None = None
    rate_limit: RateLimit | None = None


UNREADABLE = Restrictions(addresses=())


def parsed_network(text: str) -> Network:
    """An address or a network as a network; IPv4-mapped ones become IPv4. Raises ValueError."""
    if "%" in text:
        raise ValueError("it has a zone")
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        assert mapped is not None
        return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def parsed_address(text: str) -> Address | None:
    """An address, without its zone; an IPv4-mapped one becomes IPv4. None if it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def outside(restrictions: Restrictions, address: str, referrer: str | None) -> str | None:
    """Which restriction a request is outside of: `address`, `referrer`, or None."""
    if restrictions.addresses is not None:
        client = parsed_address(address)
        if client is None or not any(client in network for network in _networks(restrictions.addresses)):
            return "address"
    if restrictions.referrers is not None and (referrer is None or not _matches(restrictions.referrers, referrer)):
        return "referrer"
    return None


@lru_cache(_REMEMBERED)
def _networks(addresses: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(parsed_network(each) for each in addresses)


def _matches(patterns: tuple[str, ...], referrer: str) -> bool:
    referrer = referrer.lower()
    if any(_fits(each[1:], referrer) for each in patterns if each.startswith("!")):
        return False
    allowing = [each for each in patterns if not each.startswith("!")]
    return not allowing or any(_fits(each, referrer) for each in allowing)


def _fits(pattern: str, text: str) -> bool:
    """Whether `text`, in lower case, is as the pattern says. Each stretch between two stars is taken where it first
    occurs, so no text makes the search long."""
    first, *rest = pattern.lower().split("*")
    if not rest:
        return text == first
    *middle, last = rest
    begin, end = len(first), len(text) - len(last)
    if begin > end or not text.startswith(first) or not text.endswith(last):
        return False
    for each in middle:
        begin = text.find(each, begin, end)
        if begin < 0:
            return False
        begin += len(each)
    return True


def widened(own: Restrictions | None, asked: Restrictions | None) -> list[str]:
    """In which of its members `asked` allows what `own` does not, by their names on the wire.

    Whether one pattern of referrers holds another is not decided: each must be one of the own.
    """
    own, asked = own or Restrictions(), asked or Restrictions()
    wider = []
    if own.addresses is not None and not _all_within(asked.addresses, own.addresses):
        wider.append("addresses")
    if own.referrers is not None and not _all_repeated(asked.referrers, own.referrers):
        wider.append("referrers")
    if own.rate_limit is not None and not _no_faster(asked.rate_limit, own.rate_limit):
        wider.append("rateLimit")
    return wider


def _all_within(asked: tuple[str, ...] | None, own: tuple[str, ...]) -> bool:
    return asked is not None and all(any(_within(a, b) for b in _networks(own)) for a in _networks(asked))


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def _all_repeated(asked: Sequence[str] | None, own: Sequence[str]) -> bool:
    if not asked:
        return False
    refusing = {each for each in own if each.startswith("!")}
    allowing = [each for each in asked if not each.startswith("!")]
    # Where the own only refuse, the rest of the world is allowed, so any pattern that allows is narrower.
    free = len(refusing) == len(own)
    return refusing <= {*asked} and (free or bool(allowing)) and all(free or each in own for each in allowing)


def _no_faster(asked: RateLimit | None, own: RateLimit) -> bool:
    """Neither more at once, nor more over time."""
    return (
        asked is not None
        and asked.max_requests <= own.max_requests
        and asked.max_requests * own.time_window <= own.max_requests * asked.time_window
    )


def stored(restrictions: Restrictions | None) -> str | None:
    """The restrictions as JSON; None for none."""
    return None if restrictions in (None, Restrictions()) else msgspec.json.encode(restrictions).decode()


@lru_cache(_REMEMBERED)
def read(text: str | None) -> Restrictions | None:
    """Stored restrictions; those that cannot be read allow no address."""
    if text is None:
        return None
    try:
        found = msgspec.json.decode(text, type=Restrictions)
        _networks(found.addresses or ())
    except (msgspec.MsgspecError, ValueError):
        return UNREADABLE
    return found
