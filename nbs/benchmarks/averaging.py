"""Averaging over neighbours: how surely it is proved, how well and how fast it is undone.

    python nbs/benchmarks/averaging.py --out nbs/benchmarks/averaging.json     all parts, ~15 minutes
    python nbs/benchmarks/averaging.py --only proof                            one part
    python nbs/benchmarks/averaging.py --quick                                 small: to see it work

proof   Values of known origin, each tested against a graph. Where they were averaged over exactly this graph the proof
        must succeed, where over another one, or not at all, it must fail: all else is a mistake. What is nearly an
        average (some edges lost, logarithms taken afterwards) is listed apart, with the error of what is undone.
search  Whole data sets, with the graph stored, another one stored, or none: what the fit finds on its own.
real    Real cells: files of scVelo and dynamo, and moments made from raw counts, if ../shared/data is there.
scale   Seconds of CPU and memory of search and undoing, beside the fit without them.
default Seconds of CPU of the default fit with errors, imports among them, where noise is independent and no graph is
        stored: now, with smoothing=False, and at the commit before averaging was looked for (git has it).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, eye_array

from vfjac import datasets, noise
from vfjac.adata import read_averages

SYSTEMS = ("linear_system", "toggle_switch", "ying", "repressilator", "neurogenesis", "myeloid")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ALIKE = " (edges alike, with the cell itself)"


# ---------------------------------------------------------------- data and graphs

def cells(name, n, seed, level=0.3):
    "States and velocities of single cells, both with noise, (n, d) each."
    make = getattr(datasets, name)
    adata = make([[-1, 0.5, 0], [0, -1, -0.8], [0.6, 0, -1]], n) if name == "linear_system" else make(n, seed=seed)
    rng, Q = np.random.default_rng(seed), adata.varm["PCs"]
    X, V = adata.obsm["X_pca"], adata.layers["true_velocity"] @ Q
    return tuple(Y + level * np.sqrt(np.square(Y - Y.mean(0)).mean()) * rng.normal(size=Y.shape) for Y in (X, V))


def stored_graphs(X, k):
    "Graphs of the k nearest cells (itself among them) as scanpy stores them: distances, and weights both ways."
    near = noise.nearest_cells(X, k)
    distance = np.linalg.norm(X[near[:, 1:]] - X[:, None], axis=2)
    starts = np.arange(0, distance.size + 1, k - 1)
    distances = csr_array((distance.ravel(), near[:, 1:].ravel(), starts), shape=(len(X), len(X)))
    weights = distances.copy()   # UMAP's, nearly: 1 at the nearest neighbour, and a width for each cell
    weights.data = np.exp(-(distance - distance[:, :1]) / (distance - distance[:, :1]).mean(axis=1)[:, None]).ravel()
    return distances, csr_array(weights + weights.T - weights.multiply(weights.T))


def averages(X, k):
    "Four kinds of averages over the same neighbours."
    distances, weights = stored_graphs(X, k)
    return dict(
        symmetric=noise.neighbour_means(weights), directed=noise.neighbour_means(distances),
        weighted_self=noise.neighbour_means(weights, weighted=True),
        weighted=noise.neighbour_means(weights, weighted=True, with_self=False))


def without_edges(W, share, rng):
    "The same average with some edges lost."
    W = W.copy()
    W.data[rng.random(W.nnz) < share] = 0
    return noise.averaging_matrix(W)


def as_logarithms(Y): return np.log1p((Y - Y.min(axis=0)) / np.ptp(Y, axis=0) * 5)


# ---------------------------------------------------------------- proof

def tests(name, n, k, seed):
    "Tests of one data set: kind, graph, whether it must be proved (None: either way), average, values, single values."
    X, V = cells(name, n, seed)
    rng, E = np.random.default_rng(seed + 1), np.random.default_rng(seed + 2).normal(size=X.shape)
    made = averages(X, k)
    for graph, W in made.items():
        for what, Y in dict(velocities=V, states=X, noise=E).items():
            yield f"exact: {what}", graph, True, W, W @ Y, Y
        yield "exact: velocities in float32", graph, True, W, (W @ V).astype(np.float32), V
        yield "exact: states in float32", graph, True, W, (W @ X).astype(np.float32), X
        yield "not averaged: velocities", graph, False, W, V, None
        yield "not averaged: states", graph, False, W, X, None
        yield "not averaged: noise", graph, False, W, E, None
        yield "cells in another order", graph, False, W, (W @ V)[rng.permutation(n)], None
        yield "hardly averaged: velocities", graph, False, 0.3 * W + 0.7 * eye_array(n), V, None
        for share in (0.001, 0.01):
            yield f"{share:.1%} of the edges lost", graph, None, without_edges(W, share, rng), W @ V, V
        yield "logarithm afterwards", graph, None, W, as_logarithms(W @ V), None
    for graph, other in (("symmetric", "directed"), ("directed", "symmetric"), ("symmetric", "weighted_self"),
                         ("weighted_self", "symmetric"), ("weighted", "symmetric")):
        yield f"averaged with the {graph} graph", other, False, made[other], made[graph] @ V, None
    for change in (-5, -1, 1, 5):
        other = averages(X, k + change)
        for graph in ("symmetric", "directed"):
            yield f"averaged with k {change:+d}", graph, False, made[graph], other[graph] @ V, None
    if X.shape[1] > 2:
        other = averages(X[:, :-1], k)
        yield "averaged with fewer components", "symmetric", False, made["symmetric"], other["symmetric"] @ V, None
    averaged = averages(made["symmetric"] @ X, k)["symmetric"]
    yield "the graph of the averaged states", "symmetric", False, averaged, made["symmetric"] @ V, None


def proof(quick):
    "All tests: a table with what came out by kind."
    plan = [(name, n, k, 0) for name in SYSTEMS for n, k in ((500, 10), (500, 30), (500, 50), (2000, 15), (2000, 30))]
    plan += [("neurogenesis", 5000, 30, 1), ("ying", 5000, 10, 1), ("myeloid", 20_000, 30, 1)]
    if quick: plan = plan[:2]
    rows = []
    for at in plan:
        for kind, graph, must, W, Y, single in tests(*at):
            found = noise.prove_averaging(W, dict(values=Y))["values"]
            error = None
            if must is None and single is not None and found.proved:
                undone = noise.undo_average(W, Y)[0]
                error = float(np.linalg.norm(undone - single) / np.linalg.norm(single - single.mean(axis=0)))
            rows.append(dict(kind=kind, graph=graph, must=must, system=at[0], n=at[1], k=at[2], proved=found.proved,
                             ratio=found.ratio, score=found.score, error=error))
        print(at, len(rows), "tests,", len(wrong(rows)), "mistakes", file=sys.stderr, flush=True)
    return summary(rows)


def wrong(rows): return [r for r in rows if r["must"] is not None and r["must"] != r["proved"]]


def summary(rows):
    "Counts, mistakes and ranges for each kind; every mistake in full."
    decided = [r for r in rows if r["must"] is not None]
    mistakes = wrong(rows)
    kinds = {}
    for kind in dict.fromkeys(r["kind"] for r in rows):
        of = [r for r in rows if r["kind"] == kind]
        spans = {}
        for key in ("ratio", "score"):   # 9 stands for infinity
            spans[key] = [round(float(q), 3) for q in np.quantile(np.minimum([r[key] for r in of], 9), (0, 0.5, 1))]
        errors = [r["error"] for r in of if r["error"] is not None]
        kinds[kind] = dict(tests=len(of), must=of[0]["must"], proved=sum(r["proved"] for r in of),
                           largest_error=max(errors, default=None)) | spans
    return dict(tests=len(rows), decided=len(decided), mistakes=mistakes,
                wrongly_proved=sum(m["proved"] for m in mistakes), kinds=kinds)


# ---------------------------------------------------------------- search

def searched(name, k, seed, **how):
    "What search finds in one data set, and how far what it undoes is from single cells, as shares of their spread."
    make = getattr(datasets, name)
    adata = make([[-1, 0.5, 0], [0, -1, -0.8], [0.6, 0, -1]], 800, noise=0.3, seed=seed) if name == "linear_system" \
        else make(800, noise=0.3, seed=seed)
    made = datasets.averaged(adata, k, seed=seed, **how) if k else adata
    X, V = made.obsm["X_pca"], made.layers["velocity"] @ made.varm["PCs"]
    found, _ = noise.find_averaging(
        chain(read_averages(made), noise.state_averages(X)), dict(velocities=V, states=X))
    if found is None: return dict(undone=False, states=False, velocities_off=None, states_off=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)   # of cells with the same neighbours
        states, velocities, record = noise.undo_smoothing(X, V, found)
    def away(Y, of): return float(np.linalg.norm(Y - of) / np.linalg.norm(of - of.mean(axis=0)))
    moved = away(states @ made.varm["PCs"].T + made.uns["pca_mean"], adata.X) if record.states_undone else None
    off = None if how.get("pure_noise") else away(velocities @ made.varm["PCs"].T, adata.layers["velocity"])
    return dict(undone=True, states=record.states_undone, velocities_off=off, states_off=moved)


def search(quick):
    "For each setting: data sets, how many were undone, states too, and the largest errors."
    settings = {"independent noise": (None, {})}
    for k, other in ((10, 15), (30, 20), (50, 30)):
        for noisy in (False, True):
            for label, store in dict(stored=True, another=other, none=False).items():
                what = "pure noise" if noisy else "velocities"
                settings[f"{what} averaged, k = {k}, graph: {label}"] = (k, dict(store=store, pure_noise=noisy))
        settings[f"states too, k = {k}, graph: stored"] = (k, dict(states=True))
        settings[f"states too, k = {k}, directed, graph: stored"] = (k, dict(states=True, symmetric=False))
        settings[f"states too, k = {k}, graph: another"] = (k, dict(states=True, store=other))
        settings[f"states too, k = {k}, graph: none"] = (k, dict(states=True, store=False))
    out = {}
    for label, (k, how) in settings.items():
        rows = [searched(name, k, seed, **how) for name in SYSTEMS for seed in range(1 if quick else 2)]
        largest = {key: max((r[key] for r in rows if r[key] is not None), default=None)
                   for key in ("velocities_off", "states_off")}
        out[label] = dict(data_sets=len(rows), undone=sum(r["undone"] for r in rows),
                          states_too=sum(r["states"] for r in rows)) | largest
        print(label, out[label], file=sys.stderr, flush=True)
        if quick and len(out) == 3: break
    return out


# ---------------------------------------------------------------- real cells

def table(layer):
    "Columns that vary, as float64."
    values = np.asarray(layer.toarray() if hasattr(layer, "toarray") else layer, dtype=np.float64)
    values = values[:, np.isfinite(values).all(axis=0)]
    return values[:, np.ptp(values, axis=0) > 0]


def moments(adata, k=30):
    "What scVelo's pipeline makes of raw counts: the average, and tables that must or must not be averages over it."
    normal = {key: table(adata.layers[key]) for key in ("spliced", "unspliced")}
    normal = {key: Y / Y.sum(axis=1, keepdims=True) * np.median(Y.sum(axis=1)) for key, Y in normal.items()}
    logs = np.log1p(normal["spliced"])
    logs = logs[:, np.argsort(-logs.var(axis=0))[:2000]]
    left, size, _ = np.linalg.svd(logs - logs.mean(axis=0), full_matrices=False)
    X = (left * size)[:, :30]
    W = noise.neighbour_means(stored_graphs(X, k)[1])
    Ms, Mu = ((W @ normal[key]).astype(np.float32) for key in ("spliced", "unspliced"))
    few = lambda Y, n=300: Y[:, np.argsort(-Y.var(axis=0))[:n]]
    yes = {"Ms": few(Ms), "Mu": few(Mu), "Mu - Ms / 5": few(Mu)[:, :200] - few(Ms)[:, :200] / 5}
    no = {"spliced": few(normal["spliced"]), "unspliced": few(normal["unspliced"]), "X_pca": X}
    return W, yes, no, {"log1p of Ms": few(np.log1p(Ms))}


def real(quick):
    "Tables of real files: whether they must be averages (None: either way), ratio and score."
    import anndata as ad
    if not DATA.exists(): return {}
    out = {}
    def test(file, W, tables, must):
        for name, Y in tables.items():
            proof = noise.prove_averaging(W, {name: Y})[name]
            out[f"{file}: {name}"] = dict(must=must, proved=proof.proved, ratio=proof.ratio, score=proof.score)
    made = ad.read_h5ad(DATA / "scvelo_pancreas_100_preprocessed.h5ad")
    W = dict(noise.stored_averages("connectivities", made.obsp["connectivities"]))["connectivities" + ALIKE]
    layers = {key: table(made.layers[key]) for key in ("Ms", "Mu", "spliced", "unspliced")}
    test("scVelo's file", W, {key: layers[key] for key in ("Ms", "Mu")}, True)
    raw = {key: layers[key] for key in ("spliced", "unspliced")}
    test("scVelo's file", W, raw | {"X_pca": made.obsm["X_pca"]}, False)
    test("scVelo's file", W, {"log1p of Ms": np.log1p(layers["Ms"])}, None)
    apart = np.abs(W @ made.layers["spliced"].toarray() - made.layers["Ms"]).max()
    out["scVelo's file: largest difference between W @ spliced and Ms"] = float(apart)
    made = ad.read_h5ad(DATA / "pancreas_dynamo.h5ad")
    W = noise.neighbour_means(made.obsp["connectivities"], both_ways=True)
    projected = made.layers["velocity_S"][:, made.var["use_for_pca"].to_numpy()] @ made.uns["PCs"]
    test("dynamo's file", W, {"velocity_S": table(made.layers["velocity_S"]), "velocity_S, projected": projected}, True)
    others = ("X_pca", "velocity_pca", "X_umap", "velocity_umap")
    test("dynamo's file", W, {key: made.obsm[key] for key in others}, False)
    one_way = noise.neighbour_means(made.obsp["connectivities"])
    test("dynamo's file", one_way, {"velocity_S, edges one way": projected}, False)
    out["dynamo's file: effective number of cells"] = noise.effective_cells(W)
    for file in ("pancreas_counts", "scvelo_dentategyrus_100"):
        W, yes, no, perhaps = moments(ad.read_h5ad(DATA / f"{file}.h5ad"))
        for tables, must in ((yes, True), (no, False), (perhaps, None)): test(f"moments of {file}", W, tables, must)
    return out


# ---------------------------------------------------------------- scale

def neighbours(n):
    "States and velocities of n cells in 30 dimensions, and the graph of their neighbours, both ways."
    from scipy.spatial import cKDTree
    rng = np.random.default_rng(0)
    latent, Q = rng.normal(size=(n, 4)), np.linalg.qr(rng.normal(size=(30, 4)))[0]
    X = 3 * np.tanh(latent) @ Q.T + 0.3 * rng.normal(size=(n, 30))
    V = np.tanh(X @ rng.normal(size=(30, 30)) / 5) + 0.3 * rng.normal(size=(n, 30))
    near = cKDTree(latent).query(latent, range(1, 31))[1]
    graph = csr_array((np.ones(near.size), near.ravel(), np.arange(0, near.size + 1, 30)), shape=(n, n))
    return X, V, graph.maximum(graph.T)


def timed(n, what):
    "One data set of n cells: CPU seconds of each step, and the most memory of all of them, GB."
    from vfjac.fit import fit_field
    X, V, graph = neighbours(n)
    W = noise.neighbour_means(graph)
    if what == "states and velocities": X = W @ X
    if what != "nothing": V = W @ V
    seconds, start = {}, time.process_time()
    def lap(step):
        nonlocal start
        seconds[step], start = round(time.process_time() - start, 2), time.process_time()
    found, _ = noise.find_averaging(noise.stored_averages("connectivities", graph), dict(velocities=V, states=X))
    lap("search")
    states, velocities = X, V
    if found is not None: states, velocities, _ = noise.undo_smoothing(X, V, found)
    lap("undo")
    fit_field(states, velocities)
    lap("fit")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    fit_field(X, V)
    lap("fit as given")
    return dict(cells=n, averaged=what, seconds=seconds, gigabytes=round(memory, 2), proved=found is not None)


def scale(quick):
    "Each size and kind in a process of its own, with one thread."
    rows = []
    for n in ((2000,) if quick else (20_000, 100_000)):
        for what in ("nothing", "velocities", "states and velocities"):
            code = f"import json; from averaging import timed; print(json.dumps(timed({n}, {what!r})))"
            alone = os.environ | dict(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TQDM_DISABLE="1")
            run = subprocess.run([sys.executable, "-c", code], env=alone, cwd=Path(__file__).parent, check=True,
                                 capture_output=True, text=True)
            rows.append(json.loads(run.stdout.splitlines()[-1]))
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


BEFORE = "04f2e17"   # the commit before averaging was looked for
DEFAULT_FIT = """
import json, sys, time
import anndata as ad, numpy as np
import vfjac as vf
rng, n = np.random.default_rng(0), int(sys.argv[1])
X = rng.normal(size=(n, 30)) * np.linspace(2, 0.3, 30)
V = np.tanh(X @ (0.4 * rng.normal(size=(30, 30)) / 30**0.5 - np.eye(30)).T)
V += 0.3 * V.std() * rng.normal(size=V.shape)
adata = ad.AnnData(np.zeros((n, 2), dtype="f4"), obsm=dict(X_pca=X, velocity_pca=V))
start = time.process_time()
vf.fit_vector_field(adata, **json.loads(sys.argv[2]))
print(round(time.process_time() - start, 2))
"""


def default(quick):
    "Each size in a process of its own, with one thread, the versions in turns; the least of three."
    rows, root = [], Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as old:
        archive = subprocess.run(["git", "archive", BEFORE, "vfjac"], cwd=root, capture_output=True)
        if not archive.returncode: subprocess.run(["tar", "x", "-C", old], input=archive.stdout, check=True)
        versions = dict(now=(root, {}), without=(root, dict(smoothing=False)))
        if not archive.returncode: versions["before"] = (old, {})
        def seconds(n, path, given):
            alone = os.environ | dict(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TQDM_DISABLE="1")
            command = [sys.executable, "-W", "ignore", "-c", DEFAULT_FIT, str(n), json.dumps(given)]
            run = subprocess.run(command, env=alone, cwd=path, check=True, capture_output=True, text=True)
            return float(run.stdout)   # what is imported is what is in the folder
        for n in ((1000,) if quick else (1000, 5000, 20_000)):
            times = [{name: seconds(n, *how) for name, how in versions.items()} for _ in range(1 if quick else 3)]
            rows.append(dict(cells=n) | {name: min(t[name] for t in times) for name in versions})
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


# ---------------------------------------------------------------- command line

PARTS = dict(proof=proof, search=search, real=real, scale=scale, default=default)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="one part only")
    parser.add_argument("--out", type=Path, help="JSON file; parts that were not run are kept in it")
    parser.add_argument("--quick", action="store_true", help="small data, to see it work")
    args = parser.parse_args()
    done = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    for name in [args.only] if args.only else PARTS:
        done[name] = PARTS[name](args.quick)
        print(f"{name}: {json.dumps(done[name], indent=1)}")
        if args.out: args.out.write_text(json.dumps(done, indent=1) + "\n")


if __name__ == "__main__": main()
