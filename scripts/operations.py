"""Count EmailEngine's operations that the engine has too, by method and path.

The names stand in `emailengine_operations.txt`; whatever a path parameter is called, it counts as the same. Without an
option it prints what is here and what is missing. `--write` puts the number into README.md and docs/differences.md.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.api import operations  # noqa: E402

NAMES = Path(__file__).with_name("emailengine_operations.txt")
SAID_IN = (ROOT / "README.md", ROOT / "docs" / "differences.md")
SENTENCE = re.compile(r"\d+ of EmailEngine's \d+ operations")


def theirs() -> list[str]:
    """EmailEngine's operations, as `GET /v1/account/{}`."""
    return [line for line in NAMES.read_text().splitlines() if line and not line.startswith("#")]


def ours() -> set[str]:
    """The engine's, written the same way."""
    return {re.sub(r"\{[^}]*\}", "{}", each.name) for each in operations() if not each.websocket}


def sentence() -> str:
    """What README and docs/differences.md say."""
    here = ours()
    return f"{sum(name in here for name in theirs())} of EmailEngine's {len(theirs())} operations"


def write(text: str) -> None:
    """Put the sentence where an older one stands. Ends the script where there is none."""
    for path in SAID_IN:
        changed, found = SENTENCE.subn(text, path.read_text())
        if not found:
            raise SystemExit(f"{path.relative_to(ROOT)} has no sentence like {text!r}")
        path.write_text(changed)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/operations", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the number into README.md and docs/differences.md")
    if parser.parse_args().write:
        write(sentence())
    here = ours()
    for name in theirs():
        print(f"{'yes' if name in here else ' no'}  {name}")
    print(sentence())


if __name__ == "__main__":
    main()
