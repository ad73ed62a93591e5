"""Changes of all the messages that a search finds."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import MailboxPath, Request, Response
from engine.schema.message_changes import MessageUpdate
from engine.schema.search import SearchQuery

_IdMap = Annotated[
    tuple[Annotated[tuple[str, ...], Meta(min_length=2, max_length=2)], ...] | UnsetType,
    Meta(
        description="For each message, its old id and its new one. Absent: none was moved, or the server does not say "
        "(it lacks UIDPLUS).",
        examples=[[["AAAAAQAAAAE", "AAAABQAAAAE"]]],
    ),
]


class BulkPath(Request, frozen=True, kw_only=True):
    """The folder to search."""

    EXAMPLE = {"path": "INBOX"}

    path: Annotated[
        MailboxPath, Meta(description="The path of the folder, or its special use (`\\Sent`).", examples=["INBOX"])
    ]


class BulkDeleteQuery(BulkPath, frozen=True, kw_only=True):
    """The folder to search, and how to delete what is found."""

    force: Annotated[
        bool,
        Meta(
            description="Whether to remove the messages for good, wherever they are. Absent: they are moved to the "
            "trash, unless they are there already or in the junk folder, or there is no trash."
        ),
    ] = False


_SEARCH = Annotated[
    SearchQuery,
    Meta(description="What to search for; `{}` finds all messages of the folder.", examples=[{"seen": True}]),
]


class BulkUpdate(Request, frozen=True, kw_only=True):
    """Which messages to change, and how."""

    EXAMPLE = {"search": {"unseen": True}, "update": {"flags": {"add": ["\\Seen"]}}}

    search: _SEARCH
    update: Annotated[MessageUpdate, Meta(description="What to change.")]


class BulkMove(Request, frozen=True, kw_only=True):
    """Which messages to move, and where."""

    EXAMPLE = {"search": {"seen": True}, "path": "Archive"}

    search: _SEARCH
    path: Annotated[
        MailboxPath,
        Meta(description="The path of the folder to move to, or its special use.", examples=["Archive"]),
    ]


class BulkMoved(Response, frozen=True, kw_only=True):
    """Where the messages are now."""

    path: Annotated[str, Meta(description="The path of the folder.", examples=["Archive"])]
    id_map: _IdMap = UNSET


class BulkDelete(Request, frozen=True, kw_only=True):
    """Which messages to delete."""

    EXAMPLE = {"search": {"seen": True}}

    search: _SEARCH


class BulkMovedToTrash(Response, frozen=True, kw_only=True):
    """Where the deleted messages are now."""

    destination: Annotated[str, Meta(description="The path of the trash folder.", examples=["Trash"])]
    id_map: _IdMap = UNSET


class BulkDeleted(Response, frozen=True, kw_only=True):
    """The result of deleting messages."""

    deleted: Annotated[
        bool, Meta(description="Whether messages are gone for good. `false`: they were moved, or there were none.")
    ]
    moved: Annotated[
        BulkMovedToTrash | UnsetType, Meta(description="Where they are now. Absent: none was moved to the trash.")
    ] = UNSET
