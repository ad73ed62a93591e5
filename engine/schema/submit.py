"""A submission: one message to send, or several that are alike.

A message needs at least one recipient in `to`, `cc`, `bcc` or `envelope.to`, and nothing else. Each text has at most
`MAX_TEXT` characters; attachments are limited only by the size of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.command_headers import CommandHeaders
from engine.schema.delivery_reports import DsnAsked
from engine.schema.fields import (
    ADDRESS_OR_TEXT,
    MAX_ATTACHMENTS,
    MAX_HEADERS,
    MAX_MERGE,
    MAX_RECIPIENTS,
    MAX_TEXT,
    SINGLE,
    Check,
    Email,
    Filled256,
    Hostname,
    Instant,
    IpOrNone,
    Line,
    Line100,
    Line256,
    MailboxPath,
    NoDifference,
    Off,
    ProxyUrl,
    Request,
    WebUrl,
)
from engine.schema.reference import Reference


class NamedAddress(Request, frozen=True, kw_only=True):
    """An email address and a display name, as in a `To` header."""

    name: Annotated[
        Line256, Meta(description="The display name. Absent or empty: none.", examples=["Andris Reinman"])
    ] = ""
    address: Annotated[Email, Meta(description="The email address.", examples=["andris@ethereal.email"])]


AddressOrText = Annotated[NamedAddress, ADDRESS_OR_TEXT]
NamedAddresses = Annotated[tuple[AddressOrText, ...], SINGLE, Meta(max_length=MAX_RECIPIENTS)]


class Envelope(Request, frozen=True, kw_only=True):
    """The SMTP envelope where it differs from the message's own addresses."""

    sender: Annotated[
        Annotated[str, Meta(extra={"check": Check.EMAIL_OR_EMPTY})] | UnsetType,
        Meta(
            description='The address for bounces (MAIL FROM); `""` is the null sender. Absent: the address in `from`.',
            examples=["bounces@example.com"],
        ),
    ] = msgspec.field(name="from", default=UNSET)
    to: Annotated[
        tuple[Email, ...],
        SINGLE,
        Meta(
            max_length=MAX_RECIPIENTS,
            description="Who gets the message (RCPT TO). Absent or empty: all addresses in `to`, `cc` and `bcc`.",
            examples=[["andris@ethereal.email"]],
        ),
    ] = ()


class Attachment(Request, frozen=True, kw_only=True):
    """A file to send with the message."""

    filename: Annotated[
        Line256 | UnsetType, Meta(description="The file's name. Absent: none.", examples=["invoice.pdf"])
    ] = UNSET
    content: Annotated[
        bytes | UnsetType,
        Meta(
            description="The file in base64. White space is ignored. Absent: `reference` names the file; one of them "
            "is required.",
            examples=["SGVsbG8gd29ybGQ="],
        ),
    ] = UNSET
    content_type: Annotated[
        Line256 | UnsetType,
        Meta(
            description="The media type. Absent: the engine derives it from the file name.",
            examples=["application/pdf"],
        ),
    ] = UNSET
    content_disposition: Annotated[
        Literal["inline", "attachment"] | UnsetType,
        Meta(
            description="How to show the file. Absent: `inline` with a `cid`, `attachment` otherwise. An invitation "
            "(`contentType` `text/calendar; method=REQUEST`) that is not an `attachment` becomes an alternative of the "
            "text."
        ),
    ] = UNSET
    cid: Annotated[
        Line256 | UnsetType,
        Meta(description="The content id; the HTML refers to it as `cid:...`. Absent: none.", examples=["logo"]),
    ] = UNSET
    encoding: Annotated[Literal["base64"], Meta(description="The encoding of `content`, always `base64`.")] = "base64"
    reference: Annotated[
        Annotated[str, Meta(max_length=256)] | Off | UnsetType | None,
        Meta(
            description="The id of a file attached to any message of the account, sent instead of `content`; it keeps "
            "its name and type unless you give others. `false`, `null` or absent: none.",
            examples=["AAAAAQAAAAEy"],
        ),
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """The file is given, or the id of one."""
        if not get("reference"):
            if get("content") is UNSET:
                yield "content", "is required"
        elif get("content") is not UNSET:
            yield "content", "is not allowed beside reference"


OnDoubt = Literal["resend", "hold", "fail"]
SendAt = Annotated[
    Instant | UnsetType,
    Meta(description="The earliest time to send it. Absent or past: at once."),
]
DeliveryAttempts = Annotated[
    Annotated[int, Meta(ge=0, le=1000)] | UnsetType,
    Meta(
        description="The maximum number of attempts; 0 means 1. Absent: the setting `deliveryAttempts`, or "
        "`retry.attempts` of config.toml.",
        examples=[10],
    ),
]
FileCopy = Annotated[
    bool | UnsetType | None,
    Meta(description="Whether to file a copy in the Sent folder. `null` or absent: the account decides."),
]
CopyPath = Annotated[
    MailboxPath | UnsetType, Meta(description="The folder for that copy. Absent: the account's Sent folder.")
]
MessageIdAsked = Annotated[str, Meta(min_length=1, max_length=996, extra={"check": Check.MESSAGE_ID})]
HeaderName = Annotated[str, Meta(min_length=1, max_length=60, extra={"check": Check.HEADER_NAME})]


Gateway = Annotated[
    Filled256 | UnsetType | None,
    Meta(
        description="The gateway through which the message goes (`POST /v1/gateway`). An id that does not exist is "
        "ignored. `null` or absent: the account's own server.",
        examples=["relay"],
    ),
]


class Content(Request, frozen=True, kw_only=True):
    """What a message is composed of."""

    sender: Annotated[
        AddressOrText | UnsetType,
        Meta(
            description="The author, shown as `From`. Absent: the account's name and address.",
            examples=[{"name": "Andris Reinman", "address": "andris@example.com"}],
        ),
    ] = msgspec.field(name="from", default=UNSET)
    to: Annotated[
        NamedAddresses,
        Meta(
            description="Recipients, shown as `To`. Absent: none.",
            examples=[[{"name": "Andris Reinman", "address": "andris@ethereal.email"}]],
        ),
    ] = ()
    cc: Annotated[NamedAddresses | None, Meta(description="Recipients, shown as `Cc`. `null` or absent: none.")] = ()
    bcc: Annotated[
        NamedAddresses | None,
        Meta(description="Recipients, shown only in the Sent copy. `null` or absent: none."),
    ] = ()
    reply_to: Annotated[
        NamedAddresses | None, Meta(description="The addresses for replies. `null` or absent: the author.")
    ] = ()
    subject: Annotated[
        Annotated[Line, Meta(max_length=10_240)] | UnsetType | None,
        Meta(description="The subject. `null` or absent: none.", examples=["Hello"]),
    ] = UNSET
    text: Annotated[
        Annotated[str, Meta(max_length=MAX_TEXT)] | UnsetType | None,
        Meta(
            description="The plain text. `null` or absent: the engine derives it from `html`, if there is any.",
            examples=["Hello from myself!"],
        ),
    ] = UNSET
    html: Annotated[
        Annotated[str, Meta(max_length=MAX_TEXT)] | UnsetType | None,
        Meta(
            description="The HTML. `null` or absent: the message is plain text.", examples=["<p>Hello from myself!</p>"]
        ),
    ] = UNSET
    headers: Annotated[
        dict[HeaderName, Line | int | float | Annotated[tuple[Line, ...], Meta(max_length=MAX_HEADERS)]],
        Meta(
            max_length=MAX_HEADERS,
            description="Additional header fields by name; a list repeats the field. If a message may have the field "
            "only once, the engine merges several values that are lists (addresses, message ids) and refuses all "
            "others. It omits empty values. Absent: none.",
            examples=[{"X-Campaign": "welcome"}],
        ),
    ] = msgspec.field(default_factory=dict)
    message_id: Annotated[
        MessageIdAsked | UnsetType,
        Meta(
            description="The Message-ID, with or without angle brackets; it must contain an `@`. Absent: the engine "
            "creates one.",
            examples=["<1@example.com>"],
        ),
    ] = UNSET
    attachments: Annotated[
        Annotated[tuple[Attachment, ...], Meta(max_length=MAX_ATTACHMENTS)],
        Meta(description="The files to attach. Absent: none."),
    ] = ()
    reference: Annotated[
        Reference | UnsetType, Meta(description="The message that it replies to or forwards. Absent: none.")
    ] = UNSET
    locale: Annotated[
        Line100 | UnsetType,
        Meta(
            description="The language of the line above a quoted message. Absent: that of the account, else English.",
            examples=["de"],
        ),
    ] = UNSET
    tz: Annotated[
        Line100 | UnsetType,
        Meta(
            description="The time zone of the date above a quoted message. Absent: that of the account, else UTC.",
            examples=["Europe/Berlin"],
        ),
    ] = UNSET
    raw: Annotated[
        bytes | UnsetType,
        Meta(
            description="The whole message in base64, instead of `text`, `html` and `attachments`. The other members "
            "of the content replace the header fields of the same name. Absent: the message is composed.",
            examples=["U3ViamVjdDogaGkNCg0KaGk="],
        ),
    ] = UNSET

    def header_fields(self) -> tuple[tuple[str, str], ...]:
        """The additional header fields in the order given, one pair for each line of the header."""
        return tuple(
            (name, str(value))
            for name, given in self.headers.items()
            for value in (given if isinstance(given, tuple) else (given,))
        )


class MergeEntry(Request, frozen=True, kw_only=True):
    """One recipient of a merge, who gets a message of their own."""

    to: Annotated[AddressOrText, Meta(description="The recipient, shown as `To`.")]
    message_id: Annotated[
        MessageIdAsked | UnsetType, Meta(description="The message's Message-ID. Absent: the engine creates one.")
    ] = UNSET
    params: Annotated[
        dict[str, Any],
        Meta(
            description="The parameters with which this recipient's texts are rendered: they are templates "
            "once an entry has any. Absent: none.",
            examples=[{"name": "Jo"}],
        ),
    ] = msgspec.field(default_factory=dict)
    send_at: Annotated[Instant | UnsetType, Meta(description="When to send it. Absent: `sendAt` of the request.")] = (
        UNSET
    )


def beside_raw(get: Callable[[str], Any], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a message given whole: it is empty, or has some of these members beside it."""
    if get("raw") == b"":
        yield "raw", "is not allowed to be empty"
    for name in names:
        if get(name) not in (UNSET, None, ()):
            yield name, "is not allowed beside raw"
    reference = get("reference")
    if isinstance(reference, Reference) and (reference.inline or reference.forward_attachments):
        yield "reference", "can neither quote nor attach anything beside raw"


class Render(Request, frozen=True, kw_only=True):
    """How the texts of a message are rendered."""

    format: Annotated[
        Literal["html", "markdown"],
        Meta(
            description="The format of `html`: `html`, or `markdown` (CommonMark with tables), which becomes HTML. The "
            "format of a stored template takes precedence."
        ),
    ] = "html"
    params: Annotated[
        dict[str, Any],
        Meta(
            description="The values that templates read as `params`: any JSON. Absent: none.",
            examples=[{"name": "Andris", "items": [{"title": "Book", "price": 12.5}]}],
        ),
    ] = msgspec.field(default_factory=dict)
    inline_css: Annotated[
        bool,
        Meta(
            description="Whether to copy the rules of `<style>` into `style` attributes, for mail programs that drop "
            "`<style>`. Linked style sheets are not loaded. Absent: `false`."
        ),
    ] = False


class Submit(Content, frozen=True, kw_only=True):
    """A message to send. It needs at least one recipient, in `to`, `cc`, `bcc` or `envelope.to`, or by `reference`."""

    EXAMPLE = {
        "to": [{"name": "A friend", "address": "friend@sandbox.example"}],
        "subject": "Hello",
        "text": "Hello!",
        "html": "<p>Hello!</p>",
    }

    mail_merge: Annotated[
        Annotated[tuple[MergeEntry, ...], Meta(max_length=MAX_MERGE)] | UnsetType,
        Meta(
            description="Up to 1,000 recipients, each of whom gets a message of their own. Not allowed together with "
            "`to`, `cc`, `bcc`, `envelope`, `raw` or `render`; `messageId` belongs into the entry. If the engine is "
            "killed meanwhile, it queues either all messages or none; an entry that cannot be composed fails by "
            "itself. Absent: one message to all of `to`, `cc` and `bcc`.",
            examples=[[{"to": {"name": "Jo", "address": "jo@sandbox.example"}, "params": {"name": "Jo"}}]],
        ),
    ] = UNSET
    envelope: Annotated[
        Envelope | UnsetType,
        Meta(description="The SMTP envelope. Absent: it follows from the message's own addresses."),
    ] = UNSET
    send_at: SendAt = UNSET
    delivery_attempts: DeliveryAttempts = UNSET
    on_doubt: Annotated[
        OnDoubt | UnsetType,
        Meta(
            description="What to do if the connection breaks after the final dot and nothing shows whether the message "
            "arrived: `resend` sends it again with the same Message-ID, `hold` leaves it in doubt until you decide, "
            "`fail` ends it. Absent: `queue.on_doubt` of config.toml, by default `resend`.",
            examples=["hold"],
        ),
    ] = UNSET
    if_suppressed: Annotated[
        Literal["skip", "fail", "send"] | UnsetType,
        Meta(
            description="What to do if a recipient is suppressed (`GET /v1/suppression`). `skip`: send to the others; "
            "if there are none, nothing is queued. `fail`: queue nothing (422). `send`: send anyway. A recipient who "
            "is suppressed while the message waits is treated alike: with `fail`, nobody else gets it. Absent: `skip`.",
            examples=["skip"],
        ),
    ] = UNSET
    copy: FileCopy = UNSET
    sent_mail_path: CopyPath = UNSET
    proxy: Annotated[
        ProxyUrl | UnsetType,
        Meta(
            description="The proxy through which the message is sent: `socks5://`, `socks4://` or `http://`, with user "
            "and password before `@` if it asks for them. A token for one account may not set it. Absent: that of the "
            "account."
        ),
    ] = UNSET
    local_address: Annotated[
        IpOrNone | UnsetType,
        Meta(description="The IP address of this machine from which the message is sent. Absent: that of the account."),
    ] = UNSET
    dsn: DsnAsked = UNSET
    gateway: Gateway = UNSET
    list_id: Annotated[
        Hostname | UnsetType,
        Meta(
            description="The list to which the message goes: it gets `List-ID`, `List-Unsubscribe` and "
            "`List-Unsubscribe-Post`, and is not sent to a recipient on the blocklist of this name. The message must "
            "have exactly one recipient, and the setting `serviceUrl` a public URL (`docs/lists-and-tracking.md`). Its "
            "texts are templates, which may name `rcpt.unsubscribeUrl`, unless `render` is `false`. "
            "Absent: it goes to no list.",
            examples=["newsletter"],
        ),
    ] = UNSET
    track_opens: Annotated[
        bool | UnsetType,
        Meta(
            description="Whether `trackOpen` reports when the message is opened, by a picture in its HTML. Nothing is "
            "tracked without `baseUrl` or the setting `serviceUrl`, or in a `raw` message that is signed. Absent: the "
            "setting `trackOpens`."
        ),
    ] = UNSET
    track_clicks: Annotated[
        bool | UnsetType,
        Meta(
            description="Whether `trackClick` reports when a link in its HTML is followed: the links then lead through "
            "the engine. Absent: the setting `trackClicks`."
        ),
    ] = UNSET
    tracking_enabled: Annotated[
        bool | UnsetType,
        Meta(
            description="The value of `trackOpens` and `trackClicks` where they are absent. Absent: "
            "the settings decide."
        ),
    ] = UNSET
    base_url: Annotated[
        WebUrl | UnsetType,
        Meta(
            description="The URL at which recipients reach this engine, for the links in this message. Absent: the "
            "setting `serviceUrl`.",
            examples=["https://mail.example.com"],
        ),
    ] = UNSET
    template: Annotated[
        Line256 | UnsetType | None,
        Meta(
            description="The id of a stored template, of the account or of all. Its texts replace `subject`, `text`, "
            "`html` and `previewText`, and are rendered unless `render` is `false`. `null` or absent: none.",
            examples=["AAABnk2VbGgAAAAB"],
        ),
    ] = UNSET
    preview_text: Annotated[
        Annotated[Line, Meta(max_length=1024)] | UnsetType | None,
        Meta(
            description="The preview that mail programs show beside the subject, hidden at the beginning of the HTML. "
            "`null` or absent: none.",
            examples=["Your order is on its way"],
        ),
    ] = UNSET
    render: Annotated[
        Render | Off | UnsetType | None,
        Meta(
            description="Render `subject`, `text`, `html` and `previewText` as Handlebars templates "
            "(`docs/templates.md`). `false`, `null` or absent: take them as they are. The texts of a `template`, and "
            "those for a `listId`, are rendered unless this is `false`."
        ),
    ] = UNSET
    dry_run: Annotated[
        bool, Meta(description="`true`: only compose the message, check it and return it. Absent: `false`.")
    ] = False

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A message needs a recipient; a raw one may name it itself. A fault of one member has its own error."""
        if (entries := get("mail_merge")) is not UNSET:
            if entries == ():
                yield "mailMerge", "must contain at least 1 items"
            for name in ("to", "cc", "bcc", "envelope", "raw", "render"):
                if get(name):
                    yield name, "is not allowed"
            return
        if get("raw") is not UNSET:
            yield from beside_raw(get, ("text", "html", "attachments", "template"))
            return
        if get("to") or get("cc") or get("bcc") or get("reference"):
            return
        envelope = get("envelope")
        if not envelope or (isinstance(envelope, Envelope) and not envelope.to):
            yield "to", "is required"


class SubmitQuery(Request, frozen=True, kw_only=True):
    """Query of `POST /v1/account/{account}/submit`."""

    check: Annotated[
        bool | UnsetType,
        Meta(
            description="`true`: the answer has `checks` of the message, which is sent whatever they say "
            "(`docs/checks.md`). They ask name servers, so the answer may take up to 3 seconds longer. Absent: only a "
            "`dryRun` is checked.",
            examples=[True],
        ),
    ] = UNSET
    use_structured_format: NoDifference = UNSET
    document_store: NoDifference = UNSET


class SubmitHeaders(CommandHeaders, frozen=True, kw_only=True):
    """Request headers of a submission."""

    idempotency_key: Annotated[
        Annotated[str, Meta(max_length=1024)] | None,
        Meta(
            description="Your own name for this submission, at most 1,024 characters; quotes around it are dropped, "
            "and an empty one is a 400. The same request with the same key sends nothing and gets the first answer, "
            "as long as the engine keeps the message's record; another request of the account with that key is a 409. "
            "Dry runs and refused requests are not remembered. Absent: every request is a new submission.",
            examples=["order-4711"],
        ),
    ] = msgspec.field(name="idempotency-key", default=None)
