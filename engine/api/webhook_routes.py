"""Webhook endpoints in the shape of EmailEngine's webhook routes; read only."""

from __future__ import annotations

from msgspec.structs import replace

from engine.api.context import Context
from engine.api.webhooks import find, info
from engine.errors import Problem
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.schema.paging import PageQuery
from engine.schema.webhook_routes import RouteContent, RouteError, WebhookRoute, WebhookRoutes
from engine.schema.webhooks import WebhookId
from engine.store.tokens import Token
from engine.webhooks.registry import Made

_TAGS = ("Webhooks",)


@operation("GET", "/v1/webhookRoutes", access=Access.HANDLER, scope="api", group="webhook", tags=_TAGS)
async def listing(context: Context, query: PageQuery, *, caller: Token) -> WebhookRoutes:
    """List webhook routes.

    The endpoints of `GET /v1/webhooks`, without `default`, in the shape of EmailEngine's webhook routes.
    """
    rows = [made for made in context.webhooks.made.values() if caller.account in (None, made.owner)]
    shown = tuple(_route(context, made, caller) for made in paging.cut(rows, query))
    return WebhookRoutes(**paging.numbers(len(rows), query), webhooks=shown)


@operation(
    "GET", "/v1/webhookRoutes/webhookRoute/{webhook}", access=Access.HANDLER, scope="api", group="webhook", tags=_TAGS
)
async def read(context: Context, webhook: WebhookId, *, caller: Token) -> WebhookRoute:
    """Read a webhook route."""
    made, _ = find(context, webhook, caller)
    if made is None:
        raise Problem(404, "There is no webhook with this id")
    return replace(_route(context, made, caller), content=RouteContent())


def _route(context: Context, made: Made, caller: Token) -> WebhookRoute:
    shown = info(context, made, caller)
    error = shown.last_error if shown.state in ("failing", "disabled") else None
    return WebhookRoute(
        id=made.id,
        name=made.record.description or made.id,
        description=made.record.description,
        created=shown.created,
        updated=shown.updated,
        enabled=shown.enabled,
        target_url=shown.url or "",
        tcount=shown.delivered,
        webhook_error_flag=None if error is None else RouteError(message=error.message),
        custom_headers=shown.headers,
    )
