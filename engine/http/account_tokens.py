"""Access control: declared at each operation and checked before its body is read.

A token for one account is accepted only by operations that declare how they restrict it. The declaration must match the
operation's path, query and handler: `check` raises if it does not, so an operation without a decision on access keeps
the engine from starting.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec

from engine.errors import Problem
from engine.schema.fields import Request
from engine.store.tokens import Token

QueryT = TypeVar("QueryT", bound=Request)


class Access(StrEnum):
    """How an operation treats a token for one account. A token for all accounts is never restricted."""

    ANYONE = "anyone"
    """No token is required."""
    ALL_ACCOUNTS = "all accounts"
    """Only tokens for all accounts are accepted: the operation concerns the engine as a whole."""
    PATH = "path"
    """The `{account}` in the path must be the token's."""
    QUERY = "query"
    """The query's `account` must be the token's, which is also its default."""
    HANDLER = "handler"
    """The handler receives the token and shows or changes only what belongs to its account."""


class GuardedOperation(Protocol):
    """The members of an operation that are examined here."""

    @property
    def path(self) -> str: ...

    @property
    def query(self) -> type[Request] | None: ...

    @property
    def scope(self) -> str | None: ...

    @property
    def access(self) -> Access: ...


def check(operation: GuardedOperation, *, takes_caller: bool) -> None:
    """Raise ValueError if an operation cannot treat a token as it declares."""
    access = operation.access
    in_path = "{account}" in operation.path
    if (access is Access.ANYONE) != (operation.scope is None):
        raise ValueError("it needs a scope if and only if it needs a token")
    if in_path and access not in (Access.PATH, Access.ALL_ACCOUNTS):
        raise ValueError("the account in its path must be the token's")
    if access is Access.PATH and not in_path:
        raise ValueError("there is no {account} in its path")
    if access is Access.QUERY and "account" not in getattr(operation.query, "__struct_fields__", ()):
        raise ValueError("there is no account in its query")
    if access is Access.HANDLER and not takes_caller:
        raise ValueError("its handler does not take the caller")


def elsewhere(access: Access, account: str, path: Mapping[str, str], in_query: str | None) -> bool:
    """Whether a request concerns more than this one account, as far as its path and `account` in its query say."""
    if access is Access.ALL_ACCOUNTS or path.get("account", account) != account:
        return True
    return access is Access.QUERY and in_query is not None and in_query.strip() not in ("", account)


def narrowed(caller: Token | None, query: QueryT) -> QueryT:
    """The query, with `account` set to the caller's own. Raises `Problem` 403 if it names another account."""
    if caller is None or caller.account is None or not hasattr(query, "account"):
        return query
    if query.account not in (None, caller.account):
        raise Problem(403, "Unauthorized account")
    return msgspec.structs.replace(query, account=caller.account)
