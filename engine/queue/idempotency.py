"""An `Idempotency-Key` used again: the first answer for the same request, 409 for another one."""

from __future__ import annotations

from engine.errors import Problem
from engine.store.idempotency_keys import Kept


def repeated(before: Kept, fingerprint: bytes) -> bytes:
    """The answer kept under a key for the same request (JSON). Raises `Problem` 409 when it was another one."""
    if before.fingerprint != fingerprint:
        raise Problem(
            409, "The Idempotency-Key was used before for another request of this account", code="IdempotencyConflict"
        )
    return before.answer
