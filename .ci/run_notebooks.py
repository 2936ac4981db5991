"""Run notebooks in a Jupyter kernel, as a reader does, and throw the results away.

    python .ci/run_notebooks.py nbs/tutorials nbs/index.ipynb

Finds what nbdev_test does not: charts that fail when shown, exceptions inside widget callbacks. Lessons and tutorials
run without what Python in a browser lacks: vl_convert, fastcore, threads and processes. Cells that nbdev_test
leaves out (`eval: false`, the flags of tst_flags, nbdev_export) are left out here too. One PASS or FAIL line for each.
"""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbmd import TOP, settings, split_directives

BROWSER = """import os, subprocess, sys, threading
from zmq.utils.garbage import gc
gc.start()   # the kernel's own thread, for large outputs
def none(*args, **kwargs): raise RuntimeError("a browser has no threads and no processes")
threading.Thread.start = subprocess.Popen.__init__ = os.fork = os.system = none
sys.modules.update(vl_convert=None, fastcore=None)"""


def run(path, flags):
    "What went wrong in the notebook at `path`, or an empty string."
    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if cell.cell_type != "code": continue
        directives, _ = split_directives(cell.source)
        if directives.get("eval", "").lower() == "false" or directives.keys() & flags or "nbdev_export(" in cell.source:
            cell.source = ""
        cell.outputs, cell.execution_count = [], None
    if "tutorials" in path.parts: nb.cells.insert(0, nbformat.v4.new_code_cell(BROWSER))
    try:
        where = {"metadata": {"path": str(path.parent)}}
        NotebookClient(nb, timeout=300, kernel_name="python3", resources=where).execute()
    except CellExecutionError as e: return str(e)
    except Exception as e: return f"{type(e).__name__}: {e}"
    # An exception while a result is being shown does not stop the kernel: it only leaves this.
    errors = [o for c in nb.cells if c.cell_type == "code" for o in c.outputs if o.output_type == "error"]
    return "\n".join("\n".join(o.traceback) for o in errors)


def main(args):
    paths = [p for a in map(Path, args) for p in (sorted(a.rglob("*.ipynb")) if a.is_dir() else [a])]
    paths = [p.resolve() for p in paths if not any(part[0] in "._" for part in p.parts if part not in (".", ".."))]
    flags = set(settings()["tst_flags"].split())
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda p: run(p, flags), paths)
        failed = False
        for path, problem in zip(paths, results, strict=True):
            print(f"{'FAIL' if problem else 'PASS'} run {path.relative_to(TOP)}", flush=True)
            if problem: print("    " + re.sub(r"\x1b\[[0-9;]*m", "", problem[-3000:]).replace("\n", "\n    "))
            failed = failed or bool(problem)
    return failed


if __name__ == "__main__": sys.exit(main(sys.argv[1:]))
