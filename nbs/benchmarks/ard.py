"""Length scales of their own: `fit_field(tune="ard")` against the fit with one width, on systems with a known Jacobian.

    python nbs/benchmarks/ard.py --out nbs/benchmarks/ard.json     all systems, ~4 minutes of one core
    python nbs/benchmarks/ard.py --quick                           one data set of each system: to see it work

States are the genes themselves. Nothing was chosen on the seeds that are used here. Ratios are those of the fit with
length scales of its own to the fit with one width: of the relative error of the Jacobian, and of the seconds of CPU,
of the fit alone and with all Jacobians and errors. Cover is the share of 95 % intervals that hold the truth: of 100
cells, of those among their entries that are not nearly zero ("edges"), and of means over all cells. A pair is called if
its mean is, at a false discovery rate of 5 % over all pairs; a call is false if the true mean is below 1 % of the
largest, or has the other sign. `chosen` says how often evidence was for length scales of their own; where it was not,
both fits are the same.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import error, simulated
from scipy.special import ndtr
from scipy.stats import false_discovery_control

from vfjac.fit import fit_field
from vfjac.posterior import entry_errors, mean_errors, mean_gram

SYSTEMS = ("HSC", "GSD", "VSC", "mCAD", "random", "toggle_switch", "repressilator", "linear_system")
NOISE = (0.05, 0.1, 0.3)
SEEDS = (101, 102, 103)


def figures(X, V, truth, tune):
    "Fit, errors and calls of one data set."
    begun, genes = time.process_time(), np.eye(X.shape[1])
    fit = fit_field(X, V, tune=tune)
    seconds = time.process_time() - begun
    some = np.random.default_rng(0).permutation(len(X))[:100]
    J, mean, gram = fit.field.jacobian(X), truth.mean(axis=0), mean_gram(
        fit.posterior, iter([X]), iter([np.full(len(X), 1 / len(X))]))
    cells = np.abs(J[some] - truth[some]) <= 1.96 * entry_errors(fit.posterior, X[some], genes, genes)
    real = np.abs(truth[some]) >= 0.01 * np.abs(truth[some]).max()
    z = J.mean(axis=0) / mean_errors(fit.posterior, gram, genes, genes)
    means = np.abs(J.mean(axis=0) - mean) <= 1.96 * np.abs(J.mean(axis=0) / z)
    called = false_discovery_control(2 * ndtr(-np.abs(z).ravel())).reshape(z.shape) <= 0.05
    right = called & (np.abs(mean) >= 0.01 * np.abs(mean).max()) & (np.sign(z) == np.sign(mean))
    return dict(
        error=error(J, truth), seconds=seconds, seconds_with_errors=time.process_time() - begun,
        cover_cells=cells.mean(), cover_edges=cells[real].mean(), cover_means=means.mean(),
        fdp=1 - right.sum() / max(called.sum(), 1) if called.any() else 0.0,
        power=right.sum() / (np.abs(mean) >= 0.01 * np.abs(mean).max()).sum(), chosen=float(fit.field.by_output))


def one(name, noise, seed):
    "A row: both fits of a data set of 600, 800 or 1,000 cells."
    adata = simulated(name, (600, 800, 1000)[seed % 3], noise, seed)
    X, V, truth = np.asarray(adata.X, float), np.asarray(adata.layers["velocity"], float), adata.obsm["true_jacobian"]
    row = dict(system=name, genes=X.shape[1], cells=len(X), noise=noise, seed=seed)
    for which, tune in (("one", True), ("own", "ard")):
        row |= {f"{key}.{which}": float(value) for key, value in figures(X, V, truth, tune).items()}
    return row


def summary(frame):
    "Medians of ratios, means of covers, FDP and power, by system, by noise, and over all."
    ratios = {key: frame[f"{key}.own"] / frame[f"{key}.one"] for key in ("error", "seconds", "seconds_with_errors")}
    frame = frame.assign(**{f"{key}.ratio": ratio for key, ratio in ratios.items()})
    groups = [("system", name, some) for name, some in frame.groupby("system", sort=False)]
    groups += [("noise", str(noise), some) for noise, some in frame.groupby("noise")] + [("all", "all", frame)]
    records = []
    for by, name, some in groups:
        record = dict(by=by, group=name, data_sets=len(some), chosen=some["chosen.own"].mean())
        record |= {f"{key} ratio": some[f"{key}.ratio"].median() for key in ratios}
        record |= {"error": some["error.one"].median(), "largest error ratio": some["error.ratio"].max(),
                   "largest seconds ratio": some["seconds.ratio"].max()}
        for key in ("cover_cells", "cover_edges", "cover_means", "fdp", "power"):
            record |= {f"{key} {which}": some[f"{key}.{which}"].mean() for which in ("one", "own")}
        records.append({key: round(value, 3) if isinstance(value, float) else value for key, value in record.items()})
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    plan = [(name, noise, seed) for name in SYSTEMS for noise in NOISE for seed in SEEDS]
    if args.quick: plan = [(name, 0.1, SEEDS[0]) for name in SYSTEMS]
    rows = []
    for at in plan:
        rows.append(one(*at))
        said = (f"{key} {rows[-1][f'{key}.one']:.3f} {rows[-1][f'{key}.own']:.3f}" for key in ("error", "seconds"))
        print(*at, *said, flush=True)
    table = summary(pd.DataFrame(rows))
    with pd.option_context("display.width", 250, "display.max_columns", 30): print(pd.DataFrame(table).T.to_string())
    if args.out: args.out.write_text(json.dumps(dict(summary=table, rows=rows), indent=1) + "\n")


if __name__ == "__main__": main()
