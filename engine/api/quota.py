"""How much an account may still send within its provider's limits."""

from __future__ import annotations

import trio
from msgspec import UNSET, UnsetType

from engine.api.context import Context, find_account
from engine.edge.client_disconnect import carry_through
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.isotime import iso
from engine.model.limit_presets import PRESETS
from engine.queue.quota_windows import Fill
from engine.schema.fields import AccountId
from engine.schema.quota import (
    AccountQuota,
    PresetInfo,
    ProviderClosed,
    QuotaUpdate,
    QuotaUpdated,
    QuotaWindowInfo,
)
from engine.store import outbox

_PATH = "/v1/account/{account}/quota"
_TAGS = ("Account",)


@operation("GET", _PATH, access=Access.PATH, scope="api", group="account", tags=_TAGS)
async def read(context: Context, account: AccountId) -> AccountQuota:
    """Read the quota of an account.

    It shows what `smtp.limits` allow and what counts against them now, and whether the provider itself has said that
    the account has sent all that it may. It is not about mail through a gateway.
    """
    found = find_account(context, account)
    quota, now, wall = found.quota, trio.current_time(), context.world.now()
    closure = quota.closure(now)
    closed = None
    if closure is not None:
        until, said = closure
        closed = ProviderClosed(
            since=iso(wall + until - now - said.seconds), until=iso(wall + until - now), response=said.text
        )
    group = quota.limits.recipients_per_message if quota.limits is not None else None
    return AccountQuota(
        account=found.id,
        preset=UNSET if found.limits is None else _preset(found.limits.preset),
        windows=tuple(_window(each, wall - now) for each in quota.fills()),
        recipients_per_message=UNSET if group is None else group,
        closed=closed,
        waiting=outbox.counts(context.store.reader, found.id, wall).waiting,
    )


@operation(
    "PUT",
    _PATH,
    access=Access.PATH,
    scope="api",
    group="account",
    tags=_TAGS,
    change=Change("account.reopen", lambda path, answer: path["account"] if answer.reopen else None),
)
async def update(context: Context, account: AccountId, body: QuotaUpdate) -> QuotaUpdated:
    """Send again although the provider said that the quota is used up.

    For an account whose provider has raised its limits, or whose reply the engine has misread. `smtp.limits` still
    hold; change them with `PUT /v1/account/{account}`.
    """
    found = find_account(context, account)
    if body.reopen:
        await carry_through(found.reopen_quota())
    return QuotaUpdated(reopen=body.reopen)


def _preset(name: str | UnsetType) -> PresetInfo | UnsetType:
    for each, preset in PRESETS.items():
        if each == name:
            return PresetInfo(name=each, as_of=preset.as_of, source=preset.source)
    return UNSET


def _window(fill: Fill, to_wall: float) -> QuotaWindowInfo:
    limit = fill.limit
    return QuotaWindowInfo(
        name=limit.name,
        limit=limit.most,
        used=fill.used,
        left=max(0, limit.most - fill.used),
        seconds=limit.seconds,
        frees_at=None if fill.frees_at is None else iso(fill.frees_at + to_wall),
    )
