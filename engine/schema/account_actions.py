"""What an account can be told to do, apart from changing it; and trying servers before there is an account."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.account import Indexer
from engine.schema.fields import Email, Hostname, Instant, Off, ProxyUrl, Request, Response
from engine.schema.servers import ImapConfig, PresetName, SmtpConfig

_NO_OP = "`true`: do it. `false` or absent: do nothing."
_DONE = "`true`: it was done."


class Reconnect(Request, frozen=True, kw_only=True):
    """A request for a new connection."""

    EXAMPLE = {"reconnect": True}

    reconnect: Annotated[bool, Meta(description=_NO_OP)] = False


class Reconnected(Response, frozen=True, kw_only=True):
    """Whether the account reconnects."""

    reconnect: Annotated[bool, Meta(description=_DONE)]


class Sync(Request, frozen=True, kw_only=True):
    """A request to look into every folder now."""

    EXAMPLE = {"sync": True}

    sync: Annotated[bool, Meta(description=_NO_OP)] = False


class Synced(Response, frozen=True, kw_only=True):
    """Whether the account looks into every folder."""

    sync: Annotated[bool, Meta(description="`true`: the account begins to look; the answer does not wait for the end.")]


class Flush(Request, frozen=True, kw_only=True):
    """A request to forget the account's folders and to read them again."""

    EXAMPLE = {"flush": True}

    flush: Annotated[bool, Meta(description=_NO_OP)] = False
    notify_from: Annotated[
        Instant | UnsetType | None,
        Meta(description="Only messages newer than this raise `messageNew`. Absent: now. `null`: all messages do."),
    ] = UNSET
    imap_indexer: Annotated[
        Indexer | UnsetType | None, Meta(description="The indexer from now on. `null` or absent: the current one.")
    ] = UNSET


class Flushed(Response, frozen=True, kw_only=True):
    """Whether the folders were forgotten."""

    flush: Annotated[bool, Meta(description=_DONE)]


class LogQuery(Request, frozen=True, kw_only=True):
    """How much of a protocol log to read."""

    lines: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)],
        Meta(description="The maximum number of lines; the newest are shown. Absent: 10,000."),
    ] = 10_000


class VerifyAccount(Request, frozen=True, kw_only=True):
    """The servers to log in to."""

    EXAMPLE = {
        "imap": {
            "host": "imap.example.com",
            "port": 993,
            "secure": True,
            "auth": {"user": "me@example.com", "pass": "wrong"},
        }
    }

    mailboxes: Annotated[bool, Meta(description="`true`: include the list of folders in the answer.")] = False
    imap: Annotated[ImapConfig | Off | UnsetType, Meta(description="The IMAP server. `false` or absent: none.")] = UNSET
    smtp: Annotated[SmtpConfig | Off | UnsetType, Meta(description="The SMTP server. `false` or absent: none.")] = UNSET
    proxy: Annotated[
        ProxyUrl | UnsetType,
        Meta(description='The proxy through which to dial the servers. `""` or absent: the proxy of the settings.'),
    ] = UNSET
    smtp_ehlo_name: Annotated[
        Hostname | UnsetType | None,
        Meta(description="The host name to send in EHLO. `null` or absent: the engine's own."),
    ] = UNSET


class ServerVerified(Response, frozen=True, kw_only=True):
    """How the login at one server went."""

    success: Annotated[bool, Meta(description="Whether the server accepted the login.")]
    error: Annotated[str | UnsetType, Meta(description="What went wrong.")] = UNSET
    code: Annotated[
        str | UnsetType, Meta(description="A short code for the error.", examples=["AUTHENTICATIONFAILED"])
    ] = UNSET
    status_code: Annotated[int | UnsetType, Meta(description="The SMTP reply code. Absent: there was no reply.")] = (
        UNSET
    )
    response_text: Annotated[str | UnsetType, Meta(description="What the server said.")] = UNSET
    description: Annotated[
        str | UnsetType, Meta(description="What the error means and what to do about it, in plain words.")
    ] = UNSET
    hint: Annotated[
        str | UnsetType,
        Meta(description="The most likely reason why this provider refused the login. Absent: unknown."),
    ] = UNSET


class MailboxFound(Response, frozen=True, kw_only=True):
    """One folder."""

    path: Annotated[str, Meta(description="The folder's path.", examples=["INBOX"])]
    delimiter: Annotated[
        str | None,
        Meta(description="What separates the levels of a path. `null`: the server has no levels.", examples=["/"]),
    ]
    parent_path: Annotated[
        str | UnsetType, Meta(description="The path of the folder above. Absent: there is none.", examples=["Clients"])
    ] = UNSET
    name: Annotated[str, Meta(description="The last level of the path.", examples=["INBOX"])]
    listed: Annotated[bool, Meta(description="Always `true`.")] = True
    subscribed: Annotated[bool | UnsetType, Meta(description="`true`: the folder is subscribed to.")] = UNSET
    special_use: Annotated[str | UnsetType, Meta(description="What the folder is used for.", examples=["\\Sent"])] = (
        UNSET
    )
    special_use_source: Annotated[
        str | UnsetType, Meta(description="How the engine knows the special use.", examples=["extension"])
    ] = UNSET
    no_inferiors: Annotated[bool, Meta(description="Whether the server allows no folders below this one.")] = False


class Verified(Response, frozen=True, kw_only=True):
    """How the logins went. A failed login is a 200, too."""

    EXAMPLE = {
        "imap": {
            "success": False,
            "error": "Command failed",
            "responseText": "Authentication failed.",
            "code": "AUTHENTICATIONFAILED",
            "description": "imap.example.com:993 refuses the login of me@example.com. Correct imap.auth.user and "
            "imap.auth.pass.",
        }
    }

    imap: Annotated[
        ServerVerified | UnsetType, Meta(description="The login at the IMAP server. Absent: none was given.")
    ] = UNSET
    smtp: Annotated[
        ServerVerified | UnsetType, Meta(description="The login at the SMTP server. Absent: none was given.")
    ] = UNSET
    mailboxes: Annotated[
        tuple[MailboxFound, ...] | UnsetType, Meta(description="The folders. Absent: you did not ask for them.")
    ] = UNSET


class AutoconfigQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/autoconfig`."""

    EXAMPLE = {"email": "andris@gmail.com"}

    email: Annotated[Email, Meta(description="The address to find the servers of.")]


class ServerUser(Response, frozen=True, kw_only=True):
    """The user to log in as."""

    user: Annotated[str, Meta(description="The user name.", examples=["andris@example.com"])]


class ServerFound(Response, frozen=True, kw_only=True):
    """One server, ready for a registration except for the password."""

    auth: Annotated[ServerUser, Meta(description="The user to log in as.")]
    host: Annotated[str, Meta(description="Host name.", examples=["imap.example.com"])]
    port: Annotated[int, Meta(description="TCP port.", examples=[993])]
    secure: Annotated[bool, Meta(description="Whether TLS begins with the first byte.")]


class LimitsFound(Response, frozen=True, kw_only=True):
    """The limits to register."""

    preset: Annotated[PresetName, Meta(description="The preset.")]


class SmtpFound(ServerFound, frozen=True, kw_only=True):
    """The SMTP server, ready for a registration except for the password."""

    limits: Annotated[
        LimitsFound | UnsetType,
        Meta(description="What the provider lets an account send, as the engine knows it. Absent: it does not."),
    ] = UNSET


class AppPassword(Response, frozen=True, kw_only=True):
    """Whether the provider wants an app password."""

    required: Annotated[bool, Meta(description="`true`: the provider refuses the usual password.")]
    provider: Annotated[str, Meta(description="The provider's name.", examples=["Gmail"])]
    instructions: Annotated[str, Meta(description="The URL at which the user creates an app password.")]


class Autoconfig(Response, frozen=True, kw_only=True):
    """The servers of an address."""

    EXAMPLE = {
        "imap": {"auth": {"user": "andris@gmail.com"}, "host": "imap.gmail.com", "port": 993, "secure": True},
        "smtp": {
            "auth": {"user": "andris@gmail.com"},
            "host": "smtp.gmail.com",
            "port": 465,
            "secure": True,
            "limits": {"preset": "gmail"},
        },
        "appPassword": {
            "required": True,
            "provider": "Gmail",
            "instructions": "https://myaccount.google.com/apppasswords",
        },
        "_source": "provider",
    }

    imap: Annotated[ServerFound | Off, Meta(description="The IMAP server. `false`: none was found.")]
    smtp: Annotated[SmtpFound | Off, Meta(description="The SMTP server. `false`: none was found.")]
    app_password: Annotated[
        AppPassword | UnsetType, Meta(description="Whether the provider wants an app password. Absent: unknown.")
    ] = UNSET
    source: Annotated[
        str,
        Meta(
            description="How the servers were found: `provider` (a table in the engine, without the network), `mx` (by "
            "the domain's mail exchanger), `srv` (the domain's SRV records) or `none`.",
            examples=["srv"],
        ),
    ] = msgspec.field(name="_source")
