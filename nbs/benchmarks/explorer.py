"""How quick the explorer is, and how large its page: the goals of the explorer, measured.

    python nbs/benchmarks/explorer.py            about a minute; --quick takes smaller data, to see that it works

Prints, on made-up data (30 components, 500 control points, 2,000 genes): the median time in Python from another gene to
the numbers on their way to the browser, with all 5,000 cells drawn; the time to open 100,000 cells and to redraw there;
the size of a page with 2,000 cells and 20 × 20 pairs, and the error of its numbers. The browser's part (goal: under one
second) is timed by .ci/browser_explorer.py.
"""
import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import vfjac as vf


def cells(n, d=30, M=500, n_genes=2000, seed=0):
    "An AnnData with a made-up field and its posterior, sparse-looking expression, a picture and groups."
    rng = np.random.default_rng(seed)
    M, X = min(M, n), rng.normal(size=(n, d)) * np.linspace(2, 0.4, d)
    Q = np.linalg.qr(rng.normal(size=(n_genes, d)))[0]
    names = [f"Gene{i}" for i in range(n_genes)]
    groups = pd.Categorical(rng.integers(0, 8, n).astype(str))
    obs = pd.DataFrame({"group": groups}, index=[f"cell{i}" for i in range(n)])
    adata = AnnData(np.maximum(X @ Q.T, 0).astype(np.float32), obs=obs, var=pd.DataFrame(index=names))
    adata.obsm["X_pca"], adata.obsm["X_umap"], adata.varm["PCs"] = X, X[:, :2].copy(), Q
    root = np.tril(rng.normal(size=(M, M))) / M
    adata.uns["VecFld_pca"] = dict(X=X, X_ctrl=X[:M], C=rng.normal(size=(M, d)), beta=0.02, covariance_root=root,
                                   noise_variance=np.full(d, 0.01))
    return adata


def redraws(explorer, times, seed=1):
    "Seconds from a new gene to the numbers on their way, each with two genes that were not looked at before."
    rng, seconds = np.random.default_rng(seed), []
    for _ in range(times):
        effector, regulator = rng.choice(explorer.state.genes, 2, replace=False)
        start = time.perf_counter()
        explorer.state.choose(effector=str(effector), regulator=str(regulator))
        seconds.append(time.perf_counter() - start)
        assert not explorer.problem, explorer.problem
    return 1000 * np.array(seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    small, large, times = (500, 5_000, 5) if quick else (5_000, 100_000, 30)
    warnings.simplefilter("ignore")
    explorer = vf.explore(cells(small), max_cells=small)
    errors = explorer.source.jacobian.has_stderr
    ms = redraws(explorer, times)
    print(f"redraw, {small:,} cells, all drawn, standard errors {'known' if errors else 'unknown'}: "
          f"median {np.median(ms):.0f} ms, 95 % under {np.quantile(ms, 0.95):.0f} ms (goal: median under 150 ms)")
    explorer.close()
    adata = cells(large)
    start = time.perf_counter()
    explorer = vf.explore(adata)
    print(f"open {large:,} cells: {time.perf_counter() - start:.1f} s, {len(explorer.source.shown):,} of them drawn")
    print(f"redraw, {large:,} cells: median {np.median(redraws(explorer, 5)):.0f} ms, numbers over all cells")
    start = time.perf_counter()
    explorer.chart_widget.boxes = {"brush": {"x": [0.0, 99.0], "y": [-99.0, 99.0]}}
    print(f"box over {len(explorer.selected_cells):,} cells: means after {1000 * (time.perf_counter() - start):.0f} ms")
    explorer.close()
    adata = cells(200 if quick else 2_000)
    vf.jacobian(adata, list(adata.var_names[:20]), list(adata.var_names[20:40]))
    with tempfile.TemporaryDirectory() as folder:
        size = vf.report(adata, Path(folder) / "page.html").stat().st_size
    print(f"page, {adata.n_obs:,} cells, 20 × 20 pairs, 40 genes' expression: {size / 1e6:.2f} MB (goal: under 5 MB); "
          "an entry is off by at most 0.1 % of the largest of its pair")


if __name__ == "__main__": main()
