"""How rules report what they find. *pure*"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from engine.schema.submit_checks import CheckCode, Severity, SubmitCheck

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info", "ok")
LONGEST_NAME = 100
"""Maximum characters of what a message quotes."""
NAMED = 5
"""Maximum things of one kind that a message names."""


def found(code: CheckCode, severity: Severity, message: str, field: str | None = None) -> SubmitCheck:
    """A check, in the form of the answer."""
    return SubmitCheck(code=code, severity=severity, message=message, field=UNSET if field is None else field)


def worst_first(checks: Iterable[SubmitCheck]) -> tuple[SubmitCheck, ...]:
    """The checks by severity, each once."""
    return tuple(sorted(dict.fromkeys(checks), key=lambda check: SEVERITIES.index(check.severity)))


def quoted(text: str) -> str:
    """Text from outside as part of a sentence: on one line, and shortened."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"


def listed(names: Iterable[str]) -> str:
    """The first of several names, and how many more there are."""
    each = list(dict.fromkeys(names))
    more = f" and {len(each) - NAMED} more" if len(each) > NAMED else ""
    return ", ".join(map(quoted, each[:NAMED])) + more
