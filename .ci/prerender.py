"""What nbdev leaves to do before pages are rendered: Quarto's pre-render script, also used by build_docs.py.

Works on processed notebooks (_proc, made by nbdev):

- Every Vega-Lite output becomes a block of HTML that holds the specification as JSON. One file for the whole site,
  vega.js, holds Vega, Vega-Lite, Vega-Embed and the looks of vfjac's charts; nbs/assets/charts.js draws with it, and
  _quarto.yml loads both. Nothing is fetched from another host.
- Links out of nbs/, such as ../CONTRIBUTING.md, become links to the file in the repository.
- llms.txt says in plain text what vfjac is and where each page stands, for readers that are programs.

Running it again changes nothing.
"""

import json
import os
import re
import sys
from configparser import ConfigParser
from html import escape
from pathlib import Path

import vl_convert
import yaml
from nbmd import chart_spec, fence, text

from vfjac.charts import LOOKS_JS

TOP = Path(__file__).resolve().parent.parent


def chart_block(spec):
    "A specification as a raw HTML block of Pandoc's Markdown, without its version: vega.js has but one."
    spec = {k: v for k, v in spec.items() if k != "$schema"}
    data = json.dumps(spec, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    about = escape(spec.get("description", "A chart"))
    return fence(f'<div class="vega-chart" role="figure" aria-label="{about}">'
                 f'<script type="application/json">{data}</script><noscript>{about}</noscript></div>', "{=html}")


def settings():
    "settings.ini as a dict."
    found = ConfigParser(delimiters=["="])
    found.read(TOP / "settings.ini", encoding="utf-8")
    return dict(found["DEFAULT"])


def repository():
    "The address of the files of the main branch."
    return "{git_url}/blob/{branch}/".format_map(settings())


def outward_links(source, folder, base):
    "Links from a notebook in nbs/`folder` to files of the repository outside nbs/, made absolute."
    def one(m):
        path = Path(os.path.normpath(TOP / "nbs" / folder / m[2]))
        outside = path.is_file() and TOP in path.parents and TOP / "nbs" not in path.parents
        return f"{m[1]}{base}{path.relative_to(TOP).as_posix()}{m[3]}" if outside else m[0]
    return re.sub(r"(\]\()(\.\./[^)#\s]+)([)#])", one, source)


def prepare(nb, folder, base):
    "Prepare one notebook, in place."
    nb["cells"] = [c for c in nb["cells"] if not text(c["source"]).startswith("<!-- In README.md only")]
    for cell in nb["cells"]:
        source = text(cell["source"])
        if cell["cell_type"] == "markdown": source = outward_links(source, folder, base)
        cell["source"] = source.splitlines(keepends=True)   # Quarto takes the newlines out of one long string
        for output in cell.get("outputs", []):
            if (spec := chart_spec(output)) is not None: output["data"] = {"text/markdown": chart_block(spec)}


def front_matter(nb):
    "What nbdev made of a notebook's title cell: title, description, output-file."
    first = text(nb["cells"][0]["source"]) if nb["cells"] and nb["cells"][0]["cell_type"] == "raw" else ""
    return yaml.safe_load(first.strip().strip("-")) or {}


def page_url(name, meta):
    "Where the page of a notebook stands on the site."
    return (Path(name).parent / (meta.get("output-file") or Path(name).stem + ".html")).as_posix()


def llms_txt(folder):
    "What vfjac is and where each page stands, section by section as in the sidebar: llmstxt.org's form."
    site, s = yaml.safe_load((TOP / "_quarto.yml").read_text(encoding="utf-8")), settings()
    base = f"{s['doc_host']}{s['doc_baseurl']}/".replace("%(user)s", s["user"]).replace("%(repo)s", s["repo"])

    def lines(contents, depth=2):
        for entry in contents:
            if isinstance(entry, dict):
                yield f"\n{'#' * depth} {entry['section']}\n"
                yield from lines(entry["contents"], depth + 1)
            elif (folder / entry).is_file() and entry != "index.ipynb":
                meta = front_matter(json.loads((folder / entry).read_text(encoding="utf-8")))
                about = f": {meta['description']}" if meta.get("description") else ""
                yield f"- [{meta.get('title', entry)}]({base}{page_url(entry, meta)}){about}"

    index = front_matter(json.loads((folder / "index.ipynb").read_text(encoding="utf-8")))
    head = [f"# {index['title']}", f"\n> {index['description']}", f"\n{s['description']}. The source: {s['git_url']}"]
    return "\n".join([*head, *lines(site["website"]["sidebar"]["contents"])]) + "\n"


def main(folder):
    "Prepare all notebooks under `folder` and put vega.js and llms.txt beside them."
    folder, base = Path(folder), repository()
    for path in sorted(folder.rglob("*.ipynb")):
        nb = json.loads(path.read_text(encoding="utf-8"))
        prepare(nb, path.parent.relative_to(folder), base)
        path.write_text(json.dumps(nb, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    bundle = folder / "vega.js"
    if not bundle.exists(): bundle.write_text(vl_convert.javascript_bundle() + LOOKS_JS, encoding="utf-8")
    (folder / "llms.txt").write_text(llms_txt(folder), encoding="utf-8")


if __name__ == "__main__": main(sys.argv[1] if len(sys.argv) > 1 else ".")
