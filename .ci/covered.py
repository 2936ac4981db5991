"""How much of the package the notebooks run, and the tests in a browser: a percentage of its lines.

    python .ci/covered.py                      all notebooks, then the browser; in a clone, since it rewrites notebooks
    python .ci/covered.py nbs/14_adata.ipynb   some of them
    python .ci/covered.py --least 90           fails below

A notebook defines what it exports once more, so its tests run those definitions and never the module. Here it takes
them from the module. What a notebook changes in its own definitions then has no effect: its tests may stop there, and
count up to there.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from notebooks import TOP, directives, read, settings, write

TAKE = """import vfjac.{0} as _room
globals().update({{name: it for name, it in vars(_room).items() if not name.startswith("__")}})"""
RC = """[run]
source_pkgs = vfjac
omit = */_modidx.py
parallel = true
patch = subprocess
data_file = {0}
[report]
skip_covered = true
show_missing = true
exclude_also = def .*: \\.\\.\\.$
"""


def take_from_module(path):
    "Rewrite a notebook: its exports come from its module."
    nb, name = read(path), ""
    for cell in nb.cells:
        said = directives(cell)[0]
        name = said.get("default_exp", name)
        if "export" in said: cell.source = TAKE.format(name)
        elif "nbdev_export(" in cell.source: cell.source = ""
    write(path, nb)


def test(path):
    "Test a notebook in this process."
    from nbdev.test import test_nb
    os.chdir(Path(path).parent)
    return not test_nb(Path(path), skip_flags=set(settings()["tst_flags"].split()))[0]


def measured(*command):
    "Run a command with coverage measured, and say whether it came to its end."
    run = subprocess.run([sys.executable, "-m", "coverage", "run", *command], stdout=subprocess.DEVNULL)
    print("STOPS" if run.returncode else "ran  ", Path(command[-1]).relative_to(TOP), flush=True)


def main(args):
    least = args.pop(args.index("--least") + 1) if "--least" in args else "0"
    asked = [Path(a).resolve() for a in args if a != "--least"]
    paths = asked or [p for p in sorted((TOP / "nbs").rglob("*.ipynb")) if p.name[0] not in "._"]
    rc = TOP / "coverage.cfg"
    rc.write_text(RC.format(TOP / ".coverage"), encoding="utf-8")
    os.environ |= dict(COVERAGE_RCFILE=str(rc), PYTHONPATH=f"{TOP}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    for path in paths: take_from_module(path)
    with ThreadPoolExecutor(2) as pool: list(pool.map(lambda p: measured(__file__, "--one", p), paths))
    for script in [] if asked else sorted((TOP / ".ci").glob("browser_*.py")): measured(script)
    coverage = lambda *words: subprocess.run([sys.executable, "-m", "coverage", *words], cwd=TOP).returncode
    coverage("combine", "-q")
    return coverage("report", f"--fail-under={least}")


if __name__ == "__main__": sys.exit(test(sys.argv[2]) if sys.argv[1:2] == ["--one"] else main(sys.argv[1:]))
