"""Registering, reading, changing and removing accounts."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from engine.accounts import record as records
from engine.accounts.account import Account
from engine.accounts.clear_text import insecure
from engine.accounts.state import AccountState
from engine.api import paging
from engine.api.context import Context, carry_through, find_account
from engine.api.webhooks import refuse_egress
from engine.egress import EgressRefused
from engine.errors import Problem
from engine.events.target import masked as masked_url
from engine.isotime import iso
from engine.schema.account import AccountCreate, AccountQuery, AccountsQuery, AccountUpdate
from engine.schema.servers import MASK, SERVERS, Auth, masked
from engine.store import events
from engine.store.tokens import Token
from engine.store.webhooks import Bound

_SHOWN = ("name", "email", "copy", "smtp_ehlo_name", "subconnections", "locale", "tz", "sandbox")


async def register(context: Context, body: AccountCreate, *, caller: Token) -> dict[str, Any]:
    """`POST /v1/account`. Answers as soon as the record is durable; the servers are asked afterwards."""
    if caller.account is not None and body.account != caller.account:
        raise Problem(403, "Unauthorized account")
    _refuse_masks(body)
    await _check_egress(context, body, context.registry.get(body.account or ""), caller)
    account, new = await carry_through(_registered(context, body, narrowed=caller.account is not None))
    return {"account": account, "state": "new" if new else "existing"}


async def read(context: Context, account: str, query: AccountQuery) -> dict[str, Any]:
    """`GET /v1/account/{account}`."""
    found = find_account(context, account)
    record, status = found.record, found.status
    row: dict[str, Any] = {"account": found.id}
    for name in _SHOWN:
        value = getattr(record, name)
        if value is not UNSET and value is not None:
            row[_camel(name)] = value
    row["logs"] = record.logs is True
    row["notifyFrom"] = _notify_from(found)
    row["syncFrom"] = None
    row["path"] = record.path if record.path not in (UNSET, None, ("*",)) else "*"
    if isinstance(row["path"], tuple) and len(row["path"]) == 1:
        row["path"] = row["path"][0]
    if records.has_imap(record):
        row["imapIndexer"] = record.imap_indexer or "full"
    for name in ("imap", "smtp"):
        config = getattr(record, name)
        if config is not UNSET and config is not False:
            row[name] = masked(config)
    if open_servers := insecure(record):
        row["insecure"] = open_servers
    if record.webhooks:
        row["webhooks"] = masked_url(record.webhooks, MASK)
    if record.webhooks_custom_headers:
        row["webhooksCustomHeaders"] = [{"key": each.key, "value": MASK} for each in record.webhooks_custom_headers]
    row["state"] = status.state
    row["sending"] = _sending(found)
    row["smtpStatus"] = status.smtp_status
    row["connections"] = status.connections
    row["lastError"] = status.last_error
    if errors := found.folder_errors:
        row["folderErrors"] = errors
    if heartbeat := found.learnt_heartbeat:
        row["heartbeat"] = heartbeat
    row["type"] = "imap" if records.has_imap(record) else "sending"
    if status.sync_time is not None:
        row["syncTime"] = iso(status.sync_time)
    row["counters"] = _counters(context, found)
    if query.quota:
        row["quota"] = False
    return row


async def listing(context: Context, query: AccountsQuery, *, caller: Token) -> dict[str, Any]:
    """`GET /v1/accounts`; a token for one account sees that one."""
    needle = (query.query or "").lower()
    found = [
        account
        for account in context.registry.every()
        if caller.account in (None, account.id)
        and (not query.state or account.status.state == query.state)
        and any(needle in str(text or "").lower() for text in (account.id, account.record.name, account.record.email))
    ]
    return {
        **paging.numbers(len(found), query),
        "query": query.query or False,
        "state": query.state or "*",
        "accounts": [_summary(context, account) for account in paging.cut(found, query)],
    }


async def update(context: Context, account: str, body: AccountUpdate, *, caller: Token) -> dict[str, Any]:
    """`PUT /v1/account/{account}`."""
    found = find_account(context, account)
    _refuse_masks(body)
    await _check_egress(context, body, found, caller)
    try:
        await carry_through(_updated(context, found, body, narrowed=caller.account is not None))
    except ValueError as error:
        path = str(error)
        field = {"message": f'"{path}" is required', "key": path.rpartition(".")[2], "path": path}
        raise Problem(400, "Invalid input", fields=[field]) from error
    return {"account": found.id}


async def remove(context: Context, account: str) -> dict[str, Any]:
    """`DELETE /v1/account/{account}`."""
    found = find_account(context, account)
    await carry_through(context.registry.remove(found))
    return {"account": found.id, "deleted": True}


async def _registered(context: Context, body: AccountCreate, *, narrowed: bool) -> tuple[str, bool]:
    parts = _webhook_parts(body)
    if body.account is None or not parts:
        return await context.registry.register(body, narrowed=narrowed)
    async with context.services.webhooks.setting(body.account, *parts, bound=narrowed):
        return await context.registry.register(body, narrowed=narrowed)


async def _updated(context: Context, account: Account, body: AccountUpdate, *, narrowed: bool) -> None:
    parts = _webhook_parts(body)
    if not parts:
        return await context.registry.update(account, body, narrowed=narrowed)
    async with context.services.webhooks.setting(account.id, *parts, bound=narrowed):
        return await context.registry.update(account, body, narrowed=narrowed)


def _webhook_parts(body: AccountCreate | AccountUpdate) -> list[Bound]:
    """What a request sets of where an account's events go."""
    parts: list[Bound] = []
    if body.webhooks:
        parts.append("url")
    if body.webhooks_custom_headers:
        parts.append("headers")
    return parts


async def _check_egress(
    context: Context, body: AccountCreate | AccountUpdate, stored: Account | None, caller: Token
) -> None:
    """Refuse what leads where it must not; mail servers of a trusted caller are left to the connection itself."""
    narrowed = caller.account is not None
    if body.webhooks:
        await refuse_egress(context, "webhooks", body.webhooks, restricted=narrowed)
    for name in SERVERS if narrowed else ():
        known = getattr(stored.record, name) if stored is not None else UNSET
        await _check_server(context, name, getattr(body, name), known)


async def _check_server(context: Context, name: str, given: Any, known: Any) -> None:
    """Refuse a server that a token for one account may not name, except where it is already."""
    host, port = (getattr(given, member, UNSET) for member in ("host", "port"))
    if host in (UNSET, getattr(known, "host", UNSET)) and port in (UNSET, getattr(known, "port", UNSET)):
        return
    egress, member = context.services.egress, "port"
    try:
        if port is not UNSET:
            egress.check_port(port, restricted=True)
        member = "host"
        # Another port of a server makes it one that this caller named.
        host = getattr(known, "host", UNSET) if host is UNSET else host
        if host is not UNSET:
            await egress.check(host, port or None, restricted=True)
    except EgressRefused as error:
        path = f"{name}.{member}"
        fields = [{"message": f'"{path}" cannot be used: {error}', "key": member, "path": path}]
        raise Problem(400, "Invalid input", code="EgressRefused", fields=fields) from error


def _refuse_masks(body: AccountCreate | AccountUpdate) -> None:
    """Writing back what a read showed would destroy the secret behind the mask."""
    fields = []
    for server in ("imap", "smtp"):
        auth = getattr(getattr(body, server), "auth", UNSET)
        if isinstance(auth, Auth):
            for name, value in (("pass", auth.password), ("accessToken", auth.access_token)):
                if value == MASK:
                    path = f"{server}.auth.{name}"
                    fields.append({"message": f'"{path}" is a masked value', "key": name, "path": path})
    if body.webhooks and MASK in body.webhooks:
        fields.append({"message": '"webhooks" is a masked value', "key": "webhooks", "path": "webhooks"})
    if any(each.value == MASK for each in body.webhooks_custom_headers or ()):
        path = "webhooksCustomHeaders"
        fields.append({"message": f'"{path}" holds a masked value', "key": path, "path": path})
    if fields:
        raise Problem(400, "Invalid input", fields=fields)


def _notify_from(account: Account) -> str | None:
    given = account.record.notify_from
    if given is UNSET:
        return iso(account.status.created)
    return iso(given.timestamp()) if given is not None else None


def _counters(context: Context, account: Account) -> dict[str, Any]:
    return {"events": events.counts(context.services.store.reader, account.id)}


def _summary(context: Context, account: Account) -> dict[str, Any]:
    record, status = account.record, account.status
    row: dict[str, Any] = {"account": account.id, "name": record.name}
    if record.email is not UNSET:
        row["email"] = record.email
    row["type"] = "imap" if records.has_imap(record) else "sending"
    if record.webhooks:
        row["webhooks"] = masked_url(record.webhooks, MASK)
    row["state"] = status.state
    row["sending"] = _sending(account)
    row["counters"] = _counters(context, account)
    if status.sync_time is not None:
        row["syncTime"] = iso(status.sync_time)
    row["lastError"] = status.last_error if status.state is not AccountState.CONNECTED else None
    return row


def _sending(account: Account) -> dict[str, Any]:
    if account.status.servers.smtp is None:
        return {"state": AccountState.UNSET, "lastError": None}
    return account.status.sending


def _camel(name: str) -> str:
    return msgspec.structs.fields(AccountCreate)[_POSITION[name]].encode_name


_POSITION = {field.name: position for position, field in enumerate(msgspec.structs.fields(AccountCreate))}
