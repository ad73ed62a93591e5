"""What permissions take away, and how they are stored."""

from __future__ import annotations

import pytest

from engine.model.token_permissions import NOTHING, Grant, Permissions, lacking, read, stored

READ, DELETE, SETTINGS = Grant("read", "message"), Grant("destructive", "message"), Grant("read", None)


@pytest.mark.parametrize(
    ("permissions", "grant", "lacks"),
    [
        (None, READ, None),
        (None, SETTINGS, None),
        (Permissions(("read",), ("message",)), READ, None),
        (Permissions(("read",), ("message",)), DELETE, "action"),
        (Permissions(("read",), ("account",)), READ, "group"),
        (Permissions(("read",)), READ, None),
        (Permissions(groups=("message",)), DELETE, None),
        (Permissions(actions=()), READ, "action"),
        (Permissions(groups=()), READ, "group"),
        (Permissions(("read", "write", "send", "destructive")), SETTINGS, "restricted"),
        (NOTHING, READ, "action"),
    ],
)
def test_what_is_lacking(permissions: Permissions | None, grant: Grant, lacks: str | None) -> None:
    assert lacking(permissions, grant) == lacks


@pytest.mark.parametrize(
    "permissions",
    [None, NOTHING, Permissions(("read", "send")), Permissions(None, ("logs",)), Permissions(("read",), ())],
)
def test_what_is_stored_is_read(permissions: Permissions | None) -> None:
    assert read(stored(permissions)) == permissions


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"actions": null}',
        '{"actions": "read"}',
        '{"actions": ["fly"]}',
        '{"groups": ["admin"]}',
        '{"actions": ["read"], "grants": []}',
        '{"actions": ["read"]',
    ],
)
def test_what_cannot_be_read_allows_nothing(text: str) -> None:
    assert read(text) == NOTHING
