"""Passwords of people, hashed by scrypt (RFC 7914) with a salt each; two at a time, in threads.

One hash takes about 0.2 s and 32 MiB. A name that does not exist costs the same time as a wrong password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

import trio

from engine.world import World

SHORTEST, LONGEST = 12, 1000
"""Characters of a password."""
_N, _R, _P = 2**15, 8, 3
_MOST_MEMORY = 64 * 1024**2
_AT_ONCE = 2


class Passwords:
    """Makes and checks hashes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._turns = trio.CapacityLimiter(_AT_ONCE)

    async def hashed(self, password: str) -> str:
        """The hash to store."""
        salt = self._world.token_bytes(16)
        async with self._turns:
            key = await self._world.in_thread(_key, password, salt, _N, _R, _P)
        return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(key)}"

    async def holds(self, password: str, stored: str | None) -> bool:
        """Whether this is the password. For None it never is, which takes just as long to find out."""
        n, r, p, salt, key = _parts(stored) if stored is not None else (_N, _R, _P, b"\0" * 16, None)
        async with self._turns:
            found = await self._world.in_thread(_key, password, salt, n, r, p)
        return key is not None and hmac.compare_digest(found, key)


def _key(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "replace"), salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=32)


def _parts(stored: str) -> tuple[int, int, int, bytes, bytes]:
    _, n, r, p, salt, key = stored.split("$")
    return int(n), int(r), int(p), base64.b64decode(salt), base64.b64decode(key)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
