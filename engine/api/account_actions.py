"""What can be done with an account beside changing it: reconnect, sync, flush, log; and verifying, autoconfig."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from quart import Response

from engine.accounts import record as records
from engine.accounts.autoconfig import autoconfig as find_servers
from engine.accounts.state import REFUSALS, AccountState
from engine.accounts.verify import verify as try_logins
from engine.api.context import Context, carry_through, find_account
from engine.errors import Problem
from engine.schema.account import AccountCreate
from engine.schema.account_actions import AutoconfigQuery, Flush, Reconnect, Sync, VerifyAccount

_AT_WORK = (AccountState.CONNECTED, AccountState.CONNECTING, AccountState.SYNCING)


async def reconnect(context: Context, account: str, body: Reconnect) -> dict[str, Any]:
    """`PUT /v1/account/{account}/reconnect`."""
    found = find_account(context, account)
    if body.reconnect:
        found.reconnect()
    return {"reconnect": body.reconnect}


async def sync(context: Context, account: str, body: Sync) -> dict[str, Any]:
    """`PUT /v1/account/{account}/sync`."""
    found = find_account(context, account)
    if body.sync:
        if found.status.state not in _AT_WORK:
            refusal = REFUSALS[found.status.state]
            raise Problem(503, refusal.message, code=refusal.code, state=found.status.state)
        found.look_soon()
    return {"sync": body.sync}


async def flush(context: Context, account: str, body: Flush) -> dict[str, Any]:
    """`PUT /v1/account/{account}/flush`."""
    found = find_account(context, account)
    if body.flush and not await carry_through(
        context.registry.flush(found, body.notify_from, body.imap_indexer or UNSET)
    ):
        raise Problem(429, "Flush is already running", code="LockFail")
    return {"flush": body.flush}


async def logs(context: Context, account: str) -> Response:
    """`GET /v1/logs/{account}`: the protocol log as plain text; empty when none is kept."""
    log = find_account(context, account).log
    return Response(
        "" if log is None else log.text(),
        content_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "no-cache", "Content-Disposition": 'attachment; filename="logs.txt"'},
    )


async def verify(context: Context, body: VerifyAccount) -> dict[str, Any]:
    """`POST /v1/verifyAccount`."""
    record = records.registered(AccountCreate(account="", name="", imap=body.imap, smtp=body.smtp))
    name = body.smtp_ehlo_name or context.services.config.smtp.ehlo_name or "localhost"
    return await try_logins(
        records.imap_endpoint(record),
        records.smtp_endpoint(record),
        name,
        context.services,
        mailboxes=body.mailboxes,
    )


async def autoconfig(context: Context, query: AutoconfigQuery) -> dict[str, Any]:
    """`GET /v1/autoconfig`."""
    return await find_servers(query.email, context.services.world)
