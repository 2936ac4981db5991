"""What users of other packages reported, tried on vfjac: a public report each, and the call that is its like here."""


import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from outcome import REFUSALS, close, heard, loud, promise
from properties import made_up
from verbs import file

import vfjac as vf
from vfjac.cli import read_cells, write_cells

GENES, HALF, TURNS, THREE = ["g0", "g1", "g2"], np.arange(80) % 2, ["p", "q"] * 40, np.arange(80) % 3
MENDED = (   # what came out wrong, or in words that did not help, at 04f2e17, before this was tried
    "scvelo#774", "scvelo#420", "scvelo#268", "scvelo#317", "dynamo-release#678", "dynamo-release#78", "cellrank#1003",
    "cellrank#749", "scanpy#94", "scanpy#365", "scanpy#455", "scanpy#2018", "anndata#520", "ipywidgets#3888")

def report(where, met, refuses=""):
    "Register what a user met; `refuses` are words of the refusal that is right here; without them, a result is."
    how = dict(must_refuse=True, says=refuses, refusal=REFUSALS) if refuses else dict(refusal=())
    def keep(work):
        def tried(outcome, quick, seed):
            outcome.note = "mended" * where.endswith(MENDED)
            outcome.ran(where, work, **how)
        promise("reports", f"{where}: {met}")(tried)
        return work
    return keep

# ---- cells, and what is asked of them

def cells(**columns):
    "Cells whose velocities stand in a layer, as packages leave them, with some columns of obs."
    a = made_up(np.random.default_rng(3), 80, 3, n_genes=8)
    del a.obsm["velocity_pca"]
    for name, values in columns.items(): a.obs[name] = values
    return a

def entries(a, names=GENES, basis="pca", **how):
    "Fit, and the mean Jacobian of some genes."
    vf.fit_vector_field(a, basis, **how)
    return vf.gene_jacobian(a, basis).mean(effectors=names, regulators=names)

PLAIN = entries(cells())

def near(found, right=None, tolerance=1e-6):
    close(np.asarray(found, float), PLAIN if right is None else np.asarray(right, float), tolerance)

def fitted(change=lambda a: None, **columns):
    "Fitted cells with a stored Jacobian, after a change."
    change(a := cells(**columns))
    vf.fit_vector_field(a)
    return vf.jacobian(a, GENES, GENES)

def rates(change):
    "Entries after a change."
    change(a := cells())
    return entries(a)

def by_group(a, groups="leiden"):
    table = vf.rank_jacobian_genes(a, groups, top=1)
    return {str(k): part["value"].to_numpy() for k, part in table.groupby("group", observed=True)}

def same_groups(found, right):
    assert list(found) == list(right), f"groups {list(found)}"
    for k in right: near(found[k], right[k])

def as_words(labels):
    "Labels of a kind give what the same labels as words do."
    same_groups(*(by_group(fitted(leiden=kind)) for kind in (labels, pd.Categorical([str(v) for v in labels]))))

def lost(*where): return lambda a: a.layers["velocity"].__setitem__(where, np.nan)

def named(names): return lambda a: setattr(a, "var_names", names)

# ---- velocities

report("theislab/scvelo#774", "most genes have no fit: NaN in the layer")(
    lambda: near(loud(lambda: rates(lost(slice(None), slice(5, None))), "3 of 8 genes")))

@report("aristoteleo/dynamo-release#678", "Input X contains NaN: one here and there")
def some_nan():
    a = cells()
    a.layers["velocity"][np.random.default_rng(0).random(a.shape) < 0.03] = np.nan
    near(entries(a))
    return len(vf.fit_vector_field(a).valid) == 80 or "cells were lost"

@report("theislab/scvelo#420", "velocities of genes outside `velocity_genes` counted, too")
def distrusted():
    a = cells()
    a.var["velocity_genes"] = np.arange(8) < 5
    a.layers["velocity"][:, 5:] *= -9
    near(loud(lambda: entries(a), "velocity_genes"))

report("theislab/scvelo#200", "genes could not be chosen: `velocity_genes` set to True")(
    lambda: near(rates(lambda a: a.var.insert(0, "velocity_genes", "True"))))

@report("scverse/cellrank#1003", "a dynamical fit leaves NaN, the next step stops")
def nan_in_gene_space():
    two = GENES[:2]
    lost(slice(None), 7)(a := cells())
    found = loud(lambda: entries(a, two, None, genes=[*two, "g7"]), "left out")
    near(found, entries(cells(), two, None, genes=two))

report("scverse/cellrank#1025", "velocities of a reduced space have no layer")(lambda: near(rates(
    lambda a: a.obsm.__setitem__("velocity_pca", a.layers.pop("velocity") @ a.varm["PCs"]))))

@report("theislab/scvelo#1265", "all of `velocity_umap` is NaN", "NaN")
def no_velocity_at_all():
    a = cells()
    a.obsm["X_umap"], a.obsm["velocity_umap"] = a.obsm["X_pca2"], np.full((80, 2), np.nan)
    vf.fit_vector_field(a, "umap")

report("aristoteleo/dynamo-release#220", "SVD did not converge", "NaN or infinite values for 1 of 80 cells (c4")(
    lambda: (a := fitted()).obsm["X_pca"].__setitem__((4, 0), np.nan) or vf.jacobian(a, GENES))

# ---- loadings and units

@report("theislab/scvelo#268", "fastMNN coordinates loaded as `X_pca`")
def corrected():
    a = cells()
    a.obsm["X_pca"] = a.obsm["X_pca"] + np.tanh(a.obsm["X_pca"][:, ::-1]) * HALF[:, None]
    said = heard(vf.fit_vector_field, a)[1]
    assert "loadings" in said and "corrected for batches" in said, said

@report("scverse/scanpy#2314", "Harmony has no loadings", "give velocities in obsm['velocity_pca_harmony']")
def harmony():
    a = cells()
    a.obsm["X_pca_harmony"] = np.tanh(a.obsm["X_pca"])
    vf.fit_vector_field(a, "pca_harmony")

@report("aristoteleo/dynamo-release#742", "dimension mismatch in PCA", "belong to another space")
def wider_states():
    a = cells()
    a.obsm["X_pca"] = np.column_stack([a.obsm["X_pca"], a.obsm["X_pca"][:, :1] ** 2])
    vf.fit_vector_field(a)

@report("theislab/scvelo#1039", "the old PCA or a new one for a subset")
def subset():
    a = fitted()
    near(vf.gene_jacobian(a[::3].copy()).block(GENES, GENES), vf.gene_jacobian(a).block(GENES, GENES)[::3])

@report("theislab/scvelo#156", "scaled data give another result")
def scaled():
    "Velocities of scaled genes are scaled as well: divided back, they are those of the layer."
    a = cells()
    a.var["mean"], a.var["std"] = a.X.mean(axis=0), a.X.std(axis=0, ddof=1)
    a.X = (a.X - a.var["mean"].to_numpy()) / a.var["std"].to_numpy()
    a.varm["PCs"] = np.linalg.svd(a.X, full_matrices=False)[2][:3].T
    a.obsm["X_pca"] = a.X @ a.varm["PCs"]
    vf.fit_vector_field(a)
    near(a.uns["VecFld_pca"]["Y"] @ a.varm["PCs"].T * a.var["std"].to_numpy(), a.layers["velocity"])

# ---- groups

report("scverse/cellrank#267", "TypeError where clusters are whole numbers")(lambda: as_words(HALF))
report("scverse/cellrank#857", "found `string`, expected `categorical`")(
    lambda: as_words(pd.array(TURNS, dtype="string")))
report("scverse/scanpy#94", "group '18' of numbers", "which are int")(
    lambda: vf.compare_groups(fitted(leiden=HALF), "1", groups="leiden"))
report("scverse/scanpy#365", "labels that are lists", "words or numbers")(
    lambda: by_group(fitted(leiden=[[i] for i in HALF])))
report("scverse/anndata#257", "one category is left after a cut", "nothing is left to compare")(
    lambda: vf.compare_groups(fitted(leiden="only"), "only", groups="leiden"))
report("theislab/scvelo#1294", "the usual column is not there", "columns: group, time, leiden")(
    lambda: vf.rank_jacobian_genes(fitted(leiden=HALF), "clusters"))

@report("scverse/scanpy#1971", "the reference seems to be there and is not found")
def yes_and_no():
    near(*(vf.compare_groups(fitted(leiden=kind), which, groups="leiden")["mean_a"]
           for kind, which in ((HALF == 1, True), (np.array(["n", "y"])[HALF], "y"))))

@report("scverse/scanpy#273", "reordered categories: results go to wrong groups")
def reordered():
    before = by_group(a := fitted(leiden=pd.Categorical(TURNS)))
    a.obs["leiden"] = a.obs["leiden"].cat.reorder_categories(["q", "p"])
    same_groups({k: by_group(a)[k] for k in "pq"}, before)

report("scverse/scanpy#1490", "a category without cells breaks the ranking")(lambda: list(
    by_group(fitted(leiden=pd.Categorical(TURNS, ["p", "nobody", "q"])))) == ["p", "q"])

@report("scverse/scanpy#2821", "a group of one cell stops the test")
def one_cell():
    gj = vf.gene_jacobian(a := fitted(leiden=["alone"] + ["others"] * 79))
    near(gj.mean(a.obs["leiden"])["alone"], gj.block(cells=[0])[0])

@report("aristoteleo/dynamo-release#363", "one group against another, not the rest")
def two_groups():
    a = fitted(leiden=np.array(["p", "q", "r"])[THREE])
    means = vf.gene_jacobian(a).mean(a.obs["leiden"])
    found = vf.compare_groups(a, "p", "q", groups="leiden").set_index(["effector", "regulator"])
    near((found["mean_a"] - found["mean_b"]).unstack().loc[a.var_names, a.var_names], means["p"] - means["q"])

report("aristoteleo/dynamo-release#284", "mode spelled `full_reg`")(lambda: vf.rank_jacobian_genes(
    a := fitted(), mode="full_reg").equals(vf.rank_jacobian_genes(a, mode="full reg")))

@report("aristoteleo/dynamo-release#389", "`full reg` and `full eff` give the same table")
def modes():
    "Each effector's best regulator, and each regulator's best effector."
    J = vf.gene_jacobian(a := fitted()).mean()
    for mode, by, axis in (("full reg", "effector", 1), ("full eff", "regulator", 0)):
        table = vf.rank_jacobian_genes(a, mode=mode)
        best = table[table["rank"] == 1].drop_duplicates(by).set_index(by)["value"]
        near(best.loc[a.var_names], J.max(axis=axis))

# ---- names and tables

report("scverse/cellrank#749", "the index of obs is numbers")(lambda: near(*(
    vf.get_jacobian(fitted(change))["value"]
    for change in (lambda a: a.obs.reset_index(drop=True, inplace=True), lambda a: None))))

@report("scverse/anndata#31", "whole numbers as names of columns")
def numbered_columns():
    a = fitted(lambda a: (a.obs.insert(0, 0, HALF), a.var.insert(0, 1, 2.0)))
    vf.report(a, file("page.html"))
    near(by_group(a, a.obs[0])["1"], by_group(fitted(leiden=HALF))["1"])

report("scverse/squidpy#727", "a table in uns with the columns 0, 1", "cannot be written, and is as it was")(
    lambda: (a := fitted()).uns.__setitem__("turn", pd.DataFrame(np.eye(2))) or write_cells(a, file("turn.h5ad")))
report("scverse/scanpy#55", "names repeat after samples are joined", "obs_names_make_unique")(
    lambda: fitted(lambda a: setattr(a, "obs_names", ["x", "x", *a.obs_names[2:]])))
report("theislab/scvelo#36", "a loom file repeats names of genes", "var_names_make_unique")(
    lambda: fitted(named(["x", "x", *"cdefgh"])))
report("theislab/scvelo#197", "joining changed the names of cells", "none of the 80 cells")(
    lambda: setattr(a := fitted(), "obs_names", [f"{c}-1" for c in a.obs_names]) or vf.get_jacobian(a))
report("aristoteleo/dynamo-release#238", "NaN among the names of genes")(
    lambda: near(rates(lambda a: setattr(a, "var_names", pd.Index([*a.var_names[:7], np.nan])))))
report("scverse/scanpy#455", "symbols stand in a column of var", "are names in var['symbol']")(
    lambda: vf.jacobian(fitted(lambda a: a.var.insert(0, "symbol", [f"Sox{i}" for i in range(8)])), "Sox2"))
report("scverse/scanpy#2018", "after a conversion no gene is found", "they are called s, t, u")(
    lambda: rates(named(list("stuvwxyz"))))
report("theislab/scvelo#317", "KeyError: a name", "did you mean g2")(lambda: vf.jacobian(fitted(), ["G2"]))
report("aristoteleo/dynamo-release#163", "a column of var is taken for a gene")(
    lambda: list(vf.jacobian(fitted(), "chosen").uns["jacobian_pca"]["regulators"]) == GENES)
report("StatBiomed/UniTVelo#28", "KeyError 'highly_variable'", "not among the 8 genes")(
    lambda: vf.jacobian(fitted(), "highly_variable"))
report("aristoteleo/dynamo-release#305", "a gene with itself")(lambda: near(
    vf.get_jacobian(a := fitted(), "g1", "g1")["value"], vf.gene_jacobian(a).pair("g1", "g1")))
report("aristoteleo/dynamo-release#375", "a pair of the tutorial is not in the result", "'g7'")(
    lambda: vf.get_jacobian(fitted(), "g7", "g0"))

# ---- objects, files, pages

report("theislab/regvelo#73", "the AnnData has become a DataFrame", "expected an AnnData")(
    lambda: vf.fit_vector_field(cells().to_df()))
report("theislab/scvelo#122", "a layer of a view")(
    lambda: near(entries((a := cells())[:, :])) or "VecFld_pca" not in a.uns or "the parent was changed")
report("scverse/anndata#754", "a loom file cannot be opened", "cells.loom")(lambda: read_cells("cells.loom"))

@report("scverse/anndata#520", "two loom files joined: cells come twice")
def joined():
    "Copies are no evidence: errors are those of the cells once."
    a = cells()
    twice = anndata.concat([a, a], index_unique="-", merge="same")
    for b in (a, twice): vf.fit_vector_field(b)
    near(vf.gene_jacobian(twice).mean_stderr(), vf.gene_jacobian(a).mean_stderr(), 1e-3)

report("aristoteleo/dynamo-release#78", "a plane picture of a field in three dimensions", "sc.tl.umap(adata)")(
    lambda: vf.perturb_cells(fitted(), {"g0": 1.0}, "umap"))
report("aristoteleo/dynamo-release#481", "TypeError in a perturbation")(lambda: near(*(
    vf.perturb(fitted(change), {"g0": "knockout"})["value"]
    for change in (lambda a: setattr(a, "X", sp.csr_matrix(a.X)), lambda a: None))))

def marks(name):
    "How many marks the chart by a column of groups has, compiled as a browser does it."
    import vl_convert
    return vl_convert.vegalite_to_svg(vf.jacobian_chart(fitted(**{name: TURNS}), groups=name).to_dict()).count("<path")

report("vega/altair#1838", "a column with a dot gives an empty chart")(
    lambda: marks("leiden.0.5") == marks("leiden") > 50)
report("vega/altair#888", "quotes and brackets in a column's name")(
    lambda: marks("it's [a] \"b\"") == marks("leiden") > 50)

@report("jupyter-widgets/ipywidgets#3888", "a widget is gone when the notebook is opened again")
def saved_widget():
    explorer = vf.explore(fitted(), GENES, GENES)
    kinds = explorer._repr_mimebundle_()
    explorer.close()
    return any(k.startswith("image/") or k == "text/html" for k in kinds) or f"only {list(kinds)} is kept"
