"""What is wrong with the pages of a site, Quarto's or those of build_docs.py.

    python .ci/check_site.py _docs     run after nbdev_docs: fails where a page can't be read; _proc is read beside it

Headings that swallowed their text, fences and formulas that were not converted, charts that are missing, links and
anchors that lead nowhere, anything that would be fetched from another host.
"""

import posixpath
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

from nbmd import TOP, read, text
from prerender import front_matter, page_url

UNSEEN = {"script", "style", "annotation", "pre", "code", "noscript"}   # words in these are not read as prose
BROKEN = re.compile(r"```|\$\$|\]\(|^#{1,6} |^:::|\\(?:[A-Za-z]{3,}|[lr]\b)", re.M)


class Page(HTMLParser):
    "What a page offers (ids), asks for (links, and things that load by themselves), and says."

    def __init__(self, html):
        super().__init__()
        self.ids, self.links, self.loads, self.prose, self.open, self.charts = set(), [], [], [], [], 0
        self.heading, self.headings = None, []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.update(v for k, v in attrs.items() if k in ("id", "name") and v)
        self.charts += "vega-chart" in (attrs.get("class") or "").split()
        if tag == "a" and attrs.get("href"): self.links.append(attrs["href"])
        if tag == "link" and attrs.get("rel") in ("stylesheet", "icon", "preload"): self.loads.append(attrs["href"])
        if attrs.get("src"): self.loads.append(attrs["src"])
        if tag in UNSEEN: self.open.append(tag)
        if re.fullmatch("h[1-6]", tag): self.headings.append("")
        if re.fullmatch("h[1-6]", tag): self.heading = tag

    def handle_endtag(self, tag):
        if tag in self.open: self.open.remove(tag)
        if tag == self.heading: self.heading = None

    def handle_data(self, data):
        if self.heading: self.headings[-1] += data
        if not self.open: self.prose.append(data)


def headings(nb):
    "The headings that stand in the Markdown cells of a notebook."
    words = "\n\n".join(text(c["source"]) for c in nb["cells"] if c["cell_type"] == "markdown")
    words = re.sub(r"^```.*?^```", "", words, flags=re.M | re.S)
    return [h for h in re.findall(r"^#{1,6} (.*)", words, re.M) if not h.endswith(" -")]


def check_words(page, nb=None):
    "What can't be read on a page; with its processed notebook, also what is missing."
    found = [m[0] + words[m.end():m.end() + 60] for words in page.prose if (m := BROKEN.search(words))]
    yield from (f"stands on the page as it is written: {words!r}" for words in found)
    yield from (f"a heading that swallowed its text: {h[:80]!r}…" for h in page.headings if len(h) > 160)
    if nb is None: return
    asked, there = headings(nb), len(page.headings)
    if there < len(asked): yield f"{there} headings, and its notebook has {len(asked)}"
    charts = sum("vega-chart" in str(o.get("data", {})) for c in nb["cells"] for o in c.get("outputs", []))
    if page.charts < charts: yield f"{page.charts} charts, and its notebook has {charts}"


def check_links(folder, url, page, pages):
    "Links and anchors that lead nowhere, and whatever would be fetched from another host."
    yield from (f"would be fetched from another host: {u}" for u in page.loads if re.match(r"(https?:)?//", u))
    local = [u for u in page.links + page.loads if not re.match(r"[a-z]+:|//|#?$", u)]
    for link in dict.fromkeys(local):
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
    paths = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*.html"))}
    pages = {u: Page(p.read_text(encoding="utf-8")) for u, p in paths.items() if not u.startswith("lite/")}
    problems = {u: [*check_words(p, notebooks.get(u)), *check_links(folder, u, p, pages)] for u, p in pages.items()}
    return problems | {u: ["there is no such page"] for u in notebooks if u not in pages}


def processed(folder=TOP / "_proc"):
    "The processed notebooks, by the address of their page."
    found = {p.relative_to(folder).as_posix(): read(p) for p in folder.rglob("*.ipynb")}
    return {page_url(name, front_matter(nb)): nb for name, nb in found.items()}


def main(folder):
    problems = check(Path(folder), processed())
    for url, found in problems.items(): print(*(f"{url}: {p}" for p in found), sep="\n", end="\n" if found else "")
    print(f"{len(problems)} pages, {sum(map(bool, problems.values()))} with problems")
    missing = [name for name in ("vega.js", "assets/charts.js", "llms.txt") if not (Path(folder) / name).is_file()]
    if missing: print("missing:", *missing)
    return bool(missing or not problems or any(problems.values()))


if __name__ == "__main__": sys.exit(main(sys.argv[1]))
