"""From counts to edges: rankings, signs and calls on simulated counts whose network is known.

    python nbs/benchmarks/edges.py --out nbs/benchmarks/edges.json             all settings
    python nbs/benchmarks/edges.py --out nbs/benchmarks/edges.json --renew     production again, the others as they are
    python nbs/benchmarks/edges.py --quick                                     one small data set: to see it work
    python nbs/benchmarks/edges.py --real     the pancreas in shared/data beside the checkout, and 20 permutations of it
    python nbs/benchmarks/edges.py --large     seconds and memory of one fit: 20,000 cells, 2,000 genes, 50 regulators

Each data set is simulated whole: a network of regulators and targets, unspliced and spliced molecules of cells that
follow it, library sizes, counts. Every method starts from the same `vf.pp.prepare(cells)`. A method gives a signed
score to each pair of effector and regulator; a gene with itself is left out.

auprc   average precision of the true edges, ranked by |score|
sign    share of the true edges whose score has the right sign
fdp     share of the called pairs that are no edges (calls at a false discovery rate of 5 %)
found   share of the true edges that are called
constant  share of the pairs of genes made at a constant rate that are called
groups  groups of regulators that can't be told apart; right_groups: those that hold a regulator of the gene
permuted  pairs called for targets whose unspliced counts are permuted among the cells, regulators as they are
"""

import argparse
import json
import os
import resource
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from accuracy import auprc, save

import vfjac as vf
from vfjac.production import RegulatorStates, fit_counts

# name, arguments of vf.datasets.counts, regulators
SETTINGS = {
    f"{label}, depth {depth}": dict(depth=depth, **how)
    for label, how in {"20 regulators": {}, "HSC": dict(network="HSC"), "50 regulators": dict(n_regulators=50)}.items()
    for depth in ((1, 3, 30, 100) if label != "50 regulators" else (3, 30, 100))
} | {
    "20 regulators, depth 3, slow splicing": dict(depth=3, splicing=0.5),
    "20 regulators, depth 3, fast splicing": dict(depth=3, splicing=3.0),
    "20 regulators, depth 3, nuclear share varies": dict(depth=3, nuclear_sd=0.35),
    "20 regulators, depth 3, collinear": dict(depth=3, programmes=0.3),
    "20 regulators, depth 3, poorly counted": dict(depth=3, poorly_counted=0.25),
    "GSD, depth 3": dict(network="GSD", depth=3),
}


# ---------------------------------------------------------------- methods: cells, regulators -> table of scores

def moments(cells):
    "Logarithms of smoothed spliced counts, and smoothed unspliced ones."
    return np.log1p(vf.adata.dense(cells.layers["Ms"])), vf.adata.dense(cells.layers["Mu"])


def standardised(X): return (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)


def by_correlation(cells, at):
    "Correlation of smoothed expression."
    S = standardised(moments(cells)[0])
    return S.T @ S[:, at] / len(S)


def by_ridge(cells, at):
    "Ridge regression of smoothed unspliced counts on smoothed regulators, the ridge by cross-validation."
    from sklearn.linear_model import RidgeCV
    S, U = moments(cells)
    return RidgeCV(np.logspace(-1, 5, 25)).fit(standardised(S[:, at]), standardised(U)).coef_


def by_lasso(cells, at):
    "The same with the lasso, each gene's penalty by cross-validation."
    from sklearn.linear_model import LassoCV
    S, U = (standardised(table) for table in moments(cells))
    return np.array([LassoCV(alphas=20, cv=3).fit(S[:, at], u).coef_ for u in U.T])


def by_trees(cells, at):
    "Importance in a forest for each gene, as GENIE3 has it; the sign is that of the correlation."
    from sklearn.ensemble import ExtraTreesRegressor
    S, U = moments(cells)
    X = standardised(S[:, at])
    forest = lambda y: ExtraTreesRegressor(50, max_features="sqrt", min_samples_leaf=3, random_state=0).fit(X, y)
    importance = np.array([forest(u).feature_importances_ for u in standardised(U).T])
    return importance * np.sign(by_correlation(cells, at))


def by_clusters(cells, at):
    "Ridge regression of velocities on regulators in each of five clusters, averaged, as spliceJAC has it."
    from sklearn.cluster import KMeans
    from sklearn.linear_model import Ridge
    part = KMeans(5, n_init=3, random_state=0).fit_predict(cells.obsm["X_pca"])
    Ms, Mu = vf.adata.dense(cells.layers["Ms"]), vf.adata.dense(cells.layers["Mu"])
    S, V = Ms[:, at], Mu - np.nan_to_num(cells.var["gamma"].to_numpy()) * Ms
    fits = [Ridge(1.0).fit(standardised(S[part == k]), standardised(V[part == k])).coef_
            for k in np.unique(part) if (part == k).sum() > 10]
    return np.mean(fits, axis=0)


def by_dynamo(cells, at):
    "Mean Jacobian of SparseVFC with dynamo's parameters in the components of the velocities."
    X, V, Q = cells.obsm["X_pca"], cells.obsm["velocity_pca"], cells.varm["PCs"]
    J = vf.sparse_vfc(X, V).field.mean_jacobian(X, np.full((len(X), 1), 1 / len(X)))[0]
    return Q @ J @ Q[at].T


def by_velocity(cells, at):
    "Mean over standard error of vfjac's own Jacobian of velocities."
    vf.fit_vector_field(cells)
    gj = vf.gene_jacobian(cells)
    z = pd.DataFrame(gj.mean() / gj.mean_stderr() if gj.has_stderr else gj.mean(), gj.effectors, gj.genes)
    return z.reindex(index=cells.var_names, columns=cells.var_names[at]).to_numpy()   # NaN: a gene without a velocity


METHODS = dict(correlation=by_correlation, ridge=by_ridge, lasso=by_lasso, trees=by_trees, clusters=by_clusters,
               dynamo=by_dynamo, velocity=by_velocity)
OWN = ("production", "true states known")


# ---------------------------------------------------------------- figures

def average_precision(values, known):
    "Average precision of known pairs, ties in the order of the table shuffled."
    shuffle = np.random.default_rng(0).permutation(len(values))
    return auprc(values[shuffle], known[shuffle])


def truth_of(raw, cells):
    "True signs of all pairs, effectors × regulators, and which genes are made at a constant rate."
    edges, genes = raw.uns["truth"]["edges"], raw.uns["truth"]["genes"]
    regulators = [gene for gene in cells.var_names if genes.loc[gene, "regulator"]]
    signs = pd.DataFrame(0, cells.var_names, regulators)
    for effector, regulator, sign in edges[["effector", "regulator", "sign"]].itertuples(index=False):
        if effector in signs.index and regulator in signs.columns: signs.loc[effector, regulator] = sign
    return signs, genes.loc[cells.var_names, "constant"].to_numpy(bool)


def figures(scores, signs, called=None, constant=None):
    "Figures of one method's scores, a table like that of the true signs."
    pairs = ~np.equal.outer(signs.index.to_numpy(), signs.columns.to_numpy())
    values, truth = np.nan_to_num(scores.to_numpy(dtype=float))[pairs], signs.to_numpy()[pairs]
    edge = truth != 0
    found = dict(auprc=average_precision(np.abs(values), edge), sign=float((np.sign(values) == truth)[edge].mean()))
    if called is None: return found
    calls, fixed = called.to_numpy()[pairs], np.broadcast_to(constant[:, None], pairs.shape)[pairs]
    return found | dict(fdp=float((calls & ~edge).sum() / max(calls.sum(), 1)), found=float(calls[edge].mean()),
                        calls=int(calls.sum()), constant=float(calls[fixed].mean()) if fixed.any() else 0.0)


def permuted(cells, at, seed=0):
    "The same cells; the unspliced counts of all genes but the regulators are those of other cells."
    mixed, order = cells.copy(), np.random.default_rng(seed).permutation(cells.n_obs)
    U, others = vf.adata.dense(cells.layers["unspliced"]).copy(), np.setdiff1d(np.arange(cells.n_vars), at)
    U[:, others] = U[order][:, others]
    mixed.layers["unspliced"] = U
    return mixed


# ---------------------------------------------------------------- one data set

def by_production(cells, at, states=None):
    "The fit of production."
    U, S = (vf.adata.dense(cells.layers[layer]) for layer in ("unspliced", "spliced"))
    return fit_counts(S, U, at, states=states)


def known_states(raw, names):
    "The true states of the regulators, half a splicing time back as the fit has them: what is possible."
    s, u = (vf.adata.dense(raw[:, names].layers[f"true_{kind}"]) for kind in ("spliced", "unspliced"))
    gamma, ones = (s * u).sum(axis=0) / (s**2).sum(axis=0), np.ones(len(names))
    x = np.sqrt(np.maximum(s + 0.5 * (gamma * s - u), 0.02 * s.mean(axis=0)))
    return RegulatorStates(standardised(x), x.mean(axis=0), x.std(axis=0), ones, 9 * ones, gamma, 0 * ones, 0)


def one(task):
    "All figures of one data set, a row for each method."
    setting, seed, n_cells, methods = task
    warnings.simplefilter("ignore")
    raw = vf.datasets.counts(n_cells=n_cells, seed=seed, **SETTINGS[setting])
    names = [gene for gene, own in raw.uns["truth"]["genes"]["regulator"].items() if own]
    cells = vf.pp.prepare(raw, keep=names, n_top_genes=None, report=True)[0]
    names = [name for name in names if name in cells.var_names]
    signs, constant = truth_of(raw, cells)
    at, rows = cells.var_names.get_indexer(names), []
    def add(method, work):
        begun = time.process_time()
        found = work()
        rows.append(dict(setting=setting, seed=seed, method=method, **found, seconds=time.process_time() - begun,
                         base=float((signs.to_numpy() != 0).mean())))
    def production(states=None):
        fit = by_production(cells, at, states)
        tables = np.sign(fit.mean) * fit.score, fit.called()
        scores, called = (pd.DataFrame(a, signs.index, signs.columns) for a in tables)
        right = sum(int((signs.to_numpy()[gene, list(members)] != 0).any()) for gene, members, _ in fit.groups)
        return figures(scores, signs, called, constant) | dict(groups=len(fit.groups), right_groups=right)
    def own():
        others = ~np.isin(np.arange(cells.n_vars), at)
        return production() | dict(permuted=int(by_production(permuted(cells, at), at).called()[others].sum()))
    if "production" in methods: add("production", own)
    if "true states known" in methods: add("true states known", lambda: production(known_states(raw, names)))
    for method in [method for method in methods if method in METHODS]:
        scores = partial(METHODS[method], cells, at)
        add(method, lambda scores=scores: figures(pd.DataFrame(scores(), signs.index, signs.columns), signs))
    return rows


# ---------------------------------------------------------------- real cells, and many of them

def real(n=20):
    "Calls on the pancreas, and their mean where unspliced counts of all genes but the regulators are permuted."
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "pancreas_counts.h5ad"
    if not path.exists(): return f"{path.name} is not in shared/data beside the checkout"
    names = "Pdx1 Pax4 Pax6 Isl1 Hes1 Sox9 Nkx2-2 Rfx6 Foxa3 Hnf1b St18 Etv1".split()
    cells = vf.pp.prepare(anndata.read_h5ad(path), keep=names, report=True)[0]
    at = cells.var_names.get_indexer(names)
    pairs, others = by_production(cells, at).pairs(), ~np.isin(np.arange(cells.n_vars), at)
    one = pairs.query(f"effector == {cells.var_names.get_loc('Ins2')} and regulator == {at[0]}").iloc[0]
    calls = [by_production(permuted(cells, at, seed), at).called()[others].sum() for seed in range(n)]
    return (f"{pairs['called'].sum()} of {len(pairs):,} pairs called; Pdx1 on Ins2: z {one.z:.1f}, {one.called}; "
            f"of {n} permutations {np.mean(calls):.2f} calls a time, {np.max(calls)} at most")


def large(n_cells=20_000, n_regulators=50, n_genes=2000):
    "Seconds and memory of one fit with errors, selection and length scales."
    raw = vf.datasets.counts(n_cells=2000, n_regulators=n_regulators, n_targets=n_genes - n_regulators, seed=0)
    rng, again = np.random.default_rng(0), np.arange(n_cells) % raw.n_obs
    rates = (vf.adata.dense(raw.layers[f"true_{kind}"]) for kind in ("spliced", "unspliced"))
    S, U = (rng.poisson(rate[again]).astype(np.float32) for rate in rates)
    begun, held = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fit = fit_counts(S, U, np.flatnonzero(raw.uns["truth"]["genes"]["regulator"]))
    seconds, peak = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (f"{n_cells:,} cells, {n_genes:,} genes, {n_regulators} regulators: {seconds:.0f} CPU s, "
            f"{peak / 1e6:.1f} GB at most ({held / 1e6:.1f} before), {fit.called().sum():,} calls")


# ---------------------------------------------------------------- the run

def table(rows):
    "Median over data sets, with the worst false discovery proportion."
    frame = pd.DataFrame(rows)
    numbers = [c for c in ("auprc", "sign", "fdp", "found", "constant", "groups", "right_groups", "permuted", "seconds")
               if c in frame]
    median = frame.groupby(["setting", "method"], sort=False)[numbers].median()
    if "fdp" in frame: median.insert(3, "worst fdp", frame.groupby(["setting", "method"], sort=False)["fdp"].max())
    return median.assign(data_sets=frame.groupby(["setting", "method"], sort=False).size())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one setting, one seed, few cells")
    parser.add_argument("--seeds", type=int, default=6, help="data sets of each setting")
    parser.add_argument("--cells", type=int, default=2000, help="cells of each data set")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, help="only these")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS), help="comparators; all")
    parser.add_argument("--renew", action="store_true", help="production again, others as they are in the file")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all rows to this JSON file, and go on with it")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one BLAS thread")
    parser.add_argument("--real", action="store_true", help="the pancreas, and permutations of it")
    parser.add_argument("--large", action="store_true", help="seconds and memory of one large fit")
    given = parser.parse_args()
    if given.real or given.large: return print(real() if given.real else large())
    if given.quick: given.seeds, given.cells, given.settings = 1, 600, ["20 regulators, depth 3"]
    report = dict(cells=given.cells, rows=[])
    if given.out and given.out.exists(): report = json.loads(given.out.read_text(encoding="utf-8"))
    if given.renew: report["rows"] = [row for row in report["rows"] if row["method"] not in OWN]
    there = {(row["setting"], row["seed"], row["method"]) for row in report["rows"]}
    missing = {(setting, seed): [m for m in (*OWN, *given.methods) if (setting, seed, m) not in there]
               for seed in range(100, 100 + given.seeds) for setting in given.settings or SETTINGS}
    tasks = [(setting, seed, given.cells, methods) for (setting, seed), methods in missing.items() if methods]
    os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(one, task) for task in tasks]
        for done, future in enumerate(as_completed(futures), 1):
            if future.exception(): pool.shutdown(cancel_futures=True)
            report["rows"] += future.result()
            save(report, given.out)
            print(f"{done}/{len(tasks)}", *list(report["rows"][-1].values())[:2], file=sys.stderr, flush=True)
    print(table(report["rows"]).round(3).to_string(na_rep="-"))


if __name__ == "__main__": main()
