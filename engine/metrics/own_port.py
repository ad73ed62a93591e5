"""The port for Prometheus alone: `GET /metrics` without a token, in plain HTTP, and nothing else."""

from __future__ import annotations

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from engine.errors import Problem
from engine.http.problems import phrase, problem_response
from engine.http.server import install
from engine.metrics.collector import Metrics

CONNECTIONS = 20
"""Most at once. A scrape takes milliseconds, and there are few who scrape."""


def make_metrics_app(metrics: Metrics) -> QuartTrio:
    """The app of that port."""
    app = QuartTrio("metrics", static_folder=None)
    install(app)

    async def scrape() -> Response:
        made = await metrics.scrape(request.headers.get("Accept", ""))
        return Response(made.text, content_type=made.media, headers={"Cache-Control": "no-cache"})

    async def refuse(error: HTTPException) -> Response:
        status = error.code or 500
        allowed = error.valid_methods if isinstance(error, MethodNotAllowed) else None
        headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
        return problem_response(Problem(status, phrase(status), headers=headers))

    app.add_url_rule("/metrics", view_func=scrape)
    app.register_error_handler(HTTPException, refuse)
    return app
