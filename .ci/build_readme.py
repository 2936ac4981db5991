"""README.md from nbs/index.ipynb, without Quarto: Markdown cells, and code cells as fenced blocks with their outputs.

    python .ci/build_readme.py            write README.md
    python .ci/build_readme.py --check    fail where README.md differs from what would be written
    python .ci/build_readme.py --command  print the test command that README.md gives

Links and images in the notebook are relative to nbs/; in README.md notebooks are linked as pages of the site, others
relative to the top folder. Cells that begin with a comment
"In README.md only" or "On the site only" are left out elsewhere.
"""

import difflib
import os
import re
import sys

from notebooks import TOP, notebook_markdown, read, settings

NOTE = "<!-- Made from nbs/index.ipynb by .ci/build_readme.py: edit the notebook, not this file. -->\n\n"
_LINK = re.compile(r"(!?\[[^\]\n]*\]\()([^)\s]+)")
_FENCED = re.compile(r"(^(?:`{3,}|~{3,})[^\n]*\n.*?^(?:`{3,}|~{3,})[ \t]*$)", re.M | re.S)


def relinked(match):
    "A link: notebooks as pages of the site, other paths relative to the top folder; addresses stay."
    if re.match(r"[a-z]+:|[#/]", match[2]): return match[0]
    path, hash_, anchor = match[2].partition("#")
    place = os.path.normpath(f"nbs/{path}")
    if not (TOP / place).exists():
        sys.exit(f"nbs/index.ipynb links to {path}, and {place} does not exist: links in it are relative to nbs/")
    if place.endswith(".ipynb"):   # nbdev takes the numbers off the names of pages
        page = re.sub(r"(?:^|(?<=/))\d+[a-zA-Z0-9]*_(?=[^/]*$)", "", path[:-6]) + ".html"
        place = "{doc_host}{doc_baseurl}/".format_map(settings()) + page
    return match[1] + place + hash_ + anchor


def build():
    "The text of README.md."
    nb = read(TOP / "nbs" / "index.ipynb")
    nb["cells"] = [c for c in nb["cells"] if not c["source"].startswith("<!-- On the site only")]
    no_chart = lambda spec: ""   # it answers to the mouse on the site; a cell "In README.md only" may show its picture
    parts = _FENCED.split(re.sub(r"<!-- In README.md only.*-->\n", "", notebook_markdown(nb, no_chart)))
    readme = "".join(part if i % 2 else _LINK.sub(relinked, part) for i, part in enumerate(parts))
    if "](data:" in readme: sys.exit("nbs/index.ipynb stores a picture, which README.md can't show: link to nbs/images")
    return NOTE + readme


def test_command(readme):
    "The one line, in a fenced block, that installs for development and runs the tests."
    lines = {line.strip() for block in _FENCED.findall(readme) for line in block.splitlines()}
    found = sorted(line for line in lines if re.match(r"pip install -e .*\bnbdev_test\b", line))
    if len(found) == 1: return found[0]
    sys.exit(f'README.md must give one test command, pip install -e ".[dev]" && nbdev_test, fenced; found {found}')


def main(word=""):
    target = TOP / "README.md"
    old, new = target.read_text(encoding="utf-8") if target.exists() else "", "" if word == "--command" else build()
    if word == "--command": return print(test_command(old))
    if word != "--check": return target.write_text(new, encoding="utf-8")
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), "README.md", "from nbs/index.ipynb", lineterm="")
    hint = "README.md is not what nbs/index.ipynb gives: run python .ci/build_readme.py"
    if old != new: sys.exit("\n".join([*diff, hint]))


if __name__ == "__main__": main(*sys.argv[1:])
