"""What is wrong with the pages of a site, Quarto's or those of build_docs.py.

    python .ci/check_site.py _docs     run after nbdev_docs: fails where a page can't be read; _proc is read beside it

Headings that swallowed their text, fences and formulas that were not converted, charts that are missing, links and
anchors that lead nowhere, anything that would be fetched from another host.
"""

import posixpath
import re
import sys
from pathlib import Path
from types import SimpleNamespace

from bs4 import BeautifulSoup
from notebooks import TOP, read
from prerender import front_matter, page_url

UNSEEN = ["script", "style", "annotation", "pre", "code", "noscript"]   # words in these are not read as prose
SIGNATURE = re.compile(r"def \w+\(\n.*\n\)[^\n]*\s*", re.S)   # as nbdev writes it: what is said of parameters is code
BROKEN = re.compile(r"```|\$\$|\]\(|^#{1,6} |^:::|\\(?:[A-Za-z]{3,}|[lr]\b)", re.M)


def parsed(path):
    "What a page offers (ids), asks for (links, and things that load by themselves), and says."
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    loads = soup.select("link[rel=stylesheet][href], link[rel=icon][href], link[rel=preload][href], [src]")
    page = SimpleNamespace(
        ids={tag[key] for key in ("id", "name") for tag in soup.find_all(attrs={key: True})},
        links=[a["href"] for a in soup.select("a[href]") if a["href"]], charts=len(soup.select(".vega-chart")),
        loads=[tag.get("src") or tag["href"] for tag in loads],
        headings=[h.get_text() for h in soup.find_all(re.compile("^h[1-6]$"))],
        signatures=[pre.get_text() for pre in soup.select("pre") if pre.get_text().startswith("def ")])
    for tag in soup(UNSEEN): tag.decompose()
    page.prose = list(soup.strings)
    return page


def headings(nb):
    "The headings that stand in the Markdown cells of a notebook."
    words = "\n\n".join(c["source"] for c in nb["cells"] if c["cell_type"] == "markdown")
    words = re.sub(r"^```.*?^```", "", words, flags=re.M | re.S)
    return [h for h in re.findall(r"^#{1,6} (.*)", words, re.M) if not h.endswith(" -")]


def check_words(page, nb=None):
    "What can't be read on a page; with its processed notebook, also what is missing."
    found = [m[0] + words[m.end():m.end() + 60] for words in page.prose if (m := BROKEN.search(words))]
    yield from (f"stands on the page as it is written: {words!r}" for words in found)
    yield from (f"a heading that swallowed its text: {h[:80]!r}…" for h in page.headings if len(h) > 160)
    cut = [s for s in page.signatures if SIGNATURE.fullmatch(s) and re.search(r" # |:NoneType=|\]\(http", s)]
    yield from (f"a signature as code, not as a table: {signature[:60]!r}…" for signature in cut)
    if nb is None: return
    charts = sum("vega-chart" in str(o.get("data", {})) for c in nb["cells"] for o in c.get("outputs", []))
    for what, there, asked in (("headings", len(page.headings), len(headings(nb))), ("charts", page.charts, charts)):
        if there < asked: yield f"{there} {what}, and its notebook has {asked}"


def check_links(folder, url, page, pages):
    "Links and anchors that lead nowhere, and whatever would be fetched from another host."
    yield from (f"would be fetched from another host: {u}" for u in page.loads if re.match(r"(https?:)?//", u))
    for link in dict.fromkeys(u for u in page.links + page.loads if not re.match(r"[a-z]+:|//|#?$", u)):
        path, _, anchor = link.partition("#")
        path = path.partition("?")[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(url), path)) if path else url
        if target.startswith("lite/") and not (folder / "lite").is_dir(): continue   # built after the pages
        file = folder / target
        if not file.is_file() and not (file / "index.html").is_file(): yield f"link to a file that is not there: {link}"
        # nbdev links `Class.method` to #class.method, which is there only after show_doc(Class.method): #class will do.
        elif target in pages and anchor and not {anchor, anchor.split(".")[0]} & pages[target].ids:
            yield f"link to an anchor that does not exist: {link}"


def check(folder, notebooks):
    "Problems of each page of a folder; `notebooks` holds the processed notebooks by the address of their page."
    urls = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*.html"))]
    pages = {u: parsed(folder / u) for u in urls if not u.startswith("lite/")}
    problems = {u: [*check_words(p, notebooks.get(u)), *check_links(folder, u, p, pages)] for u, p in pages.items()}
    return problems | {u: ["there is no such page"] for u in notebooks if u not in pages}


def places(folder=TOP / "_proc"):
    "The processed notebooks, by the address of their page."
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*.ipynb")}
    return {page_url(name, front_matter(read(p))): p for name, p in found.items()}


def main(folder):
    problems = check(Path(folder), {url: read(p) for url, p in places().items()})
    for url, found in problems.items(): print(*(f"{url}: {p}" for p in found), sep="\n", end="\n" if found else "")
    print(f"{len(problems)} pages, {sum(map(bool, problems.values()))} with problems")
    missing = [name for name in ("vega.js", "assets/charts.js", "llms.txt") if not (Path(folder) / name).is_file()]
    if missing: print("missing:", *missing)
    return bool(missing or not problems or any(problems.values()))


if __name__ == "__main__": sys.exit(main(sys.argv[1]))
