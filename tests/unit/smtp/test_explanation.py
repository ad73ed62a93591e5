"""Replies of mail servers in words."""

from __future__ import annotations

import re

import pytest

from engine.mail.bounce_categories import ACTIONS, category
from engine.smtp.explanation import Explanation, explanation, known_answer
from engine.smtp.known_answers import ANSWERS
from engine.smtp.known_codes import CATEGORIES, CODES, STATUSES
from engine.smtp.meanings import Answer, Meaning, Source
from engine.smtp.quota_answers import closes_for
from engine.smtp.replies import Reply
from engine.smtp.verdict import Stage, of_reply

OF_PROVIDERS = [each for each in ANSWERS if each.provider != "others"]
MEANINGS = [each.meaning for each in ANSWERS] + [*STATUSES.values(), *CATEGORIES.values(), *CODES.values()]


def identity(answer: Answer) -> str:
    return f"{answer.provider} {'/'.join(answer.status[:2])} {answer.words[:30]}"


@pytest.mark.parametrize("answer", ANSWERS, ids=identity)
def test_an_entry_is_found_by_its_own_recorded_reply(answer: Answer):
    assert known_answer(answer.said) is answer


def test_no_other_entry_of_a_provider_fits_a_recorded_reply(monkeypatch: pytest.MonkeyPatch):
    both = []
    for answer in ANSWERS:
        fitting = []
        for each in OF_PROVIDERS:
            monkeypatch.setattr("engine.smtp.explanation._patterns", lambda each=each: [(each, compiled(each))])
            if known_answer(answer.said) is each:
                fitting.append(each)
        if fitting not in ([answer], []) or (answer in OF_PROVIDERS and not fitting):
            both.append((identity(answer), [identity(each) for each in fitting]))
    assert both == []


def compiled(answer: Answer) -> re.Pattern[str]:
    return re.compile(answer.words, re.IGNORECASE)


def test_every_meaning_has_its_words_its_source_and_its_month():
    for each in MEANINGS:
        assert isinstance(each, Meaning) and isinstance(each.source, Source)
        assert each.what.endswith(".") and each.todo.endswith((".", '"')), each
        assert each.source.url.startswith("https://"), each
        assert each.source.looked_up is None or re.fullmatch(r"20\d\d-\d\d", each.source.looked_up), each


def test_a_fault_of_the_recipient_is_one_in_the_category_of_a_bounce_too():
    of_the_recipient = {"user_unknown", "invalid_address", "mailbox_disabled", "mailbox_full"}
    for name, meaning in CATEGORIES.items():
        assert name in ACTIONS
        assert (meaning.fault == "recipient") == (name in of_the_recipient), name
    for status in ("5.1.1", "5.1.2", "5.1.3", "5.2.1", "5.2.2", "5.1.10"):
        assert category(status, "") in of_the_recipient and STATUSES[status[2:]].fault == "recipient", status


@pytest.mark.parametrize(
    ("reply", "fault", "what"),
    [
        # The same code of two providers, told apart by the words.
        ("550-5.7.30 Gmail requires all senders to authenticate with DKIM.\n550 5.7.30 - gsmtp", "sender", "DKIM"),
        ("550 5.7.30 Basic authentication is not supported for Client Submission.", "sender", "passwords"),
        ("550 5.7.27 Sender address has null MX", "sender", "takes no mail"),
        ("550 5.7.26 DMARC failure for example.com, policy reject", "sender", "DMARC"),
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
            "sender",
            "AUTH",
        ),
        (
            "550 5.7.515 Access denied, sending domain A.EXAMPLE does not meet the required authentication level",
            "sender",
            "",
        ),
        ("550 5.1.8 Access denied, bad outbound sender AS(4810)", "sender", "barred"),
        ("553 5.1.8 <a@b.example>: Sender address rejected: Domain not found", "sender", "sender's domain"),
        ("421 4.7.0 [TSS04] Messages from 192.0.2.4 temporarily deferred", "network", "Yahoo"),
        ("421 4.7.0 [TSS05] Messages from 192.0.2.4 temporarily deferred", "network", "Yahoo"),
        ("550 5.7.1 Client host rejected: listed by SpamHaus ZEN", "network", "Spamhaus"),
        (
            "554 5.7.1 Service unavailable; Client host [192.0.2.4] blocked using rbl.own.example",
            "network",
            "the reply",
        ),
        ("552 5.2.2 The email account that you tried to reach is over quota - gsmtp", "recipient", "Google"),
        ("552 5.2.2 <a@b.example>: Mailbox over quota", "recipient", "full"),
        ("452 4.2.2 Mailbox full", "recipient", "full"),
        (
            "450 4.2.1 The user you are trying to contact is receiving mail at a rate that exceeds the daily limit",
            "recipient",
            "",
        ),
        ("550 5.1.1 <a@b.example>: Recipient address rejected: User unknown", "recipient", "no mailbox"),
        ("550 No such user here", "recipient", "no mailbox"),
        ("550 5.2.1 Mailbox disabled", "recipient", "disabled"),
        ("450 4.7.0 Greylisted, try again later", "provider", "greylisting"),
        ("451 4.7.0 Not now", "provider", "greylisting"),
        ("550 5.7.1 Delivery not authorized", "provider", "rule"),
        ("552 5.3.4 Message size exceeds fixed limit", "message", "larger"),
        ("452 4.5.3 Too many recipients", "sender", "recipients"),
        ("421 Service closing", "provider", "for now"),
        ("552 5.2.2 Quota exceeded for <spamhaus@sorbs.example>", "recipient", "full"),
    ],
)
def test_what_a_reply_means(reply: str, fault: str, what: str):
    said = explanation(reply)
    assert said.known and said.source, said
    assert (said.fault, what.lower() in said.what.lower()) == (fault, True), said


@pytest.mark.parametrize(
    ("reply", "for_good"),
    [
        ("550 5.9.9 Quux", True),
        ("550 5.7.998 Zork", True),
        ("550 Zork", True),
        ("554 5.0.0 Zork", True),
        ("499 Zork", False),
        ("421 4.9.9 Zork", False),
        ("", True),
    ],
)
def test_an_unknown_reply_is_called_unknown(reply: str, for_good: bool):
    said = explanation(reply)
    assert (said.known, said.fault, said.source) == (False, "unknown", None)
    assert ("for good" in said.what) == for_good
    assert said.members().keys() == {"known", "what", "fault", "todo"}


def test_a_status_code_reported_beside_the_words_counts_if_they_have_none():
    assert explanation("Zork", status="5.2.2").fault == "recipient"
    assert explanation("550 5.7.20 Zork", status="5.2.2").fault == "sender"
    assert not explanation("Zork", status="5.0.0").known
    assert explanation("Zork", status="4.7.1").known


def test_the_name_of_the_server_may_tell_the_provider():
    assert "Gmail" in explanation("550 5.7.26 Blocked", server="gmail-smtp-in.l.google.com").what
    assert "Gmail" not in explanation("550 5.7.26 Blocked", server="mx.example.com").what


def test_a_login_is_explained_as_one():
    wrong = explanation("535-5.7.8 Username and Password not accepted\n535 5.7.8 - gsmtp", login=True)
    later = explanation("454 4.7.0 Temporary authentication failure", login=True)
    odd = explanation("554 Zork", login=True)
    assert "lastError.hint" in wrong.todo and odd == wrong
    assert later.fault == "provider" and "login" in later.what


@pytest.mark.parametrize("answer", [each for each in ANSWERS if each.quota], ids=identity)
def test_what_is_explained_as_a_quota_closes_the_account(answer: Answer):
    verdict = of_reply(Stage.DOT, Reply(int(answer.said[:3]), (answer.said[4:],)))
    assert closes_for(verdict) is not None
    assert explanation(verdict.text).what == answer.meaning.what


def test_only_the_beginning_of_a_long_reply_is_read():
    assert not explanation("550 " + "x " * 2000 + "spamhaus").known


def test_the_members_are_those_of_the_answer():
    members = Explanation(True, "What.", "sender", "Todo.", "https://x.example").members()
    assert list(members) == ["known", "what", "fault", "todo", "source"]
