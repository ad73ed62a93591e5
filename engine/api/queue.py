"""The queue, or one account's part of it: how full it is, and pausing it."""

from __future__ import annotations

from msgspec import UNSET

from engine.api.context import Context, find_account
from engine.errors import Problem
from engine.http.access import Access
from engine.http.audit_entries import Change
from engine.http.client_disconnect import carry_through
from engine.http.field_errors import invalid
from engine.http.operation import operation
from engine.schema.queue import QueueInfo, QueueJobs, QueueName, QueueQuery, QueueUpdate, QueueUpdated
from engine.store import outbox
from engine.store.tokens import Token

_PATH = "/v1/settings/queue/{queue}"
_TAGS = ("Settings",)


@operation("GET", _PATH, access=Access.QUERY, scope="api", tags=_TAGS)
async def read(context: Context, queue: QueueName, query: QueueQuery) -> QueueInfo:
    """Read the queue."""
    _refuse_unless_known(queue)
    account = find_account(context, query.account).id if query.account is not None else None
    counts = outbox.counts(context.store.reader, account, context.world.now())
    paused = context.pauses.paused(account)
    jobs = QueueJobs(
        active=counts.active,
        delayed=counts.delayed,
        paused=counts.waiting if paused else 0,
        waiting=0 if paused else counts.waiting,
    )
    return QueueInfo(queue="submit", account=UNSET if account is None else account, jobs=jobs, paused=paused)


@operation(
    "PUT",
    _PATH,
    access=Access.HANDLER,
    scope="api",
    tags=_TAGS,
    change=Change("settings.queue", lambda path, answer: f"{path['queue']} {answer.account or '*'}"),
)
async def update(context: Context, queue: QueueName, body: QueueUpdate, *, caller: Token | None = None) -> QueueUpdated:
    """Pause or resume sending.

    While the queue is paused the engine still takes submissions, and finishes the messages that are being sent. A pause
    survives a restart.
    """
    _refuse_unless_known(queue)
    if caller is not None and caller.account not in (None, body.account):
        raise Problem(403, "Unauthorized account")
    if body.account is UNSET:
        await carry_through(context.settings.update(queue_paused=body.paused))
        return QueueUpdated(queue="submit", paused=body.paused)
    account = find_account(context, body.account)
    await carry_through(context.registry.pause_queue(account, body.paused))
    return QueueUpdated(queue="submit", account=account.id, paused=body.paused)


def _refuse_unless_known(queue: str) -> None:
    if queue != "submit":
        raise invalid("queue", "must be one of [submit]")
