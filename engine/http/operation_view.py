"""Answers the requests for one operation: token, access to the path, body, query, handler, JSON.

1. `answer` counts the answer and its time, whatever comes of the request.
2. `_admitted` refuses before it reads a body: changes while the store takes none, callers without access, a crowd.
3. `_with_body` reads the body, a large one in its turn, and decodes it.
4. `_handled` decodes query and headers, and calls the handler with what its declaration takes.
5. `_recorded` enters a change in the audit record, anything else in the token's log.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any, TypeVar, cast

import msgspec
import trio
from quart import Response, request, websocket
from quart.wrappers import Request as HttpRequest
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy

from engine.arriving_body import ArrivingBody
from engine.decoding.decode import HERE, decode_body, decode_query
from engine.errors import EngineError, StorageFailed
from engine.http import readiness
from engine.http.account_tokens import narrowed
from engine.http.audit_entries import record
from engine.http.bearer_tokens import Admitted, Door
from engine.http.control_requests import OWNER
from engine.http.front import Front
from engine.http.operation import Operation
from engine.http.path_ids import decoded_ids
from engine.http.problems import as_problem, bytes_response, json_response
from engine.http.request_bodies import OTHER_BODIES, RequestBody, has_body
from engine.schema.fields import NoQuery, Request
from engine.store.tokens import Token

RequestT = TypeVar("RequestT", bound=Request)

log = logging.getLogger("engine.http")

CLIENT_LEFT = 499
"""The status counted if the client left before its answer, or the engine stopped: none was sent."""


class OperationView:
    """The view of one operation."""

    def __init__(self, front: Front, door: Door, operation: Operation) -> None:
        self._front, self._door, self._operation = front, door, operation
        largest = front.config.http.max_body
        self._limit = largest if operation.large else min(largest, OTHER_BODIES)
        self._changes = operation.method != "GET"
        takes = operation.takes
        self._takes_query, self._takes_caller, self._takes_address = (
            each in takes for each in ("query", "caller", "address")
        )
        names = [each.encode_name for each in _fields(operation.headers)]
        self._header_names = {each.lower().encode(): each for each in names}
        self._counts = front.calls.of(operation.method, operation.path)

    async def answer(self, **path: str) -> Response:
        """Answer the current request; `path` holds the ids in its path, as sent. Raises `EngineError`."""
        began, status = trio.current_time(), 500
        try:
            answered = await self._admitted(path)
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
            self._counts.note(status, trio.current_time() - began)
        return answered

    async def _admitted(self, path: dict[str, str]) -> Response:
        front, door, operation = self._front, self._door, self._operation
        if self._changes:
            readiness.must_be_well(front.store)
        elif front.store.failed:
            raise StorageFailed(readiness.FAILED)
        asked = cast(LocalProxy[HttpRequest], request)._get_current_object()  # each use of the proxy looks it up again
        admitted = None if operation.scope is None else door.admit(asked, operation, path)
        ids = decoded_ids(path) if admitted is None else admitted.ids
        holder = "" if admitted is None else admitted.caller.hash
        limits = {} if admitted is None else admitted.headers()
        try:
            with front.requests.hold(holder), front.bodies.of(holder) as body:
                answered = await self._with_body(asked, ids, admitted, body)
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

    async def _with_body(
        self, asked: HttpRequest, path: dict[str, str], admitted: Admitted | None, body: RequestBody
    ) -> Response:
        arguments: dict[str, Any] = {}
        if self._operation.body is None:
            if has_body(asked):
                await body.arrive(asked, self._limit)
            return await self._handled(asked, path, admitted, arguments)
        arrived = await body.arrive(asked, self._limit)
        async with self._front.bodies.heavy.large() if arrived.is_large else nullcontext():
            arguments["body"] = await _decoded(self._front, self._operation.body, arrived)
            return await self._handled(asked, path, admitted, arguments)

    async def _handled(
        self, asked: HttpRequest, path: dict[str, str], admitted: Admitted | None, arguments: dict[str, Any]
    ) -> Response:
        caller = None if admitted is None else admitted.caller
        query = _query(asked, self._operation, caller)
        if self._takes_query:
            arguments["query"] = query
        if self._operation.headers is not None:
            # The first of repeated headers counts.
            names = self._header_names
            sent = reversed([*asked.scope["headers"]])
            given = [(names[name], value.decode("latin-1")) for name, value in sent if name in names]
            arguments["headers"] = decode_query(self._operation.headers, given)
        if self._takes_caller:
            arguments["caller"] = caller
        if self._takes_address:
            arguments["address"] = self._door.addresses.of(asked)
        made = await self._operation.handler(self._front, *path.values(), **arguments)
        if admitted is not None:
            await self._recorded(asked, path, admitted, made)
        if isinstance(made, Response):
            return made
        return bytes_response(made) if isinstance(made, bytes) else json_response(made)

    async def _recorded(self, asked: HttpRequest, path: dict[str, str], admitted: Admitted, made: Any) -> None:
        changed, change = False, self._operation.change
        if change is not None:
            address = None if admitted.caller is OWNER else self._door.addresses.of(asked)
            front = self._front
            changed = await record(front.store, front.world, change, admitted.caller, address, path, made)
        if not changed:
            self._door.log(admitted)


class OperationStream:
    """The same for an operation that is a websocket: its handler serves the connection to its end."""

    def __init__(self, front: Front, door: Door, operation: Operation) -> None:
        self._front, self._door, self._operation = front, door, operation

    async def serve(self, **path: str) -> None:
        """Serve the current websocket; `path` holds the ids in its path, as sent. Raises `EngineError` before that."""
        operation = self._operation
        admitted = self._door.admit(websocket, operation, path)
        self._door.log(admitted)
        caller = admitted.caller
        query = _query(websocket, operation, caller)
        arguments: dict[str, Any] = {"query": query, "caller": caller, "websocket": websocket}
        arguments = {name: each for name, each in arguments.items() if name in operation.takes}
        await operation.handler(self._front, *admitted.ids.values(), **arguments)


def _fields(kind: type[Request] | None) -> tuple[msgspec.structs.FieldInfo, ...]:
    return () if kind is None else msgspec.structs.fields(kind)


def _query(asked: BaseRequestWebsocket, operation: Operation, caller: Token | None) -> Request:
    # Most requests have no query, and to find that out by way of `args` takes long.
    args = asked.args.items(multi=True) if asked.query_string else ()
    pairs = [pair for pair in args if pair[0] != "access_token"]
    return narrowed(caller, decode_query(operation.query or NoQuery, pairs))


async def _decoded(front: Front, kind: type[RequestT], arrived: ArrivingBody) -> RequestT:
    most = front.config.http.max_members
    if arrived.size <= HERE:
        return decode_body(kind, await arrived.load(), most)
    async with front.bodies.heavy.short():
        return await front.world.in_thread(decode_body, kind, await arrived.load(), most)
