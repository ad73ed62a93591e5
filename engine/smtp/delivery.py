"""What an SMTP session takes and returns: the server, the time limits, the outcome, the failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

import msgspec

from engine import sasl
from engine.errors import EngineError, Fault, Remedy
from engine.smtp.replies import Reply
from engine.smtp.verdict import Verdict, error_text
from engine.transport import Endpoint

BLOCK_BYTES = 256 * 1024
"""Octets per write of message data; the time limit `block` applies to each write."""


class SmtpEndpoint(Endpoint, frozen=True):
    """An SMTP server and the credentials to log in with; None: no login."""

    credentials: sasl.Credentials | None


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in seconds, following RFC 5321 section 4.5.3.2; `connect` also limits each TLS handshake."""

    connect: float = 30
    greeting: float = 300
    command: float = 300
    data: float = 120
    block: float = 180
    dot: float = 600


class Outcome(msgspec.Struct, frozen=True):
    """The verdict on each recipient; `reply` is the server's to the message; `dot_sent`: the message was sent."""

    recipients: dict[str, Verdict]
    reply: Reply | None
    dot_sent: bool


class DeliveryError(EngineError):
    """The connection failed, or the server refused the session.

    `recipients` holds a verdict for each recipient of a `send` (empty for `connect`); those decided before the failure
    keep their own. `dot_sent`: the message was sent without a reply and may have been accepted. `out_of_step`: the
    server's replies did not match our commands; `recipients` then holds only those already decided, and the others may
    be sent on a new connection. `mute` is the address that accepted the connection and never sent a byte.
    """

    fault = Fault.PROVIDER
    remedy = Remedy.RETRY

    def __init__(
        self,
        verdict: Verdict,
        recipients: dict[str, Verdict],
        dot_sent: bool,
        *,
        out_of_step: bool = False,
        mute: str | None = None,
    ) -> None:
        super().__init__(error_text(verdict))
        self.verdict = verdict
        self.recipients = recipients
        self.dot_sent = dot_sent
        self.out_of_step = out_of_step
        self.mute = mute


class Delivery:
    """What all transactions of one message share."""

    def __init__(self, body: Iterable[bytes], before_dot: Callable[[], Awaitable[None]]) -> None:
        self.body = body
        self.before_dot = before_dot
        self.dot_sent = False
        self.reply: Reply | None = None


def cut_up(body: Iterable[bytes]) -> Iterator[bytes]:
    """Cut chunks to at most one block, so that the end of data is sent with at most about two blocks."""
    for chunk in body:
        if len(chunk) <= BLOCK_BYTES:
            yield chunk
        else:
            for start in range(0, len(chunk), BLOCK_BYTES):
                yield chunk[start : start + BLOCK_BYTES]
