"""Open the pages that build_docs.py wrote in Chromium, from disk. Run after build_docs.py.

Each page: every chart draws itself, every menu and slider of a chart changes its picture (no kernel is running),
nothing is wider than a desktop's window or a phone's, nor a table, no word on the console, no host asked for anything.
Then dark and light, and the square that chooses a pair.
"""

import sys
from pathlib import Path

from browser import CHROMIUM, FLAGS, PHONE, WIDE, watched
from playwright.sync_api import sync_playwright

SITE = Path(__file__).resolve().parent.parent / "_docs_offline"
DRAWN = """() => [...document.querySelectorAll("div.vega-chart")].every(
    d => d.dataset.drawn && d.querySelector("canvas, svg")?.getBoundingClientRect().width > 20)"""
CUT = """() => [...document.querySelectorAll("div.vega-chart")].filter(
    d => d.querySelector("canvas")?.getBoundingClientRect().width > d.clientWidth + 1).length"""
UNREADABLE = """() => [...document.querySelectorAll("main table")].filter(
    t => t.scrollWidth > t.clientWidth + 1).length"""
TOO_WIDE = "() => document.documentElement.scrollWidth - window.innerWidth"

# Every control of every chart, moved to other values until the picture changes: those that never change it.
IDLE = """async () => {
    const look = div => div.querySelector("canvas").toDataURL(), idle = [];
    let controls = 0;
    for (const [i, div] of [...document.querySelectorAll("div.vega-chart")].entries()) {
        for (const input of div.querySelectorAll(".vega-bind select, .vega-bind input")) {
            controls += 1;
            const before = look(div), was = input.type === "checkbox" ? input.checked : input.value;
            const others = input.tagName === "SELECT" ? [...input.options].map(o => o.value).filter(v => v !== was)
                : input.type === "range" ? [input.min, input.max, (Number(input.min) + Number(input.max)) / 2]
                : input.type === "checkbox" ? [!was] : input.type === "radio" ? [true] : [];
            const set = async value => {
                if (["checkbox", "radio"].includes(input.type)) { if (input.checked !== value) input.click(); }
                else {
                    input.value = value;
                    for (const e of ["input", "change"]) input.dispatchEvent(new Event(e, {bubbles: true}));
                }
                for (let turn = 0; turn < 3; turn++) {
                    await new Promise(resolve => setTimeout(resolve, 40));
                    await div.vegaView.runAsync();
                    if (look(div) !== before) return;
                }
            };
            let moved = false;
            for (const value of others.slice(0, 12)) {
                await set(value);
                if (look(div) !== before) { moved = true; break; }
            }
            const name = input.name || input.closest(".vega-bind").textContent;
            if (!moved && input.type !== "radio") idle.push(`chart ${i + 1}: ${name}`);
            if (input.type !== "radio") await set(was);
        }
    }
    return {controls, idle};
}"""


def try_page(context, path):
    "What is wrong with one page, how many charts and controls it has."
    page, problems = watched(context)
    page.goto(path.as_uri())
    charts, moved = page.locator("div.vega-chart").count(), {"controls": 0, "idle": []}
    try: page.wait_for_function(DRAWN, timeout=20_000)
    except Exception: problems.append("a chart did not draw itself")
    else:
        if charts: moved = page.evaluate(IDLE)
        problems += [f"this control changes nothing: {c}" for c in moved["idle"]]
    if (wide := page.evaluate(TOO_WIDE)) > 0: problems.append(f"{wide} px wider than a desktop's window")
    if cut := page.evaluate(CUT): problems.append(f"{cut} charts are wider than their column")
    page.set_viewport_size(PHONE)
    page.reload()   # tables become lists as a page is loaded
    if (wide := page.evaluate(TOO_WIDE)) > 0: problems.append(f"{wide} px wider than a phone's window")
    if cut := page.evaluate(UNREADABLE): problems.append(f"{cut} tables are wider than a phone's window")
    unnamed = page.locator("img:not([alt]), img[alt=''], .vega-chart:not([aria-label])").count()
    if unnamed: problems.append(f"{unnamed} pictures without a word for those who do not see them")
    page.close()
    return problems, charts, moved["controls"]


def first_page(context):
    "The first page of the site, its charts drawn, and a list that its complaints go to."
    page, problems = watched(context)
    page.goto((SITE / "index.html").as_uri())
    page.wait_for_function(DRAWN, timeout=20_000)
    return page, problems


def try_dark(context):
    "Charts are drawn anew in the dark, and what was chosen stays chosen."
    page, problems = first_page(context)
    menu = page.locator(".vega-bind select").first
    menu.select_option(index=1)
    chosen = menu.input_value()
    page.evaluate("() => document.body.classList.add('quarto-dark')")
    page.wait_for_function("() => document.querySelector('.vega-chart').dataset.drawn === 'dark'", timeout=10_000)
    if menu.input_value() != chosen: problems.append("the menu forgot what was chosen")
    paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    if paper != "rgb(21, 24, 28)": problems.append(f"the page is {paper}")
    page.close()
    return problems


def try_square(context):
    "On the first page a click on a square of the means chooses its pair."
    page, problems = first_page(context)
    pair = "() => ['effector', 'regulator'].map(name => document.querySelector('.vega-chart').vegaView.signal(name))"
    before, box = page.evaluate(pair), page.locator(".vega-chart canvas").bounding_box()
    for step in range(40):   # down the diagonal of the picture's upper right quarter, until a square is met
        page.mouse.click(box["x"] + box["width"] * (0.62 + 0.005 * step), box["y"] + 70 + 5 * step)
        page.wait_for_timeout(30)
        if page.evaluate(pair) != before: break
    else: problems.append("no click on the means changed the pair")
    page.close()
    return problems


def main():
    pages, failed, drawn, moved = sorted(SITE.rglob("*.html")), False, 0, 0
    if not pages: sys.exit(f"no pages in {SITE}: run python .ci/build_docs.py first")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for path in pages:
            context = browser.new_context(viewport=WIDE)
            problems, charts, controls = try_page(context, path)
            word = "FAIL" if problems else "PASS"
            print(f"{word} in Chromium: {path.relative_to(SITE)}, {charts} charts, {controls} controls", *problems,
                  sep="\n    ", flush=True)
            failed, drawn, moved = failed or bool(problems), drawn + charts, moved + controls
            context.close()
        for check in (try_dark, try_square):
            context = browser.new_context(viewport=WIDE)
            try: problems = check(context)
            except Exception as e: problems = [str(e)[:500]]
            print(f"{'FAIL' if problems else 'PASS'} in Chromium: {check.__doc__}", *problems, sep="\n    ", flush=True)
            failed = failed or bool(problems)
            context.close()
        browser.close()
    print(f"{len(pages)} pages, {drawn} charts, {moved} menus and sliders")
    return failed


if __name__ == "__main__": sys.exit(main())
