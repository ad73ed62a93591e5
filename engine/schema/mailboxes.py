"""An account's folders: listed, made, renamed, removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import SINGLE, Check, MailboxPath, Request, Response

_Level = Annotated[str, Meta(min_length=1, max_length=256, extra={"check": Check.LINE})]
_Path = Annotated[tuple[_Level, ...], SINGLE, Meta(max_length=100)]
SpecialUse = Literal["\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash", "\\Inbox"]


class MailboxesQuery(Request, frozen=True, kw_only=True):
    """What to include for each folder."""

    counters: Annotated[
        bool,
        Meta(description="Whether to ask the server how many messages each folder holds, and how many are unread."),
    ] = False


class MailboxCounters(Response, frozen=True, kw_only=True):
    """How many messages a folder holds, as the server says now."""

    messages: Annotated[int | UnsetType, Meta(description="The number of messages.", examples=[1])] = UNSET
    unseen: Annotated[int | UnsetType, Meta(description="The number of unread messages.", examples=[1])] = UNSET
    error: Annotated[str | UnsetType, Meta(description="Why the server does not say.")] = UNSET


class MailboxListed(Response, frozen=True, kw_only=True):
    """One folder."""

    EXAMPLE = {
        "path": "Clients/Acme",
        "delimiter": "/",
        "parentPath": "Clients",
        "name": "Acme",
        "listed": True,
        "subscribed": True,
        "noInferiors": False,
        "messages": 1,
        "uidNext": 2,
        "status": {"messages": 1, "unseen": 0},
    }

    path: Annotated[str, Meta(description="The folder's path.", examples=["INBOX"])]
    delimiter: Annotated[str | None, Meta(description="What separates the levels of a path. `null`: nothing does.")]
    parent_path: Annotated[
        str | UnsetType, Meta(description="The path of the folder above. Absent: there is none.")
    ] = UNSET
    name: Annotated[str, Meta(description="The last level of the path.", examples=["INBOX"])]
    listed: Annotated[bool, Meta(description="Always `true`.")] = True
    subscribed: Annotated[bool | UnsetType, Meta(description="`true`: the folder is subscribed to.")] = UNSET
    no_select: Annotated[
        bool | UnsetType, Meta(description="`true`: a level of other paths that cannot hold messages.")
    ] = UNSET
    special_use: Annotated[
        SpecialUse | UnsetType, Meta(description="What the folder is used for. Absent: nothing special.")
    ] = UNSET
    special_use_source: Annotated[
        Literal["user", "extension", "name"] | UnsetType,
        Meta(description="Where the special use comes from: the registration, the server, or the folder's name."),
    ] = UNSET
    no_inferiors: Annotated[bool, Meta(description="Whether the server allows no folders below this one.")]
    messages: Annotated[int | bool, Meta(description="The number of messages. `false`: it is not known.")]
    uid_next: Annotated[int | bool, Meta(description="The UID of the next message. `false`: it is not known.")]
    status: Annotated[MailboxCounters | UnsetType, Meta(description="The counters, if requested.")] = UNSET


class MailboxList(Response, frozen=True, kw_only=True):
    """An account's folders: the inbox, then those with a special use, then the others by path."""

    mailboxes: Annotated[tuple[MailboxListed, ...], Meta(description="The folders.")]


class MailboxCreate(Request, frozen=True, kw_only=True):
    """The folder to create."""

    path: Annotated[
        _Path, Meta(description="The folder's path, as text or as its levels.", examples=[["Clients", "Acme"]])
    ]

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A path has a level."""
        if get("path") == ():
            yield "path", "must contain at least 1 items"


class MailboxCreated(Response, frozen=True, kw_only=True):
    """What came of it."""

    path: Annotated[
        str,
        Meta(
            description="The folder's path, with the prefix that the server wants for all folders.",
            examples=["Clients/Acme"],
        ),
    ]
    mailbox_id: Annotated[str | UnsetType, Meta(description="The server's own id for the folder.")] = UNSET
    created: Annotated[bool, Meta(description="`false`: the folder existed already, or the server does not allow it.")]


class MailboxUpdate(Request, frozen=True, kw_only=True):
    """What to change of a folder."""

    path: Annotated[MailboxPath, Meta(description="The folder's path.", examples=["Clients"])]
    new_path: Annotated[
        _Path | UnsetType,
        Meta(
            description="The folder's new path, as text or as its levels. Absent: it stays.", examples=[["Customers"]]
        ),
    ] = UNSET
    subscribed: Annotated[
        bool | UnsetType, Meta(description="Whether to subscribe to the folder. Absent: after a rename, yes.")
    ] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """Something must change."""
        if get("new_path") is UNSET and get("subscribed") is UNSET:
            yield "", "must contain at least one of [newPath, subscribed]"
        if get("new_path") == ():
            yield "newPath", "must contain at least 1 items"


class MailboxUpdated(Response, frozen=True, kw_only=True):
    """What came of it."""

    path: Annotated[str, Meta(description="The path the folder had.", examples=["Clients"])]
    new_path: Annotated[
        str | UnsetType, Meta(description="The path the folder has now, if it was renamed.", examples=["Customers"])
    ] = UNSET
    renamed: Annotated[
        bool | UnsetType, Meta(description="Whether it was renamed, if that was requested.", examples=[True])
    ] = UNSET
    subscribed: Annotated[
        bool | UnsetType, Meta(description="Whether it is subscribed to, if the server changed that.")
    ] = UNSET


class MailboxDeleteQuery(Request, frozen=True, kw_only=True):
    """The folder to delete."""

    EXAMPLE = {"path": "Customers"}

    path: Annotated[MailboxPath, Meta(description="The folder's path.", examples=["Customers"])]


class MailboxRemoved(Response, frozen=True, kw_only=True):
    """What came of it."""

    path: Annotated[str, Meta(description="The folder's path.", examples=["Customers"])]
    deleted: Annotated[bool, Meta(description="`false`: there is no such folder, or the server does not allow it.")]
