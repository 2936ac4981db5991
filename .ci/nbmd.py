"""What the scripts share: settings, notebooks, and their cells as Markdown with nbdev's directives obeyed."""

import json
import re
from configparser import ConfigParser
from html import escape
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

VEGA = re.compile(r"application/vnd\.vegalite\.v\d+(\.\d+)*\+json")
_DIRECTIVE = re.compile(r"^\s*#\s*\|\s*([\w-]+)\s*(:?)[ \t]*(.*?)\s*$")
_HIDDEN = {"hide", "export", "exporti", "default_exp"}
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def settings():
    "settings.ini as a dict."
    found = ConfigParser(delimiters=["="])
    found.read(TOP / "settings.ini", encoding="utf-8")
    return dict(found["DEFAULT"])


def read(path):
    "A notebook."
    return json.loads(Path(path).read_text(encoding="utf-8"))


def text(value):
    "A notebook field, which may be a string or a list of lines, as one string."
    return value if isinstance(value, str) else "".join(value)


def split_directives(source):
    "The leading `#| key: value` lines of a cell as a dict, and the rest of its lines as a string."
    lines, found = text(source).splitlines(), {}
    while lines and (m := _DIRECTIVE.match(lines[0])):
        found[m[1]] = m[3]
        lines.pop(0)
    return found, "\n".join(lines).strip("\n")


def _off(directives, key): return directives.get(key, "").lower() == "false"


def fence(body, info=""):
    "A fenced block, its fence longer than any in `body`."
    ticks = "`" * max(3, 1 + max((len(m) for m in re.findall(r"`{3,}", body)), default=0))
    return f"{ticks}{info}\n{body}\n{ticks}"


def chart_spec(output):
    "The Vega-Lite specification in an output, or None."
    return next((v for k, v in output.get("data", {}).items() if VEGA.fullmatch(k)), None)


def output_markdown(output, chart, asis=False, skip_words=()):
    "One output as Markdown; `chart` says what becomes of a Vega-Lite specification."
    if output["output_type"] == "error":
        return fence(_ANSI.sub("", "\n".join(output["traceback"])))
    if output["output_type"] == "stream":
        lines = _ANSI.sub("", text(output["text"])).rstrip("\n").splitlines()
        body = "\n".join(line for line in lines if not any(re.search(w, line) for w in skip_words))
        return body if asis else fence(body)
    data = output.get("data", {})
    if (spec := chart_spec(output)) is not None: return chart(spec)
    if "text/markdown" in data: return text(data["text/markdown"]).strip("\n")
    for kind in ("png", "jpeg"):
        b64 = text(data.get(f"image/{kind}", "")).replace("\n", "")
        if b64: return f"![](data:image/{kind};base64,{b64})"
    body = _ANSI.sub("", text(data.get("text/plain", ""))).rstrip("\n")
    return (body if asis else fence(body)) if body else ""


def _folded(block, summary):
    words = escape(summary.strip("'" + '"'))
    return f'<details class="fold">\n<summary>{words}</summary>\n\n{block}\n\n</details>'


def code_markdown(cell, chart):
    "A code cell: its source, unless told otherwise, then its outputs."
    d, source = split_directives(cell["source"])
    if d.keys() & _HIDDEN or _off(d, "include"): return []
    parts = []
    source = "\n".join(line for line in source.splitlines() if not re.search(r"#\s*\|\s*hide_line\s*$", line))
    if source.strip() and not _off(d, "echo"):
        block = fence(source, "python")
        parts.append(_folded(block, d.get("code-summary", "Code")) if d.get("code-fold") == "true" else block)
    if not _off(d, "output"):
        asis, words = d.get("output") == "asis", d.get("filter_stream", "").split()
        parts += [output_markdown(o, chart, asis, words) for o in cell.get("outputs", [])]
    return parts


def notebook_markdown(nb, chart):
    "A whole notebook; raw cells (front matter) and headings that end in a dash are left out, as nbdev does."
    parts = []
    for cell in nb["cells"]:
        if cell["cell_type"] == "code": parts += code_markdown(cell, chart)
        elif cell["cell_type"] == "markdown":
            source = text(cell["source"]).strip()
            if not re.fullmatch(r"#+ .* -", source): parts.append(source)
    return "\n\n".join(p for p in parts if p.strip()) + "\n"
