"""What all operations on a mailbox share: leasing a session, finding ids and folders, translating refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from engine.accounts import registration
from engine.accounts.account import Account
from engine.accounts.folder_management import Folders, Rules
from engine.accounts.leased_connections import Turns
from engine.accounts.message_ids import NoId, Place
from engine.accounts.message_lookup import Locator, refused
from engine.accounts.requested_changes import Changer
from engine.api.context import Context, find_account
from engine.errors import Problem
from engine.imap.session import CommandRefused, ImapSession
from engine.schema.command_headers import CommandHeaders
from engine.store import mailboxes

NOT_CONNECTED = "The account is not connected, or its mail server refuses; `code` and `state` say why."
TOO_LATE = "`x-ee-timeout` sets the limit."


class Mailbox(NamedTuple):
    """An account's mailbox, for one request."""

    account: Account
    session: ImapSession
    locator: Locator


@asynccontextmanager
async def leased(
    context: Context, account: str, headers: CommandHeaders, *, long: bool = False, where: str | Place | None = None
) -> AsyncIterator[Mailbox]:
    """Lease a session for the block (`Commands.lease`). A refusal by the server becomes a `Problem`.

    `where`: the path of the mailbox that the block will enter, or a message in it.
    """
    found, locator = _found(context, account)
    async with found.commands.lease(headers.seconds, long=long, path=_path(context, where)) as session:
        with _refusals_as_problems():
            yield Mailbox(found, session, locator)


@asynccontextmanager
async def leased_in_turns(
    context: Context, account: str, headers: CommandHeaders, *, where: str | Place | None = None
) -> AsyncIterator[tuple[Mailbox, Turns]]:
    """The same for long work that can be interrupted; the mailbox's session is the one of the first turn."""
    found, locator = _found(context, account)
    async with found.commands.lease_in_turns(headers.seconds, path=_path(context, where)) as turns:
        with _refusals_as_problems():
            yield Mailbox(found, turns.session, locator), turns


def _path(context: Context, where: str | Place | None) -> str | None:
    if not isinstance(where, Place):
        return where
    row = mailboxes.get(context.store.reader, where.mailbox)
    return row.path if row is not None else None


def _found(context: Context, account: str) -> tuple[Account, Locator]:
    found = find_account(context, account)
    context.bodies.heavy.go_on_slowly()
    uses = dict(registration.watch_rules(found.record, found.status.created).uses)
    return found, Locator(found.id, context.store, uses, found.look_soon)


@contextmanager
def _refusals_as_problems() -> Iterator[None]:
    try:
        yield
    except CommandRefused as error:
        raise refused(error) from error


def changer(context: Context, mailbox: Mailbox) -> Changer:
    """The changer for the messages of a mailbox, over its session."""
    changes = mailbox.account.commands.message_changes
    return Changer(mailbox.session, changes, context.store, context.streams.journal)


def folders(context: Context, account: Account) -> Folders:
    """The folders of an account."""
    rules = registration.watch_rules(account.record, account.status.created)
    kept = Rules(dict(rules.uses), rules.paths, rules.full)
    changes = account.commands.folder_changes
    return Folders(account.id, kept, changes, context.store, context.streams.journal, context.world)


def read_id(read: Callable[[str], Place | None], written: str, name: str, problem: Problem) -> Place:
    """The place that an id names. Raises `Problem` 400 for an invalid id, and `problem` for one never issued."""
    try:
        place = read(written)
    except NoId as error:
        said = f'"{name}" must be a valid base64 string'
        field = {"message": said, "key": name, "path": name}
        raise Problem(400, "Invalid input", fields=[field]) from error
    if place is None:
        raise problem
    return place
