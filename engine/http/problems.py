"""JSON answers, and errors as the API shows them: all in one shape, with the error's own words.

An answer ends with a newline, so that a shell prompt begins on a new line.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from quart import Response

from engine.errors import (
    AccountGone,
    AccountUnreadable,
    EngineError,
    Fault,
    Problem,
    StorageBusy,
    StorageFailed,
    StorageFull,
    StorageUnavailable,
)

_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {
    # The phrases that callers know; Python's own differ between versions.
    413: "Request Entity Too Large",
    422: "Unprocessable Entity",
}


NO_ACCOUNT = "Account record was not found for requested ID"

NEWLINE = b"\n"
JSON = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-cache"}
"""The headers of a JSON answer."""


def as_problem(error: EngineError) -> Problem:
    """The answer to an error that reached the edge of the API."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, StorageFull):
        return Problem(507, str(error), code="StorageFull", headers={"Retry-After": "60"})
    if isinstance(error, StorageBusy):
        return Problem(503, str(error), code="StorageBusy", headers={"Retry-After": "10"})
    if isinstance(error, StorageUnavailable):
        return Problem(503, str(error), code="StorageUnavailable", headers={"Retry-After": "60"})
    if isinstance(error, StorageFailed):
        return Problem(503, f"{error}; this request may or may not have been carried out", code="StorageFailed")
    if isinstance(error, AccountGone):
        return Problem(404, NO_ACCOUNT)
    if isinstance(error, AccountUnreadable):
        return Problem(409, f"{error}; register the account again, or remove it", code="AccountUnreadable")
    status = 503 if error.fault in (Fault.NETWORK, Fault.PROVIDER) else 500
    return Problem(status, str(error))


def phrase(status: int) -> str:
    """The reason phrase of a status, in the status line and as `error` in the body; empty if it has none."""
    return _PHRASES.get(status, "")


def problem_body(problem: Problem) -> bytes:
    """The JSON of a problem, as sent."""
    said = {"statusCode": problem.status, "error": phrase(problem.status), "message": problem.message, **problem.extra}
    return msgspec.json.encode(said) + NEWLINE


def problem_response(problem: Problem) -> Response:
    """The HTTP answer for a problem."""
    response = bytes_response(problem_body(problem), problem.status)
    response.headers.update(problem.headers)
    return response


def json_response(value: Any, status: int = 200) -> Response:
    """A JSON answer with any value that msgspec can encode."""
    return bytes_response(msgspec.json.encode(value) + NEWLINE, status)


def bytes_response(body: bytes, status: int = 200) -> Response:
    """A JSON answer that is already encoded, including its newline."""
    return Response(body, status, headers=JSON)
