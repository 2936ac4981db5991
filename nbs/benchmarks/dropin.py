"""dynamo's own functions on an AnnData whose Jacobian vfjac wrote: do they run to the end, and with which numbers?

    PYTHONPATH=. python nbs/benchmarks/dropin.py                       a toggle switch, and the pancreas file if found
    PYTHONPATH=. python nbs/benchmarks/dropin.py --data pancreas.h5ad  another file with a field of dynamo's
    PYTHONPATH=. python nbs/benchmarks/dropin.py --swap                dynamo's workflow with vfjac's parts in it

Needs a Python with dynamo-release (written for 1.5.3; in an environment of its own, since dynamo holds numpy and
anndata back); says so and ends with 0 where dynamo is not installed. Nothing is shown or saved: pictures are
drawn to memory.
One line for each check, PASS, FAIL or NOTE, and the exit code is the number of failures (at most 100). Ten seconds.

With `--swap` dynamo fits and calls, and vfjac stands in for its Jacobian, its sampling and its field's derivative:
every question is asked before and after, and must be answered with the same numbers.

Otherwise three AnnData are asked. A toggle switch fitted by vfjac's tuned fit: dynamo reads the stored Jacobian, but
refuses the field (`method` is "vfjac": it has a trend, which dynamo would leave out). The same cells fitted with
`compat="dynamo"`: dynamo reads the field, too. The pancreas file, with dynamo's field and vfjac's Jacobian of it, again
after it went through a file, and for some of the cells only.

Rankings are compared with `vfjac.ranking` in every mode where dynamo is right. Where it is not, on its own results as
well as on these, a NOTE says what was seen:

- `jacobian_heatmap` and `jacobian_kinetics` draw entries between components under the names of genes. They are right if
  they are given the tensor between genes as the Jacobian of a basis of its own, as `gene_basis` does here.
- `rank_jacobian_genes` leaves out the diagonal in the modes reg, eff, int and switch only.
- With groups it adds up means in the stored tensor, with `normalize` it divides it in place: later calls give other
  numbers, and so does `vf.get_jacobian`, which reads the tensor. vfjac's rankings read the field and are not touched.
"""
# ruff: noqa: B023, each case is tried at once

import argparse
import contextlib
import copy
import importlib.util
import io
import sys
import tempfile
import traceback
import warnings
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "trust"))
from outcome import close

KEY, MODES = "jacobian_pca", ("full reg", "full eff", "reg", "eff", "int", "switch")
outcome = dict(PASS=0, FAIL=0, NOTE=0)

def quietly(work):
    "The result of a call whose printing and warnings are left out."
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return work()

def said(word, name, about=""):
    outcome[word] += 1
    print(f"{word}  {name}{': ' if about else ''}{about}", flush=True)

def check(name, work):
    "PASS with what `work` returns, FAIL with what it raised."
    try: about = quietly(work)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        return said("FAIL", name, f"{type(error).__name__}: {str(error)[:200]} ({where})")
    finally: quietly(lambda: plt.close("all"))
    said("PASS", name, about if isinstance(about, str) else "")

def same(found, expected, rtol=1e-9):
    "That two arrays agree, in words."
    close(np.asarray(found, dtype=float), np.asarray(expected, dtype=float), rtol)
    return f"agree to {rtol:.0e}"

# ---------------------------------------------------------------- what was drawn

def drawn(ax, places):
    "The numbers of the points of a picture in the order of the cells, found by their places (n_cells, 2)."
    points = max((c for c in ax.collections if c.get_array() is not None), key=lambda c: len(c.get_array()))
    there, values = np.asarray(points.get_offsets()), np.asarray(points.get_array()).ravel()
    order, wanted = np.lexsort(there.T), np.lexsort(np.asarray(places)[:, :2].T)
    np.testing.assert_allclose(there[order], np.asarray(places)[wanted, :2], rtol=1e-5, atol=1e-6)
    return values[order][np.argsort(wanted)]

def squares(ax): return np.asarray(ax.collections[0].get_array()).reshape(len(ax.get_yticks()), len(ax.get_xticks()))

def entries(adata, effector, regulator):
    "What the field says, not what is stored, of the stored cells."
    return vf.gene_jacobian(adata, cell_idx=adata.uns[KEY]["cell_idx"]).pair(effector, regulator)

def picture_of_entries(adata, effectors, regulators, **how):
    "`dyn.pl.jacobian`: one picture a pair, regulators down, effectors across, coloured by our entries."
    dyn.pl.jacobian(adata, regulators=regulators, effectors=effectors, save_show_or_return="return", **how)
    pairs = [(e, r) for r in sorted_as_stored(adata, "regulators", regulators)
             for e in sorted_as_stored(adata, "effectors", effectors)]
    axes = [ax for ax in plt.gcf().axes if ax.get_title()]
    assert len(axes) == len(pairs), f"{len(axes)} pictures for {len(pairs)} pairs"
    for ax, (e, r) in zip(axes, pairs):
        assert e in ax.get_title().split("/")[0] and r in ax.get_title().split("/")[1], ax.get_title()
        words = same(drawn(ax, adata.obsm["X_umap"][adata.uns[KEY]["cell_idx"]]), entries(adata, e, r), 1e-6)
    return f"{len(axes)} picture{'s' * (len(axes) > 1)}, {words}"

def sorted_as_stored(adata, what, names):
    names = [names] if isinstance(names, str) else list(names)
    return [g for g in adata.uns[KEY][what] if g in names]

def gene_basis(adata):
    "The tensor between genes as the Jacobian of the basis `genes`, where dynamo's heatmaps look for it."
    stored = adata.uns[KEY]
    adata.uns["jacobian_genes"] = {k: v for k, v in stored.items() if k != "jacobian_gene"}
    adata.uns["jacobian_genes"]["jacobian"] = stored["jacobian_gene"].copy()

def heatmap_of_cell(adata, cell, basis):
    "`dyn.pl.jacobian_heatmap` of a cell, as (regulators, effectors)."
    dyn.pl.jacobian_heatmap(adata, int(cell), basis=basis, save_show_or_return="return")
    return squares(plt.gcf().axes[0])

def heatmap_is_ours(adata, cell):
    gene_basis(adata)
    stored = adata.uns[KEY]
    ours = vf.gene_jacobian(adata, cell_idx=[cell]).block(list(stored["effectors"]), list(stored["regulators"]))
    return same(heatmap_of_cell(adata, cell, "genes"), ours[0].T)

def kinetics_run(adata, time):
    gene_basis(adata)
    dyn.pl.jacobian_kinetics(adata, basis="genes", tkey=time, save_show_or_return="return")
    return "runs on the tensor between genes"

# ---------------------------------------------------------------- rankings, side by side

def their_ranking(adata, mode, **how):
    "dynamo's ranking as {(group, gene or pair): value}, effector first; the stored tensor is put back afterwards."
    stored = copy.deepcopy(adata.uns[KEY])
    try: ranked = dyn.vf.rank_jacobian_genes(adata, mode=mode, return_df=True, **how)
    finally: adata.uns[KEY] = stored
    if mode.startswith("full"):
        return {
            (group, *((item, gene) if mode == "full reg" else (gene, item))): value
            for group, table in ranked.items() for item in table.columns[::2]
            for gene, value in zip(table[item], table[f"{item}_values"])
        }
    return {
        (group, *(key.split(" - ") if mode in ("int", "switch") else [key])): value
        for group in ranked.columns[::2] for key, value in zip(ranked[group], ranked[f"{group}_values"])
    }

def our_ranking(adata, mode, **how):
    stored = adata.uns[KEY]
    names = {what: list(stored[what]) for what in ("effectors", "regulators")}
    table = vf.rank_jacobian_genes(adata, mode=mode, cell_idx=stored["cell_idx"], **names, **how)
    keys = ["group", *(c for c in ("effector", "regulator") if c in table)]
    return dict(zip(table[keys].itertuples(index=False, name=None), table["value"]))

def rankings_agree(adata, mode, **how):
    theirs, ours = their_ranking(adata, mode, **how), our_ranking(adata, mode, **how)
    assert theirs.keys() == ours.keys(), f"{len(theirs)} and {len(ours)} rows"
    same([theirs[key] for key in ours], list(ours.values()))
    return len(ours)

def divergence_ranking_agrees(adata, groups):
    theirs = dyn.vf.rank_divergence_genes(adata, groups=groups, output_values=True)
    ours = vf.rank_divergence_genes(adata, groups, genes=list(adata.uns[KEY]["regulators"]))
    ours = {(g, gene): v for gene, g, v in zip(ours["gene"], ours["group"], ours["value"])}
    theirs = {(g, gene): v for g in theirs.columns[::2] for gene, v in zip(theirs[g], theirs[f"{g}_values"])}
    return same([theirs[key] for key in ours], list(ours.values()), 1e-5)

def ways(mode, groups):
    "The options of a mode with which dynamo's numbers are right."
    yield from (dict(), dict(groups=groups), dict(normalize=True))
    if mode != "switch": yield dict(abs=True)
    if not mode.startswith("full"): yield dict(exclude_diagonal=True)

def mode_agrees(adata, mode, groups):
    "Every way of calling a mode, and once more as it is called to store the ranking."
    tried, rows = list(ways(mode, groups)), 0
    for how in tried:
        try: rows += rankings_agree(adata, mode, **how)
        except Exception as error: raise AssertionError(f"with {how}: {error}") from error
    dyn.vf.rank_jacobian_genes(adata, mode=mode)
    assert len(adata.uns[mode]), "nothing is stored"
    return f"{len(tried)} ways, {rows} rows agree"

def rankings(name, adata, groups, square=True):
    for mode in MODES if square else MODES[:-1]:
        check(f"{name}, vf.rank_jacobian_genes, {mode}", partial(mode_agrees, adata, mode, groups))
    if square: check(f"{name}, vf.rank_divergence_genes", lambda: divergence_ranking_agrees(adata, groups))

# ---------------------------------------------------------------- what reads the field as well

def field_functions(name, adata, genes):
    "Functions of dynamo that want the field; where vfjac has the same number, they must agree."
    gj = vf.gene_jacobian(adata)
    def scalar(function, ours):
        getattr(dyn.vf, function)(adata, basis="pca")
        return same(adata.obs[f"{function}_pca"], ours(adata).iloc[:, 1], 1e-6)
    check(f"{name}, vf.divergence", lambda: scalar("divergence", vf.divergence))
    check(f"{name}, vf.speed", lambda: scalar("speed", vf.speed))
    check(f"{name}, vf.acceleration", lambda: scalar("acceleration", vf.acceleration))
    def theirs():
        there = dyn.vf.jacobian(adata, regulators=genes, effectors=genes, basis="pca", store_in_adata=False)
        return same(np.moveaxis(there["jacobian_gene"], -1, 0), gj.block(there["effectors"], there["regulators"]), 1e-5)
    check(f"{name}, vf.jacobian of the same field", theirs)
    def sensitive():
        there = dyn.vf.sensitivity(adata.copy(), regulators=genes, effectors=genes, basis="pca").uns["sensitivity_pca"]
        names = list(there["regulators"]), list(there["effectors"])
        ours = vf.sensitivity(adata, *names, answering="named")["value"].to_numpy().reshape(adata.n_obs, -1)
        theirs = np.moveaxis(there["sensitivity_gene"], -1, 0).reshape(adata.n_obs, -1)
        usual = np.abs(ours).max(axis=1) < 100   # dynamo inverts in single precision, which more than that amplifies
        return f"{usual.sum()} of {len(ours)} cells, " + same(theirs[usual], ours[usual], 1e-5)
    check(f"{name}, vf.sensitivity", sensitive)

# ---------------------------------------------------------------- the AnnData

def prepared(adata):
    "With what dynamo's preprocessing leaves behind."
    adata.obsm["X_umap"], adata.uns["PCs"] = adata.obsm["X_embedding"], adata.varm["PCs"]
    adata.var["use_for_dynamics"] = adata.var["use_for_transition"] = adata.var["use_for_pca"] = True
    for layer in ("M_s", "X_spliced", "X_unspliced"): adata.layers[layer] = np.asarray(adata.X).copy()
    adata.layers["velocity_S"] = np.asarray(adata.layers["velocity"]).copy()
    about = dict(has_splicing=True, has_labeling=False, splicing_labeling=False, experiment_type="conventional")
    ready = dict(use_smoothed=True, NTR_vel=False, asspt_mRNA="ss", model="stochastic")
    adata.uns.update(pp=about, dynamics=about | ready)
    return adata

def toggle(**how):
    "A toggle switch with a fit and its Jacobian."
    adata = prepared(vf.datasets.toggle_switch(n_cells=200, noise=0.05, seed=0))
    vf.fit_vector_field(adata, **how)
    return vf.jacobian(adata, regulators=["Gata1", "Spi1"])

def ask_toggle():
    adata, genes = quietly(toggle), ["Gata1", "Spi1"]
    check("tuned, pl.jacobian", lambda: picture_of_entries(adata, genes, genes))
    check("tuned, pl.jacobian of one pair", lambda: picture_of_entries(adata, "Gata1", "Spi1"))
    check("tuned, pl.jacobian_heatmap of the tensor between genes", lambda: heatmap_is_ours(adata, 3))
    check("tuned, pl.jacobian_kinetics", lambda: kinetics_run(adata, "time"))
    check("tuned, vf.get_jacobian", lambda: same(
        dyn.vf.get_jacobian(adata, "Spi1", "Gata1").to_numpy()[:, 0], entries(adata, "Gata1", "Spi1")))
    rankings("tuned", adata, "group")
    check("tuned, vf.build_network_per_cluster", lambda: network_runs(adata, "group", genes))
    check("tuned, pl.divergence of what vfjac stored", lambda: divergence_drawn(adata))
    check("tuned, pd.perturbation", lambda: perturbation_agrees(adata))
    check("tuned, the field is refused", lambda: refused(adata))
    own = quietly(lambda: toggle(compat="dynamo", M=50))
    field_functions("compat", own, genes)
    overwritten(adata, "group")

def network_runs(adata, groups, genes):
    stored = copy.deepcopy(adata.uns[KEY])
    try: return f"{len(dyn.vf.build_network_per_cluster(adata, cluster=groups, genes=list(genes)))} networks"
    finally: adata.uns[KEY] = stored

def divergence_drawn(adata):
    ours = vf.divergence(adata, store_in_adata=True)["divergence"]
    dyn.pl.divergence(adata, basis="pca", save_show_or_return="return")
    return same(drawn(plt.gcf().axes[0], adata.obsm["X_umap"]), ours, 1e-6)

def perturbation_agrees(adata):
    "`dyn.pd.perturbation` reads the stored tensor; the mean change of velocities is `perturb`'s."
    there = adata.copy()
    dyn.tl.neighbors(there, X_data=there.obsm["X_pca"], n_neighbors=15)
    dyn.pd.perturbation(there, ["Gata1"], [1.0], emb_basis="umap")
    ours = vf.perturb(adata, {"Gata1": 1.0 - np.asarray(adata.X)[:, 0]}).set_index("effector")["value"]
    theirs = (there.obsm["j_delta_x_perturbation"] @ adata.varm["PCs"].T).mean(axis=0)
    return same(theirs, ours[adata.var_names], 1e-6)

def refused(adata):
    try: dyn.vf.speed(adata, basis="pca")
    except ValueError as error: return f"“{error}”"
    raise AssertionError("dynamo read a field with a trend, and left the trend out")

def overwritten(adata, groups):
    "What dynamo does to the stored tensor."
    before = adata.uns[KEY]["jacobian_gene"].copy()
    quietly(lambda: dyn.vf.rank_jacobian_genes(adata, groups=groups, mode="int"))
    if not np.array_equal(before, adata.uns[KEY]["jacobian_gene"]):
        said("NOTE", "vf.rank_jacobian_genes with groups", "overwrote the stored tensor; call vf.jacobian again")
    adata.uns[KEY]["jacobian_gene"] = before

def ask_pancreas(path):
    import anndata as ad
    adata = quietly(lambda: ad.read_h5ad(path))
    genes = [g for g in ("Pdx1", "Pax4", "Isl1", "Sox9", "Ins2", "Gcg") if adata.var["use_for_pca"].get(g, False)]
    quietly(lambda: vf.jacobian(adata, regulators=genes))
    check("pancreas, pl.jacobian", lambda: picture_of_entries(adata, genes[:2], genes[:2]))
    check("pancreas, pl.jacobian_heatmap of the tensor between genes", lambda: heatmap_is_ours(adata, 3))
    components(adata, genes)
    rankings("pancreas", adata, "clusters")
    field_functions("pancreas", adata, genes[:3])
    check("pancreas, vf.build_network_per_cluster", lambda: network_runs(adata, "clusters", genes))
    check("pancreas, pl.response", lambda: dyn.pl.response(
        adata, pairs_mat=np.array([genes[:2]]), xkey="spliced", ykey="jacobian", save_show_or_return="return"))
    with tempfile.TemporaryDirectory() as folder:
        small = adata[:, adata.var["use_for_pca"]].copy()
        small.uns = {k: v for k, v in adata.uns.items() if k in (KEY, "VecFld_pca", "PCs", "pca_mean")}
        file = Path(folder) / "written.h5ad"
        quietly(lambda: small.write_h5ad(file))
        again = quietly(lambda: ad.read_h5ad(file))
    check("from a file, pl.jacobian", lambda: picture_of_entries(again, genes[:2], genes[:2]))
    check("from a file, pl.jacobian_heatmap of the tensor between genes", lambda: heatmap_is_ours(again, 3))
    rankings("from a file", again, "clusters")
    quietly(lambda: vf.jacobian(adata, regulators=genes[:3], effectors=genes[2:], sampling="random", sample_ncells=150))
    check("150 cells, pl.jacobian", lambda: picture_of_entries(adata, genes[2:4], genes[:2]))
    check("150 cells, pl.jacobian_heatmap of the tensor between genes",
          lambda: heatmap_is_ours(adata, adata.uns[KEY]["cell_idx"][7]))
    rankings("150 cells, other effectors", adata, "clusters", square=False)

def components(adata, genes):
    "Which numbers dynamo's heatmap draws under the names of genes, if it is not told otherwise."
    drawn_there = quietly(lambda: heatmap_of_cell(adata, 0, "pca"))
    quietly(lambda: plt.close("all"))
    d = len(genes)
    if np.allclose(drawn_there, adata.uns[KEY]["jacobian"][:d, :d, 0].T):
        said("NOTE", "pl.jacobian_heatmap as it is called in dynamo's pages",
             "draws entries between components under the names of genes")

# ---------------------------------------------------------------- dynamo's workflow with vfjac's parts in it

SCALARS = ("speed", "divergence", "acceleration", "curvature")

def simulated():
    "Cells of a simulated network, and dynamo's fits."
    adata = prepared(vf.datasets.neurogenesis(n_cells=200, noise=0.1, seed=0))
    flat = adata.obsm["X_umap"] - adata.obsm["X_umap"].mean(axis=0)
    adata.obsm["velocity_umap"] = np.column_stack([-flat[:, 1], flat[:, 0]]) + 0.05 * flat
    for basis in ("pca", "umap"): dyn.vf.VectorField(adata, basis=basis, M=60, pot_curl_div=False)
    return adata

def swap():
    "Put vfjac's Jacobian, sampling and derivative in the place of dynamo's, everywhere."
    from dynamo.vectorfield import scVectorField, vector_calculus

    from vfjac.adata import field_from_vecfld
    def get_jacobian(self, method="analytical", input_vector_convention="row", **how):
        field = field_from_vecfld(self.vf_dict)
        def fjac(x):
            x = np.asarray(x, dtype=float)
            J = vf.analytical_jacobian(field, np.atleast_2d(x))
            return J[0] if x.ndim == 1 else np.moveaxis(J, 0, -1)
        return fjac
    ours = dict(sample=vf.sample, jacobian=vf.jacobian)
    for module in [m for name, m in list(sys.modules.items()) if name.startswith("dynamo") and ".plot" not in name]:
        for name, function in ours.items():
            home = getattr(getattr(module, name, None), "__module__", "") or ""
            if home.startswith("dynamo.") and ".plot" not in home: setattr(module, name, function)
    scVectorField.SvcVectorField.get_Jacobian = get_jacobian
    assert dyn.vf.jacobian is vf.jacobian is vector_calculus.jacobian and vector_calculus.sample is vf.sample

def after(adata, function, key, basis="pca", **how):
    "What a function of dynamo stores."
    adata = adata.copy()
    getattr(dyn.vf, function)(adata, basis=basis, **how)
    return np.asarray(adata.obs[key] if key in adata.obs else adata.obsm[key], dtype=float)

def tensor(adata, genes):
    there = dyn.vf.jacobian(adata.copy(), regulators=genes, effectors=genes, store_in_adata=False)
    at = [[list(there[what]).index(g) for g in genes] for what in ("effectors", "regulators")]
    return there["jacobian_gene"][np.ix_(*at)]

def ranked(adata, what):
    adata = adata.copy()
    getattr(dyn.vf, what)(adata, basis="pca")
    getattr(dyn.vf, f"rank_{what}_genes")(adata, groups="group", output_values=True)
    found = adata.uns[f"rank_{what}"]
    return np.column_stack([np.asarray(found[c], dtype=float) for c in found if str(c).endswith("_values")])

def questions(genes):
    "All that is asked before and after the swap: name, function of an AnnData, and how near the answers must be."
    for name in SCALARS: yield name, partial(after, function=name, key=f"{name}_pca"), 1e-6
    for name in ("divergence", "curl"):
        yield f"{name} of umap", partial(after, function=name, key=f"{name}_umap", basis="umap"), 1e-6
    yield "jacobian between genes", partial(tensor, genes=genes), 1e-5
    yield "determinants", partial(after, function="jacobian", key="jacobian_det_pca", regulators=genes), 1e-5
    for what in ("acceleration", "curvature"): yield f"rank_{what}_genes", partial(ranked, what=what), 1e-6

def sampled(adata, method):
    there = dyn.vf.jacobian(adata.copy(), sampling=method, sample_ncells=30, store_in_adata=False)
    at = np.asarray(there["cell_idx"])
    assert len(set(at.tolist())) == 30 and at.min() >= 0 and at.max() < adata.n_obs
    whole = vf.jacobian(adata.copy(), store_in_adata=False)["jacobian"]
    return f"{len(at)} different cells, " + same(there["jacobian"], whole[..., at])

def sampled_divergence(adata, method):
    adata = adata.copy()
    adata.uns.pop("jacobian_pca", None)
    known = np.isfinite(after(adata, "divergence", "divergence_pca", sampling=method, sample_ncells=30)).sum()
    assert known == 30, f"{known} of 30"
    return "30 cells"

def workflow():
    "Run it all with dynamo's parts, then with vfjac's."
    adata = quietly(simulated)
    genes, before = list(adata.var_names[:4]), {}
    asked = list(questions(genes))
    for name, ask, _ in asked:
        try: before[name] = quietly(lambda: ask(adata))
        except Exception as error: said("NOTE", f"dynamo alone, {name}", f"{type(error).__name__}: {error}")
    swap()
    for name, ask, near in asked:
        def answered():
            found = ask(adata)
            return same(found, before[name], near) if name in before else "runs"
        check(f"swapped, vf.{name}", answered)
    for method in ("random", "velocity", "trn", "kmeans"):
        check(f"swapped, vf.jacobian with sampling={method}", partial(sampled, adata, method))
        if method != "kmeans":
            check(f"swapped, vf.divergence with sampling={method}", partial(sampled_divergence, adata, method))
    quietly(lambda: dyn.vf.jacobian(adata, regulators=genes, effectors=genes))
    for mode in MODES: check(f"swapped, vf.rank_jacobian_genes, {mode}", partial(mode_agrees, adata, mode, "group"))
    for name in SCALARS: quietly(lambda: getattr(dyn.vf, name)(adata, basis="pca"))
    keep = dict(save_show_or_return="return")
    check("swapped, pl.jacobian", lambda: picture_of_entries(adata, genes[:2], genes[:2]))
    check("swapped, pl.jacobian_heatmap", lambda: dyn.pl.jacobian_heatmap(adata, 0, basis="pca", **keep))
    check("swapped, pl.jacobian_kinetics", lambda: kinetics_run(adata, "time"))
    for name in SCALARS: check(f"swapped, pl.{name}", lambda: getattr(dyn.pl, name)(adata, basis="pca", **keep))
    for name, how in dict(topography={}, cell_wise_vectors=dict(cell_inds=20)).items():
        check(f"swapped, pl.{name}", lambda: getattr(dyn.pl, name)(adata, basis="umap", color="group", **how, **keep))

def found_file():
    "The pancreas file beside the checkout, or None."
    folders = Path(__file__).resolve().parents
    return next((p for f in folders if (p := f / "shared" / "data" / "pancreas_dynamo.h5ad").exists()), None)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=found_file(), help="an AnnData with a field of dynamo's")
    parser.add_argument("--swap", action="store_true", help="dynamo's workflow with vfjac's parts in it")
    options = parser.parse_args()
    if importlib.util.find_spec("dynamo") is None:
        print("dynamo is not installed here, so nothing is checked; it is dynamo-release, best in its own environment")
        sys.exit(0)
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    dyn = quietly(lambda: __import__("dynamo"))
    import vfjac as vf
    if options.swap: workflow()
    else: ask_toggle()
    if options.data and not options.swap: ask_pancreas(options.data)
    print(", ".join(f"{n} {word}" for word, n in outcome.items()))
    sys.exit(min(outcome["FAIL"], 100))
