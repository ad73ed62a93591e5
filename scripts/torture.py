"""Kill the engine again and again under load, and reckon up what became of every message it had said yes to.

Without a mode: kill -9 rounds. `--start N`: N messages queued, then the time to ready and the memory of a start.
`--hostile N`: how long a good account waits beside one with N queued and beside servers that hang.

The exit code is 1 when a message was lost, was delivered twice without having been said to be in doubt, or any other
line of the table that has to be 0 is not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from torture_parts.backlog import measure_start
from torture_parts.neighbours import measure_delays
from torture_parts.rounds import Plan, Run, kill_rounds


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20, help="kills (default 20; about 3 s each)")
    parser.add_argument("--seed", type=int, help="of kill moments and messages (default: by the clock; printed)")
    parser.add_argument("--clients", type=int, default=50, help="concurrent submitters (default 50)")
    parser.add_argument("--rate", type=float, default=200.0, help="submissions a second, all together (default 200)")
    parser.add_argument("--accounts", type=int, default=10, help="accounts they submit to (default 10)")
    parser.add_argument("--longest", type=float, default=2.0, help="longest life of an engine in seconds (default 2)")
    parser.add_argument("--trouble", type=float, default=0.1, help="share of mail the server misbehaves on (0.1)")
    parser.add_argument("--hold", type=float, default=0.2, help='share of mail with "onDoubt": "hold" (default 0.2)')
    parser.add_argument("--cancel", type=float, default=0.05, help="share of mail cancelled at once (default 0.05)")
    parser.add_argument("--no-keys", action="store_true", help="repeat lost requests without an Idempotency-Key")
    parser.add_argument("--settle", type=float, default=120.0, help="seconds to wait for the rest (default 120)")
    parser.add_argument("--start", type=int, metavar="N", help="instead: N messages queued and restarted")
    parser.add_argument("--hostile", type=int, metavar="N", help="instead: a good account beside N queued messages")
    return parser.parse_args()


def show(plan: Plan, run: Run) -> bool:
    """Print it; whether all is well."""
    print(run.findings.table())
    print(f"{'not settled in time':40} {run.unsettled:>8}")
    first, *restarts = run.ready
    if restarts:
        middle, worst = statistics.median(restarts), max(restarts)
        print(f"{'restart to ready':40} median {middle:.2f} s, longest {worst:.2f} s (first start {first:.2f} s)")
    if "Traceback" in run.log:
        print(f"\nthe engine crashed of itself; its log:\n{run.log}")
    for name, found in run.findings.faults.items():
        print(f"\n{name}: {len(found)}, the first of them: {found[:5]}")
    well = not run.findings.faults and "Traceback" not in run.log
    print("\nwell" if well else f"\nNOT WELL; again with --rounds {plan.rounds} --seed {plan.seed}", flush=True)
    return well


def main() -> int:
    given = arguments()
    with tempfile.TemporaryDirectory(prefix="engine-torture-") as name:
        folder = Path(name)
        if given.start is not None:
            return measure_start(folder, given.start)
        if given.hostile is not None:
            return measure_delays(folder, given.hostile)
        plan = Plan(
            rounds=given.rounds,
            seed=given.seed if given.seed is not None else int(time.time()),
            clients=given.clients,
            rate=given.rate,
            accounts=given.accounts,
            longest=given.longest,
            trouble=given.trouble,
            hold=given.hold,
            cancel=given.cancel,
            keys=not given.no_keys,
            settle=given.settle,
        )
        print(f"seed {plan.seed}, {plan.rounds} rounds, {plan.clients} submitters", flush=True)
        return 0 if show(plan, kill_rounds(plan, folder)) else 1


sys.exit(main())
