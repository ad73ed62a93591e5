"""The queues: how full they are, and pausing them, also for one account."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from engine.api.context import Context, find_account
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.isotime import iso_or_none
from engine.schema.queue_control import (
    QUEUES,
    Queue,
    QueueInfo,
    QueueJobs,
    QueueName,
    QueueQuery,
    QueueUpdate,
    QueueUpdated,
)
from engine.store import outbox
from engine.store.tokens import Token

_PATH = "/v1/settings/queue/{queue}"
_TAGS = ("Settings",)
_SETTINGS: dict[Queue, str] = {"submit": "queue_paused", "notify": "webhooks_paused"}
"""The settings that store the pauses; `documents` is always empty."""


@operation("GET", _PATH, access=Access.QUERY, scope="api", tags=_TAGS)
async def read(context: Context, queue: QueueName, query: QueueQuery) -> QueueInfo:
    """Read a queue.

    For `notify`, `waiting` counts the events that webhook endpoints have not examined yet, and `delayed` the accounts
    whose next event waits for another attempt, per endpoint.
    """
    name = _known(queue)
    if name != "submit":
        _refuse_account(query.account)
        waiting, delayed = context.webhooks.jobs() if name == "notify" else (0, 0)
        jobs = QueueJobs(active=0, delayed=delayed, paused=0, waiting=waiting)
        oldest = context.webhooks.oldest() if name == "notify" else None
        return QueueInfo(queue=name, jobs=jobs, paused=_paused(context, name), oldest=oldest)
    account = find_account(context, query.account).id if query.account is not None else None
    counts = outbox.counts(context.store.reader, account, context.world.now())
    jobs = QueueJobs(active=counts.active, delayed=counts.delayed, paused=0, waiting=counts.waiting)
    paused = context.pauses.paused(account)
    return QueueInfo(
        queue="submit",
        account=UNSET if account is None else account,
        jobs=jobs,
        paused=paused,
        oldest=iso_or_none(counts.oldest),
    )


@operation(
    "PUT",
    _PATH,
    access=Access.HANDLER,
    scope="api",
    tags=_TAGS,
    change=Change("settings.queue", lambda path, answer: f"{path['queue']} {answer.account or '*'}"),
)
async def update(context: Context, queue: QueueName, body: QueueUpdate, *, caller: Token | None = None) -> QueueUpdated:
    """Pause or resume a queue.

    While `submit` is paused, the engine still accepts submissions and finishes the messages that are being sent. While
    `notify` is paused, webhooks wait and are posted later. A pause survives a restart.
    """
    name = _known(queue)
    if caller is not None and caller.account not in (None, body.account):
        raise Problem(403, "Unauthorized account")
    if isinstance(body.account, UnsetType):
        setting = _SETTINGS.get(name)
        if setting is not None and body.paused is not UNSET:
            await carry_through(context.settings.update(**{setting: body.paused}))
        return QueueUpdated(queue=name, paused=_paused(context, name))
    if name != "submit":
        _refuse_account(body.account)
    account = find_account(context, body.account)
    if not isinstance(body.paused, UnsetType):
        await carry_through(context.registry.pause_queue(account, body.paused))
    return QueueUpdated(queue="submit", account=account.id, paused=context.pauses.paused(account.id))


def _known(queue: str) -> Queue:
    for name in QUEUES:
        if name == queue:
            return name
    raise invalid("queue", f"must be one of [{', '.join(QUEUES)}]")


def _refuse_account(account: str | None) -> None:
    if account is not None:
        raise invalid("account", "is not allowed")


def _paused(context: Context, queue: Queue) -> bool:
    """Whether a whole queue is paused."""
    setting = _SETTINGS.get(queue)
    return setting is not None and getattr(context.settings.values, setting) is True
