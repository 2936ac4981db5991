"""Fates of cells, untouched and with a gene taken away, against the same cells followed in the true system.

    python nbs/benchmarks/fates.py                20 data sets a row, about 20 minutes of one core
    python nbs/benchmarks/fates.py --sets 2       a first look

In each data set one gene, drawn at random, is held at zero (of counts, one of the regulators that can be told by their
counts). Forty cells are followed. The true fate of a cell is the group most frequent among the fifteen cells nearest
to where it truly ends, whatever they express of the held gene. VSC, GSD and mCAD were not looked at while the verb was
made; the others were, at other seeds.

right      share of the cells whose likeliest fate is the true one: untouched, and with the gene held
stay       the same for who says that the fate stays the untouched one that is true: what there is to beat
sign       share of the fates whose share of cells truly changes by more than 0.1, for which the sign of the change is
           right: followed, by first order, by correlation
cover      share of the 95 % intervals that hold the true share of cells: untouched, held, and the change
width      mean width of the interval of the change
refused    share of the data sets whose fit has no posterior, since their noise looks shared; in no other figure
outside    share of the held cells that end where there are no cells
"""

import argparse
import os
import sys
import time
import warnings

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

import vfjac as vf
from vfjac.datasets import averaged, boolean_network, counts, myeloid, neurogenesis, toggle_switch, true_field, ying
from vfjac.fates import Flow
from vfjac.simulation import HillNetwork, simulate

VELOCITY = {
    "switch of two genes": lambda seed: toggle_switch(400, noise=0.3, seed=seed),
    "four valleys": lambda seed: ying(400, noise=0.3, seed=seed),
    "myeloid, 11 genes": lambda seed: myeloid(400, noise=0.3, seed=seed),
    "neurogenesis, 12 genes": lambda seed: neurogenesis(400, noise=0.3, seed=seed),
    "VSC, 8 genes": lambda seed: boolean_network("VSC", 400, noise=0.3, seed=seed),
    "mCAD, 5 genes": lambda seed: boolean_network("mCAD", 400, noise=0.3, seed=seed),
    "GSD, 19 genes": lambda seed: boolean_network("GSD", 400, noise=0.3, seed=seed),
}
AVERAGED = ("switch of two genes", "mCAD, 5 genes", "VSC, 8 genes")
COUNTS = ("HSC", "VSC", "mCAD")


def votes(cells, labels, ends, keep):
    "Share of each group among the fifteen cells nearest to some ends, by the genes that are kept."
    codes, names = pd.factorize(labels, sort=True)   # in the order of the verb
    near = cKDTree(cells[:, keep]).query(ends[:, keep], k=15)[1]
    return (codes[near][:, :, None] == np.arange(len(names))).mean(axis=1)


def of_velocity(made, seed, average):
    "The cells, the gene, who is followed, and votes at the true ends (2, n, n_fates)."
    raw = made(seed)
    cells = averaged(raw) if average else raw
    vf.fit_vector_field(cells)
    rng, field = np.random.default_rng(seed), true_field(raw)
    gene, rows = rng.choice(raw.var_names), np.sort(rng.permutation(raw.n_obs)[:40])
    keep, X = raw.var_names != gene, np.asarray(raw.X)
    edges = np.array([X.min(axis=0) - 5, X.max(axis=0) + 5])
    slopes = np.linalg.norm(field.jacobian(X[:50]), 2, axis=(1, 2)).max()
    long = 60 / np.median(np.abs(np.diagonal(field.jacobian(X), axis1=1, axis2=2)))
    both = (lambda X: field.velocity(X), X[rows]), (lambda X: field.velocity(X) * keep, np.where(keep, X, 0)[rows])
    ends = [Flow(velocity, start, edges, slopes, np.asarray).follow(long)[0] for velocity, start in both]
    return cells, gene, rows, np.array([votes(X, raw.obs["group"], end, keep) for end in ends])


def of_counts(network, seed):
    "The same of counts."
    raw = counts(network, 1000, n_targets=40, depth=20, seed=seed)
    genes, simulated = raw.uns["truth"]["genes"], raw.uns["truth"]
    names = list(genes.index[genes["regulator"]])
    cells = vf.pp.prepare(raw, keep=names, n_top_genes=None, report=True)[0]
    fit = vf.fit_production(cells, names)
    rng, n = np.random.default_rng(seed), len(names)
    gene = rng.choice(np.array(names)[~fit.states.proxy])
    rows = np.sort(rng.permutation(np.flatnonzero(raw.obs["time"] < 4))[:40])
    gamma, scale = genes["gamma"].to_numpy(), genes["scale"].to_numpy()
    true = HillNetwork(dict(genes["rule"]), n, K=genes["threshold"].to_numpy(), rate=gamma)
    start = [raw.layers[f"true_{name}"] / scale for name in ("unspliced", "spliced")]
    how = dict(splicing=float(simulated["splicing"]), noise=float(simulated["intrinsic_noise"]), seed=seed)
    long = np.full(raw.n_obs, 30.0)
    free, held = (simulate(true, *start, long, gamma, off=off, **how)[1][:, :n] for off in ([], [names.index(gene)]))
    keep = np.array(names) != gene
    return cells, gene, rows, np.array([votes(free, raw.obs["group"], end[rows], keep) for end in (free, held)])


def one(ask, seed):
    "Figures of one data set."
    cells, gene, rows, true = ask(seed)
    begun = time.process_time()
    how = dict(groups="group", cell_idx=rows, seed=seed)
    try: table = vf.tl.fates(cells, gene, draws=30, **how)
    except ValueError as error:
        if "no posterior" not in str(error): raise
        return dict(refused=1.0, large=0)   # its noise looks shared, and the fit says so
    seconds = time.process_time() - begun
    each = vf.tl.fates(cells, gene, draws=6, per_cell=True, **how)
    found = [each[name].to_numpy().reshape(true.shape[1:]) for name in ("untouched", "perturbed")]
    right = [(a.argmax(axis=1) == b.argmax(axis=1)).mean() for a, b in zip(found, true)]
    shares = dict(zip(("untouched", "perturbed"), true.mean(axis=1)))
    shares["change"] = shares["perturbed"] - shares["untouched"]
    large = np.abs(shares["change"]) > 0.1
    ways = dict(followed="change", first_order="first_order", correlation="correlation")
    return dict(
        refused=0.0, untouched=right[0], held=right[1], stay=(true[0].argmax(axis=1) == true[1].argmax(axis=1)).mean(),
        large=large.sum(),
        **{f"sign {way}": (np.sign(table[name]) == np.sign(shares["change"]))[large].sum()
           for way, name in ways.items()},
        **{f"cover {name}": ((table[f"{name}_lower"] <= s + 1e-9) & (s - 1e-9 <= table[f"{name}_upper"])).mean()
           for name, s in shares.items()},
        width=(table["change_upper"] - table["change_lower"]).mean(), outside=table.attrs["outside"], seconds=seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20, help="data sets a row")
    parser.add_argument("--only", nargs="+", default=[""], help="rows whose names contain one of these")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = {f"{name}": lambda seed, made=made: of_velocity(made, seed, False) for name, made in VELOCITY.items()}
    rows |= {f"{name}, averaged": lambda seed, made=VELOCITY[name]: of_velocity(made, seed, True) for name in AVERAGED}
    rows |= {f"counts of {name}": lambda seed, name=name: of_counts(name, seed) for name in COUNTS}
    table = {}
    for name, ask in rows.items():
        if not any(part in name for part in given.only): continue
        found = pd.DataFrame([one(ask, seed) for seed in range(100, 100 + given.sets)])
        signs = [c for c in found if c.startswith("sign")]
        found[signs] = found[signs].sum() / max(found["large"].sum(), 1)
        table[name] = found.mean()
        table[name]["large"] = found["large"].sum()
        print(table[name].round(2).to_frame(name).T.to_string(), file=sys.stderr, flush=True)
    table = pd.DataFrame(table).T
    print(table.round(2).to_string())
    low = table[[c for c in table if c.startswith("cover")]].lt(0.9).stack()
    short = {f"{name}: {what}" for (name, what), is_low in low.items() if is_low}
    worse = table.index[table["held"] < table["stay"]]
    print(f"\ncover below 0.9: {', '.join(sorted(short)) or 'none'}")
    print(f"no better than saying that fates stay: {', '.join(worse) or 'none'}")


if __name__ == "__main__":
    os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    main()
