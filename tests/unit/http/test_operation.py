"""What an operation is made of is what its handler says; one that says too little or something else does not start."""

from __future__ import annotations

from types import ModuleType
from typing import Annotated, Any

import pytest
from msgspec import Meta
from quart import Response, Websocket

from engine.http.account_tokens import Access
from engine.http.operation import Encoded, Operation, declared_in, operation, websocket
from engine.http.problems import json_response
from engine.schema import fields
from engine.schema.fields import Request
from engine.store.tokens import Token

ThingId = Annotated[str, Meta(description="The thing's id.")]


class Query(Request, frozen=True, kw_only=True):
    account: str | None = None


class Body(Request, frozen=True, kw_only=True):
    name: str


class Shown(fields.Response, frozen=True, kw_only=True):
    name: str


class Other(fields.Response, frozen=True, kw_only=True):
    other: str


def declared(*handlers: Any) -> tuple[Operation, ...]:
    module = ModuleType(__name__)
    for number, handler in enumerate(handlers):
        setattr(module, f"handler_{number}", handler)
    return declared_in([module])


async def read(
    context: object, big_thing: ThingId, body: Body, query: Query, *, caller: Token
) -> Encoded[Shown] | Other | Response:
    """Read a thing,
    or another one.

    More about it.
    """
    return json_response(1)


async def answers_nothing(context: object) -> None:
    """Read."""


async def answers_a_dict(context: object) -> dict[str, Any]:
    """Read."""
    return {}


async def takes_more(context: object, thing: ThingId, more: str) -> Shown:
    """Read."""
    return Shown(name=more)


async def says_nothing(context: object) -> Shown:
    return Shown(name="x")


async def shown(context: object, query: Query) -> Shown:
    """Read."""
    return Shown(name="x")


async def writes_it_out(context: object) -> Response:
    """Read."""
    return json_response(1)


async def stream(context: object, query: Query, *, websocket: Websocket) -> None:
    """Follow."""


def test_all_of_it_is_read_from_the_handler() -> None:
    (found,) = declared(
        operation("PUT", "/v1/{bigThing}", access=Access.QUERY, scope="api", tags=("Things",), large=True)(read)
    )
    assert (found.name, found.summary, found.tags) == (
        "PUT /v1/{bigThing}",
        "Read a thing, or another one",
        ("Things",),
    )
    assert (found.body, found.query, found.headers) == (Body, Query, None)
    assert found.answers == (Shown, Other)
    assert found.in_path == {"bigThing": ThingId}
    assert found.takes == {"body", "query", "caller"}
    assert (found.large, found.websocket, found.handler) == (True, False, read)


def test_a_websocket() -> None:
    (found,) = declared(websocket("/v1/stream", access=Access.QUERY, scope="api")(stream))
    assert (found.method, found.websocket, found.takes) == ("GET", True, {"query", "websocket"})


@pytest.mark.parametrize(
    ("path", "handler", "why"),
    [
        ("/v1/things", answers_nothing, "answers"),
        ("/v1/things", answers_a_dict, "answers"),
        ("/v1/things", writes_it_out, "answers"),
        ("/v1/things/{thing}", takes_more, "takes thing, more"),
        ("/v1/things", read, "takes big_thing, body"),
        ("/v1/things/{thing}", shown, "takes query"),
        ("/v1/things", says_nothing, "docstring"),
        ("/v1/{account}", shown, "takes"),
    ],
)
def test_one_that_does_not_fit_its_handler_does_not_start(path: str, handler: Any, why: str) -> None:
    with pytest.raises(ValueError, match=f"GET {path}: .*{why}"):
        declared(operation("GET", path, access=Access.QUERY, scope="api", tags=("Things",))(handler))


def test_one_that_cannot_treat_tokens_as_it_says_does_not_start() -> None:
    with pytest.raises(ValueError, match="GET /v1/things: its handler does not take the caller"):
        declared(operation("GET", "/v1/things", access=Access.HANDLER, scope="api", tags=("Things",))(shown))


def test_no_two_are_one() -> None:
    declare = operation("GET", "/v1/things", access=Access.QUERY, scope="api", tags=("Things",))

    async def again(context: object, query: Query) -> Shown:
        """Read."""
        return Shown(name="x")

    with pytest.raises(ValueError, match="GET /v1/things is there twice"):
        declared(declare(shown), declare(again))
