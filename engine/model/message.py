"""A queued or ended message and its recipients, as they are stored. *pure*"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, NamedTuple

import msgspec

from engine.model.message_states import State


class OnDoubt(StrEnum):
    """What to do with a message whose outcome stays unknown: send it again, hold it for a decision, give it up."""

    RESEND = "resend"
    HOLD = "hold"
    FAIL = "fail"


IfSuppressed = Literal["skip", "fail", "send"]
"""What to do with a suppressed recipient: leave it out, send to nobody, send all the same."""
NOT_SENT = "Not sent:"
"""Begins the response of a recipient who was left out, in place of a server's."""


class LaneId(NamedTuple):
    """Whose messages go the same way: an account's by its own server, or all accounts' through a gateway."""

    account: str = ""
    gateway: str = ""


class Dsn(msgspec.Struct, frozen=True, omit_defaults=True):
    """The delivery reports to request from the recipients' servers (RFC 3461).

    `full`: a report returns the whole message, else its header. `id`: the envelope id, printable ASCII; None: the queue
    id. `notify`: of `NEVER`, `SUCCESS`, `FAILURE`, `DELAY`; () leaves it to the servers. `recipient`: the address that
    the report names as the original one.
    """

    full: bool
    id: str | None = None
    notify: tuple[str, ...] = ()
    recipient: str | None = None


class Message(msgspec.Struct, kw_only=True):
    """One queued or ended message. Times in seconds since 1970; `size` in octets as sent.

    * `copy_path`: the Sent folder requested, "" for the account's own, None for no copy.
    * `next_at`: when it is due; None if never (ended, held, or in doubt until a caller decides).
    * `dot_at`: set while the final dot of an attempt may have been sent and no reply is recorded.
    * `doubt_since`: when the oldest outcome that is still unknown became so.
    * `interruptions`: how often an attempt crashed or ended with the process, since the last one that was completed.
    * `expires_at`: when it is given up if its account cannot send at all.
    * `eight_bit`: only a server with 8BITMIME can take it. `dsn`: the delivery reports to request.
    * `proxy` (a sealed URL) and `local_address`: the message's own; None: those of its account.
    * `if_suppressed`: what happens if a recipient is suppressed by the time that it is sent.
    * `gateway`: the gateway it goes through, which may be gone; None: its account's own server.
    """

    id: int
    queue_id: str
    account: str
    message_id: str
    subject: str | None
    sender: str
    smtputf8: bool
    size: int
    copy_path: str | None
    created: float
    send_at: float
    next_at: float | None
    state: State
    attempts_made: int
    attempts_max: int
    dot_at: float | None
    last_error: dict[str, Any] | None
    ended: float | None
    on_doubt: OnDoubt
    doubt_since: float | None
    interruptions: int
    expires_at: float
    proxy: str | None = None
    local_address: str | None = None
    gateway: str | None = None
    eight_bit: bool = False
    dsn: Dsn | None = None
    if_suppressed: IfSuppressed = "skip"

    @property
    def lane(self) -> LaneId:
        """The lane that sends it."""
        return LaneId(self.account) if self.gateway is None else LaneId(gateway=self.gateway)

    @property
    def has_own_way(self) -> bool:
        """Whether it has its own proxy or local address."""
        return self.proxy is not None or self.local_address is not None


class Recipient(msgspec.Struct):
    """One envelope recipient of a message and its state; `code` and `response` are from the last reply."""

    position: int
    address: str
    state: State
    code: int | None = None
    response: str | None = None
