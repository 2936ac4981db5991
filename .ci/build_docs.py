"""The documentation without Quarto and without a network: what Quarto reads, through the pandoc that Quarto has.

    python .ci/build_docs.py     build _docs_offline/ and check it; one PASS or FAIL line for each notebook

The published site is built by Quarto from the same processed notebooks (.github/workflows/docs.yml). These pages have
the site's style sheet and its width at 1280 px, and neither search nor sidebar: they are there to be checked, by
check_site and browser_docs.
"""

import json
import os
import posixpath
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import check_site
import prerender
import pypandoc
import vl_convert
from notebooks import TOP, chart_spec, notebook_markdown, read

PROC, OUT = TOP / "_proc", TOP / "_docs_offline"
PANDOC = "markdown+emoji-implicit_figures"
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="quarto:offset" content="$root$"><title>$title$</title><link rel="stylesheet" href="$root$assets/site.css">
<style>
* { box-sizing: border-box } body { margin: 0; font: 17px/1.5 system-ui, sans-serif }
main { max-width: 773px; margin: auto; padding: 0 12px }
pre { overflow-x: auto; font-size: .875em }
div.sourceCode pre > code { white-space: pre-wrap } img { max-width: 100% } td, th { padding: .3rem }
$highlighting-css$
$style$
</style></head>
<body><main><h1>$title$</h1>$body$</main>$tail$</body></html>"""


def process():
    "Run nbdev's own steps up to where Quarto would take over: names of notebooks with what went wrong."
    import nbdev.doclinks
    from nbdev.config import get_config
    from nbdev.quarto import nbdev_sidebar, refresh_quarto_yml
    from nbdev.serve import proc_nbs
    cfg = get_config()
    refresh_quarto_yml()
    nbdev.doclinks._build_modidx()
    nbdev_sidebar.__wrapped__()
    names = [p.relative_to(cfg.nbs_path).as_posix() for p in sorted(nbdev.doclinks.nbglob(as_path=True))]
    try: proc_nbs(force=True, n_workers=min(2, os.cpu_count() or 1))
    except Exception as e: print(f"nbdev stopped: {e}")   # it names the notebook and the cell
    return {name: [] if (PROC / name).is_file() else ["nbdev did not come to it"] for name in names}


def check_charts(nb):
    "Charts that a Vega-Lite as old as JupyterLab's does not compile."
    oldest, outputs = vl_convert.get_vegalite_versions()[0], [o for c in nb.cells for o in c.get("outputs", [])]
    for i, spec in enumerate(spec for o in outputs if (spec := chart_spec(o)) is not None):
        try: vl_convert.vegalite_to_svg(spec, vl_version=oldest)
        except Exception as e: yield f"chart {i} is none in Vega-Lite {oldest}: {str(e)[:300]}"


def check_texts(path):
    "What Quarto does not read as it stands: it loses the newlines of one long string. And errors."
    for i, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        if isinstance(cell["source"], str) and "\n" in cell["source"]: yield f"cell {i}: Quarto loses its newlines"
        for output in cell.get("outputs", []):
            if output["output_type"] == "error": yield f"cell {i}: the output is an error: {output['evalue'][:200]}"


def write_page(url, nb, address, template, style, tail):
    "One page."
    root, site = "../" * url.count("/") or "./", prerender.site_address()
    markdown = notebook_markdown(nb, prerender.chart_block).replace("](" + site, "](" + root)
    meta = prerender.front_matter(nb)
    variables = dict(root=root, style=style, tail=tail, title=str(meta.get("title", url)))
    html = pypandoc.convert_text(
        f"> {meta.get('description', '')}\n\n{markdown}", "html5", format=PANDOC,
        extra_args=["--standalone", "--mathml", f"--template={template}", "--metadata=pagetitle:page",
                    *(f"--variable={k}:{v}" for k, v in variables.items())])

    def page_of(m):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(url), m[1]))
        return f'href="{posixpath.relpath(address[target], posixpath.dirname(url) or ".")}{m[2] or ""}"' \
            if target in address else m[0]

    (OUT / url).parent.mkdir(parents=True, exist_ok=True)
    (OUT / url).write_text(re.sub(r'href="([^":#?]+\.ipynb)(#[^"]*)?"', page_of, html), encoding="utf-8")


def main():
    os.chdir(TOP)
    for folder in (OUT, PROC): shutil.rmtree(folder, ignore_errors=True)
    problems = process()
    for name in [n for n, found in problems.items() if not found]: problems[name] += check_charts(read(PROC / name))
    prerender.main(PROC)
    shutil.copytree(PROC, OUT, ignore=shutil.ignore_patterns("*.ipynb", "*.yml", ".*", "__pycache__"))
    paths = check_site.places()
    notebooks = {url: read(path) for url, path in paths.items()}
    name_of = {url: path.relative_to(PROC).as_posix() for url, path in paths.items()}
    address = {name: url for url, name in name_of.items()}
    for name in address: problems[name] += check_texts(PROC / name)   # as Quarto finds them
    (template := OUT / "page.template").write_text(PAGE, encoding="utf-8")
    style = prerender.style("light", "body") + "\n" + prerender.style("dark", ".quarto-dark")
    tail = prerender.quarto()["format"]["html"]["include-after-body"]["text"]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda item: write_page(*item, address, template, style, tail), notebooks.items()))
    for url, found in check_site.check(OUT, notebooks).items(): problems[name_of[url]] += found
    sections = [e for e in prerender.quarto()["website"]["sidebar"]["contents"] if isinstance(e, dict)]
    first = next(e["contents"][0] for e in sections if e["section"] == "Reference")
    if first != "api.ipynb": problems["api.ipynb"].append("the page of all names does not come first in the reference")
    linked = re.findall(re.escape(prerender.site_address()) + r"([^)#\s]+)", (TOP / "README.md").read_text("utf-8"))
    problems["index.ipynb"] += [f"README.md links to no page: {u}" for u in linked if not (OUT / u).is_file()]
    for name, found in problems.items():
        print(f"{'FAIL' if found else 'PASS'} docs page of nbs/{name}")
        for p in found: print("    " + p.replace("\n", "\n    "))
    return any(problems.values())


if __name__ == "__main__": sys.exit(main())
