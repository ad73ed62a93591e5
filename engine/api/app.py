"""The Quart app: the route table made callable, the event stream, `/health` and `/openapi.json`.

Every request goes the same way: token, right to the path, body, query, handler, JSON. What goes wrong is answered in
one shape. The router sees the path as it was sent, and each id in it is percent-decoded once, here: an id may hold any
character, `/` and `%` among them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from quart import Response, has_websocket_context, request, websocket
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing.exceptions import WebsocketMismatch

from engine.api import control, horizon, server
from engine.api.access import check, enter, narrowed
from engine.api.audited import CHANGES, record
from engine.api.auth import Door, Validity
from engine.api.bodies import OTHER_BODIES, Body, has_body
from engine.api.client import Addresses
from engine.api.context import HELD, Context
from engine.api.control import OWNER
from engine.api.events import names_of
from engine.api.incidents import request_broke
from engine.api.openapi import Handler, Route, document
from engine.api.problems import as_problem, bytes_response, json_response, phrase, problem_response
from engine.api.refusals import INTERNAL
from engine.api.routes import ROUTES
from engine.api.stream import Wanted, serve_stream
from engine.api.validation import HERE, decode_body, decode_query
from engine.errors import EngineError, Problem, StorageFailed
from engine.schema.events import StreamQuery
from engine.schema.fields import NoQuery, Request
from engine.store.tokens import Token
from engine.store.writer import busy
from engine.version import VERSION

RequestT = TypeVar("RequestT", bound=Request)

log = logging.getLogger("engine.http")

_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
FAILED = "the data folder could not be written"


def make_app(context: Context) -> QuartTrio:
    """The app for one running engine."""
    app = _App("engine", static_folder=None)
    server.install(app)
    app.url_map.merge_slashes = False
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
    app.add_url_rule(control.PATH, view_func=_control(context))
    app.add_websocket("/v1/events/stream", view_func=_stream(context, door))
    app.register_error_handler(EngineError, _engine_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _crash)
    return app


class _App(QuartTrio):
    """Routes by the path as it was sent: the server has decoded it, and then `%2F` could not be told from `/`.

    What a request holds until its answer has ended, or its client has left, is let go of here.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with ExitStack() as held:
            await self._route({**scope, HELD: held}, receive, send)

    async def _route(self, scope: Any, receive: Any, send: Any) -> None:
        if "raw_path" in scope:
            path = scope["raw_path"].decode("latin-1")
            # The router drops slashes at the beginning; there is nothing behind two of them.
            scope = {**scope, "path": f"/%2F{path[2:]}" if path.startswith("//") else path}
        await super().__call__(scope, receive, send)


def _view(context: Context, door: Door, route: Route, handler: Handler) -> Callable[..., Awaitable[Response]]:
    largest = context.services.config.http.max_body
    limit = largest if route.large else min(largest, OTHER_BODIES)
    store = context.services.store
    changes = route.method != "GET"
    audited = CHANGES.get((route.method, route.path))
    takes_query = "query" in handler.__annotations__
    header_names = [each.encode_name for each in msgspec.structs.fields(route.headers)] if route.headers else []
    takes_caller = "caller" in handler.__annotations__
    try:
        check(route, takes_caller=takes_caller)
    except ValueError as error:
        raise ValueError(f"{route.method} {route.path}: {error}") from error

    async def answer(path: dict[str, str], caller: Token | None, body: Body) -> Response:
        arguments: list[Any] = [context, *path.values()]
        if route.body is not None:
            arguments.append(await _decoded(context, route.body, await body.read(request, limit)))
        elif has_body(request):
            await body.read(request, limit)
        pairs = [pair for pair in request.args.items(multi=True) if pair[0] != "access_token"]
        query = narrowed(caller, decode_query(route.query or NoQuery, pairs))
        if takes_query:
            arguments.append(query)
        if route.headers is not None:
            given = [(name, request.headers[name]) for name in header_names if name in request.headers]
            arguments.append(decode_query(route.headers, given))
        made = await (handler(*arguments, caller=caller) if takes_caller else handler(*arguments))
        if audited is not None and caller is not None:
            address = None if caller is OWNER else door.addresses.of(request)
            await record(context, audited, caller, address, path, made)
        if isinstance(made, Response):
            return made
        return bytes_response(made) if isinstance(made, bytes) else json_response(made)

    async def view(**path: str) -> Response:
        if store.failed:
            raise StorageFailed(FAILED)
        if changes:
            store.must_be_in_place()
            if store.locked_out:
                raise busy()
        caller = None
        if route.scope is not None:
            caller = door.require(request, route.scope)
        ids = {name: _id(raw) for name, raw in path.items()}
        enter(route.access, caller, ids)
        holder = "" if caller is None else caller.hash
        with context.requests.hold(holder), context.bodies.of(holder) as body:
            answered = await answer(ids, caller, body)
        log.debug("%s %s: %d", route.method, route.path, answered.status_code)
        return answered

    return view


async def _decoded(context: Context, kind: type[RequestT], data: bytearray) -> RequestT:
    most = context.services.config.http.max_members
    if len(data) <= HERE:
        return decode_body(kind, data, most)
    async with context.bodies.heavy:
        return await context.services.world.in_thread(decode_body, kind, data, most)


def _id(raw: str) -> str:
    """An id out of a path. Raises `Problem` 400 when it is not percent-encoded UTF-8."""
    if raw.isalnum() and raw.isascii():
        return raw
    try:
        if not _BAD_ESCAPE.search(raw):
            return unquote_to_bytes(raw.encode("latin-1")).decode()
    except UnicodeDecodeError:
        pass
    raise Problem(400, "The path is not percent-encoded UTF-8")


def _health(context: Context) -> Callable[[], Awaitable[Response]]:
    async def health() -> Response:
        if context.services.store.failed:
            return problem_response(as_problem(StorageFailed(FAILED)))
        context.services.store.must_be_in_place()
        if context.services.store.locked_out:
            return problem_response(as_problem(busy()))
        return json_response({"success": True})

    return health


def _openapi() -> Callable[[], Awaitable[Response]]:
    body = msgspec.json.encode(document((route for route, _ in ROUTES), version=VERSION, server_url="/"))

    async def openapi() -> Response:
        return bytes_response(body)

    return openapi


def _control(context: Context) -> Callable[[], Awaitable[Response]]:
    async def about() -> Response:
        """What the engine is, for its owner alone; for anyone else there is nothing here."""
        if not control.is_owner(request):
            raise Problem(404, phrase(404))
        return json_response(control.about(context.services.config, context.started))

    return about


def _stream(context: Context, door: Door) -> Callable[[], Awaitable[None]]:
    async def stream() -> None:
        caller = door.require(websocket, "api")
        validity = Validity(context.services.store.reader, context.services.world, caller)
        pairs = [pair for pair in websocket.args.items(multi=True) if pair[0] != "access_token"]
        query = narrowed(caller, decode_query(StreamQuery, pairs))
        await serve_stream(
            websocket,
            context.streams,
            Wanted(
                token=caller.hash,
                newest=horizon.last(context, caller.account),
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
        problem.headers.update(request_broke(error))
    return problem_response(problem)


async def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        return problem_response(Problem(405, phrase(405), headers={"Allow": ", ".join(sorted(error.valid_methods))}))
    if isinstance(error, WebsocketMismatch):
        if has_websocket_context():
            return problem_response(Problem(400, "There is no websocket at this path"))
        return problem_response(Problem(426, "There is a websocket at this path", headers={"Upgrade": "websocket"}))
    return problem_response(Problem(status, phrase(status)))


async def _crash(error: Exception) -> Response:
    return problem_response(Problem(500, INTERNAL, headers=request_broke(error)))
