"""Modified UTF-7, held against the RFC's examples, Python's own UTF-7 codec, and arbitrary text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.imap import utf7

TEXT = st.text(st.characters(exclude_categories=["Cs"]))

NAMES = [
    ("INBOX", b"INBOX"),
    ("", b""),
    ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 section 5.1.3
    ("☺!", b"&Jjo-!"),  # the same section
    ("Entwürfe", b"Entw&APw-rfe"),
    ("Gelöschte Objekte", b"Gel&APY-schte Objekte"),
    ("a&b", b"a&-b"),
    ("&", b"&-"),
    ("&&", b"&-&-"),
    ("tab\there", b"tab&AAk-here"),
    ("line\r\nend", b"line&AA0ACg-end"),
    ("nul\0", b"nul&AAA-"),
    ("del\x7f", b"del&AH8-"),
    ("😀", b"&2D3eAA-"),
    ("ab😀&ü", b"ab&2D3eAA-&-&APw-"),
    ('"\\%*', b'"\\%*'),
]

BROKEN = [b"&", b"a&b", b"&APw", b"&A-", b"&AP-", b"&2D0-", b"&3gA-", b"&A P-", b"&\xc3\xbc-", b"\xfc", b"&A==-"]


@pytest.mark.parametrize(("text", "name"), NAMES)
def test_names(text, name):
    assert utf7.encode(text) == name
    assert utf7.decode(name) == text


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name):
    with pytest.raises(ValueError):
        utf7.decode(name)


def test_a_lone_surrogate_is_refused():
    with pytest.raises(ValueError):
        utf7.encode("\ud83d")


@given(TEXT)
def test_round_trip(text):
    name = utf7.encode(text)
    assert utf7.decode(name) == text
    assert all(0x20 <= byte <= 0x7E for byte in name)


@given(st.text(st.characters(min_codepoint=0x80, exclude_categories=["Cs"]), min_size=1))
def test_the_plain_codec_agrees(text):
    """Outside ASCII the two differ in the shift character and in "," for "/"."""
    assert utf7.encode(text)[1:-1].replace(b",", b"/") == text.encode("utf-7")[1:].rstrip(b"-")


@given(st.binary())
def test_any_bytes(name):
    try:
        text = utf7.decode(name)
    except ValueError:
        return
    assert utf7.decode(utf7.encode(text)) == text
