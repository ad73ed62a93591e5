"""Webhook endpoints in the shape of EmailEngine's webhook routes; read only."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from engine.schema.fields import CustomHeader, Response, When
from engine.schema.paging import Page


class RouteError(Response, frozen=True, kw_only=True):
    """What last went wrong."""

    message: Annotated[str, Meta(description="The error in plain words.", examples=["the answer was 500"])]


class RouteContent(Response, frozen=True, kw_only=True):
    """The scripts of EmailEngine's routes, which this engine does not have."""

    fn: Annotated[None, Meta(description="Always `null`.")] = None


class WebhookRoute(Response, frozen=True, kw_only=True):
    """One endpoint as a webhook route."""

    EXAMPLE = {
        "id": "wh_5f2b8c9d01e34a67",
        "name": "CRM",
        "description": "CRM",
        "created": "2026-11-23T05:48:18.346Z",
        "updated": "2026-11-23T05:48:18.346Z",
        "enabled": True,
        "targetUrl": "https://app.example.com/hook",
        "tcount": 14,
        "webhookErrorFlag": None,
        "customHeaders": [{"key": "X-Api-Key", "value": "******"}],
    }

    id: Annotated[str, Meta(description="The endpoint's id.")]
    name: Annotated[str, Meta(description="The endpoint's description, or its id if that is empty.")]
    description: Annotated[str, Meta(description="The endpoint's description.")]
    created: Annotated[When, Meta(description="When it was created.")]
    updated: Annotated[When, Meta(description="When it was last changed.")]
    enabled: Annotated[bool, Meta(description="Whether events are posted.")]
    target_url: Annotated[str, Meta(description="The URL that events are posted to.")]
    tcount: Annotated[int, Meta(description="The number of events that the receiver has accepted.")]
    webhook_error_flag: Annotated[
        RouteError | None, Meta(description="What last went wrong. `null`: nothing is wrong.")
    ] = None
    custom_headers: Annotated[
        tuple[CustomHeader, ...], Meta(description="The endpoint's headers. Their values are masked.")
    ] = ()
    content: Annotated[RouteContent | UnsetType, Meta(description="Present where one route is read.")] = UNSET


class WebhookRoutes(Page, frozen=True, kw_only=True):
    """One page of webhook routes."""

    webhooks: Annotated[tuple[WebhookRoute, ...], Meta(description="The routes on this page.")]
