"""Where a password may go out in clear text."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.accounts.registration_changes import updated
from engine.accounts.tls_required import guarded, insecure
from engine.model.registration import Registration, read
from engine.schema.account import AccountUpdate

AUTH = {"user": "u", "pass": "p"}
UPDATE = AccountUpdate


def account(**smtp: Any) -> Registration:
    return read({"account": "a", "name": "a", "smtp": {"port": 587, **smtp}})


def required(record: Registration) -> object:
    tls = record.smtp.tls
    return tls.required if tls else None


@pytest.mark.parametrize(
    ("smtp", "demanded", "shown"),
    [
        ({"host": "smtp.example.com", "auth": AUTH}, True, []),
        ({"host": "smtp.example.com", "useAuthServer": True}, True, []),
        ({"host": "192.0.2.7", "auth": AUTH}, True, []),
        ({"host": "localhost.example.com", "auth": AUTH}, True, []),
        ({"host": "smtp.example.com", "auth": AUTH, "tls": {"rejectUnauthorized": False}}, True, []),
        ({"host": "smtp.example.com", "auth": AUTH, "tls": {"required": False}}, False, ["smtp"]),
        ({"host": "smtp.example.com", "auth": AUTH, "secure": True}, None, []),
        ({"host": "smtp.example.com"}, None, []),
        ({"host": "smtp.example.com", "auth": False}, None, []),
        ({"host": "127.0.0.1", "auth": AUTH}, None, []),
        ({"host": "127.9.9.9", "auth": AUTH}, None, []),
        ({"host": "::1", "auth": AUTH}, None, []),
        ({"host": "localhost", "auth": AUTH}, None, []),
        ({"host": "LOCALHOST", "auth": AUTH}, None, []),
    ],
)
def test_a_new_server(smtp: dict[str, Any], demanded: bool | None, shown: list[str]) -> None:
    kept = guarded(account(**smtp), None)
    assert (required(kept), insecure(kept)) == (demanded, shown)


def test_the_other_tls_rules_stay() -> None:
    kept = guarded(account(host="smtp.example.com", auth=AUTH, tls={"servername": "other.example"}), None)
    assert (kept.smtp.tls.servername, kept.smtp.tls.required) == ("other.example", True)


def test_what_was_registered_before_the_rule_keeps_what_it_had() -> None:
    old = account(host="smtp.example.com", auth=AUTH)
    assert insecure(old) == ["smtp"]
    again = updated(old, msgspec.convert({"smtp": {"host": "smtp.example.com", "port": 25, "auth": AUTH}}, UPDATE))
    assert insecure(again) == ["smtp"]
    other = updated(old, msgspec.convert({"smtp": {"host": "other.example.com", "port": 25, "auth": AUTH}}, UPDATE))
    assert (required(other), insecure(other)) == (True, [])
    password = msgspec.convert({"smtp": {"partial": True, "auth": {"user": "u", "pass": "new"}}}, UPDATE)
    assert insecure(updated(old, password)) == ["smtp"]


def test_going_from_tls_to_clear_text_takes_a_word() -> None:
    old = account(host="smtp.example.com", auth=AUTH, secure=True)
    assert required(updated(old, msgspec.convert({"smtp": {"partial": True, "secure": False}}, UPDATE))) is True
