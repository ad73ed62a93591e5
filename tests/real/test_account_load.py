"""A small run of scripts/account_load: restarts, a hanging server, a killed engine; each change is announced once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from real.engine_process import REPOSITORY

pytestmark = [pytest.mark.real, pytest.mark.process, pytest.mark.long]


@pytest.mark.usefixtures("dovecot")
def test_every_change_of_every_mailbox_is_told_once() -> None:
    script = REPOSITORY / "scripts" / "account_load.py"
    options = ["--accounts", "8", "--rounds", "3", "--seconds", "1", "--resync", "2"]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert "0 things are wrong" in done.stdout
