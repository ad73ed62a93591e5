"""Submitting a message: check, compose, make durable, answer.

Errors in composing are the caller's and name the field; a refused request queues nothing. A request repeated with its
`Idempotency-Key` gets the first answer; dry runs and refusals are not stored under a key.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
from msgspec import UNSET
from msgspec.structs import replace
from quart import Response

from engine.accounts.account import Account
from engine.accounts.not_ready import REFUSALS
from engine.accounts.route_checks import refuse_way
from engine.api.context import Context, find_account
from engine.errors import Problem
from engine.http.access import Access
from engine.http.checks import EMPTY
from engine.http.client_disconnect import carry_through
from engine.http.decode import HERE
from engine.http.field_errors import invalid
from engine.http.operation import operation
from engine.http.problems import JSON
from engine.isotime import iso
from engine.mail.addresses import Address, needs_smtputf8
from engine.mail.compose import AttachedFile, Composed, Draft, compose, message_id_of
from engine.mail.headers import HeaderError
from engine.model.message import Message, OnDoubt
from engine.model.states import State
from engine.queue.accept import new_queue_id
from engine.queue.idempotency import repeated
from engine.schema.fields import AccountId
from engine.schema.stored_json import shown
from engine.schema.submit import (
    Content,
    DryRun,
    Idempotency,
    NamedAddress,
    Submit,
    SubmitAccepted,
    SubmitHeaders,
    SubmitQuery,
)
from engine.store import idempotency_keys
from engine.store.idempotency_keys import Kept
from engine.store.tokens import Token

YEAR = 366 * 86400.0

ANY_QUERY = SubmitQuery()
PIECE = 256 * 1024
"""Octets of a large preview that are encoded at a time."""


@operation(
    "POST",
    "/v1/account/{account}/submit",
    access=Access.PATH,
    scope="api",
    tags=("Submit",),
    large=True,
    errors={
        403: "A token for one account sets `proxy`.",
        404: "The account has no SMTP server (`SMTPUnavailable`).",
        409: "The `Idempotency-Key` was used for another request (`IdempotencyConflict`).",
        503: "The account has not been connected yet; `Retry-After` says when to come back.",
    },
)
async def submit(
    context: Context,
    account: AccountId,
    body: Submit,
    headers: SubmitHeaders,
    *,
    query: SubmitQuery = ANY_QUERY,
    caller: Token | None = None,
) -> SubmitAccepted | DryRun | Response:
    """Submit a message.

    Before the first sync of an account (without IMAP: its first SMTP login), submissions are refused with a 503:

    | `code` | the account's `state` |
    |---|---|
    | `NotYetConnected` | `init`, `connecting`, `syncing` |
    | `AuthenticationFails` | `authenticationError` |
    | `ConnectionError` | `connectError` |
    | `NotSyncing` | `unset` |
    | `NoAvailable` | `disconnected`, `paused` |

    After that a broken connection refuses nothing: messages queue.
    """
    found = find_account(context, account)
    key = key_of(headers.idempotency_key)
    if body.dry_run:
        key = None
    fingerprint = await _fingerprint(context, body) if key is not None else b""
    if key is not None and (before := idempotency_keys.find(context.store.reader, found.id, key)) is not None:
        return again(repeated(before, fingerprint), key)
    narrowed = caller is not None and caller.account is not None
    await refuse_way(context.access, body.proxy, body.local_address, narrowed=narrowed)
    if not body.dry_run:
        refuse_unless_ready(found)
    now = context.world.now()
    send_at = now if body.send_at is UNSET else checked_send_at(body.send_at, now)
    is_large = size_of(body) > HERE
    draft = await context.world.in_thread(draft_of, found, body) if is_large else draft_of(found, body)
    message_id = message_id_for(context, draft, body)
    composed = await composed_of(context, draft, message_id, send_at, in_thread=is_large)
    if body.dry_run:
        return await _rehearsal(message_id, composed)
    message, recipients = message_of(context, found, body, draft, composed, message_id, now, send_at)
    answer = SubmitAccepted(message_id=message_id, send_at=iso(send_at), queue_id=message.queue_id)
    accepted = context.intake.accept(
        message,
        recipients,
        composed.header,
        composed.bcc_header,
        composed.body,
        key=key,
        kept=Kept(fingerprint, msgspec.json.encode(answer)) if key is not None else None,
    )
    first = await carry_through(accepted)
    if key is None:
        return answer
    if first is not None:
        return again(first, key)
    return replace(answer, idempotency=Idempotency(key=key, status="MISS"))


def message_of(
    context: Context,
    account: Account,
    body: Submit,
    draft: Draft,
    composed: Composed,
    message_id: str,
    now: float,
    send_at: float,
) -> tuple[Message, tuple[str, ...]]:
    """The message in the form for the queue, and its recipients."""
    sender, recipients = _envelope(draft, body)
    attempts = _attempts(context, body)
    message = Message(
        id=0,
        queue_id=new_queue_id(send_at, context.world),
        account=account.id,
        message_id=message_id,
        subject=draft.subject,
        sender=sender,
        smtputf8=composed.smtputf8 or any(needs_smtputf8(each) for each in (sender, *recipients)),
        size=len(composed.header) + 2 + len(composed.body),
        copy_path=_copy_path(account, body),
        created=now,
        send_at=send_at,
        next_at=send_at,
        state=State.QUEUED,
        attempts_made=0,
        attempts_max=attempts,
        dot_at=None,
        last_error=None,
        ended=None,
        on_doubt=OnDoubt(body.on_doubt or context.config.queue.on_doubt),
        doubt_since=None,
        interruptions=0,
        expires_at=context.intake.expires_at(send_at, attempts),
        local_address=body.local_address or None,
    )
    if body.proxy:
        message.proxy = context.access.routes.seal(account.id, message.queue_id, body.proxy)
    return message, recipients


def key_of(given_key: str | None) -> str | None:
    """The key without quotes: the header's draft standard requires quotes, which most clients omit.

    Raises `Problem` 400 for an empty key, since its caller relies on protection from duplicates.
    """
    if given_key is None:
        return None
    given = given_key.strip()
    if len(given) >= 2 and given[0] == given[-1] == '"':
        given = given[1:-1]
    if not given.strip():
        raise invalid("idempotency-key", EMPTY)
    return given


async def _fingerprint(context: Context, body: Submit) -> bytes:
    """A hash that identifies the request."""
    if body.copy is None:
        body = replace(body, copy=UNSET)
    if sum(len(each.content) for each in body.attachments) <= HERE:
        return hashlib.sha256(msgspec.json.encode(body)).digest()

    def work() -> bytes:
        short = [replace(each, content=hashlib.sha256(each.content).digest()) for each in body.attachments]
        return hashlib.sha256(msgspec.json.encode(replace(body, attachments=tuple(short)))).digest()

    return await context.world.in_thread(work)


async def _rehearsal(message_id: str, composed: Composed) -> DryRun | Response:
    """The answer to a `dryRun`; a large one is sent piece by piece."""
    head = composed.header + composed.bcc_header + b"\r\n"
    answer = DryRun(message_id=message_id, preview="")
    if len(composed.body) <= HERE:
        return replace(answer, preview=base64.b64encode(head + composed.body).decode())
    start = msgspec.json.encode(answer).removesuffix(b'"}')

    async def pieces() -> AsyncIterator[bytes]:
        yield start
        rest = head
        for at in range(0, len(composed.body), PIECE):
            rest += composed.body[at : at + PIECE]
            whole = len(rest) - len(rest) % 3
            yield base64.b64encode(rest[:whole])
            rest = rest[whole:]
        yield base64.b64encode(rest) + b'"}'

    length = len(start) + -(-(len(head) + len(composed.body)) // 3) * 4 + len(b'"}')
    return Response(pieces(), headers={**JSON, "Content-Length": str(length)})


def again(answer: bytes, key: str) -> SubmitAccepted:
    """The first answer to a request that is repeated with its key."""
    return replace(shown(SubmitAccepted, msgspec.json.decode(answer)), idempotency=Idempotency(key=key, status="HIT"))


def refuse_unless_ready(account: Account) -> None:
    """Raise `Problem` 404 if the account cannot send at all, 503 before its first sync."""
    if not account.has_smtp:
        raise Problem(404, "SMTP configuration was not found for requested ID", code="SMTPUnavailable")
    if not account.status.initialized:
        state = account.status.state
        refusal = REFUSALS[state]
        headers = {"Retry-After": str(refusal.retry_after)}
        raise Problem(503, refusal.message, headers=headers, state=state, code=refusal.code)


def checked_send_at(asked: datetime, now: float) -> float:
    """The requested time, or `now` if that is past (seconds since 1970). Raises `Problem` 400 beyond a year."""
    moment = asked.timestamp()
    if moment > now + YEAR:
        raise invalid("sendAt", "must be less than a year ahead")
    return max(moment, now)


def size_of(body: Content) -> int:
    """About how many octets there are to compose."""
    size = len(body.text or "") + len(body.html or "") + sum(len(each.content) for each in body.attachments)
    for given in body.headers.values():
        size += sum(map(len, given)) + 20 * len(given) if isinstance(given, tuple) else len(str(given))
    return size + 100 * sum(len(each or ()) for each in (body.to, body.cc, body.bcc, body.reply_to))


def draft_of(account: Account, body: Content) -> Draft:
    """The draft to compose. Raises `Problem` 400 if it has no author."""
    record = account.record
    if body.sender is not UNSET:
        sender = _address(body.sender)
    elif record.email is not UNSET:
        sender = Address(record.email, record.name)
    else:
        raise invalid("from", "is required because the account has no email address")
    return Draft(
        sender=sender,
        to=tuple(map(_address, body.to)),
        cc=tuple(map(_address, body.cc or ())),
        bcc=tuple(map(_address, body.bcc or ())),
        reply_to=tuple(map(_address, body.reply_to or ())),
        subject=body.subject or None,
        text=body.text or None,
        html=body.html or None,
        headers=body.header_fields(),
        attachments=tuple(
            AttachedFile(
                content=each.content,
                filename=each.filename or None,
                content_type=each.content_type or None,
                disposition=each.content_disposition or None,
                cid=each.cid or None,
            )
            for each in body.attachments
        ),
    )


def message_id_for(context: Context, draft: Draft, body: Content) -> str:
    """The requested Message-ID, or a new one."""
    if body.message_id is not UNSET:
        return message_id_of(body.message_id)
    domain = draft.sender.address.rpartition("@")[2]
    return f"<{context.world.uuid()}@{domain}>"


async def composed_of(context: Context, draft: Draft, message_id: str, date: float, *, in_thread: bool) -> Composed:
    """Compose the message. Raises `Problem` 400 if that is impossible."""
    boundary = f"----=_Part-{context.world.token_bytes(12).hex()}"

    def work() -> Composed:
        return compose(draft, message_id=message_id, date=date, boundary=boundary)

    try:
        if not in_thread:
            return work()
        async with context.bodies.heavy:
            return await context.world.in_thread(work)
    except HeaderError as error:
        raise invalid(error.field, error.reason) from error


def _envelope(draft: Draft, body: Submit) -> tuple[str, tuple[str, ...]]:
    sender = draft.sender.address
    recipients = tuple(dict.fromkeys(each.address for each in (*draft.to, *draft.cc, *draft.bcc)))
    if body.envelope is not UNSET:
        if body.envelope.sender is not UNSET:
            sender = body.envelope.sender
        recipients = tuple(dict.fromkeys(body.envelope.to)) or recipients
    return sender, recipients


def _copy_path(account: Account, body: Submit) -> str | None:
    wanted = body.copy if isinstance(body.copy, bool) else account.record.copy
    if wanted is False or not account.has_imap:
        return None
    return body.sent_mail_path or ""


def _attempts(context: Context, body: Submit) -> int:
    if body.delivery_attempts is not UNSET:
        return body.delivery_attempts
    return context.settings.values.delivery_attempts or context.config.retry.attempts


def _address(given: NamedAddress) -> Address:
    return Address(given.address, given.name)
