"""Events about what happens in a mailbox: the shape of their `data`. Flags that are false are left out."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Response, When

_ID = Annotated[str, Meta(description="The message's id. Another one after a move.", examples=["AAAAAQAAAAE"])]
_UID = Annotated[int, Meta(description="Its UID in the folder.", examples=[17])]
_PATH = Annotated[str, Meta(description="The folder's path.", examples=["INBOX"])]
_USE = Annotated[
    str | UnsetType, Meta(description="What the folder is used for. Absent: nothing special.", examples=["\\Inbox"])
]
_MAILBOX_USE = Annotated[
    str | bool, Meta(description="What it is used for. `false`: nothing special.", examples=["\\Sent"])
]
_NAME = Annotated[str, Meta(description="The last level of the path.", examples=["INBOX"])]
_VALIDITY = Annotated[str, Meta(description="The UIDVALIDITY now.", examples=["1795347926"])]
_FLAG = Annotated[bool | UnsetType, Meta(description="`true`, or absent.")]


class MailAddress(Response, frozen=True, kw_only=True):
    """One address of a header."""

    name: Annotated[str, Meta(description="Display name; may be empty.", examples=["Alice"])]
    address: Annotated[str, Meta(description="The address as it stands in the header.", examples=["a@example.org"])]


class MessageAttachment(Response, frozen=True, kw_only=True):
    """One attached file."""

    id: Annotated[str, Meta(description="Its id.", examples=["AAAAAQAAAAIy"])]
    content_type: Annotated[str, Meta(description="Its media type.", examples=["application/pdf"])]
    encoded_size: Annotated[int, Meta(description="Octets as it stands in the message.")]
    embedded: Annotated[bool, Meta(description="Whether it belongs to the HTML text.")]
    inline: Annotated[bool, Meta(description="Whether it is to be shown in the text.")]
    content_id: Annotated[str | UnsetType, Meta(description="Its Content-ID.")] = UNSET
    filename: Annotated[str | UnsetType, Meta(description="Its name.", examples=["a.pdf"])] = UNSET
    method: Annotated[str | UnsetType, Meta(description="Method of a calendar entry.", examples=["REQUEST"])] = UNSET


class EncodedSize(Response, frozen=True, kw_only=True):
    """Size of the texts in octets, as they stand in the message."""

    plain: Annotated[int | UnsetType, Meta(description="Of the plain text.")] = UNSET
    html: Annotated[int | UnsetType, Meta(description="Of the HTML.")] = UNSET


class MessageText(Response, frozen=True, kw_only=True):
    """The text of a message."""

    id: Annotated[str, Meta(description="Its id.", examples=["AAAAAQAAAAGTkaExkJA"])]
    encoded_size: Annotated[EncodedSize, Meta(description="How large it is.")]
    plain: Annotated[str | UnsetType, Meta(description="Plain text, with the setting `notifyText`.")] = UNSET
    html: Annotated[str | UnsetType, Meta(description="HTML, with the setting `notifyText`.")] = UNSET
    has_more: Annotated[bool | UnsetType, Meta(description="`true`: cut at `notifyTextSize`.")] = UNSET


class MessageNew(Response, frozen=True, kw_only=True):
    """`messageNew`: a message is new in a folder."""

    id: _ID
    uid: _UID
    path: _PATH
    email_id: Annotated[str | UnsetType, Meta(description="The server's own id that stays after a move.")] = UNSET
    thread_id: Annotated[str | UnsetType, Meta(description="The server's id of the conversation.")] = UNSET
    date: Annotated[When | UnsetType, Meta(description="When it came into the mailbox.")] = UNSET
    flags: Annotated[tuple[str, ...], Meta(description="Its flags.", examples=[["\\Seen"]])]
    labels: Annotated[tuple[str, ...] | UnsetType, Meta(description="Gmail's labels.")] = UNSET
    unseen: _FLAG = UNSET
    flagged: _FLAG = UNSET
    answered: _FLAG = UNSET
    draft: _FLAG = UNSET
    size: Annotated[int | UnsetType, Meta(description="Octets.", examples=[1086])] = UNSET
    subject: Annotated[str, Meta(description="Its subject; may be empty.")]
    sender: Annotated[MailAddress | UnsetType, Meta(description="The Sender field.")] = UNSET
    author: Annotated[MailAddress | UnsetType, Meta(description="The From field.")] = msgspec.field(
        name="from", default=UNSET
    )
    reply_to: Annotated[tuple[MailAddress, ...], Meta(description="Where answers go.")] = ()
    to: Annotated[tuple[MailAddress, ...], Meta(description="The To field.")] = ()
    cc: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The Cc field.")] = UNSET
    bcc: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The Bcc field.")] = UNSET
    message_id: Annotated[str | UnsetType, Meta(description="Its Message-ID.", examples=["<1@example.org>"])] = UNSET
    in_reply_to: Annotated[str | UnsetType, Meta(description="The Message-ID it answers.")] = UNSET
    attachments: Annotated[tuple[MessageAttachment, ...] | UnsetType, Meta(description="Attached files.")] = UNSET
    text: Annotated[MessageText, Meta(description="Its text.")]
    headers: Annotated[
        dict[str, tuple[str, ...]] | UnsetType,
        Meta(description="Header fields by lower-case name, with the setting `notifyHeaders`."),
    ] = UNSET
    is_auto_reply: Annotated[bool | UnsetType, Meta(description="`true`: nobody wrote it.")] = UNSET
    special_use: _USE = UNSET
    message_special_use: _USE = UNSET
    seems_like_new: Annotated[bool, Meta(description="`false`: read before, or in a folder for old mail.")]


class FlagChanges(Response, frozen=True, kw_only=True):
    """What became of a message's flags."""

    added: Annotated[tuple[str, ...] | UnsetType, Meta(description="Flags set.", examples=[["\\Seen"]])] = UNSET
    deleted: Annotated[tuple[str, ...] | UnsetType, Meta(description="Flags taken away.")] = UNSET
    value: Annotated[tuple[str, ...], Meta(description="All flags now.")]


class MessageChanges(Response, frozen=True, kw_only=True):
    """What became of a message."""

    flags: Annotated[FlagChanges, Meta(description="Its flags.")]


class MessageUpdated(Response, frozen=True, kw_only=True):
    """`messageUpdated`: a message's flags changed."""

    id: _ID
    uid: _UID
    path: _PATH
    special_use: _USE = UNSET
    changes: Annotated[MessageChanges, Meta(description="What changed.")]


class MessageDeleted(Response, frozen=True, kw_only=True):
    """`messageDeleted`: a message is not in its folder any more: removed, or moved elsewhere."""

    id: _ID
    uid: _UID
    path: _PATH
    special_use: _USE = UNSET


class MessageMissing(Response, frozen=True, kw_only=True):
    """`messageMissing`: the server named a message but would not show it."""

    id: _ID
    uid: _UID
    path: _PATH
    missing_retries: Annotated[int, Meta(description="How often it was asked for again.")]
    missing_delay: Annotated[int, Meta(description="Milliseconds that took.")]


class MailboxNew(Response, frozen=True, kw_only=True):
    """`mailboxNew`: a folder appeared. Those there at the first look raise none."""

    path: _PATH
    name: _NAME
    special_use: _MAILBOX_USE
    uid_validity: Annotated[str | UnsetType, Meta(description="Its UIDVALIDITY.")] = UNSET


class MailboxDeleted(Response, frozen=True, kw_only=True):
    """`mailboxDeleted`: a folder is gone, with its messages."""

    path: _PATH
    name: _NAME
    special_use: _MAILBOX_USE


class MailboxReset(Response, frozen=True, kw_only=True):
    """`mailboxReset`: the server numbered a folder anew, so every message id in it is void. Read it again."""

    path: _PATH
    name: _NAME
    special_use: _MAILBOX_USE
    uid_validity: _VALIDITY
    prev_uid_validity: Annotated[str | bool, Meta(description="The one before. `false`: not known.")]
    reason: Annotated[Literal["uidValidityChange"], Meta(description="Why.")]


MAIL_EVENT_DATA: dict[str, type[Response]] = {
    "messageNew": MessageNew,
    "messageUpdated": MessageUpdated,
    "messageDeleted": MessageDeleted,
    "messageMissing": MessageMissing,
    "mailboxNew": MailboxNew,
    "mailboxDeleted": MailboxDeleted,
    "mailboxReset": MailboxReset,
}
"""The shape of `data` by event name."""

MailEventName = Literal[
    "messageNew",
    "messageUpdated",
    "messageDeleted",
    "messageMissing",
    "mailboxNew",
    "mailboxDeleted",
    "mailboxReset",
]
