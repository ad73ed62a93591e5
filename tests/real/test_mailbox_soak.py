"""A small run of scripts/mailbox_soak: requests and a second client at once; the events stay true, a kill included."""

from __future__ import annotations

import subprocess
import sys

import pytest
from real.engine_process import REPOSITORY

pytestmark = [pytest.mark.real, pytest.mark.process, pytest.mark.long]


@pytest.mark.usefixtures("dovecot")
def test_the_events_stay_true() -> None:
    script = REPOSITORY / "scripts" / "mailbox_soak.py"
    options = ["--minutes", "0.3", "--seconds", "5", "--kills"]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert "1 kills" in done.stdout or "2 kills" in done.stdout
    assert "\n0 things are wrong" in done.stdout
