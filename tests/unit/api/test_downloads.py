"""Which octets a `Range` asks for, and names of files as headers carry them."""

from __future__ import annotations

import pytest

from engine.errors import Problem
from engine.http import file_answers
from engine.http.file_answers import Span, span_of


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=90-99999999999999999999", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        (None, None),
        ("bytes=-", None),
        ("bytes=9-5", None),
        ("bytes=0-1,5-6", None),
        ("lines=1-2", None),
        ("bytes=a-b", None),
    ],
)
def test_the_octets(asked: str | None, span: tuple[int, int] | None) -> None:
    assert span_of(asked, 100) == (span and Span(*span, 100))
    assert span_of(asked, None) is None


@pytest.mark.parametrize(("asked", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-0", 0)])
def test_octets_there_are_not(asked: str, size: int) -> None:
    with pytest.raises(Problem) as caught:
        span_of(asked, size)
    assert (caught.value.status, caught.value.headers["Content-Range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("", "attachment"),
        ("a b.pdf", 'attachment; filename="a b.pdf"'),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("c:\\x\\y.txt", 'attachment; filename="y.txt"'),
        ("ü.pdf", "attachment; filename=\"_.pdf\"; filename*=utf-8''%C3%BC.pdf"),
        ('a"b\r\nX: y', "attachment; filename=\"a_b__X: y\"; filename*=utf-8''a%22b%0D%0AX%3A%20y"),
        ("100%.txt", "attachment; filename=\"100%.txt\"; filename*=utf-8''100%25.txt"),
    ],
)
def test_a_name(name: str, header: str) -> None:
    assert file_answers._disposition(name) == header


def test_a_media_type_harms_nobody() -> None:
    assert file_answers._media_type("text/html\r\nX: y", "utf-8") == "application/octet-stream"
    assert file_answers._media_type("text/plain", "utf-8") == "text/plain; charset=utf-8"
    assert file_answers._media_type("text/plain", 'x"; y') == "text/plain"
    assert file_answers._media_type("image/png", "utf-8") == "image/png"
