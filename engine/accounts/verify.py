"""Checks the logins of servers that are not an account yet. A failed login is an answer, not an error.

Both servers are contacted at the same time, each within `SECONDS` and with a login slot of its host. Nothing is stored,
and the answer contains no secrets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import trio
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from engine.accounts import remedies
from engine.accounts.folder_management import place
from engine.accounts.imap_sessions import NONCE_BYTES
from engine.accounts.login_hints import hint
from engine.accounts.remedies import Server
from engine.accounts.server_access import ServerAccess
from engine.errors import LoginRefused, NetworkError, NetworkKind, ProtocolError
from engine.imap.mailboxes import SUBSCRIBED, Mailbox
from engine.imap.session import CommandRefused, ImapEndpoint
from engine.imap.special_use import INBOX
from engine.model.registration import ServerName
from engine.oauth.answers import user_of_token
from engine.proxies.route import Route
from engine.schema.account_actions import MailboxFound, ServerVerified, Verified
from engine.smtp.named_refusals import Who, named
from engine.smtp.session import DeliveryError, SmtpEndpoint, SmtpSession, Timeouts
from engine.smtp.verdict import Kind, error_code, error_text
from engine.world import Dial

SECONDS = 60.0


class _NoLoginGiven(Exception):
    """The server offers logins, but no credentials were given."""


async def verify(
    imap: ImapEndpoint | None,
    smtp: SmtpEndpoint | None,
    ehlo_name: str,
    ways: Mapping[ServerName, Route],
    access: ServerAccess,
    *,
    mailboxes: bool,
    restricted: Collection[str] = (),
) -> Verified:
    """Attempt each login by its route; list the folders if `mailboxes`. Cancelled: nothing stays open.

    `restricted`: those of `imap` and `smtp` that were named by a caller who may not reach private addresses.
    """
    outcomes: dict[str, ServerVerified] = {}
    folders: tuple[MailboxFound, ...] | UnsetType = UNSET

    def dialer(server: ServerName) -> Dial:
        return access.egress.dialer(restricted=server in restricted, mail=True, route=ways[server])

    async with trio.open_nursery() as nursery:

        async def try_imap(endpoint: ImapEndpoint) -> None:
            nonlocal folders
            session = await access.connector.connect(endpoint, dialer("imap"), proxy=ways["imap"].proxy)
            try:
                if endpoint.credentials.access_token is not None:
                    # Microsoft lets a token in and then opens no mailbox.
                    await session.select("INBOX", read_only=True)
                if mailboxes:
                    found, _ = await session.list_subscribed(())
                    found.sort(key=lambda each: place(each.path, each.special_use))
                    folders = tuple(map(_shown, found))
            finally:
                await session.logout()

        async def try_smtp(endpoint: SmtpEndpoint) -> None:
            async with access.logins.at(endpoint.host, endpoint.port, ways["smtp"].via):
                session = await SmtpSession.connect(
                    access.as_set(endpoint),
                    dial=dialer("smtp"),
                    ehlo_name=ehlo_name,
                    timeouts=Timeouts(greeting=SECONDS),
                    nonce=access.world.token_bytes(NONCE_BYTES).hex(),
                )
            wants_login = endpoint.credentials is None and bool(session.capabilities.auth)
            await session.quit()
            if wants_login:
                raise _NoLoginGiven

        if imap is not None:
            nursery.start_soon(_note, outcomes, "imap", try_imap, imap)
        if smtp is not None:
            nursery.start_soon(_note, outcomes, "smtp", try_smtp, smtp)
    return Verified(imap=outcomes.get("imap", UNSET), smtp=outcomes.get("smtp", UNSET), mailboxes=folders)


async def _note(
    outcomes: dict[str, ServerVerified], name: str, attempt: Callable[[Any], Awaitable[None]], endpoint: Any
) -> None:
    credentials = endpoint.credentials
    user = credentials.user if credentials is not None else ""
    given_token = credentials is not None and bool(credentials.access_token)
    server = Server(name, endpoint.host, endpoint.port, endpoint.secure, user, given_token=given_token)
    silent = NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", "No answer in time")
    outcomes[name] = replace(_imap_failure(silent), description=remedies.of_error(silent, server))
    refused, response = False, None
    with trio.move_on_after(SECONDS):
        try:
            await attempt(endpoint)
            outcomes[name] = ServerVerified(success=True)
        except (NetworkError, ProtocolError, LoginRefused, CommandRefused) as error:
            outcomes[name] = replace(_imap_failure(error), description=remedies.of_error(error, server))
            refused, response = isinstance(error, LoginRefused), str(error)
            if refused and not user:
                outcomes[name], response = _no_login_given(server, name), None
        except _NoLoginGiven:
            outcomes[name] = _no_login_given(server, name)
        except DeliveryError as error:
            verdict = error.verdict
            failure = ServerVerified(success=False, error=error_text(verdict), code=error_code(verdict))
            if verdict.code is not None:
                failure = replace(failure, status_code=verdict.code, response_text=verdict.text)
            elif verdict.network_code == "EACCES":  # refused here, before any socket
                failure = replace(failure, code=verdict.network_code)
            outcomes[name] = replace(failure, description=remedies.of_verdict(verdict, server))
            refused, response = verdict.kind is Kind.LOGIN_REFUSED, verdict.text
    access_token = credentials.access_token if credentials is not None else None
    who = Who(user, None if access_token is None else user_of_token(access_token))
    if response is not None and (meant := named(response, who)) is not None:
        outcomes[name] = replace(outcomes[name], code=meant.code, description=meant.description, hint=meant.hint)
    elif refused and response is not None and (said := hint(server.host, response, token=access_token is not None)):
        outcomes[name] = replace(outcomes[name], hint=said)


def _imap_failure(error: NetworkError | ProtocolError | LoginRefused | CommandRefused) -> ServerVerified:
    if isinstance(error, (LoginRefused, CommandRefused)):
        said = error.response.partition(" ")[2].partition(" ")[2]  # after the tag and NO
        text = said.partition("] ")[2] if said.startswith("[") else said
        return ServerVerified(
            success=False, error="Command failed", response_text=text or error.response, code=error.code or UNSET
        )
    code = error.code if isinstance(error, NetworkError) else "EPROTOCOL"
    return ServerVerified(success=False, error=str(error), code=code)


def _no_login_given(server: Server, name: str) -> ServerVerified:
    return ServerVerified(
        success=False,
        error="Authentication info was not provided",
        code="ENOAUTH",
        description=f"{server} wants a login. Give a user and a password, or an access token, in {name}.auth.",
    )


def _shown(mailbox: Mailbox) -> MailboxFound:
    flags = {flag.lower() for flag in mailbox.flags}
    parent = mailbox.path.rpartition(mailbox.delimiter)[0] if mailbox.delimiter else ""
    return MailboxFound(
        path=mailbox.path,
        delimiter=mailbox.delimiter,
        parent_path=parent or UNSET,
        name=mailbox.name,
        subscribed=True if SUBSCRIBED.lower() in flags or mailbox.special_use == INBOX else UNSET,
        no_inferiors="\\noinferiors" in flags,
        special_use=UNSET if mailbox.special_use is None else mailbox.special_use,
        special_use_source=UNSET if mailbox.special_use_source is None else mailbox.special_use_source,
    )
