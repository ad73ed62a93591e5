"""The outbox: what was handed in and where its delivery stands, per message and per recipient.

A message's `state` sums up those of its recipients. Entries stay for the retention time after they ended, so a message
that was sent can still be looked up.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Address, Filled256, Off, Request, Response, When

MessageState = Literal["queued", "sending", "deferred", "in_doubt", "sent", "failed", "cancelled"]
ProgressStatus = Literal["queued", "processing", "smtp-starting", "smtp-completed", "submitted", "error"]


class OutboxQuery(Request, frozen=True, kw_only=True):
    """Query of `GET /v1/outbox`."""

    page: Annotated[Annotated[int, Meta(ge=0, le=1_048_576)], Meta(description="Page number, from 0.")] = 0
    page_size: Annotated[Annotated[int, Meta(ge=1, le=1000)], Meta(description="Entries on a page.")] = 20
    account: Annotated[Filled256 | None, Meta(description="Only this account's messages. Absent: all.")] = None
    state: Annotated[
        MessageState | None, Meta(description="Only messages in this state. Absent: all that have not ended.")
    ] = None


class EnvelopeShown(Response, frozen=True, kw_only=True):
    """The SMTP envelope of a message."""

    sender: Annotated[str, Meta(description='MAIL FROM; `""` is the null sender.', examples=["andris@example.com"])] = (
        msgspec.field(name="from")
    )
    to: Annotated[tuple[Address, ...], Meta(description="RCPT TO, every recipient once.")]


class DeliveryFault(Response, frozen=True, kw_only=True):
    """Why the last try did not succeed."""

    message: Annotated[str, Meta(description="What happened, with the server's line if there was one.")]
    code: Annotated[str | UnsetType, Meta(description="Short code.", examples=["EENVELOPE"])] = UNSET
    status_code: Annotated[int | UnsetType, Meta(description="SMTP reply code, if there was a reply.")] = UNSET


class Progress(Response, frozen=True, kw_only=True):
    """How far the delivery got."""

    status: Annotated[ProgressStatus, Meta(description="The last step that was reached.")]
    response: Annotated[str | UnsetType, Meta(description="The server's line that accepted the message.")] = UNSET
    message_id: Annotated[str | UnsetType, Meta(description="Message-ID it was sent with.")] = UNSET
    error: Annotated[DeliveryFault | UnsetType, Meta(description="Why the last try failed.")] = UNSET
    network_routing: Annotated[UnsetType | None, Meta(description="`null` or absent.")] = UNSET


class OutboxRecipient(Response, frozen=True, kw_only=True):
    """One recipient of a message."""

    address: Annotated[Address, Meta(description="Envelope address.")]
    state: Annotated[MessageState, Meta(description="Where the delivery to this recipient stands.")]
    code: Annotated[int | UnsetType, Meta(description="Last SMTP reply code for it.", examples=[550])] = UNSET
    response: Annotated[str | UnsetType, Meta(description="Last SMTP reply line for it.")] = UNSET


class OutboxEntry(Response, frozen=True, kw_only=True):
    """One message of the outbox."""

    source: Annotated[Literal["api"], Meta(description="How it was handed in.")] = "api"
    use_structured_format: Annotated[Off, Meta(description="Always `false`.")] = False
    account: Annotated[str, Meta(description="The account it is sent through.", examples=["example"])]
    queue_id: Annotated[str, Meta(description="Its id.", examples=["1a20313426c0f27d36e"])]
    gateway: Annotated[None, Meta(description="Always `null`.")] = None
    message_id: Annotated[str, Meta(description="Its Message-ID.", examples=["<1@example.com>"])]
    envelope: Annotated[EnvelopeShown, Meta(description="Its SMTP envelope.")]
    subject: Annotated[str | None, Meta(description="Its subject. `null`: none.")] = None
    created: Annotated[When, Meta(description="When it was handed in.")]
    progress: Annotated[Progress, Meta(description="How far the delivery got.")]
    attempts_made: Annotated[int, Meta(description="Tries so far.")]
    attempts: Annotated[int, Meta(description="Tries there may be.")]
    scheduled: Annotated[When, Meta(description="When the first try was or is due.")]
    next_attempt: Annotated[When | Off, Meta(description="When the next try is due. `false`: there is none.")]
    state: Annotated[MessageState, Meta(description="Where the delivery stands.")]
    recipients: Annotated[
        tuple[OutboxRecipient, ...] | UnsetType, Meta(description="Every recipient; only when one entry is asked for.")
    ] = UNSET


class OutboxPage(Response, frozen=True, kw_only=True):
    """One page of the outbox."""

    total: Annotated[int, Meta(description="Messages that match, on all pages.")]
    page: Annotated[int, Meta(description="This page, from 0.")]
    pages: Annotated[int, Meta(description="Number of pages.")]
    messages: Annotated[tuple[OutboxEntry, ...], Meta(description="The messages on this page.")]


class OutboxDeleted(Response, frozen=True, kw_only=True):
    """The answer to a cancellation."""

    deleted: Annotated[bool, Meta(description="`false`: unknown, already ended, or being sent right now.")]
