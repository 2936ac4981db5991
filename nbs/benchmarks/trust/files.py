"""Malformed files: cut short, flipped, wrong in structure, absurd in size, or no h5ad at all."""

import functools
import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
import warnings
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
from forked import command, count
from outcome import promise

import vfjac as vf

GENES = ["Gata1", "Spi1", "Cebpa", "Klf1", "Fli1"]
ASKED = ["Spi1", "Gata1", "Klf1"]

@functools.cache
def base(kind: str) -> bytes:
    "A small whole file: `plain` (loadings in varm, tuned field), `dynamo` (its keys), or either with a `jacobian`."
    rng = np.random.default_rng(5)
    latent = rng.normal(size=(30, 3)) * [3, 2, 1]
    Q, _ = np.linalg.qr(rng.normal(size=(5, 3)))
    mean = rng.uniform(3, 6, size=5)
    a = ad.AnnData(latent @ Q.T + mean)
    a.obs_names, a.var_names = [f"cell{i}" for i in range(30)], GENES
    a.obs["group"] = np.repeat(["one", "two", "three"], 10)
    a.obsm["X_pca"], a.obsm["X_embedding"] = latent, latent[:, :2].copy()
    a.obsm["velocity_pca"] = np.tanh(latent) @ rng.normal(size=(3, 3)) * 0.2 - 0.1 * latent
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind.startswith("dynamo"):
            a.uns["PCs"], a.uns["pca_mean"], a.var["use_for_pca"] = Q, mean, True
            vf.fit_vector_field(a, M=8, compat="dynamo")
            ours = ("velocity_source", "velocity_kind", "covariance_root", "noise_variance",
                "noise_correlation", "error_beta", "dof", "ridge", "without_velocity")
            for key in ours: a.uns["VecFld_pca"].pop(key, None)
        else:
            a.varm["PCs"] = Q
            vf.fit_vector_field(a, M=8)
        if kind.endswith("jacobian"): vf.jacobian(a, regulators=ASKED, effectors=ASKED[:2])
        with tempfile.TemporaryDirectory() as folder:
            a.write_h5ad(path := Path(folder) / "base.h5ad")
            return path.read_bytes()

# ---- what a file says, read without vfjac and without anndata

def plain(node) -> np.ndarray:
    "Numbers of a dataset, a sparse group or a table."
    if isinstance(node, h5py.Dataset): return np.asarray(node[()], dtype=float)
    if "data" in node:
        from scipy import sparse
        make = sparse.csc_matrix if "csc" in str(node.attrs["encoding-type"]) else sparse.csr_matrix
        return make((node["data"][()], node["indices"][()], node["indptr"][()]),
            shape=node.attrs["shape"]).toarray()
    return np.column_stack([node[c][()] for c in node.attrs["column-order"]]).astype(float)

def names(group) -> list[str]: return [str(s) for s in group[group.attrs["_index"]].asstr()[()]]

def expected(path: Path) -> dict:
    "The Jacobian in components (n, d, d) and between genes, by the closed form, from the numbers in the file."
    with h5py.File(path) as f:
        V = f["uns/VecFld_pca"]
        X, c, C = plain(f["obsm/X_pca"]), plain(V["X_ctrl"]), plain(V["C"])
        Q = plain(f["varm/PCs"] if "PCs" in f["varm"] else f["uns/PCs"])
        beta = float(np.ravel(plain(V["beta"]))[0])
        genes, cells = names(f["var"]), names(f["obs"])
        slope = plain(V["slope"]) if "slope" in V else 0.0
        if "dims" in V:
            dims = plain(V["dims"]).astype(int)
            X, Q = X[:, dims], Q[:, dims]
    D = X[:, None, :] - c
    K = np.exp(-beta * np.einsum("nmd,nmd->nm", D, D))
    J = -2 * beta * np.einsum("nm,mi,nmj->nij", K, C, D) + slope
    return dict(J=J, genes=genes, cells=cells, Q=Q, between=np.einsum("ei,nij,rj->ner", Q, J, Q))

def differs(found: np.ndarray, right: np.ndarray) -> str:
    "What is wrong with numbers, or nothing."
    if found.shape != right.shape: return f"shape {found.shape} instead of {right.shape}"
    if not np.isfinite(found).all(): return "values that are not finite"
    worst, size = np.abs(found - right).max(), np.abs(right).max()
    return "" if worst <= 1e-6 * size + 1e-12 else f"values are off by {worst:.3g} of {size:.3g}"

def judged(path: Path, out: Path) -> tuple:
    "Whether a written Jacobian is that of the file it was made from."
    with h5py.File(out) as f:
        part = f["uns/jacobian_pca"]
        stored = {key: part[key].asstr()[()] for key in ("cells", "effectors", "regulators") if key in part}
        stored |= {key: part[key][()] for key in ("jacobian", "jacobian_gene") if key in part}
        stored["obs"] = names(f["obs"])
    try:
        with np.errstate(all="ignore"): right = expected(path)
    except Exception as e:
        return "problem", f"accepted, but a plain reading fails ({type(e).__name__}: {str(e)[:100]})"
    if stored["obs"] != right["cells"]: return "problem", "cell names differ from those of the file"
    if list(stored["cells"]) != right["cells"]:
        return "problem", "cells of the result are not those of the file"
    wrong = differs(np.moveaxis(stored["jacobian"], -1, 0), right["J"])
    if not wrong and "jacobian_gene" in stored:
        e, r = ([right["genes"].index(g) for g in stored[what]] for what in ("effectors", "regulators"))
        wrong = differs(np.moveaxis(stored["jacobian_gene"], -1, 0), right["between"][:, e][:, :, r])
    return ("problem", f"accepted, but {wrong}") if wrong else ("right", "")

def judged_fit(path: Path, out: Path) -> tuple:
    "Whether a written field is that of the file's states and velocities."
    stored = ad.read_h5ad(out).uns["VecFld_pca"]
    with h5py.File(path) as f: X, V = plain(f["obsm/X_pca"]), plain(f["obsm/velocity_pca"])
    if not (np.array_equal(stored["X"], X, equal_nan=True) and np.array_equal(stored["Y"], V,
            equal_nan=True)):
        return "problem", "the fitted states and velocities are not those of the file"
    if not all(np.isfinite(stored[key]).all() for key in ("X_ctrl", "C", "beta")):
        return "problem", "a field that is not finite"
    return "right", ""

def judged_page(path: Path, out: Path) -> tuple:
    "Whether a page is whole, and a table read from the same file holds the file's numbers."
    page = out.read_text()
    if not page.rstrip().endswith("</html>") or "NaN" in page.split("application/json")[-1][:2000]:
        return "problem", "the page is not whole"
    table = vf.get_jacobian(ad.read_h5ad(path))
    with h5py.File(path) as f:
        right = plain(f["uns/jacobian_pca/jacobian_gene"])
        stored, there = f["uns/jacobian_pca/cells"].asstr()[()], names(f["obs"])
    right = np.moveaxis(right, -1, 0)[np.isin(stored, there)].ravel()  # a changed name is another cell
    wrong = differs(table["value"].to_numpy(), right) if len(right) else "an empty result"
    return ("problem", f"accepted, but {wrong}") if wrong else ("right", "")

WAYS = dict(jacobian=(["--regulators", ",".join(ASKED), "--effectors", ",".join(ASKED[:2])], ".h5ad",
    judged), fit=(["--control-points", "8"], ".h5ad", judged_fit), report=([], ".html", judged_page))

def tried(way: str, path: Path, log: Path) -> tuple:
    "Run the command on a file: nothing half-written, nothing left, one line or a right result."
    words, ending, judge = WAYS[way]
    out = path.with_name("out" + ending)
    out.write_bytes(b"before")
    seen = {p.name for p in path.parent.iterdir()}
    try:
        status, message = command([way, path, *words, "-o", out], log)
        assert {p.name for p in path.parent.iterdir()} == seen, "something was left in the folder"
        if status == 0: return judge(path, out)
        assert out.read_bytes() == b"before", "the previous output was touched"
        return "refused", message
    finally: out.unlink(missing_ok=True)

def bytes_case(case, folder: Path, log: Path) -> tuple:
    "A whole file with some bytes changed, or cut: `(way, kind, edit, seed)`."
    way, kind, edit, seed = case
    data, rng = bytearray(base(kind)), np.random.default_rng(seed)
    if edit == "cut": data = data[:seed]
    elif edit == "flip":
        for at in rng.integers(len(data), size=rng.choice([1, 1, 2, 8, 64])):
            data[at] ^= 1 << rng.integers(8)
    elif edit == "set":
        for at in rng.integers(len(data), size=rng.choice([1, 2, 8])):
            data[at] = rng.choice([0, 255, 127, 128])
    elif edit == "numbers":  # bytes that hold a number of the field, in its exponent more often than not
        for value in rng.permutation(_numbers(kind))[: rng.choice([1, 1, 3])]:
            data[value + rng.choice([7, 7, 6, 3])] ^= 1 << rng.integers(8)
    elif edit == "block":
        at, n = rng.integers(len(data) - 600), rng.choice([16, 512])
        data[at : at + n] = rng.bytes(n) if rng.random() < 0.5 else bytes(n)
    elif edit == "move":
        a, b, n = *rng.integers(len(data) - 600, size=2), rng.choice([8, 64, 512])
        data[a : a + n] = data[b : b + n]
    elif edit == "swell": data[(at := rng.integers(len(data))) : at] = rng.bytes(rng.choice([1, 8, 512]))
    path = folder / "case.h5ad"
    path.write_bytes(data)
    return tried(way, path, log)

@functools.cache
def _numbers(kind: str) -> list[int]:
    "Where the numbers stand in a file that the commands read."
    found = []
    with tempfile.TemporaryDirectory() as folder:
        (path := Path(folder) / "base.h5ad").write_bytes(base(kind))
        with h5py.File(path) as f:
            wanted = ["obsm/X_pca", "obsm/velocity_pca", "varm/PCs", "uns/PCs"]
            wanted += [f"uns/{k}" for k in ("VecFld_pca/C", "VecFld_pca/X_ctrl", "VecFld_pca/beta",
                "VecFld_pca/slope")]
            wanted += [f"uns/jacobian_pca/{k}" for k in ("jacobian_gene", "cell_idx")]
            for name in wanted:
                if name in f and (at := f[name].id.get_offset()) is not None:
                    found += range(at, at + f[name].nbytes, 8)
    return found

# ---- wrong in structure

def _put(f, name, values, **how):
    "Replace a dataset or group, attributes kept where they still make sense."
    attrs = dict(f[name].attrs) if name in f else {}
    if name in f: del f[name]
    d = f.create_dataset(name, data=values, **how)
    for key, value in attrs.items(): d.attrs[key] = value
    return d

def _values(f, name): return f[name][()] if isinstance(f[name], h5py.Dataset) else np.zeros((2, 2))

def _declared(f, name, shape, **how):
    "A dataset of an absurd shape that takes no room in the file."
    attrs = dict(f[name].attrs)
    del f[name]
    d = f.create_dataset(name, shape=shape, dtype="f8", chunks=tuple(min(n, 1000) for n in shape), **how)
    for key, value in attrs.items(): d.attrs[key] = value

def _sparse(f, name, shape):
    "A sparse matrix of a declared shape with one entry."
    if name in f: del f[name]
    g = f.create_group(name)
    g.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": np.array(shape)})
    g["data"], g["indices"], g["indptr"] = (np.ones(1), np.zeros(1, "i8"),
        np.r_[0, np.ones(min(shape[0], 1000), "i8")])

def _some(values, entry):
    "A copy with one entry replaced."
    values = np.array(values, dtype=float)
    values.flat[values.size // 2] = entry
    return values

def _texts(values, like="abc"): return np.full(np.shape(values), like, dtype=h5py.string_dtype())

WRONG = {  # name -> function(file, name of the node): what replaces it
    "missing": lambda f, n: f.__delitem__(n),
    "words": lambda f, n: _put(f, n, _texts(_values(f, n))),
    "numbers as words": lambda f, n: _put(f, n, _texts(_values(f, n), "1.5")),
    "one word": lambda f, n: _put(f, n, "abc"),
    "whole numbers": lambda f, n: _put(
        f, n, np.asarray(np.nan_to_num(np.asarray(_values(f, n), float))).astype("i8")
    ),
    "bytes": lambda f, n: _put(f, n, np.asarray(_values(f, n), float).astype("S12")),
    "half precision": lambda f, n: _put(f, n, np.asarray(_values(f, n), float).astype("f2")),
    "big-endian": lambda f, n: _put(f, n, np.asarray(_values(f, n), float).astype(">f8")),
    "complex": lambda f, n: _put(f, n, np.asarray(_values(f, n), float) + 1j),
    "booleans": lambda f, n: _put(f, n, np.ones(np.shape(_values(f, n)), bool)),
    "times": lambda f, n: _put(
        f, n, np.ones(np.shape(_values(f, n)), "i8").astype(h5py.opaque_dtype("M8[s]"))
    ),
    "pairs": lambda f, n: _put(f, n, np.ones(np.shape(_values(f, n)), dtype=[("a", "f8"), ("b", "i4")])),
    "empty": lambda f, n: _put(f, n, np.zeros((0,) * max(1, np.ndim(_values(f, n))))),
    "nothing": lambda f, n: _put(f, n, h5py.Empty("f8")),
    "no rows": lambda f, n: _put(f, n, np.zeros((0, *np.shape(_values(f, n))[1:]))),
    "a row less": lambda f, n: _put(f, n, np.atleast_1d(_values(f, n))[:-1]),
    "a row more": lambda f, n: _put(
        f, n, np.concatenate([np.atleast_1d(_values(f, n))] * 2)[: len(np.atleast_1d(_values(f, n))) + 1]
    ),
    "a column less": lambda f, n: _put(f, n, np.atleast_1d(_values(f, n))[..., :-1]),
    "turned": lambda f, n: _put(f, n, np.asarray(_values(f, n)).T),
    "flat": lambda f, n: _put(f, n, np.ravel(_values(f, n))),
    "deep": lambda f, n: _put(f, n, np.asarray(_values(f, n))[..., None, None]),
    "scalar": lambda f, n: _put(f, n, 3.0),
    "nan inside": lambda f, n: _put(f, n, _some(_values(f, n), np.nan)),
    "inf inside": lambda f, n: _put(f, n, _some(_values(f, n), -np.inf)),
    "all nan": lambda f, n: _put(f, n, np.full(np.shape(_values(f, n)), np.nan)),
    "zeros": lambda f, n: _put(f, n, np.zeros(np.shape(_values(f, n)))),
    "negative": lambda f, n: _put(f, n, -np.abs(np.asarray(_values(f, n), float)) - 1),
    "huge": lambda f, n: _put(f, n, np.full(np.shape(_values(f, n)), 1e308)),
    "one huge": lambda f, n: _put(f, n, _some(_values(f, n), 1e200)),
    "one far": lambda f, n: _put(f, n, _some(_values(f, n), 1e12)),
    "tiny": lambda f, n: _put(f, n, np.full(np.shape(_values(f, n)), 5e-324)),
    "a group": lambda f, n: (f.__delitem__(n), f.create_group(n)),
    "a filled group": lambda f, n: (
        f.__delitem__(n),
        f.create_group(n).create_dataset("x", data=np.eye(3)),
    ),
    "sparse": lambda f, n: _sparse(
        f, n, np.shape(_values(f, n)) if np.ndim(_values(f, n)) == 2 else (3, 3)
    ),
    "absurd sparse": lambda f, n: _sparse(f, n, (10**9, 10**9)),
    "absurd shape": lambda f, n: _declared(f, n, (10**9, 10**6)),
    "absurd rows": lambda f, n: _declared(f, n, (10**9, 3)),
    "link in a circle": lambda f, n: (f.__delitem__(n), f.__setitem__(n, h5py.SoftLink("/" + n))),
    "link to nowhere": lambda f, n: (f.__delitem__(n), f.__setitem__(n, h5py.SoftLink("/nowhere"))),
    "link to the root": lambda f, n: (f.__delitem__(n), f.__setitem__(n, f["/"])),
    "link out": lambda f, n: (f.__delitem__(n), f.__setitem__(n, h5py.ExternalLink("/nowhere.h5", "/x"))),
    "no encoding": lambda f, n: [f[n].attrs.__delitem__(key) for key in list(f[n].attrs)],
    "unknown encoding": lambda f, n: f[n].attrs.__setitem__("encoding-type", "teapot"),
    "later encoding": lambda f, n: f[n].attrs.__setitem__("encoding-version", "99.0.0"),
    "another encoding": lambda f, n: f[n].attrs.__setitem__("encoding-type", "csr_matrix"),
    "encoding of a table": lambda f, n: f[n].attrs.__setitem__("encoding-type", "dataframe"),
    "number as encoding": lambda f, n: f[n].attrs.__setitem__("encoding-type", 7),
    "reference": lambda f, n: _put(f, n, np.array([f["/"].ref] * 3, dtype=h5py.ref_dtype)),
}

def nodes(kind: str, way: str) -> list[str]:
    "The nodes of a whole file that a command may read."
    found = []
    with tempfile.TemporaryDirectory() as folder:
        (path := Path(folder) / "base.h5ad").write_bytes(base(kind))
        with h5py.File(path) as f: f.visit(found.append)
    parts = dict(jacobian=("X", "obs", "var", "obsm/X_pca", "varm", "uns", "obsm"),
        fit=("X", "obs", "obsm", "varm/PCs", "uns/PCs"), report=("obs", "obsm", "uns/jacobian_pca",
        "uns/VecFld_pca", "uns", "X", "varm", "var"))[way]
    return [n for n in found if any(n == p or n.startswith(p + "/") for p in parts)]

def structure_case(case, folder: Path, log: Path) -> tuple:
    "A whole file with nodes replaced: `(way, kind, [(node, wrong), …])`."
    way, kind, edits = case
    path = folder / "case.h5ad"
    path.write_bytes(base(kind))
    with h5py.File(path, "r+") as f:
        for node, wrong in edits:
            try: WRONG[wrong](f, node)
            except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OSError, IndexError,
                MemoryError):
                continue  # cannot be made of this node
    return tried(way, path, log)

def _spread(cases: list, n: int, seed: int) -> list:
    "Some `n` of the cases, chosen at random, in order."
    if len(cases) <= n: return cases
    return [cases[i] for i in sorted(np.random.default_rng(seed).choice(len(cases), n, replace=False))]

@promise("files", "a file cut short at any length is refused in one line")
def cut_short(outcome, quick, seed):
    cases = []
    for way, kind in dict(jacobian="plain", fit="plain", report="plain jacobian").items():
        n = len(base(kind))
        lengths = {0, 1, 7, 8, 9, 511, 512, 2048, n - 1, n - 8, n // 2,
            *range(0, n, n // (20 if quick else 60))}
        cases += [(way, kind, "cut", int(at)) for at in sorted(lengths)]
    count(outcome, cases, bytes_case, lambda c: f"{c[0]}, cut to {c[3]} bytes")

@promise("files",
    "of a file with changed bytes that HDF5 survives, what comes out is what the file says, or a refusal in one line")
def changed_bytes(outcome, quick, seed):
    ways = ([("jacobian", "plain")] * 6 + [("jacobian", "dynamo")] * 2 + [("fit", "plain"),
        ("report", "plain jacobian")])
    edits = ["flip", "flip", "set", "numbers", "numbers", "block", "move", "swell"]
    rng = np.random.default_rng(seed)
    cases = [(*ways[rng.integers(len(ways))], edits[rng.integers(len(edits))],
        10**6 * seed + i) for i in range(100 if quick else 800)]
    count(outcome, cases, bytes_case, lambda c: f"{c[0]} of {c[1]}, {c[2]}, seed {c[3]}")

@promise("files",
    "missing keys, wrong types, shapes and values inside a file are refused in one line, or read as they stand")
def wrong_structure(outcome, quick, seed):
    every = [(way, kind, [(node, wrong)]) for way, kind in (("jacobian", "plain"), ("jacobian", "dynamo"),
        ("report", "plain jacobian"), ("fit", "plain")) for node,
        wrong in itertools.product(nodes(kind, way), WRONG)]
    core = [c for c in every if c[0] == "jacobian" and any(c[2][0][0].endswith(k) for k in ("VecFld_pca/C",
        "VecFld_pca/X_ctrl", "VecFld_pca/beta", "X_pca", "PCs", "VecFld_pca"))]
    cases = (_spread(core, 60, seed) + _spread(every, 60, seed + 1) if quick else core + _spread(every, 400,
        seed + 1))
    rng = np.random.default_rng(seed + 2)
    for _ in range(20 if quick else 150):  # several wrongs at once
        way, kind, _ = every[rng.integers(len(every))]
        of = nodes(kind, way)
        cases.append((way, kind, [(of[rng.integers(len(of))], list(WRONG)[rng.integers(len(WRONG))]) for _
            in range(3)]))
    count(outcome, cases, structure_case, lambda c: f"{c[0]} of {c[1]}, " + ", ".join(f"{n}: {w}" for n,
        w in c[2]))

# ---- files that would run code

class Evil:
    "Unpickled, it leaves a mark."
    def __init__(self, mark): self.mark = mark
    def __reduce__(self): return open, (str(self.mark), "w")

def _armed(folder: Path, kind: str, mark: Path) -> Path:
    "A file with a pickle in it that would make `mark`."
    pickled = pickle.dumps(Evil(mark))
    path = folder / f"evil.{'zarr' if kind.startswith('zarr') else 'h5ad'}"
    if kind == "a pickle": path.write_bytes(pickled)
    elif kind == "npz":
        array = np.empty(1, dtype=object)
        array[0] = Evil(mark)
        with path.open("wb") as f: np.savez(f, X=array)
    elif kind.startswith("zarr"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (whole := folder / "whole.h5ad").write_bytes(base("plain jacobian"))
            ad.read_h5ad(whole).write_zarr(path)
        whole.unlink()
        (part := path / "uns" / "evil").mkdir()
        filters = [{"id": "pickle", "protocol": 5}]
        about = dict(zarr_format=2, shape=[1], chunks=[1], dtype="|O", compressor=None, fill_value=None,
            order="C", filters=filters)
        (part / ".zarray").write_text(json.dumps(about))
        (part / ".zattrs").write_text('{"encoding-type": "array", "encoding-version": "0.2.0"}')
        (part / "0").write_bytes(pickled)
        (path / ".zmetadata").unlink(missing_ok=True)
    else:
        path.write_bytes(base("plain jacobian"))
        with h5py.File(path, "r+") as f:
            raw = np.frombuffer(pickled, dtype="u1")
            if kind == "opaque": _put(f, "uns/VecFld_pca/C", np.array([np.void(pickled)]))
            elif kind == "bytes": _put(f, "uns/VecFld_pca/C", raw)
            elif kind == "attribute": f["uns/VecFld_pca"].attrs["pickle"] = np.void(pickled)
            elif kind == "text": _put(f, "uns/VecFld_pca/method", pickle.dumps(Evil(mark), 0).decode())
    return path

@promise("files",
    "reading a file runs no code in it: pickles are never loaded (zarr stores: from zarr 3 on)")
def no_code(outcome, quick, seed):
    kinds = ["a pickle", "npz", "opaque", "bytes", "attribute", "text"]
    if int(version("zarr").split(".")[0]) >= 3: kinds.append("zarr")
    def case(case, folder, log):
        kind, way = case
        mark = folder / "mark"
        path = _armed(folder, kind, mark)
        out = folder / ("out.html" if way == "report" else "out.h5ad")
        try:
            status, message = command([way, path, "-o", out], log)
            if mark.exists(): return "problem", "code in the file was run"
            return ("right", "") if status == 0 else ("refused", message)
        finally:
            for p in (path, out, mark):
                (shutil.rmtree if p.is_dir() else Path.unlink)(p) if p.exists() else None
    with tempfile.TemporaryDirectory() as folder:  # the weapon works
        mark = Path(folder) / "mark"
        pickle.loads(pickle.dumps(Evil(mark))).close()
        outcome.ran("the pickle is sharp", lambda: mark.exists() or
            "unpickling does nothing: the cases prove nothing")
    count(outcome, itertools.product(kinds, ("jacobian", "report", "fit")), case,
        lambda c: f"{c[1]} of {c[0]}", seconds=90)

@promise("files", "what is no h5ad at all is refused in one line, and does not stop the command")
def no_h5ad(outcome, quick, seed):
    import zipfile
    def zipped(p):
        with zipfile.ZipFile(p, "w") as z: z.writestr("X.npy", b"1")
    def other_h5(p):
        with h5py.File(p, "w") as f: f["numbers"] = np.eye(3)
    def empty_h5(p): h5py.File(p, "w").close()
    things = {"text": lambda p: p.write_text("cell,gene\n1,2\n"), "a directory": Path.mkdir,
        "nothing in it": Path.touch, "a zip": zipped, "a FIFO": os.mkfifo,
        "a device": lambda p: p.symlink_to("/dev/zero"), "a link to nowhere": lambda p:
        p.symlink_to("nowhere"), "a link in a circle": lambda p: p.symlink_to(p),
        "random bytes": lambda p: p.write_bytes(np.random.default_rng(seed).bytes(9999)),
        "another HDF5 file": other_h5, "an empty HDF5 file": empty_h5,
        "the HDF5 signature": lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" * 99), "no file": lambda p: None,
        "HTML": lambda p: p.write_text("<html>not found</html>"),
        "a sparse file of a terabyte": lambda p: (p.touch(), os.truncate(p, 10**12))}
    def case(case, folder, log):
        thing, way, ending = case
        path, out = folder / f"thing{ending}", folder / ("out.html" if way == "report" else "out.h5ad")
        things[thing](path)
        out.write_bytes(b"before")
        try:
            status, message = command([way, path, "-o", out], log)
            if status == 0: return "problem", "accepted"
            return (("refused", message) if out.read_bytes() == b"before" else ("problem",
                "the previous output was touched"))
        finally:
            out.unlink(missing_ok=True)
            if path.is_dir() and not path.is_symlink(): path.rmdir()
            else: path.unlink(missing_ok=True)
    ways = [(w, ".h5ad") for w in (("jacobian",) if quick else ("jacobian", "fit",
        "report"))] + [("jacobian", ".zarr")]
    cases = [(thing, *way) for thing in things for way in ways]
    count(outcome, cases, case, lambda c: f"{c[1]} of {c[0]} ({c[2]})", seconds=90)

# ---- beyond memory

MEASURE = """
import resource, sys
from vfjac.cli import main
import anndata, vfjac.tools, vfjac.explorer, scipy.sparse.linalg
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = main(sys.argv[1:])
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base, "STATUS", status)
"""

@promise("files",
    "absurd sparse sizes and requests are refused before memory is taken, and say what they would take")
def absurd(outcome, quick, seed):
    def measured(words: list, most_mb: float = 150):
        look = subprocess.run([sys.executable, "-c", MEASURE, *map(str, words)], capture_output=True,
            text=True, timeout=120)
        if "PEAK" not in look.stdout: return f"died: {look.stderr[-300:]}"
        words = look.stdout.split("PEAK")[1].split()
        if float(words[0]) / 1024 > most_mb:
            return f"took {float(words[0]) / 1024:.0f} MB before it refused"
        if words[2] == "0": return "accepted"
        lines = [line for line in look.stderr.splitlines() if "note:" not in line]
        if len(lines) != 1: return f"not one line: {look.stderr[-300:]}"
        raise MemoryError(lines[0])
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name), Path(name) / "out.h5ad"
        for node, shape in {"uns/VecFld_pca/C": (3, 10**9), "uns/VecFld_pca/X_ctrl": (10**9,
                10**9)}.items():
            path = folder / "sparse.h5ad"
            path.write_bytes(base("plain"))
            with h5py.File(path, "r+") as f: _sparse(f, node, shape)
            outcome.ran(f"jacobian: {node} sparse {shape}", lambda p=path: measured(["jacobian", p, "-o",
                out]))
        many, path = 3000, folder / "genes.h5ad"
        rng = np.random.default_rng(seed)
        a = ad.AnnData(shape=(2000, many))
        a.var["all"] = True
        a.obsm["X_pca"], a.varm["PCs"] = rng.normal(size=(2000, 5)), rng.normal(size=(many, 5))
        a.uns["VecFld_pca"] = dict(X_ctrl=rng.normal(size=(9, 5)), C=rng.normal(size=(9, 5)), beta=0.1)
        a.write_h5ad(path)
        for budget in ([], ["--memory-mb", "nan"], ["--memory-mb", "-1"],
                ["--memory-mb", "0"])[: 2 if quick else None]:
            words = ["jacobian", path, "--regulators", "all", "-o", out, *budget]
            outcome.ran(f"all × all × all {' '.join(budget)}", lambda w=words: measured(w), says="budget")
        gj = vf.gene_jacobian(a)
        for what, ask in dict(block=gj.block, lists=lambda: vf.jacobian(a,
                regulators=list(a.var_names))).items():
            def small(ask=ask):
                tracemalloc.start()
                try: ask()
                finally:
                    peak = tracemalloc.get_traced_memory()[1] / 1e6
                    tracemalloc.stop()
                    if peak > 100: raise AssertionError(f"took {peak:.0f} MB before it refused")
            outcome.ran(f"{what} of all genes in Python", small, must_refuse=True, says="budget")

@promise("files", "options that no file can answer are refused in one line")
def odd_options(outcome, quick, seed):
    options = [["--regulators", ""], ["--regulators", ","], ["--regulators", "\x1b[31m"],
        ["--regulators", "@/"], ["--regulators", "@/dev/zero"], ["--cells", ","], ["--cells", "cell999"],
        ["--sampling", "random", "--sample-ncells", "-5"], ["--sampling", "trn", "--sample-ncells", "0"],
        ["--basis", "../../etc"], ["--basis", ""], ["--Qkey", "nothing"], ["--cores", "-3"],
        ["--cores", "0"], ["--memory-mb", "nan"], ["--regulators", "Spi1", "--memory-mb", "-1"],
        ["--regulators", "Spi1", "--Qkey", "nothing"], ["--regulators", "x" * 5000],
        ["--effectors", "Gata1\nSpi1"]]
    def case(options, folder, log):
        (path := folder / "in.h5ad").write_bytes(base("plain"))
        status, message = command(["jacobian", path, *options, "-o", folder / "out.h5ad"], log)
        (folder / "out.h5ad").unlink(missing_ok=True)
        return (("refused", message) if status == 2 else ("right",
            "") if "--Qkey" in options or "--cores" in options else ("problem", "accepted"))
    count(outcome, options, case, lambda c: " ".join(map(repr, c))[:80])
