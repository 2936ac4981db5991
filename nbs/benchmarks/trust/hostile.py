"""Hostile AnnData against every public function: the answer of the plain twin, or a clear refusal that changed nothing.

A situation lays the same data out in another way, breaks it, or asks in another way. Its oracle is the plain twin:
dense float64 arrays in memory, unique short names, complete groups.
"""

import hashlib
import importlib.util
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from outcome import REFUSALS, promise

import vfjac as vf
from vfjac.adata import dense
from vfjac.fields import GaussianField

HERE = Path(__file__).resolve().parent
FOLDER = tempfile.TemporaryDirectory(prefix="vfjac_hostile_")   # files of this run, removed at its end
N, REGULATORS, EFFECTORS = 60, (1, 7), (0, 1, 6)                # cells; positions of the genes that are asked for

# ---------------------------------------------------------------------- the plain twin

@cache
def _plain() -> anndata.AnnData:
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
    vf.fit_vector_field(made, None, genes=made.var_names[[0, 1, 7]].tolist(), M=15, tune=False)
    vf.jacobian(made, **named(made))
    vf.jacobian(made, basis="umap", **named(made))
    return made

def plain() -> anndata.AnnData:
    "Cells with fields in PCA, on an embedding and in gene space, and stored Jacobians: a copy of its own each time."
    return _plain().copy()

def genes_at(adata, at) -> list[str]: return [str(g) for g in adata.var_names[list(at)]]

def named(adata) -> dict: return dict(regulators=genes_at(adata, REGULATORS), effectors=genes_at(adata, EFFECTORS))

# ---------------------------------------------------------------------- what is asked

def _stored(adata, basis="pca") -> dict:
    "A stored Jacobian as arrays."
    key = "jacobian" if basis is None else f"jacobian_{basis}"
    parts = {k: np.asarray(v) for k, v in adata.uns[key].items() if k in ("jacobian", "jacobian_gene", "cell_idx")}
    return parts | dict(cell=np.asarray(adata.uns[key]["cells"]), det=adata.obs[f"jacobian_det{key[8:]}"].to_numpy())

def _jacobian(adata, basis="pca", **how) -> dict: return _stored(vf.jacobian(adata, basis=basis, **how), basis)

def _fitted(adata, basis="pca", **how) -> dict:
    how = {} if how.pop("tuned", False) else dict(tune=False) | how
    fit = vf.fit_vector_field(adata, basis, M=15, **how)
    key = "VecFld" if basis is None else f"VecFld_{basis}"
    return dict(C=fit.field.coefficients, V=np.asarray(adata.uns[key]["V"]), source=adata.uns[key]["velocity_source"])

def _lazily(adata, **how) -> dict:
    gj, of = vf.gene_jacobian(adata, **how), named(adata)
    e, r = of["effectors"], of["regulators"]
    found = dict(block=gj.block(e, r), mean=gj.mean(None, e, r), std=gj.std(None, e, r), top=gj.top(5),
        cell=gj.cells, quantile=gj.quantile(0.3, e, r).values, absolute=gj.mean_abs(None, e, r))
    return found | (dict(error=gj.stderr(e, r), sure=gj.significant(None, e, r)) if gj.has_stderr else {})

def _diagnosed(adata, **how) -> dict:
    found = vf.diagnose(adata, n_shuffles=3, **how)
    return dict(figures=found.table["figure"].astype(float).to_numpy(), cells=found.cells, genes=found.genes)

def _explored(adata, **how) -> dict:
    explorer = vf.explore(adata, basis=how.pop("basis", "pca"), max_cells=40, sampling="random", **named(adata), **how)
    try:
        if explorer.problem: raise ValueError(explorer.problem)
        explorer.chart().to_dict()
        return dict(table=explorer.table.select_dtypes("number"), cell=explorer.table["cell"].to_numpy())
    finally: explorer.close()

def _reported(adata, **how) -> dict:
    path = vf.report(adata, Path(FOLDER.name) / "page.html", max_cells=25, **how)
    return dict(page=re.sub(r"(view|param|concat|data)[-_]\w+", r"\1",
        path.read_text(encoding="utf-8")))   # but for ids

def _network(adata, **how) -> dict: return dict(edges=vf.jacobian_network(adata, **how).edges)

def _first(adata): return adata.obs["group"].dropna().iloc[0]

@dataclass(frozen=True)
class Tool:
    "A public function as it is asked, and what it may write."
    name: str
    ask: Callable                 # From an AnnData to what was found, a dict or a table
    writes: bool = False          # Whether it writes to the AnnData when it succeeds
    needs_X: bool = False         # Whether it reads expression
    slow: bool = False            # Asked in some situations only

def _tools() -> dict[str, Tool]:
    found = []
    add = lambda name, ask, **how: found.append(Tool(name, ask, **how))
    one = lambda a: genes_at(a, REGULATORS[:1])[0]
    add("fit_vector_field", _fitted, writes=True)
    add("fit_vector_field tuned", partial(_fitted, tuned=True), writes=True)
    add("fit_vector_field layer", partial(_fitted, velocity_key="velocity"), writes=True)
    add("fit_vector_field umap", partial(_fitted, basis="umap"), writes=True)
    add("fit_vector_field genes", lambda a: _fitted(a, None, genes=genes_at(a, (7, 0))), writes=True, needs_X=True)
    add("fit_vector_field curl_free", partial(_fitted, tuned=True, kernel="curl_free"), writes=True)
    add("jacobian", lambda a: _jacobian(a, **named(a)), writes=True)
    add("jacobian regulators", lambda a: _jacobian(a, regulators=one(a)), writes=True)
    add("jacobian in the basis", _jacobian, writes=True)
    add("jacobian numerical", lambda a: _jacobian(a, method="numerical", cell_idx=[3, 1], **named(a)), writes=True)
    add("jacobian float32", lambda a: _jacobian(a, dtype="float32", **named(a)), writes=True)
    add("jacobian lazy", lambda a: (_jacobian(a, store="lazy", **named(a)), vf.get_jacobian(a))[1], writes=True)
    add("jacobian umap", lambda a: _jacobian(a, "umap", **named(a)), writes=True)
    add("jacobian genes", lambda a: _jacobian(a, None, regulators=one(a)), writes=True, needs_X=True)
    add("jacobian kept apart", lambda a: vf.jacobian(a, store_in_adata=False, **named(a))["jacobian_gene"])
    for how in ("random", "velocity", "trn", "kmeans"):
        add(f"jacobian {how}", partial(_jacobian, sampling=how, sample_ncells=9), writes=True)
    add("get_jacobian", lambda a: vf.get_jacobian(a))
    add("get_jacobian umap", lambda a: vf.get_jacobian(a, regulators=one(a), basis="umap"))
    add("gene_jacobian", _lazily)
    add("gene_jacobian umap", partial(_lazily, basis="umap"))
    add("diagnose", _diagnosed)
    add("diagnose umap", partial(_diagnosed, basis="umap"))
    for mode in ("full reg", "reg", "int", "switch", "effect", "z"):
        add(f"rank_jacobian_genes {mode}", partial(vf.rank_jacobian_genes, groups="group", mode=mode))
    add("rank_divergence_genes", partial(vf.rank_divergence_genes, groups="group"))
    add("compare_groups", lambda a: vf.compare_groups(a, _first(a), groups="group"))
    add("jacobian_network", partial(_network, groups="group"))
    add("differential_network", lambda a: vf.differential_network(a, _first(a), groups="group").edges)
    add("conserved_network", lambda a: vf.conserved_network(a, "group").edges.drop(columns="group"))
    for name in ("divergence", "speed", "acceleration", "curvature", "torsion", "determinant", "eigenvalues"):
        add(name, getattr(vf, name))
    add("curl", vf.curl)
    add("acceleration of genes", lambda a: vf.acceleration(a, genes=one(a)))
    add("eigenmodes", partial(vf.eigenmodes, groups="group"))
    add("sensitivity", lambda a: vf.sensitivity(a, **named(a)))
    add("fixed_points", partial(vf.fixed_points, basis="umap", n_starts=8, groups="group"))
    add("integrate", lambda a: vf.integrate(a, [2, 0], 1.0))
    add("along_path", lambda a: vf.along_path(a, one(a), one(a), [2, 0], 1.0))
    add("response_curve", lambda a: vf.response_curve(a, **named(a), bins=4), needs_X=True)
    add("response_curve of cells", lambda a: vf.response_curve(a, one(a), one(a), cell_idx=[9, 2, 40]), needs_X=True)
    add("kinetics", lambda a: vf.kinetics(a, one(a), one(a), "time", bins=4))
    add("response_density", lambda a: vf.response_density(a, one(a), one(a), bins=(4, 4)), needs_X=True)
    add("gene_set_jacobian", lambda a: vf.gene_set_jacobian(a, {"s": genes_at(a, EFFECTORS)}, groups="group"))
    add("perturb", lambda a: vf.perturb(a, {one(a): "knockout"}, groups="group"), needs_X=True)
    add("perturb_cells", lambda a: vf.perturb_cells(a, {one(a): 0.3}))
    add("explore", _explored, slow=True)
    add("jacobian_chart", lambda a: dict(marks=len(vf.jacobian_chart(a, groups="group").to_dict())), slow=True)
    add("report", _reported, slow=True)
    return {tool.name: tool for tool in found}

TOOLS = _tools()
QUICK = (
    "fit_vector_field", "fit_vector_field tuned", "fit_vector_field genes", "jacobian", "jacobian umap",
        "jacobian genes",
    "jacobian velocity", "get_jacobian", "gene_jacobian", "diagnose", "rank_jacobian_genes full reg", "compare_groups",
    "jacobian_network", "divergence", "eigenmodes", "sensitivity", "along_path", "response_curve of cells", "perturb",
    "perturb_cells", "fixed_points")   # what is asked when quick

def asked(quick: bool) -> list[Tool]: return [t for t in TOOLS.values() if not quick or t.name in QUICK]

# ---------------------------------------------------------------------- oracles

def _mark(value):
    "Something that changes if a value is changed."
    if isinstance(value, Mapping): return {str(k): _mark(v) for k, v in value.items()}
    if hasattr(value, "dask"): return ("dask", value.shape, str(value.dtype))
    if isinstance(value, pd.DataFrame):
        columns = {f"{i} {c}": _mark(value.iloc[:, i]) for i, c in enumerate(value.columns)}
        return columns | {"index": _mark(value.index)}
    if isinstance(value, (pd.Series, pd.Index)): return (str(value.dtype), repr(value.astype(object).tolist()))
    if sp.issparse(value): return ("sparse", value.format, _mark(value.toarray()))
    if not isinstance(value, np.ndarray): return (type(value).__name__, repr(value)[:2000])
    if value.dtype.kind in "OUST": return ("text", repr(value.tolist()))
    return (value.shape, value.dtype.str, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest())

def snapshot(adata) -> dict:
    "Marks of all that an AnnData holds."
    found = {"X": None if adata.isbacked or adata.X is None else _mark(adata.X), "obs": _mark(adata.obs),
        "var": _mark(adata.var)}
    for part in ("layers", "obsm", "varm", "uns"):
        found |= {f"{part}[{k!r}]": _mark(v) for k, v in getattr(adata, part).items() if k is not None}
    return found

def changed(before: dict, after: dict) -> str:
    "What differs between two snapshots, in words; empty if nothing does."
    return ", ".join(k for k in dict.fromkeys([*before, *after]) if before.get(k, "-") != after.get(k, "-"))

def plainly(found, adata) -> dict:
    "What was found as arrays by name, with genes and cells told by their positions, rows of tables in a fixed order."
    if isinstance(found, pd.DataFrame): found = dict(table=found)
    if not isinstance(found, Mapping): found = dict(values=found)
    genes = {str(g): f"gene {i}" for i, g in enumerate(adata.var_names)}
    cells = {str(c): f"cell {i}" for i, c in enumerate(adata.obs_names)}
    out = {}
    for name, value in found.items():
        if not isinstance(value, pd.DataFrame): value = {name: value}
        else: value = {f"{name}.{c}": value[c].to_numpy(object if c == "group" else None) for c in value}
        for key, values in value.items():
            values = dense(values) if hasattr(values, "dask") else np.asarray(values)
            if values.dtype.kind in "OUST" and values.ndim:
                which = cells if key.split(".")[-1] in ("cell", "nearest") else genes
                values = np.array([which.get(str(v), str(v)) for v in values.ravel()], dtype=str)
            if key.endswith(".group"): values = values.astype(str)
            out[key] = values
    words = {k: v for k, v in out.items() if "." in k and v.dtype.kind == "U"}
    for table in {k.split(".")[0] for k in words}:
        own = [k for k in out if k.split(".")[0] == table and "." in k]
        numbers = [out[k] for k in own if k.split(".")[-1] in ("bin", "mode", "point", "time")]
        order = np.lexsort([*numbers, *(words[k] for k in own if k in words)])
        for k in own: out[k] = out[k][order]
    return out

def differs(found: dict, expected: dict, rtol: float) -> str | None:
    "What is wrong with a result, in words; None if it is right."
    if set(found) != set(expected): return f"holds {sorted(found)}, expected {sorted(expected)}"
    for key, right in expected.items():
        own = found[key]
        if own.shape != right.shape: return f"{key} has the shape {own.shape}, expected {right.shape}"
        if right.dtype.kind not in "fiub" or own.dtype.kind not in "fiub":
            if not np.array_equal(own,
                    right): return f"{key}: {own.ravel()[:3]} …, expected {right.ravel()[:3]} …"[:300]
            continue
        size = np.abs(right[np.isfinite(right)]).max(initial=0) if right.dtype.kind != "b" else 0
        if not np.allclose(own, right, rtol=rtol, atol=rtol * size, equal_nan=True):
            off = np.nanmax(np.abs(own.astype(float) - right.astype(float)))
            return f"{key} is off by up to {off:.2g} of {size:.2g}"
    return None

@dataclass(frozen=True)
class Refused:
    "That the plain twin was refused, too."
    text: str

def answer(tool: Tool, adata):
    "What a tool finds in an AnnData that is its own."
    try: return plainly(tool.ask(adata), adata)
    except REFUSALS as e: return Refused(f"{type(e).__name__}: {e}")

@cache
def of_plain(name: str): return answer(TOOLS[name], plain())

def tried(tool: Tool, adata, expected, rtol=1e-9, may_refuse=False):
    "The work of one case: None if the result is that of the twin; raises the refusal, after a look at what it left."
    before = snapshot(adata)
    try: found = plainly(tool.ask(adata), adata)
    except REFUSALS as e:
        if what := changed(before, snapshot(adata)): return f"refused, but changed {what}: {e}"
        if isinstance(expected, Refused) or may_refuse: raise
        return f"refused: {type(e).__name__}: {e}"
    if not tool.writes and (what := changed(before, snapshot(adata))): return f"changed {what}"
    if isinstance(expected, Refused): return f"accepted what is refused of the plain twin ({expected.text})"
    return differs(found, expected, rtol)

@dataclass(frozen=True)
class Situation:
    "A way to lay data out, and the plain twin of it."
    name: str
    change: Callable                     # From the plain AnnData, which it may change, to the hostile one
    twin: Callable = lambda a: a         # From the plain AnnData to the one that it must agree with
    rtol: float = 1e-9
    may_refuse: tuple = ()               # Tools that may refuse what they answer of the twin; ("*",) is any
    only: tuple = ()                     # Beginnings of the tools that are asked; () is all
    quick: bool = True                   # Whether it is tried when quick
    pages: bool = False                  # Whether the explorer and the page are asked, too, and every tool when quick

def ask_all(outcome, situations, quick: bool) -> None:
    "Every tool in every situation."
    for s in situations:
        if quick and not s.quick: continue
        shared = None
        for tool in TOOLS.values():
            if s.only and not tool.name.startswith(s.only) or tool.slow and not s.pages: continue
            if quick and tool.name not in QUICK and not s.pages: continue
            known = of_plain(tool.name) if s.twin is Situation.twin else answer(tool, s.twin(plain()))
            if tool.writes or shared is None: shared = s.change(plain())
            free = "*" in s.may_refuse or tool.name.startswith(s.may_refuse or "\0")
            outcome.ran(f"{s.name}: {tool.name}", partial(tried, tool, shared, known, s.rtol, free))
            if tool.writes: shared = None

# ---------------------------------------------------------------------- laid out differently

ARRAYS = ("X_pca", "velocity_pca", "X_umap", "velocity_umap")

def everywhere(adata, change: Callable, loadings: bool = True):
    "The AnnData with a change made to X, layers, obsm and, unless told otherwise, the loadings."
    adata.X = change(adata.X)
    for key in list(adata.layers):
        if key is not None: adata.layers[key] = change(adata.layers[key])
    for key in ARRAYS: adata.obsm[key] = change(adata.obsm[key])
    if loadings: adata.varm["PCs"] = change(adata.varm["PCs"])
    return adata

def expression(adata, change: Callable):
    "The AnnData with a change made to X and layers."
    adata.X = change(adata.X)
    for key in list(adata.layers):
        if key is not None: adata.layers[key] = change(adata.layers[key])
    return adata

def _frozen(values):
    values = np.array(values)
    values.flags.writeable = False
    return values

def _frozen_in_uns(adata):
    for key in ("VecFld_pca", "VecFld_umap", "VecFld", "jacobian_pca", "jacobian_umap"):
        adata.uns[key] = {k: _frozen(v) if isinstance(v, np.ndarray) else v for k, v in adata.uns[key].items()}
    return everywhere(adata, _frozen)

def _strided(values):
    wide = np.full((2 * values.shape[0], 3 * values.shape[1]), np.nan)
    wide[::2, ::3] = values
    return wide[::2, ::3]

def _rounded(dtype, factor=1.0):
    "Values as they are after a detour through a type, in that type or back in float64."
    there = lambda v: (v * factor).round().astype(dtype) if np.dtype(dtype).kind in "iu" else v.astype(dtype)
    return there, lambda v: there(v).astype(np.float64)

def typed(dtype, factor=1.0, **how) -> Situation:
    there, back = _rounded(dtype, factor)
    tables = np.dtype(dtype).kind in "iu"      # loadings cannot be whole numbers
    return Situation(f"values of the type {np.dtype(dtype)}", lambda a: everywhere(a, there, not tables),
        lambda a: everywhere(a, back, not tables), **how)

def _through(adata, ending: str):
    "The AnnData written and read again."
    path = Path(FOLDER.name) / f"through.{ending}"
    if ending == "h5ad":
        adata.write_h5ad(path)
        return anndata.read_h5ad(path)
    adata.write_zarr(path)
    return anndata.read_zarr(path)

def _backed(adata, change=lambda v: v):
    path = Path(FOLDER.name) / f"backed{len(list(Path(FOLDER.name).iterdir()))}.h5ad"
    expression(adata, change).write_h5ad(path)
    return anndata.read_h5ad(path, backed="r")

def _shuffled(adata):
    rng = np.random.default_rng(5)
    return adata[rng.permutation(adata.n_obs)[:45], rng.permutation(adata.n_vars)]

def _as_tables(adata):
    for key in ARRAYS:
        adata.obsm[key] = pd.DataFrame(adata.obsm[key], adata.obs_names,
            [f"d{i}" for i in range(adata.obsm[key].shape[1])])
    return adata

def _loadings_in_uns(adata):
    adata.uns["PCs"] = adata.varm.pop("PCs")
    return adata

def _dasked(adata, part):
    import dask.array as da
    return part(adata, lambda v: da.from_array(v, chunks=(17, v.shape[1])))

def _without(adata, *parts):
    "The AnnData without X, or parts of obsm, uns, layers."
    for part in parts:
        if part == "X": adata.X = None
        else: next(own for own in (adata.obsm, adata.uns, adata.layers) if part in own).pop(part)
    return adata

def layouts(quick: bool) -> list[Situation]:
    version = tuple(map(int, anndata.__version__.split(".")[:2]))
    arrays = ("no tool",) if version < (0, 11) else ()     # csr_array and csc_array came then
    plain_copy = lambda change: dict(change=change, twin=lambda a: change(a).copy())
    X_only, writers = (tuple(t.name for t in TOOLS.values() if getattr(t, what)) for what in ("needs_X", "writes"))
    found = [Situation("a view of everything", lambda a: a[:, :]),
        Situation("a view of a view", lambda a: a[np.arange(N)][:, np.arange(a.n_vars)], quick=False),
        Situation("a view of some, in another order", **plain_copy(_shuffled)),
        Situation("a copy of some, in another order", lambda a: _shuffled(a).copy(), _shuffled,
        quick=False), Situation("read-only arrays", _frozen_in_uns),
        Situation("Fortran order", lambda a: everywhere(a, np.asfortranarray)),
        Situation("strided arrays", lambda a: everywhere(a, _strided), quick=False),
        Situation("big-endian arrays", lambda a: everywhere(a, lambda v: v.astype(">f8")), quick=False),
        typed("float32", rtol=1e-7), typed("float16", rtol=1e-7, quick=False), typed("int64", 10.0),
        typed("int8", 10.0, quick=False), Situation("csr X and layers",
        lambda a: expression(a, sp.csr_matrix)), Situation("csc X and layers",
        lambda a: expression(a, sp.csc_matrix), quick=False), Situation("csr arrays",
        lambda a: expression(a, sp.csr_array), only=arrays, quick=False),
        Situation("csc arrays of float32", lambda a: expression(a, lambda v: sp.csc_array(v.astype("f4"))),
        lambda a: expression(a, lambda v: v.astype("f4").astype(float)), rtol=1e-7, only=arrays,
        quick=False), Situation("sparse states, velocities and loadings",
        lambda a: everywhere(a, sp.csr_matrix)), Situation("tables in obsm", _as_tables, quick=False),
        Situation("written as h5ad and read", lambda a: _through(a, "h5ad"), pages=not quick),
        Situation("on disk, read as it is needed", _backed), Situation("on disk, csr",
        lambda a: _backed(a, sp.csr_matrix)), Situation("on disk, csc", lambda a: _backed(a, sp.csc_matrix),
        quick=False), Situation("a view of what is on disk", lambda a: _backed(a)[np.arange(5, 50)],
        lambda a: a[5:50].copy(), 1e-9, writers), Situation("loadings in uns", _loadings_in_uns),
        Situation("no X", lambda a: _without(a, "X"), may_refuse=X_only),
        Situation("no embedding", lambda a: _without(a, "X_umap", "X_embedding", "velocity_umap"),
        may_refuse=tuple(n for n in TOOLS if "umap" in n or n in ("curl", "fixed_points", "perturb_cells",
        "report")), only=tuple(n for n in TOOLS if n not in ("explore",)))]
    if version >= (0, 12) and importlib.util.find_spec("dask"):
        found += [Situation("X and layers as dask arrays", lambda a: _dasked(a, expression),
            pages=not quick), Situation("everything as dask arrays",
            lambda a: _dasked(a, partial(everywhere, loadings=False)), rtol=1e-7, quick=False)]
    return found

@promise("hostile", "The same data laid out in another way give the same results, and readers change nothing")
def laid_out(outcome, quick, seed): ask_all(outcome, layouts(quick), quick)

# ---------------------------------------------------------------------- names

STRANGE = ["a gene with blanks", "HLA-A/HLA-B", "βカテニン é", "a,b;c\td", 'q"uo\'te`',
    "</script><script>alert(1)</script>", "x" * 3000, "42", "nan", "group", "tf", "True", "None", "∂f / ∂x",
    " ", "<b>&amp;", "[0]", "{x}", "%s", "..", "C:\\new\n"]

def renamed(genes=None, cells=None) -> Callable:
    "A change of names, in everything that is stored by name, too."
    def change(adata):
        new = {str(old): genes[i % len(genes)] for i, old in enumerate(adata.var_names)} if genes else {}
        if genes: adata.var_names = [new[str(g)] for g in adata.var_names]
        own = {str(old): cells(i) for i, old in enumerate(adata.obs_names)} if cells else {}
        if cells: adata.obs_names = [own[str(c)] for c in adata.obs_names]
        for key in ("jacobian_pca", "jacobian_umap", "VecFld"):
            stored = dict(adata.uns[key])
            for part, names in (("effectors", new), ("regulators", new), ("genes", new), ("cells", own)):
                if part in stored: stored[part] = np.array([str(names.get(str(g), g)) for g in stored[part]], object)
            adata.uns[key] = stored
        return adata
    return change

def _string_dtype(adata):
    "Every name and group in the string type that pandas 3 has for them."
    for table in (adata.obs, adata.var):
        table.index = table.index.astype("string")
        for column in table:
            if table[column].dtype == object: table[column] = table[column].astype("string")
    return adata

def names() -> list[Situation]:
    some = {f"gene names such as {STRANGE[i]!r:.40}": STRANGE[i:] + STRANGE[:i] for i in (0, 5, 11, 17)}
    found = [Situation(name, renamed(genes), quick="script" in name) for name, genes in some.items()]
    return found + [Situation("numbers as names of cells", renamed(None, lambda i: str(N - i))),
        Situation("strange names of cells", renamed(None, lambda i: f"{STRANGE[i % len(STRANGE)]}{i}")),
        Situation("strange names through h5ad", lambda a: _through(renamed([s.replace("/",
        "|") for s in STRANGE], lambda i: f"{STRANGE[i % len(STRANGE)]}{i}")(a), "h5ad")),
        Situation("names in the type string", _string_dtype)]

@promise("hostile",
    "Names of any kind (blanks, slashes, quotes, tags, numbers, 3,000 letters) are names and nothing else")
def strange_names(outcome, quick, seed):
    ask_all(outcome, names(), quick)
    for what, table in (("genes", "var"), ("cells", "obs")):
        def doubled(a, table=table):
            old = getattr(a, f"{table}_names").tolist()
            setattr(a, f"{table}_names", [old[1], *old[1:]])
            return a
        for tool in asked(quick):
            if what == "genes" and tool.name.startswith("diagnose") or tool.slow: continue   # no table of genes then
            own, twin = doubled(plain()), of_plain(tool.name)
            # cells whose names repeat are refused only where results are kept by name
            outcome.ran(f"repeated names of {what}: {tool.name}", partial(_right_or_refused, tool, own, twin))

def _right_or_refused(tool, adata, twin):
    "As `tried`, where names that repeat keep cells and genes from being told by their names."
    if not isinstance(twin, Refused): twin = {k: v for k, v in twin.items() if v.dtype.kind in "fiub"}
    before = snapshot(adata)
    try: found = plainly(tool.ask(adata), adata)
    except REFUSALS:
        if what := changed(before, snapshot(adata)): return f"refused, but changed {what}"
        raise
    found = {k: v for k, v in found.items() if v.dtype.kind in "fiub"}
    if isinstance(twin, Refused): return f"accepted what is refused of the plain twin ({twin.text})"
    order = lambda d: {k: np.sort(v, axis=None) for k, v in d.items()}   # tables are sorted by names
    return differs(order(found), order(twin), 1e-9)

# ---------------------------------------------------------------------- groups

@promise("hostile", "Groups as a column or as labels of any form (what labels may be is drawn in properties)")
def groups_of_any_kind(outcome, quick, seed):
    shuffled = np.random.default_rng(0).permutation(N)
    forms = dict(categorical=lambda c: c.array, array=lambda c: c.to_numpy(dtype=object),
        list=lambda c: c.tolist(), series=lambda c: c, tuple=lambda c: tuple(c),
        index=lambda c: pd.Index(c), shuffled=lambda c: c.iloc[shuffled],
        numbered=lambda c: c.reset_index(drop=True), strings=lambda c: c.astype("string"))
    asks = dict(rank=lambda a, g: vf.rank_jacobian_genes(a, g), network=lambda a,
        g: vf.jacobian_network(a, groups=g).edges, compare=lambda a,
        g: vf.compare_groups(a, _first(a), groups=g), divergence=lambda a,
        g: vf.rank_divergence_genes(a, g), modes=lambda a, g: vf.eigenmodes(a, g), sets=lambda a,
        g: vf.gene_set_jacobian(a, {"s": genes_at(a, EFFECTORS)}, groups=g), perturb=lambda a,
        g: vf.perturb(a, {genes_at(a, (1,))[0]: 1.0}, groups=g), fixed=lambda a,
        g: vf.fixed_points(a, "umap", groups=g, n_starts=8))
    a = plain()
    for ask, work in asks.items():
        right = plainly(work(a, "group"), a)
        for form, make in forms.items():
            outcome.ran(f"labels as {form}: {ask}", lambda w=work, m=make,
                r=right: differs(plainly(w(a, m(a.obs["group"])), a), r, 1e-9))
        gaps = {} if ask == "fixed" else dict(missing=[None] * N)   # points are found all the same, in no group
        for wrong, labels in dict(gaps, short=["x"] * 5, absent="no such column",
                table=a.obs[["group", "other"]], empty=[], other_names=pd.Series(["x"] * N,
                [f"z{i}" for i in range(N)])).items():
            outcome.ran(f"labels {wrong}: {ask}", lambda w=work, g=labels: (w(a, g), None)[1], must_refuse=True)

# ---------------------------------------------------------------------- asked differently

IN_RANGE = (*REFUSALS, IndexError)   # positions out of range are an IndexError, as they are everywhere in Python

@promise("hostile", "Genes asked for in any form: names, Index, Series, tuple, array, column, repeated, unknown, empty")
def gene_requests(outcome, quick, seed):
    a = plain()
    two = genes_at(a, REGULATORS)
    a.var["text"], a.var["many"] = "x", np.arange(a.n_vars)
    a.var["yes"] = [g in two for g in a.var_names]
    a.var["one_zero"], a.var["words"] = a.var["yes"].astype(int), a.var["yes"].astype(str)
    in_order = [g for g in a.var_names if g in two]
    right = dict(list=two, tuple=tuple(two), index=pd.Index(two), series=pd.Series(two),
        array=np.array(two), objects=np.array(two, object), backwards=two[::-1], single=two[0],
        numpy_string=np.str_(two[0]), zero_d=np.array(two[0]), strings=pd.array(two, dtype="string"),
        categorical=pd.Categorical(two), keys=dict.fromkeys(two).keys(), generator=(g for g in two),
        column="yes", one_zero="one_zero", words="words", indexed=pd.Series(two, index=[7, 7]))
    wrong = dict(unknown=["Gata99"], empty=[], set=set(two), number=3, numbers=[1, 2],
        mask=a.var["yes"].to_numpy(), none_in=[None], text="text", many="many", absent="no such column",
        blank="", nan=[np.nan], nested=[two], nothing_marked="nothing", bytes=[two[0].encode()])
    a.var["nothing"] = False
    full = vf.gene_jacobian(a)
    asks = {"jacobian regulators": (lambda g: vf.jacobian(a, regulators=g, effectors=two,
        store_in_adata=False), "regulators"), "jacobian effectors": (lambda g: vf.jacobian(a,
        regulators=two, effectors=g, store_in_adata=False), "effectors"),
        "rank": (lambda g: vf.rank_jacobian_genes(a, regulators=g, effectors=two), None),
        "network": (lambda g: vf.jacobian_network(a, regulators=g, effectors=two,
        exclude_diagonal=False).edges, None), "sensitivity": (lambda g: vf.sensitivity(a, g, two), None),
        "response_curve": (lambda g: vf.response_curve(a, two, g, bins=3), None),
        "along_path": (lambda g: vf.along_path(a, two, g, [0], 0.5), None),
        "perturb": (lambda g: vf.perturb(a, {two[0]: 1.0}, g), None),
        "explore": (lambda g: _shown(a, g, two), None)}
    for name, (ask, part) in asks.items():
        if quick and name == "explore": continue
        for form, wanted in right.items():
            if form == "generator": wanted = (g for g in two)
            names = dict.fromkeys(("single", "numpy_string", "zero_d"), two[:1]) | dict(backwards=two[::-1])
            names = names | dict.fromkeys(("column", "one_zero", "words"), in_order)
            names = names.get(form, two)
            def work(ask=ask, part=part, wanted=wanted, names=names, name=name):
                before, found = snapshot(a), ask(wanted)
                if what := changed(before, snapshot(a)): return f"changed {what}"
                if isinstance(found, pd.DataFrame):
                    column = "effector" if name == "perturb" else "regulator"
                    return None if set(found[column]) == set(names) else f"{set(found[column])} instead of {names}"
                if part == "array":
                    found = found.shape[2]
                    return None if found == len(names) else f"{found} instead of {len(names)} regulators"
                if list(found[part]) != list(names): return f"{list(found[part])} instead of {list(names)}"
                of = dict(effectors=two, regulators=two) | {part: names}
                block = full.block(of["effectors"], of["regulators"])
                return differs(dict(v=np.moveaxis(found["jacobian_gene"], -1, 0)), dict(v=block), 1e-9)
            outcome.ran(f"{name} as {form}", work)
        for form, wanted in wrong.items():
            outcome.ran(f"{name} as {form}", lambda ask=ask, wanted=wanted: (ask(wanted), None)[1], must_refuse=True)
    for form, wanted in wrong.items():
        if form in ("text", "many", "mask", "nothing_marked", "set"): continue
        outcome.ran(f"get_jacobian {form}", lambda w=wanted: (vf.get_jacobian(a, regulators=w), None)[1],
            must_refuse=True)
    for form in ("tuple", "index", "series", "array", "objects", "single", "numpy_string", "strings",
            "keys", "backwards"):
        names = {two[0]} if form in ("single", "numpy_string") else set(two)
        work = lambda w=right[form], n=names: set(vf.get_jacobian(a, regulators=w)["regulator"]) == n or "other genes"
        outcome.ran(f"get_jacobian {form}", work)
    warned = lambda: vf.jacobian(a, regulators=[two[0], *two, two[1]], effectors=two, store_in_adata=False)
    outcome.ran("repeated names are said and computed once", lambda: _said(warned, "more than once",
        lambda r: list(r["regulators"]) == two))
    partly = lambda: vf.jacobian(a, regulators=[*two, "Gata99"], effectors=two, store_in_adata=False)
    outcome.ran("unknown names are said and left out", lambda: _said(partly, "Gata99",
        lambda r: list(r["regulators"]) == two))

def _shown(a, regulators, effectors):
    explorer = vf.explore(a, regulators, effectors, sampling="random", max_cells=20)
    try:
        said = re.sub("<[^>]*>", "", explorer.message.value)
        shown = list(explorer.state.effectors)
        if explorer.problem or shown != list(effectors): raise ValueError(explorer.problem or said)
        return pd.DataFrame(dict(regulator=list(explorer.state.regulators)))
    finally: explorer.close()

def _said(work, words: str, right) -> str | None:
    "Whether a warning held some words, and the result is right."
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = work()
    if not any(words in str(w.message) for w in heard): return f"no warning says {words!r}"
    return None if right(found) else "the result is wrong"

@promise("hostile", "Cells asked for in any form: positions, masks, names, negative, repeated, out of range, none")
def cell_requests(outcome, quick, seed):
    a, some = plain(), [5, 0, 41]
    mask = np.isin(np.arange(N), some)
    n = a.obs_names.to_numpy()
    right = dict(list=some, tuple=(5, 0, 41), array=np.array(some), int8=np.array(some, dtype=np.int8),
        uint=np.array(some, dtype=np.uint64), objects=np.array(some, dtype=object), index=pd.Index(some),
        series=pd.Series(some), range=range(3, 6), slice=slice(2, 9, 3), negative=[-1, 0], single=7,
        numpy_int=np.int64(7), names=n[some].tolist(), names_index=a.obs_names[some],
        names_series=pd.Series(n[some]), name=str(n[7]), strings=pd.array(n[some], dtype="string"),
        mask=mask, mask_list=mask.tolist(), mask_series=pd.Series(mask, n),
        mask_shuffled=pd.Series(mask, n).sample(frac=1, random_state=0), mask_column=a.obs["other"] == "a",
        mask_pandas=pd.array(mask, dtype="boolean"), mask_numbered=pd.Series(mask), generator="generator",
        repeated=[3, 3, 1], int_pandas=pd.array(some, dtype="Int64"))
    at = {k: list(some) for k in right} | dict(range=[3, 4, 5], slice=[2, 5, 8], negative=[N - 1, 0],
        single=[7], numpy_int=[7], name=[7], repeated=[3, 3, 1])
    at |= {k: sorted(some) for k in right if k.startswith("mask")}
    at |= dict(mask_column=np.flatnonzero(a.obs["other"] == "a").tolist())
    wrong = dict(beyond=[N], before=[-N - 1], fractions=[1.5], whole_fractions=[1.0, 2.0], none=[],
        no_mask=np.zeros(N, bool), short_mask=[True, False], unknown=["nobody"], set={1, 2}, dict={1: 2},
        table=[[1, 2]], nan=[np.nan], none_in=[None], mixed=[1, "cell1"], blank="",
        mask_pandas=pd.array([True, None] * (N // 2), dtype="boolean"), huge=[2**70], complex=[1j],
        dates=pd.DatetimeIndex(["2020-01-01"]))
    g = genes_at(a, REGULATORS)
    pair = lambda cells, **how: vf.jacobian(a, g, g, cell_idx=cells, store_in_adata=False, **how)
    asks = dict(jacobian=lambda c: (lambda p: (p["cell_idx"],
        np.moveaxis(p["jacobian_gene"], -1, 0)))(pair(c)), jacobian_umap=lambda c: (lambda p:
        (p["cell_idx"], np.moveaxis(p["jacobian"], -1, 0)))(pair(c, basis="umap")),
        gene_jacobian=lambda c: (lambda t: (find(t.cells), t.block(g, g)))(vf.gene_jacobian(a, cell_idx=c)),
        block=lambda c: (None, vf.gene_jacobian(a).block(g, g, c)),
        stderr=lambda c: (None, vf.gene_jacobian(a).stderr(g, g, c)),
        divergence=lambda c: (lambda t: (find(t["cell"]), t["divergence"]))(vf.divergence(a, cell_idx=c)),
        curl=lambda c: (lambda t: (find(t["cell"]), t["curl"]))(vf.curl(a, cell_idx=c)),
        sensitivity=lambda c: (None, vf.sensitivity(a, g[0], g[0], cell_idx=c)["value"]),
        integrate=lambda c: (None, vf.integrate(a, c, 1.0)["pca1"]),
        perturb_cells=lambda c: (lambda t: (find(t["cell"]), t["dx"]))(vf.perturb_cells(a, {g[0]: 1.0},
        cell_idx=c)), rank=lambda c: (None, vf.rank_jacobian_genes(a, cell_idx=c, mode="reg")["value"]),
        response_curve=lambda c: (None, vf.response_curve(a, g[0], g[0], cell_idx=c, bins=1)["mean"]))
    find = a.obs_names.get_indexer
    for name, ask in list(asks.items())[::3 if quick else 1]:
        for form, cells in right.items():
            make = (lambda c=cells: (i for i in some) if isinstance(c, str) and c == "generator" else c)
            def work(ask=ask, make=make, rows=at[form]):
                before = snapshot(a)
                where, found = ask(make())
                if what := changed(before, snapshot(a)): return f"changed {what}"
                if where is not None and list(where) != rows: return f"cells {list(where)} instead of {rows}"
                return differs(dict(v=np.asarray(found)), dict(v=np.asarray(ask(list(rows))[1])), 1e-9)
            outcome.ran(f"{name}, cells as {form}", work)
        for form, cells in wrong.items():
            outcome.ran(f"{name}, cells as {form}", lambda ask=ask, c=cells: (ask(c), None)[1],
                refusal=IN_RANGE, must_refuse=True)
    for how in ("random", "velocity", "trn", "kmeans"):
        for size, must in ((N, False), (N + 1, None), (10**6, None), (1, False), (0, True), (-1, True),
                (2.5, True), (None, True), ("3", True)):
            def work(how=how, size=size):
                own = plain()
                before = snapshot(own)
                try: found = vf.jacobian(own, g, g, sampling=how, sample_ncells=size).uns["jacobian_pca"]["cell_idx"]
                except Exception:
                    if what := changed(before, snapshot(own)): return f"refused, but changed {what}"
                    raise
                expected = min(size, N)
                right = len(set(found.tolist())) == len(found) == expected
                return None if right else f"{len(found)} cells instead of {expected}"
            outcome.ran(f"sampling {how}, {size} cells", work, must_refuse=bool(must))
    for wrong_how in ("all of them", 3, ["random"], True, ""):
        outcome.ran(f"sampling={wrong_how!r}", lambda w=wrong_how: (vf.jacobian(a, sampling=w), None)[1],
            must_refuse=True)

@promise("hostile", "Arguments that make no sense are refused, and nothing is changed")
def arguments(outcome, quick, seed):
    a = plain()
    g = genes_at(a, REGULATORS)
    calls = {"not an AnnData": [lambda f=f, args=args: f(*args) for f,
        *args in ((vf.jacobian, {}), (vf.gene_jacobian, None), (vf.fit_vector_field, a.to_df()),
        (vf.diagnose, 3), (vf.rank_jacobian_genes, "a"), (vf.divergence, a.X), (vf.get_jacobian, None),
        (vf.report, None, "x.html"), (vf.perturb_cells, None, {}), (vf.compare_groups, 1, 2))],
        "a basis that is not there": [lambda f=f: f(a, basis="tsne") for f in (vf.jacobian,
        vf.gene_jacobian, vf.fit_vector_field, vf.diagnose, vf.rank_jacobian_genes, vf.divergence,
        vf.get_jacobian, vf.curl, vf.jacobian_network, vf.eigenvalues, vf.fixed_points)],
        "a basis of another type": [lambda f=f, b=b: f(a, basis=b) for b in (3, ["pca"], ("pca",),
        b"pca") for f in (vf.jacobian, vf.gene_jacobian, vf.fit_vector_field, vf.divergence,
        vf.get_jacobian)], "an unknown argument": [lambda f=f: f(a, no_such_thing=1) for f in (vf.jacobian,
        vf.fit_vector_field)], "loadings that are not there": [lambda f=f: f(a,
        Qkey="nothing") for f in (vf.gene_jacobian,)] + [lambda: vf.jacobian(a, g, g, Qkey="nothing"),
        lambda: vf.fit_vector_field(a, velocity_key="velocity", Qkey="nothing")],
        "a method that is not there": [lambda: vf.jacobian(a, method="magic"),
        lambda: vf.rank_jacobian_genes(a, mode="magic"), lambda: vf.jacobian(a, dtype="float16"),
        lambda: vf.jacobian(a, store="disk"), lambda: vf.fit_vector_field(a, kernel="magic"),
        lambda: vf.fit_vector_field(a, compat="scvelo"), lambda: vf.sensitivity(a, g, answering="some")],
        "numbers out of range": [lambda f=f: f() for f in (lambda: vf.fit_vector_field(a, M=0),
        lambda: vf.fit_vector_field(a, M=-3), lambda: vf.fit_vector_field(a, M=2.5),
        lambda: vf.fit_vector_field(a, tune=False, beta=-1.0), lambda: vf.fit_vector_field(a, tune=False,
        lambda_=np.nan), lambda: vf.fit_vector_field(a, dims=0), lambda: vf.fit_vector_field(a, dims=9),
        lambda: vf.fit_vector_field(a, dims=[0, 0]), lambda: vf.fit_vector_field(a, dims=[-1]),
        lambda: vf.fit_vector_field(a, dims="2"), lambda: vf.rank_jacobian_genes(a, top=0),
        lambda: vf.rank_jacobian_genes(a, top=-1), lambda: vf.jacobian_network(a, fdr=2.0),
        lambda: vf.jacobian_network(a, top=-1), lambda: vf.jacobian_network(a, fdr=-0.1),
        lambda: vf.response_curve(a, g, g, bins=0), lambda: vf.response_curve(a, g, g, bins=[1, 0]),
        lambda: vf.response_curve(a, g, g, quantiles=[2]), lambda: vf.integrate(a, [0], np.nan),
        lambda: vf.integrate(a, [0], []), lambda: vf.perturb(a, {g[0]: np.nan}),
        lambda: vf.perturb(a, {g[0]: "double"}), lambda: vf.perturb(a, {"Gata99": 1.0}),
        lambda: vf.perturb(a, {}), lambda: vf.perturb(a, [1]), lambda: vf.perturb_cells(a, {g[0]: 1.0},
        embedding="tsne"), lambda: vf.perturb_cells(a, {g[0]: 1.0}, n_neighbors=0),
        lambda: vf.gene_jacobian(a).quantile(1.5), lambda: vf.gene_jacobian(a).top(0),
        lambda: vf.gene_jacobian(a).significant(fdr=0), lambda: vf.diagnose(a, n_cells=0),
        lambda: vf.diagnose(a, n_shuffles=0), lambda: vf.eigenvalues(a, k=0), lambda: vf.eigenmodes(a, k=0),
        lambda: vf.jacobian(a, cores=0), lambda: vf.jacobian(a, cores=-2),
        lambda: vf.gene_jacobian(a).mean(cores=-1), lambda: vf.fixed_points(a, n_neighbors=0),
        lambda: vf.report(a, Path(FOLDER.name) / "a.html", max_cells=0),
        lambda: vf.report(a, Path(FOLDER.name) / "no folder" / "a.html"),
        lambda: vf.report(a, Path(FOLDER.name) / "a.html", embedding="tsne"),
        lambda: vf.report(a, Path(FOLDER.name) / "a.html", groups="nothing"))],
        "sets of genes": [lambda s=s: vf.gene_set_jacobian(a, s) for s in ({}, {"s": []}, {"s": ["Gata99"]},
        {"s": g, 1: []}, "no such file.gmt", 3)], "sets of cells": [lambda x=x, y=y,
        k=k: vf.compare_groups(a, x, y, **k) for x, y, k in (("nobody", None, dict(groups="group")),
        ([], None, {}), ([0], [0], {}), (range(N), None, {}), ("a", "a", dict(groups="other")),
        ([0, N + 5], None, {}), ("a", None, {}), (None, None, {}), ([], "a", dict(groups="other")))],
        "fields from outside": [lambda c=c: vf.jacobian(a, vector_field_class=c) for c in (3, "pca", {},
        {"X_ctrl": [[0.0]]}, lambda X: X[:, :1], lambda X: "text", object())],
        "tensors that are too large": [lambda: vf.jacobian(a, g, g, memory_mb=1e-6),
        lambda: vf.gene_jacobian(a).block(memory_mb=1e-3), lambda: vf.rank_jacobian_genes(a,
        memory_mb=1e-6)]}
    for what, several in calls.items():
        for i, call in enumerate(several):
            def work(call=call):
                before = snapshot(a)
                try: call()
                except Exception:
                    if parts := changed(before, snapshot(a)): return f"refused, but changed {parts}"
                    raise
                return "accepted, though it must be refused"
            outcome.ran(f"{what}, call {i + 1}", work, refusal=IN_RANGE)

# ---------------------------------------------------------------------- broken values

BAD = dict(nan=np.nan, inf=np.inf, minus_inf=-np.inf)

def broken(part: str, value: float, where: tuple) -> Callable:
    "An AnnData some of whose numbers are not finite."
    def change(a):
        values = a.X if part == "X" else (a.layers if part in a.layers else a.varm if part in a.varm else a.obsm)[part]
        values = np.array(values)
        values[where] = value
        if part == "X": a.X = values
        else: (a.layers if part in a.layers else a.varm if part in a.varm else a.obsm)[part] = values
        return a
    return change

@promise("hostile", "NaN and infinite states, velocities, loadings and expression are left out aloud, or refused")
def broken_values(outcome, quick, seed):
    cells, genes = [4, 11, 30], 2
    places = {"X_pca": np.s_[cells, 1], "velocity_pca": np.s_[cells, 0], "X_umap": np.s_[cells, 0],
        "velocity_umap": np.s_[cells, 1], "PCs": np.s_[genes, 1], "velocity": np.s_[cells, genes],
        "X": np.s_[cells, 1]}
    everywhere_ = {"X_pca": np.s_[:, 1], "velocity_pca": np.s_[:], "PCs": np.s_[:],
        "velocity": np.s_[:, genes], "X": np.s_[:]}
    reads = {"X_pca": ("fit_vector_field", "jacobian"), "velocity_pca": ("fit_vector_field",
        "fit_vector_field tuned", "diagnose")}
    for kind, value in BAD.items():
        if quick and kind == "minus_inf": continue
        for part, where in places.items():
            for tool in asked(quick):
                if tool.slow and kind != "nan": continue
                own = broken(part, value, where)(plain())
                outcome.ran(f"{kind} in {part} of some: {tool.name}", partial(_left_out, tool, own, part, cells, genes))
        for part, where in everywhere_.items():
            for tool in asked(quick):
                if tool.slow and kind != "nan" or not tool.name.startswith(reads.get(part,
                        ("fit_vector_field", "gene_jacobian", "report"))): continue
                own = broken(part, value, where)(plain())
                outcome.ran(f"{kind} in {part} of all: {tool.name}", partial(_left_out, tool, own, part, cells, genes))
    missing = [4, 11, 30], list(range(N - 4)), list(range(N - 1)), list(range(N))
    for gone in missing[::2 if quick else 1]:   # fits with cells left out
        for part in ("X_pca", "velocity_pca"):
            for how in (dict(tune=False), dict(), dict(kernel="curl_free"), dict(compat="dynamo")):
                def work(gone=gone, part=part, how=how):
                    kept = np.setdiff1d(np.arange(N), gone)
                    own, before = broken(part, np.nan, np.s_[gone, 0])(plain()), None
                    before = snapshot(own)
                    try: fit = vf.fit_vector_field(own, M=12, **how)
                    except Exception:
                        if what := changed(before, snapshot(own)): return f"refused, but changed {what}"
                        raise
                    if not set(fit.valid) <= set(kept): return "cells without values were fitted"
                    few = vf.fit_vector_field(plain()[kept].copy(), M=12, **how)
                    at = plain().obsm["X_pca"]
                    return differs(dict(J=fit.field.jacobian(at)), dict(J=few.field.jacobian(at)), 1e-6)
                outcome.ran(f"fit {how} with NaN in {part} of {len(gone)} cells", work)

MAY_BE_UNKNOWN = ("det", "figures", "table.period",
    "table.half_life")   # of cells not asked for; of modes that do not turn

def _left_out(tool, adata, part, cells, genes):
    "None if what was found is finite, but for what belongs to the broken cells and genes; raises the refusal."
    before = snapshot(adata)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        try: found = plainly(tool.ask(adata), adata)
        except Exception:
            if what := changed(before, snapshot(adata)): return f"refused, but changed {what}"
            raise
    twin = of_plain(tool.name)
    if isinstance(twin, Refused): return None
    for key, values in found.items():
        if values.dtype.kind != "f" or np.isfinite(values).all() or key in MAY_BE_UNKNOWN: continue
        if key in twin and twin[key].shape == values.shape and not np.isfinite(twin[key]).all():
            if (np.isfinite(twin[key]) <= np.isfinite(values)).all(): continue
        rows = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if len(values) == N and set(rows) <= set(cells): continue
        labels = found.get(key.split(".")[0] + ".cell")
        if labels is not None and {labels[r] for r in rows} <= {f"cell {c}" for c in cells}: continue
        return f"{key} holds {np.size(values) - np.isfinite(values).sum()} values that are not finite"
    return None

# ---------------------------------------------------------------------- little data

def _few(n_cells: int, **changes) -> Callable:
    "The first cells of the plain twin, before a field was fitted."
    def make():
        a = plain()[:n_cells].copy()
        for key in ("VecFld_pca", "VecFld_umap", "VecFld", "jacobian_pca", "jacobian_umap"): del a.uns[key]
        for key in [k for k in a.obsm if k.endswith("_SparseVFC")]: del a.obsm[key]
        for key, value in changes.items(): a.obsm[key] = value(a)
        return a
    return make

def _consistent(adata, basis, **how):
    "Fit, and see whether the Jacobian is the derivative of the fitted velocity."
    before = snapshot(adata)
    try: vf.fit_vector_field(adata, basis, **how)
    except Exception:
        if what := changed(before, snapshot(adata)): return f"refused, but changed {what}"
        raise
    field = vf.gene_jacobian(adata, basis).field if basis == "pca" else None
    vf.jacobian(adata, basis=basis, **(named(adata) if basis == "pca" and adata.n_vars > 7 else {}))
    J = np.moveaxis(adata.uns["jacobian" if basis is None else f"jacobian_{basis}"]["jacobian"], -1, 0)
    if not np.isfinite(J).all(): return "the Jacobian is not finite"
    if field is None or not isinstance(field, GaussianField): return None
    X = dense(adata.obsm["X_pca"])
    h = 1e-4 / np.sqrt(field.beta)
    for j in range(X.shape[1]):
        step = h * np.eye(X.shape[1])[j]
        slope = (field.velocity(X + step) - field.velocity(X - step)) / (2 * h)
        size = max(np.abs(J).max(), np.abs(field.velocity(X)).max() * np.sqrt(field.beta), 1e-12)
        if np.abs(J[:, :, j] - slope).max() > 1e-4 * size: return f"∂f/∂x{j} is not the slope of the field"
    return None

@promise("hostile",
    "Little or degenerate data (one cell, one gene, one place, no variance) are fitted right or refused")
def little_data(outcome, quick, seed):
    same = lambda key: (lambda a: np.tile(a.obsm[key][:1], (a.n_obs, 1)))
    flat = lambda key: (lambda a: a.obsm[key] * [1.0, 0.0, 1.0])
    makes = {f"{n} cells": _few(n) for n in (1, 2, 3, 4, 5, 8)}
    makes |= {"all cells in one place": _few(N, X_pca=same("X_pca")),
        "one velocity": _few(N, velocity_pca=same("velocity_pca")),
        "no velocity": _few(N, velocity_pca=lambda a: 0 * a.obsm["velocity_pca"]),
        "a component without variance": _few(N, X_pca=flat("X_pca")),
        "a velocity component of zero": _few(N, velocity_pca=flat("velocity_pca")),
        "one component": _few(N, X_pca=lambda a: a.obsm["X_pca"][:, :1],
        velocity_pca=lambda a: a.obsm["velocity_pca"][:, :1]), "two places": _few(N,
        X_pca=lambda a: a.obsm["X_pca"][np.arange(N) % 2]), "each cell twice": _few(N,
        X_pca=lambda a: a.obsm["X_pca"][np.arange(N) // 2]), "tiny units": _few(N,
        X_pca=lambda a: 1e-12 * a.obsm["X_pca"], velocity_pca=lambda a: 1e-12 * a.obsm["velocity_pca"]),
        "huge units": _few(N, X_pca=lambda a: 1e12 * a.obsm["X_pca"],
        velocity_pca=lambda a: 1e12 * a.obsm["velocity_pca"]), "far from the origin": _few(N,
        X_pca=lambda a: a.obsm["X_pca"] + 1e6), "one cell far off": _few(N,
        X_pca=lambda a: np.where(np.arange(N)[:, None] == 5, 1e9, a.obsm["X_pca"])),
        "one velocity of 1e9": _few(N, velocity_pca=lambda a: np.where(np.arange(N)[:, None] == 5, 1e9,
        a.obsm["velocity_pca"]))}
    for n_made, (name, make) in enumerate(makes.items()):
        if quick and n_made % 3: continue
        for how in (dict(), dict(tune=False), dict(M=1), dict(M=1, tune=False), dict(M=1000, tune=False),
                dict(compat="dynamo"), dict(kernel="curl_free"), dict(kernel="divergence_free")):
            outcome.ran(f"{name}: fit {how}", lambda make=make, how=how: _consistent(make(), "pca", **how))
        fast = name == "one velocity of 1e9"   # where paths take long, until the solver gives up
        for tool in asked(quick):
            if tool.slow and n_made % 4 or "umap" in tool.name or tool.name.startswith(("fit", "curl")): continue
            if fast and tool.name in ("integrate", "along_path") and quick or tool.name.endswith("effect"): continue
            def work(make=make, tool=tool):
                a = make()
                try: vf.fit_vector_field(a, M=15, tune=False)
                except REFUSALS: return None
                vf.jacobian(a, **(named(a)))
                before = snapshot(a)
                try: found = plainly(tool.ask(a), a)
                except Exception:
                    if what := changed(before, snapshot(a)): return f"refused, but changed {what}"
                    raise
                # averages over empty bins, errors of nothing and ranks of single genes may be unknown, tensors may not
                tensors = {k: v for k, v in found.items() if k in ("jacobian", "jacobian_gene", "block",
                    "mean", "values", "table.value")}
                finite = all(np.isfinite(v).all() for v in tensors.values())
                return None if finite or "response" in tool.name else "not finite"
            outcome.ran(f"{name}: {tool.name}", work, refusal=(*IN_RANGE, RuntimeError))   # of a solver that gives up
    for n_genes in (1, 2):
        def work(n_genes=n_genes):
            a = plain()[:, :n_genes].copy()
            a.varm["PCs"] = np.eye(n_genes)
            a.obsm["X_pca"], a.obsm["velocity_pca"] = np.array(a.X), np.array(a.layers["velocity"])
            vf.fit_vector_field(a, M=10, tune=False)
            vf.jacobian(a, a.var_names, a.var_names)
            J = np.moveaxis(a.uns["jacobian_pca"]["jacobian_gene"], -1, 0)
            for call in (vf.rank_jacobian_genes, vf.jacobian_network, vf.eigenvalues, vf.diagnose,
                    vf.divergence): call(a)
            vf.report(a, Path(FOLDER.name) / "one.html")
            _explored_few(a)
            return differs(dict(J=J), dict(J=vf.gene_jacobian(a).field.jacobian(a.obsm["X_pca"])), 1e-9)
        outcome.ran(f"{n_genes} genes", work)
    for what, change in dict(zero=lambda v: np.where(np.arange(v.shape[1]) == 1, 0.0, v),
            constant=lambda v: np.where(np.arange(v.shape[1]) == 1, 3.0, v)).items():
        for tool in asked(quick):
            if tool.slow or tool.name in ("perturb", "response_density") or tool.name.startswith(("fit",
                    "response_curve")): continue
            if tool.name == "jacobian genes": continue
            own, twin = _dead(plain(), change), of_plain(tool.name)
            outcome.ran(f"a gene that is {what} everywhere: {tool.name}", partial(tried, tool, own, twin, 1e-9, True))

def _dead(a, change):
    "An AnnData with a gene (not the first) changed in X alone, where only loadings and states count."
    a.X = change(np.asarray(a.X))
    return a

def _explored_few(a):
    explorer = vf.explore(a)
    try:
        if explorer.problem: raise ValueError(explorer.problem)
        explorer.chart().to_dict()
    finally: explorer.close()

# ---------------------------------------------------------------------- results that grew old

def _readers(a) -> dict[str, Callable]:
    return {"get_jacobian": lambda: vf.get_jacobian(a), "report": lambda: vf.report(a, Path(FOLDER.name) / "old.html")}

def _loud(work, words: tuple) -> str | None:
    "None if a warning says one of some words; raises the refusal."
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        work()
    said = [str(w.message) for w in heard]
    return None if any(w in s for s in said for w in words) else f"nothing is said ({said})"

CHANGED = ("anew", "have been renamed")

def _read_aloud(change, ask, words):
    "Whether asking an AnnData that was changed says so."
    a = change(plain())
    return _loud(lambda: ask(a), words)

def _scaled(a):
    a.uns["jacobian_pca"] = dict(a.uns["jacobian_pca"]) | dict(jacobian=2 * np.array(a.uns["jacobian_pca"]["jacobian"]))
    return a

def _numbered_cells(a):
    a.obs_names = [str(i) for i in range(a.n_obs)]
    return a

def _renumbered(a):
    "Named by numbers when the Jacobian was stored, cut and numbered anew: name 3 is another cell now."
    a = _numbered_cells(a)
    vf.jacobian(a, **named(a))
    return _numbered_cells(a[20:].copy())

def _refitted(a):
    vf.fit_vector_field(a, M=7, tune=False)
    return a

def _other_components(a):
    "PCA run anew: signs and order of the components differ, states and loadings agree."
    turn = np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]])
    for part, key in ((a.obsm, "X_pca"), (a.obsm, "velocity_pca"), (a.varm, "PCs")): part[key] = part[key] @ turn
    return a

@promise("hostile", "A result that no longer belongs to the cells, genes or field at hand is never read as if it did")
def old_results(outcome, quick, seed):
    def values(a, **how):
        t = vf.get_jacobian(a, **how)
        return t.set_index(["cell", "effector", "regulator"])["value"]
    whole = values(plain())
    def kept(change, cells=lambda c: c):
        def work():
            a = change(plain())
            found = values(a)
            names = pd.MultiIndex.from_tuples([(cells(c), e, r) for c, e, r in found.index])
            return differs(dict(v=found.to_numpy()), dict(v=whole.loc[names].to_numpy()), 1e-12)
        return work
    rng = np.random.default_rng(1)
    for name, change in {"some cells": lambda a: a[::3].copy(), "a view of some": lambda a: a[::3],
            "one cell": lambda a: a[[7]].copy(), "another order": lambda a: a[rng.permutation(N)].copy(),
            "genes removed": lambda a: a[:, [0, 3]].copy(), "genes in another order": lambda a: a[:,
            ::-1].copy(), "fields removed": lambda a: _without(a, "VecFld_pca", "VecFld_umap", "VecFld"),
            "written and read": lambda a: _through(a, "h5ad"), "written, read, cut": lambda a: _through(a,
            "h5ad")[5:9], "joined with others": lambda a: anndata.concat([a, _new_cells(a)], merge="same",
            uns_merge="first")}.items():
        outcome.ran(f"stored Jacobian after: {name}", kept(change))
        if quick and name not in ("a view of some", "genes removed"): continue
        outcome.ran(f"stored Jacobian, report after: {name}", lambda c=change: (vf.report(c(plain()),
            Path(FOLDER.name) / "kept.html"), None)[1])
    quiet = lambda a: _silent(lambda: vf.get_jacobian(a))
    for name, change in {"nothing": lambda a: a, "h5ad": lambda a: _through(a, "h5ad"),
            "a cut": lambda a: a[::2].copy(), "a second Jacobian without genes": lambda a:
            vf.jacobian(a)}.items():
        outcome.ran(f"nothing to be said after {name}", lambda c=change: quiet(c(plain())))
    for name, change in {"the tensor in the basis": _scaled, "cells numbered anew": _renumbered,
            "the field": _refitted, "the field, through h5ad": lambda a: _through(_refitted(a),
            "h5ad")}.items():
        outcome.ran(f"changed since: {name}: get_jacobian", partial(_read_aloud, change, vf.get_jacobian, CHANGED))
        if quick and name not in ("the field", "cells numbered anew"): continue
        outcome.ran(f"changed since: {name}: report", lambda c=change: _on_page(c(plain()), CHANGED))
    for name, change in {"PCA run anew": _other_components}.items():
        for tool in TOOLS.values():
            if tool.name not in ("jacobian", "gene_jacobian", "rank_jacobian_genes full reg", "divergence",
                    "compare_groups", "diagnose", "perturb", "jacobian_network"): continue
            outcome.ran(f"{name} since the fit: {tool.name}", partial(_read_aloud, change, tool.ask, ("fit again",)))
    shorter = dict(no_cells_left=lambda a: _renamed_all(a), tensor_too_short=lambda a: _cut_tensor(a,
        np.s_[..., :5]), tensor_of_fewer_genes=lambda a: _cut_tensor(a, np.s_[:1]),
        tensor_of_text=lambda a: _put(a, jacobian_gene="gone"),
        no_tensor=lambda a: _put(a, jacobian_gene=None, jacobian=None, Qkey=None),
        no_names=lambda a: _put(a, effectors=None, regulators=None),
        positions_only_out_of_range=lambda a: _put(a, cells=None, cell_idx=np.array([0, 99])),
        no_dict=lambda a: _not_a_dict(a), cells_twice=lambda a: _put(a,
        cells=np.array(["cell0"] * N, object)))
    for name, change in shorter.items():
        for reader in _readers(None):
            if (name, reader) == ("no_tensor", "report"): continue   # the page is computed from the field
            def work(change=change, reader=reader):
                _readers(change(plain()))[reader]()
                return "accepted, though it cannot be read"
            outcome.ran(f"a stored Jacobian with {name}: {reader}", work, refusal=IN_RANGE)

def _silent(work):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        work()
    said = [str(w.message) for w in heard if "vfjac" in str(w.filename) or "Jacobian" in str(w.message)]
    return f"said {said}" if said else None

def _on_page(a, words):
    path, lead = Path(FOLDER.name) / "old.html", ""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        lead = " ".join(re.findall("<p>(.*?)</p>", vf.report(a, path).read_text(encoding="utf-8"), re.S))
    usual = _usual_lead()
    text = " ".join(s for s in lead.split(". ") if s not in usual) + " ".join(str(w.message) for w in heard)
    return None if any(w in text for w in words) else f"the page does not say it: {text[:200]}"

@cache
def _usual_lead() -> str:
    page = vf.report(plain(), Path(FOLDER.name) / "usual.html").read_text(encoding="utf-8")
    return " ".join(re.findall("<p>(.*?)</p>", page, re.S))

def _new_cells(a):
    other = a[:9].copy()
    other.obs_names = [f"new{i}" for i in range(9)]
    return other

def _renamed_all(a):
    a.obs_names = [f"other {i}" for i in range(a.n_obs)]
    return a

def _put(a, **entries):
    stored = dict(a.uns["jacobian_pca"]) | entries
    a.uns["jacobian_pca"] = {k: v for k, v in stored.items() if v is not None}
    return a

def _cut_tensor(a, where): return _put(a, jacobian_gene=np.array(a.uns["jacobian_pca"]["jacobian_gene"])[where])

def _not_a_dict(a):
    a.uns["jacobian_pca"] = np.zeros((3, 3, N))
    return a

# ---------------------------------------------------------------------- fields of other programs

def _field(change: Callable) -> Callable:
    def changed_field(a):
        for key in ("VecFld_pca", "VecFld_umap"): a.uns[key] = change(dict(a.uns[key]))
        return a
    return changed_field

LEGACY = ("X", "Y", "V", "X_ctrl", "ctrl_idx", "C", "beta", "sigma2", "P", "VFCIndex", "valid_ind",
    "iteration", "tecr_traj", "E_traj")

@promise("hostile", "Fields in the layouts of other programs and versions are read right or refused")
def legacy_fields(outcome, quick, seed):
    listed = lambda f: {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in f.items()}
    only = lambda names: lambda f: {k: f[k] for k in names if k in f}
    shape = lambda f, **new: f | new
    same = {"lists instead of arrays": listed, "extra keys": lambda f: f | {"func": None,
        "more": {"a": [1]}, "grid": np.zeros(2), 3: "three"}, "beta in an array": lambda f: shape(f,
        beta=np.array([[f["beta"]]])), "beta as 0-d": lambda f: shape(f, beta=np.array(f["beta"])),
        "float32": lambda f: {k: v.astype("f4") if isinstance(v,
        np.ndarray) and v.dtype.kind == "f" else v for k, v in f.items()},
        "Fortran order": lambda f: {k: np.asfortranarray(v) if isinstance(v, np.ndarray) else v for k,
        v in f.items()}, "P as a row": lambda f: shape(f, P=np.ravel(f["P"])),
        "nested in VecFld": lambda f: {"VecFld": f, "method": "SparseVFC"},
        "nested, states outside": lambda f: {"VecFld": only([k for k in f if k not in ("X", "Y")])(f),
        "X": f["X"], "Y": f["Y"]}, "numpy scalars": lambda f: {k: np.float64(v) if isinstance(v,
        float) else v for k, v in f.items()}, "dims as a number": lambda f: shape(f, dims=len(f["C"][0])),
        "dims as a list": lambda f: shape(f, dims=list(range(len(f["C"][0])))),
        "normalize None": lambda f: shape(f, normalize=None), "normalize False in an array": lambda f:
        shape(f, normalize=np.array([False])), "no dims": lambda f: {k: v for k,
        v in f.items() if k != "dims"}}
    readers = ("jacobian", "gene_jacobian", "divergence", "curl", "diagnose", "get_jacobian",
        "rank_jacobian_genes full reg", "perturb", "fixed_points", "eigenvalues", "jacobian lazy",
        "jacobian umap", "explore", "report")
    for name, change in same.items():
        for tool in asked(quick):
            if not tool.name.startswith(readers) or tool.slow: continue
            twin = of_plain(tool.name)
            rtol = 3e-3 if name == "float32" else 1e-9
            outcome.ran(f"{name}: {tool.name}", partial(_or_refused, tool, _field(change)(plain()), twin,
                rtol, name == "float32"))
    few = plain()
    _field(only(LEGACY))(few)
    for tool in asked(quick):
        if tool.name.startswith(readers) and not tool.slow:
            twin = answer(tool, few.copy())
            for drop in ((), ("X", "Y"), ("P", "sigma2"), ("valid_ind", "VFCIndex"), ("V", "ctrl_idx")):
                own = _field(only([k for k in LEGACY if k not in drop]))(plain())
                outcome.ran(f"dynamo's keys without {drop}: {tool.name}",
                    partial(_or_refused, tool, own, twin, 1e-9, True))
    worse = {"no coefficients": lambda f: {k: v for k, v in f.items() if k != "C"},
        "coefficients of another shape": lambda f: shape(f, C=f["C"][:-1]),
        "NaN coefficients": lambda f: shape(f, C=f["C"] * np.nan),
        "beta of zero": lambda f: shape(f, beta=0.0), "beta of text": lambda f: shape(f, beta="wide"),
        "no control points": lambda f: shape(f, X_ctrl=f["X_ctrl"][:0], C=f["C"][:0]),
        "another dimension": lambda f: shape(f, X_ctrl=f["X_ctrl"][:, :1], C=f["C"][:, :1]),
        "empty": lambda f: {}, "normalised without scales": lambda f: shape(f, normalize=True),
        "text": lambda f: shape(f, C="gone"), "too many dimensions": lambda f: shape(f,
        X_ctrl=np.tile(f["X_ctrl"], 4), C=np.tile(f["C"], 4)), "dims beyond": lambda f: shape(f,
        dims=[0, 1, 99]), "dims of text": lambda f: shape(f, dims="all")}
    not_dicts = {"a list": [1], "text": "field", "None": None, "an array": np.zeros(3)}
    for name, change in worse.items() | {(n, (lambda f, v=v: v)) for n, v in not_dicts.items()}:
        for call in (vf.jacobian, vf.gene_jacobian, vf.divergence, vf.diagnose, vf.rank_jacobian_genes,
                vf.fixed_points, vf.get_jacobian):
            def work(change=change, call=call, name=name):
                a = plain()
                a.uns["VecFld_pca"] = change(dict(a.uns["VecFld_pca"]))
                before = snapshot(a)
                try: call(a)
                except Exception:
                    if what := changed(before, snapshot(a)): return f"refused, but changed {what}"
                    raise
                return None if call is vf.get_jacobian else "accepted, though it must be refused"
            outcome.ran(f"a field with {name}: {call.__name__}", work)

def _or_refused(tool, adata, twin, rtol, coarse):
    "As `tried`, where a refusal is right, too, and other errors of the coefficients are not compared."
    before = snapshot(adata)
    try: found = plainly(tool.ask(adata), adata)
    except REFUSALS:
        if what := changed(before, snapshot(adata)): return f"refused, but changed {what}"
        raise
    if isinstance(twin, Refused): return None
    tables = {k for k in twin if k.split(".")[-1] in ("stderr", "z", "rank") or k in ("error",
        "figures") or k.startswith(("sure.", "cells.", "top."))}
    skip = tables if coarse else {"sure.z"} & tables
    same = {k for k in twin if k in found} - skip
    if not coarse and set(found) != set(twin): return f"holds {sorted(found)}, expected {sorted(twin)}"
    return differs({k: found[k] for k in same}, {k: twin[k] for k in same}, rtol) if "page" not in same else None

def pancreas() -> Path | None:
    "dynamo's file, where a folder above holds it."
    return next((p for p in (above / "shared/data/pancreas_dynamo.h5ad" for above in HERE.parents) if p.exists()), None)

@promise("hostile", "A file that dynamo wrote is read, computed on, written and read again")
def file_of_dynamo(outcome, quick, seed):
    path = pancreas()
    if path is None:
        outcome.note = "the file is not here, so nothing was tried"
        return
    adata = anndata.read_h5ad(path)
    genes = [g for g in ("Pdx1", "Pax4", "Isl1", "Gcg", "Ins2") if g in adata.var_names]
    asked = dict(regulators=genes[:3], effectors=genes[2:])
    right = vf.gene_jacobian(adata)
    right = pd.DataFrame(right.pair("Ins2", "Pdx1"), right.cells)[0]
    rng = np.random.default_rng(seed)
    some, order = np.sort(rng.permutation(adata.n_obs)[:80]), rng.permutation(adata.n_obs)
    changes = {"as it is": lambda a: a, "some cells": lambda a: a[some].copy(),
        "another order": lambda a: a[order].copy(), "a view": lambda a: a[some],
        "only genes of the PCA": lambda a: a[:, a.var["use_for_pca"].to_numpy(bool)].copy(),
        "through h5ad": lambda a: _through(a, "h5ad"), "in backed mode": lambda a: anndata.read_h5ad(path,
        backed="r"), "genes turned round": lambda a: a[:, ::-1].copy(),
        "one gene of the PCA removed": lambda a: a[:, a.var_names !=
        a.var_names[np.flatnonzero(a.var["use_for_pca"])[50]]].copy()}
    for name, change in changes.items():
        if quick and name in ("through h5ad", "genes turned round"): continue
        def work(change=change):
            own = change(adata)
            vf.jacobian(own, **asked)
            table = vf.get_jacobian(own, "Pdx1", "Ins2")
            if table["cell"].tolist() != own.obs_names.tolist(): return "other cells"
            return differs(dict(v=table["value"].to_numpy()), dict(v=right[table["cell"]].to_numpy()), 1e-6)
        outcome.ran(f"dynamo's file {name}", work)
    full = [] if quick else [lambda a: vf.diagnose(a, n_shuffles=2),
        lambda a: vf.rank_jacobian_genes(a, "clusters", "reg", regulators=genes), lambda a: vf.curl(a),
        lambda a: vf.compare_groups(a, a.obs["clusters"].iloc[0], groups="clusters", effectors=genes,
        regulators=genes), lambda a: vf.fit_vector_field(a, M=20),
        lambda a: vf.jacobian(a, basis="umap", **asked), lambda a: vf.report(a,
        Path(FOLDER.name) / "dynamo.html"), _explored_few]
    for i, call in enumerate(full): outcome.ran(f"dynamo's file, call {i + 1}", lambda c=call: (c(adata), None)[1])
