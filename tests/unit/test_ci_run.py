"""`.ci/run` says by its exit code whether a change may be accepted; here in a folder whose `scripts` do no work."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

CI_RUN = Path(__file__).parents[2] / ".ci" / "run"

# The Pythons are two files that answer `-V`: neither the machine's own nor pyenv's are asked.
PYTHON = "#!/bin/sh\nexit 0\n"
SCRIPT = '#!/bin/sh\necho "$(basename "$0") $*"\ncase "$(basename "$0") $*" in {failing}) exit 3;; esac\n'


def ci_run(folder: Path, failing: str = "nothing") -> subprocess.CompletedProcess[str]:
    """Runs a copy of `.ci/run` in `folder`, where the command that matches the shell pattern `failing` exits with 3."""
    (folder / ".ci").mkdir()
    shutil.copy(CI_RUN, folder / ".ci" / "run")
    programs = {
        "bin/python3.11": PYTHON,
        "bin/python3.13": PYTHON,
        "scripts/check": SCRIPT.format(failing=failing),
        "scripts/test": SCRIPT.format(failing=failing),
        ".venv-3.13/bin/coverage": "#!/bin/sh\necho 83\n",
    }
    for name, text in programs.items():
        program = folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        [folder / ".ci" / "run"], env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60
    )


def test_the_run_passes_when_all_its_parts_do(tmp_path: Path) -> None:
    ran = ci_run(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    assert "these tests run 83 % of the lines" in ran.stdout


@pytest.mark.parametrize(
    "failing",
    [
        '"test --python python3.11"',
        '*"--hypothesis-profile"*',
        '"check --python python3.11"',
        '"check --python python3.11 --environment"',
        '"test --python python3.13 --read"*',
    ],
)
def test_the_run_fails_when_one_of_its_parts_does(tmp_path: Path, failing: str) -> None:
    assert ci_run(tmp_path, failing).returncode != 0
