"""Where a page of messages begins, as callers carry it from one page to the next. Pure.

A cursor names a message, not a place in a list: the page goes on below or above it, so that mail that has come or gone
meanwhile neither repeats nor hides one. It is opaque, and checked: one of another folder, search or account, or one
that was changed on the way, is refused, as is one whose UIDs are void.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Literal

import msgspec

from engine.errors import Problem

_PREFIX = "imap_"
_CHECK_BYTES = 8
LONGEST = 64 * 1024
"""Characters of the longest cursor that is read."""


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """The message a page begins beside, in one folder.

    `uid_validity` is that of the folder `mailbox`. `uid` 0: the page begins with the newest message. `number` is its
    sequence number when the cursor was made. `matched` counts those above it that were found by a search.
    """

    mailbox: int
    uid_validity: int
    uid: int
    number: int = 0
    matched: int = 0


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A page: its number, the side of its anchors on which it lies, an anchor for each folder."""

    page: int
    side: Literal["below", "above"]
    anchors: tuple[Anchor, ...]


def written(cursor: Cursor, scope: bytes) -> str:
    """The cursor as callers get it. `scope` is what it belongs to: account, folders, search."""
    data = msgspec.msgpack.encode(cursor)
    return _PREFIX + base64.urlsafe_b64encode(_check(data, scope) + data).rstrip(b"=").decode("ascii")


def read(text: str, scope: bytes) -> Cursor:
    """A cursor that was written for `scope`. Raises `Problem` 400."""
    kind, mark, letters = text.strip().partition("_")
    if mark and f"{kind}_" != _PREFIX:
        raise Problem(400, "Invalid cursor", code="InvalidCursorType")
    letters = letters if mark else kind
    if len(letters) > LONGEST:
        raise invalid()
    try:
        data = base64.urlsafe_b64decode(letters.encode("ascii") + b"=" * (-len(letters) % 4))
        if _check(data[_CHECK_BYTES:], scope) != data[:_CHECK_BYTES]:
            raise invalid()
        return msgspec.msgpack.decode(data[_CHECK_BYTES:], type=Cursor)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise invalid() from error


def invalid() -> Problem:
    """The answer to a cursor nobody gave out, or one that leads nowhere any more."""
    return Problem(400, "Invalid paging cursor", code="InvalidCursorValue")


def _check(data: bytes, scope: bytes) -> bytes:
    return hashlib.blake2b(len(scope).to_bytes(4) + scope + data, digest_size=_CHECK_BYTES).digest()
