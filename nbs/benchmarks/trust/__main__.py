"""Every promise and its cases: properties, hostile data, malformed files, faults, reproducibility, dynamo's own tests.

    python nbs/benchmarks/trust                                    all of it; PASS, FAIL or SKIP for each promise
    python nbs/benchmarks/trust --quick                            fewer cases, a minute or two: what .ci/run calls
    python nbs/benchmarks/trust --out nbs/benchmarks/trust.json    and keep the counts, which the page 05_trust shows
    python nbs/benchmarks/trust --only hostile,files               some suites; --out keeps the rows of the others
    python nbs/benchmarks/trust --promise disk                     the promises with this word in them, likewise

A promise passes if every case gave a right result or a clear refusal.
"""

import argparse
import importlib
import json
import platform
import sys
import time
import traceback
import warnings
from pathlib import Path

from outcome import Outcome, promises

ELSEWHERE = ("reproducible", "reference", "versions")
SUITES = ("properties", "hostile", "reports", "files", "faults", *ELSEWHERE)

def run(outcome, function, quick, seed):
    "Try the cases of one promise, and say what came out."
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try: function(outcome, quick, seed)
        except Exception: outcome.problems.append("the test itself stopped: " + traceback.format_exc(limit=-3))
    if not outcome.tried and not outcome.note: outcome.problems.append("no case was tried")
    verdict = "FAIL" if outcome.problems else "PASS" if outcome.tried else "SKIP"
    counts = f"{outcome.tried} tried, {outcome.right} right, {outcome.refused} refused clearly"
    print(f"{verdict} trust {outcome.suite}: {outcome.promise} ({counts}, {time.perf_counter() - start:.0f} s)")
    for p in outcome.problems[:20]: print("    " + p.replace("\n", "\n    "))
    sys.stdout.flush()
    return outcome

def write(out, outcomes, args):
    "Keep the counts; promises that were not tried now keep their rows, if made with the same seed and effort."
    about = {"python": platform.python_version(), "system": platform.system(), "seed": args.seed, "quick": args.quick}
    rows = [o.row() for o in outcomes]
    if out.exists() and (before := json.loads(out.read_text(encoding="utf-8")))["about"] == about:
        ran = {(row["suite"], row["promise"]) for row in rows}
        rows += [row for row in before["promises"] if (row["suite"], row["promise"]) not in ran]
    rows.sort(key=lambda row: SUITES.index(row["suite"]))
    out.write_text(json.dumps({"about": about, "promises": rows}, indent=1) + "\n", encoding="utf-8")

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer cases")
    parser.add_argument("--only", default=",".join(SUITES), help="suites, with commas between")
    parser.add_argument("--promise", default="", help="only promises with this word in them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the counts as JSON")
    args = parser.parse_args()
    outcomes = []
    for suite in args.only.split(","):
        importlib.import_module("elsewhere" if suite in ELSEWHERE else suite)
        outcomes += [run(Outcome(suite, words), function, args.quick, args.seed)
                     for words, function in promises.get(suite, {}).items() if args.promise in words]
    if args.out: write(args.out, outcomes, args)
    return min(100, sum(bool(o.problems) for o in outcomes))

if __name__ == "__main__": sys.exit(main())
