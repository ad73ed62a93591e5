"""One message: what is known of it, its text, its files."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import NoDifference, Request, Response, WebUrl
from engine.schema.mail_events import MailAddress
from engine.schema.messages import EntryText, MessageEntry

MessageId = Annotated[str, Meta(min_length=1, description="The message's id.", examples=["AAAAAQAAAAE"])]
TextId = Annotated[str, Meta(min_length=1, description="The text's id.", examples=["AAAAAQAAAAGTkaExkJA"])]
AttachmentId = Annotated[str, Meta(min_length=1, description="The attachment's id.", examples=["AAAAAQAAAAIy"])]

_MOST = Annotated[
    Annotated[int, Meta(ge=0, le=1_073_741_824)] | UnsetType,
    Meta(description="Characters of each text. Absent or 0: all of it."),
]
_REMOTE = Annotated[
    Literal["keep", "drop"],
    Meta(description="What becomes of pictures elsewhere on the web; to fetch them tells the sender that it was read."),
]
_PROXY = Annotated[
    WebUrl | UnsetType,
    Meta(
        description="An address with which those pictures are fetched instead: their own is put behind it, "
        "percent-encoded.",
        examples=["https://images.example.com/?url="],
    ),
]


class TextQuery(Request, frozen=True, kw_only=True):
    """Query of a text."""

    max_bytes: _MOST = UNSET
    text_type: Annotated[Literal["html", "plain", "*"], Meta(description="Which text; `*`: both.")] = "*"
    web_safe_html: Annotated[bool, Meta(description="Make the HTML harmless.")] = False
    remote_images: _REMOTE = "keep"
    image_proxy: _PROXY = UNSET
    document_store: NoDifference = UNSET


class MessageQuery(Request, frozen=True, kw_only=True):
    """Query of a message."""

    max_bytes: _MOST = UNSET
    text_type: Annotated[
        Literal["html", "plain", "*"] | UnsetType, Meta(description="Which text; `*`: both. Absent: none.")
    ] = UNSET
    web_safe_html: Annotated[
        bool, Meta(description="Both texts, the HTML made harmless and with the pictures that were sent along.")
    ] = False
    embed_attached_images: Annotated[bool, Meta(description="Put the pictures that were sent along into the HTML.")] = (
        False
    )
    pre_process_html: Annotated[
        bool, Meta(description="Make the HTML harmless; made of the plain text if it has none.")
    ] = False
    mark_as_seen: Annotated[bool, Meta(description="Mark it as read.")] = False
    remote_images: _REMOTE = "keep"
    image_proxy: _PROXY = UNSET
    document_store: NoDifference = UNSET


class DetailsText(EntryText, frozen=True, kw_only=True):
    """The text of a message, with what was asked for of it."""

    plain: Annotated[str | UnsetType, Meta(description="Plain text, if asked for.")] = UNSET
    html: Annotated[str | UnsetType, Meta(description="HTML, if asked for.")] = UNSET
    has_more: Annotated[bool | UnsetType, Meta(description="Whether it goes on behind what is here.")] = UNSET
    web_safe: Annotated[bool | UnsetType, Meta(description="`true`: the HTML was made harmless.")] = UNSET


class Protection(Response, frozen=True, kw_only=True):
    """By what a message is protected, as its parts say; whether a signature is good is not looked into."""

    encrypted: Annotated[Literal["pgp", "smime"] | UnsetType, Meta(description="What it is encrypted with.")] = UNSET
    signed: Annotated[Literal["pgp", "smime"] | UnsetType, Meta(description="What it is signed with.")] = UNSET


class MessageDetails(MessageEntry, frozen=True, kw_only=True):
    """A message. What would be empty, or false, is absent."""

    path: Annotated[str, Meta(description="The folder's path.", examples=["INBOX"])]
    sender: Annotated[MailAddress | UnsetType, Meta(description="The Sender field.")] = UNSET
    bcc: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The Bcc field.")] = UNSET
    headers: Annotated[
        dict[str, tuple[str, ...]], Meta(description="Its header fields by lower-case name, each with all its values.")
    ]
    text: Annotated[DetailsText, Meta(description="Its text.")]
    protection: Annotated[Protection | UnsetType, Meta(description="By what it is encrypted or signed.")] = UNSET
    is_auto_reply: Annotated[bool | UnsetType, Meta(description="`true`: nobody wrote it.")] = UNSET
    special_use: Annotated[str | UnsetType, Meta(description="What the folder is used for.")] = UNSET
    message_special_use: Annotated[str | UnsetType, Meta(description="What the message is for.")] = UNSET


class TextShown(Response, frozen=True, kw_only=True):
    """The text of a message."""

    plain: Annotated[str | UnsetType, Meta(description="Plain text.")] = UNSET
    html: Annotated[str | UnsetType, Meta(description="HTML.")] = UNSET
    has_more: Annotated[bool, Meta(description="Whether it goes on behind what is here.")]
    web_safe: Annotated[bool | UnsetType, Meta(description="`true`: the HTML was made harmless.")] = UNSET
