from __future__ import annotations

import re

import pytest
from hypothesis import given
from mail_reader import any_text

from engine.mail.addresses import needs_smtputf8, parse_address


@pytest.mark.parametrize(
    "text",
    [
        "a@b",
        "root@localhost",
        "user@sandbox.example",
        "user@example",
        "user@mail.test",
        "user@host.local",
        "user@host.invalid",
        "Mixed.Case+tag@Example.COM",
        "o'brien!#$%&*/=?^_`{|}~-@example.com",
        "user@127.example.com",
        "user@xn--mnchen-3ya.example",
        "user@a--b.example",
        "user@[127.0.0.1]",
        "user@[IPv6:::1]",
        "x" * 64 + "@example.com",
        "x" * 65 + "@example.com",
        "reply+" + "0" * 236 + "@example.com",
        "é".encode().hex() * 40 + "@example.com",
        '"a..b"@docomo.example',
        '"john doe"@example.com',
        '"a@b"@example.com',
        '"\\"q\\" \\\\"@example.com',
        "x@" + "y" * 63 + ".com",
        "x@" + ".".join(["y" * 49] * 5) + "zz",
    ],
)
def test_good_address_is_left_as_it_is(text: str) -> None:
    assert parse_address(text) == text
    assert not needs_smtputf8(text)


@pytest.mark.parametrize(
    ("text", "address", "smtputf8"),
    [
        ("user@münchen.example", "user@xn--mnchen-3ya.example", False),
        ("Postmaster@münchen.example", "Postmaster@xn--mnchen-3ya.example", False),
        ("User@日本.example", "User@xn--wgv71a.example", False),
        ("Jürgen@example.com", "Jürgen@example.com", True),
        ("ju\u0308rgen@example.com", "jürgen@example.com", True),
        ("a..b@docomo.example", '"a..b"@docomo.example', False),
        ("a.@docomo.example", '"a."@docomo.example', False),
        (".a@münchen.example", '".a"@xn--mnchen-3ya.example', False),
        ("a...b.@[127.0.0.1]", '"a...b."@[127.0.0.1]', False),
        (".@example.com", '"."@example.com', False),
        ('"plain.Name"@example.com', "plain.Name@example.com", False),
        (r'"need\less"@example.com', "needless@example.com", False),
        ("ü..b@example.com", '"ü..b"@example.com', True),
        ("ju\u0308rgen.@example.com", '"jürgen."@example.com', True),
        ("é" * 40 + "@example.com", "é" * 40 + "@example.com", True),
        ("δοκιμή@παράδειγμα.example", "δοκιμή@xn--hxajbheg2az3al.example", True),
    ],
)
def test_international_address_is_normalised(text: str, address: str, smtputf8: bool) -> None:
    assert parse_address(text) == address
    assert needs_smtputf8(address) is smtputf8
    assert parse_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user",
        "@example.com",
        "user@",
        "user@@example.com",
        "a@b@c",
        '""@example.com',
        '"@example.com',
        '"a"b"@example.com',
        '"a\\"@example.com',
        '"a<b"@example.com',
        '"a>\r\nDATA"@example.com',
        '"a\tb"@example.com',
        '"ü\xa0b"@example.com',
        "a..(b)@example.com",
        "..".join("x" * 130) + "@example.com",
        "a@.example.com",
        "a@example..com",
        "a@-example.com",
        "a@example-.com",
        "a@127.0.0.1",
        "a@123",
        "a@[300.0.0.1]",
        "a@[evil]",
        "a b@example.com",
        "<a@example.com>",
        "A <a@example.com>",
        "a@example.com,b@example.com",
        "a@example.com\n",
        "a@example.com\r\nRCPT TO:<b@example.com>",
        "a@exam\0ple.com",
        "a\t@example.com",
        "a\x7f@example.com",
        "a\x1c@example.com",
        "a\x85@example.com",
        "a\xa0@example.com",
        "a\u2028@example.com",
        "a\u200b@example.com",
        "a\ud83d@example.com",
        "a@exam\u2028ple.com",
        "a@\ud83d.com",
        "a\ufffd@example.com",
        "a@exam\ufffdple.com",
        "x" * 243 + "@example.com",
        "x@" + "y" * 64 + ".com",
        "x@" + "y." * 126 + "com",
        "é" * 122 + "@example.com",
        "x" * 100_000 + "@example.com",
    ],
)
def test_bad_address_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_address(text)
    assert not isinstance(caught.value, UnicodeError)
    assert 0 < len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "blank", [" ", "\t", "\r", "\n", "\0", "\x1c", "\x7f", "\x85", "\xa0", "\u200b", "\u2028", "\u202e"]
)
@pytest.mark.parametrize("around", ["a{}b@example.com", "a@exam{}ple.com", "a@example.com{}", "{}a@example.com"])
def test_blank_or_control_character_is_named_as_such(blank: str, around: str) -> None:
    with pytest.raises(ValueError, match="contains a space or a control character"):
        parse_address(around.format(blank))


@given(any_text)
def test_whatever_is_accepted_is_safe_on_the_wire(text: str) -> None:
    for candidate in (
        text,
        f"{text}@example.com",
        f'"{text}"@example.com',
        f"{text}..@example.com",
        f"user@{text}",
        f"u{text}r@ex{text}.com",
    ):
        try:
            address = parse_address(candidate)
        except ValueError as error:
            assert not isinstance(error, UnicodeError)
            continue
        plain = re.sub(r'^"(?:[^"\\]|\\.)*"', "", address)
        assert not any(c.isspace() or c in '<>,;"()' or ord(c) < 33 or 127 <= ord(c) < 161 for c in plain)
        assert not any(c in "<>" or ord(c) < 32 or 127 <= ord(c) < 161 for c in address)
        assert len(address.encode()) <= 254
        assert address.rpartition("@")[2].isascii()
        assert parse_address(address) == address
