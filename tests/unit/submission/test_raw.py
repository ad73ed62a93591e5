"""Whole messages: what is taken out of their header, put into it and read from it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from engine.errors import Problem
from engine.mail.addresses import Address
from engine.mail.compose import Composed
from engine.mail.raw_message import from_raw, replaced
from engine.submission.control_headers import Control
from engine.submission.raw import (
    dated,
    draft_of_raw,
    international,
    refuse_long_lines,
    take_controls,
    with_author,
    with_controls,
)
from engine.submission.terms import Terms

TERMS = Terms(now=1000.0, send_at=1000.0)


def whole(raw: bytes) -> Composed:
    return from_raw(raw, "<new@x.example>", 0.0)


def fault(problem: pytest.ExceptionInfo[Problem]) -> str:
    return str(problem.value.extra["fields"][0]["message"])


def test_nothing_changes_but_bcc_and_what_is_missing() -> None:
    body = b"\x00\xff..\r\n.\r\n  \r\n\r\n"
    message = whole(b"X-b: 1\r\nFrom:a@b\r\nBCC: c@d\r\n e@f\r\nx-A :  2 \r\n\r\n" + body)
    assert message.header == (
        b"X-b: 1\r\nFrom:a@b\r\nx-A :  2 \r\nMessage-ID: <new@x.example>\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\n"
    )
    assert message.bcc_header == b"BCC: c@d\r\n e@f\r\n"
    assert message.body == body
    assert message.eight_bit
    assert not whole(b"From: a@b\n\nhi\n").eight_bit
    assert whole(b"From: a@b\n\nhi\r.\n").body == b"hi\r\n.\r\n"


def test_fields_are_replaced_where_they_stood() -> None:
    message = Composed(b"A: 1\r\nb: 2\r\n x\r\nC: 3\r\nB: 4\r\n", b"", b"", smtputf8=False)
    made = replaced(message, {b"b": [b"B: 5\r\n", b"B: 6\r\n"], b"d": [b"D: 7\r\n"], b"c": []})
    assert made.header == b"A: 1\r\nB: 5\r\nB: 6\r\nD: 7\r\n"


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("1767225600000", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T01:00:00+01:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        ("Thu, 01 Jan 2026 00:00:00 GMT", datetime(2026, 1, 1, tzinfo=UTC)),
        ("Thu, 1 Jan 2026 02:00:00 +0200", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_control_fields_are_taken_out(time: str, moment: datetime) -> None:
    raw = (
        f"From: a@b\r\nX-EE-Send-At: {time}\r\nx-ee-delivery-attempts: 7\r\nX-EE-Gateway: g1\r\n"
        "X-EE-Tracking-Enabled: false\r\nX-EE-Account: z\r\nX-EE-Idempotency-Key: k\r\nX-EE-Sid: stays\r\n\r\nhi"
    )
    message, controls = take_controls(whole(raw.encode()))
    assert message.header.startswith(b"From: a@b\r\nX-EE-Sid: stays\r\nMessage-ID:")
    assert controls == Control("z", "k", moment.timestamp(), 7, "g1", False)
    terms = with_controls(msgspec.structs.replace(TERMS, attempts=3), controls)
    assert (terms.send_at, terms.attempts, terms.gateway) == (moment.timestamp(), 7, "g1")
    assert (terms.track_opens, terms.track_clicks) == (False, False)


def test_without_control_fields_the_request_decides() -> None:
    message = whole(b"From: a@b\r\n\r\n")
    assert take_controls(message) == (message, Control())
    assert with_controls(TERMS, Control()) == TERMS
    assert with_controls(TERMS, Control(send_at=5.0, attempts=1)) == msgspec.structs.replace(TERMS, attempts=1)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("X-EE-Send-At: tomorrow", '"X-EE-Send-At" must be a date such as 2026-11-22T11:45:23Z'),
        ("X-EE-Send-At: 99999999999999999999", '"X-EE-Send-At" must be a date such as 2026-11-22T11:45:23Z'),
        ("X-EE-Delivery-Attempts: -1", '"X-EE-Delivery-Attempts" must be a number from 0 to 1000'),
        ("X-EE-Delivery-Attempts: 1001", '"X-EE-Delivery-Attempts" must be a number from 0 to 1000'),
        ("X-EE-Tracking-Enabled: maybe", '"X-EE-Tracking-Enabled" must be true or false'),
    ],
)
def test_control_fields_that_cannot_be_read_are_refused(field: str, words: str) -> None:
    with pytest.raises(Problem) as problem:
        take_controls(whole(f"{field}\r\n\r\n".encode()))
    assert fault(problem) == words


def test_a_later_message_gets_that_date_unless_it_is_signed() -> None:
    later = msgspec.structs.replace(TERMS, send_at=86400.0)
    plain = whole(b"Date: then\r\nFrom: a@b\r\n\r\n")
    assert dated(plain, later).header.startswith(b"Date: Fri, 02 Jan 1970 00:00:00 +0000\r\nFrom: a@b\r\n")
    assert dated(plain, TERMS) == plain
    signed = whole(b"DKIM-Signature: v=1\r\nDate: then\r\n\r\n")
    assert dated(signed, later) == signed


def test_the_author_is_the_accounts_only_if_there_is_none() -> None:
    message = whole(b"from: a@b\r\n\r\n")
    assert with_author(message, Address("x@y.example")) == message
    assert with_author(whole(b"To: a@b\r\n\r\n"), Address("x@y.example", "X")).header.endswith(
        b"From: X <x@y.example>\r\n"
    )
    with pytest.raises(Problem):
        with_author(whole(b"To: a@b\r\n\r\n"), None)


def test_sender_recipients_and_subject_are_those_of_the_header() -> None:
    draft = draft_of_raw(
        whole(
            b"From: =?utf-8?q?J=C3=B6rg?= <j@b.example>, other@b.example\r\nTo: a@b.example,\r\n B <b@b.example>\r\n"
            b"To: g: c@b.example;\r\nCc: d@b\xc3\xbccher.example (D)\r\nBcc: e@b.example\r\n"
            b"Subject: =?utf-8?q?gr=C3=BCn?=\r\n blau\r\n\r\n"
        ),
        lenient=False,
    )
    assert draft.sender == Address("j@b.example", "J\u00f6rg")
    assert [each.address for each in draft.to] == ["a@b.example", "b@b.example", "c@b.example"]
    assert [each.address for each in (*draft.cc, *draft.bcc)] == ["d@xn--bcher-kva.example", "e@b.example"]
    assert draft.subject == "gr\u00fcn blau"


def test_an_address_that_cannot_be_sent_to_is_named() -> None:
    message = whole(b"From: a@b.example\r\nTo: ok@b.example, no b\xc3\xb6dy\r\n\r\n")
    with pytest.raises(Problem) as problem:
        draft_of_raw(message, lenient=False)
    assert fault(problem) == '"raw" has an address in its To field that cannot be used: nob\\xf6dy'
    assert [each.address for each in draft_of_raw(message, lenient=True).to] == ["ok@b.example"]
    with pytest.raises(Problem) as problem:
        draft_of_raw(whole(b"From: nobody\r\nTo: ok@b.example\r\n\r\n"), lenient=True)
    assert fault(problem) == '"raw" has no address that can be used in its From field: give one as from'


def test_lines_that_smtp_cannot_carry() -> None:
    refuse_long_lines(whole(b"From: a@b\r\n\r\n" + b"x" * 998 + b"\r\n"))
    for raw in (b"From: a@b\r\n\r\nok\r\n" + b"x" * 999, b"From: a@b\r\nX: " + b"x" * 996 + b"\r\n\r\n"):
        with pytest.raises(Problem) as problem:
            refuse_long_lines(whole(raw))
        assert fault(problem).startswith('"raw" has a line of 999 octets')


def test_only_addresses_beyond_ascii_require_smtputf8() -> None:
    assert international(whole("From: j\u00f6rg@b.example\r\n\r\n".encode()))
    assert international(whole("From: a@b.example\r\nBcc: j\u00f6rg@b.example\r\n\r\n".encode()))
    assert not international(whole("From: J\u00f6rg <a@b\u00fccher.example>\r\nSubject: \u00e4\r\n\r\n".encode()))
    assert not international(whole(b"Subject: \xe4\r\n\r\n"))
