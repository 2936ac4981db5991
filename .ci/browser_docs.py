"""Open the pages that build_docs.py wrote in Chromium: every chart must draw itself, without a word on the console and
without asking any host for anything. Run after build_docs.py.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SITE = Path(__file__).resolve().parent.parent / "_docs_offline"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
DRAWN = """() => [...document.querySelectorAll("div.vega-chart")].every(
    d => d.querySelector("canvas, svg")?.getBoundingClientRect().width > 20)"""


def main():
    pages, failed, drawn = sorted(SITE.rglob("*.html")), False, 0
    if not pages: sys.exit(f"no pages in {SITE}: run python .ci/build_docs.py first")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for path in pages:
            page, problems = browser.new_page(), []
            page.on("console", lambda m, to=problems: to.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda e, to=problems: to.append(str(e)))
            page.on("request", lambda r, to=problems: to.append(f"asked for {r.url}")
                    if not r.url.startswith(("file:", "data:", "blob:")) else None)
            page.goto(path.as_uri())
            charts = page.locator("div.vega-chart").count()
            try: page.wait_for_function(DRAWN, timeout=20_000)
            except Exception: problems.append("a chart did not draw itself")
            verdict = "FAIL" if problems else "PASS"
            print(f"{verdict} in Chromium: {path.relative_to(SITE)}, {charts} charts", *problems, sep="\n    ")
            failed, drawn = failed or bool(problems), drawn + charts
            page.close()
        browser.close()
    print(f"{len(pages)} pages, {drawn} charts")
    return failed


if __name__ == "__main__": sys.exit(main())
