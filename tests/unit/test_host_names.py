from __future__ import annotations

import pytest

from engine.host_names import ascii_name
from engine.oauth.http_client import _parsed
from engine.submission.tracking import base_of
from engine.web.tracking import location
from engine.webhooks.target import parse


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("straße.de", "xn--strae-oqa.de"),
        ("STRASSE.de", "STRASSE.de"),
        ("Bücher.example.", "xn--bcher-kva.example."),
        ("пример.рф:8443", "xn--e1afmkfd.xn--p1ai:8443"),
        ("日本。jp", "xn--wgv71a.jp"),
        ("☃.net", "xn--n3h.net"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_name(name: str, expected: str) -> None:
    assert ascii_name(name) == expected


@pytest.mark.parametrize("name", ["", ".", "a..b", "a..é", "x" * 64 + ".com", "é" * 60 + ".com"])
def test_no_name(name: str) -> None:
    with pytest.raises(UnicodeError):
        ascii_name(name)


def test_a_sharp_s_leads_to_no_other_host() -> None:
    url = "https://straße.de/x"
    assert parse(url).host == "xn--strae-oqa.de"
    assert _parsed(url).host == b"xn--strae-oqa.de"
    assert base_of(url) == location(url) == "https://xn--strae-oqa.de/x"
    assert location("https://me@straße.de:8443/x") == "https://me@xn--strae-oqa.de:8443/x"
