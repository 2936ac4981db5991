"""How large the project is, beside what is aimed at. Prints a table; nothing here passes or fails.

    python .ci/size.py
"""

import ast
import json
import re
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent


def lines(*patterns):
    "Lines of files, without those that are generated."
    files = [p for pattern in patterns for p in TOP.glob(pattern) if p.is_file() and p.name != "_modidx.py"]
    return [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def wide(text):
    "Lines of more than 100 columns; the list of names, which nbdev writes with lines of its own width, is not asked."
    return [line for line in re.sub(r"__all__ = \[.*?\]", "", text, flags=re.DOTALL).splitlines() if len(line) > 100]


def bodies():
    "Lines of each function of the package, decorators and signature included."
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (TOP / "vfjac").glob("*.py")]
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node.end_lineno - node.lineno + 1 for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)]


def definitions():
    "Definitions in each exported cell that has any."
    found = []
    for path in (TOP / "nbs").glob("[0-9]*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] != "code" or not source.startswith("#| export"): continue
            found.append(sum(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in ast.parse(source).body))
    return [n for n in found if n]


def main():
    package, functions, cells = lines("vfjac/*.py"), bodies(), definitions()
    share = lambda part, whole: f"{part / whole:.1%}"
    rows = [
        ("lines of the package", f"{len(package):,}", "10,000"),
        ("of these wider than 100 columns", f"{len(wide(chr(10).join(package))):,}", "0"),
        ("lines of tables beside the modules (.json)", f"{len(lines('vfjac/*.json')):,}", ""),
        ("lines of .ci", f"{len(lines('.ci/*', '.ci/*/*')):,}", "1,000"),
        ("lines of nbs/benchmarks/trust", f"{len(lines('nbs/benchmarks/trust/*.py')):,}", "2,000"),
        ("functions over 40 lines", str(sum(n > 40 for n in functions)), "0"),
        ("functions over 15 lines", share(sum(n > 15 for n in functions), len(functions)), "10 %"),
        ("exported cells with one definition", share(sum(n == 1 for n in cells), len(cells)), "90 %"),
    ]
    for row in rows: print("{:44} {:>8}   aim {:>7}".format(*row))


if __name__ == "__main__": main()
