"""Changes all messages that a search finds in a folder: flags and labels, moves, deletions.

They are changed in batches, each with its own time limit (`x-ee-timeout`). A failed batch, or a caller that
disconnects, ends the request; earlier changes stay, and events announce them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

import trio
from msgspec import UNSET

from engine.accounts import message_ids
from engine.accounts.requested_changes import Done, batches
from engine.accounts.searching import found_in
from engine.accounts.trash import trash_of
from engine.api.context import Context
from engine.api.mailbox_access import Mailbox, changer, leased
from engine.api.message_changes import ERRORS, FLAGS_REFUSED, made, shown, wishes
from engine.edge.client_disconnect import carry_through
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.schema.bulk_changes import (
    BulkDelete,
    BulkDeleted,
    BulkDeleteQuery,
    BulkMove,
    BulkMoved,
    BulkMovedToTrash,
    BulkPath,
    BulkUpdate,
)
from engine.schema.fields import AccountId
from engine.schema.message_changes import MessageChanged
from engine.schema.messages import CommandHeaders
from engine.schema.search import SearchQuery
from engine.store.mailboxes import MailboxRow

_TAGS = ("Message",)
_ERRORS = {
    **ERRORS,
    404: "There is no such folder.",
    422: "The server cannot search like this (`MissingServerExtension`).",
}
PartT = TypeVar("PartT")


class _Found(NamedTuple):
    """The folder, which is selected for changes, and the UIDs of the messages to change."""

    row: MailboxRow
    batches: tuple[Sequence[int], ...]


@operation(
    "PUT",
    "/v1/account/{account}/messages",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=_TAGS,
    errors={**_ERRORS, 400: FLAGS_REFUSED},
    change=Change("messages.update", lambda path, answer: path["account"] if made(answer) else None),
)
async def update_messages(
    context: Context, account: AccountId, query: BulkPath, body: BulkUpdate, headers: CommandHeaders
) -> MessageChanged:
    """Change the flags and labels of the messages that a search finds.

    Each message that changes raises `messageUpdated` with `source: "api"`.
    """
    flags, labels = wishes(body.update)
    async with leased(context, account, headers, long=True, path=query.path) as mailbox:
        found, at_work = await _search(mailbox, query.path, body.search), changer(context, mailbox)
        parts = await _each(mailbox, found, headers, lambda uids: at_work.mark(found.row, uids, flags, labels))
    nothing = {name: False for name, _, _ in flags.steps}
    return shown((_together([each for each, _ in parts]) or nothing, _together([each for _, each in parts])))


@operation(
    "PUT",
    "/v1/account/{account}/messages/move",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=_TAGS,
    errors=_ERRORS,
    change=Change("messages.move", lambda path, answer: f"{path['account']} {answer.path}"),
)
async def move_messages(
    context: Context, account: AccountId, query: BulkPath, body: BulkMove, headers: CommandHeaders
) -> BulkMoved:
    """Move the messages that a search finds to another folder.

    Their ids change. Each message raises `messageDeleted` and `messageNew` with `source: "api"`.
    """
    async with leased(context, account, headers, long=True, path=query.path) as mailbox:
        target = await mailbox.locator.target(mailbox.session, body.path)
        found = await _search(mailbox, query.path, body.search)
        ids = await _move(context, mailbox, found, target, headers)
    return BulkMoved(path=target.path, id_map=ids or UNSET)


@operation(
    "PUT",
    "/v1/account/{account}/messages/delete",
    access=Access.PATH,
    scope="api",
    group="message",
    action="destructive",
    tags=_TAGS,
    errors=_ERRORS,
    change=Change("messages.delete", lambda path, answer: path["account"]),
)
async def delete_messages(
    context: Context, account: AccountId, query: BulkDeleteQuery, body: BulkDelete, headers: CommandHeaders
) -> BulkDeleted:
    """Delete the messages that a search finds.

    They move to the trash folder, where they get new ids. In the trash and junk folders, with `force`, or if there is
    no trash folder, they are removed for good. The events have `source: "api"`.
    """
    async with leased(context, account, headers, long=True, path=query.path) as mailbox:
        found = await _search(mailbox, query.path, body.search)
        trash, at_work = (
            await trash_of(mailbox.locator, mailbox.session, found.row, force=query.force),
            changer(context, mailbox),
        )
        if trash is None:
            gone = await _each(mailbox, found, headers, lambda uids: at_work.remove(found.row, uids))
            return BulkDeleted(deleted=any(gone))
        ids = await _move(context, mailbox, found, trash, headers)
    if not found.batches:
        return BulkDeleted(deleted=False)
    return BulkDeleted(deleted=False, moved=BulkMovedToTrash(destination=trash.path, id_map=ids or UNSET))


async def _search(mailbox: Mailbox, path: str, query: SearchQuery) -> _Found:
    opened = await mailbox.locator.open(mailbox.session, path, writable=True)
    return _Found(opened.row, tuple(batches(await found_in(mailbox.session, opened, query))))


async def _move(
    context: Context, mailbox: Mailbox, found: _Found, target: MailboxRow, headers: CommandHeaders
) -> tuple[tuple[str, str], ...]:
    """Move the messages found; return their old ids, each with the new one."""
    at_work = changer(context, mailbox)
    try:
        parts = await _each(mailbox, found, headers, lambda uids: at_work.move(found.row, uids, target))
    finally:
        mailbox.account.look_into(target.path)
    return tuple(
        (message_ids.message_id(found.row.id, old), message_ids.message_id(target.id, new))
        for part in parts
        for old, new in part.items()
    )


async def _each(
    mailbox: Mailbox,
    found: _Found,
    headers: CommandHeaders,
    change: Callable[[Sequence[int]], Awaitable[PartT]],
) -> list[PartT]:
    parts = []
    for uids in found.batches:
        mailbox.session.deadline = trio.current_time() + headers.seconds
        parts.append(await carry_through(change(uids)))
        await trio.lowlevel.checkpoint()  # stop if the caller has disconnected
    return parts


def _together(parts: Sequence[Done]) -> Done:
    """The results that hold for every message."""
    return {name: all(each[name] for each in parts) for name in (parts[0] if parts else ())}
