"""API tokens: issuing, listing, reading and revoking them; what was done with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import UNSET

from engine.api import operations, token_terms
from engine.api.context import Context, find_account
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import Operation, operation
from engine.isotime import iso, iso_or_none
from engine.model.token_permissions import ADMIN
from engine.model.token_restrictions import Restrictions, widened
from engine.schema.tokens import (
    TokenAccess,
    TokenCreate,
    TokenCreated,
    TokenId,
    TokenList,
    TokenLog,
    TokenLogEntry,
    TokenLogQuery,
    TokenQuery,
    TokenRevoked,
    TokenShown,
)
from engine.store import token_uses, tokens
from engine.store.tokens import ID_LENGTH, Token
from engine.store.writer import Tx

HASH_LENGTH = 64
TAGS = ("Token",)
EVERYTHING = "*"
METADATA_OF_A_PAGE = 4 * 1024 * 1024
"""Maximum characters of metadata in one list."""
_PATH = "/v1/tokens/{token}"
_NONE = "There is no token with this id"


@operation("GET", "/v1/tokens", access=Access.ALL_ACCOUNTS, scope="api", tags=TAGS)
async def listing(context: Context, query: TokenQuery) -> TokenList:
    """List tokens."""
    wanted = (query.query or "").casefold()
    found = [
        each
        for each in tokens.every(context.store.reader)
        if (query.account is None or each.account == query.account)
        and any(wanted in text.casefold() for text in (each.description, each.account or "", each.hash))
    ]
    page = tuple(_tokens(context, paging.cut(found, query)))
    return TokenList(**paging.numbers(len(found), query), account=query.account, tokens=page)


@operation(
    "POST",
    "/v1/tokens",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=TAGS,
    large=True,
    change=Change("token.issue", lambda path, answer: answer.id[:ID_LENGTH]),
    errors={
        403: "The token lacks a scope that it is to give (`ScopeNotHeld`), or is narrower than the other would be "
        "(`WiderToken`)."
    },
)
async def create(
    context: Context, body: TokenCreate, *, caller: Token | None = None, address: str | None = None
) -> TokenCreated:
    """Issue a token."""
    wanted = token_terms.restrictions_of(body.restrictions)
    expires = body.expires.timestamp() if isinstance(body.expires, datetime) else None
    if caller is not None:
        _refuse_wider(caller, body.scopes, wanted, expires)
    account = find_account(context, body.account).id if body.account else None
    lifetime = None if expires is None else expires - context.world.now()
    if lifetime is not None and lifetime <= 0:
        raise invalid("expires", "must be in the future")
    scopes: list[str] = [*dict.fromkeys(body.scopes)]
    permissions = token_terms.permissions_of(body.permissions)
    details = tokens.Details(body.ip or None, address, body.metadata or None)

    def issue(tx: Tx) -> tuple[str, Token]:
        return tokens.issue(
            tx, body.description, scopes, context.world, account, lifetime, permissions, wanted, details
        )

    secret, made = await carry_through(context.store.admit(issue))
    return TokenCreated(token=secret, id=made.hash)


def _refuse_wider(caller: Token, scopes: Sequence[str], wanted: Restrictions | None, expires: float | None) -> None:
    """Raise `Problem` 403 for a token that could do more than the one it is issued with."""
    lacking = [] if EVERYTHING in caller.scopes else sorted({*scopes} - {*caller.scopes})
    if lacking:
        raise Problem(403, f"A token gives only scopes that it has: not {', '.join(lacking)}", code="ScopeNotHeld")
    wider = [f"restrictions.{each}" for each in widened(caller.restrictions, wanted)]
    if caller.expires is not None and (expires is None or expires > caller.expires):
        wider.append("expires")
    if wider or caller.permissions is not None:
        said = " and ".join(wider) or "permissions"
        raise Problem(403, f"A token issues only tokens as narrow as itself: {said} would be wider", code="WiderToken")


@operation("GET", _PATH, access=Access.ALL_ACCOUNTS, scope="api", tags=TAGS)
async def read(context: Context, token: TokenId) -> TokenShown:
    """Read a token."""
    found = _named(context, token)
    if not found:
        raise Problem(404, _NONE)
    return next(_tokens(context, found))


@operation(
    "DELETE",
    _PATH,
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=TAGS,
    change=Change("token.revoke", lambda path, answer: path["token"].lower()[:ID_LENGTH] if answer.deleted else None),
)
async def revoke(context: Context, token: TokenId) -> TokenRevoked:
    """Revoke a token.

    It is refused from the next request on. Mail queued with it is still sent.
    """
    found = _named(context, token)
    if found:
        await carry_through(context.store.commit(lambda tx: tokens.revoke(tx, found)))
    return TokenRevoked(deleted=bool(found))


@operation("GET", f"{_PATH}/log", access=Access.ALL_ACCOUNTS, scope="api", tags=TAGS)
async def log(context: Context, token: TokenId, query: TokenLogQuery) -> TokenLog:
    """Read what was done with a token.

    Changes and refused requests are there always, other requests while the setting `tokenAuditLog` is `true`. They come
    newest first. Changes stay as long as the audit record (`retention.audit` in config.toml), also those of a revoked
    token; of other requests a token keeps the latest 200, at most 7 days. A request that changed nothing is on disk
    within 10 seconds.
    """
    reader = context.store.reader
    name = _start(token)[:ID_LENGTH]
    if not name:
        raise Problem(404, _NONE)
    await context.gate.uses.write_if_possible()
    first, now = query.page * query.page_size, context.world.now()
    total, entries = token_uses.log(reader, name, now, query.page_size, first)
    if total == 0 and not tokens.named(reader, name):
        raise Problem(404, _NONE)
    changing = {each.change.operation: each for each in operations() if each.change is not None}
    shown = tuple(_shown(each, changing.get(each.change or "")) for each in entries)
    return TokenLog(**paging.numbers(total, query), token=name, entries=shown)


def _start(token: str) -> str:
    """The beginning of a hash that an id in a path is; "" if it is none, so that a whole token names nothing."""
    return token.lower() if len(token) in (ID_LENGTH, HASH_LENGTH) else ""


def _named(context: Context, token: str) -> list[Token]:
    start = _start(token)
    return [each for each in tokens.every(context.store.reader) if start and each.hash.startswith(start)]


def _tokens(context: Context, found: Sequence[Token]) -> Iterator[TokenShown]:
    """Tokens as they are shown, with as much of their metadata as a page has room for."""
    uses, room = context.gate.uses.last_uses(), METADATA_OF_A_PAGE
    for token in found:
        details = tokens.details(context.store.reader, token)
        metadata = details.metadata
        room -= len(metadata or "")
        use = uses.get(token.hash, token_uses.NEVER)
        yield TokenShown(
            id=token.hash,
            account=token.account,
            description=token.description,
            scopes=tuple(token.scopes),
            permissions=token_terms.shown_permissions(token.permissions),
            restrictions=token_terms.shown_restrictions(token.restrictions),
            metadata=UNSET if metadata is None or room < 0 else metadata,
            ip=details.ip or UNSET,
            remote_address=details.remote_address or UNSET,
            created=iso(token.created),
            expires=UNSET if token.expires is None else iso(token.expires),
            access=TokenAccess(time=iso_or_none(use.time), ip=use.address),
        )


def _shown(entry: token_uses.Logged, changed_by: Operation | None) -> TokenLogEntry:
    method, path, action, group = entry.method, entry.path, entry.action, entry.group
    if changed_by is not None:
        method, path = changed_by.method, changed_by.path
        action, group = changed_by.grant.action, changed_by.grant.group or ADMIN
    is_of_account = entry.change is not None and entry.change.startswith("account.")
    return TokenLogEntry(
        time=iso(entry.time),
        ip=entry.address,
        method=method,
        path=path,
        action=action,
        group=group,
        account=entry.object if is_of_account else entry.account,
        status="allowed" if entry.refusal is None else "denied",
        reason=entry.refusal,
        change=entry.change,
        object=entry.object,
    )
