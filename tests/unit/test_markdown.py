"""Prose in Markdown keeps to 120 columns; what is no prose is left as it is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import markdown  # noqa: E402

pytestmark = pytest.mark.once

LONG = "word " * 30


@pytest.mark.parametrize("path", markdown.documents(), ids=lambda path: path.name)
def test_no_line_of_prose_is_too_long(path: Path) -> None:
    assert not markdown.too_long(path.read_text(encoding="utf-8")), "run scripts/markdown.py --write"


@pytest.mark.parametrize("path", markdown.documents(), ids=lambda path: path.name)
def test_no_conflict_of_a_merge_is_left(path: Path) -> None:
    assert not re.search(r"^(<{7}|>{7}) ", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_each_decision_has_a_number_of_its_own() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [name.partition("-")[0] for name in names]
    assert len(set(numbers)) == len(numbers)
    titles = [(ROOT / "docs" / "decisions" / name).read_text(encoding="utf-8").partition(":")[0] for name in names]
    assert titles == [f"# {number}" for number in numbers]


@pytest.mark.parametrize(
    ("text", "wrapped"),
    [
        (LONG.strip(), f"{('word ' * 24).strip()}\n{('word ' * 6).strip()}"),
        (f"* {LONG.strip()}", f"* {('word ' * 23).strip()}\n  {('word ' * 7).strip()}"),
        (f"> {LONG.strip()}", f"> {('word ' * 23).strip()}\n> {('word ' * 7).strip()}"),
        (f"10. {LONG.strip()}\n    more", f"10. {('word ' * 23).strip()}\n    {('word ' * 7).strip()} more"),
        (f"{'x' * 118} - so", f"{'x' * 118} -\nso"),
        (f"{'x' * 110} `a code span`", f"{'x' * 110}\n`a code span`"),
    ],
)
def test_prose_is_wrapped(text: str, wrapped: str) -> None:
    assert markdown.too_long(text)
    assert markdown.wrap(text) == wrapped


@pytest.mark.parametrize(
    "text",
    [
        f"| {LONG}|",
        f"```sh\n{LONG}\n```",
        f"# {LONG}",
        "x" * 200,
        f"`{LONG}`",
        "short\nlines\nas they are",
    ],
)
def test_what_cannot_be_wrapped_is_left_alone(text: str) -> None:
    assert not markdown.too_long(text)
    assert markdown.wrap(text) == text
