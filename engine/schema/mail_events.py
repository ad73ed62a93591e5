"""Events about what happens in an account's folders: the shape of their `data`. False flags are left out."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.explain import Explain
from engine.schema.fields import OfSandbox, Response, When

_ID = Annotated[str, Meta(description="The message's id. It changes when the message moves.", examples=["AAAAAQAAAAE"])]
_UID = Annotated[int, Meta(description="The message's UID in the folder.", examples=[17])]
_PATH = Annotated[str, Meta(description="The folder's path.", examples=["INBOX"])]
_USE = Annotated[
    str | UnsetType, Meta(description="What the folder is used for. Absent: nothing special.", examples=["\\Inbox"])
]
_MAILBOX_USE = Annotated[
    str | bool, Meta(description="What the folder is used for. `false`: nothing special.", examples=["\\Sent"])
]
_NAME = Annotated[str, Meta(description="The last level of the path.", examples=["INBOX"])]
_VALIDITY = Annotated[str, Meta(description="The folder's new UIDVALIDITY.", examples=["1795347926"])]
_SOURCE = Annotated[
    Literal["api"] | UnsetType, Meta(description="`api`: the change was made through this API. Absent: anything else.")
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

    name: Annotated[str, Meta(description="The display name; may be empty.", examples=["Alice"])]
    address: Annotated[str, Meta(description="The address as it stands in the header.", examples=["a@example.org"])]


class MessageAttachment(Response, frozen=True, kw_only=True):
    """One attached file."""

    id: Annotated[str, Meta(description="The attachment's id.", examples=["AAAAAQAAAAIy"])]
    content_type: Annotated[str, Meta(description="The media type.", examples=["application/pdf"])]
    encoded_size: Annotated[int, Meta(description="The size in bytes, as encoded in the message.")]
    embedded: Annotated[bool, Meta(description="Whether it is part of the HTML text.")]
    inline: Annotated[bool, Meta(description="Whether it is meant to be shown in the text.")]
    encoded_in_message: Annotated[
        bool, Meta(description="Whether it belongs to a message that is itself attached to this one.")
    ]
    content_id: Annotated[str | UnsetType, Meta(description="The Content-ID.")] = UNSET
    filename: Annotated[str | UnsetType, Meta(description="The file name.", examples=["a.pdf"])] = UNSET
    method: Annotated[str | UnsetType, Meta(description="The method of a calendar entry.", examples=["REQUEST"])] = (
        UNSET
    )


class NewAttachment(MessageAttachment, frozen=True, kw_only=True):
    """One attached file of a new message."""

    content: Annotated[
        str | UnsetType,
        Meta(
            description="The content in base64, if the setting `notifyAttachments` is on and the event has room.",
            examples=["aGVsbG8="],
        ),
    ] = UNSET


class Invitation(Response, frozen=True, kw_only=True):
    """One event of an invitation (RFC 5545). What it does not say is absent."""

    event_id: Annotated[str | UnsetType, Meta(description="The event's UID, the same in every change of it.")] = UNSET
    attachment: Annotated[str | UnsetType, Meta(description="The id of the attachment that contains it.")] = UNSET
    method: Annotated[
        str | UnsetType, Meta(description="The method: `REQUEST`, `CANCEL`, `REPLY` ...", examples=["REQUEST"])
    ] = UNSET
    summary: Annotated[str | UnsetType, Meta(description="Its title.")] = UNSET
    description: Annotated[str | UnsetType, Meta(description="More about it.")] = UNSET
    timezone: Annotated[
        str | UnsetType, Meta(description="The time zone of its times.", examples=["Europe/Tallinn"])
    ] = UNSET
    start_date: Annotated[
        str | UnsetType,
        Meta(
            description="When it begins, in UTC; a day, or a time without `Z` if its zone is unknown.",
            examples=["2026-11-22T11:00:00.000Z"],
        ),
    ] = UNSET
    end_date: Annotated[str | UnsetType, Meta(description="When it ends, in the same form.")] = UNSET
    organizer: Annotated[str | UnsetType, Meta(description="The organizer's address.")] = UNSET
    filename: Annotated[str | UnsetType, Meta(description="The file name.", examples=["invite.ics"])] = UNSET
    content_type: Annotated[str, Meta(description="The media type.", examples=["text/calendar"])]
    encoding: Annotated[str | UnsetType, Meta(description="`base64`. Absent: there is no `content`.")] = UNSET
    content: Annotated[
        str | UnsetType, Meta(description="The whole calendar object. Absent: it does not fit into the event.")
    ] = UNSET


class EncodedSize(Response, frozen=True, kw_only=True):
    """The sizes of the texts in bytes, as encoded in the message."""

    plain: Annotated[int | UnsetType, Meta(description="The size of the plain text.")] = UNSET
    html: Annotated[int | UnsetType, Meta(description="The size of the HTML.")] = UNSET


class EntryText(Response, frozen=True, kw_only=True):
    """The text of a message, without its content."""

    id: Annotated[str, Meta(description="The text's id.", examples=["AAAAAQAAAAGTkaExkJA"])]
    encoded_size: Annotated[
        EncodedSize,
        Meta(description="The size of each kind of text, as encoded in the message.", examples=[{"plain": 10}]),
    ]


class MessageText(EntryText, frozen=True, kw_only=True):
    """The text of a message."""

    plain: Annotated[str | UnsetType, Meta(description="The plain text, if the setting `notifyText` is on.")] = UNSET
    html: Annotated[str | UnsetType, Meta(description="The HTML, if the setting `notifyText` is on.")] = UNSET
    has_more: Annotated[bool | UnsetType, Meta(description="`true`: a text is cut at `notifyTextSize`.")] = UNSET
    web_safe: Annotated[
        bool | UnsetType, Meta(description="`true`: the HTML is harmless, if the setting `notifyWebSafeHtml` is on.")
    ] = UNSET


class RecipientReport(Response, frozen=True, kw_only=True):
    """What a delivery report says about one recipient."""

    recipient: Annotated[str, Meta(description="The recipient's address.", examples=["b@example.org"])]
    action: Annotated[str | UnsetType, Meta(description="What happened to the message.", examples=["delayed"])] = UNSET
    status: Annotated[str | UnsetType, Meta(description="The enhanced status code.", examples=["4.4.1"])] = UNSET
    mta: Annotated[str | UnsetType, Meta(description="The server that the report is about.")] = UNSET


class BounceTold(Response, frozen=True, kw_only=True):
    """Why a message came back, in a few words."""

    message: Annotated[str | UnsetType, Meta(description="What the server said.")] = UNSET
    status: Annotated[str | UnsetType, Meta(description="The enhanced status code.", examples=["5.1.1"])] = UNSET


class EarlierBounce(Response, frozen=True, kw_only=True):
    """A bounce of a message for one recipient."""

    message: Annotated[str, Meta(description="The id of the bounce.", examples=["AAAAAQAAAAM"])]
    recipient: Annotated[str, Meta(description="The recipient's address.", examples=["b@example.org"])]
    action: Annotated[str, Meta(description="What happened to the message.", examples=["failed"])]
    response: Annotated[BounceTold, Meta(description="Why.")]
    date: Annotated[When, Meta(description="When the engine read the bounce.")]


EarlierBounces = Annotated[
    tuple[EarlierBounce, ...] | UnsetType,
    Meta(description="Its bounces so far, if the engine sent it. Absent: none."),
]


class MessageFacts(Response, frozen=True, kw_only=True):
    """The facts about a message that events and the API share. Members that would be empty or `false` are absent."""

    id: _ID
    uid: _UID
    path: Annotated[
        str | UnsetType, Meta(description="The path of the folder, where several folders were searched.")
    ] = UNSET
    email_id: Annotated[
        str | UnsetType, Meta(description="The server's own id for the message, which survives a move.")
    ] = UNSET
    thread_id: Annotated[str | UnsetType, Meta(description="The server's id for the conversation.")] = UNSET
    date: Annotated[
        When | UnsetType, Meta(description="The Date field; where it holds no date, when the message arrived.")
    ] = UNSET
    flags: Annotated[tuple[str, ...], Meta(description="The message's flags.", examples=[["\\Seen"]])]
    labels: Annotated[tuple[str, ...] | UnsetType, Meta(description="Gmail's labels.")] = UNSET
    unseen: _FLAG = UNSET
    flagged: _FLAG = UNSET
    answered: _FLAG = UNSET
    draft: _FLAG = UNSET
    size: Annotated[int | UnsetType, Meta(description="The size in bytes.", examples=[1086])] = UNSET
    subject: Annotated[str | UnsetType, Meta(description="The subject.")] = UNSET
    author: Annotated[MailAddress | UnsetType, Meta(description="The From field.")] = msgspec.field(
        name="from", default=UNSET
    )
    reply_to: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The addresses for replies.")] = UNSET
    to: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The To field.")] = UNSET
    cc: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The Cc field.")] = UNSET
    message_id: Annotated[str | UnsetType, Meta(description="The Message-ID.", examples=["<1@example.org>"])] = UNSET
    in_reply_to: Annotated[str | UnsetType, Meta(description="The Message-ID of the message it answers.")] = UNSET
    attachments: Annotated[tuple[MessageAttachment, ...] | UnsetType, Meta(description="The attached files.")] = UNSET


class MessageNew(MessageFacts, frozen=True, kw_only=True):
    """`messageNew`: a folder has a new message."""

    path: _PATH
    subject: Annotated[str, Meta(description="The subject; may be empty.")]
    reply_to: Annotated[
        tuple[MailAddress, ...], Meta(description="The Reply-To field, or the From field without one.")
    ] = ()
    to: Annotated[tuple[MailAddress, ...], Meta(description="The To field.")] = ()
    sender: Annotated[MailAddress | UnsetType, Meta(description="The Sender field.")] = UNSET
    bcc: Annotated[tuple[MailAddress, ...] | UnsetType, Meta(description="The Bcc field.")] = UNSET
    attachments: Annotated[tuple[NewAttachment, ...] | UnsetType, Meta(description="The attached files.")] = UNSET
    text: Annotated[MessageText, Meta(description="The text of the message.")]
    calendar_events: Annotated[
        tuple[Invitation, ...] | UnsetType,
        Meta(description="The invitations in it, if the setting `notifyCalendarEvents` is on."),
    ] = UNSET
    category: Annotated[
        Literal["primary", "social", "promotions", "updates", "forums"] | UnsetType,
        Meta(description="The tab of Gmail's inbox, if the setting `resolveGmailCategories` is on."),
    ] = UNSET
    headers: Annotated[
        dict[str, tuple[str, ...]] | UnsetType,
        Meta(description="The header fields that the setting `notifyHeaders` names, by lower-case name."),
    ] = UNSET
    bounces: EarlierBounces = UNSET
    is_bounce: Annotated[bool | UnsetType, Meta(description="`true`: it reports that a message was not delivered.")] = (
        UNSET
    )
    is_complaint: Annotated[
        bool | UnsetType, Meta(description="`true`: it reports that a recipient marked a message as unwanted.")
    ] = UNSET
    related_message_id: Annotated[str | UnsetType, Meta(description="The Message-ID of the message it reports on.")] = (
        UNSET
    )
    delivery_report: Annotated[
        tuple[RecipientReport, ...] | UnsetType, Meta(description="What it reports on recipients without a failure.")
    ] = UNSET
    is_auto_reply: Annotated[bool | UnsetType, Meta(description="`true`: it is an automatic reply.")] = UNSET
    special_use: _USE = UNSET
    message_special_use: _USE = UNSET
    seems_like_new: Annotated[
        bool, Meta(description="`false`: it has been read, is a draft, or is in Sent, Drafts, Trash or Archive.")
    ]
    source: _SOURCE = UNSET


class FlagChanges(Response, frozen=True, kw_only=True):
    """How a message's flags changed."""

    added: Annotated[
        tuple[str, ...] | UnsetType, Meta(description="The flags that were set.", examples=[["\\Seen"]])
    ] = UNSET
    deleted: Annotated[tuple[str, ...] | UnsetType, Meta(description="The flags that were removed.")] = UNSET
    value: Annotated[tuple[str, ...], Meta(description="All flags the message has now.")]


class MessageChanges(Response, frozen=True, kw_only=True):
    """How a message changed."""

    flags: Annotated[FlagChanges, Meta(description="How its flags changed.")]


class MessageUpdated(Response, frozen=True, kw_only=True):
    """`messageUpdated`: a message's flags changed."""

    id: _ID
    uid: _UID
    path: _PATH
    special_use: _USE = UNSET
    changes: Annotated[MessageChanges, Meta(description="What changed.")]
    source: _SOURCE = UNSET


class MessageDeleted(Response, frozen=True, kw_only=True):
    """`messageDeleted`: a message has left its folder: it was removed, or moved to another folder."""

    id: _ID
    uid: _UID
    path: _PATH
    special_use: _USE = UNSET
    source: _SOURCE = UNSET


class MessageMissing(Response, frozen=True, kw_only=True):
    """`messageMissing`: the server announced a message but never returned it."""

    id: _ID
    uid: _UID
    path: _PATH
    missing_retries: Annotated[int, Meta(description="How often the engine asked again.")]
    missing_delay: Annotated[int, Meta(description="How long it asked, in milliseconds.")]


class MailboxNew(Response, frozen=True, kw_only=True):
    """`mailboxNew`: there is a new folder; the first sync of an account reports all of its folders."""

    path: _PATH
    name: _NAME
    special_use: _MAILBOX_USE
    uid_validity: Annotated[str | UnsetType, Meta(description="The folder's UIDVALIDITY.")] = UNSET
    renamed_from: Annotated[
        str | UnsetType,
        Meta(
            description="The path that the folder had: its messages are not new, and keep their ids unless a "
            "`mailboxReset` follows. Absent: none."
        ),
    ] = UNSET
    source: _SOURCE = UNSET


class MailboxDeleted(Response, frozen=True, kw_only=True):
    """`mailboxDeleted`: a folder is gone, with its messages, or has another path: then `mailboxNew` follows."""

    path: _PATH
    name: _NAME
    special_use: _MAILBOX_USE
    renamed_to: Annotated[
        str | UnsetType, Meta(description="The path that the folder has now. Absent: it is gone.")
    ] = UNSET
    source: _SOURCE = UNSET


class MailboxReset(Response, frozen=True, kw_only=True):
    """`mailboxReset`: the server renumbered a folder, so every message id in it is void. Read the folder again."""

    path: _PATH
    name: _NAME
    special_use: _MAILBOX_USE
    uid_validity: _VALIDITY
    prev_uid_validity: Annotated[str | bool, Meta(description="The folder's previous UIDVALIDITY. `false`: unknown.")]
    reason: Annotated[Literal["uidValidityChange"], Meta(description="Why the ids are void.")]


class BounceResponse(Response, frozen=True, kw_only=True):
    """Why a message bounced."""

    source: Annotated[str, Meta(description="The source of `message`: `smtp`, `dsn` or `text`.", examples=["smtp"])]
    message: Annotated[str | UnsetType, Meta(description="What the server said.")] = UNSET
    status: Annotated[str | UnsetType, Meta(description="The enhanced status code.", examples=["5.1.1"])] = UNSET
    category: Annotated[BounceCategory, Meta(description="The reason in one word.", examples=["user_unknown"])]
    recommended_action: Annotated[
        Literal["remove", "retry", "retry_different_ip", "fix_configuration", "remove_content", "review"],
        Meta(description="What to do about it.", examples=["remove"]),
    ]


class MessageBounce(Response, frozen=True, kw_only=True):
    """`messageBounce`: a message bounced for one recipient. Follows the bounce's own `messageNew`."""

    bounce_message: _ID
    recipient: Annotated[
        str, Meta(description="The recipient who did not get the message.", examples=["b@example.org"])
    ]
    original_recipient: Annotated[
        str | UnsetType,
        Meta(description="The address that the message was sent to, where the server reports another one."),
    ] = UNSET
    action: Annotated[str, Meta(description="Always `failed`.")]
    bounce_type: Annotated[
        Literal["hard", "soft"],
        Meta(
            description="`hard`: the server reports a permanent failure. `soft`: a later attempt may succeed.",
            examples=["hard"],
        ),
    ]
    source: Annotated[
        Literal["dsn", "text"],
        Meta(
            description="`dsn`: the engine read it in a machine-readable part (RFC 3464). `text`: in the notice's "
            "text.",
            examples=["dsn"],
        ),
    ]
    response: Annotated[BounceResponse, Meta(description="Why the message bounced.")]
    explain: Annotated[
        Explain | UnsetType, Meta(description="What the reply means. Absent: the notice quotes no reply.")
    ] = UNSET
    mta: Annotated[str | UnsetType, Meta(description="The server that refused the message.")] = UNSET
    queue_id: Annotated[str | UnsetType, Meta(description="The message's id in the outbox. Absent: unknown.")] = UNSET
    message_id: Annotated[
        str | UnsetType, Meta(description="The message's Message-ID. Absent: the notice does not say.")
    ] = UNSET
    message_headers: Annotated[
        dict[str, tuple[str, ...]] | UnsetType,
        Meta(description="The message's header. Absent: the notice does not include it."),
    ] = UNSET
    sandbox: OfSandbox = UNSET


class MessageReply(Response, frozen=True, kw_only=True):
    """`messageReply`: a message of the outbox was answered. Follows the reply's own `messageNew`."""

    id: _ID
    queue_id: Annotated[
        str, Meta(description="The id in the outbox of the message that is answered.", examples=["1a20313426c0f27d36e"])
    ]
    in_reply_to: Annotated[
        str, Meta(description="The Message-ID of the message that is answered.", examples=["<1@example.com>"])
    ]
    message_id: Annotated[
        str | UnsetType, Meta(description="The reply's own Message-ID.", examples=["<2@example.org>"])
    ] = UNSET
    subject: Annotated[str | UnsetType, Meta(description="The reply's subject.", examples=["Re: Hello"])] = UNSET
    date: Annotated[When | UnsetType, Meta(description="When the reply was written.")] = UNSET
    author: Annotated[MailAddress | UnsetType, Meta(description="Who answered.")] = msgspec.field(
        name="from", default=UNSET
    )
    auto: Annotated[
        Literal["autoReply", "outOfOffice"] | bool,
        Meta(
            description="`false`: a person answered. `autoReply`: a program did. `outOfOffice`: a program did because "
            "the person is away."
        ),
    ]
    extracted_text: Annotated[
        str | UnsetType,
        Meta(
            description="What the author wrote, without quotes and signature, at most 32,768 characters. Absent: the "
            "message has no text, or the server does not send it.",
            examples=["Tuesday is fine."],
        ),
    ] = UNSET
    has_more: Annotated[
        bool | UnsetType, Meta(description="`true`: the message is longer than what was read or is shown.")
    ] = UNSET
    sandbox: OfSandbox = UNSET


class Feedback(Response, frozen=True, kw_only=True):
    """What a feedback report says (RFC 5965)."""

    feedback_type: Annotated[str | UnsetType, Meta(description="The kind of report.", examples=["abuse"])] = UNSET
    original_mail_from: Annotated[str | UnsetType, Meta(description="The envelope sender.")] = UNSET
    original_rcpt_to: Annotated[tuple[str, ...], Meta(description="The envelope recipients.")]
    source_ip: Annotated[str | UnsetType, Meta(description="The IP address the message came from.")] = UNSET
    arrival_date: Annotated[str | UnsetType, Meta(description="When the message arrived.")] = UNSET
    user_agent: Annotated[str | UnsetType, Meta(description="The software that wrote the report.")] = UNSET
    version: Annotated[str | UnsetType, Meta(description="The version of the format.")] = UNSET
    reporting_mta: Annotated[str | UnsetType, Meta(description="The reporting server.")] = UNSET


class ComplaintHeaders(Response, frozen=True, kw_only=True):
    """The header of the message that the complaint is about."""

    message_id: Annotated[str | UnsetType, Meta(description="The Message-ID.")] = UNSET
    author: Annotated[str | UnsetType, Meta(description="The From field.")] = msgspec.field(name="from", default=UNSET)
    to: Annotated[tuple[str, ...] | UnsetType, Meta(description="The To fields.")] = UNSET
    cc: Annotated[tuple[str, ...] | UnsetType, Meta(description="The Cc fields.")] = UNSET
    subject: Annotated[str | UnsetType, Meta(description="The subject.")] = UNSET
    date: Annotated[str | UnsetType, Meta(description="The Date field.")] = UNSET


class MessageComplaint(Response, frozen=True, kw_only=True):
    """`messageComplaint`: a recipient marked a message as unwanted. Follows the report's own `messageNew`."""

    complaint_message: _ID
    arf: Annotated[Feedback, Meta(description="The report.")]
    headers: Annotated[ComplaintHeaders, Meta(description="The header of the message that the complaint is about.")]
    queue_id: Annotated[str | UnsetType, Meta(description="The message's id in the outbox. Absent: unknown.")] = UNSET
    sandbox: OfSandbox = UNSET


MAIL_EVENT_DATA: dict[str, type[Response]] = {
    "messageNew": MessageNew,
    "messageUpdated": MessageUpdated,
    "messageDeleted": MessageDeleted,
    "messageMissing": MessageMissing,
    "mailboxNew": MailboxNew,
    "mailboxDeleted": MailboxDeleted,
    "mailboxReset": MailboxReset,
    "messageBounce": MessageBounce,
    "messageReply": MessageReply,
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
    "messageReply",
    "messageComplaint",
]
