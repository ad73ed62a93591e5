"""What is said of a password that a well-known provider refuses."""

from __future__ import annotations

import pytest

from engine.accounts.login_hints import hint


@pytest.mark.parametrize(
    ("host", "response", "token", "says"),
    [
        ("imap.gmail.com", "A1 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", False, "app password"),
        ("smtp.gmail.com", "535-5.7.8 Username and Password not accepted", False, "OAuth2"),
        ("imap.googlemail.com", "NO [ALERT] Application-specific password required", False, "app password"),
        ("imap.gmail.com", "NO Your account is not enabled for IMAP use", False, "switched off"),
        ("imap.gmail.com", "NO [AUTHENTICATIONFAILED] Invalid credentials", True, "https://mail.google.com/"),
        ("outlook.office365.com", "A1 NO LOGIN failed.", False, "IMAP.AccessAsUser.All"),
        ("outlook.office365.com", "A1 NO AUTHENTICATE failed.", True, "access token"),
        ("outlook.office365.com", "A1 NO LOGIN failed.", False, "/v1/authentication/form"),
        ("imap.gmail.com", "A1 NO [AUTHENTICATIONFAILED] Invalid credentials", False, "/v1/authentication/form"),
        ("smtp-mail.outlook.com", "535 5.7.3 Authentication unsuccessful", False, "OAuth2"),
        ("smtp.office365.com", "550 5.7.30 Basic authentication is not supported", False, "OAuth2"),
        ("imap.mail.yahoo.com", "NO [AUTHENTICATIONFAILED] Incorrect username or password", False, "mail-w"),
        ("imap.mail.yahoo.com", "NO", True, "expired"),
        ("imap.mail.me.com", "NO [AUTHENTICATIONFAILED] Authentication failed", False, "before the @"),
        ("IMAP.Fastmail.com.", "NO", False, "app password"),
    ],
)
def test_the_way_out_is_named(host: str, response: str, token: bool, says: str) -> None:
    said = hint(host, response, token=token)
    assert said is not None
    assert says in said


@pytest.mark.parametrize("host", ["mail.example.com", "notgmail.com", "gmail.com.example.org", ""])
def test_nothing_is_said_of_others(host: str) -> None:
    assert hint(host, "NO", token=False) is None
