"""Checks the SMTP login of an account until it succeeds, so that a fault shows before mail waits.

If an account has no IMAP server, its state is that of this login (`probe`). It accepts submissions only once the login
has succeeded, just as an account with IMAP accepts them only after its first sync. If the account has IMAP too, the
login decides only `sending` (`watch_sending`). Attempts are repeated like IMAP connections. After the first success
only the outbox lane talks to the server, until an error occurs.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from engine.accounts.server_access import ServerAccess
from engine.accounts.status import Status, login_error
from engine.errors import LoginRefused, NetworkError, NetworkKind
from engine.model.account_states import AccountState
from engine.queue.outgoing_server import NONCE_BYTES, OutgoingServer, TokenLogins
from engine.smtp.session import DeliveryError, Timeouts
from engine.smtp.verdict import Kind, Stage, Verdict, error_code

PATIENCE = 60.0
"""Seconds that a server has for its greeting, and for each answer, while no mail waits."""
HEAD_START = 1.0
"""Seconds that the IMAP server has to refuse the login before the same password is sent to the SMTP server."""
LANE_SECONDS = 60.0
"""Seconds for which nothing is checked while the lane itself contacts the server."""
REFUSED_SECONDS = 3600.0
"""Seconds between two refused logins: each may bring the provider closer to locking the account."""


async def probe(server: OutgoingServer, timeouts: Timeouts, status: Status, access: ServerAccess) -> None:
    """Return once `server` has accepted the login. Cancelled: nothing stays open."""
    backoff = access.backoff(server.endpoint.host, server.endpoint.port, server.via)
    while True:
        status.state = AccountState.CONNECTING
        try:
            logged_in = await _log_in(server, timeouts, access)
        except DeliveryError as error:
            access.hosts.note_mute(error.mute)
            if (tokens := _tokens_wanted(server, error)) is not None and tokens.error is not None:
                await status.without_token(tokens.error)
                await tokens.recovers()
                continue
            failure = _as_error(error.verdict)
            await status.cannot_send(error.verdict, announce=False)
            await status.failed(failure)
        else:
            if server.endpoint.credentials is not None and logged_in:
                await status.logged_in(server.endpoint.credentials.user)
            await status.connected()
            await status.can_send()
            return
        await backoff.wait(failure)


async def watch_sending(
    server: OutgoingServer, timeouts: Timeouts, status: Status, access: ServerAccess, lane_knocks: Callable[[], bool]
) -> None:
    """Check whether `server` lets the account send, whenever that is unknown, until cancelled; nothing stays open.

    The server is left alone while the IMAP server refuses the login, or the outbox lane contacts the server itself
    (`lane_knocks`).
    """
    backoff = access.backoff(server.endpoint.host, server.endpoint.port, server.via)
    with trio.move_on_after(HEAD_START):
        while status.state in (AccountState.INIT, AccountState.CONNECTING):
            await status.moves()
    while True:
        if status.sending["state"] == AccountState.CONNECTED or status.refused.since is not None:
            await status.moves()
            continue
        if lane_knocks():
            await trio.sleep(LANE_SECONDS)
            continue
        try:
            await _log_in(server, timeouts, access)
        except DeliveryError as error:
            if (tokens := _tokens_wanted(server, error)) is not None and tokens.error is not None:
                await status.cannot_send_without_token(tokens.error)
                await tokens.recovers()
                continue
            await status.cannot_send(error.verdict)
            if error.verdict.kind is Kind.LOGIN_REFUSED:
                await trio.sleep(REFUSED_SECONDS)
            else:
                await backoff.wait(_as_error(error.verdict))
        else:
            await status.can_send()


async def _log_in(server: OutgoingServer, timeouts: Timeouts, access: ServerAccess) -> bool:
    """Connect, log in and quit; return whether there was a login. Raises `DeliveryError`."""
    patience = {name: min(getattr(timeouts, name), PATIENCE) for name in ("greeting", "command")}
    async with access.logins.at(server.endpoint.host, server.endpoint.port, server.via):
        nonce = access.world.token_bytes(NONCE_BYTES).hex()
        session = await server.connect(msgspec.structs.replace(timeouts, **patience), nonce)
        await session.quit()
    return session.logged_in


def _tokens_wanted(server: OutgoingServer, error: DeliveryError) -> TokenLogins | None:
    """The logins that need a token before the next attempt; None if that is not the reason."""
    return server.tokens if error.verdict.stage is Stage.TOKEN else None


def _as_error(verdict: Verdict) -> LoginRefused | NetworkError:
    if verdict.kind is Kind.LOGIN_REFUSED:
        shown = login_error(verdict)
        return LoginRefused(shown["response"], shown["serverResponseCode"])
    return NetworkError(
        verdict.network or NetworkKind.CONNECT, verdict.network_code or error_code(verdict), verdict.text
    )
