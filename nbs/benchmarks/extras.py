"""One real call of each extra: from what a package leaves to a list of edges, or the work that the extra is for.

    pip install "vfjac[scvelo]" && python nbs/benchmarks/extras.py scvelo velocyto    velocyto: its .loom, by loompy
    pip install "vfjac[dynamo]" && python nbs/benchmarks/extras.py dynamo             likewise cellrank, dask, jax …

PASS or FAIL for each that is named. Counts are simulated: of the pairs that are called, four of five must be edges.
"""

import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import anndata
import numpy as np

import vfjac as vf

HERE = Path(__file__).resolve().parent
sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != HERE]   # a file here has scVelo's name


def counts():
    "Simulated counts, as a counting tool leaves them, and their true edges."
    adata = vf.datasets.counts(n_cells=300, n_targets=80, depth=10)
    edges = {tuple(pair) for pair in adata.uns["truth"]["edges"][["effector", "regulator"]].to_numpy()}
    raw = anndata.AnnData(adata.layers["spliced"].copy(), obs=adata.obs[["group"]], var=adata.var[[]])
    raw.layers.update({name: adata.layers[name].copy() for name in ("spliced", "unspliced")})
    return raw, edges


def scvelo(adata):
    "The steps of scVelo's tutorial."
    import scvelo as scv
    scv.pp.filter_and_normalize(adata, min_shared_counts=20)
    scv.pp.moments(adata, n_pcs=30, n_neighbors=30)
    scv.tl.velocity(adata)


def cellrank(adata):
    "scVelo's, and fate probabilities."
    import cellrank as cr
    scvelo(adata)
    estimator = cr.estimators.GPCCA(cr.kernels.VelocityKernel(adata).compute_transition_matrix())
    estimator.fit(n_states=2).predict_terminal_states().compute_fate_probabilities()


def dynamo(adata):
    "The steps of dynamo's tutorial, up to velocities."
    import dynamo as dyn
    dyn.pp.Preprocessor(cell_cycle_score_enable=False).preprocess_adata(adata, recipe="monocle")
    dyn.tl.dynamics(adata, cores=1)


def velocyto(adata):
    "Nothing: velocyto leaves counts."


def as_loom(adata, path):
    "A file as `velocyto run` writes it."
    import loompy
    layers = {name: adata.layers[name].T.astype("uint32") for name in ("spliced", "unspliced")}
    genes, cells = adata.var_names.to_numpy(), adata.obs_names.to_numpy()
    loompy.create(str(path), {"": layers["spliced"], **layers}, {"Gene": genes}, {"CellID": cells})


def six_lines(path):
    "What a reader does with a file of any of the four."
    adata = anndata.io.read_loom(path) if path.suffix == ".loom" else anndata.read_h5ad(path)
    tfs = [gene for gene in adata.var_names if gene.startswith("Regulator")]
    cells = vf.pp.prepare(adata, keep=tfs)
    fit = vf.fit_production(cells, tfs)
    pairs = fit.pairs()
    return pairs[pairs["called"]]


def to_edges(tool):
    "Write what a tool leaves, go the six lines, and judge the list."
    adata, edges = counts()
    tool(adata)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("cells.loom" if tool is velocyto else "cells.h5ad")
        if tool is velocyto: as_loom(adata, path)
        else: adata.write_h5ad(path)
        found = six_lines(path)
    true = [pair in edges for pair in zip(found["effector"], found["regulator"])]
    assert len(true) > 20 and np.mean(true) > 0.8, f"{len(true)} called, {sum(true)} of them edges"
    return f"{len(true)} pairs called, {sum(true)} of them edges"


def dask():
    "Means over cells that lie in chunks."
    import dask.array as da
    adata = vf.datasets.myeloid(n_cells=400)
    vf.fit_vector_field(adata)
    gj = vf.gene_jacobian(adata)
    lazy = vf.GeneJacobian(gj.field, da.from_array(gj.states, chunks=(100, -1)), gj.loadings, gj.genes)
    np.testing.assert_allclose(lazy.mean(), gj.mean(), atol=1e-10)
    return "means of 400 cells in four chunks are those in memory"


def differentiated(velocity, device):
    "The Jacobian of x ↦ tanh(x W), by automatic differentiation."
    field, X = vf.autodiff_field(velocity), np.random.default_rng(0).normal(size=(50, 4))
    slope = 1 - np.tanh(X @ W) ** 2
    np.testing.assert_allclose(field.jacobian(X), slope[:, :, None] * W.T, atol=1e-5)
    return f"Jacobians of 50 cells on {device}"


W = np.random.default_rng(1).normal(size=(4, 4))


def jax():
    "A field that is written with JAX."
    import jax
    return differentiated(lambda X: jax.numpy.tanh(X @ W), jax.devices()[0])


def torch():
    "A field that is written with PyTorch."
    import torch
    return differentiated(lambda X: torch.tanh(X @ torch.as_tensor(W, dtype=X.dtype)), "cpu")


CALLS = {tool.__name__: lambda tool=tool: to_edges(tool) for tool in (scvelo, cellrank, dynamo, velocyto)}
CALLS |= dict(dask=dask, jax=jax, torch=torch, gpu=jax)


def main(names):
    if unknown := set(names) - set(CALLS): sys.exit(f"no extra {unknown}: expected some of {', '.join(CALLS)}")
    failed = False
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")   # of the other packages
            try: print(f"PASS extra {name}: {CALLS[name]()}", flush=True)
            except Exception:
                failed = True
                print(f"FAIL extra {name}\n{traceback.format_exc()}", flush=True)
    return failed or not names


if __name__ == "__main__": sys.exit(main(sys.argv[1:]))
