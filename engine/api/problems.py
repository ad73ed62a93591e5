"""Errors as the API shows them: one JSON shape for all of them, from the error's own words."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from quart import Response

from engine.errors import EngineError, Fault, Problem, StorageFailed, StorageFull, StorageUnavailable

_PHRASES = {413: "Request Entity Too Large", 422: "Unprocessable Entity"}
"""What callers know; Python's own names of these differ between versions."""


def as_problem(error: EngineError) -> Problem:
    """The answer for an error that reached the edge of the API."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, StorageFull):
        return Problem(507, str(error), code="StorageFull", headers={"Retry-After": "60"})
    if isinstance(error, StorageUnavailable):
        return Problem(503, str(error), code="StorageUnavailable", headers={"Retry-After": "60"})
    if isinstance(error, StorageFailed):
        return Problem(503, f"{error}; whether this request was carried out is unknown", code="StorageFailed")
    status = 503 if error.fault in (Fault.NETWORK, Fault.PROVIDER) else 500
    return Problem(status, str(error))


def problem_response(problem: Problem) -> Response:
    """The HTTP answer of a problem."""
    phrase = _PHRASES.get(problem.status) or HTTPStatus(problem.status).phrase
    response = json_response(
        {"statusCode": problem.status, "error": phrase, "message": problem.message, **problem.extra}, problem.status
    )
    response.headers.update(problem.headers)
    return response


def json_response(value: Any, status: int = 200) -> Response:
    """Any value msgspec can encode as a JSON answer."""
    return bytes_response(msgspec.json.encode(value), status)


def bytes_response(body: bytes, status: int = 200) -> Response:
    """JSON that is encoded already."""
    return Response(
        body, status, headers={"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-cache"}
    )
