"""README.md from nbs/index.ipynb, without Quarto: Markdown cells, and code cells as fenced blocks with their outputs.

    python .ci/build_readme.py            write README.md
    python .ci/build_readme.py --check    fail where README.md differs from what would be written
    python .ci/build_readme.py --command  print the test command that README.md gives

Links and images in the notebook are relative to nbs/; in README.md notebooks are linked as pages of the site, others
relative to the top folder. Cells that begin with a comment
"In README.md only" or "On the site only" are left out elsewhere.
"""

import argparse
import difflib
import posixpath
import re
import sys

from nbmd import TOP, notebook_markdown, read, settings, text

_LINK = re.compile(r"(!?\[[^\]\n]*\]\()([^)\s]+)")
_FENCED = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)^\1[ \t]*$", re.M | re.S)


def relink(markdown):
    "Notebooks as pages of the site, other paths relative to the top folder; addresses and fenced blocks stay."
    site = settings()["doc_host"] + settings()["doc_baseurl"]
    def one(m):
        target = m[2]
        if re.match(r"[a-z]+:|[#/]", target): return m[0]
        path, hash_, anchor = target.partition("#")
        page = f"{site}/{path.removesuffix('.ipynb')}.html"
        path = posixpath.normpath(posixpath.join("nbs", path))
        if not (TOP / path).exists():
            sys.exit(f"nbs/index.ipynb links to {target}, and {path} does not exist: links in it are relative to nbs/")
        return m[1] + (page if path.endswith(".ipynb") else path) + hash_ + anchor

    parts, end = [], 0
    for block in _FENCED.finditer(markdown):
        parts += [_LINK.sub(one, markdown[end:block.start()]), block[0]]
        end = block.end()
    return "".join(parts) + _LINK.sub(one, markdown[end:])


def _chart(spec): return ""   # it answers to the mouse on the site; a cell "In README.md only" may show its picture


def build(notebook):
    "The text of README.md."
    nb = read(notebook)
    nb["cells"] = [c for c in nb["cells"] if not text(c["source"]).startswith("<!-- On the site only")]
    note = "<!-- Made from nbs/index.ipynb by .ci/build_readme.py: edit the notebook, not this file. -->\n\n"
    readme = relink(re.sub(r"<!-- In README.md only.*-->\n", "", notebook_markdown(nb, _chart)))
    if "](data:" in readme:
        sys.exit("nbs/index.ipynb stores a picture in an output, and a README cannot show it: "
                 "save it under nbs/images and link to it.")
    return note + readme


def test_command(readme):
    "The one line, in a fenced block, that installs for development and runs the tests."
    lines = {line.strip() for block in _FENCED.finditer(readme) for line in block[2].splitlines()}
    found = sorted(line for line in lines if re.match(r"pip install -e .*\bnbdev_test\b", line))
    if len(found) != 1:
        sys.exit(f'README.md must give one test command, pip install -e ".[dev]" && nbdev_test, in a fenced block; '
                 f"found {len(found)}: {found}. Add it to nbs/index.ipynb and run .ci/build_readme.py.")
    return found[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("--command", action="store_true", help="print the test command")
    args = parser.parse_args()
    target = TOP / "README.md"
    if args.command: return print(test_command(target.read_text(encoding="utf-8")))
    new = build(TOP / "nbs" / "index.ipynb")
    if not args.check: return target.write_text(new, encoding="utf-8")
    old = target.read_text(encoding="utf-8") if target.exists() else ""
    if old != new:
        names = {"fromfile": "README.md", "tofile": "from nbs/index.ipynb"}
        diff = difflib.unified_diff(old.splitlines(), new.splitlines(), **names, lineterm="")
        sys.exit("\n".join([*diff, "README.md is not what nbs/index.ipynb gives: run python .ci/build_readme.py"]))


if __name__ == "__main__": main()
