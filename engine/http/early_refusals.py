"""Answers given before or instead of the application's: JSON in the API's shape, after which the connection closes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import h11
from hypercorn.protocol.events import Body, EndBody, Response

from engine.errors import Problem
from engine.http.problems import phrase, problem_body

MAX_HEAD = 32 * 1024
"""Maximum bytes of a request line and its header fields."""
MAX_FIELDS = 100
TOO_LONG = f"A request has at most {MAX_FIELDS} header fields and {MAX_HEAD} bytes of them"
_BYTES = re.compile(r":? bytearray\(.*", re.DOTALL)
INTERNAL = "An internal server error occurred"


class Refused(Exception):
    """The input is not a valid request; `problem` is the answer, and the text may say more to the operator."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None, *, text: str = "") -> None:
        super().__init__(text or message)
        self.problem = Problem(status, message, headers=headers)


def misread(error: h11.RemoteProtocolError, *, in_body: bool) -> Refused:
    """The refusal for an error of h11, in its words; the offending bytes are for the operator only."""
    if error.error_status_hint == 431:
        return Refused(400, "The body's framing is broken") if in_body else Refused(431, TOO_LONG)
    message = _BYTES.sub("", str(error))
    return Refused(error.error_status_hint, message[:1].upper() + message[1:], text=str(error))


def answer(problem: Problem, *, with_body: bool = True) -> bytes:
    """The complete answer, as sent."""
    body = problem_body(problem)
    lines = [b"HTTP/1.1 %d %s" % (problem.status, phrase(problem.status).encode())]
    lines += [b"%s: %s" % field for field in _fields(problem, body)]
    return b"\r\n".join([*lines, b"", body if with_body else b""])


async def send_error(stream: Any, status: int, *, with_body: bool = True) -> None:
    """Answer on one of hypercorn's streams instead of the application."""
    problem = Problem(status, INTERNAL if status == 500 else phrase(status))
    body = problem_body(problem)
    send: Callable[[Any], Awaitable[None]] = stream.send
    await send(Response(stream_id=stream.stream_id, status_code=status, headers=_fields(problem, body)))
    if with_body:
        await send(Body(stream_id=stream.stream_id, data=body))
    await send(EndBody(stream_id=stream.stream_id))


def _fields(problem: Problem, body: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
    ]
