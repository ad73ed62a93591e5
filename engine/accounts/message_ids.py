"""The ids of messages, texts and attachments, as API clients see them. Pure.

A message's id is the numbers of its mailbox and its UID, so it changes when the message is moved. Ids of its parts
begin with it. All are base64url without padding.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

import msgspec


def message_id(mailbox: int, uid: int) -> str:
    """The id of a message: 11 characters, 16 where its UID is beyond what IMAP knows."""
    return _written(_numbers(mailbox, uid))


def attachment_id(mailbox: int, uid: int, path: str) -> str:
    """The id of an attachment by its section number."""
    return _written(_numbers(mailbox, uid) + path.encode())


def text_id(mailbox: int, uid: int, plain: Sequence[str], html: Sequence[str]) -> str:
    """The id of a message's text by the section numbers of its plain and HTML parts."""
    return _written(_numbers(mailbox, uid) + msgspec.msgpack.encode([list(plain), list(html), []]))


def _numbers(mailbox: int, uid: int) -> bytes:
    return struct.pack(">II" if uid < 2**32 else ">IQ", mailbox & 0xFFFFFFFF, uid)


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
