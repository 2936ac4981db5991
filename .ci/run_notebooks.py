"""Run notebooks in a Jupyter kernel, as a reader does, and throw the results away.

    python .ci/run_notebooks.py nbs/tutorials nbs/index.ipynb

Finds what nbdev_test does not: charts that fail when shown, exceptions inside widget callbacks. Lessons and tutorials
run without what Python in a browser lacks, vl_convert, fastcore, threads and processes, and without the solutions, as
those of a reader who finds answers of their own. Cells that nbdev_test leaves out (`eval: false`, the flags of
tst_flags, nbdev_export) are left out here too. One PASS or FAIL line for each.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from notebooks import TOP, directives, read, settings

BROWSER = """import os, subprocess, sys, threading
from zmq.utils.garbage import gc
gc.start()   # the kernel's own thread, for large outputs
def none(*args, **kwargs): raise RuntimeError("a browser has no threads and no processes")
threading.Thread.start = subprocess.Popen.__init__ = os.fork = os.system = none
sys.modules.update(vl_convert=None, fastcore=None)"""


def run(path):
    "What went wrong in the notebook at `path`, or an empty string."
    nb, flags = read(path), set(settings()["tst_flags"].split())
    for cell in nb.cells:
        said = directives(cell)[0]
        left_out = said.get("eval", "").lower() == "false" or said.keys() & flags or "nbdev_export(" in cell.source
        if left_out or said.get("code-summary") == '"Solution"': cell.source = ""
    if "tutorials" in path.parts: nb.cells.insert(0, nbformat.v4.new_code_cell(BROWSER))
    where = {"metadata": {"path": str(path.parent)}}
    try: NotebookClient(nb, timeout=300, kernel_name="python3", resources=where).execute()
    except Exception as e: return f"{type(e).__name__}: {e}"
    # An exception while a result is being shown does not stop the kernel: it only leaves this.
    errors = [o for c in nb.cells if c.cell_type == "code" for o in c.outputs if o.output_type == "error"]
    return "\n".join("\n".join(o.traceback) for o in errors)


def main(args):
    paths = [p.resolve() for a in map(Path, args) for p in (sorted(a.rglob("*.ipynb")) if a.is_dir() else [a])]
    paths = [p for p in paths if not any(part[0] in "._" for part in p.relative_to(TOP).parts)]
    with ThreadPoolExecutor(2) as pool:
        problems = dict(zip(paths, pool.map(run, paths)))
    for path, problem in problems.items():
        print(f"{'FAIL' if problem else 'PASS'} run {path.relative_to(TOP)}")
        if problem: print("    " + re.sub(r"\x1b\[[0-9;]*m", "", problem[-3000:]).replace("\n", "\n    "))
    return any(problems.values())


if __name__ == "__main__": sys.exit(main(sys.argv[1:]))
