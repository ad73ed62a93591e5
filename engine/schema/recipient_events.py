"""Events about what the recipients of mail do with its links: the shape of their `data`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Address, Response

Automated = Literal["head", "prefetch", "scanner", "imageProxy", "soon", "burst"]
_MESSAGE_ID = Annotated[
    str, Meta(description="The Message-ID of the mail that the link was in.", examples=["<1@example.com>"])
]
_LINK_MESSAGE_ID = Annotated[
    str | UnsetType,
    Meta(description="The Message-ID of the mail that the link was in. Absent: the link does not say."),
]
_ADDRESS = Annotated[str | None, Meta(description="The IP address of the request.", examples=["192.0.2.17"])]
_AGENT = Annotated[
    str | None, Meta(description="The user agent of the request. `null`: it did not say.", examples=["Mozilla/5.0"])
]
_AUTOMATED = Annotated[
    Automated | UnsetType,
    Meta(
        description="Why this is probably not a person: `head` (a HEAD request), `prefetch` (its headers say so), "
        "`scanner` (a known security product or bot), `imageProxy` (a provider that may load pictures by itself), "
        "`soon` (within seconds of the delivery), `burst` (several links of one mail within a second). Absent: nothing "
        "suggests a program."
    ),
]
_LIST = Annotated[str, Meta(description="The list's id.", examples=["newsletter"])]
_RECIPIENT = Annotated[Address, Meta(description="The recipient's address.")]


class TrackOpen(Response, frozen=True, kw_only=True):
    """`trackOpen`: the tracking picture of a mail was loaded, so the mail was opened."""

    message_id: _MESSAGE_ID
    remote_address: _ADDRESS
    user_agent: _AGENT
    automated: _AUTOMATED = UNSET


class TrackClick(Response, frozen=True, kw_only=True):
    """`trackClick`: a link in a mail was followed."""

    message_id: _MESSAGE_ID
    url: Annotated[str, Meta(description="Where the link leads.", examples=["https://example.com/offer"])]
    remote_address: _ADDRESS
    user_agent: _AGENT
    automated: _AUTOMATED = UNSET


class ListUnsubscribe(Response, frozen=True, kw_only=True):
    """`listUnsubscribe`: a recipient wants no more mail of a list."""

    recipient: _RECIPIENT
    message_id: _LINK_MESSAGE_ID = UNSET
    list_id: _LIST
    remote_address: _ADDRESS
    user_agent: _AGENT


class ListSubscribe(Response, frozen=True, kw_only=True):
    """`listSubscribe`: a recipient who had unsubscribed wants mail of the list again."""

    recipient: _RECIPIENT
    message_id: _LINK_MESSAGE_ID = UNSET
    list_id: _LIST
    remote_address: _ADDRESS
    user_agent: _AGENT


RECIPIENT_EVENT_DATA: dict[str, type[Response]] = {
    "trackOpen": TrackOpen,
    "trackClick": TrackClick,
    "listUnsubscribe": ListUnsubscribe,
    "listSubscribe": ListSubscribe,
}
RecipientEventName = Literal["trackOpen", "trackClick", "listUnsubscribe", "listSubscribe"]
