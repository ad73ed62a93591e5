"""Accounts: one mail account of a user, as it is registered, changed, listed and shown.

In a registration of an id already taken and in an update, what is absent stays as it is; `null` clears where the type
says so. Answers leave out what was never set and mask every secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import (
    SINGLE,
    Address,
    Check,
    CustomHeader,
    Email,
    Filled256,
    Hostname,
    Instant,
    Line100,
    Line256,
    MailboxPath,
    Off,
    Request,
    Response,
    When,
)
from engine.schema.paging import Page, PageQuery
from engine.schema.servers import ImapConfig, ImapUpdate, Server, SmtpConfig, SmtpUpdate

AccountState = Literal[
    "init",
    "unset",
    "connected",
    "connecting",
    "syncing",
    "authenticationError",
    "connectError",
    "disconnected",
    "paused",
]
AccountType = Literal["imap", "sending"]
Indexer = Literal["full", "fast"]

_SUBCONNECTIONS = "Further folders that get an IDLE connection of their own. Absent: none."
_PATHS = 'Folders to watch: a path, a special use such as `\\Sent`, or a list of them. `null`, `"*"` or absent: all.'
_COPY = (
    "Whether a copy of each sent message is filed in the Sent folder. `null` or absent: yes, unless the provider does."
)
_NOTIFY_FROM = "Only messages newer than this raise `messageNew`. Absent: from the registration on; `null`: all."
_INDEXER = "`full` follows new, changed and deleted messages; `fast` only new ones. `null` or absent: `full`."
_EHLO = "Name to greet SMTP servers with. `null` or absent: the engine's own."
_LOCALE = "Language of the person. Absent: not known."
_TZ = "Time zone of the person. Absent: not known."
_WEBHOOKS = 'URL this account\'s events are posted to, not to that of the settings. `null`, `""` or absent: no other.'
_WEBHOOK_HEADERS = "Headers that go with this account's webhooks, on top of those of the settings. Absent: none."
_LOGS = "Whether to keep a log of the protocol lines. Absent: no."


_Paths = Annotated[tuple[MailboxPath, ...], SINGLE, Meta(max_length=1000)]
_Folders = Annotated[tuple[Filled256, ...], SINGLE, Meta(max_length=100)]


_WebhookUrl = Annotated[
    str, Meta(max_length=2048, extra={"check": Check.WEB_URL_OR_EMPTY}, extra_json_schema={"format": "uri"})
]
_WebhookHeaders = Annotated[tuple[CustomHeader, ...], Meta(max_length=100)]


class AccountCreate(Request, frozen=True, kw_only=True):
    """Registers an account, or changes it if its id is already taken: then what is absent stays as it is."""

    account: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.ACCOUNT})] | None,
        Meta(description="Your id for the account. `null`: the engine makes one.", examples=["example"]),
    ]
    name: Annotated[
        Filled256, Meta(description="Name of the person or team, used in `From`.", examples=["Andris Reinman"])
    ]
    email: Annotated[
        Email | UnsetType,
        Meta(description="Address of the account, used in `From` where a message names no sender."),
    ] = UNSET
    path: Annotated[_Paths | UnsetType | None, Meta(description=_PATHS)] = UNSET
    subconnections: Annotated[_Folders | UnsetType, Meta(description=_SUBCONNECTIONS)] = UNSET
    copy: Annotated[bool | UnsetType | None, Meta(description=_COPY)] = UNSET
    logs: Annotated[bool | UnsetType, Meta(description=_LOGS)] = UNSET
    notify_from: Annotated[Instant | UnsetType | None, Meta(description=_NOTIFY_FROM)] = UNSET
    imap_indexer: Annotated[Indexer | UnsetType | None, Meta(description=_INDEXER)] = UNSET
    smtp_ehlo_name: Annotated[Hostname | UnsetType | None, Meta(description=_EHLO)] = UNSET
    imap: Annotated[
        ImapConfig | Off | UnsetType,
        Meta(description="The IMAP server. `false` or absent: an account that only sends."),
    ] = UNSET
    smtp: Annotated[
        SmtpConfig | Off | UnsetType,
        Meta(description="The SMTP server. `false` or absent: an account that cannot send."),
    ] = UNSET
    sandbox: Annotated[
        bool | UnsetType,
        Meta(
            description="`true`: an account inside the engine that reaches nobody, to try things out. Absent: `false`."
        ),
    ] = UNSET
    webhooks: Annotated[_WebhookUrl | UnsetType | None, Meta(description=_WEBHOOKS)] = UNSET
    webhooks_custom_headers: Annotated[_WebhookHeaders | UnsetType, Meta(description=_WEBHOOK_HEADERS)] = UNSET
    locale: Annotated[Line100 | UnsetType, Meta(description=_LOCALE, examples=["en"])] = UNSET
    tz: Annotated[Line100 | UnsetType, Meta(description=_TZ, examples=["Europe/Tallinn"])] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """The sandbox is its own server."""
        if get("sandbox") is True:
            for name in ("imap", "smtp"):
                if get(name) is not UNSET:
                    yield name, "is not allowed"


class AccountUpdate(Request, frozen=True, kw_only=True):
    """Changes an account: what is absent stays as it is."""

    name: Annotated[Filled256 | UnsetType, Meta(description="Name of the person or team, used in `From`.")] = UNSET
    email: Annotated[Email | UnsetType, Meta(description="Address of the account, used in `From`.")] = UNSET
    path: Annotated[_Paths | UnsetType | None, Meta(description=_PATHS)] = UNSET
    subconnections: Annotated[_Folders | UnsetType, Meta(description=_SUBCONNECTIONS)] = UNSET
    copy: Annotated[bool | UnsetType | None, Meta(description=_COPY)] = UNSET
    logs: Annotated[bool | UnsetType, Meta(description=_LOGS)] = UNSET
    notify_from: Annotated[Instant | UnsetType | None, Meta(description=_NOTIFY_FROM)] = UNSET
    imap_indexer: Annotated[Indexer | UnsetType | None, Meta(description=_INDEXER)] = UNSET
    smtp_ehlo_name: Annotated[Hostname | UnsetType | None, Meta(description=_EHLO)] = UNSET
    imap: Annotated[ImapUpdate | Off | UnsetType, Meta(description="The IMAP server. `false`: remove it.")] = UNSET
    smtp: Annotated[SmtpUpdate | Off | UnsetType, Meta(description="The SMTP server. `false`: remove it.")] = UNSET
    webhooks: Annotated[_WebhookUrl | UnsetType | None, Meta(description=_WEBHOOKS)] = UNSET
    webhooks_custom_headers: Annotated[_WebhookHeaders | UnsetType, Meta(description=_WEBHOOK_HEADERS)] = UNSET
    locale: Annotated[Line100 | UnsetType, Meta(description=_LOCALE)] = UNSET
    tz: Annotated[Line100 | UnsetType, Meta(description=_TZ)] = UNSET


class AccountQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/account/{account}`."""

    quota: Annotated[bool, Meta(description="Whether to ask the mail server how full the account is.")] = False
    wait: Annotated[
        Literal["connected"] | None,
        Meta(
            description="Answer once the account is connected: at the latest after 50 seconds, or as soon as its login "
            "is refused or there is nothing to connect to. Absent: at once."
        ),
    ] = None


class AccountsQuery(PageQuery, frozen=True, kw_only=True):
    """Query of `GET /v1/accounts`."""

    state: Annotated[AccountState | None, Meta(description="Only accounts in this state. Absent: all.")] = None
    query: Annotated[
        Line256 | None, Meta(description="Only accounts whose id, name or address contains this. Absent: all.")
    ] = None


class AccountCreated(Response, frozen=True, kw_only=True):
    """The answer to a registration."""

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]
    state: Annotated[Literal["new", "existing"], Meta(description="`existing`: the id was taken and was changed.")]


class AccountUpdated(Response, frozen=True, kw_only=True):
    """The answer to a change."""

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]


class AccountRemoved(Response, frozen=True, kw_only=True):
    """The answer to a removal."""

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]
    deleted: Annotated[bool, Meta(description="`true`: gone, with its queued messages.")] = True


class LastError(Response, frozen=True, kw_only=True):
    """Why an account is not connected, or may not send."""

    response: Annotated[str, Meta(description="The server's line, or what went wrong with the connection.")]
    server_response_code: Annotated[
        str | UnsetType,
        Meta(description="Short code of the error, if there is one.", examples=["AUTHENTICATIONFAILED"]),
    ] = UNSET
    description: Annotated[
        str | UnsetType,
        Meta(
            description="What it means and what to do, in plain words.",
            examples=["Nothing listens at imap.example.com:993. Start the server there, or correct imap.host."],
        ),
    ] = UNSET
    hint: Annotated[
        str | UnsetType,
        Meta(description="What a refused login at this provider is most likely about. Absent: nothing is known of it."),
    ] = UNSET


SendingState = Literal["init", "connected", "authenticationError", "connectError", "unset"]


class Sending(Response, frozen=True, kw_only=True):
    """Whether the SMTP server lets the account send, whatever the state of its IMAP connection."""

    state: Annotated[
        SendingState,
        Meta(
            description="`init`: not known yet; `connected`: the last login was accepted; `unset`: there is no SMTP "
            "server."
        ),
    ]
    since: Annotated[When | UnsetType, Meta(description="Since when it is so. Absent where it is `unset`.")] = UNSET
    last_error: Annotated[LastError | None, Meta(description="Why it may not send. `null`: it may.")] = None


class FolderError(Response, frozen=True, kw_only=True):
    """A folder that cannot be looked into. It is skipped for a while; the account is connected all the same."""

    path: Annotated[str, Meta(description="The folder.", examples=["Archive/2019"])]
    error: Annotated[str, Meta(description="The server's line, or what went wrong with the connection.")]
    since: Annotated[When, Meta(description="When it went wrong first.")]
    next_look: Annotated[When, Meta(description="When it is looked into again: after a minute, then later each time.")]


class LearntHeartbeat(Response, frozen=True, kw_only=True):
    """How often an account asks its IMAP server for a sign of life, since something cuts its quiet connections."""

    seconds: Annotated[int, Meta(description="Seconds without a word from the server after which it is asked.")]
    until: Annotated[When, Meta(description="When `imap.heartbeat` counts again, to find out anew.")]


class SmtpStatus(Response, frozen=True, kw_only=True):
    """How the last SMTP attempt of an account ended."""

    created: Annotated[When, Meta(description="When it ended.")]
    status: Annotated[Literal["ok", "error"], Meta(description="Whether it went well.")]
    response: Annotated[str | UnsetType, Meta(description="The server's last line, or the error.")] = UNSET
    response_code: Annotated[int | UnsetType, Meta(description="The SMTP reply code, if there was a reply.")] = UNSET
    code: Annotated[str | UnsetType, Meta(description="Short code of the error.", examples=["EAUTH"])] = UNSET
    command: Annotated[str | UnsetType, Meta(description="SMTP command it ended at.", examples=["RCPT TO"])] = UNSET
    description: Annotated[str | UnsetType, Meta(description="The same in plain words.")] = UNSET


class Counters(Response, frozen=True, kw_only=True):
    """What was counted for an account."""

    events: Annotated[
        dict[str, int], Meta(description="Events by name since registration.", examples=[{"messageSent": 3}])
    ]


class Quota(Response, frozen=True, kw_only=True):
    """How full an account is."""

    usage: Annotated[int, Meta(description="Octets in use.")]
    limit: Annotated[int, Meta(description="Octets there may be.")]
    status: Annotated[str, Meta(description="The same as a percentage.", examples=["12%"])]


class AccountInfo(Response, frozen=True, kw_only=True):
    """One account. Secrets are masked; members that were never set are left out."""

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]
    name: Annotated[str | UnsetType, Meta(description="Name used in `From`.")] = UNSET
    email: Annotated[Address | UnsetType, Meta(description="Address used in `From`.")] = UNSET
    copy: Annotated[bool | UnsetType | None, Meta(description=_COPY)] = UNSET
    logs: Annotated[bool, Meta(description=_LOGS)] = False
    notify_from: Annotated[When | None, Meta(description=_NOTIFY_FROM)] = None
    sync_from: Annotated[None, Meta(description="Always `null`.")] = None
    path: Annotated[str | tuple[str, ...] | UnsetType, Meta(description=_PATHS)] = UNSET
    subconnections: Annotated[tuple[str, ...] | UnsetType, Meta(description=_SUBCONNECTIONS)] = UNSET
    imap_indexer: Annotated[Indexer | UnsetType, Meta(description=_INDEXER)] = UNSET
    smtp_ehlo_name: Annotated[str | UnsetType, Meta(description=_EHLO)] = UNSET
    imap: Annotated[ImapConfig | UnsetType, Meta(description="The IMAP server.")] = UNSET
    smtp: Annotated[SmtpConfig | UnsetType, Meta(description="The SMTP server.")] = UNSET
    insecure: Annotated[
        tuple[Server, ...] | UnsetType,
        Meta(description="Servers to which the password may go in clear text over a network. Absent: none."),
    ] = UNSET
    sandbox: Annotated[bool | UnsetType, Meta(description="`true`: an account inside the engine.")] = UNSET
    webhooks: Annotated[str | UnsetType, Meta(description=_WEBHOOKS)] = UNSET
    webhooks_custom_headers: Annotated[
        tuple[CustomHeader, ...] | UnsetType, Meta(description=_WEBHOOK_HEADERS + " Their values are masked.")
    ] = UNSET
    locale: Annotated[str | UnsetType, Meta(description=_LOCALE)] = UNSET
    tz: Annotated[str | UnsetType, Meta(description=_TZ)] = UNSET
    state: Annotated[AccountState, Meta(description="Where the IMAP connection stands.")]
    sending: Annotated[Sending | UnsetType, Meta(description="Whether it may send. EmailEngine has none.")] = UNSET
    smtp_status: Annotated[SmtpStatus | None, Meta(description="How the last attempt ended. `null`: none yet.")] = None
    connections: Annotated[int, Meta(description="IMAP connections open now.")] = 0
    last_error: Annotated[LastError | None, Meta(description="Why it is not connected. `null`: all is well.")] = None
    folder_errors: Annotated[
        tuple[FolderError, ...] | UnsetType,
        Meta(description="Folders that cannot be looked into, and when they are again. Absent: none."),
    ] = UNSET
    heartbeat: Annotated[
        LearntHeartbeat | UnsetType,
        Meta(description="What was learnt of connections cut for being quiet. Absent: nothing."),
    ] = UNSET
    type: Annotated[AccountType, Meta(description="`imap`, or `sending` for an account without IMAP.")]
    sync_time: Annotated[When | UnsetType, Meta(description="When its folders were last looked at.")] = UNSET
    counters: Annotated[Counters, Meta(description="What was counted.")]
    quota: Annotated[
        Quota | Off | UnsetType,
        Meta(description="How full the account is, if asked. `false`: the server does not say."),
    ] = UNSET


class AccountSummary(Response, frozen=True, kw_only=True):
    """One account in a list."""

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]
    name: Annotated[str | UnsetType, Meta(description="Name used in `From`.")] = UNSET
    email: Annotated[Address | UnsetType, Meta(description="Address used in `From`.")] = UNSET
    type: Annotated[AccountType, Meta(description="`imap`, or `sending` for an account without IMAP.")]
    state: Annotated[AccountState, Meta(description="Where the IMAP connection stands.")]
    sending: Annotated[Sending | UnsetType, Meta(description="Whether it may send. EmailEngine has none.")] = UNSET
    webhooks: Annotated[str | UnsetType, Meta(description=_WEBHOOKS)] = UNSET
    smtp_ehlo_name: Annotated[str | UnsetType, Meta(description=_EHLO)] = UNSET
    counters: Annotated[Counters, Meta(description="What was counted.")]
    sync_time: Annotated[When | UnsetType, Meta(description="When its folders were last looked at.")] = UNSET
    last_error: Annotated[LastError | None, Meta(description="Why it is not connected. `null`: all is well.")] = None


class AccountList(Page, frozen=True, kw_only=True):
    """One page of accounts."""

    query: Annotated[str | Off, Meta(description="The search asked for. `false`: none.")] = False
    state: Annotated[str, Meta(description='The state asked for. `"*"`: any.')] = "*"
    accounts: Annotated[tuple[AccountSummary, ...], Meta(description="The accounts on this page.")]
