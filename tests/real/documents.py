"""The blocks of shell in the documents, and what a test needs to run them as they stand.

A block that cannot run in a test has `<!-- not run: reason -->` on the line above it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from real.engine_process import REPOSITORY

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]*) -->\n)?^```sh\n(?P<text>.*?)^```\n(?:```json\n(?P<answer>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """One block: where it stands, what it says, the JSON beneath it, and why it is not run, if it is not."""

    file: str
    line: int
    text: str
    answer: str | None
    reason: str | None


def documents() -> list[str]:
    """Every document that could hold something to type."""
    found = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")]
    return sorted(str(file.relative_to(REPOSITORY)) for file in found)


def blocks(file: str) -> list[Block]:
    """Those of one document, in order."""
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    found = [
        Block(file, text.count("\n", 0, match.start("text")), match["text"], match["answer"], match["reason"])
        for match in _BLOCK.finditer(text)
    ]
    assert len(found) == len(re.findall(r"^```(?:sh|bash|shell|console)$", text, re.MULTILINE)), f"{file}: odd blocks"
    return found


def source_folder(folder: Path) -> None:
    """A folder like a fresh clone of this repository; the code in it is that of the repository."""
    folder.mkdir()
    for name in ("README.md", "LICENSE", "pyproject.toml", "config.toml"):
        shutil.copy(REPOSITORY / name, folder / name)
    for name in ("scripts", "requirements", "docs"):
        shutil.copytree(REPOSITORY / name, folder / name, symlinks=True)
    (folder / "engine").symlink_to(REPOSITORY / "engine")


def environment_folder(folder: Path) -> None:
    """An environment that holds the packages of the one that runs the tests, without installing anything."""
    folder.mkdir(parents=True)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", folder / "pyvenv.cfg")
    (folder / "lib").symlink_to(Path(sys.prefix) / "lib")
    (folder / "bin").mkdir()
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(os.path.realpath(sys.executable))
    command(folder / "bin" / "engine", f'PYTHONPATH={REPOSITORY} exec "$(dirname "$0")/python" -m engine "$@"')


def command(file: Path, text: str) -> None:
    """A command of that name: a few lines of shell."""
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


FOLLOW = """
# What goes on until Ctrl-C is ended as soon as it has said something.
until_it_speaks() {
    rm -f spoken
    command "$@" >spoken 2>&1 & local process=$!
    until [ -s spoken ] && { [ "$2" != serve ] || grep -q "listens on" spoken; }; do
        kill -0 $process || { cat spoken; return 1; }
        sleep 0.1
    done
    kill -TERM $process
    wait $process || [ "$2" != serve ]
    cat spoken
}
engine() {
    case "$1 ${2:-}" in
    "events tail" | "serve ") until_it_speaks engine "$@" ;;
    *) command engine "$@" ;;
    esac
}
"""


def run(script: str, folder: Path, environment: dict[str, str], under: Sequence[str] = ()) -> str:
    """What the script of bash prints, its errors too. Fails the test at the first command that fails.

    `under`: a command that runs it, such as unshare.
    """
    done = subprocess.run(
        [*under, "bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout
