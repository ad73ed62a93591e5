"""Limits on what callers share: streams, and requests under way.

There is one limit for all callers together and one for each token, so that no token can take what the others need. Uses
are counted by the token's hash; a token without any current use takes no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import Problem


class SharedLimit:
    """At most `most` uses at once, and at most `per_token` with one token. `what` names them, in the plural."""

    def __init__(self, what: str, most: int | None, per_token: int) -> None:
        self._what = what
        self._most = most
        self._per_token = per_token
        self._held: dict[str, int] = {}
        self.taken = 0

    def limit(self, most: int | None, per_token: int) -> None:
        """Change the limits. Uses beyond a lower one stay until they end."""
        self._most, self._per_token = most, per_token

    @contextmanager
    def hold(self, token: str) -> Iterator[None]:
        """Count one use while the block runs. Raises `Problem`: 503 if all are taken, 429 beyond the token's share."""
        self._refuse_one_more(token)
        self._held[token] = self._held.get(token, 0) + 1
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._held[token] -= 1
            if not self._held[token]:
                del self._held[token]

    def _refuse_one_more(self, token: str) -> None:
        if self._most is not None and self.taken >= self._most:
            raise Problem(503, f"Too many {self._what}; come back later", headers={"Retry-After": "5"})
        if self._held.get(token, 0) >= self._per_token:
            raise Problem(
                429,
                f"Too many {self._what} with this token, {self._per_token} at most: come back later",
                code="TooMany",
                headers={"Retry-After": "5"},
            )
