"""What a token may do and touch: its `permissions`, and what each operation requires of them. Pure.

Permissions only take away. A token without them may do all that its scopes and its account allow; one with them needs,
for each operation, the action among its `actions` and the group among its `groups`; a list that is absent allows every
value. Operations without a group are never allowed to it: they give out secrets, or make or change what lasts longer
than the token, and so would let it widen itself. What is stored and cannot be read allows nothing.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

Action = Literal["read", "write", "send", "destructive"]
Group = Literal[
    "account",
    "mailbox",
    "message",
    "submit",
    "outbox",
    "export",
    "template",
    "blocklist",
    "webhook",
    "gateway",
    "events",
    "diagnostics",
    "logs",
]
ADMIN = "admin"
"""How the group of operations without one is called."""


class Grant(NamedTuple):
    """What an operation requires; `group` None: no permissions allow it."""

    action: Action
    group: Group | None


class Permissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The permissions of one token; None: every action, every group that may be named."""

    actions: tuple[Action, ...] | None = None
    groups: tuple[Group, ...] | None = None


NOTHING = Permissions((), ())
SUBMISSION = Grant("send", "submit")
"""What handing in mail by SMTP requires."""


def lacking(permissions: Permissions | None, grant: Grant) -> str | None:
    """What a token lacks for an operation: `action`, `group`, or `restricted` if no permissions allow it; else None."""
    if permissions is None:
        return None
    if grant.group is None:
        return "restricted"
    if permissions.actions is not None and grant.action not in permissions.actions:
        return "action"
    if permissions.groups is not None and grant.group not in permissions.groups:
        return "group"
    return None


def stored(permissions: Permissions | None) -> str | None:
    """The permissions as JSON; None for none."""
    return None if permissions is None else msgspec.json.encode(permissions).decode()


def read(text: str | None) -> Permissions | None:
    """Stored permissions; those that cannot be read allow nothing."""
    if text is None:
        return None
    try:
        found = msgspec.json.decode(text, type=Permissions)
    except msgspec.MsgspecError:
        return NOTHING
    return NOTHING if found == Permissions() else found
