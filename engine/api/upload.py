"""Storing a message in a folder, composed or as it is."""

from __future__ import annotations

import msgspec
import trio
from msgspec import UNSET

from engine.accounts import message_ids
from engine.accounts.account import Account
from engine.accounts.uploading import Uploader
from engine.api.context import Context, find_account
from engine.api.mailbox_access import NOT_CONNECTED, TOO_LATE, leased
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.imap.changer import APPEND_BYTES_PER_SECOND
from engine.imap.session import CommandRefused
from engine.mail.compose import Composed
from engine.schema.command_headers import CommandHeaders
from engine.schema.fields import AccountId
from engine.schema.upload import Upload, Uploaded, UploadQuery
from engine.submission.composer import HERE
from engine.submission.draft import draft_of, size_of
from engine.submission.raw import message_id_in
from engine.submission.reference import Referenced


@operation(
    "POST",
    "/v1/account/{account}/message",
    access=Access.PATH,
    scope="api",
    group="message",
    tags=("Message",),
    large=True,
    errors={
        404: "There is no such folder, or the message in `reference` does not exist (`ReferenceNotFound`) or has "
        "another Message-ID (`MessageNotFound`), or there is no such attached file (`AttachmentNotFound`).",
        413: "The files from the mailbox are too large (`TooLarge`).",
        502: "The mail server does not take the message (`UploadFail`); `details` say why.",
        503: NOT_CONNECTED,
        504: f"{TOO_LATE} The message may have been stored.",
    },
    change=Change("message.upload", lambda path, answer: f"{path['account']} {answer.path} {answer.message_id}"),
)
async def upload_message(
    context: Context, account: AccountId, body: Upload, headers: CommandHeaders, query: UploadQuery
) -> Uploaded:
    """Store a message in a folder.

    The event `messageNew` has `source: "api"`. A server without UIDPLUS does not say where the message is, so the
    engine looks for it by its Message-ID.
    """
    found = find_account(context, account)
    async with context.submissions.references.read(found, body, headers.seconds) as referenced:
        content, message_id = await _make(context, found, body, referenced)
    big = len(content.body)
    async with leased(context, account, headers, long=big > HERE) as mailbox:
        target = await mailbox.locator.target(mailbox.session, body.path)
        message = [content.header, content.bcc_header, b"\r\n", content.body]
        mailbox.session.deadline = trio.current_time() + headers.seconds + big / APPEND_BYTES_PER_SECOND
        uploader = Uploader(mailbox.session, found.commands.message_changes, context.store)
        date = None if body.internal_date is UNSET else body.internal_date.timestamp()
        try:
            stored = await uploader.upload(target, message, message_id, body.flags, date)
        except CommandRefused as error:
            said = error.response.partition(" ")[2]  # after the tag
            if error.code in ("TRYCREATE", "NONEXISTENT"):
                raise Problem(404, "Mailbox record was not found", path=body.path) from error
            raise Problem(502, f"Upload failed: {said}", code="UploadFail", details={"response": said}) from error
        except ValueError as error:
            raise invalid("internalDate", "is no date that a mail server takes") from error
    found.look_into(target.path)
    answer = Uploaded(path=target.path, message_id=message_id, reference=referenced.shown)
    if stored.uid is None or target.uid_validity not in (None, stored.uid_validity):
        return answer
    return msgspec.structs.replace(
        answer,
        id=message_ids.message_id(target.id, stored.uid),
        uid=stored.uid,
        uid_validity=str(stored.uid_validity) if stored.uid_validity is not None else UNSET,
    )


async def _make(context: Context, account: Account, body: Upload, found: Referenced) -> tuple[Composed, str]:
    """The message to store, and its Message-ID."""
    now, composer, record = context.world.now(), context.submissions.composer, account.record
    if body.raw is not UNSET:
        content = await composer.whole(body.raw, record, body, now, found)
        return content, message_id_in(content)
    size = size_of(body) + found.size
    draft = (
        await context.world.in_thread(draft_of, record, body, found) if size > HERE else draft_of(record, body, found)
    )
    message_id = composer.message_id(draft.sender.address, body.message_id)
    return await composer.compose(draft, message_id, now, size), message_id
