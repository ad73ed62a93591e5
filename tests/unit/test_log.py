"""The log on standard error, and that text from outside cannot forge it."""

from __future__ import annotations

import contextvars
import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.escaping import escape_controls
from engine.log import Json, TextFormatter, concerns

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
    assert escape_controls(text) == shown


@given(st.text())
def test_it_is_one_printable_line_that_can_be_written(text: str) -> None:
    shown = escape_controls(text)
    assert shown.isprintable() or shown == ""
    shown.encode()
    assert escape_controls(shown) == shown


def record_of(
    message: str, *arguments: object, exc_info: Any = None, about: dict[str, object] | None = None
) -> logging.LogRecord:
    record = logging.LogRecord("engine.x", logging.WARNING, __file__, 1, message, arguments, exc_info)
    record.__dict__.update(about or {})
    return record


def formatted(message: str, *arguments: object, exc_info: Any = None, **about: object) -> list[str]:
    return TextFormatter().format(record_of(message, *arguments, exc_info=exc_info, about=about)).split("\n")


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


def test_what_a_line_is_about_stands_before_its_text_in_a_fixed_order() -> None:
    (line,) = formatted("no", queueId="1a2b", account="bob")
    assert line.endswith(" WARNING engine.x account=bob queueId=1a2b: no")


@pytest.mark.parametrize(
    ("account", "shown"),
    [
        ("a b", '"a b"'),
        ("a: forged", '"a: forged"'),
        ('a" queueId=1', r'"a\" queueId=1"'),
        ("a\\", r'"a\\"'),
        ("a\n", r'"a\\x0a"'),
        ("", '""'),
    ],
)
def test_no_id_can_be_taken_for_anything_else(account: str, shown: str) -> None:
    (line,) = formatted("text", account=account)
    assert line.endswith(f" WARNING engine.x account={shown}: text")


def test_a_task_says_what_all_its_lines_are_about() -> None:
    def task() -> None:
        requests = iter(["1", "2"])
        concerns(account="bob", request=lambda: next(requests))
        assert formatted("x")[0].endswith(" engine.x request=1 account=bob: x")
        assert formatted("x", account=None)[0].endswith(" engine.x request=2: x")
        concerns(webhook="default")
        assert formatted("x")[0].endswith(" engine.x webhook=default: x")

    contextvars.copy_context().run(task)
    assert formatted("x")[0].endswith(" engine.x: x")


def test_an_event_is_one_json_object() -> None:
    try:
        raise ValueError("oops\nforged")
    except ValueError:
        record = record_of("%s\n%s", "a", "b\ud83d", exc_info=sys.exc_info(), about={"account": "x y", "event": 7})
    record.created = 1_800_000_000.25
    line = Json().format(record)
    assert "\n" not in line
    entry = json.loads(line)
    traceback = entry.pop("traceback")
    assert entry == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "warning",
        "logger": "engine.x",
        "message": "a\\x0ab\\ud83d",
        "account": "x y",
        "event": "7",
    }
    assert traceback.startswith("Traceback")
    assert traceback.endswith("forged")


@given(st.text(), st.text())
def test_whatever_is_said_is_one_line_of_json(message: str, account: str) -> None:
    entry = json.loads(Json().format(record_of("%s", message, about={"account": account})))
    assert (entry["message"], entry["account"]) == (escape_controls(message), escape_controls(account))


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
