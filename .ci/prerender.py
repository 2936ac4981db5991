"""What nbdev leaves to do before pages are rendered: Quarto's pre-render script, also used by build_docs.py.

Works on processed notebooks (_proc, made by nbdev):

- Every Vega-Lite output becomes a block of HTML that holds the specification as JSON. One file for the whole site,
  vega.js, holds Vega, Vega-Lite and Vega-Embed; the script that starts it stands in _quarto.yml. Nothing is fetched
  from another host.
- Links out of nbs/, such as ../CONTRIBUTING.md, become links to the file in the repository.

Running it again changes nothing.
"""

import json
import os
import re
import sys
from configparser import ConfigParser
from pathlib import Path

import vl_convert
from nbmd import chart_spec, fence, text

TOP = Path(__file__).resolve().parent.parent


def chart_block(spec):
    "A specification as a raw HTML block of Pandoc's Markdown, without its version: vega.js has but one."
    spec = {k: v for k, v in spec.items() if k != "$schema"}
    data = json.dumps(spec, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return fence(f'<div class="vega-chart"><script type="application/json">{data}</script></div>', "{=html}")


def repository():
    "The address of the files of the main branch."
    settings = ConfigParser(delimiters=["="])
    settings.read(TOP / "settings.ini", encoding="utf-8")
    return "{git_url}/blob/{branch}/".format_map(settings["DEFAULT"])


def outward_links(source, folder, base):
    "Links from a notebook in nbs/`folder` to files of the repository outside nbs/, made absolute."
    def one(m):
        path = Path(os.path.normpath(TOP / "nbs" / folder / m[2]))
        outside = path.is_file() and TOP in path.parents and TOP / "nbs" not in path.parents
        return f"{m[1]}{base}{path.relative_to(TOP).as_posix()}{m[3]}" if outside else m[0]
    return re.sub(r"(\]\()(\.\./[^)#\s]+)([)#])", one, source)


def prepare(nb, folder, base):
    "Prepare one notebook, in place."
    for cell in nb["cells"]:
        if cell["cell_type"] == "markdown": cell["source"] = outward_links(text(cell["source"]), folder, base)
        for output in cell.get("outputs", []):
            if (spec := chart_spec(output)) is not None: output["data"] = {"text/markdown": chart_block(spec)}


def main(folder):
    "Prepare all notebooks under `folder` and put vega.js beside them."
    folder, base = Path(folder), repository()
    for path in sorted(folder.rglob("*.ipynb")):
        nb = json.loads(path.read_text(encoding="utf-8"))
        prepare(nb, path.parent.relative_to(folder), base)
        path.write_text(json.dumps(nb, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    bundle = folder / "vega.js"
    if not bundle.exists(): bundle.write_text(vl_convert.javascript_bundle(), encoding="utf-8")


if __name__ == "__main__": main(sys.argv[1] if len(sys.argv) > 1 else ".")
