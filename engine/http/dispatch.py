"""The Quart app: all operations, the pages for people, `/`, `/health`, `/ready`, `/openapi.json` and `/control`.

Every request takes the same steps: token, access to the path, body, query, handler, JSON. All errors have one shape.
The router sees the path as sent, and each id in it is percent-decoded once, here, so an id may contain any character,
including `/` and `%`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from typing import Any, TypeVar, cast

import msgspec
import trio
from quart import Response, has_request_context, has_websocket_context, request, websocket
from quart.routing import QuartRule
from quart.wrappers import Request as HttpRequest
from quart.wrappers.base import BaseRequestWebsocket
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.local import LocalProxy
from werkzeug.routing.exceptions import WebsocketMismatch

from engine.arriving_body import ArrivingBody
from engine.config import Config
from engine.decoding.decode import HERE, decode_body, decode_query
from engine.edge.certificate import Certificate
from engine.edge.token_gate import TokenGate
from engine.edge.wrong_tokens import WrongTokens
from engine.errors import EngineError, Problem, StorageFailed
from engine.http import control_requests, home_page, readiness, server
from engine.http.account_tokens import narrowed
from engine.http.audit_entries import record
from engine.http.bearer_tokens import Admitted, Door
from engine.http.call_counts import CallCounts
from engine.http.client_address import Addresses
from engine.http.control_requests import OWNER, Started
from engine.http.cross_origin import CrossOrigin
from engine.http.early_refusals import INTERNAL
from engine.http.edge_log import request_broke
from engine.http.html_pages import NO_PAGES, Pages, page_view
from engine.http.openapi import document
from engine.http.operation import Operation
from engine.http.path_ids import decoded_ids
from engine.http.problems import NEWLINE, as_problem, bytes_response, json_response, phrase, problem_response
from engine.http.request_bodies import OTHER_BODIES, Bodies, RequestBody, has_body
from engine.http.request_lifetime import HELD
from engine.http.shared_limits import SharedLimit
from engine.schema.fields import NoQuery, Request
from engine.store.tokens import Token
from engine.store.writer import Store
from engine.version import VERSION
from engine.world import World

RequestT = TypeVar("RequestT", bound=Request)

log = logging.getLogger("engine.http")

CLIENT_LEFT = 499
"""The status counted if the client left before its answer, or the engine stopped: none was sent."""


class Front(msgspec.Struct, frozen=True):
    """What requests need before their handler: the tokens, and the limits that all requests share.

    `started` is how the process was started. `certificates` are those of the ports with TLS, by the section that names
    each. `ports` are the other ports that serve strangers, by the name that `/health` gives them, each with whether it
    listens. `stopping` is set when the process is about to end.
    """

    store: Store
    world: World
    config: Config
    started: Started
    bodies: Bodies
    requests: SharedLimit
    wrong_tokens: WrongTokens
    cross_origin: CrossOrigin
    certificates: Mapping[str, Certificate]
    gate: TokenGate
    ports: Mapping[str, Callable[[], bool]]
    calls: CallCounts
    stopping: trio.Event


def make_app(
    front: Front, operations: Sequence[Operation], tags: Mapping[str, str], pages: Pages = NO_PAGES
) -> QuartTrio:
    """The app that serves `operations` and `pages`; every handler of an operation receives `front`.

    `tags` are as in `openapi.document`.
    """
    app = _App("engine", front.cross_origin)
    app.url_rule_class = _Rule
    server.install(app)
    app.url_map.merge_slashes = False
    addresses = Addresses(front.config.http.proxies)
    door = Door(front.store.reader, front.world, front.wrong_tokens, front.gate, addresses)
    for operation in operations:
        rule = operation.path.replace("{", "<").replace("}", ">")
        if operation.websocket:
            app.add_websocket(rule, view_func=_stream(front, door, operation))
        else:
            view = _view(front, door, operation)
            app.add_url_rule(rule, endpoint=operation.name, view_func=view, methods=[operation.method])
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


class _App(QuartTrio):
    """Routes by the path as sent: in the decoded path `%2F` would look like `/`.

    A single trailing slash is ignored. Also releases what a request holds once its answer has ended or its client has
    left, and says what pages of other origins may read.
    """

    def __init__(self, name: str, cross_origin: CrossOrigin) -> None:
        super().__init__(name, static_folder=None)
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


def _view(front: Front, door: Door, operation: Operation) -> Callable[..., Awaitable[Response]]:
    largest = front.config.http.max_body
    limit = largest if operation.large else min(largest, OTHER_BODIES)
    store, handler, change = front.store, operation.handler, operation.change
    changes = operation.method != "GET"
    takes_query, takes_caller, takes_address = (each in operation.takes for each in ("query", "caller", "address"))
    headers = operation.headers
    header_names = {each.encode_name.lower(): each.encode_name for each in _fields(headers)}

    async def answer(
        asked: HttpRequest, path: dict[str, str], admitted: Admitted | None, body: RequestBody
    ) -> Response:
        arguments: dict[str, Any] = {}
        if operation.body is None:
            if has_body(asked):
                await body.arrive(asked, limit)
            return await made_of(asked, path, admitted, arguments)
        arrived = await body.arrive(asked, limit)
        async with front.bodies.heavy.large() if arrived.is_large else nullcontext():
            arguments["body"] = await _decoded(front, operation.body, arrived)
            return await made_of(asked, path, admitted, arguments)

    async def made_of(
        asked: HttpRequest, path: dict[str, str], admitted: Admitted | None, arguments: dict[str, Any]
    ) -> Response:
        caller = None if admitted is None else admitted.caller
        query = _query(asked, operation, caller)
        if takes_query:
            arguments["query"] = query
        if headers is not None:
            # The first of repeated headers counts. Looking up a missing one takes longer than passing over all.
            given = [(name.lower(), value) for name, value in reversed(list(asked.headers))]
            given = [(header_names[name], value) for name, value in given if name in header_names]
            arguments["headers"] = decode_query(headers, given)
        if takes_caller:
            arguments["caller"] = caller
        if takes_address:
            arguments["address"] = door.addresses.of(asked)
        made = await handler(front, *path.values(), **arguments)
        if admitted is not None:
            await keep(asked, path, admitted, made)
        if isinstance(made, Response):
            return made
        return bytes_response(made) if isinstance(made, bytes) else json_response(made)

    async def keep(asked: HttpRequest, path: dict[str, str], admitted: Admitted, made: Any) -> None:
        """Enter a change in the audit record, anything else in the token's log."""
        changed = False
        if change is not None:
            address = None if admitted.caller is OWNER else door.addresses.of(asked)
            changed = await record(store, front.world, change, admitted.caller, address, path, made)
        if not changed:
            door.log(admitted)

    counts = front.calls.of(operation.method, operation.path)

    async def view(**path: str) -> Response:
        began, status = trio.current_time(), 500
        try:
            answered = await served(path)
            status = answered.status_code
        except EngineError as error:
            status = as_problem(error).status
            raise
        except HTTPException as error:
            status = error.code or 500
            raise
        except trio.Cancelled:
            status = CLIENT_LEFT
            raise
        finally:
            counts.note(status, trio.current_time() - began)
        return answered

    async def served(path: dict[str, str]) -> Response:
        if changes:
            readiness.must_be_well(store)
        elif store.failed:
            raise StorageFailed(readiness.FAILED)
        asked = cast(LocalProxy[HttpRequest], request)._get_current_object()  # each use of the proxy looks it up again
        admitted = None if operation.scope is None else door.admit(asked, operation, path)
        ids = decoded_ids(path) if admitted is None else admitted.ids
        holder = "" if admitted is None else admitted.caller.hash
        limits = {} if admitted is None else admitted.headers()
        try:
            with front.requests.hold(holder), front.bodies.of(holder) as body:
                answered = await answer(asked, ids, admitted, body)
        except EngineError as error:
            if admitted is not None:
                door.log(admitted)
            if not limits:
                raise
            problem = as_problem(error)
            problem.headers = limits | problem.headers
            raise problem from error
        if limits:
            answered.headers.update(limits)
        log.debug("%s: %d", operation.name, answered.status_code)
        return answered

    return view


def _fields(kind: type[Request] | None) -> tuple[msgspec.structs.FieldInfo, ...]:
    return () if kind is None else msgspec.structs.fields(kind)


def _stream(front: Front, door: Door, operation: Operation) -> Callable[..., Awaitable[None]]:
    async def stream(**path: str) -> None:
        admitted = door.admit(websocket, operation, path)
        door.log(admitted)
        caller = admitted.caller
        query = _query(websocket, operation, caller)
        arguments: dict[str, Any] = {"query": query, "caller": caller, "websocket": websocket}
        arguments = {name: each for name, each in arguments.items() if name in operation.takes}
        await operation.handler(front, *admitted.ids.values(), **arguments)

    return stream


def _query(asked: BaseRequestWebsocket, operation: Operation, caller: Token | None) -> Request:
    pairs = [pair for pair in asked.args.items(multi=True) if pair[0] != "access_token"]
    return narrowed(caller, decode_query(operation.query or NoQuery, pairs))


async def _decoded(front: Front, kind: type[RequestT], arrived: ArrivingBody) -> RequestT:
    most = front.config.http.max_members
    if arrived.size <= HERE:
        return decode_body(kind, await arrived.load(), most)
    async with front.bodies.heavy.short():
        return await front.world.in_thread(decode_body, kind, await arrived.load(), most)


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
