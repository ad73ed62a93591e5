"""Addresses as other programs write them into a header."""

from __future__ import annotations

import time

import pytest

from engine.mail.address_reading import read_addresses


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.example", [("", "a@b.example")]),
        ("A B <a@b.example>, c@d.example", [("A B", "a@b.example"), ("", "c@d.example")]),
        ('"Doe, J\\"ohn" <a@b.example>', [('Doe, J"ohn', "a@b.example")]),
        ("a@b.example (A (the) First), c@d.example", [("", "a@b.example"), ("", "c@d.example")]),
        ("Friends: a@b.example, C <c@d.example>;, e@f.example", [
            ("", "a@b.example"),
            ("C", "c@d.example"),
            ("", "e@f.example"),
        ]),
        ("undisclosed-recipients:;", []),
        ("<@relay.example,@other.example:a@b.example>", [("", "a@b.example")]),
        ("a@[IPv6:::1], <b@[IPv6:::1]>", [("", "a@[IPv6:::1]"), ("", "b@[IPv6:::1]")]),
        ('"a b"@c.example', [("", '"ab"@c.example')]),
        ("A\r\n\t<a@b.example>,\r\n =?utf-8?q?J=C3=B6?= <j@b.example>", [
            ("A", "a@b.example"),
            ("=?utf-8?q?J=C3=B6?=", "j@b.example"),
        ]),
        ("A <a@b.example", [("A", "a@b.example")]),
        ('"never ends <a@b.example>', [("", '"neverends<a@b.example>')]),
        (", ;,", []),
        ("", []),
    ],
)  # fmt: skip
def test_addresses(value: str, expected: list[tuple[str, str]]) -> None:
    assert read_addresses(value) == expected


@pytest.mark.once
@pytest.mark.parametrize("piece", ["(", ")", '"', "<", "\\", ",", ":", "a(b", '"a', "<a", "[", "a "])
def test_the_time_is_proportional_to_the_input(piece: str) -> None:
    began = time.process_time()
    read_addresses(piece * 200_000)
    assert time.process_time() - began < 2
