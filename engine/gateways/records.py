"""A gateway's record: sealed for the store, and turned into a server to connect to."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from engine.accounts import tls_required
from engine.accounts.registration import tls_rules
from engine.accounts.remedies import GATEWAY, Server
from engine.errors import DamagedSecret
from engine.model import gateway as stored
from engine.model.gateway import Gateway
from engine.model.registration import TlsOptions, Unreadable
from engine.sasl import Credentials
from engine.smtp.session import SmtpEndpoint
from engine.store.gateways import SEALED
from engine.store.sealed import gateway_field
from engine.store.vault import Vault


def seal(record: Gateway, vault: Vault) -> bytes:
    """The record in stored form: JSON with its password sealed."""
    built = msgspec.to_builtins(record)
    if built[SEALED] is not None:
        built[SEALED] = vault.seal("", gateway_field(record.gateway), built[SEALED])
    return msgspec.json.encode(built)


def unseal(gateway: str, data: bytes, vault: Vault) -> Gateway:
    """Decode the stored record of this gateway. Raises `Unreadable`."""
    try:
        built = msgspec.json.decode(data)
        if built[SEALED] is not None:
            built[SEALED] = vault.open("", gateway_field(gateway), built[SEALED])
    except (DamagedSecret, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    record = stored.read(built)
    if record.gateway != gateway:
        raise Unreadable("it is that of another gateway")
    return record


def guarded(record: Gateway, before: Gateway | None) -> Gateway:
    """The record, with TLS required if it does not say whether a password may be sent in clear text.

    `before` is the record that it replaces, None for a new gateway.
    """
    if not _may_be_overheard(record) or (isinstance(record.tls, TlsOptions) and record.tls.required is False):
        return record
    if before is not None and _may_be_overheard(before) and before.host == record.host:
        return record
    return replace(record, tls=tls_required.required(record.tls))


def endpoint(record: Gateway) -> SmtpEndpoint:
    """The server to send through."""
    credentials = None
    if record.user is not None:
        at = (record.host, record.port)
        credentials = Credentials(user=record.user, password=record.password or "", access_token=None, server=at)
    return SmtpEndpoint(
        host=record.host,
        port=record.port,
        secure=record.secure,
        tls=tls_rules(record.tls),
        credentials=credentials,
    )


def server(record: Gateway) -> Server:
    """The server in the form that remedies use."""
    return Server(GATEWAY, record.host, record.port, record.secure, record.user or "")


def _may_be_overheard(record: Gateway) -> bool:
    required = isinstance(record.tls, TlsOptions) and record.tls.required is True
    return record.user is not None and not (record.secure or required or tls_required.is_loopback(record.host))
