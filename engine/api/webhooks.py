"""Webhook endpoints: making, reading, changing, removing, testing and replaying them, and what they put aside.

A token for one account sees and makes endpoints of that account only; `default`, the endpoint of the settings, is not
among them and is changed by the settings alone.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from engine.api import horizon, paging
from engine.api.context import Context, carry_through
from engine.egress import EgressRefused
from engine.errors import Problem
from engine.events.endpoint import Endpoint
from engine.events.target import masked
from engine.events.webhooks import DEFAULT, Made, Record
from engine.isotime import iso, iso_or_none
from engine.schema.fields import CustomHeader
from engine.schema.servers import MASK
from engine.schema.webhooks import ParkedAction, WebhookCreate, WebhookReplay, WebhooksQuery, WebhookUpdate
from engine.settings import WEBHOOK_SETTINGS
from engine.store import events, webhooks
from engine.store.tokens import Token

LINES_SHOWN = 100


async def create(context: Context, body: WebhookCreate, *, caller: Token) -> dict[str, Any]:
    """`POST /v1/webhooks`."""
    after = horizon.last(context, caller.account) if body.after is None else body.after
    horizon.refuse_ahead(context, caller.account, after)
    _refuse_masks(body)
    await refuse_egress(context, "url", body.url, restricted=caller.account is not None)
    _refuse_one_more(context, caller)
    record = Record(
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
    made = await carry_through(context.services.webhooks.create(record, caller.account, after))
    return {"id": made.id, "secrets": made.record.secrets, "seq": after}


async def listing(context: Context, query: WebhooksQuery, *, caller: Token) -> dict[str, Any]:
    """`GET /v1/webhooks`."""
    service = context.services.webhooks
    rows: list[Made | None] = [None] if caller.account is None else []
    rows += [made for made in service.made.values() if caller.account in (None, made.owner)]
    return {
        **paging.numbers(len(rows), query),
        "webhooks": [_shown(context, each, caller) for each in paging.cut(rows, query)],
    }


async def read(context: Context, name: str, *, caller: Token) -> dict[str, Any]:
    """`GET /v1/webhooks/{webhook}`."""
    made, _ = _find(context, name, caller)
    return _shown(context, made, caller)


async def update(context: Context, name: str, body: WebhookUpdate, *, caller: Token) -> dict[str, Any]:
    """`PUT /v1/webhooks/{webhook}`."""
    made = _made(context, name, caller)
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
    record = msgspec.structs.replace(made.record, stopped=None, **changes)
    await carry_through(context.services.webhooks.update(made, record))
    return {"id": made.id}


async def remove(context: Context, name: str, *, caller: Token) -> dict[str, Any]:
    """`DELETE /v1/webhooks/{webhook}`."""
    made = _made(context, name, caller)
    await carry_through(context.services.webhooks.remove(made))
    return {"id": made.id, "deleted": True}


async def test(context: Context, name: str, *, caller: Token) -> dict[str, Any]:
    """`POST /v1/webhooks/{webhook}/test`: post a test event now and say how it went."""
    made, endpoint = _find(context, name, caller)
    _must_be_readable(made)
    target = context.services.webhooks.target(made)
    if target is None:
        raise Problem(400, "There is no URL to post to")
    answer, verifies = await context.services.webhooks.test(endpoint, target)
    return {
        "success": answer.taken,
        "status": answer.status,
        "message": answer.text,
        "took": round(answer.took * 1000),
        "verifies": verifies,
    }


async def replay(context: Context, name: str, body: WebhookReplay, *, caller: Token) -> dict[str, Any]:
    """`POST /v1/webhooks/{webhook}/replay`: post events again, here or elsewhere."""
    made, endpoint = _find(context, name, caller)
    _must_be_readable(made)
    journal, service = context.services.journal, context.services.webhooks
    if body.since is not None:
        after = horizon.seen(
            context, caller.account, events.since(context.services.store.reader, body.since.timestamp())
        )
    else:
        after = body.after or 0
        horizon.refuse_ahead(context, caller.account, after)
    if body.url is None:
        await carry_through(service.replay(endpoint, after))
        return {"id": endpoint.id, "seq": after}
    await refuse_egress(context, "url", body.url, restricted=caller.account is not None)
    _refuse_one_more(context, caller)
    names = context.settings.values["webhookEvents"]
    like = made.record if made is not None else Record(url="", events=None if names is None else tuple(names))
    if made is None and context.settings.values["serviceSecret"]:
        like = msgspec.structs.replace(like, secrets=(context.settings.values["serviceSecret"],))
    record = msgspec.structs.replace(
        like,
        url=body.url,
        description=f"replay of {endpoint.id}",
        enabled=True,
        stopped=None,
        until=journal.last,
        replay_of=endpoint.id,
    )
    copy = await carry_through(service.create(record, caller.account, after))
    return {"id": copy.id, "seq": after, "until": horizon.last(context, caller.account)}


async def parked(context: Context, name: str, query: WebhooksQuery, *, caller: Token) -> dict[str, Any]:
    """`GET /v1/webhooks/{webhook}/parked`."""
    _, endpoint = _find(context, name, caller)
    reader = context.services.store.reader
    total = webhooks.parked_count(reader, endpoint.id)
    rows = webhooks.parked(reader, endpoint.id, query.page_size, query.page * query.page_size)
    return {
        **paging.numbers(total, query),
        "parked": [
            {
                "seq": row.seq,
                "account": row.account or None,
                "event": row.name,
                "attempts": row.attempts,
                "reason": row.reason,
                "parked": iso(row.parked),
                "retrying": bool(row.retrying),
            }
            for row in rows
        ],
    }


async def settle(context: Context, name: str, body: ParkedAction, *, caller: Token) -> dict[str, Any]:
    """`POST /v1/webhooks/{webhook}/parked`: try parked events again, or forget them."""
    _, endpoint = _find(context, name, caller)
    service = context.services.webhooks
    change = service.retry if body.action == "retry" else service.skip
    return {"events": await carry_through(change(endpoint, body.seqs))}


async def routes(context: Context, query: WebhooksQuery, *, caller: Token) -> dict[str, Any]:
    """`GET /v1/webhookRoutes`: the endpoints of the API as EmailEngine shows its routes."""
    rows = [made for made in context.services.webhooks.made.values() if caller.account in (None, made.owner)]
    return {
        **paging.numbers(len(rows), query),
        "webhooks": [_route(context, made, caller) for made in paging.cut(rows, query)],
    }


async def route(context: Context, name: str, *, caller: Token) -> dict[str, Any]:
    """`GET /v1/webhookRoutes/webhookRoute/{webhook}`."""
    made, _ = _find(context, name, caller)
    if made is None:
        raise Problem(404, "There is no webhook with this id")
    return {**_route(context, made, caller), "content": {"fn": None}}


async def refuse_egress(context: Context, field: str, url: str, *, restricted: bool) -> None:
    """Raise `Problem` 400 when a URL leads where webhooks must not go."""
    try:
        await context.services.webhooks.check(url, restricted=restricted)
    except (EgressRefused, ValueError) as error:
        fields = [{"message": f'"{field}" cannot be used: {error}', "key": field, "path": field}]
        raise Problem(400, "Invalid input", code="EgressRefused", fields=fields) from error


def _refuse_one_more(context: Context, caller: Token) -> None:
    """Raise `Problem` 429 when the caller's account, or all tokens for all accounts together, have their share."""
    most = context.services.config.webhooks.endpoints
    if sum(made.owner == caller.account for made in context.services.webhooks.made.values()) >= most:
        raise Problem(
            429,
            f"Too many webhook endpoints: {most} at most, remove one first",
            code="TooMany",
            headers={"Retry-After": "60"},
        )


def _find(context: Context, name: str, caller: Token) -> tuple[Made | None, Endpoint]:
    service = context.services.webhooks
    if name == DEFAULT and caller.account is None:
        return None, service.default
    made = service.get(name)
    if made is None or caller.account not in (None, made.owner):
        raise Problem(404, "There is no webhook with this id")
    return made, made.endpoint


def _made(context: Context, name: str, caller: Token) -> Made:
    made, _ = _find(context, name, caller)
    if made is None:
        raise Problem(400, "This is the webhook of the settings: change it with POST /v1/settings")
    return made


def _must_be_readable(made: Made | None) -> None:
    if made is not None and made.unreadable:
        raise Problem(409, f"{made.record.stopped}; remove it and make another", code="WebhookUnreadable")


def _accounts(given: tuple[str, ...] | None, caller: Token) -> tuple[str, ...] | None:
    if caller.account is None:
        return given
    if given is not None and set(given) != {caller.account}:
        raise Problem(403, "Unauthorized account")
    return (caller.account,)


def _pairs(headers: tuple[CustomHeader, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((each.key, each.value) for each in headers)


def _refuse_masks(body: WebhookCreate | WebhookUpdate) -> None:
    fields = []
    if body.secrets is not UNSET and MASK in body.secrets:
        fields.append({"message": '"secrets" holds a masked value', "key": "secrets", "path": "secrets"})
    if body.secrets == ():
        fields.append({"message": '"secrets" must hold at least one', "key": "secrets", "path": "secrets"})
    if body.headers is not UNSET and any(each.value == MASK for each in body.headers):
        fields.append({"message": '"headers" holds a masked value', "key": "headers", "path": "headers"})
    if fields:
        raise Problem(400, "Invalid input", fields=fields)


def _shown(context: Context, made: Made | None, caller: Token) -> dict[str, Any]:
    service = context.services.webhooks
    endpoint = service.default if made is None else made.endpoint
    health = endpoint.health
    row: dict[str, Any] = {"id": endpoint.id}
    row.update(_settings(context) if made is None else _record(made))
    if "until" in row:
        row["until"] = horizon.seen(context, caller.account, row["until"])
    troubled = [line for line in endpoint.lines.values() if line.attempts or line.gone]
    enabled = row["enabled"] and not health.gone
    row["state"] = (service.waits_for(made) or ("failing" if troubled else "ok")) if enabled else "disabled"
    if health.gone and "disabledReason" not in row:
        row["disabledReason"] = "the receiver answered 410 Gone"
    row["seq"] = horizon.seen(context, caller.account, endpoint.position)
    row["behind"] = horizon.last(context, caller.account) - row["seq"]
    row["delivered"] = health.delivered
    row["filtered"] = None
    if row["filter"] is not None:
        row["filtered"] = {
            "passed": health.passed,
            "leftOut": health.left_out,
            "lastPassed": iso_or_none(health.last_passed),
        }
    row["parked"] = webhooks.parked_count(context.services.store.reader, endpoint.id)
    row["lines"] = [
        {
            "account": line.account or None,
            "seq": line.seq,
            "attempts": line.attempts,
            "nextAttempt": iso_or_none(line.next_at),
            "error": line.error,
        }
        for line in troubled[:LINES_SHOWN]
    ]
    row["lastSuccess"] = iso_or_none(health.last_success)
    row["failingSince"] = iso_or_none(health.failing_since) if troubled else None
    row["lastError"] = _error(endpoint)
    row["created"] = iso(service.default_created if made is None else made.created)
    row["updated"] = iso(service.default_created if made is None else made.updated)
    return row


def _route(context: Context, made: Made, caller: Token) -> dict[str, Any]:
    shown = _shown(context, made, caller)
    error = shown["lastError"] if shown["state"] in ("failing", "disabled") else None
    return {
        "id": made.id,
        "name": made.record.description or made.id,
        "description": made.record.description,
        "created": shown["created"],
        "updated": shown["updated"],
        "enabled": shown["enabled"],
        "targetUrl": shown["url"],
        "tcount": shown["delivered"],
        "webhookErrorFlag": None if error is None else {"message": error["message"]},
        "customHeaders": shown["headers"],
    }


def _error(endpoint: Endpoint) -> dict[str, Any] | None:
    health = endpoint.health
    if health.error is None or health.error_at is None:
        return None
    row: dict[str, Any] = {"message": health.error, "time": iso(health.error_at)}
    if health.error_seq is not None:
        row.update(seq=health.error_seq, account=health.error_account, status=health.error_status)
    return row


def _settings(context: Context) -> dict[str, Any]:
    values = context.settings.values
    url, headers, names = values["webhooks"], values["webhooksCustomHeaders"] or (), values["webhookEvents"]
    unreadable = sorted(context.settings.unreadable.intersection(WEBHOOK_SETTINGS))
    reason = {"disabledReason": f"stored settings cannot be read: {', '.join(unreadable)}"} if unreadable else {}
    return reason | {
        "url": masked(url, MASK) if url else None,
        "description": "the webhook of the settings",
        "events": None if names is None or "*" in names else names,
        "accounts": None,
        "headers": [{"key": each["key"], "value": MASK} for each in headers],
        "secrets": [MASK] if values["serviceSecret"] else [],
        "enabled": context.settings.webhooks_enabled,
        "filter": None,
        "map": None,
    }


def _record(made: Made) -> dict[str, Any]:
    record = made.record
    row: dict[str, Any] = {
        "url": masked(record.url, MASK),
        "description": record.description,
        "events": record.events,
        "accounts": record.accounts,
        "headers": [{"key": key, "value": MASK} for key, _ in record.headers],
        "secrets": [MASK for _ in record.secrets],
        "enabled": record.enabled,
        "filter": record.filter,
        "map": record.map,
    }
    if made.owner is not None:
        row["account"] = made.owner
    if record.replay_of is not None:
        row.update(replayOf=record.replay_of, until=record.until)
    if record.stopped is not None:
        row["disabledReason"] = record.stopped
    return row
