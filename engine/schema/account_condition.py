"""What is known of an account beside its registration: errors, folders, the last SMTP attempt, counters, quota."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Response, When
from engine.schema.token_request import TokenRequest


class LastError(Response, frozen=True, kw_only=True):
    """Why an account is not connected, or cannot send."""

    EXAMPLE = {
        "response": "connect ECONNREFUSED 192.0.2.1:993",
        "serverResponseCode": "ECONNREFUSED",
        "description": "Nothing listens at imap.example.com:993. Start the server there, or correct imap.host and "
        "imap.port. The engine tries again by itself.",
    }

    response: Annotated[str, Meta(description="The server's line, or what went wrong with the connection.")]
    server_response_code: Annotated[
        str | UnsetType,
        Meta(description="A short code for the error. Absent: there is none.", examples=["AUTHENTICATIONFAILED"]),
    ] = UNSET
    description: Annotated[
        str | UnsetType,
        Meta(
            description="What the error means and what to do about it, in plain words.",
            examples=["Nothing listens at imap.example.com:993. Start the server there, or correct imap.host."],
        ),
    ] = UNSET
    hint: Annotated[
        str | UnsetType,
        Meta(
            description="The most likely reason why this provider refused the login: Gmail, Outlook, Yahoo, iCloud and "
            "others want a password other than the account's, an access token, or IMAP switched on. Absent: unknown."
        ),
    ] = UNSET
    token_request: Annotated[
        TokenRequest | UnsetType,
        Meta(description="The request for an OAuth2 token that failed. Absent: none did."),
    ] = UNSET
    reauth_url: Annotated[
        str | UnsetType,
        Meta(description="Where the owner of the mailbox signs in again. Absent: that is not the remedy."),
    ] = UNSET


SendingState = Literal["init", "connected", "authenticationError", "connectError", "unset"]


class Sending(Response, frozen=True, kw_only=True):
    """Whether the SMTP server lets the account send, whatever the state of its IMAP connection."""

    state: Annotated[
        SendingState,
        Meta(
            description="`init`: not known yet. `connected`: the server accepted the last login. "
            "`authenticationError`, `connectError`: it did not, or could not be reached. `unset`: the account has no "
            "SMTP server. The engine logs in once after a registration or a change of `smtp`; while that fails, it "
            "tries again every few minutes, or every hour after a refused login."
        ),
    ]
    since: Annotated[When | UnsetType, Meta(description="When this state began. Absent: it is `unset`.")] = UNSET
    last_error: Annotated[LastError | None, Meta(description="Why the account cannot send. `null`: it can.")] = None
    left: Annotated[
        int | UnsetType,
        Meta(
            description="How many messages `smtp.rateLimit` and `smtp.limits` let it send now. Absent: there is no "
            "limit.",
            examples=[17],
        ),
    ] = UNSET


class FolderError(Response, frozen=True, kw_only=True):
    """A folder that the engine cannot open. It skips the folder for a while; the account stays connected."""

    path: Annotated[str, Meta(description="The folder.", examples=["Archive/2019"])]
    error: Annotated[str, Meta(description="The server's line, or what went wrong with the connection.")]
    since: Annotated[When, Meta(description="When it first failed.")]
    next_look: Annotated[
        When,
        Meta(
            description="When the engine tries again: after a minute at first, then after ever longer waits of "
            "at most six hours."
        ),
    ]


class LearntHeartbeat(Response, frozen=True, kw_only=True):
    """How often the engine asks the server for a sign of life, because something on the way cuts quiet connections."""

    seconds: Annotated[int, Meta(description="Seconds of silence after which the engine asks.", examples=[240])]
    until: Annotated[When, Meta(description="When the engine goes back to `imap.heartbeat`.")]


class SmtpStatus(Response, frozen=True, kw_only=True):
    """How the last SMTP attempt of an account ended."""

    created: Annotated[When, Meta(description="When it ended.")]
    status: Annotated[Literal["ok", "error"], Meta(description="Whether it succeeded.")]
    response: Annotated[str | UnsetType, Meta(description="The server's last line, or the error.")] = UNSET
    response_code: Annotated[int | UnsetType, Meta(description="The SMTP reply code. Absent: there was no reply.")] = (
        UNSET
    )
    code: Annotated[str | UnsetType, Meta(description="A short code for the error.", examples=["EAUTH"])] = UNSET
    command: Annotated[str | UnsetType, Meta(description="The SMTP command that failed.", examples=["RCPT TO"])] = UNSET
    description: Annotated[str | UnsetType, Meta(description="The error in plain words.")] = UNSET


class Counters(Response, frozen=True, kw_only=True):
    """What the engine counts for an account."""

    events: Annotated[
        dict[str, int],
        Meta(
            description="The number of events by name, since registration; `accountAdded` is not counted.",
            examples=[{"accountInitialized": 1, "messageSent": 3}],
        ),
    ]


class Quota(Response, frozen=True, kw_only=True):
    """How full an account is."""

    usage: Annotated[int, Meta(description="Bytes in use.", examples=[120000])]
    limit: Annotated[int, Meta(description="Bytes available in all.", examples=[1000000])]
    status: Annotated[str, Meta(description="`usage` as a percentage of `limit`.", examples=["12%"])]
