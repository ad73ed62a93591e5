"""The units and the container files of `docs/`: what systemd itself says of the units, and what the wheel must have."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
UNITS = sorted([*DOCS.glob("*.service"), *DOCS.glob("*.timer")])
LARGEST_EXPOSURE = {"mailbox-engine.service": 20, "mailbox-engine-backup.service": 30}
"""Tenths of what `systemd-analyze security` says, from 0 (closed) to 100."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments, "--no-pager"],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@needs_systemd
@pytest.mark.parametrize("unit", LARGEST_EXPOSURE)
def test_what_a_unit_leaves_open(unit: str) -> None:
    threshold = f"--threshold={LARGEST_EXPOSURE[unit]}"
    done = analyze("security", "--offline=true", threshold, str(DOCS / unit))
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


@needs_systemd
def test_systemd_can_read_the_units(tmp_path: Path) -> None:
    for each in UNITS:
        text = each.read_text(encoding="utf-8").replace("/opt/mailbox-engine/bin/engine", "/bin/true")
        (tmp_path / each.name).write_text(text, encoding="utf-8")
    done = analyze("verify", "--man=no", *(str(tmp_path / each.name) for each in UNITS))
    # It may say more, of units of this machine.
    assert [line for line in done.stderr.splitlines() if "mailbox-engine" in line] == []


def test_the_backup_gets_the_key_as_the_engine_does() -> None:
    credentials = [
        re.findall(r"^LoadCredential=.*|ENGINE_STORE__KEY_FILE=\S+", (DOCS / unit).read_text(), re.MULTILINE)
        for unit in LARGEST_EXPOSURE
    ]
    assert credentials[0] == credentials[1] and len(credentials[0]) == 2


def test_the_wheel_has_each_file_that_the_documents_link_to() -> None:
    package = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["engine"]
    packed = {file for each in package for file in (REPOSITORY / "engine").glob(each)}
    inside = [each for each in DOCS.iterdir() if each.is_file()]
    assert {each.name for each in inside} == {each.name for each in packed}
