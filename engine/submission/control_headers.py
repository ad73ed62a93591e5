"""EmailEngine's control headers in a whole message: honoured, and removed before it is sent.

Only those named here; any other `X-EE-…` field belongs to the message. If one is repeated, the first counts.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from engine.errors import Problem
from engine.field_errors import invalid
from engine.mail.dates import read_date
from engine.mail.decode import header_text
from engine.mail.raw_message import name_of, split_fields

ACCOUNT: Final = "X-EE-Account"
IDEMPOTENCY_KEY: Final = "X-EE-Idempotency-Key"
SEND_AT: Final = "X-EE-Send-At"
ATTEMPTS: Final = "X-EE-Delivery-Attempts"
GATEWAY: Final = "X-EE-Gateway"
TRACKING: Final = "X-EE-Tracking-Enabled"
LONGEST_KEY: Final = 1024
MOST_ATTEMPTS: Final = 1000

_NAMES: Final = {
    name.lower().encode("ascii"): name for name in (ACCOUNT, IDEMPOTENCY_KEY, SEND_AT, ATTEMPTS, GATEWAY, TRACKING)
}
_MILLISECONDS: Final = re.compile(r"[0-9]{9,14}")
_ON: Final = frozenset({"true", "1", "yes", "y", "on"})
_OFF: Final = frozenset({"false", "0", "no", "n", "off"})


class Control(msgspec.Struct, frozen=True):
    """What a message requests. None if it does not say; `send_at` in seconds since 1970, `attempts` at least 1.

    `tracking`: whether opens and clicks are tracked.
    """

    account: str | None = None
    idempotency_key: str | None = None
    send_at: float | None = None
    attempts: int | None = None
    gateway: str | None = None
    tracking: bool | None = None


def taken_out(header: bytes) -> tuple[bytes, Control]:
    """The header without the control headers, and what they say.

    Raises `Problem` 400 for a value that cannot be read.
    """
    kept, given = [], dict[str, str]()
    for field in split_fields(header):
        name = _NAMES.get(name_of(field))
        if name is None:
            kept.append(field)
        else:
            given.setdefault(name, " ".join(header_text(field.partition(b":")[2]).split()))
    control = Control(
        account=given.get(ACCOUNT) or None,
        idempotency_key=_key(given.get(IDEMPOTENCY_KEY)),
        send_at=_time(given.get(SEND_AT)),
        attempts=_attempts(given.get(ATTEMPTS)),
        gateway=given.get(GATEWAY) or None,
        tracking=_switch(given.get(TRACKING)),
    )
    return b"".join(kept), control


def _key(text: str | None) -> str | None:
    if text is None:
        return None
    key = text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text
    if not key.strip():
        raise _refused(IDEMPOTENCY_KEY, "must not be empty")
    if len(key) > LONGEST_KEY:
        raise _refused(IDEMPOTENCY_KEY, f"must have at most {LONGEST_KEY} characters")
    return key


def _time(text: str | None) -> float | None:
    if not text:
        return None
    # As in JavaScript, a number counts milliseconds.
    seconds = int(text) / 1000 if _MILLISECONDS.fullmatch(text) else read_date(text.encode("ascii", "replace"))
    if seconds is None:
        raise _refused(SEND_AT, "must be a date such as 2026-11-22T11:45:23Z")
    return seconds


def _attempts(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= MOST_ATTEMPTS):
        raise _refused(ATTEMPTS, f"must be a number from 0 to {MOST_ATTEMPTS}")
    return max(int(text), 1)


def _switch(text: str | None) -> bool | None:
    if not text:
        return None
    if text.lower() not in _ON | _OFF:
        raise _refused(TRACKING, "must be true or false")
    return text.lower() in _ON


def _refused(name: str, text: str) -> Problem:
    return invalid(name, text)
