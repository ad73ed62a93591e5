"""What can be done with an account beside changing it, and with settings that are no account yet."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.account import Indexer
from engine.schema.fields import Email, Hostname, Instant, Off, Request, Response
from engine.schema.servers import ImapConfig, SmtpConfig

_NO_OP = "`true`: do it. `false` or absent: nothing happens."
_DONE = "Whether it was done."


class Reconnect(Request, frozen=True, kw_only=True):
    """Asks for a new connection."""

    reconnect: Annotated[bool, Meta(description=_NO_OP)] = False


class Reconnected(Response, frozen=True, kw_only=True):
    """The answer to it."""

    reconnect: Annotated[bool, Meta(description=_DONE)]


class Sync(Request, frozen=True, kw_only=True):
    """Asks for a look into every folder now."""

    sync: Annotated[bool, Meta(description=_NO_OP)] = False


class Synced(Response, frozen=True, kw_only=True):
    """The answer to it."""

    sync: Annotated[bool, Meta(description="Whether it was asked for; the look itself comes after the answer.")]


class Flush(Request, frozen=True, kw_only=True):
    """Asks to forget what is known of the account's folders and to begin anew."""

    flush: Annotated[bool, Meta(description=_NO_OP)] = False
    notify_from: Annotated[
        Instant | UnsetType | None,
        Meta(description="Only messages newer than this raise `messageNew`. Absent: from now on; `null`: all."),
    ] = UNSET
    imap_indexer: Annotated[
        Indexer | UnsetType | None, Meta(description="The indexer from now on. `null` or absent: as it is.")
    ] = UNSET


class Flushed(Response, frozen=True, kw_only=True):
    """The answer to it."""

    flush: Annotated[bool, Meta(description=_DONE)]


class VerifyAccount(Request, frozen=True, kw_only=True):
    """Servers to log in to once; nothing is stored."""

    mailboxes: Annotated[bool, Meta(description="Whether to answer with the folders too.")] = False
    imap: Annotated[ImapConfig | Off | UnsetType, Meta(description="The IMAP server. `false` or absent: none.")] = UNSET
    smtp: Annotated[SmtpConfig | Off | UnsetType, Meta(description="The SMTP server. `false` or absent: none.")] = UNSET
    smtp_ehlo_name: Annotated[
        Hostname | UnsetType | None, Meta(description="Name to greet the SMTP server with. Absent: the engine's own.")
    ] = UNSET


class ServerVerified(Response, frozen=True, kw_only=True):
    """How the login at one server went."""

    success: Annotated[bool, Meta(description="Whether it was accepted.")]
    error: Annotated[str | UnsetType, Meta(description="What went wrong.")] = UNSET
    code: Annotated[str | UnsetType, Meta(description="Short code.", examples=["AUTHENTICATIONFAILED"])] = UNSET
    status_code: Annotated[int | UnsetType, Meta(description="SMTP reply code, if there was one.")] = UNSET
    response_text: Annotated[str | UnsetType, Meta(description="What the server said.")] = UNSET
    description: Annotated[str | UnsetType, Meta(description="What went wrong and what to do, in plain words.")] = UNSET
    hint: Annotated[
        str | UnsetType,
        Meta(description="What a refused login at this provider is most likely about. Absent: nothing is known of it."),
    ] = UNSET


class MailboxFound(Response, frozen=True, kw_only=True):
    """One folder."""

    path: Annotated[str, Meta(description="Its path.", examples=["INBOX"])]
    delimiter: Annotated[str | None, Meta(description="What separates levels. `null`: there are none.")]
    parent_path: Annotated[str, Meta(description="The path above it; empty at the top.")]
    name: Annotated[str, Meta(description="The last level of the path.")]
    listed: Annotated[bool, Meta(description="Always `true`.")] = True
    special_use: Annotated[str | UnsetType, Meta(description="What it is used for.", examples=["\\Sent"])] = UNSET
    special_use_source: Annotated[str | UnsetType, Meta(description="Who says so.", examples=["extension"])] = UNSET


class Verified(Response, frozen=True, kw_only=True):
    """How the logins went. Failed ones are an answer like any other."""

    imap: Annotated[ServerVerified | UnsetType, Meta(description="At the IMAP server, if one was given.")] = UNSET
    smtp: Annotated[ServerVerified | UnsetType, Meta(description="At the SMTP server, if one was given.")] = UNSET
    mailboxes: Annotated[tuple[MailboxFound, ...] | UnsetType, Meta(description="The folders, if asked for.")] = UNSET


class AutoconfigQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/autoconfig`."""

    email: Annotated[Email, Meta(description="The address whose servers are looked for.")]


class ServerUser(Response, frozen=True, kw_only=True):
    """Who logs in."""

    user: Annotated[str, Meta(description="The user name.", examples=["andris@example.com"])]


class ServerFound(Response, frozen=True, kw_only=True):
    """One server, ready for a registration but for the password."""

    auth: Annotated[ServerUser, Meta(description="Who logs in.")]
    host: Annotated[str, Meta(description="Host name.", examples=["imap.example.com"])]
    port: Annotated[int, Meta(description="TCP port.", examples=[993])]
    secure: Annotated[bool, Meta(description="TLS from the first byte.")]


class AppPassword(Response, frozen=True, kw_only=True):
    """Whether the provider wants a password made for this purpose."""

    required: Annotated[bool, Meta(description="`true`: the usual password is refused.")]
    provider: Annotated[str, Meta(description="The provider's name.", examples=["Gmail"])]
    instructions: Annotated[str, Meta(description="Where such a password is made: a URL.")]


class Autoconfig(Response, frozen=True, kw_only=True):
    """The servers of an address."""

    imap: Annotated[ServerFound | Off, Meta(description="The IMAP server. `false`: none was found.")]
    smtp: Annotated[ServerFound | Off, Meta(description="The SMTP server. `false`: none was found.")]
    app_password: Annotated[AppPassword | UnsetType, Meta(description="Absent: nothing is known of it.")] = UNSET
    source: Annotated[
        str, Meta(description="How it was found: `provider`, `mx`, `srv` or `none`.", examples=["srv"])
    ] = msgspec.field(name="_source")
