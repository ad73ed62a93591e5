"""Message data as a server reads it: the same however it is cut, and one end only."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.smtp.dots import DotStuffer
from engine.smtp.server_input import LINE_LIMIT, ServerInput

PIECES = st.sampled_from([b"\r\n", b".", b"..", b"a", b"\r\n.", b".\r\n", b"text"])
BODIES = st.lists(PIECES, max_size=20).map(b"".join).map(lambda body: body + b"\r\n")
CUTS = st.lists(st.integers(0, 100))


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({min(place, len(data)) for place in at} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def read(pieces: list[bytes]) -> tuple[bytes, bool, bool, bytes | None]:
    """The message, whether it has bare line ends, whether it ended, and the line after it."""
    source = ServerInput()
    source.start_data()
    content, bare, ended = b"", False, False
    for piece in pieces:
        source.feed(piece)
        while not ended and (found := source.data()) is not None:
            content, bare, ended = content + found.content, bare or found.bare, found.last
    return content, bare, ended, source.line() if ended else None


@given(BODIES, CUTS)
def test_a_stuffed_body_comes_out_as_it_was(body: bytes, at: list[int]) -> None:
    stuffer = DotStuffer()
    sent = stuffer.feed(body) + stuffer.finish()
    assert read(cut(sent + b"NOOP\r\n", at)) == (body, False, True, b"NOOP\r\n")


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n.\r\n"]), max_size=30).map(b"".join), CUTS)
def test_whatever_the_data_it_is_read_the_same_however_it_is_cut(data: bytes, at: list[int]) -> None:
    whole = data + b"\r\n.\r\nrest\r\n"
    found = read(cut(whole, at))
    assert found == read([whole]) == read([bytes([each]) for each in whole])
    sent = b"\r\n" + whole
    message = sent[: sent.index(b"\r\n.\r\n") + 2].replace(b"\r\n.", b"\r\n")[2:]
    assert found[0] == message


@pytest.mark.parametrize("end", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n"])
def test_only_the_real_end_ends_a_message(end: bytes) -> None:
    smuggled = b"a" + end + b"MAIL FROM:<x@y.example>\r\nRCPT TO:<z@y.example>\r\nDATA\r\nb\r\n"
    content, _, ended, rest = read([smuggled + b".\r\nQUIT\r\n"])
    assert ended
    assert b"MAIL FROM" in content
    assert content.endswith(b"b\r\n")
    assert rest == b"QUIT\r\n"


def test_data_leaves_at_once() -> None:
    source = ServerInput()
    source.start_data()
    for _ in range(1000):
        source.feed(b"x" * 1000)
        assert source.data() is not None
        assert source.data() is None
        assert len(source._buffer) < 5


def test_a_line_over_its_limit_is_an_error_before_it_ends() -> None:
    source = ServerInput()
    source.feed(b"x" * LINE_LIMIT)
    assert source.line() is None
    source.feed(b"x")
    with pytest.raises(ProtocolError):
        source.line()
