"""How to reach one account's IMAP and SMTP server.

`ImapConfig` and `SmtpConfig` are the same in a request and in an answer, where secrets are masked. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import AccessToken, Filled256, Hostname, MailboxPath, Off, Port, Request, Secret

Server = Literal["imap", "smtp"]
MASK = "******"
"""What stands in an answer where a secret is stored."""

TlsVersion = Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]

_HOST = "Name or IP address of the server."
_PORT = "TCP port of the server."
_SECURE = "`true`: TLS from the first byte. `false` or absent: clear text first, then STARTTLS if the server offers it."
_TLS = "What a TLS connection may accept. Absent: only a trusted certificate that names the server."
_AUTH = "How to log in."
_PARTIAL = "`true`: the members given replace the stored ones one by one. `false` or absent: this object replaces all."


class Auth(Request, frozen=True, kw_only=True):
    """A login: a user with either a password or an OAuth2 access token."""

    user: Annotated[Filled256, Meta(description="User name.", examples=["andris@example.com"])]
    password: Annotated[
        Secret | UnsetType, Meta(description="Password, masked in answers. Absent: `accessToken` is given.")
    ] = msgspec.field(name="pass", default=UNSET)
    access_token: Annotated[
        AccessToken | UnsetType, Meta(description="OAuth2 access token, masked in answers. Absent: `pass` is given.")
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """Exactly one of the two secrets."""
        given = [name for name in ("password", "access_token") if get(name) is not UNSET]
        if not given:
            yield "", "must contain at least one of [pass, accessToken]"
        elif len(given) == 2:
            yield "", "contains a conflict between exclusive peers [pass, accessToken]"


class Tls(Request, frozen=True, kw_only=True):
    """What a TLS connection to a server may accept."""

    reject_unauthorized: Annotated[
        bool | UnsetType,
        Meta(description="Whether the certificate must be trusted and name the server. Absent: `true`."),
    ] = UNSET
    min_version: Annotated[
        TlsVersion | UnsetType,
        Meta(description="Oldest TLS version accepted. Absent: what the TLS library holds safe.", examples=["TLSv1.2"]),
    ] = UNSET
    servername: Annotated[
        Hostname | UnsetType, Meta(description="Name to ask for and to check instead of `host`. Absent: `host`.")
    ] = UNSET
    ca: Annotated[
        Annotated[str, Meta(min_length=1, max_length=262_144)] | UnsetType,
        Meta(description="Certificates in PEM form trusted beside the system's. Absent: only the system's."),
    ] = UNSET
    required: Annotated[
        bool | UnsetType,
        Meta(
            description="`true`: never go on in clear text. `false`: STARTTLS where it is offered. Absent in a new "
            "registration: `true` where a password would go to a host that is not loopback."
        ),
    ] = UNSET


class RateLimit(Request, frozen=True, kw_only=True):
    """At most `messages` in any `seconds`; the rest waits in the queue."""

    messages: Annotated[Annotated[int, Meta(ge=1, le=1_000_000)], Meta(description="How many messages.", examples=[30])]
    seconds: Annotated[Annotated[int, Meta(ge=1, le=604_800)], Meta(description="In how many seconds.", examples=[60])]


_Folder = Annotated[MailboxPath | UnsetType | None, Meta(description="Folder path. `null` or absent: found by itself.")]
_Resync = Annotated[int, Meta(ge=1, le=604_800)]
_RESYNC = "Seconds between two looks at folders that have no IDLE connection."
_DISABLED = "`true`: kept, but not connected to. Absent: `false`."


class ImapConfig(Request, frozen=True, kw_only=True):
    """How to reach the account's IMAP server."""

    host: Annotated[Hostname, Meta(description=_HOST)]
    port: Annotated[Port, Meta(description=_PORT, examples=[993])]
    secure: Annotated[bool, Meta(description=_SECURE)] = False
    auth: Annotated[Auth | UnsetType, Meta(description=_AUTH + " Absent: without a login.")] = UNSET
    tls: Annotated[Tls | UnsetType, Meta(description=_TLS)] = UNSET
    resync_delay: Annotated[_Resync, Meta(description=_RESYNC)] = 900
    disabled: Annotated[bool | UnsetType, Meta(description=_DISABLED)] = UNSET
    sent_mail_path: _Folder = UNSET
    drafts_mail_path: _Folder = UNSET
    junk_mail_path: _Folder = UNSET
    trash_mail_path: _Folder = UNSET
    archive_mail_path: _Folder = UNSET


class SmtpConfig(Request, frozen=True, kw_only=True):
    """How to reach the account's SMTP server."""

    host: Annotated[Hostname, Meta(description=_HOST)]
    port: Annotated[Port, Meta(description=_PORT, examples=[465])]
    secure: Annotated[bool, Meta(description=_SECURE)] = False
    auth: Annotated[Auth | Off | UnsetType, Meta(description=_AUTH + " `false` or absent: without a login.")] = UNSET
    tls: Annotated[Tls | UnsetType, Meta(description=_TLS)] = UNSET
    rate_limit: Annotated[RateLimit | UnsetType, Meta(description="How fast to send. Absent: as fast as it goes.")] = (
        UNSET
    )


class ImapUpdate(Request, frozen=True, kw_only=True):
    """A change of the IMAP settings. An absent member keeps its value if `partial`, else takes its default."""

    partial: Annotated[bool, Meta(description=_PARTIAL)] = False
    host: Annotated[Hostname | UnsetType, Meta(description=_HOST + " Required unless `partial`.")] = UNSET
    port: Annotated[Port | UnsetType, Meta(description=_PORT + " Required unless `partial`.", examples=[993])] = UNSET
    secure: Annotated[bool | UnsetType, Meta(description=_SECURE)] = UNSET
    auth: Annotated[Auth | UnsetType, Meta(description=_AUTH + " Replaced as a whole.")] = UNSET
    tls: Annotated[Tls | UnsetType, Meta(description=_TLS + " Replaced as a whole.")] = UNSET
    resync_delay: Annotated[_Resync | UnsetType, Meta(description=_RESYNC)] = UNSET
    disabled: Annotated[bool | UnsetType, Meta(description=_DISABLED)] = UNSET
    sent_mail_path: _Folder = UNSET
    drafts_mail_path: _Folder = UNSET
    junk_mail_path: _Folder = UNSET
    trash_mail_path: _Folder = UNSET
    archive_mail_path: _Folder = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A whole replacement needs a server."""
        return _server_missing(get)


class SmtpUpdate(Request, frozen=True, kw_only=True):
    """A change of the SMTP settings. An absent member keeps its value if `partial`, else takes its default."""

    partial: Annotated[bool, Meta(description=_PARTIAL)] = False
    host: Annotated[Hostname | UnsetType, Meta(description=_HOST + " Required unless `partial`.")] = UNSET
    port: Annotated[Port | UnsetType, Meta(description=_PORT + " Required unless `partial`.", examples=[465])] = UNSET
    secure: Annotated[bool | UnsetType, Meta(description=_SECURE)] = UNSET
    auth: Annotated[
        Auth | Off | UnsetType, Meta(description=_AUTH + " `false`: without a login. Replaced as a whole.")
    ] = UNSET
    tls: Annotated[Tls | UnsetType, Meta(description=_TLS + " Replaced as a whole.")] = UNSET
    rate_limit: Annotated[
        RateLimit | UnsetType | None, Meta(description="How fast to send. `null`: as fast as it goes.")
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A whole replacement needs a server."""
        return _server_missing(get)


def _server_missing(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
    if not get("partial"):
        for name in ("host", "port"):
            if get(name) is UNSET:
                yield name, "is required"
