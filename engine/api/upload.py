"""Storing a message in a folder, composed or as it is."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import trio
from msgspec import UNSET

from engine.accounts import message_ids
from engine.accounts.account import Account
from engine.accounts.located import no_message
from engine.accounts.uploading import Uploader
from engine.api.context import Context, find_account
from engine.api.mailbox_access import NOT_CONNECTED, TOO_LATE, Mailbox, leased, read_id
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http.access import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.imap.changer import APPEND_BYTES_PER_SECOND
from engine.imap.session import CommandRefused
from engine.mail.compose import Composed, Draft
from engine.mail.decode import header_text
from engine.mail.fields import fields
from engine.mail.replying import Original, Own, following_ids, following_subject, joined, recipients
from engine.schema.fields import AccountId
from engine.schema.messages import CommandHeaders
from engine.schema.upload import ReferenceShown, Upload, Uploaded, UploadQuery, UploadReference
from engine.submission.composer import HERE
from engine.submission.draft import addresses_of, draft_of, size_of
from engine.submission.raw import message_id_in

_REFERENCES = "HEADER.FIELDS (REFERENCES IN-REPLY-TO)"


class _Made(NamedTuple):
    """The message to store."""

    content: Composed
    message_id: str
    reference: ReferenceShown | None = None


@operation(
    "POST",
    "/v1/account/{account}/message",
    access=Access.PATH,
    scope="api",
    tags=("Message",),
    large=True,
    errors={
        404: "There is no such folder, or the message in `reference` does not exist (`ReferenceNotFound`) or has "
        "another Message-ID (`MessageNotFound`).",
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

    The event `messageNew` has `source: "api"`. Without UIDPLUS the server does not tell where the message is; then it
    is looked for by its Message-ID.
    """
    found = find_account(context, account)
    big = len(body.raw) if body.raw is not UNSET else size_of(body)
    async with leased(context, account, headers, long=big > HERE) as mailbox:
        made = await _make(context, found, mailbox, body)
        content = made.content
        target = await mailbox.locator.target(mailbox.session, body.path)
        message = [content.header, content.bcc_header, b"\r\n", content.body]
        mailbox.session.deadline = trio.current_time() + headers.seconds + big / APPEND_BYTES_PER_SECOND
        uploader = Uploader(mailbox.session, found.commands.message_changes, context.store)
        date = None if body.internal_date is UNSET else body.internal_date.timestamp()
        try:
            stored = await uploader.upload(target, message, made.message_id, body.flags, date)
        except CommandRefused as error:
            said = error.response.partition(" ")[2]  # after the tag
            if error.code in ("TRYCREATE", "NONEXISTENT"):
                raise Problem(404, "Mailbox record was not found", path=body.path) from error
            raise Problem(502, f"Upload failed: {said}", code="UploadFail", details={"response": said}) from error
        except ValueError as error:
            raise invalid("internalDate", "is no date that a mail server takes") from error
    found.look_into(target.path)
    answer = Uploaded(path=target.path, message_id=made.message_id, reference=made.reference or UNSET)
    if stored.uid is None or target.uid_validity not in (None, stored.uid_validity):
        return answer
    return msgspec.structs.replace(
        answer,
        id=message_ids.message_id(target.id, stored.uid),
        uid=stored.uid,
        uid_validity=str(stored.uid_validity) if stored.uid_validity is not None else UNSET,
    )


async def _make(context: Context, account: Account, mailbox: Mailbox, body: Upload) -> _Made:
    now, composer, record = context.world.now(), context.submissions.composer, account.record
    if body.raw is not UNSET:
        content = await composer.whole(body.raw, record, body, now)
        return _Made(content, message_id_in(content))
    draft, reference = draft_of(record, body), None
    if body.reference is not UNSET:
        draft, reference = await _following(mailbox, draft, body.reference)
    message_id = composer.message_id(draft.sender.address, body.message_id)
    return _Made(await composer.compose(draft, message_id, now, size_of(body)), message_id, reference)


async def _following(mailbox: Mailbox, draft: Draft, reference: UploadReference) -> tuple[Draft, ReferenceShown]:
    """The draft, completed from the message that it refers to. Raises `Problem` 404."""
    missing = Problem(404, "Referenced message was not found", code="ReferenceNotFound")
    try:
        place = read_id(message_ids.read_message, reference.message, "reference.message", missing)
        _, one = await mailbox.locator.describe(mailbox.session, place, _REFERENCES)
    except Problem as error:
        if error.status != 404:
            raise
        if not reference.ignore_missing:
            raise missing from error
        return draft, ReferenceShown(message=reference.message, success=False, error=missing.message)
    envelope = one.envelope
    message_id = envelope.message_id.decode("ascii", "replace") if envelope is not None else ""
    if reference.message_id is not UNSET and reference.message_id != message_id:
        raise no_message()
    shown = ReferenceShown(message=reference.message, success=True)
    if envelope is None:
        return draft, shown
    header = fields(one.header)
    original = Original(
        subject=" ".join(header_text(envelope.subject).split()),
        message_id=message_id,
        references=" ".join(header.get("references", ())),
        in_reply_to=" ".join(header.get("in-reply-to", ())),
        author=addresses_of(envelope.author),
        reply_to=addresses_of(envelope.reply_to),
        to=addresses_of(envelope.to),
        cc=addresses_of(envelope.cc),
    )
    action = reference.action
    to, cc = recipients(original, action, Own([draft.sender.address]))
    if action == "reply-all":
        to = joined(draft.to, to, (*draft.cc, *draft.bcc))
        cc = joined(draft.cc, cc, (*to, *draft.bcc))
    given = {name.lower() for name, _ in draft.headers}
    ids = following_ids(original, action)
    return msgspec.structs.replace(
        draft,
        subject=following_subject(original, action) if draft.subject is None else draft.subject,
        to=to if action == "reply-all" else draft.to or to,
        cc=cc if action == "reply-all" else draft.cc,
        headers=(*(each for each in ids if each[0].lower() not in given), *draft.headers),
    ), shown
