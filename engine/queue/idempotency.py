"""A repeated `Idempotency-Key`: the first answer for the same request, 409 for a different one."""

from __future__ import annotations

from engine.errors import Problem
from engine.store.idempotency_keys import Kept


def repeated(before: Kept, fingerprint: bytes) -> bytes:
    """The answer stored under the key (JSON). Raises `Problem` 409 if the request was a different one."""
    if before.fingerprint != fingerprint:
        raise Problem(
            409, "The Idempotency-Key was used before for another request of this account", code="IdempotencyConflict"
        )
    return before.answer
