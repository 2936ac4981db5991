"""What nbdev leaves to do before pages are rendered: Quarto's pre-render script, also used by build_docs.py.

Works on processed notebooks (_proc, made by nbdev):

- Every Vega-Lite output becomes a block of HTML that holds the specification as JSON. One file for the whole site,
  vega.js, holds Vega, Vega-Lite, Vega-Embed and the looks of vfjac's charts; nbs/assets/charts.js draws with it, and
  _quarto.yml loads both. Nothing is fetched from another host.
- Signatures become tables of their parameters.
- Pages for readers lose the statements that only check; lessons get a button that runs them in the browser.
- Links out of nbs/, such as ../CONTRIBUTING.md, become links to the file in the repository.
- llms.txt says in plain text what vfjac is and where each page stands, for readers that are programs.

Running it again changes nothing.
"""

import ast
import json
import os
import re
import sys
from functools import cache
from html import escape
from pathlib import Path

import nbformat
import vl_convert
import yaml
from notebooks import TOP, chart_spec, fence, read, settings, write

from vfjac.charts import LOOKS_JS
from vfjac.docments import _beside, _parameters

SIGNATURE = re.compile(r"```python\ndef (\w+)\(\n(.*?)\n\)(?:->(.*?))?:?(?: # (.*?))?\n```\s*(.*)", re.S)
PARAMETER = re.compile(r"\s*(\*{0,2}\w+)(?::(.*?))?(?:=(.*?))?,?(?: # (.*))?")
TABLE = re.compile(r"\S  +\S.*  +\S|^ {9,}\S", re.M)   # a line with two gaps, or one that stands far in
READERS = ("tutorials", "how-to", "index.ipynb")
PLAYGROUND = "A picture that follows its controls: "


def chart_block(spec):
    "A specification as a raw HTML block of Pandoc's Markdown, without its version: vega.js has but one."
    spec = {k: v for k, v in spec.items() if k != "$schema"}
    data = json.dumps(spec, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    about = escape(spec.get("description", "A chart"))
    return fence(f'<div class="vega-chart" role="figure" aria-label="{about}">'
                 f'<script type="application/json">{data}</script><noscript>{about}</noscript></div>', "{=html}")


@cache
def fields_of_classes():
    "The fields of each class, its own or those of the class that it extends: name, type, default, words."
    found, plain = {}, lambda node: node and ast.unparse(node)
    for path in sorted((TOP / "vfjac").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if not isinstance(node, ast.ClassDef): continue
            rows = [(name, plain(kind), re.sub(r"^\w*field\(default=(\w+).*", r"\1", plain(default) or ""),
                     _beside(source.splitlines(), end))
                    for name, kind, default, end in _parameters(node) if "init=False" not in str(plain(default))]
            found[node.name] = rows or next((found[base] for base in map(plain, node.bases) if base in found), [])
    return found


def definition(match):
    "What nbdev shows of a definition: its words first, upright, then its parameters as a table that wraps."
    name, body, back, about, words = match.groups()
    words = re.sub(r"\A\*(.+)\*$", r"\1", words.strip(), count=1, flags=re.M)
    found = [PARAMETER.fullmatch(line) for line in body.splitlines()] if " # " in body else []
    rows = fields_of_classes().get(name) or [m.groups() for m in found if m]
    if not rows:   # parameters of which nothing is said, all on one line
        signature = match[0][:match.start(5) - match.start()].strip()
        return f"{words}\n\n{signature}".strip().replace(":NoneType=", "=")
    if (back or about) and name not in fields_of_classes(): rows.append(("returns", back, None, about))
    lines = []
    for name, kind, default, said in rows:
        kind = re.sub(r"^NoneType$|(?<![\w./(#])(\w+\.)+(?=[A-Z]|ndarray)", "", kind or "").replace("|", "or")
        cells = [f"`{name}`" if name != "returns" else name, kind, f"`{default}`" if default else "", said or ""]
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    head = "| parameter | type | default | |\n|" + "|".join("-" * n for n in (23, 18, 16, 43)) + "|"
    return "\n".join([words, "", "::: {.parameters}", head, *lines, ":::"])


def words_block(said):
    "Output in words, its lines wrapped where the page is narrower than they are; those of a table are not."
    lines = []
    for part in re.split(r"\n(?=\n)", said.rstrip()):   # heads of a table have but one gap between words
        width = max((len(line) for line in part.split("\n") if TABLE.search(line)), default=0)
        kinds = {True: ' class="row"', False: ""}
        lines += [f"<span{kinds[len(line) <= width]}>{escape(line, quote=False)}</span>" for line in part.split("\n")]
    return fence('<pre class="words"><code>' + "\n".join(lines) + "</code></pre>", "{=html}")


def repository():
    "The address of the files of the main branch."
    return "{git_url}/blob/{branch}/".format_map(settings())


def site_address():
    "The address of the site."
    s = settings()
    return f"{s['doc_host']}{s['doc_baseurl']}/".replace("%(user)s", s["user"]).replace("%(repo)s", s["repo"])


def quarto():
    "The site's _quarto.yml."
    return yaml.safe_load((TOP / "_quarto.yml").read_text(encoding="utf-8"))


def outward_links(source, folder, base):
    "Links from a notebook in nbs/`folder` to scripts, and to files outside nbs/, made links to the repository."
    def one(m):
        path = Path(os.path.normpath(TOP / "nbs" / folder / m[2]))
        outside = path.is_file() and TOP in path.parents and (TOP / "nbs" not in path.parents or path.suffix == ".py")
        return f"{m[1]}{base}{path.relative_to(TOP).as_posix()}{m[3]}" if outside else m[0]
    return re.sub(r"(\]\()([^):#\s]+)([)#])", one, source)


def only_checks(node):
    "Whether a statement asserts something and does nothing else; under a condition or in a loop, too."
    if isinstance(node, (ast.If, ast.For)): return all(map(only_checks, node.body + node.orelse))
    call = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    return isinstance(node, ast.Assert) or bool(call and re.search(r"\bassert_\w+$", ast.unparse(call)))


def without_checks(source):
    "Code without the statements that only check; unchanged where it is no plain Python."
    try: tree = ast.parse(source)
    except SyntaxError: return source
    lines = source.splitlines(keepends=True)
    for node in filter(only_checks, tree.body):
        for i in range(node.lineno - 1, node.end_lineno): lines[i] = ""
    return "".join(lines).rstrip("\n")


def run_button(path):
    "A cell with the links that run a lesson; `path` is relative to nbs/tutorials."
    up, base = "../" * len(path.parts), repository()
    return nbformat.v4.new_markdown_cell(
        f"[Run this lesson]({up}lite/lab/index.html?path={path}){{.btn .btn-primary .run}} in your browser, "
        f"or get [its notebook]({base}nbs/tutorials/{path}).")


def prepare_output(output, source):
    "One output, in place, as the page shows it: charts and pictures as HTML, signatures as tables, words that wrap."
    data, said = output.get("data", {}), output.get("data", {}).get("text/plain", output.get("text", ""))
    if (spec := chart_spec(output)) is not None:
        note = f"\n\n*To move its controls ({said.removeprefix(PLAYGROUND)}), run this lesson: they need Python.*"
        output["data"] = {"text/markdown": chart_block(spec) + note * said.startswith(PLAYGROUND)}
    elif "image/svg+xml" in data:   # with its title, for those who do not see it
        output["data"] = {"text/markdown": fence(data["image/svg+xml"], "{=html}")}
    elif "text/markdown" in data: data["text/markdown"] = SIGNATURE.sub(definition, data["text/markdown"])
    elif "image/png" not in data and "#| output" not in source:
        most = 90 if TABLE.search(said) else 44
        if all(len(line) <= most or TABLE.search(line) for line in said.splitlines()): return
        output.clear()
        output.update(output_type="display_data", metadata={}, data={"text/markdown": words_block(said)})


def prepare(nb, path, base):
    "Prepare one notebook, in place; `path` is relative to nbs/."
    top, lesson = path.parts[0], path.parts[0] == "tutorials"
    nb.cells = [c for c in nb.cells if not c.source.startswith("<!-- In README.md only")]
    if lesson and not any("{.btn" in c.source for c in nb.cells):
        raw = nb.cells[0].cell_type == "raw"
        first = next(i for i, c in enumerate(nb.cells) if not raw or c.source.startswith("<!-- WARNING"))
        nb.cells.insert(first + 1, run_button(path.relative_to("tutorials")))
    for cell in nb.cells:
        if cell.cell_type == "markdown": cell.source = outward_links(cell.source, path.parent, base)
        if cell.cell_type == "code" and top in READERS: cell.source = without_checks(cell.source)
        if lesson and '#| code-summary: "Solution"' in cell.source: cell.outputs = []   # they give the answer away
        for output in cell.get("outputs", []): prepare_output(output, cell.source)


def front_matter(nb):
    "What nbdev made of a notebook's title cell: title, description, output-file."
    first = nb.cells[0].source if nb.cells and nb.cells[0].cell_type == "raw" else ""
    return yaml.safe_load(first.strip().strip("-")) or {}


def page_url(name, meta):
    "Where the page of a notebook stands on the site."
    return (Path(name).parent / (meta.get("output-file") or Path(name).stem + ".html")).as_posix()


def colours(theme):
    "The colours that a style sheet of nbs/assets sets, by name; `inherit` is the text's."
    found = dict(re.findall(r"^\$([\w-]+): *([^;]+);", (TOP / "nbs/assets" / f"{theme}.scss").read_text("utf-8"), re.M))
    return {k: found["body-color"] if v == "inherit" else v for k, v in found.items()}


def style(theme, where):
    "The colours of a theme as CSS, for pages that Quarto does not make."
    c = colours(theme)
    parts = {"": ("body-color", "body-bg"), " a": ("link-color", None), " code": ("code-color", None),
             f" pre, {where} pre :is(code, span)": ("pre-color", "code-block-bg")}
    return "\n".join(f"{where}{k} {{ color: {c[ink]}; background: {c.get(paper, 'transparent')} }}"
                     for k, (ink, paper) in parts.items())


def llms_txt(folder):
    "What vfjac is and where each page stands, section by section as in the sidebar: llmstxt.org's form."
    def lines(contents, depth=2):
        for entry in contents:
            if isinstance(entry, dict):
                yield f"\n{'#' * depth} {entry['section']}\n"
                yield from lines(entry["contents"], depth + 1)
            elif (folder / entry).is_file() and entry != "index.ipynb":
                meta = front_matter(read(folder / entry))
                about = f": {meta['description']}" if meta.get("description") else ""
                yield f"- [{meta.get('title', entry)}]({site_address()}{page_url(entry, meta)}){about}"

    index, s = front_matter(read(folder / "index.ipynb")), settings()
    head = [f"# {index['title']}", f"\n> {index['description']}", f"\n{s['description']}. The source: {s['git_url']}"]
    return "\n".join([*head, *lines(quarto()["website"]["sidebar"]["contents"])]) + "\n"


def main(folder):
    "Prepare all notebooks under `folder` and put vega.js and llms.txt beside them."
    folder, base = Path(folder), repository()
    for path in sorted(folder.rglob("*.ipynb")):
        nb = read(path)
        prepare(nb, path.relative_to(folder), base)
        write(path, nb)
    bundle = folder / "vega.js"
    if not bundle.exists(): bundle.write_text(vl_convert.javascript_bundle() + LOOKS_JS, encoding="utf-8")
    (folder / "llms.txt").write_text(llms_txt(folder), encoding="utf-8")


if __name__ == "__main__": main(sys.argv[1] if len(sys.argv) > 1 else ".")
