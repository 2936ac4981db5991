"""The documentation without Quarto and without a network: nbdev processes the notebooks, Pandoc writes the pages.

    python .ci/build_docs.py     build _docs_offline/ and check it; one PASS or FAIL line for each notebook

The published site is built by Quarto from the same processed notebooks (.github/workflows/docs.yml). Here it is
checked that nbdev can process every notebook, that links and anchors resolve, that no output is an error, that every
chart compiles, and that no page asks another host for anything. The package must be installed (pip install -e .).
"""

import json
import os
import posixpath
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import prerender
import pypandoc
import vl_convert
import yaml
from nbmd import chart_spec, notebook_markdown, text

TOP = Path(__file__).resolve().parent.parent
PROC, OUT = TOP / "_proc", TOP / "_docs_offline"
PANDOC = "markdown+emoji-implicit_figures"
SITE = Path(__file__).resolve().parent / "site"   # template, style and script of the pages


class Page(HTMLParser):
    "What a page offers (ids) and asks for (links, and things that load by themselves)."

    def __init__(self, html):
        super().__init__()
        self.ids, self.links, self.loads = set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.update(v for k, v in attrs.items() if k in ("id", "name") and v)
        if tag == "a" and attrs.get("href"): self.links.append(attrs["href"])
        if tag == "link" and attrs.get("href"): self.loads.append(attrs["href"])
        if attrs.get("src"): self.loads.append(attrs["src"])


def process():
    "Run nbdev's own steps up to where Quarto would take over: names of notebooks with what went wrong, the site's URL."
    import nbdev.doclinks
    from nbdev.config import get_config
    from nbdev.processors import FilterDefaults
    from nbdev.quarto import nbdev_sidebar, refresh_quarto_yml
    from nbdev.serve import proc_nbs
    from nbdev.serve_drv import exec_nb
    cfg = get_config()
    refresh_quarto_yml()
    nbdev.doclinks._build_modidx()
    nbdev_sidebar.__wrapped__()
    problems = {p.relative_to(cfg.nbs_path).as_posix(): [] for p in sorted(nbdev.doclinks.nbglob(as_path=True))}
    try: proc_nbs(force=True, n_workers=min(4, os.cpu_count() or 1))
    except Exception as e: print(f"nbdev stopped at a notebook ({type(e).__name__}): trying the rest one by one")
    for name in problems:
        if (PROC / name).is_file(): continue
        (PROC / name).parent.mkdir(parents=True, exist_ok=True)
        try: exec_nb(cfg.nbs_path / name, PROC / name, FilterDefaults)
        except Exception as e: problems[name].append(f"nbdev cannot process it: {e} ({e.__cause__!r})")
    return problems, f"{cfg.doc_host}{cfg.doc_baseurl}/"


def read_processed(name):
    "A processed notebook and its front matter."
    nb = json.loads((PROC / name).read_text(encoding="utf-8"))
    return nb, prerender.front_matter(nb)


def check_outputs(nb):
    "Errors among the outputs, and charts that Vega-Lite does not compile: the site's, and one as old as JupyterLab's."
    problems, versions = [], vl_convert.get_vegalite_versions()
    for i, cell in enumerate(nb["cells"]):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                problems.append(f"cell {i}: the output is an error, {output['ename']}: {output['evalue'][:200]}")
            if (spec := chart_spec(output)) is not None:
                for v in (versions[0], versions[-1]):
                    try: vl_convert.vegalite_to_svg(spec, vl_version=v)
                    except Exception as e: problems.append(f"cell {i}: no chart in Vega-Lite {v}: {str(e)[:300]}")
    return problems


def listed(contents):
    "The notebooks of a sidebar, in its order."
    for entry in contents:
        if isinstance(entry, dict): yield from listed(entry.get("contents") or [])
        else: yield entry


def relative(url, here): return posixpath.relpath(url, posixpath.dirname(here) or ".")


def navigation(contents, pages, here):
    "The sidebar of _quarto.yml as nested lists."
    def item(entry):
        if isinstance(entry, str) and entry in pages:
            url, title = pages[entry]
            current = ' aria-current="page"' if url == here else ""
            return f'<li><a href="{relative(url, here)}"{current}>{escape(title)}</a></li>'
        if isinstance(entry, dict) and "section" in entry:
            inner = navigation(entry.get("contents") or [], pages, here)
            return f'<li class="section">{escape(entry["section"])}{inner}</li>'
        return ""
    return f"<ul>{''.join(map(item, contents))}</ul>"


def turning(contents, pages, here):
    "Links to the page before and the page after."
    order = [pages[n] for n in listed(contents) if n in pages]
    at = next((i for i, (url, _) in enumerate(order) if url == here), None)
    if at is None: return ""
    before = f'<a href="{relative(order[at - 1][0], here)}">← {escape(order[at - 1][1])}</a>' if at else "<span></span>"
    after = (f'<a href="{relative(order[at + 1][0], here)}">{escape(order[at + 1][1])} →</a>'
             if at + 1 < len(order) else "")
    return f'<p class="turn">{before}{after}</p>'


def write_page(name, nb, meta, pages, site, quarto):
    "One page; its HTML."
    url, title = pages[name]
    root, website = "../" * url.count("/") or "./", quarto["website"]
    markdown = notebook_markdown(nb, prerender.chart_block).replace("](" + site, "](" + root)
    if meta.get("description"): markdown = f"> {meta['description']}\n\n{markdown}"
    top = " ".join(f'<a href="{relative(pages[e["href"]][0], url)}">{escape(e["text"])}</a>'
                   for e in website["navbar"]["left"] if e.get("href") in pages)
    contents = website["sidebar"]["contents"]
    variables = {
        "root": root, "top": top, "side": navigation(contents, pages, url), "turn": turning(contents, pages, url),
        "style": (SITE / "page.css").read_text(encoding="utf-8"), "source": f"{prerender.repository()}nbs/{name}",
        "script": (SITE / "page.js").read_text(encoding="utf-8"),
        "tail": quarto["format"]["html"]["include-after-body"]["text"]}
    given = OUT / (url + ".json")
    given.parent.mkdir(parents=True, exist_ok=True)
    given.write_text(json.dumps({"variables": variables, "metadata": {"title": title, "description": str(
        meta.get("description", ""))}}), encoding="utf-8")
    html = pypandoc.convert_text(
        markdown, "html5", format=PANDOC,
        extra_args=["--standalone", "--mathml", "--toc", "--toc-depth=2", f"--template={SITE / 'page.html'}",
                    f"--defaults={given}"])
    given.unlink()

    def page_of(m):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), m[1]))
        return f'href="{relative(pages[target][0], url)}{m[2] or ""}"' if target in pages else m[0]

    html = re.sub(r'href="([^":#]+\.ipynb)(#[^"]*)?"', page_of, html)
    (OUT / url).write_text(html, encoding="utf-8")
    return html


def search_pages(read, pages):
    "What the search box reads: title, headings and words of each page, as a script, so that it works from disk."
    def entry(name, nb, meta):
        words = "\n".join(text(c["source"]) for c in nb["cells"] if c["cell_type"] != "raw")
        heads = " ".join(re.findall(r"^#+ (.*)", words, re.M))
        url, title = pages[name]
        return dict(url=url, title=title, about=str(meta.get("description", "")), heads=heads,
                    text=" ".join(sorted(set(re.findall(r"\w{2,}", words.lower())))))
    found = [entry(n, *read[n]) for n in read]
    return f"window.searchPages = {json.dumps(found, ensure_ascii=False)};\n"


def check_links(url, page, site_pages):
    "Links and anchors that lead nowhere, and whatever would be fetched from another host."
    problems = [f"would be fetched from another host: {u}" for u in page.loads if re.match(r"(https?:)?//", u)]
    local = [u for u in page.links + page.loads if u != "#" and not re.match(r"[a-z]+:|//", u)]
    for link in dict.fromkeys(local):
        path, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(url), path)) if path else url
        if not (OUT / target).is_file(): problems.append(f"link to a file that is not on the site: {link}")
        # nbdev links `Class.method` to #class.method, which is there only after show_doc(Class.method): #class will do.
        elif target in site_pages and anchor and not {anchor, anchor.split(".")[0]} & site_pages[target].ids:
            problems.append(f"link to an anchor that does not exist: {link}")
    return problems


def main():
    os.chdir(TOP)
    shutil.rmtree(OUT, ignore_errors=True)
    problems, site = process()
    quarto = yaml.safe_load((TOP / "_quarto.yml").read_text(encoding="utf-8"))
    read = {n: read_processed(n) for n, found in problems.items() if not found}
    pages = {n: (prerender.page_url(n, meta), str(meta.get("title", Path(n).stem))) for n, (_, meta) in read.items()}
    for n, (nb, _) in read.items(): problems[n] += check_outputs(nb)
    prerender.main(PROC)
    read = {n: read_processed(n) for n in read}
    shutil.copytree(PROC, OUT, ignore=shutil.ignore_patterns("*.ipynb", "*.yml", ".*", "__pycache__"))
    with ThreadPoolExecutor(2) as pool:
        htmls = dict(zip(read, pool.map(lambda n: write_page(n, *read[n], pages, site, quarto), read), strict=True))
    (OUT / "search.js").write_text(search_pages(read, pages), encoding="utf-8")
    site_pages = {pages[n][0]: Page(html) for n, html in htmls.items()}
    for n in read: problems[n] += check_links(pages[n][0], site_pages[pages[n][0]], site_pages)
    for n, found in problems.items():
        print(f"{'FAIL' if found else 'PASS'} docs page of nbs/{n}")
        for p in found: print("    " + p.replace("\n", "\n    "))
    return any(problems.values())


if __name__ == "__main__": sys.exit(main())
