"""Requests taken apart: what is no JSON, what is no object, floods, and how members are read."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType
from validating import RCPT, SERVER, complaints, messages, submit

from engine.decoding.decode import decode_body, decode_query
from engine.errors import Problem
from engine.field_errors import MOST_FIELD_ERRORS
from engine.schema.account import AccountCreate, AccountQuery, AccountsQuery, AccountUpdate
from engine.schema.draft_submit import DraftSubmit
from engine.schema.events import EventsQuery
from engine.schema.fields import SINGLE, Check, Request
from engine.schema.outbox import OutboxQuery
from engine.schema.settings import SettingsUpdate
from engine.schema.submit import NamedAddress, Submit
from engine.schema.webhooks import WebhookReplay

BODIES = (Submit, AccountCreate, AccountUpdate, SettingsUpdate)


@pytest.mark.parametrize(
    "data",
    [
        b'{"to": [',
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
        (b" ", "it is empty", 1, 1),
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


@pytest.mark.parametrize("data", [b"", b"null", b" null ", b"{}", b"\xef\xbb\xbf"])
def test_a_body_of_which_nothing_is_needed_may_be_left_out(data):
    assert decode_body(DraftSubmit, data) == DraftSubmit()


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


def test_of_a_member_given_twice_the_last_counts():
    assert decode_body(Submit, b'{"to":{"address":"a@b.example"},"subject":"a","subject":"b"}').subject == "b"
    assert decode_body(Submit, b'{"to":[{"address":"a@b.example"}],"subject":5,"subject":"b"}').subject == "b"
    assert messages(Submit, b'{"to":[{"address":"a@b.example"}],"subject":"b","subject":5}') == [
        '"subject" must be a string'
    ]


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
    both: dict[str, Any] = {"after": 1} | given | {"since": "2026-01-01"}
    for wrong in ({}, both):
        assert messages(WebhookReplay, wrong) == ['"value" must contain either after or since']
