"""`/admin/settings/api/{operation}`: one operation: what it takes, and trying it.

It is carried out as the person who is signed in, with their role. An operation that only reads is carried out at once,
any other after a page that asks for confirmation.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from quart import Response

from engine.api import operations
from engine.errors import Problem
from engine.http import openapi
from engine.http.examples import example
from engine.http.operation import Operation
from engine.web.page import action, page
from engine.web.pages.api import PATH
from engine.web.roles import Role
from engine.web.visit import Visit, role_for

LONGEST_SHOWN = 40_000
"""Characters of an answer that are shown."""
LONGEST_FORM = 512 * 1024
_ONE = PATH + "/{operation}"


@page(_ONE, role=Role.READER, under="api")
async def api_operation(visit: Visit, operation: str) -> Response:
    """What it takes, with an example of its body."""
    return _shown(visit, _find(visit, operation))


@action(_ONE, role=Role.READER, longest_form=LONGEST_FORM)
async def attempt(visit: Visit, operation: str) -> Response:
    """Carry it out; before what changes something, ask. Raises `Problem` 403, 404."""
    found = _find(visit, operation)
    if not _can_be_tried(found):
        raise Problem(404, str(visit.text("api_operation.not_here")))
    if not visit.may(role_for(found)):
        raise Problem(403, str(visit.text("error.role", needed=visit.text(f"role.{role_for(found)}"))))
    ids = [visit.form.get(f"path.{name}", "") for name in found.in_path]
    if not all(ids):
        return _shown(visit, found, refused=str(visit.text("api_operation.needs_ids")))
    try:
        body = msgspec.json.decode(visit.form.get("body", "").encode() or b"{}") if found.body is not None else None
    except msgspec.DecodeError as error:
        return _shown(visit, found, refused=str(visit.text("api_operation.no_json", why=str(error))))
    if not isinstance(body, dict | None):
        return _shown(visit, found, refused=str(visit.text("api_operation.no_object")))
    if found.changes and visit.form.get("sure") != "yes":
        return _shown(visit, found, asks=True)
    try:
        answer = await visit.ask(
            found.handler, *ids, body=body, query=_given(visit, "query"), headers=_given(visit, "header")
        )
    except Problem as problem:
        told = {"statusCode": problem.status, "message": problem.message, **problem.extra}
        return _shown(visit, found, status=problem.status, answer=_written(told))
    if isinstance(answer, Response):
        return _shown(visit, found, status=answer.status_code, answer=(await answer.get_data(as_text=True)))
    return _shown(visit, found, status=200, answer=_written(answer))


def _given(visit: Visit, place: str) -> dict[str, str]:
    start = f"{place}."
    return {name.removeprefix(start): value for name, value in visit.form.items() if name.startswith(start) and value}


def _find(visit: Visit, name: str) -> Operation:
    for each in operations():
        if each.id == name and not each.websocket:
            return each
    raise Problem(404, str(visit.text("error.no_page")))


def _can_be_tried(operation: Operation) -> bool:
    """Whether its answer is one piece of JSON: files and streams are for programs."""
    return bool(operation.answers) and operation.media is None


def _written(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


@functools.cache
def _described(operation: Operation) -> dict[str, Any]:
    return openapi.described(operation)


@functools.cache
def _example(operation: Operation) -> str:
    return _written(example(operation.body)) if operation.body is not None else ""


def _shown(
    visit: Visit, operation: Operation, *, refused: str = "", asks: bool = False, status: int = 0, answer: str = ""
) -> Response:
    described = _described(operation)
    parameters = [
        {**each, "field": f"{each['in']}.{each['name']}", "value": visit.form.get(f"{each['in']}.{each['name']}", "")}
        for each in described["parameters"]
    ]
    return visit.show(
        status=422 if refused else 200,
        operation=operation,
        description=described["description"],
        parameters=parameters,
        body=visit.form.get("body", _example(operation)),
        can_try=_can_be_tried(operation),
        role=role_for(operation),
        removes=operation.method == "DELETE",
        refused=refused,
        asks=asks,
        answered=status,
        answer=answer[:LONGEST_SHOWN],
        is_cut=len(answer) > LONGEST_SHOWN,
    )
