"""What the documents list is what there is: a row a file, a section for every event, tests that are named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from engine.schema.events import EVENT_DATA

ROOT = Path(__file__).parents[2]


def rows() -> Counter[str]:
    """The files that docs/design.md has a row for, and how many each."""
    found, room = Counter[str](), ""
    for line in (ROOT / "docs" / "design.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = re.match(r"### `(engine(?:/\w+)*)/?`", line)
            room = heading[1] if heading else ""
        elif room and (row := re.match(r"\| (`.*?`) \|", line)):
            found.update(f"{room}/{name}" for name in re.findall(r"`(.*?\.py)`", row[1]))
    return found


def test_every_file_has_one_row_in_the_design() -> None:
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "engine").rglob("*.py")}
    needed = {each for each in files if not each.startswith("engine/web/pages/") and not each.endswith("__init__.py")}
    listed = rows()
    assert needed - set(listed) == set(), "files without a row"
    assert set(listed) - files == set(), "rows without a file"
    assert max(listed.values()) == 1


def test_every_event_has_a_section() -> None:
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    headed = {name.strip() for line in re.findall(r"^### (.*)$", text, re.MULTILINE) for name in line.split(",")}
    assert set(EVENT_DATA) - headed == set()


def named_tests(text: str) -> Iterator[tuple[str, str]]:
    """File and name of each test in a text; `::name` alone is of the file named before it."""
    file = ""
    for named, name in re.findall(r"`((?:unit|wire|sim|real|torture)/\w[\w/]*\.py)?(?:::([\w:]+))?`", text):
        file = named or file
        if named or name:
            yield file, name


def test_every_test_that_reliability_names_is_there() -> None:
    named = list(named_tests((ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")))
    assert len(named) > 60
    for file, name in named:
        path = ROOT / "tests" / file
        assert path.is_file(), file
        source = path.read_text(encoding="utf-8")
        for part in filter(None, name.split("::")):
            assert re.search(rf"\b(?:def|class) {part}\b", source), f"{file}::{name}"
