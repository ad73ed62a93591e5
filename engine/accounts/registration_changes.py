"""Applies a request to an account's registration. Pure.

An object in a request replaces the stored one; with `partial`, only its members replace the stored ones. Whatever is
absent from the request stays. Data flows one way: a stored record never becomes a request again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, structs
from msgspec.structs import replace

from engine.accounts.tls_required import guarded
from engine.model.limits import SendingLimit, SendingLimits
from engine.model.registration import SERVERS, ImapServer, Login, OAuthSignIn, Registration, SmtpServer, TlsOptions
from engine.model.webhook import Header
from engine.schema.account import AccountCreate, AccountUpdate
from engine.schema.fields import CustomHeader
from engine.schema.servers import Auth, ImapConfig, ImapUpdate, Limits, RateLimit, SmtpConfig, SmtpUpdate, Tls

_Server = TypeVar("_Server", ImapServer, SmtpServer)

_STORED_AS: dict[type, type[msgspec.Struct]] = {
    ImapConfig: ImapServer,
    SmtpConfig: SmtpServer,
    Auth: Login,
    Tls: TlsOptions,
    RateLimit: SendingLimit,
    Limits: SendingLimits,
    CustomHeader: Header,
}
"""The stored type for each object of a request; both have the same members."""


def registered(given: AccountCreate, account: str) -> Registration:
    """A new registration; passwords are sent only over TLS, unless the caller says otherwise."""
    return guarded(Registration(**_given(given) | {"account": account}), None)


def registered_again(stored: Registration, given: AccountCreate) -> Registration:
    """The registration of an existing id: given members replace stored ones, absent ones stay."""
    return guarded(replace(stored, **_given(given) | {"account": stored.account}), stored)


def updated(stored: Registration, update: AccountUpdate) -> Registration:
    """The record after a PUT. Raises `ValueError` naming a server member that would be missing (`imap.host`)."""
    changes = _given(update)
    if isinstance(update.imap, ImapUpdate):
        with _naming("imap"):
            changes["imap"] = merged(update.imap, stored.imap, ImapServer)
    if isinstance(update.smtp, SmtpUpdate):
        with _naming("smtp"):
            changes["smtp"] = merged(update.smtp, stored.smtp, SmtpServer)
    return guarded(replace(stored, **changes), stored)


def merged(update: ImapUpdate | SmtpUpdate, stored: object, kind: type[_Server]) -> _Server:
    """A server after `update`: `stored` with the given members replaced if `partial`, else `update` alone.

    Raises `ValueError` with the name of a required member missing from the result (`host`, `port`).
    """
    members = structs.asdict(stored) if update.partial and isinstance(stored, kind) else {}
    for name, value in _given(update).items():
        if name != "partial":
            members[name] = UNSET if name in ("rate_limit", "limits") and value is None else value
    for name in ("host", "port"):
        if name not in members:
            raise ValueError(name)
    # Of a stored login and the auth server the one stays that was given last.
    if update.use_auth_server is True:
        members["auth"] = UNSET
    elif update.auth is not UNSET:
        members["use_auth_server"] = UNSET
    return kind(**members)


def restricted(
    given: AccountCreate | AccountUpdate,
    before: Registration | None,
    after: Registration,
    *,
    was: frozenset[str],
    narrowed: bool,
) -> frozenset[str]:
    """The servers set with a token for this account alone, once `given` has been applied.

    A caller with a token for all accounts vouches for a server that it names. A caller with a token for this account
    (`narrowed`) makes a server restricted by changing its address. Other changes, such as a password, leave this alone.
    """
    found = set(was)
    for name in SERVERS:
        config = getattr(given, name)
        if getattr(config, "host", UNSET) is UNSET and getattr(config, "port", UNSET) is UNSET:
            continue
        if not narrowed:
            found.discard(name)
        elif _place(after, name) != _place(before, name):
            found.add(name)
    return frozenset(found)


def lent(before: Registration | None, after: Registration, *, tokens: bool) -> str | None:
    """The server that will newly get logins from elsewhere, or get them at a new address; None: there is none.

    A server that a caller with a token for one account has named must not get logins of the auth server or, with
    `tokens`, the account's access tokens.
    """
    for name in SERVERS:
        now = lends(after, name, tokens=tokens)
        if now and (_place(before, name) != _place(after, name) or not lends(before, name, tokens=tokens)):
            return name
    return None


def lends(record: Registration | None, name: str, *, tokens: bool) -> bool:
    """Whether a server that the registration names gets logins that are not in the registration."""
    config = getattr(record, name, UNSET)
    if record is None or not isinstance(config, ImapServer | SmtpServer):
        return False
    signs_in = tokens and isinstance(record.oauth2, OAuthSignIn) and config.auth is UNSET
    return config.use_auth_server is True or signs_in


def _place(record: Registration | None, server: str) -> tuple[str, int] | None:
    config = getattr(record, server, None)
    return (config.host, config.port) if isinstance(config, ImapServer | SmtpServer) else None


@contextmanager
def _naming(server: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{server}.{error}") from error


def _given(request: msgspec.Struct) -> dict[str, Any]:
    """The members present in a request, each in stored form, except how it signs in (`signing_in`)."""
    given = ((name, getattr(request, name)) for name in request.__struct_fields__ if name != "oauth2")
    return {name: _stored(value) for name, value in given if value is not UNSET}


def _stored(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_stored, value))
    kind = _STORED_AS.get(type(value))
    return value if kind is None else kind(**_given(value))
