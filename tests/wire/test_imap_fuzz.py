"""A short run of scripts/fuzz_imap: each input must come to values, or to what may end a connection."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fuzz_imap.py"
INPUTS = 3000


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_imap", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.once
def test_whatever_a_server_says(fuzz: ModuleType) -> None:
    came = [fuzz.tried(4711, number) for number in range(INPUTS)]
    assert [finding for _, finding in came if finding is not None] == []
    assert len({outcome for outcome, _ in came}) > 40


def test_a_wrong_reading_is_found(fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr(fuzz, "read_fetch", crash)
    assert any(finding is not None for _, finding in (fuzz.tried(4711, number) for number in range(INPUTS)))
