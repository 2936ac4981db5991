"""Malformed files: cut short, flipped, wrong in structure, absurd in size, or no h5ad at all."""


import functools
import itertools
import json
import os
import pickle
import subprocess
import sys
import tempfile
import tracemalloc
import zipfile
from functools import partial
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import scipy.sparse as sp
from forked import ASKED, HOME, ask, base, command, count
from outcome import close, promise

import vfjac as vf

rule = partial(promise, "files")

def room(name):
    "A path in a folder that holds nothing else."
    return Path(tempfile.mkdtemp(dir=HOME.name)) / name

def whole(kind, name="case.h5ad"):
    (path := room(name)).write_bytes(base(kind))
    return path

# ---- what a file says, read without vfjac and without anndata

def plain(node):
    "Numbers of a dataset, a sparse group or a table."
    if isinstance(node, h5py.Dataset): return np.asarray(node[()], dtype=float)
    if "data" in node:
        make = sp.csc_matrix if "csc" in str(node.attrs["encoding-type"]) else sp.csr_matrix
        parts = tuple(node[k][()] for k in ("data", "indices", "indptr"))
        return make(parts, shape=node.attrs["shape"]).toarray()
    return np.column_stack([node[c][()] for c in node.attrs["column-order"]]).astype(float)

def strings(node):
    "Strings of a dataset, or of a group of values and mask, as newer versions of anndata write them."
    return [str(s) for s in (node["values"] if isinstance(node, h5py.Group) else node).asstr()[()]]

def names(group): return strings(group[group.attrs["_index"]])

def expected(f):
    "The Jacobian in components (n, d, d), and the loadings, by the closed form, from the numbers in the file."
    V = f["uns/VecFld_pca"]
    loadings = "varm/PCs" if "varm/PCs" in f else "uns/PCs"
    X, Q, c, C = plain(f["obsm/X_pca"]), plain(f[loadings]), plain(V["X_ctrl"]), plain(V["C"])
    beta = float(np.ravel(plain(V["beta"]))[0])
    if "dims" in V: X, Q = (part[:, plain(V["dims"]).astype(int)] for part in (X, Q))
    D = X[:, None, :] - c
    K = np.exp(-beta * np.einsum("nmd,nmd->nm", D, D))
    J = -2 * beta * np.einsum("nm,mi,nmj->nij", K, C, D)
    return J + (plain(V["slope"]) if "slope" in V else 0.0), Q

def judged(path, out):
    "Assert that a written Jacobian is that of the file it was made from."
    with h5py.File(path) as f, h5py.File(out) as g, np.errstate(all="ignore"):
        (J, Q), genes, cells, part = expected(f), names(f["var"]), names(f["obs"]), g["uns/jacobian_pca"]
        assert names(g["obs"]) == strings(part["cells"]) == cells, "other cells than those of the file"
        close(np.moveaxis(part["jacobian"][()], -1, 0), J, 1e-6)
        assert np.isfinite(J).all(), "accepted, though not finite"
        if "jacobian_gene" in part:
            e, r = ([genes.index(g) for g in strings(part[what])] for what in ("effectors", "regulators"))
            close(np.moveaxis(part["jacobian_gene"][()], -1, 0), Q[e] @ J @ Q[r].T, 1e-6)

def judged_fit(path, out):
    "Assert that a written field is that of the file's states and velocities."
    kept = ad.read_h5ad(out).uns["VecFld_pca"]
    with h5py.File(path) as f:
        for key, node in dict(X="obsm/X_pca", Y="obsm/velocity_pca").items():
            np.testing.assert_array_equal(kept[key], plain(f[node]))
    assert all(np.isfinite(kept[key]).all() for key in ("X_ctrl", "C", "beta")), "a field that is not finite"

def judged_page(path, out):
    "Assert that a page is whole, and that a table read from the same file holds the file's numbers."
    page = out.read_text()
    assert page.rstrip().endswith("</html>") and "NaN" not in page.split("application/json")[-1][:2000], "not whole"
    table = vf.get_jacobian(ad.read_h5ad(path))
    with h5py.File(path) as f:
        of, there = f["uns/jacobian_pca"], names(f["obs"])
        right = np.moveaxis(plain(of["jacobian_gene"]), -1, 0)[np.isin(strings(of["cells"]), there)]
    assert right.size, "an empty result"
    close(table["value"], right.ravel(), 1e-6)   # of the cells that are still called so

WAYS = dict(
    jacobian=(["--regulators", ",".join(ASKED), "--effectors", ",".join(ASKED[:2])], ".h5ad", judged),
    fit=(["--control-points", "8"], ".h5ad", judged_fit), report=([], ".html", judged_page))

def run(way, path, words=None, judge=None):
    "Run the command on a file: nothing half-written, nothing left, one line or a right result."
    usual, ending, own = WAYS[way]
    out, seen = path.with_name("out" + ending), {p.name for p in path.parent.iterdir()}
    out.write_bytes(b"before")
    try: command(way, path, *(usual if words is None else words), "-o", out)
    except ValueError:
        assert out.read_bytes() == b"before", "the previous output was touched"
        assert {p.name for p in path.parent.iterdir()} == seen | {out.name}, "something was left in the folder"
        raise
    try: (judge or own)(path, out)
    except AssertionError: raise
    except Exception as e: raise AssertionError(f"accepted, but a plain reading fails: {e!r}") from e

# ---- bytes

@functools.cache
def places(kind):
    "Where the numbers stand in a file that the commands read."
    of = [f"uns/VecFld_pca/{k}" for k in ("C", "X_ctrl", "beta", "slope")] + ["uns/PCs", "varm/PCs", "obsm/X_pca"]
    of += ["obsm/velocity_pca", "uns/jacobian_pca/jacobian_gene", "uns/jacobian_pca/cell_idx"]
    with h5py.File(whole(kind)) as f:
        there = [(f[n].id.get_offset(), f[n].nbytes) for n in of if n in f]
    return [at for start, n in there if start is not None for at in range(start, start + n, 8)]

def edited(kind, edit, seed):
    "A whole file with some bytes changed, or cut."
    data, rng = bytearray(base(kind)), np.random.default_rng(seed)
    n = len(data)
    if edit == "cut": return data[:seed]
    if edit == "flip":
        for at in rng.integers(n, size=rng.choice([1, 1, 2, 8, 64])): data[at] ^= 1 << rng.integers(8)
    elif edit == "set":
        for at in rng.integers(n, size=rng.choice([1, 2, 8])): data[at] = rng.choice([0, 255, 127, 128])
    elif edit == "numbers":  # bytes of a number of the field, in its exponent more often than not
        for at in rng.permutation(places(kind))[: rng.choice([1, 1, 3])]:
            data[at + rng.choice([7, 7, 6, 3])] ^= 1 << rng.integers(8)
    elif edit == "swell": data[(at := rng.integers(n)) : at] = rng.bytes(rng.choice([1, 8, 512]))
    else:
        (at, other), many = rng.integers(n - 600, size=2), rng.choice([8, 16, 64, 512])
        new = data[other : other + many] if edit == "move" else bytes(many) if seed % 2 else rng.bytes(many)
        data[at : at + many] = new
    return data

def changed(way, kind, edit, seed):
    (path := room("case.h5ad")).write_bytes(edited(kind, edit, seed))
    run(way, path)

@rule("a file cut short at any length is refused in one line")
def cut_short(outcome, quick, seed):
    for way, kind in dict(jacobian="plain", fit="plain", report="plain jacobian").items():
        n = len(base(kind))
        lengths = {0, 1, 7, 8, 9, 511, 512, 2048, n - 1, n - 8, n // 2, *range(0, n, n // (20 if quick else 60))}
        for at in sorted(lengths): count(outcome, f"{way}, cut to {at} bytes", changed, way, kind, "cut", at)

@rule("of a file with changed bytes that HDF5 survives, what comes out is what the file says, or a refusal in one line")
def changed_bytes(outcome, quick, seed):
    ways = [("jacobian", "plain")] * 6 + [("jacobian", "dynamo")] * 2 + [("fit", "plain"), ("report", "plain jacobian")]
    edits, rng = ["flip", "flip", "set", "numbers", "numbers", "block", "move", "swell"], np.random.default_rng(seed)
    for i in range(100 if quick else 800):
        case = *ways[rng.integers(len(ways))], edits[rng.integers(len(edits))], 10**6 * seed + i
        count(outcome, "{} of {}, {}, seed {}".format(*case), changed, *case)

# ---- wrong in structure

def put(f, name, values):
    "Replace a dataset or group, attributes kept where they still make sense."
    attrs = dict(f[name].attrs) if name in f else {}
    if name in f: del f[name]
    f.create_dataset(name, data=values).attrs.update(attrs)

def declared(f, name, shape):
    "A dataset of an absurd shape that takes no room in the file."
    attrs = dict(f[name].attrs)
    del f[name]
    made = f.create_dataset(name, shape=shape, dtype="f8", chunks=tuple(min(n, 1000) for n in shape))
    made.attrs.update(attrs)

def sparse(f, name, shape):
    "A sparse matrix of a declared shape with one entry."
    if name in f: del f[name]
    g = f.create_group(name)
    g.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": np.array(shape)})
    rows = np.r_[0, np.ones(min(shape[0], 1000), "i8")]
    g["data"], g["indices"], g["indptr"] = np.ones(1), np.zeros(1, "i8"), rows

def group(f, name, **parts):
    del f[name]
    for key, values in parts.items(): f.create_group(name).create_dataset(key, data=values)
    if not parts: f.create_group(name)

def link(f, name, target):
    del f[name]
    f[name] = target

def some(v, entry): return np.where(np.arange(v.size).reshape(v.shape) == v.size // 2, entry, v)

def texts(v, like="abc"): return np.full(v.shape, like, dtype=h5py.string_dtype())

VALUES = {   # what the numbers of a node become
    "words": texts, "numbers as words": lambda v: texts(v, "1.5"), "one word": lambda v: "abc",
    "whole numbers": lambda v: np.nan_to_num(v).astype("i8"), "bytes": lambda v: v.astype("S12"),
    "half precision": lambda v: v.astype("f2"), "big-endian": lambda v: v.astype(">f8"), "complex": lambda v: v + 1j,
    "booleans": lambda v: np.ones(v.shape, bool), "empty": lambda v: np.zeros((0,) * max(1, v.ndim)),
    "times": lambda v: np.ones(v.shape, "i8").astype(h5py.opaque_dtype("M8[s]")),
    "pairs": lambda v: np.ones(v.shape, dtype=[("a", "f8"), ("b", "i4")]), "one far": lambda v: some(v, 1e12),
    "nothing": lambda v: h5py.Empty("f8"), "no rows": lambda v: np.zeros((0, *v.shape[1:])),
    "a row less": lambda v: np.atleast_1d(v)[:-1], "one huge": lambda v: some(v, 1e200),
    "a row more": lambda v: np.concatenate([np.atleast_1d(v), np.atleast_1d(v)[:1]]),
    "a column less": lambda v: np.atleast_1d(v)[..., :-1], "turned": np.transpose, "flat": np.ravel,
    "deep": lambda v: v[..., None, None], "scalar": lambda v: 3.0, "nan inside": lambda v: some(v, np.nan),
    "inf inside": lambda v: some(v, -np.inf), "all nan": lambda v: v * np.nan, "zeros": np.zeros_like,
    "negative": lambda v: -np.abs(v) - 1, "huge": lambda v: np.full(v.shape, 1e308),
    "tiny": lambda v: np.full(v.shape, 5e-324)}
def encoding(key, value): return lambda f, n: f[n].attrs.__setitem__(f"encoding-{key}", value)

def to(target): return lambda f, n: link(f, n, target)

NODES = {   # what becomes of the node itself
    "missing": lambda f, n: f.__delitem__(n), "a group": group, "a filled group": partial(group, x=np.eye(3)),
    "sparse": lambda f, n: sparse(f, n, f[n].shape if len(getattr(f[n], "shape", ())) == 2 else (3, 3)),
    "absurd sparse": partial(sparse, shape=(10**9, 10**9)), "absurd shape": partial(declared, shape=(10**9, 10**6)),
    "absurd rows": partial(declared, shape=(10**9, 3)), "link to nowhere": to(h5py.SoftLink("/nowhere")),
    "link in a circle": lambda f, n: link(f, n, h5py.SoftLink("/" + n)), "no encoding": lambda f, n: f[n].attrs.clear(),
    "link to the root": lambda f, n: link(f, n, f["/"]), "link out": to(h5py.ExternalLink("/nowhere.h5", "/x")),
    "unknown encoding": encoding("type", "teapot"), "later encoding": encoding("version", "99.0.0"),
    "another encoding": encoding("type", "csr_matrix"), "encoding of a table": encoding("type", "dataframe"),
    "number as encoding": encoding("type", 7),
    "reference": lambda f, n: put(f, n, np.array([f["/"].ref] * 3, dtype=h5py.ref_dtype))}
WRONG = [*NODES, *VALUES]

def rebuilt(way, kind, edits):
    "A whole file with nodes replaced: `[(node, wrong), …]`."
    path = whole(kind)
    with h5py.File(path, "r+") as f:
        for node, wrong in edits:
            try:
                if wrong in NODES: NODES[wrong](f, node)
                else:
                    found = f[node][()] if isinstance(f[node], h5py.Dataset) else np.zeros((2, 2))
                    put(f, node, VALUES[wrong](np.asarray(found) if "words" in wrong else np.asarray(found, float)))
            except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OSError, IndexError, MemoryError):
                continue  # cannot be made of this node
    run(way, path)

PARTS = dict(
    jacobian=("X", "obs", "var", "obsm/X_pca", "varm", "uns", "obsm"), fit=("X", "obs", "obsm", "varm/PCs", "uns/PCs"),
    report=("obs", "obsm", "uns/jacobian_pca", "uns/VecFld_pca", "uns", "X", "varm", "var"))

@functools.cache
def nodes(way, kind):
    "The nodes of a whole file that a command may read."
    found = []
    with h5py.File(whole(kind)) as f: f.visit(found.append)
    return [n for n in found if any(n == p or n.startswith(p + "/") for p in PARTS[way])]

@rule("missing keys, wrong types, shapes and values inside a file are refused in one line, or read as they stand")
def wrong_structure(outcome, quick, seed):
    rng = np.random.default_rng(seed)
    ways = (("jacobian", "plain"), ("jacobian", "dynamo"), ("report", "plain jacobian"), ("fit", "plain"))
    every = [(*way, [edit]) for way in ways for edit in itertools.product(nodes(*way), WRONG)]
    ends = ("VecFld_pca/C", "VecFld_pca/X_ctrl", "VecFld_pca/beta", "X_pca", "PCs", "VecFld_pca")
    core = [c for c in every if c[0] == "jacobian" and c[2][0][0].endswith(ends)]
    def spread(cases, n): return [cases[i] for i in sorted(rng.choice(len(cases), n, replace=False))]
    cases = spread(core, 60) + spread(every, 60) if quick else core + spread(every, 400)
    for _ in range(20 if quick else 150):  # several wrongs at once
        way = ways[rng.integers(len(ways))]
        cases.append((*way, list(zip(rng.choice(nodes(*way), 3), rng.choice(WRONG, 3)))))
    for way, kind, edits in cases:
        count(outcome, f"{way} of {kind}, " + ", ".join(f"{n}: {w}" for n, w in edits), rebuilt, way, kind, edits)

# ---- files that would run code

class Evil:
    "Unpickled, it leaves a mark."
    def __init__(self, mark): self.mark = mark
    def __reduce__(self): return open, (str(self.mark), "w")

def armed(kind, path):
    "A file with a pickle in it that would make a mark beside it."
    evil = Evil(path.with_name("mark"))
    pickled = pickle.dumps(evil)
    if kind == "a pickle": path.write_bytes(pickled)
    elif kind == "npz":
        with path.open("wb") as f: np.savez(f, X=np.array([evil, None], dtype=object))
    elif kind == "zarr":
        ad.read_h5ad(whole("plain jacobian")).write_zarr(path)
        (part := path / "uns" / "evil").mkdir()
        (part / ".zarray").write_text(json.dumps(dict(
            zarr_format=2, shape=[1], chunks=[1], dtype="|O", compressor=None, fill_value=None, order="C",
            filters=[{"id": "pickle", "protocol": 5}])))
        (part / ".zattrs").write_text('{"encoding-type": "array", "encoding-version": "0.2.0"}')
        (part / "0").write_bytes(pickled)
        (path / ".zmetadata").unlink(missing_ok=True)
    else:
        path.write_bytes(base("plain jacobian"))
        with h5py.File(path, "r+") as f:
            if kind == "opaque": put(f, "uns/VecFld_pca/C", np.array([np.void(pickled)]))
            elif kind == "bytes": put(f, "uns/VecFld_pca/C", np.frombuffer(pickled, dtype="u1"))
            elif kind == "attribute": f["uns/VecFld_pca"].attrs["pickle"] = np.void(pickled)
            else: put(f, "uns/VecFld_pca/method", pickle.dumps(evil, 0).decode())

def harmless(path, out): assert not path.with_name("mark").exists(), "code in the file was run"

@rule("reading a file runs no code in it: pickles are never loaded (zarr stores: from zarr 3 on)")
def no_code(outcome, quick, seed):
    mark = room("mark")
    pickle.loads(pickle.dumps(Evil(mark))).close()
    outcome.ran("the pickle is sharp", mark.exists)
    kinds = ["a pickle", "npz", "opaque", "bytes", "attribute", "text"]
    if int(version("zarr").split(".")[0]) >= 3: kinds.append("zarr")
    def case(way, path):
        try: run(way, path, [], harmless)
        finally: harmless(path, None)
    for kind, way in itertools.product(kinds, WAYS):
        armed(kind, path := room(f"evil.{'zarr' if kind == 'zarr' else 'h5ad'}"))
        count(outcome, f"{way} of {kind}", case, way, path)

def zipped(p):
    with zipfile.ZipFile(p, "w") as z: z.writestr("X.npy", b"1")

def other_h5(p, **parts):
    with h5py.File(p, "w") as f: f.update(parts)

THINGS = {
    "text": lambda p: p.write_text("cell,gene\n1,2\n"), "a directory": Path.mkdir, "nothing in it": Path.touch,
    "a zip": zipped, "a FIFO": os.mkfifo, "a device": lambda p: p.symlink_to("/dev/zero"),
    "a link to nowhere": lambda p: p.symlink_to("nowhere"), "a link in a circle": lambda p: p.symlink_to(p),
    "random bytes": lambda p: p.write_bytes(np.random.default_rng(0).bytes(9999)), "no file": lambda p: None,
    "another HDF5 file": lambda p: other_h5(p, numbers=np.eye(3)), "an empty HDF5 file": other_h5,
    "the HDF5 signature": lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" * 99),
    "HTML": lambda p: p.write_text("<html>not found</html>"),
    "a sparse file of a terabyte": lambda p: (p.touch(), os.truncate(p, 10**12))}

@rule("what is no h5ad at all is refused in one line, and does not stop the command")
def no_h5ad(outcome, quick, seed):
    ways = [(way, ".h5ad") for way in WAYS if way == "jacobian" or not quick] + [("jacobian", ".zarr")]
    for (thing, make), (way, ending) in itertools.product(THINGS.items(), ways):
        make(path := room(f"thing{ending}"))
        outcome.ran(f"{way} of {thing} ({ending})", partial(ask, run, way, path, [], seconds=90), must_refuse=True)

# ---- beyond memory

MEASURE = """
import resource, sys
from vfjac.cli import main
import anndata, vfjac.tools, vfjac.explorer, scipy.sparse.linalg
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = main(sys.argv[1:])
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base, "STATUS", status)
"""

def measured(*words):
    "The one line of a command that refuses before it takes memory."
    asked = [sys.executable, "-c", MEASURE, *map(str, words)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    assert "PEAK" in done.stdout, f"died: {done.stderr[-300:]}"
    peak, _, status = done.stdout.split("PEAK")[1].split()
    assert float(peak) < 150 * 1024, f"took {float(peak) / 1024:.0f} MB before it refused"
    lines = [line for line in done.stderr.splitlines() if "note:" not in line]
    assert status == "0" or len(lines) == 1, f"not one line: {done.stderr[-300:]}"
    if status != "0": raise MemoryError(lines[0])

def small(call, *args):
    "A call that may take 100 MB."
    tracemalloc.start()
    try: return call(*args)
    finally:
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        assert peak < 100, f"took {peak:.0f} MB before it refused"

@rule("absurd sparse sizes and requests are refused before memory is taken, and say what they would take")
def absurd(outcome, quick, seed):
    for node, shape in {"uns/VecFld_pca/C": (3, 10**9), "uns/VecFld_pca/X_ctrl": (10**9, 10**9)}.items():
        path = whole("plain")
        with h5py.File(path, "r+") as f: sparse(f, node, shape)
        words = ["jacobian", path, "-o", room("out.h5ad")]
        outcome.ran(f"jacobian: {node} sparse {shape}", measured, *words, must_refuse=True)
    many, rng = 3000, np.random.default_rng(seed)
    a = ad.AnnData(shape=(2000, many))
    a.var["all"] = True
    a.obsm["X_pca"], a.varm["PCs"] = rng.normal(size=(2000, 5)), rng.normal(size=(many, 5))
    a.uns["VecFld_pca"] = dict(X_ctrl=rng.normal(size=(9, 5)), C=rng.normal(size=(9, 5)), beta=0.1)
    a.write_h5ad(path := room("genes.h5ad"))
    budget = dict(must_refuse=True, says="budget")
    for mb in ((), ("nan",), ("-1",), ("0",))[: 2 if quick else None]:
        words = ["--regulators", "all", "-o", room("out.h5ad"), *(w for n in mb for w in ("--memory-mb", n))]
        outcome.ran(f"all × all × all {mb}", measured, "jacobian", path, *words, **budget)
    outcome.ran("block of all genes in Python", small, vf.gene_jacobian(a).block, **budget)
    outcome.ran("lists of all genes in Python", small, vf.jacobian, a, list(a.var_names), **budget)

@rule("options that no file can answer are refused in one line")
def odd_options(outcome, quick, seed):
    path, answered = whole("plain"), (["--Qkey", "nothing"],)   # which without genes is not needed
    for options in (
            ["--regulators", ""], ["--regulators", ","], ["--regulators", "\x1b[31m"], ["--regulators", "@/"],
            ["--regulators", "@/dev/zero"], ["--cells", ","], ["--cells", "cell999"], ["--basis", "../../etc"],
            ["--sampling", "random", "--sample-ncells", "-5"], ["--sampling", "trn", "--sample-ncells", "0"],
            ["--basis", ""], *answered, ["--cores", "-3"], ["--cores", "0"], ["--memory-mb", "nan"],
            ["--regulators", "Spi1", "--memory-mb", "-1"], ["--regulators", "Spi1", "--Qkey", "nothing"],
            ["--regulators", "x" * 5000], ["--effectors", "Gata1\nSpi1"]):
        count(outcome, " ".join(map(repr, options))[:80], run, "jacobian", path, options,
              must_refuse=options not in answered)

