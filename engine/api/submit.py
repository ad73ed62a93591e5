"""Submitting a message: check, prepare, accept, answer.

Errors in composing are the caller's and name the field; a refused request queues nothing. A request repeated with its
`Idempotency-Key` gets the first answer; dry runs and refusals are not stored under a key.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from quart import Response

from engine.accounts.account import Account
from engine.accounts.proxy_checks import refuse_way
from engine.api.context import Context, find_account
from engine.api.mailbox_access import TOO_LATE
from engine.decoding.decode import HERE
from engine.decoding.value_checks import EMPTY
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.http.problems import JSON
from engine.isotime import iso
from engine.queue.accept import Incoming
from engine.queue.idempotency import repeated
from engine.schema.blocklists import Skipped
from engine.schema.fields import AccountId
from engine.schema.merge_results import MergeAccepted, MergeRecipient, MergeResult
from engine.schema.reference import ReferenceShown
from engine.schema.stored_json import shown
from engine.schema.submit import MergeEntry, Render, Submit, SubmitHeaders, SubmitQuery
from engine.schema.submit_answers import DryRun, Idempotency, SubmitAccepted, SubmitSkipped
from engine.schema.submit_checks import Checks
from engine.store import idempotency_keys, templates
from engine.store.idempotency_keys import Kept
from engine.store.templates import Stored
from engine.store.tokens import Token
from engine.submission.account_readiness import refuse_unless_ready
from engine.submission.checking import Checkable
from engine.submission.merge import Failed, MergeRenderer, Prepared, prepare_merge
from engine.submission.reference import Referenced
from engine.submission.suppression import NobodyLeft, suppressed_shown
from engine.submission.template import Rendering, Variables, merge_steps, params_of
from engine.submission.terms import Terms, terms_of

ANY_QUERY = SubmitQuery()
PIECE = 256 * 1024
"""Octets of a large preview that are encoded at a time."""


@operation(
    "POST",
    "/v1/account/{account}/submit",
    access=Access.PATH,
    scope="api",
    group="submit",
    action="send",
    tags=("Submit",),
    large=True,
    errors={
        403: "A token for one account, or with permissions, sets `proxy`.",
        404: "The account has no SMTP server (`SMTPUnavailable`), there is no such template (`TemplateNotFound`), the "
        "message in `reference` does not exist (`ReferenceNotFound`) or has another Message-ID (`MessageNotFound`), or "
        "there is no such attached file (`AttachmentNotFound`).",
        409: "The `Idempotency-Key` was used for another request (`IdempotencyConflict`).",
        413: "The files from the mailbox are too large, or the messages of a merge differ in more than 64 MiB "
        "(`TooLarge`).",
        422: "A template cannot be rendered (`SubmitFail`): `fields` names the text, the line and what is wrong. Or a "
        "recipient is suppressed, and `ifSuppressed` is `fail` (`RecipientSuppressed`).",
        503: "The account has not been connected yet; `Retry-After` says when to come back. Or it is not connected now "
        "(`IMAPUnavailable`), and `reference` needs its mailbox.",
        504: f"The mail server did not answer in time. {TOO_LATE}",
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
) -> SubmitAccepted | SubmitSkipped | MergeAccepted | DryRun | Response:
    """Submit a message.

    With `mailMerge`, submit up to 1,000 messages: each entry has its own result, and one that fails does not affect the
    others.

    Before the first sync of an account (without IMAP: its first SMTP login), submissions are refused with a 503:

    | `code` | the account's `state` |
    |---|---|
    | `NotYetConnected` | `init`, `connecting`, `syncing` |
    | `AuthenticationFails` | `authenticationError` |
    | `ConnectionError` | `connectError` |
    | `NotSyncing` | `unset` |
    | `NoAvailable` | `disconnected`, `paused` |

    After that, a broken connection refuses nothing: messages queue. Only `reference` needs the mailbox at once.
    """
    found = find_account(context, account)
    key = key_of(headers.idempotency_key)
    if body.dry_run:
        key = None
    fingerprint = await _fingerprint(context, body) if key is not None else b""
    if key is not None and (before := idempotency_keys.find(context.store.reader, found.id, key)) is not None:
        first = repeated(before, fingerprint)
        return again(first, key) if body.mail_merge is UNSET else _merged_again(first, key)
    narrowed = caller is not None and caller.account is not None
    limited = caller is not None and caller.permissions is not None
    await refuse_way(context.access, body.proxy, body.local_address, narrowed=narrowed, limited=limited)
    if not body.dry_run and context.submissions.gateways.of(body.gateway) is None:
        refuse_unless_ready(found)
    checks = body.dry_run if query.check is UNSET else query.check
    terms, submissions = terms_of(body, context.world.now(), narrowed=narrowed), context.submissions
    if body.mail_merge is not UNSET:
        rendering = await _merge_rendering(context, found, body)
        render = None if rendering is None else _merge_renderer(context, found, body, rendering)
        async with submissions.references.read(found, body, headers.seconds) as referenced:
            prepared = await prepare_merge(submissions, found, body, terms, referenced, render)
            answer = MergeAccepted(mail_merge=_results(prepared, _shown(referenced), queued=not body.dry_run))
            if checks:
                answer = await _checked_merge(context, found, terms, prepared, rendering, answer)
            return await _merged(context, prepared, answer, key, fingerprint, rehearsal=body.dry_run)
    rendering = await _rendering(context, found, body)
    async with submissions.references.read(found, body, headers.seconds) as referenced:
        content = body if rendering is None else await _rendered(context, found, body, terms, referenced, rendering)
        try:
            incoming = await submissions.prepare(found, content, terms, referenced)
        except NobodyLeft as nobody:
            skipped = Skipped(reason=nobody.suppressed[0].reason)
            return SubmitSkipped(skipped=skipped, suppressed=suppressed_shown(nobody.suppressed))
        for reason in submissions.links.skipped(found.id, terms, incoming.recipients).values():
            return SubmitSkipped(skipped=Skipped(reason=reason, list_id=terms.list_id or ""))
        noticed: Checks = UNSET
        if checks:
            unresolved = {} if rendering is None else rendering.without_values(params_of(body))
            checkable = Checkable(incoming, unresolved, body.raw is not UNSET, terms.list_id is not None)
            noticed = await context.checking.one(found, checkable)
        if body.dry_run:
            return await _rehearsal(incoming, _shown(referenced), noticed)
        return await _queued(context, incoming, _shown(referenced), noticed, key, fingerprint)


async def _queued(
    context: Context,
    incoming: Incoming,
    reference: ReferenceShown | UnsetType,
    checks: Checks,
    key: str | None,
    fingerprint: bytes,
) -> SubmitAccepted:
    """Queue the message and answer."""
    message = incoming.message
    answer = SubmitAccepted(
        message_id=message.message_id,
        send_at=iso(message.send_at),
        queue_id=message.queue_id,
        reference=reference,
        suppressed=suppressed_shown(incoming.suppressed),
        checks=checks,
    )
    kept = Kept(fingerprint, msgspec.json.encode(answer)) if key is not None else None
    queued_before = await carry_through(context.submissions.accept(incoming, key=key, kept=kept))
    if key is None:
        return answer
    if queued_before is not None:
        return again(queued_before, key)
    return replace(answer, idempotency=Idempotency(key=key, status="MISS"))


async def _merged(
    context: Context,
    prepared: list[Prepared],
    answer: MergeAccepted,
    key: str | None,
    fingerprint: bytes,
    *,
    rehearsal: bool,
) -> MergeAccepted:
    """Queue the messages of a merge, unless it is a rehearsal, and answer."""
    taken = [each.outcome for each in prepared if isinstance(each.outcome, Incoming)]
    if rehearsal:
        return answer
    if taken:
        kept = Kept(fingerprint, msgspec.json.encode(answer)) if key is not None else None
        first = await carry_through(context.submissions.accept(*taken, key=key, kept=kept))
        if key is not None and first is not None:
            return _merged_again(first, key)
    return answer if key is None else replace(answer, idempotency=Idempotency(key=key, status="MISS"))


async def _checked_merge(
    context: Context,
    account: Account,
    terms: Terms,
    prepared: list[Prepared],
    rendering: Rendering | None,
    answer: MergeAccepted,
) -> MergeAccepted:
    """The answer with what is noticed about the messages."""
    checkable = {}
    for number, (entry, outcome) in enumerate(prepared):
        if isinstance(outcome, Incoming):
            unresolved = {} if rendering is None else rendering.without_values(entry.params)
            checkable[number] = Checkable(outcome, unresolved, to_list=terms.list_id is not None)
    noticed = await context.checking.merge(account, list(checkable.values()))
    results = list(answer.mail_merge)
    for number, own in zip(checkable, noticed.own, strict=True):
        if own:
            results[number] = replace(results[number], checks=own)
    return replace(answer, mail_merge=tuple(results), checks=noticed.common if checkable else UNSET)


def _results(
    prepared: list[Prepared], reference: ReferenceShown | UnsetType, *, queued: bool
) -> tuple[MergeResult, ...]:
    return tuple(_result(each, reference, queued=queued) for each in prepared)


def _result(prepared: Prepared, reference: ReferenceShown | UnsetType, *, queued: bool) -> MergeResult:
    given, outcome = prepared.entry.to, prepared.outcome
    to = MergeRecipient(name=given.name or UNSET, address=given.address)
    match outcome:
        case Skipped():
            return MergeResult(success=True, to=to, skipped=outcome)
        case Failed(error, code, status):
            return MergeResult(success=False, to=to, error=error, code=code or "SubmitFail", status_code=status)
        case _:
            message = outcome.message
            suppressed = suppressed_shown(outcome.suppressed)
            if not queued:
                return MergeResult(
                    success=True, to=to, message_id=message.message_id, reference=reference, suppressed=suppressed
                )
            return MergeResult(
                success=True,
                to=to,
                message_id=message.message_id,
                queue_id=message.queue_id,
                send_at=iso(message.send_at),
                reference=reference,
                suppressed=suppressed,
            )


async def _rendering(context: Context, account: Account, body: Submit) -> Rendering | None:
    """The texts of a submission, compiled; None if they are taken as they are.

    Those for a list are templates unless `render` is `false`. Raises `Problem` 404 for an unknown template, 422 for a
    faulty one.
    """
    if not (body.render or body.template or body.list_id or body.preview_text):
        return None
    if body.list_id and body.raw is UNSET and body.render in (UNSET, None):
        body = replace(body, render=Render())
    return await Rendering.of(body, _template(context, account, body), context.world)


async def _rendered(
    context: Context, account: Account, body: Submit, terms: Terms, found: Referenced, rendering: Rendering
) -> Submit:
    """The submission with its texts rendered. Raises `Problem` 422 for what cannot be rendered."""
    variables = _variables(context, account, body)
    if terms.list_id is not None and body.raw is UNSET:
        message_id, recipient = await context.submissions.for_list(account, body, terms, found)
        body, variables = replace(body, message_id=message_id), variables._replace(recipient=recipient)
    return await rendering.content(body, variables, params_of(body), context.world)


async def _merge_rendering(context: Context, account: Account, body: Submit) -> Rendering | None:
    """The texts of a merge, compiled; None if all entries get the same. Raises as `_rendering` does.

    There is no `render` beside a merge: the texts are templates if an entry has parameters, or the merge is of a list.
    """
    if body.list_id or any(each.params for each in body.mail_merge or ()):
        body = replace(body, render=Render())
    return await Rendering.of(body, _template(context, account, body), context.world)


def _merge_renderer(context: Context, account: Account, body: Submit, rendering: Rendering) -> MergeRenderer:
    """What renders the texts for an entry of a merge."""
    variables, steps = _variables(context, account, body), merge_steps(len(body.mail_merge or ()))
    body = replace(body, mail_merge=UNSET)

    async def render(entry: MergeEntry, recipient: dict[str, str]) -> Submit:
        return await rendering.content(
            body, variables._replace(recipient=recipient), entry.params, context.world, steps
        )

    return render


def _template(context: Context, account: Account, body: Submit) -> Stored | None:
    stored = templates.get(context.store.reader, body.template) if body.template else None
    if body.template and (stored is None or stored.summary.account not in (None, account.id)):
        message = f"Requested template was not found [{body.template}]"
        raise Problem(404, message, code="TemplateNotFound")
    return stored


def _variables(context: Context, account: Account, body: Submit) -> Variables:
    base_url = context.settings.values.service_url if body.base_url is UNSET else body.base_url
    return Variables(account.record, base_url)


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
    raw = b"" if body.raw is UNSET else body.raw
    if len(raw) + sum(len(each.content or b"") for each in body.attachments) <= HERE:
        return hashlib.sha256(msgspec.json.encode(body)).digest()

    def work() -> bytes:
        short = [replace(each, content=hashlib.sha256(each.content or b"").digest()) for each in body.attachments]
        whole = hashlib.sha256(raw).digest() if raw else UNSET
        return hashlib.sha256(msgspec.json.encode(replace(body, attachments=tuple(short), raw=whole))).digest()

    return await context.world.in_thread(work)


def _shown(referenced: Referenced) -> ReferenceShown | UnsetType:
    return UNSET if referenced.shown is UNSET else replace(referenced.shown, document_store=False)


async def _rehearsal(incoming: Incoming, reference: ReferenceShown | UnsetType, checks: Checks) -> DryRun | Response:
    """The answer to a `dryRun`; a large one is sent piece by piece."""
    composed = incoming.content
    head = composed.header + composed.bcc_header + b"\r\n"
    answer = DryRun(
        message_id=incoming.message.message_id,
        preview="",
        reference=reference,
        suppressed=suppressed_shown(incoming.suppressed),
        checks=checks,
    )
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


def _merged_again(answer: bytes, key: str) -> MergeAccepted:
    return replace(shown(MergeAccepted, msgspec.json.decode(answer)), idempotency=Idempotency(key=key, status="HIT"))
