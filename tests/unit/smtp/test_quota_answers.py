from __future__ import annotations

import pytest

from engine.smtp.quota_answers import closes_for
from engine.smtp.replies import Reply
from engine.smtp.verdict import Stage, of_reply

DAY, HOUR = 86_400.0, 3600.0


def closed(line: str, stage: Stage = Stage.DOT) -> float | None:
    return closes_for(of_reply(stage, Reply(int(line[:3]), (line[4:],))))


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("550 5.4.5 Daily user sending limit exceeded. For more information on Gmail", DAY),
        ("550 5.4.5 Daily sending quota exceeded. x12-2003 - gsmtp", DAY),
        ("550 5.4.6 Daily SMTP relay sending limit exceeded for this user.", DAY),
        ("550 5.7.1 Daily SMTP relay limit exceeded for customer.", DAY),
        (
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due "
            "to a permanent exception. The message can't be submitted because the sender's submission quota was "
            "exceeded.",
            DAY,
        ),
        ("550 5.1.8 Access denied, bad outbound sender AS(42003)", DAY),
        ("550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit", DAY),
        ("550 5.7.705 Access denied, tenant has exceeded threshold", DAY),
        ("454 Throttling failure: Daily message quota exceeded.", DAY),
        ("550 Domain acme.example has exceeded the max emails per hour (100/100 (100%)) allowed", HOUR),
        ("451 4.7.1 You have reached your hourly sending limit", HOUR),
        ("452 4.3.1 Sending limit reached, try again in 15 minutes", 900.0),
        ("452 4.3.1 Outgoing quota exceeded. Please retry after 7200 seconds", 7200.0),
        ("452 4.3.1 Outgoing quota exceeded. Please retry after 1 s", 60.0),
        ("452 4.3.1 Outgoing quota exceeded. Please retry after 90 days", 7 * DAY),
    ],
)
def test_what_closes_an_account(line: str, seconds: float):
    assert closed(line) == seconds


@pytest.mark.parametrize(
    "line",
    [
        "250 2.0.0 OK",
        "452 4.2.2 The email account that you tried to reach is over quota",
        "552 5.2.2 Mailbox full, quota exceeded",
        "450 4.2.1 The user you are trying to contact is receiving mail at a rate that exceeds the daily limit",
        "452 4.5.3 Too many recipients",
        "421 4.7.0 Too many connections, try again later",
        "550 5.1.1 User unknown",
        "552 5.3.4 Message size exceeds fixed limit",
        "550 5.4.5 Routing loop detected",
    ],
)
def test_what_does_not(line: str):
    assert closed(line) is None
    assert closed(line, Stage.RCPT) is None


def test_a_login_or_a_greeting_says_nothing_of_a_quota():
    assert closed("454 4.7.0 Daily sending limit exceeded", Stage.AUTH) is None
