"""Registering, reading, changing and removing accounts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import trio
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from engine.accounts import registration as records
from engine.accounts.account import Account
from engine.accounts.masked_secrets import refuse_masks
from engine.accounts.oauth_registration import SigningIn
from engine.accounts.proxy_checks import refuse_way
from engine.accounts.tls_required import insecure
from engine.accounts.wait_until_connected import until_connected
from engine.api.context import Context, find_account
from engine.api.events import LONGEST_WAIT
from engine.api.sign_in import consent_url, revoke, shown_sign_in, signing_in
from engine.api.webhooks import refuse_egress
from engine.edge.client_disconnect import carry_through
from engine.egress import EgressRefused
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.isotime import iso
from engine.masking import MASK
from engine.model.account_states import AccountState
from engine.model.registration import SERVERS, ImapServer, Login, Registration, SmtpServer, TlsOptions
from engine.schema.account import (
    AccountCreate,
    AccountCreated,
    AccountInfo,
    AccountList,
    AccountQuery,
    AccountRemoved,
    AccountRemoveQuery,
    AccountsQuery,
    AccountSummary,
    AccountType,
    AccountUpdate,
    AccountUpdated,
)
from engine.schema.account_condition import Counters, LastError, Sending, SmtpStatus
from engine.schema.fields import AccountId, CustomHeader
from engine.schema.servers import Auth, ImapConfig, Limits, RateLimit, SmtpConfig, Tls
from engine.schema.sign_in import OAuthLogin
from engine.schema.stored_json import shown
from engine.store import events
from engine.store.tokens import Token
from engine.store.webhooks import Bound
from engine.store.writer import Tx
from engine.webhooks.target import masked as masked_url

_TAGS = ("Account",)


@operation(
    "POST",
    "/v1/account",
    access=Access.HANDLER,
    scope="api",
    tags=_TAGS,
    change=Change("account.register", lambda path, answer: answer.account or None),
    errors={409: "`serviceUrl` is not set, which `authorize` needs (`MissingServiceURLSetup`)."},
)
async def register(context: Context, body: AccountCreate, *, caller: Token) -> AccountCreated:
    """Register an account.

    The answer means that the registration is on disk; it does not wait for the servers. To wait until the account is
    connected, read it with `wait=connected`. Unless it is a sandbox account, name its servers:

    ```json
    {"account": "mine", "name": "My Name", "email": "me@example.com",
     "imap": {"host": "imap.example.com", "port": 993, "secure": true,
              "auth": {"user": "me@example.com", "pass": "..."}},
     "smtp": {"host": "smtp.example.com", "port": 587, "secure": false,
              "auth": {"user": "me@example.com", "pass": "..."}}}
    ```

    To sign in with OAuth2, name an app and give the tokens, which the engine renews from then on; or set `authorize` to
    get the URL at which the owner of the mailbox signs in.
    """
    if caller.account is not None and body.account != caller.account:
        raise Problem(403, "Unauthorized account")
    refuse_masks(body)
    narrowed = caller.account is not None
    if body.sandbox is True and not context.config.sandbox.enabled:
        raise invalid("sandbox", "must not be true: enabled is false under [sandbox] in the engine's configuration")
    stored = context.registry.get(body.account or "")
    await _check_egress(context, body, stored, caller)
    if isinstance(body.oauth2, OAuthLogin) and body.oauth2.authorize:
        return AccountCreated(redirect=await consent_url(context, body, body.oauth2, narrowed=narrowed))
    if body.expected_email is not UNSET:
        raise invalid("expectedEmail", "is not allowed without oauth2.authorize: nobody signs in")
    signs_in = signing_in(context, body, stored if stored is not None and stored.unreadable is None else None)
    account, new = await carry_through(registered(context, body, signs_in, narrowed=narrowed))
    return AccountCreated(account=account, state="new" if new else "existing")


@operation("GET", "/v1/account/{account}", access=Access.PATH, scope="api", group="account", tags=_TAGS)
async def read(context: Context, account: AccountId, query: AccountQuery, *, caller: Token) -> AccountInfo:
    """Read an account.

    `lastError` says why the account is not connected, `sending` whether it can send, `smtpStatus` how the last SMTP
    attempt ended. In errors, `description` says what the error means and what to do about it.
    """
    if query.wait is not None:
        with context.streams.share.hold(caller.hash), trio.move_on_after(LONGEST_WAIT):
            await until_connected(account, context.registry, context.changes)
    found = find_account(context, account)
    record, status = found.record, found.status
    has_imap = found.has_imap
    return AccountInfo(
        account=found.id,
        name=record.name,
        email=record.email,
        copy=UNSET if record.copy is None else record.copy,
        logs=record.logs is True,
        notify_from=_notify_from(found),
        path=_path(record),
        subconnections=record.subconnections,
        imap_indexer=(record.imap_indexer or "full") if has_imap else UNSET,
        smtp_ehlo_name=record.smtp_ehlo_name or UNSET,
        proxy=masked_url(record.proxy, MASK) if record.proxy else UNSET,
        local_address=record.local_address or UNSET,
        imap=_imap(record.imap) if isinstance(record.imap, ImapServer) else _off(record.imap),
        smtp=_smtp(record.smtp) if isinstance(record.smtp, SmtpServer) else _off(record.smtp),
        oauth2=shown_sign_in(found),
        insecure=tuple(insecure(record)) or UNSET,
        sandbox=record.sandbox,
        webhooks=_webhooks(record),
        webhooks_custom_headers=tuple(
            CustomHeader(key=each.key, value=MASK) for each in record.webhooks_custom_headers or ()
        )
        or UNSET,
        locale=record.locale,
        tz=record.tz,
        state=status.state.value,
        sending=_sending(found),
        smtp_status=shown(SmtpStatus, status.smtp_status) if status.smtp_status is not None else None,
        connections=status.connections,
        send_only=UNSET if has_imap else True,
        last_error=await _last_error_with_way_out(context, found),
        folder_errors=found.folder_errors or UNSET,
        heartbeat=found.learnt_heartbeat or UNSET,
        type=_type(found),
        sync_time=UNSET if status.sync_time is None else iso(status.sync_time),
        counters=_counters(context, found),
        quota=False if query.quota else UNSET,
    )


@operation("GET", "/v1/accounts", access=Access.HANDLER, scope="api", group="account", tags=_TAGS)
async def listing(context: Context, query: AccountsQuery, *, caller: Token) -> AccountList:
    """List accounts.

    A token for one account sees only that account.
    """
    needle = (query.query or "").lower()
    found = [
        account
        for account in context.registry.every()
        if caller.account in (None, account.id)
        and (not query.state or account.status.state == query.state)
        and any(needle in str(text or "").lower() for text in (account.id, account.record.name, account.record.email))
    ]
    return AccountList(
        **paging.numbers(len(found), query),
        query=query.query or False,
        state=query.state or "*",
        accounts=tuple(_summary(context, account) for account in paging.cut(found, query)),
    )


@operation(
    "PUT",
    "/v1/account/{account}",
    access=Access.PATH,
    scope="api",
    tags=_TAGS,
    change=Change("account.update", lambda path, answer: answer.account),
    errors={409: "The stored registration cannot be read (`AccountUnreadable`)."},
)
async def update(context: Context, account: AccountId, body: AccountUpdate, *, caller: Token) -> AccountUpdated:
    """Change an account.

    An `imap` or `smtp` object replaces the stored one; with `"partial": true`, it replaces only the members it has. A
    masked secret (`******`) is refused, so leave out `auth` to keep it.
    """
    found = find_account(context, account)
    refuse_masks(body)
    await _check_egress(context, body, found, caller)
    try:
        signs_in = signing_in(context, body, found)
        await carry_through(_updated(context, found, body, signs_in, narrowed=caller.account is not None))
    except ValueError as error:
        raise invalid(str(error), "is required") from error
    return AccountUpdated(account=found.id)


@operation(
    "DELETE",
    "/v1/account/{account}",
    access=Access.PATH,
    scope="api",
    group="account",
    tags=_TAGS,
    change=Change("account.remove", lambda path, answer: answer.account),
)
async def remove(context: Context, account: AccountId, query: AccountRemoveQuery) -> AccountRemoved:
    """Remove an account.

    Its open messages are cancelled; the engine waits up to `shutdown.grace` for a message whose final dot is under way.
    The tokens, consumers and webhook endpoints that are for this account alone go with it, and so does its own webhook
    URL: events still due for that, `accountDeleted` among them, go to the URL of the settings.
    """
    found = find_account(context, account)
    await carry_through(_removed(context, found, revoked=query.revoke is True))
    return AccountRemoved(account=found.id)


async def registered(
    context: Context,
    body: AccountCreate,
    signs_in: SigningIn | None,
    *,
    narrowed: bool,
    also: Callable[[Tx, str], object] | None = None,
) -> tuple[str, bool]:
    """Register an account; `also` as for `Registry.register`. Its id, and whether it is new."""
    parts = _webhook_parts(body)
    register = partial(context.registry.register, body, narrowed=narrowed, signing_in=signs_in, also=also)
    if body.account is None or not parts:
        return await register()
    async with context.webhooks.setting(body.account, *parts, bound=narrowed):
        return await register()


async def _removed(context: Context, account: Account, *, revoked: bool) -> None:
    """Remove an account, then revoke its grant: no one is told to sign in again for an account that is going away."""
    keeper = account.sign_in.keeper
    await context.registry.remove(account)
    if revoked and keeper is not None:
        await revoke(context, account, keeper.grant)


async def _updated(
    context: Context, account: Account, body: AccountUpdate, signs_in: SigningIn | None, *, narrowed: bool
) -> None:
    parts = _webhook_parts(body)
    if not parts:
        return await context.registry.update(account, body, narrowed=narrowed, signing_in=signs_in)
    async with context.webhooks.setting(account.id, *parts, bound=narrowed):
        return await context.registry.update(account, body, narrowed=narrowed, signing_in=signs_in)


def _webhook_parts(body: AccountCreate | AccountUpdate) -> list[Bound]:
    """The members of a request that determine where an account's events are posted."""
    parts: list[Bound] = []
    if body.webhooks:
        parts.append("url")
    if body.webhooks_custom_headers:
        parts.append("headers")
    return parts


async def _check_egress(
    context: Context, body: AccountCreate | AccountUpdate, stored: Account | None, caller: Token
) -> None:
    """Refuse forbidden addresses; mail servers of a trusted caller are checked only at the connection."""
    narrowed = caller.account is not None
    await refuse_way(context.access, body.proxy, body.local_address, narrowed=narrowed)
    if body.webhooks:
        await refuse_egress(context, "webhooks", body.webhooks, restricted=narrowed)
    for name in SERVERS if narrowed else ():
        known = getattr(stored.record, name) if stored is not None else UNSET
        await _check_server(context, name, getattr(body, name), known)


async def _check_server(context: Context, name: str, given: Any, known: Any) -> None:
    """Refuse a server that a token for one account may not name, unless it is already set."""
    host, port = (getattr(given, member, UNSET) for member in ("host", "port"))
    if host in (UNSET, getattr(known, "host", UNSET)) and port in (UNSET, getattr(known, "port", UNSET)):
        return
    egress, member = context.access.egress, "port"
    try:
        if port is not UNSET:
            egress.check_port(port, restricted=True)
        member = "host"
        # Changing only the port also counts as naming the server.
        host = getattr(known, "host", UNSET) if host is UNSET else host
        if host is not UNSET:
            await egress.check(host, port or None, restricted=True)
    except EgressRefused as error:
        raise invalid(f"{name}.{member}", f"cannot be used: {error}", code="EgressRefused") from error


def _notify_from(account: Account) -> str | None:
    given = account.record.notify_from
    if given is UNSET:
        return iso(account.status.created)
    return iso(given.timestamp()) if given is not None else None


def _imap(server: ImapServer) -> ImapConfig:
    """The IMAP server in the form of an answer."""
    members = asdict(server)
    return ImapConfig(**members | {"auth": _auth(server.auth), "tls": _tls(server.tls)})


def _smtp(server: SmtpServer) -> SmtpConfig:
    """The SMTP server in the form of an answer."""
    members = asdict(server)
    auth = _auth(server.auth) if isinstance(server.auth, Login) else server.auth
    limit = RateLimit(**asdict(server.rate_limit)) if server.rate_limit else UNSET
    limits = Limits(**asdict(server.limits)) if server.limits else UNSET
    return SmtpConfig(**members | {"auth": auth, "tls": _tls(server.tls), "rate_limit": limit, "limits": limits})


def _auth(login: Login | UnsetType) -> Auth | UnsetType:
    """A login with its secrets masked."""
    if isinstance(login, UnsetType):
        return UNSET
    secrets = {name: UNSET if getattr(login, name) is UNSET else MASK for name in ("password", "access_token")}
    return Auth(user=login.user, **secrets)


def _tls(options: TlsOptions | UnsetType) -> Tls | UnsetType:
    return UNSET if isinstance(options, UnsetType) else Tls(**asdict(options))


def _path(record: Registration) -> str | tuple[str, ...]:
    if not isinstance(record.path, tuple) or record.path == ("*",):
        return "*"
    return record.path[0] if len(record.path) == 1 else record.path


def _last_error(account: Account) -> LastError | None:
    error = account.status.last_error
    return shown(LastError, error) if error is not None else None


async def _last_error_with_way_out(context: Context, account: Account) -> LastError | None:
    """The same, with a link for signing in that is good from now on, where that is the remedy."""
    error = _last_error(account)
    if error is None or account.sign_in.keeper is None or account.status.state is not AccountState.AUTHENTICATION_ERROR:
        return error
    url = await context.reauth.url(account.record)
    return error if url is None else replace(error, reauth_url=url)


def _type(account: Account) -> AccountType:
    if records.sign_in_of(account.record) is not None:
        return "oauth2" if account.sign_in.app is None else account.sign_in.app.provider
    return "imap" if account.has_imap else "sending"


def _sending(account: Account) -> Sending:
    if account.status.servers.smtp is None:
        return Sending(state=AccountState.UNSET.value)
    sending = account.status.sending
    error = sending["lastError"]
    left = account.may_send_now
    return replace(
        shown(Sending, sending),
        last_error=shown(LastError, error) if error is not None else None,
        left=UNSET if left is None else left,
    )


def _off(server: object) -> bool | UnsetType:
    """The value for a missing server: False if it was set to that."""
    return False if server is False else UNSET


def _webhooks(record: Registration) -> str | UnsetType:
    if record.webhooks is None or isinstance(record.webhooks, UnsetType):
        return UNSET
    return masked_url(record.webhooks, MASK) if record.webhooks else ""


def _counters(context: Context, account: Account) -> Counters:
    counted = events.counts(context.store.reader, account.id)
    return Counters(events={name: number for name, number in counted.items() if name != "accountAdded"})


def _summary(context: Context, account: Account) -> AccountSummary:
    record, status = account.record, account.status
    return AccountSummary(
        account=account.id,
        name=record.name,
        email=record.email,
        type=_type(account),
        webhooks=_webhooks(record),
        proxy=masked_url(record.proxy, MASK) if record.proxy else UNSET,
        state=status.state.value,
        sending=_sending(account),
        counters=_counters(context, account),
        sync_time=UNSET if status.sync_time is None else iso(status.sync_time),
        last_error=_last_error(account) if status.state is not AccountState.CONNECTED else None,
    )
