"""An account's registration as it is stored. *pure*

The limits of requests do not apply here: what was accepted once can always be read, and members added by a later
version are ignored. A record with a wrong type or without a required member raises `Unreadable`: to guess could send
mail in a way its owner did not choose. Absent members (`UNSET`) were never set, and answers leave them out; None and
False are values.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from engine.model.limits import SendingLimit, SendingLimits
from engine.model.webhook import Header

ServerName = Literal["imap", "smtp"]
SERVERS: tuple[ServerName, ...] = ("imap", "smtp")
"""The members of a registration that name its servers."""

VERSION = 1
"""The version of the stored form. It changes if a member's meaning changes, but not for a new optional member."""


class Unreadable(ValueError):
    """A stored record cannot be read; the text says why, without quoting it."""


class _Stored(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class Login(_Stored, frozen=True, kw_only=True):
    """A user with either a password or an OAuth2 access token."""

    user: str
    password: str | UnsetType = msgspec.field(name="pass", default=UNSET)
    access_token: str | UnsetType = UNSET


class OAuthUser(_Stored, frozen=True, kw_only=True):
    """Who signed in, and the shared mailbox that is meant, if it is not the user's own."""

    user: str
    delegated_user: str | UnsetType = UNSET


class OAuthSignIn(_Stored, frozen=True, kw_only=True):
    """The OAuth2 app (`provider`) through which the account logs in; its tokens are kept apart (`store/grants.py`).

    `redirect_url`: where the browser went after the sign-in, and goes after the next one.
    """

    provider: str
    auth: OAuthUser
    redirect_url: str | UnsetType = UNSET

    @property
    def mailbox(self) -> str:
        """The user that the mail servers are told."""
        return self.auth.delegated_user or self.auth.user


class TlsOptions(_Stored, frozen=True, kw_only=True):
    """What a TLS connection to a server may accept. `ca`: certificates in PEM form."""

    reject_unauthorized: bool | UnsetType = UNSET
    min_version: Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] | UnsetType = UNSET
    servername: str | UnsetType = UNSET
    ca: str | UnsetType = UNSET
    required: bool | UnsetType = UNSET


class ImapServer(_Stored, frozen=True, kw_only=True):
    """How to reach the account's IMAP server. `resync_delay` in seconds.

    `use_auth_server`: the operator's own server says how to log in, and nothing else does.
    """

    host: str
    port: int
    secure: bool = False
    auth: Login | UnsetType = UNSET
    tls: TlsOptions | UnsetType = UNSET
    use_auth_server: bool | UnsetType = UNSET
    resync_delay: int = 900
    disabled: bool | UnsetType = UNSET
    disable_imap4rev2: bool | UnsetType = msgspec.field(name="disableIMAP4rev2", default=UNSET)
    sent_mail_path: str | UnsetType | None = UNSET
    drafts_mail_path: str | UnsetType | None = UNSET
    junk_mail_path: str | UnsetType | None = UNSET
    trash_mail_path: str | UnsetType | None = UNSET
    archive_mail_path: str | UnsetType | None = UNSET


class SmtpServer(_Stored, frozen=True, kw_only=True):
    """How to reach the account's SMTP server. `auth` False: no login. `use_auth_server` as for IMAP."""

    host: str
    port: int
    secure: bool = False
    auth: Login | bool | UnsetType = UNSET
    tls: TlsOptions | UnsetType = UNSET
    use_auth_server: bool | UnsetType = UNSET
    rate_limit: SendingLimit | UnsetType = UNSET
    limits: SendingLimits | UnsetType = UNSET


class Registration(_Stored, frozen=True, kw_only=True):
    """One registered mailbox. `imap` and `smtp` False: the account has none; absent with `oauth2`: those of the app.

    `notify_from`: absent means the time of registration, None all messages. `path` None: every folder.
    """

    version: int = VERSION
    account: str
    name: str
    email: str | UnsetType = UNSET
    path: tuple[str, ...] | UnsetType | None = UNSET
    subconnections: tuple[str, ...] | UnsetType = UNSET
    copy: bool | UnsetType | None = UNSET
    logs: bool | UnsetType = UNSET
    notify_from: datetime | UnsetType | None = UNSET
    imap_indexer: Literal["full", "fast"] | UnsetType | None = UNSET
    smtp_ehlo_name: str | UnsetType | None = UNSET
    proxy: str | UnsetType | None = UNSET
    local_address: str | UnsetType | None = UNSET
    imap: ImapServer | bool | UnsetType = UNSET
    smtp: SmtpServer | bool | UnsetType = UNSET
    oauth2: OAuthSignIn | bool | UnsetType = UNSET
    sandbox: bool | UnsetType = UNSET
    webhooks: str | UnsetType | None = UNSET
    webhooks_custom_headers: tuple[Header, ...] | UnsetType = UNSET
    locale: str | UnsetType = UNSET
    tz: str | UnsetType = UNSET


def read(built: Any) -> Registration:
    """Read a registration from decoded JSON; without a version it is version 1. Raises `Unreadable`."""
    if isinstance(built, dict) and built.get("version", VERSION) != VERSION:
        raise Unreadable(f"It is of another version than {VERSION}, the one that this engine reads")
    try:
        return msgspec.convert(built, Registration)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Unreadable(str(error)) from error
