"""How fast vfjac is, beside dynamo-release: the table of the benchmark page.

    python nbs/benchmarks/speed.py --reference ~/dynamo-env/bin/python --out nbs/benchmarks/speed.json
    python nbs/benchmarks/speed.py --quick            small sizes, to see that it works; the goals are not for these
    python nbs/benchmarks/speed.py --only fit         rows whose name contains "fit"
    python nbs/benchmarks/speed.py --only waits       what people wait for: fits, lists, rankings, pages, a million
    python nbs/benchmarks/speed.py --only profile     which part of the work takes how long, on one thread
    python nbs/benchmarks/speed.py --guard            half a minute: PASS or FAIL beside the ratios in speed.json
    /usr/bin/time -v python nbs/benchmarks/speed.py --alone fit    one large task in this process: "fit" or "all pairs"

The first line makes the table of the documentation, in about half an hour on an otherwise idle machine. `--reference`
is a Python with dynamo-release installed, in a virtual environment of its own; without it the figures about dynamo are
left out.

Both sides get the same inputs (an .npz file in a temporary folder). Each contender of a row runs in a process of its
own, started for the row; imports, input and a warm-up on a few cells are done before the clock starts. Then the
contenders run in turn, again and again. What is compared are medians of wall-clock seconds, with the threads that each
takes by default (of CPU seconds where it says so: TRN sampling, and all that people wait for, on one thread; the side
`two` has two). Peak memory is that of the first run over the memory at rest just before it.

The guard measures CPU seconds of small pieces of work, each over that of a yardstick of plain numpy beside it, the
least of some turns, and fails where such a ratio is more than twice the stored one: with other work on the machine both
slow down, and a ratio moved by no more than a half.
"""

import argparse
import gc
import json
import linecache
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

TOP = Path(__file__).resolve().parents[2]


# ---------------------------------------------------------------- inputs: the same for both sides

def cells(n, d=30, M=500, n_genes=0, seed=0):
    "States as PCA gives them (spread falls with the component), a made-up field, loadings with orthonormal columns."
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.linspace(2, 0.4, d)
    data = dict(X=X, X_ctrl=X[rng.permutation(n)[:M]], C=rng.normal(size=(M, d)), beta=0.02)
    if n_genes: data["PCs"] = np.linalg.qr(rng.normal(size=(n_genes, d)))[0]
    return data


def noisy_velocities(n, d=30, seed=0):
    "States and velocities (root mean square 0.2, as the fit expects) of a saturating field: noise, a tenth outliers."
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.linspace(2, 0.4, d)
    V = np.tanh(X @ rng.normal(size=(d, d)) * 0.15) + 0.1 * rng.normal(size=X.shape)
    outliers = rng.random(n) < 0.1
    V[outliers] = rng.normal(size=(outliers.sum(), d))
    return dict(X=X, V=0.2 * V / np.sqrt((V**2).mean()))


def as_adata(z):
    "The AnnData that both packages read: a field in PCA space as dynamo stores it, and loadings."
    import anndata
    import pandas as pd
    import scipy.sparse as sp
    names = gene_names(len(z["PCs"]))
    adata = anndata.AnnData(sp.csr_matrix((len(z["X"]), len(names))), var=pd.DataFrame(index=names))
    adata.obs_names = [f"c{i}" for i in range(len(z["X"]))]
    adata.var["use_for_pca"] = adata.var["use_for_dynamics"] = True
    adata.obsm["X_pca"], adata.uns["PCs"] = z["X"], z["PCs"]
    adata.uns["VecFld_pca"] = dict(
        X=z["X"], Y=np.zeros_like(z["X"]), V=np.zeros_like(z["X"]), X_ctrl=z["X_ctrl"], C=z["C"], beta=float(z["beta"]),
        method="SparseVFC", valid_ind=np.arange(len(z["X"])))
    return adata


# ---------------------------------------------------------------- what is run
# Each takes an input and gives the call that is timed, and what of its result is compared between the sides.

def gene_names(n): return [f"g{i:04d}" for i in range(n)]


def field_of(z, **more):
    from vfjac import GaussianField
    return GaussianField(z["X_ctrl"], z["C"], float(z["beta"]), **more)


def genes_of(z, **more):
    from vfjac import GeneJacobian
    return GeneJacobian(field=field_of(z), states=z["X"], loadings=z["PCs"], genes=gene_names(len(z["PCs"])), **more)


def few(J): return np.asarray(J)[::37]


def last_to_first(J): return np.moveaxis(np.asarray(J), -1, 0)[::37]


def ours_jacobian(z, dtype="float64"):
    field = field_of(z, dtype=dtype)
    return lambda: field.jacobian(z["X"]), few


def bare_gemm(z):
    from vfjac.kernels import Kernel
    K = Kernel(float(z["beta"]))(z["X"], z["X_ctrl"])
    P = (z["C"][:, :, None] * z["X_ctrl"][:, None, :]).reshape(len(z["C"]), -1)
    return lambda: K @ P, None


def ours_pair(z):
    genes = genes_of(z)
    return lambda: genes.pair("g0001", "g0000"), few


def ours_genes(z, k, **more):
    import vfjac as vf
    adata, names = as_adata(z), gene_names(k)
    return lambda: vf.jacobian(adata, names, names, store_in_adata=False, **more)["jacobian_gene"], last_to_first


def ours_all_pairs(z, cores=None):
    genes = genes_of(z)
    return lambda: (genes.mean(cores=cores), genes.std(cores=cores)), None


def ours_trn(z, k):
    import vfjac as vf
    return lambda: vf.sample(np.arange(len(z["X"])), k, "trn", X=z["X"], distinct=False), np.asarray


def ours_fit(z, M, **more):
    import vfjac as vf
    return lambda: vf.sparse_vfc(z["X"], z["V"], M=M, **more), lambda fit: fit.velocities


def ours_tuned(z):
    import vfjac as vf
    return lambda: vf.fit_field(z["X"], z["V"]), None   # another field: nothing to compare


def ours_significant(z):
    genes = genes_with_errors(z)
    return lambda: genes.significant(), None


def ours_switch(z):
    import vfjac as vf
    genes = genes_with_errors(z)
    return lambda: vf.rank_jacobian_genes(genes, mode="switch"), None


def genes_with_errors(z):
    import vfjac as vf
    fit = vf.fit_field(z["X"], z["V"])
    return vf.GeneJacobian(field=fit.field, states=z["X"], loadings=z["PCs"], genes=gene_names(len(z["PCs"])), fit=fit)


def ours_million(z, n):
    "A fit whose cells are made, chunk by chunk, whenever they are needed."
    import dask.array as da

    import vfjac as vf
    chunk = min(n, 50_000)
    make = lambda which: da.map_blocks(
        lambda block_info=None: noisy_velocities(chunk, seed=block_info[None]["chunk-location"][0])[which],
        chunks=((chunk,) * (n // chunk), (30,)), dtype=float)
    return lambda: vf.fit_field(make("X"), make("V")), None


def ours_production(z, n, n_genes, n_regulators):
    from vfjac.production import fit_counts
    rng = np.random.default_rng(0)
    means = np.exp(0.5 * rng.normal(size=(n, 8)) @ rng.normal(size=(8, n_genes)) * 0.5)
    S, U = rng.poisson(2 * means).astype(float), rng.poisson(np.roll(means, 1, axis=1)).astype(float)
    return lambda: fit_counts(S, U, np.arange(n_regulators)), None


def ours_averaged(z, n, undone):
    "The fit of `averaging.py` to n cells, velocities averaged over neighbours: the average undone first, or as given."
    from averaging import neighbours

    from vfjac import fit_field, noise
    X, V, graph = neighbours(n)
    W = noise.neighbour_means(graph)
    def run():
        tables = dict(velocities=W @ V, states=X)
        if not undone: return fit_field(X, tables["velocities"])
        found, _ = noise.find_averaging(noise.stored_averages("connectivities", graph), tables)
        return fit_field(*noise.undo_smoothing(X, tables["velocities"], found)[:2])
    return run, None


def ours_numerical(z):
    import vfjac as vf
    field = field_of(z)
    return lambda: vf.numerical_jacobian(field, z["X"]), few


def dynamo_field(z):
    import dynamo as dyn
    field = dyn.vf.SvcVectorField()
    field.from_adata(as_adata(z | dict(PCs=np.eye(z["X"].shape[1]))), basis="pca")
    return field


def dynamo_jacobian(z, method="analytical"):
    jacobian = dynamo_field(z).get_Jacobian(method=method)
    return lambda: jacobian(z["X"]), last_to_first


def dynamo_genes(z, regulators, effectors):
    import dynamo as dyn
    asked = dict(adata=as_adata(z), regulators=regulators, effectors=effectors, store_in_adata=False)
    return lambda: dyn.vf.jacobian(**asked)["jacobian_gene"], last_to_first


def dynamo_pair(z):
    run, _ = dynamo_genes(z, ["g0000"], ["g0001"])
    return run, lambda values: np.asarray(values).ravel()[::37]


def dynamo_block(z, k):
    return dynamo_genes(z, gene_names(k), gene_names(k))


def dynamo_trn(z, k):
    import dynamo as dyn
    return lambda: dyn.tl.sample(np.arange(len(z["X"])), k, "trn", X=z["X"]), np.asarray


def dynamo_fit(z, M):
    import dynamo as dyn
    return lambda: dyn.vf.SparseVFC(z["X"], z["V"], z["X"][:2], M=M), lambda fit: fit["V"]


# ---------------------------------------------------------------- a worker: one process, one task, a pipe

def memory_mb(key):
    "Memory of this process in MB: VmRSS now, VmHWM the most since `forget_peak`."
    try: return next(int(s.split()[1]) for s in open("/proc/self/status") if s.startswith(key)) / 1024
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def forget_peak():
    try: Path("/proc/self/clear_refs").write_text("5")
    except OSError: pass


def versions():
    "Versions and BLAS of this process."
    import scipy
    found = dict(numpy=np.__version__, scipy=scipy.__version__)
    found |= {name: sys.modules[name].__version__ for name in ("vfjac", "dynamo", "numba") if sys.modules.get(name)}
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return dict(python=platform.python_version(), **found, blas=f"{blas['name']} {blas['version']}")


def measured(call):
    gc.collect()
    forget_peak()
    rest, wall, cpu = memory_mb("VmRSS"), time.perf_counter(), time.process_time()
    result = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return result, dict(wall=wall, cpu=cpu, peak_mb=memory_mb("VmHWM") - rest)


def worker(task, path, options):
    "Prepare the task, say so, then run it for each line that comes in; if the line is a path, save what is compared."
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)   # whatever a library prints goes to stderr
    def say(**message): print(json.dumps(message), file=channel, flush=True)
    try:
        with np.load(path) as file: z = dict(file)
        at_most = dict(X=40, V=40, X_ctrl=20, C=20)
        few_cells = {k: v[:at_most[k]] if k in at_most else v for k, v in z.items()}
        warm = {k: min(v, 10) if k in ("k", "M") else min(v, 200) if k in ("n", "n_genes") else v
                for k, v in options.items()}
        globals()[task](few_cells, **warm)[0]()
        run, digest = globals()[task](z, **options)
        say(versions=versions())
        for line in sys.stdin:
            result, figures = measured(run)
            if line.strip() and digest: np.save(line.strip(), digest(result))
            del result
            say(**figures)
    except Exception: say(error=traceback.format_exc())


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Contender:
    "One side of a row: a process that waits for its turn."
    def __init__(self, python, task, path, folder, options):
        self.runs, self.saved = [], folder / f"{task}-{time.monotonic_ns()}.npy"
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
        environment |= dict(MPLBACKEND="Agg") if task.startswith("dynamo") else dict(PYTHONPATH=str(TOP))
        options = dict(options)
        if threads := options.pop("threads", None): environment |= {name: str(threads) for name in THREADS}
        self.log = open(folder / f"{self.saved.stem}.log", "w+")
        self.process = subprocess.Popen(
            [python, str(Path(__file__).resolve()), "--worker", task, str(path), json.dumps(options)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, cwd=folder, env=environment)
        self.versions = self.answer()["versions"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"a worker ended (code {self.process.wait()}):\n{self.log.read()[-3000:]}")
        message = json.loads(line)
        if "error" in message: raise RuntimeError(message["error"])
        return message

    def turn(self):
        self.process.stdin.write("\n" if self.runs else f"{self.saved}\n")
        self.process.stdin.flush()
        self.runs.append(self.answer())

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.log.close()
        self.saved.unlink(missing_ok=True)

    def figures(self):
        wall, cpu = (np.array([run[key] for run in self.runs]) for key in ("wall", "cpu"))
        return dict(
            wall_s=rounded(np.median(wall)), wall_min_s=rounded(wall.min()), wall_max_s=rounded(wall.max()),
            cpu_s=rounded(np.median(cpu)), peak_mb=round(self.runs[0]["peak_mb"]), runs=len(self.runs))


def rounded(value, digits=3): return float(f"{value:.{digits}g}")


# ---------------------------------------------------------------- the table

FASTER, MEMORY = "times faster than dynamo", "times dynamo's memory"


def rows(quick):
    "The rows: what is measured, on which input, by whom, and what it should come to."
    n, few_M, many_M = (2000, 100, 300) if quick else (20000, 500, 1500)
    faster = ratio("dynamo", "ours")
    for M in (few_M, many_M):
        yield dict(
            name="field", work=f"field-space Jacobians, {n:,} cells, d = 30, M = {M:,}", data=cells(n, M=M),
            sides=dict(ours=("ours_jacobian", {}), gemm=("bare_gemm", {}), dynamo=("dynamo_jacobian", {})),
            checks=[(FASTER, faster, ">=", 8), ("times the bare matrix product", ratio("ours", "gemm"), "<=", 1.5)])
    data = cells(n, M=few_M, n_genes=200)
    yield dict(
        name="one pair", work=f"one gene pair, {n:,} cells, M = {few_M}", data=data,
        sides=dict(ours=("ours_pair", {}), dynamo=("dynamo_pair", {})), checks=[(FASTER, faster, ">=", 50)])
    yield dict(
        name="genes", work=f"100 × 100 genes, {n:,} cells, M = {few_M}", data=data,
        sides=dict(ours=("ours_genes", dict(k=100)), single=("ours_genes", dict(k=100, dtype="float32")),
                   dynamo=("dynamo_block", dict(k=100))),
        checks=[(FASTER, faster, ">=", 2), (MEMORY, ratio("ours", "dynamo", "peak_mb"), "<=", 1.1),
                (f"{FASTER}, in single precision as dynamo's", ratio("dynamo", "single"), ">=", 5),
                (f"{MEMORY}, in single precision as dynamo's", ratio("single", "dynamo", "peak_mb"), "<=", 1)])
    many_n, n_genes = (5000, 300) if quick else (100000, 2000)
    yield dict(
        name="all pairs", work=f"mean and std of all {n_genes:,}² gene pairs, {many_n:,} cells, M = {many_M:,}",
        data=cells(many_n, M=many_M, n_genes=n_genes), sides=dict(ours=("ours_all_pairs", {})),
        checks=[("seconds", only("ours", "wall_s"), "<=", 60), ("MB", only("ours", "peak_mb"), "<=", 2000)])
    k, trn_n = (200, 1000) if quick else (1000, 5000)
    yield dict(
        name="trn", work=f"TRN sampling, {k:,} of {trn_n:,} cells", data=cells(trn_n, M=50), exact=True,
        sides=dict(ours=("ours_trn", dict(k=k)), dynamo=("dynamo_trn", dict(k=k))),
        checks=[(f"{FASTER} (CPU)", ratio("dynamo", "ours", "cpu_s"), ">=", 50),
                ("indices that differ from dynamo's", difference("dynamo"), "<=", 0)])
    for M in (few_M, many_M):
        yield dict(
            name="fit", work=f"SparseVFC fit, {n:,} cells, d = 30, M = {M:,}", data=noisy_velocities(n),
            sides=dict(ours=("ours_fit", dict(M=M)), dynamo=("dynamo_fit", dict(M=M))),
            checks=[(FASTER, faster, ">=", 4)])
    yield from waits(quick)
    few_n, M = (200, 50) if quick else (1000, 100)
    yield dict(
        name="numerical", work=f"numerical Jacobians, {few_n:,} cells, d = 30, M = {M}", data=cells(few_n, M=M),
        truth=("ours_jacobian", {}),
        sides=dict(ours=("ours_numerical", {}), dynamo=("dynamo_jacobian", dict(method="numerical"))),
        checks=[(FASTER, faster, ">=", 5), (MEMORY, ratio("ours", "dynamo", "peak_mb"), "<=", 0.1),
                ("error, of the largest entry", error("ours"), None, None),
                ("dynamo's error", error("dynamo"), None, None)])
    yield dict(
        name="float32", work=f"single precision: field-space Jacobians, {n:,} cells, d = 30, M = {many_M:,}",
        data=cells(n, M=many_M),
        sides=dict(ours=("ours_jacobian", dict(dtype="float32")), double=("ours_jacobian", {})),
        checks=[("times faster than double precision", ratio("double", "ours"), ">=", 2),
                ("error, of the largest entry", difference("double"), None, None)])


CPU, PEAK = "CPU seconds, one thread", "MB"


def waits(quick):
    "What people wait for: CPU seconds on one thread, seconds on two, beside a goal."
    one_and_two = lambda task, **options: dict(
        ours=(task, dict(threads=1) | options), two=(task, dict(threads=2) | options))
    spent, peak = only("ours", "cpu_s"), only("ours", "peak_mb")
    for n, goal in ((1000, 0.6), (5000, 0.5), (20000, 3), (100000, 12))[:2 if quick else 4]:
        row = dict(name="waits: fit", work=f"tuned fit with errors, {n:,} cells, d = 30", data=noisy_velocities(n),
                   repeats=1 if n == 100000 else 3, sides=one_and_two("ours_tuned"),
                   checks=[(CPU, spent, "<=", goal)])
        if n in (5000, 20000):
            row["sides"]["dynamo"] = "dynamo_fit", dict(M=n // 20 + 1, threads=1)
            row["checks"].append(("times one fit of dynamo's", ratio("ours", "dynamo", "cpu_s"), "<=", 1))
        if n == 100000: row["checks"].append((PEAK, peak, "<=", 600))
        yield row
    n, n_genes = (20000, 100) if quick else (1_000_000, 2000)
    yield dict(name="waits: million", work=f"tuned fit with errors, {n:,} cells in chunks of dask, d = 30", repeats=1,
               data={}, sides=dict(ours=("ours_million", dict(n=n, threads=1))),
               checks=[(CPU, spent, "<=", 300), (PEAK, peak, "<=", 3000)])
    genes = noisy_velocities(5000) | dict(PCs=cells(10, n_genes=n_genes)["PCs"])
    yield dict(name="waits: significant", work=f"`significant`, {n_genes:,}² pairs, 5,000 cells", data=genes,
               sides=one_and_two("ours_significant"), checks=[(CPU, spent, "<=", 1), (PEAK, peak, "<=", 512)])
    yield dict(name="waits: switch", work=f"ranking `switch`, {n_genes:,}² pairs, 5,000 cells", data=genes, repeats=1,
               sides=one_and_two("ours_switch"), checks=[(CPU, spent, "<=", 15)])
    size = dict(n=500, n_genes=100, n_regulators=5) if quick else dict(n=20000, n_genes=2000, n_regulators=20)
    yield dict(name="waits: production", work="production, {n:,} cells, {n_genes:,} genes".format(**size), data={},
               repeats=1, sides=one_and_two("ours_production", **size), checks=[(CPU, spent, "<=", 60)])
    n = 1000 if quick else 20000
    both = {side: ("ours_averaged", dict(n=n, undone=side == "ours", threads=1)) for side in ("ours", "given")}
    yield dict(name="waits: averaged", work=f"averages of {n:,} cells proved, undone and fitted", data={}, sides=both,
               repeats=1, checks=[("times their fit as given", ratio("ours", "given", "cpu_s"), "<=", 3)])


REASONS = {   # why a goal is missed, printed beside it
    "waits: fit": "sums of products of 1,200 features over all cells, twice, take half of it; below 1,000 cells every "
                  "cell is a control point, and linear systems of that size are solved",
    "waits: switch": "the entries of 5,000 cells, each made once, are 1.2e12 multiplications: 25 s on one thread",
    "waits: significant": "where nearly all pairs are called, most of it is sorting and the table of four million rows",
    "waits: pages": "see nbs/benchmarks/explorer.py",
    "field": "dynamo's loop takes nine times the bare product at 500 control points, which leaves a ninth for the rest",
    "one pair": "ten million distances and exponentials, which each pair needs",
    "genes": "double precision has twice the bytes of dynamo's single; most of it is the system that hands out memory",
    "trn": "200,000 steps of a dozen numpy calls",
    "float32": "distances and exponentials take six tenths of the time of double precision, the product half",
}


def ratio(over, under, key="wall_s"): return lambda row: row["sides"][over][key] / max(row["sides"][under][key], 1e-9)


def only(side, key): return lambda row: row["sides"][side][key]


def difference(side): return lambda row: row["differences"][side]


def error(side): return lambda row: row["errors"][side]


def apart(a, b, exact=False):
    "Largest difference relative to the largest entry of `b`, or the number of entries that differ."
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return int((a != b).sum()) if exact else rounded(np.abs(a - b).max() / np.abs(b).max(), 2)


def run_row(row, pythons, repeats, folder):
    "Measure one row: its sides in turn, then the differences of their results and the figures that have a goal."
    path = folder / "input.npz"
    np.savez(path, **row["data"])
    sides = {label: Contender(python, task, path, folder, options) for label, (task, options) in row["sides"].items()
             if (python := pythons[task.split("_")[0]])}
    begun = time.perf_counter()
    for i in range(min(repeats, row.get("repeats", repeats))):
        for side in sides.values(): side.turn()
        if i >= 2 and time.perf_counter() - begun > 60: break
    saved = {label: np.load(side.saved) for label, side in sides.items() if side.saved.exists()}
    done = dict(name=row["name"], work=row["work"], sides={label: side.figures() for label, side in sides.items()})
    done["differences"] = {label: apart(saved["ours"], values, row.get("exact"))
                           for label, values in saved.items() if "ours" in saved and label != "ours"}
    if "truth" in row:
        task, options = row["truth"]
        truth = Contender(pythons["ours"], task, path, folder, options)
        truth.turn()
        done["errors"] = {label: apart(values, np.load(truth.saved)) for label, values in saved.items()}
        truth.end()
    for side in sides.values(): side.end()
    done["checks"] = [check(done, *c) for c in row["checks"]]
    return done, {"dynamo" if label == "dynamo" else "vfjac": side.versions for label, side in sides.items()}


def check(done, what, value, sign, goal):
    "One figure beside its goal; None where dynamo was not there."
    try: figure = rounded(value(done))
    except KeyError: figure = None
    reached = None if figure is None or goal is None else bool(figure >= goal if sign == ">=" else figure <= goal)
    words = "" if goal is None else f"{'≥' if sign == '>=' else '≤'} {goal:,}"
    return dict(what=what, goal=words, measured=figure, reached=reached)


# ---------------------------------------------------------------- how cost grows (ours), and what importing costs

def growth(quick):
    "Operation, axis, size, and the task and input of each size."
    n, M = (2000, 100) if quick else (10000, 500)
    jacobian, fit = "field-space Jacobians", "fit, 10 iterations"
    ten = dict(MaxIter=10, ecr=0.0)
    for size in (n // 4, n // 2, n, 2 * n, 4 * n):
        yield jacobian, "cells", size, "ours_jacobian", {}, cells(size, M=M)
        yield fit, "cells", size, "ours_fit", dict(M=M, **ten), noisy_velocities(size)
    for size in (M // 4, M // 2, M, 2 * M, 4 * M):
        yield jacobian, "control points", size, "ours_jacobian", {}, cells(n, M=size)
        yield fit, "control points", size, "ours_fit", dict(M=size, **ten), noisy_velocities(n)
    for size in (10, 20, 40, 80):
        yield jacobian, "components", size, "ours_jacobian", {}, cells(n, d=size, M=M)
    for size in (250, 500, 1000, 2000, 4000):
        yield "mean and std of all pairs", "genes", size, "ours_all_pairs", {}, cells(n, M=M, n_genes=size)


def run_growth(python, quick, folder):
    "Seconds for each size (the least of three), and the slope of log seconds over log size by operation and axis."
    points, logs = [], {}
    for operation, axis, size, task, options, data in growth(quick):
        np.savez(folder / "input.npz", **data)
        side = Contender(python, task, folder / "input.npz", folder, options)
        for _ in range(3): side.turn()
        seconds = side.figures()["wall_min_s"]
        side.end()
        points.append(dict(operation=operation, axis=axis, size=size, seconds=seconds))
        logs.setdefault((operation, axis), []).append(np.log((size, seconds)))
        print(f"  {operation}, {size:,} {axis}: {seconds} s", file=sys.stderr)
    slopes = [dict(operation=operation, axis=axis, slope=round(float(np.polyfit(*np.transpose(own), 1)[0]), 2))
              for (operation, axis), own in logs.items()]
    return dict(points=points, slopes=slopes)


def run_import(python, repeats, folder):
    "Seconds from the start of Python to the end of an import, medians of fresh processes in turn."
    used = "import anndata, vfjac; vfjac.jacobian, vfjac.GeneJacobian, vfjac.sparse_vfc"
    statements = {"anndata": "import anndata", "ours": "import anndata, vfjac", "used": used}
    seconds, environment = {name: [] for name in statements}, os.environ | dict(PYTHONPATH=str(TOP))
    for i in range(repeats + 1):
        for name, statement in statements.items():
            begun = time.perf_counter()
            subprocess.run([python, "-c", statement], check=True, cwd=folder, env=environment)
            if i: seconds[name].append(time.perf_counter() - begun)
    medians = {name: float(np.median(s)) for name, s in seconds.items()}
    done = dict(name="import", work="import vfjac, after import anndata", differences={},
                sides={name: dict(wall_s=rounded(s), runs=repeats) for name, s in medians.items()})
    over = {name: lambda row, name=name: max(0.0, medians[name] - medians["anndata"]) for name in medians}
    done["checks"] = [check(done, "seconds", over["ours"], "<=", 0.3),
                      check(done, "seconds, with the modules of jacobian and sparse_vfc", over["used"], "<=", 0.25)]
    return done


# ---------------------------------------------------------------- pages, and the guard

def run_pages(python, quick, folder):
    "Rows of `explorer.py`: CPU seconds on one thread of demo, first picture and reports."
    code = ("import json, pathlib, sys, warnings; warnings.simplefilter('ignore'); import explorer\n"
            f"print(json.dumps(list(explorer.readme_table({quick}, pathlib.Path({str(folder)!r})))))")
    environment = os.environ | {name: "1" for name in THREADS} | dict(PYTHONPATH=str(TOP), TQDM_DISABLE="1")
    said = subprocess.run([python, "-c", code], cwd=Path(__file__).parent, env=environment, check=True,
                          capture_output=True, text=True).stdout
    goals = ("vfjac demo", 3), ("vf.explore", 1.2), ("30 × 30", 2), ("200 × 200", 20)
    for work, seconds in json.loads(said.splitlines()[-1]):
        goal = next((most for words, most in goals if words in work), None)
        sides = dict(ours=dict(cpu_s=rounded(seconds), runs=1))
        done = dict(name="waits: pages", work=work, sides=sides, differences={})
        yield done | dict(checks=[check(done, CPU, only("ours", "cpu_s"), goal and "<=", goal)])


def yardstick():
    "Distances, exponentials and a product of plain numpy."
    X = np.random.default_rng(0).normal(size=(4000, 30))
    K = np.exp(-0.02 * np.maximum(np.square(X).sum(1)[:, None] + np.square(X[:300]).sum(1) - 2 * X @ X[:300].T, 0))
    return K.T @ K


def guard_ratios(turns=4):
    "CPU seconds of small pieces of work over that of the yardstick, on one thread, the least of some turns."
    from threadpoolctl import threadpool_limits
    sys.path.insert(0, str(TOP))
    noisy, genes = noisy_velocities(2000), cells(2000, M=300, n_genes=300)
    work = dict(
        jacobian=ours_jacobian(genes), pair=ours_pair(genes), moments=ours_all_pairs(genes, cores=1),
        significant=ours_significant(noisy | genes), sparse_vfc=ours_fit(noisy, 100), tuned=ours_tuned(noisy))
    calls = {name: run for name, (run, _) in work.items()} | dict(yardstick=yardstick)
    with threadpool_limits(1):
        took = [{name: measured(call)[1]["cpu"] for name, call in calls.items()} for _ in range(turns)]
    least = {name: min(turn[name] for turn in took) for name in calls}
    return {name: rounded(least[name] / least["yardstick"]) for name in work}


def guard(stored, most=2.0):
    "Print how ratios compare with those that are stored; the exit code."
    ratios = guard_ratios()
    grown = {name: value / stored[name] for name, value in ratios.items()}
    for name, times in grown.items():
        print(f"{'PASS' if times <= most else 'FAIL'} speed of {name}: {times:.2f} times the stored ratio")
    return int(max(grown.values()) > most)


# ---------------------------------------------------------------- where the time goes

WHOLE = ("_learn", "_move", "_nearest_nodes")   # of the TRN: too short and too often called to be timed by lines
PARTS = {   # what a line does, told by "function: its text"; the first that fits
    "exponentials": r"^gaussian_profile: .*np\.exp",
    "distances": r"^(Kernel\.|gaussian_profile|componentwise_median|_learn:)",
    "kernel × coefficients": r"np\.matmul\(slopes, P|slopes @ C$|\.T @ slopes$|^Basis\.__call__|^FeatureTable\.predict",
    "outer products with states": r"\(slopes @ C\)\[|outer\[g\] \+=",
    "components to genes": r"^project|left @ J @ right",
    "sums of products over cells": r"^sum_products|^_add_products|^FeatureTable\.(sums|_products)",
    "linear systems": r"^(Factor|RidgePath|_whitening_root)",
    "nearest nodes": r"^_nearest_nodes",
    "moving nodes": r"^_move",
}


def seconds_by_line(call):
    "CPU seconds that each line of the package took by itself while `call` ran, as {(function, file, line): seconds}."
    seconds, stack, folder = Counter(), [("", "", 0)], str(TOP / "vfjac")
    then = time.process_time()
    def charge():
        nonlocal then
        now = time.process_time()
        seconds[stack[-1]] += now - then
        then = now
    def inside(frame, event, _):
        charge()
        if event == "line": stack[-1] = (*stack[-1][:2], frame.f_lineno)
        elif event == "return": stack.pop()
        return inside
    def entered(frame, event, _):
        code = frame.f_code
        if not code.co_filename.startswith(folder): return None
        charge()
        stack.append((code.co_qualname, code.co_filename, frame.f_lineno))
        frame.f_trace_lines = code.co_name not in WHOLE
        return inside
    sys.settrace(entered)
    try: call()
    finally: sys.settrace(None)
    return seconds


def traced(z, task, **options):
    "CPU seconds of another task on one thread: untraced, then by part, the rest last."
    from threadpoolctl import threadpool_limits
    run, _ = globals()[task](z, **options)
    def seconds():
        with threadpool_limits(1):
            plain, parts = measured(run)[1]["cpu"], Counter()
            for (function, file, line), took in seconds_by_line(run).items():
                text = f"{function}: {linecache.getline(file, line).strip()}"
                parts[next((part for part, pattern in PARTS.items() if re.search(pattern, text)), "the rest")] += took
        return [plain, *(parts[part] for part in (*PARTS, "the rest"))]
    return seconds, np.array


def run_profile(python, quick, folder):
    "Of the rows' work: CPU seconds on one thread, the percentage of each part (below 1 % it counts as the rest)."
    profile = []
    for row in rows(quick):
        if row["name"] in ("numerical", "float32"): continue
        if row["name"].startswith("waits") and "fit with errors, 5,000" not in row["work"]: continue
        task, options = row["sides"]["ours"]
        if row["name"] == "all pairs": options = options | dict(cores=1)
        np.savez(folder / "input.npz", **row["data"])
        side = Contender(python, "traced", folder / "input.npz", folder, dict(task=task, **options))
        side.turn()
        seconds, *parts = np.load(side.saved).tolist()
        side.end()
        shares = {part: round(100 * took / sum(parts), 1) for part, took in zip(PARTS, parts)}
        percent = {part: share for part, share in shares.items() if share >= 1}
        percent["the rest"] = round(100 - sum(percent.values()), 1)
        profile.append(dict(work=row["work"], seconds=rounded(seconds), percent=percent))
        print(f"  {row['work']}, one thread: {rounded(seconds)} s; {percent}", file=sys.stderr)
    return profile


# ---------------------------------------------------------------- the memory of whole processes

def run_alone(what, quick=False):
    "One large task, once, in this process, for the system to measure."
    sys.path.insert(0, str(TOP))
    n, M, n_genes = (5000, 300, 300) if quick else (100000, 1500, 2000)
    if what == "fit": ours_fit(noisy_velocities(n), M)[0]()
    else: ours_all_pairs(cells(n, M=M, n_genes=n_genes))[0]()


def run_memory(python, quick):
    "What GNU time says about each of these processes, from start to end; None where it is not installed."
    if not Path("/usr/bin/time").exists(): return None
    said = ("User time (seconds)", "System time (seconds)", "Maximum resident set size (kbytes)")
    found = []
    for what in ("all pairs", "fit"):
        command = ["/usr/bin/time", "-v", python, __file__, "--alone", what, *(["--quick"] if quick else [])]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stderr.splitlines()
        pairs = dict(line.strip().rsplit(": ", 1) for line in lines if ": " in line)
        found.append(dict(task=what) | {key: pairs[key] for key in said})
        print(f"  {found[-1]}", file=sys.stderr)
    return found


# ---------------------------------------------------------------- the command

def machine():
    cpu = platform.processor() or platform.machine()
    try: cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration): pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    busy = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return dict(system=platform.system(), cpu=cpu, cores=cores, load_before=busy)


def table(report):
    "The figures beside their goals, as a Markdown table."
    lines = ["| work | figure | goal | measured | two threads, s | shortfall and why |", "|---|---|---|---|---|---|"]
    for row in report["rows"]:
        two = row["sides"].get("two", {}).get("wall_s", "")
        for i, c in enumerate(row["checks"]):
            shown = "not measured" if c["measured"] is None else f"{c['measured']:g}"
            lines.append(f"| {'' if i else row['work']} | {c['what']} | {c['goal']} | {shown} | {'' if i else two} | "
                         f"{shortfall(row['name'], c)} |")
    lines.append("| the same on an accelerator | | | none at hand | | |")
    return "\n".join(lines)


def shortfall(name, check):
    "How far a figure is from its goal, and why; nothing where it is reached."
    if check["reached"] is not False: return ""
    sign, goal = check["goal"].replace(",", "").split()
    times = check["measured"] / float(goal) if sign == "≤" else float(goal) / check["measured"]
    return f"{times:.2g} ×: {REASONS.get(name, 'not explained')}"


def same_setting(old, new):
    "Whether two reports are of the same machine and sizes, so that rows of one may stand in the other."
    machines = [{k: v for k, v in report["machine"].items() if k != "load_before"} for report in (old, new)]
    return old["quick"] == new["quick"] and machines[0] == machines[1]


def merged(old, new):
    "The old report, with what was measured anew in its place."
    fresh = {row["work"]: row for row in new["rows"]}
    rows = [fresh.pop(row["work"], row) for row in old["rows"]] + list(fresh.values())
    parts = {what: new[what] or old.get(what) for what in ("growth", "profile", "memory", "guard")}
    return old | parts | dict(rows=rows, versions=old["versions"] | new["versions"])


def in_words(done):
    "What each side of a row took."
    return f"  {done['work']}: " + "; ".join(
        f"{label} {s['wall_s']} s ({s['cpu_s']} s CPU), {s['peak_mb']} MB" for label, s in done["sides"].items())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", metavar="PYTHON", help="a Python that has dynamo-release")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="rows whose name contains this: field, one pair, genes, all pairs, "
        "trn, fit, waits, numerical, float32, import, growth, profile, memory, guard")
    parser.add_argument("--guard", action="store_true", help="compare ratios with those in speed.json; exits 1 if slow")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each row; after a minute three are enough")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the figures to this JSON file; with --only, only replace these")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--alone", choices=("all pairs", "fit"), help="run this once, in this process, and say nothing")
    given = parser.parse_args()
    if given.alone: return run_alone(given.alone, given.quick)
    if given.worker: return worker(given.worker[0], given.worker[1], json.loads(given.worker[2]))
    if given.guard:
        return guard(json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))["guard"])
    if given.repeats < 3: parser.error("--repeats: at least 3")
    reference = given.reference and os.path.abspath(os.path.expanduser(given.reference))
    pythons = dict(ours=sys.executable, bare=sys.executable, dynamo=reference)
    report = dict(quick=given.quick, machine=machine(), versions={}, rows=[], growth=None, profile=None, memory=None,
                  guard=None)
    old = json.loads(given.out.read_text(encoding="utf-8")) if given.out and given.only and given.out.exists() else None
    if old and not same_setting(old, report):
        parser.error("--out: the file holds figures of another machine, or of other sizes; write to another one")
    with tempfile.TemporaryDirectory(prefix="vfjac-speed-") as folder:
        folder = Path(folder)
        for row in rows(given.quick):
            if given.only not in row["name"]: continue
            done, found = run_row(row, pythons, given.repeats, folder)
            report["rows"].append(done)
            report["versions"] |= found
            print(in_words(done), file=sys.stderr)
        if given.only in "import": report["rows"].append(run_import(sys.executable, max(7, given.repeats), folder))
        if given.only in "waits: pages": report["rows"] += run_pages(sys.executable, given.quick, folder)
        if given.only in "guard": report["guard"] = guard_ratios()
        if given.only in "growth": report["growth"] = run_growth(sys.executable, given.quick, folder)
        if given.only in "memory": report["memory"] = run_memory(sys.executable, given.quick)
        if given.only in "profile": report["profile"] = run_profile(sys.executable, given.quick, folder)
    print(table(report))
    for s in (report["growth"] or {}).get("slopes", []):
        print(f"{s['operation']}: seconds grow with {s['axis']} to the power of {s['slope']}")
    if old: report = merged(old, report)
    if given.out: given.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__": sys.exit(main())
