"""What people may do on the pages. Pure."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A role; each may do what the ones after it may."""

    OWNER = "owner"
    """Everything, including who may sign in, tokens and what leads to secrets."""
    OPERATOR = "operator"
    """Run the engine: accounts, messages, webhooks, settings."""
    READER = "reader"
    """Look."""

    def may(self, needed: Role) -> bool:
        """Whether a person with this role may do what needs `needed`."""
        return _RANKS.index(self) <= _RANKS.index(needed)


_RANKS = tuple(Role)


def role_of(stored: str) -> Role:
    """The stored role; an unknown one may only read."""
    return Role(stored) if stored in _RANKS else Role.READER
