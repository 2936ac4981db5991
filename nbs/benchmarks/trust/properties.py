"""What must not change a result does not change it: random fields, tables, orders, units, cuts.

The cases are made up by hypothesis, the same ones for the same seed. Each is counted; the first that fails is shown.
The order of cells and genes, blocks, threads, chunks and precisions of a tensor itself are tried in 03_invariants.
"""


import warnings
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
import verbs
from hypothesis import HealthCheck, Phase, configuration, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from outcome import close, digest, promise
from scipy.stats import ortho_group

import vfjac as vf
from vfjac import dynamics, sampling
from vfjac.fields import FunctionField, GaussianField, MatrixGaussianField, RescaledField
from vfjac.fit import in_unit, velocity_unit
from vfjac.genejacobian import GeneJacobian
from vfjac.posterior import Posterior, regulator_part

rule = partial(promise, "properties")
configuration.set_hypothesis_home_dir(verbs.file("hypothesis"))   # nothing is left in the checkout
numbers, sizes = st.integers(0, 2**32 - 1), st.integers
units = st.sampled_from([1e-6, 0.1, 1.0, 3.0, 1e4])

def for_all(outcome, seed, examples, check, **made_up):
    "Try a check on many made-up cases; each counts, up to the first that fails, which is told."
    def counted(**case):
        outcome.tried += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(**case)
        outcome.right += 1
    rules = settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck),
                     report_multiple_bugs=False, print_blob=False, phases=(Phase.generate,))   # shrinking takes minutes
    try: seeded(seed)(rules(given(**made_up)(counted)))()
    except Exception as e:
        notes = " ".join(getattr(e, "__notes__", ()))
        outcome.problems.append(f"{check.__name__}: {type(e).__name__}: {str(e).strip()[:400]} {notes[:400]}")

# ---------------------------------------------------------------- made-up fields and cells

KINDS, GAUSSIAN = ("gaussian", "trend", "matrix", "rescaled", "function"), ("gaussian", "trend")

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
    return Posterior(field, 1.5 * field.beta, rng.normal(size=(rows, min(rows, 4))), rng.uniform(1, 2, d))

@dataclass
class Case:
    gj: GeneJacobian
    rng: np.random.Generator
    kind: str
    @property
    def sides(self):
        gj, s = self.gj, 1.0 if self.gj.scale is None else self.gj.scale[:, None]
        return gj.loadings * s, gj.loadings / s
    @property
    def tensor(self):
        "By hand: cell by cell, through J in components."
        left, right = self.sides
        return np.stack([left @ self.gj.field.jacobian(x[None])[0] @ right.T for x in self.gj.states])
    @property
    def errors(self):
        "By hand: of each effector, and ψ of each cell and regulator; the covariance of entries is their product."
        p, (left, right), psi = self.gj.posterior, self.sides, []
        for x in self.gj.states:
            away = x - p.field.control_points
            K = np.exp(-p.beta * (away**2).sum(axis=1))
            of_kernels = -2 * p.beta * (K[:, None] * away).T @ p.root[: len(K)]
            psi.append(right @ (of_kernels + (p.root[len(K) + 1:] if len(p.root) > len(K) else 0)))
        return np.sqrt(np.einsum("ek,kl,el->e", left, p.covariance, left)), np.array(psi)

@st.composite
def cases(draw, kinds=KINDS, at=(0, 100)):
    d, M, n_genes, n = draw(st.tuples(*(st.integers(1, most) for most in (5, 9, 7, 24))))
    kind, rng, at = draw(st.sampled_from(kinds)), np.random.default_rng(draw(numbers)), draw(st.sampled_from(at))
    field, dtype = some_field(rng, kind, d, M, at), draw(st.sampled_from(["f8", "f4", ">f8"]))
    X, Q = (at + rng.normal(size=(n, d))).astype(dtype), rng.normal(size=(n_genes, d)).astype(dtype)
    if draw(st.booleans()): X, Q = np.asfortranarray(X), Q[:, ::-1]
    return Case(GeneJacobian(
        field=field, states=X, loadings=Q, genes=[f"g{i}" for i in range(n_genes)], cells=[f"c{i}" for i in range(n)],
        scale=rng.uniform(0.5, 2, n_genes) if draw(st.booleans()) else None,
        fit=some_posterior(rng, field) if kind in GAUSSIAN else None), rng, kind)

def answers(gj, **how):
    "Everything a lazy tensor says of all genes: over cells, arrays that end in effectors and regulators; of cells."
    found = {name: getattr(gj, name)(**how) for name in ("mean", "rms", "mean_abs", "sign_fraction")}
    found |= dict(moment=np.sqrt(gj.std(**how) ** 2 + gj.mean() ** 2), block=gj.block(**how))
    low, median, high = gj.quantile([0, 0.5, 1]).values
    found |= dict(low=low, median=median, high=high)
    return found | (dict(mean_stderr=gj.mean_stderr(), stderr=gj.stderr(), z=gj.z()) if gj.has_stderr else {})

def by_hand(case):
    T = case.tensor
    found = dict(
        block=T, mean=T.mean(axis=0), rms=np.sqrt((T**2).mean(axis=0)), mean_abs=np.abs(T).mean(axis=0),
        sign_fraction=(T > 0).mean(axis=0), moment=np.sqrt((T**2).mean(axis=0)), low=T.min(axis=0), high=T.max(axis=0),
        median=np.median(T, axis=0))
    if not case.gj.has_stderr: return found
    part, psi = case.errors
    error = part[:, None] * np.linalg.norm(psi, axis=2)[:, None, :]
    return found | dict(stderr=error, z=T / error, mean_stderr=np.outer(part, np.linalg.norm(psi.mean(axis=0), axis=1)))

def agree(found, right, tolerance, leave=("sign_fraction", "z")):
    "All answers, but for those that rounding decides where an entry is zero."
    for name in right.keys() - set(leave): close(found[name], right[name], tolerance, name)

# ---------------------------------------------------------------- AnnData

def made_up(rng, n, d, n_genes=6):
    "Cells whose genes follow a few components exactly; velocities with noise; groups, rates and a plane picture."
    n_genes = max(n_genes, d)
    Q = np.linalg.qr(rng.normal(size=(n_genes, n_genes)))[0][:, :d]
    Z, mean = rng.normal(size=(n, d)) * np.linspace(1.5, 0.7, d), rng.uniform(3, 6, n_genes)
    V = np.tanh(Z @ rng.normal(size=(d, d))) + 0.05 * rng.normal(size=(n, d))
    a = anndata.AnnData(Z @ Q.T + mean)
    a.var_names, a.obs_names = [f"g{i}" for i in range(n_genes)], [f"c{i}" for i in range(n)]
    a.obsm["X_pca"], a.obsm["velocity_pca"], a.varm["PCs"] = np.asfortranarray(Z), V, Q
    a.layers["velocity"], a.uns["pca_mean"] = V @ Q.T, mean
    a.obsm["X_pca2"] = np.column_stack([Z, Z[:, 0] ** 2])[:, :2] + [1.0, 2.0]
    a.obs["group"] = pd.Categorical(["a", *rng.choice(["a", "b"], n - 2), "b"])
    a.obs["time"], a.var["chosen"] = rng.uniform(size=n), np.arange(n_genes) < 3
    a.var["gamma"], a.var["beta"] = rng.uniform(0.5, 1, n_genes), rng.uniform(1, 2, n_genes)
    return a

def mixed(a): return vf.fit_vector_field(a, kernel="mixed", beta=0.3, eta=0.5 if a.obsm["X_pca"].shape[1] > 1 else 1.0)

FITS = dict(
    tuned=vf.fit_vector_field, trend=partial(vf.fit_vector_field, trend=True, beta=0.3), mixed=mixed,
    sparse=partial(vf.fit_vector_field, tune=False), dynamo=partial(vf.fit_vector_field, compat="dynamo"))
fit_kinds = st.sampled_from(sorted(FITS))
KEYS = ["cell", "effector", "regulator"]

def by_key(a, *asked): return vf.get_jacobian(a, *asked).set_index(KEYS)["value"]

def gene_block(found): return np.moveaxis(found["jacobian_gene"], -1, 0)

TABLES = dict.fromkeys(("divergence", "speed", "acceleration", "determinant", "eigenvalues"), {}) | dict(
    rank_jacobian_genes=dict(groups="group"), rank_divergence_genes=dict(groups="group"),
    perturb=dict(changes=dict(g0=0.1)), compare_groups=dict(a="a", groups="group"),
    sensitivity=dict(regulators=["g0", "g1"]),
    gene_set_jacobian=dict(effectors=dict(s=["g0", "g1"], t=["g2"]), groups="group"),
    perturb_cells=dict(changes=dict(g0=0.1), embedding="pca2"))

@rule("the order of cells and of genes changes nothing but the order")
def order(o, quick, seed):
    def annotated_data(n, d, kind, number):
        rng = np.random.default_rng(number)
        a = made_up(rng, n, d)
        cells, genes = rng.permutation(n), rng.permutation(a.n_vars)
        other = a[cells][:, genes].copy()
        settled = [FITS[kind](b).converged for b in (a, other)]   # if not, the fit warns: it may be anywhere
        for b in (a, other): vf.jacobian(b, list(a.var_names[:3]))
        right = by_key(a)
        if all(settled): close(by_key(other).reindex(right.index), right, 1e-4)
        moved = a[cells][:, genes].copy()     # the field and its Jacobian of before, in another order
        close(by_key(moved).reindex(right.index), right, 1e-12)
        few = a[cells[: n // 2]][:, genes[:3]].copy()   # some of the cells and of the genes
        here, there = (vf.gene_jacobian(b) for b in (a, few))
        of = few.var_names[:2], few.var_names[1:]
        close(there.block(*of), here.block(*of, few.obs_names), 1e-9, "block of some")
        if here.has_stderr: close(there.stderr(*of), here.stderr(*of, few.obs_names), 1e-7, "stderr of some")
        rows = by_key(few)
        assert set(rows.index.get_level_values("cell")) == set(few.obs_names)
        close(rows, right.reindex(rows.index), 1e-12, "stored, of some")
        for name, how in TABLES.items():
            here, there = (getattr(vf, name)(b, **how) for b in (a, moved))
            keys = [c for c in (*KEYS, "gene", "group", "mode") if c in here]
            here, there = here.set_index(keys), there.set_index(keys).reindex(here.set_index(keys).index)
            for column in here.select_dtypes("number").columns.difference(["rank", "phase"]):
                close(there[column], here[column], 1e-7, f"{name}, {column}")
    for_all(o, seed, 6 if quick else 30, annotated_data, n=sizes(12, 60), d=sizes(1, 4), kind=fit_kinds, number=numbers)

# ---------------------------------------------------------------- frames and units

def moved_field(field, R, shift, a, b):
    "The same Gaussian field in states `a x Rᵀ + shift`, velocities times `b`."
    offset, slope = field.offset, field.slope
    if slope is not None:
        slope = b / a * R @ slope @ R.T
        offset = b * R @ offset - slope @ shift
    c = a * field.control_points @ R.T + shift
    return GaussianField(c, b * field.coefficients @ R.T, field.beta / a**2, offset, slope)

def sizes_of(field, X, name):
    values = field.velocity(X) if name == "speed" else getattr(dynamics, name)(field, X)
    return np.linalg.norm(values, axis=1) if values.ndim == 2 else values

def cells_of_a_field(rng, n, d):
    "States, and velocities that follow a field, with noise and a few outliers."
    X = rng.normal(size=(n, d))
    V = np.tanh(X @ rng.normal(size=(d, d))) + 0.05 * rng.normal(size=(n, d))
    V[: n // 20] = 2 * rng.normal(size=(n // 20, d))
    return X, V

def sparse_in_unit(X, V):
    unit = velocity_unit(V)
    return in_unit(vf.sparse_vfc(X, V / unit, M=len(X), velocity_based_sampling=False), unit)

FRAMED = dict(tuned=vf.fit_field, sparse=sparse_in_unit,
              matrix=lambda X, V: vf.fit_field(X, V, M=len(X), kernel="mixed", eta=0.5))

@rule("shifts, rotations and units act as the mathematics says")
def frames(o, quick, seed):
    def a_field(case, a, b, at):
        gj, d, X = case.gj, case.gj.states.shape[1], case.gj.states
        R, shift = rotation(case.rng, d), a * at * case.rng.normal(size=d)
        field, p = moved_field(gj.field, R, shift, a, b), gj.posterior
        Y, noise = a * X @ R.T + shift, np.full(d, p.noise.mean())
        here = replace(gj, fit=replace(p, noise=noise, correlation=None))
        there = replace(gj, field=field, states=Y, loadings=gj.loadings @ R.T,
                        fit=Posterior(field, p.beta / a**2, p.root, b**2 * noise))
        if case.kind == "trend": here, there = replace(here, fit=None), replace(there, fit=None)
        right, found = answers(here), answers(there)
        agree({k: v * a / b for k, v in found.items()}, right, 1e-8)
        for name, unit in dict(divergence=b / a, acceleration=b**2 / a, speed=b).items():
            close(sizes_of(field, Y, name) / unit, sizes_of(gj.field, X, name), 1e-7, name)
        trace = dynamics.eigenvalues(gj.field, X).sum(axis=1).real
        close(dynamics.eigenvalues(field, Y).sum(axis=1).real * a / b, trace, 1e-7)
        close(dynamics.divergence(gj.field, X), trace, 1e-7)
        if d > 1:
            bent = [dynamics.curvature(f, x) for f, x in ((field, Y), (gj.field, X))]
            slow = np.linalg.norm(gj.field.jacobian(X), axis=(1, 2)) / sizes_of(gj.field, X, "speed")
            assert (np.abs(bent[0] * a - bent[1]) <= 1e-6 * slow).all(), "curvature"
        if d == 2: close(dynamics.curl(field, Y) * a / b * np.linalg.det(R), dynamics.curl(gj.field, X), 1e-7, "curl")
        still = moved_field(gj.field, np.eye(d), np.zeros(d), a, b)   # the box in which points are sought stays
        rest = [dynamics.fixed_points(f, x, n_starts=5) for f, x in ((still, a * X), (gj.field, X))]
        assert list(rest[0].kind) == list(rest[1].kind), "fixed points"
        assert_allclose(rest[0].states, a * rest[1].states, atol=1e-5 * a * (1 + np.abs(X).max()))
        away = [dynamics.integrate(f, x[:2], t, rtol=1e-10).states - x[:2, None]
                for f, x, t in ((field, Y, 0.5 * a / b), (gj.field, X, 0.5))]
        far = 1e-4 * (1 + np.abs(away[1]).max() + at * 1e-3)
        assert_allclose(away[0] / a, away[1] @ R.T, atol=far, err_msg="paths")
    def a_fit(fit, n, d, a, b, at, number):
        rng = np.random.default_rng(number)
        X, V = cells_of_a_field(rng, n // 2 if fit == "matrix" else n, d)
        R, shift = rotation(rng, d), a * at * rng.normal(size=d)
        S = np.eye(d) if fit == "tuned" else R   # each dimension of the velocities has a noise of its own there
        Y = a * X @ R.T + shift
        here, there = FRAMED[fit](X, V), FRAMED[fit](Y, b * V @ S.T)
        if not (here.converged and there.converged): return   # the fit said so in a warning: it may be anywhere
        if np.sqrt(here.sigma2) < 1e-4 * np.abs(V).max(): return   # it goes through every cell: rounding decides
        close(S.T @ there.field.jacobian(Y) @ R * a / b, here.field.jacobian(X), 1e-4, "Jacobian")
        close(there.inlier_probability, here.inlier_probability, 1e-4, "inlier probability")
        assert_array_equal(there.inliers, here.inliers)
        close(np.sqrt(there.sigma2) / b, np.sqrt(here.sigma2), 1e-4, "noise")
        if fit == "matrix": return
        close(np.sqrt(there.noise.sum()) / b, np.sqrt(here.noise.sum()), 1e-4, "noise of all dimensions")
        right = regulator_part(here.posterior, X, np.eye(d))
        close(regulator_part(there.posterior, Y, R.T) * a, right, 1e-3, "standard errors")
    for_all(o, seed, 40 if quick else 200, a_field, case=cases(GAUSSIAN, (0,)), a=units,
            b=units, at=st.sampled_from([0.0, 50.0]))
    for_all(o, seed, 12 if quick else 60, a_fit, fit=st.sampled_from(sorted(FRAMED)), n=sizes(15, 80), d=sizes(2, 4),
            a=units, b=units, at=st.sampled_from([0.0, 30.0]), number=numbers)

# ---------------------------------------------------------------- fits

FITTERS = {
    "sparse": partial(vf.sparse_vfc, M=30), "sparse, any": partial(vf.sparse_vfc, M=20, velocity_based_sampling=False),
    "tuned": vf.fit_field, "plain tuned": partial(vf.fit_field, robust=False),
    "matrix": partial(vf.fit_field, kernel="curl_free", beta=0.5)}
LAYOUTS = {
    "F": np.asfortranarray, "view": lambda t: np.repeat(t, 2, axis=0)[::2], "f4": lambda t: t.astype("f4"),
    ">f8": lambda t: t.astype(">f8"), "list": np.ndarray.tolist, "frame": pd.DataFrame}

@rule("fits do not depend on the order of cells, on the layout of tables, or on cells without numbers")
def fits(o, quick, seed):
    def drawn(fit, n, d, number):
        rng = np.random.default_rng(number)
        X, V = (t.astype("f4").astype("f8") for t in cells_of_a_field(rng, n, d))
        before = digest(X, V)
        X.flags.writeable = V.flags.writeable = False
        here = FITTERS[fit](X, V)
        assert digest(X, V) == before, "the tables were changed"
        for name, value in vars(here).items():
            shared = isinstance(value, np.ndarray) and any(np.shares_memory(value, t) for t in (X, V))
            assert not shared, f"{name} is a view of what was given"
        return rng, X, V, here
    def order_of_cells(fit, n, d, number):
        rng, X, V, here = drawn(fit, n, d, number)
        cells = rng.permutation(n)
        there = FITTERS[fit](X[cells], V[cells])
        if not (here.converged and there.converged): return
        close(there.field.jacobian(X), here.field.jacobian(X), 1e-5, "Jacobian")
        close(there.inlier_probability, here.inlier_probability[cells], 1e-5, "inlier probability")
        for name in ("control_idx", "inliers"): assert set(cells[getattr(there, name)]) == set(getattr(here, name))
    def layout_of_tables(fit, n, d, number, layout):
        _, X, V, here = drawn(fit, n, d, number)
        there = FITTERS[fit](*(LAYOUTS[layout](t) for t in (X, V)))
        if here.converged: close(there.field.jacobian(X), here.field.jacobian(X), 1e-6)
    def cells_without_numbers(fit, n, d, number, hole, where):
        rng, X, V, _ = drawn(fit, n, d, number)
        rows = np.sort(rng.choice(n, size=max(1, n // 5), replace=False))
        Y, W = X.copy(), V.copy()
        (Y if where else W)[rows, rng.integers(d)] = hole
        kept = np.setdiff1d(np.arange(n), rows)
        here, there = FITTERS[fit](X[kept], V[kept]), FITTERS[fit](Y, W)
        close(there.field.jacobian(X), here.field.jacobian(X), 1e-7)
        assert_array_equal(there.valid, kept)
        assert there.n_dropped == len(rows)
        for name in ("control_idx", "inliers"): assert_array_equal(getattr(there, name), kept[getattr(here, name)])
    how = dict(fit=st.sampled_from(sorted(FITTERS)), n=sizes(8, 90), d=sizes(1, 4), number=numbers)
    for_all(o, seed, 15 if quick else 75, order_of_cells, **how)
    for_all(o, seed, 15 if quick else 75, layout_of_tables, **how, layout=st.sampled_from(sorted(LAYOUTS)))
    for_all(o, seed, 10 if quick else 50, cells_without_numbers, **how, hole=st.sampled_from([np.nan, np.inf]),
            where=st.booleans())

# ---------------------------------------------------------------- cuts, and the same number on every way

@rule("blocks of any size, threads, dask chunks and precisions give the same numbers")
def cuts(o, quick, seed):
    def a_function_without_jacobian(case):
        "Its steps must not depend on which cells are asked together."
        gj, tensor = case.gj, case.tensor
        plain = replace(gj, field=FunctionField(gj.field.velocity), fit=None)
        close(plain.block(), tensor, 1e-5)
        for cells in (*([i] for i in range(min(3, gj.n_cells))), [0, 0, 0]):
            close(plain.block(cells=cells), tensor[cells], 1e-5, f"cells {cells} alone")
        close(plain.mean(), tensor.mean(axis=0), 1e-5)
    def stored(n, d, cores, dtype, number):
        a = made_up(np.random.default_rng(number), n, d)
        FITS["trend"](a)
        names = list(a.var_names[:3])
        right = vf.gene_jacobian(a).block(names, names)
        found = vf.jacobian(a, names, store_in_adata=False, cores=cores, dtype=dtype)
        close(gene_block(found), right, 1e-9 if dtype == "float64" else 1e-4)
        a.obsm["X_pca"] = da.from_array(a.obsm["X_pca"], chunks=(7, -1))
        close(vf.gene_jacobian(a).block(names, names), right)
        close(gene_block(vf.jacobian(a, names, store_in_adata=False)), right)
    for_all(o, seed, 20 if quick else 100, a_function_without_jacobian, case=cases())
    if find_spec("dask") is None:
        o.note = "dask is not there: its chunks were not tried"
        return
    import dask.array as da
    for_all(o, seed, 3 if quick else 30, stored, n=sizes(12, 40), d=sizes(1, 3), cores=sizes(1, 3),
            number=numbers, dtype=st.sampled_from(["float64", "float32"]))

@rule("pair, block, stored tensor, projection and mean are the same numbers")
def ways(o, quick, seed):
    def arrays(case):
        gj, tensor, rng, (left, right) = case.gj, case.tensor, case.rng, case.sides
        e, r = rng.integers(0, gj.n_genes, size=(2, 4))
        E, R = gj.genes[e], gj.genes[r]
        close(gj.block(E, R), tensor[:, e][:, :, r], 1e-8)
        close(np.stack([gj.pair(*pair) for pair in zip(E, R)], axis=1), tensor[:, e, r], 1e-8)
        J = vf.analytical_jacobian(gj.field, gj.states)
        close(vf.project_jacobian(J, left, right), tensor)
        close(vf.project_pairs(J, left[e], right[r]), tensor[:, e, r], 1e-8)
        for cores in (1, 2): agree(answers(gj, cores=cores), by_hand(case), 1e-7)
        close(gj.mean(effectors=E, regulators=R), tensor.mean(axis=0)[np.ix_(e, r)], 1e-8)
        close(np.abs(gj.top(3)["value"]), np.sort(np.abs(tensor.mean(axis=0)).ravel())[::-1][:3])
        for kind in ("i1", "i2", "i8", "u1", "u2", "u8"):
            at = np.array([-1, 0, gj.n_cells - 1])[kind[0] == "u":]
            close(gj.block(cells=at.astype(kind)), tensor[at])
    def annotated(n, d, kind, dims, number):
        rng = np.random.default_rng(number)
        a = made_up(rng, n, d)
        cells = rng.choice(n, size=rng.integers(1, n + 1), replace=False)
        if dims and d > 1 and kind != "mixed": vf.fit_vector_field(a, dims=rng.permutation(d)[: d - 1], beta=0.3)
        else: FITS[kind](a)
        e, r = (list(rng.permutation(a.var_names)[:3]) for _ in "er")
        right = vf.gene_jacobian(a).block(e, r, cells)
        vf.jacobian(a, r, e, cell_idx=cells)
        kept, found = a.uns["jacobian_pca"], vf.get_jacobian(a)
        close(gene_block(kept), right, 1e-8)
        close(found["value"].to_numpy().reshape(right.shape), right, 1e-8)
        assert list(found["cell"].unique()) == list(a.obs_names[cells])
        close(vf.get_jacobian(a, r[1], e[2])["value"], right[:, 2, 1], 1e-8)
        close(a.obs["jacobian_det_pca"].to_numpy()[cells], np.linalg.det(np.moveaxis(kept["jacobian"], -1, 0)))
        vf.jacobian(a, r, e, cell_idx=a.obs_names[cells], store="lazy")
        close(vf.get_jacobian(a)["value"], found["value"], 1e-8)
        if kind != "mixed" and not dims:
            A = rng.normal(size=(d, d)) / d
            bent = partial(vf.jacobian, a, vector_field_class=lambda X: np.tanh(X @ A), store_in_adata=False)
            whole = bent()["jacobian"]
            for i in cells[:2]: close(bent(cell_idx=[i])["jacobian"][..., 0], whole[..., i], 1e-9, "one cell alone")
        numerical = vf.jacobian(a, r, e, cell_idx=cells, method="numerical", store_in_adata=False)
        close(gene_block(numerical), right, 1e-5, "numerical")
        ranked = vf.rank_jacobian_genes(a, effectors=e, regulators=r, cell_idx=cells)
        close(ranked.set_index(KEYS[1:])["value"].unstack().loc[e, r], right.mean(axis=0), 1e-8)
    def gene_space(n, g, number):
        rng = np.random.default_rng(number)
        a = made_up(rng, n, 3)
        genes = list(rng.permutation(a.var_names)[:g])
        vf.fit_vector_field(a, None, genes=genes, beta=0.3)
        other = a[:, rng.permutation(a.n_vars)].copy()
        here, there = (vf.gene_jacobian(b, None).block(genes, genes) for b in (a, other))
        close(there, here, 1e-12)
        close(gene_block(vf.jacobian(a, genes, basis=None, store_in_adata=False)), here)
    for_all(o, seed, 40 if quick else 200, arrays, case=cases())
    for_all(o, seed, 8 if quick else 40, annotated, n=sizes(12, 60), d=sizes(1, 5), kind=fit_kinds, dims=st.booleans(),
            number=numbers)
    for_all(o, seed, 6 if quick else 30, gene_space, n=sizes(12, 40), g=sizes(1, 5), number=numbers)

@rule("analytical and numerical derivatives agree, wherever the cells are and however few")
def derivatives(o, quick, seed):
    def jacobians(case, few, cores):
        field, X = case.gj.field, case.gj.states
        J = vf.analytical_jacobian(field, X, cores)
        close(vf.numerical_jacobian(field, X, cores), J, 1e-6)
        for rows in (X[:1], np.repeat(X[:1], 3, axis=0), X[:few], X[:1] + 1e-13 * np.arange(2)[:, None]):
            right = field.jacobian(rows)
            size = np.abs(J).max() / np.maximum(np.abs(right).max(), 1e-300)
            close(vf.numerical_jacobian(field, rows), right, 1e-3 * max(1, size), f"{len(rows)} cells")
        assert vf.check_jacobian(field, X).passed
    for_all(o, seed, 60 if quick else 300, jacobians, case=cases(), few=sizes(1, 3), cores=sizes(1, 2))

@rule("standard errors of pairs, blocks, means, differences and sets are those of the covariance")
def errors(o, quick, seed):
    def of_the_covariance(case):
        gj, rng, (part, psi), right = case.gj, case.rng, case.errors, by_hand(case)
        def of_mean(rows, weight=1): return np.outer(part, np.linalg.norm((weight * psi[rows]).mean(axis=0), axis=1))
        for name in ("stderr", "mean_stderr"): close(answers(gj)[name], right[name], 1e-6, name)
        (i, j), genes, T, S = rng.integers(0, gj.n_genes, 2), gj.genes, right["block"], right["stderr"]
        close(gj.pair_stderr(genes[i], genes[j]), S[:, i, j], 1e-6)
        close(gj.stderr([genes[i]], [genes[j]], [0])[:, 0, 0], S[:1, i, j], 1e-6)
        labels = np.where(np.arange(gj.n_cells) % 2, "b", "a")
        for group, error in gj.mean_stderr(labels).items(): close(error, of_mean(labels == group), 1e-6)
        if gj.n_cells > 1:
            a, b = labels == "a", labels == "b"
            value, error = gj.difference(np.flatnonzero(a), np.flatnonzero(b))
            close(value, T[a].mean(axis=0) - T[b].mean(axis=0), 1e-7)
            own = np.outer(part, np.linalg.norm(psi[a].mean(axis=0) - psi[b].mean(axis=0), axis=1))
            assert_allclose(error, own, atol=1e-6 * S.max())
        sets = dict(s=np.arange(1 + gj.n_genes // 2), t=np.arange(gj.n_genes // 2, gj.n_genes))
        found = vf.gene_set_jacobian(gj, {k: list(genes[at]) for k, at in sets.items()}).set_index(KEYS[1:])
        for name, at in sets.items():
            close(found["value"][name, name], T.mean(axis=0)[np.ix_(at, at)].mean(), 1e-6)
            side = case.sides[0][at].mean(axis=0)
            own = np.sqrt(side @ gj.posterior.covariance @ side) * np.linalg.norm(psi.mean(axis=0)[at].mean(axis=0))
            close(found["stderr"][name, name], own, 1e-6)
    def in_other_units(n, d, b, s, kind, number):
        "Velocities times b, genes and states times s."
        a = made_up(np.random.default_rng(number), n, d)
        other = verbs.altered(lambda v: s * v, "X", "X_pca", "pca_mean")(a.copy())
        other = verbs.altered(lambda v: s * b * v, "velocity_pca", "velocity")(other)
        how = dict(tuned={}, trend=dict(trend=True), sparse=dict(tune=False))[kind]
        if not all([vf.fit_vector_field(c, **how).converged for c in (a, other)]): return
        here, there = (vf.gene_jacobian(c) for c in (a, other))
        close(there.mean() / b, here.mean(), 1e-4, "mean")
        close(there.mean_stderr() / b, here.mean_stderr(), 1e-3, "stderr")
        close(there.z(), here.z(), 1e-3, "z")
        if kind == "tuned":
            here, there = (vf.diagnose(c, n_shuffles=5).table for c in (a, other))
            close(there["figure"].astype(float), here["figure"].astype(float), 1e-2, "diagnosis")
            assert list(there["verdict"]) == list(here["verdict"])
    for_all(o, seed, 40 if quick else 200, of_the_covariance, case=cases(GAUSSIAN, (0, 30)))
    for_all(o, seed, 8 if quick else 40, in_other_units, n=sizes(15, 60), d=sizes(1, 3), b=units, s=units,
            number=numbers, kind=st.sampled_from(["tuned", "trend", "sparse"]))

# ---------------------------------------------------------------- sampling, files

@rule("sampling gives different cells that are there, or says why not")
def samples(o, quick, seed):
    layouts = LAYOUTS | dict(sparse=sp.csr_matrix)
    def different_cells(N, n, d, method, twins, resting, at, number, layout):
        rng = np.random.default_rng(number)
        X = at + np.repeat(rng.normal(size=(N, d)), twins, axis=0)[:N].astype("f4").astype("f8")
        V = (rng.normal(size=(N, d)) * (rng.uniform(size=(N, 1)) > resting)).astype("f4").astype("f8")
        X.flags.writeable = V.flags.writeable = False
        try: chosen = vf.sample(N, n, method, X=X, V=V, seed=number)
        except ValueError as e:
            assert method == "velocity" and np.count_nonzero(V.any(axis=1)) < n and "move" in str(e), e
            return
        assert chosen.dtype.kind == "i" and len(chosen) == min(n, N) == len(set(chosen.tolist()))
        assert 0 <= chosen.min() and chosen.max() < N
        names = np.array([f"c{i}" for i in range(N)])
        assert_array_equal(vf.sample(N, n, method, X=X, V=V, seed=number), chosen)
        assert_array_equal(vf.sample(names, n, method, X=X, V=V, seed=number), names[chosen])
        if layout == "f4" and at: return   # rounded
        X, V = (layouts[layout](t) for t in (X, V))
        assert_array_equal(vf.sample(N, n, method, X=X, V=V, seed=number), chosen)
    for_all(o, seed, 60 if quick else 300, different_cells, N=sizes(1, 40), n=sizes(1, 45), d=sizes(1, 4),
            number=numbers, method=st.sampled_from(sampling.METHODS), twins=sizes(1, 5), resting=st.floats(0, 1),
            at=st.sampled_from([0, 1e3]), layout=st.sampled_from(sorted(layouts)))

@rule("what is written to h5ad or zarr and read again answers the same")
def files(o, quick, seed):
    kinds = ["h5ad", "gzip", "backed"] + ["zarr"] * (find_spec("zarr") is not None)
    if "zarr" not in kinds: o.note = "zarr is not there: only h5ad was tried"
    def again(n, d, kind, fit, dtype, store, space, number):
        rng, basis = np.random.default_rng(number), None if space else "pca"
        a = made_up(rng, n, d)
        if space: vf.fit_vector_field(a, None, genes=["g2", "g0", "g1"], beta=0.3)
        else: FITS[fit](a)
        vf.jacobian(a, ["g1", "g0"], basis=basis, cell_idx=rng.permutation(n)[: n // 2], dtype=dtype, store=store)
        path = verbs.file(f"again.{'zarr' if kind == 'zarr' else 'h5ad'}")
        if kind == "zarr": a.write_zarr(path)
        else: a.write_h5ad(path, compression="gzip" if kind == "gzip" else None)
        if kind == "zarr": b = anndata.read_zarr(path)
        else: b = anndata.read_h5ad(path, backed="r" if kind == "backed" else None)
        try:
            pd.testing.assert_frame_equal(*(vf.get_jacobian(c, basis=basis) for c in (a, b)), check_dtype=False,
                                          check_exact=True)
            right, found = (answers(vf.gene_jacobian(c, basis)) for c in (a, b))
            for name in right: assert_array_equal(found[name], right[name], name)
            assert not any(vf.adata.read_jacobian(c, basis).stale for c in (a, b))
            same_numbers(b.uns, a.uns)
        finally:
            if kind == "backed": b.file.close()
    for_all(o, seed, 5 if quick else 40, again, n=sizes(12, 40), d=sizes(1, 4), kind=st.sampled_from(kinds),
            fit=fit_kinds, dtype=st.sampled_from(["float64", "float32"]), store=st.sampled_from(["tensor", "lazy"]),
            space=st.booleans(), number=numbers)

def same_numbers(now, was):
    for key, value in was.items():
        if hasattr(value, "items"): same_numbers(now[key], value)
        elif np.asarray(value).dtype.kind in "fiub": assert_array_equal(np.asarray(now[key]), value, str(key))

# ---------------------------------------------------------------- what is handed in

LABELS = {   # what labels may be, in the order of the words a and b
    "objects": lambda b: np.where(b, "b", "a").astype(object), "whole numbers": lambda b: b.astype(int),
    "yes and no": lambda b: b, "fractions": lambda b: b / 2,
    "strings": lambda b: pd.array(np.where(b, "b", "a"), dtype="string"),
    "days": lambda b: pd.to_datetime(np.where(b, "2021-01-02", "2020-03-04")),
    "months": lambda b: pd.PeriodIndex(np.where(b, "2021-01", "2020-03"), freq="M"),
    "numbers of pandas": lambda b: pd.array(b.astype(int), dtype="Int64"),
    "unused categories": lambda b: pd.Categorical(np.where(b, "b", "a"), ["a", "no one", "b", "nobody"]),
    "categories of numbers": lambda b: pd.Categorical(b.astype(int), [0, 1, 7], ordered=True),
    "intervals": lambda b: pd.cut(b.astype(float), [-1, 0.5, 2])}
NAMED = {   # what cells may be called
    "words": "c{}".format, "numbers": int, "other numbers": lambda i: verbs.N - i, "blanks": " c {} ".format,
    "signs": "β/{};'\"".format}

def odd_columns(a):
    "Columns that nobody needs: called by numbers, twice there, of mixed and empty values."
    n = a.n_obs
    odd = pd.DataFrame({0: 1.0, "mixed": ([1, "x", None, 2.5] * n)[:n], "empty": np.nan, "lists": [[1]] * n,
                        "constructor": "toString"}, index=a.obs.index)
    a.obs = pd.concat([a.obs, odd, odd[["empty"]]], axis=1)
    two = pd.DataFrame({1: 2.0, "twice": "x"}, index=a.var.index)
    a.var = pd.concat([a.var, two, two[["twice"]]], axis=1)

@rule("odd tables and labels of any kind give what plain ones give, by every public function")
def odd_tables(o, quick, seed):
    import inspect
    own = {name for name in vf.__all__ if inspect.isfunction(f := getattr(vf, name))
           and next(iter(inspect.signature(f).parameters)) in ("adata", "data")}
    left = own - {name.split()[0] for name in verbs.ASK} - {"save_network"}
    o.ran("every public function on an AnnData is asked", lambda: not left or f"{sorted(left)} are not")
    def every_function(label, called, gaps, number):
        rng, twin, n = np.random.default_rng(number), verbs.plain(), verbs.N
        second, kept = rng.uniform(size=n) > 0.5, rng.uniform(size=n) > 0.2 * gaps
        second[:4], kept[:4] = [False, True] * 2, True
        odd = hostile.renamed(None, NAMED[called])(twin.copy())
        labels = pd.Series(LABELS[label](second))
        odd.obs["group"] = (labels if kept.all() else labels.where(kept)).array
        twin.obs["group"] = pd.Categorical([str(v) if k else None for v, k in zip(odd.obs["group"], kept)])
        odd_columns(odd)
        for name in verbs.asked(quick):
            if name in verbs.SLOW: verbs.answer(name, odd.copy()) if number % 5 == 0 else None   # a page, or a refusal
            else:
                try: verbs.tried(name, odd.copy(), verbs.answer(name, twin.copy()), 1e-6, True)
                except verbs.REFUSALS: pass
                except AssertionError as e: raise AssertionError(f"{name}: {e}") from e
    import hostile
    for_all(o, seed, 3 if quick else 12, every_function, label=st.sampled_from(sorted(LABELS)), gaps=st.booleans(),
            called=st.sampled_from(sorted(NAMED)), number=numbers)

@rule("velocities that lack entries here and there, and genes, give the entries that whole ones give")
def lacking(o, quick, seed):
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
    for_all(o, seed, 20 if quick else 100, a_layer, n=sizes(20, 60), d=sizes(1, 4), lost=st.floats(0, 0.15),
            absent=st.sampled_from([np.nan, np.inf, 0.0]), genes=sizes(0, 3), trusted=st.booleans(), number=numbers,
            layer=st.sampled_from(["velocity", "velocity_S", "rates"]))

@rule("functions of arrays change nothing that is handed in, and hand out no view of it")
def handed_in(o, quick, seed):
    rng = np.random.default_rng(0)
    X, V, Q, U = (rng.normal(size=size) for size in ((20, 3), (20, 3), (6, 3), (20, 2)))
    field = some_field(rng, "trend", 3, 8)
    J, S, plain = field.jacobian(X), sp.csr_matrix(np.abs(rng.normal(size=(20, 6)))), GaussianField(X, V, 0.1)
    calls = [(vf.sparse_vfc, X, V), (vf.fit_field, X, V), (partial(vf.fit_field, M=8, kernel="mixed"), X, V),
             (vf.local_maps, U, X), (vf.regressed_loadings, X, S), (vf.project_jacobian, J, Q, Q),
             (vf.project_pairs, J, Q, Q), (vf.decoded_jacobian, field, lambda z: np.tanh(z @ Q.T), X),
             (lambda: vf.lift_field(some_field(rng, "gaussian", 2, 5), U, X).jacobian(X),),
             (GaussianField, X, V, 0.1), (MatrixGaussianField, X, V, 0.1), (dynamics.eigenmodes, J),
             (Posterior, plain, 0.1, np.eye(20), V[0] ** 2), (dynamics.sensitivity, J),
             (lambda: answers(GeneJacobian(field, X, Q, range(6))),),
             (dynamics.integrate, field, X[:3], 0.3), (partial(dynamics.fixed_points, n_starts=5), field, X),
             (lambda: FunctionField(lambda x: x.__imul__(2)).velocity(X),),
             *((partial(vf.sample, method=m, X=X, V=V), 20, 7) for m in sampling.METHODS),
             *((f, field, X) for f in (vf.analytical_jacobian, vf.numerical_jacobian, vf.check_jacobian)),
             *((getattr(dynamics, name), field, X) for name in (
                 "divergence", "determinant", "curl", "acceleration", "curvature", "curvature_vector", "torsion",
                 "eigenvalues"))]
    tables = (X, V, Q, U, J, S, field.control_points, field.coefficients, field.slope, field.offset)
    def unharmed(call, *args):
        before = digest(*tables)
        result = call(*args)
        assert digest(*tables) == before, "changed what was handed in"
        parts = [v for v in (result, *getattr(result, "__dict__", {}).values()) if isinstance(v, np.ndarray)]
        assert not any(np.shares_memory(p, t) for p in parts for t in tables[:5]), "its result is a view of that"
    for call, *args in calls: o.ran(getattr(call, "__name__", "a call"), unharmed, call, *args)
