from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.mail.arf import read_feedback
from engine.mail.bounce_categories import category
from engine.mail.dsn import read_delivery_status

STATUS = (
    b"Reporting-MTA: dns; mx.example.org\r\nOriginal-Envelope-Id: 1a2063\r\nArrival-Date: Mon, 1 Jan 2026\r\n\r\n"
    b"Final-Recipient: rfc822; <b@example.org>\r\nOriginal-Recipient: rfc822;B@example.org\r\nAction: FAILED (x)\r\n"
    b"Status: 5.1.1 (bad)\r\nRemote-MTA: dns; mail.example.org\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 <b@example.org>:\r\n User unknown\r\n\r\n"
    b"Final-Recipient: RFC822; c@example.org\r\nAction: delayed\r\nDiagnostic-Code: x 4.4.1 y\r\n\r\n"
    b"Something: else\r\n"
)
ORIGINAL = b"From: a@x.example\r\nMessage-ID: (c) <1@x.example>\r\nSubject: =?utf-8?q?H=C3=A9?=\r\n\r\nbody\r\nTo: x"


def test_a_delivery_status():
    report = read_delivery_status(STATUS, ORIGINAL)
    assert (report.envelope_id, report.reporting_mta, report.message_id) == (
        "1a2063",
        "mx.example.org",
        "<1@x.example>",
    )
    assert report.headers == {"from": ["a@x.example"], "message-id": ["(c) <1@x.example>"], "subject": ["Hé"]}
    first, second = report.recipients
    assert (first.recipient, first.original, first.action, first.status) == (
        "b@example.org",
        "B@example.org",
        "failed",
        "5.1.1",
    )
    assert (first.source, first.diagnostic) == ("smtp", "550 5.1.1 <b@example.org>: User unknown")
    assert first.remote_mta == "mail.example.org"
    assert (second.action, second.status, second.source, second.diagnostic) == ("delayed", "4.4.1", "", "x 4.4.1 y")


def test_categories():
    assert [category(each) for each in ("5.1.1", "5.2.2", "5.7.1", "5.9.9", "")] == [
        "user_unknown",
        "mailbox_full",
        "policy_blocked",
        "unknown",
        "unknown",
    ]


def test_a_feedback_report():
    report = read_feedback(
        b"Feedback-Type: abuse\r\nUser-Agent: X/1\r\nVersion: 1\r\nOriginal-Rcpt-To: <b@example.org>\r\n"
        b"Original-Rcpt-To: c@example.org\r\nReporting-MTA: dns; mx.example.org\r\nReceived-Date: today\r\n",
        ORIGINAL,
    )
    assert (report.feedback_type, report.user_agent, report.version) == ("abuse", "X/1", "1")
    assert report.original_rcpt_to == ("b@example.org", "c@example.org")
    assert (report.reporting_mta, report.arrival_date, report.message_id) == (
        "mx.example.org",
        "today",
        "<1@x.example>",
    )


@given(st.binary(max_size=400), st.binary(max_size=200))
def test_nothing_raises(report, original):
    read_delivery_status(report, original)
    read_feedback(report, original)
