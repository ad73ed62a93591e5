"""Requests taken apart: every fault is named, and what is good arrives in its one form."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from engine.errors import Problem
from engine.http.decode import decode_body, decode_query
from engine.http.field_errors import MOST_FIELD_ERRORS
from engine.mail.headers import LONGEST_HEADER_NAME
from engine.proxies.proxy import SCHEMES
from engine.schema.account import AccountCreate, AccountQuery, AccountsQuery, AccountUpdate
from engine.schema.events import EventsQuery
from engine.schema.fields import SINGLE, Check, Request
from engine.schema.outbox import OutboxQuery
from engine.schema.settings import SettingsUpdate
from engine.schema.submit import NamedAddress, Submit
from engine.schema.webhooks import WebhookReplay

BODIES = (Submit, AccountCreate, AccountUpdate, SettingsUpdate)
RCPT = {"name": "Rcpt", "address": "rcpt@example.net"}
SERVER = {"host": "mail.example.com", "port": 993}
LOGIN = {"user": "u", "pass": "p"}


def complaints(kind: type[Request], body: Any) -> list[dict[str, str]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Problem) as caught:
        decode_body(kind, data)
    assert caught.value.status == 400
    assert caught.value.message == "Invalid input"
    assert set(caught.value.extra) == {"fields"}
    return caught.value.extra["fields"]


def messages(kind: type[Request], body: Any) -> list[str]:
    return [each["message"] for each in complaints(kind, body)]


def submit(**members: Any) -> Submit:
    return decode_body(Submit, json.dumps({"to": [RCPT], **members}).encode())


def test_a_captured_registration_with_faults():
    assert complaints(AccountCreate, {"account": "x", "imap": {"host": ""}}) == [
        {"message": '"name" is required', "key": "name", "path": "name"},
        {"message": '"imap.host" is not allowed to be empty', "key": "host", "path": "imap.host"},
        {"message": '"imap.port" is required', "key": "port", "path": "imap.port"},
    ]


def test_a_captured_submission_with_faults():
    assert complaints(Submit, {"to": "x", "subject": 5}) == [
        {"message": '"to" must be of type object', "key": "to", "path": "to"},
        {"message": '"subject" must be a string', "key": "subject", "path": "subject"},
    ]


def test_a_captured_submission_with_an_unknown_member():
    body = {
        "to": [RCPT],
        "subject": "L-cap-3",
        "text": "Hello text",
        "html": "<p>Hello <b>html</b></p>",
        "attachments": [{"filename": "a.txt", "content": "aGVsbG8="}],
        "nosuchfield": 1,
    }
    assert complaints(Submit, body) == [
        {"message": '"nosuchfield" is not allowed', "key": "nosuchfield", "path": "nosuchfield"}
    ]
    del body["nosuchfield"]
    assert decode_body(Submit, json.dumps(body).encode()).attachments[0].content == b"hello"


@pytest.mark.parametrize(
    "data",
    [
        b'{"to": [',
        b"",
        b" ",
        b"nope",
        b"NaN",
        b'{"deliveryAttempts": NaN}',
        b'{"deliveryAttempts": 1e999}',
        b'{"deliveryAttempts": ' + b"9" * 5000 + b"}",
        b'{"subject": "\xff"}',
        b'{"subject": "\xed\xa0\x80"}',
        b'{"subject": "a\nb"}',
        b"{} {}",
        b"{'to': 1}",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"to":' * 100_000,
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda data: repr(data[:24]),
)
@pytest.mark.parametrize("kind", BODIES)
def test_what_is_not_json(kind, data):
    with pytest.raises(Problem) as caught:
        decode_body(kind, data)
    assert (caught.value.status, caught.value.message) == (400, "Invalid request payload JSON format")
    assert caught.value.extra["reason"]
    assert set(caught.value.extra) in ({"reason"}, {"reason", "line", "column"})


@pytest.mark.parametrize(
    ("data", "reason", "line", "column"),
    [
        (b'{"a": 1,}', "trailing comma in object", 1, 9),
        (b'{\n  "to": [],\n  "text" "Hi"\n}', "expected ':'", 3, 10),
        ('{\n "subject": "Grüße", x}'.encode(), "object keys must be strings", 2, 22),
        (b'{"to": [\n', "it ends too early", 2, 1),
        (b"", "it is empty", 1, 1),
        (b'{"text":\n"a\xffb"}', "a byte that is not UTF-8", 2, 3),
        (b'{"text": "' + b"a" * 5000 + b"\xff" * 1_100_000 + b'"}', "a byte that is not UTF-8", 1, 5011),
        (b'{"html": "' + b"a" * 1_100_000 + b'",\n"text": "' + b"b" * 5000 + b'",\n "a" 1}', "expected ':'", 3, 6),
        (b'{"html": "' + b"a" * 1_100_000 + b'",\n "text": "b\n"}', "invalid character", 2, 12),
        (b'{"html": "' + b"a" * 1_100_000, "it ends too early", 1, 1_100_011),
        (b"[" * 100_000, "it is nested too deeply", None, None),
    ],
)
def test_what_is_not_json_is_placed(data, reason, line, column):
    with pytest.raises(Problem) as caught:
        decode_body(Submit, data)
    place = {} if line is None else {"line": line, "column": column}
    assert caught.value.extra == {"reason": reason, **place}


@pytest.mark.parametrize("value", [[], "x", 5, 1.5, True, None, [{}]])
@pytest.mark.parametrize("kind", BODIES)
def test_what_is_not_an_object(kind, value):
    assert complaints(kind, value) == [{"message": '"value" must be of type object', "key": "value", "path": "value"}]


NOT_ONE_LINE = "must not contain line breaks"
URL = "must be a valid uri with a scheme matching the http|https pattern"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"from": 1}, ['"from" must be of type object']),
        ({"from": {}}, ['"from.address" is required']),
        ({"from": {"address": ""}}, ['"from.address" is not allowed to be empty']),
        ({"from": {"address": "x", "name": "a\r\nb"}}, [
            f'"from.name" {NOT_ONE_LINE}',
            '"from.address" must be a valid email',
        ]),
        ({"from": None}, ['"from" must be of type object']),
        ({"to": []}, ['"to" is required']),
        ({"to": [], "envelope": {"from": "a@b.example"}}, ['"to" is required']),
        ({"to": None}, ['"to" must be an array']),
        ({"to": 5}, ['"to" must be of type object']),
        ({"to": {}}, ['"to.address" is required']),
        ({"to": [{}]}, ['"to[0].address" is required']),
        ({"to": ["a@b.example"]}, ['"to[0]" must be of type object']),
        ({"to": [RCPT, {"address": "nope"}]}, ['"to[1].address" must be a valid email']),
        ({"to": [{"address": "a@b.example", "x": 1}]}, ['"to[0].x" is not allowed']),
        ({"to": [{"address": 5}], "cc": [{"name": "x" * 257, "address": "a b@c.example"}]}, [
            '"to[0].address" must be a string',
            '"cc[0].name" length must be less than or equal to 256 characters long',
            '"cc[0].address" must be a valid email',
        ]),
        ({"to": [RCPT] * 1_001}, ['"to" must contain less than or equal to 1000 items']),
        ({"bcc": {"address": "a@b.example\r\nX: y"}}, ['"bcc.address" must be a valid email']),
        ({"replyTo": [{"name": "a\nb", "address": "a@b.example"}]}, [f'"replyTo[0].name" {NOT_ONE_LINE}']),
        ({"subject": "a\nb"}, [f'"subject" {NOT_ONE_LINE}']),
        ({"subject": "a\rb"}, [f'"subject" {NOT_ONE_LINE}']),
        ({"subject": "a\0b"}, ['"subject" must not contain null characters']),
        ({"messageId": None}, ['"messageId" must be a string']),
        ({"subject": "x" * 10_241}, ['"subject" length must be less than or equal to 10240 characters long']),
        ({"text": 1, "html": []}, ['"text" must be a string', '"html" must be a string']),
        ({"headers": []}, ['"headers" must be of type object']),
        ({"headers": {"X-A": True, "X-B": None, "X-C": {}}}, [
            '"headers.X-A" must be one of [string, number, array]',
            '"headers.X-B" must be one of [string, number, array]',
            '"headers.X-C" must be one of [string, number, array]',
        ]),
        ({"headers": {"X-A": "a\nb", "X-B": ["ok", "a\rb", 5]}}, [
            f'"headers.X-A" {NOT_ONE_LINE}',
            f'"headers.X-B[1]" {NOT_ONE_LINE}',
            '"headers.X-B[2]" must be a string',
        ]),
        ({"headers": {"X A": "b", "": "c", "X:": "d", "Ä": "e"}}, [
            '"headers.X A" must be a valid header name',
            '"headers." is not allowed to be empty',
            '"headers.X:" must be a valid header name',
            '"headers.Ä" must be a valid header name',
        ]),
        ({"headers": {"X" * 61: "b"}}, [
            f'"headers.{"X" * 61}" length must be less than or equal to 60 characters long',
        ]),
        ({"headers": {f"X-{n}": n for n in range(1001)}}, ['"headers" must have less than or equal to 1000 keys']),
        ({"messageId": ""}, ['"messageId" is not allowed to be empty']),
        ({"messageId": "<a@b>\r\nX: y"}, ['"messageId" must be a valid Message-ID']),
        ({"messageId": "x" * 997}, ['"messageId" length must be less than or equal to 996 characters long']),
        ({"envelope": False}, ['"envelope" must be of type object']),
        ({"envelope": {"from": "x", "to": ["y", 5]}}, [
            '"envelope.from" must be a valid email',
            '"envelope.to[0]" must be a valid email',
            '"envelope.to[1]" must be a string',
        ]),
        ({"envelope": {"from": None}}, ['"envelope.from" must be a string']),
        ({"sendAt": "tomorrow"}, ['"sendAt" must be in ISO 8601 date format']),
        ({"sendAt": 1767225600000}, ['"sendAt" must be in ISO 8601 date format']),
        ({"sendAt": "1767225600000"}, ['"sendAt" must be in ISO 8601 date format']),
        ({"sendAt": "2026-01-01T00:00:00"}, ['"sendAt" must be in ISO 8601 date format']),
        ({"sendAt": "2026-02-30"}, ['"sendAt" must be in ISO 8601 date format']),
        ({"sendAt": "20260101T000000Z"}, ['"sendAt" must be in ISO 8601 date format']),
        ({"sendAt": "0001-01-01T00:00:00+10:00"}, ['"sendAt" must be in ISO 8601 date format']),
        ({"sendAt": ""}, ['"sendAt" must be in ISO 8601 date format']),
        ({"deliveryAttempts": "many"}, ['"deliveryAttempts" must be a number']),
        ({"deliveryAttempts": True}, ['"deliveryAttempts" must be a number']),
        ({"deliveryAttempts": 1.5}, ['"deliveryAttempts" must be an integer']),
        ({"deliveryAttempts": 0}, ['"deliveryAttempts" must be greater than or equal to 1']),
        ({"deliveryAttempts": 10**30}, ['"deliveryAttempts" must be less than or equal to 1000']),
        ({"attachments": {}}, ['"attachments" must be an array']),
        ({"attachments": [{}]}, ['"attachments[0].content" is required']),
        ({"attachments": [{"content": "%%%"}]}, ['"attachments[0].content" must be a valid base64 string']),
        ({"attachments": [{"content": "aGVsbG8"}]}, ['"attachments[0].content" must be a valid base64 string']),
        ({"attachments": [{"content": "aGVs_G8="}]}, ['"attachments[0].content" must be a valid base64 string']),
        ({"attachments": [{"content": 5}]}, ['"attachments[0].content" must be a string']),
        ({"attachments": [{"content": "aGVsbG8=", "filename": "a\nb", "contentType": "a\rb", "cid": "a\0b"}]}, [
            f'"attachments[0].filename" {NOT_ONE_LINE}',
            f'"attachments[0].contentType" {NOT_ONE_LINE}',
            '"attachments[0].cid" must not contain null characters',
        ]),
        ({"attachments": [{"content": "", "contentDisposition": "x", "encoding": "hex"}]}, [
            '"attachments[0].contentDisposition" must be one of [attachment, inline]',
            '"attachments[0].encoding" must be one of [base64]',
        ]),
        ({"copy": "maybe"}, ['"copy" must be a boolean']),
        ({"dryRun": 2}, ['"dryRun" must be a boolean']),
        ({"dryRun": 1.0}, ['"dryRun" must be a boolean']),
        ({"dryRun": None}, ['"dryRun" must be a boolean']),
        ({"sentMailPath": ""}, ['"sentMailPath" is not allowed to be empty']),
        ({"a": 1, "subject": 5, "b": {"c": 1}}, [
            '"subject" must be a string',
            '"a" is not allowed',
            '"b" is not allowed',
        ]),
    ],
    ids=lambda value: json.dumps(value)[:50],
)  # fmt: skip
def test_every_fault_of_a_submission_is_named(members, expected):
    assert messages(Submit, {"to": [RCPT], **members}) == expected


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        (Submit, {"from": {"name": "a\nb", "address": "a@b.example"}}, "from.name"),
        (Submit, {"from": {"address": "x"}}, "from.address"),
        (Submit, {"cc": [RCPT, {"name": "a\nb", "address": "a@b.example"}]}, "cc[1].name"),
        (Submit, {"headers": {"X-A": "a\nb"}}, "headers.X-A"),
        (Submit, {"headers": {"X-A": ["a", "a\nb"]}}, "headers.X-A[1]"),
        (Submit, {"headers": {"X A": "b"}}, "headers.X A"),
        (Submit, {"headers": {"X-A\r\nX-B": 1}}, "headers.X-A\r\nX-B"),
        (Submit, {"messageId": "<a b@c>"}, "messageId"),
        (Submit, {"envelope": {"from": "a@b\r\nX: y"}}, "envelope.from"),
        (Submit, {"envelope": {"to": ["a@b.example", "x"]}}, "envelope.to[1]"),
        (Submit, {"attachments": [{"content": "", "filename": "a\nb"}]}, "attachments[0].filename"),
        (Submit, {"sendAt": "0001-01-01T00:00:00+01:00"}, "sendAt"),
        (Submit, {"sentMailPath": "a\nb"}, "sentMailPath"),
        (AccountUpdate, {"name": "a\nb"}, "name"),
        (AccountUpdate, {"path": ["a", "a\nb"]}, "path[1]"),
        (AccountUpdate, {"smtpEhloName": "a\nb"}, "smtpEhloName"),
        (AccountUpdate, {"imap": {**SERVER, "host": "a\nb"}}, "imap.host"),
        (AccountUpdate, {"smtp": {**SERVER, "auth": {"user": "a\nb", "pass": "p"}}}, "smtp.auth.user"),
        (AccountUpdate, {"smtp": {**SERVER, "auth": True}}, "smtp.auth"),
        (AccountUpdate, {"imap": {**SERVER, "auth": {"user": "u"}}}, "imap.auth"),
        (AccountUpdate, {"imap": {**SERVER, "tls": {"servername": "a b"}}}, "imap.tls.servername"),
        (AccountUpdate, {"imap": True}, "imap"),
        (AccountUpdate, {"imap": {"port": 993}}, "imap.host"),
        (SettingsUpdate, {"webhooks": "x"}, "webhooks"),
        (SettingsUpdate, {"serviceUrl": "x"}, "serviceUrl"),
        (SettingsUpdate, {"webhookEvents": ["a\nb"]}, "webhookEvents[0]"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_only_a_check_can_see(kind, body, path):
    msgspec.json.decode(json.dumps(body), type=kind)
    body = {"to": [RCPT], **body} if kind is Submit else body
    assert [each["path"] for each in complaints(kind, body)] == [path]


def test_a_message_needs_somebody_to_go_to():
    assert complaints(Submit, {"subject": 5}) == [
        {"message": '"subject" must be a string', "key": "subject", "path": "subject"},
        {"message": '"to" is required', "key": "to", "path": "to"},
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"cc": [RCPT]},
        {"bcc": RCPT},
        {"envelope": {"to": "a@b.example"}},
        {"to": [], "envelope": {"from": "", "to": ["a@b.example"]}},
    ],
)
def test_anyone_is_enough(body):
    assert isinstance(decode_body(Submit, json.dumps(body).encode()), Submit)


@pytest.mark.parametrize("body", [{"to": "x"}, {"cc": [{}]}, {"envelope": 5}, {"envelope": {"to": "x"}}])
def test_a_wrong_recipient_is_not_also_a_missing_one(body):
    assert '"to" is required' not in messages(Submit, body)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, []),
        ({"account": None}, []),
        ({"account": ""}, ['"account" is not allowed to be empty']),
        ({"account": " \t"}, ['"account" is not allowed to be empty']),
        ({"account": "a\nb"}, [f'"account" {NOT_ONE_LINE}']),
        ({"account": "x" * 257}, ['"account" length must be less than or equal to 256 characters long']),
        ({"account": 5, "name": ""}, ['"account" must be a string', '"name" is not allowed to be empty']),
        ({"email": None}, ['"email" must be a string']),
        ({"email": "root"}, ['"email" must be a valid email']),
        ({"path": None, "copy": None, "notifyFrom": None, "imapIndexer": None, "smtpEhloName": None}, []),
        ({"path": [5, ""]}, ['"path[0]" must be a string', '"path[1]" is not allowed to be empty']),
        ({"path": 5}, ['"path" must be a string']),
        ({"subconnections": None}, ['"subconnections" must be an array']),
        ({"imapIndexer": "slow"}, ['"imapIndexer" must be one of [fast, full, null]']),
        ({"smtpEhloName": "not a host"}, ['"smtpEhloName" must be a valid hostname']),
        ({"notifyFrom": "now"}, ['"notifyFrom" must be in ISO 8601 date format']),
        ({"imap": False, "smtp": False}, []),
        ({"imap": True, "smtp": None}, ['"imap" must be of type object', '"smtp" must be of type object']),
        ({"imap": {}}, ['"imap.host" is required', '"imap.port" is required']),
        ({"imap": {"host": "a b", "port": 0}}, [
            '"imap.host" must be a valid hostname',
            '"imap.port" must be a valid port',
        ]),
        ({"imap": {"host": "mail.example.com", "port": 65536}}, ['"imap.port" must be a valid port']),
        ({"imap": {"host": "mail.example.com", "port": 1.5}}, ['"imap.port" must be a valid port']),
        ({"imap": {"host": "mail.example.com", "port": "x"}}, ['"imap.port" must be a number']),
        ({"imap": {**SERVER, "auth": {"pass": "p"}}}, ['"imap.auth.user" is required']),
        ({"imap": {**SERVER, "auth": {"user": "u"}}}, ['"imap.auth" must contain at least one of [pass, accessToken]']),
        ({"imap": {**SERVER, "auth": {"user": "u", "pass": "p", "accessToken": "t"}}}, [
            '"imap.auth" contains a conflict between exclusive peers [pass, accessToken]',
        ]),
        ({"imap": {**SERVER, "auth": {"user": "u", "pass": 5}}}, ['"imap.auth.pass" must be a string']),
        ({"imap": {**SERVER, "auth": False}}, ['"imap.auth" must be of type object']),
        ({"smtp": {**SERVER, "auth": False}}, []),
        ({"smtp": {**SERVER, "auth": True}}, ['"smtp.auth" must be of type object']),
        ({"smtp": {**SERVER, "rateLimit": {"messages": 0}}}, [
            '"smtp.rateLimit.messages" must be greater than or equal to 1',
            '"smtp.rateLimit.seconds" is required',
        ]),
        ({"imap": {**SERVER, "tls": {"minVersion": "SSLv3", "ciphers": "x"}, "resyncDelay": "soon"}}, [
            '"imap.tls.minVersion" must be one of [TLSv1, TLSv1.1, TLSv1.2, TLSv1.3]',
            '"imap.tls.ciphers" is not allowed',
            '"imap.resyncDelay" must be a number',
        ]),
        ({"sandbox": True}, []),
        ({"sandbox": False, "imap": SERVER}, []),
        ({"sandbox": True, "imap": SERVER, "smtp": False}, ['"imap" is not allowed', '"smtp" is not allowed']),
        ({"sandbox": "yes", "imap": SERVER}, ['"sandbox" must be a boolean']),
        ({"locale": "x" * 101, "tz": 5}, [
            '"locale" length must be less than or equal to 100 characters long',
            '"tz" must be a string',
        ]),
        ({"proxy": "socks://x", "localAddress": "2001:DB8::1"}, []),
        ({"proxy": None, "localAddress": None}, []),
        ({"proxy": "", "localAddress": ""}, []),
        ({"proxy": "ftp://x", "localAddress": "x.example"}, [
            f'"proxy" {SCHEMES}',
            '"localAddress" must be a valid ip address',
        ]),
        ({"proxy": "socks4://u:secret@x", "localAddress": "fe80::1%eth0"}, [
            '"proxy" must not have a password: SOCKS4 knows only a user',
            '"localAddress" must be a valid ip address without a zone',
        ]),
        ({"proxy": 5, "localAddress": 5}, ['"proxy" must be a string', '"localAddress" must be a string']),
    ],
    ids=lambda value: json.dumps(value)[:50],
)  # fmt: skip
def test_registrations(members, expected):
    body = {"account": "a", "name": "n", **members}
    if expected:
        assert messages(AccountCreate, body) == expected
    else:
        assert isinstance(decode_body(AccountCreate, json.dumps(body).encode()), AccountCreate)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, []),
        ({"imap": {"partial": True, "auth": LOGIN}}, []),
        ({"imap": {"auth": LOGIN}}, ['"imap.host" is required', '"imap.port" is required']),
        ({"smtp": {"host": "h.example", "partial": False}}, ['"smtp.port" is required']),
        ({"smtp": {"partial": 7}}, ['"smtp.partial" must be a boolean']),
        ({"imap": False, "smtp": False}, []),
        ({"account": "x"}, ['"account" is not allowed']),
    ],
    ids=json.dumps,
)
def test_updates(body, expected):
    if expected:
        assert messages(AccountUpdate, body) == expected
    else:
        assert isinstance(decode_body(AccountUpdate, json.dumps(body).encode()), AccountUpdate)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"webhooks": None, "serviceUrl": None, "deliveryAttempts": None}, []),
        ({"webhooks": ""}, []),
        ({"webhooks": "http://127.0.0.1:31081/hook", "webhooksEnabled": "Y", "webhookEvents": ["*"]}, []),
        ({"webhooks": "https://user:pass@[::1]/x?y=z#w"}, []),
        ({"webhooks": "https://bücher.example/"}, []),
        ({"webhooks": "ftp://x.example"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://a b.example/"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://x.example/\nX"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://x.example:99999/"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://[::1/"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://a$b/"}, [f'"webhooks" {URL}']),
        ({"webhooks": "/relative"}, [f'"webhooks" {URL}']),
        ({"serviceUrl": ""}, ['"serviceUrl" is not allowed to be empty']),
        ({"webhookEvents": "*"}, ['"webhookEvents" must be an array']),
        ({"webhookEvents": [1]}, ['"webhookEvents[0]" must be a string']),
        ({"webhookEvents": ["trackOpen", "messageSent", "*"]}, []),
        ({"webhookEvents": ["messageSnet"]}, ['"webhookEvents[0]" is not the name of an event, messageSent is']),
        ({"webhookEvents": ["*", "zzz"]}, ['"webhookEvents[1]" is not the name of an event']),
        ({"deliveryAttempts": "x", "trackOpens": True}, [
            '"deliveryAttempts" must be a number',
            '"trackOpens" is not allowed',
        ]),
    ],
    ids=json.dumps,
)  # fmt: skip
def test_settings(body, expected):
    if expected:
        assert messages(SettingsUpdate, body) == expected
    else:
        assert isinstance(decode_body(SettingsUpdate, json.dumps(body).encode()), SettingsUpdate)


@pytest.mark.parametrize(
    ("kind", "pairs", "expected"),
    [
        (EventsQuery, [], EventsQuery()),
        (EventsQuery, [("after", "17"), ("limit", "1000"), ("account", "a")],
            EventsQuery(after=17, limit=1000, account="a")),
        (EventsQuery, [("after", "1"), ("after", "2")], EventsQuery(after=2)),
        (EventsQuery, [("after", "1e2")], EventsQuery(after=100)),
        (EventsQuery, [("after", "-1"), ("limit", "0"), ("account", "")], [
            '"after" must be greater than or equal to 0',
            '"limit" must be greater than or equal to 1',
            '"account" is not allowed to be empty',
        ]),
        (EventsQuery, [("after", ""), ("limit", "1001"), ("wait", "61")], [
            '"after" must be a number',
            '"limit" must be less than or equal to 1000',
            '"wait" must be less than or equal to 60',
        ]),
        (EventsQuery, [("after", "1e400")], ['"after" must be a number']),
        (EventsQuery, [("after", "9" * 5000)], ['"after" must be a number']),
        (EventsQuery, [("after", "٣")], ['"after" must be a number']),
        (AccountsQuery, [("page", "2"), ("pageSize", "5"), ("state", "init"), ("query", "q")],
            AccountsQuery(page=2, page_size=5, state="init", query="q")),
        (AccountsQuery, [("page", "1.5"), ("state", "up")], [
            '"page" must be an integer',
            '"state" must be one of [authenticationError, connectError, connected, connecting, disconnected, init, '
            "paused, syncing, unset, null]",
        ]),
        (OutboxQuery, [("state", "in_doubt"), ("account", "a")], OutboxQuery(state="in_doubt", account="a")),
        (AccountQuery, [("quota", "true")], AccountQuery(quota=True)),
        (AccountQuery, [("quota", "1")], AccountQuery(quota=True)),
        (AccountQuery, [("quota", "Y")], AccountQuery(quota=True)),
        (AccountQuery, [("quota", "N")], AccountQuery(quota=False)),
        (AccountQuery, [("quota", "0")], AccountQuery(quota=False)),
        (AccountQuery, [("quota", "")], ['"quota" must be a boolean']),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_queries(kind, pairs, expected):
    if isinstance(expected, list):
        with pytest.raises(Problem) as caught:
            decode_query(kind, pairs)
        assert [each["message"] for each in caught.value.extra["fields"]] == expected
    else:
        assert decode_query(kind, pairs) == expected


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22T11:45:23.564Z", datetime(2026, 11, 22, 11, 45, 23, 564000, UTC)),
        ("2026-11-22T13:45:23+02:00", datetime(2026, 11, 22, 11, 45, 23, 0, UTC)),
        ("2026-11-22T13:45+0200", datetime(2026, 11, 22, 11, 45, 0, 0, UTC)),
        ("2026-11-22 11:45:23z", datetime(2026, 11, 22, 11, 45, 23, 0, UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_moments_arrive_in_utc(text, moment):
    arrived = submit(sendAt=text).send_at
    assert arrived == moment
    assert arrived and arrived.tzinfo is UTC


def test_a_date_alone_is_midnight_in_utc_wherever_the_engine_runs(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert submit(sendAt="2026-11-22").send_at == datetime(2026, 11, 22, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_one_item_stands_for_a_list_of_it():
    alone = submit(to=RCPT, cc=RCPT, bcc=RCPT, replyTo=RCPT, envelope={"to": "a@b.example"})
    assert alone == submit(to=[RCPT], cc=[RCPT], bcc=[RCPT], replyTo=[RCPT], envelope={"to": ["a@b.example"]})
    assert alone.to == (NamedAddress(name="Rcpt", address="rcpt@example.net"),)
    body = {"account": "a", "name": "n", "path": "INBOX", "subconnections": "Sent"}
    registered = decode_body(AccountCreate, json.dumps(body).encode())
    assert (registered.path, registered.subconnections) == (("INBOX",), ("Sent",))


def test_values_arrive_in_their_one_form():
    arrived = submit(
        to=[{"address": "a@bücher.example"}], messageId="1@example.com", dryRun="Y", deliveryAttempts="5", copy=None
    )
    assert arrived.to[0].address == "a@xn--bcher-kva.example"
    assert arrived.message_id == "<1@example.com>"
    assert arrived.dry_run is True
    assert arrived.delivery_attempts == 5
    assert arrived.copy is None
    assert arrived.subject is UNSET
    assert decode_body(AccountCreate, b'{"account": " a\\t", "name": "n"}').account == "a"


def test_the_null_sender_is_a_sender():
    assert submit(envelope={"from": ""}).envelope.sender == ""
    assert submit(envelope={}).envelope.sender is UNSET


@pytest.mark.parametrize("content", ["aGVsbG8=", "aGVs\r\nbG8=", " aGVs bG8=\n"])
def test_white_space_in_base64_is_ignored(content):
    assert submit(attachments=[{"content": content}]).attachments[0].content == b"hello"


def test_an_empty_file_is_a_file():
    assert submit(attachments=[{"content": ""}]).attachments[0].content == b""


def test_headers_come_as_pairs():
    arrived = submit(headers={"X-A": "a", "X-N": 5, "X-F": 1.5, "X-L": ["b", "c"], "X-E": []})
    assert arrived.header_fields() == (("X-A", "a"), ("X-N", "5"), ("X-F", "1.5"), ("X-L", "b"), ("X-L", "c"))


def test_a_header_name_may_be_as_long_as_can_be_sent():
    name = "X" * LONGEST_HEADER_NAME
    assert submit(headers={name: "v"}).header_fields() == ((name, "v"),)


def test_of_a_member_given_twice_the_last_counts():
    assert decode_body(Submit, b'{"to":{"address":"a@b.example"},"subject":"a","subject":"b"}').subject == "b"
    assert decode_body(Submit, b'{"to":[{"address":"a@b.example"}],"subject":5,"subject":"b"}').subject == "b"
    assert messages(Submit, b'{"to":[{"address":"a@b.example"}],"subject":"b","subject":5}') == [
        '"subject" must be a string'
    ]


@pytest.mark.parametrize(
    "host", ["localhost", "mail.example.com.", "10.0.0.1", "::1", "smtp_relay", "xn--bcher-kva.de"]
)
def test_hosts(host):
    decode_body(AccountCreate, json.dumps({"account": "a", "name": "n", "imap": {"host": host, "port": 1}}).encode())


@pytest.mark.parametrize(
    "host", ["-a", "a..b", "1.2.3", "256.1.1.1", "a/b", "a:25", "bücher.de", "x" * 64, "a b", "[::1]"]
)
def test_what_is_not_a_host(host):
    body = {"account": "a", "name": "n", "imap": {"host": host, "port": 1}}
    assert messages(AccountCreate, body) == ['"imap.host" must be a valid hostname']


def test_the_answer_to_a_flood_of_faults_is_bounded():
    assert len(complaints(Submit, {f"x{n}": n for n in range(5000)})) == MOST_FIELD_ERRORS


def test_a_constraint_nobody_would_check_is_refused_when_the_walk_is_built():
    class Patterned(Request, frozen=True, kw_only=True):
        text: Annotated[str, Meta(pattern="^a")]

    class Checked(Request, frozen=True, kw_only=True):
        items: Annotated[tuple[str, ...], Meta(extra={"check": Check.LINE})] = ()

    with pytest.raises(TypeError, match="no walk for"):
        decode_body(Patterned, b"5")
    with pytest.raises(TypeError, match="plain value"):
        decode_body(Checked, b"{}")


def test_a_shortest_length_above_one_has_its_own_words():
    class Short(Request, frozen=True, kw_only=True):
        text: Annotated[tuple[Annotated[str, Meta(min_length=3)], ...], SINGLE] = ()

    assert messages(Short, {"text": ["", "ab", "abc"]}) == [
        '"text[0]" is not allowed to be empty',
        '"text[1]" length must be at least 3 characters long',
    ]
    assert decode_body(Short, b'{"text":"abc"}').text == ("abc",)


def test_a_mark_counts_wherever_it_stands():
    class Marked(Request, frozen=True, kw_only=True):
        items: Annotated[Annotated[tuple[str, ...], Meta(description="x")] | UnsetType, SINGLE] = UNSET

    assert decode_body(Marked, b'{"items":"a"}').items == ("a",)


@pytest.mark.parametrize("given", [{"after": 0}, {"after": "5"}, {"since": "2026-01-01T00:00:00Z"}])
def test_an_absent_member_counts_as_its_default_for_what_is_wrong_together(given):
    decode_body(WebhookReplay, json.dumps(given).encode())
    for wrong in ({}, {"after": 1} | given | {"since": "2026-01-01"}):
        assert messages(WebhookReplay, wrong) == ['"value" must contain either after or since']
