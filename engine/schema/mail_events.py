"""Events about what happens in an account's folders: the shape of their `data`. Flags that are false are left out."""

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
_SOURCE = Annotated[
    Literal["api"] | UnsetType, Meta(description="What made the change. Absent: something else than this API.")
]
_FLAG = Annotated[bool | UnsetType, Meta(description="`true`, or absent.")]


BounceCategory = Literal[
    "auth_failure",
    "domain_blacklisted",
    "geo_blocked",
    "greylisting",
    "invalid_address",
    "ip_blacklisted",
    "mailbox_disabled",
    "mailbox_full",
    "policy_blocked",
    "rate_limited",
    "relay_denied",
    "server_error",
    "spam_blocked",
    "unknown",
    "user_unknown",
    "virus_detected",
]


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
    encoded_in_message: Annotated[bool, Meta(description="Whether it is part of a message that is attached itself.")]
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


class RecipientReport(Response, frozen=True, kw_only=True):
    """What a report says of one recipient."""

    recipient: Annotated[str, Meta(description="The address.", examples=["b@example.org"])]
    action: Annotated[str | UnsetType, Meta(description="What became of it.", examples=["delayed"])] = UNSET
    status: Annotated[str | UnsetType, Meta(description="Enhanced status code.", examples=["4.4.1"])] = UNSET
    mta: Annotated[str | UnsetType, Meta(description="The server it concerns.")] = UNSET


class MessageNew(Response, frozen=True, kw_only=True):
    """`messageNew`: a message is new in a folder."""

    id: _ID
    uid: _UID
    path: _PATH
    email_id: Annotated[str | UnsetType, Meta(description="The server's own id that stays after a move.")] = UNSET
    thread_id: Annotated[str | UnsetType, Meta(description="The server's id of the conversation.")] = UNSET
    date: Annotated[
        When | UnsetType, Meta(description="Its Date field; where that makes none, when it came into the folder.")
    ] = UNSET
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
    is_bounce: Annotated[bool | UnsetType, Meta(description="`true`: it says that a message failed.")] = UNSET
    is_complaint: Annotated[bool | UnsetType, Meta(description="`true`: somebody called a message unwanted.")] = UNSET
    related_message_id: Annotated[str | UnsetType, Meta(description="The Message-ID it reports on.")] = UNSET
    delivery_report: Annotated[
        tuple[RecipientReport, ...] | UnsetType, Meta(description="Recipients it reports on without a failure.")
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
    source: _SOURCE = UNSET


class MailboxDeleted(Response, frozen=True, kw_only=True):
    """`mailboxDeleted`: a folder is gone, with its messages, or has another path: then `mailboxNew` follows."""

    path: _PATH
    name: _NAME
    special_use: _MAILBOX_USE
    source: _SOURCE = UNSET


class MailboxReset(Response, frozen=True, kw_only=True):
    """`mailboxReset`: the server numbered a folder anew, so every message id in it is void. Read it again."""

    path: _PATH
    name: _NAME
    special_use: _MAILBOX_USE
    uid_validity: _VALIDITY
    prev_uid_validity: Annotated[str | bool, Meta(description="The one before. `false`: not known.")]
    reason: Annotated[Literal["uidValidityChange"], Meta(description="Why.")]


class BounceResponse(Response, frozen=True, kw_only=True):
    """Why a message bounced."""

    source: Annotated[str, Meta(description="Whose words `message` are: `smtp`, `dsn`, `text`.", examples=["smtp"])]
    message: Annotated[str | UnsetType, Meta(description="What the server said.")] = UNSET
    status: Annotated[str | UnsetType, Meta(description="Enhanced status code.", examples=["5.1.1"])] = UNSET
    category: Annotated[BounceCategory, Meta(description="The reason in one word.", examples=["user_unknown"])]
    recommended_action: Annotated[
        Literal["remove", "retry", "retry_different_ip", "fix_configuration", "remove_content", "review"],
        Meta(description="What to do about it.", examples=["remove"]),
    ]


class MessageBounce(Response, frozen=True, kw_only=True):
    """`messageBounce`: a message came back for one recipient. Follows the bounce's own `messageNew`."""

    bounce_message: _ID
    recipient: Annotated[str, Meta(description="Who did not get it.", examples=["b@example.org"])]
    original_recipient: Annotated[
        str | UnsetType, Meta(description="The address it was sent to, where the server tells of another.")
    ] = UNSET
    action: Annotated[str, Meta(description="Always `failed`.")]
    bounce_type: Annotated[
        Literal["hard", "soft"],
        Meta(description="`hard`: the server says it fails for good. `soft`: it may work later.", examples=["hard"]),
    ]
    source: Annotated[
        Literal["dsn", "text"],
        Meta(description="Read in a part for machines (RFC 3464), or in the text of the notice.", examples=["dsn"]),
    ]
    response: Annotated[BounceResponse, Meta(description="Why.")]
    mta: Annotated[str | UnsetType, Meta(description="The server that refused it.")] = UNSET
    queue_id: Annotated[str | UnsetType, Meta(description="The message's id in the outbox, if it is known.")] = UNSET
    message_id: Annotated[str | UnsetType, Meta(description="The message's Message-ID, if it was told.")] = UNSET
    message_headers: Annotated[
        dict[str, tuple[str, ...]] | UnsetType, Meta(description="The message's header, if it was told.")
    ] = UNSET


class Feedback(Response, frozen=True, kw_only=True):
    """What a feedback report says (RFC 5965)."""

    feedback_type: Annotated[str | UnsetType, Meta(description="What kind.", examples=["abuse"])] = UNSET
    original_mail_from: Annotated[str | UnsetType, Meta(description="Envelope sender.")] = UNSET
    original_rcpt_to: Annotated[tuple[str, ...], Meta(description="Envelope recipients.")]
    source_ip: Annotated[str | UnsetType, Meta(description="Where the message came from.")] = UNSET
    arrival_date: Annotated[str | UnsetType, Meta(description="When it came.")] = UNSET
    user_agent: Annotated[str | UnsetType, Meta(description="What made the report.")] = UNSET
    version: Annotated[str | UnsetType, Meta(description="Of the format.")] = UNSET
    reporting_mta: Annotated[str | UnsetType, Meta(description="Who reports.")] = UNSET


class ComplaintHeaders(Response, frozen=True, kw_only=True):
    """The header of the message complained of."""

    message_id: Annotated[str | UnsetType, Meta(description="Its Message-ID.")] = UNSET
    author: Annotated[str | UnsetType, Meta(description="Its From field.")] = msgspec.field(name="from", default=UNSET)
    to: Annotated[tuple[str, ...] | UnsetType, Meta(description="Its To fields.")] = UNSET
    cc: Annotated[tuple[str, ...] | UnsetType, Meta(description="Its Cc fields.")] = UNSET
    subject: Annotated[str | UnsetType, Meta(description="Its subject.")] = UNSET
    date: Annotated[str | UnsetType, Meta(description="Its Date field.")] = UNSET


class MessageComplaint(Response, frozen=True, kw_only=True):
    """`messageComplaint`: somebody called a message unwanted. Follows the report's own `messageNew`."""

    complaint_message: _ID
    arf: Annotated[Feedback, Meta(description="The report.")]
    headers: Annotated[ComplaintHeaders, Meta(description="The message complained of.")]
    queue_id: Annotated[str | UnsetType, Meta(description="The message's id in the outbox, if it is known.")] = UNSET


MAIL_EVENT_DATA: dict[str, type[Response]] = {
    "messageNew": MessageNew,
    "messageUpdated": MessageUpdated,
    "messageDeleted": MessageDeleted,
    "messageMissing": MessageMissing,
    "mailboxNew": MailboxNew,
    "mailboxDeleted": MailboxDeleted,
    "mailboxReset": MailboxReset,
    "messageBounce": MessageBounce,
    "messageComplaint": MessageComplaint,
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
    "messageBounce",
    "messageComplaint",
]
