"""dynamo's own workflow with vfjac's parts in it: does it run to the end, and with the same numbers?

Needs a Python with dynamo-release and vfjac, named by the environment variable VFJAC_REFERENCE_PYTHON (written for
dynamo 1.5.3); without one there is a note, and nothing is tried. The reading side, dynamo's functions on what vfjac
stored, is `nbs/benchmarks/dropin.py`; here dynamo fits and calls, and vfjac stands in for its Jacobian, its sampling
and its field's derivative.
"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np

BENCHMARKS = Path(__file__).resolve().parents[1]

# ---------------------------------------------------------------- in the Python with dynamo

def simulated(n=200):
    "Cells of a simulated network with what dynamo's preprocessing leaves behind, and dynamo's fit."
    import dynamo as dyn

    import vfjac as vf
    adata = vf.datasets.neurogenesis(n_cells=n, noise=0.1, seed=0)
    adata.obsm["X_umap"], adata.uns["PCs"] = adata.obsm["X_embedding"], adata.varm["PCs"]
    adata.var["use_for_dynamics"] = adata.var["use_for_transition"] = adata.var["use_for_pca"] = True
    for layer in ("M_s", "X_spliced", "X_unspliced"): adata.layers[layer] = np.asarray(adata.X).copy()
    adata.layers["velocity_S"] = np.asarray(adata.layers["velocity"]).copy()
    about = dict(has_splicing=True, has_labeling=False, splicing_labeling=False, experiment_type="conventional")
    adata.uns.update(pp=about, dynamics=about | dict(
        use_smoothed=True, NTR_vel=False, asspt_mRNA="ss", model="stochastic"))
    flat = adata.obsm["X_umap"] - adata.obsm["X_umap"].mean(axis=0)
    adata.obsm["velocity_umap"] = np.column_stack([-flat[:, 1], flat[:, 0]]) + 0.05 * flat
    dyn.vf.VectorField(adata, basis="pca", M=60, pot_curl_div=False)
    dyn.vf.VectorField(adata, basis="umap", M=60, pot_curl_div=False)
    return adata

def swap():
    "Put vfjac's Jacobian, sampling and derivative in the place of dynamo's, everywhere."
    import dynamo as dyn

    import vfjac as vf
    from vfjac.adata import field_from_vecfld
    def get_jacobian(self, method="analytical", input_vector_convention="row", **how):
        field = field_from_vecfld(self.vf_dict)
        def fjac(x):
            x = np.asarray(x, dtype=float)
            J = vf.analytical_jacobian(field, np.atleast_2d(x))
            return J[0] if x.ndim == 1 else np.moveaxis(J, 0, -1)
        return fjac
    from dynamo.vectorfield import scVectorField, vector_calculus
    ours = dict(sample=vf.sample, jacobian=vf.jacobian)
    for module in [m for name, m in list(sys.modules.items()) if name.startswith("dynamo") and ".plot" not in name]:
        for name, function in ours.items():
            home = getattr(getattr(module, name, None), "__module__", "") or ""
            if home.startswith("dynamo.") and ".plot" not in home: setattr(module, name, function)
    scVectorField.SvcVectorField.get_Jacobian = get_jacobian
    assert dyn.vf.jacobian is vf.jacobian is vector_calculus.jacobian and vector_calculus.sample is vf.sample

def questions(dyn, genes):
    "Everything that is asked before and after the swap: name → function of an AnnData, whose answer is arrays."
    def stored(function, *keys, basis="pca", **how):
        def ask(adata):
            adata = adata.copy()
            getattr(dyn.vf, function)(adata, basis=basis, **how)
            found = [adata.obs[k].to_numpy() if k in adata.obs else np.asarray(adata.obsm[k]) for k in keys]
            return np.column_stack([np.asarray(f, dtype=float) for f in found])
        return ask
    def tensor(adata):
        there = dyn.vf.jacobian(adata.copy(), regulators=genes, effectors=genes, store_in_adata=False)
        at = [list(there["effectors"]).index(g) for g in genes], [list(there["regulators"]).index(g) for g in genes]
        return there["jacobian_gene"][np.ix_(*at)]
    def rank_of(name, before):
        def ask(adata):
            adata = adata.copy()
            getattr(dyn.vf, before)(adata, basis="pca")
            getattr(dyn.vf, name)(adata, groups="group", output_values=True)
            found = adata.uns[name.removesuffix("_genes")]
            return np.column_stack([np.asarray(found[c], dtype=float) for c in found if str(c).endswith("_values")])
        return ask
    yield "speed", stored("speed", "speed_pca"), 1e-6
    yield "divergence", stored("divergence", "divergence_pca"), 1e-6
    yield "acceleration", stored("acceleration", "acceleration_pca"), 1e-6
    yield "curvature", stored("curvature", "curvature_pca"), 1e-6
    yield "divergence of umap", stored("divergence", "divergence_umap", basis="umap"), 1e-6
    yield "curl of umap", stored("curl", "curl_umap", basis="umap"), 1e-6
    yield "jacobian between genes", tensor, 1e-5
    yield "determinants", stored("jacobian", "jacobian_det_pca", regulators=genes), 1e-5
    for what, before in dict(rank_acceleration_genes="acceleration", rank_curvature_genes="curvature").items():
        yield what, rank_of(what, before), 1e-6

def pictures(dyn, dropin, genes):
    "dynamo's plots of what was computed with vfjac inside: name → function of an AnnData."
    keep = dict(save_show_or_return="return")
    yield "pl.jacobian", lambda a: dropin.picture_of_entries(a, genes[:2], genes[:2])
    yield "pl.jacobian_heatmap", lambda a: dyn.pl.jacobian_heatmap(a, 0, basis="pca", **keep)
    yield "pl.jacobian_kinetics", lambda a: dropin.kinetics_run(a, "time")
    for name in ("speed", "divergence", "acceleration", "curvature"):
        yield f"pl.{name}", lambda a, name=name: getattr(dyn.pl, name)(a, basis="pca", **keep)
    yield "pl.topography", lambda a: dyn.pl.topography(a, basis="umap", color="group", **keep)
    few = dict(color="group", cell_inds=20)
    yield "pl.cell_wise_vectors", lambda a: dyn.pl.cell_wise_vectors(a, basis="umap", **few, **keep)

def workflow():
    "Run it all with dynamo's parts, then with vfjac's: a line PASS or FAIL for each."
    sys.path.insert(0, str(BENCHMARKS))
    import dropin
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    dyn = dropin.quietly(lambda: __import__("dynamo"))
    import vfjac as vf
    from vfjac import ranking, response
    vars(dropin).update(plt=plt, dyn=dyn, vf=vf, ranking=ranking, response=response)
    adata = dropin.quietly(simulated)
    genes = list(adata.var_names[:4])
    asked, before = list(questions(dyn, genes)), {}
    for name, ask, _ in asked:
        try: before[name] = dropin.quietly(lambda ask=ask: ask(adata))
        except Exception as error: dropin.said("NOTE", f"dynamo alone, {name}", f"{type(error).__name__}: {error}")
    swap()
    for name, ask, near in asked:
        def work(name=name, ask=ask, near=near):
            return dropin.same(ask(adata), before[name], near) if name in before else ask(adata) is None or "runs"
        dropin.check(f"swapped, vf.{name}", work)
    for method in ("random", "velocity", "trn", "kmeans"):
        dropin.check(f"swapped, vf.jacobian with sampling={method}", partial(sampled, dyn, vf, adata, method))
        if method != "kmeans":
            of_divergence = partial(sampled_divergence, dyn, adata, method)
            dropin.check(f"swapped, vf.divergence with sampling={method}", of_divergence)
    dropin.quietly(lambda: dyn.vf.jacobian(adata, regulators=genes, effectors=genes))
    for mode in dropin.MODES: dropin.check(
        f"swapped, vf.rank_jacobian_genes, {mode}", partial(dropin.mode_agrees, adata, mode, "group"))
    for name in ("speed", "divergence", "acceleration", "curvature"):
        dropin.quietly(lambda name=name: getattr(dyn.vf, name)(adata, basis="pca"))
    for name, draw in pictures(dyn, dropin, genes): dropin.check(f"swapped, {name}", lambda draw=draw: draw(adata))
    print(", ".join(f"{n} {word}" for word, n in dropin.outcome.items()))

def sampled(dyn, vf, adata, method):
    there = dyn.vf.jacobian(adata.copy(), sampling=method, sample_ncells=30, store_in_adata=False)
    at = np.asarray(there["cell_idx"])
    assert len(set(at.tolist())) == 30 and at.min() >= 0 and at.max() < adata.n_obs
    J = np.moveaxis(there["jacobian"], -1, 0)
    whole = np.moveaxis(vf.jacobian(adata.copy(), store_in_adata=False)["jacobian"], -1, 0)
    np.testing.assert_allclose(J, whole[at], atol=1e-9 * np.abs(whole).max())
    return f"{len(at)} different cells"

def sampled_divergence(dyn, adata, method):
    adata = adata.copy()
    adata.uns.pop("jacobian_pca", None)
    dyn.vf.divergence(adata, basis="pca", sampling=method, sample_ncells=30)
    known = np.asarray(adata.obs["divergence_pca"], dtype=float)
    assert np.isfinite(known).sum() == 30, f"{np.isfinite(known).sum()} of 30"
    return "30 cells"

# ---------------------------------------------------------------- the promise

def lines_of(outcome, python, script, limit):
    "Run a script there: each of its lines PASS or FAIL is a case, and so is that it ends well."
    own = dict(PYTHONPATH=str(BENCHMARKS.parents[1]), PYTHONDONTWRITEBYTECODE="1", TQDM_DISABLE="1", MPLBACKEND="Agg")
    done = subprocess.run([python, str(script)], env=os.environ | own, capture_output=True, text=True, timeout=limit)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("PASS", "FAIL"))]
    for line in lines: outcome.ran(script.stem, lambda line=line: None if line.startswith("PASS") else line[4:].strip())
    if not lines: outcome.problems.append(f"{script.name} ended ({done.returncode}) silently: {done.stderr[-800:]}")
    elif " PASS," not in done.stdout.splitlines()[-1]:
        outcome.problems.append(f"{script.name} stopped early ({done.returncode}): {done.stderr[-800:]}")

def register():
    from outcome import promise
    def asked(outcome, script, limit):
        python = os.environ.get("VFJAC_REFERENCE_PYTHON")
        if python: lines_of(outcome, python, script, limit)
        else: outcome.note = "no Python with dynamo was named by VFJAC_REFERENCE_PYTHON"
    @promise("reference", "dynamo's functions read what vfjac stored, and agree wherever dynamo is right")
    def reading(o, quick, seed): asked(o, BENCHMARKS / "dropin.py", 300)
    @promise("reference", "dynamo's workflow runs with vfjac's Jacobian, sampling and derivative, to the same numbers")
    def inside(o, quick, seed): asked(o, Path(__file__), 300)

if __name__ == "__main__": workflow()
else: register()
