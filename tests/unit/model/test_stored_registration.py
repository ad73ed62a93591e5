"""Reading a registration that was stored, today or long ago."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.model.limits import SendingLimit
from engine.model.registration import ImapServer, SmtpServer, Unreadable, read
from engine.schema.account import AccountCreate

IMAP = {"host": "imap.a.example", "port": 993, "secure": True, "auth": {"user": "me", "pass": "imap-secret"}}
SMTP = {"host": "smtp.a.example", "port": 587, "auth": {"user": "me", "accessToken": "smtp-token"}}


def account(**members: Any) -> dict[str, Any]:
    """A stored registration as decoded JSON, as it was stored before it had a version."""
    built = {"account": "acme", "name": "Acme", "email": "me@a.example", "imap": {**IMAP}, "smtp": {**SMTP}, **members}
    return msgspec.json.decode(msgspec.json.encode(built))


def test_a_limit_that_was_tightened_since_does_not_count() -> None:
    built = account()
    built.update(name="n" * 10_000, email="no address", path=["p" * 10_000] * 5000, smtpEhloName="", tz="\n")
    built["imap"].update(port=0, host="", resyncDelay=-1, tls={"ca": "c" * 300_000, "servername": ""})
    built["smtp"]["rateLimit"] = {"messages": 0, "seconds": 10**9}
    record = read(built)
    assert isinstance(record.imap, ImapServer) and isinstance(record.smtp, SmtpServer)
    assert (record.name, record.imap.port, record.smtp.rate_limit) == ("n" * 10_000, 0, SendingLimit(0, 10**9))
    stored = msgspec.json.decode(msgspec.json.encode(record))
    built["smtp"]["secure"] = False
    assert stored == {**built, "version": 1}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(built, AccountCreate)


def test_members_of_a_later_version_are_left_out() -> None:
    built = account(webhooks="https://x.example", webhooksCustomHeaders=[{"key": "a", "value": "b"}])
    plain = read(built)
    for holder in (built, built["imap"], built["smtp"], built["imap"]["auth"], built["webhooksCustomHeaders"][0]):
        holder["later"] = {"a": [1]}
    assert read(built) == plain


def test_what_was_written_is_read_as_the_same() -> None:
    given = account(
        path=["INBOX"],
        subconnections=["a", "b"],
        copy=None,
        logs=True,
        notifyFrom="2026-01-02T03:04:05.678Z",
        imapIndexer="fast",
        imap={**IMAP, "tls": {"rejectUnauthorized": False, "minVersion": "TLSv1.2"}, "sentMailPath": None},
        smtp=False,
    )
    record = read(given)
    assert read(msgspec.json.decode(msgspec.json.encode(record))) == record


def test_one_without_a_version_is_of_the_first() -> None:
    assert read(account()).version == 1
    assert read(account(version=1)) == read(account())


@pytest.mark.parametrize("version", [0, 2, 10**30, "1", None, [1], True])
def test_one_of_another_version_is_not_guessed_at(version: Any) -> None:
    with pytest.raises(Unreadable) as caught:
        read({**account(), "version": version})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"name": 7},
        {"imap": {"host": "x"}},
        {"imap": []},
        {"imap": {**IMAP, "port": "993"}},
        {"imap": {**IMAP, "auth": {"user": None}}},
        {"imap": {**IMAP, "auth": {"user": "u", "pass": 5}}},
        {"notifyFrom": "soon"},
        {"sandbox": "yes"},
        {"webhooks": 7},
        {"account": 7},
    ],
)
def test_a_registration_that_makes_no_sense_is_unreadable_and_not_quoted(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable) as caught:
        read({**account(), **change})
    assert "secret" not in str(caught.value)
