from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mail.arf import read_feedback
from engine.mail.bounce_categories import ACTIONS, bounce_type, category
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


LENIENT = [
    (b"Final-Recipient: rfc822; a@x.example\r\nStatus: 5.1.1", ("a@x.example", "failed", "5.1.1")),
    (b"Final-Recipient: rfc822; a@x.example\r\nAction: failure\r\nStatus: 5.1.1", ("a@x.example", "failed", "5.1.1")),
    (b"Final-Recipient: rfc822; a@x.example\r\nAction: error", ("a@x.example", "failed", "")),
    (b"Final-Recipient: rfc822; a@x.example\r\nStatus: 2.0.0", ("a@x.example", "delivered", "2.0.0")),
    (
        b"Final-Recipient: a@x.example\r\nStatus: 4.0.0\r\nWill-Retry-Until: tomorrow",
        ("a@x.example", "delayed", "4.0.0"),
    ),
    (
        b"Final-Recipient: rfc822; a@x.example\r\n\r\nAction: failed\r\nStatus: 5.0.0",
        ("a@x.example", "failed", "5.0.0"),
    ),
    (b"\r\n\r\n\r\nAction: failed\r\nFinal-Recipient: rfc822;<a@x.example>", ("a@x.example", "failed", "")),
    (b'Final-Recipient: rfc822; "a..b"@x.example\r\nAction: failed', ('"a..b"@x.example', "failed", "")),
    (
        b"Final-Recipient: local; a\r\nOriginal-Recipient: rfc822; a@x.example\r\nAction: failed",
        ("a@x.example", "failed", ""),
    ),
    (b"Final-Recipient: utf-8; \\x{E9}@x.example\r\nAction: failed", ("é@x.example", "failed", "")),
    (b"Final-Recipient: utf-8; \\x{D800}@x.example\r\nAction: failed", ("\ufffd@x.example", "failed", "")),
]


@pytest.mark.parametrize(("status", "told"), LENIENT)
def test_a_delivery_status_as_it_comes(status, told):
    (one,) = read_delivery_status(b"Reporting-MTA: dns; x\r\n\r\n" + status, b"").recipients
    assert (one.recipient, one.action, one.status) == told


def test_a_text_that_goes_on_without_being_folded():
    (one,) = read_delivery_status(
        b"Diagnostic-Code: smtp; 550-Please log in.\r\n550-mail0.example is not\r\n550 permitted\r\nAction: failed\r\n"
        b"Final-Recipient: rfc822; a@x.example\r\n",
        b"",
    ).recipients
    assert one.diagnostic == "550-Please log in. 550-mail0.example is not 550 permitted"


@pytest.mark.parametrize(
    ("status", "original"),
    [
        (b"Reporting-MTA: dns; x\r\nX-Original-Message-ID: <1@x.example>\r\n", b""),
        (b"Reporting-MTA: dns; x\r\n", b"\r\n\r\nSubject: s\r\nMessage-ID: <1@x.example>\r\n"),
        (
            b"Reporting-MTA: dns; x\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-Id: <1@x.example>",
            b"",
        ),
    ],
)
def test_where_the_message_id_of_the_original_is_told(status, original):
    assert read_delivery_status(status, original).message_id == "<1@x.example>"


CATEGORIES = [
    ("5.1.1", "", "user_unknown", "hard"),
    ("5.0.0", "550 User unknown", "user_unknown", "hard"),
    ("4.1.1", "450 4.1.1 user unknown", "user_unknown", "soft"),
    ("4.0.0", "DNS Error: nxdomain", "invalid_address", "hard"),
    ("", "Host or domain name not found", "invalid_address", "hard"),
    ("5.2.1", "550 5.2.1 this account is disabled", "mailbox_disabled", "hard"),
    ("5.2.2", "552 5.2.2 mailbox is full", "mailbox_full", "soft"),
    ("", "552 sorry", "mailbox_full", "soft"),
    ("5.7.1", "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org", "ip_blacklisted", "hard"),
    ("5.7.26", "550 5.7.26 fails DMARC", "auth_failure", "hard"),
    ("5.7.1", "550 relaying denied", "relay_denied", "hard"),
    ("4.7.1", "451 4.7.1 Greylisting in action", "greylisting", "soft"),
    ("4.7.0", "421 too many connections from you", "rate_limited", "soft"),
    ("5.7.1", "554 message looks like spam", "spam_blocked", "hard"),
    ("5.6.0", "554 a virus was found", "virus_detected", "hard"),
    ("5.7.0", "550 mail from your country is not accepted", "geo_blocked", "hard"),
    ("5.1.8", "550 5.1.8 <me@x.example>: Sender address rejected: Domain not found", "policy_blocked", "hard"),
    ("4.4.1", "connection timed out", "server_error", "soft"),
    ("", "connection refused", "server_error", "soft"),
    ("5.9.9", "", "unknown", "hard"),
    ("4.9.9", "", "unknown", "soft"),
    ("", "", "unknown", "hard"),
]


@pytest.mark.parametrize(("status", "text", "kind", "lasting"), CATEGORIES)
def test_categories(status, text, kind, lasting):
    assert category(status, text) == kind
    assert bounce_type(kind, status, text) == lasting
    assert kind in ACTIONS


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
    read_delivery_status(b"Final-Recipient: utf-8; " + report, original)
    category("5.0.0", report.decode("latin-1"))
    read_feedback(report, original)
