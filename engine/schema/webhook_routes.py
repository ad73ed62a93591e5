"""Webhook endpoints as EmailEngine's clients know them: read-only routes."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import CustomHeader, Response, When
from engine.schema.paging import Page


class RouteError(Response, frozen=True, kw_only=True):
    """What went wrong last."""

    message: Annotated[str, Meta(description="In plain words.")]


class RouteContent(Response, frozen=True, kw_only=True):
    """EmailEngine's scripts; there are none here."""

    fn: Annotated[None, Meta(description="Always `null`.")] = None


class WebhookRoute(Response, frozen=True, kw_only=True):
    """One endpoint as a webhook route."""

    id: Annotated[str, Meta(description="Its id.")]
    name: Annotated[str, Meta(description="Its description, else its id.")]
    description: Annotated[str, Meta(description="Its description.")]
    created: Annotated[When, Meta(description="When it was made.")]
    updated: Annotated[When, Meta(description="When it was last changed.")]
    enabled: Annotated[bool, Meta(description="Whether events are posted.")]
    target_url: Annotated[str, Meta(description="Where to.")]
    tcount: Annotated[int, Meta(description="Events taken so far.")]
    webhook_error_flag: Annotated[RouteError | None, Meta(description="What went wrong last. `null`: nothing.")] = None
    custom_headers: Annotated[tuple[CustomHeader, ...], Meta(description="Its headers, values masked.")] = ()
    content: Annotated[RouteContent | UnsetType, Meta(description="Only where one route is read.")] = UNSET


class WebhookRoutes(Page, frozen=True, kw_only=True):
    """One page of webhook routes."""

    webhooks: Annotated[tuple[WebhookRoute, ...], Meta(description="The routes on this page.")]
