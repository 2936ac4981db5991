"""The course in the browser: a JupyterLite site whose notebooks install vfjac into Pyodide.

    python .ci/build_lite.py _docs/lite     needs jupyterlite-core, jupyterlite-pyodide-kernel, jupyter-server and build

Readers' browsers fetch Pyodide, NumPy and SciPy from elsewhere; vfjac itself comes from a wheel that is made here. Each
notebook gets a first cell that installs it.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from notebooks import TOP, read, write

INSTALL = "%pip install -q vfjac   # into this page: the first time takes a minute"


def main(target):
    with tempfile.TemporaryDirectory() as folder:
        contents = Path(folder) / "contents"
        subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, TOP], check=True)
        shutil.copytree(TOP / "nbs" / "tutorials", contents, ignore=shutil.ignore_patterns("[._]*"))
        for path in contents.rglob("*.ipynb"):
            nb = read(path)
            nb.cells.insert(1, nbformat.v4.new_code_cell(INSTALL, id="install"))
            nb.metadata = {"kernelspec": {"name": "python", "display_name": "Python (Pyodide)"}}
            write(path, nb)
        command = [sys.executable, "-m", "jupyterlite_core", "build", "--contents", contents, "--output-dir",
                   Path(target).resolve(), "--lite-dir", folder, "--piplite-wheels", *Path(folder).glob("*.whl")]
        subprocess.run(command, check=True, cwd=folder)
    shutil.rmtree(TOP / "build", ignore_errors=True)
    print(f"{sum(1 for _ in Path(target).rglob('*.ipynb'))} notebooks in {target}")


if __name__ == "__main__": main(sys.argv[1])
