"""A submission: one message handed in for sending, and what is answered to it.

Everything the message is made of is in here once: at least one recipient in `to`, `cc`, `bcc` or `envelope.to` is
needed, nothing else is. Text is limited to `MAX_TEXT` characters a part; attachments only by the size of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import (
    MAX_ATTACHMENTS,
    MAX_HEADERS,
    MAX_RECIPIENTS,
    MAX_TEXT,
    SINGLE,
    Check,
    Email,
    Instant,
    Line,
    Line256,
    MailboxPath,
    Request,
    Response,
    When,
)


class NamedAddress(Request, frozen=True, kw_only=True):
    """An email address and whose it is, as in a `To` header."""

    name: Annotated[Line256, Meta(description="Display name. Absent or empty: none.", examples=["Andris Reinman"])] = ""
    address: Annotated[Email, Meta(description="Email address.", examples=["andris@ethereal.email"])]


NamedAddresses = Annotated[tuple[NamedAddress, ...], SINGLE, Meta(max_length=MAX_RECIPIENTS)]


class Envelope(Request, frozen=True, kw_only=True):
    """The SMTP envelope where it differs from the message's own addresses."""

    sender: Annotated[
        Annotated[str, Meta(extra={"check": Check.EMAIL_OR_EMPTY})] | UnsetType,
        Meta(
            description='Where bounces go (MAIL FROM); `""` is the null sender. Absent: the address in `from`.',
            examples=["bounces@example.com"],
        ),
    ] = msgspec.field(name="from", default=UNSET)
    to: Annotated[
        tuple[Email, ...],
        SINGLE,
        Meta(
            max_length=MAX_RECIPIENTS,
            description="Who gets the message (RCPT TO). Absent or empty: everyone in `to`, `cc` and `bcc`.",
            examples=[["andris@ethereal.email"]],
        ),
    ] = ()


class Attachment(Request, frozen=True, kw_only=True):
    """A file that goes with the message."""

    filename: Annotated[
        Line256 | UnsetType, Meta(description="Name of the file. Absent: none.", examples=["invoice.pdf"])
    ] = UNSET
    content: Annotated[
        bytes, Meta(description="The file in base64; white space in it is ignored.", examples=["SGVsbG8gd29ybGQ="])
    ]
    content_type: Annotated[
        Line256 | UnsetType,
        Meta(description="Media type. Absent: by the file name's ending.", examples=["application/pdf"]),
    ] = UNSET
    content_disposition: Annotated[
        Literal["inline", "attachment"] | UnsetType,
        Meta(
            description="How to show it. Absent: `inline` with a `cid`, else `attachment`. An invitation "
            "(`contentType` `text/calendar; method=REQUEST`) that is not an `attachment` is another form of the text."
        ),
    ] = UNSET
    cid: Annotated[
        Line256 | UnsetType,
        Meta(description="Content id by which the HTML shows it as `cid:...`. Absent: none.", examples=["logo"]),
    ] = UNSET
    encoding: Annotated[Literal["base64"], Meta(description="How `content` is encoded; there is only one.")] = "base64"


OnDoubt = Literal["resend", "hold", "fail"]
HeaderName = Annotated[str, Meta(min_length=1, max_length=60, extra={"check": Check.HEADER_NAME})]


class Submit(Request, frozen=True, kw_only=True):
    """A message to send."""

    sender: Annotated[
        NamedAddress | UnsetType,
        Meta(
            description="Author, shown as `From`. Absent: the account's name and address.",
            examples=[{"name": "Andris Reinman", "address": "andris@example.com"}],
        ),
    ] = msgspec.field(name="from", default=UNSET)
    to: Annotated[
        NamedAddresses,
        Meta(
            description="Recipients, shown as `To`; one or a list. Absent: none.",
            examples=[[{"name": "Andris Reinman", "address": "andris@ethereal.email"}]],
        ),
    ] = ()
    cc: Annotated[
        NamedAddresses | None, Meta(description="Recipients, shown as `Cc`; one or a list. `null` or absent: none.")
    ] = ()
    bcc: Annotated[
        NamedAddresses | None,
        Meta(description="Recipients shown only in the Sent copy; one or a list. `null` or absent: none."),
    ] = ()
    reply_to: Annotated[
        NamedAddresses | None, Meta(description="Where replies go; one or a list. `null` or absent: the author.")
    ] = ()
    subject: Annotated[
        Annotated[Line, Meta(max_length=10_240)] | UnsetType | None,
        Meta(description="Subject. `null` or absent: none.", examples=["Hello"]),
    ] = UNSET
    text: Annotated[
        Annotated[str, Meta(max_length=MAX_TEXT)] | UnsetType | None,
        Meta(
            description="Plain text. `null` or absent: made from `html`, if there is one.",
            examples=["Hello from myself!"],
        ),
    ] = UNSET
    html: Annotated[
        Annotated[str, Meta(max_length=MAX_TEXT)] | UnsetType | None,
        Meta(description="HTML. `null` or absent: the message is plain text.", examples=["<p>Hello from myself!</p>"]),
    ] = UNSET
    headers: Annotated[
        dict[HeaderName, Line | int | float | Annotated[tuple[Line, ...], Meta(max_length=MAX_HEADERS)]],
        Meta(
            max_length=MAX_HEADERS,
            description="Further header fields by name; a list gives a field several times. One that may stand once is "
            "merged where it holds a list (addresses, message ids), else two values are refused. Empty ones are left "
            "out. Absent: none.",
            examples=[{"X-Campaign": "welcome"}],
        ),
    ] = msgspec.field(default_factory=dict)
    message_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=996, extra={"check": Check.MESSAGE_ID})] | UnsetType,
        Meta(description="Message-ID, with or without angle brackets. Absent: made.", examples=["<1@example.com>"]),
    ] = UNSET
    envelope: Annotated[
        Envelope | UnsetType, Meta(description="SMTP envelope. Absent: from the message's own addresses.")
    ] = UNSET
    send_at: Annotated[
        Instant | UnsetType, Meta(description="Not before this time; less than a year ahead. Absent or past: at once.")
    ] = UNSET
    delivery_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | UnsetType,
        Meta(description="How often it is tried at most. Absent: as in the settings.", examples=[10]),
    ] = UNSET
    on_doubt: Annotated[
        OnDoubt | UnsetType,
        Meta(
            description="What follows if the line breaks after the final dot, so that nobody knows whether the message "
            "arrived, and nothing tells: `resend` sends it again with the same Message-ID, `hold` leaves it in doubt "
            "until you decide, `fail` ends it. Absent: as configured, `resend` by default.",
            examples=["hold"],
        ),
    ] = UNSET
    attachments: Annotated[
        Annotated[tuple[Attachment, ...], Meta(max_length=MAX_ATTACHMENTS)], Meta(description="Files. Absent: none.")
    ] = ()
    copy: Annotated[
        bool | UnsetType | None,
        Meta(description="Whether a copy is filed in the Sent folder. `null` or absent: as the account says."),
    ] = UNSET
    sent_mail_path: Annotated[
        MailboxPath | UnsetType, Meta(description="Folder for that copy. Absent: the account's Sent folder.")
    ] = UNSET
    dry_run: Annotated[
        bool, Meta(description="`true`: only compose the message and answer with it. Absent: `false`.")
    ] = False

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """Somebody must get it. A recipient list that is wrong by itself has its own error."""
        if get("to") or get("cc") or get("bcc"):
            return
        envelope = get("envelope")
        if not envelope or (isinstance(envelope, Envelope) and not envelope.to):
            yield "to", "is required"

    def header_fields(self) -> tuple[tuple[str, str], ...]:
        """The further header fields in the order given, one pair for each time a field stands in the message."""
        return tuple(
            (name, str(value))
            for name, given in self.headers.items()
            for value in (given if isinstance(given, tuple) else (given,))
        )


class SubmitHeaders(Request, frozen=True, kw_only=True):
    """Request headers of a submission."""

    idempotency_key: Annotated[
        Annotated[str, Meta(max_length=1024)] | None,
        Meta(
            description="A text of your own that names this submission: the same request with it again sends nothing "
            "and gets the first answer, for as long as the message's record is kept; another request with it is "
            "answered with 409. Absent: every request is a new submission.",
            examples=["order-4711"],
        ),
    ] = msgspec.field(name="Idempotency-Key", default=None)


class Idempotency(Response, frozen=True, kw_only=True):
    """Whether an `Idempotency-Key` was seen before."""

    key: Annotated[str, Meta(description="The key as it was given.", examples=["order-4711"])]
    status: Annotated[
        Literal["MISS", "HIT"], Meta(description="`HIT`: this is the earlier answer; nothing was queued.")
    ]


class SubmitAccepted(Response, frozen=True, kw_only=True):
    """The message is on disk and will be sent."""

    response: Annotated[Literal["Queued for delivery"], Meta(description="Always the same.")] = "Queued for delivery"
    message_id: Annotated[str, Meta(description="Message-ID it is sent with.", examples=["<1@example.com>"])]
    send_at: Annotated[When, Meta(description="When the first attempt is due.")]
    queue_id: Annotated[str, Meta(description="Its id in the outbox and in events.", examples=["1a20313426c0f27d36e"])]
    idempotency: Annotated[
        Idempotency | UnsetType, Meta(description="Present if the request had an `Idempotency-Key`.")
    ] = UNSET


class DryRun(Response, frozen=True, kw_only=True):
    """What would have been sent. Nothing was queued."""

    response: Annotated[Literal["Dry run"], Meta(description="Always the same.")] = "Dry run"
    message_id: Annotated[str, Meta(description="Message-ID in the preview.", examples=["<1@example.com>"])]
    preview: Annotated[
        str, Meta(description="The whole message, in base64.", extra_json_schema={"contentEncoding": "base64"})
    ]
