"""docs/sandbox.md as its reader follows it: the examples for pytest and Node, and the requests with curl."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from real.documents import blocks, run
from real.engine_process import REPOSITORY, EngineProcess

pytestmark = pytest.mark.process

FIRST = "TOKEN=$(cat data/quickstart/token) URL=http://127.0.0.1:3000\n"


def test_the_document_as_it_stands(shared_engine: EngineProcess, tmp_path: Path) -> None:
    script = "".join(block.text for block in blocks("docs/sandbox.md"))
    assert script.startswith(FIRST)
    script = script.replace(FIRST, f"TOKEN={shared_engine.token} URL={shared_engine.url}\n")
    if shutil.which("node") is None:
        script = re.sub(r"^.*node --test.*\n", "", script, flags=re.MULTILINE)
    (tmp_path / ".curlrc").write_text("fail-with-body\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENGINE_", "PYTEST_"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    said = run(script, REPOSITORY, {**kept, "HOME": str(tmp_path), "PATH": path})
    names = re.findall(r'"event":"(message\w+)"', said.split('"ahead":0.0', 1)[-1])
    assert names == ["messageDeliveryError", "messageDeliveryError", "messageSent"], said
