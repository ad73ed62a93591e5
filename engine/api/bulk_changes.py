"""Changes all messages that a search finds in a folder: flags and labels, moves, deletions.

They are changed in batches, each with its own time limit (`x-ee-timeout`). A failed batch, or a caller that
disconnects, ends the request; earlier changes stay, and events announce them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio
from msgspec import UNSET

from engine.accounts import message_ids
from engine.accounts.leased_connections import Turns
from engine.accounts.message_lookup import no_folder
from engine.accounts.requested_changes import Changer, Done, batches
from engine.accounts.searching import found_in
from engine.accounts.trash import trash_of
from engine.api.context import Context
from engine.api.mailbox_access import Mailbox, changer, leased_in_turns
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
from engine.schema.command_headers import CommandHeaders
from engine.schema.fields import AccountId
from engine.schema.message_changes import MessageChanged
from engine.schema.search import SearchQuery
from engine.store.mailboxes import MailboxRow

_TAGS = ("Message",)
_ERRORS = {
    **ERRORS,
    404: "There is no such folder.",
    422: "The server cannot search like this (`MissingServerExtension`).",
}
PartT = TypeVar("PartT")


class _Work:
    """A change of messages of a folder, batch by batch; between two, other long work may have the session."""

    def __init__(
        self,
        context: Context,
        mailbox: Mailbox,
        turns: Turns,
        row: MailboxRow,
        batches: tuple[Sequence[int], ...],
        seconds: float,
    ) -> None:
        """`row`: the folder, which is selected for changes; `batches`: UIDs; `seconds`: the time limit of a batch."""
        self._context = context
        self._mailbox = mailbox
        self._turns = turns
        self._seconds = seconds
        self.row = row
        self.batches = batches

    async def move(self, target: MailboxRow) -> tuple[tuple[str, str], ...]:
        """Move the messages; return their old ids, each with the new one."""
        try:
            parts = await self.each(lambda at_work, uids: at_work.move(self.row, uids, target))
        finally:
            self._mailbox.account.look_into(target.path)
        return tuple(
            (message_ids.message_id(self.row.id, old), message_ids.message_id(target.id, new))
            for part in parts
            for old, new in part.items()
        )

    async def each(self, change: Callable[[Changer, Sequence[int]], Awaitable[PartT]]) -> list[PartT]:
        """Make the change with each batch. Raises as `change`, and what regaining the session raises."""
        parts = []
        for uids in self.batches:
            if self._turns.lost:
                await self._regain()
            self._mailbox.session.deadline = trio.current_time() + self._seconds
            parts.append(await carry_through(change(changer(self._context, self._mailbox), uids)))
            with self._turns.offered():
                await trio.lowlevel.checkpoint()  # stop if the caller has disconnected
        return parts

    async def _regain(self) -> None:
        await self._turns.regain(self._seconds)
        self._mailbox = self._mailbox._replace(session=self._turns.session)
        opened = await self._mailbox.locator.open(self._mailbox.session, self.row.path, writable=True)
        if opened.row.id != self.row.id:
            raise no_folder(self.row.path)


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
    async with leased_in_turns(context, account, headers, where=query.path) as (mailbox, turns):
        work = await _work(context, mailbox, turns, query.path, body.search, headers)
        parts = await work.each(lambda at_work, uids: at_work.mark(work.row, uids, flags, labels))
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
    async with leased_in_turns(context, account, headers, where=query.path) as (mailbox, turns):
        target = await mailbox.locator.target(mailbox.session, body.path)
        work = await _work(context, mailbox, turns, query.path, body.search, headers)
        ids = await work.move(target)
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
    async with leased_in_turns(context, account, headers, where=query.path) as (mailbox, turns):
        work = await _work(context, mailbox, turns, query.path, body.search, headers)
        trash = await trash_of(mailbox.locator, mailbox.session, work.row, force=query.force)
        if trash is None:
            gone = await work.each(lambda at_work, uids: at_work.remove(work.row, uids))
            return BulkDeleted(deleted=any(gone))
        ids = await work.move(trash)
    if not work.batches:
        return BulkDeleted(deleted=False)
    return BulkDeleted(deleted=False, moved=BulkMovedToTrash(destination=trash.path, id_map=ids or UNSET))


async def _work(
    context: Context, mailbox: Mailbox, turns: Turns, path: str, query: SearchQuery, headers: CommandHeaders
) -> _Work:
    opened = await mailbox.locator.open(mailbox.session, path, writable=True)
    found = await found_in(mailbox.session, opened, query)
    return _Work(context, mailbox, turns, opened.row, tuple(batches(found)), headers.seconds)


def _together(parts: Sequence[Done]) -> Done:
    """The results that hold for every message."""
    return {name: all(each[name] for each in parts) for name in (parts[0] if parts else ())}
