"""Challenges that browsers answer with a passkey: each counts for an hour, for one purpose, and once.

A challenge carries its time and a code over it, so nothing is stored for those that are never answered, however many
strangers request. The key of the codes is the process's own.
"""

from __future__ import annotations

import hmac
import struct

from engine.world import World

LIFETIME = 3600.0
_RANDOM, _CODE = 16, 32
_TIME = struct.Struct(">d")


class Challenges:
    """Makes challenges, and takes them back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._key = world.token_bytes(32)
        self._used: dict[bytes, float] = {}

    def make(self, purpose: str) -> bytes:
        """A new challenge."""
        body = _TIME.pack(self._world.now()) + self._world.token_bytes(_RANDOM)
        return body + self._code(body, purpose)

    def is_open(self, challenge: bytes, purpose: str) -> bool:
        """Whether this is one of ours for this purpose, not too old, and not used before."""
        body, code = challenge[:-_CODE], challenge[-_CODE:]
        if len(body) != _TIME.size + _RANDOM or not hmac.compare_digest(code, self._code(body, purpose)):
            return False
        (made,) = _TIME.unpack_from(body)
        return abs(self._world.now() - made) <= LIFETIME and challenge not in self._used

    def use(self, challenge: bytes) -> None:
        """Use it up. Call this only after a correct answer, so that strangers cannot fill the memory."""
        now = self._world.now()
        self._used = {each: at for each, at in self._used.items() if abs(now - at) <= 2 * LIFETIME}
        self._used[challenge] = now

    def _code(self, body: bytes, purpose: str) -> bytes:
        return hmac.digest(self._key, body + purpose.encode(), "sha256")
