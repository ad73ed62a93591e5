"""An account's folders: listed, made, renamed, removed."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from engine.accounts.folder_management import Folders
from engine.api.context import Context, find_account
from engine.api.mailbox_access import NOT_CONNECTED, TOO_LATE, folders, leased
from engine.edge.client_disconnect import carry_through
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import Encoded, operation
from engine.http.problems import NEWLINE
from engine.imap.session import ImapSession
from engine.model.account_states import AccountState
from engine.schema.command_headers import CommandHeaders
from engine.schema.fields import AccountId
from engine.schema.mailboxes import (
    MailboxCreate,
    MailboxCreated,
    MailboxDeleteQuery,
    MailboxesQuery,
    MailboxList,
    MailboxRemoved,
    MailboxUpdate,
    MailboxUpdated,
)

_TAGS = ("Mailbox",)


@operation(
    "GET",
    "/v1/account/{account}/mailboxes",
    access=Access.PATH,
    scope="api",
    group="mailbox",
    tags=_TAGS,
    errors={503: NOT_CONNECTED, 504: TOO_LATE},
)
async def mailboxes(
    context: Context, account: AccountId, query: MailboxesQuery, headers: CommandHeaders
) -> Encoded[MailboxList]:
    """List the folders of an account.

    While the account is not connected, the answer shows the folders as last seen, unless you ask for `counters`.
    """
    found = find_account(context, account)
    if found.status.state is not AccountState.CONNECTED and not query.counters:
        listed = folders(context, found).stored()
    else:
        async with leased(context, account, headers) as mailbox:
            listed = await folders(context, found).listed(mailbox.session, counters=query.counters)
    return Encoded(msgspec.json.encode({"mailboxes": listed}) + NEWLINE)


@operation(
    "POST",
    "/v1/account/{account}/mailbox",
    access=Access.PATH,
    scope="api",
    group="mailbox",
    tags=_TAGS,
    errors={400: "The server refuses the path; `code` and `details` say why.", 503: NOT_CONNECTED, 504: TOO_LATE},
    change=Change(
        "mailbox.create", lambda path, answer: f"{path['account']} {answer.path}" if answer.created else None
    ),
)
async def create_mailbox(
    context: Context, account: AccountId, body: MailboxCreate, headers: CommandHeaders
) -> MailboxCreated:
    """Create a folder, and subscribe to it.

    A path that lacks the prefix of the account's namespace gets it.
    """
    async with leased(context, account, headers) as mailbox:
        made = await carry_through(folders(context, mailbox.account).create(mailbox.session, body.path))
    mailbox.account.look_soon()
    return MailboxCreated(path=made["path"], mailbox_id=made.get("mailboxId", UNSET), created=made["created"])


@operation(
    "PUT",
    "/v1/account/{account}/mailbox",
    access=Access.PATH,
    scope="api",
    group="mailbox",
    tags=_TAGS,
    errors={400: "The server refuses to rename it; `code` and `details` say why.", 503: NOT_CONNECTED, 504: TOO_LATE},
    change=Change("mailbox.update", lambda path, answer: f"{path['account']} {answer.path}"),
)
async def update_mailbox(
    context: Context, account: AccountId, body: MailboxUpdate, headers: CommandHeaders
) -> MailboxUpdated:
    """Rename a folder, or change whether it is subscribed to.

    The ids of its messages remain valid. Events report the old folder as deleted and the new one as created; its mail
    is not announced again.
    """
    async with leased(context, account, headers) as mailbox:
        changed = await carry_through(_update(folders(context, mailbox.account), mailbox.session, body))
    mailbox.account.look_soon()
    return changed


@operation(
    "DELETE",
    "/v1/account/{account}/mailbox",
    access=Access.PATH,
    scope="api",
    group="mailbox",
    tags=_TAGS,
    errors={503: NOT_CONNECTED, 504: TOO_LATE},
    change=Change(
        "mailbox.delete", lambda path, answer: f"{path['account']} {answer.path}" if answer.deleted else None
    ),
)
async def delete_mailbox(
    context: Context, account: AccountId, query: MailboxDeleteQuery, headers: CommandHeaders
) -> MailboxRemoved:
    """Delete a folder with its messages."""
    async with leased(context, account, headers) as mailbox:
        deleted = await carry_through(folders(context, mailbox.account).delete(mailbox.session, query.path))
    if deleted:
        mailbox.account.look_soon()
    return MailboxRemoved(path=query.path, deleted=deleted)


async def _update(found: Folders, session: ImapSession, body: MailboxUpdate) -> MailboxUpdated:
    path, changed = body.path, MailboxUpdated(path=body.path)
    if body.new_path is not UNSET:
        renamed = await found.rename(session, path, body.new_path, subscribe=body.subscribed is UNSET)
        path = renamed["newPath"]
        changed = MailboxUpdated(
            path=renamed["path"], new_path=path if renamed["renamed"] else UNSET, renamed=renamed["renamed"]
        )
    if body.subscribed is not UNSET and await found.subscribe(session, path, on=body.subscribed):
        changed = msgspec.structs.replace(changed, subscribed=body.subscribed)
    return changed
