"""Mail that the sandbox has caught."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Filled256, Request, Response, When
from engine.schema.paging import Page, PageQuery

CaughtId = Annotated[str, Meta(description="The id of a caught message.", examples=["4F3A21"])]
CaughtFileId = Annotated[str, Meta(description="The id of one of its files.", examples=["2"])]


class CaughtQuery(Request, frozen=True, kw_only=True):
    """In which form to show the HTML."""

    remote_images: Annotated[
        Literal["keep", "drop"],
        Meta(description="Whether pictures on the web stay in `html`; loading them tells the sender."),
    ] = "drop"


class CaughtListQuery(PageQuery, frozen=True, kw_only=True):
    """Query of `GET /v1/sandbox/messages`."""

    account: Annotated[Filled256 | None, Meta(description="Only mail that this account sent. Absent: all mail.")] = None


class CaughtEntry(Response, frozen=True, kw_only=True):
    """A caught message in the list."""

    EXAMPLE = {
        "id": "4F3A21",
        "date": "2026-11-23T05:48:18.346Z",
        "sender": "example@sandbox.example",
        "recipients": ["you@example.com"],
        "account": "example",
        "user": "example@sandbox.example",
        "subject": "Hello",
        "from": "Example <example@sandbox.example>",
        "size": 612,
    }

    id: CaughtId
    date: Annotated[When, Meta(description="When it was handed over.")]
    sender: Annotated[str, Meta(description="The envelope sender; empty for a bounce.")]
    recipients: Annotated[tuple[str, ...], Meta(description="The envelope recipients.")]
    account: Annotated[str | UnsetType, Meta(description="The account that sent it. Absent: none did.")] = UNSET
    user: Annotated[str | UnsetType, Meta(description="The user who had logged in. Absent: no one.")] = UNSET
    subject: Annotated[str, Meta(description="The Subject field; empty if there is none.")] = ""
    author: Annotated[str, Meta(description="The From field; empty if there is none.")] = msgspec.field(
        name="from", default=""
    )
    size: Annotated[int, Meta(description="Its size in octets.", examples=[612])]


class CaughtList(Page, frozen=True, kw_only=True):
    """One page of caught messages, newest first."""

    messages: Annotated[tuple[CaughtEntry, ...], Meta(description="The messages on this page.")]


class CaughtRemoved(Response, frozen=True, kw_only=True):
    """How many caught messages were removed."""

    deleted: Annotated[int, Meta(description="How many there were.", examples=[3])]


class CaughtAttachment(Response, frozen=True, kw_only=True):
    """One file of a caught message."""

    id: CaughtFileId
    filename: Annotated[str, Meta(description="Its name; empty if it has none.", examples=["invoice.pdf"])]
    content_type: Annotated[str, Meta(description="Its media type.", examples=["application/pdf"])]
    size: Annotated[int, Meta(description="Its size in octets.", examples=[18244])]
    inline: Annotated[bool, Meta(description="Whether the text shows it.", examples=[False])]


class CaughtDetails(CaughtEntry, frozen=True, kw_only=True):
    """A caught message."""

    EXAMPLE = {
        **(CaughtEntry.EXAMPLE or {}),
        "headers": {"from": ["Example <example@sandbox.example>"], "subject": ["Hello"]},
        "plain": "Hello you",
        "html": '<div style="white-space: pre-wrap">Hello you</div>',
        "hasHtml": False,
        "attachments": [],
    }

    headers: Annotated[
        dict[str, tuple[str, ...]],
        Meta(description="The header fields by name in lower case, each with all its values."),
    ]
    plain: Annotated[str, Meta(description="The plain text; empty if there is none.")]
    html: Annotated[
        str,
        Meta(
            description="The HTML, made harmless, with its own pictures; where there is none, made of the plain text."
        ),
    ]
    has_html: Annotated[bool, Meta(description="Whether the message has HTML itself.")]
    attachments: Annotated[tuple[CaughtAttachment, ...], Meta(description="Its files.")]
