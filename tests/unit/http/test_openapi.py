"""The document is valid OpenAPI 3.1, names everything, and takes the bodies the engine takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from engine.api import operations
from engine.decoding.decode import decode_body
from engine.errors import Problem
from engine.http.account_tokens import Access
from engine.http.openapi import document
from engine.http.operation import Operation
from engine.schema.account import (
    AccountCreate,
    AccountUpdate,
)
from engine.schema.events import EVENT_DATA
from engine.schema.problem import ProblemDocument
from engine.schema.settings import SettingsUpdate
from engine.schema.submit import Submit
from engine.schema.submit_answers import DryRun

ACCOUNT = "/v1/account/{account}"


SOCKETS = tuple(each for each in operations() if each.websocket)


async def health(context: object) -> DryRun:
    """Whether it runs."""
    raise NotImplementedError


ROUTES = (
    *(each for each in operations() if not each.websocket),
    Operation(
        method="GET",
        path="/health",
        summary="Whether it runs",
        handler=health,
        access=Access.ANYONE,
        answers=(ProblemDocument,),
    ),
)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    document_ = document((*ROUTES, *SOCKETS), version="1.2.3", server_url="http://127.0.0.1:3000")
    return json.loads(json.dumps(document_))


def everywhere(value: Any) -> Iterator[tuple[str, Any]]:
    """Every member of every object in the document."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield name, each
            yield from everywhere(each)
    elif isinstance(value, list):
        for each in value:
            yield from everywhere(each)


@pytest.mark.once
def test_it_is_valid(made):
    validate(made)
    assert made["openapi"].startswith("3.1.")
    assert made["info"]["version"] == "1.2.3"
    assert made["servers"] == [{"url": "http://127.0.0.1:3000"}]


def test_every_reference_leads_somewhere(made):
    references = {each for name, each in everywhere(made) if name == "$ref"}
    assert len(references) > 40
    for reference in references:
        at = made
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]
        assert at


def test_every_operation_is_there(made):
    assert {(method.upper(), path) for path, found in made["paths"].items() for method in found} == {
        (each.method, each.path) for each in ROUTES
    }
    names = [found[method]["operationId"] for found in made["paths"].values() for method in found]
    assert len(set(names)) == len(ROUTES)


def test_names_of_schemas_are_plain(made):
    for name in made["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name)
    assert not [name for name, _ in everywhere(made) if name == "x-single"]


def test_every_member_of_every_schema_is_described(made):
    for name, schema in made["components"]["schemas"].items():
        for member, said in schema["properties"].items():
            assert said["description"], (name, member)
    for name in ("Submit", "AccountCreate", "SettingsUpdate"):
        assert sum("examples" in each for each in made["components"]["schemas"][name]["properties"].values()) >= 3


def test_parameters(made):
    listed = made["paths"]["/v1/outbox"]["get"]["parameters"]
    assert [(each["name"], each["in"], each["required"]) for each in listed] == [
        ("page", "query", False),
        ("pageSize", "query", False),
        ("account", "query", False),
        ("state", "query", False),
        ("recipient", "query", False),
    ]
    assert all(each["description"] for each in listed)
    assert listed[1]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20}
    assert listed[2]["schema"] == {"type": "string", "minLength": 1, "maxLength": 256}
    assert "anyOf" not in listed[3]["schema"]
    submit = made["paths"][f"{ACCOUNT}/submit"]["post"]["parameters"]
    assert [(each["name"], each["in"], each["required"]) for each in submit] == [
        ("account", "path", True),
        ("check", "query", False),
        ("useStructuredFormat", "query", False),
        ("documentStore", "query", False),
        ("x-ee-timeout", "header", False),
        ("idempotency-key", "header", False),
    ]


def test_a_token_is_asked_for_where_a_scope_is_named(made):
    assert made["paths"]["/v1/accounts"]["get"]["security"] == [{"bearer": ["api"]}]
    assert made["paths"]["/health"]["get"]["security"] == []
    assert made["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_failures_have_the_shape_of_a_problem(made):
    submit = made["paths"][f"{ACCOUNT}/submit"]["post"]
    everywhere_ = {"200", "400", "401", "403", "408", "413", "415", "429", "431", "503"}
    assert set(submit["responses"]) == everywhere_ | {"404", "409", "422", "504", "507"}
    assert set(made["paths"]["/v1/outbox/{queueId}"]["get"]["responses"]) == everywhere_ | {"404"}
    assert set(made["paths"]["/health"]["get"]["responses"]) == {"200", "431", "503"}
    for found in made["components"]["responses"].values():
        assert found["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ProblemDocument"}


@pytest.mark.parametrize(("method", "conflicts"), [("PUT", True), ("DELETE", True), ("GET", False)])
def test_a_change_of_what_cannot_be_read_is_a_conflict(made, method, conflicts):
    found = made["paths"]["/v1/webhooks/{webhook}"][method.lower()]["responses"]
    assert ("409" in found) == conflicts


def test_what_is_answered_before_any_operation_is_told_of_once(made):
    assert "a websocket at `/v1/events/stream`, 431" in made["info"]["description"]
    for status in (400, 405, 408, 426, 431, 501, 503, 505):
        assert str(status) in made["info"]["description"]


def test_events_are_shown_as_webhooks(made):
    assert list(made["webhooks"]) == list(EVENT_DATA)
    body = made["webhooks"]["messageSent"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    event = {
        "serviceUrl": None,
        "account": "a",
        "date": "2026-11-22T11:45:23.658Z",
        "event": "messageSent",
        "data": {
            "messageId": "<1@example.com>",
            "response": "250 Ok",
            "queueId": "1a",
            "envelope": {"from": "a@b.example", "to": ["c@d.example"]},
            "networkRouting": None,
            "accepted": ["c@d.example"],
            "rejected": [],
        },
        "seq": 1,
        "eventId": "524fcaaf-bf1f-4c29-9a0f-032e0ac0abd7",
    }
    validator = OAS31Validator({**body, "components": made["components"]})
    validator.validate(event)
    assert not validator.is_valid({**event, "event": "messageFailed"})
    assert not validator.is_valid({**event, "data": {}})


SERVER = {"host": "mail.example.com", "port": 993, "secure": True, "auth": {"user": "andris", "pass": "secretpass"}}


@pytest.mark.parametrize(
    ("kind", "body", "good"),
    [
        (AccountCreate, {"account": "a", "name": "A", "email": "a@b.example", "imap": SERVER, "smtp": SERVER}, True),
        (AccountCreate, {"account": None, "name": "A", "imap": False, "path": "*"}, True),
        (AccountCreate, {"account": None, "name": "A", "path": ["INBOX", "\\Sent"]}, True),
        (AccountCreate, {"account": None, "name": "A", "path": 5}, False),
        (AccountCreate, {"account": None, "name": "A", "imap": True}, False),
        (AccountCreate, {"name": "A"}, False),
        (AccountUpdate, {"imap": {"partial": True, "secure": False}, "smtp": False, "copy": None}, True),
        (AccountUpdate, {"imap": None}, False),
        (Submit, {"to": [{"name": "A", "address": "a@b.example"}], "subject": "Test", "text": "Hello!"}, True),
        (Submit, {"to": {"address": "a@b.example"}, "headers": {"X-A": ["b"], "X-N": 1}}, True),
        (Submit, {"to": {"address": "a@b.example"}, "attachments": [{"content": "SGk="}], "copy": None}, True),
        (Submit, {"to": "a@b.example", "cc": ["A <a@b.example>", {"address": "a@b.example"}]}, True),
        (Submit, {"to": 5}, False),
        (Submit, {"to": {"address": "a@b.example"}, "headers": {"X-A": True}}, False),
        (Submit, {"to": {"address": "a@b.example"}, "deliveryAttempts": -1}, False),
        (Submit, {"to": {"address": "a@b.example"}, "subject": None}, True),
        (Submit, {"to": {"address": "a@b.example"}, "messageId": None}, False),
        (Submit, {"to": {"address": "a@b.example"}, "nosuchfield": 1}, False),
        (SettingsUpdate, {"webhooks": None, "webhookEvents": ["*"], "deliveryAttempts": None}, True),
        (SettingsUpdate, {"webhookEvents": "*"}, False),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_the_document_allows_the_engine_takes(made, kind, body, good):
    schema = {"$ref": f"#/components/schemas/{kind.__name__}", "components": made["components"]}
    assert OAS31Validator(schema).is_valid(body) is good
    if good:
        assert isinstance(decode_body(kind, json.dumps(body).encode()), kind)
    else:
        with pytest.raises(Problem):
            decode_body(kind, json.dumps(body).encode())
