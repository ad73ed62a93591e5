"""What is written to standard error, and that nobody outside can forge it."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.log import FORMAT, Formatter
from engine.visible import visible

FORGED = [
    ("a\n2026-01-01 INFO engine: all is well", "a\\x0a2026-01-01 INFO engine: all is well"),
    ("a\r\x1b[2Kb", "a\\x0d\\x1b[2Kb"),
    ("a\u202egpj.exe", "a\\u202egpj.exe"),
    ("a\u2066b\u2069", "a\\u2066b\\u2069"),
    ("a\u200fb", "a\\u200fb"),
    ("a\u2028b\u2029c\x85d", "a\\u2028b\\u2029c\\x85d"),
    ("a\U000e0041", "a\\U000e0041"),
    ("a\ud83db", "a\\ud83db"),
    ("Zażółć 日本語 😀", "Zażółć 日本語 😀"),
]


@pytest.mark.parametrize(("text", "shown"), FORGED)
def test_what_would_move_the_reader_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_it_is_one_printable_line_that_can_be_written(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable() or shown == ""
    shown.encode()
    assert visible(shown) == shown


def formatted(message: str, *arguments: object, exc_info: object = None) -> list[str]:
    record = logging.LogRecord("engine.x", logging.WARNING, __file__, 1, message, arguments, exc_info)
    return Formatter(FORMAT).format(record).split("\n")


@pytest.mark.parametrize(("text", "shown"), FORGED)
def test_an_event_is_one_line(text: str, shown: str) -> None:
    (line,) = formatted("mailbox %s cannot be opened", text)
    assert line.endswith(f" WARNING engine.x: mailbox {shown} cannot be opened")


def test_a_traceback_cannot_be_taken_for_events() -> None:
    try:
        raise ValueError("oops\n2026-01-01 00:00:00,000 INFO engine: forged\x1b[31m")
    except ValueError:
        first, *rest = formatted("crashed", exc_info=sys.exc_info())
    assert first.endswith("crashed")
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


@pytest.mark.parametrize(("level", "engine", "library"), [("debug", True, False), ("info", False, False)])
def test_libraries_never_log_below_info(level: str, engine: bool, library: bool) -> None:
    code = (
        "import logging; from engine.log import to_stderr; to_stderr(%r);"
        "logging.getLogger('engine.x').debug('of ours');"
        "logging.getLogger('hpack.hpack').debug('Bearer of a token');"
        "logging.getLogger('lib').info('of a library')"
    )
    log = subprocess.run([sys.executable, "-c", code % level], capture_output=True, text=True, check=True).stderr
    assert ("of ours" in log, "Bearer" in log) == (engine, library)
    assert "of a library" in log
