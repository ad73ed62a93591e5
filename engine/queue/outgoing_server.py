"""How an account's mail leaves: its SMTP server, the route there, and the login."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from engine.model.limits import Quota, SendingLimit
from engine.model.message import Message
from engine.oauth.errors import TokenError
from engine.proxies.route import DIRECT, Route
from engine.silent_hosts import Via
from engine.smtp.offered_sizes import OfferedSizes
from engine.smtp.session import SmtpEndpoint, SmtpSession, Timeouts
from engine.smtp.verdict import Verdict
from engine.transcript import Trace
from engine.world import Dial

NONCE_BYTES = 18


Connect = Callable[[SmtpEndpoint], Awaitable[SmtpSession]]


class TokenLogins(Protocol):
    """Logs in with access tokens, which expire. `error`: why there was none when one was last needed."""

    error: TokenError | None

    async def log_in(self, endpoint: SmtpEndpoint, connect: Connect) -> SmtpSession:
        """A session made by `connect`, with a token in the endpoint. Raises `DeliveryError`, at `Stage.TOKEN` too."""

    def lacking(self) -> Verdict | None:
        """Why no login is possible now, if that is known without a request; None: it may be possible."""

    async def recovers(self) -> None:
        """Return once a token may be available again, after a `DeliveryError` at `Stage.TOKEN`."""


class OutgoingServer(msgspec.Struct, frozen=True):
    """How an account's mail leaves: its SMTP server, how to dial it, the name to greet it with, how fast it may go
    and how much in all (`rate_limit`, `quota`).

    `route` is the one `dial` takes; `by` returns this server for a message with its own proxy or local address.
    `tokens` logs in; None: with what the endpoint holds. `sizes` remembers what the server offers.
    """

    endpoint: SmtpEndpoint
    dial: Dial
    ehlo_name: str
    rate_limit: SendingLimit | None = None
    quota: Quota | None = None
    route: Route = DIRECT
    by: Callable[[Message], OutgoingServer] | None = None
    tokens: TokenLogins | None = None
    sizes: OfferedSizes | None = None

    async def connect(self, timeouts: Timeouts, nonce: str, trace: Trace | None = None) -> SmtpSession:
        """A session that is ready to send. Raises `DeliveryError`. Cancelled: nothing stays open."""

        async def at(endpoint: SmtpEndpoint) -> SmtpSession:
            return await SmtpSession.connect(
                endpoint, dial=self.dial, ehlo_name=self.ehlo_name, timeouts=timeouts, trace=trace, nonce=nonce
            )

        session = await (at(self.endpoint) if self.tokens is None else self.tokens.log_in(self.endpoint, at))
        if self.sizes is not None:
            self.sizes.note(self.endpoint.host, self.endpoint.port, session.capabilities)
        return session

    @property
    def via(self) -> Via:
        """The proxy's host and port; None without one."""
        return self.route.via


def routing_of(route: Route, session: SmtpSession | None) -> dict[str, str] | None:
    """An attempt's route as events report it; None without a proxy or a chosen local address."""
    routing: dict[str, str] = {}
    if route.proxy is not None:
        routing["proxy"] = route.proxy.place
    if route.local:
        left_from = session.local_address if session is not None else None
        if left_from is not None or not route.at_random:
            routing["localAddress"] = left_from or route.local[0]
    return routing or None
