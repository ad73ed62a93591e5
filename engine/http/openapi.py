"""The OpenAPI 3.1 document, made from the route table and the schemas alone.

What it says is what is checked: bodies and queries come from the Structs `engine.http.decode` decodes, answers from
those the handlers fill in, the events from their catalogue (as `webhooks`). It is plain data, to be made once at start.
A route given twice, or a path parameter this file does not describe, is a `ValueError`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from engine.http.access import Access
from engine.schema.events import EVENT_DATA, Event
from engine.schema.fields import Request
from engine.schema.problem import ProblemDocument

Kind = type[msgspec.Struct]
Handler = Callable[..., Awaitable[Any]]
"""What carries an operation out."""

_SCHEMAS = "#/components/schemas/{name}"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_PATH_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "account": ("The account's id.", {"minLength": 1, "examples": ["example"]}),
    "queue": ("The queue's name.", {"enum": ["submit"]}),
    "consumer": (
        "The consumer's name.",
        {"pattern": "^[A-Za-z0-9._-]+$", "minLength": 1, "maxLength": 100, "examples": ["billing"]},
    ),
    "webhook": ("The endpoint's id.", {"minLength": 1, "examples": ["default"]}),
    "token": (
        "The token's id, as `engine tokens list` shows it, or its whole hash.",
        {"minLength": 1, "examples": ["3f9a12bc44de"]},
    ),
    "queueId": ("The message's id in the outbox.", {"minLength": 1, "examples": ["1a20313426c0f27d36e"]}),
}
"""What each is, and what is said of it beside that it is text."""
_DESCRIPTION = """\
Register mailboxes, send through them, hear every outcome.

What is no well-formed request is answered before any operation hears of it, in the shape of every other error, and the
connection is closed: 400 where its head or framing is broken, 405 with `Allow` for a method that a path does not have,
408 where its head does not arrive in time, 426 for anything but a websocket at `/v1/events/stream`, 431 where its head
is too large, 501 for a `Transfer-Encoding` other than `chunked`, 503 where there are too many connections, and 505 for
anything but HTTP/1.0 and HTTP/1.1."""
_PROBLEMS = {
    400: "The request is wrong; `fields` names every member that is.",
    401: "There is no token, or it is not known.",
    403: "The token is not for this: it lacks the scope, or is for another account.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "It contradicts what was asked before, or what is stored of it cannot be read.",
    413: "The body is too large.",
    415: "The body is compressed.",
    429: "Too much of this at once with this token; `Retry-After` says when to come back.",
    431: "The head of the request, with its query, is too large.",
    503: "Not now; `code` and `state` say why.",
    507: "There is no room on the disk; nothing of it was kept.",
}


@dataclass(frozen=True, kw_only=True)
class Route:
    """One operation of the API.

    `path` has its parameters in braces: `/v1/account/{account}/submit`. `body`, `query` and `headers` are Structs, None
    for none. `responses` maps each HTTP status of a success to the Struct answered, or to several of which it is one;
    None for an answer without JSON.
    `scope` is what a token needs, None where no token is asked for; `access` is what one for a single account may ask.
    `large`: the body may hold attachments, up to `http.max_body`. `media` is the type of an answer that is not JSON.
    """

    method: str
    path: str
    summary: str
    tags: tuple[str, ...] = ()
    body: type[Request] | None = None
    query: type[Request] | None = None
    headers: type[Request] | None = None
    responses: Mapping[int, Kind | tuple[Kind, ...] | None] = field(default_factory=dict)
    scope: str | None = None
    access: Access
    large: bool = False
    media: str | None = None


def document(routes: Iterable[Route], *, version: str, server_url: str) -> dict[str, Any]:
    """The document for `routes`, ready for any JSON encoder."""
    kinds: list[Kind] = [ProblemDocument, Event, *EVENT_DATA.values()]
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operations = paths.setdefault(route.path, {})
        if route.method.lower() in operations:
            raise ValueError(f"{route.method} {route.path} is there twice")
        operations[route.method.lower()] = _operation(route)
        kinds += [route.body] if route.body else []
        kinds += [kind for answer in route.responses.values() for kind in _kinds(answer)]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mailbox Engine",
            "version": version,
            "description": _DESCRIPTION,
        },
        "servers": [{"url": server_url}],
        "paths": paths,
        "webhooks": {name: _webhook(name, kind) for name, kind in EVENT_DATA.items()},
        "components": {
            "schemas": _schemas(kinds),
            "responses": {_name(status): _problem(text) for status, text in _PROBLEMS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API token: 64 hexadecimal digits."}
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    in_path = _PATH_PARAMETER.findall(route.path)
    parameters = [_path_parameter(name) for name in in_path]
    parameters += _parameters("query", route.query) + _parameters("header", route.headers)
    responses = {str(status): _success(status, kind, route.media) for status, kind in route.responses.items()}
    # A body is read, and measured, even where none is wanted.
    possible = {
        404: bool(in_path),
        409: route.headers is not None or bool(in_path and route.method != "GET"),
        431: True,
        503: True,
        507: route.body is not None,
    }
    for status in _PROBLEMS:
        if possible.get(status, route.scope is not None):
            responses.setdefault(str(status), {"$ref": f"#/components/responses/{_name(status)}"})
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "tags": list(route.tags),
        "parameters": parameters,
        "responses": responses,
        "security": [{"bearer": [route.scope]}] if route.scope else [],
    }
    if route.body:
        operation["requestBody"] = {"required": True, "content": _json(_reference(route.body))}
    return operation


def _path_parameter(name: str) -> dict[str, Any]:
    if name not in _PATH_PARAMETERS:
        raise ValueError(f"the path parameter {name} has no description")
    text, schema = _PATH_PARAMETERS[name]
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": {"type": "string", **schema},
    }


def _parameters(place: str, kind: Kind | None) -> list[dict[str, Any]]:
    """One parameter for each member. There is no `null` in a query string or a header: absent says that."""
    if kind is None:
        return []
    shape = _schemas([kind])[kind.__name__]
    parameters = []
    for name, schema in shape["properties"].items():
        description = schema.pop("description")
        choices = [each for each in schema.pop("anyOf", ()) if each != {"type": "null"}]
        for each in choices:
            schema.update(each)
        if "default" in schema and schema["default"] is None:
            del schema["default"]
        parameters.append(
            {
                "name": name,
                "in": place,
                "required": name in shape["required"],
                "description": description,
                "schema": schema,
            }
        )
    return parameters


def _kinds(answer: Kind | tuple[Kind, ...] | None) -> tuple[Kind, ...]:
    if answer is None:
        return ()
    return answer if isinstance(answer, tuple) else (answer,)


def _success(status: int, answer: Kind | tuple[Kind, ...] | None, media: str | None) -> dict[str, Any]:
    kinds = _kinds(answer)
    if not kinds:
        content = {"content": {media: {"schema": {"type": "string"}}}} if media else {}
        return {"description": HTTPStatus(status).phrase, **content}
    said = " Or: ".join((kind.__doc__ or kind.__name__).partition("\n")[0] for kind in kinds)
    references = [_reference(kind) for kind in kinds]
    return {"description": said, "content": _json(references[0] if len(references) == 1 else {"anyOf": references})}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": _json(_reference(ProblemDocument))}


def _webhook(name: str, kind: Kind) -> dict[str, Any]:
    event = {"properties": {"event": {"const": name}, "data": _reference(kind)}}
    return {
        "post": {
            "summary": (kind.__doc__ or name).partition("\n")[0],
            "tags": ["Events"],
            "requestBody": {"required": True, "content": _json({"allOf": [_reference(Event), event]})},
            "responses": {"2XX": {"description": "Taken. Anything else is tried again later."}},
        }
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _reference(kind: Kind) -> dict[str, Any]:
    return {"$ref": _SCHEMAS.format(name=kind.__name__)}


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "")


def _schemas(kinds: Iterable[Kind]) -> dict[str, Any]:
    """The JSON Schema of each of `kinds` and of all they mention, by name."""
    _, schemas = msgspec.json.schema_components(dict.fromkeys(kinds), ref_template=_SCHEMAS)
    return {name: _one_or_many(schema) for name, schema in schemas.items()}


def _one_or_many(schema: Any) -> Any:
    """`schema` with every list that may be given as its one item (`x-single`) said in JSON Schema's own words."""
    if isinstance(schema, list | tuple):
        return [_one_or_many(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: _one_or_many(each) for name, each in schema.items()}
    if schema.pop("x-single", False):
        many = {name: schema.pop(name) for name in ("type", "items", "maxItems") if name in schema}
        schema["anyOf"] = [many["items"], many]
    return schema
