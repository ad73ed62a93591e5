"""Webhook endpoints: creating, reading, changing, removing, testing and replaying them, and their parked events.

A token for one account sees and creates endpoints of that account only; `default`, the endpoint of the settings, is not
among them, and only the settings change it.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from engine.api.context import Context
from engine.edge.client_disconnect import carry_through
from engine.egress import EgressRefused
from engine.errors import Problem
from engine.field_errors import FieldErrors, FieldPath, invalid
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.isotime import iso, iso_or_none
from engine.masking import MASK
from engine.model.settings import STORED_NAMES
from engine.model.webhook import EndpointSettings
from engine.schema.fields import CustomHeader
from engine.schema.paging import PageQuery
from engine.schema.webhooks import (
    ParkedAction,
    ParkedDone,
    ParkedEvent,
    ParkedList,
    WebhookCreate,
    WebhookCreated,
    WebhookError,
    WebhookFiltered,
    WebhookId,
    WebhookInfo,
    WebhookLine,
    WebhookList,
    WebhookRemoved,
    WebhookReplay,
    WebhookReplayed,
    WebhookTested,
    WebhookUpdate,
    WebhookUpdated,
)
from engine.settings import WEBHOOK_SETTINGS
from engine.store import events, webhooks
from engine.store.tokens import Token
from engine.webhooks.backlog import AccountBacklog
from engine.webhooks.endpoint import Endpoint
from engine.webhooks.registry import Made
from engine.webhooks.target import masked

_TAGS = ("Webhooks",)
LINES_SHOWN = 100


@operation(
    "POST",
    "/v1/webhooks",
    access=Access.HANDLER,
    scope="api",
    tags=_TAGS,
    change=Change("webhook.create", lambda path, answer: answer.id),
    errors={
        400: "The URL leads where the engine must not go (`EgressRefused`), or `after` is above the newest event "
        "(`FutureCursor`).",
        429: "There are too many endpoints; remove one first.",
    },
)
async def create(context: Context, body: WebhookCreate, *, caller: Token) -> WebhookCreated:
    """Create a webhook endpoint.

    An endpoint that a token for one account creates posts the events of that account alone.
    """
    numbers = context.numbers(caller)
    after = numbers.last if body.after is None else body.after
    numbers.refuse_ahead(after)
    _refuse_masks(body)
    await refuse_egress(context, "url", body.url, restricted=caller.account is not None)
    _refuse_one_more(context, caller)
    record = EndpointSettings(
        url=body.url,
        description=body.description,
        events=body.events,
        accounts=_accounts(body.accounts, caller),
        headers=_pairs(body.headers),
        secrets=() if body.secrets is UNSET else body.secrets,
        enabled=body.enabled,
        filter=body.filter,
        map=body.map,
    )
    made = await carry_through(context.webhooks.create(record, caller.account, after))
    return WebhookCreated(id=made.id, secrets=made.record.secrets, seq=after)


@operation("GET", "/v1/webhooks", access=Access.HANDLER, scope="api", group="webhook", tags=_TAGS)
async def listing(context: Context, query: PageQuery, *, caller: Token) -> WebhookList:
    """List webhook endpoints.

    The first one is `default`, the endpoint of the settings, which only the settings change. A token for one account
    sees the endpoints it has created.
    """
    service = context.webhooks
    rows: list[Made | None] = [None] if caller.account is None else []
    rows += [made for made in service.made.values() if caller.account in (None, made.owner)]
    shown = tuple(info(context, each, caller) for each in paging.cut(rows, query))
    return WebhookList(**paging.numbers(len(rows), query), webhooks=shown)


@operation("GET", "/v1/webhooks/{webhook}", access=Access.HANDLER, scope="api", group="webhook", tags=_TAGS)
async def read(context: Context, webhook: WebhookId, *, caller: Token) -> WebhookInfo:
    """Read a webhook endpoint."""
    made, _ = find(context, webhook, caller)
    return info(context, made, caller)


@operation(
    "PUT",
    "/v1/webhooks/{webhook}",
    access=Access.HANDLER,
    scope="api",
    tags=_TAGS,
    change=Change("webhook.update", lambda path, answer: answer.id),
    errors={
        400: "It is `default`, or the URL leads where the engine must not go (`EgressRefused`).",
        409: "The stored endpoint cannot be read (`WebhookUnreadable`): remove it and create another.",
    },
)
async def update(context: Context, webhook: WebhookId, body: WebhookUpdate, *, caller: Token) -> WebhookUpdated:
    """Change a webhook endpoint.

    The endpoint continues from its position, and the events that wait for it are posted at once.
    """
    made = _made(context, webhook, caller)
    _must_be_readable(made)
    _refuse_masks(body)
    changes = {field: getattr(body, field) for field in body.__struct_fields__ if getattr(body, field) is not UNSET}
    if "url" in changes:
        if "@" in changes["url"] and changes["url"] == masked(made.record.url, MASK):
            changes["url"] = made.record.url
        await refuse_egress(context, "url", changes["url"], restricted=made.owner is not None)
    if "headers" in changes:
        changes["headers"] = _pairs(changes["headers"])
    if "accounts" in changes:
        changes["accounts"] = _accounts(changes["accounts"], caller)
    if made.owner is not None:
        changes["accounts"] = (made.owner,)
    record = replace(made.record, stopped=None, **changes)
    await carry_through(context.webhooks.update(made, record))
    return WebhookUpdated(id=made.id)


@operation(
    "DELETE",
    "/v1/webhooks/{webhook}",
    access=Access.HANDLER,
    scope="api",
    group="webhook",
    tags=_TAGS,
    change=Change("webhook.remove", lambda path, answer: answer.id),
)
async def remove(context: Context, webhook: WebhookId, *, caller: Token) -> WebhookRemoved:
    """Remove a webhook endpoint."""
    made = _made(context, webhook, caller)
    await carry_through(context.webhooks.remove(made))
    return WebhookRemoved(id=made.id)


@operation(
    "POST",
    "/v1/webhooks/{webhook}/test",
    access=Access.HANDLER,
    scope="api",
    group="webhook",
    tags=_TAGS,
    errors={400: "The endpoint has no URL."},
)
async def test(context: Context, webhook: WebhookId, *, caller: Token) -> WebhookTested:
    """Test a webhook endpoint.

    The engine posts a test event (`webhookTest`, number 0) at once and shows how the receiver answered. A second one,
    signed with another secret, shows whether the receiver checks signatures.
    """
    made, endpoint = find(context, webhook, caller)
    _must_be_readable(made)
    target = context.webhooks.target(made)
    if target is None:
        raise Problem(400, "The endpoint has no URL")
    answer, verifies = await context.webhooks.test(endpoint, target)
    return WebhookTested(
        success=answer.taken,
        status=answer.status,
        message=answer.text,
        took=round(answer.took * 1000),
        verifies=verifies,
    )


@operation(
    "POST",
    "/v1/webhooks/{webhook}/replay",
    access=Access.HANDLER,
    scope="api",
    group="webhook",
    tags=_TAGS,
    change=Change("webhook.replay", lambda path, answer: answer.id),
)
async def replay(context: Context, webhook: WebhookId, body: WebhookReplay, *, caller: Token) -> WebhookReplayed:
    """Replay events.

    The engine posts past events again, to the endpoint itself or to another URL.
    """
    made, endpoint = find(context, webhook, caller)
    _must_be_readable(made)
    service, numbers = context.webhooks, context.numbers(caller)
    if body.since is not None:
        after = numbers.seen(events.since(context.store.reader, body.since.timestamp()))
    else:
        after = body.after or 0
        numbers.refuse_ahead(after)
    if body.url is None:
        await carry_through(service.replay(endpoint, after))
        return WebhookReplayed(id=endpoint.id, seq=after)
    await refuse_egress(context, "url", body.url, restricted=caller.account is not None)
    _refuse_one_more(context, caller)
    values = context.settings.values
    like = made.record if made is not None else EndpointSettings(url="", events=values.webhook_events)
    if made is None and values.service_secret:
        like = replace(like, secrets=(values.service_secret,))
    record = replace(
        like,
        url=body.url,
        description=f"replay of {endpoint.id}",
        enabled=True,
        stopped=None,
        until=context.streams.journal.last,
        replay_of=endpoint.id,
    )
    copy = await carry_through(service.create(record, caller.account, after))
    return WebhookReplayed(id=copy.id, seq=after, until=numbers.last)


@operation("GET", "/v1/webhooks/{webhook}/parked", access=Access.HANDLER, scope="api", group="webhook", tags=_TAGS)
async def parked(context: Context, webhook: WebhookId, query: PageQuery, *, caller: Token) -> ParkedList:
    """List parked events.

    The events that the receiver refused for three days, or that did not fit an expression, with the reason.
    """
    _, endpoint = find(context, webhook, caller)
    reader = context.store.reader
    total = webhooks.parked_count(reader, endpoint.id)
    rows = webhooks.parked(reader, endpoint.id, query.page_size, query.page * query.page_size)
    shown = tuple(
        ParkedEvent(
            seq=row.seq,
            account=row.account or None,
            event=row.name,
            attempts=row.attempts,
            reason=row.reason,
            parked=iso(row.parked),
            retrying=bool(row.retrying),
        )
        for row in rows
    )
    return ParkedList(**paging.numbers(total, query), parked=shown)


@operation(
    "POST",
    "/v1/webhooks/{webhook}/parked",
    access=Access.HANDLER,
    scope="api",
    group="webhook",
    tags=_TAGS,
    change=Change("webhook.settle", lambda path, answer: path["webhook"]),
)
async def settle(context: Context, webhook: WebhookId, body: ParkedAction, *, caller: Token) -> ParkedDone:
    """Retry or skip parked events."""
    _, endpoint = find(context, webhook, caller)
    service = context.webhooks
    change = service.retry if body.action == "retry" else service.skip
    return ParkedDone(events=await carry_through(change(endpoint, body.seqs)))


async def refuse_egress(context: Context, field: str, url: str, *, restricted: bool) -> None:
    """Raise `Problem` 400 when a URL leads where webhooks must not go."""
    try:
        await context.webhooks.check(url, restricted=restricted)
    except (EgressRefused, ValueError) as error:
        raise invalid(field, f"cannot be used: {error}", code="EgressRefused") from error


def _refuse_one_more(context: Context, caller: Token) -> None:
    """Raise `Problem` 429 when the caller's account, or all tokens for all accounts together, have their share."""
    most = context.config.webhooks.endpoints
    if sum(made.owner == caller.account for made in context.webhooks.made.values()) >= most:
        raise Problem(
            429,
            f"Too many webhook endpoints: at most {most} are allowed, so remove one first",
            code="TooMany",
            headers={"Retry-After": "60"},
        )


def find(context: Context, name: str, caller: Token) -> tuple[Made | None, Endpoint]:
    """The endpoint of this id, made None for that of the settings. Raises `Problem` 404, for that of another too."""
    service = context.webhooks
    if name == webhooks.DEFAULT and caller.account is None:
        return None, service.default
    made = service.get(name)
    if made is None or caller.account not in (None, made.owner):
        raise Problem(404, "There is no webhook with this id")
    return made, made.endpoint


def _made(context: Context, name: str, caller: Token) -> Made:
    made, _ = find(context, name, caller)
    if made is None:
        raise Problem(400, "This is the endpoint of the settings: change it with POST /v1/settings")
    return made


def _must_be_readable(made: Made | None) -> None:
    if made is not None and made.unreadable:
        raise Problem(409, f"{made.record.stopped}; remove it and create another", code="WebhookUnreadable")


def _accounts(given: tuple[str, ...] | None, caller: Token) -> tuple[str, ...] | None:
    if caller.account is None:
        return given
    if given is not None and set(given) != {caller.account}:
        raise Problem(403, "Unauthorized account")
    return (caller.account,)


def _pairs(headers: tuple[CustomHeader, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((each.key, each.value) for each in headers)


def _refuse_masks(body: WebhookCreate | WebhookUpdate) -> None:
    found = FieldErrors()
    if body.secrets is not UNSET and MASK in body.secrets:
        found.add(FieldPath.of("secrets"), "holds a masked value")
    if body.secrets == ():
        found.add(FieldPath.of("secrets"), "must hold at least one")
    if body.headers is not UNSET and any(each.value == MASK for each in body.headers):
        found.add(FieldPath.of("headers"), "holds a masked value")
    found.refuse()


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint was told to do, as it is shown."""

    url: str | None
    description: str
    account: str | UnsetType = UNSET
    events: tuple[str, ...] | None
    accounts: tuple[str, ...] | None
    headers: tuple[CustomHeader, ...]
    secrets: tuple[str, ...]
    enabled: bool
    filter: str | None
    map: str | None
    replay_of: str | UnsetType = UNSET
    until: int | UnsetType = UNSET
    disabled_reason: str | UnsetType = UNSET


def info(context: Context, made: Made | None, caller: Token) -> WebhookInfo:
    """An endpoint as this caller may see it; `made` None is that of the settings."""
    service, numbers = context.webhooks, context.numbers(caller)
    endpoint = service.default if made is None else made.endpoint
    told = _settings(context) if made is None else _record(made)
    health = endpoint.health
    troubled = [line for line in endpoint.lines.values() if line.attempts or line.gone]
    enabled = told.enabled and not health.gone
    reason = told.disabled_reason
    if health.gone and reason is UNSET:
        reason = "the receiver answered 410 Gone"
    seq = numbers.seen(endpoint.position)
    return WebhookInfo(
        id=endpoint.id,
        url=told.url,
        description=told.description,
        account=told.account,
        events=told.events,
        accounts=told.accounts,
        headers=told.headers,
        secrets=told.secrets,
        enabled=told.enabled,
        filter=told.filter,
        map=told.map,
        replay_of=told.replay_of,
        until=told.until if told.until is UNSET else numbers.seen(told.until),
        state=(service.waits_for(made) or ("failing" if troubled else "ok")) if enabled else "disabled",
        disabled_reason=reason,
        seq=seq,
        behind=numbers.last - seq,
        delivered=health.delivered,
        filtered=None if told.filter is None else _filtered(endpoint),
        parked=webhooks.parked_count(context.store.reader, endpoint.id),
        lines=tuple(map(_line, troubled[:LINES_SHOWN])),
        last_success=iso_or_none(health.last_success),
        failing_since=iso_or_none(health.failing_since) if troubled else None,
        last_error=_error(endpoint),
        created=iso(service.default_created if made is None else made.created),
        updated=iso(service.default_created if made is None else made.updated),
    )


def _filtered(endpoint: Endpoint) -> WebhookFiltered:
    health = endpoint.health
    return WebhookFiltered(passed=health.passed, left_out=health.left_out, last_passed=iso_or_none(health.last_passed))


def _line(line: AccountBacklog) -> WebhookLine:
    return WebhookLine(
        account=line.account or None,
        seq=line.seq,
        attempts=line.attempts,
        next_attempt=iso_or_none(line.next_at),
        error=line.error,
    )


def _error(endpoint: Endpoint) -> WebhookError | None:
    health = endpoint.health
    if health.error is None or health.error_at is None:
        return None
    error = WebhookError(message=health.error, time=iso(health.error_at))
    if health.error_seq is None:
        return error
    return replace(error, seq=health.error_seq, account=health.error_account, status=health.error_status)


def _settings(context: Context) -> _Told:
    values = context.settings.values
    url, names = values.webhooks, values.webhook_events
    unreadable = sorted(STORED_NAMES[name] for name in context.settings.unreadable.intersection(WEBHOOK_SETTINGS))
    return _Told(
        url=masked(url, MASK) if url else None,
        description="the webhook of the settings",
        events=None if names is None or "*" in names else names,
        accounts=None,
        headers=tuple(CustomHeader(key=each.key, value=MASK) for each in values.webhooks_custom_headers or ()),
        secrets=(MASK,) if values.service_secret else (),
        enabled=context.settings.webhooks_enabled,
        filter=None,
        map=None,
        disabled_reason=f"stored settings cannot be read: {', '.join(unreadable)}" if unreadable else UNSET,
    )


def _record(made: Made) -> _Told:
    record = made.record
    return _Told(
        url=masked(record.url, MASK),
        description=record.description,
        account=UNSET if made.owner is None else made.owner,
        events=record.events,
        accounts=record.accounts,
        headers=tuple(CustomHeader(key=key, value=MASK) for key, _ in record.headers),
        secrets=tuple(MASK for _ in record.secrets),
        enabled=record.enabled,
        filter=record.filter,
        map=record.map,
        replay_of=UNSET if record.replay_of is None else record.replay_of,
        until=UNSET if record.until is None else record.until,
        disabled_reason=UNSET if record.stopped is None else record.stopped,
    )
