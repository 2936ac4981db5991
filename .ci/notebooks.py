"""What the scripts share: settings, notebooks, their cells as Markdown with nbdev's directives obeyed."""

import re
from configparser import ConfigParser
from html import escape
from pathlib import Path

import nbformat

TOP = Path(__file__).resolve().parent.parent
VEGA = re.compile(r"application/vnd\.vegalite\.v\d+(\.\d+)*\+json")
_DIRECTIVE = re.compile(r"^\s*#\s*\|\s*([\w-]+)\s*:?[ \t]*(.*?)\s*$")


def settings():
    "settings.ini as a dict."
    found = ConfigParser(delimiters=["="])
    found.read(TOP / "settings.ini", encoding="utf-8")
    return dict(found["DEFAULT"])


def read(path):
    "A notebook, its texts as strings."
    return nbformat.v4.reads(Path(path).read_text(encoding="utf-8"))


def write(path, nb):
    "Write a notebook, its texts as lists of lines: of one long string Quarto loses the newlines."
    Path(path).write_text(nbformat.v4.writes(nb) + "\n", encoding="utf-8")


def directives(cell):
    "The leading `#| key: value` lines of a cell as a dict, and the rest of its lines as a string."
    lines, found = cell["source"].splitlines() if cell["cell_type"] == "code" else [], {}
    while lines and (m := _DIRECTIVE.match(lines[0])): found[m[1]] = m[2] if lines.pop(0) else ""
    return found, "\n".join(lines).strip("\n")


def fence(body, info=""):
    "A fenced block, its fence longer than any in `body`."
    ticks = "`" * max(3, 1 + max((len(m) for m in re.findall(r"`{3,}", body)), default=0))
    return f"{ticks}{info}\n{body}\n{ticks}"


def chart_spec(output):
    "The Vega-Lite specification in an output, or None."
    return next((v for k, v in output.get("data", {}).items() if VEGA.fullmatch(k)), None)


def output_markdown(output, chart):
    "One output as Markdown; `chart` says what becomes of a Vega-Lite specification."
    data = output.get("data", {})
    if (spec := chart_spec(output)) is not None: return chart(spec)
    if "text/markdown" in data: return data["text/markdown"].strip("\n")
    if "image/png" in data: return f"![](data:image/png;base64,{data['image/png'].strip()})"
    body = output.get("text", data.get("text/plain", "")).rstrip("\n")
    return fence(body) if body else ""


def code_markdown(cell, chart):
    "A code cell: its source, unless told otherwise, then its outputs."
    said, source = directives(cell)
    if said.keys() & {"hide", "export", "default_exp"}: return []
    block = fence(source, "python") if source and said.get("echo") != "false" else ""
    if block and said.get("code-fold") == "true":
        words = escape(said.get("code-summary", "Code").strip("'" + '"'))
        block = f'<details class="fold">\n<summary>{words}</summary>\n\n{block}\n\n</details>'
    return [block, *(output_markdown(o, chart) for o in cell["outputs"])]


def notebook_markdown(nb, chart):
    "A whole notebook; raw cells (front matter) and headings that end in a dash are left out, as nbdev does."
    parts = []
    for cell in nb["cells"]:
        if cell["cell_type"] == "code": parts += code_markdown(cell, chart)
        elif cell["cell_type"] == "markdown" and not re.fullmatch(r"#+ .* -", cell["source"].strip()):
            parts.append(cell["source"].strip())
    return "\n\n".join(p for p in parts if p.strip()) + "\n"
