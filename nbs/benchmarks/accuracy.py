"""How right the Jacobian is: systems whose Jacobian is known, at several noise levels and many seeds.

    python nbs/benchmarks/accuracy.py --out nbs/benchmarks/accuracy.json     the table of the page, ~40 minutes
    python nbs/benchmarks/accuracy.py --quick                                two seeds, 300 cells: to see it work

Every simulated data set is fitted four ways: by SparseVFC with dynamo's parameters on the velocities as they are (the
numbers of dynamo's own fit: see the page on agreement), by vfjac's tuned fit, and by two cheap comparators, one
straight line for all cells and one for each of ten clusters. All are compared with the true Jacobian between genes at
every cell.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np

SYSTEMS = ("linear_system", "toggle_switch", "ying", "repressilator", "neurogenesis", "myeloid")
NOISE = (0.05, 0.1, 0.3)


def simulated(name, n, noise, seed):
    "Cells of a system, noise as a share of the velocities' root mean square."
    from vfjac import datasets
    make = getattr(datasets, name)
    if name == "linear_system": make = partial(make, [[-1, 0.5, 0], [0, -1, -0.8], [0.6, 0, -1]])
    if name in ("toggle_switch", "linear_system"):   # here noise is a standard deviation
        noise *= float(np.sqrt(np.square(make(n_cells=n, noise=0, seed=seed).layers["true_velocity"]).mean()))
    return make(n_cells=n, noise=noise, seed=seed)


# ---------------------------------------------------------------- the ways to fit: AnnData → Jacobians of all cells

def by_rule(adata, **how):
    import vfjac as vf
    vf.fit_vector_field(adata, M=100, **how)
    return vf.gene_jacobian(adata).block(memory_mb=4000)


def by_dynamo(adata): return by_rule(adata, compat="dynamo")


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


def error(J, truth): return float(np.linalg.norm(J - truth) / np.linalg.norm(truth))


def correlation(J, truth): return float(np.corrcoef(J.ravel(), truth.ravel())[0, 1]) if np.ptp(J) else 0.0


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


def one(name, noise, seed, n):
    "All figures of one simulated data set."
    import vfjac as vf
    adata = simulated(name, n, noise, seed)
    truth = adata.obsm["true_jacobian"]
    fits = dict(dynamo=by_dynamo(adata.copy()), line=by_line(adata), clusters=by_cluster(adata))
    fit = vf.fit_vector_field(adata)
    genes = vf.gene_jacobian(adata)
    fits["ours"] = genes.block(memory_mb=4000)
    z = np.abs(fits["ours"] - truth) / np.maximum(genes.stderr(memory_mb=4000), 1e-300)
    inside = vf.dynamics.support(genes.field, adata.obsm["X_pca"], adata.obsm["X_pca"]) >= 0.05
    row = dict(system=name, noise=noise, seed=seed, dof=fit.dof, M=len(fit.control_idx),
               trend=bool(fit.params["trend"]), covered=float((z[inside] < 1.96).mean()), inside=float(inside.mean()),
               error={k: error(J, truth) for k, J in fits.items()},
               correlation={k: correlation(J, truth) for k, J in fits.items()})
    if "network" in adata.uns and name in ("neurogenesis", "myeloid"):
        row["auprc"] = {k: edge_auprc(J, adata.uns["network"], adata.var_names) for k, J in fits.items()}
    return row


def under_the_null(seed, n, fdr=0.05):
    "Share of gene pairs called at the stated rate when the velocities are shuffled among the cells."
    import vfjac as vf
    adata = simulated("myeloid", n, 0.1, seed)
    adata.obsm["velocity_pca"] = adata.obsm["velocity_pca"][np.random.default_rng(seed).permutation(n)]
    vf.fit_vector_field(adata)
    return len(vf.gene_jacobian(adata).significant(fdr=fdr)) / adata.n_vars**2


def units(n):
    "Relative change of J / unit when the velocities are given in another unit."
    import vfjac as vf
    changes = {}
    for name in SYSTEMS:
        adata, J = simulated(name, n, 0.1, 0), {}
        for unit in (1, 0.01, 0.1, 10, 100):
            scaled = adata.copy()
            scaled.obsm["velocity_pca"] = unit * scaled.obsm["velocity_pca"]
            vf.fit_vector_field(scaled)
            J[unit] = vf.gene_jacobian(scaled).block(memory_mb=4000) / unit
        changes[name] = max(float(np.abs(J[u] - J[1]).max() / np.abs(J[1]).max()) for u in J)
    return changes


def stable(path, n):
    "Jacobians of fits to the reference's data set, or to a simulated one, in this process; saved for comparison."
    import anndata
    file = Path(__file__).resolve().parents[3] / "shared" / "data" / "pancreas_dynamo.h5ad"
    found = {}
    if file.exists():
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


def thread_change(n):
    "Relative change of J between one and two BLAS threads, each in a process of its own."
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in ("1", "2"):
            path = Path(folder) / f"stable-{threads}.npz"
            limits = {name: threads for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
            command = [sys.executable, __file__, "--stable", str(path), str(n)]
            subprocess.run(command, check=True, env=os.environ | limits)
            with np.load(path) as file: results.append(dict(file))
    one, two = results
    return {k: float(np.abs(one[k] - two[k]).max() / np.abs(one[k]).max()) for k in one}


def all_rows(n, seeds):
    "The figures of every system, noise level and seed."
    rows = []
    for name in SYSTEMS:
        for noise in NOISE:
            rows += [one(name, noise, seed, n) for seed in range(seeds)]
            own = rows[-seeds:]
            print(f"{name}, noise {noise}: error {np.median([r['error']['ours'] for r in own]):.3f} (dynamo "
                  f"{np.median([r['error']['dynamo'] for r in own]):.3f}), 95 % intervals cover "
                  f"{np.mean([r['covered'] for r in own]):.1%}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds, 300 cells")
    parser.add_argument("--seeds", type=int, default=20, help="simulated data sets for each system and noise level")
    parser.add_argument("--cells", type=int, default=1500, help="cells of each data set")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all figures to this JSON file")
    parser.add_argument(
        "--only", choices=("threads", "units", "null"), help="measure this part anew, in the file of --out")
    parser.add_argument("--stable", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")   # outliers and unit warnings of the reference's fit: they are the result
    if given.stable: return stable(given.stable[0], int(given.stable[1]))
    n, seeds = (300, 2) if given.quick else (given.cells, given.seeds)
    parts = dict(
        units=lambda: units(n), threads=lambda: thread_change(n),
        null=lambda: [under_the_null(seed, n) for seed in range(seeds)])
    if given.only:
        report = json.loads(given.out.read_text(encoding="utf-8")) if given.out else {}
        parts = {given.only: parts[given.only]}
    else: report = dict(quick=given.quick, cells=n, seeds=seeds, rows=all_rows(n, seeds))
    for part, measure in parts.items():
        report[part] = measure()
        print(part, report[part], flush=True)
    if given.out: given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__": main()
