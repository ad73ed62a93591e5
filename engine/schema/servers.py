"""How to reach an account's IMAP and SMTP servers.

`ImapConfig` and `SmtpConfig` are the same in a request and in an answer, where secrets are masked. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import AccessToken, Hostname, LoginUser, MailboxPath, Off, Port, Request, Secret

Server = Literal["imap", "smtp"]

TlsVersion = Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]

_HOST = "The server's name or IP address."
_PORT = "The server's TCP port."
_SECURE = (
    "`true`: TLS from the first byte. `false` or absent: STARTTLS if the server offers it; with `tls.required`, the "
    "connection ends if it does not. If the server does the opposite, the engine recognises that within five seconds, "
    "and the error tells you to set `secure` to the other value."
)
_TLS = "What TLS connections require. Absent: the certificate must be trusted and name the server."
_AUTH = "How to log in."
_AUTH_SERVER = (
    "`true`: the engine asks `authServer` (`POST /v1/settings`) how to log in, and `auth` is not allowed. Absent: "
    "`false`."
)
_PARTIAL = (
    "`true`: the members given replace the stored ones one by one; leave out `auth` to keep it, as a masked secret "
    "(`******`) is refused. `false` or absent: this object replaces the stored one."
)


class Auth(Request, frozen=True, kw_only=True):
    """A login: a user, and either a password or an OAuth2 access token."""

    user: Annotated[LoginUser, Meta(description="The user name.", examples=["andris@example.com"])]
    password: Annotated[
        Secret | UnsetType, Meta(description="The password, masked in answers. Absent: there is an `accessToken`.")
    ] = msgspec.field(name="pass", default=UNSET)
    access_token: Annotated[
        AccessToken | UnsetType,
        Meta(
            description="The OAuth2 access token, used as OAUTHBEARER or XOAUTH2 and masked in answers. You renew it "
            "by changing the account. Absent: there is a `pass`."
        ),
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
    """What TLS connections to a server require."""

    reject_unauthorized: Annotated[
        bool | UnsetType,
        Meta(description="Whether the certificate must be trusted and name the server. Absent: `true`."),
    ] = UNSET
    min_version: Annotated[
        TlsVersion | UnsetType,
        Meta(description="The oldest TLS version to accept. Absent: the TLS library decides.", examples=["TLSv1.2"]),
    ] = UNSET
    servername: Annotated[
        Hostname | UnsetType,
        Meta(description="The server name to send (SNI) and to verify instead of `host`. Absent: `host`."),
    ] = UNSET
    ca: Annotated[
        Annotated[str, Meta(min_length=1, max_length=262_144)] | UnsetType,
        Meta(description="Certificates in PEM form to trust besides those of the system. Absent: none."),
    ] = UNSET
    required: Annotated[
        bool | UnsetType,
        Meta(
            description="`true`: never continue in clear text. `false`: use STARTTLS where the server offers it, and "
            "clear text otherwise; the account then lists the server under `insecure`. Absent in a new registration: "
            "`true` where a password would go to a host that is not loopback."
        ),
    ] = UNSET


class RateLimit(Request, frozen=True, kw_only=True):
    """At most `messages` in any `seconds`; other messages wait in the queue."""

    messages: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)], Meta(description="The number of messages.", examples=[30])
    ]
    seconds: Annotated[
        Annotated[int, Meta(ge=1, le=604_800)], Meta(description="The number of seconds.", examples=[60])
    ]


PresetName = Literal["gmail", "workspace", "microsoft365", "none"]
TooMany = Literal["split", "refuse"]
_Most = Annotated[int, Meta(ge=1, le=100_000)] | UnsetType | None
_LIMITS = (
    "What the provider lets the account send. The engine never exceeds it; what is over waits in the queue "
    "(`waitingFor.kind` is `quota`). It is not about mail through a gateway. "
)


class Limits(Request, frozen=True, kw_only=True):
    """What the provider lets an account send: a preset, and members that replace the preset's."""

    EXAMPLE = {"preset": "gmail", "perDay": 400}

    preset: Annotated[
        PresetName | UnsetType,
        Meta(
            description="The limits that a provider publishes: `gmail` (a free account), `workspace` (Google "
            "Workspace), `microsoft365`. Absent: `none`."
        ),
    ] = UNSET
    per_minute: Annotated[
        _Most, Meta(description="Messages in any minute. `null`: no limit. Absent: the preset's.", examples=[30])
    ] = UNSET
    per_hour: Annotated[
        _Most, Meta(description="Messages in any hour. `null`: no limit. Absent: the preset's.", examples=[200])
    ] = UNSET
    per_day: Annotated[
        _Most, Meta(description="Messages in any 24 hours. `null`: no limit. Absent: the preset's.", examples=[500])
    ] = UNSET
    recipients_per_day: Annotated[
        _Most,
        Meta(description="Recipients in any 24 hours. `null`: no limit. Absent: the preset's.", examples=[10_000]),
    ] = UNSET
    recipients_per_message: Annotated[
        _Most,
        Meta(
            description="Recipients of one SMTP transaction; the engine never sends more than 100. `null`: no limit of "
            "the provider. Absent: the preset's.",
            examples=[100],
        ),
    ] = UNSET
    too_many_recipients: Annotated[
        TooMany | UnsetType,
        Meta(
            description="What happens to a message with more than `recipientsPerMessage`. `split`: it goes in several "
            "transactions, each of which counts as a message. `refuse`: it is not accepted (400). Absent: `split`."
        ),
    ] = UNSET


_Path = MailboxPath | UnsetType | None
_SentPath = Annotated[_Path, Meta(description="The path of the Sent folder. `null` or absent: the engine finds it.")]
_DraftsPath = Annotated[
    _Path, Meta(description="The path of the Drafts folder. `null` or absent: the engine finds it.")
]
_JunkPath = Annotated[_Path, Meta(description="The path of the Junk folder. `null` or absent: the engine finds it.")]
_TrashPath = Annotated[_Path, Meta(description="The path of the Trash folder. `null` or absent: the engine finds it.")]
_ArchivePath = Annotated[
    _Path, Meta(description="The path of the Archive folder. `null` or absent: the engine finds it.")
]
_Resync = Annotated[int, Meta(ge=1, le=604_800)]
_RESYNC = "Seconds between two checks of each folder that has no IDLE connection. Absent: 900."
_DISABLED = "`true`: the engine keeps these settings but does not connect. Absent: `false`."


_UseAuthServer = Annotated[bool | UnsetType, Meta(description=_AUTH_SERVER)]
_DisableRev2 = Annotated[
    bool | UnsetType,
    Meta(description="`true`: never use IMAP4rev2 (RFC 9051), even if the server offers it. Absent: `false`."),
]


class ServerConfig(Request, frozen=True, kw_only=True):
    """How to reach a mail server: what IMAP and SMTP have in common."""

    host: Annotated[Hostname, Meta(description=_HOST)]
    port: Annotated[Port, Meta(description=_PORT, examples=[993])]
    secure: Annotated[bool, Meta(description=_SECURE)] = False
    tls: Annotated[Tls | UnsetType, Meta(description=_TLS)] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A login comes from one place."""
        return _two_logins(get)


class ServerUpdate(Request, frozen=True, kw_only=True):
    """A change of either server: an absent member keeps its value with `partial`, else takes its default."""

    partial: Annotated[bool, Meta(description=_PARTIAL)] = False
    host: Annotated[Hostname | UnsetType, Meta(description=_HOST + " Required unless `partial`.")] = UNSET
    port: Annotated[Port | UnsetType, Meta(description=_PORT + " Required unless `partial`.", examples=[993])] = UNSET
    secure: Annotated[bool | UnsetType, Meta(description=_SECURE)] = UNSET
    tls: Annotated[Tls | UnsetType, Meta(description=_TLS + " Replaced as a whole.")] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A whole replacement needs a server, and a login comes from one place."""
        if not get("partial"):
            for name in ("host", "port"):
                if get(name) is UNSET:
                    yield name, "is required"
        yield from _two_logins(get)


def _two_logins(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
    if get("use_auth_server") is True and isinstance(get("auth"), Auth):
        yield "auth", "is not allowed with useAuthServer"


class ImapConfig(ServerConfig, frozen=True, kw_only=True):
    """How to reach the account's IMAP server."""

    auth: Annotated[Auth | UnsetType, Meta(description=_AUTH + " Absent: do not log in.")] = UNSET
    use_auth_server: _UseAuthServer = UNSET
    resync_delay: Annotated[_Resync, Meta(description=_RESYNC)] = 900
    disabled: Annotated[bool | UnsetType, Meta(description=_DISABLED)] = UNSET
    disable_imap4rev2: _DisableRev2 = msgspec.field(name="disableIMAP4rev2", default=UNSET)
    sent_mail_path: _SentPath = UNSET
    drafts_mail_path: _DraftsPath = UNSET
    junk_mail_path: _JunkPath = UNSET
    trash_mail_path: _TrashPath = UNSET
    archive_mail_path: _ArchivePath = UNSET


class ImapUpdate(ServerUpdate, frozen=True, kw_only=True):
    """A change of the IMAP settings. An absent member keeps its value with `partial`, else takes its default."""

    auth: Annotated[Auth | UnsetType, Meta(description=_AUTH + " Replaced as a whole.")] = UNSET
    use_auth_server: _UseAuthServer = UNSET
    resync_delay: Annotated[_Resync | UnsetType, Meta(description=_RESYNC)] = UNSET
    disabled: Annotated[bool | UnsetType, Meta(description=_DISABLED)] = UNSET
    disable_imap4rev2: _DisableRev2 = msgspec.field(name="disableIMAP4rev2", default=UNSET)
    sent_mail_path: _SentPath = UNSET
    drafts_mail_path: _DraftsPath = UNSET
    junk_mail_path: _JunkPath = UNSET
    trash_mail_path: _TrashPath = UNSET
    archive_mail_path: _ArchivePath = UNSET


class SmtpConfig(ServerConfig, frozen=True, kw_only=True):
    """How to reach the account's SMTP server."""

    port: Annotated[Port, Meta(description=_PORT, examples=[465])]
    auth: Annotated[
        Auth | Off | UnsetType,
        Meta(
            description=_AUTH
            + " `false` or absent: do not log in. Where the server offers no AUTH, the engine sends without a login."
        ),
    ] = UNSET
    use_auth_server: _UseAuthServer = UNSET
    rate_limit: Annotated[RateLimit | UnsetType, Meta(description="The maximum rate of sending. Absent: no limit.")] = (
        UNSET
    )
    limits: Annotated[Limits | UnsetType, Meta(description=_LIMITS + "Absent: no limits.")] = UNSET


class SmtpUpdate(ServerUpdate, frozen=True, kw_only=True):
    """A change of the SMTP settings. An absent member keeps its value with `partial`, else takes its default."""

    port: Annotated[Port | UnsetType, Meta(description=_PORT + " Required unless `partial`.", examples=[465])] = UNSET
    auth: Annotated[
        Auth | Off | UnsetType, Meta(description=_AUTH + " `false`: do not log in. Replaced as a whole.")
    ] = UNSET
    use_auth_server: _UseAuthServer = UNSET
    rate_limit: Annotated[
        RateLimit | UnsetType | None, Meta(description="The maximum rate of sending. `null`: no limit.")
    ] = UNSET
    limits: Annotated[
        Limits | UnsetType | None, Meta(description=_LIMITS + "Replaced as a whole. `null`: no limits.")
    ] = UNSET
