"""The same suites under other versions: the oldest that settings.ini allows, and each Python.

Interpreters with vfjac and hypothesis are named by the environment variable VFJAC_PYTHONS, with colons between. Without
it nothing is tried, and that is said.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from outcome import Outcome, promise

HERE = Path(__file__).resolve().parent
SHOWN = ("anndata", "numpy", "pandas", "scipy", "altair")
ASK = f"""
import json, platform
from importlib.metadata import version
print(json.dumps({{"python": platform.python_version(), **{{name: version(name) for name in {SHOWN!r}}}}}))
"""

def about(python: str) -> dict:
    "Versions of an interpreter and of what it has."
    return json.loads(subprocess.run([python, "-c", ASK], check=True, capture_output=True, text=True).stdout)

def suites_under(python: str, seed: int) -> list[dict]:
    "Rows of the quick suites, run by another interpreter."
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "trust.json"
        command = [python, HERE, "--quick", "--seed", str(seed), "--only", "properties,hostile", "--out", out]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=folder)
        if not out.exists(): raise RuntimeError(done.stderr[-2000:])
        return json.loads(out.read_text())["promises"]

@promise("versions", "properties and hostile data, the quick suites, under each named interpreter")
def versions(outcome: Outcome, quick: bool, seed: int) -> None:
    named = [p for p in os.environ.get("VFJAC_PYTHONS", "").split(":") if p]
    if quick or not named:
        outcome.note = "not in the quick run" if quick else "no interpreters are named in VFJAC_PYTHONS"
        return
    tried = []
    for python in named:
        what = about(python)
        rows = suites_under(python, seed)
        counts = {key: sum(row[key] for row in rows) for key in ("tried", "right", "refused")}
        for key, value in counts.items(): setattr(outcome, key, getattr(outcome, key) + value)
        outcome.problems += [f"Python {what['python']}: {p}" for row in rows for p in row["problems"]]
        tried.append(" ".join(f"{name} {what[name]}" for name in ("python", *SHOWN)) + f": {counts['tried']} cases")
        print(f"    {tried[-1]}", file=sys.stderr, flush=True)
    outcome.note = "; ".join(tried)
