"""Remembers which extensions servers offer but refuse, so that they are not requested on every connection again.

A server is identified by its greeting, without the words that change between connections, and its capabilities. If
either changes, the server has changed and everything is attempted again. An extension counts as refused if the server
says so, or if the connection ended during its use twice in a row: once may be the network's fault.

Each account has one such memory for all its connections. A restart clears it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

Server: TypeAlias = tuple[str, frozenset[str]]
"""The unchanging words of its greeting, and its capabilities."""

SERVERS = 16
"""Maximum servers remembered for one account: one name may lead to several machines."""
_REFUSED, _WORKED = 2, -1
_PASSING = re.compile(r"\S*[0-9<\[]\S*|\S{24,}")
"""Words of a greeting that are times, ids or names of individual machines."""
_NEEDED_BY = {"QRESYNC": "CONDSTORE"}


def steady(greeting: str) -> str:
    """The words of a greeting that stay the same from one connection to the next."""
    return " ".join(_PASSING.sub("", greeting).split())


class Refusals:
    """The memory of one account."""

    def __init__(self) -> None:
        self._strikes: dict[Server, dict[str, int]] = {}

    def usable(self, server: Server) -> frozenset[str]:
        """The server's capabilities without those it refuses."""
        strikes = self._strikes.get(server)
        if not strikes:
            return server[1]
        refused = {name for name, count in strikes.items() if count >= _REFUSED}
        if not refused:
            return server[1]
        return frozenset(name for name in server[1] if not {name, _NEEDED_BY.get(name)} & refused)

    def refuses(self, server: Server, name: str) -> bool:
        """Whether the server is known to refuse `name`."""
        return self._strikes.get(server, {}).get(name, 0) >= _REFUSED

    def refused(self, server: Server, name: str) -> None:
        """Note that the server refuses `name` although it offers it."""
        self._of(server)[name] = _REFUSED

    def cut(self, server: Server, name: str) -> None:
        """Note that the connection ended during the use of `name`."""
        strikes = self._of(server)
        strikes[name] = max(strikes.get(name, 0), 0) + 1

    def worked(self, server: Server, name: str) -> None:
        """Note that `name` worked, so that earlier ends of the connection no longer count against it."""
        self._of(server)[name] = _WORKED

    def has_worked(self, server: Server, name: str) -> bool:
        """Whether `name` has worked before."""
        return self._strikes.get(server, {}).get(name) == _WORKED

    def forget(self, server: Server, names: Iterable[str]) -> None:
        """Allow these to be used again."""
        for name in names:
            self._of(server).pop(name, None)

    def _of(self, server: Server) -> dict[str, int]:
        strikes = self._strikes.setdefault(server, {})
        if len(self._strikes) > SERVERS:
            del self._strikes[next(iter(self._strikes))]
        return strikes
