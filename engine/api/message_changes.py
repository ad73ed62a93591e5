"""Changes one message: its flags and labels, its folder, or its deletion."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from engine.accounts import message_ids
from engine.accounts.message_lookup import no_message
from engine.accounts.requested_changes import Done, Marks
from engine.accounts.trash import trash_of
from engine.api.context import Context
from engine.api.mailbox_access import NOT_CONNECTED, TOO_LATE, changer, leased, read_id
from engine.edge.client_disconnect import carry_through
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change, Path
from engine.http.operation import operation
from engine.schema.command_headers import CommandHeaders
from engine.schema.fields import AccountId
from engine.schema.message import MessageId
from engine.schema.message_changes import (
    DeleteQuery,
    FlagUpdate,
    LabelUpdate,
    MarksChanged,
    MessageChanged,
    MessageMove,
    MessageMoved,
    MessageRemoved,
    MessageUpdate,
    MovedToTrash,
)

_TAGS = ("Message",)
ERRORS = {
    403: "The folder cannot be changed (`READ-ONLY`).",
    404: "There is no such message (`MessageNotFound`), or no such folder.",
    503: NOT_CONNECTED,
    504: f"{TOO_LATE} The change may have been made.",
}
FLAGS_REFUSED = "The mail server does not take these flags; `code` and `details` say why."
_ITEMS = ("UID", "FLAGS", "RFC822.SIZE")


@operation(
    "PUT",
    "/v1/account/{account}/message/{message}",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=_TAGS,
    errors={**ERRORS, 400: FLAGS_REFUSED},
    change=Change("message.update", lambda path, answer: _of(path) if made(answer) else None),
)
async def update_message(
    context: Context, account: AccountId, message: MessageId, body: MessageUpdate, headers: CommandHeaders
) -> MessageChanged:
    """Change the flags and labels of a message.

    The event `messageUpdated` has `source: "api"`.
    """
    place = read_id(message_ids.read_message, message, "message", no_message())
    flags, labels = wishes(body)
    async with leased(context, account, headers, where=place) as mailbox:
        row, one = await mailbox.locator.fetch(mailbox.session, place, _ITEMS, writable=True)
        changed = await carry_through(changer(context, mailbox).mark(row, [one.uid], flags, labels))
    return shown(changed)


@operation(
    "PUT",
    "/v1/account/{account}/message/{message}/move",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=_TAGS,
    errors=ERRORS,
    change=Change("message.move", lambda path, answer: f"{_of(path)} {answer.path}"),
)
async def move_message(
    context: Context, account: AccountId, message: MessageId, body: MessageMove, headers: CommandHeaders
) -> MessageMoved:
    """Move a message to another folder.

    Its id changes. The events `messageDeleted` and `messageNew` have `source: "api"`.
    """
    place = read_id(message_ids.read_message, message, "message", no_message())
    async with leased(context, account, headers, where=place) as mailbox:
        target = await mailbox.locator.target(mailbox.session, body.path)
        row, one = await mailbox.locator.fetch(mailbox.session, place, _ITEMS, writable=True)
        uids = await carry_through(changer(context, mailbox).move(row, [one.uid], target))
    mailbox.account.look_into(target.path)
    uid = uids.get(one.uid, UNSET)
    return MessageMoved(path=target.path, id=_id(target.id, uid), uid=uid)


@operation(
    "DELETE",
    "/v1/account/{account}/message/{message}",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=_TAGS,
    errors=ERRORS,
    change=Change("message.delete", lambda path, answer: _of(path)),
)
async def delete_message(
    context: Context, account: AccountId, message: MessageId, query: DeleteQuery, headers: CommandHeaders
) -> MessageRemoved:
    """Delete a message.

    It moves to the trash folder, where it gets a new id. In the trash and junk folders, with `force`, or if there is no
    trash folder, it is removed for good. The events have `source: "api"`.
    """
    place = read_id(message_ids.read_message, message, "message", no_message())
    async with leased(context, account, headers, where=place) as mailbox:
        row, one = await mailbox.locator.fetch(mailbox.session, place, _ITEMS, writable=True)
        trash, at_work = (
            await trash_of(mailbox.locator, mailbox.session, row, force=query.force),
            changer(context, mailbox),
        )
        if trash is None:
            return MessageRemoved(deleted=await carry_through(at_work.remove(row, [one.uid])) > 0)
        uids = await carry_through(at_work.move(row, [one.uid], trash))
    mailbox.account.look_into(trash.path)
    moved = MovedToTrash(destination=trash.path, message=_id(trash.id, uids.get(one.uid, UNSET)))
    return MessageRemoved(deleted=False, moved=moved)


def wishes(body: MessageUpdate) -> tuple[Marks, Marks]:
    """The flags and the labels to change."""
    return _marks(body.flags), _marks(body.labels)


def shown(changed: tuple[Done, Done]) -> MessageChanged:
    """The result."""
    flags, labels = (MarksChanged(**done) if done else UNSET for done in changed)
    return MessageChanged(flags=flags, labels=labels)


def made(answer: MessageChanged) -> bool:
    """Whether any change was requested."""
    return answer.flags is not UNSET or answer.labels is not UNSET


def _marks(given: FlagUpdate | LabelUpdate | UnsetType) -> Marks:
    if given is UNSET:
        return Marks()
    return Marks(
        add=_given(given.add),
        delete=_given(given.delete),
        set=_given(given.set) if isinstance(given, FlagUpdate) else None,
    )


def _given(marks: Sequence[str] | UnsetType) -> Sequence[str] | None:
    return None if marks is UNSET else marks


def _id(mailbox: int, uid: int | UnsetType) -> str | UnsetType:
    return UNSET if uid is UNSET else message_ids.message_id(mailbox, uid)


def _of(path: Path) -> str:
    return f"{path['account']} {path['message']}"
