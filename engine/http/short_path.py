"""The way of a request from the protocol to its view and back, without what Quart adds for applications at large.

Quart makes two tasks, two contexts, a session and six signals for each request; nothing here uses them, and they take
longer than most operations. So:

1. The client's input goes straight from the protocol's task into the request's body (`Inbox`); that the client has
   left cancels the view.
2. Routes are looked up in Quart's own map, bound once. What matches none, or is only to be told which methods there
   are, takes Quart's own way; so do websockets.
3. While the view runs, `quart.request` is its request. There is no `g`, no session and no `current_app`.
4. Errors go to the handlers that the app has registered.
5. An answer that is complete goes out in one piece.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, cast

import trio
from quart.globals import _cv_request
from quart.utils import encode_headers
from quart.wrappers import Request
from quart.wrappers.response import DataBody
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from engine.http.inbox import INBOX, Inbox
from engine.http.server import close_if_unread

_CONTEXT = cast(ContextVar[Any], _cv_request)
"""Where `quart.request` looks. This and the body's `append` are Quart's own affair, so its versions are limited."""


class _Current(NamedTuple):
    """What `quart.request` looks at."""

    request: Request


class ShortPath(TrioASGIHTTPConnection):
    """One request and its answer. From another server than ours, messages come as in any application of ASGI."""

    _answered = False

    async def __call__(self, receive: object, send: Callable[[Any], Awaitable[None]]) -> None:
        """Answer. Cancelled, or as soon as the client has left: the view is cancelled."""
        inbox: Inbox | None = self.scope.get("state", {}).get(INBOX)
        if inbox is None:
            await super().__call__(receive, send)  # type: ignore[arg-type]
            return
        request = self._create_request_from_scope(send)
        with trio.CancelScope() as present:

            def hear(message: Any) -> None:
                if message["type"] == "http.request":
                    request.body.append(message["body"])
                    if not message["more_body"]:
                        request.body.set_complete()
                elif not self._answered:
                    present.cancel()

            inbox.give_to(hear)
            response = await self.app.handle_request(request)
            await self._send_response(send, response)

    async def _send_response(self, send: Callable[[Any], Awaitable[None]], response: Any) -> None:
        body = response.response
        if not isinstance(body, DataBody):
            await super()._send_response(send, response)
            return
        headers = encode_headers(response.headers)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        self._answered = True
        data = body.data[body.begin : body.end]
        await send({"type": "http.response.body", "body": data, "more_body": False})


class ShortPathApp(QuartTrio):
    """An app whose requests take the short path. Its views return a `Response`."""

    asgi_http_class = ShortPath

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self._routes: MapAdapter | None = None

    async def handle_request(self, request: Request) -> Any:
        """The response to a request. The connection ends with it if the body is not read, whichever way it took."""
        return close_if_unread(request, await self._answer(request))

    async def _answer(self, request: Request) -> Any:
        if self._routes is None:
            self._routes = self.url_map.bind("")
        try:
            rule, ids = self._routes.match(request.path, request.method, return_rule=True)
        except HTTPException:
            return await super().handle_request(request)
        if request.method == "OPTIONS":
            return await super().handle_request(request)
        request.url_rule, request.view_args = rule, dict(ids)  # type: ignore[assignment]
        with _current(request):
            try:
                return await cast(Any, self.view_functions[rule.endpoint])(**ids)
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - the app's handlers log what is a fault
                return await self.handle_user_exception(cast(Exception, error))


@contextmanager
def _current(request: Request) -> Iterator[None]:
    before = _CONTEXT.set(_Current(request))
    try:
        yield
    finally:
        _CONTEXT.reset(before)
