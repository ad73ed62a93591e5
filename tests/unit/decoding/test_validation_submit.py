"""Submissions taken apart: every fault is named, and what is good arrives in its one form."""

from __future__ import annotations

import json

import pytest
from msgspec import UNSET
from validating import NOT_ONE_LINE, RCPT, complaints, messages, submit

from engine.decoding.decode import decode_body
from engine.mail.header_writing import LONGEST_HEADER_NAME
from engine.schema.submit import Submit


def test_a_captured_submission_with_faults():
    assert complaints(Submit, {"to": "x", "subject": 5}) == [
        {"message": '"to" must be a valid email', "key": "to", "path": "to"},
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
        ({"to": ["a@b.example", "nope", "A <a@b.example", "<>"]}, [
            '"to[1]" must be a valid email',
            '"to[2]" must be a valid email',
            '"to[3]" must be a valid email',
        ]),
        ({"to": "a@b.example, nope, c@d.example"}, ['"to[1]" must be a valid email']),
        ({"to": ["a@b.example, c@d.example"]}, ['"to[0]" must be a single address']),
        ({"to": [RCPT, "A\nB <a@b.example>"], "cc": " ", "from": "A, B <a@b.example>"}, [
            '"from" must be a single address',
            f'"to[1]" {NOT_ONE_LINE}',
            '"cc" is not allowed to be empty',
        ]),
        ({"replyTo": ["x" * 257 + " <a@b.example>"]}, [
            '"replyTo[0].name" length must be less than or equal to 256 characters long'
        ]),
        ({"bcc": ["a@b.example"] * 1_001}, ['"bcc" must contain less than or equal to 1000 items']),
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
        ({"deliveryAttempts": -1}, ['"deliveryAttempts" must be greater than or equal to 0']),
        ({"raw": "%", "locale": "a\nb", "baseUrl": "ftp://x.example"}, [
            f'"locale" {NOT_ONE_LINE}',
            '"raw" must be a valid base64 string',
            '"baseUrl" must be a valid uri with a scheme matching the http|https pattern',
        ]),
        ({"raw": "aGk=", "text": "a", "attachments": [{"content": ""}]}, [
            '"text" is not allowed beside raw',
            '"attachments" is not allowed beside raw',
        ]),
        ({"dsn": {}}, ['"dsn.return" is required']),
        ({"dsn": {"return": "all", "notify": ["never", "sometimes"], "id": "\u00e4", "recipient": "x"}}, [
            '"dsn.id" must hold only printable ASCII',
            '"dsn.return" must be one of [full, headers]',
            '"dsn.notify[1]" must be one of [delay, failure, never, success]',
            '"dsn.recipient" must be a valid email',
        ]),
        ({"dsn": {"return": "full", "notify": ["never", "delay"], "id": "x" * 97 + "+"}}, [
            '"dsn.notify" must not have anything beside never'
        ]),
        ({"dsn": {"return": "full", "notify": "never", "id": "x" * 98 + "+"}}, [
            '"dsn.id" must have at most 100 characters, with +, = and blanks counted as three'
        ]),
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


def test_addresses_as_text_are_the_same_as_objects():
    given = submit(
        **{"from": "J\u00f6rg <j@b.example>"},
        to=["a@b.example", RCPT, '"Doe, John" <john@b\u00fccher.example>'],
        cc="a@b.example",
        bcc="One <a@b.example>, b@b.example",
        replyTo={"address": "a@b.example"},
    )
    written = {
        name: [(each.name, each.address) for each in getattr(given, name)] for name in ("to", "cc", "bcc", "reply_to")
    }
    assert (given.sender.name, given.sender.address) == ("J\u00f6rg", "j@b.example")
    assert written == {
        "to": [("", "a@b.example"), ("Rcpt", "rcpt@example.net"), ("Doe, John", "john@xn--bcher-kva.example")],
        "cc": [("", "a@b.example")],
        "bcc": [("One", "a@b.example"), ("", "b@b.example")],
        "reply_to": [("", "a@b.example")],
    }


def test_a_long_text_of_addresses_in_a_large_request():
    text = ", ".join(f"Recipient number {n} <r{n}@b.example>" for n in range(1000))
    body = json.dumps({"to": text, "text": "x" * 1_100_000}).encode()
    assert [each.address for each in decode_body(Submit, body).to] == [f"r{n}@b.example" for n in range(1000)]
