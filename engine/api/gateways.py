"""Gateways: creating, listing, reading, changing and removing them. Only tokens for all accounts may do so."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from engine.api.context import Context
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.field_errors import invalid
from engine.gateways.gateway import RunningGateway
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.isotime import iso_or_none
from engine.masking import MASK
from engine.model.gateway import Gateway
from engine.model.registration import TlsOptions
from engine.schema.account_condition import LastError
from engine.schema.gateways import (
    GatewayCreate,
    GatewayDeleted,
    GatewayId,
    GatewayInfo,
    GatewayList,
    GatewaySaved,
    GatewaySummary,
    GatewayUpdate,
    GatewayUpdated,
)
from engine.schema.paging import PageQuery
from engine.schema.servers import Tls
from engine.schema.stored_json import shown
from engine.store import gateways

_TAGS = ("SMTP Gateway",)
MOST_GATEWAYS = 1000
_UNREADABLE = {
    "response": "The stored gateway cannot be read",
    "serverResponseCode": "EUNREADABLE",
    "description": "Its key is lost, or its record is damaged. Create it again with POST /v1/gateway.",
}


@operation("GET", "/v1/gateways", access=Access.ALL_ACCOUNTS, scope="api", group="gateway", tags=_TAGS)
async def listing(context: Context, query: PageQuery) -> GatewayList:
    """List gateways."""
    every = context.gateways.every()
    found = tuple(_summary(context, each) for each in paging.cut(every, query))
    return GatewayList(**paging.numbers(len(every), query), gateways=found)


@operation(
    "POST",
    "/v1/gateway",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=_TAGS,
    errors={429: f"There are {MOST_GATEWAYS} gateways already (`TooMany`)."},
    change=Change("gateway.save", lambda path, answer: answer.gateway),
)
async def create(context: Context, body: GatewayCreate) -> GatewaySaved:
    """Create a gateway.

    A gateway with the same id is replaced and keeps its counters. As with accounts, the password is only sent over TLS,
    unless `tls.required` is `false` or the host is loopback.
    """
    _refuse_mask(body.password)
    name = body.gateway or context.world.letters(16)
    if context.gateways.get(name) is None and len(context.gateways.every()) >= MOST_GATEWAYS:
        raise Problem(429, f"Too many gateways: {MOST_GATEWAYS} at most, remove one first", code="TooMany")
    record = Gateway(**asdict(body) | {"gateway": name, "tls": _stored(body.tls)})
    is_new = await carry_through(context.gateways.save(name, lambda _: record))
    return GatewaySaved(gateway=name, state="new" if is_new else "existing")


@operation("GET", "/v1/gateway/{gateway}", access=Access.ALL_ACCOUNTS, scope="api", group="gateway", tags=_TAGS)
async def read(context: Context, gateway: GatewayId) -> GatewayInfo:
    """Read a gateway."""
    running = _find(context, gateway)
    members: dict[str, Any] = asdict(_summary(context, running))
    if (record := running.record) is not None:
        tls = UNSET if isinstance(record.tls, UnsetType) else Tls(**asdict(record.tls))
        password = UNSET if record.password is None else MASK
        members |= {name: getattr(record, name) for name in ("host", "port", "secure", "user")}
        members |= {"password": password, "tls": tls}
    return GatewayInfo(**members)


@operation(
    "PUT",
    "/v1/gateway/edit/{gateway}",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=_TAGS,
    change=Change("gateway.update", lambda path, answer: answer.gateway),
)
async def update(context: Context, gateway: GatewayId, body: GatewayUpdate) -> GatewayUpdated:
    """Change a gateway.

    Messages that wait for it are attempted at once.
    """
    _refuse_mask(body.password)
    _find(context, gateway)
    given = {name: value for name, value in asdict(body).items() if value is not UNSET}
    if "tls" in given:
        given["tls"] = _stored(body.tls)

    def decide(before: Gateway | None) -> Gateway:
        if context.gateways.get(gateway) is None:
            raise _not_found()
        if before is None:
            raise Problem(409, _UNREADABLE["response"] + ": create it again", code="Unreadable")
        return replace(before, **given)

    await carry_through(context.gateways.save(gateway, decide))
    return GatewayUpdated(gateway=gateway)


@operation(
    "DELETE",
    "/v1/gateway/{gateway}",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    group="gateway",
    tags=_TAGS,
    change=Change("gateway.remove", lambda path, answer: answer.gateway),
)
async def remove(context: Context, gateway: GatewayId) -> GatewayDeleted:
    """Remove a gateway.

    Messages that wait for it stay in the outbox; nothing else sends them, as their `waitingFor` says.
    """
    waiting = await carry_through(context.gateways.remove(_find(context, gateway)))
    return GatewayDeleted(gateway=gateway, waiting=waiting)


def _find(context: Context, gateway: str) -> RunningGateway:
    found = context.gateways.get(gateway)
    if found is None:
        raise _not_found()
    return found


def _not_found() -> Problem:
    return Problem(404, "Gateway was not found for requested ID", code="NotFound")


def _refuse_mask(password: str | UnsetType | None) -> None:
    """Raise `Problem` 400 for a mask in place of a password: storing it would destroy the real one."""
    if password == MASK:
        raise invalid("pass", "is a masked value")


def _stored(tls: Tls | UnsetType) -> TlsOptions | UnsetType:
    return UNSET if isinstance(tls, UnsetType) else TlsOptions(**asdict(tls))


def _summary(context: Context, running: RunningGateway) -> GatewaySummary:
    row = gateways.get(context.store.reader, running.id)
    error = _UNREADABLE if running.record is None else running.error
    return GatewaySummary(
        gateway=running.id,
        name=running.id if running.record is None else running.record.name,
        deliveries=0 if row is None else row.deliveries,
        last_use=None if row is None else iso_or_none(row.last_use),
        last_error=None if error is None else shown(LastError, error),
    )
