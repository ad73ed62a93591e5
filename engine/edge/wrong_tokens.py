"""Limits requests with a wrong token for each address, and logs them once a minute in one line.

An address may send twenty wrong tokens in a minute; further ones get 429 until the minute is over. Valid tokens are not
affected, so a client cannot lock out others behind the same address. An IPv6 client owns a whole /64, so that counts as
one address. Memory is bounded: the addresses silent for longest are forgotten first.
"""

from __future__ import annotations

import ipaddress
import logging
import math
from collections import OrderedDict, deque

import trio

from engine.errors import Problem

log = logging.getLogger("engine.api")

MOST = 20
WINDOW = 60.0
ADDRESSES = 4096


class WrongTokens:
    """The addresses that recently sent wrong tokens. The service `run` logs them."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._counts: dict[str, int] = {}
        self._elsewhere = 0
        self._first = trio.Event()

    def refusal(self, address: str) -> Problem:
        """The answer to a wrong token from this address: 401, or 429 if there were too many."""
        source = source_of(address)
        self._count(source)
        now = trio.current_time()
        times = self._times.setdefault(source, deque(maxlen=MOST))
        self._times.move_to_end(source)
        if len(self._times) > ADDRESSES:
            self._times.popitem(last=False)
        if len(times) == MOST and now - times[0] < WINDOW:
            wait = max(1, math.ceil(times[0] + WINDOW - now))
            return Problem(
                429,
                "Too many requests with a bad token",
                headers={"Retry-After": str(wait)},
                code="BadTokens",
                ttl=wait,
            )
        times.append(now)
        return Problem(401, "Bad token", headers={"WWW-Authenticate": 'Bearer error="Bad token"'})

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Log each minute with a wrong token at its end. Cancelled: the current minute is logged."""
        task_status.started()
        try:
            while True:
                await self._first.wait()
                await trio.sleep(WINDOW)
                self._tell()
        finally:
            self._tell()

    def _count(self, source: str) -> None:
        if source in self._counts or len(self._counts) < ADDRESSES:
            self._counts[source] = self._counts.get(source, 0) + 1
        else:
            self._elsewhere += 1
        self._first.set()

    def _tell(self) -> None:
        if not self._counts:
            return
        worst = max(self._counts, key=self._counts.__getitem__)
        log.warning(
            "%d requests had a bad token; they came from %d%s addresses, %d of them from %s",
            sum(self._counts.values()) + self._elsewhere,
            len(self._counts),
            " or more" if self._elsewhere else "",
            self._counts[worst],
            worst,
        )
        self._counts, self._elsewhere, self._first = {}, 0, trio.Event()


def source_of(address: str) -> str:
    """What counts as one client: an IPv4 address (also if written as IPv6), or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
