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
    """Query of the list of folders."""

    counters: Annotated[bool, Meta(description="With the number of messages, and of those unread.")] = False


class MailboxCounters(Response, frozen=True, kw_only=True):
    """How many messages a folder holds."""

    messages: Annotated[int | UnsetType, Meta(description="All of them.")] = UNSET
    unseen: Annotated[int | UnsetType, Meta(description="Those that are unread.")] = UNSET
    error: Annotated[str | UnsetType, Meta(description="Why the server does not tell.")] = UNSET


class MailboxListed(Response, frozen=True, kw_only=True):
    """One folder."""

    path: Annotated[str, Meta(description="Its path.", examples=["INBOX"])]
    delimiter: Annotated[str | None, Meta(description="What separates levels. `null`: there are none.")]
    parent_path: Annotated[str | UnsetType, Meta(description="The path above it. Absent at the top.")] = UNSET
    name: Annotated[str, Meta(description="The last level of the path.", examples=["INBOX"])]
    listed: Annotated[bool, Meta(description="Always `true`.")] = True
    subscribed: Annotated[bool | UnsetType, Meta(description="`true`: it is subscribed to.")] = UNSET
    no_select: Annotated[bool | UnsetType, Meta(description="`true`: it is a level only, and holds no messages.")] = (
        UNSET
    )
    special_use: Annotated[SpecialUse | UnsetType, Meta(description="What it is used for.")] = UNSET
    special_use_source: Annotated[
        Literal["user", "extension", "name"] | UnsetType,
        Meta(description="Who says so: the registration, the server, or its name."),
    ] = UNSET
    no_inferiors: Annotated[bool, Meta(description="Whether there can be no folders below it.")]
    messages: Annotated[int | bool, Meta(description="How many messages it holds. `false`: not known.")]
    uid_next: Annotated[int | bool, Meta(description="The UID the next message gets. `false`: not known.")]
    status: Annotated[MailboxCounters | UnsetType, Meta(description="With `counters`: as the server says now.")] = UNSET


class MailboxList(Response, frozen=True, kw_only=True):
    """An account's folders: the inbox, then those for a special use, then the others by path."""

    mailboxes: Annotated[tuple[MailboxListed, ...], Meta(description="The folders.")]


class MailboxCreate(Request, frozen=True, kw_only=True):
    """A folder to be made."""

    path: Annotated[_Path, Meta(description="Its path, or its levels.", examples=[["Clients", "Acme"]])]

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """A path has a level."""
        if get("path") == ():
            yield "path", "must contain at least 1 items"


class MailboxCreated(Response, frozen=True, kw_only=True):
    """What became of it."""

    path: Annotated[str, Meta(description="Its path.")]
    mailbox_id: Annotated[str | UnsetType, Meta(description="The server's own id of it, where it has one.")] = UNSET
    created: Annotated[bool, Meta(description="`false`: it was there already, or the server does not make it.")]


class MailboxUpdate(Request, frozen=True, kw_only=True):
    """What is to change of a folder."""

    path: Annotated[MailboxPath, Meta(description="Its path.")]
    new_path: Annotated[_Path | UnsetType, Meta(description="Its path from now on, or its levels.")] = UNSET
    subscribed: Annotated[bool | UnsetType, Meta(description="Whether it is subscribed to from now on.")] = UNSET

    @staticmethod
    def wrong_together(get: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
        """Something must change."""
        if get("new_path") is UNSET and get("subscribed") is UNSET:
            yield "", "must contain at least one of [newPath, subscribed]"
        if get("new_path") == ():
            yield "newPath", "must contain at least 1 items"


class MailboxUpdated(Response, frozen=True, kw_only=True):
    """What has changed."""

    path: Annotated[str, Meta(description="The path it had.")]
    new_path: Annotated[str | UnsetType, Meta(description="The path it has now, where that was asked for.")] = UNSET
    renamed: Annotated[bool | UnsetType, Meta(description="Whether it has another path now.")] = UNSET
    subscribed: Annotated[
        bool | UnsetType, Meta(description="Whether it is subscribed to, where that was asked for.")
    ] = UNSET


class MailboxDeleteQuery(Request, frozen=True, kw_only=True):
    """Which folder is to be removed."""

    path: Annotated[MailboxPath, Meta(description="Its path.")]


class MailboxRemoved(Response, frozen=True, kw_only=True):
    """Whether it is removed."""

    path: Annotated[str, Meta(description="Its path.")]
    deleted: Annotated[bool, Meta(description="`false`: there is none, or the server does not remove it.")]
