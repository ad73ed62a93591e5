"""SEARCH: parses keys into tests that a message must all pass (RFC 3501 section 6.4.4). Pure.

Text is searched for in the raw bytes, ignoring the case of ASCII letters and without decoding. NOT negates a key; OR,
groups in parentheses and unknown keys raise `Syntax`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate
from typing import Final

from engine.sandbox.accounts import SandboxMessage
from engine.sandbox.imap_fetch import MONTHS, fields
from engine.sandbox.imap_input import SequenceSet, Syntax, Token, text
from engine.sandbox.imap_view import View

Test = Callable[[SandboxMessage], bool]

_DATE = re.compile(r"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")
_FLAG_KEYS: Final = {
    "ANSWERED": "\\Answered",
    "DELETED": "\\Deleted",
    "DRAFT": "\\Draft",
    "FLAGGED": "\\Flagged",
    "SEEN": "\\Seen",
}
_FIELD_KEYS: Final = ("BCC", "CC", "FROM", "SUBJECT", "TO")
_DAY: Final = 86_400


def search(view: View, arguments: list[Token]) -> list[tuple[int, SandboxMessage]]:
    """The messages that pass, with their sequence numbers. Raises `Syntax`."""
    rest = iter(arguments)
    tests = [_read(key, rest, view) for key in _after_charset(rest)]
    if not tests:
        raise Syntax("Missing search parameters")
    return [(number, message) for number, message in view.all() if all(test(message) for test in tests)]


def _after_charset(rest: Iterator[Token]) -> Iterator[str]:
    for token in rest:
        key = text(token).upper()
        if key == "CHARSET":
            if _text_of(rest).upper() not in ("UTF-8", "US-ASCII"):
                raise Syntax("Unknown charset")
        else:
            yield key


def _read(key: str, rest: Iterator[Token], view: View) -> Test:
    wanted = True
    while key == "NOT":
        wanted = not wanted
        key = _text_of(rest).upper()
    test = _key(key, rest, view)
    return test if wanted else lambda message: not test(message)


def _key(key: str, rest: Iterator[Token], view: View) -> Test:
    if key == "ALL":
        return lambda message: True
    if key in _FLAG_KEYS:
        return _has_flag(_FLAG_KEYS[key], True)
    if key.startswith("UN") and key[2:] in _FLAG_KEYS:
        return _has_flag(_FLAG_KEYS[key[2:]], False)
    if key in ("KEYWORD", "UNKEYWORD"):
        return _has_flag(_text_of(rest), key == "KEYWORD")
    if key == "HEADER":
        return _in_field(_text_of(rest).upper(), _bytes_of(rest))
    if key in _FIELD_KEYS:
        return _in_field(key, _bytes_of(rest))
    if key in ("TEXT", "BODY"):
        return _in_message(_bytes_of(rest), whole=key == "TEXT")
    if key in ("SINCE", "BEFORE", "ON"):
        return _dated(key, _date_of(rest), lambda message: message.date)
    if key in ("SENTSINCE", "SENTBEFORE", "SENTON"):
        return _dated(key.removeprefix("SENT"), _date_of(rest), _sent)
    if key in ("LARGER", "SMALLER"):
        return _sized(key, _text_of(rest))
    if key == "UID":
        return _one_of(view, _text_of(rest), by_uid=True)
    if key[:1].isdigit() or key[:1] == "*":
        return _one_of(view, key, by_uid=False)
    raise Syntax(f"Unknown argument {key}")


def _has_flag(flag: str, wanted: bool) -> Test:
    return lambda message: (flag in message.flags) is wanted


def _in_field(name: str, value: bytes) -> Test:
    def test(message: SandboxMessage) -> bool:
        found = (lines.partition(b":")[2] for field, lines in fields(message.raw) if field == name)
        return any(value in re.sub(rb"\r?\n", b"", one).lower() for one in found)

    return test


def _in_message(value: bytes, *, whole: bool) -> Test:
    return lambda message: value in (message.raw if whole else message.raw.partition(b"\r\n\r\n")[2]).lower()


def _dated(key: str, midnight: float, date: Callable[[SandboxMessage], float | None]) -> Test:
    def test(message: SandboxMessage) -> bool:
        moment = date(message)
        if moment is None:
            return False
        if key == "SINCE":
            return moment >= midnight
        return moment < midnight if key == "BEFORE" else midnight <= moment < midnight + _DAY

    return test


def _sent(message: SandboxMessage) -> float | None:
    """Midnight of the day in its Date field, ignoring the zone (RFC 3501 section 6.4.4)."""
    written = next((lines.partition(b":")[2] for name, lines in fields(message.raw) if name == "DATE"), b"")
    parts = parsedate(written.decode("latin-1").strip())
    return None if parts is None else datetime(*parts[:3], tzinfo=UTC).timestamp()


def _sized(key: str, written: str) -> Test:
    if not written.isdecimal():
        raise Syntax(f"Invalid size {written}")
    size = int(written[:20])
    return (lambda message: len(message.raw) > size) if key == "LARGER" else (lambda message: len(message.raw) < size)


def _one_of(view: View, written: str, *, by_uid: bool) -> Test:
    uids = {message.uid for _, message in view.select(SequenceSet(written), by_uid=by_uid)}
    return lambda message: message.uid in uids


def _text_of(rest: Iterator[Token]) -> str:
    token = next(rest, None)
    if token is None:
        raise Syntax("Missing argument")
    return text(token)


def _bytes_of(rest: Iterator[Token]) -> bytes:
    return _text_of(rest).encode("utf-8", "surrogateescape").lower()


def _date_of(rest: Iterator[Token]) -> float:
    match = _DATE.fullmatch(_text_of(rest))
    if match is None or match[2].capitalize() not in MONTHS:
        raise Syntax("Invalid search date parameter")
    try:
        day = datetime(int(match[3]), MONTHS.index(match[2].capitalize()) + 1, int(match[1]), tzinfo=UTC)
    except ValueError as error:
        raise Syntax("Invalid search date parameter") from error
    return day.timestamp()
