"""What an account shows of how it is doing: folders that fail, quiet lines, the last SMTP attempt, counters."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Response, When


class FolderError(Response, frozen=True, kw_only=True):
    """A folder that the engine cannot open. It skips the folder for a while; the account stays connected."""

    path: Annotated[str, Meta(description="The folder.", examples=["Archive/2019"])]
    error: Annotated[str, Meta(description="The server's line, or what went wrong with the connection.")]
    since: Annotated[When, Meta(description="When it first failed.")]
    next_look: Annotated[
        When, Meta(description="When the engine tries it again: after a minute, then later each time, up to six hours.")
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
            description="The number of events by name, since registration.",
            examples=[{"accountAdded": 1, "messageSent": 3}],
        ),
    ]


class Quota(Response, frozen=True, kw_only=True):
    """How full an account is."""

    usage: Annotated[int, Meta(description="Bytes in use.", examples=[120000])]
    limit: Annotated[int, Meta(description="Bytes available in all.", examples=[1000000])]
    status: Annotated[str, Meta(description="`usage` as a percentage of `limit`.", examples=["12%"])]
