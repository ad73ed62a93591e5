"""Counts how often the links of mail are used, in bounded memory: how many events each may raise, and bursts. Pure.

A link can be requested any number of times. So each link raises at most `BURST` events at once, and one more every
`REFILL` seconds; all links together raise at most `IN_ALL` a second. Beyond that, links still work but raise no event.
The links unused for longest are forgotten first, and all of them at a restart.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from typing import TypeVar

BURST = 20
REFILL = 60.0
IN_ALL = 200
REMEMBERED = 20_000
"""Maximum links, and maximum mails, that are remembered."""
BURST_LINKS = 3
"""This many links of one mail within `BURST_SECONDS` are too many for a person."""
BURST_SECONDS = 1.0

T = TypeVar("T")


class Visits:
    """The links used lately. The texts name the mail and its link; `now` is in seconds of a clock that goes forward."""

    def __init__(self) -> None:
        self._links: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._mails: OrderedDict[bytes, deque[tuple[float, bytes]]] = OrderedDict()
        self._second, self._in_second = 0.0, 0

    def may_tell(self, account: str, mail: str, link: str, now: float) -> bool:
        """Whether the use of a link may raise an event; counts it."""
        if now - self._second >= 1.0:
            self._second, self._in_second = now, 0
        key = _key(account, mail, link)
        left, since = self._links.get(key, (float(BURST), now))
        left = min(float(BURST), left + (now - since) / REFILL)
        may = left >= 1.0 and self._in_second < IN_ALL
        self._in_second += may
        _note(self._links, key, (left - 1.0 if may else left, now))
        return may

    def is_burst(self, account: str, mail: str, link: str, now: float) -> bool:
        """Whether too many links of this mail are used at once; notes this one."""
        key = _key(account, mail)
        lately = self._mails.get(key) or deque(maxlen=2 * BURST_LINKS)
        lately.append((now, _key(link)))
        _note(self._mails, key, lately)
        return len({each for at, each in lately if now - at <= BURST_SECONDS}) >= BURST_LINKS


def _key(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=16).digest()


def _note(known: OrderedDict[bytes, T], key: bytes, value: T) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > REMEMBERED:
        known.popitem(last=False)
