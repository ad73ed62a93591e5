from __future__ import annotations

import encodings.aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mail.charsets import decoded
from engine.mail.decode import body_text, header_text, parameter
from engine.mail.header_encoding import encoded_words
from engine.mail.transfer import body_bytes

WORDS = [
    (b"plain", "plain"),
    (b"=?utf-8?q?H=C3=A9?= llo", "Hé llo"),
    (b"=?UTF-8?B?SMOp?=\r\n =?utf-8?B?bGxv?=", "Héllo"),
    (b"=?utf-8?b?4p8=?= =?utf-8?b?hA==?=", "⟄"),
    (b"=?iso-8859-1*en?q?caf=E9_x?=", "café x"),
    (b"=?no-such-charset?q?a=C3=A9?=", "aé"),
    (b"=?utf-8?q?unfinished", "=?utf-8?q?unfinished"),
    (b"=?utf-8?b?SMO?=", "H\ufffd"),
    ("schön".encode(), "schön"),
    (b"sch\xf6n", "schön"),
    (b"a\r\n\tb\x00\x07", "a b"),
    (b"=?utf-8?q?a=0D=0AInjected:_x?=", "a Injected: x"),
    (b"", ""),
]


@pytest.mark.parametrize(("raw", "text"), WORDS)
def test_words(raw, text):
    assert header_text(raw) == text


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=" \u2028\u2029"), min_size=1))
def test_what_we_write_comes_back(text):
    assert header_text(" ".join(encoded_words(text, 75)).encode()) == text.strip()


@given(st.binary(max_size=300), st.sampled_from(["base64", "quoted-printable", "7bit", "x"]), st.text(max_size=12))
def test_nothing_raises(raw, encoding, charset):
    header_text(raw)
    body_text(raw, encoding, charset)
    parameter({"a": raw, "b*": raw, "c*0*": raw, "c*1": raw}, "c")


PARAMETERS = [
    ({"filename": b"a.txt"}, "a.txt"),
    ({"filename": b"=?utf-8?q?=C3=A9.txt?="}, "é.txt"),
    ({"filename*": b"utf-8''%C3%A9.txt"}, "é.txt"),
    ({"filename*0*": b"iso-8859-1'en'%E9", "filename*1": b"%41", "filename*2*": b"%42"}, "é%41B"),
    ({"filename*1": b"b", "filename*0": b"a"}, "ab"),
    ({"name": b"x"}, ""),
]


@pytest.mark.parametrize(("parameters", "text"), PARAMETERS)
def test_parameters(parameters, text):
    assert parameter(parameters, "filename") == text


def test_bodies():
    assert body_text(b"caf=E9=\r\n!\r\n", "quoted-printable", "iso-8859-1") == "café!\n"
    assert body_text(b"SMOp\r\n", "base64", "utf-8") == "Hé"
    assert body_bytes(b"SGVsbG8", "base64") == b"Hello"
    assert decoded("hé".encode()[:-1], "utf-8", cut=True) == "h"
    assert decoded(b"rot", "rot13") == "rot"
    assert decoded(b"\xb0\xa1", "ks_c_5601-1987") == "가"


@pytest.mark.parametrize(
    "raw", [b"=?utf-7?Q?+2AA-?=", b"=?UTF-7*en?B?KzNBQS0=?=", b"=?unicode-1-1-utf-7?Q?a+2D3YAA-b?="]
)
def test_lone_surrogates_are_no_text(raw):
    assert "\ufffd" in header_text(raw)
    header_text(raw).encode()
    decoded(b"+2AA-", "utf-7").encode()
    parameter({"filename*0*": b"utf-7''%2B2AA-"}, "filename").encode()


@pytest.mark.parametrize(
    "codec",
    [
        "unicode_escape",
        "raw_unicode_escape",
        "idna",
        "punycode",
        "palmos",
        "charmap",
        "undefined",
        "rot13",
        "zlib",
        "hex",
    ],
)
def test_codecs_that_are_no_charset_are_not_reachable(codec):
    assert decoded(rb"\ud800 abc-", codec) == r"\ud800 abc-"


@pytest.mark.parametrize("charset", sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values()}))
def test_whatever_the_charset_the_text_can_be_encoded(charset):
    for data in (b"+2AD-+3AD-", rb"\ud800", b"\xd8\x00", b"\x00\xd8\xff\xfe", bytes(range(256))):
        decoded(data, charset).encode()
