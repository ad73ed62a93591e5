"""Passwords are sent only over TLS, unless the caller says otherwise. Pure.

The rule is stored in a new registration as `tls.required`, so that the record says what will happen. Loopback needs no
TLS. A server registered before this rule existed keeps its setting.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from engine.model.registration import SERVERS, ImapServer, Login, Registration, ServerName, SmtpServer, TlsOptions


def guarded(record: Registration, before: Registration | None) -> Registration:
    """The record with TLS required wherever it does not say whether a password may be sent in clear text.

    `before` is the registration that it replaces, None for a new account.
    """
    changes: dict[str, Any] = {}
    for name in SERVERS:
        config: Any = getattr(record, name)
        old: Any = getattr(before, name, UNSET)
        if not _may_be_overheard(config) or (isinstance(config.tls, TlsOptions) and config.tls.required is False):
            continue
        if _may_be_overheard(old) and old.host == config.host:
            continue
        changes[name] = msgspec.structs.replace(config, tls=required(config.tls))
    return msgspec.structs.replace(record, **changes) if changes else record


def insecure(record: Registration) -> list[ServerName]:
    """The servers (`imap`, `smtp`) to which the password may be sent in clear text over a network."""
    return [name for name in SERVERS if _may_be_overheard(getattr(record, name))]


def required(tls: TlsOptions | UnsetType) -> TlsOptions:
    """These options, with TLS required."""
    return msgspec.structs.replace(tls if isinstance(tls, TlsOptions) else TlsOptions(), required=True)


def _may_be_overheard(config: Any) -> bool:
    return (
        isinstance(config, ImapServer | SmtpServer)
        and (isinstance(config.auth, Login) or config.use_auth_server is True)
        and not config.secure
        and not (isinstance(config.tls, TlsOptions) and config.tls.required is True)
        and not is_loopback(config.host)
    )


def is_loopback(host: str) -> bool:
    """Whether what is sent to this host stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
