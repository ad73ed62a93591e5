"""Cursors are read back where they belong, and refused elsewhere, however little they were changed."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import page_cursor
from engine.accounts.page_cursor import Anchor, Cursor
from engine.errors import Problem

NUMBERS = st.integers(0, 2**63 - 1)
ANCHORS = st.builds(Anchor, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
CURSORS = st.builds(Cursor, NUMBERS, st.sampled_from(["below", "above"]), st.lists(ANCHORS, max_size=4).map(tuple))


def code_of(text: str, scope: bytes = b"acme") -> object:
    with pytest.raises(Problem) as caught:
        page_cursor.read(text, scope)
    assert caught.value.status == 400
    return caught.value.extra["code"]


@given(CURSORS, st.binary(max_size=20))
def test_what_was_written_is_read(cursor: Cursor, scope: bytes) -> None:
    assert page_cursor.read(page_cursor.written(cursor, scope), scope) == cursor


@given(CURSORS, st.data())
def test_one_that_was_changed_on_the_way(cursor: Cursor, data: st.DataObject) -> None:
    written = page_cursor.written(cursor, b"acme").removeprefix("imap_")
    raw = bytearray(base64.urlsafe_b64decode(written + "=" * (-len(written) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert code_of("imap_" + base64.urlsafe_b64encode(raw).decode()) == "InvalidCursorValue"


def test_one_of_another_scope() -> None:
    written = page_cursor.written(Cursor(1, "below", (Anchor(1, 2, 3),)), b"acme")
    assert code_of(written, b"acme2") == "InvalidCursorValue"


@pytest.mark.parametrize("text", ["", "imap_", "imap_AAAA", "imap_ä", "x", "A" * 70_000])
def test_what_is_no_cursor(text: str) -> None:
    assert code_of(text) == "InvalidCursorValue"


@pytest.mark.parametrize("text", ["graph_AAAA", "ä_AAAA"])
def test_one_of_another_kind(text: str) -> None:
    assert code_of(text) == "InvalidCursorType"
