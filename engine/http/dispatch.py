"""The Quart app: all operations, the pages for people, `/`, `/health`, `/ready`, `/openapi.json` and `/control`.

Every request for an operation takes the same steps (`operation_view.py`). All errors have one shape. The router sees
the path as sent, and each id in it is percent-decoded once, after routing, so an id may contain any character,
including `/` and `%`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import trio
from quart import Response, has_request_context, has_websocket_context, request
from quart.routing import QuartRule
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing.exceptions import WebsocketMismatch

from engine.errors import EngineError, Problem
from engine.http import control_requests, home_page, readiness
from engine.http.bearer_tokens import Door
from engine.http.call_counts import CallCounts
from engine.http.client_address import Addresses
from engine.http.cross_origin import CrossOrigin
from engine.http.early_refusals import INTERNAL
from engine.http.edge_log import request_broke
from engine.http.front import Front
from engine.http.html_pages import NO_PAGES, Pages, page_view
from engine.http.openapi import document
from engine.http.operation import Operation
from engine.http.operation_view import OperationStream, OperationView
from engine.http.problems import NEWLINE, as_problem, bytes_response, json_response, phrase, problem_response
from engine.http.request_lifetime import HELD
from engine.http.short_path import ShortPathApp
from engine.version import VERSION

log = logging.getLogger("engine.http")


def make_app(
    front: Front, operations: Sequence[Operation], tags: Mapping[str, str], pages: Pages = NO_PAGES
) -> QuartTrio:
    """The app that serves `operations` and `pages`; every handler of an operation receives `front`.

    `tags` are as in `openapi.document`.
    """
    app = _App("engine", front.cross_origin)
    app.url_rule_class = _Rule
    app.url_map.merge_slashes = False
    addresses = Addresses(front.config.http.proxies)
    door = Door(front.store.reader, front.world, front.wrong_tokens, front.gate, addresses)
    for operation in operations:
        rule = operation.path.replace("{", "<").replace("}", ">")
        if operation.websocket:
            app.add_websocket(rule, view_func=OperationStream(front, door, operation).serve)
        else:
            answer = OperationView(front, door, operation).answer
            app.add_url_rule(rule, endpoint=operation.name, view_func=answer, methods=[operation.method])
    for page in pages.pages:
        view = page_view(page, pages.of_problem, front.bodies, front.requests, door.addresses)
        app.add_url_rule(page.path, endpoint=f"page {page.methods} {page.path}", view_func=view, methods=page.methods)
    app.add_url_rule("/", view_func=home_page.view(lambda: readiness.trouble(front.store)))
    app.add_url_rule("/health", view_func=_health(front))
    app.add_url_rule("/ready", view_func=_ready(front))
    app.add_url_rule("/openapi.json", view_func=_openapi(front, operations, tags))
    app.add_url_rule(control_requests.PATH, view_func=_control(front))
    app.register_error_handler(EngineError, _engine_error)
    app.register_error_handler(HTTPException, _http_error(front.calls))
    app.register_error_handler(Exception, _crash)
    return app


class _Rule(QuartRule):
    """A rule that matches paths but builds no URLs.

    To build URLs, Werkzeug would compile two functions for each rule: a tenth of a second at each start.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return _builds_nothing


def _builds_nothing(*_: object, **__: object) -> tuple[str, str]:
    raise NotImplementedError("URLs are not built from rules")


class _App(ShortPathApp):
    """Routes by the path as sent: in the decoded path `%2F` would look like `/`.

    A single trailing slash is ignored. Also releases what a request holds once its answer has ended or its client has
    left, and says what pages of other origins may read.
    """

    def __init__(self, name: str, cross_origin: CrossOrigin) -> None:
        super().__init__(name)
        self._cross_origin = cross_origin

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._cross_origin.concerns(scope):
            if await self._cross_origin.answer_preflight(scope, send):
                return
            send = self._cross_origin.marking(scope, send)
        async with AsyncExitStack() as held:
            await self._route({**scope, HELD: held}, receive, send)

    async def _route(self, scope: Any, receive: Any, send: Any) -> None:
        if "raw_path" in scope:
            path = scope["raw_path"].decode("latin-1")
            if path.startswith("/v1/") and len(path) > 4:
                path = path.removesuffix("/")
            # The router drops leading slashes; a path with two of them matches nothing.
            scope = {**scope, "path": f"/%2F{path[2:]}" if path.startswith("//") else path}
        await super().__call__(scope, receive, send)


def _health(front: Front) -> Callable[[], Awaitable[Response]]:
    async def health() -> Response:
        return json_response({"success": True} | {name: listens() for name, listens in front.ports.items()})

    return health


def _ready(front: Front) -> Callable[[], Awaitable[Response]]:
    async def ready() -> Response:
        missing = readiness.unready(front.store, front.stopping.is_set())
        if missing:
            said = "; ".join(f"{part}: {why}" for part, why in missing.items())
            raise Problem(503, said, code="NotReady", headers={"Retry-After": "10"}, missing=missing)
        return json_response({"success": True})

    return ready


def _openapi(
    front: Front, operations: Sequence[Operation], tags: Mapping[str, str]
) -> Callable[[], Awaitable[Response]]:
    """The document, made at the first request for it: no start should wait the 0.3 s that this takes."""
    made: list[bytes] = []
    making = trio.Lock()

    def make() -> bytes:
        return msgspec.json.encode(document(operations, version=VERSION, server_url="/", tags=tags)) + NEWLINE

    async def openapi() -> Response:
        async with making:
            if not made:
                made.append(await front.world.in_thread(make))
        return bytes_response(made[0])

    return openapi


def _control(front: Front) -> Callable[[], Awaitable[Response]]:
    async def about() -> Response:
        """Describe the engine to its owner; for all other callers this path does not exist."""
        if not control_requests.is_owner(request):
            raise Problem(404, phrase(404))
        return json_response(control_requests.about(front.config, front.started))

    return about


async def _engine_error(error: EngineError) -> Response:
    problem = as_problem(error)
    if problem.status == 500:
        problem.headers.update(request_broke(error))
    return problem_response(problem)


def _http_error(calls: CallCounts) -> Callable[[HTTPException], Awaitable[Response]]:
    async def answer(error: HTTPException) -> Response:
        problem = _http_problem(error)
        if has_request_context() and request.routing_exception is not None:
            calls.unmatched[problem.status] += 1
        return problem_response(problem)

    return answer


def _http_problem(error: HTTPException) -> Problem:
    status = error.code or 500
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        return Problem(405, phrase(405), headers={"Allow": ", ".join(sorted(error.valid_methods))})
    if isinstance(error, WebsocketMismatch):
        if has_websocket_context():
            return Problem(400, "This path does not accept websockets")
        return Problem(426, "This path accepts only websockets", headers={"Upgrade": "websocket"})
    return Problem(status, phrase(status))


async def _crash(error: Exception) -> Response:
    return problem_response(Problem(500, INTERNAL, headers=request_broke(error)))
