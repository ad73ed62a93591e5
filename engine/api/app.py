"""The Quart app: the route table made callable, the event stream, `/health` and `/openapi.json`.

Every request goes the same way: token, body, query, handler, JSON. What goes wrong is answered in one shape. An account
id may hold a slash: clients send it as `%2F`, and it is kept that way until the handler looks the account up.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from quart import Response, request, websocket
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from engine.api import server
from engine.api.audited import CHANGES, record
from engine.api.auth import Door, Validity, narrowed
from engine.api.client import Addresses
from engine.api.context import Context
from engine.api.events import names_of
from engine.api.openapi import Handler, Route, document
from engine.api.problems import as_problem, bytes_response, json_response, problem_response
from engine.api.routes import ROUTES
from engine.api.stream import Wanted, serve_stream
from engine.api.validation import decode_body, decode_query
from engine.errors import EngineError, Problem, StorageFailed
from engine.schema.events import StreamQuery
from engine.schema.fields import NoQuery
from engine.version import VERSION

log = logging.getLogger("engine.api")

FAILED = "the data folder could not be written"


def make_app(context: Context) -> QuartTrio:
    """The app for one running engine."""
    app = _App("engine", static_folder=None)
    server.install(app)
    services = context.services
    addresses = Addresses(services.config.http.proxies)
    door = Door(services.store.reader, services.world, context.wrong_tokens, addresses)
    for route, handler in ROUTES:
        app.add_url_rule(
            route.path.replace("{", "<").replace("}", ">"),
            endpoint=f"{route.method} {route.path}",
            view_func=_view(context, door, route, handler),
            methods=[route.method],
        )
    app.add_url_rule("/health", view_func=_health(context))
    app.add_url_rule("/openapi.json", view_func=_openapi())
    app.add_websocket("/v1/events/stream", view_func=_stream(context, door))
    app.register_error_handler(EngineError, _engine_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _crash)
    return app


class _App(QuartTrio):
    """Keeps `%2F` in a path apart from `/`: the router then sees it quoted, and so does the handler."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw = scope.get("raw_path", b"")
        if b"%2f" in raw.lower():
            scope = {**scope, "path": raw.partition(b"?")[0].decode("ascii", "replace")}
        await super().__call__(scope, receive, send)


def _view(context: Context, door: Door, route: Route, handler: Handler) -> Callable[..., Awaitable[Response]]:
    limit = context.services.config.http.max_body
    change = CHANGES.get((route.method, route.path))
    takes_query = "query" in handler.__annotations__
    header_names = [each.encode_name for each in msgspec.structs.fields(route.headers)] if route.headers else []
    takes_caller = "caller" in handler.__annotations__

    async def view(**path: str) -> Response:
        if context.services.store.failed:
            raise StorageFailed(FAILED)
        if route.method != "GET":
            context.services.store.must_be_in_place()
        caller = None
        if route.scope is not None:
            caller = door.require(request, route.scope)
        arguments: list[Any] = [context, *path.values()]
        if route.body is not None:
            arguments.append(decode_body(route.body, await server.read_body(request, limit)))
        pairs = [pair for pair in request.args.items(multi=True) if pair[0] != "access_token"]
        query = narrowed(caller, path, decode_query(route.query or NoQuery, pairs), by_handler=takes_caller)
        if takes_query:
            arguments.append(query)
        if route.headers is not None:
            given = [(name, request.headers[name]) for name in header_names if name in request.headers]
            arguments.append(decode_query(route.headers, given))
        answer = await (handler(*arguments, caller=caller) if takes_caller else handler(*arguments))
        if change is not None and caller is not None:
            await record(context, change, caller, door.addresses.of(request), path, answer)
        if isinstance(answer, Response):
            return answer
        return bytes_response(answer) if isinstance(answer, bytes) else json_response(answer)

    return view


def _health(context: Context) -> Callable[[], Awaitable[Response]]:
    async def health() -> Response:
        if context.services.store.failed:
            return problem_response(as_problem(StorageFailed(FAILED)))
        context.services.store.must_be_in_place()
        return json_response({"success": True})

    return health


def _openapi() -> Callable[[], Awaitable[Response]]:
    body = msgspec.json.encode(document((route for route, _ in ROUTES), version=VERSION, server_url="/"))

    async def openapi() -> Response:
        return bytes_response(body)

    return openapi


def _stream(context: Context, door: Door) -> Callable[[], Awaitable[None]]:
    async def stream() -> None:
        caller = door.require(websocket, "api")
        validity = Validity(context.services.store.reader, context.services.world, caller)
        pairs = [pair for pair in websocket.args.items(multi=True) if pair[0] != "access_token"]
        query = narrowed(caller, {}, decode_query(StreamQuery, pairs), by_handler=True)
        await serve_stream(
            websocket,
            context.streams,
            Wanted(
                after=query.after,
                account=query.account,
                names=names_of(query.events),
                consumer=query.consumer,
                owner=caller.account or "",
            ),
            stopping=context.stopping,
            may_go_on=validity.holds,
            look_again=validity.seconds,
        )

    return stream


async def _engine_error(error: EngineError) -> Response:
    problem = as_problem(error)
    if problem.status == 500:
        log.error("a request failed", exc_info=error)
    return problem_response(problem)


async def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    message = {404: "Not Found", 405: "Method Not Allowed"}.get(status, HTTPStatus(status).phrase)
    return problem_response(Problem(status, message))


async def _crash(error: Exception) -> Response:
    log.error("a request crashed", exc_info=error)
    return problem_response(Problem(500, "An internal server error occurred"))
