"""From scVelo's tutorial to called pairs: what `prepare` and `fit_production` make of what scVelo leaves.

    pip install scvelo==0.3.4 "numpy<2.4"                              beside vfjac, in an environment of its own
    python nbs/benchmarks/scvelo.py --out nbs/benchmarks/scvelo.json   all data and ways, ~5 minutes of one core
    python nbs/benchmarks/scvelo.py --quick                            what CI asks: PASS or FAIL for each way

Data: pancreas_counts.h5ad and scvelo_dentategyrus_100.h5ad where shared/data is beside the checkout (or in --data),
and counts of a simulated network. Ways to the same pairs:

counts      prepare on the counts, before scVelo; the others are compared with it
scvelo      filter_and_normalize, moments, velocity (stochastic), as its tutorial has them
scanpy      the same with scanpy's components and neighbours, velocity(mode="deterministic")
dynamical   recover_dynamics of 20 genes and velocity(mode="dynamical") after moments
averages    what `scvelo` leaves, without the layers spliced and unspliced: Ms and Mu only

calls       pairs called at a false discovery rate of 5 %
permuted    the same with unspliced counts of all genes but the regulators permuted among the cells
rates       rank correlation of γ with that of `counts`, over genes that both trust
shared      pairs called in both ways, of those called in either
z           correlation of all z with those of `counts`
variance    share of the variance of Ms that trusted genes hold; `by_mask`: that genes in scVelo's velocity_genes hold
auprc, true, found   (simulated) average precision; share of the calls that are edges; of the edges that are called
"""

import argparse
import json
import sys
import time
import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

import vfjac as vf
from vfjac.regulation import read_counts

HERE = Path(__file__).resolve().parent
FILES = {
    "pancreas": ("pancreas_counts.h5ad", "Pdx1 Pax4 Pax6 Isl1 Hes1 Sox9 Nkx2-2 Rfx6 Foxa3 Hnf1b St18 Etv1"),
    "dentate gyrus": ("scvelo_dentategyrus_100.h5ad", "Tcf4 Zbtb20 Nfib Ybx1 Rfx3 Myt1l")}
WAYS = ("counts", "scvelo", "scanpy", "dynamical", "averages")
# Warnings that name what to do: regulators to leave out, cells to bring, neighbours to take.
ACTED_ON = ("can't be told from other genes by their own counts", "bring more cells",
            "expected 120 cells or more")


def load(name, folder):
    "Return counts and regulators of a data set."
    if name in FILES:
        file, regulators = FILES[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")   # of anndata, on old files
            return anndata.read_h5ad(folder / file), regulators.split()
    cells = vf.datasets.counts(n_cells=1000, depth=float(name.split()[-1]))
    return cells, [gene for gene in cells.var_names if gene.startswith("Regulator")]


def after_scvelo(adata, way):
    "Return what scVelo leaves."
    sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != HERE]   # this file has scVelo's name
    import scanpy as sc
    import scvelo as scv
    scv.settings.verbosity = 0
    adata = adata.copy()
    scv.pp.filter_and_normalize(adata, min_shared_counts=20)
    if way == "scanpy":
        sc.pp.pca(adata, n_comps=min(30, *(m - 1 for m in adata.shape)))
        sc.pp.neighbors(adata, n_neighbors=30)
        scv.pp.moments(adata, n_pcs=None, n_neighbors=None)
        scv.tl.velocity(adata, mode="deterministic")
        return adata
    scv.pp.moments(adata, n_pcs=30, n_neighbors=30)
    scv.tl.velocity(adata)
    if way == "dynamical":
        scv.tl.recover_dynamics(adata, var_names=adata.var_names[adata.var["velocity_genes"]][:20], n_jobs=1)
        scv.tl.velocity(adata, mode="dynamical")
    if way == "averages": del adata.layers["spliced"], adata.layers["unspliced"]
    return adata


def pairs_of(adata, regulators):
    "Return prepared cells, the report, the pairs, and the warnings on the way."
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        cells, report = vf.pp.prepare(adata, keep=regulators, report=True)
        pairs = vf.fit_production(cells, regulators).pairs(cells.var_names)
    pairs = pairs[pairs["effector"] != pairs["regulator"]].set_index(["effector", "regulator"])
    return cells, report, pairs, [str(w.message) for w in told]


def permuted_calls(cells, regulators, seed=0):
    "Return the number of calls where unspliced counts of all genes but the regulators are permuted."
    (S, U), others = read_counts(cells), ~cells.var_names.isin(regulators)
    U[:, others] = np.random.default_rng(seed).permutation(U[:, others])
    shuffled = cells.copy()
    shuffled.layers["spliced"], shuffled.layers["unspliced"] = S, U
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return int(vf.fit_production(shuffled, regulators).called()[others].sum())


def against_truth(adata, pairs):
    "Return what is right of the pairs, where the network is known."
    if "truth" not in adata.uns: return {}
    from sklearn.metrics import average_precision_score
    edges = adata.uns["truth"]["edges"].set_index(["effector", "regulator"])
    true, called = pairs.index.isin(edges.index), pairs["called"].to_numpy()
    auprc = average_precision_score(true, pairs["score"])
    return dict(auprc=auprc, true=true[called].mean(), found=called[true].mean())


def measure(adata, regulators, way, first=None):
    "Return the row of one way, and its cells and pairs."
    with warnings.catch_warnings(record=True):   # of scVelo, which sets filters of its own
        left = adata if way == "counts" else after_scvelo(adata, way)
    start = time.process_time()
    cells, report, pairs, told = pairs_of(left, [gene for gene in regulators if gene in left.var_names])
    row = dict(
        way=way, seconds=time.process_time() - start, genes=cells.n_vars, trusted=int(cells.var["has_velocity"].sum()),
        calls=int(pairs["called"].sum()), permuted=permuted_calls(cells, regulators), warnings=told,
        report=dict(zip(report["what"], report["how"])), **against_truth(adata, pairs))
    variance = pd.Series(cells.layers["Ms"].var(axis=0, dtype=float), cells.var_names)
    row["variance"] = variance[cells.var["has_velocity"]].sum() / variance.sum()
    if "velocity_genes" in cells.var: row["by_mask"] = variance[cells.var["velocity_genes"]].sum() / variance.sum()
    if first is not None:
        both = cells.var["has_velocity"] & first[0].var["has_velocity"].reindex(cells.var_names, fill_value=False)
        rates = [table.var["gamma"][cells.var_names[both]] for table in (cells, first[0])]
        one, two = (table.loc[table["called"]].index for table in (pairs, first[1]))
        either = len(one.union(two))
        z = pairs[["z"]].join(first[1]["z"], rsuffix="_counts").corr().iloc[0, 1]
        row |= dict(rates=rates[0].corr(rates[1], method="spearman"), z=z,
                    shared=len(one.intersection(two)) / either if either else None)
    return row, (cells, pairs)


def verdicts(data, row):
    "Yield what CI asks of one way, and whether it holds."
    yield "nothing that a user can't act on is warned of", all(
        any(remedy in words for remedy in ACTED_ON) for words in row["warnings"])
    yield "at most one call among permuted cells", row["permuted"] <= 1
    if row["way"] == "counts": return
    yield "its γ rank as those of the counts", row["rates"] > 0.9
    yield "its graph is proved", "proved for layers['Ms']" in row["report"]["graph"]
    if data != "dentate gyrus": yield "it calls what the counts call", row["calls"] > 0 and (row["shared"] or 0) > 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="pancreas, or simulated counts without it; two ways")
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data", help="folder of the files")
    parser.add_argument("--out", type=Path, help="JSON to write")
    args = parser.parse_args()
    there = [name for name, (file, _) in FILES.items() if (args.data / file).exists()]
    ways = ("counts", "scvelo", "averages") if args.quick else WAYS
    wanted, rows, failed = [*there, "simulated, depth 3", "simulated, depth 30"], [], False
    for data in wanted[:1] if args.quick else wanted:
        (adata, regulators), first = load(data, args.data), None
        for way in ways:
            row, found = measure(adata, regulators, way, first)
            first = first or found
            rows.append(dict(data=data, **row))
            if args.out: args.out.write_text(json.dumps(rows, indent=1, default=float, ensure_ascii=False), "utf-8")
            figures = {key: round(float(value), 3) for key, value in row.items() if isinstance(value, float)}
            print(f"\n{data}, {way}: {row['calls']} calls, {row['trusted']} of {row['genes']} genes trusted, {figures}")
            print("\n".join([f"    {what:9} {how}" for what, how in row["report"].items()]
                            + [f"    WARNING   {words}" for words in row["warnings"]]), flush=True)
            for words, holds in verdicts(data, row):
                failed |= not holds
                print(f"{'PASS' if holds else 'FAIL'} scvelo {data}, {way}: {words}", flush=True)
    return failed


if __name__ == "__main__": sys.exit(main())
