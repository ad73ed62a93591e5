"""Encodes and decodes the ids of messages, texts and attachments in the API. Pure.

A message's id consists of the number of its mailbox and its UID, so it changes when the message is moved. Ids of its
parts begin with it. All are base64url without padding.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

LONGEST = 16 * 1024
"""Maximum characters of an id; the id of a text names up to a thousand parts."""
_SECTION = re.compile(r"[1-9][0-9]{0,4}(?:\.[1-9][0-9]{0,4}){0,99}", re.ASCII)
_UNPADDED = re.compile(r"[A-Za-z0-9_-]*={0,2}")


class Place(NamedTuple):
    """What an id names: a message, by the number of its mailbox and its UID, or parts of it by section number.

    `plain` and `html` are the parts of a text, `part` is an attachment; both are absent for a message.
    """

    mailbox: int
    uid: int
    part: str = ""
    plain: tuple[str, ...] = ()
    html: tuple[str, ...] = ()


class NoId(ValueError):
    """The text is not an id, since it is not base64url."""


def message_id(mailbox: int, uid: int) -> str:
    """The id of a message: 11 characters, or 16 if its UID has more than 32 bits."""
    return _written(_numbers(mailbox, uid))


def attachment_id(mailbox: int, uid: int, path: str) -> str:
    """The id of an attachment by its section number."""
    return _written(_numbers(mailbox, uid) + path.encode())


def text_id(mailbox: int, uid: int, plain: Sequence[str], html: Sequence[str]) -> str:
    """The id of a message's text by the section numbers of its plain and HTML parts."""
    return _written(_numbers(mailbox, uid) + msgspec.msgpack.encode([list(plain), list(html), []]))


def read_message(written: str) -> Place | None:
    """The message that an id names; None for an id that was never issued. Raises `NoId`."""
    return next((place for place, rest in _read(written) if not rest), None)


def read_attachment(written: str) -> Place | None:
    """The attachment that an id names; None for an id that was never issued. Raises `NoId`."""
    for place, rest in _read(written):
        part = rest.decode("ascii", "replace")
        if _SECTION.fullmatch(part):
            return place._replace(part=part)
    return None


def read_text(written: str) -> Place | None:
    """The text that an id names; None for an id that was never issued. Raises `NoId`."""
    for place, rest in _read(written):
        try:
            parts = msgspec.msgpack.decode(rest, type=list[list[str]])
        except (msgspec.DecodeError, RecursionError):
            continue
        if len(parts) == 3 and all(_SECTION.fullmatch(part) for kind in parts for part in kind):
            return place._replace(plain=tuple(parts[0]), html=tuple(parts[1]))
    return None


def _read(written: str) -> list[tuple[Place, bytes]]:
    """The possible meanings of an id, likelier ones first, each with the undecoded rest. Raises `NoId`."""
    if not written or len(written) > LONGEST or not _UNPADDED.fullmatch(written):
        raise NoId
    letters = written.rstrip("=")
    try:
        data = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))
    except binascii.Error as error:
        raise NoId from error
    found = []
    for form, size in ((">II", 8), (">IQ", 12)):
        if len(data) >= size:
            mailbox, uid = struct.unpack(form, data[:size])
            if (uid >> 32 and form == ">IQ") or form == ">II":
                found.append((Place(mailbox, uid), data[size:]))
    return found


def _numbers(mailbox: int, uid: int) -> bytes:
    return struct.pack(">II" if uid < 2**32 else ">IQ", mailbox & 0xFFFFFFFF, uid)


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
