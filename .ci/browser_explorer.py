"""Browser tests of the explorer and of the report page: what is drawn, seen through a real Chromium.

    python .ci/browser_explorer.py [folder for screenshots]      (or VFJAC_SCREENSHOTS=folder)

Starts JupyterLab on a small notebook in a temporary folder, picks genes in the widget and looks at the drawn marks;
opens a report from disk without a network and works its menus and brush. Prints one line per test; the exit status is
the number of failures. Without Chromium (or playwright) it says so and exits with 0.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
import warnings
from pathlib import Path

FLAGS = ("--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
         "--disable-component-update --disable-sync").split()
SIZES = {"wide": {"width": 1440, "height": 900}, "tall": {"width": 900, "height": 1200}}
N_CELLS = 240
DATA = f"""from vfjac.datasets import toggle_switch
from vfjac.tools import fit_vector_field
adata = toggle_switch(n_cells={N_CELLS})
fit = fit_vector_field(adata)"""
SHOW = """from vfjac.explorer import explore
explorer = explore(adata, ["Spi1", "Gata1"])
explorer"""
ODD = "<img src=x onerror=alert(1)>.a['b']\"</script>"

# Marks that are drawn: SVG nodes know their item, a canvas is asked through its view.
SVG_DOTS = """() => [...document.querySelectorAll('.vega-embed svg .mark-symbol.role-mark path')]
    .map(e => [e.__data__, e.getAttribute('fill')])
    .filter(([item]) => item && item.datum && 'cell' in item.datum)
    .map(([item, fill]) => [item.datum.cell, item.datum.value, fill])"""
PLACES = SVG_DOTS.replace("[item.datum.cell, item.datum.value, fill]", "[item.x, item.y]")
HEATMAP = """() => { const c = document.querySelector('.vega-embed canvas');
    return c ? [c.clientWidth, c.clientHeight, c.toDataURL()] : null; }"""
VIEW_ITEMS = """(type) => { const found = [], seen = new Set();
    const walk = (item, mark) => { if (!item || seen.has(item)) return; seen.add(item);
        if (item.marktype) (item.items || []).forEach(child => walk(child, item));
        else { if (mark && mark.marktype === type && mark.role === 'mark' && item.datum)
                   found.push({text: item.text, stroke: item.stroke, opacity: item.opacity, ...item.datum});
               (item.items || []).forEach(child => walk(child, null)); } };
    walk(window.vegaView.scenegraph().root, null); return found; }"""


class Tests:
    "Runs tests, prints a line for each, counts."
    def __init__(self): self.passed, self.failed = 0, 0

    def run(self, name, test, *args):
        started = time.time()
        try: test(*args)
        except Exception as error:
            self.failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
            traceback.print_exc()
        else:
            self.passed += 1
            print(f"ok     {name} ({time.time() - started:.1f} s)", flush=True)


def until(question, what, seconds=30):
    "Ask until the answer is yes."
    end = time.time() + seconds
    while time.time() < end:
        if answer := question(): return answer
        time.sleep(0.1)
    raise TimeoutError(f"after {seconds} s: {what}")


def watched_page(browser, allowed, **options):
    "A page that may reach addresses with the prefix `allowed` only; what it tries besides, and its errors, are kept."
    context = browser.new_context(**options)
    page = context.new_page()
    page.strays, page.problems = [], []

    def gate(route):
        if route.request.url.startswith((allowed, "data:", "blob:")): return route.continue_()
        page.strays.append(route.request.url)
        route.abort()

    context.route("**/*", gate)
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("dialog", lambda dialog: (page.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    return page


# --- JupyterLab

def start_lab(folder):
    "JupyterLab on a notebook in `folder`: the process and its address."
    import nbformat
    cells = [nbformat.v4.new_code_cell(source) for source in (DATA, SHOW)]
    meta = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=meta), folder / "explorer.ipynb")
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    settings = {"fetchNews": "false", "checkForUpdates": False}
    (quiet / "notification.jupyterlab-settings").write_text(json.dumps(settings))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    names = "JUPYTER_CONFIG_DIR JUPYTERLAB_WORKSPACES_DIR IPYTHONDIR JUPYTER_RUNTIME_DIR".split()
    own = {name: str(folder / name.lower()) for name in names}
    own["JUPYTERLAB_SETTINGS_DIR"] = str(folder / "settings")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
               "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=",
               "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
               f"--ServerApp.root_dir={folder}"]
    log = open(folder / "lab.log", "w")
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **own}, stdout=log, stderr=log,
                               start_new_session=True)
    url = f"http://127.0.0.1:{port}"

    def answers():
        if process.poll() is not None:
            raise RuntimeError("JupyterLab ended:\n" + (folder / "lab.log").read_text()[-2000:])
        try: return urllib.request.urlopen(url + "/api/status", timeout=1).status == 200
        except OSError: return False

    try: until(answers, "JupyterLab does not answer", 60)
    except BaseException:
        stop(process)
        raise
    return process, url


def stop(process):
    "End JupyterLab and its kernels."
    if process.poll() is None: os.killpg(process.pid, signal.SIGTERM)
    try: process.wait(10)
    except subprocess.TimeoutExpired: os.killpg(process.pid, signal.SIGKILL)


def run_notebook(page, url):
    "Open the notebook, run it, wait for the first picture."
    page.goto(f"{url}/lab/tree/explorer.ipynb")
    idle = "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    page.wait_for_function(idle, timeout=90_000)
    for command in ("application:toggle-left-area", "notebook:run-all-cells"):
        page.evaluate("command => { window.jupyterapp.commands.execute(command); }", command)
    until(lambda: len(page.evaluate(SVG_DOTS)) == N_CELLS, "the cells are not drawn", 90)


def drawn(page):
    "Cell -> value, as drawn."
    return {cell: value for cell, value, _ in page.evaluate(SVG_DOTS)}


def agrees(page, truth, effector, regulator):
    "Whether the drawn values are those of the pair, to three digits."
    seen, pair = drawn(page), dict(zip(truth.cells, truth.pair(effector, regulator)))
    return seen.keys() == pair.keys() and all(abs(seen[c] - pair[c]) <= 0.006 * abs(pair[c]) + 1e-12 for c in pair)


def pick(page, place, gene):
    "Type a gene into the first or second gene box."
    box = page.locator("input[placeholder='type a gene']").nth(place)
    box.fill(gene)
    box.press("Enter")
    box.press("Tab")


def test_first_picture(page, truth):
    until(lambda: agrees(page, truth, "Gata1", "Spi1") or agrees(page, truth, "Spi1", "Gata1"),
          "the first picture is not a pair of the data")
    assert page.evaluate(HEATMAP)[0] > 200, "no heatmap"


def test_pick_gene(page, truth):
    pick(page, 0, "Gata1")
    pick(page, 1, "Gata1")
    until(lambda: agrees(page, truth, "Gata1", "Gata1"), "the picture does not follow the pick")
    before, colours, heatmap = drawn(page), [fill for *_, fill in page.evaluate(SVG_DOTS)], page.evaluate(HEATMAP)
    pick(page, 1, "Spi1")
    until(lambda: agrees(page, truth, "Gata1", "Spi1"), "the picture does not follow the second pick")
    assert drawn(page) != before and [fill for *_, fill in page.evaluate(SVG_DOTS)] != colours
    until(lambda: page.evaluate(HEATMAP) not in (None, heatmap), "the heatmap does not move its frame")
    assert page.get_by_text("∂f_Gata1 / ∂x_Spi1").count() >= 1


def test_wrong_gene(page, truth):
    pick(page, 1, "Gata9<b>")
    page.get_by_text("did you mean Gata1").wait_for(timeout=10_000)
    assert agrees(page, truth, "Gata1", "Spi1"), "the picture changed"
    pick(page, 1, "Spi1")
    page.get_by_text("means are over all").wait_for(timeout=10_000)


def test_swap(page, truth):
    page.get_by_role("button", name="swap").click()
    until(lambda: agrees(page, truth, "Spi1", "Gata1"), "the picture does not follow the swap")


def test_menus(page, truth):
    wide = page.evaluate(HEATMAP)[0]
    page.locator(".widget-dropdown select").nth(1).select_option(label="all cells together")
    until(lambda: page.evaluate(HEATMAP)[0] < wide - 100, "the heatmap is not one panel")
    page.locator(".widget-dropdown select").nth(1).select_option(index=1)
    until(lambda: page.evaluate(HEATMAP)[0] == wide, "the heatmap has not its panels back")
    where = page.evaluate(PLACES)
    page.locator(".widget-dropdown select").nth(0).select_option(label="pca")
    until(lambda: len(page.evaluate(PLACES)) == N_CELLS and page.evaluate(PLACES) != where, "the cells do not move")
    page.locator(".widget-dropdown select").nth(0).select_option(index=0)
    until(lambda: page.evaluate(PLACES) == where, "the cells do not come back")


def test_screens(page, shots, name, wait):
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        time.sleep(wait)
        page.screenshot(path=shots / f"{name}-{size}.png")


def test_clean(page):
    assert not page.strays, f"requests to elsewhere: {page.strays[:5]}"
    assert not page.problems, f"errors: {page.problems[:5]}"


# --- The report, opened from disk

def open_report(page, path):
    page.context.set_offline(True)
    page.goto(path.as_uri())
    page.wait_for_function("() => window.vegaView", timeout=30_000)


def coloured(page):
    "Cell -> value on the embedding (the first view's dots come first)."
    found = {}
    for item in page.evaluate(VIEW_ITEMS, "symbol"): found.setdefault(item["cell"], item["value"])
    return found


def reported(page, truth, effector, regulator):
    "Whether the page shows the pair, within half a step."
    seen, pair = coloured(page), dict(zip(truth.cells, truth.pair(effector, regulator)))
    tolerance = max(map(abs, pair.values())) / 999
    return seen.keys() == pair.keys() and all(abs(seen[c] - pair[c]) <= tolerance for c in pair)


def test_report_draws(page, truth, path):
    open_report(page, path)
    assert reported(page, truth, "Gata1", "Spi1") or reported(page, truth, "Spi1", "Gata1"), "not a pair of the data"


def test_report_menus(page, truth):
    menus = page.locator("#menus select")
    for effector, regulator in (("Gata1", "Gata1"), ("Spi1", "Gata1"), ("Gata1", "Spi1")):
        menus.nth(0).select_option(label=effector)
        menus.nth(1).select_option(label=regulator)
        wanted = (effector, regulator)
        until(lambda wanted=wanted: reported(page, truth, *wanted), f"the page does not show {wanted}", 10)
    squares = [item for item in page.evaluate(VIEW_ITEMS, "rect") if "key" in item]
    framed = [(s["effector"], s["regulator"]) for s in squares if s["stroke"] not in (None, "white")]
    assert framed == [("Gata1", "Spi1")], framed


def counts(page): return sum(int(item["text"].replace(",", "")) for item in page.evaluate(VIEW_ITEMS, "text"))


def means(page): return {item["key"]: item["mean"] for item in page.evaluate(VIEW_ITEMS, "rect") if "key" in item}


def test_report_brush(page):
    before, start = counts(page), means(page)
    assert before == N_CELLS, before
    box = page.locator("#chart canvas").bounding_box()
    page.mouse.move(box["x"] + 70, box["y"] + 110)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 330, steps=8)
    page.mouse.up()
    until(lambda: 0 < counts(page) < before, "the brush does not reach the counts", 10)
    clear = sum(item["opacity"] == 0.95 for item in page.evaluate(VIEW_ITEMS, "symbol"))
    assert clear == counts(page), (clear, counts(page))
    assert means(page).keys() == start.keys() and means(page) != start


def test_report_group(page):
    page.locator("#menus select").nth(2).select_option(index=1)
    until(lambda: counts(page) < N_CELLS, "the group menu does not reach the counts", 10)
    page.locator("#menus select").nth(2).select_option(index=0)


def test_odd_names(page, adata, folder):
    from vfjac.explorer import report
    from vfjac.tools import jacobian
    odd = adata.copy()
    odd.var_names = [ODD, "x.y"]
    odd.obs["group"] = odd.obs["group"].astype(str).replace(odd.obs["group"].iloc[0], ODD)
    jacobian(odd, list(odd.var_names))
    open_report(page, report(odd, folder / "odd.html", title=ODD))
    page.locator("#menus select").nth(0).select_option(label=ODD)
    page.locator("#menus select").nth(1).select_option(label="x.y")
    until(lambda: page.evaluate("() => window.vegaView.signal('pair')") == "j0_1", "the menus do not answer", 10)
    assert page.locator("h1").inner_text() == ODD and page.locator("img").count() == 0


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        print("skipped: no Chromium on this machine (Debian: apt-get install chromium)")
        return 0
    try: from playwright.sync_api import sync_playwright
    except ImportError:
        print("skipped: playwright is not installed (pip install playwright)")
        return 0
    from vfjac.explorer import report
    from vfjac.tools import gene_jacobian, jacobian

    tests, space = Tests(), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(DATA, space)
    adata = space["adata"]
    truth = gene_jacobian(adata)
    jacobian(adata, ["Spi1", "Gata1"])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = Path(folder)
        chosen = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("VFJAC_SCREENSHOTS")
        shots = Path(chosen) if chosen else folder / "shots"
        shots.mkdir(parents=True, exist_ok=True)
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = watched_page(browser, folder.as_uri(), viewport=SIZES["wide"])
        path = report(adata, folder / "report.html", title="Toggle switch")
        tests.run("report: draws from disk with the network off", test_report_draws, page, truth, path)
        tests.run("report: menus choose the pair", test_report_menus, page, truth)
        tests.run("report: group menu", test_report_group, page)
        tests.run("report: brush reaches means and counts", test_report_brush, page)
        tests.run("report: screenshots", test_screens, page, shots, "report", 0.3)
        tests.run("report: no request, no error", test_clean, page)
        page = watched_page(browser, folder.as_uri(), viewport=SIZES["wide"])
        tests.run("report: odd names do no harm", test_odd_names, page, adata, folder)
        tests.run("report: odd names, no request, no error", test_clean, page)
        process, url = start_lab(folder)
        try:
            page = watched_page(browser, url, viewport=SIZES["wide"])
            tests.run("explorer: JupyterLab runs the notebook", run_notebook, page, url)
            page.problems.clear()   # what JupyterLab itself reports while it starts
            tests.run("explorer: first picture is the data", test_first_picture, page, truth)
            tests.run("explorer: picking a gene redraws", test_pick_gene, page, truth)
            tests.run("explorer: a wrong gene is a message", test_wrong_gene, page, truth)
            tests.run("explorer: swap", test_swap, page, truth)
            tests.run("explorer: group and embedding menus", test_menus, page, truth)
            tests.run("explorer: screenshots", test_screens, page, shots, "explorer", 1.5)
            tests.run("explorer: no request elsewhere, no error", test_clean, page)
        finally: stop(process)
        browser.close()
    print(f"{tests.passed} passed, {tests.failed} failed")
    return tests.failed


if __name__ == "__main__": sys.exit(main())
