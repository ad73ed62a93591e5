"""docs/errors.md against the source: every code has its row, and no row tells of a code that is gone."""

from __future__ import annotations

import ast
import errno
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from engine.accounts.not_ready import REFUSALS
from engine.errors import NetworkKind
from engine.smtp.verdict import Kind, Stage, Verdict, error_code
from engine.transport import CERTIFICATE_CODES

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "engine"
PAGE = (ROOT / "docs" / "errors.md").read_text()
MEMBERS = frozenset({"code", "network_code", "error_code", "serverResponseCode"})
MAKERS = {"NetworkError": 1, "AnswerLost": 1, "Failed": 0, "_entry": 1, "TokenError": None}
"""Where among its arguments each of these has a code."""
OF_SERVERS = frozenset({"AUTHENTICATIONFAILED"})
"""Words of servers on the page, which are passed on as they come."""
SHOWN_ONLY = frozenset({"engine/schema", "engine/sandbox"})
"""Rooms where codes are examples or part of a play."""


def rows(heading: str = "") -> Iterator[str]:
    """The first cell of each row of the page, or of one of its sections."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0] if heading else PAGE
    for line in section.splitlines():
        if line.startswith("| `"):
            yield line.split("|")[1]


def on_page() -> set[str]:
    return {code for row in rows() for code in re.findall("`([^`]+)`", row)}


def _text(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from _text(node.body)
        yield from _text(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for each in node.values:
            yield from _text(each)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


@cache
def trees() -> dict[str, ast.Module]:
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in sorted(ENGINE.rglob("*.py"))}


def given() -> dict[str, str]:
    """Each code that a call or a table of the engine's source names, and one place where."""
    found: dict[str, str] = {}
    for name, tree in trees().items():
        if any(name.startswith(room) for room in SHOWN_ONLY):
            continue
        for node in ast.walk(tree):
            for code in _codes(node):
                found.setdefault(code, f"{name}:{getattr(node, 'lineno', 0)}")
    return found


def _codes(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg in MEMBERS:
                yield from _text(keyword.value)
        made = node.func.id if isinstance(node.func, ast.Name) else ""
        at = MAKERS.get(made)
        if at is not None and len(node.args) > at:
            yield from _text(node.args[at])
        if made == "TokenError":
            yield from (code for each in node.keywords if each.arg == "error" for code in _text(each.value))
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value in MEMBERS:
                yield from _text(value)


def made_at_run_time() -> set[str]:
    """The codes that stand in tables of the source."""
    refused = {error_code(Verdict(Kind.REJECTED, stage, 550, None, "")) for stage in Stage}
    broken = {error_code(Verdict(Kind.LATER, Stage.AUTH, None, None, "", kind)) for kind in NetworkKind}
    return refused | broken | {each.code for each in REFUSALS.values()} | set(CERTIFICATE_CODES.values())


def test_every_code_is_on_the_page() -> None:
    missing = {code: where for code, where in given().items() if code not in on_page()}
    assert missing == {}
    assert made_at_run_time() - on_page() == set()


def test_no_code_on_the_page_is_gone() -> None:
    source = "\n".join(file.read_text() for file in ENGINE.rglob("*.py"))
    gone = {code for code in on_page() - OF_SERVERS if f'"{code}"' not in source}
    assert gone - set(errno.errorcode.values()) - {"HTTP"} == set()


def test_the_statuses_of_problems_are_those_of_the_source() -> None:
    of_source: dict[str, set[str]] = {}
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Problem", "NoSession"):
                codes = [code for each in node.keywords if each.arg == "code" for code in _text(each.value)]
                if isinstance(node.args[0], ast.Constant):
                    for code in codes:
                        of_source.setdefault(code, set()).add(str(node.args[0].value))
    for line in PAGE.partition("## Failed requests")[2].partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            code, statuses = (cell.strip(" `") for cell in line.split("|")[1:3])
            expected = of_source.get(code)
            if expected is not None:
                assert set(statuses.split(", ")) == expected, code


@pytest.mark.parametrize("heading", ["Failed requests", "Servers and networks", "Sign-ins", "Exports"])
def test_the_sections_have_rows(heading: str) -> None:
    assert list(rows(heading))
