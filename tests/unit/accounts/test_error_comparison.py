"""The same error, written differently each time, and errors that differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts.error_comparison import gist, words

SAME = [
    ("A3 NO [AUTHENTICATIONFAILED] Authentication failed. [mx7:1732700000.123]", "A7 NO [AUTHENTICATIONFAILED] "
     "Authentication failed. [mx12:1732700301.9]"),
    ("* BYE Internal error occurred. Refer to server log for more information. [2026-11-27 07:10:11]",
     "* BYE Internal error occurred. Refer to server log for more information. [2026-11-28 17:10:12]"),
    ("535-5.7.8 Username and Password not accepted. For more information, go to https://support.example.com/a?p=Bad "
     "5b1f17b1804b1-4a6 - gsmtp", "535-5.7.8 Username and Password not accepted. For more information, go to "
     "https://support.example.com/a?p=Worse ffacd0b85a97d-38 - gsmtp"),
    ("A2 NO LOGIN failed (session=<kzAbqM8pQcd/AAAB>)", "A2 NO LOGIN failed (session=<uWvPqZZjTUY/AAAB>)"),
    ("A2 NO Too many connections from 192.0.2.17, session id: QWERTZUI", "A2 NO Too many connections from "
     "2001:db8::17, session id: ASDFGHJK"),
    ("Temporary failure at mx1.example.com, try after Fri, 27 Nov 2026 07:00:00 +0000 (UTC)",
     "Temporary failure at relay.example.net, try after Sat, 28 Nov 2026 09:00:00 +0100 (CET)"),
    ("A2 NO user u@example.com is locked for 14 minutes", "A2 NO user u@example.com is locked for 7 minutes"),
    ("A2 NO error 0xDEADBEEF in deadbeefcafe", "A2 NO error 0x17 in cafebabebeef"),
    ("535 5.7.139 Authentication unsuccessful [AM0PR01CA0123.eurprd01.prod.outlook.com 2026-11-27T07:00:00.1Z "
     "08DE2D]", "535 5.7.139 Authentication unsuccessful [FR2P281CA0007.DEUP281.PROD.OUTLOOK.COM 08DE2E]"),
    ("A1 NO refused (id 16HVngHhjp)", "A1 NO refused (id ENKBbz/rVB)"),
    ("A1 NO refused, reference aGVsbG8gd29ybGQ", "A1 NO refused, reference c29tZXRoaW5nIGVs"),
]  # fmt: skip
DIFFERENT = [
    ("A3 NO [AUTHENTICATIONFAILED] Authentication failed.", "A3 NO [UNAVAILABLE] Authentication failed."),
    ("A3 NO Login disabled by the administrator", "A3 NO Invalid credentials"),
    ("connection refused", "connection timed out"),
    ("* BYE Too many connections", "* BYE Server shutting down"),
    ("Password expired", "Password may be wrong"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same(one, other):
    assert words(one) == words(other) != ""


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_the_same(one, other):
    assert words(one) != words(other)


def test_the_code_counts():
    assert gist({"response": "no", "serverResponseCode": "ECONNRESET"}) != gist({"response": "no"})
    assert gist({"response": "no 1"}) == gist({"response": "no 2", "serverResponseCode": None})


@given(st.text(max_size=2000))
def test_nothing_raises(text):
    words(text)
