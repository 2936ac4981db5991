"""Cells of which every public function is asked, plainly laid out or not; what it may write; and what is right.

The oracle is the plain twin: dense float64 arrays in memory, unique short names, complete groups.
"""

import re
import tempfile
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from outcome import REFUSALS, close, digest

import vfjac as vf

N, REGULATORS, EFFECTORS = 60, (1, 7), (0, 1, 6)                # cells; positions of the genes that are asked for
STATES = ("X_pca", "velocity_pca", "X_umap", "velocity_umap")
EXPRESSION = ("X", "velocity", "true_velocity")
HOME = tempfile.TemporaryDirectory(prefix="vfjac-trust-")       # files of this run, removed at its end

def file(name): return Path(HOME.name) / name

# ---------------------------------------------------------------- the plain twin

@cache
def _plain():
    made = vf.datasets.myeloid(n_cells=N, seed=3)
    for part, key in ((made.obsm, "X_pca"), (made.obsm, "velocity_pca"), (made.varm, "PCs")):
        part[key] = part[key][:, :3].copy()
    del made.obsm["true_jacobian"], made.uns["system"], made.uns["network"]
    made.obsm["X_umap"] = made.obsm["X_embedding"] / 3 + 0.01 * made.obsm["X_pca"][:, :2] ** 2
    made.obsm["velocity_umap"] = made.obsm["velocity_pca"][:, :2] / 3
    rng = np.random.default_rng(0)
    made.obs["group"] = made.obs["group"].astype(str).astype("category")
    made.obs["other"] = pd.Categorical(rng.choice(["a", "b"], N))
    made.var["tf"] = np.arange(made.n_vars) % 2 == 1
    made.var["beta"], made.var["gamma"] = rng.uniform(0.5, 1, (2, made.n_vars))
    for basis in ("pca", "umap"): vf.fit_vector_field(made, basis, M=15, tune=False)
    vf.fit_vector_field(made, None, genes=genes_at(made, (0, 1, 7)), M=15, tune=False)
    for basis in ("pca", "umap"): vf.jacobian(made, basis=basis, **named(made))
    return made

def plain():
    "Cells with fields in PCA, on an embedding and in gene space, and stored Jacobians: a copy of its own each time."
    return _plain().copy()

def genes_at(a, at): return [str(g) for g in a.var_names[list(at)]]

def named(a): return dict(regulators=genes_at(a, REGULATORS), effectors=genes_at(a, EFFECTORS))

def home_of(a, name): return next(part for part in (a.layers, a.obsm, a.varm, a.uns) if name in part)

def altered(change, *names):
    "A change of an AnnData: of X, or of arrays in layers, obsm, varm."
    def alter(a):
        for name in names:
            if name == "X": a.X = change(a.X)
            else: home_of(a, name)[name] = change(home_of(a, name)[name])
        return a
    return alter

def without(*names):
    "A change of an AnnData: X, or parts of layers, obsm, varm, uns, are gone."
    def cut(a):
        for name in names:
            if name == "X": a.X = None
            else: home_of(a, name).pop(name)
        return a
    return cut

# ---------------------------------------------------------------- what is asked

def stored(a, basis="pca"):
    key = "jacobian" if basis is None else f"jacobian_{basis}"
    parts = {k: np.asarray(v) for k, v in a.uns[key].items() if k in ("jacobian", "jacobian_gene", "cell_idx")}
    return parts | dict(cell=np.asarray(a.uns[key]["cells"]), det=a.obs[f"jacobian_det{key[8:]}"].to_numpy())

def jacobian(a, *, basis="pca", genes=named, **how):
    return stored(vf.jacobian(a, basis=basis, **genes(a), **how), basis)

def fitted(a, *, basis="pca", genes=None, **how):
    if genes: how["genes"] = genes_at(a, genes)
    fit = vf.fit_vector_field(a, basis, M=15, **how)
    kept = a.uns["VecFld" if basis is None else f"VecFld_{basis}"]
    return dict(C=fit.field.coefficients, V=np.asarray(kept["V"]), source=kept["velocity_source"])

def lazily(a, basis="pca"):
    gj, genes = vf.gene_jacobian(a, basis), named(a)
    e, r = genes["effectors"], genes["regulators"]
    found = dict(
        block=gj.block(e, r), mean=gj.mean(None, e, r), std=gj.std(None, e, r), top=gj.top(5), cell=gj.cells,
        quantile=gj.quantile(0.3, e, r).values, absolute=gj.mean_abs(None, e, r))
    return found | (dict(error=gj.stderr(e, r), sure=gj.significant(None, e, r)) if gj.has_stderr else {})

def diagnosed(a, **how):
    found = vf.diagnose(a, n_shuffles=3, **how)
    return dict(figures=found.table["figure"].astype(float).to_numpy(), cells=found.cells, genes=found.genes)

def explored(a, **how):
    explorer = vf.explore(a, **how)
    try:
        if explorer.problem: raise ValueError(explorer.problem)
        explorer.chart().to_dict()
        return dict(table=explorer.table.select_dtypes("number"), cell=explorer.table["cell"].to_numpy())
    finally: explorer.close()

def reported(a):
    page = vf.report(a, file("page.html"), max_cells=25).read_text(encoding="utf-8")
    return dict(page=re.sub(r"(view|param|concat|data)[-_]\w+", r"\1", page))   # but for ids

def one(a): return genes_at(a, REGULATORS[:1])[0]

def first(a): return a.obs["group"].dropna().iloc[0]

grouped = dict(groups="group")
ASK = {   # from an AnnData to what was found: a dict of arrays and tables, a table, or an array
    "fit_vector_field": partial(fitted, tune=False), "fit_vector_field tuned": fitted,
    "fit_vector_field layer": partial(fitted, velocity_key="velocity", tune=False),
    "fit_vector_field umap": partial(fitted, basis="umap", tune=False),
    "fit_vector_field genes": partial(fitted, basis=None, genes=(7, 0), tune=False),
    "fit_vector_field curl_free": partial(fitted, kernel="curl_free"),
    "jacobian": jacobian, "jacobian regulators": partial(jacobian, genes=lambda a: dict(regulators=one(a))),
    "jacobian in the basis": partial(jacobian, genes=lambda a: {}),
    "jacobian numerical": partial(jacobian, method="numerical", cell_idx=[3, 1]),
    "jacobian float32": partial(jacobian, dtype="float32"),
    "jacobian lazy": lambda a: jacobian(a, store="lazy") and vf.get_jacobian(a),
    "jacobian umap": partial(jacobian, basis="umap"),
    "jacobian genes": partial(jacobian, basis=None, genes=lambda a: dict(regulators=one(a))),
    "jacobian kept apart": lambda a: vf.jacobian(a, store_in_adata=False, **named(a))["jacobian_gene"],
    **{f"jacobian {how}": partial(jacobian, genes=lambda a: {}, sampling=how, sample_ncells=9)
       for how in ("random", "velocity", "trn", "kmeans")},
    "get_jacobian": vf.get_jacobian,
    "get_jacobian umap": lambda a: vf.get_jacobian(a, regulators=one(a), basis="umap"),
    "gene_jacobian": lazily, "gene_jacobian umap": partial(lazily, basis="umap"),
    "diagnose": diagnosed, "diagnose umap": partial(diagnosed, basis="umap"),
    **{f"rank_jacobian_genes {mode}": partial(vf.rank_jacobian_genes, groups="group", mode=mode)
       for mode in ("full reg", "reg", "int", "switch", "effect", "z")},
    "rank_divergence_genes": partial(vf.rank_divergence_genes, **grouped),
    "compare_groups": lambda a: vf.compare_groups(a, first(a), **grouped),
    "jacobian_network": lambda a: vf.jacobian_network(a, **grouped).edges,
    "differential_network": lambda a: vf.differential_network(a, first(a), **grouped).edges,
    "conserved_network": lambda a: vf.conserved_network(a, "group").edges.drop(columns="group"),
    **{name: getattr(vf, name) for name in (
        "divergence", "speed", "acceleration", "curvature", "torsion", "determinant", "eigenvalues", "curl")},
    "acceleration of genes": lambda a: vf.acceleration(a, genes=one(a)),
    "eigenmodes": partial(vf.eigenmodes, **grouped), "sensitivity": lambda a: vf.sensitivity(a, **named(a)),
    "fixed_points": partial(vf.fixed_points, basis="umap", n_starts=8, **grouped),
    "integrate": lambda a: vf.integrate(a, [2, 0], 1.0),
    "along_path": lambda a: vf.along_path(a, one(a), one(a), [2, 0], 1.0),
    "response_curve": lambda a: vf.response_curve(a, **named(a), bins=4),
    "response_curve of cells": lambda a: vf.response_curve(a, one(a), one(a), cell_idx=[9, 2, 40]),
    "kinetics": lambda a: vf.kinetics(a, one(a), one(a), "time", bins=4),
    "response_density": lambda a: vf.response_density(a, one(a), one(a), bins=(4, 4)),
    "gene_set_jacobian": lambda a: vf.gene_set_jacobian(a, {"s": genes_at(a, EFFECTORS)}, **grouped),
    "perturb": lambda a: vf.perturb(a, {one(a): "knockout"}, **grouped),
    "perturb_cells": lambda a: vf.perturb_cells(a, {one(a): 0.3}),
    "explore": lambda a: explored(a, basis="pca", max_cells=40, sampling="random", **named(a)),
    "jacobian_chart": lambda a: dict(marks=len(vf.jacobian_chart(a, **grouped).to_dict())), "report": reported}
WRITES = {name for name in ASK if name.startswith(("fit", "jacobian "))} - {"jacobian kept apart"} | {"jacobian"}
READS_X = ("fit_vector_field genes", "jacobian genes", "response_curve", "response_density", "perturb")
SLOW = {"explore", "jacobian_chart", "report"}   # asked in some situations only
QUICK = {"fit_vector_field", "fit_vector_field tuned", "fit_vector_field genes", "jacobian", "jacobian umap",
         "jacobian genes", "jacobian velocity", "get_jacobian", "gene_jacobian", "diagnose", "compare_groups",
         "rank_jacobian_genes full reg", "jacobian_network", "divergence", "eigenmodes", "sensitivity", "along_path",
         "response_curve of cells", "perturb", "perturb_cells", "fixed_points"}

def asked(quick, left_out=None):
    "What is asked; with names that are left out, the slow ones are left out as well."
    gone = set() if left_out is None else SLOW.union(left_out)
    return [name for name in ASK if name not in gone and (not quick or name in QUICK)]

# ---------------------------------------------------------------- oracles

def mark(value):
    "Something that changes if a value is changed."
    if isinstance(value, Mapping): return {str(k): mark(v) for k, v in value.items()}
    if hasattr(value, "dask"): return "dask", value.shape, str(value.dtype)
    if isinstance(value, pd.DataFrame): return mark(value.index), [(str(c), mark(v)) for c, v in value.items()]
    if isinstance(value, (pd.Series, pd.Index)): return str(value.dtype), repr(value.astype(object).tolist())
    if sp.issparse(value): return value.format, digest(value.toarray())
    if isinstance(value, np.ndarray):
        return repr(value.tolist()) if value.dtype.kind in "OUST" else digest(value)
    return type(value).__name__, repr(value)[:2000]

def snapshot(a):
    "Marks of all that an AnnData holds."
    found = dict(X=None if a.isbacked or a.X is None else mark(a.X), obs=mark(a.obs), var=mark(a.var))
    for part in ("layers", "obsm", "varm", "uns"):
        found |= {f"{part}[{k!r}]": mark(v) for k, v in getattr(a, part).items() if k is not None}
    return found

def untouched(a, work, writes=False):
    "What `work` finds; an AssertionError if a refusal, or anything that may not write, has changed the AnnData."
    before = snapshot(a)
    def changed():
        after = snapshot(a)
        return ", ".join(k for k in {**before, **after} if before.get(k, "-") != after.get(k, "-"))
    try: found = work(a)
    except Exception as e:
        assert not (what := changed()), f"refused, but changed {what}: {e}"
        raise
    assert writes or not (what := changed()), f"changed {what}"
    return found

def in_order(table, places):
    "A table with names told by their places, its rows in an order of their own: arrays."
    table = table.copy()
    for column in table:
        if column == "group": table[column] = table[column].astype(object).astype(str)
        elif np.asarray(table[column]).dtype.kind in "OUST":
            which = places["cell" if column in ("cell", "nearest") else "gene"]
            table[column] = [which.get(str(v), str(v)) for v in table[column]]
    words = [c for c in table if np.asarray(table[c]).dtype.kind in "OUST"]
    if words: table = table.sort_values([*words, *table.columns.intersection(["bin", "mode", "point", "time"])])
    return {c: table[c].to_numpy(str if c in words else None) for c in table}

def plainly(found, a):
    "What was found as arrays by name, with genes and cells told by their places."
    names = dict(gene=a.var_names, cell=a.obs_names)
    places = {kind: {str(n): f"{kind} {i}" for i, n in enumerate(index)} for kind, index in names.items()}
    if isinstance(found, pd.DataFrame): found = dict(table=found)
    out = {}
    for name, value in found.items() if isinstance(found, Mapping) else [("values", found)]:
        if isinstance(value, pd.DataFrame):
            out |= {f"{name}.{c}": v for c, v in in_order(value, places).items()}
            continue
        value = vf.adata.dense(value) if hasattr(value, "dask") else np.asarray(value)
        if value.dtype.kind in "OUST" and value.ndim:
            which = places["cell" if name == "cell" else "gene"]
            value = np.array([which.get(str(v), str(v)) for v in value.ravel()])
        out[name] = value
    return out

def answer(name, a):
    "What a function finds in an AnnData that is its own, or its refusal."
    try: return plainly(ASK[name](a), a)
    except REFUSALS as e: return e

@cache
def of_plain(name): return answer(name, plain())

def same(found, right, tolerance=1e-9):
    "Assert that two answers hold the same."
    assert set(found) == set(right), f"holds {sorted(found)}, expected {sorted(right)}"
    for key, value in right.items(): close(found[key], value, tolerance, key)

def tried(name, a, twin, tolerance=1e-9, may_refuse=False, view=lambda answer: answer):
    "Assert that a function finds what it finds of the twin; raises the refusal where one is right."
    try: found = plainly(untouched(a, ASK[name], name in WRITES), a)
    except REFUSALS as e:
        if may_refuse or isinstance(twin, Exception): raise
        raise AssertionError(f"refused: {type(e).__name__}: {e}") from e
    assert not isinstance(twin, Exception), f"accepted what is refused of the plain twin: {twin}"
    same(view(found), view(twin), tolerance)
