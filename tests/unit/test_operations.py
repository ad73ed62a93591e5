from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def counted() -> list[str]:
    """What `scripts/operations` prints, line by line."""
    command = [sys.executable, str(ROOT / "scripts" / "operations.py")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.parametrize("document", ["README.md", "docs/differences.md"])
def test_the_documents_say_how_many_operations_of_emailengine_work(counted: list[str], document: str) -> None:
    assert counted[-1] in (ROOT / document).read_text(), "run scripts/operations --write"


def test_each_operation_is_counted_once(counted: list[str]) -> None:
    rows = counted[:-1]
    assert len(rows) == len({row[5:] for row in rows}) == int(counted[-1].split()[3])
    assert sum(row.startswith("yes") for row in rows) == int(counted[-1].split()[0])
    assert "yes  POST /v1/account/{}/submit" in rows
