"""An account's registration: seals it for the store, and turns it into servers to connect to.

The stored JSON is the registration with every secret sealed by the vault. Sandbox accounts have no servers in their
registration: they are added here, and dialled inside the engine.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import trio
from msgspec import UNSET

from engine.accounts.remedies import SANDBOX_OFF, Server, Servers
from engine.errors import DamagedSecret, NetworkError, NetworkKind
from engine.imap.session import ImapEndpoint
from engine.model.registration import ImapServer, Login, Registration, SmtpServer, TlsOptions, Unreadable, read
from engine.sasl import Credentials
from engine.smtp.session import SmtpEndpoint
from engine.store.sealed import secrets_of
from engine.store.vault import Vault
from engine.transport import TlsRules


def seal(record: Registration, vault: Vault) -> bytes:
    """The record in stored form: JSON with secrets sealed for this account."""
    built = msgspec.to_builtins(record)
    for secret in secrets_of(built):
        text = secret.value if secret.is_text else msgspec.json.encode(secret.value).decode()
        secret.holder[secret.member] = vault.seal(record.account, secret.field, text)
    return msgspec.json.encode(built)


def unseal(data: bytes, vault: Vault) -> Registration:
    """Decode a stored record. Raises `Unreadable`."""
    try:
        built = msgspec.json.decode(data)
        for secret in secrets_of(built):
            text = vault.open(built["account"], secret.field, secret.value)
            secret.holder[secret.member] = text if secret.is_text else msgspec.json.decode(text)
    except (DamagedSecret, KeyError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    return read(built)


def is_sandbox(record: Registration) -> bool:
    """Whether the account's servers are inside the engine."""
    return record.sandbox is True


async def sandbox_off(host: str, port: int) -> trio.abc.Stream:
    """The `Dial` of a sandbox account if `[sandbox] enabled` is false: raises `NetworkError`."""
    raise NetworkError(NetworkKind.CONNECT, SANDBOX_OFF, "The sandbox is switched off in the engine's configuration")


def has_imap(record: Registration) -> bool:
    """Whether the account has an IMAP server to connect to."""
    return is_sandbox(record) or (isinstance(record.imap, ImapServer) and record.imap.disabled is not True)


def imap_endpoint(record: Registration) -> ImapEndpoint | None:
    """The IMAP server to connect to; None if the account has none."""
    if is_sandbox(record):
        return ImapEndpoint(
            host="sandbox.example", port=143, secure=False, tls=TlsRules(), credentials=_sandbox_login(record)
        )
    config = record.imap
    if not isinstance(config, ImapServer) or config.disabled is True:
        return None
    return ImapEndpoint(
        host=config.host,
        port=config.port,
        secure=config.secure,
        tls=_tls(config.tls),
        credentials=_credentials(config) or Credentials(user="", password="", access_token=None),
        imap4rev2=config.disable_imap4rev2 is not True,
    )


def smtp_endpoint(record: Registration) -> SmtpEndpoint | None:
    """The SMTP server to send through; None if the account has none."""
    if is_sandbox(record):
        return SmtpEndpoint(
            host="sandbox.example", port=587, secure=False, tls=TlsRules(), credentials=_sandbox_login(record)
        )
    config = record.smtp
    if not isinstance(config, SmtpServer):
        return None
    return SmtpEndpoint(
        host=config.host,
        port=config.port,
        secure=config.secure,
        tls=_tls(config.tls),
        credentials=_credentials(config),
    )


def servers(record: Registration) -> Servers:
    """The account's servers in the form that remedies and log lines use."""
    found = {"imap": imap_endpoint(record), "smtp": smtp_endpoint(record)}
    named: dict[str, Server] = {}
    tokens = []
    for name, endpoint in found.items():
        if endpoint is not None:
            credentials = endpoint.credentials
            user = credentials.user if credentials is not None else ""
            named[name] = Server(name, endpoint.host, endpoint.port, endpoint.secure, user)
            if credentials is not None and credentials.access_token:
                tokens.append(name)
    return Servers(named.get("imap"), named.get("smtp"), frozenset(tokens), is_sandbox(record))


class WatchRules(msgspec.Struct, frozen=True):
    """What is watched of an account.

    * `paths`: folder paths and special uses, None for all.
    * `subconnections`: further folders to listen to.
    * `full`: flags and removals too.
    * `notify_from`: in seconds since 1970, None for all messages.
    * `uses`: special uses by path, from the registration.
    * `resync_delay`: seconds between two rounds.
    * `passing`: the account's mail ends with the process.
    """

    paths: tuple[str, ...] | None
    subconnections: tuple[str, ...]
    full: bool
    notify_from: float | None
    uses: tuple[tuple[str, str], ...]
    resync_delay: float
    passing: bool


def watch_rules(record: Registration, created: float) -> WatchRules:
    """The rules of an account registered at `created` (seconds since 1970)."""
    paths = record.path if isinstance(record.path, tuple) and "*" not in record.path else None
    notify_from = created if record.notify_from is UNSET else None
    if isinstance(record.notify_from, datetime):
        notify_from = record.notify_from.timestamp()
    named = {use: getattr(record.imap, f"{name}_mail_path", UNSET) for name, use in _USES.items()}
    return WatchRules(
        paths=paths,
        subconnections=record.subconnections if isinstance(record.subconnections, tuple) else (),
        full=record.imap_indexer != "fast",
        notify_from=notify_from,
        uses=tuple((path, use) for use, path in named.items() if isinstance(path, str)),
        resync_delay=float(getattr(record.imap, "resync_delay", 900)),
        passing=is_sandbox(record),
    )


_USES = {"sent": "\\Sent", "drafts": "\\Drafts", "junk": "\\Junk", "trash": "\\Trash", "archive": "\\Archive"}


def _sandbox_login(record: Registration) -> Credentials:
    user = record.email or f"{record.account}@sandbox.example"
    return Credentials(user=user, password="any password", access_token=None)


def _credentials(config: ImapServer | SmtpServer) -> Credentials | None:
    auth = config.auth
    if not isinstance(auth, Login):
        return None
    return Credentials(
        user=auth.user,
        password=auth.password or None if auth.password is not UNSET else None,
        access_token=auth.access_token or None if auth.access_token is not UNSET else None,
        server=(config.host, config.port),
    )


def _tls(tls: Any) -> TlsRules:
    if not isinstance(tls, TlsOptions):
        return TlsRules(may_be_lax=True)
    return TlsRules(
        required=tls.required is True,
        reject_unauthorized=tls.reject_unauthorized is not False,
        may_be_lax=tls.reject_unauthorized is UNSET,
        min_version=tls.min_version or None,
        servername=tls.servername or None,
        ca=tls.ca or None,
    )
