"""Actions on an account: reconnect, sync, flush, show its log; and verifying and finding servers."""

from __future__ import annotations

from msgspec import UNSET
from quart import Response

from engine.accounts import registration as records
from engine.accounts.autoconfig import autoconfig as find_servers
from engine.accounts.ehlo_name import ehlo_name
from engine.accounts.not_ready import REFUSALS
from engine.accounts.proxy_checks import refuse_proxy
from engine.accounts.registration_changes import registered
from engine.accounts.verify import verify as try_logins
from engine.api.context import Context, find_account
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.model.account_states import AccountState
from engine.model.registration import SERVERS
from engine.schema.account import AccountCreate
from engine.schema.account_actions import (
    Autoconfig,
    AutoconfigQuery,
    Flush,
    Flushed,
    LogQuery,
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


@operation("PUT", "/v1/account/{account}/reconnect", access=Access.PATH, scope="api", group="account", tags=_TAGS)
async def reconnect(context: Context, account: AccountId, body: Reconnect) -> Reconnected:
    """Reconnect an account.

    The engine closes the IMAP connection and opens a new one at once.
    """
    found = find_account(context, account)
    if body.reconnect:
        found.reconnect()
    return Reconnected(reconnect=body.reconnect)


@operation(
    "PUT",
    "/v1/account/{account}/sync",
    access=Access.PATH,
    scope="api",
    group="account",
    tags=_TAGS,
    errors={503: "The account is not connected."},
)
async def sync(context: Context, account: AccountId, body: Sync) -> Synced:
    """Sync an account.

    The engine checks every folder now instead of at the next interval.
    """
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
    group="account",
    action="destructive",
    tags=_TAGS,
    change=Change("account.flush", lambda path, answer: path["account"] if answer.flush else None),
    errors={429: "A flush of this account is running already (`LockFail`)."},
)
async def flush(context: Context, account: AccountId, body: Flush) -> Flushed:
    """Flush an account.

    The engine discards what it knows about the account's folders and reads them again; until then the account is
    `paused`.
    Queued mail is not affected. To pause the IMAP side of an account for longer, set `imap.disabled`.
    """
    found = find_account(context, account)
    if body.flush and not await carry_through(
        context.registry.flush(found, body.notify_from, body.imap_indexer or UNSET)
    ):
        raise Problem(429, "Flush is already running", code="LockFail")
    return Flushed(flush=body.flush)


@operation("GET", "/v1/logs/{account}", access=Access.PATH, scope="api", group="logs", tags=_TAGS, media="text/plain")
async def logs(context: Context, account: AccountId, query: LogQuery) -> Response:
    """Read the protocol log of an account.

    For an account registered with `logs: true`, this is the IMAP dialogue, with the SMTP dialogue of each attempt where
    it ended: the last 10,000 lines since the engine started, without secrets or message content. Each line is a JSON
    object: `time` in milliseconds, `src` (`c`: the engine, `s`: the server), `msg`, `level`, and `cid` for any
    connection but the one that idles. The log is empty for an account that keeps none.
    """
    log = find_account(context, account).log
    return Response(
        b"" if log is None else log.text(query.lines),
        content_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "no-cache", "Content-Disposition": 'attachment; filename="logs.txt"'},
    )


@operation("POST", "/v1/verifyAccount", access=Access.ALL_ACCOUNTS, scope="api", tags=_TAGS)
async def verify(context: Context, body: VerifyAccount) -> Verified:
    """Verify servers.

    The engine logs in once at each server and stores nothing. Each login takes at most a minute.
    """
    await refuse_proxy(context.access, "proxy", body.proxy or None)
    for server in SERVERS:
        if getattr(getattr(body, server), "use_auth_server", UNSET) is True:
            text = "is not possible here: the auth server only knows registered accounts"
            raise invalid(f"{server}.useAuthServer", text)
    servers = AccountCreate(
        account="", name="", imap=body.imap, smtp=body.smtp, proxy=body.proxy, smtp_ehlo_name=body.smtp_ehlo_name
    )
    record = registered(servers, "")
    return await try_logins(
        records.imap_endpoint(record),
        records.smtp_endpoint(record),
        ehlo_name(record, context.config.smtp.ehlo_name),
        {server: context.access.routes.of_account(record, server) for server in SERVERS},
        context.access,
        mailboxes=body.mailboxes,
    )


@operation("GET", "/v1/autoconfig", access=Access.ALL_ACCOUNTS, scope="api", group="diagnostics", tags=_TAGS)
async def autoconfig(context: Context, query: AutoconfigQuery) -> Autoconfig:
    """Find the servers of an address."""
    return await find_servers(query.email, context.world)
