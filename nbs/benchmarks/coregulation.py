"""How right second derivatives are, and how long they take.

    python nbs/benchmarks/coregulation.py                 20 data sets a row, some minutes
    python nbs/benchmarks/coregulation.py --sets 3        a first look

Random networks of ten genes; the truth is the numerical derivative of the simulation's own Jacobian. A triple is
false if it is called at an FDR of 5 % and the true field has no such second derivative. Of production (counts, depth
3 and 30, 20 regulators) a triple is false if one of the two regulators is not in the gene's rule.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd

from vfjac.coregulation import coregulation, mean_hessian
from vfjac.datasets import (
    averaged,
    boolean_network,
    counts,
    random_rules,
    toggle_switch,
    true_field,
    true_production_jacobian,
)
from vfjac.fields import GaussianField
from vfjac.genejacobian import GeneJacobian
from vfjac.posterior import Posterior
from vfjac.pp import prepare
from vfjac.regulation import fit_production
from vfjac.tools import fit_vector_field

SIDES = "effector", "regulator", "coregulator"


def of_velocity(seed, average=False, switch=False, noise=0.1):
    "Triples of a random network of ten genes, or of a bistable switch of two, with the truth of each."
    if switch: cells = toggle_switch(1500, noise=noise, seed=seed)
    else: cells = boolean_network(random_rules(10, seed=seed), 1500, noise=0.3 if average else noise, seed=seed)
    X = cells.X.copy()
    if average: cells = averaged(cells)
    fit_vector_field(cells)
    field, step = true_field(cells), 1e-4 * np.eye(X.shape[1])
    H = np.stack([(field.jacobian(X + h) - field.jacobian(X - h)).mean(axis=0) for h in step], axis=-1) / 2e-4
    found = coregulation(cells, None, k=10**6)
    return found.assign(truth=H[tuple(cells.var_names.get_indexer(found[side]) for side in SIDES)])


def of_production(seed, depth):
    "Triples of counts; the truth is 1 where both regulators are in the gene's rule, of unknown sign."
    raw = counts(n_cells=2000, n_regulators=20, n_targets=80, depth=depth, seed=seed)
    regulators = list(raw.var_names[:20])
    cells = prepare(raw, keep=regulators, report=True)[0]
    fit_production(cells, regulators)
    found = coregulation(cells, None, k=10**6)
    found = found[(found["effector"] != found["regulator"]) & (found["effector"] != found["coregulator"])]
    effectors = list(cells.var_names)
    J = true_production_jacobian(cells, effectors=effectors, regulators=regulators)
    edge = pd.DataFrame((np.abs(J) > 1e-9).any(axis=0), effectors, regulators)
    both = [edge.at[e, r] and edge.at[e, c] for e, r, c in found[list(SIDES)].itertuples(index=False)]
    return found.assign(truth=np.where(both, np.nan, 0.0))


def figures(found):
    "What a list is worth: a row of numbers."
    there, called = found["truth"] != 0, found["fdr"] < 0.05
    there &= ~(found["truth"].abs() < 1e-6)
    known = found["truth"].notna()
    covered = (found["value"] - found["truth"]).abs() < 1.96 * found["stderr"]
    signs = np.sign(found["value"]) == np.sign(found["truth"])
    return dict(called=int(called.sum()), false=(~there)[called].mean(), found=called[there].mean(),
                sign=signs[called & there & known].mean(), cover=covered[known].mean(),
                cover_there=covered[there & known].mean())


def seconds():
    "CPU seconds for all second derivatives of one effector: 2,000 genes, 20,000 cells, 30 components."
    rng = np.random.default_rng(0)
    X, Q = rng.normal(size=(20_000, 30)), np.linalg.qr(rng.normal(size=(2_000, 30)))[0]
    field = GaussianField(X[:1_000], rng.normal(size=(1_000, 30)), 0.02)
    posterior = Posterior(field, 0.02, 0.1 * rng.normal(size=(1_000, 400)), np.ones(30))
    gj = GeneJacobian(field=field, states=X, loadings=Q, genes=np.arange(2_000), fit=posterior)
    start = time.process_time()
    mean_hessian(gj, ["0"])
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20, help="data sets a row")
    sets = range(100, 100 + parser.parse_args().sets)
    warnings.simplefilter("ignore")
    rows = {
        "velocity, noise of each cell": [of_velocity(seed) for seed in sets],
        "velocity, a tenth of that noise": [of_velocity(seed, noise=0.01) for seed in sets],
        "velocity, averaged over neighbours": [of_velocity(seed, average=True) for seed in sets],
        "velocity, bistable switch": [of_velocity(seed, switch=True) for seed in sets],
        "production, depth 3": [of_production(seed, 3) for seed in sets[:5]],
        "production, depth 30": [of_production(seed, 30) for seed in sets[:5]],
    }
    table = pd.DataFrame({name: figures(pd.concat(found)) for name, found in rows.items()}).T
    print(table.round(3).to_string())
    print(f"\nall second derivatives of one effector, 2,000 x 2,000 genes, 20,000 cells: {seconds():.1f} CPU s")


if __name__ == "__main__": main()
