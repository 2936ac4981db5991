"""The course in the browser: a JupyterLite site whose notebooks install vfjac into Pyodide.

    python .ci/build_lite.py _docs/lite     needs jupyterlite-core, jupyterlite-pyodide-kernel, jupyter-server and build

Experimental, and no page of the documentation depends on it. Readers' browsers fetch Pyodide, NumPy and SciPy from
elsewhere; vfjac itself comes from a wheel that is made here. Each notebook gets a first cell that installs it.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
INSTALL = "%pip install -q vfjac   # into this page: the first time takes a minute"


def with_install(nb):
    "A notebook that installs vfjac first."
    cell = {"cell_type": "code", "id": "install", "metadata": {}, "outputs": [], "execution_count": None,
            "source": INSTALL}
    kernel = {"kernelspec": {"name": "python", "display_name": "Python (Pyodide)"}}
    return {**nb, "cells": [nb["cells"][0], cell, *nb["cells"][1:]], "metadata": kernel}


def main(target):
    with tempfile.TemporaryDirectory() as folder:
        wheels, contents = Path(folder) / "wheels", Path(folder) / "contents"
        subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, TOP], check=True)
        shutil.copytree(TOP / "nbs" / "tutorials", contents, ignore=shutil.ignore_patterns("*.ipynb", "[._]*"))
        for path in sorted((TOP / "nbs" / "tutorials").rglob("*.ipynb")):
            place = contents / path.relative_to(TOP / "nbs" / "tutorials")
            place.parent.mkdir(parents=True, exist_ok=True)
            nb = with_install(json.loads(path.read_text(encoding="utf-8")))
            place.write_text(json.dumps(nb, ensure_ascii=False), encoding="utf-8")
        wheel = next(wheels.glob("*.whl"))
        command = [sys.executable, "-m", "jupyterlite_core", "build", "--contents", contents, "--output-dir",
                   Path(target).resolve(), "--lite-dir", folder, "--piplite-wheels", wheel]
        subprocess.run(command, check=True, cwd=folder)
    shutil.rmtree(TOP / "build", ignore_errors=True)
    print(f"{sum(1 for _ in Path(target).rglob('*.ipynb'))} notebooks in {target}")


if __name__ == "__main__": main(sys.argv[1])
