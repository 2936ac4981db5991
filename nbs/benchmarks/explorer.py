"""How quick the explorer is, and how large its page: the goals of the explorer, measured.

    python nbs/benchmarks/explorer.py            two minutes; --quick takes smaller data, to see that it works

Prints the table of README: CPU seconds of what people wait for. Then, on made-up data (30 components, 500 control
points, 2,000 genes): the median CPU time from another gene to the numbers on their way to the browser, with all
5,000 cells drawn; the time to open 100,000 cells and to redraw there; the size of a page with 2,000 cells and 20 × 20
pairs. The browser's part (goal: under one second) is timed by .ci/browser_explorer.py.
"""
import argparse
import os
import resource
import subprocess
import sys
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
    "CPU ms from a new gene to the numbers on their way, each with two genes not looked at before."
    rng, seconds = np.random.default_rng(seed), []
    for _ in range(times):
        effector, regulator = rng.choice(explorer.state.choices["regulator"], 2, replace=False)
        start = time.process_time()
        explorer.state.choose(effector=str(effector), regulator=str(regulator))
        seconds.append(time.process_time() - start)
        assert not explorer.problem, explorer.problem
    return 1000 * np.array(seconds)


def spent(*words, folder="."):
    "CPU seconds of the command with these words."
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "import sys; from vfjac.cli import main; sys.exit(main(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, *words], cwd=folder, capture_output=True,
                   env=os.environ | dict(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def timed(work):
    "CPU seconds of some work, and what it returns."
    start = time.process_time()
    done = work()
    return time.process_time() - start, done


def readme_table(quick, folder):
    "What people wait for, and its CPU seconds."
    from vfjac.cli import blood
    for function in (vf.explore, vf.report, vf.pp.prepare, vf.fit_production): assert function   # imported by now
    raw, regulators = blood(500 if quick else 2000)
    fitted, prepared = timed(lambda: vf.pp.prepare(raw, keep=regulators, report=True)[0])
    fitted += timed(lambda: vf.fit_production(prepared, regulators))[0]
    shown, explorer = timed(lambda: vf.explore(prepared))
    explorer.close()
    adata, n = cells(300 if quick else 2000), 60 if quick else 200
    genes = list(adata.var_names[:2 * n])
    small = timed(lambda: vf.report(adata, folder / "small.html", genes[:30], genes[n:n + 30]))[0]
    large, page = timed(lambda: vf.report(adata, folder / "large.html", genes[:n], genes[n:]))
    yield "`vfjac demo`, from nothing to the page", spent("demo", folder=folder)
    yield "`vfjac` says that a file is not there", spent("fit", "none.h5ad", "-o", "out.h5ad", folder=folder)
    yield f"`vf.pp.prepare` and `vf.fit_production`: {raw.n_obs:,} cells, {raw.n_vars} genes, 11 regulators", fitted
    yield f"`vf.explore` of these, first picture, after imports; {raw.n_obs:,} cells drawn", shown
    yield f"`vf.report`, 30 × 30 genes, {adata.n_obs:,} cells", small
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    yield (f"`vf.report`, {n} × {n} genes, {adata.n_obs:,} cells: a page of {page.stat().st_size / 1e6:.0f} MB, with "
           f"{peak:.0f} MB of memory"), large


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    small, large, times = (500, 5_000, 5) if quick else (5_000, 100_000, 30)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for what, seconds in readme_table(quick, Path(folder)): print(f"| {what} | {seconds:.1f} |")
    explorer = vf.explore(cells(small), max_cells=small)
    errors = explorer.source.jacobian.has_stderr
    ms = redraws(explorer, times)
    print(f"redraw, {small:,} cells, all drawn, standard errors {'known' if errors else 'unknown'}: "
          f"median {np.median(ms):.0f} ms, 95 % under {np.quantile(ms, 0.95):.0f} ms of CPU (goal: 150 ms)")
    explorer.close()
    adata = cells(large)
    start = time.perf_counter()
    explorer = vf.explore(adata)
    print(f"open {large:,} cells: {time.perf_counter() - start:.1f} s, {len(explorer.source.shown):,} of them drawn")
    print(f"redraw, {large:,} cells: median {np.median(redraws(explorer, 5)):.0f} ms of CPU (goal: under 200 ms); "
          "means are over all cells, percentages over 20,000")
    start = time.perf_counter()
    explorer.chart_widget.boxes = {"brush": {"x": [0.0, 99.0], "y": [-99.0, 99.0]}}
    print(f"box over {len(explorer.selected_cells):,} cells: means after {1000 * (time.perf_counter() - start):.0f} ms")
    explorer.close()
    adata = cells(200 if quick else 2_000)
    vf.jacobian(adata, list(adata.var_names[:20]), list(adata.var_names[20:40]))
    with tempfile.TemporaryDirectory() as folder:
        size = vf.report(adata, Path(folder) / "page.html").stat().st_size
    print(f"page, {adata.n_obs:,} cells, 20 × 20 pairs, 40 genes' expression: {size / 1e6:.2f} MB (goal: under 5 MB)")


if __name__ == "__main__": main()
