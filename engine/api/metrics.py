"""Metrics for Prometheus."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from quart import Response

from engine.api.context import Context
from engine.http.account_tokens import Access
from engine.http.operation import operation
from engine.schema.fields import Request


class ScrapeHeaders(Request, frozen=True, kw_only=True):
    """Headers of a scrape."""

    accept: Annotated[
        str,
        Meta(description="The format wanted: Prometheus' text, or OpenMetrics for `application/openmetrics-text`."),
    ] = msgspec.field(name="Accept", default="")


@operation("GET", "/metrics", access=Access.ALL_ACCOUNTS, scope="metrics", tags=("Settings",), media="text/plain")
async def scrape(context: Context, headers: ScrapeHeaders) -> Response:
    """Read the metrics.

    For Prometheus, with a token of the scope `metrics`. `docs/metrics.md` lists them all.
    """
    made = await context.metrics.scrape(headers.accept)
    return Response(made.text, content_type=made.media, headers={"Cache-Control": "no-cache"})
