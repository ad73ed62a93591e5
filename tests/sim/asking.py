"""Requests to the app of a simulated engine as the server hands them over: the path as it was sent, and decoded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
import trio
from answers import check
from quart_trio import QuartTrio
from simulation import Engine

from engine.api.app import make_app
from engine.store import tokens

DONE_SECONDS = 60


class Answer(NamedTuple):
    """One answer; of a stream, what came in a minute."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """One who asks with a token, for one account if it is named."""

    def __init__(self, app: QuartTrio, token: str) -> None:
        self._app = app
        self.token = token
        self.address = "127.0.0.1"

    @classmethod
    async def of(
        cls,
        engine: Engine,
        account: str | None = None,
        app: QuartTrio | None = None,
        scopes: Sequence[str] = ("*",),
    ) -> Caller:
        world = engine.context.world
        token, _ = await engine.context.store.commit(lambda tx: tokens.issue(tx, "test", [*scopes], world, account))
        return cls(app or make_app(engine.context), token)

    async def ask(
        self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None, **more: bytes
    ) -> Answer:
        """One request for `target` (`/v1/account/a%2Fb?quota=true`). `raw` is a body that is no JSON of ours."""
        path, _, query = target.partition("?")
        data = more.get("raw", b"" if body is None else msgspec.json.encode(body))
        given = {"Authorization": f"Bearer {self.token}", "Content-Length": str(len(data)), "Host": "x"}
        given.update(headers or {})
        scope: Any = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
            "client": (self.address, 4711),
            "server": ("127.0.0.1", 3000),
            "extensions": {},
        }
        parts = [{"type": "http.request", "body": data, "more_body": False}]
        status, answered, chunks = 0, {}, []
        ended = trio.Event()

        async def receive() -> Any:
            if parts:
                return parts.pop()
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal status, answered
            await trio.lowlevel.checkpoint()
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            elif message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))
                if not message.get("more_body", False):
                    ended.set()

        with trio.move_on_after(DONE_SECONDS):
            await self._app(scope, receive, send)
        answer = Answer(status, answered, b"".join(chunks))
        if ended.is_set():
            check(method, target, answer.status, answer.body)
        return answer
