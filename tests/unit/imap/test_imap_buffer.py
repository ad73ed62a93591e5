import pytest

from engine.errors import ProtocolError
from engine.imap.buffer import ReceiveBuffer


def test_lines_and_runs():
    buffer = ReceiveBuffer()
    buffer.feed(b"one\r\ntwo")
    assert buffer.take_line(100) == b"one"
    assert buffer.take_line(100) is None
    buffer.feed(b"\r")
    assert buffer.take_line(100) is None
    buffer.feed(b"\n\r\nabc")
    assert buffer.take_line(100) == b"two"
    assert buffer.take_line(100) == b""
    assert buffer.take(4) is None
    assert buffer.take(2) == b"ab"
    assert buffer.take(0) == b""
    assert len(buffer) == 1


def test_a_lone_line_feed_ends_a_line_and_a_lone_return_does_not():
    buffer = ReceiveBuffer()
    buffer.feed(b"a\nb\rc\r\n\n\r")
    assert buffer.take_line(100) == b"a"
    assert buffer.take_line(100) == b"b\rc"
    assert buffer.take_line(100) == b""
    assert buffer.take_line(100) is None


@pytest.mark.parametrize("end", [b"\r\n", b""])
def test_limit(end):
    buffer = ReceiveBuffer()
    buffer.feed(b"a" * 10 + b"\r\n")
    assert buffer.take_line(10) == b"a" * 10
    buffer.feed(b"a" * 12 + end)
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        buffer.take_line(10)
