"""Accounts: how one is registered, changed, listed and shown.

A registration of an id that is taken, and an update, leave absent members as they are; `null` clears a member where
its type allows it. Answers leave out members that were never set, and mask every secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.account_condition import (
    Counters,
    FolderError,
    LastError,
    LearntHeartbeat,
    Quota,
    Sending,
    SmtpStatus,
)
from engine.schema.fields import (
    SINGLE,
    Address,
    Check,
    CustomHeader,
    Email,
    Filled256,
    Hostname,
    Instant,
    IpOrNone,
    Line100,
    Line256,
    MailboxPath,
    Off,
    ProxyUrl,
    Request,
    Response,
    When,
)
from engine.schema.paging import Page, PageQuery
from engine.schema.servers import ImapConfig, ImapUpdate, Server, SmtpConfig, SmtpUpdate
from engine.schema.sign_in import OAuthLogin, OAuthState, OAuthUpdate, Provider

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
AccountType = Literal["imap", "sending", "oauth2", Provider]
Indexer = Literal["full", "fast"]

_SUBCONNECTIONS = (
    "Additional folders that get an IDLE connection of their own, so that their events come at once. Absent: none."
)
_PATHS = (
    'The folders to watch: a path, a special use such as `\\Sent`, or a list of them. `null`, `"*"` or absent: all.'
)
_COPY = (
    "Whether the engine files a copy of each sent message in the Sent folder. `null` or absent: it does, unless the "
    "provider files copies itself."
)
_NOTIFY_FROM = (
    "Only messages newer than this raise `messageNew`. Absent: the time of registration. `null`: all messages do."
)
_INDEXER = "`full` reports new, changed and deleted messages, `fast` only new ones. `null` or absent: `full`."
_EHLO = "The host name that the engine sends in EHLO. `null` or absent: its own."
_PROXY = (
    "The proxy through which the engine dials the account's servers, instead of the proxy of the settings: "
    "`socks5://`, `socks4://` or `http://`, with user and password before `@` if it asks for them. The sandbox is not "
    'dialled. `null`, `""` or absent: none of its own.'
)
_PROXY_SHOWN = "The account's own proxy, with user and password masked. Absent: none."
_LOCAL_ADDRESS = (
    "The IP address of this machine from which the account's connections leave, instead of what the settings say. "
    '`null`, `""` or absent: none of its own.'
)
_LOCALE = "The person's language. Absent: unknown."
_TZ = "The person's time zone. Absent: unknown."
_WEBHOOKS = (
    'The URL to which this account\'s events are posted instead of the URL of the settings. `null`, `""` or absent: '
    "the URL of the settings. A URL that is set with a token for this account alone gets neither headers set with a "
    "token for all accounts nor the signature of the settings: both are secrets of the operator."
)
_WEBHOOK_HEADERS = (
    "Headers that accompany this account's webhooks, on top of those of the settings. Set with a token for this "
    "account alone, they replace none of those. Absent: none."
)
_LOGS = "Whether the engine keeps a log of the protocol lines. Absent: it does not."
_STATE = (
    "The state of the IMAP connection: `init`, `connecting`, `syncing`, then `connected`; "
    "`authenticationError`, `connectError` and `disconnected` when it fails; `paused` during a flush. `unset`: there "
    "is nothing to connect to, or the server refused the login in the same words for `imap.give_up_refused` (three "
    "days); the engine attempts it again after a change of the account, a reconnect or a restart."
)
_SENDING = "Whether the SMTP server lets the account send, whatever the state of its IMAP connection."
_LAST_ERROR = "Why the account is not connected. `null`: nothing is wrong."
_TYPE = (
    "`imap`, `sending` for an account without IMAP, or the provider of the OAuth2 app through which it signs in; "
    "`oauth2` if the app is gone."
)
_SYNC_TIME = "When the engine last looked into the account's folders. Absent: not yet."


_Paths = Annotated[tuple[MailboxPath, ...], SINGLE, Meta(max_length=1000)]
_Folders = Annotated[tuple[Filled256, ...], SINGLE, Meta(max_length=100)]


_WebhookUrl = Annotated[
    str, Meta(max_length=2048, extra={"check": Check.WEB_URL_OR_EMPTY}, extra_json_schema={"format": "uri"})
]
_WebhookHeaders = Annotated[tuple[CustomHeader, ...], Meta(max_length=100)]


# What an account may be told, when it is registered as when it is changed.
_Path = Annotated[_Paths | UnsetType | None, Meta(description=_PATHS)]
_Subconnections = Annotated[_Folders | UnsetType, Meta(description=_SUBCONNECTIONS)]
_Copy = Annotated[bool | UnsetType | None, Meta(description=_COPY)]
_Logs = Annotated[bool | UnsetType, Meta(description=_LOGS)]
_NotifyFrom = Annotated[Instant | UnsetType | None, Meta(description=_NOTIFY_FROM)]
_ImapIndexer = Annotated[Indexer | UnsetType | None, Meta(description=_INDEXER)]
_EhloName = Annotated[Hostname | UnsetType | None, Meta(description=_EHLO)]
_Proxy = Annotated[ProxyUrl | UnsetType | None, Meta(description=_PROXY)]
_LocalAddress = Annotated[IpOrNone | UnsetType | None, Meta(description=_LOCAL_ADDRESS)]
_Webhooks = Annotated[_WebhookUrl | UnsetType | None, Meta(description=_WEBHOOKS)]
_CustomHeaders = Annotated[_WebhookHeaders | UnsetType, Meta(description=_WEBHOOK_HEADERS)]
_Locale = Annotated[Line100 | UnsetType, Meta(description=_LOCALE, examples=["en"])]
_Tz = Annotated[Line100 | UnsetType, Meta(description=_TZ, examples=["Europe/Tallinn"])]


class AccountCreate(Request, frozen=True, kw_only=True):
    """An account to register, or to change if its id is taken: absent members then stay as they are."""

    EXAMPLE = {"account": "example", "name": "Example", "email": "example@sandbox.example", "sandbox": True}

    account: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.ACCOUNT})] | None,
        Meta(description="Your id for the account. `null`: the engine creates one.", examples=["example"]),
    ]
    name: Annotated[
        Filled256, Meta(description="The name of the person or team, used in `From`.", examples=["Andris Reinman"])
    ]
    email: Annotated[
        Email | UnsetType,
        Meta(
            description="The account's email address, used in `From` where a message names no sender. Absent: each "
            "message must name its sender."
        ),
    ] = UNSET
    expected_email: Annotated[
        Email | UnsetType,
        Meta(
            description="With `oauth2.authorize`: the only address that may sign in. Without it: refused. Absent: any."
        ),
    ] = UNSET
    path: _Path = UNSET
    subconnections: _Subconnections = UNSET
    copy: _Copy = UNSET
    logs: _Logs = UNSET
    notify_from: _NotifyFrom = UNSET
    imap_indexer: _ImapIndexer = UNSET
    smtp_ehlo_name: _EhloName = UNSET
    proxy: _Proxy = UNSET
    local_address: _LocalAddress = UNSET
    imap: Annotated[
        ImapConfig | Off | UnsetType,
        Meta(
            description="The IMAP server. `false`: the account only sends. Absent: the same, or with `oauth2` the "
            "server of its app."
        ),
    ] = UNSET
    smtp: Annotated[
        SmtpConfig | Off | UnsetType,
        Meta(
            description="The SMTP server. `false`: the account cannot send. Absent: the same, or with `oauth2` the "
            "server of its app."
        ),
    ] = UNSET
    oauth2: Annotated[
        OAuthLogin | Off | UnsetType,
        Meta(
            description="How the account signs in with OAuth2, instead of with `auth` of its servers. The servers are "
            "those of the app; a server given here with its own `auth` uses that. `false` or absent: it does not."
        ),
    ] = UNSET
    sandbox: Annotated[
        bool | UnsetType,
        Meta(
            description="`true`: an account inside the engine, for trying things out; its mail reaches no one. Absent: "
            "`false`."
        ),
    ] = UNSET
    webhooks: _Webhooks = UNSET
    webhooks_custom_headers: _CustomHeaders = UNSET
    locale: _Locale = UNSET
    tz: _Tz = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """The sandbox is its own server."""
        if get("sandbox") is True:
            for name in ("imap", "smtp"):
                if get(name) is not UNSET:
                    yield name, "is not allowed"


class AccountUpdate(Request, frozen=True, kw_only=True):
    """A change of an account. Absent members stay as they are."""

    EXAMPLE = {"name": "New name"}

    name: Annotated[Filled256 | UnsetType, Meta(description="The name of the person or team, used in `From`.")] = UNSET
    email: Annotated[Email | UnsetType, Meta(description="The account's email address, used in `From`.")] = UNSET
    path: _Path = UNSET
    subconnections: _Subconnections = UNSET
    copy: _Copy = UNSET
    logs: _Logs = UNSET
    notify_from: _NotifyFrom = UNSET
    imap_indexer: _ImapIndexer = UNSET
    smtp_ehlo_name: _EhloName = UNSET
    proxy: _Proxy = UNSET
    local_address: _LocalAddress = UNSET
    imap: Annotated[ImapUpdate | Off | UnsetType, Meta(description="The IMAP server. `false` removes it.")] = UNSET
    smtp: Annotated[SmtpUpdate | Off | UnsetType, Meta(description="The SMTP server. `false` removes it.")] = UNSET
    oauth2: Annotated[
        OAuthUpdate | Off | UnsetType,
        Meta(description="How the account signs in with OAuth2. `false` ends that and forgets the tokens."),
    ] = UNSET
    webhooks: _Webhooks = UNSET
    webhooks_custom_headers: _CustomHeaders = UNSET
    locale: _Locale = UNSET
    tz: _Tz = UNSET


class AccountQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/account/{account}`."""

    quota: Annotated[bool, Meta(description="`true`: ask the mail server how full the account is.")] = False
    wait: Annotated[
        Literal["connected"] | None,
        Meta(
            description="`connected`: answer once the account is connected, after 50 seconds at the latest, or as soon "
            "as waiting cannot help (the login is refused, or there is nothing to connect to). So check `state` all "
            "the same. A request that waits counts as a stream. Absent: answer at once."
        ),
    ] = None


class AccountRemoveQuery(Request, frozen=True, kw_only=True):
    """Query of `DELETE /v1/account/{account}`."""

    revoke: Annotated[
        bool,
        Meta(
            description="`true`: the engine then has the provider revoke the OAuth2 grant, if the provider can; the "
            "account is removed even if that fails. The grant stays while the same user is signed in to the same app "
            "for another account: many providers, Google among them, would end that one too."
        ),
    ] = False


class AccountsQuery(PageQuery, frozen=True, kw_only=True):
    """Query of `GET /v1/accounts`."""

    EXAMPLE = {"page": 0, "pageSize": 1, "state": "connected", "query": "ex"}

    state: Annotated[AccountState | None, Meta(description="Only accounts in this state. Absent: all.")] = None
    query: Annotated[
        Line256 | None, Meta(description="Only accounts whose id, name or address contains this. Absent: all.")
    ] = None


class AccountCreated(Response, frozen=True, kw_only=True):
    """The account is registered, and on disk; or a person has to sign in first."""

    account: Annotated[
        str | UnsetType, Meta(description="The account's id. Absent: see `redirect`.", examples=["example"])
    ] = UNSET
    state: Annotated[
        Literal["new", "existing"] | UnsetType,
        Meta(
            description="`existing`: the id was taken, and the account has been changed. Absent: see `redirect`.",
            examples=["new"],
        ),
    ] = UNSET
    redirect: Annotated[
        str | UnsetType,
        Meta(
            description="The link at which a person signs in, with `oauth2.authorize`; it is valid for 24 hours. The "
            "account is registered after that. Absent: it is registered.",
            extra_json_schema={"format": "uri"},
        ),
    ] = UNSET


class AccountUpdated(Response, frozen=True, kw_only=True):
    """The account is changed."""

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]


class AccountRemoved(Response, frozen=True, kw_only=True):
    """The account is removed."""

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]
    deleted: Annotated[bool, Meta(description="Always `true`: the account and its queued messages are gone.")] = True


class AccountInfo(Response, frozen=True, kw_only=True):
    """One account. Secrets are masked, and members that were never set are left out."""

    EXAMPLE = {
        "account": "example",
        "name": "Example",
        "email": "me@example.com",
        "logs": False,
        "notifyFrom": "2026-11-23T05:48:19.646Z",
        "syncFrom": None,
        "path": "*",
        "imapIndexer": "full",
        "imap": {
            "host": "imap.example.com",
            "port": 993,
            "secure": True,
            "auth": {"user": "me@example.com", "pass": "******"},
            "resyncDelay": 900,
        },
        "smtp": {
            "host": "smtp.example.com",
            "port": 465,
            "secure": True,
            "auth": {"user": "me@example.com", "pass": "******"},
        },
        "state": "connectError",
        "sending": {"state": "connected", "since": "2026-11-23T05:48:20.011Z", "lastError": None},
        "smtpStatus": None,
        "connections": 0,
        "lastError": {
            "response": "connect ECONNREFUSED 192.0.2.1:993",
            "serverResponseCode": "ECONNREFUSED",
            "description": "Nothing listens at imap.example.com:993. Start the server there, or correct imap.host and "
            "imap.port. The engine tries again by itself.",
        },
        "type": "imap",
        "counters": {"events": {"connectError": 1}},
    }

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]
    name: Annotated[str | UnsetType, Meta(description="The name used in `From`.")] = UNSET
    email: Annotated[Address | UnsetType, Meta(description="The address used in `From`.")] = UNSET
    copy: _Copy = UNSET
    logs: Annotated[bool, Meta(description=_LOGS)] = False
    notify_from: Annotated[When | None, Meta(description=_NOTIFY_FROM)] = None
    sync_from: Annotated[None, Meta(description="Always `null`.")] = None
    path: Annotated[str | tuple[str, ...] | UnsetType, Meta(description=_PATHS)] = UNSET
    subconnections: Annotated[tuple[str, ...] | UnsetType, Meta(description=_SUBCONNECTIONS)] = UNSET
    imap_indexer: Annotated[Indexer | UnsetType, Meta(description=_INDEXER)] = UNSET
    smtp_ehlo_name: Annotated[str | UnsetType, Meta(description=_EHLO)] = UNSET
    proxy: Annotated[str | UnsetType, Meta(description=_PROXY_SHOWN)] = UNSET
    local_address: Annotated[str | UnsetType, Meta(description=_LOCAL_ADDRESS)] = UNSET
    imap: Annotated[
        ImapConfig | Off | UnsetType,
        Meta(description="The IMAP server. `false` or absent: none; `false` if a request said so."),
    ] = UNSET
    smtp: Annotated[
        SmtpConfig | Off | UnsetType,
        Meta(description="The SMTP server. `false` or absent: none; `false` if a request said so."),
    ] = UNSET
    oauth2: Annotated[
        OAuthState | UnsetType, Meta(description="How the account signs in with OAuth2. Absent: it does not.")
    ] = UNSET
    insecure: Annotated[
        tuple[Server, ...] | UnsetType,
        Meta(description="Servers that may get the password in clear text over a network. Absent: none."),
    ] = UNSET
    sandbox: Annotated[bool | UnsetType, Meta(description="`true`: an account inside the engine.")] = UNSET
    webhooks: Annotated[str | UnsetType, Meta(description=_WEBHOOKS)] = UNSET
    webhooks_custom_headers: Annotated[
        tuple[CustomHeader, ...] | UnsetType, Meta(description=_WEBHOOK_HEADERS + " Their values are masked.")
    ] = UNSET
    locale: Annotated[str | UnsetType, Meta(description=_LOCALE)] = UNSET
    tz: Annotated[str | UnsetType, Meta(description=_TZ)] = UNSET
    state: Annotated[AccountState, Meta(description=_STATE, examples=["connected"])]
    sending: Annotated[Sending | UnsetType, Meta(description=_SENDING)] = UNSET
    smtp_status: Annotated[
        SmtpStatus | None, Meta(description="How the last SMTP attempt ended. `null`: none yet.")
    ] = None
    connections: Annotated[
        int,
        Meta(
            description="The number of open IMAP connections that follow the mailbox; those that requests use are not "
            "counted.",
            examples=[1],
        ),
    ] = 0
    send_only: Annotated[
        bool | UnsetType,
        Meta(description="`true`: the account only sends, since it has no IMAP server or `imap.disabled` is set."),
    ] = UNSET
    last_error: Annotated[LastError | None, Meta(description=_LAST_ERROR)] = None
    folder_errors: Annotated[
        tuple[FolderError, ...] | UnsetType,
        Meta(description="Folders that the engine cannot open, and when it tries again. Absent: none."),
    ] = UNSET
    heartbeat: Annotated[
        LearntHeartbeat | UnsetType,
        Meta(
            description="How the engine keeps quiet connections open, while something on the way to the server cuts "
            "them. Absent: nothing does."
        ),
    ] = UNSET
    type: Annotated[AccountType, Meta(description=_TYPE)]
    sync_time: Annotated[When | UnsetType, Meta(description=_SYNC_TIME)] = UNSET
    counters: Annotated[Counters, Meta(description="The account's counters.")]
    quota: Annotated[
        Quota | Off | UnsetType,
        Meta(description="How full the account is, if you asked. `false`: the server does not say."),
    ] = UNSET


class AccountSummary(Response, frozen=True, kw_only=True):
    """One account in a list."""

    EXAMPLE = {
        "account": "example",
        "name": "Example",
        "email": "example@sandbox.example",
        "type": "imap",
        "state": "connected",
        "sending": {"state": "connected", "since": "2026-11-23T05:48:19.371Z", "lastError": None},
        "counters": {"events": {"accountInitialized": 1, "authenticationSuccess": 2, "mailboxNew": 5}},
        "syncTime": "2026-11-23T05:48:19.594Z",
        "lastError": None,
    }

    account: Annotated[str, Meta(description="The account's id.", examples=["example"])]
    name: Annotated[str | UnsetType, Meta(description="The name used in `From`.")] = UNSET
    email: Annotated[Address | UnsetType, Meta(description="The address used in `From`.")] = UNSET
    type: Annotated[AccountType, Meta(description=_TYPE)]
    state: Annotated[AccountState, Meta(description=_STATE, examples=["connected"])]
    sending: Annotated[Sending | UnsetType, Meta(description=_SENDING)] = UNSET
    webhooks: Annotated[str | UnsetType, Meta(description=_WEBHOOKS)] = UNSET
    proxy: Annotated[str | UnsetType, Meta(description=_PROXY_SHOWN)] = UNSET
    smtp_ehlo_name: Annotated[str | UnsetType, Meta(description=_EHLO)] = UNSET
    counters: Annotated[Counters, Meta(description="The account's counters.")]
    sync_time: Annotated[When | UnsetType, Meta(description=_SYNC_TIME)] = UNSET
    last_error: Annotated[LastError | None, Meta(description=_LAST_ERROR)] = None


class AccountList(Page, frozen=True, kw_only=True):
    """One page of accounts."""

    query: Annotated[str | Off, Meta(description="The `query` of the request. `false`: none.", examples=["ex"])] = False
    state: Annotated[str, Meta(description='The `state` of the request. `"*"`: any.', examples=["connected"])] = "*"
    accounts: Annotated[tuple[AccountSummary, ...], Meta(description="The accounts on this page.")]
