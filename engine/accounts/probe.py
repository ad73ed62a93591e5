"""An account that only sends has no mailbox to connect to: its SMTP login is tried instead, until it worked once.

Only then do submissions queue, as an account with a mailbox takes them only after its first sync. Tries are repeated
like connections to a mailbox; after the first success the outbox lane alone talks to the server.
"""

from __future__ import annotations

from engine.accounts.backoff import Backoff
from engine.accounts.services import Services
from engine.accounts.state import AccountState
from engine.accounts.status import Status, login_error
from engine.errors import LoginRefused, NetworkError, NetworkKind
from engine.queue.lane import NONCE_BYTES, Route
from engine.smtp.session import DeliveryError, SmtpSession, Timeouts
from engine.smtp.verdict import Kind, Verdict, error_code


async def probe(route: Route, timeouts: Timeouts, status: Status, services: Services) -> None:
    """Return once the login of `route` was accepted. Cancelled: nothing stays open."""
    backoff = Backoff(services, route.endpoint.host, route.endpoint.port)
    while True:
        status.state = AccountState.CONNECTING
        try:
            async with services.logins.at(route.endpoint.host, route.endpoint.port):
                session = await SmtpSession.connect(
                    route.endpoint,
                    dial=route.dial,
                    ehlo_name=route.ehlo_name,
                    timeouts=timeouts,
                    nonce=services.world.token_bytes(NONCE_BYTES).hex(),
                )
                await session.quit()
        except DeliveryError as error:
            services.hosts.note_mute(error.mute)
            failure = _as_error(error.verdict)
            await status.failed(failure)
        else:
            if route.endpoint.credentials is not None and session.logged_in:
                await status.logged_in(route.endpoint.credentials.user)
            await status.connected()
            return
        await backoff.wait(failure)


def _as_error(verdict: Verdict) -> LoginRefused | NetworkError:
    if verdict.kind is Kind.LOGIN_REFUSED:
        shown = login_error(verdict)
        return LoginRefused(shown["response"], shown["serverResponseCode"])
    return NetworkError(
        verdict.network or NetworkKind.CONNECT, verdict.network_code or error_code(verdict), verdict.text
    )
