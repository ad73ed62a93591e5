"""What a token may be used for: each operation requires one scope, and `*` stands for all of them."""

from __future__ import annotations

from engine.store.tokens import Token


def allows(token: Token, scope: str) -> bool:
    """Whether the token holds this scope."""
    return scope in token.scopes or "*" in token.scopes
