"""Injected faults: interrupted and killed writers, bad disks, two writers, dead workers, hostile names."""
# ruff: noqa: B023, each case is tried at once

import itertools
import logging
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import altair as alt
import anndata as ad
import h5py
import numpy as np
from forked import ask, base, command, in_child
from outcome import close, promise

import vfjac as vf
import vfjac.charts
from vfjac.cli import write_cells

rule = partial(promise, "faults")
BEFORE = b"what was there before"

@contextmanager
def room(source=True):
    "A folder with a whole input file."
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        if source: (folder / "in.h5ad").write_bytes(base("plain jacobian"))
        yield folder

def figure(): return alt.Chart({"values": [{"a": 1}]}).mark_point().encode(x="a:Q")

def by_command(way, *words): return lambda source, out: command(way, source, *words, "-o", out)

WRITERS = dict(   # what writes, and to what: the commands (the Jacobian to both formats), the functions that save
    fit=("out.h5ad", by_command("fit", "--control-points", 8)), jacobian=("out.h5ad", by_command("jacobian")),
    zarr=("out.zarr", by_command("jacobian")), report=("out.html", by_command("report")),
    in_place=("in.h5ad", by_command("jacobian")),
    vf_report=("out.html", lambda source, out: vf.report(ad.read_h5ad(source), out) and 0),
    save_html=("out.html", lambda source, out: vfjac.charts.save_html(figure(), out) and 0))
FUNCTIONS = ("vf_report", "save_html")

def content(path):
    "The bytes of a file, or of all files of a folder; a pipe or a device has none, and would keep its reader waiting."
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(p.relative_to(path)): p.read_bytes() for p in files if p.is_file()}

def whole(path):
    "Whether an output is complete."
    if path.suffix == ".html": return path.read_text().rstrip().endswith("</html>")
    a = ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)
    return a.shape == (30, 5) and "VecFld_pca" in a.uns

def leftovers(out):
    "Visible and hidden things in a folder that are neither input nor output."
    others = [p.name for p in out.parent.iterdir() if p.name not in ("in.h5ad", out.name, ".fill")]
    return [n for n in others if n[0] != "."], [n for n in others if n[0] == "."]

# ---- signals

def around(owner, name, action, after=False):
    real = getattr(owner, name)
    def call(*args, **kwargs):
        if not after: action()
        found = real(*args, **kwargs)
        if after: action()
        return found
    setattr(owner, name, call)

def hooked(number, where, at):
    "From here on the process sends itself a signal at the given call of a function on the way to the output."
    seen = itertools.count(1)
    def strike():
        if next(seen) == at: os.kill(os.getpid(), number)
    if where == "chunk":
        import zarr
        around(zarr.Group, "create_array" if hasattr(zarr.Group, "create_array") else "create_dataset", strike)
    if where == "rename": around(Path, "replace", strike)
    owner, name = dict(dataset=(h5py.Group, "create_dataset"), rename=(os, "replace"), renamed=(os, "replace"),
                       temporary=(tempfile, "mkdtemp"), tidying=(shutil, "rmtree"), text=(Path, "write_bytes"),
                       chunk=(time, "sleep"))[where]
    around(owner, name, strike, where == "renamed")

MOMENTS = [("temporary", 1), ("dataset", 1), ("dataset", 12), ("chunk", 1), ("chunk", 9), ("text", 1), ("rename", 1),
           ("rename", 2), ("renamed", 1), ("renamed", 2), ("tidying", 1)]

def interrupted(writer, number, where, at):
    "Interrupt a writer, look at what is there, and run it again."
    name, write = WRITERS[writer]
    with room() as folder:
        source, out = folder / "in.h5ad", folder / name
        if writer != "in_place": ask(write, source, out)
        before = content(out)
        code, text, error = in_child(lambda: hooked(number, where, at) or write(source, out))
        (visible, hidden), dies = leftovers(out), number == signal.SIGKILL
        asked = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
        if writer in FUNCTIONS and number == signal.SIGTERM: asked, dies = -15, True
        assert code in (0, asked) and not error, f"exit code {code}: {text[-300:]} {error}"
        assert "Traceback" not in text, text[-300:]
        assert not visible, f"left in sight: {visible}"
        if out.exists() or not (dies and name.endswith("zarr")):
            assert content(out) == before or whole(out), "the output is neither the old one nor the new one"
        assert dies or not hidden, f"left behind: {hidden}"
        ask(write, source, out)
        assert whole(out), "a second run failed"
        visible, again = leftovers(out)
        assert not visible and set(again) <= set(hidden), f"a second run left {visible + again}"

@rule("Ctrl-C, SIGTERM and kill -9 at any moment leave the old output or the new one, whole, and no visible litter")
def signals(outcome, quick, seed):
    def comes_to(writer, where, at):
        ending = WRITERS[writer][0].split(".")[-1]
        if ending == "html": return where == "text" or (where, at) in (("rename", 1), ("rename", 2))
        if ending == "zarr": return where not in ("dataset", "text")
        return where not in ("chunk", "text") and (not where.startswith("renam") or at == 1)
    moments = [(w, *m) for w, m in itertools.product(WRITERS, MOMENTS) if comes_to(w, *m)]
    every = [(w, n, *m) for w, *m in moments for n in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)]
    some = np.random.default_rng(seed).permutation(len(every))[: 4 if quick else 60]
    for writer, number, where, at in (every[i] for i in sorted(some)):
        outcome.ran(f"{writer}, {number.name} at {where} {at}", interrupted, writer, number, where, at)
    outcome.note = ("After kill -9 a hidden folder or file stays; if it came between the two renamings of a zarr "
                    "store, the old store is in it.")

def stopped(number, wait):
    "A command that is sent a signal from outside."
    with room() as folder:
        (out := folder / "out.h5ad").write_bytes(BEFORE)
        words = ["jacobian", folder / "in.h5ad", "--regulators", "Spi1,Gata1", "-o", out]
        run = "import sys; from vfjac.cli import main; sys.exit(main())"
        process = subprocess.Popen([sys.executable, "-c", run, *words], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        time.sleep(wait)
        process.send_signal(number)
        text = process.communicate(timeout=60)[1]
        assert leftovers(out) == ([], []), f"left behind: {leftovers(out)}"
        assert out.read_bytes() == BEFORE or whole(out), "the output is neither the old one nor the new one"
        assert process.returncode in (0, 128 + number, -number), f"exit code {process.returncode}: {text[-300:]}"

@rule("a running command is stopped from outside at any time: one line, the old output, nothing left")
def from_outside(outcome, quick, seed):
    for i, wait in enumerate(np.random.default_rng(seed).uniform(0.3, 4, 2 if quick else 16)):
        number = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP][i % 3]
        outcome.ran(f"{number.name} after {wait:.2f} s", stopped, number, wait)

# ---- disks and targets

def refused(write, out, prepare=lambda: None):
    "A writer in a child must refuse clearly, and leave the old output."
    before = content(out)
    try: ask(lambda: prepare() or write(out.with_name("in.h5ad"), out))
    except ValueError:
        assert content(out) == before, "the old output was touched"
        assert not any(leftovers(out)), f"left behind: {leftovers(out)}"
        raise

@contextmanager
def small_disk():
    "A file system of 1 MB, where mounting is permitted; else None."
    with tempfile.TemporaryDirectory() as folder:
        made = os.geteuid() == 0 and shutil.which("mount") and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode
        try: yield Path(folder) if made else None
        finally:
            if made: subprocess.run(["umount", "-l", folder], capture_output=True)

@rule("a full disk: the old output stays, the message says so, nothing is left")
def disk_full(outcome, quick, seed):
    writers = ("jacobian", "report", "zarr", "fit", "vf_report")[: 1 if quick else None]
    def limited(limit):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for (writer, free) in itertools.product(writers, (4_000, 40_000)):
        with small_disk() as disk:
            if disk is None: break
            (disk / "in.h5ad").write_bytes(base("plain jacobian"))
            name, write = WRITERS[writer]
            if writer == "zarr": ad.AnnData(np.eye(2)).write_zarr(disk / name)
            else: (disk / name).write_bytes(BEFORE)
            space = os.statvfs(disk)
            (disk / ".fill").write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - free)))
            outcome.ran(f"{writer}, {free:,} bytes free of a tmpfs", refused, write, disk / name, must_refuse=True)
    outcome.note = "A tmpfs of 1 MB was filled. " if disk else "No file system could be mounted. "
    for (writer, limit) in itertools.product(writers, (1_000, 30_000)):
        if (writer, limit) == ("zarr", 30_000): continue   # its files are small
        with room() as folder:
            name, write = WRITERS[writer]
            if writer != "zarr": (folder / name).write_bytes(BEFORE)
            case = f"{writer}, files limited to {limit:,} bytes"
            outcome.ran(case, refused, write, folder / name, partial(limited, limit), must_refuse=True)
    outcome.note += "Files were limited by RLIMIT_FSIZE, too."

def nobody():
    "Give up the rights of root."
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)

def listening(path):
    with socket.socket(socket.AF_UNIX) as s: s.bind(str(path))

def kinds(path): return stat.S_IFMT(os.lstat(path).st_mode), os.stat("/dev/full").st_rdev

@rule("read-only and missing folders, devices, links and folders as output are refused before the work begins")
def bad_targets(outcome, quick, seed):
    targets = dict(fifo=os.mkfifo, folder=os.mkdir, circle=lambda p: p.symlink_to(p), socket=listening,
                   device=lambda p: p.symlink_to("/dev/full"))
    for writer, (name, write) in WRITERS.items():
        if writer == "in_place" or quick and writer not in ("jacobian", "report"): continue
        with room() as folder:
            folder.chmod(0o555)
            outcome.ran(f"{writer}, read-only folder", refused, write, folder / name, nobody, must_refuse=True)
            folder.chmod(0o755)
        with room() as folder:
            case, out = f"{writer}, no such folder", folder / "gone" / name
            outcome.ran(case, ask, write, folder / "in.h5ad", out, says="no ", must_refuse=True)
        for kind, make in targets.items():
            with room() as folder:
                make(out := folder / name)
                before = kinds(out)
                outcome.ran(f"{writer}, {kind} as output", refused, write, out, must_refuse=True)
                outcome.ran(f"{writer}, {kind} as output, afterwards", lambda: kinds(out) == before)
    with room() as folder:
        link, real, source = folder / "out.h5ad", folder / "elsewhere" / "real.h5ad", folder / "in.h5ad"
        real.parent.mkdir()
        link.symlink_to(real)
        real.write_bytes(BEFORE)
        write = WRITERS["jacobian"][1]
        outcome.ran("a link is followed", lambda: ask(write, source, link) or link.is_symlink() and whole(real))
        outcome.ran("output is input", lambda: ask(write, source, source) or whole(source))

def at_once(name, n):
    "Several writers of one output, each with a number of its own."
    sources = [ad.AnnData(np.full((40, 5), float(i)), uns=dict(which=i)) for i in range(n)]
    zarr = name.endswith("zarr")
    def write(i):
        for _ in range(6):
            try: write_cells(sources[i], out)
            except OSError as e: assert zarr, e
    with room(False) as folder:
        out, found = folder / name, {}
        if zarr: write_cells(sources[0], out)
        threads = [threading.Thread(target=lambda i=i: found.update({i: in_child(write, i)})) for i in range(n)]
        for t in threads: t.start()
        for t in threads: t.join()
        for code, text, error in found.values(): assert not (code or error), f"{code} {error} {text[-300:]}"
        a = (ad.read_zarr if zarr else ad.read_h5ad)(out)
        assert (a.X == a.uns["which"]).all(), "a mixture of two"
        assert not any(leftovers(out)), f"left behind: {leftovers(out)}"

@rule("two writers at once: the output is that of one of them, whole, and nothing is left")
def two_writers(outcome, quick, seed):
    for name, n in itertools.product(("out.h5ad", "out.zarr"), (2, 3) if quick else (2, 3, 4, 5)):
        outcome.ran(f"{n} writers of {name}", at_once, name, n)

# ---- dask

@rule("a dask worker that dies in the middle costs nothing but time; if all die, the error says so")
def dead_worker(outcome, quick, seed):
    try:
        from dask.distributed import Client, KilledWorker, LocalCluster
    except ImportError:
        outcome.note = "dask.distributed is not installed. "
        return
    import dask.array as da
    rng, d = np.random.default_rng(seed), 5
    field = vf.GaussianField(rng.normal(size=(20, d)), rng.normal(size=(20, d)), beta=0.1)
    states = rng.normal(size=(4000, d))
    def tensor(states):
        return vf.GeneJacobian(field=field, states=states, loadings=Q, genes=[f"g{i}" for i in range(30)])
    def ask_of(gj, question): return gj.block(["g1"], ["g2"]) if question == "block" else getattr(gj, question)()
    Q, how = rng.normal(size=(30, d)), dict(threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL)
    def slow(block):
        time.sleep(0.15)
        return block
    def survives(question):
        with LocalCluster(n_workers=2, **how) as cluster, Client(cluster) as client:
            lazy = tensor(da.from_array(states, chunks=(250, d)).map_blocks(slow, dtype=float))
            pid = list(client.run(os.getpid).values())[0]
            timer = threading.Timer(0.6, os.kill, (pid, signal.SIGKILL))
            timer.start()
            close(np.asarray(ask_of(lazy, question)), ask_of(tensor(states), question), 1e-12)
            timer.join()
    def poisoned():
        "A chunk that kills whoever computes it."
        def deadly(block): os._exit(3)
        with LocalCluster(n_workers=1, **how) as cluster, Client(cluster):
            chunks = da.from_array(states, chunks=(2000, d))
            tensor(chunks.map_blocks(deadly, dtype=float, meta=np.empty((0, 0)))).mean()
    for question in ("mean",) if quick else ("mean", "std", "block"):
        outcome.ran(f"{question}, a worker killed", survives, question)
    if not quick: outcome.ran("every worker dies", poisoned, refusal=(KilledWorker,), must_refuse=True)

# ---- names that are code

NAMES = ["<script>window.marker=1</script>", "</script><script>window.marker=1</script>", "${window.marker=1}",
         '"><img src=x onerror=window.marker=1>', "<!--<script>", "'-window['marker']=1-'",
         "datum['x'];window.marker=1", "\u2028window.marker=1//"]

def hostile_cells(first):
    "Cells whose genes, groups and names are code."
    with room() as folder: a = ad.read_h5ad(folder / "in.h5ad")
    a.var_names = (NAMES * 2)[first : first + a.n_vars]
    a.obs["group"] = (NAMES * a.n_obs)[: a.n_obs]
    a.obs["group"] = a.obs["group"].astype("category")
    a.obs_names = [f"{NAMES[i % len(NAMES)]}{i}" for i in range(a.n_obs)]
    a.uns.pop("jacobian_pca")
    return vf.jacobian(a, regulators=list(a.var_names), effectors=list(a.var_names))

class Elements(HTMLParser):
    "Counts scripts, and what no page of ours has."
    def __init__(self, page):
        super().__init__()
        self.scripts, self.bad = 0, []
        self.feed(page)
    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        if tag in ("img", "iframe", "object") or any(key.startswith("on") for key, _ in attrs): self.bad.append(tag)

def parsed(page):
    text = page.read_text()
    found = Elements(text)
    assert not found.bad and found.scripts <= 4, f"elements {found.bad}, {found.scripts} scripts"
    plain = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert "window.marker=1</script>" not in plain, "a name ends a script"

def opened(page, browser):
    "Open a page in a browser, use its menus, point at its marks: the marker must not be set."
    seen, asked, errors = browser.new_page(), [], []
    seen.on("request", lambda r: asked.append(r.url))
    seen.on("pageerror", lambda e: errors.append(str(e)))
    seen.on("dialog", lambda d: (errors.append("dialog"), d.dismiss()))
    seen.goto(page.as_uri())
    seen.wait_for_timeout(1500)
    for box in seen.query_selector_all("select")[:4]:
        box.select_option(index=1)
        seen.wait_for_timeout(150)
    marks = seen.query_selector_all("path, circle, rect")
    for mark in marks[:3] + marks[-3:]:
        with suppress(Exception): mark.hover(timeout=300)
    assert seen.query_selector_all("svg, canvas"), "nothing is drawn"
    assert seen.evaluate("typeof window.marker") == "undefined", "a name was run as code"
    asked = [u for u in asked if not u.startswith(("file:", "data:", "blob:"))]
    assert not asked and not errors, f"asked for {asked}, errors {errors[:2]}"

@contextmanager
def chromium():
    "A browser, or None."
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if not (path and find_spec("playwright")): yield None
    else:
        from playwright.sync_api import sync_playwright
        with sync_playwright() as p: yield p.chromium.launch(executable_path=path, args=["--no-sandbox"])

@rule("genes, groups and cells named like HTML or JavaScript are shown as they are, in reports and saved explorers")
def hostile_names(outcome, quick, seed):
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        outcome.note = "Opened in headless Chromium." if browser else "No Chromium here: the HTML was parsed."
        folder = Path(name)
        pages = [vfjac.charts.save_html(figure(), folder / "chart.html", title=NAMES[0], lead=NAMES[2])]
        for first in (0,) if quick else (0, 3):
            a = hostile_cells(first)
            explorer = vf.explore(a)
            pages += [vf.report(a, folder / f"report{first}.html", title=NAMES[1]),
                      explorer.to_html(folder / f"explorer{first}.html")]
            svg = explorer.svg()
            outcome.ran(f"picture {first} as SVG", lambda: "<script" not in svg and "<img" not in svg)
        for page in pages:
            outcome.ran(f"{page.name}, parsed", parsed, page)
            if browser: outcome.ran(f"{page.name}, opened", opened, page, browser)
