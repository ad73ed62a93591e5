"""What can be done with an account beside changing it: reconnect, sync, flush, log; and verifying, autoconfig."""

from __future__ import annotations

from msgspec import UNSET
from quart import Response

from engine.accounts import registration as records
from engine.accounts.autoconfig import autoconfig as find_servers
from engine.accounts.registration_changes import registered
from engine.accounts.state import REFUSALS, AccountState
from engine.accounts.verify import verify as try_logins
from engine.api.context import Context, find_account
from engine.errors import Problem
from engine.http.access import Access
from engine.http.audit_entries import Change
from engine.http.client_disconnect import carry_through
from engine.http.operation import operation
from engine.schema.account import AccountCreate
from engine.schema.account_actions import (
    Autoconfig,
    AutoconfigQuery,
    Flush,
    Flushed,
    Reconnect,
    Reconnected,
    Sync,
    Synced,
    Verified,
    VerifyAccount,
)
from engine.schema.fields import AccountId

_TAGS = ("Account",)
_AT_WORK = (AccountState.CONNECTED, AccountState.CONNECTING, AccountState.SYNCING)


@operation("PUT", "/v1/account/{account}/reconnect", access=Access.PATH, scope="api", tags=_TAGS)
async def reconnect(context: Context, account: AccountId, body: Reconnect) -> Reconnected:
    """Connect anew."""
    found = find_account(context, account)
    if body.reconnect:
        found.reconnect()
    return Reconnected(reconnect=body.reconnect)


@operation("PUT", "/v1/account/{account}/sync", access=Access.PATH, scope="api", tags=_TAGS)
async def sync(context: Context, account: AccountId, body: Sync) -> Synced:
    """Look into every folder now."""
    found = find_account(context, account)
    if body.sync:
        if found.status.state not in _AT_WORK:
            refusal = REFUSALS[found.status.state]
            raise Problem(503, refusal.message, code=refusal.code, state=found.status.state)
        found.look_soon()
    return Synced(sync=body.sync)


@operation(
    "PUT",
    "/v1/account/{account}/flush",
    access=Access.PATH,
    scope="api",
    tags=_TAGS,
    change=Change("account.flush", lambda path, answer: path["account"] if answer.flush else None),
)
async def flush(context: Context, account: AccountId, body: Flush) -> Flushed:
    """Forget what is known of the account's folders and begin anew."""
    found = find_account(context, account)
    if body.flush and not await carry_through(
        context.registry.flush(found, body.notify_from, body.imap_indexer or UNSET)
    ):
        raise Problem(429, "Flush is already running", code="LockFail")
    return Flushed(flush=body.flush)


@operation("GET", "/v1/logs/{account}", access=Access.PATH, scope="api", tags=_TAGS, media="text/plain")
async def logs(context: Context, account: AccountId) -> Response:
    """Read the protocol log of an account, as plain text.

    Empty when none is kept.
    """
    log = find_account(context, account).log
    return Response(
        "" if log is None else log.text(),
        content_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "no-cache", "Content-Disposition": 'attachment; filename="logs.txt"'},
    )


@operation("POST", "/v1/verifyAccount", access=Access.ALL_ACCOUNTS, scope="api", tags=_TAGS)
async def verify(context: Context, body: VerifyAccount) -> Verified:
    """Try the logins of servers without storing anything."""
    record = registered(AccountCreate(account="", name="", imap=body.imap, smtp=body.smtp), "")
    name = body.smtp_ehlo_name or context.services.config.smtp.ehlo_name or "localhost"
    return await try_logins(
        records.imap_endpoint(record),
        records.smtp_endpoint(record),
        name,
        context.services,
        mailboxes=body.mailboxes,
    )


@operation("GET", "/v1/autoconfig", access=Access.ALL_ACCOUNTS, scope="api", tags=_TAGS)
async def autoconfig(context: Context, query: AutoconfigQuery) -> Autoconfig:
    """Find the servers of an address."""
    return await find_servers(query.email, context.services.world)
