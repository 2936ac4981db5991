"""Injected faults: interrupted and killed writers, bad disks, two writers, dead workers, hostile names."""

import itertools
import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
from files import base
from forked import _fork, bundle, quiet
from outcome import promise

import vfjac as vf

RUN = [sys.executable, "-c", "import sys; from vfjac.cli import main; sys.exit(main())"]
BEFORE = b"what was there before"

def in_child(work, seconds: float = 200) -> tuple[int, str]:
    "Run `work()` in a forked process: its exit code (minus the signal that killed it) and what it printed."
    bundle()
    with tempfile.TemporaryDirectory() as folder:
        def run():
            import vl_convert
            vl_convert.javascript_bundle = lambda *_, **__: bundle()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            quiet(Path(folder))
            code = 70
            try: code = work()
            except KeyboardInterrupt: code = 130
            except Exception as e: print(f"{type(e).__name__}: {e}", flush=True)
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code or 0)
        process = _fork.Process(target=run)
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            return -999, "still running"
        logs = list(Path(folder).iterdir())
        return process.exitcode, logs[0].read_text() if logs else ""

@contextmanager
def room(source: bool = True):
    "A folder with a whole input file."
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        if source: (folder / "in.h5ad").write_bytes(base("plain jacobian"))
        yield folder

def command(*words) -> int:
    from vfjac.cli import main
    return main([str(w) for w in words])

# What writes, and its name: the three commands (the Jacobian to both formats), and the functions that save.
def _table(folder): return ad.read_h5ad(folder / "in.h5ad")

def _figure():
    import altair as alt
    return alt.Chart({"values": [{"a": 1}]}).mark_point().encode(x="a:Q")

WRITERS = dict(fit=("out.h5ad", lambda folder: command("fit", folder / "in.h5ad", "--control-points", 8,
    "-o", folder / "out.h5ad")), jacobian=("out.h5ad", lambda folder: command("jacobian",
    folder / "in.h5ad", "-o", folder / "out.h5ad")), zarr=("out.zarr",
    lambda folder: command("jacobian", folder / "in.h5ad", "-o", folder / "out.zarr")),
    report=("out.html", lambda folder: command("report", folder / "in.h5ad", "-o", folder / "out.html")),
    in_place=("in.h5ad", lambda folder: command("jacobian", folder / "in.h5ad", "-o", folder / "in.h5ad")),
    vf_report=("out.html", lambda folder: vf.report(_table(folder), folder / "out.html") and 0),
    save_html=("out.html", lambda folder: vf.charts.save_html(_figure(), folder / "out.html") and 0))

def content(path: Path) -> dict:
    "The bytes of a file, or of all files of a folder; a pipe or a device has none, and would keep its reader waiting."
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(p.relative_to(path)): p.read_bytes() for p in files if p.is_file()}

def whole(path: Path) -> bool:
    "Whether an output is complete."
    if path.suffix == ".html": return path.read_text().rstrip().endswith("</html>")
    a = ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)
    return a.shape == (30, 5) and "VecFld_pca" in a.uns

def hooked(number: int, where: str, at: int):
    "From here on the process sends itself a signal at the given call of a function on the way to the output."
    seen = itertools.count(1)
    def around(owner, name):
        real = getattr(owner, name)
        def call(*args, **kwargs):
            if next(seen) == at: os.kill(os.getpid(), number)
            return real(*args, **kwargs)
        setattr(owner, name, call)
    if where == "dataset": around(h5py.Group, "create_dataset")
    elif where == "rename": around(os, "replace"), around(Path, "replace")
    elif where == "renamed":
        real = os.replace
        def call(*args, **kwargs):
            real(*args, **kwargs)
            if next(seen) == at: os.kill(os.getpid(), number)
        os.replace = call
    elif where == "temporary": around(tempfile, "mkdtemp")
    elif where == "tidying": around(shutil, "rmtree")
    elif where == "text": around(Path, "write_bytes")
    elif where == "chunk":
        import zarr
        around(zarr.Group, "create_array" if hasattr(zarr.Group, "create_array") else "create_dataset")

MOMENTS = [("temporary", 1), ("dataset", 1), ("dataset", 12), ("chunk", 1), ("chunk", 9), ("text", 1),
    ("rename", 1), ("rename", 2), ("renamed", 1), ("renamed", 2), ("tidying", 1)]

def leftovers(folder: Path, name: str) -> tuple[list, list]:
    "Visible and hidden things in a folder that are neither input nor output."
    others = [p.name for p in folder.iterdir() if p.name not in ("in.h5ad", name)]
    return [n for n in others if not n.startswith(".")], [n for n in others if n.startswith(".")]

def interrupted(writer: str, number: int, where: str, at: int):
    "Interrupt a writer, look at what is there, and run it again."
    name, write = WRITERS[writer]
    with room() as folder:
        def once():
            hooked(number, where, at)
            return write(folder)
        out = folder / name
        if writer != "in_place": assert in_child(lambda: write(folder))[0] == 0, "the first run failed"
        before = content(out)
        code, text = in_child(once)
        visible, hidden = leftovers(folder, name)
        asked = {signal.SIGINT: (130,), signal.SIGTERM: (143,), signal.SIGKILL: (-9,)}[number]
        if writer in ("vf_report", "save_html") and number == signal.SIGTERM: asked = (-15,)
        if code not in (0, *asked): return f"exit code {code}: {text[-300:]}"
        if ("Traceback" in text or writer not in ("vf_report", "save_html") and code > 0 and
                text.count("\n") > 1):
            return f"not one line: {text[-300:]}"
        if visible: return f"left in sight: {visible}"
        gone = number == signal.SIGKILL and name.endswith("zarr") and not out.exists()
        if not gone:
            if content(out) != before and not whole(out):
                return "the output is neither the old one nor the new one"
        dies = number == signal.SIGKILL or asked == (-15,)
        if hidden and not dies: return f"left behind: {hidden}"
        code, text = in_child(lambda: write(folder))
        if code or not whole(out): return f"a second run failed: {code} {text[-300:]}"
        visible, again = leftovers(folder, name)
        if visible or set(again) - set(hidden): return f"a second run left {visible + again}"

@promise("faults",
    "Ctrl-C, SIGTERM and kill -9 at any moment leave the old output or the new one, whole, and no visible litter")
def signals(outcome, quick, seed):
    every = []
    for writer, (where, at) in itertools.product(WRITERS, MOMENTS):
        zarr, page = writer == "zarr", WRITERS[writer][0].endswith("html")
        if (where == "dataset" and (zarr or page) or where == "chunk" and not zarr or where == "text" and
                not page):
            continue
        if where.startswith("renam") and at == 2 and not zarr and not page: continue
        if page and where not in ("text", "rename"): continue
        every += [(writer, number, where, at) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)]
    some = np.random.default_rng(seed).permutation(len(every))[: 4 if quick else 60]
    for writer, number, where, at in (every[i] for i in sorted(some)):
        case = f"{writer}, {signal.Signals(number).name} at {where} {at}"
        outcome.ran(case, lambda w=writer, n=number, x=where, a=at: interrupted(w, n, x, a))
    outcome.note += ("After kill -9 a hidden folder or file stays; if it came between the two renamings of a zarr "
        "store, the old store is in it.")

@promise("faults",
    "a running command is stopped from outside at any time: one line, the old output, nothing left")
def from_outside(outcome, quick, seed):
    rng = np.random.default_rng(seed)
    def case(number, wait):
        with room() as folder:
            (out := folder / "out.h5ad").write_bytes(BEFORE)
            env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
            words = [*RUN, "jacobian", folder / "in.h5ad", "--regulators", "Spi1,Gata1", "-o", out]
            process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                env=env)
            time.sleep(wait)
            process.send_signal(number)
            text = process.communicate(timeout=60)[1]
            if leftovers(folder, "out.h5ad") != ([], []):
                return f"left behind: {leftovers(folder, 'out.h5ad')}"
            if out.read_bytes() != BEFORE and not whole(out):
                return "the output is neither the old one nor the new one"
            known = process.returncode in (0, 128 + number, -number)
            if not known: return f"exit code {process.returncode}: {text[-300:]}"
    for i in range(2 if quick else 16):
        number, wait = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP][i % 3], float(rng.uniform(0.3, 4))
        outcome.ran(f"{number.name} after {wait:.2f} s", lambda n=number, w=wait: case(n, w))

# ---- disks

@contextmanager
def small_disk(folder: Path, mb: int, options: str = ""):
    "A file system of a few MB, where mounting is permitted; else None."
    if os.geteuid() == 0 and shutil.which("mount"):
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mb}m", "tmpfs", folder],
            capture_output=True)
        if made.returncode == 0:
            try: yield folder
            finally: subprocess.run(["umount", "-l", folder], capture_output=True)
            return
    yield None

def refused(outcome, case: str, folder: Path, writer: str, prepare=lambda: None, says: str = ""):
    "A writer in a child must refuse in one line, and leave the old output."
    name, write = WRITERS[writer]
    def attempt():
        def work():
            prepare()
            return write(folder)
        before = content(folder / name)
        code, text = in_child(work)
        lines = [line for line in text.splitlines() if "note:" not in line]
        if code == 0: return "accepted"
        if code < 0: return f"died of signal {-code}: {text[-200:]}"
        if "Traceback" in text or len(lines) != 1: return f"not one line (exit code {code}): {text[-400:]}"
        if content(folder / name) != before: return "the old output was touched"
        if any(leftovers(folder, name)): return f"left behind: {leftovers(folder, name)}"
        raise OSError(lines[0])
    outcome.ran(case, attempt, says=says)

@promise("faults", "a full disk: the old output stays, the message says so, nothing is left")
def disk_full(outcome, quick, seed):
    with room(False) as top:
        with small_disk(top, 1) as disk:
            if disk is not None:
                for writer in ("jacobian", "report", "zarr", "fit", "vf_report")[: 1 if quick else None]:
                    (disk / "in.h5ad").write_bytes(base("plain jacobian"))
                    name = WRITERS[writer][0]
                    for free in (4_000, 40_000):
                        out = disk / name
                        if name.endswith("zarr"):
                            ad.read_h5ad(disk / "in.h5ad")[:2, :2].copy().write_zarr(out)
                            for part in out.glob("uns"): shutil.rmtree(part)
                        else: out.write_bytes(BEFORE)
                        space = os.statvfs(disk)
                        (disk / "in.h5ad.fill").write_bytes(bytes(max(0,
                            space.f_bavail * space.f_frsize - free)))
                        (disk / "in.h5ad.fill").rename(disk / ".fill")
                        _refused_full(outcome, f"{writer}, {free:,} bytes free of a tmpfs", disk, writer)
                        (disk / ".fill").unlink(missing_ok=True)
                        (shutil.rmtree if out.is_dir() else Path.unlink)(out)
    outcome.note += ("A tmpfs of 1 MB was filled. " if disk is not None else
        "No file system could be mounted. ")
    for writer in ("jacobian", "report", "zarr", "fit", "vf_report")[: 1 if quick else None]:
        for limit in (1_000, 30_000):
            if writer == "zarr" and limit > 2_000:
                continue  # its files are small
            def few(limit=limit):
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            with room() as folder:
                name = WRITERS[writer][0]
                if not name.endswith("zarr"): (folder / name).write_bytes(BEFORE)
                refused(outcome, f"{writer}, files limited to {limit:,} bytes", folder, writer, few)
    outcome.note += "Files were limited by RLIMIT_FSIZE, too."

def _refused_full(outcome, case, disk, writer):
    "As `refused`, where a file of the test itself fills the disk."
    global leftovers
    real = leftovers
    def without_fill(folder, name):
        visible, hidden = real(folder, name)
        return visible, [n for n in hidden if n != ".fill"]
    leftovers = without_fill
    try: refused(outcome, case, disk, writer)
    finally: leftovers = real

def nobody():
    "Give up the rights of root."
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)

@promise("faults",
    "read-only and missing folders, devices, links and folders as output are refused before the work begins")
def bad_targets(outcome, quick, seed):
    writers = (["jacobian", "report"] if quick else ["jacobian", "report", "zarr", "fit", "vf_report",
        "save_html"])
    for writer in writers:
        name = WRITERS[writer][0]
        with room() as folder:
            os.chmod(folder, 0o555)
            refused(outcome, f"{writer}, read-only folder", folder, writer, nobody)
            os.chmod(folder, 0o755)
        with room() as folder:
            def attempt(folder=folder, writer=writer, name=name):
                import vfjac.charts
                target = folder / "gone" / name
                def work():
                    if writer == "vf_report": return vf.report(_table(folder), target) and 0
                    if writer == "save_html": return vfjac.charts.save_html(_figure(), target) and 0
                    return command({"zarr": "jacobian"}.get(writer, writer), folder / "in.h5ad", "-o",
                        target)
                code, text = in_child(work)
                if code == 0 or "Traceback" in text: return f"exit code {code}: {text[-300:]}"
                raise OSError(text.strip())
            outcome.ran(f"{writer}, no such folder", attempt, says="no ")
        for kind, make in dict(fifo=os.mkfifo, folder=os.mkdir, circle=lambda p: os.symlink(p, p),
                device=lambda p: os.symlink("/dev/full", p), socket=_socket).items():
            with room() as folder:
                make(folder / name)
                before = stat.S_IFMT(os.lstat(folder / name).st_mode), os.stat("/dev/full").st_rdev
                refused(outcome, f"{writer}, {kind} as output", folder, writer)
                after = stat.S_IFMT(os.lstat(folder / name).st_mode), os.stat("/dev/full").st_rdev
                outcome.ran(f"{writer}, {kind} as output, afterwards", lambda a=after,
                    b=before: a == b or f"{b} became {a}")
    with room() as folder:
        link, real = folder / "out.h5ad", folder / "elsewhere" / "real.h5ad"
        real.parent.mkdir()
        real.write_bytes(BEFORE)
        link.symlink_to(real)
        code, text = in_child(lambda: WRITERS["jacobian"][1](folder))
        outcome.ran("a link is followed", lambda: code == 0 and link.is_symlink() and whole(real) or text)
    with room() as folder:
        code, text = in_child(lambda: WRITERS["in_place"][1](folder))
        outcome.ran("output is input", lambda: code == 0 and whole(folder / "in.h5ad") or text)

def _socket(path):
    import socket
    with socket.socket(socket.AF_UNIX) as s: s.bind(str(path))

@promise("faults", "two writers at once: the output is that of one of them, whole, and nothing is left")
def two_writers(outcome, quick, seed):
    def case(name, n):
        with room(False) as folder:
            sources = []
            for i in range(n):
                a = ad.AnnData(np.full((40, 5), float(i)))
                a.uns["which"] = i
                sources.append(a)
            from vfjac.cli import write_cells
            if name.endswith("zarr"): write_cells(sources[0], folder / name)
            def work(i):
                def write():
                    bad = 0
                    for _ in range(6):
                        try: write_cells(sources[i], folder / name)
                        except OSError as e:
                            bad += 1
                            print(e)
                    return 0 if not bad or name.endswith("zarr") else 70
                return write
            found = {}
            def wait(i): found[i] = in_child(work(i))
            threads = [threading.Thread(target=wait, args=(i,)) for i in range(n)]
            for t in threads: t.start()
            for t in threads: t.join()
            for i, (code, text) in found.items():
                if code: return f"writer {i}: exit code {code}: {text[-300:]}"
            a = (ad.read_zarr if name.endswith("zarr") else ad.read_h5ad)(folder / name)
            if not (a.X == a.uns["which"]).all(): return "a mixture of two"
            if any(leftovers(folder, name)): return f"left behind: {leftovers(folder, name)}"
    for name in ("out.h5ad", "out.zarr"):
        for n in (2, 3) if quick else (2, 3, 4, 5):
            outcome.ran(f"{n} writers of {name}", lambda n=n, name=name: case(name, n))

# ---- dask

@promise("faults",
    "a dask worker that dies in the middle costs nothing but time; if all die, the error says so")
def dead_worker(outcome, quick, seed):
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError:
        outcome.note += "dask.distributed is not installed. "
        return
    import logging

    import dask.array as da

    rng, d = np.random.default_rng(seed), 5
    field = vf.GaussianField(rng.normal(size=(20, d)), rng.normal(size=(20, d)), beta=0.1)
    states, loadings = rng.normal(size=(4000, d)), rng.normal(size=(30, d))
    def slow(block):
        time.sleep(0.15)
        return block
    gj = dict(field=field, loadings=loadings, genes=[f"g{i}" for i in range(30)])
    here = vf.GeneJacobian(states=states, **gj)
    right = dict(mean=here.mean(), std=here.std(), block=here.block(["g1"], ["g2"]))
    def ask(question, kill):
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None,
                silence_logs=logging.CRITICAL) as cluster:
            with Client(cluster) as client:
                lazy = vf.GeneJacobian(states=da.from_array(states, chunks=(250, d)).map_blocks(slow,
                    dtype=float), **gj)
                pids = list(client.run(os.getpid).values())
                timer = threading.Timer(0.6, lambda: os.kill(pids[0], kill))
                timer.start()
                value = (lazy.block(["g1"], ["g2"]).compute() if question == "block" else getattr(lazy,
                    question)())
                timer.join()
        worst = np.abs(value - right[question]).max()
        return bool(worst < 1e-12) or f"off by {worst:.3g}"
    for question in ("mean",) if quick else ("mean", "std", "block"):
        outcome.ran(f"{question}, a worker killed", lambda q=question: ask(q, signal.SIGKILL))
    def poisoned():
        "A chunk that kills whoever computes it."
        def deadly(block): os._exit(3)
        with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None,
                silence_logs=logging.CRITICAL) as cluster:
            with Client(cluster):
                vf.GeneJacobian(states=da.from_array(states, chunks=(2000, d)).map_blocks(deadly,
                    dtype=float, meta=np.empty((0, 0))), **gj).mean()
    from dask.distributed import KilledWorker
    if not quick: outcome.ran("every worker dies", poisoned, refusal=(KilledWorker,), must_refuse=True)

# ---- names that are code

NAMES = ["<script>window.marker=1</script>", "</script><script>window.marker=1</script>",
    '"><img src=x onerror=window.marker=1>', "<!--<script>", "'-window['marker']=1-'", "${window.marker=1}",
    "datum['x'];window.marker=1", "\u2028window.marker=1//"]

def hostile_cells(first: int) -> ad.AnnData:
    "Cells whose genes, groups and names are code."
    with room() as folder: a = _table(folder)
    a.var_names = (NAMES * 2)[first : first + a.n_vars]
    a.obs["group"] = np.array(NAMES, dtype=object)[np.arange(a.n_obs) % len(NAMES)]
    a.obs["group"] = a.obs["group"].astype("category")
    a.obs_names = [f"{NAMES[i % len(NAMES)]}{i}" for i in range(a.n_obs)]
    a.uns.pop("jacobian_pca")
    return vf.jacobian(a, regulators=list(a.var_names), effectors=list(a.var_names))

@promise("faults",
    "genes, groups and cells named like HTML or JavaScript are shown as they are, in reports and saved explorers")
def hostile_names(outcome, quick, seed):
    browser = _browser()
    outcome.note += "Opened in headless Chromium." if browser else "No Chromium here: the HTML was parsed."
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        pages = [vf.charts.save_html(_figure(), folder / "chart.html", title=NAMES[0], lead=NAMES[2])]
        for first in (0,) if quick else (0, 3):
            a = hostile_cells(first)
            pages.append(vf.report(a, folder / f"report{first}.html", title=NAMES[1]))
            explorer = vf.explore(a)
            pages.append(explorer.to_html(folder / f"explorer{first}.html"))
            text = explorer.svg()
            outcome.ran(f"picture {first} as SVG", lambda t=text: "<script" not in t and "<img" not in t or
                "names are markup")
        for page in pages:
            for what, work in dict(parsed=lambda p=page: _parsed(p),
                    opened=lambda p=page: _opened(browser, p)).items():
                if what == "parsed" or browser: outcome.ran(f"{page.name}, {what}", work)

def _parsed(page: Path):
    "The elements of a page: no picture, no handler, and only the scripts that every page has."
    from html.parser import HTMLParser
    class Reader(HTMLParser):
        seen, bad = 0, []
        def handle_starttag(self, tag, attrs):
            if tag == "script": Reader.seen += 1
            if tag in ("img", "iframe", "object") or any(key.startswith("on") for key, _ in attrs):
                Reader.bad.append(tag)
    Reader.seen, Reader.bad = 0, []
    Reader().feed(text := page.read_text())
    plain = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    if Reader.bad: return f"elements {Reader.bad}"
    if Reader.seen > 4: return f"{Reader.seen} scripts"
    return "window.marker=1</script>" not in plain or "a name ends a script"

def _browser() -> str | None:
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError: return None
    return next((b for b in ("/usr/bin/chromium", shutil.which("chromium"),
        shutil.which("google-chrome")) if b and Path(b).exists()), None)

LOOK = """
import json, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as p:
    browser = p.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox"])
    page = browser.new_page()
    asked, errors = [], []
    page.on("request", lambda r: asked.append(r.url))
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("dialog", lambda d: (errors.append("dialog"), d.dismiss()))
    page.goto("file://" + sys.argv[2])
    page.wait_for_timeout(1500)
    for box in page.query_selector_all("select")[:4]:
        try:
            box.select_option(index=1)
            page.wait_for_timeout(150)
        except Exception as e: errors.append("menu: " + str(e)[:100])
    marks = page.query_selector_all("path, circle, rect")
    for mark in marks[:3] + marks[-3:]:
        try: mark.hover(timeout=300)
        except Exception: pass
    drawn = len(page.query_selector_all("svg, canvas"))
    print(json.dumps(dict(marker=page.evaluate("typeof window.marker"), drawn=drawn,
                          asked=[u for u in asked if not u.startswith(("file:", "data:", "blob:"))], errors=errors)))
    browser.close()
"""

def _opened(browser, page: Path):
    "Open a page in a browser, use its menus, point at its marks: the marker must not be set."
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    look = subprocess.run([sys.executable, "-c", LOOK, browser, str(page)], capture_output=True, text=True,
        timeout=90, env=env)
    if look.returncode: return look.stderr[-300:]
    found = json.loads(look.stdout)
    if found["marker"] != "undefined": return "a name was run as code"
    if not found["drawn"]: return f"nothing is drawn: {found['errors'][:2]}"
    if found["asked"]: return f"the page asks for {found['asked'][:2]}"
    return f"errors on the page: {found['errors'][:2]}" if found["errors"] else None
