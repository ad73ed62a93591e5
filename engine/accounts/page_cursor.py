"""The cursor with which callers go from one page of messages to the next. Pure.

A cursor names a message, not a position in a list: the page continues below or above it, so that mail that arrives or
disappears in the meantime neither repeats nor hides a message. A cursor is opaque and verified: one for another folder,
search or account, an altered one, and one with void UIDs are refused.
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
"""Maximum characters of a cursor."""


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """The message next to which a page begins, in one folder.

    `uid_validity` is that of the folder `mailbox`. `uid` 0: the page begins with the newest message. `number` is the
    sequence number when the cursor was made. `matched` is the number of search results above it.
    """

    mailbox: int
    uid_validity: int
    uid: int
    number: int = 0
    matched: int = 0


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A page: its number, on which side of its anchors it is, and one anchor for each folder."""

    page: int
    side: Literal["below", "above"]
    anchors: tuple[Anchor, ...]


def written(cursor: Cursor, scope: bytes) -> str:
    """The cursor in the form for callers. `scope` identifies what it is for: account, folders, search."""
    data = msgspec.msgpack.encode(cursor)
    return _PREFIX + base64.urlsafe_b64encode(_check(data, scope) + data).rstrip(b"=").decode("ascii")


def read(text: str, scope: bytes) -> Cursor:
    """Read a cursor that was written for `scope`. Raises `Problem` 400."""
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
    """The answer to a cursor that was never issued or is no longer valid."""
    return Problem(400, "Invalid paging cursor", code="InvalidCursorValue")


def _check(data: bytes, scope: bytes) -> bytes:
    return hashlib.blake2b(len(scope).to_bytes(4) + scope + data, digest_size=_CHECK_BYTES).digest()
