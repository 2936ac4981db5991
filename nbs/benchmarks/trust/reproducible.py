"""The same seed gives the same bytes: in another process, with other threads, under another Python.

Each case is a process of its own that works through everything below and writes its results to a folder. Where a
result must be the same to the byte it is compared so; where BLAS adds in another order (more threads, another numpy),
whole numbers and names must be the same and others agree to `NEAR` of the largest of their array.

Further interpreters with vfjac are named by the environment variable VFJAC_PYTHONS, with colons between.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

NEAR = 1e-6

# ---------------------------------------------------------------- the work of one process

def tables(name, table):
    "A table as arrays: numbers as they are, the rest as text."
    for column in table:
        values = table[column]
        whole = values.dtype.kind in "fiub" if hasattr(values.dtype, "kind") else False
        yield f"{name}.{column}", values.to_numpy() if whole else np.array([str(v) for v in values])

def of_fit(name, fit):
    yield from {f"{name}.control points": fit.control_idx, f"{name}.inliers": fit.inliers,
                f"{name}.coefficients": fit.field.coefficients, f"{name}.inlier probabilities": fit.inlier_probability,
                f"{name}.noise": fit.noise}.items()
    for x in ("offset", "slope"):
        if getattr(fit.field, x) is not None: yield f"{name}.{x}", getattr(fit.field, x)

def in_file(path):
    "Every array of an HDF5 file, and a hash of its bytes."
    import h5py
    found = {}
    def keep(name, node):
        if isinstance(node, h5py.Dataset):
            value = node[()]
            text = value.dtype.kind in "OS" if isinstance(value, np.ndarray) else isinstance(value, (str, bytes))
            found[f"h5ad.{name}"] = np.array([str(v) for v in np.ravel(value)]) if text else np.asarray(value)
    with h5py.File(path) as file: file.visititems(keep)
    return found

def results(folder, cores, seed, slow):
    "Everything that is compared, name → array or bytes."
    import vfjac as vf
    adata = vf.datasets.neurogenesis(n_cells=150, noise=0.1, seed=seed)
    yield "data.expression", np.asarray(adata.X)
    yield "data.velocities", np.asarray(adata.obsm["velocity_pca"])
    for kind, how in dict(raw=dict(tune=False), compat=dict(compat="dynamo"), few=dict(M=60),
                          mixed=dict(kernel="mixed", M=10, beta=0.02, eta=0.5), tuned={}).items():
        yield from of_fit(f"fit {kind}", vf.fit_vector_field(adata, seed=seed, **how))
    genes = list(adata.var_names[:4])
    for method in ("random", "velocity", "trn", "kmeans"):
        chosen = vf.jacobian(adata, sampling=method, sample_ncells=25, seed=seed, store_in_adata=False, cores=cores)
        yield f"sampling {method}", chosen["cell_idx"]
        yield f"jacobian {method}", chosen["jacobian"]
    yield "numerical", vf.jacobian(adata, method="numerical", store_in_adata=False, cores=cores)["jacobian"]
    vf.jacobian(adata, genes, cores=cores)
    genewise = vf.gene_jacobian(adata)
    for name in ("mean", "std", "mean_abs", "sign_fraction"): yield name, getattr(genewise, name)(cores=cores)
    yield "stderr", genewise.mean_stderr()
    for mode in ("full reg", "reg", "switch", "z"):
        ranked = vf.rank_jacobian_genes(adata, "group", mode=mode, cores=cores)
        yield from tables(f"ranking {mode}", ranked)
    yield from tables("comparison", vf.compare_groups(adata, adata.obs["group"].cat.categories[0], groups="group"))
    yield from tables("network", vf.jacobian_network(adata, top=20).edges)
    yield from tables("diagnosis", vf.diagnose(adata, n_shuffles=3, seed=seed).table[["question", "figure", "verdict"]])
    points = vf.fixed_points(adata, n_starts=10, seed=seed)
    yield from tables("fixed points", points[["kind", "starts", "growth"]])
    yield from tables("push", vf.perturb(adata, {genes[0]: 0.1}))
    path = Path(folder) / "cells.h5ad"
    adata.write_h5ad(path)
    yield from in_file(path).items()
    yield "h5ad file", path.read_bytes()
    if slow: yield "report", vf.report(adata, Path(folder) / "report.html").read_bytes()

def work(folder, cores, seed, slow):
    "Write the results: numbers to a file of arrays, a hash of everything to a file of text."
    warnings.simplefilter("ignore")
    found, marks = {}, {}
    for name, value in results(folder, cores, seed, slow):
        data = value
        if not isinstance(value, bytes):
            data = repr((value.shape, value.dtype.str)).encode() + np.ascontiguousarray(value).tobytes()
        marks[name] = hashlib.sha256(data).hexdigest()
        if not isinstance(value, bytes): found[name] = value
    np.savez(Path(folder) / "found.npz", **{name.replace("/", "|"): value for name, value in found.items()})
    import vfjac
    (Path(folder) / "marks.json").write_text(json.dumps(dict(vfjac=vfjac.__file__, marks=marks)))

# ---------------------------------------------------------------- the comparison

class Run:
    "A process and what it found."
    def __init__(self, python=sys.executable, *, threads=1, cores=1, seed=0, hashes=0, slow=True):
        self.folder = tempfile.TemporaryDirectory(prefix="vfjac-trust-")
        own = {f"{name}_NUM_THREADS": str(threads) for name in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM")}
        own |= dict(PYTHONHASHSEED=str(hashes), TQDM_DISABLE="1", PYTHONDONTWRITEBYTECODE="1")
        if python != sys.executable: own["PYTHONPATH"] = ""
        words = [python, __file__, self.folder.name, str(cores), str(seed), str(int(slow))]
        self.process = subprocess.Popen(words, env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    def found(self):
        "Hashes and arrays; RuntimeError if the process failed."
        said = self.process.communicate(timeout=300)[0].decode(errors="replace")
        if self.process.returncode: raise RuntimeError("the process failed: " + said[-1500:])
        with np.load(Path(self.folder.name) / "found.npz") as file:
            arrays = {k.replace("|", "/"): file[k] for k in file}
        return json.loads((Path(self.folder.name) / "marks.json").read_text())["marks"], arrays

def unlike(name, marks, there):
    "What is wrong with one result that must be the same to the byte."
    if name not in there: return "it is not there"
    return None if marks[name] == there[name] else "other bytes"

def apart(here, there):
    "What is wrong with one result that must agree: text and whole numbers the same, others near."
    if here.shape != there.shape: return f"shapes {here.shape} and {there.shape}"
    if here.dtype.kind in "fc":
        if not (np.isnan(here) == np.isnan(there)).all(): return "NaN elsewhere"
        known = ~np.isnan(here)
        worst = np.abs(here - there)[known].max(initial=0)
        size = np.abs(here[np.isfinite(here)]).max(initial=0)
        return None if worst <= NEAR * size + 1e-300 else f"{worst:.1e} apart, the largest is {size:.1e}"
    same = here.astype(str) == there.astype(str) if "U" in (here.dtype.kind + there.dtype.kind) else here == there
    return None if np.all(same) else f"{np.sum(~same)} of {here.size} differ"

LOOSE = ("h5ad.uns/VecFld_pca/covariance_root", "fit mixed.coefficients",   # a root, and a sum, are not unique
         "h5ad.obs/", "h5ad.var/")

def compare(outcome, what, base, other, *, to_the_byte, python=False):
    "A case for every result."
    marks, arrays = base
    try: there, others = other.found()
    except Exception as error:
        said = str(error)
        outcome.ran(what, lambda: said)
        return
    for name in marks:
        if to_the_byte: outcome.ran(f"{what}: {name}", lambda name=name: unlike(name, marks, there))
        elif name in arrays and not name.startswith(LOOSE) and not name.endswith(("fingerprint", "digest")):
            if python and name.startswith("h5ad."): continue    # another anndata's layout; its arrays come above
            outcome.ran(f"{what}: {name}", lambda name=name: apart(
                arrays[name], others[name]) if name in others else "it is not there")

def register():
    from outcome import promise
    @promise("reproducible", "the same seed gives the same bytes in another process")
    def processes(o, quick, seed):
        runs = [Run(seed=seed, hashes=h) for h in ((1, 2) if quick else (1, 2, 3))]
        shared["base"] = base = runs[0].found()
        for i, other in enumerate(runs[1:]): compare(o, f"process {i + 2}", base, other, to_the_byte=True)
    @promise("reproducible", "threads change nothing but the last digits, and no choice")
    def threads(o, quick, seed):
        base, ways = base_of(seed), [(2, 2)] if quick else [(2, 1), (1, 2), (2, 2), (4, 3)]
        for n, cores in ways:
            compare(o, f"{n} threads, {cores} cores", base, Run(seed=seed, threads=n, cores=cores, slow=False),
                    to_the_byte=False)
    @promise("reproducible", "other Pythons find the same")
    def pythons(o, quick, seed):
        named = [p for p in os.environ.get("VFJAC_PYTHONS", "").split(":") if p]
        if not named: o.note = "no other Python was named by VFJAC_PYTHONS"
        for python in named[:1] if quick else named:
            other = Run(python, seed=seed, slow=False)
            compare(o, version(python), base_of(seed), other, to_the_byte=False, python=True)
    @promise("reproducible", "another seed makes another choice")
    def seeds(o, quick, seed):
        if quick:
            o.note = "left out of the quick run"
            return
        (_, here), (_, there) = base_of(seed), Run(seed=seed + 1, slow=False).found()
        for name in ("data.velocities", "sampling random", "sampling velocity", "sampling kmeans", "sampling trn"):
            o.ran(name, lambda name=name: "is the same" if np.array_equal(here[name], there[name]) else None)

shared = {}

def base_of(seed):
    if "base" not in shared: shared["base"] = Run(seed=seed).found()
    return shared["base"]

def version(python):
    ask = [python, "-c", "import platform; print(platform.python_version())"]
    said = subprocess.run(ask, capture_output=True, text=True)
    return f"Python {said.stdout.strip() or python}"

if __name__ == "__main__": work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bool(int(sys.argv[4])))
else: register()
