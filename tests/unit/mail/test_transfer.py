"""Transfer encodings undone piece by piece say the same as at once."""

from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mail.transfer import Decoder, body_bytes


def in_pieces(data: bytes, encoding: str, size: int) -> bytes:
    decoder = Decoder(encoding)
    pieces = [decoder.feed(data[at : at + size]) for at in range(0, len(data), size)]
    return b"".join([*pieces, decoder.end()])


@given(st.binary(max_size=400), st.integers(1, 90), st.sampled_from(["base64", "quoted-printable", "8bit", ""]))
def test_any_content_in_any_pieces(content, size, encoding):
    written = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}.get(encoding, bytes)(content)
    assert in_pieces(written, encoding, size) == content == body_bytes(written, encoding)


@given(st.binary(max_size=300), st.integers(1, 40), st.sampled_from(["base64", "quoted-printable"]))
def test_any_nonsense_in_any_pieces(data, size, encoding):
    assert in_pieces(data, encoding, size) == body_bytes(data, encoding)


@pytest.mark.parametrize(
    ("written", "content"),
    [
        (b"SGVsbG8", b"Hello"),
        (b"SGVs bG8=\r\n\r\n-- \r\n", b"Hello"),
        (b"SGk=SGk=", b"HiHi"),
        (b"SGk=\r\nSGVsbG8=\r\n", b"HiHello"),
        (b"S", b""),
        (b"====", b""),
        (b"", b""),
    ],
)
def test_base64_as_it_is_met(written, content):
    assert body_bytes(written, "base64") == content
    assert in_pieces(written, "base64", 1) == content


def test_a_line_without_end_is_not_kept_whole():
    decoder = Decoder("quoted-printable")
    said = sum(len(decoder.feed(b"=41" * 1000)) for _ in range(50))
    assert said > 49 * 1000
    assert said + len(decoder.end()) == 50 * 1000
