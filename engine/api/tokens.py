"""API tokens: issuing, listing, reading and revoking them; the changes made with them."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET

from engine.api import operations
from engine.api.context import Context, find_account
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import Operation, operation
from engine.isotime import iso
from engine.schema.tokens import (
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
from engine.store import audit, tokens
from engine.store.tokens import ID_LENGTH, Token
from engine.store.writer import Tx

HASH_LENGTH = 64
TAGS = ("Token",)
EVERYTHING = "*"
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
    page = tuple(_token(each) for each in paging.cut(found, query))
    return TokenList(**paging.numbers(len(found), query), account=query.account, tokens=page)


@operation(
    "POST",
    "/v1/tokens",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=TAGS,
    change=Change("token.issue", lambda path, answer: answer.id[:ID_LENGTH]),
    errors={403: "Your token lacks a scope that the new one would have (`ScopeNotHeld`)."},
)
async def create(context: Context, body: TokenCreate, *, caller: Token | None = None) -> TokenCreated:
    """Issue a token."""
    lacking = [] if caller is None or EVERYTHING in caller.scopes else sorted({*body.scopes} - {*caller.scopes})
    if lacking:
        raise Problem(403, f"A token gives only scopes that it has: not {', '.join(lacking)}", code="ScopeNotHeld")
    account = find_account(context, body.account).id if body.account else None
    lifetime = None
    if isinstance(body.expires, datetime):
        lifetime = body.expires.timestamp() - context.world.now()
        if lifetime <= 0:
            raise invalid("expires", "must be in the future")
    scopes: list[str] = [*dict.fromkeys(body.scopes)]

    def issue(tx: Tx) -> tuple[str, Token]:
        return tokens.issue(tx, body.description, scopes, context.world, account, lifetime)

    secret, made = await carry_through(context.store.admit(issue))
    return TokenCreated(token=secret, id=made.hash)


@operation("GET", _PATH, access=Access.ALL_ACCOUNTS, scope="api", tags=TAGS)
async def read(context: Context, token: TokenId) -> TokenShown:
    """Read a token."""
    found = _named(context, token)
    if not found:
        raise Problem(404, _NONE)
    return _token(found[0])


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
    """Read the changes made with a token.

    The newest come first; revoked tokens have them, too. Only changes are recorded, never reads or refused requests.
    """
    reader = context.store.reader
    name = _start(token)[:ID_LENGTH]
    wanted = audit.AuditFilter(token=name)
    total = audit.count(reader, wanted)
    if not name or (total == 0 and not tokens.named(reader, name)):
        raise Problem(404, _NONE)
    entries = audit.entries(reader, wanted, query.page_size, query.page * query.page_size)
    changing = {each.change.operation: each for each in operations() if each.change is not None}
    shown = tuple(_shown(each, changing.get(each.operation)) for each in entries)
    return TokenLog(**paging.numbers(total, query), token=name, entries=shown)


def _start(token: str) -> str:
    """The beginning of a hash that an id in a path is; "" if it is none, so that a whole token names nothing."""
    return token.lower() if len(token) in (ID_LENGTH, HASH_LENGTH) else ""


def _named(context: Context, token: str) -> list[Token]:
    start = _start(token)
    return [each for each in tokens.every(context.store.reader) if start and each.hash.startswith(start)]


def _token(token: Token) -> TokenShown:
    return TokenShown(
        id=token.hash,
        account=token.account,
        description=token.description,
        scopes=tuple(token.scopes),
        created=iso(token.created),
        expires=UNSET if token.expires is None else iso(token.expires),
    )


def _shown(entry: audit.Entry, operation: Operation | None) -> TokenLogEntry:
    group = entry.operation.partition(".")[0]
    return TokenLogEntry(
        time=iso(entry.time),
        ip=entry.address,
        method=operation.method if operation is not None else None,
        path=operation.path if operation is not None else None,
        action=entry.operation,
        group=group,
        account=entry.object if group == "account" else None,
        object=entry.object,
        status="allowed",
        reason=None,
    )
