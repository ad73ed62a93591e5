"""Slows down the guessing of passwords: limits failures by name and by address, in bounded memory.

After `FREE` failures within `WINDOW`, a name, or an address (an IPv6 client owns a /64), is refused until the oldest of
them is that old; nothing is checked meanwhile. A name is refused only from addresses from which it has not signed in
lately, so a stranger cannot lock its owner out. Memory is bounded: the oldest entries are forgotten first.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque

import trio

from engine.edge.wrong_tokens import source_of

FREE = 10
"""Failures of one name, and of one address, within the window."""
WINDOW = 600.0
REMEMBERED = 4096


class LoginLimits:
    """The recent failures."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, name: str, address: str) -> int:
        """Seconds until this name may be tried from this address; 0 for now."""
        source, who = source_of(address), name.casefold()
        keys = [f"address {source}"]
        if (who, source) not in self._known:
            keys.append(f"name {who}")
        return max(self._left(key) for key in keys)

    def wait_at(self, address: str) -> int:
        """The same for an attempt without a name."""
        return self._left(f"address {source_of(address)}")

    def failed(self, name: str, address: str) -> None:
        """Count a failure."""
        self.failed_at(address)
        self._count(f"name {name.casefold()}")

    def failed_at(self, address: str) -> None:
        """Count a failure of an attempt without a name."""
        self._count(f"address {source_of(address)}")

    def succeeded(self, name: str, address: str) -> None:
        """Remember from where a person signs in."""
        key = (name.casefold(), source_of(address))
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _count(self, key: str) -> None:
        times = self._failures.setdefault(key, deque(maxlen=FREE))
        times.append(trio.current_time())
        self._failures.move_to_end(key)
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def _left(self, key: str) -> int:
        times = self._failures.get(key)
        if times is None or len(times) < FREE:
            return 0
        return max(0, math.ceil(times[0] + WINDOW - trio.current_time()))
