"""Knock-outs predicted from cells that have none, against knock-outs simulated from the same system.

    python nbs/benchmarks/knockouts.py --out nbs/benchmarks/knockouts.json     all settings, about 4 minutes of one core
    python nbs/benchmarks/knockouts.py --quick                                 one small data set: to see it work

A data set is simulated whole (`vf.datasets.counts`); some of its regulators, drawn at random among those that can be
told from other genes by their counts, are taken away in the simulation, and cells go on for ten splicing times beside
the same cells untouched. The change of a gene is the logarithm of the ratio of mean expression (two hundredths of its
present mean are added to both). The regulator itself is left out of all figures.

all       rank correlation (Spearman) of predicted and simulated change over all other genes
direct    the same over the true targets of the regulator
indirect  the same over genes that its targets drive, however far, and it doesn't
sign      share of the genes that change by more than a tenth for which the predicted sign is right
cover     share of these genes whose simulated change is within the interval of 95 %
held      level at which the regulator is held, over its mean: cells may not show a lower one
left      share of cells in which another regulator was stopped at the edge of the range
"""

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import save
from scipy.stats import spearmanr

import vfjac as vf
from vfjac.simulation import HillNetwork, simulate

SETTINGS = {
    f"{label}, depth {depth}": dict(depth=depth, **how)
    for label, how in {"20 regulators": {}, "HSC": dict(network="HSC"), "50 regulators": dict(n_regulators=50)}.items()
    for depth in (3, 30)
}


def outcome(raw, off=()):
    "Mean expression of all genes ten splicing times later, with some genes off."
    truth, time = raw.uns["truth"], np.full(raw.n_obs, 10.0)
    genes = truth["genes"]
    gamma, scale = genes["gamma"].to_numpy(), genes["scale"].to_numpy()
    threshold, n_regulators = genes["threshold"].to_numpy(), int(genes["regulator"].sum())
    network = HillNetwork(dict(genes["rule"]), n_regulators, K=threshold, rate=gamma)
    u, s = (raw.layers[f"true_{name}"] / scale for name in ("unspliced", "spliced"))
    how = dict(splicing=float(truth["splicing"]), noise=float(truth["intrinsic_noise"]), off=list(off))
    end = simulate(network, u, s, time, gamma, **how)[1]
    return pd.Series(end.mean(axis=0) * scale, raw.var_names)


def targets_of(edges, gene):
    "Targets of a regulator, and the genes that these drive and it doesn't."
    direct = set(edges.loc[edges["regulator"] == gene, "effector"]) - {gene}
    found = todo = direct
    while todo:
        todo = set(edges.loc[edges["regulator"].isin(todo), "effector"]) - found
        found = found | todo
    return direct, found - direct - {gene}


def rank_correlation(a, b, genes):
    "Spearman's correlation over some genes; NaN for fewer than five, or where nothing differs."
    a, b = a[a.index.isin(genes)], b[b.index.isin(genes)]
    return float(spearmanr(a, b)[0]) if len(a) > 4 and a.std() > 0 and b.std() > 0 else np.nan


def figures(predicted, simulated, direct, indirect):
    "Figures of one method for one knock-out: two Series of the same genes."
    changed = np.abs(simulated) > 0.1
    right = np.sign(predicted[changed]) == np.sign(simulated[changed])
    over = dict(all=predicted.index, direct=direct, indirect=indirect)
    ranks = {name: rank_correlation(predicted, simulated, genes) for name, genes in over.items()}
    return ranks | dict(sign=float(right.mean()) if changed.any() else np.nan, changed=int(changed.sum()))


def one(setting, seed, n_cells, n_genes):
    "All rows of one data set: a row for each gene that is taken away, and method."
    warnings.simplefilter("ignore")
    raw = vf.datasets.counts(n_cells=n_cells, n_targets=80, seed=seed, **SETTINGS[setting])
    own = raw.uns["truth"]["genes"]["regulator"]
    cells = vf.pp.prepare(raw, keep=list(own.index[own]), n_top_genes=None, report=True)[0]
    names = [gene for gene in own.index[own] if gene in cells.var_names]
    fit = vf.fit_production(cells, names)
    callable_ = np.array(names)[~fit.states.proxy]
    small, rows = 0.02 * raw.layers["true_spliced"].mean(axis=0), []
    untouched = outcome(raw) + small
    for gene in np.random.default_rng(seed).permutation(callable_)[:n_genes]:
        change = np.log((outcome(raw, [raw.var_names.get_loc(gene)]) + small) / untouched)
        begun = time.process_time()
        table = vf.tl.knock_out(cells, gene)
        seconds, held = time.process_time() - begun, table.attrs
        table = table.set_index("gene")
        truth = change[table.index]
        ways = dict(followed=table["change"], first_order=table["first_order"], correlation=-table["correlation"])
        inside = ((table["lower"] <= truth) & (truth <= table["upper"]))[np.abs(truth) > 0.1]
        for method, predicted in ways.items():
            found = figures(predicted, truth, *targets_of(raw.uns["truth"]["edges"], gene))
            if method == "followed": found |= dict(cover=float(inside.mean()), seconds=seconds, **held)
            found = {name: None if np.isnan(value) else round(value, 4) for name, value in found.items()}
            rows.append(dict(setting=setting, seed=seed, gene=gene, method=method, **found))
    return rows


def table(rows):
    "Median over knock-outs of the median of each data set."
    numbers = ["all", "direct", "indirect", "sign", "cover", "changed", "held", "left", "seconds"]
    frame = pd.DataFrame(rows)
    frame[numbers] = frame[numbers].astype(float)
    sets = frame.groupby(["setting", "method", "seed"], sort=False)[numbers].median()
    by = sets.groupby(["setting", "method"], sort=False)
    return by.median().assign(data_sets=by.size())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one setting, one seed, one knock-out")
    parser.add_argument("--seeds", type=int, default=6, help="data sets of each setting")
    parser.add_argument("--cells", type=int, default=800, help="cells of each data set")
    parser.add_argument("--genes", type=int, default=3, help="regulators that are taken away in each")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, help="only these")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all rows to this JSON file, and go on with it")
    given = parser.parse_args()
    if given.quick: given.seeds, given.genes, given.settings = 1, 1, ["20 regulators, depth 30"]
    report = dict(cells=given.cells, rows=[])
    if given.out and given.out.exists(): report = json.loads(given.out.read_text(encoding="utf-8"))
    there = {(row["setting"], row["seed"]) for row in report["rows"]}
    for seed in range(100, 100 + given.seeds):
        for setting in given.settings or SETTINGS:
            if (setting, seed) in there: continue
            report["rows"] += one(setting, seed, given.cells, given.genes)
            save(report, given.out)
            print(setting, seed, file=sys.stderr, flush=True)
    found = table(report["rows"])
    print(found.round(2).to_string(na_rep="-"))
    ranks = found["all"].unstack("method", sort=False)
    short = ranks[ranks["followed"] <= ranks["correlation"]]
    print(f"\nnot above correlation: {', '.join(short.index) or 'none'}")


if __name__ == "__main__":
    os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    main()
