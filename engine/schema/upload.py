"""A message stored in a folder: what it is made of, and where it is then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import Check, Instant, MailboxPath, NoDifference, Request, Response
from engine.schema.reference import ReferenceShown
from engine.schema.submit import Content, beside_raw


class Upload(Content, frozen=True, kw_only=True):
    """A message to store."""

    EXAMPLE = {
        "path": "Drafts",
        "flags": ["\\Draft", "\\Seen"],
        "to": [{"name": "A friend", "address": "friend@sandbox.example"}],
        "subject": "Hello",
        "text": "Hello!",
    }

    path: Annotated[
        MailboxPath, Meta(description="The path of the folder, or its special use (`\\Drafts`).", examples=["Drafts"])
    ]
    flags: Annotated[
        Annotated[
            tuple[Annotated[str, Meta(min_length=1, max_length=128, extra={"check": Check.FLAG})], ...],
            Meta(max_length=100),
        ],
        Meta(description="Its flags. Absent: none.", examples=[["\\Draft", "\\Seen"]]),
    ] = ()
    internal_date: Annotated[
        Instant | UnsetType, Meta(description="When it arrived, as the folder shows it. Absent: now.")
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A message is given whole, or in parts."""
        if get("raw") is not UNSET:
            yield from beside_raw(get, ("text", "html", "attachments"))


class Uploaded(Response, frozen=True, kw_only=True):
    """Where the message is now."""

    id: Annotated[
        str | UnsetType,
        Meta(description="The message's id. Absent: unknown.", examples=["AAAAAgAAAAE"]),
    ] = UNSET
    path: Annotated[str, Meta(description="The path of the folder.", examples=["Drafts"])]
    uid: Annotated[int | UnsetType, Meta(description="Its UID in the folder. Absent: unknown.", examples=[1])] = UNSET
    uid_validity: Annotated[
        str | UnsetType, Meta(description="The folder's UIDVALIDITY. Absent: unknown.", examples=["1"])
    ] = UNSET
    message_id: Annotated[
        str | UnsetType, Meta(description="The message's Message-ID.", examples=["<1@example.com>"])
    ] = UNSET
    reference: Annotated[ReferenceShown | UnsetType, Meta(description="The reference, if there was one.")] = UNSET


class UploadQuery(Request, frozen=True, kw_only=True):
    """Query of `POST /v1/account/{account}/message`."""

    document_store: NoDifference = UNSET
