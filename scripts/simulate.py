"""Run the seeded simulation: the whole engine against providers, callers, disk and clock that misbehave from a seed.

A failing seed is printed with what it found, the commit, and the lines that led there; the same seed on the same commit
repeats it. `--trace` writes every line of a run to a file.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "sim")]

from seeded.universe import Broken, Mode, simulate  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=_seeds, default=range(1, 21), metavar="A-B", help="one, or from A to B (1-20)")
    parser.add_argument("--mode", choices=[*Mode, "both"], default="both", help="faults to the end, or settling after")
    parser.add_argument("--days", type=float, default=1.0, help="simulated days with faults (default 1; about 10 s)")
    parser.add_argument("--trace", type=Path, metavar="FOLDER", help="write the trace of each run there")
    parser.add_argument("--stop", action="store_true", help="stop at the first seed that fails")
    return parser.parse_args()


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    given = arguments()
    modes = list(Mode) if given.mode == "both" else [Mode(given.mode)]
    failed = 0
    for seed in given.seeds:
        for mode in modes:
            started = time.monotonic()
            try:
                trace = simulate(seed, mode, given.days)
            except Broken as broken:
                failed += 1
                print(f"\n{broken}\n", flush=True)
                lines = broken.lines
            else:
                took = time.monotonic() - started
                print(f"seed {seed:6} {mode:8} well, {len(trace.lines):6} lines, {took:5.1f} s", flush=True)
                lines = trace.lines
            if given.trace is not None:
                given.trace.mkdir(exist_ok=True)
                (given.trace / f"{seed}-{mode}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            if failed and given.stop:
                return 1
    runs = len(given.seeds) * len(modes)
    print(f"{runs} runs of {given.days:g} simulated days, {failed} of them failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
