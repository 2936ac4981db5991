"""How right the Jacobian is: systems whose Jacobian is known, with the noise that velocities really have.

    python nbs/benchmarks/accuracy.py --out nbs/benchmarks/accuracy.json --jobs 2     the figures of the page
    python nbs/benchmarks/accuracy.py --quick                                         two systems: to see it work

Every row of the table is one setting: how noisy the velocities of single cells are, and whether they (and the states)
were averaged over neighbours as scVelo does. Each setting is simulated for every system and seed, fitted, and compared
with the true Jacobian between genes. The prior and the bounds of the fit were chosen on the systems in `SEEN`; those
in `UNSEEN` came later and nothing was chosen on them.

A pair is called if `GeneJacobian.significant(fdr=0.05)` lists it: its mean over all cells, the diagonal included. A
call is false if the true mean is below 1 % of the largest true mean (in absolute value), or has the other sign. FDP is
the share of false calls among the calls of a data set, 0 if there are none; power the share of the other pairs that
are called with the right sign. Cover is the share of 95 % intervals that hold the truth, over cells inside the support
of the data, and over means.
"""

import argparse
import inspect
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

SEEN = ("linear_system", "toggle_switch", "ying", "repressilator", "neurogenesis", "myeloid")
UNSEEN = ("HSC", "GSD", "VSC", "mCAD", "random")
NEGATIVE = ("linear_system", "ying")   # their states can be below -1: no logarithms
PARTS = ("independent", "velocities", "states", "unproved", "logarithm", "state_noise", "null")
METHODS = ("ours", "dynamo", "line", "clusters", "ridge")
MB = 4000

# part, setting: noise of single cells as a share of the velocities' root mean square, arguments of `averaged`
SIGNAL = {("independent", f"independent noise {noise}"): (noise, None) for noise in (0.05, 0.1, 0.3)}
SIGNAL["velocities", "velocities averaged"] = (0.3, {})
for noise in (0.3, 1.6):
    for graph in ("symmetric", "directed"):
        how = dict(states=True, symmetric=graph == "symmetric")
        SIGNAL["states", f"states averaged too, noise {noise}, graph {graph}"] = (noise, how)
UNKNOWN = dict(n_neighbors=24, store=False)   # nobody's choice of k, so no guess finds the graph
SIGNAL["unproved", "velocities averaged, graph unknown"] = (0.3, UNKNOWN)
SIGNAL["unproved", "states averaged too, graph unknown"] = (0.3, UNKNOWN | dict(states=True))
SIGNAL["logarithm", "states averaged too, then logarithms"] = (0.3, dict(states=True, log=True))
SIGNAL["state_noise", "noise in states, 0.5 sd, covariance known"] = (0.3, dict(n_neighbors=1, state_noise=0.5))

# part, setting: arguments of `averaged`; None shuffles the velocities among the cells instead
NULL: dict = {("null", "shuffled velocities"): None}
for k, other in ((10, 15), (24, 30), (30, 20), (50, 30)):
    for label, store in (("graph stored", True), ("another graph stored", other), ("no graph stored", False)):
        NULL["null", f"pure noise averaged, k = {k}, {label}"] = dict(n_neighbors=k, store=store, pure_noise=True)
NULL["null", "pure noise averaged, k = 30, states too, graph stored"] = dict(states=True, pure_noise=True)


def simulated(name, n, noise, seed):
    "Cells of a system, noise as a share of the velocities' root mean square."
    from vfjac import datasets
    if name in UNSEEN:
        make = partial(datasets.boolean_network, datasets.random_rules(20, seed) if name == "random" else name)
    else: make = getattr(datasets, name)
    if name == "linear_system": make = partial(make, [[-1, 0.5, 0], [0, -1, -0.8], [0.6, 0, -1]])
    if name in ("toggle_switch", "linear_system"):   # here noise is a standard deviation
        noise *= float(np.sqrt(np.square(make(n_cells=n, noise=0, seed=seed).layers["true_velocity"]).mean()))
    return make(n_cells=n, noise=noise, seed=seed)


# ---------------------------------------------------------------- the ways to fit: AnnData → Jacobians of all cells

def by_us(adata):
    "The fit that `fit_vector_field` does on its own, with the covariance of the states' noise where it is known."
    import vfjac as vf
    known = dict(state_noise=adata.uns["state_noise"]) if "state_noise" in adata.uns else {}
    if "state_noise" not in inspect.signature(vf.fit_vector_field).parameters: known = {}
    vf.fit_vector_field(adata, **known)
    return vf.gene_jacobian(adata)


def by_dynamo(adata):
    import vfjac as vf
    adata = adata.copy()
    vf.fit_vector_field(adata, M=100, compat="dynamo")
    return vf.gene_jacobian(adata).block(memory_mb=MB)


def by_line(adata):
    "One least-squares line for all cells."
    X, V = np.asarray(adata.X), np.asarray(adata.layers["velocity"])
    slope = np.linalg.lstsq(np.c_[X, np.ones(len(X))], V, rcond=None)[0][:-1].T
    return np.broadcast_to(slope, (len(X), *slope.shape))


def by_cluster(adata, k=10):
    "One ridge line for each of ten k-means clusters, penalty a hundredth of the cluster's variance."
    from scipy.cluster.vq import kmeans2
    X, V = np.asarray(adata.X, dtype=float), np.asarray(adata.layers["velocity"])
    label = kmeans2(X, k, minit="++", seed=0)[1]
    J = np.zeros((len(X), X.shape[1], X.shape[1]))
    for c in np.unique(label):
        x, v = (a[label == c] - a[label == c].mean(axis=0) for a in (X, V))
        penalty = 0.01 * max(np.square(x).sum() / x.shape[1], 1e-12)
        J[label == c] = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ v).T
    return J


def by_ridge(adata, widths=(0.35, 0.7, 1.4, 2.8, 5.6), powers=range(-7, 2), folds=5):
    "Gaussian kernel ridge regression on all cells; width (in median distances) and ridge by 5-fold cross-validation."
    from scipy.spatial.distance import cdist
    X, V = np.asarray(adata.X, dtype=float), np.asarray(adata.layers["velocity"])
    squared, part = cdist(X, X, "sqeuclidean"), np.random.default_rng(0).permutation(len(X)) % folds
    V, scales, ridges = V - V.mean(axis=0), np.square(widths) * np.median(squared), [10.0**p for p in powers]
    loss = np.zeros((len(scales), len(ridges)))
    for i, scale in enumerate(scales):
        K = np.exp(-squared / (2 * scale))
        for test in (part == fold for fold in range(folds)):
            values, vectors = np.linalg.eigh(K[np.ix_(~test, ~test)])
            left, right = K[np.ix_(test, ~test)] @ vectors, vectors.T @ V[~test]
            loss[i] += [np.square(left @ (right / (values + r)[:, None]) - V[test]).sum() for r in ridges]
    i, j = np.unravel_index(loss.argmin(), loss.shape)
    K = np.exp(-squared / (2 * scales[i]))
    C = np.linalg.solve(K + ridges[j] * np.eye(len(X)), V)
    slopes = np.einsum("nc,ce,cr->ner", K, C, X, optimize=True) - (K @ C)[:, :, None] * X[:, None, :]
    return slopes / scales[i]


# ---------------------------------------------------------------- figures of one data set

def error(J, truth): return float(np.linalg.norm(J - truth) / np.linalg.norm(truth))


def auprc(score, truth):
    "Average precision of a ranking."
    hits = truth[np.argsort(-score, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def edge_auprc(J, network, genes):
    "Average precision of a network's signed edges, by the mean Jacobian: an ordered pair stands for + and for -."
    mean, at = J.mean(axis=0), {g: i for i, g in enumerate(genes)}
    truth = np.zeros((2, *mean.shape), dtype=bool)
    for e, r, sign in zip(network["effector"], network["regulator"], network["sign"]):
        truth[int(sign < 0), at[e], at[r]] = True
    off = ~np.eye(len(genes), dtype=bool)
    return auprc(np.stack([mean, -mean])[:, off].ravel(), truth[:, off].ravel())


def lists(genes, truth):
    "Share of pairs called, FDP and power, as defined on top; nothing is called where the fit gives no errors."
    sign, at = np.zeros(truth.shape[1:]), {g: i for i, g in enumerate(genes.genes)}
    pairs = genes.significant(fdr=0.05, memory_mb=MB) if genes.has_stderr else pd.DataFrame(columns=["value"])
    for pair in pairs.itertuples(): sign[at[pair.effector], at[pair.regulator]] = np.sign(pair.value)
    mean, called = truth.mean(axis=0), np.count_nonzero(sign)
    real = np.abs(mean) >= 0.01 * np.abs(mean).max()
    right = (real & (mean != 0) & (sign == np.sign(mean))).sum()
    return dict(called=called / sign.size, fdp=1 - right / called if called else 0.0, power=right / max(real.sum(), 1))


def intervals(genes, J, truth, states):
    "Cover of the 95 % intervals of cells inside the support, and of means; None where the fit gives no errors."
    import vfjac as vf
    if not genes.has_stderr: return dict(cover_cells=None, cover_means=None)
    inside = vf.dynamics.support(genes.field, states, states) >= 0.05
    cells = np.abs(J - truth) <= 1.96 * genes.stderr(memory_mb=MB)
    means = np.abs(J.mean(axis=0) - truth.mean(axis=0)) <= 1.96 * genes.mean_stderr(memory_mb=MB)
    return dict(cover_cells=cells[inside].mean(), cover_means=means.mean(), inside=inside.mean())


def jacobian_at(genes, adata, states):
    "Jacobians between genes, of a fit to `adata`, at other states of its genes, (n_cells, n_genes)."
    Q = adata.varm["PCs"]
    return Q @ genes.field.jacobian((states - adata.uns["pca_mean"]) @ Q) @ Q.T


def found(adata): return adata.uns["VecFld_pca"].get("smoothing", {}).get("kind")


def with_signal(setting, name, seed, n):
    "Figures of one data set with a field in it."
    from vfjac.datasets import averaged
    noise, how = SIGNAL[setting]
    single = simulated(name, n, noise, seed)
    adata = single if how is None else averaged(single, seed=seed, **how)
    truth, genes = adata.obsm["true_jacobian"], by_us(adata)
    J = genes.block(memory_mb=MB)
    row = dict(found=found(adata), error=dict(ours=error(J, truth)))
    row |= intervals(genes, J, truth, adata.obsm["X_pca"]) | lists(genes, truth)
    if how is not None:   # the same cells before averaging, their fit asked at the states whose truth is known
        states = single.X if "state_noise" in how else adata.X
        if how.get("log"): single = averaged(single, 1, log=True)
        row["error"]["single"] = error(jacobian_at(by_us(single), single, states), truth)
        return row
    fits = dict(zip(METHODS, (J, by_dynamo(adata), by_line(adata), by_cluster(adata), by_ridge(adata))))
    row["error"] = {method: error(J, truth) for method, J in fits.items()}
    if len(adata.uns.get("network", ())) and adata.n_vars > 4:
        row["auprc"] = {m: edge_auprc(J, adata.uns["network"], adata.var_names) for m, J in fits.items()}
    return row


def without_signal(setting, name, seed, n):
    "What is called, and what `diagnose` says, where the velocities have nothing to do with the states."
    import vfjac as vf
    from vfjac.datasets import averaged
    adata = simulated(name, n, 0.1, seed)
    if NULL[setting] is None:
        adata.obsm["velocity_pca"] = adata.obsm["velocity_pca"][np.random.default_rng(seed).permutation(n)]
    else: adata = averaged(adata, seed=seed, **NULL[setting])
    called = lists(by_us(adata), np.zeros((n, adata.n_vars, adata.n_vars)))["called"]
    told = vf.diagnose(adata, n_shuffles=5)
    spoken = bool(re.search("undone|shared", repr(told)))
    return dict(called=called, spoken=spoken, warnings=told.warnings, found=found(adata))


def one(task, n):
    "A row: its setting, system, seed, and what was found."
    warnings.simplefilter("ignore")   # outliers and unit warnings of the reference's fit: they are the result
    part, setting, name, seed = task
    figures = (with_signal if task[:2] in SIGNAL else without_signal)(task[:2], name, seed, n)
    return dict(part=part, setting=setting, system=name, seed=seed, **figures)


def table(rows):
    "Figures of each setting, for all systems and for those that nothing was chosen on."
    frame, records = pd.json_normalize(rows), []
    frame = frame.reindex(columns=list({*frame, *(f"error.{m}" for m in (*METHODS, "single")), "fdp", "spoken"}))
    frame = frame.assign(relative=np.log(frame["error.ours"].astype(float) / frame["error.single"].astype(float)),
                         any=frame["called"] > 0)
    for part, setting in (*SIGNAL, *NULL):
        for group in ("all", "unseen"):
            some = frame[(frame["setting"] == setting) & ((group == "all") | frame["system"].isin(UNSEEN))]
            if not len(some): continue
            record = dict(part=part, setting=setting, group=group, data_sets=len(some))
            if part == "null": columns = ["called", "any", "spoken"]
            else:
                columns = ["fdp", "cover_cells", "cover_means", "power", "called"]
                record |= dict(error=some["error.ours"].median(), relative=np.exp(some["relative"].mean()))
            if part == "independent": record |= {m: some[f"error.{m}"].median() for m in METHODS[1:]}
            record |= {name: some[name].astype(float).mean() for name in columns}
            records.append({key: None if value != value else value for key, value in record.items()})
    return records


# ---------------------------------------------------------------- units, threads, time and memory

def units(n, systems):
    "Relative change of J / unit when the velocities are given in another unit."
    changes = {}
    for name in systems:
        adata, J = simulated(name, n, 0.1, 0), {}
        for unit in (1, 0.01, 0.1, 10, 100):
            scaled = adata.copy()
            scaled.obsm["velocity_pca"] = unit * scaled.obsm["velocity_pca"]
            J[unit] = by_us(scaled).block(memory_mb=MB) / unit
        changes[name] = max(float(np.abs(J[u] - J[1]).max() / np.abs(J[1]).max()) for u in J)
    return changes


def stable(path, n):
    "Jacobians of fits to the reference's data set, or to a simulated one, in this process; saved for comparison."
    import anndata
    file = Path(__file__).resolve().parents[3] / "shared" / "data" / "pancreas_dynamo.h5ad"
    found = {}
    if file.exists() and n > 500:
        adata = anndata.read_h5ad(file)
        for basis in ("pca", "umap"):
            for M in (50, 100, 300, adata.n_obs): found[f"{basis}, {M} control points"] = fitted(adata, basis, M)
    adata = simulated("myeloid", n, 0.1, 0)
    for M in (50, 300): found[f"myeloid, {M} control points"] = fitted(adata, "pca", M)
    np.savez(path, **found)


def fitted(adata, basis, M):
    import vfjac as vf
    adata = adata.copy()
    vf.fit_vector_field(adata, basis, M=M)
    return vf.jacobian(adata, basis=basis, store_in_adata=False)["jacobian"]


def child(*arguments, threads="1"):
    "Run this script in a process of its own, with so many BLAS threads; what it printed."
    limits = {name: threads for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, env=os.environ | limits, stdout=subprocess.PIPE, text=True).stdout


def thread_change(n):
    "Relative change of J between one and two BLAS threads, each in a process of its own."
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in ("1", "2"):
            child("--stable", path := Path(folder) / f"stable-{threads}.npz", n, threads=threads)
            with np.load(path) as file: results.append(dict(file))
    one, two = results
    return {k: float(np.abs(one[k] - two[k]).max() / np.abs(one[k]).max()) for k in one}


def speed(n, d):
    "Seconds and peak memory (GB, of the whole process) of the fit to single cells, and of the fit to averaged ones."
    from vfjac.datasets import averaged, boolean_network, random_rules
    single = boolean_network(random_rules(d), n, noise=0.3, max_time=4.0)
    cells = dict(plain=single, averaged=averaged(single, states=True))
    with tempfile.TemporaryDirectory() as folder:
        for which, adata in cells.items(): adata.write_h5ad(Path(folder) / f"{which}.h5ad")
        said = {which: child("--timed", Path(folder) / f"{which}.h5ad") for which in cells}
    return dict(cells=n, dimensions=d) | {which: json.loads(text.splitlines()[-1]) for which, text in said.items()}


def timed(path):
    "Print seconds and peak memory of the fit to a file's cells, and its error."
    import anndata
    adata = anndata.read_h5ad(path)
    begun = time.perf_counter()
    genes = by_us(adata)
    seconds, peak = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    some = np.arange(0, adata.n_obs, max(adata.n_obs // 1000, 1))
    J = jacobian_at(genes, adata, adata.X[some])
    print(json.dumps(dict(seconds=seconds, gigabytes=peak, error=error(J, adata.obsm["true_jacobian"][some]))))


# ---------------------------------------------------------------- the run

def save(report, path):
    "Write the report so that an interrupted run leaves a whole file."
    if not path: return
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def measure(report, tasks, n, jobs, path):
    "Do the rows that are not there yet, one process and one BLAS thread each; save after every row."
    there = {(row["part"], row["setting"], row["system"], row["seed"]) for row in report["rows"]}
    tasks = [task for task in tasks if task not in there]
    os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(one, task, n) for task in tasks]
        for done, future in enumerate(as_completed(futures), 1):
            if future.exception(): pool.shutdown(cancel_futures=True)
            report["rows"].append(row := future.result())
            save(report, path)
            print(f"{done}/{len(tasks)}", *list(row.values())[:4], flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two systems, one seed, 400 cells")
    parser.add_argument("--seeds", type=int, default=4, help="data sets of each setting and system")
    parser.add_argument("--cells", type=int, default=1000, help="cells of each data set")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all figures to this JSON file, row by row")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one BLAS thread")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are in the file of --out")
    parser.add_argument("--only", nargs="+", choices=(*PARTS, "units", "threads", "speed"), metavar="PART",
                        help=f"measure these anew, in the file of --out: {', '.join(PARTS)}, units, threads, speed")
    parser.add_argument("--stable", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--timed", help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.stable: return stable(given.stable[0], int(given.stable[1]))
    if given.timed: return timed(given.timed)
    n, seeds, systems = given.cells, given.seeds, (*SEEN, *UNSEEN)
    if given.quick: n, seeds, systems = 400, 1, ("toggle_switch", "mCAD")
    asked = given.only or (*PARTS, "units", "threads", "speed")
    report = dict(rows=[])
    if given.out and given.out.exists() and (given.only or given.resume):
        report = json.loads(given.out.read_text(encoding="utf-8"))
    if not given.resume: report["rows"] = [row for row in report["rows"] if row["part"] not in asked]
    report |= dict(quick=given.quick, cells=n, seeds=seeds)
    tasks = [(*key, name, seed) for seed in range(seeds) for key in (*SIGNAL, *NULL) if key[0] in asked
             for name in systems if not (key[0] == "logarithm" and name in NEGATIVE)]
    measure(report, tasks, n, given.jobs, given.out)
    size = (2000, 10) if given.quick else (20000, 30)
    others = dict(units=lambda: units(n, systems), threads=lambda: thread_change(n), speed=lambda: speed(*size))
    for part in [part for part in others if part in asked]:
        if not (given.resume and part in report): report[part] = others[part]()
        print(part, report[part], flush=True)
    report["table"] = table(report["rows"]) if report["rows"] else []
    save(report, given.out)
    for null in (False, True):
        some = [record for record in report["table"] if (record["part"] == "null") == null]
        print(pd.DataFrame(some).drop(columns="part", errors="ignore").round(3).to_string(index=False, na_rep="-"))


if __name__ == "__main__": main()
