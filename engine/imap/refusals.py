"""What servers offer and then refuse to do: remembered, so that it is not asked for at every connection anew.

A server is known by what it says of itself: its greeting, without what changes from one connection to the next, and
what it offers. When either changes the server has, and everything is tried again. An extension counts as refused when
the server says so, or when the connection ended upon it twice in a row: once may be the network's doing.

One account keeps it for all its connections, in memory only: a restart asks once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

Server: TypeAlias = tuple[str, frozenset[str]]
"""The steady words of its greeting and its capabilities."""

SERVERS = 16
"""How many are kept: one name may lead to several machines."""
_REFUSED, _WORKED = 2, -1
_PASSING = re.compile(r"\S*[0-9<\[]\S*|\S{24,}")
"""Words of a greeting that are times, ids, or names of one machine among many."""
_NEEDED_BY = {"QRESYNC": "CONDSTORE"}


def steady(greeting: str) -> str:
    """The words of a greeting that stay the same from one connection to the next."""
    return " ".join(_PASSING.sub("", greeting).split())


class Refusals:
    """The memory of one account."""

    def __init__(self) -> None:
        self._strikes: dict[Server, dict[str, int]] = {}

    def usable(self, server: Server) -> frozenset[str]:
        """What the server offers, without what it refuses."""
        strikes = self._strikes.get(server)
        if not strikes:
            return server[1]
        refused = {name for name, count in strikes.items() if count >= _REFUSED}
        if not refused:
            return server[1]
        return frozenset(name for name in server[1] if not {name, _NEEDED_BY.get(name)} & refused)

    def refuses(self, server: Server, name: str) -> bool:
        """Whether the server is known to refuse this."""
        return self._strikes.get(server, {}).get(name, 0) >= _REFUSED

    def refused(self, server: Server, name: str) -> None:
        """The server does not do this, although it offers it."""
        self._of(server)[name] = _REFUSED

    def cut(self, server: Server, name: str) -> None:
        """The connection ended upon this."""
        strikes = self._of(server)
        strikes[name] = max(strikes.get(name, 0), 0) + 1

    def worked(self, server: Server, name: str) -> None:
        """The server did it: that connections ended upon it was chance."""
        self._of(server)[name] = _WORKED

    def has_worked(self, server: Server, name: str) -> bool:
        """Whether the server did it before."""
        return self._strikes.get(server, {}).get(name) == _WORKED

    def forget(self, server: Server, names: Iterable[str]) -> None:
        """Try these again."""
        for name in names:
            self._of(server).pop(name, None)

    def _of(self, server: Server) -> dict[str, int]:
        strikes = self._strikes.setdefault(server, {})
        if len(self._strikes) > SERVERS:
            del self._strikes[next(iter(self._strikes))]
        return strikes
