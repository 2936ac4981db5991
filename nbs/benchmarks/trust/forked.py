"""Cases in forked processes: a crash or a hang of one is an answer like any other. And a small whole file to try."""

import functools
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

import anndata as ad
import numpy as np
from outcome import REFUSALS

import vfjac as vf

GENES, ASKED = ["Gata1", "Spi1", "Cebpa", "Klf1", "Fli1"], ["Spi1", "Gata1", "Klf1"]
RAW = (  # words of Python's and numpy's own errors: a message that is one of these tells a user nothing
    "out of bounds", "could not convert", "not aligned", "broadcast", "unsupported operand", "has no attribute",
    "mismatch in its", "not subscriptable", "must be real number", "invalid literal", "ambiguous", "unhashable",
    "cannot cast", "ufunc", "codec can't", "inhomogeneous", "setting an array element", "list index", "cannot reshape",
    "iterable", "axis ", "must be 1-d", "negative dimension", "Input contains", "array must not contain", "zero-size",
    "float() argument", "int() argument", "not supported between", "can only")

_fork = multiprocessing.get_context("fork")
HOME = tempfile.TemporaryDirectory(prefix="trust-")

class Died(Exception):
    "A process died, or had to be stopped."

@functools.cache
def base(kind):
    "A small whole file: `plain` (loadings in varm, tuned field), `dynamo` (its keys), or either with a `jacobian`."
    rng = np.random.default_rng(5)
    latent, mean = rng.normal(size=(30, 3)) * [3, 2, 1], rng.uniform(3, 6, size=5)
    Q = np.linalg.qr(rng.normal(size=(5, 3)))[0]
    a = ad.AnnData(latent @ Q.T + mean)
    a.obs_names, a.var_names = [f"cell{i}" for i in range(30)], GENES
    a.obs["group"] = np.repeat(["one", "two", "three"], 10)
    a.obsm["X_pca"], a.obsm["X_embedding"] = latent, latent[:, :2].copy()
    a.obsm["velocity_pca"] = np.tanh(latent) @ rng.normal(size=(3, 3)) * 0.2 - 0.1 * latent
    if kind.startswith("dynamo"):
        a.uns["PCs"], a.uns["pca_mean"], a.var["use_for_pca"] = Q, mean, True
        vf.fit_vector_field(a, M=8, compat="dynamo")
        for key in ("velocity_source", "velocity_kind", "covariance_root", "noise_variance", "noise_correlation",
                    "error_beta", "dof", "ridge", "without_velocity"): a.uns["VecFld_pca"].pop(key, None)
    else:
        a.varm["PCs"] = Q
        vf.fit_vector_field(a, M=8)
    if kind.endswith("jacobian"): vf.jacobian(a, regulators=ASKED, effectors=ASKED[:2])
    with tempfile.TemporaryDirectory() as folder:
        a.write_h5ad(path := Path(folder) / "base.h5ad")
        return path.read_bytes()

@functools.cache
def bundle():
    "The JavaScript of pages, made once in a process of its own: its engine does not live through a fork."
    make = ("import altair as alt, vl_convert, sys; v = '_'.join(alt.SCHEMA_VERSION.lstrip('v').split('.')[:2]);"
            "sys.stdout.buffer.write(vl_convert.javascript_bundle(vl_version=v).encode())")
    return subprocess.run([sys.executable, "-c", make], check=True, capture_output=True).stdout.decode()

def _begin(log):
    "In a child: all that is printed, by libraries in C as well, goes to a file; limits; one BLAS thread."
    import vl_convert
    from threadpoolctl import threadpool_limits
    global said
    vl_convert.javascript_bundle = lambda *_, **__: bundle()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    fd = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2): os.dup2(fd, stream)
    sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False, errors="backslashreplace") for n in (1, 2))
    threadpool_limits(1)
    def said():
        text = log.read_bytes().decode("utf-8", "replace")
        os.truncate(log, 0)
        return text

def verdict(work, *args):
    "What `work(*args)` raised: None, a refusal or a problem, and its words."
    try: work(*args)
    except REFUSALS as e: return "refused", str(e)
    except AssertionError as e: return "problem", str(e) or traceback.format_exc(limit=-2)
    except Exception: return "problem", "the test itself stopped: " + traceback.format_exc(limit=-3)

def in_child(work, *args, seconds=200):
    "Run `work(*args)` in a fork: its exit code (minus the signal that killed it), what it printed, its verdict."
    bundle()
    with tempfile.TemporaryDirectory() as folder:
        log, told = Path(folder) / "log", Path(folder) / "told"
        def run():
            _begin(log)
            with told.open("w") as file:   # opened now: the work may give up the right to
                try: json.dump(verdict(work, *args), file)
                except KeyboardInterrupt: os._exit(130)
            os._exit(0)
        process = _fork.Process(target=run)
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            return None, f"still running after {seconds} s", None
        error = json.loads((told.exists() and told.read_text()) or "null")
        return process.exitcode, log.read_text(errors="replace") if log.exists() else "", error

def settle(error, code=0, text=""):
    "Raise here what was raised in another process: a refusal, an AssertionError, or that it died."
    if error: raise (ValueError if error[0] == "refused" else AssertionError)(error[1])
    if code is None or code < 0: raise Died(f"{text[-200:]} (exit code {code})")

def ask(work, *args, seconds=200):
    "Run `work(*args)` in a process of its own; what it raised is raised here."
    code, text, error = in_child(work, *args, seconds=seconds)
    settle(error, code, text)

class Worker:
    "A forked process that works on one case after the other; one that dies or is late is replaced."
    def __init__(self, work): self.work, self.process = work, None
    def start(self):
        bundle()
        self.pipe, other = _fork.Pipe()
        def run():
            _begin(Path(tempfile.mkdtemp(dir=HOME.name)) / "log")
            while True: other.send(verdict(self.work, *other.recv()))
        self.process = _fork.Process(target=run, daemon=True)
        self.process.start()
        other.close()
    def ask(self, *args, seconds=12):
        if not self.process: self.start()
        self.pipe.send(args)
        with suppress(EOFError):
            if self.pipe.poll(seconds): return settle(self.pipe.recv())
        self.process.kill()
        self.process.join()
        self.process = None
        raise Died(f"the process died or was still running after {seconds} s")

worker = functools.cache(Worker)

def _only_read(work, *args):
    "Read a file as the command does, and go no further."
    import vfjac.cli
    def read_cells(path):
        ad.read_h5ad(path)
        raise ValueError("the library reads it in time")
    vfjac.cli.read_cells = read_cells
    work(*args)

def caught(call, *args, **how):
    try: call(*args, **how)
    except (ValueError, AssertionError) as e: return e

def count(outcome, case, work, *args, **how):
    "Try a case in a process; files that crash or stop the HDF5 library itself are only noted."
    try: error = caught(worker(work).ask, *args)
    except Died:
        try: caught(ask, _only_read, work, *args, seconds=60)
        except Died:
            outcome.mute = getattr(outcome, "mute", 0) + 1
            outcome.note = f"{outcome.mute} more files crash or stop the HDF5 library itself, and so the command."
            return
        try: error = caught(worker(work).ask, *args, seconds=60)
        except Died as e: error = AssertionError(str(e))
    def again():
        if error: raise error
    outcome.ran(case, again, **how)

def command(*words):
    "Run `vfjac` with these words: ValueError with its one line if it refuses, AssertionError if it breaks its promise."
    from vfjac.cli import main
    said()
    try: status = main([str(w) for w in words])
    except Exception as e:
        where = traceback.extract_tb(e.__traceback__)
        ours = next((f for f in reversed(where) if "vfjac" in f.filename), where[-1])
        raise AssertionError(f"traceback: {type(e).__name__} in {ours.name}, line {ours.lineno}: {str(e)[:150]}") from e
    if status == 0: return
    text = said()
    lines = [line for line in text.splitlines() if not line.startswith("vfjac: note: ")]
    if status in (130, 143): os._exit(status if len(lines) <= 1 else 71)   # stopped
    assert status == 2, f"exit status {status}: {text[:200]}"
    assert len(lines) == 1 and lines[0].startswith("vfjac: "), f"not one line: {text[:500]}"
    message = lines[0].removeprefix("vfjac: ")
    raw = [word for word in RAW if word in message]
    assert not raw or "cannot be read as" in message, f"raw message ({raw[0]}): {message[:200]}"
    raise ValueError(message)
