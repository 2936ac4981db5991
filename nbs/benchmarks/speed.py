"""How fast vfjac is, beside dynamo-release: the table of the benchmark page.

    python nbs/benchmarks/speed.py --reference ~/dynamo-env/bin/python     all of it, about half an hour
    python nbs/benchmarks/speed.py --quick                                 small sizes, a minute or two; goals are not meant for these
    python nbs/benchmarks/speed.py --only fit --out /tmp/fit.json          rows whose name contains "fit"

`--reference` is a Python with dynamo-release installed, in a virtual environment of its own; without it the columns about
dynamo stay empty. Both sides get the same inputs (an .npz file in a temporary folder). Each contender of a row runs in a
process of its own, started for the row; imports, input and a warm-up on a few cells are done before the clock starts. Then
the contenders run in turn, again and again; what is compared are medians of wall-clock seconds. Peak memory is that of the
first run over the memory at rest just before it.
"""

import argparse
import gc
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
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
    "States and velocities of a saturating field with noise and a tenth of outliers, root mean square 1."
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.linspace(2, 0.4, d)
    V = np.tanh(X @ rng.normal(size=(d, d)) * 0.15) + 0.1 * rng.normal(size=X.shape)
    outliers = rng.random(n) < 0.1
    V[outliers] = rng.normal(size=(outliers.sum(), d))
    return dict(X=X, V=V / np.sqrt((V**2).mean()))


def as_adata(z):
    "The AnnData that both packages read: a field in PCA space as dynamo stores it, and loadings."
    import anndata
    import pandas as pd
    import scipy.sparse as sp
    names = [f"g{i:04d}" for i in range(len(z["PCs"]))]
    adata = anndata.AnnData(sp.csr_matrix((len(z["X"]), len(names))), var=pd.DataFrame(index=names))
    adata.obs_names = [f"c{i}" for i in range(len(z["X"]))]
    adata.var["use_for_pca"] = adata.var["use_for_dynamics"] = True
    adata.obsm["X_pca"], adata.uns["PCs"] = z["X"], z["PCs"]
    adata.uns["VecFld_pca"] = dict(X=z["X"], Y=np.zeros_like(z["X"]), V=np.zeros_like(z["X"]), X_ctrl=z["X_ctrl"], C=z["C"],
                                   beta=float(z["beta"]), method="SparseVFC", valid_ind=np.arange(len(z["X"])))
    return adata


# ---------------------------------------------------------------- what is run: from an input to a call, and what of its result is compared

def field_of(z, **more):
    from vfjac import GaussianField
    return GaussianField(z["X_ctrl"], z["C"], float(z["beta"]), **more)


def genes_of(z, **more):
    from vfjac import GeneJacobian
    return GeneJacobian(field=field_of(z), states=z["X"], loadings=z["PCs"], genes=[f"g{i:04d}" for i in range(len(z["PCs"]))], **more)


def few(J): return np.asarray(J)[::37]


def last_to_first(J): return np.moveaxis(np.asarray(J), -1, 0)[::37]


def ours_jacobian(z, dtype="float64"):
    field = field_of(z, dtype=dtype)
    return lambda: field.jacobian(z["X"]), few


def bare_gemm(z):
    from vfjac.fields import gaussian_kernel
    K, P = gaussian_kernel(z["X"], z["X_ctrl"], float(z["beta"])), (z["C"][:, :, None] * z["X_ctrl"][:, None, :]).reshape(len(z["C"]), -1)
    return lambda: K @ P, None


def ours_pair(z):
    genes = genes_of(z)
    return lambda: genes.pair("g0001", "g0000"), few


def ours_genes(z, k):
    import vfjac as vf
    adata, names = as_adata(z), [f"g{i:04d}" for i in range(k)]
    return lambda: vf.jacobian(adata, names, names, store_in_adata=False)["jacobian_gene"], last_to_first


def ours_block(z, k, dtype):
    genes, names = genes_of(z, dtype=dtype), [f"g{i:04d}" for i in range(k)]
    return lambda: genes.block(names, names, memory_mb=4000), few


def ours_all_pairs(z):
    genes = genes_of(z)
    return lambda: (genes.mean(cores=None), genes.std(cores=None)), None


def ours_trn(z, k):
    import vfjac as vf
    return lambda: vf.sample(np.arange(len(z["X"])), k, "trn", X=z["X"], distinct=False), np.asarray


def ours_fit(z, M, **more):
    import vfjac as vf
    return lambda: vf.sparse_vfc(z["X"], z["V"], M=M, **more), lambda fit: fit.velocities


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
    adata = as_adata(z)
    return lambda: dyn.vf.jacobian(adata, regulators=regulators, effectors=effectors, store_in_adata=False)["jacobian_gene"], last_to_first


def dynamo_pair(z):
    run, _ = dynamo_genes(z, ["g0000"], ["g0001"])
    return run, lambda values: np.asarray(values).ravel()[::37]


def dynamo_block(z, k):
    names = [f"g{i:04d}" for i in range(k)]
    return dynamo_genes(z, names, names)


def dynamo_trn(z, k):
    import dynamo as dyn
    return lambda: dyn.tl.sample(np.arange(len(z["X"])), k, "trn", X=z["X"]), np.asarray


def dynamo_fit(z, M):
    import dynamo as dyn
    return lambda: dyn.vf.SparseVFC(z["X"], z["V"], z["X"][:2], M=M), lambda fit: fit["V"]


# ---------------------------------------------------------------- a worker: one process, one task, told what to do over a pipe

def memory_mb(key):
    "Memory of this process in MB: VmRSS now, VmHWM the most since `forget_peak`."
    try: return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) / 1024
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def forget_peak():
    try: Path("/proc/self/clear_refs").write_text("5")
    except OSError: pass


def versions():
    "Versions and BLAS of this process."
    found = {name: importlib.import_module(name).__version__ for name in ("numpy", "scipy")}
    for name in ("vfjac", "dynamo", "numba"):
        if name in sys.modules: found[name] = sys.modules[name].__version__
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return dict(python=platform.python_version(), **found, blas=f"{blas['name']} {blas['version']}")


def measured(call):
    gc.collect()
    forget_peak()
    rest, wall, cpu = memory_mb("VmRSS"), time.perf_counter(), time.process_time()
    result = call()
    return result, dict(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu, peak_mb=memory_mb("VmHWM") - rest)


def worker(task, path, options):
    "Prepare the task, say so, then run it once for each line that comes in; with a path in it, save what is to be compared."
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)   # whatever a library prints goes to stderr
    def say(**message): print(json.dumps(message), file=channel, flush=True)
    try:
        with np.load(path) as file: z = dict(file)
        few_cells = {k: v[:40] if k in ("X", "V") else v[:20] if k in ("X_ctrl", "C") else v for k, v in z.items()}
        warm = {k: min(v, 10) if k in ("k", "M") else v for k, v in options.items()}
        globals()[task](few_cells, **warm)[0]()
        run, digest = globals()[task](z, **options)
        say(versions=versions())
        for line in sys.stdin:
            result, figures = measured(run)
            if line.strip() and digest: np.save(line.strip(), digest(result))
            del result
            say(**figures)
    except Exception: say(error=traceback.format_exc())


class Contender:
    "One side of a row: a process that waits for its turn."
    def __init__(self, python, task, path, folder, options):
        self.runs, self.saved = [], folder / f"{task}-{time.monotonic_ns()}.npy"
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
        if task.startswith("dynamo"): environment["MPLBACKEND"] = "Agg"
        else: environment["PYTHONPATH"] = str(TOP)
        self.log = open(folder / "log.txt", "w+")
        self.process = subprocess.Popen([python, str(Path(__file__).resolve()), "--worker", task, str(path), json.dumps(options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=folder, env=environment)
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
        self.process.wait()

    def figures(self):
        wall, cpu = (np.array([run[key] for run in self.runs]) for key in ("wall", "cpu"))
        return dict(wall_s=rounded(np.median(wall)), cpu_s=rounded(np.median(cpu)), peak_mb=round(self.runs[0]["peak_mb"]),
                    wall_min_s=rounded(wall.min()), wall_max_s=rounded(wall.max()), runs=len(self.runs))


def rounded(value, digits=3): return float(f"{value:.{digits}g}")


# ---------------------------------------------------------------- the table

def rows(quick):
    "The rows: what is measured, on which input, by whom, and what it should come to."
    n, few_M, many_M, trn = (2000, 100, 300, (200, 1000)) if quick else (20000, 500, 1500, (1000, 5000))
    all_n, all_genes, nd_n, nd_M = (5000, 300, 200, 50) if quick else (100000, 2000, 1000, 100)
    for M in (few_M, many_M):
        yield dict(name="field", work=f"field-space Jacobians, {n:,} cells, d = 30, M = {M:,}", data=cells(n, M=M),
                   sides=dict(ours=("ours_jacobian", {}), gemm=("bare_gemm", {}), dynamo=("dynamo_jacobian", {})),
                   checks=[("times faster than dynamo", ratio("dynamo", "ours"), ">=", 8),
                           ("times the bare matrix product", ratio("ours", "gemm"), "<=", 1.5)])
    data = cells(n, M=few_M, n_genes=200)
    yield dict(name="pair", work=f"one gene pair, {n:,} cells, M = {few_M}", data=data,
               sides=dict(ours=("ours_pair", {}), dynamo=("dynamo_pair", {})),
               checks=[("times faster than dynamo", ratio("dynamo", "ours"), ">=", 50)])
    yield dict(name="genes", work=f"100 × 100 genes, {n:,} cells, M = {few_M}", data=data,
               sides=dict(ours=("ours_genes", dict(k=100)), single=("ours_block", dict(k=100, dtype="float32")), dynamo=("dynamo_block", dict(k=100))),
               checks=[("times faster than dynamo", ratio("dynamo", "ours"), ">=", 5),
                       ("times dynamo's memory, double precision", ratio("ours", "dynamo", "peak_mb"), "<=", 1),
                       ("times faster, single precision as dynamo's result", ratio("dynamo", "single"), ">=", 5),
                       ("times dynamo's memory, single precision", ratio("single", "dynamo", "peak_mb"), "<=", 1)])
    yield dict(name="all pairs", work=f"mean and std of all {all_genes:,}² pairs, {all_n:,} cells, M = {many_M:,}", data=cells(all_n, M=many_M, n_genes=all_genes),
               sides=dict(ours=("ours_all_pairs", {})), checks=[("seconds", only("ours", "wall_s"), "<=", 60), ("MB", only("ours", "peak_mb"), "<=", 2000)])
    yield dict(name="trn", work=f"TRN sampling, {trn[0]:,} of {trn[1]:,} cells", data=cells(trn[1], M=50), exact=True,
               sides=dict(ours=("ours_trn", dict(k=trn[0])), dynamo=("dynamo_trn", dict(k=trn[0]))),
               checks=[("times faster than dynamo", ratio("dynamo", "ours"), ">=", 50), ("indices that differ", difference("dynamo"), "<=", 0)])
    for M in (few_M, many_M):
        yield dict(name="fit", work=f"SparseVFC fit, {n:,} cells, d = 30, M = {M:,}", data=noisy_velocities(n),
                   sides=dict(ours=("ours_fit", dict(M=M)), dynamo=("dynamo_fit", dict(M=M))),
                   checks=[("times faster than dynamo", ratio("dynamo", "ours"), ">=", 4)])
    yield dict(name="numerical", work=f"numerical Jacobians, {nd_n:,} cells, d = 30, M = {nd_M}", data=cells(nd_n, M=nd_M), truth=("ours_jacobian", {}),
               sides=dict(ours=("ours_numerical", {}), dynamo=("dynamo_jacobian", dict(method="numerical"))),
               checks=[("times faster than dynamo", ratio("dynamo", "ours"), ">=", 5), ("times dynamo's memory", ratio("ours", "dynamo", "peak_mb"), "<=", 0.1),
                       ("error against the analytical one", error("ours"), None, None), ("dynamo's error", error("dynamo"), None, None)])
    yield dict(name="float32", work=f"single precision: field-space Jacobians, {n:,} cells, d = 30, M = {many_M:,}", data=cells(n, M=many_M),
               sides=dict(ours=("ours_jacobian", dict(dtype="float32")), double=("ours_jacobian", {})),
               checks=[("times faster than double", ratio("double", "ours"), ">=", 2), ("error against double", difference("double"), None, None)])


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
    sides = {label: Contender(pythons[task.startswith("dynamo")], task, path, folder, options)
             for label, (task, options) in row["sides"].items() if pythons[task.startswith("dynamo")]}
    begun = time.perf_counter()
    for i in range(repeats):
        for side in sides.values(): side.turn()
        if i >= 2 and time.perf_counter() - begun > 60: break
    saved = {label: np.load(side.saved) for label, side in sides.items() if side.saved.exists()}
    for side in sides.values(): side.end()
    done = dict(name=row["name"], work=row["work"], sides={label: side.figures() for label, side in sides.items()})
    done["differences"] = {label: apart(saved["ours"], values, row.get("exact")) for label, values in saved.items() if label != "ours"}
    if "truth" in row:
        task, options = row["truth"]
        truth = Contender(pythons[False], task, path, folder, options)
        truth.turn()
        truth.end()
        done["errors"] = {label: apart(values, np.load(truth.saved)) for label, values in saved.items()}
    done["checks"] = [check(done, *c) for c in row["checks"]]
    return done, {("dynamo" if label == "dynamo" else "ours"): side.versions for label, side in sides.items()}


def check(done, what, value, sign, goal):
    "One figure beside its goal; None where dynamo was not there."
    try: figure = rounded(value(done))
    except KeyError: figure = None
    reached = None if figure is None or goal is None else bool(figure >= goal if sign == ">=" else figure <= goal)
    return dict(what=what, goal="" if goal is None else f"{'≥' if sign == '>=' else '≤'} {goal:,}", measured=figure, reached=reached)


# ---------------------------------------------------------------- how cost grows (ours), and what importing costs

def growth(quick):
    "Operation, axis, sizes, and the task and input of each size."
    n, M = (1000, 100) if quick else (10000, 500)
    jacobian, fit = "field-space Jacobians", "fit, 10 iterations"
    ten = dict(MaxIter=10, ecr=0.0)
    for size in (n // 4, n // 2, n, 2 * n, 4 * n):
        yield jacobian, "cells", size, "ours_jacobian", {}, cells(size, M=M)
        yield fit, "cells", size, "ours_fit", dict(M=M, **ten), noisy_velocities(size)
    for size in (M // 4, M // 2, M, 2 * M, 4 * M):
        yield jacobian, "control points", size, "ours_jacobian", {}, cells(n, M=size)
        yield fit, "control points", size, "ours_fit", dict(M=size, **ten), noisy_velocities(n)
    for size in (10, 20, 40, 80): yield jacobian, "components", size, "ours_jacobian", {}, cells(n, d=size, M=M)
    for size in (250, 500, 1000, 2000, 4000): yield "mean and std of all pairs", "genes", size, "ours_all_pairs", {}, cells(n, M=M, n_genes=size)


def run_growth(python, quick, folder):
    "Seconds for each size, and the slope of log seconds over log size for each operation and axis."
    points = []
    for operation, axis, size, task, options, data in growth(quick):
        np.savez(folder / "input.npz", **data)
        side = Contender(python, task, folder / "input.npz", folder, options)
        for _ in range(3): side.turn()
        side.end()
        points.append(dict(operation=operation, axis=axis, size=size, seconds=side.figures()["wall_s"], cpu_seconds=side.figures()["cpu_s"]))
        print(f"  {operation}, {size:,} {axis}: {points[-1]['seconds']} s", file=sys.stderr)
    slopes = []
    for operation, axis in dict.fromkeys((p["operation"], p["axis"]) for p in points):
        own = [(p["size"], p["cpu_seconds"]) for p in points if (p["operation"], p["axis"]) == (operation, axis)]
        slopes.append(dict(operation=operation, axis=axis, slope=round(float(np.polyfit(*np.log(own).T, 1)[0]), 2)))
    return dict(points=points, slopes=slopes)


def run_import(python, repeats, folder):
    "Seconds from the start of Python to the end of an import, medians of fresh processes in turn."
    statements = {"anndata": "import anndata", "vfjac": "import anndata, vfjac", "in use": "import anndata, vfjac; vfjac.jacobian, vfjac.GeneJacobian, vfjac.sparse_vfc"}
    seconds = {name: [] for name in statements}
    for i in range(repeats + 1):
        for name, statement in statements.items():
            begun = time.perf_counter()
            subprocess.run([python, "-c", statement], check=True, cwd=folder, env=os.environ | dict(PYTHONPATH=str(TOP)))
            if i: seconds[name].append(time.perf_counter() - begun)
    medians = {name: float(np.median(s)) for name, s in seconds.items()}
    done = dict(name="import", work="import vfjac after anndata", sides={name: dict(wall_s=rounded(s)) for name, s in medians.items()}, differences={})
    later = ("seconds", lambda row: medians["vfjac"] - medians["anndata"], "<=", 0.3)
    used = ("seconds until jacobian, GeneJacobian and sparse_vfc are there", lambda row: medians["in use"] - medians["anndata"], "<=", 0.3)
    return done | dict(checks=[check(done, *later), check(done, *used)])


# ---------------------------------------------------------------- the command

def machine():
    cpu = platform.processor() or platform.machine()
    try: cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration): pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return dict(system=platform.system(), cpu=cpu, cores=cores)


def table(report):
    "The rows as a Markdown table."
    lines = ["| work | figure | goal | measured | reached |", "|---|---|---|---|---|"]
    for row in report["rows"]:
        for i, c in enumerate(row["checks"]):
            shown = "not measured" if c["measured"] is None else f"{c['measured']:g}"
            lines.append(f"| {'' if i else row['work']} | {c['what']} | {c['goal']} | {shown} | {dict([(None, ''), (True, 'yes'), (False, 'no')])[c['reached']]} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", metavar="PYTHON", help="a Python that has dynamo-release")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--only", metavar="TEXT", help="rows whose name contains this: field, pair, genes, all pairs, trn, fit, numerical, float32, import, growth")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each row; rows that take longer than a minute stop after three")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker: return worker(given.worker[0], given.worker[1], json.loads(given.worker[2]))
    if given.repeats < 3: parser.error("--repeats: at least 3")
    wanted, pythons = given.only or "", {False: sys.executable, True: given.reference and os.path.abspath(os.path.expanduser(given.reference))}
    report = dict(quick=given.quick, machine=machine(), versions={}, rows=[], growth=None)
    with tempfile.TemporaryDirectory(prefix="vfjac-speed-") as folder:
        folder = Path(folder)
        for row in rows(given.quick):
            if wanted not in row["name"]: continue
            done, found = run_row(row, pythons, given.repeats, folder)
            report["rows"].append(done)
            report["versions"] |= found
            print(f"  {done['work']}: " + "; ".join(f"{label} {s['wall_s']} s ({s['cpu_s']} s CPU), {s['peak_mb']} MB" for label, s in done["sides"].items()), file=sys.stderr)
        if wanted in "import": report["rows"].append(run_import(sys.executable, max(7, given.repeats), folder))
        if wanted in "growth": report["growth"] = run_growth(sys.executable, given.quick, folder)
    print(table(report))
    for s in (report["growth"] or {}).get("slopes", []): print(f"{s['operation']}: CPU seconds grow with {s['axis']}^{s['slope']}")
    if given.out: given.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__": main()
