"""Each fault of a server in words, beside the field it is about."""

from __future__ import annotations

from typing import Any

import pytest

from engine.schema.account_actions import ServerVerified
from engine.web.form_faults import Tried, fault

HERE = Tried(server="smtp", host="smtp.x.example", port=465, password="smtp.pass")


def outcome(code: str, text: str = "", said: str | None = None) -> ServerVerified:
    members: dict[str, Any] = {} if said is None else {"response_text": said}
    return ServerVerified(success=False, code=code, error=text, **members)


@pytest.mark.parametrize(
    ("code", "text", "field", "words"),
    [
        ("ENOTFOUND", "", "smtp.host", "no server called smtp.x.example"),
        ("EAI_AGAIN", "", "smtp.host", "at the moment"),
        ("EDNS", "", "smtp.host", "at the moment"),
        ("EACCES", "smtp.x.example leads to 10.0.0.5", "smtp.host", "not a mail server on the public internet"),
        ("ECONNREFUSED", "", "smtp.port", "465 with TLS, or 587 with STARTTLS"),
        ("EHOSTUNREACH", "", "smtp.host", "does not answer"),
        ("ETIMEDOUT", "connect ETIMEDOUT x", "smtp.host", "does not answer"),
        ("ETIMEDOUT", "No answer in time", "smtp.secure", "says nothing"),
        ("ECONNRESET", "", "smtp.port", "closes the connection"),
        ("ECONNECTION", "", "smtp.port", "closes the connection"),
        ("EPROTOCOL", "", "smtp.port", "is no SMTP server"),
        ("ETLS", "TLS failed: set secure to false", "smtp.secure", "choose STARTTLS"),
        ("ETLS", "It speaks TLS: set secure to true", "smtp.secure", "choose TLS"),
        ("ETLS", "x does not offer STARTTLS", "smtp.secure", "must not travel without"),
        ("ETLS", "TLS with x failed: connection closed", "smtp.secure", "other kind of encryption"),
        ("CERT_HAS_EXPIRED", "", "smtp.host", "has expired"),
        ("ERR_TLS_CERT_ALTNAME_INVALID", "", "smtp.host", "does not belong to"),
        ("SELF_SIGNED_CERT_IN_CHAIN", "", "smtp.host", "not signed by an authority"),
        ("whatever", "", "smtp.secure", "other kind of encryption"),
    ],
)
def test_a_server_that_cannot_be_used(code: str, text: str, field: str, words: str) -> None:
    found = fault(HERE, outcome(code, text))
    assert found.field == field and words in found.text and found.said == ""
    assert "10.0.0.5" not in found.text, "what a name leads to inside is nobody's business"


def test_a_login_that_was_refused() -> None:
    found = fault(HERE, outcome("EAUTH", said="5.7.8  Username and\nPassword not accepted" + "x" * 500))
    assert found.field == "smtp.pass" and "refuses this user name" in found.text
    assert found.said.startswith("5.7.8 Username and Password not accepted") and len(found.said) == 300


@pytest.mark.parametrize(
    ("code", "field", "words"),
    [
        ("SmtpAuthDisabled", "smtp.host", "switched off for this mailbox"),
        ("PasswordsNotAccepted", "smtp.pass", "no passwords from programs, right or wrong"),
    ],
)
def test_a_setting_at_microsoft_is_no_wrong_password_and_does_not_pass(code: str, field: str, words: str) -> None:
    found = fault(HERE, outcome(code, said="535 5.7.139 Authentication unsuccessful"))
    assert found.field == field and words in found.text and found.said.startswith("535 5.7.139")
    assert "at the moment" not in found.text and "refuses this user name" not in found.text


def test_a_login_without_a_code_is_one_all_the_same() -> None:
    found = fault(Tried(server="imap", host="h", port=993), ServerVerified(success=False, response_text="no"))
    assert found.field == "password" and "for receiving" in found.text


def test_a_provider_that_wants_another_password_says_where_it_is_made() -> None:
    tried = Tried(server="imap", host="imap.gmail.com", port=993, provider="Gmail", app_password="https://a.example/")
    found = fault(tried, outcome("AUTHENTICATIONFAILED", said="Invalid credentials (Failure)"))
    assert found.field == "password" and "make an app password at https://a.example/" in found.text


def test_a_server_that_takes_no_mail() -> None:
    found = fault(HERE, outcome("EPROTOCOL", said="554 no SMTP service here"))
    assert found.field == "smtp.host" and found.said == "554 no SMTP service here"


def test_a_server_without_a_way_to_log_in() -> None:
    found = fault(HERE, outcome("EAUTH", said="The server offers no way to log in"))
    assert found.field == "smtp.secure"
