"""What must not change a result does not change it: random fields, tables, orders, units, cuts, files.

The cases are made up by hypothesis, the same ones for the same seed. Each is counted; the first that fails
is shown.
"""

import inspect
import tempfile
import warnings
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import anndata
import hostile
import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import HealthCheck, Phase, configuration, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from outcome import digest, promise
from scipy.stats import ortho_group

import vfjac as vf
from vfjac import dynamics, sampling
from vfjac.fields import FunctionField, GaussianField, MatrixGaussianField, RescaledField
from vfjac.fit import in_unit, velocity_unit
from vfjac.genejacobian import GeneJacobian
from vfjac.posterior import Posterior, regulator_part
from vfjac.ranking import max_abs, switch_score

rule = partial(promise, "properties")
home = tempfile.TemporaryDirectory(prefix="vfjac-trust-")
configuration.set_hypothesis_home_dir(home.name)   # nothing is left in the checkout

def for_all(outcome, seed, examples, **made_up):
    "Try a check on many made-up cases, now; each counts, up to the first that fails, which is told."
    rules = settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck),
                     report_multiple_bugs=False, print_blob=False, phases=(Phase.generate,))   # shrinking takes minutes
    def decorate(check):
        def counted(**case):
            outcome.tried += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(**case)
            outcome.right += 1
        try: seeded(seed)(rules(given(**made_up)(counted)))()
        except Exception as e:
            notes = " ".join(getattr(e, "__notes__", ()))
            outcome.problems.append(f"{check.__name__}: {type(e).__name__}: {str(e).strip()[:400]} {notes[:400]}")
        return check
    return decorate

def close(got, expected, tolerance=1e-9, what=""):
    "The same shape, and the same numbers to a share of the largest one."
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{what}: shapes {got.shape} and {expected.shape}"
    assert_array_equal(np.isnan(got), np.isnan(expected), err_msg=what)
    size = np.nanmax(np.abs(expected), initial=0)
    assert_allclose(got, expected, rtol=0, atol=tolerance * (size + 1e-300), err_msg=what)

# ---------------------------------------------------------------- made-up fields and cells

KINDS = ("gaussian", "trend", "matrix", "rescaled", "function")

def rotation(rng, d): return ortho_group.rvs(d, random_state=rng) if d > 1 else np.array([[-1.0]])

def some_field(rng, kind, d, M, at=0.0):
    "A field around `at`."
    c, C, beta = at + rng.normal(size=(M, d)), rng.normal(size=(M, d)), rng.uniform(0.05, 1)
    if kind == "matrix": return MatrixGaussianField(c, C, beta, rng.uniform())
    plain = GaussianField(c, C, beta)
    if kind == "function": return FunctionField(plain.velocity, plain.jacobian)
    if kind == "rescaled":
        shift, scale, gain, slope, offset = rng.uniform(0.5, 2, size=(5, d))
        return RescaledField(GaussianField(c - at, C, beta), at + shift, scale, gain, slope, offset)
    return plain if kind == "gaussian" else replace(plain, offset=rng.normal(size=d), slope=rng.normal(size=(d, d)))

def some_posterior(rng, field):
    d, M = field.n_dims, len(field.control_points)
    rows = M if field.slope is None else M + 1 + d
    root, noise = rng.normal(size=(rows, min(rows, 4))), rng.uniform(1, 2, d)
    return Posterior(field, 1.5 * field.beta, root, noise)

@dataclass
class Case:
    gj: GeneJacobian
    rng: np.random.Generator
    kind: str
    @property
    def tensor(self):
        "Cell by cell, through J in components."
        gj, s = self.gj, self.gj.scale
        left, right = (gj.loadings, gj.loadings) if s is None else (gj.loadings * s[:, None], gj.loadings / s[:, None])
        return np.stack([left @ gj.field.jacobian(x[None])[0] @ right.T for x in gj.states])

@st.composite
def cases(draw, kinds=KINDS, at=(0, 100)):
    d, M, n_genes, n = draw(st.tuples(*(st.integers(1, most) for most in (5, 9, 7, 24))))
    kind, rng = draw(st.sampled_from(kinds)), np.random.default_rng(draw(st.integers(0, 2**32)))
    at, scaled, dtype = draw(st.sampled_from(at)), draw(st.booleans()), draw(st.sampled_from(["f8", "f4", ">f8"]))
    field = some_field(rng, kind, d, M, at)
    X, Q = (at + rng.normal(size=(n, d))).astype(dtype), rng.normal(size=(n_genes, d)).astype(dtype)
    if draw(st.booleans()): X, Q = np.asfortranarray(X), Q[:, ::-1]
    return Case(GeneJacobian(
        field=field, states=X, loadings=Q, genes=[f"g{i}" for i in range(n_genes)], cells=[f"c{i}" for i in range(n)],
        scale=rng.uniform(0.5, 2, n_genes) if scaled else None,
        fit=some_posterior(rng, field) if kind in ("gaussian", "trend") else None), rng, kind)

def answers(gj):
    "Everything a lazy tensor says about all genes, over all cells: arrays with effectors and regulators last."
    found = {name: getattr(gj, name)() for name in ("mean", "rms", "mean_abs", "sign_fraction")}
    found |= dict(square=gj.std() ** 2, median=gj.quantile(0.5).values[0])
    if gj.has_stderr: found |= dict(mean_stderr=gj.mean_stderr())
    return found

def of_cells(gj): return dict(block=gj.block()) | (dict(stderr=gj.stderr(), z=gj.z()) if gj.has_stderr else {})

# ---------------------------------------------------------------- order

@rule("the order of cells and of genes changes nothing but the order")
def order(o, quick, seed):
    @for_all(o, seed, 40 if quick else 200, case=cases())
    def lazy_tensor(case):
        gj = case.gj
        cells, genes = case.rng.permutation(gj.n_cells), case.rng.permutation(gj.n_genes)
        shuffled = replace(gj, states=gj.states[cells], cells=gj.cells[cells], loadings=gj.loadings[genes],
                           genes=gj.genes[genes], scale=None if gj.scale is None else gj.scale[genes])
        for name, values in of_cells(gj).items():
            close(of_cells(shuffled)[name], values[np.ix_(cells, genes, genes)], what=name)
        for name, values in answers(gj).items(): close(answers(shuffled)[name], values[np.ix_(genes, genes)], what=name)
        labels = case.rng.choice(["a", "b"], gj.n_cells)
        there, here = shuffled.mean(labels[cells], gj.genes, gj.genes), gj.mean(labels)
        for group in here: close(there[group], here[group])
    @for_all(o, seed, 6 if quick else 30, n=st.integers(12, 60), d=st.integers(1, 4),
             kind=st.sampled_from(sorted(FITS)), number=st.integers(0, 10**6))
    def annotated_data(n, d, kind, number):
        rng = np.random.default_rng(number)
        adata = made_up(rng, n, d)
        cells, genes = rng.permutation(n), rng.permutation(adata.n_vars)
        other = adata[cells][:, genes].copy()
        settled = [FITS[kind](a).converged for a in (adata, other)]   # if not, the fit warns: it may be anywhere
        names = list(adata.var_names[:3])
        for a in (adata, other): vf.jacobian(a, regulators=names)
        tables = [vf.get_jacobian(a).set_index(["cell", "effector", "regulator"])["value"] for a in (adata, other)]
        if all(settled): close(tables[1].reindex(tables[0].index), tables[0], 1e-4)
        moved = adata[cells][:, genes].copy()     # the field and its Jacobian of before, in another order
        table = vf.get_jacobian(moved).set_index(["cell", "effector", "regulator"])["value"]
        close(table.reindex(tables[0].index), tables[0], 1e-12)
        few = adata[cells[: n // 2]][:, genes[:3]].copy()   # some of the cells and of the genes
        here, there = (vf.gene_jacobian(a) for a in (adata, few))
        e, r, some = few.var_names[:2], few.var_names[1:], few.obs_names
        close(there.block(e, r), here.block(e, r, some), 1e-9, "block of some")
        if here.has_stderr: close(there.stderr(e, r), here.stderr(e, r, some), 1e-7, "stderr of some")
        rows = vf.get_jacobian(few).set_index(["cell", "effector", "regulator"])["value"]
        assert set(rows.index.get_level_values("cell")) == set(some)
        close(rows, tables[0].reindex(rows.index), 1e-12, "stored, of some")
        for name, ask in TABLES.items():
            if kind == "mixed" and name == "network": continue
            here, there = (ask(a) for a in (adata, moved))
            keys = [c for c in ("cell", "effector", "regulator", "gene", "group", "mode") if c in here]
            here, there = here.set_index(keys), there.set_index(keys)
            for column in here.select_dtypes("number").columns.difference(["rank", "phase"]):
                close(there.reindex(here.index)[column], here[column], 1e-7, f"{name}, {column}")

TABLES = {
    "divergence": vf.divergence, "speed": vf.speed, "acceleration": vf.acceleration, "determinant": vf.determinant,
    "ranking": lambda a: vf.rank_jacobian_genes(a, "group"),
    "switch": lambda a: vf.rank_jacobian_genes(a, mode="switch"),
    "own": lambda a: vf.rank_divergence_genes(a, "group"),
    "compared": lambda a: vf.compare_groups(a, "a", groups="group"),
    "network": lambda a: vf.jacobian_network(a, top=None).edges, "eigenvalues": vf.eigenvalues,
    "sensitivity": lambda a: vf.sensitivity(a, ["g0", "g1"]),
    "curve": lambda a: vf.response_curve(a, ["g0"], ["g1"], bins=4).drop(columns=["bin"]).assign(cell=range(4)),
    "sets": lambda a: vf.gene_set_jacobian(a, dict(s=["g0", "g1"], t=["g2"]), groups="group"),
    "push": lambda a: vf.perturb(a, dict(g0=0.1)), "arrows": lambda a: vf.perturb_cells(a, dict(g0=0.1), "pca2"),
}

# ---------------------------------------------------------------- made-up AnnData

def made_up(rng, n, d, n_genes=6, layout="f8"):
    "Cells whose genes follow a few components exactly; velocities with noise; groups, rates and a plane picture."
    n_genes = max(n_genes, d)
    Q = np.linalg.qr(rng.normal(size=(n_genes, n_genes)))[0][:, :d]
    Z = rng.normal(size=(n, d)) * np.linspace(1.5, 0.7, d)
    mean = rng.uniform(3, 6, n_genes)
    V = np.tanh(Z @ rng.normal(size=(d, d))) + 0.05 * rng.normal(size=(n, d))
    adata = anndata.AnnData(Z @ Q.T + mean)
    adata.var_names, adata.obs_names = [f"g{i}" for i in range(n_genes)], [f"c{i}" for i in range(n)]
    adata.obsm["X_pca"], adata.obsm["velocity_pca"] = np.asfortranarray(Z.astype(layout)), V.astype(layout)
    adata.varm["PCs"] = Q
    adata.layers["velocity"], adata.uns["pca_mean"] = V @ Q.T, mean
    adata.obsm["X_pca2"] = np.column_stack([Z, Z[:, 0] ** 2])[:, :2] + [1.0, 2.0]
    labels = np.where(np.arange(n) < 2, ["a", "b"][:1] * n, rng.choice(["a", "b"], n))
    labels[-1] = "b"
    adata.obs["group"] = pd.Categorical(labels)
    adata.obs["time"] = rng.uniform(size=n)
    adata.var["gamma"], adata.var["beta"] = rng.uniform(0.5, 1, n_genes), rng.uniform(1, 2, n_genes)
    adata.var["chosen"] = np.arange(n_genes) < 3
    return adata

FITS = {
    "tuned": lambda a: vf.fit_vector_field(a), "trend": lambda a: vf.fit_vector_field(a, trend=True, beta=0.3),
    "sparse": lambda a: vf.fit_vector_field(a, tune=False), "dynamo": lambda a: vf.fit_vector_field(a, compat="dynamo"),
    "mixed": lambda a: vf.fit_vector_field(
        a, kernel="mixed", beta=0.3, eta=0.5 if a.obsm["X_pca"].shape[1] > 1 else 1.0),
}

# ---------------------------------------------------------------- frames and units

def moved_field(field, R, shift, a, b):
    "The same Gaussian field in states `a x Rᵀ + shift`, velocities times `b`."
    offset, slope = field.offset, field.slope
    c = a * field.control_points @ R.T + shift
    if slope is not None:
        slope = b / a * R @ slope @ R.T
        offset = b * R @ offset - slope @ shift
    return GaussianField(c, b * field.coefficients @ R.T, field.beta / a**2, offset, slope)

units = st.sampled_from([1e-6, 0.1, 1.0, 3.0, 1e4])

@rule("shifts, rotations and units act as the mathematics says")
def frames(o, quick, seed):
    @for_all(o, seed, 40 if quick else 200, case=cases(("gaussian", "trend"), (0,)), a=units, b=units,
             at=st.sampled_from([0.0, 50.0]))
    def a_field(case, a, b, at):
        gj, d = case.gj, case.gj.states.shape[1]
        R, shift = rotation(case.rng, d), a * at * case.rng.normal(size=d)
        field, p = moved_field(gj.field, R, shift, a, b), gj.posterior
        M, root = len(field.control_points), p.root.copy()
        if len(root) > M: root[M + 1:] = R @ root[M + 1:] / a
        noise = b**2 * p.noise.mean()
        here = replace(gj, fit=replace(p, noise=np.full(d, p.noise.mean()), correlation=None))
        there = replace(gj, field=field, states=a * gj.states @ R.T + shift, loadings=gj.loadings @ R.T,
                        fit=Posterior(field, p.beta / a**2, root, np.full(d, noise)))
        if case.kind == "trend": here, there = replace(here, fit=None), replace(there, fit=None)
        changed_answers = of_cells(there) | answers(there)
        for name, values in (of_cells(here) | answers(here)).items():
            if name in ("sign_fraction", "z"): continue     # of an entry that is zero but for rounding
            got = changed_answers[name] * (a / b) ** (2 if name == "square" else 1)
            if name == "square": assert_allclose(got, values, atol=1e-8 * (here.rms() ** 2).max(), err_msg=name)
            else: close(got, values, 1e-8, name)
        for name, unit in dict(divergence=b / a, acceleration=b**2 / a, speed=b).items():
            got, was = (dynamic(f, x, name) for f, x in ((field, there.states), (gj.field, gj.states)))
            close(got / unit, was, 1e-7, name)
        values = [dynamics.eigenvalues(f, x) for f, x in ((field, there.states), (gj.field, gj.states))]
        close(values[0].sum(axis=1).real * a / b, values[1].sum(axis=1).real, 1e-7)
        close(dynamics.divergence(gj.field, gj.states), values[1].sum(axis=1).real, 1e-7)
        if d > 1:
            bent = [dynamics.curvature(f, x) for f, x in ((field, there.states), (gj.field, gj.states))]
            slow = np.linalg.norm(gj.field.jacobian(gj.states), axis=(1, 2)) / dynamic(gj.field, gj.states, "speed")
            assert (np.abs(bent[0] * a - bent[1]) <= 1e-6 * slow).all(), "curvature"
        still = moved_field(gj.field, np.eye(d), np.zeros(d), a, b)   # the box in which points are sought stays
        rest = [dynamics.fixed_points(f, x, n_starts=5) for f, x in ((still, a * gj.states), (gj.field, gj.states))]
        assert list(rest[0].kind) == list(rest[1].kind), "fixed points"
        assert_allclose(rest[0].states, a * rest[1].states, atol=1e-5 * a * (1 + np.abs(gj.states).max()))
        paths = [dynamics.integrate(f, x[:2], t, rtol=1e-10) for f, x, t in (
            (field, there.states, 0.5 * a / b), (gj.field, gj.states, 0.5))]
        away = [p.states - x[:2, None] for p, x in zip(paths, (there.states, gj.states))]
        far = 1e-4 * (1 + np.abs(away[1]).max() + at * 1e-3)
        assert_allclose(away[0] / a, away[1] @ R.T, atol=far, err_msg="paths")
        if d == 2:
            turn = [dynamics.curl(f, x) for f, x in ((field, there.states), (gj.field, gj.states))]
            close(turn[0] * a / b * np.linalg.det(R), turn[1], 1e-7, "curl")
    @for_all(o, seed, 12 if quick else 60, fit=st.sampled_from(sorted(FITTERS)), n=st.integers(15, 80),
             d=st.integers(2, 4), a=units, b=units, at=st.sampled_from([0.0, 30.0]), number=st.integers(0, 10**6))
    def a_fit(fit, n, d, a, b, at, number):
        rng = np.random.default_rng(number)
        X, V = cells_of_a_field(rng, n // 2 if fit == "matrix" else n, d)
        R, shift = rotation(rng, d), a * at * rng.normal(size=d)
        S = np.eye(d) if fit == "tuned" else R   # each dimension of the velocities has a noise of its own there
        here, there = FITTERS[fit](X, V), FITTERS[fit](a * X @ R.T + shift, b * V @ S.T)
        if not (here.converged and there.converged): return   # the fit said so in a warning: it may be anywhere
        J, K = here.field.jacobian(X), there.field.jacobian(a * X @ R.T + shift)
        close(np.einsum("ji,njk,kl->nil", S, K, R) * a / b, J, 1e-4, "Jacobian")
        close(there.inlier_probability, here.inlier_probability, 1e-4, "inlier probability")
        close(np.sqrt(there.sigma2) / b, np.sqrt(here.sigma2), 1e-4, "noise")
        assert_array_equal(there.inliers, here.inliers)
        if fit != "matrix":
            close(np.sqrt(there.noise.sum()) / b, np.sqrt(here.noise.sum()), 1e-4, "noise of all dimensions")
            parts = [regulator_part(f.posterior, x, L)
                     for f, x, L in ((here, X, np.eye(d)), (there, a * X @ R.T + shift, R.T))]
            close(parts[1] * a, parts[0], 1e-3, "standard errors")

def dynamic(field, X, name):
    if name == "speed": return np.linalg.norm(field.velocity(X), axis=1)
    values = getattr(dynamics, name)(field, X)
    return np.linalg.norm(values, axis=1) if values.ndim == 2 else values

def cells_of_a_field(rng, n, d, noise=0.05):
    "States, and velocities that follow a field, with noise and a few outliers."
    X = rng.normal(size=(n, d))
    V = np.tanh(X @ rng.normal(size=(d, d))) + noise * rng.normal(size=(n, d))
    V[: n // 20] = 2 * rng.normal(size=(n // 20, d))
    return X, V

def sparse_in_unit(X, V, **how):
    unit = velocity_unit(V)
    return in_unit(vf.sparse_vfc(X, V / unit, M=len(X), velocity_based_sampling=False, **how), unit)

FITTERS = {"tuned": vf.fit_field, "sparse": sparse_in_unit,
           "matrix": lambda X, V: vf.fit_field(X, V, M=len(X), kernel="mixed", eta=0.5)}

# ---------------------------------------------------------------- fits

@rule("fits do not depend on the order of cells, on the layout of tables, or on cells without numbers")
def fits(o, quick, seed):
    how = dict(fit=st.sampled_from(sorted(ALL_FITTERS)), n=st.integers(8, 90), d=st.integers(1, 4),
               number=st.integers(0, 10**6))
    @for_all(o, seed, 15 if quick else 75, **how)
    def order_of_cells(fit, n, d, number):
        rng = np.random.default_rng(number)
        X, V = cells_of_a_field(rng, n, d)
        cells = rng.permutation(n)
        here, there = (ALL_FITTERS[fit](*t) for t in ((X, V), (X[cells], V[cells])))
        if not (here.converged and there.converged): return
        close(there.field.jacobian(X), here.field.jacobian(X), 1e-5, "Jacobian")
        close(there.inlier_probability, here.inlier_probability[cells], 1e-5, "inlier probability")
        assert set(cells[there.control_idx]) == set(here.control_idx)
        assert set(cells[there.inliers]) == set(here.inliers)
    @for_all(o, seed, 15 if quick else 75, **how, layout=st.sampled_from(["F", "view", "f4", ">f8", "list", "frame"]))
    def layout_of_tables(fit, n, d, number, layout):
        X, V = (t.astype("f4").astype("f8") for t in cells_of_a_field(np.random.default_rng(number), n, d))
        here, there = ALL_FITTERS[fit](X, V), ALL_FITTERS[fit](*(LAYOUTS[layout](t) for t in (X, V)))
        if here.converged: close(there.field.jacobian(X), here.field.jacobian(X), 1e-6)
    @for_all(o, seed, 10 if quick else 50, **how, hole=st.sampled_from([np.nan, np.inf]), where=st.booleans())
    def cells_without_numbers(fit, n, d, number, hole, where):
        rng = np.random.default_rng(number)
        X, V = cells_of_a_field(rng, n, d)
        rows = np.sort(rng.choice(n, size=max(1, n // 5), replace=False))
        Y, W = X.copy(), V.copy()
        (Y if where else W)[rows, rng.integers(d)] = hole
        kept = np.setdiff1d(np.arange(n), rows)
        here, there = ALL_FITTERS[fit](X[kept], V[kept]), ALL_FITTERS[fit](Y, W)
        close(there.field.jacobian(X), here.field.jacobian(X), 1e-7)
        assert_array_equal(there.valid, kept)
        assert there.n_dropped == len(rows)
        for name in ("control_idx", "inliers"): assert_array_equal(getattr(there, name), kept[getattr(here, name)])
    @for_all(o, seed, 10 if quick else 50, **how)
    def nothing_is_changed(fit, n, d, number):
        X, V = cells_of_a_field(np.random.default_rng(number), n, d)
        before = digest(X, V)
        X.flags.writeable = V.flags.writeable = False
        found = ALL_FITTERS[fit](X, V)
        assert digest(X, V) == before, "the tables were changed"
        for name, value in vars(found).items():
            shared = isinstance(value, np.ndarray) and (np.shares_memory(value, X) or np.shares_memory(value, V))
            assert not shared, f"{name} is a view of what was given"

ALL_FITTERS = {
    "sparse": partial(vf.sparse_vfc, M=30), "sparse, any": partial(
        vf.sparse_vfc, M=20, velocity_based_sampling=False),
    "tuned": vf.fit_field, "plain tuned": partial(vf.fit_field, robust=False),
    "matrix": partial(vf.fit_field, kernel="curl_free", beta=0.5)}
LAYOUTS = {"F": np.asfortranarray, "view": lambda t: np.repeat(t, 2, axis=0)[::2], "f4": lambda t: t.astype("f4"),
           ">f8": lambda t: t.astype(">f8"), "list": lambda t: t.tolist(), "frame": pd.DataFrame}

# ---------------------------------------------------------------- cuts

def cut(total, ends): return tuple(np.diff([0, *sorted({e for e in ends if e < total}), total]).tolist())

@rule("blocks of any size, threads, dask chunks and precisions give the same numbers")
def cuts(o, quick, seed):
    @for_all(o, seed, 40 if quick else 200, case=cases(), cores=st.integers(1, 3), mb=st.floats(1e-3, 1e-1))
    def blocks_and_threads(case, cores, mb):
        gj, tensor = case.gj, case.tensor
        close(gj.block(cores=cores), tensor)
        close(np.concatenate([values for _, values in gj.blocks(memory_mb=mb)]), tensor)
        for name, was in answers(gj).items():
            if name in ("mean", "rms", "mean_abs"): close(getattr(gj, name)(cores=cores), was, what=name)
        largest = np.abs(tensor).max(axis=0)
        close(max_abs(gj, cores=cores), largest)
        switched = (np.minimum(tensor, 0) * np.minimum(tensor.transpose(0, 2, 1), 0)).mean(axis=0)
        close(switch_score(gj, cores=cores), switched)
    @for_all(o, seed, 20 if quick else 100, case=cases())
    def a_function_without_jacobian(case):
        "Its steps must not depend on which cells are asked together."
        gj, tensor = case.gj, case.tensor
        plain = replace(gj, field=FunctionField(gj.field.velocity), fit=None)
        close(plain.block(), tensor, 1e-5)
        for i in range(min(3, gj.n_cells)): close(plain.block(cells=[i]), tensor[[i]], 1e-5, f"cell {i} alone")
        close(plain.block(cells=[0, 0, 0]), tensor[[0, 0, 0]], 1e-5, "one cell three times")
        close(plain.mean(), tensor.mean(axis=0), 1e-5)
    @for_all(o, seed, 25 if quick else 125, case=cases(("gaussian", "trend"), (0,)), cores=st.integers(1, 3))
    def single_precision(case, cores):
        single = replace(case.gj, dtype="float32")
        assert single.block().dtype == np.float32
        close(single.block(cores=cores), case.tensor, 1e-4)
        for name, was in answers(case.gj).items():
            if name not in ("sign_fraction", "square"): close(answers(single)[name], was, 1e-3, name)
    if find_spec("dask") is None:
        o.note = "dask is not there: its chunks were not tried"
        return
    import dask.array as da
    @for_all(o, seed, 6 if quick else 60, case=cases(), ends=st.lists(st.integers(1, 23), max_size=4))
    def chunks(case, ends):
        gj, tensor = case.gj, case.tensor
        lazy = replace(gj, states=da.from_array(gj.states, chunks=(cut(gj.n_cells, ends), -1)))
        close(lazy.block(), tensor)
        for name, was in answers(gj).items():
            if name != "sign_fraction": close(answers(lazy)[name], was, 1e-8, name)
        if gj.has_stderr: close(lazy.stderr(), gj.stderr())
        at = case.rng.integers(0, gj.n_cells, 3)
        close(lazy.block(cells=at), tensor[at])
    @for_all(o, seed, 3 if quick else 30, n=st.integers(12, 40), d=st.integers(1, 3), cores=st.integers(1, 3),
             dtype=st.sampled_from(["float64", "float32"]), number=st.integers(0, 10**6))
    def stored(n, d, cores, dtype, number):
        adata = made_up(np.random.default_rng(number), n, d)
        FITS["trend"](adata)
        names = list(adata.var_names[:3])
        expected = vf.gene_jacobian(adata).block(names, names)
        found = vf.jacobian(adata, names, store_in_adata=False, cores=cores, dtype=dtype)
        close(np.moveaxis(found["jacobian_gene"], -1, 0), expected, 1e-9 if dtype == "float64" else 1e-4)
        lazy = adata.copy()
        lazy.obsm["X_pca"] = da.from_array(adata.obsm["X_pca"], chunks=(7, -1))
        close(vf.gene_jacobian(lazy).block(names, names), expected)
        close(np.moveaxis(vf.jacobian(lazy, names, store_in_adata=False)["jacobian_gene"], -1, 0), expected)

# ---------------------------------------------------------------- the same number on every way

@rule("pair, block, stored tensor, projection and mean are the same numbers")
def ways(o, quick, seed):
    @for_all(o, seed, 40 if quick else 200, case=cases())
    def arrays(case):
        gj, tensor, rng = case.gj, case.tensor, case.rng
        e, r = rng.integers(0, gj.n_genes, size=(2, 4))
        close(gj.block(gj.genes[e], gj.genes[r]), tensor[:, e][:, :, r], 1e-8)
        close(np.stack([gj.pair(*pair) for pair in zip(gj.genes[e], gj.genes[r])], axis=1), tensor[:, e, r], 1e-8)
        J = vf.analytical_jacobian(gj.field, gj.states)
        left, right = gj._sides
        close(vf.project_jacobian(J, left, right), tensor)
        close(vf.project_pairs(J, left[e], right[r]), tensor[:, e, r], 1e-8)
        close(gj.mean(), tensor.mean(axis=0))
        close(gj.mean(effectors=gj.genes[e], regulators=gj.genes[r]), tensor.mean(axis=0)[np.ix_(e, r)], 1e-8)
        close(gj.quantile([0, 1]).values, [tensor.min(axis=0), tensor.max(axis=0)])
        close(gj.rms() ** 2, (tensor**2).mean(axis=0))
        close(gj.std() ** 2 + gj.mean() ** 2, (tensor**2).mean(axis=0), 1e-7)
        top = gj.top(3)
        close(np.abs(top["value"]), np.sort(np.abs(tensor.mean(axis=0)).ravel())[::-1][:3])
        small = np.array([-1, 0, gj.n_cells - 1], dtype="i1")
        for kind in ("i1", "i2", "u1", "u2", "i8", "u8"):
            at = small if kind[0] == "i" else small[1:]
            close(gj.block(cells=at.astype(kind)), tensor[at.astype(int)])
    @for_all(o, seed, 8 if quick else 40, n=st.integers(12, 60), d=st.integers(1, 5),
             kind=st.sampled_from(sorted(FITS)), dims=st.booleans(), number=st.integers(0, 10**6))
    def annotated(n, d, kind, dims, number):
        rng = np.random.default_rng(number)
        adata = made_up(rng, n, d)
        cells = rng.choice(n, size=rng.integers(1, n + 1), replace=False)
        if dims and d > 1 and kind != "mixed": vf.fit_vector_field(adata, dims=rng.permutation(d)[: d - 1], beta=0.3)
        else: FITS[kind](adata)
        e, r = (list(rng.permutation(adata.var_names)[:3]) for _ in "er")
        expected = vf.gene_jacobian(adata).block(e, r, cells)
        vf.jacobian(adata, r, e, cell_idx=cells)
        stored = adata.uns["jacobian_pca"]
        close(np.moveaxis(stored["jacobian_gene"], -1, 0), expected, 1e-8)
        found = vf.get_jacobian(adata)
        close(found["value"].to_numpy().reshape(expected.shape), expected, 1e-8)
        assert list(found["cell"].unique()) == list(adata.obs_names[cells])
        one = vf.get_jacobian(adata, r[1], e[2])
        close(one["value"], expected[:, 2, 1], 1e-8)
        det = np.linalg.det(np.moveaxis(stored["jacobian"], -1, 0))
        close(adata.obs["jacobian_det_pca"].to_numpy()[cells], det)
        vf.jacobian(adata, r, e, cell_idx=adata.obs_names[cells], store="lazy")
        close(vf.get_jacobian(adata)["value"], found["value"], 1e-8)
        if kind != "mixed" and not dims:
            A = rng.normal(size=(d, d)) / d
            bent = partial(vf.jacobian, adata, vector_field_class=lambda X: np.tanh(X @ A), store_in_adata=False)
            whole = bent()["jacobian"]
            for i in cells[:2]: close(bent(cell_idx=[i])["jacobian"][..., 0], whole[..., i], 1e-9, "one cell alone")
        number = vf.jacobian(adata, r, e, cell_idx=cells, method="numerical", store_in_adata=False)["jacobian_gene"]
        close(np.moveaxis(number, -1, 0), expected, 1e-5, "numerical")
        ranked = vf.rank_jacobian_genes(adata, effectors=e, regulators=r, cell_idx=cells)
        ranked = ranked.set_index(["effector", "regulator"])["value"].unstack().loc[e, r]
        close(ranked, expected.mean(axis=0), 1e-8)
    @for_all(o, seed, 6 if quick else 30, n=st.integers(12, 40), g=st.integers(1, 5), number=st.integers(0, 10**6))
    def gene_space(n, g, number):
        rng = np.random.default_rng(number)
        adata = made_up(rng, n, 3)
        genes = list(rng.permutation(adata.var_names)[:g])
        vf.fit_vector_field(adata, None, genes=genes, beta=0.3)
        other = adata[:, rng.permutation(adata.n_vars)].copy()
        here, there = (vf.gene_jacobian(a, None).block(genes, genes) for a in (adata, other))
        close(there, here, 1e-12)
        close(np.moveaxis(vf.jacobian(adata, genes, basis=None, store_in_adata=False)["jacobian_gene"], -1, 0), here)

@rule("analytical and numerical derivatives agree, wherever the cells are and however few")
def derivatives(o, quick, seed):
    @for_all(o, seed, 60 if quick else 300, case=cases(), few=st.integers(1, 3), cores=st.integers(1, 2))
    def jacobians(case, few, cores):
        field, X = case.gj.field, case.gj.states
        if case.kind == "function": field = FunctionField(field.velocity, field.jacobian)
        J = vf.analytical_jacobian(field, X, cores)
        close(vf.numerical_jacobian(field, X, cores), J, 1e-6)
        for rows in (X[:1], np.repeat(X[:1], 3, axis=0), X[:few], X[:1] + 1e-13 * np.arange(2)[:, None]):
            size = np.abs(J).max() / np.maximum(np.abs(field.jacobian(rows)).max(), 1e-300)
            close(vf.numerical_jacobian(field, rows), field.jacobian(rows), 1e-3 * max(1, size), f"{len(rows)} cells")
        assert vf.check_jacobian(field, X).passed
    @for_all(o, seed, 30 if quick else 150, case=cases(at=(0, 10)))
    def along_directions(case):
        field, X, rng = case.gj.field, case.gj.states, case.rng
        U = rng.normal(size=X.shape)
        along = np.einsum("nij,nj->ni", field.jacobian(X), U)
        close(dynamics.directional_derivative(field, X, U), along, 1e-8)
        h = 1e-4
        second = (field.velocity(X + h * U) - 2 * field.velocity(X) + field.velocity(X - h * U)) / h**2
        size = np.abs(field.jacobian(X)).max() * 10 + np.abs(field.velocity(X)).max()
        assert_allclose(dynamics.second_derivative(field, X, U), second, atol=1e-5 * size * (1 + (U**2).sum()))
        close(dynamics.divergence(field, X), np.trace(field.jacobian(X), axis1=1, axis2=2), 1e-7)
        close(dynamics.acceleration(field, X), np.einsum("nij,nj->ni", field.jacobian(X), field.velocity(X)), 1e-8)

# ---------------------------------------------------------------- standard errors

def errors_by_hand(gj):
    "The covariance of every entry between two cells, one cell after the other: effector part, and ψ (n, n_genes, r)."
    p, (left, right) = gj.posterior, gj._sides
    psi = []
    for x in gj.states:
        away = x - p.field.control_points
        K = np.exp(-p.beta * (away**2).sum(axis=1))
        of_kernels = -2 * p.beta * (K[:, None] * away).T @ p.root[: len(K)]
        psi.append(right @ (of_kernels + (p.root[len(K) + 1:] if len(p.root) > len(K) else 0)))
    return np.sqrt(np.einsum("ek,kl,el->e", left, p.covariance, left)), np.array(psi)

@rule("standard errors of pairs, blocks, means, differences and sets are those of the covariance")
def errors(o, quick, seed):
    @for_all(o, seed, 40 if quick else 200, case=cases(("gaussian", "trend"), (0, 30)))
    def by_hand(case):
        gj, rng, (part, psi) = case.gj, case.rng, errors_by_hand(case.gj)
        expected = part[:, None] * np.linalg.norm(psi, axis=2)[:, None, :]
        close(gj.stderr(), expected, 1e-6)
        i, j = rng.integers(0, gj.n_genes, 2)
        close(gj.pair_stderr(gj.genes[i], gj.genes[j]), expected[:, i, j], 1e-6)
        close(gj.stderr([gj.genes[i]], [gj.genes[j]], [0])[:, 0, 0], expected[:1, i, j], 1e-6)
        close(gj.mean_stderr(), np.outer(part, np.linalg.norm(psi.mean(axis=0), axis=1)), 1e-6)
        labels = np.where(np.arange(gj.n_cells) % 2, "b", "a")
        for group, error in gj.mean_stderr(labels).items():
            close(error, np.outer(part, np.linalg.norm(psi[labels == group].mean(axis=0), axis=1)), 1e-6)
        if gj.n_cells > 1:
            a, b = np.flatnonzero(labels == "a"), np.flatnonzero(labels == "b")
            value, error = gj.difference(a, b)
            close(value, case.tensor[a].mean(axis=0) - case.tensor[b].mean(axis=0), 1e-7)
            own = np.outer(part, np.linalg.norm(psi[a].mean(axis=0) - psi[b].mean(axis=0), axis=1))
            assert_allclose(error, own, atol=1e-6 * expected.max())
        sets = dict(s=list(gj.genes[: 1 + gj.n_genes // 2]), t=list(gj.genes[gj.n_genes // 2:]))
        found = vf.gene_set_jacobian(gj, sets).set_index(["effector", "regulator"])
        for name, genes in sets.items():
            at = [list(gj.genes).index(g) for g in genes]
            close(found["value"][name, name], case.tensor.mean(axis=0)[np.ix_(at, at)].mean(), 1e-6)
            side = gj._sides[0][at].mean(axis=0)
            own = np.sqrt(side @ gj.posterior.covariance @ side) * np.linalg.norm(psi.mean(axis=0)[at].mean(axis=0))
            close(found["stderr"][name, name], own, 1e-6)
    @for_all(o, seed, 8 if quick else 40, n=st.integers(15, 60), d=st.integers(1, 3), b=units, s=units,
             kind=st.sampled_from(["tuned", "trend", "sparse"]), number=st.integers(0, 10**6))
    def in_other_units(n, d, b, s, kind, number):
        "Velocities times b, genes and states times s."
        rng = np.random.default_rng(number)
        adata = made_up(rng, n, d)
        other = adata.copy()
        other.X = s * adata.X
        other.obsm["X_pca"], other.obsm["velocity_pca"] = s * adata.obsm["X_pca"], s * b * adata.obsm["velocity_pca"]
        other.layers["velocity"], other.uns["pca_mean"] = s * b * adata.layers["velocity"], s * adata.uns["pca_mean"]
        how = dict(tuned={}, trend=dict(trend=True), sparse=dict(tune=False))[kind]
        if not all([vf.fit_vector_field(a, **how).converged for a in (adata, other)]): return
        here, there = (vf.gene_jacobian(a) for a in (adata, other))
        close(there.mean() / b, here.mean(), 1e-4, "mean")
        close(there.mean_stderr() / b, here.mean_stderr(), 1e-3, "stderr")
        close(there.z(), here.z(), 1e-3, "z")
        if kind == "tuned":
            verdicts = [vf.diagnose(a, n_shuffles=5).table for a in (adata, other)]
            close(verdicts[1]["figure"].astype(float), verdicts[0]["figure"].astype(float), 1e-2, "diagnosis")
            assert list(verdicts[0]["verdict"]) == list(verdicts[1]["verdict"])

# ---------------------------------------------------------------- sampling

@rule("sampling gives different cells that are there, or says why not")
def samples(o, quick, seed):
    @for_all(o, seed, 60 if quick else 300, N=st.integers(1, 40), n=st.integers(1, 45), d=st.integers(1, 4),
             method=st.sampled_from(sampling.METHODS), twins=st.integers(1, 5), resting=st.floats(0, 1),
             at=st.sampled_from([0, 1e3]), number=st.integers(0, 2**32 - 1),
             layout=st.sampled_from(["F", "view", "f4", "list", "frame", "sparse"]))
    def different_cells(N, n, d, method, twins, resting, at, number, layout):
        rng = np.random.default_rng(number)
        X = at + np.repeat(rng.normal(size=(N, d)), twins, axis=0)[:N].astype("f4").astype("f8")
        V = (rng.normal(size=(N, d)) * (rng.uniform(size=(N, 1)) > resting)).astype("f4").astype("f8")
        names = np.array([f"c{i}" for i in range(N)])
        before = digest(X, V)
        try: chosen = vf.sample(N, n, method, X=X, V=V, seed=number)
        except ValueError as e:
            assert method == "velocity" and np.count_nonzero(V.any(axis=1)) < n and "move" in str(e), e
            return
        assert digest(X, V) == before
        assert chosen.dtype.kind == "i" and len(chosen) == min(n, N) == len(set(chosen.tolist()))
        assert 0 <= chosen.min() and chosen.max() < N
        assert_array_equal(vf.sample(N, n, method, X=X, V=V, seed=number), chosen)
        assert_array_equal(vf.sample(names, n, method, X=X, V=V, seed=number), names[chosen])
        lay = sp.csr_matrix if layout == "sparse" else LAYOUTS[layout]
        exact = layout != "f4" or at == 0
        if exact: assert_array_equal(vf.sample(N, n, method, X=lay(X), V=lay(V), seed=number), chosen)
    @for_all(o, seed, 8 if quick else 40, n=st.integers(12, 40), k=st.integers(1, 45),
             method=st.sampled_from(sampling.METHODS), number=st.integers(0, 10**6))
    def of_annotated_data(n, k, method, number):
        adata = made_up(np.random.default_rng(number), n, 2)
        FITS["trend"](adata)
        vf.jacobian(adata, ["g0"], sampling=method, sample_ncells=k)
        stored = adata.uns["jacobian_pca"]
        assert len(set(stored["cells"])) == len(stored["cells"]) == min(k, n)
        assert_array_equal(adata.obs_names[stored["cell_idx"]], stored["cells"])
        close(vf.get_jacobian(adata)["value"], vf.gene_jacobian(adata).pair("g0", "g0", stored["cell_idx"]))

# ---------------------------------------------------------------- files

def contents(value, name=""):
    "Every array and number of an AnnData, a table or a dict: path → value."
    if isinstance(value, anndata.AnnData):
        parts = dict(X=value.X, obs=value.obs, var=value.var, uns=dict(value.uns))
        for kind in ("layers", "obsm", "varm", "obsp", "varp"):
            parts[kind] = {k: v for k, v in getattr(value, kind).items() if k is not None}
        return contents(parts, name)
    if isinstance(value, pd.DataFrame): value = {"index": value.index} | {c: value[c] for c in value}
    if hasattr(value, "items") and not isinstance(value, pd.Series):
        return {key: v for k, part in value.items() for key, v in contents(part, f"{name}/{k}").items()}
    return {name: value}

@rule("what is written to h5ad or zarr and read again answers the same")
def files(o, quick, seed):
    kinds = ["h5ad", "gzip"] + ["zarr"] * (find_spec("zarr") is not None)
    if "zarr" not in kinds: o.note = "zarr is not there: only h5ad was tried"
    def compared(here, there, basis, genes):
        tables = [vf.get_jacobian(a, basis=basis) for a in (here, there)]
        pd.testing.assert_frame_equal(*tables, check_dtype=False, check_exact=True)
        tensors = [vf.gene_jacobian(a, basis) for a in (here, there)]
        for ask in (of_cells, answers):
            for name, values in ask(tensors[0]).items(): assert_array_equal(ask(tensors[1])[name], values, name)
        stale = [vf.adata.read_jacobian(a, basis).stale for a in (here, there)]
        assert stale == [False, False]
        for name, was in contents(dict(here.uns)).items():
            now = contents(dict(there.uns))[name]
            if np.asarray(was).dtype.kind in "fiub": assert_array_equal(np.asarray(now), was, name)
    @for_all(o, seed, 5 if quick else 40, n=st.integers(12, 40), d=st.integers(1, 4), kind=st.sampled_from(kinds),
             fit=st.sampled_from(sorted(FITS)), dtype=st.sampled_from(["float64", "float32"]), lazy=st.booleans(),
             space=st.booleans(), backed=st.booleans(), number=st.integers(0, 10**6))
    def again(n, d, kind, fit, dtype, lazy, space, backed, number):
        rng = np.random.default_rng(number)
        adata, basis = made_up(rng, n, d), "pca"
        if space:
            basis = None
            vf.fit_vector_field(adata, None, genes=["g2", "g0", "g1"], beta=0.3)
        else: FITS[fit](adata)
        genes = ["g1", "g0"]
        vf.jacobian(adata, genes, basis=basis, cell_idx=rng.permutation(n)[: n // 2], dtype=dtype,
                    store="lazy" if lazy else "tensor")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"cells.{'zarr' if kind == 'zarr' else 'h5ad'}"
            if kind == "zarr": adata.write_zarr(path)
            else: adata.write_h5ad(path, compression="gzip" if kind == "gzip" else None)
            if kind == "zarr": there = anndata.read_zarr(path)
            else: there = anndata.read_h5ad(path, backed="r" if backed else None)
            try: compared(adata, there, basis, genes)
            finally:
                if kind != "zarr" and backed: there.file.close()

# ---------------------------------------------------------------- what is handed in

LABELS = {   # what labels may be, in the order of the words a and b
    "objects": lambda b: np.where(b, "b", "a").astype(object), "whole numbers": lambda b: b.astype(int),
    "yes and no": lambda b: b, "fractions": lambda b: b / 2, "strings": lambda b: pd.array(np.where(
        b, "b", "a"), dtype="string"), "days": lambda b: pd.to_datetime(np.where(b, "2021-01-02", "2020-03-04")),
    "months": lambda b: pd.PeriodIndex(np.where(b, "2021-01", "2020-03"), freq="M"),
    "numbers of pandas": lambda b: pd.array(b.astype(int), dtype="Int64"),
    "unused categories": lambda b: pd.Categorical(np.where(b, "b", "a"), ["a", "no one", "b", "nobody"]),
    "categories of numbers": lambda b: pd.Categorical(b.astype(int), [0, 1, 7], ordered=True),
    "intervals": lambda b: pd.cut(b.astype(float), [-1, 0.5, 2])}
NAMED = {   # what cells may be called
    "words": lambda n: [f"c{i}" for i in range(n)], "numbers": lambda n: pd.RangeIndex(n),
    "other numbers": lambda n: pd.Index(np.arange(n)[::-1]),
    "blanks": lambda n: [f" c {i} " for i in range(n)], "signs": lambda n: [f"β/{i};'\"" for i in range(n)]}

def odd_columns(a):
    "Columns that nobody needs: called by numbers, twice there, of mixed and empty values."
    n = a.n_obs
    odd = pd.DataFrame({0: 1.0, "mixed": [1, "x", None, 2.5][: n] * (n // 4) + [None] * (n % 4), "empty": np.nan,
                        "lists": [[1]] * n, "constructor": "toString"}, index=a.obs.index)
    a.obs = pd.concat([a.obs, odd, odd[["empty"]]], axis=1)
    a.var = pd.concat([a.var, pd.DataFrame({1: 2.0, "twice": "x"}, index=a.var.index)] + [
        pd.DataFrame(dict(twice="y"), index=a.var.index)], axis=1)

@rule("odd tables and labels of any kind give what plain ones give, by every public function")
def odd_tables(o, quick, seed):
    asked = {name for name in vf.__all__ if inspect.isfunction(f := getattr(vf, name))
             and next(iter(inspect.signature(f).parameters)) in ("adata", "data")}
    known = {name.split()[0] for name in hostile.TOOLS} | {"save_network"}
    o.ran("every public function on an AnnData is asked", lambda: asked <= known or f"{sorted(asked - known)} are not")

    @for_all(o, seed, 3 if quick else 12, label=st.sampled_from(sorted(LABELS)), named=st.sampled_from(sorted(NAMED)),
             gaps=st.booleans(), number=st.integers(0, 10**6))
    def every_function(label, named, gaps, number):
        rng, twin, n = np.random.default_rng(number), hostile.plain(), hostile.N
        second, kept = rng.uniform(size=n) > 0.5, rng.uniform(size=n) > 0.2 * gaps
        second[:4], kept[:4] = [False, True] * 2, True
        odd = hostile.renamed(None, list(NAMED[named](n)).__getitem__)(twin.copy())
        labels = pd.Series(LABELS[label](second))
        odd.obs["group"] = (labels if kept.all() else labels.where(kept)).array
        twin.obs["group"] = pd.Categorical([str(v) if k else None for v, k in zip(odd.obs["group"], kept)])
        odd_columns(odd)
        for tool in hostile.asked(quick):
            if tool.slow:
                if number % 5 == 0: hostile.answer(tool, odd.copy())   # a page or picture, or a refusal
                continue
            said = hostile.tried(tool, odd.copy(), hostile.answer(tool, twin.copy()), 1e-6, True)
            assert said is None, f"{tool.name}: {said}"


@rule("velocities that lack entries here and there, and genes, give the entries that whole ones give")
def lacking(o, quick, seed):
    @for_all(o, seed, 20 if quick else 100, n=st.integers(20, 60), d=st.integers(1, 4), lost=st.floats(0, 0.15),
             absent=st.sampled_from([np.nan, np.inf, 0.0]), genes=st.integers(0, 3), trusted=st.booleans(),
             layer=st.sampled_from(["velocity", "velocity_S", "rates"]), number=st.integers(0, 10**6))
    def a_layer(n, d, lost, absent, genes, trusted, layer, number):
        rng = np.random.default_rng(number)
        twin = made_up(rng, n, d, n_genes=3 * d + 6)
        del twin.obsm["velocity_pca"]
        odd = twin.copy()
        V = odd.layers[layer] = odd.layers.pop("velocity")
        V[rng.uniform(size=V.shape) < lost] = np.nan
        V[:, d + 6:d + 6 + genes] = 9.0 if trusted else absent
        if trusted: odd.var[f"{layer}_genes"] = V[0] != 9.0
        fit = vf.fit_vector_field(odd, velocity_key=layer, beta=0.3)
        twin.layers["velocity"][np.setdiff1d(np.arange(n), fit.valid)] = np.nan   # cells that keep next to nothing
        vf.fit_vector_field(twin, beta=0.3)
        close(vf.gene_jacobian(odd).block(), vf.gene_jacobian(twin).block(), 1e-5)


@rule("functions of arrays change nothing that is handed in, and hand out no view of it")
def handed_in(o, quick, seed):
    rng = np.random.default_rng(0)
    X, V, Q, U = rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), rng.normal(size=(6, 3)), rng.normal(size=(20, 2))
    field = some_field(rng, "trend", 3, 8)
    J, S = field.jacobian(X), sp.csr_matrix(np.abs(rng.normal(size=(20, 6))))
    plain = dict(
        sparse_vfc=lambda: vf.sparse_vfc(X, V, M=8), fit_field=lambda: vf.fit_field(X, V),
        local_maps=lambda: vf.local_maps(U, X), mixed=lambda: vf.fit_field(X, V, M=8, kernel="mixed"),
        analytical_jacobian=lambda: vf.analytical_jacobian(field, X),
        numerical_jacobian=lambda: vf.numerical_jacobian(field, X), check_jacobian=lambda: vf.check_jacobian(field, X),
        lift_field=lambda: vf.lift_field(some_field(rng, "gaussian", 2, 5), U, X).jacobian(X),
        regressed_loadings=lambda: vf.regressed_loadings(X, S),
        decoded_jacobian=lambda: vf.decoded_jacobian(field, lambda z: np.tanh(z @ Q.T), X),
        project_jacobian=lambda: vf.project_jacobian(J, Q, Q), project_pairs=lambda: vf.project_pairs(J, Q, Q),
        GaussianField=lambda: GaussianField(X, V, 0.1), MatrixGaussianField=lambda: MatrixGaussianField(X, V, 0.1),
        Posterior=lambda: Posterior(GaussianField(X, V, 0.1), 0.1, np.eye(20), V[0] ** 2),
        GeneJacobian=lambda: [of_cells(g := GeneJacobian(field, X, Q, range(6))), answers(g), g.top()],
        **{f"sample {m}": partial(vf.sample, 20, 7, m, X=X, V=V) for m in sampling.METHODS},
        **{f"dynamics.{name}": partial(getattr(dynamics, name), field, X) for name in (
            "divergence", "determinant", "curl", "acceleration", "curvature", "curvature_vector", "torsion",
            "eigenvalues")},
        integrate=lambda: dynamics.integrate(field, X[:3], 0.3), eigenmodes=lambda: dynamics.eigenmodes(J),
        sensitivity=lambda: dynamics.sensitivity(J), fixed_points=lambda: dynamics.fixed_points(field, X, n_starts=5),
        function_field=lambda: FunctionField(lambda x: x.__imul__(2)).velocity(X),
    )
    tables = (X, V, Q, U, J, S, field.control_points, field.coefficients, field.slope, field.offset)
    def work(call):
        before = digest(*tables)
        result = call()
        if digest(*tables) != before: return "changed what was handed in"
        owned = result if isinstance(result, np.ndarray) else None
        parts = [owned] if owned is not None else [v for v in getattr(result, "__dict__", {}).values()
                                                   if isinstance(v, np.ndarray)]
        shared = [p for p in parts if any(np.shares_memory(p, t) for t in tables[:5])]
        return "its result is a view of what was handed in" if shared else None
    for name, call in plain.items(): o.ran(name, partial(work, call))
