"""The part of the route table that tells what happened: events, their streams and consumers, webhook endpoints."""

from __future__ import annotations

from engine.api import events, sse, webhooks
from engine.api.openapi import Handler, Route
from engine.schema.events import (
    ChangesQuery,
    ConsumerInfo,
    ConsumerList,
    ConsumerMove,
    ConsumerRemoved,
    EventsPage,
    EventsQuery,
    StreamQuery,
)
from engine.schema.routes import WebhookRoute, WebhookRoutes
from engine.schema.webhooks import (
    ParkedAction,
    ParkedDone,
    ParkedList,
    WebhookCreate,
    WebhookCreated,
    WebhookInfo,
    WebhookList,
    WebhookRemoved,
    WebhookReplay,
    WebhookReplayed,
    WebhooksQuery,
    WebhookTested,
    WebhookUpdate,
    WebhookUpdated,
)

ROUTES: tuple[tuple[Route, Handler], ...] = (
    (
        Route(
            method="GET",
            path="/v1/events",
            summary="Read events in the order of their numbers",
            tags=("Events",),
            query=EventsQuery,
            responses={200: EventsPage},
            scope="api",
        ),
        events.page,
    ),
    (
        Route(
            method="GET",
            path="/v1/events/sse",
            summary="Follow events as server-sent events",
            tags=("Events",),
            query=StreamQuery,
            responses={200: None},
            media="text/event-stream",
            scope="api",
        ),
        sse.events,
    ),
    (
        Route(
            method="GET",
            path="/v1/changes",
            summary="Follow the accounts' states as server-sent events",
            tags=("Events",),
            query=ChangesQuery,
            responses={200: None},
            media="text/event-stream",
            scope="api",
        ),
        sse.changes,
    ),
    (
        Route(
            method="GET",
            path="/v1/events/consumers",
            summary="List the named consumers of the event stream",
            tags=("Events",),
            responses={200: ConsumerList},
            scope="api",
        ),
        events.consumers,
    ),
    (
        Route(
            method="GET",
            path="/v1/events/consumers/{consumer}",
            summary="Read where a consumer stands",
            tags=("Events",),
            responses={200: ConsumerInfo},
            scope="api",
        ),
        events.consumer,
    ),
    (
        Route(
            method="PUT",
            path="/v1/events/consumers/{consumer}",
            summary="Put a consumer at a number, forward or back",
            tags=("Events",),
            body=ConsumerMove,
            responses={200: ConsumerInfo},
            scope="api",
        ),
        events.move_consumer,
    ),
    (
        Route(
            method="DELETE",
            path="/v1/events/consumers/{consumer}",
            summary="Forget a consumer",
            tags=("Events",),
            responses={200: ConsumerRemoved},
            scope="api",
        ),
        events.remove_consumer,
    ),
    (
        Route(
            method="POST",
            path="/v1/webhooks",
            summary="Make a webhook endpoint",
            tags=("Webhooks",),
            body=WebhookCreate,
            responses={200: WebhookCreated},
            scope="api",
        ),
        webhooks.create,
    ),
    (
        Route(
            method="GET",
            path="/v1/webhooks",
            summary="List webhook endpoints and how they are",
            tags=("Webhooks",),
            query=WebhooksQuery,
            responses={200: WebhookList},
            scope="api",
        ),
        webhooks.listing,
    ),
    (
        Route(
            method="GET",
            path="/v1/webhooks/{webhook}",
            summary="Read a webhook endpoint and how it is",
            tags=("Webhooks",),
            responses={200: WebhookInfo},
            scope="api",
        ),
        webhooks.read,
    ),
    (
        Route(
            method="PUT",
            path="/v1/webhooks/{webhook}",
            summary="Change a webhook endpoint",
            tags=("Webhooks",),
            body=WebhookUpdate,
            responses={200: WebhookUpdated},
            scope="api",
        ),
        webhooks.update,
    ),
    (
        Route(
            method="DELETE",
            path="/v1/webhooks/{webhook}",
            summary="Remove a webhook endpoint",
            tags=("Webhooks",),
            responses={200: WebhookRemoved},
            scope="api",
        ),
        webhooks.remove,
    ),
    (
        Route(
            method="POST",
            path="/v1/webhooks/{webhook}/test",
            summary="Post a test event now",
            tags=("Webhooks",),
            responses={200: WebhookTested},
            scope="api",
        ),
        webhooks.test,
    ),
    (
        Route(
            method="POST",
            path="/v1/webhooks/{webhook}/replay",
            summary="Post events again, here or elsewhere",
            tags=("Webhooks",),
            body=WebhookReplay,
            responses={200: WebhookReplayed},
            scope="api",
        ),
        webhooks.replay,
    ),
    (
        Route(
            method="GET",
            path="/v1/webhooks/{webhook}/parked",
            summary="List events an endpoint did not take",
            tags=("Webhooks",),
            query=WebhooksQuery,
            responses={200: ParkedList},
            scope="api",
        ),
        webhooks.parked,
    ),
    (
        Route(
            method="POST",
            path="/v1/webhooks/{webhook}/parked",
            summary="Try parked events again, or forget them",
            tags=("Webhooks",),
            body=ParkedAction,
            responses={200: ParkedDone},
            scope="api",
        ),
        webhooks.settle,
    ),
    (
        Route(
            method="GET",
            path="/v1/webhookRoutes",
            summary="List webhook endpoints as webhook routes",
            tags=("Webhooks",),
            query=WebhooksQuery,
            responses={200: WebhookRoutes},
            scope="api",
        ),
        webhooks.routes,
    ),
    (
        Route(
            method="GET",
            path="/v1/webhookRoutes/webhookRoute/{webhook}",
            summary="Read a webhook endpoint as a webhook route",
            tags=("Webhooks",),
            responses={200: WebhookRoute},
            scope="api",
        ),
        webhooks.route,
    ),
)
