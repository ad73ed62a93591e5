"""The OpenAPI 3.1 document, generated from the operations and schemas alone.

It states exactly what is checked: bodies and queries come from the Structs that `engine.decoding.decode` decodes,
answers from those that the handlers return, and events (as `webhooks`) from their catalogue. It is plain data, built
once at the start; `scripts/api_docs` writes docs/api.md from it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from engine.http.account_tokens import Access
from engine.http.examples import example
from engine.http.operation import Kind, Operation
from engine.model.token_permissions import ADMIN
from engine.schema.events import EVENT_DATA, Event
from engine.schema.problem import ProblemDocument

_SCHEMAS = "#/components/schemas/{name}"
_DESCRIPTION = """\
Register mail accounts, send through them, hear every outcome.

A malformed request never reaches an operation. Its answer has the shape of every other error, and the connection is
closed: 400 for a broken head or framing, 405 with `Allow` for a method that the path does not have, 408 for a head that
does not arrive in time, 426 for anything but a websocket at {websockets}, 431 for a head that is too large, 501 for a
`Transfer-Encoding` other than `chunked`, 503 for too many connections, and 505 for anything but HTTP/1.0 and
HTTP/1.1."""
_PROBLEMS = {
    400: "The request is wrong; `fields` names every member that is.",
    401: "The token is missing or unknown.",
    403: "The token may not be used for this: it lacks the scope or the permission, is for another account, or is "
    "restricted to other addresses or referrers.",
    404: "What the path names does not exist.",
    408: "The body did not arrive in time.",
    409: "The request conflicts with an earlier one, or with what is stored.",
    413: "The body is too large.",
    415: "The body is compressed.",
    416: "The file has no such bytes.",
    422: "The mail server cannot do this.",
    429: "There is too much at once with this token, or its rate limit is reached (`RateLimited`); `Retry-After` says "
    "when to come back.",
    431: "The head of the request, with its query, is too large.",
    503: "The engine or the account is not ready; `code` and `state` say why.",
    504: "The mail server did not answer in time (`Timeout`).",
    507: "The disk is full; nothing was kept.",
}


def document(
    operations: Iterable[Operation], *, version: str, server_url: str, tags: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The document for `operations`, ready for any JSON encoder. `tags` describes each group of them."""
    kinds: list[Kind] = [ProblemDocument, Event, *EVENT_DATA.values()]
    paths: dict[str, dict[str, Any]] = {}
    websockets: list[str] = []
    for operation in operations:
        if operation.websocket:
            websockets.append(f"`{operation.path}`")
            continue
        paths.setdefault(operation.path, {})[operation.method.lower()] = described(operation)
        kinds += [operation.body] if operation.body else []
        kinds += operation.answers
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mailbox Engine",
            "version": version,
            "description": _DESCRIPTION.format(websockets=", ".join(websockets)),
        },
        "servers": [{"url": server_url}],
        "tags": [{"name": name, "description": text} for name, text in (tags or {}).items()],
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


def described(operation: Operation) -> dict[str, Any]:
    """The operation object of `operation`."""
    parameters = [_path_parameter(name, kind) for name, kind in operation.in_path.items()]
    parameters += _parameters("query", operation.query) + _parameters("header", operation.headers)
    responses = {"200": _success(operation.answers, operation.media)}
    # A body is read, and its size checked, even if the operation takes none.
    possible = {
        404: bool(operation.in_path),
        409: bool(operation.in_path and operation.method != "GET"),
        416: False,
        422: False,
        431: True,
        503: True,
        504: False,
        507: operation.body is not None,
    }
    for status, text in _PROBLEMS.items():
        if status in operation.errors:
            responses[str(status)] = _problem(f"{text} {operation.errors[status]}")
        elif possible.get(status, operation.scope is not None):
            responses[str(status)] = {"$ref": f"#/components/responses/{_name(status)}"}
    shown: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": _description(operation),
        "tags": list(operation.tags),
        "parameters": parameters,
        "responses": responses,
        "x-ee-action": operation.grant.action,
        "x-ee-group": operation.group or ADMIN,
        "security": [{"bearer": [operation.scope]}] if operation.scope else [],
    }
    if operation.body:
        shown["requestBody"] = {
            "required": not operation.body.OMITTABLE,
            "content": _json(_reference(operation.body), example(operation.body)),
        }
    return shown


def _description(operation: Operation) -> str:
    said = ["This needs a token for all accounts."] if operation.access is Access.ALL_ACCOUNTS else []
    if operation.group is not None:
        said.append(f"A token with permissions needs `{operation.grant.action}` in `{operation.group}`.")
    elif operation.scope is not None:
        said.append("A token with permissions may not use it.")
    return f"{operation.description}\n\n{' '.join(said)}".strip()


def _path_parameter(name: str, kind: Any) -> dict[str, Any]:
    schema = msgspec.json.schema(kind)
    description = schema.pop("description")
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _parameters(place: str, kind: Kind | None) -> list[dict[str, Any]]:
    """One parameter for each member. A query string or header has no `null`; an absent parameter means that."""
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


def _success(kinds: tuple[Kind, ...], media: str | None) -> dict[str, Any]:
    if not kinds:
        return {"description": "OK", "content": {media: {"schema": {"type": "string"}}}}
    said = " Or: ".join((kind.__doc__ or kind.__name__).partition("\n")[0] for kind in kinds)
    references = [_reference(kind) for kind in kinds]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {"description": said, "content": _json(schema, example(kinds[0]))}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": _json(_reference(ProblemDocument))}


def _webhook(name: str, kind: Kind) -> dict[str, Any]:
    event = {"properties": {"event": {"const": name}, "data": _reference(kind)}}
    return {
        "post": {
            "summary": (kind.__doc__ or name).partition("\n")[0],
            "tags": ["Events"],
            "requestBody": {"required": True, "content": _json({"allOf": [_reference(Event), event]})},
            "responses": {
                "2XX": {"description": "The event is accepted. After any other answer the engine posts it again later."}
            },
        }
    }


def _json(schema: dict[str, Any], shown: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"application/json": {"schema": schema} | ({} if shown is None else {"example": shown})}


def _reference(kind: Kind) -> dict[str, Any]:
    return {"$ref": _SCHEMAS.format(name=kind.__name__)}


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "")


def _schemas(kinds: Iterable[Kind]) -> dict[str, Any]:
    """The JSON Schemas of `kinds` and of all types they refer to, by name."""
    _, schemas = msgspec.json.schema_components(dict.fromkeys(kinds), ref_template=_SCHEMAS)
    for schema in schemas.values():
        if "description" in schema:
            # A docstring as it is written: what follows its first line is indented before Python 3.13.
            schema["description"] = inspect.cleandoc(schema["description"])
    return {name: _one_or_many(schema) for name, schema in schemas.items()}


def _one_or_many(schema: Any) -> Any:
    """Rewrite `schema` so that lists marked `x-single` accept a single item, and addresses marked `x-address` text."""
    if isinstance(schema, list | tuple):
        return [_one_or_many(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: _one_or_many(each) for name, each in schema.items()}
    if schema.pop("x-single", False):
        many = {name: schema.pop(name) for name in ("type", "items", "maxItems") if name in schema}
        schema["anyOf"] = [many["items"], many]
    if schema.pop("x-address", False):
        members = {name: schema.pop(name) for name in ("$ref", "allOf") if name in schema}
        schema["anyOf"] = [members, {"type": "string", "examples": ["Andris Reinman <andris@ethereal.email>"]}]
    return schema
