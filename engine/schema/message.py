"""One message: what is known of it, its text, its files."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import NoDifference, Request, Response, WebUrl
from engine.schema.mail_events import EarlierBounces, EntryText, MailAddress
from engine.schema.messages import MessageEntry

MessageId = Annotated[str, Meta(min_length=1, description="The message's id.", examples=["AAAAAQAAAAE"])]
TextId = Annotated[str, Meta(min_length=1, description="The text's id.", examples=["AAAAAQAAAAGTkaExkJA"])]
AttachmentId = Annotated[str, Meta(min_length=1, description="The attachment's id.", examples=["AAAAAQAAAAIy"])]

_MOST = Annotated[
    Annotated[int, Meta(ge=0, le=1_073_741_824)] | UnsetType,
    Meta(description="The maximum length of each text, in characters. Absent or 0: no limit."),
]
_REMOTE = Annotated[
    Literal["keep", "drop"],
    Meta(
        description="What to do with pictures that are hosted on the web. Loading them tells the sender that the "
        "message was read."
    ),
]
_PROXY = Annotated[
    WebUrl | UnsetType,
    Meta(
        description="A URL to load those pictures through: their own URL is appended, percent-encoded. Absent: none.",
        examples=["https://images.example.com/?url="],
    ),
]


class TextQuery(Request, frozen=True, kw_only=True):
    """How much of a text, and in which form."""

    max_bytes: _MOST = UNSET
    text_type: Annotated[Literal["html", "plain", "*"], Meta(description="The kind of text; `*`: both.")] = "*"
    web_safe_html: Annotated[
        bool, Meta(description="Whether to make the HTML harmless, with the pictures that came with the message in it.")
    ] = False
    remote_images: _REMOTE = "keep"
    image_proxy: _PROXY = UNSET
    document_store: NoDifference = UNSET


class MessageQuery(Request, frozen=True, kw_only=True):
    """How much of a message, and in which form."""

    max_bytes: _MOST = UNSET
    text_type: Annotated[
        Literal["html", "plain", "*"] | UnsetType, Meta(description="The kind of text; `*`: both. Absent: no text.")
    ] = UNSET
    web_safe_html: Annotated[
        bool,
        Meta(description="Short for `textType=*`, `preProcessHtml=true` and `embedAttachedImages=true`."),
    ] = False
    embed_attached_images: Annotated[
        bool, Meta(description="Whether to put the pictures that came with the message into the HTML, as `data:` URLs.")
    ] = False
    pre_process_html: Annotated[
        bool,
        Meta(description="Whether to make the HTML harmless, or to make some from the plain text if there is none."),
    ] = False
    mark_as_seen: Annotated[bool, Meta(description="Whether to mark the message as read.")] = False
    remote_images: _REMOTE = "keep"
    image_proxy: _PROXY = UNSET
    document_store: NoDifference = UNSET


class DetailsText(EntryText, frozen=True, kw_only=True):
    """The text of a message, as far as it was requested."""

    plain: Annotated[str | UnsetType, Meta(description="The plain text.")] = UNSET
    html: Annotated[str | UnsetType, Meta(description="The HTML.")] = UNSET
    has_more: Annotated[bool | UnsetType, Meta(description="Whether the text continues beyond what is here.")] = UNSET
    web_safe: Annotated[bool | UnsetType, Meta(description="`true`: the HTML was made harmless.")] = UNSET


class Protection(Response, frozen=True, kw_only=True):
    """How a message is protected, as its parts say. Signatures are not verified."""

    encrypted: Annotated[
        Literal["pgp", "smime"] | UnsetType, Meta(description="How the message is encrypted. Absent: it is not.")
    ] = UNSET
    signed: Annotated[
        Literal["pgp", "smime"] | UnsetType,
        Meta(description="How the message is signed. Absent: it is not.", examples=["smime"]),
    ] = UNSET


class MessageDetails(MessageEntry, frozen=True, kw_only=True):
    """A message. Members that would be empty or `false` are absent."""

    EXAMPLE = {
        **(MessageEntry.EXAMPLE or {}),
        "path": "INBOX",
        "sender": {"name": "Alice", "address": "alice@example.org"},
        "headers": {"from": ["Alice <alice@example.org>"], "subject": ["Hello"]},
        "text": {
            "id": "AAAAAQAAAAGTkaExkJA",
            "encodedSize": {"plain": 10},
            "plain": "plain body",
            "hasMore": False,
        },
        "specialUse": "\\Inbox",
        "messageSpecialUse": "\\Inbox",
    }

    path: Annotated[str, Meta(description="The path of the folder.", examples=["INBOX"])]
    sender: Annotated[MailAddress | UnsetType, Meta(description="The Sender field.")] = UNSET
    bcc: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The Bcc field.")] = UNSET
    headers: Annotated[
        dict[str, tuple[str, ...]],
        Meta(description="The header fields by name in lower case, each with all its values."),
    ]
    text: Annotated[DetailsText, Meta(description="The text, as far as it was requested.")]
    bounces: EarlierBounces = UNSET
    protection: Annotated[
        Protection | UnsetType, Meta(description="How the message is encrypted or signed. Absent: it is neither.")
    ] = UNSET
    is_auto_reply: Annotated[bool | UnsetType, Meta(description="`true`: the message is an automatic reply.")] = UNSET
    special_use: Annotated[
        str | UnsetType, Meta(description="What the folder is used for. Absent: nothing special.")
    ] = UNSET
    message_special_use: Annotated[
        str | UnsetType,
        Meta(description="The special use of the message: that of its folder or, at Gmail, of its labels."),
    ] = UNSET


class TextShown(Response, frozen=True, kw_only=True):
    """The text of a message."""

    plain: Annotated[str | UnsetType, Meta(description="The plain text.", examples=["plain body"])] = UNSET
    html: Annotated[str | UnsetType, Meta(description="The HTML.", examples=["<p>html body</p>"])] = UNSET
    has_more: Annotated[bool, Meta(description="Whether the text continues beyond what is here.", examples=[False])]
    web_safe: Annotated[bool | UnsetType, Meta(description="`true`: the HTML was made harmless.")] = UNSET
