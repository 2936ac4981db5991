"""The same seed gives the same bytes: in another process, with other threads, under another Python. And dynamo's side.

Each case is a process of its own that asks everything and writes what it finds to a folder. Where a result must be the
same to the byte it is compared so; where BLAS adds in another order (more threads, another numpy), whole numbers and
names must be the same and others agree to `NEAR` of the largest of their array.

Other interpreters with vfjac are named by the environment variable VFJAC_PYTHONS, with colons between (those with
hypothesis run the quick suites, too), and one with dynamo-release by VFJAC_REFERENCE_PYTHON.
"""
# ruff: noqa: B023, each case is tried at once

import json
import os
import subprocess
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import verbs
from outcome import Outcome, close, digest, promise

import vfjac as vf

HERE, NEAR = Path(__file__).resolve().parent, 1e-6
LOOSE = ("h5ad/uns/VecFld_pca/covariance_root", "mixed.C", "h5ad/obs", "h5ad/var")   # a root, and a sum, are not unique
PYTHONS = [p for p in os.environ.get("VFJAC_PYTHONS", "").split(":") if p]

# ---- the work of one process

def results(folder, cores):
    "Everything that is compared: name and array, or bytes."
    for name in verbs.ASK:
        a = verbs.plain()
        for key, value in verbs.plainly(verbs.ASK[name](a), a).items(): yield f"{name}.{key}", value
    for kind, how in dict(compat=dict(compat="dynamo"), mixed=dict(kernel="mixed", beta=0.02, eta=0.5)).items():
        for key, value in verbs.fitted(verbs.plain(), **how).items(): yield f"{kind}.{key}", np.asarray(value)
    gj = vf.gene_jacobian(a := verbs.plain())
    for name in ("mean", "std", "mean_abs", "sign_fraction"): yield name, getattr(gj, name)(cores=cores)
    for method in ("analytical", "numerical"):
        yield method, vf.jacobian(a, method=method, store_in_adata=False, cores=cores)["jacobian"]
    a.write_h5ad(path := folder / "cells.h5ad")
    yield "h5ad", path.read_bytes()
    found = []
    with h5py.File(path) as f:
        f.visititems(lambda name, node: found.append((name, node[()])) if isinstance(node, h5py.Dataset) else None)
    for name, value in found:
        value = np.asarray(value)
        yield f"h5ad/{name}", value.astype(str) if value.dtype.kind in "OS" else value
    yield "report", vf.report(a, folder / "report.html").read_bytes()

def work(folder, cores):
    "Write what was found: a file of arrays, and a hash of everything."
    warnings.simplefilter("ignore")
    found = {name: np.frombuffer(v, "u1") if isinstance(v, bytes) else np.asarray(v)
             for name, v in results(Path(folder), int(cores))}
    (Path(folder) / "marks.json").write_text(json.dumps({name: digest(v) for name, v in found.items()}))
    np.savez(Path(folder) / "found.npz", **{name.replace("/", "|"): v for name, v in found.items()})

@cache
def found_by(python=sys.executable, threads=1, cores=1, hashes=0):
    "Hashes and arrays that a process finds."
    own = {f"{name}_NUM_THREADS": str(threads) for name in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM")}
    own |= dict(PYTHONHASHSEED=str(hashes), TQDM_DISABLE="1", PYTHONDONTWRITEBYTECODE="1")
    if python != sys.executable: own["PYTHONPATH"] = ""
    with tempfile.TemporaryDirectory(prefix="vfjac-trust-") as folder:
        words = [python, __file__, folder, str(cores)]
        done = subprocess.run(words, env=os.environ | own, capture_output=True, text=True, timeout=300)
        assert not done.returncode, "the process failed: " + done.stderr[-1500:]
        with np.load(Path(folder) / "found.npz") as file: arrays = {k.replace("|", "/"): file[k] for k in file}
        return json.loads((Path(folder) / "marks.json").read_text()), arrays

# ---- the comparison

def compare(o, what, *, to_the_byte=False, other_python=False, **how):
    "A case for every result."
    (marks, arrays), (there, others) = found_by(), found_by(**how)
    def agrees(name):
        if to_the_byte: return marks[name] == there.get(name) or "other bytes"
        here, other = arrays[name], others[name]
        if "U" in here.dtype.kind + other.dtype.kind: here, other = here.astype(str), other.astype(str)
        if here.dtype.kind in "fc": close(other, here, NEAR)
        else: np.testing.assert_array_equal(other, here)
    for name in marks:
        loose = name in ("h5ad", "report", "report.page") or name.startswith(LOOSE)
        loose |= name.endswith(("fingerprint", "digest"))
        if other_python and name.startswith("h5ad"): continue    # another anndata's layout; its arrays come above
        if to_the_byte or not loose: o.ran(f"{what}: {name}", agrees, name)

@promise("reproducible", "the same seed gives the same bytes in another process")
def processes(o, quick, seed):
    for i in (2,) if quick else (2, 3): compare(o, f"process {i}", to_the_byte=True, hashes=i)

@promise("reproducible", "threads change nothing but the last digits, and no choice")
def threads(o, quick, seed):
    for n, cores in [(2, 2)] if quick else [(2, 1), (1, 2), (2, 2), (4, 3)]:
        compare(o, f"{n} threads, {cores} cores", threads=n, cores=cores)

@promise("reproducible", "other Pythons find the same")
def pythons(o, quick, seed):
    o.note = "" if PYTHONS else "no other Python was named by VFJAC_PYTHONS"
    for python in PYTHONS[:1] if quick else PYTHONS: compare(o, python, python=python, other_python=True)

@promise("reproducible", "another seed makes another choice")
def seeds(o, quick, seed):
    a, other = verbs.plain(), [vf.datasets.myeloid(n_cells=60, seed=seed + i).obsm["velocity_pca"] for i in (0, 1)]
    o.ran("data.velocities", lambda: not np.array_equal(*other))
    for method in ("random", "velocity", "trn", "kmeans"):
        chosen = [vf.jacobian(a, sampling=method, sample_ncells=25, seed=seed + i, store_in_adata=False)["cell_idx"]
                  for i in (0, 1)]
        o.ran(f"sampling {method}", lambda: not np.array_equal(*chosen))

# ---- other versions, and dynamo

ASK = """
import json, platform
from importlib.metadata import version
named = {name: version(name) for name in ("anndata", "numpy", "pandas", "scipy", "altair")}
print(json.dumps({"python": platform.python_version(), **named}))
"""

@promise("versions", "properties and hostile data, the quick suites, under each named interpreter")
def versions(o, quick, seed):
    o.note = "not in the quick run" if quick else "" if PYTHONS else "no interpreters are named in VFJAC_PYTHONS"
    for python in [] if quick else PYTHONS:
        about = json.loads(subprocess.run([python, "-c", ASK], check=True, capture_output=True, text=True).stdout)
        with tempfile.TemporaryDirectory() as folder:
            words = ["--quick", "--seed", str(seed), "--only", "properties,hostile", "--out", "out.json"]
            done = subprocess.run([python, HERE, *words], capture_output=True, text=True, cwd=folder)
            if not (out := Path(folder) / "out.json").exists(): raise RuntimeError(done.stderr[-2000:])
            rows = [Outcome(**row) for row in json.loads(out.read_text())["promises"]]
        for key in ("tried", "right", "refused", "problems"):
            setattr(o, key, sum((getattr(r, key) for r in rows), getattr(o, key)))
        o.note += " ".join(f"{k} {v}" for k, v in about.items()) + f": {sum(r.tried for r in rows)} cases; "

def by_dynamo(o, *words):
    "Run dropin.py in the Python with dynamo: each of its lines PASS or FAIL is a case, and it must come to its end."
    python = os.environ.get("VFJAC_REFERENCE_PYTHON")
    o.note = "" if python else "no Python with dynamo was named by VFJAC_REFERENCE_PYTHON"
    if not python: return
    own = dict(PYTHONPATH=str(HERE.parents[2]), PYTHONDONTWRITEBYTECODE="1", TQDM_DISABLE="1", MPLBACKEND="Agg")
    asked = [python, HERE.parent / "dropin.py", *words]
    done = subprocess.run(asked, env=os.environ | own, capture_output=True, text=True, timeout=300)
    for line in done.stdout.splitlines():
        if line.startswith(("PASS", "FAIL")): o.ran("dropin", lambda: line[4:].strip() if line[0] == "F" else None)
    o.ran("it comes to its end", lambda: " PASS," in done.stdout.splitlines()[-1] or done.stderr[-800:])

@promise("reference", "dynamo's functions read what vfjac stored, and agree wherever dynamo is right")
def reading(o, quick, seed): by_dynamo(o)

@promise("reference", "dynamo's workflow runs with vfjac's Jacobian, sampling and derivative, to the same numbers")
def inside(o, quick, seed): by_dynamo(o, "--swap")

if __name__ == "__main__": work(*sys.argv[1:])
