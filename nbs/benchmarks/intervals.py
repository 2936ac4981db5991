"""How often intervals over draws hold what is true, and how long they take.

    python nbs/benchmarks/intervals.py --out nbs/benchmarks/intervals.json   all parts, about 20 minutes of one core
    python nbs/benchmarks/intervals.py --only seconds                        one part
    python nbs/benchmarks/intervals.py --quick                               one small data set: to see it work

systems   Five systems whose field is known (500 cells), on none of which the rule of intervals was chosen, with noise
          of single cells and with velocities averaged over 30 neighbours. Each question is put to the fit with
          `over_draws` and to the true field.
counts    Production from counts (6 regulators, 36 genes, depth 3 and 10): signs of true edges, and of pairs that are
          none; and a regulator taken away: what `knock_out` predicts against the simulation, over all genes and over
          those that change by more than a tenth.
seconds   CPU seconds of 200 draws, 5,000 cells in ten components, one core.

cover     share of the intervals (95 %) that hold the true number, mean of the data sets
sign      share of the intervals that don't exclude the true sign (or zero, where that is true)
sure      share of the intervals that don't hold zero
worst     system with the lowest cover
Of larger systems, cover among the genes that a knock-out changes stands in knockouts.json.
"""

import argparse
import json
import os
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import save
from knockouts import outcome

import vfjac as vf
from vfjac import datasets, dynamics
from vfjac.draws import _by_name
from vfjac.fields import FunctionField
from vfjac.ranking import as_gene_jacobian, at_cells
from vfjac.regulation import proxy_regulators
from vfjac.simulation import random_rules

tl = vf.tl


def linear(n_genes, noise, density=0.3):
    "Make stable linear systems with random entries."
    def make(n, seed):
        rng = np.random.default_rng(1000 + seed)
        A = np.where(rng.random((n_genes, n_genes)) < density, rng.normal(size=(n_genes, n_genes)), 0)
        A -= (max(np.linalg.eigvals(A).real.max(), 0) + 0.3) * np.eye(n_genes)
        return datasets.linear_system(A, n, noise=noise, seed=seed)
    return make


def known(name, *args, **how):
    "Make a system of `vfjac.datasets`."
    return lambda n, seed: getattr(datasets, name)(*args, n_cells=n, seed=seed, **how)


SYSTEMS = dict(
    landscape=known("ying", noise=0.2), mCAD=known("boolean_network", "mCAD", noise=0.2),
    VSC=known("boolean_network", "VSC", noise=0.2), linear=linear(8, 0.8, 0.5),
    oscillator=known("repressilator", noise=0.1, alpha=20.0, n=4.0))

def questions(gj, cells, n_paths=2):
    "Questions: function, arguments, arguments by name, and what the numbers that are looked at are called."
    few, strongest = dict(cell_idx=cells), dict(mode="int", exclude_diagonal=True, top=10)
    J = gj.field.jacobian(gj.states[cells[:50]])
    times = np.array([0, 1]) / np.median(np.linalg.norm(J, 2, axis=(1, 2)))   # until a difference may have grown by e
    asked = [
        (tl.eigenvalues, (), few | dict(k=1), dict(real="leading eigenvalue")),
        (tl.divergence, (), few, dict(divergence="divergence")), (tl.curvature, (), few, dict(curvature="curvature")),
        (tl.eigenmodes, (), dict(k=1, genes=1), dict(real="leading mode: growth", period="leading mode: period")),
        (tl.rank_jacobian_genes, (), strongest, dict(value="ten strongest effects each way")),
        (tl.integrate, (cells[:n_paths], times), {}, dict(pca1="ends of paths"))]
    return asked + [(tl.curl, (), few, dict(curl="curl"))] * (gj.loadings.shape[1] == 2)


def held(lower, upper, truth):
    "Figures of some intervals: how many, and the shares of the head of this file."
    wrong = np.where(truth > 0, upper < 0, np.where(truth < 0, lower > 0, (lower > 0) | (upper < 0)))
    inside, sure = (lower <= truth) & (truth <= upper), (lower > 0) | (upper < 0)
    return dict(n=len(truth), cover=inside.mean(), sign=1 - wrong.mean(), sure=sure.mean())


def ask_both(gj, true, ask, args, how, columns, draws):
    "Figures of one question, put to the fit and to the true field, by name."
    found, how, out = tl.over_draws(ask, gj, *args, draws=draws, **how), dict(how), {}
    cells, numbers = how.pop("cell_idx", None), list(columns)
    there = at_cells(true, cells) if cells is not None else true
    rows = _by_name(found, numbers, found).index
    truth = _by_name(ask(there, *args, **how | dict(top=None) if "top" in how else how), numbers, found).reindex(rows)
    for column, name in columns.items():
        lower, upper = (found[column + end].to_numpy() for end in ("_lower", "_upper"))
        some = np.isfinite([lower, upper, truth[column]]).all(axis=0) & (upper > lower)
        if some.any(): out[name] = held(lower[some], upper[some], truth[column].to_numpy()[some])
    if "top" in how:
        in_top = rows.isin(_by_name(ask(there, *args, **how), numbers, found).index)
        sure = found["share"].to_numpy() > 0.95
        out["are among the ten strongest"] = dict(
            n=len(found), stated=found["share"].mean(), true=in_top.mean(), sure=sure.mean(),
            sign=in_top[sure].mean() if sure.any() else np.nan)
    return out


def of_points(gj, true, draws):
    "Figures of fixed points: positions and growth of those that are near a true one of their kind."
    points = dynamics.fixed_points(true.field, gj.states, n_starts=100)
    found, size = tl.drawn_fixed_points(gj, draws=draws), np.sqrt(gj.states.var(axis=0).sum())
    places = [c.removesuffix("_lower") for c in found if c.startswith("pca") and c.endswith("_lower")]
    rows, sure, real = {name: [] for name in ("positions", "growth")}, 0, 0
    for point in found.to_dict("records"):
        away = np.linalg.norm(points.states - [point[p] for p in places], axis=1)
        at = away.argmin() if len(away) else None
        same = at is not None and away[at] < size / 3 and points.kind[at] == point["kind"]
        sure, real = sure + (point["share"] > 0.95), real + (same and point["share"] > 0.95)
        if not same: continue
        for p, x in zip(places, points.states[at]):
            rows["positions"].append((point[f"{p}_lower"], point[f"{p}_upper"], x))
        growth = points.eigenvalues[at].real.max()
        rows["growth"].append((point["growth_lower"], point["growth_upper"], growth))
    out = {f"fixed points: {name}": held(*np.array(r).T) for name, r in rows.items() if r}
    kinds = dict(n=len(found), sign=real / sure if sure else np.nan, sure=sure / max(len(found), 1))
    return out | {"fixed points: there, and of that kind": kinds} if len(found) else out


def cover(make, seed, averaged, n_cells, draws):
    "Figures of all questions for one data set, or why there are none."
    cells = make(n_cells, seed)
    if averaged: cells = datasets.averaged(cells, 30)
    vf.fit_vector_field(cells)
    gj, true = as_gene_jacobian(cells), datasets.true_field(cells)
    if not gj.has_stderr: return {"no posterior": dict(n=1)}
    Q, mean = cells.varm["PCs"], cells.uns["pca_mean"]
    def velocity(Z): return true.velocity(Z @ Q.T + mean) @ Q
    def jacobian(Z): return np.einsum("ik,nij,jl->nkl", Q, true.jacobian(Z @ Q.T + mean), Q)
    truth = replace(gj, field=FunctionField(velocity, jacobian), fit=None)
    out, some = {}, np.linspace(0, n_cells - 1, 20).astype(int)
    for question in questions(gj, some): out |= ask_both(gj, truth, *question, draws)
    return out | of_points(gj, truth, draws // 2)


def of_counts(seed, n_cells, draws):
    "Figures of effects on production (a true edge has its sign, another pair has none), and of a knock-out."
    raw = datasets.counts(n_cells=n_cells, n_regulators=6, n_targets=30, depth=(3, 10)[seed % 2], seed=seed)
    regulators = list(raw.var_names[:6])
    cells = vf.pp.prepare(raw, keep=regulators, n_top_genes=None, report=True)[0]
    vf.fit_production(cells, regulators)
    found = tl.over_draws(tl.rank_jacobian_genes, cells, mode="int", exclude_diagonal=True, draws=draws)
    truth = raw.uns["truth"]["edges"].set_index(["effector", "regulator"])["sign"]
    sign = truth.reindex(pd.MultiIndex.from_frame(found[["effector", "regulator"]])).fillna(0).to_numpy()
    ends = found[["value_lower", "value_upper"]].to_numpy()
    out = {"production: true edges": held(*ends[sign != 0].T, sign[sign != 0]) | dict(cover=np.nan),
           "production: no edge": held(*ends[sign == 0].T, sign[sign == 0]) | dict(cover=np.nan)}
    gj = as_gene_jacobian(cells, of="production")
    gene = np.setdiff1d(regulators, proxy_regulators(gj))[0]
    table, small = tl.knock_out(cells, gene, draws=draws).set_index("gene"), 0.02 * raw.layers["true_spliced"].mean(0)
    change = np.log((outcome(raw, [raw.var_names.get_loc(gene)]) + small) / (outcome(raw) + small))[table.index]
    for name, rows in (("all genes", change == change), ("changed genes", change.abs() > 0.1)):
        if rows.any(): out[f"knock-out: {name}"] = held(table["lower"][rows], table["upper"][rows], change[rows])
    return out


def seconds(n_cells=5000, draws=200, measured=8):
    "CPU seconds of draws, from some of them."
    cells = datasets.boolean_network(random_rules(10, seed=0), n_cells, noise=0.2, seed=0)
    vf.fit_vector_field(cells)
    gj = as_gene_jacobian(cells)
    asked = [question[:3] for question in questions(gj, np.arange(n_cells), 20)]
    asked += [(tl.jacobian_network, (), {}), (tl.coregulation, ("gene0",), {}), (
        tl.response_curve, ("gene0", "gene1"), dict(against=np.asarray(gj.states)[:, 0]))]
    tasks = {ask.__name__: lambda n, ask=ask, args=args, how=how: tl.over_draws(ask, gj, *args, draws=n, **how)
             for ask, args, how in asked}
    tasks["fixed_points"] = lambda n: tl.drawn_fixed_points(gj, draws=n)
    out = {}
    for name, task in tasks.items():
        times = []
        for n in (2, 2 + measured):
            begun = time.process_time()
            task(n)
            times.append(time.process_time() - begun)
        out[name] = round((times[1] - times[0]) / measured * draws, 1)
        print(name, out[name], file=sys.stderr, flush=True)
    return out


def summary(rows):
    "A row for each question and kind of noise."
    columns = ["cover", "sign", "sure", "stated", "true"]
    frame = pd.DataFrame(rows, columns=["question", "noise", "system", "n", *columns])
    by, out = ["question", "noise"], []
    for names, own in frame.groupby(by, sort=False):
        row = dict(zip(by, names)) | dict(data_sets=len(own), intervals=int(own["n"].sum()))
        row |= own[columns].astype(float).mean().to_dict()
        systems = own.dropna(subset="cover").astype(dict(cover=float)).groupby("system")["cover"].mean()
        if len(systems): row["worst"] = f"{systems.idxmin()} {systems.min():.2f}"
        out.append(row)
    return pd.DataFrame(out).set_index(by)


def report(found):
    "Print all tables, and what falls short of 0.90 to 0.98."
    if found["rows"]:
        table = summary(found["rows"])
        print(table.round(3).to_string(na_rep="-"))
        low = table[(table["cover"] < 0.90) | (table["sign"] < 0.90)]
        for word, some in (("below 0.90", low), ("cover above 0.98", table[table["cover"] > 0.98])):
            print(f"{word}: {'; '.join(', '.join(i) for i in some.index) or 'none'}")
    for name, own in found.get("seconds", {}).items():
        print(f"{own:6.1f} s  {name}" + " (over 60)" * (own > 60))
    if "seconds" in found: print(f"{sum(found['seconds'].values()):6.1f} s  all of them")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small data set")
    parser.add_argument("--only", choices=("systems", "counts", "seconds", "report"), help="one part")
    parser.add_argument("--seeds", type=int, default=4, help="data sets of each system and kind of noise")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file of all rows; what it has is kept")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    n_cells, draws = (150, 20) if given.quick else (500, 80)
    plan = [(name, seed, noise) for seed in range(given.seeds) for name in SYSTEMS for noise in NOISE]
    plan += [("counts", seed, "counts") for seed in range(20)]
    if given.quick: plan = plan[:1]
    found = dict(rows=[])
    if given.out and given.out.exists(): found = json.loads(given.out.read_text(encoding="utf-8"))
    done = {(row["system"], row["seed"], row["noise"]) for row in found["rows"]}
    for name, seed, noise in plan:
        part = "counts" if noise == "counts" else "systems"
        if (name, seed, noise) in done or given.only not in (part, None): continue
        if part == "counts": out = of_counts(seed, 800, draws)
        else: out = cover(SYSTEMS[name], seed, noise == "averaged", n_cells, draws)
        at = dict(system=name, seed=seed, noise=noise)
        rounded = lambda figures: {k: None if np.isnan(v) else round(float(v), 4) for k, v in figures.items()}
        found["rows"] += [at | dict(question=question) | rounded(own) for question, own in out.items()]
        save(found, given.out)
        print(*at.values(), file=sys.stderr, flush=True)
    if given.only == "seconds" or not (given.only or given.quick):
        found["seconds"] = seconds()
        save(found, given.out)
    report(found)


NOISE = "single cells", "averaged"

if __name__ == "__main__":
    os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    main()
