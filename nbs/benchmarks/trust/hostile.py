"""Hostile AnnData against every public function: the answer of the plain twin, or a clear refusal that changed nothing.

A situation lays the same data out in another way, breaks it, or asks in another way.
"""
# ruff: noqa: B023, each case is tried at once

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from outcome import IN_RANGE, REFUSALS, close, heard, loud, promise

import vfjac as vf

from verbs import (  # isort: skip
    ASK, EFFECTORS, EXPRESSION, N, READS_X, REGULATORS, SLOW, STATES, WRITES, altered, answer, asked, explored, file,
    first, genes_at, named, of_plain, plain, plainly, same, tried, untouched, without)

FIELDS, STORED = ("VecFld_pca", "VecFld_umap", "VecFld"), ("jacobian_pca", "jacobian_umap")
rule = partial(promise, "hostile")

# ---------------------------------------------------------------- laid out differently

@dataclass(frozen=True)
class Situation:
    "A way to lay data out, and the plain twin of it."
    name: str
    change: Callable                     # From the plain AnnData, which it may change, to the hostile one
    twin: Callable | None = None         # From the plain AnnData to the one that it must agree with
    tolerance: float = 1e-9
    may_refuse: tuple = ()               # Beginnings of the functions that may refuse what they answer of the twin
    leaves_out: tuple = ()               # Functions that are not asked
    quick: bool = True                   # Whether it is tried when quick
    pages: bool = False                  # Whether the explorer and the page are asked, too, and all when quick

def ask_all(outcome, situations, quick):
    "Every function in every situation."
    for s in (s for s in situations if s.quick or not quick):
        shared = None
        for name in ASK if s.pages else asked(quick, ()):
            if name in s.leaves_out: continue
            twin = answer(name, s.twin(plain())) if s.twin else of_plain(name)
            if name in WRITES or shared is None: shared = s.change(plain())
            may_refuse = name.startswith(s.may_refuse or "\0")
            outcome.ran(f"{s.name}: {name}", tried, name, shared, twin, s.tolerance, may_refuse)
            if name in WRITES: shared = None

EVERY = (*EXPRESSION, *STATES, "PCs")

def frozen(values):
    if isinstance(values, dict): return {k: frozen(v) for k, v in values.items()}
    if not isinstance(values, np.ndarray): return values
    values = values.copy()
    values.flags.writeable = False
    return values

def strided(values):
    wide = np.full((2 * values.shape[0], 3 * values.shape[1]), np.nan)
    wide[::2, ::3] = values
    return wide[::2, ::3]

def typed(dtype, factor=1.0, **how):
    "Values in a type; the twin's are what they are after the detour."
    def there(v): return (v * factor).round().astype(dtype) if factor > 1 else v.astype(dtype)
    names = EVERY[:-1] if factor > 1 else EVERY   # loadings cannot be whole numbers
    back = altered(lambda v: there(v).astype(float), *names)
    return Situation(f"values of the type {np.dtype(dtype)}", altered(there, *names), back, **how)

def through(a, ending):
    "The AnnData written and read again."
    path = file(f"through.{ending}")
    getattr(a, f"write_{ending}")(path)
    return getattr(anndata, f"read_{ending}")(path)

def backed(a):
    path = file(f"backed{len(list(file('.').iterdir()))}.h5ad")
    a.write_h5ad(path)
    return anndata.read_h5ad(path, backed="r")

def shuffled(a):
    rng = np.random.default_rng(5)
    return a[rng.permutation(N)[:45], rng.permutation(a.n_vars)]

def as_tables(a):
    for key in STATES: a.obsm[key] = pd.DataFrame(a.obsm[key], a.obs_names).add_prefix("d")
    return a

def loadings_in_uns(a):
    a.uns["PCs"] = a.varm.pop("PCs")
    return a

def layouts(quick):
    version = tuple(map(int, anndata.__version__.split(".")[:2]))
    slim = dict(quick=False)
    no_picture = tuple(n for n in ASK if "umap" in n or n in ("curl", "fixed_points", "perturb_cells", "report"))
    csr, csc = (altered(kind, *EXPRESSION) for kind in (sp.csr_matrix, sp.csc_matrix))
    yield Situation("a view of everything", lambda a: a[:, :])
    yield Situation("a view of a view", lambda a: a[np.arange(N)][:, np.arange(a.n_vars)], **slim)
    yield Situation("a view of some, in another order", shuffled, lambda a: shuffled(a).copy())
    yield Situation("a copy of some, in another order", lambda a: shuffled(a).copy(), shuffled, **slim)
    yield Situation("read-only arrays", altered(frozen, *EVERY, *FIELDS, *STORED))
    yield Situation("Fortran order", altered(np.asfortranarray, *EVERY))
    yield Situation("strided arrays", altered(strided, *EVERY), **slim)
    yield Situation("big-endian arrays", altered(lambda v: v.astype(">f8"), *EVERY), **slim)
    yield typed("float32", tolerance=1e-7)
    yield typed("float16", tolerance=1e-7, **slim)
    yield typed("int64", 10.0)
    yield typed("int8", 10.0, **slim)
    yield Situation("csr X and layers", csr)
    yield Situation("csc X and layers", csc, **slim)
    if version >= (0, 11):
        narrow = altered(lambda v: v.astype("f4").astype(float), *EXPRESSION)
        yield Situation("csr arrays", altered(sp.csr_array, *EXPRESSION), **slim)
        yield Situation("csc arrays of float32", altered(lambda v: sp.csc_array(v.astype("f4")), *EXPRESSION),
                        narrow, 1e-7, **slim)
    yield Situation("sparse states, velocities and loadings", altered(sp.csr_matrix, *EVERY))
    yield Situation("tables in obsm", as_tables, **slim)
    yield Situation("written as h5ad and read", lambda a: through(a, "h5ad"), pages=not quick)
    yield Situation("on disk, read as it is needed", backed)
    yield Situation("on disk, csr", lambda a: backed(csr(a)))
    yield Situation("on disk, csc", lambda a: backed(csc(a)), **slim)
    yield Situation("a view of what is on disk", lambda a: backed(a)[np.arange(5, 50)], lambda a: a[5:50].copy(),
                    may_refuse=tuple(WRITES))
    yield Situation("loadings in uns", loadings_in_uns)
    yield Situation("no X", without("X"), may_refuse=READS_X)
    yield Situation("no embedding", without("X_umap", "X_embedding", "velocity_umap"), may_refuse=no_picture,
                    leaves_out=("explore",))
    if version >= (0, 12) and importlib.util.find_spec("dask"):
        import dask.array as da
        def lazy(v): return da.from_array(v, chunks=(17, v.shape[1]))
        yield Situation("X and layers as dask arrays", altered(lazy, *EXPRESSION), pages=not quick)
        yield Situation("everything as dask arrays", altered(lazy, *EVERY[:-1]), tolerance=1e-7, **slim)

@rule("The same data laid out in another way give the same results, and readers change nothing")
def laid_out(outcome, quick, seed): ask_all(outcome, layouts(quick), quick)

# ---------------------------------------------------------------- names

STRANGE = [
    "a gene with blanks", "HLA-A/HLA-B", "βカテニン é", "a,b;c\td", 'q"uo\'te`',
    "</script><script>alert(1)</script>", "x" * 3000, "42", "nan", "group", "tf", "True", "None", "∂f / ∂x", " ",
    "<b>&amp;", "[0]", "{x}", "%s", "..", "C:\\new\n"]

def strange(i): return f"{STRANGE[i % len(STRANGE)]}{i}"

def renamed(genes=None, cells=None):
    "A change of names, in everything that is stored by name, too: functions of a position."
    def change(a):
        new = {str(old): genes(i) if genes else old for i, old in enumerate(a.var_names)}
        own = {str(old): cells(i) if cells else old for i, old in enumerate(a.obs_names)}
        if genes: a.var_names = list(new.values())
        if cells: a.obs_names = list(own.values())
        for key in ("jacobian_pca", "jacobian_umap", "VecFld"):
            of = dict(effectors=new, regulators=new, genes=new, cells=own)
            a.uns[key] = {k: np.array([str(of[k].get(str(v), v)) for v in values], object) if k in of else values
                          for k, values in a.uns[key].items()}
        return a
    return change

def string_dtype(a):
    "Every name and group in the string type that pandas 3 has for them."
    for table in (a.obs, a.var):
        table.index = table.index.astype("string")
        for column in table.select_dtypes(object): table[column] = table[column].astype("string")
    return a

def names():
    for start in (0, 5, 11, 17):
        own = STRANGE[start:] + STRANGE[:start]
        yield Situation(f"gene names such as {own[0]!r:.40}", renamed(own.__getitem__), quick=start == 5)
    yield Situation("numbers as names of cells", renamed(cells=lambda i: str(N - i)))
    yield Situation("strange names of cells", renamed(cells=strange))
    slashes = [s.replace("/", "|") for s in STRANGE]
    yield Situation("strange names through h5ad", lambda a: through(renamed(slashes.__getitem__, strange)(a), "h5ad"))
    yield Situation("names in the type string", string_dtype)

@rule("Names of any kind (blanks, slashes, quotes, tags, numbers, 3,000 letters) are names and nothing else")
def strange_names(outcome, quick, seed):
    ask_all(outcome, names(), quick)
    def doubled(a, what):
        own = getattr(a, what).tolist()
        setattr(a, what, [own[1], *own[1:]])
        return a
    def numbers(found):   # tables are sorted by names
        return {k: np.sort(v, axis=None) for k, v in found.items() if v.dtype.kind in "fiub"}
    for what, attribute in dict(genes="var_names", cells="obs_names").items():
        for name in asked(quick, ()):
            if what == "genes" and name.startswith("diagnose"): continue   # no table of genes then
            # cells whose names repeat are refused only where results are kept by name
            outcome.ran(f"repeated names of {what}: {name}", tried, name, doubled(plain(), attribute), of_plain(name),
                        1e-9, True, numbers)

# ---------------------------------------------------------------- groups, genes and cells in any form

@rule("Groups as a column or as labels of any form (what labels may be is drawn in properties)")
def groups_of_any_kind(outcome, quick, seed):
    a = plain()
    column = a.obs["group"]
    forms = dict(
        categorical=column.array, array=column.to_numpy(dtype=object), list=column.tolist(), series=column,
        tuple=tuple(column), index=pd.Index(column), shuffled=column.sample(frac=1, random_state=0),
        numbered=column.reset_index(drop=True), strings=column.astype("string"))
    wrong = dict(
        missing=[None] * N, short=["x"] * 5, absent="no such column", table=a.obs[["group", "other"]], empty=[],
        other_names=pd.Series(["x"] * N, [f"z{i}" for i in range(N)]))
    asks = dict(
        rank=vf.rank_jacobian_genes, network=lambda a, g: vf.jacobian_network(a, groups=g).edges,
        compare=lambda a, g: vf.compare_groups(a, first(a), groups=g), divergence=vf.rank_divergence_genes,
        modes=vf.eigenmodes, sets=lambda a, g: vf.gene_set_jacobian(a, {"s": genes_at(a, EFFECTORS)}, groups=g),
        perturb=lambda a, g: vf.perturb(a, {genes_at(a, (1,))[0]: 1.0}, groups=g),
        fixed=lambda a, g: vf.fixed_points(a, "umap", groups=g, n_starts=8))
    for ask, work in asks.items():
        right = plainly(work(a, "group"), a)
        def agrees(labels, work=work, right=right): same(plainly(work(a, labels), a), right)
        for form, labels in forms.items(): outcome.ran(f"labels as {form}: {ask}", agrees, labels)
        for form, labels in wrong.items():
            if (ask, form) == ("fixed", "missing"): continue   # points are found all the same, in no group
            outcome.ran(f"labels {form}: {ask}", work, a, labels, must_refuse=True)

def shown(a, regulators, effectors):
    explorer = vf.explore(a, regulators, effectors, sampling="random", max_cells=20)
    try:
        if explorer.problem or list(explorer.state.effectors) != list(effectors):
            raise ValueError(explorer.problem or re.sub("<[^>]*>", "", explorer.message.value))
        return pd.DataFrame(dict(regulator=list(explorer.state.regulators)))
    finally: explorer.close()

@rule("Genes asked for in any form: names, Index, Series, tuple, array, column, repeated, unknown, empty")
def gene_requests(outcome, quick, seed):
    a = plain()
    two = genes_at(a, REGULATORS)
    a.var["text"], a.var["many"], a.var["nothing"] = "x", np.arange(a.n_vars), False
    a.var["yes"] = [g in two for g in a.var_names]
    a.var["one_zero"], a.var["words"] = a.var["yes"].astype(int), a.var["yes"].astype(str)
    forms = dict(
        list=two, tuple=tuple(two), index=pd.Index(two), series=pd.Series(two), array=np.array(two),
        objects=np.array(two, object), backwards=two[::-1], single=two[0], numpy_string=np.str_(two[0]),
        zero_d=np.array(two[0]), strings=pd.array(two, dtype="string"), categorical=pd.Categorical(two),
        keys=dict.fromkeys(two).keys(), generator=two, column="yes", one_zero="one_zero", words="words",
        indexed=pd.Series(two, index=[7, 7]))
    means = dict.fromkeys(forms, two) | dict.fromkeys(("single", "numpy_string", "zero_d"), two[:1])
    means |= dict.fromkeys(("column", "one_zero", "words"), [g for g in a.var_names if g in two])
    means["backwards"] = two[::-1]
    wrong = dict(
        unknown=["Gata99"], empty=[], set=set(two), number=3, numbers=[1, 2], mask=a.var["yes"].to_numpy(),
        none_in=[None], text="text", many="many", absent="no such column", blank="", nan=[np.nan], nested=[two],
        nothing_marked="nothing", bytes=[two[0].encode()])
    apart = partial(vf.jacobian, store_in_adata=False)
    asks = {
        "jacobian regulators": lambda a, g: apart(a, regulators=g, effectors=two),
        "jacobian effectors": lambda a, g: apart(a, regulators=two, effectors=g),
        "rank": lambda a, g: vf.rank_jacobian_genes(a, regulators=g, effectors=two),
        "network": lambda a, g: vf.jacobian_network(a, regulators=g, effectors=two, exclude_diagonal=False).edges,
        "sensitivity": lambda a, g: vf.sensitivity(a, g, two),
        "response_curve": lambda a, g: vf.response_curve(a, two, g, bins=3),
        "along_path": lambda a, g: vf.along_path(a, two, g, [0], 0.5),
        "perturb effector": lambda a, g: vf.perturb(a, {two[0]: 1.0}, g),
        "get_jacobian": lambda a, g: vf.get_jacobian(a, regulators=g), "explore": lambda a, g: shown(a, g, two)}
    full = vf.gene_jacobian(a)
    def gives(name, wanted, genes):
        found = untouched(a, lambda a: asks[name](a, wanted))
        if isinstance(found, dict):
            assert list(found[name.split()[1]]) == list(genes), f"{list(found[name.split()[1]])} instead of {genes}"
            right = full.block(found["effectors"], found["regulators"])
            return close(np.moveaxis(found["jacobian_gene"], -1, 0), right)
        own = set(found["effector" if name.endswith("effector") else "regulator"])
        assert own == set(genes), f"{own} instead of {genes}"
    only_names = ("column", "one_zero", "words", "text", "many", "mask", "nothing_marked", "set")
    for name in list(asks)[: -1 if quick else None]:
        for form, wanted in forms.items():
            if name == "get_jacobian" and form in only_names: continue
            wanted = (g for g in two) if form == "generator" else wanted
            outcome.ran(f"{name} as {form}", gives, name, wanted, means[form])
        for form, wanted in wrong.items():
            if name == "get_jacobian" and form in only_names: continue
            outcome.ran(f"{name} as {form}", asks[name], a, wanted, must_refuse=True)
    for what, genes, words in (("repeated names are said and computed once", [two[0], *two, two[1]], "more than once"),
                               ("unknown names are said and left out", [*two, "Gata99"], "Gata99")):
        def aloud(): return list(loud(lambda: apart(a, regulators=genes, effectors=two), words)["regulators"]) == two
        outcome.ran(what, aloud)

@rule("Cells asked for in any form: positions, masks, names, negative, repeated, out of range, none")
def cell_requests(outcome, quick, seed):
    a, some = plain(), [5, 0, 41]
    n, g, mask = a.obs_names.to_numpy(), genes_at(a, REGULATORS), np.isin(np.arange(N), some)
    forms = dict.fromkeys(("list", "generator"), some) | dict(
        tuple=(5, 0, 41), array=np.array(some), int8=np.array(some, np.int8), uint=np.array(some, np.uint64),
        objects=np.array(some, object), index=pd.Index(some), series=pd.Series(some), names=n[some].tolist(),
        names_index=a.obs_names[some], names_series=pd.Series(n[some]), strings=pd.array(n[some], dtype="string"),
        int_pandas=pd.array(some, dtype="Int64"))
    means = dict.fromkeys(forms, some)
    masks = dict(
        mask=mask, mask_list=mask.tolist(), mask_series=pd.Series(mask, n), mask_pandas=pd.array(mask, dtype="boolean"),
        mask_shuffled=pd.Series(mask, n).sample(frac=1, random_state=0), mask_numbered=pd.Series(mask))
    forms |= masks | dict(
        range=range(3, 6), slice=slice(2, 9, 3), negative=[-1, 0], single=7, numpy_int=np.int64(7), name=str(n[7]),
        repeated=[3, 3, 1], mask_column=a.obs["other"] == "a")
    means |= dict.fromkeys(masks, sorted(some)) | dict.fromkeys(("single", "numpy_int", "name"), [7]) | dict(
        range=[3, 4, 5], slice=[2, 5, 8], negative=[N - 1, 0], repeated=[3, 3, 1],
        mask_column=np.flatnonzero(a.obs["other"] == "a").tolist())
    wrong = dict(
        beyond=[N], before=[-N - 1], fractions=[1.5], whole_fractions=[1.0, 2.0], none=[], no_mask=np.zeros(N, bool),
        short_mask=[True, False], unknown=["nobody"], set={1, 2}, dict={1: 2}, table=[[1, 2]], nan=[np.nan],
        none_in=[None], mixed=[1, "cell1"], blank="", mask_pandas=pd.array([True, None] * (N // 2), dtype="boolean"),
        huge=[2**70], complex=[1j], dates=pd.DatetimeIndex(["2020-01-01"]))
    find = a.obs_names.get_indexer
    def of(key, tensor="jacobian_gene"): return key["cell_idx"], np.moveaxis(key[tensor], -1, 0)
    def column(table, name): return find(table["cell"]), table[name]
    apart, whole = partial(vf.jacobian, a, g, g, store_in_adata=False), vf.gene_jacobian(a)
    asks = dict(
        jacobian=lambda c: of(apart(cell_idx=c)), stderr=lambda c: (None, whole.stderr(g, g, c)),
        jacobian_umap=lambda c: of(apart(cell_idx=c, basis="umap"), "jacobian"),
        gene_jacobian=lambda c: (find((t := vf.gene_jacobian(a, cell_idx=c)).cells), t.block(g, g)),
        block=lambda c: (None, whole.block(g, g, c)), curl=lambda c: column(vf.curl(a, cell_idx=c), "curl"),
        divergence=lambda c: column(vf.divergence(a, cell_idx=c), "divergence"),
        sensitivity=lambda c: (None, vf.sensitivity(a, g[0], g[0], cell_idx=c)["value"]),
        integrate=lambda c: (None, vf.integrate(a, c, 1.0)["pca1"]),
        perturb_cells=lambda c: column(vf.perturb_cells(a, {g[0]: 1.0}, cell_idx=c), "dx"),
        rank=lambda c: (None, vf.rank_jacobian_genes(a, cell_idx=c, mode="reg")["value"]),
        response_curve=lambda c: (None, vf.response_curve(a, g[0], g[0], cell_idx=c, bins=1)["mean"]))
    def gives(ask, cells, rows):
        where, found = untouched(a, lambda a: ask(cells))
        assert where is None or list(where) == rows, f"cells {list(where)} instead of {rows}"
        close(found, ask(rows)[1])
    for name, ask in list(asks.items())[::3 if quick else 1]:
        for form, cells in forms.items():
            cells = (i for i in some) if form == "generator" else cells
            outcome.ran(f"{name}, cells as {form}", gives, ask, cells, list(means[form]))
        for form, cells in wrong.items():
            outcome.ran(f"{name}, cells as {form}", ask, cells, refusal=IN_RANGE, must_refuse=True)
    def sampled(how, size):
        found = untouched(plain(), lambda a: vf.jacobian(a, g, g, sampling=how, sample_ncells=size), True)
        found = found.uns["jacobian_pca"]["cell_idx"]
        assert len(set(found.tolist())) == len(found) == min(size, N), f"{len(found)} cells of {size}"
    for how in ("random", "velocity", "trn", "kmeans"):
        for size in (N, N + 1, 10**6, 1): outcome.ran(f"sampling {how}, {size} cells", sampled, how, size)
        for size in (0, -1, 2.5, None, "3"):
            outcome.ran(f"sampling {how}, {size} cells", sampled, how, size, must_refuse=True)
    for how in ("all of them", 3, ["random"], True, ""):
        outcome.ran(f"sampling={how!r}", lambda: vf.jacobian(a, sampling=how), must_refuse=True)

# ---------------------------------------------------------------- arguments

def senseless(a):
    "Calls that make no sense: a function, what it is given besides, and values of an option that it must refuse."
    g, page = genes_at(a, REGULATORS), file("a.html")
    gj = vf.gene_jacobian(a)
    for f in (vf.jacobian, vf.gene_jacobian, vf.fit_vector_field, vf.divergence, vf.get_jacobian):
        yield f, (a,), dict(basis=("tsne", 3, ["pca"], ("pca",), b"pca"))
    for f in (vf.diagnose, vf.rank_jacobian_genes, vf.curl, vf.jacobian_network, vf.eigenvalues, vf.fixed_points):
        yield f, (a,), dict(basis=("tsne",))
    fields = (3, "pca", {}, {"X_ctrl": [[0.0]]}, lambda X: X[:, :1], lambda X: "text", object())
    yield vf.jacobian, (a,), dict(
        no_such_thing=(1,), method=("magic",), dtype=("float16",), store=("disk",), cores=(0, -2),
        vector_field_class=fields)
    yield vf.jacobian, (a, g, g), dict(Qkey=("nothing",), memory_mb=(1e-6,))
    yield vf.gene_jacobian, (a,), dict(Qkey=("nothing",))
    yield vf.fit_vector_field, (a,), dict(
        no_such_thing=(1,), kernel=("magic",), compat=("scvelo",), M=(0, -3, 2.5), dims=(0, 9, [0, 0], [-1], "2"))
    yield partial(vf.fit_vector_field, velocity_key="velocity"), (a,), dict(Qkey=("nothing",))
    yield partial(vf.fit_vector_field, tune=False), (a,), dict(beta=(-1.0,), lambda_=(np.nan,))
    yield vf.rank_jacobian_genes, (a,), dict(mode=("magic",), top=(0, -1), memory_mb=(1e-6,))
    yield vf.sensitivity, (a, g), dict(answering=("some",))
    yield vf.jacobian_network, (a,), dict(fdr=(2.0, -0.1), top=(-1,))
    yield vf.response_curve, (a, g, g), dict(bins=(0, [1, 0]), quantiles=([2],))
    yield vf.integrate, (a, [0]), dict(t=(np.nan, []))
    yield vf.perturb, (a,), dict(changes=({g[0]: np.nan}, {g[0]: "double"}, {"Gata99": 1.0}, {}, [1]))
    yield vf.perturb_cells, (a, {g[0]: 1.0}), dict(embedding=("tsne",), n_neighbors=(0,))
    yield gj.quantile, (), dict(q=(1.5,))
    yield gj.top, (), dict(k=(0,))
    yield gj.significant, (), dict(fdr=(0,))
    yield gj.mean, (), dict(cores=(-1,))
    yield gj.block, (), dict(memory_mb=(1e-3,))
    yield vf.diagnose, (a,), dict(n_cells=(0,), n_shuffles=(0,))
    yield vf.eigenvalues, (a,), dict(k=(0,))
    yield vf.eigenmodes, (a,), dict(k=(0,))
    yield vf.fixed_points, (a,), dict(n_neighbors=(0,))
    yield vf.report, (a, page), dict(max_cells=(0,), embedding=("tsne",), groups=("nothing",))
    yield vf.report, (a,), dict(path=(file("no folder") / "a.html",))
    yield vf.gene_set_jacobian, (a,), dict(
        effectors=({}, {"s": []}, {"s": ["Gata99"]}, {"s": g, 1: []}, "no such file.gmt", 3))

@rule("Arguments that make no sense are refused, and nothing is changed")
def arguments(outcome, quick, seed):
    a = plain()
    def asks(call, *args, **how):
        outcome.ran(f"{getattr(call, '__name__', call)}, {args[1:]!r:.60}, {how}",
                    untouched, a, lambda a: call(*args, **how), refusal=IN_RANGE, must_refuse=True)
    for f, *args in (
            (vf.jacobian, {}), (vf.gene_jacobian, None), (vf.fit_vector_field, a.to_df()), (vf.diagnose, 3),
            (vf.rank_jacobian_genes, "a"), (vf.divergence, a.X), (vf.get_jacobian, None), (vf.report, None, "x.html"),
            (vf.perturb_cells, None, {}), (vf.compare_groups, 1, 2)):
        asks(f, *args)
    for f, args, options in senseless(a):
        for option, values in options.items():
            for value in values: asks(f, *args, **{option: value})
    for x, y, groups in (
            ("nobody", None, "group"), ([], None, None), ([0], [0], None), (range(N), None, None), ("a", "a", "other"),
            ([0, N + 5], None, None), ("a", None, None), (None, None, None), ([], "a", "other")):
        asks(vf.compare_groups, a, x, y, **({} if groups is None else dict(groups=groups)))

# ---------------------------------------------------------------- broken values

MAY_BE_UNKNOWN = ("det", "figures", "table.period", "table.half_life")   # of cells not asked for; without turns
LOST, GENE = [4, 11, 30], 2

def set_to(value, where):
    "A change of an array: some of its values are replaced."
    def change(values):
        values = np.array(values)
        values[where] = value
        return values
    return change

def left_out(name, a):
    "Assert that what was found is finite, but for what belongs to the broken cells; raises the refusal."
    found, twin = plainly(untouched(a, ASK[name], True), a), of_plain(name)
    if isinstance(twin, Exception): return
    for key, values in found.items():
        if values.dtype.kind != "f" or np.isfinite(values).all() or key in MAY_BE_UNKNOWN: continue
        if key in twin and twin[key].shape == values.shape and not np.isfinite(twin[key]).all():
            if (np.isfinite(twin[key]) <= np.isfinite(values)).all(): continue
        rows = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if len(values) == N and set(rows) <= set(LOST): continue
        labels = found.get(key.split(".")[0] + ".cell", [f"cell {N}"] * len(values))
        unknown = {labels[r] for r in rows} - {f"cell {c}" for c in LOST}
        assert not unknown, f"{key} is not finite in {sorted(unknown)[:3]}"

def fit_without(gone, part, how):
    "A fit that leaves cells out is that of the other cells."
    kept, own = np.setdiff1d(np.arange(N), gone), altered(set_to(np.nan, np.s_[gone, 0]), part)(plain())
    fit = untouched(own, lambda a: vf.fit_vector_field(a, M=12, **how), True)
    assert set(fit.valid) <= set(kept), "cells without values were fitted"
    few = vf.fit_vector_field(plain()[kept].copy(), M=12, **how)
    close(*(f.field.jacobian(plain().obsm["X_pca"]) for f in (fit, few)), 1e-6)

@rule("NaN and infinite states, velocities, loadings and expression are left out aloud, or refused")
def broken_values(outcome, quick, seed):
    some = {"X_pca": np.s_[LOST, 1], "velocity_pca": np.s_[LOST, 0], "X_umap": np.s_[LOST, 0], "X": np.s_[LOST, 1],
            "velocity_umap": np.s_[LOST, 1], "PCs": np.s_[GENE, 1], "velocity": np.s_[LOST, GENE]}
    every = {"X_pca": np.s_[:, 1], "velocity_pca": np.s_[:], "PCs": np.s_[:], "velocity": np.s_[:, GENE],
             "X": np.s_[:]}
    reads = dict.fromkeys(every, ("fit_vector_field", "gene_jacobian", "report")) | {
        "X_pca": ("fit_vector_field", "jacobian"), "velocity_pca": ("fit_vector_field", "diagnose")}
    for kind, value in dict(nan=np.nan, inf=np.inf, minus_inf=-np.inf).items():
        if quick and kind == "minus_inf": continue
        tools = [name for name in asked(quick) if name not in SLOW or kind == "nan"]
        for places, words in ((some, "of some"), (every, "of all")):
            for part, where in places.items():
                for name in tools:
                    if places is every and not name.startswith(reads[part]): continue
                    own = altered(set_to(value, where), part)(plain())
                    outcome.ran(f"{kind} in {part} {words}: {name}", left_out, name, own)
    gone = [LOST, list(range(N - 4)), list(range(N - 1)), list(range(N))]
    for cells in gone[::2 if quick else 1]:
        for part in ("X_pca", "velocity_pca"):
            for how in (dict(tune=False), dict(), dict(kernel="curl_free"), dict(compat="dynamo")):
                case = f"fit {how} with NaN in {part} of {len(cells)} cells"
                outcome.ran(case, fit_without, cells, part, how)

# ---------------------------------------------------------------- little data

def bare(n, change=lambda a: a):
    "The first cells of the plain twin, before a field was fitted, changed."
    a = plain()[:n].copy()
    for part in (a.uns, a.obsm):
        for key in [k for k in part if k.startswith((*FIELDS, *STORED)) or k.endswith("_SparseVFC")]: del part[key]
    return change(a)

def consistent(a, how):
    "Fit, and assert that the Jacobian is the derivative of the fitted velocity."
    untouched(a, lambda a: vf.fit_vector_field(a, **how), True)
    field = vf.gene_jacobian(a).field
    vf.jacobian(a, **named(a))
    J = np.moveaxis(a.uns["jacobian_pca"]["jacobian"], -1, 0)
    assert np.isfinite(J).all(), "the Jacobian is not finite"
    if not isinstance(field, vf.GaussianField): return
    X = vf.adata.dense(a.obsm["X_pca"])
    h = 1e-4 / np.sqrt(field.beta)
    slopes = [(field.velocity(X + h * e) - field.velocity(X - h * e)) / (2 * h) for e in np.eye(X.shape[1])]
    size = max(np.abs(J).max(), np.abs(field.velocity(X)).max() * np.sqrt(field.beta), 1e-12)
    np.testing.assert_allclose(J, np.stack(slopes, axis=2), rtol=0, atol=1e-4 * size)

def degenerate():
    "Data with little in them, by name."
    both = ("X_pca", "velocity_pca")
    found = {f"{n} cells": partial(bare, n) for n in (1, 2, 3, 4, 5, 8)}
    def whole(name, change, *parts): found[name] = partial(bare, N, altered(change, *parts))
    fifth = np.arange(N)[:, None] == 5
    whole("all cells in one place", lambda v: np.tile(v[:1], (N, 1)), "X_pca")
    whole("one velocity", lambda v: np.tile(v[:1], (N, 1)), "velocity_pca")
    whole("no velocity", lambda v: 0 * v, "velocity_pca")
    whole("a component without variance", lambda v: v * [1.0, 0.0, 1.0], "X_pca")
    whole("a velocity component of zero", lambda v: v * [1.0, 0.0, 1.0], "velocity_pca")
    whole("one component", lambda v: v[:, :1], *both)
    whole("two places", lambda v: v[np.arange(N) % 2], "X_pca")
    whole("each cell twice", lambda v: v[np.arange(N) // 2], "X_pca")
    whole("tiny units", lambda v: 1e-12 * v, *both)
    whole("huge units", lambda v: 1e12 * v, *both)
    whole("far from the origin", lambda v: v + 1e6, "X_pca")
    whole("one cell far off", lambda v: np.where(fifth, 1e9, v), "X_pca")
    whole("one velocity of 1e9", lambda v: np.where(fifth, 1e9, v), "velocity_pca")
    return found

TENSORS = ("jacobian", "jacobian_gene", "block", "mean", "values", "table.value")

def finite(name, a):
    "Fit, and assert that tensors are finite; averages over empty bins, errors of nothing, single ranks may not be."
    try: vf.fit_vector_field(a, M=15, tune=False)
    except REFUSALS: return
    vf.jacobian(a, **named(a))
    found = plainly(untouched(a, ASK[name], True), a)
    assert "response" in name or all(np.isfinite(found[k]).all() for k in TENSORS if k in found), "not finite"

def few_genes(n):
    a = plain()[:, :n].copy()
    a.varm["PCs"] = np.eye(n)
    a.obsm["X_pca"], a.obsm["velocity_pca"] = np.array(a.X), np.array(a.layers["velocity"])
    vf.fit_vector_field(a, M=10, tune=False)
    vf.jacobian(a, a.var_names, a.var_names)
    for call in (vf.rank_jacobian_genes, vf.jacobian_network, vf.eigenvalues, vf.diagnose, vf.divergence, explored):
        call(a)
    vf.report(a, file("one.html"))
    J = np.moveaxis(a.uns["jacobian_pca"]["jacobian_gene"], -1, 0)
    close(J, vf.gene_jacobian(a).field.jacobian(a.obsm["X_pca"]))

@rule("Little or degenerate data (one cell, one gene, one place, no variance) are fitted right or refused")
def little_data(outcome, quick, seed):
    ways = (dict(), dict(tune=False), dict(M=1), dict(M=1, tune=False), dict(M=1000, tune=False),
            dict(compat="dynamo"), dict(kernel="curl_free"), dict(kernel="divergence_free"))
    for i, (what, make) in enumerate(degenerate().items()):
        if quick and i % 3: continue
        for how in ways: outcome.ran(f"{what}: fit {how}", consistent, make(), how)
        slow = ("integrate", "along_path") if quick and what == "one velocity of 1e9" else ()   # its paths are long
        for name in asked(quick):
            if name in SLOW and i % 4 or "umap" in name or name.startswith(("fit", "curl")): continue
            if name in slow or name.endswith("effect"): continue
            outcome.ran(f"{what}: {name}", finite, name, make(),
                        refusal=(*IN_RANGE, RuntimeError))   # of a solver that gives up
    for n in (1, 2): outcome.ran(f"{n} genes", few_genes, n)
    for what, value in dict(zero=0.0, constant=3.0).items():   # in X alone, where only loadings and states count
        for name in asked(quick, {"perturb", "response_density", "jacobian genes"}):
            if name.startswith(("fit", "response_curve")): continue
            own = altered(set_to(value, np.s_[:, 1]), "X")(plain())
            outcome.ran(f"a gene that is {what} everywhere: {name}", tried, name, own, of_plain(name), 1e-9, True)

# ---------------------------------------------------------------- results that grew old

CHANGED = ("anew", "have been renamed")

def new_stored(**entries):
    "A change of entries of the stored Jacobian; those that become None are gone."
    def change(a):
        kept = a.uns["jacobian_pca"] | {k: v(a.uns["jacobian_pca"]) if callable(v) else v for k, v in entries.items()}
        a.uns["jacobian_pca"] = {k: v for k, v in kept.items() if v is not None}
        return a
    return change

def numbered(a, start=0):
    a.obs_names = [str(i) for i in range(start, start + a.n_obs)]
    return a

def renumbered(a):
    "Named by numbers when the Jacobian was stored, cut and numbered anew: name 3 is another cell now."
    return numbered(vf.jacobian(numbered(a), **named(a))[20:].copy())

def refitted(a):
    vf.fit_vector_field(a, M=7, tune=False)
    return a

def joined(a):
    other = numbered(a[:9].copy(), 1000)
    return anndata.concat([a, other], merge="same", uns_merge="first")

def lead(a):
    "The sentences at the top of the page."
    page = vf.report(a, file("page.html")).read_text(encoding="utf-8")
    return set(" ".join(re.findall("<p>(.*?)</p>", page, re.S)).split(". "))

@cache
def usual_lead(): return lead(plain())

def on_page(change):
    "Assert that the page, or a warning, says what has changed."
    found, said = heard(lambda: lead(change(plain())))
    said += " ".join(found - usual_lead())
    assert any(w in said for w in CHANGED), f"the page does not say it: {said[:200]}"

@rule("A result that no longer belongs to the cells, genes or field at hand is never read as if it did")
def old_results(outcome, quick, seed):
    keys, rng = ["cell", "effector", "regulator"], np.random.default_rng(1)
    right = vf.get_jacobian(plain()).set_index(keys)["value"]
    def kept(change):
        found = vf.get_jacobian(change(plain())).set_index(keys)["value"]
        close(found, right.loc[found.index], 1e-12)
    fine = {
        "some cells": lambda a: a[::3].copy(), "a view of some": lambda a: a[::3], "one cell": lambda a: a[[7]].copy(),
        "another order": lambda a: a[rng.permutation(N)].copy(), "genes removed": lambda a: a[:, [0, 3]].copy(),
        "genes in another order": lambda a: a[:, ::-1].copy(), "fields removed": without(*FIELDS),
        "written and read": partial(through, ending="h5ad"), "joined with others": joined,
        "written, read, cut": lambda a: through(a, "h5ad")[5:9]}
    for name, change in fine.items():
        outcome.ran(f"stored Jacobian after: {name}", kept, change)
        if quick and name not in ("a view of some", "genes removed"): continue
        outcome.ran(f"stored Jacobian, report after: {name}", lambda: lead(change(plain())))
    for name, change in {"nothing": lambda a: a, "h5ad": partial(through, ending="h5ad"), "a cut": fine["some cells"],
                         "a second Jacobian without genes": vf.jacobian}.items():
        def quiet():
            a = change(plain())
            said = heard(lambda: vf.get_jacobian(a))[1]
            assert "Jacobian" not in said, said
        outcome.ran(f"nothing to be said after {name}", quiet)
    double = new_stored(jacobian=lambda of: 2 * np.array(of["jacobian"]))
    old = {"the tensor in the basis": double, "the field": refitted, "cells numbered anew": renumbered,
           "the field, through h5ad": lambda a: through(refitted(a), "h5ad")}
    def aloud(change, ask, *words):
        a = change(plain())
        loud(lambda: ask(a), *words)
    for name, change in old.items():
        outcome.ran(f"changed since: {name}: get_jacobian", aloud, change, vf.get_jacobian, *CHANGED)
        if quick and name not in ("the field", "cells numbered anew"): continue
        outcome.ran(f"changed since: {name}: report", on_page, change)
    # PCA run anew: signs and order of the components differ, states and loadings agree
    turned = altered(lambda v: v @ np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]]), "X_pca", "velocity_pca", "PCs")
    for name in ("jacobian", "gene_jacobian", "rank_jacobian_genes full reg", "divergence", "compare_groups",
                 "diagnose", "perturb", "jacobian_network"):
        outcome.ran(f"PCA run anew since the fit: {name}", aloud, turned, ASK[name], "fit again")
    def part(where): return new_stored(jacobian_gene=lambda of: np.array(of["jacobian_gene"])[where])
    unreadable = dict(
        no_cells_left=lambda a: numbered(a, 1000), tensor_too_short=part(np.s_[..., :5]),
        tensor_of_fewer_genes=part(np.s_[:1]), tensor_of_text=new_stored(jacobian_gene="gone"),
        no_tensor=new_stored(jacobian_gene=None, jacobian=None, Qkey=None),
        no_names=new_stored(effectors=None, regulators=None), no_dict=altered(lambda v: np.zeros((3, 3, N)), STORED[0]),
        positions_only_out_of_range=new_stored(cells=None, cell_idx=np.array([0, 99])),
        cells_twice=new_stored(cells=np.array(["cell0"] * N, object)))
    for name, change in unreadable.items():
        for reader, read in dict(get_jacobian=vf.get_jacobian, report=lead).items():
            if (name, reader) == ("no_tensor", "report"): continue   # the page is computed from the field
            outcome.ran(f"a stored Jacobian with {name}: {reader}", read, change(plain()), refusal=IN_RANGE,
                        must_refuse=True)

# ---------------------------------------------------------------- fields of other programs

LEGACY = ("X", "Y", "V", "X_ctrl", "ctrl_idx", "C", "beta", "sigma2", "P", "VFCIndex", "valid_ind", "iteration",
          "tecr_traj", "E_traj")
READERS = ("jacobian", "gene_jacobian", "divergence", "curl", "diagnose", "get_jacobian", "perturb", "fixed_points",
           "rank_jacobian_genes full reg", "eigenvalues")

def each(change, kind=np.ndarray): return lambda f: {k: change(v) if isinstance(v, kind) else v for k, v in f.items()}

def only(names): return lambda f: {k: f[k] for k in names if k in f}

def no(*names): return lambda f: {k: v for k, v in f.items() if k not in names}

def new(**entries): return lambda f: f | {k: v(f) if callable(v) else v for k, v in entries.items()}

def of_points(change): return lambda f: f | {k: change(f[k]) for k in ("X_ctrl", "C")}

LAID_OUT = {   # the same field
    "lists instead of arrays": each(np.ndarray.tolist), "Fortran order": each(np.asfortranarray),
    "extra keys": lambda f: f | {"func": None, "more": {"a": [1]}, "grid": np.zeros(2), 3: "three"},
    "beta in an array": new(beta=lambda f: np.array([[f["beta"]]])),
    "beta as 0-d": new(beta=lambda f: np.array(f["beta"])), "P as a row": new(P=lambda f: np.ravel(f["P"])),
    "float32": each(lambda v: v.astype("f4") if v.dtype.kind == "f" else v),
    "nested in VecFld": lambda f: {"VecFld": f, "method": "SparseVFC"}, "numpy scalars": each(np.float64, float),
    "nested, states outside": lambda f: {"VecFld": no("X", "Y")(f), "X": f["X"], "Y": f["Y"]},
    "dims as a number": new(dims=lambda f: len(f["C"][0])),
    "dims as a list": new(dims=lambda f: list(range(len(f["C"][0])))),
    "normalize None": new(normalize=None), "normalize False in an array": new(normalize=np.array([False])),
    "no dims": no("dims")}
UNREADABLE = {
    "no coefficients": no("C"), "coefficients of another shape": new(C=lambda f: f["C"][:-1]), "text": new(C="gone"),
    "NaN coefficients": new(C=lambda f: f["C"] * np.nan), "beta of zero": new(beta=0.0),
    "beta of text": new(beta="wide"), "no control points": of_points(lambda v: v[:0]),
    "another dimension": of_points(lambda v: v[:, :1]), "too many dimensions": of_points(lambda v: np.tile(v, 4)),
    "empty": lambda f: {}, "normalised without scales": new(normalize=True), "dims beyond": new(dims=[0, 1, 99]),
    "dims of text": new(dims="all"),
    "a list": lambda f: [1], "just text": lambda f: "field", "None": lambda f: None, "an array": lambda f: np.zeros(3)}

@rule("Fields in the layouts of other programs and versions are read right or refused")
def legacy_fields(outcome, quick, seed):
    readers = [name for name in asked(quick) if name.startswith(READERS) and name not in SLOW]
    errors = ("error", "figures")
    def without_errors(found):   # other errors of the coefficients are not compared
        return {k: v for k, v in found.items() if k not in errors and k.split(".")[-1] not in ("stderr", "z", "rank")
                and not k.startswith(("sure.", "cells.", "top."))}
    def without_z(found): return no("sure.z")(found)
    for what, change in LAID_OUT.items():
        tolerance, view = (3e-3, without_errors) if what == "float32" else (1e-9, without_z)
        for name in readers:
            own = altered(change, *FIELDS[:2])(plain())
            outcome.ran(f"{what}: {name}", tried, name, own, of_plain(name), tolerance, True, view)
    for name in readers:
        twin = answer(name, altered(only(LEGACY), *FIELDS[:2])(plain()))
        for drop in ((), ("X", "Y"), ("P", "sigma2"), ("valid_ind", "VFCIndex"), ("V", "ctrl_idx")):
            own = altered(only([k for k in LEGACY if k not in drop]), *FIELDS[:2])(plain())
            outcome.ran(f"dynamo's keys without {drop}: {name}", tried, name, own, twin, 1e-9, True, without_errors)
    for what, change in UNREADABLE.items():
        for call in (vf.jacobian, vf.gene_jacobian, vf.divergence, vf.diagnose, vf.rank_jacobian_genes,
                     vf.fixed_points, vf.get_jacobian):
            own = altered(change, "VecFld_pca")(plain())
            outcome.ran(f"a field with {what}: {call.__name__}", untouched, own, call, True,
                        must_refuse=call is not vf.get_jacobian)   # which reads what is stored

# ---------------------------------------------------------------- a file of dynamo's

@rule("A file that dynamo wrote is read, computed on, written and read again")
def file_of_dynamo(outcome, quick, seed):
    places = [above / "shared/data/pancreas_dynamo.h5ad" for above in Path(__file__).resolve().parents]
    path = next((p for p in places if p.exists()), None)
    if path is None:
        outcome.note = "the file is not here, so nothing was tried"
        return
    adata, rng = anndata.read_h5ad(path), np.random.default_rng(seed)
    genes = [g for g in ("Pdx1", "Pax4", "Isl1", "Gcg", "Ins2") if g in adata.var_names]
    names = dict(regulators=genes[:3], effectors=genes[2:])
    gj = vf.gene_jacobian(adata)
    right = pd.Series(gj.pair("Ins2", "Pdx1"), gj.cells)
    some, order = np.sort(rng.permutation(adata.n_obs)[:80]), rng.permutation(adata.n_obs)
    of_pca = adata.var["use_for_pca"].to_numpy(bool)
    gone = adata.var_names != adata.var_names[np.flatnonzero(of_pca)[50]]
    changes = {
        "as it is": lambda a: a, "some cells": lambda a: a[some].copy(), "another order": lambda a: a[order].copy(),
        "a view": lambda a: a[some], "only genes of the PCA": lambda a: a[:, of_pca].copy(),
        "through h5ad": partial(through, ending="h5ad"),
        "in backed mode": lambda a: anndata.read_h5ad(path, backed="r"),
        "genes turned round": lambda a: a[:, ::-1].copy(), "one gene of the PCA removed": lambda a: a[:, gone].copy()}
    def agrees(change):
        own = vf.jacobian(change(adata), **names)
        table = vf.get_jacobian(own, "Pdx1", "Ins2")
        assert table["cell"].tolist() == own.obs_names.tolist(), "other cells"
        close(table["value"], right[table["cell"]], 1e-6)
    for what, change in changes.items():
        if not quick or what not in ("through h5ad", "genes turned round"):
            outcome.ran(f"dynamo's file {what}", agrees, change)
    both = dict(groups="clusters", regulators=genes)
    calls = [(vf.diagnose, dict(n_shuffles=2)), (vf.rank_jacobian_genes, dict(mode="reg", **both)), (vf.curl, {}),
             (vf.compare_groups, dict(a=adata.obs["clusters"].iloc[0], effectors=genes, **both)), (explored, {}),
             (vf.fit_vector_field, dict(M=20)), (vf.jacobian, dict(basis="umap", **names)), (lead, {})]
    for i, (call, how) in enumerate([] if quick else calls):
        outcome.ran(f"dynamo's file, call {i + 1}", partial(call, **how), adata)
