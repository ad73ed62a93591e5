"""What an SMTP session is given, and what it gives back: the server, the time limits, the outcome, the failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

import msgspec

from engine import sasl
from engine.errors import EngineError, Fault, Remedy
from engine.smtp.replies import Reply
from engine.smtp.verdict import Verdict, error_text
from engine.transport import Endpoint

BLOCK_BYTES = 256 * 1024
"""The message goes out in pieces of this size, each of which has a time limit."""


class SmtpEndpoint(Endpoint, frozen=True):
    """An SMTP server and how to log in there; None: without a login."""

    credentials: sasl.Credentials | None


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in seconds, RFC 5321 section 4.5.3.2 where it has one; `connect` counts for TLS handshakes too."""

    connect: float = 30
    greeting: float = 300
    command: float = 300
    data: float = 120
    block: float = 180
    dot: float = 600


class Outcome(msgspec.Struct, frozen=True):
    """What became of each recipient; `reply` is the server's to the message; `dot_sent`: the message went out."""

    recipients: dict[str, Verdict]
    reply: Reply | None
    dot_sent: bool


class DeliveryError(EngineError):
    """The connection failed, or the server did not let us in.

    `recipients` holds a verdict for each recipient of a `send` (empty for `connect`), those decided before the failure
    with their own. `dot_sent`: the message whose reply did not come may have been accepted. `out_of_step`: the server's
    replies did not match our commands; recipients without a verdict of their own may be tried on a new connection.
    `mute` is the address that accepted the connection and never said a word.
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
    """What is common to all transactions of one message."""

    def __init__(self, body: Iterable[bytes], before_dot: Callable[[], Awaitable[None]]) -> None:
        self.body = body
        self.before_dot = before_dot
        self.dot_sent = False
        self.reply: Reply | None = None


def cut_up(body: Iterable[bytes]) -> Iterator[bytes]:
    """No chunk longer than a block, so that the end of data never goes with more than about two of them."""
    for chunk in body:
        if len(chunk) <= BLOCK_BYTES:
            yield chunk
        else:
            for start in range(0, len(chunk), BLOCK_BYTES):
                yield chunk[start : start + BLOCK_BYTES]
