"""Trying the logins of settings that are no account yet. A failed login is an answer, not an error.

Both servers are tried at once, each within `SECONDS`. Nothing is stored and nothing of a secret is in the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from engine.accounts import remedies
from engine.accounts.hints import hint
from engine.accounts.remedies import Server
from engine.accounts.services import Services
from engine.errors import LoginRefused, NetworkError, NetworkKind, ProtocolError
from engine.imap.mailboxes import Mailbox
from engine.imap.session import CommandRefused, ImapEndpoint, ImapSession
from engine.smtp.session import DeliveryError, SmtpEndpoint, SmtpSession, Timeouts
from engine.smtp.verdict import Kind, error_code, error_text

SECONDS = 60.0
CLIENT_ID = {"name": "mailbox-engine", "vendor": "mailbox-engine"}


async def verify(
    imap: ImapEndpoint | None, smtp: SmtpEndpoint | None, ehlo_name: str, services: Services, *, mailboxes: bool
) -> dict[str, Any]:
    """The answer of `POST /v1/verifyAccount`. Cancelled: nothing stays open."""
    answer: dict[str, Any] = {}
    dial = services.egress.dialer(restricted=False, mail=True)
    async with trio.open_nursery() as nursery:

        async def try_imap(endpoint: ImapEndpoint) -> None:
            nonce = services.world.token_bytes(18).hex()
            session = await ImapSession.connect(endpoint, dial=dial, client_id=CLIENT_ID, nonce=nonce)
            try:
                if mailboxes:
                    answer["mailboxes"] = [_shown(each) for each in await session.list_mailboxes()]
            finally:
                await session.logout()

        async def try_smtp(endpoint: SmtpEndpoint) -> None:
            session = await SmtpSession.connect(
                endpoint,
                dial=dial,
                ehlo_name=ehlo_name,
                timeouts=Timeouts(greeting=SECONDS),
                nonce=services.world.token_bytes(18).hex(),
            )
            await session.quit()

        if imap is not None:
            nursery.start_soon(_note, answer, "imap", try_imap, imap)
        if smtp is not None:
            nursery.start_soon(_note, answer, "smtp", try_smtp, smtp)
    return answer


async def _note(answer: dict[str, Any], name: str, attempt: Callable[[Any], Awaitable[None]], endpoint: Any) -> None:
    credentials = endpoint.credentials
    user = credentials.user if credentials is not None else ""
    server = Server(name, endpoint.host, endpoint.port, endpoint.secure, user)
    silent = NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", "No answer in time")
    answer[name] = {**_imap_failure(silent), "description": remedies.of_error(silent, server)}
    response = None
    with trio.move_on_after(SECONDS):
        try:
            await attempt(endpoint)
            answer[name] = {"success": True}
        except (NetworkError, ProtocolError, LoginRefused, CommandRefused) as error:
            failure = answer[name] = _imap_failure(error)
            failure["description"] = remedies.of_error(error, server)
            response = str(error) if isinstance(error, LoginRefused) else None
        except DeliveryError as error:
            verdict = error.verdict
            failure = {"success": False, "error": error_text(verdict), "code": error_code(verdict)}
            if verdict.code is not None:
                failure |= {"statusCode": verdict.code, "responseText": verdict.text}
            elif verdict.network_code is not None:
                failure["code"] = verdict.network_code
            failure["description"] = remedies.of_verdict(verdict, server)
            response = verdict.text if verdict.kind is Kind.LOGIN_REFUSED else None
            answer[name] = failure
    token = credentials is not None and credentials.access_token is not None
    if response is not None and (said := hint(server.host, response, token=token)):
        answer[name]["hint"] = said


def _imap_failure(error: NetworkError | ProtocolError | LoginRefused | CommandRefused) -> dict[str, Any]:
    if isinstance(error, (LoginRefused, CommandRefused)):
        said = error.response.partition(" ")[2].partition(" ")[2]  # behind tag and NO
        text = said.partition("] ")[2] if said.startswith("[") else said
        failure = {"success": False, "error": "Command failed", "responseText": text or error.response}
        return failure | ({"code": error.code} if error.code else {})
    code = error.code if isinstance(error, NetworkError) else "EPROTOCOL"
    return {"success": False, "error": str(error), "code": code}


def _shown(mailbox: Mailbox) -> dict[str, Any]:
    parent = mailbox.path.rpartition(mailbox.delimiter)[0] if mailbox.delimiter else ""
    shown = {
        "path": mailbox.path,
        "delimiter": mailbox.delimiter,
        "parentPath": parent,
        "name": mailbox.name,
        "listed": True,
    }
    if mailbox.special_use is not None:
        shown |= {"specialUse": mailbox.special_use, "specialUseSource": mailbox.special_use_source}
    return shown
