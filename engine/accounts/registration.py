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
from engine.accounts.tls_required import is_loopback
from engine.errors import DamagedSecret, NetworkError, NetworkKind
from engine.imap.session import ImapEndpoint
from engine.model.registration import (
    SERVERS,
    ImapServer,
    Login,
    OAuthSignIn,
    Registration,
    ServerName,
    SmtpServer,
    TlsOptions,
    Unreadable,
    read,
)
from engine.oauth.apps import App
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


def sign_in_of(record: Registration) -> OAuthSignIn | None:
    """How the account signs in with OAuth2; None if it does not."""
    return record.oauth2 if isinstance(record.oauth2, OAuthSignIn) else None


def mailbox_of(record: Registration | None) -> tuple[str, str] | None:
    """The app through which the account signs in, and the mailbox that it opens there; None when it does not."""
    sign_in = sign_in_of(record) if record is not None else None
    return None if sign_in is None else (sign_in.provider, sign_in.mailbox.casefold())


def has_imap(record: Registration, app: App | None = None) -> bool:
    """Whether the account has an IMAP server to connect to; `app` as for `imap_endpoint`.

    An account whose app is gone has one: it waits for the app.
    """
    if isinstance(record.imap, ImapServer):
        return record.imap.disabled is not True
    return _is_the_apps(record.imap, record) and (app is None or app.imap_server is not None)


def has_smtp(record: Registration, app: App | None = None) -> bool:
    """Whether the account has an SMTP server to send through."""
    if isinstance(record.smtp, SmtpServer):
        return True
    return _is_the_apps(record.smtp, record) and (app is None or app.smtp_server is not None)


def imap_endpoint(record: Registration, app: App | None = None) -> ImapEndpoint | None:
    """The IMAP server to connect to; None when the account has none.

    `app` is the OAuth2 app through which the account signs in; None: it does not, or the app is gone. If it logs in
    with tokens, the credentials do not contain one yet.
    """
    config = record.imap
    if isinstance(config, ImapServer):
        if config.disabled is True:
            return None
        place = _Place(config.host, config.port, config.secure, tls_rules(config.tls))
        credentials = _asked_for(record, config) or _credentials(config) or _token_login(record, app, place) or _NOBODY
    elif (found := _place(record, config, app, "imap")) is not None:
        place, credentials = found, _token_login(record, app, found) or _sandbox_login(record)
    else:
        return None
    rev2 = not isinstance(config, ImapServer) or config.disable_imap4rev2 is not True
    return ImapEndpoint(
        host=place.host,
        port=place.port,
        secure=place.secure,
        tls=place.tls,
        credentials=credentials,
        imap4rev2=rev2,
    )


def smtp_endpoint(record: Registration, app: App | None = None) -> SmtpEndpoint | None:
    """The SMTP server to send through; None when the account has none. `app` as for `imap_endpoint`."""
    config = record.smtp
    credentials: Credentials | None
    if isinstance(config, SmtpServer):
        place = _Place(config.host, config.port, config.secure, tls_rules(config.tls))
        credentials = _asked_for(record, config) or _credentials(config)
        if config.auth is UNSET and credentials is None:
            credentials = _token_login(record, app, place)
    elif (found := _place(record, config, app, "smtp")) is not None:
        place, credentials = found, _token_login(record, app, found) or _sandbox_login(record)
    else:
        return None
    return SmtpEndpoint(host=place.host, port=place.port, secure=place.secure, tls=place.tls, credentials=credentials)


def asks_auth_server(record: Registration, server: ServerName) -> bool:
    """Whether the operator's own server says how to log in there."""
    config = record.imap if server == "imap" else record.smtp
    return isinstance(config, ImapServer | SmtpServer) and config.use_auth_server is True and not is_sandbox(record)


def wants_token(record: Registration, endpoint: ImapEndpoint | SmtpEndpoint | None) -> bool:
    """Whether a login there needs an access token that the endpoint does not hold: the token keeper has it."""
    server: ServerName = "imap" if isinstance(endpoint, ImapEndpoint) else "smtp"
    if endpoint is None or sign_in_of(record) is None or asks_auth_server(record, server):
        return False
    credentials = endpoint.credentials
    return credentials is not None and credentials.password is None and credentials.access_token is None


def is_told_later(record: Registration, endpoint: ImapEndpoint | SmtpEndpoint) -> bool:
    """Whether the login is only available on demand: from the token keeper or the auth server."""
    server: ServerName = "imap" if isinstance(endpoint, ImapEndpoint) else "smtp"
    return asks_auth_server(record, server) or wants_token(record, endpoint)


def servers(record: Registration, app: App | None = None) -> Servers:
    """The account's servers in the form that remedies and log lines use."""
    found = imap_endpoint(record, app), smtp_endpoint(record, app)
    named: dict[str, Server] = {}
    tokens = []
    for name, endpoint in zip(SERVERS, found, strict=True):
        if endpoint is not None:
            credentials = endpoint.credentials
            user = credentials.user if credentials is not None else ""
            signs_in = wants_token(record, endpoint)
            asks = asks_auth_server(record, name)
            given = not (signs_in or asks) and credentials is not None and bool(credentials.access_token)
            named[name] = Server(name, endpoint.host, endpoint.port, endpoint.secure, user, signs_in, asks, given)
            if signs_in or (credentials is not None and credentials.access_token):
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


class _Place(msgspec.Struct, frozen=True):
    host: str
    port: int
    secure: bool
    tls: TlsRules


_NOBODY = Credentials(user="", password="", access_token=None)
_SANDBOX = {"imap": ("sandbox.example", 143), "smtp": ("sandbox.example", 587)}


def _is_the_apps(config: object, record: Registration) -> bool:
    """Whether a server that the registration does not name is the sandbox's or the app's."""
    return is_sandbox(record) or (config is UNSET and sign_in_of(record) is not None)


def _place(record: Registration, config: object, app: App | None, server: ServerName) -> _Place | None:
    """The address of a server that the registration does not name."""
    if is_sandbox(record):
        return _Place(*_SANDBOX[server], False, TlsRules())
    given = getattr(app, f"{server}_server") if app is not None and _is_the_apps(config, record) else None
    if given is None:
        return None
    # A token is as good as a password until it expires.
    return _Place(given.host, given.port, given.secure, TlsRules(required=not is_loopback(given.host)))


def _token_login(record: Registration, app: App | None, place: _Place) -> Credentials | None:
    """The login with a token, which is not known yet; None if the account does not sign in."""
    sign_in = sign_in_of(record)
    if sign_in is None:
        return None
    return Credentials(
        user=sign_in.mailbox,
        password=None,
        access_token=None,
        server=(place.host, place.port),
        prefers=app.of.mechanisms if app is not None else (),
    )


def _asked_for(record: Registration, config: ImapServer | SmtpServer) -> Credentials | None:
    """The login that the auth server will provide, so that nothing else is used instead; None: it is not asked."""
    if config.use_auth_server is not True:
        return None
    user = record.email or record.account
    return Credentials(user=user, password=None, access_token=None, server=(config.host, config.port))


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


def tls_rules(tls: Any) -> TlsRules:
    """What TLS connections to a server with these options require."""
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
