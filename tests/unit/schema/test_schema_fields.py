"""Every noun is documented, keeps to its own examples, and takes what EmailEngine answers and sends."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any, get_args

import msgspec
import pytest

from engine import schema
from engine.decoding.decode import decode_body
from engine.errors import Problem
from engine.schema import account, events, fields, outbox, problem, submit, submit_answers
from engine.schema.account_condition import Counters
from engine.schema.fields import Check, Request, Response

pytestmark = pytest.mark.once

MODULES = [importlib.import_module(f"engine.schema.{found.name}") for found in pkgutil.iter_modules(schema.__path__)]
NOUNS = sorted(
    {
        kind
        for module in MODULES
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Request | Response) and kind not in (Request, Response)
    },
    key=lambda kind: kind.__name__,
)
EACH_NOUN = pytest.mark.parametrize("kind", NOUNS, ids=lambda kind: kind.__name__)


def shape(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return msgspec.json.schema_components([kind], ref_template="{name}")[1][kind.__name__]


def test_there_is_one_noun_of_a_name():
    assert len({kind.__name__ for kind in NOUNS}) == len(NOUNS) > 40


@EACH_NOUN
def test_a_noun_is_documented_and_named_in_camel_case(kind):
    assert kind.__doc__ and not kind.__doc__.startswith(kind.__name__)
    for field in msgspec.structs.fields(kind):
        # EmailEngine has one that begins with it.
        assert "_" not in field.encode_name[1:], field.encode_name
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.forbid_unknown_fields is issubclass(kind, Request)


@EACH_NOUN
def test_each_member_is_documented(kind):
    properties = shape(kind)["properties"]
    for field in msgspec.structs.fields(kind):
        description = properties[field.encode_name]["description"]
        assert description.endswith("."), field.encode_name
        if issubclass(kind, Request) and not field.required and not isinstance(field.default, int | str):
            assert "absent" in description.lower() + kind.__doc__.lower(), field.encode_name


@EACH_NOUN
def test_each_example_is_what_its_type_takes(kind):
    properties = shape(kind)["properties"]
    for field in msgspec.structs.fields(kind):
        for example in properties[field.encode_name].get("examples", ()):
            msgspec.convert(example, field.type)


def test_every_check_is_used_by_some_member():
    used = set()

    def visit(info: Any) -> None:
        if isinstance(info, msgspec.inspect.Metadata):
            used.add((info.extra or {}).get("check"))
        for name in getattr(info, "__struct_fields__", ()):
            value = getattr(info, name)
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, msgspec.inspect.Type | msgspec.inspect.Field):
                    visit(each)

    for kind in NOUNS:
        visit(msgspec.inspect.type_info(kind))
    assert used - {None} == set(Check)


def test_unset_members_are_left_out_and_nulls_are_not():
    shown = msgspec.json.decode(
        msgspec.json.encode(account.AccountInfo(account="a", state="init", type="imap", counters=Counters(events={})))
    )
    assert shown == {
        "account": "a",
        "logs": False,
        "notifyFrom": None,
        "syncFrom": None,
        "state": "init",
        "smtpStatus": None,
        "connections": 0,
        "lastError": None,
        "type": "imap",
        "counters": {"events": {}},
    }


SERVER = {
    "host": "127.0.0.1",
    "port": 31143,
    "secure": False,
    "auth": {"user": "u240@example.com", "pass": "******"},
    "tls": {"rejectUnauthorized": False},
}
SHOWN_ACCOUNT = {
    "account": "acc240",
    "name": "User 240",
    "email": "u240@example.com",
    "logs": False,
    "notifyFrom": "2026-11-22T11:45:23.366Z",
    "syncFrom": None,
    "path": "*",
    "imapIndexer": "full",
    "imap": {**SERVER, "resyncDelay": 900},
    "smtp": {"host": "127.0.0.1", "port": 31025, "secure": False, "tls": {"rejectUnauthorized": False}},
    "state": "connected",
    "smtpStatus": {"created": "2026-11-22T11:45:27.185Z", "status": "ok", "response": "250 2.0.0 Ok: queued as S3"},
    "connections": 1,
    "lastError": None,
    "type": "imap",
    "syncTime": "2026-11-22T11:45:27.178Z",
    "counters": {"events": {"messageSent": 3, "authenticationSuccess": 1}},
}
ENVELOPE = {"from": "u240@example.com", "to": ["rcpt@example.net"]}
ENTRY = {
    "source": "api",
    "useStructuredFormat": False,
    "account": "acc240",
    "queueId": "1a2031353cb4479ce62",
    "gateway": None,
    "messageId": "<573290a0-2c2a-f0fd-9163-7667d98e0e32@example.com>",
    "envelope": ENVELOPE,
    "subject": "L-cap-9",
    "created": "2026-11-22T11:45:28.011Z",
    "progress": {
        "status": "error",
        "error": {
            "message": "Message failed: 451 4.3.0 Temporary failure, try again later",
            "code": "EMESSAGE",
            "statusCode": 451,
        },
        "networkRouting": None,
    },
    "attemptsMade": 1,
    "attempts": 2,
    "scheduled": "2026-11-22T11:45:28.012Z",
    "nextAttempt": "2026-11-22T11:45:33.013Z",
}
DELIVERY_ERROR = {
    "queueId": "1a2031352312eccb323",
    "envelope": ENVELOPE,
    "messageId": "<3391e019-7360-ff2f-a8be-c6a9a4db6760@example.com>",
    "error": "Can't send mail - all recipients were rejected: 550 5.1.1 <rcpt@example.net>: User unknown",
    "errorCode": "EENVELOPE",
    "smtpResponse": "550 5.1.1 <rcpt@example.net>: User unknown",
    "smtpResponseCode": 550,
    "smtpCommand": "RCPT TO",
    "networkRouting": None,
    "job": {
        "id": "1a2031352312eccb323",
        "attemptsMade": 0,
        "attempts": 10,
        "nextAttempt": "2026-11-22T11:45:32.602Z",
    },
}


@pytest.mark.parametrize(
    ("kind", "captured", "ours"),
    [
        (account.AccountInfo, SHOWN_ACCOUNT, {}),
        (
            account.AccountInfo,
            {
                **SHOWN_ACCOUNT,
                "state": "authenticationError",
                "smtpStatus": None,
                "lastError": {
                    "response": "4 NO [AUTHENTICATIONFAILED] Authentication failed.",
                    "serverResponseCode": "AUTHENTICATIONFAILED",
                },
            },
            {},
        ),
        (
            account.AccountList,
            {
                "total": 1,
                "pages": 1,
                "page": 0,
                "query": False,
                "state": "*",
                "accounts": [
                    {
                        "account": "acc240",
                        "name": "User 240",
                        "email": "u240@example.com",
                        "type": "imap",
                        "state": "connected",
                        "counters": {"events": {"accountInitialized": 1}},
                        "lastError": None,
                    }
                ],
            },
            {},
        ),
        (account.AccountCreated, {"account": "acc240", "state": "new"}, {}),
        (account.AccountRemoved, {"account": "acc242", "deleted": True}, {}),
        (
            submit_answers.SubmitAccepted,
            {
                "response": "Queued for delivery",
                "messageId": "<1e42aed3-a937-0aed-48c5-8fc6984c8c83@example.com>",
                "sendAt": "2026-11-22T11:45:25.101Z",
                "queueId": "1a20313486de8c63060",
                "idempotency": {"key": "key-1", "status": "MISS"},
            },
            {},
        ),
        (submit_answers.DryRun, {"response": "Dry run", "messageId": "<c1e4@example.com>", "preview": "WC1FZS1T"}, {}),
        (outbox.OutboxEntry, ENTRY, {"state": "deferred", "onDoubt": "resend"}),
        (
            outbox.OutboxEntry,
            {**ENTRY, "progress": {"status": "queued"}, "nextAttempt": False},
            {"state": "queued", "onDoubt": "hold"},
        ),
        (outbox.OutboxDeleted, {"deleted": True}, {}),
        (events.MessageDeliveryError, DELIVERY_ERROR, {"rejected": []}),
        (
            events.MessageSent,
            {
                "messageId": "<9e90e682@example.com>",
                "response": "250 2.0.0 Ok: queued as S1",
                "queueId": "1a20313426c0f27d36e",
                "envelope": ENVELOPE,
                "networkRouting": None,
            },
            {"accepted": ["rcpt@example.net"], "rejected": []},
        ),
        (
            events.MessageFailed,
            {
                "messageId": "<3391e019@example.com>",
                "queueId": "1a2031352312eccb323",
                "error": "Error: Can't send mail - all recipients were rejected: 550 5.1.1",
                "networkRouting": None,
            },
            {"envelope": ENVELOPE, "attemptsMade": 1, "rejected": []},
        ),
        (events.AccountInitialized, {"initialized": True}, {}),
        (
            problem.ProblemDocument,
            {
                "statusCode": 503,
                "error": "Service Unavailable",
                "message": "Requested account can not be authenticated",
                "state": "authenticationError",
                "code": "AuthenticationFails",
            },
            {},
        ),
    ],
)
def test_what_emailengine_answers_and_sends_fits_and_stays_the_same(kind, captured, ours):
    body = {**captured, **ours}
    assert msgspec.json.decode(msgspec.json.encode(msgspec.convert(body, kind))) == body


def test_the_catalogue_of_events_is_complete():
    assert set(get_args(events.EventName)) == set(events.EVENT_DATA)
    for name, kind in events.EVENT_DATA.items():
        assert kind.__doc__ is not None
        assert kind.__doc__.startswith(f"`{name}`: ")


def test_the_limits_are_those_of_the_peer():
    with pytest.raises(Problem) as caught:
        decode_body(submit.Submit, msgspec.json.encode({"to": {"address": "a@b.example"}, "text": "x" * 5242881}))
    assert fields.MAX_TEXT == 5242880
    assert [each["path"] for each in caught.value.extra["fields"]] == ["text"]
