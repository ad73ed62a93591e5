"""Submitting a draft: read from its folder, made durable, answered; it goes from the folder once it is sent."""

from __future__ import annotations

import hashlib

import msgspec

from engine.accounts import message_ids
from engine.accounts.message_download import File, content
from engine.accounts.message_lookup import no_message
from engine.accounts.proxy_checks import refuse_way
from engine.api.context import Context, find_account
from engine.api.mailbox_access import NOT_CONNECTED, TOO_LATE, leased, read_id
from engine.api.submit import again, key_of
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.isotime import iso
from engine.mail.compose import Composed
from engine.mail.raw_message import from_raw
from engine.queue.accept import After
from engine.queue.idempotency import repeated
from engine.schema.draft_submit import DraftHeaders, DraftSubmit
from engine.schema.fields import AccountId
from engine.schema.message import MessageId
from engine.schema.submit_answers import Idempotency, SubmitAccepted
from engine.store import idempotency_keys
from engine.store.idempotency_keys import Kept
from engine.store.tokens import Token
from engine.submission.account_readiness import refuse_unless_ready
from engine.submission.draft import stored_draft
from engine.submission.raw import line_fault, message_id_in
from engine.submission.suppression import suppressed_shown
from engine.submission.terms import terms_of

_DRAFTS, _DRAFT = "\\Drafts", "\\draft"


@operation(
    "POST",
    "/v1/account/{account}/message/{message}/submit",
    access=Access.PATH,
    scope="api",
    group="submit",
    action="send",
    tags=("Submit",),
    errors={
        400: "The message is no draft (`MessageNotDraft`), has no recipients (`DraftHasNoRecipients`), or has a line "
        "that is too long for SMTP (`LineTooLong`).",
        403: "A token for one account, or with permissions, sets `proxy`.",
        404: "There is no such message (`MessageNotFound`), or the account has no SMTP server (`SMTPUnavailable`).",
        409: "The draft has been submitted and is not sent yet (`DraftSubmitted`), or the `Idempotency-Key` was used "
        "for another request (`IdempotencyConflict`).",
        503: NOT_CONNECTED,
        504: TOO_LATE,
    },
)
async def submit_draft(
    context: Context,
    account: AccountId,
    message: MessageId,
    body: DraftSubmit,
    headers: DraftHeaders,
    *,
    caller: Token | None = None,
) -> SubmitAccepted:
    """Submit a draft.

    The draft is sent as it is, without Bcc. Once it is sent, it leaves its folder: it is removed if a copy was filed in
    the Sent folder, and moved to the trash otherwise.
    """
    found = find_account(context, account)
    key = key_of(headers.idempotency_key)
    fingerprint = hashlib.sha256(message.encode() + msgspec.json.encode(body)).digest()
    if key is not None and (before := idempotency_keys.find(context.store.reader, found.id, key)) is not None:
        return again(repeated(before, fingerprint), key)
    place = read_id(message_ids.read_message, message, "message", no_message())
    narrowed = caller is not None and caller.account is not None
    limited = caller is not None and caller.permissions is not None
    await refuse_way(context.access, body.proxy, body.local_address, narrowed=narrowed, limited=limited)
    if context.submissions.gateways.of(body.gateway) is None:
        refuse_unless_ready(found)
    most = context.config.http.max_body
    async with leased(context, account, headers, where=place) as mailbox:
        row, one = await mailbox.locator.describe(mailbox.session, place)
        if row.special_use != _DRAFTS and _DRAFT not in {flag.lower() for flag in one.flags or ()}:
            raise Problem(400, "The message is not a draft", code="MessageNotDraft")
        if (one.size or 0) > most:
            raise Problem(413, f"The draft is larger than {most} octets", code="TooLarge")
        raw = bytearray()
        async for piece in content(mailbox.session, one.uid, File("", "", "", one.size), headers.seconds):
            raw += piece
            if len(raw) > most:
                raise Problem(413, f"The draft is larger than {most} octets", code="TooLarge")
    terms = terms_of(body, context.world.now())
    draft, submissions = stored_draft(found.record, one.envelope), context.submissions
    fresh = submissions.composer.message_id(draft.sender.address)
    made, fault = await context.world.in_thread(_whole, bytes(raw), fresh, terms.now)
    if fault is not None:
        raise Problem(400, f"The draft {fault}", code="LineTooLong")
    message_id = message_id_in(made)
    incoming = submissions.incoming(found, draft, made, message_id, terms, (After("draft", row.id, one.uid),))
    if not incoming.recipients:
        raise Problem(400, "Draft has no recipients", code="DraftHasNoRecipients")
    answer = SubmitAccepted(message_id=message_id, send_at=iso(terms.send_at), queue_id=incoming.message.queue_id)
    if incoming.suppressed:
        answer = msgspec.structs.replace(answer, suppressed=suppressed_shown(incoming.suppressed))
    kept = Kept(fingerprint, msgspec.json.encode(answer)) if key is not None else None
    accepted = submissions.accept(incoming, key=key, kept=kept)
    first = await carry_through(accepted)
    if key is None:
        return answer
    if first is not None:
        return again(first, key)
    return msgspec.structs.replace(answer, idempotency=Idempotency(key=key, status="MISS"))


def _whole(raw: bytes, fresh_id: str, now: float) -> tuple[Composed, str | None]:
    """The message, and what is wrong with its lines."""
    made = from_raw(raw, fresh_id, now)
    return made, line_fault(made)
