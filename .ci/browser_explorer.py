"""Browser tests of the explorer and of the report page: what is drawn, seen through a real Chromium.

    python .ci/browser_explorer.py [folder for screenshots]      (or VFJAC_SCREENSHOTS=folder)

Starts JupyterLab on a small notebook in a temporary folder, picks genes in the widget and looks at the drawn marks;
opens a report from disk without a network and works its menus and brush. Prints one line per check; the exit status is
the number of failures. Without Chromium (or playwright) it says so and exits with 0.
"""
import html
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from itertools import chain
from pathlib import Path

try:
    import nbformat
    import numpy as np
    import pandas as pd
    from playwright.sync_api import sync_playwright
except ImportError:
    sys.exit(print("skipped: playwright is not installed (pip install playwright)"))
from browser import CHROMIUM, FLAGS, PHONE, WIDE, until, watched

from vfjac.datasets import counts
from vfjac.pp import prepare
from vfjac.ranking import compare_groups
from vfjac.regulation import fit_production
from vfjac.tools import gene_jacobian, jacobian
from vfjac.webpage import report

warnings.simplefilter("ignore")

N = 240
DATA = f"""from vfjac.datasets import toggle_switch
from vfjac.tools import fit_vector_field
adata = toggle_switch(n_cells={N})
fit = fit_vector_field(adata)"""
SHOW = """from vfjac.explorer import explore
explorer = explore(adata, ["Spi1", "Gata1"])
explorer"""
ODD = "<img src=x onerror=alert(1)>.a['b']\"</script>"
PAIRS = [(e, r) for e in ("Gata1", "Spi1") for r in ("Gata1", "Spi1")]

# Marks that are drawn, asked of the Vega view that draws them: where each stands on the screen, and its row.
MARKS = """where => { const view = where ? document.querySelector(where)?.vegaView : window.vegaView, found = [];
    if (!view) return found;
    const c = document.querySelector((where || '#chart') + ' canvas').getBoundingClientRect();
    const o = view.origin(), p = view.padding();
    const walk = (item, x, y) => (item.items || []).forEach(mark => mark.items && mark.items.forEach(i => {
        if (mark.marktype === 'group') walk(i, x + (i.x || 0), y + (i.y || 0));
        else if (mark.role === 'mark') found.push({kind: mark.marktype, name: mark.name, text: i.text, stroke: i.stroke,
            fill: i.fill, opacity: i.opacity,
            at: [c.x + x + i.x + (i.width || 0) / 2, c.y + y + i.y + (i.height || 0) / 2],
            frame: [c.x + x, c.y + y, item.width, item.height], datum: i.datum || {}}); }));
    const root = view.scenegraph().root;
    (root.items || [root]).forEach(item => walk(item, o[0] + p.left, o[1] + p.top));
    return found; }"""


def start_lab(folder):
    "JupyterLab on a notebook in `folder`: the process and its address."
    cells = [nbformat.v4.new_code_cell(source) for source in (DATA, SHOW)]
    meta = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=meta), folder / "explorer.ipynb")
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    names = "JUPYTER_CONFIG_DIR JUPYTERLAB_WORKSPACES_DIR IPYTHONDIR JUPYTER_RUNTIME_DIR".split()
    own = {name: str(folder / name.lower()) for name in names} | {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
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

    until(answers, "JupyterLab does not answer", 90)
    return process, url


def stop(process):
    "End JupyterLab and its kernels."
    if process.poll() is None: os.killpg(process.pid, signal.SIGTERM)
    try: process.wait(10)
    except subprocess.TimeoutExpired: os.killpg(process.pid, signal.SIGKILL)


class Screen:
    "What is drawn of a chart, and a hand that works it; `where` is empty for a page of its own."
    where = ""

    def __init__(self, page, problems, truth): self.page, self.problems, self.truth = page, problems, truth

    def marks(self, kind, field):
        return [m for m in self.page.evaluate(MARKS, self.where) if m["kind"] == kind and field in m["datum"]]

    def dots(self):
        "The dots of the embedding, one for each cell: the first view has them first."
        found = {}
        for mark in self.marks("symbol", "cell"): found.setdefault(mark["datum"]["cell"], mark)
        return found

    def fills(self): return {cell: dot["fill"] for cell, dot in self.dots().items()}

    def clear(self): return [cell for cell, dot in self.dots().items() if dot["opacity"] > 0.2]

    def shows(self, *pair):
        "Whether the drawn values are those of the pair, to the digits that travel."
        seen = {cell: dot["datum"]["value"] for cell, dot in self.dots().items()}
        truth = dict(zip(self.truth.cells, self.truth.pair(*pair)))
        near = max(map(abs, truth.values())) / 999
        return seen.keys() == truth.keys() and all(abs(seen[c] - v) <= near + 0.006 * abs(v) for c, v in truth.items())

    def squares(self):
        "Effector, regulator → mean, as drawn; and the pair in the frame."
        found = [(m["datum"]["effector"], m["datum"]["regulator"], m) for m in self.marks("rect", "effector")]
        means = {(e, r): m["datum"]["value"] for e, r, m in found}
        return means, [(e, r) for e, r, m in found if m["stroke"] not in (None, "white")]

    def counted(self):
        "How many cells the view by group counts."
        words = (str(m["text"]).replace(",", "") for m in self.page.evaluate(MARKS, self.where) if m["kind"] == "text")
        return sum(int(word) for word in words if word.isdigit())

    def drag(self, view, *shares):
        "Drag through these shares of the width and height of a view of cells; one is a click."
        self.to_top()
        symbols = self.marks("symbol", "cell")
        name = list(dict.fromkeys(mark["name"] for mark in symbols))[view]
        x, y, width, height = next(mark for mark in symbols if mark["name"] == name)["frame"]
        places = [(x + across * width, y + down * height) for across, down in shares]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]: self.page.mouse.move(*place, steps=6)
        self.page.mouse.up()

    def square_at(self, *pair):
        squares = ((m["datum"], m["at"]) for m in self.marks("rect", "effector"))
        return next(at for d, at in squares if (d["effector"], d["regulator"]) == pair)

    def click_square(self, *pair):
        self.to_top()
        self.page.mouse.click(*self.square_at(*pair))

    def to_top(self):
        self.page.locator(self.where or "#chart").evaluate("e => e.scrollIntoView({block: 'start'})")

    def says(self, words): self.page.get_by_text(words).first.wait_for(timeout=20_000)

    # What both pages can do: all views, counts, means and words follow what is drawn

    def first_picture(self):
        until(lambda: any(self.shows(*pair) for pair in PAIRS[1:3]), "the first picture is not a pair of the data", 60)
        views = {mark["name"] for mark in self.marks("symbol", "cell")}
        assert (len(self.squares()[0]), self.counted(), len(views)) == (4, N, 5), (self.counted(), views)

    def square(self):
        for pair in (PAIRS[2], PAIRS[1]):
            self.click_square(*pair)
            until(lambda pair=pair: self.shows(*pair) and self.squares()[1] == [pair], f"a click does not pick {pair}")

    def selects(self, view, *shares):
        before = self.squares()[0]
        self.drag(view, *shares)
        until(lambda: 0 < self.counted() < N and self.squares()[0] != before, "counts and means do not follow")
        agree = lambda: abs(len(found := self.clear()) - self.counted()) <= 1 and found
        inside = until(agree, "the dots are not those that are counted")
        wanted = self.truth.pair("Gata1", "Spi1", cells=inside).mean()
        until(lambda: abs(self.squares()[0]["Gata1", "Spi1"] / wanted - 1) < 0.02, "the mean is not that of the cells")
        self.says(f"of these {len(inside)} cells")
        return inside

    def brush(self): self.selects(0, (0.02, 0.05), (0.55, 0.95))

    def lets_go(self, view=0, at=(0.99, 0.01)):
        self.drag(view, at)
        until(lambda: self.counted() == N, "a click beside it does not let go")
        self.says(f"of all {N} cells")

    def lasso(self):
        self.page.keyboard.down("Shift")
        inside = self.selects(0, (0.02, 0.02), (0.98, 0.02), (0.02, 0.98), (0.02, 0.5))
        self.page.keyboard.up("Shift")
        for cell, dot in self.dots().items():
            (x, y), (left, top, width, height) = dot["at"], dot["frame"]
            share = (x - left) / width + (y - top) / height   # 1 on the long side of the triangle
            assert abs(share - 1) < 0.05 or (cell in inside) == (share < 1), (cell, share)

    def plane(self):
        self.selects(1, (0.3, 0.02), (1.0, 0.98))
        self.lets_go(1, (0.01, 0.01))

    def screens(self, shots, name, wait=1.5):
        for size, viewport in (("wide", WIDE), ("phone", PHONE), ("", WIDE)):
            self.page.set_viewport_size(viewport)
            time.sleep(wait)
            if size: self.page.screenshot(path=shots / f"{name}-{size}.png")

    def clean(self): assert not self.problems, self.problems[:5]


class Lab(Screen):
    "The explorer in JupyterLab."
    where = ".vfjac-chart"

    def execute(self, command, **how):
        self.page.evaluate("([name, how]) => { window.jupyterapp.commands.execute(name, how); }", [command, how])

    def run_notebook(self, url):
        self.page.goto(f"{url}/lab/tree/explorer.ipynb")
        idle = "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        self.page.wait_for_function(idle, timeout=120_000)
        for command in ("application:toggle-left-area", "notebook:run-all-cells"): self.execute(command)
        until(lambda: len(self.dots()) == N, "the cells are not drawn", 150)
        self.problems.clear()   # what JupyterLab itself reports while it starts

    def pick(self, place, gene):
        box = self.page.locator("input[placeholder='type a gene']").nth(place)
        box.fill(gene)
        for key in ("Enter", "Tab"): box.press(key)

    def press(self, name, *pair):
        self.page.get_by_role("button", name=name, exact=True).click()
        if pair: until(lambda: self.shows(*pair), f"{name} does not show {pair}")

    def pick_gene(self):
        for place in (0, 1): self.pick(place, "Gata1")
        until(lambda: self.shows("Gata1", "Gata1"), "the picture does not follow the pick")
        colours, started = self.fills(), time.time()
        self.pick(1, "Spi1")
        until(lambda: self.shows("Gata1", "Spi1"), "the picture does not follow the second pick")
        print(f"       {time.time() - started:.1f} s from gene to picture (goal: under 1 s on a quiet machine)")
        assert time.time() - started < 6 and self.fills() != colours
        until(lambda: self.squares()[1] == [("Gata1", "Spi1")], "the heatmap does not move its frame")
        self.says("as Spi1 rises")

    def wrong_gene(self):
        self.pick(1, "Gata9<b>")
        self.says("did you mean Gata1")
        assert self.shows("Gata1", "Spi1"), "the picture changed"
        self.pick(1, "Spi1")
        self.says("percentages are over all")

    def buttons(self):
        for name, pair in (("⇄ swap", PAIRS[2]), ("↶", PAIRS[1]), ("↷", PAIRS[2])): self.press(name, *pair)

    def panel(self):
        "Rows of the heatmap: one taken away, typed again."
        rows = self.page.locator(".jupyter-widget-tagsinput").first
        effectors = lambda: {effector for effector, _ in self.squares()[0]}
        rows.locator(".jupyter-widget-tag", has_text="Spi1").locator(".jupyter-widget-tag-close").click()
        until(lambda: effectors() == {"Gata1"}, "the row does not go")
        rows.click(position={"x": rows.bounding_box()["width"] - 5, "y": 10})
        rows.locator("input").press_sequentially("Spi1")
        for key in ("Enter", "Tab"): rows.locator("input").press(key)
        until(lambda: effectors() == {"Gata1", "Spi1"}, "the row does not come back")

    def brush_stays(self):
        n = self.counted()
        for gene in ("Gata1", "Spi1"):
            self.pick(1, gene)
            until(lambda gene=gene: self.shows("Gata1", gene), "the picture does not follow the pick")
            assert self.counted() == n, "the box is lost when the gene changes"

    def compare(self):
        "The cells in the box are kept as A; then all others are B."
        a, differs = self.clear(), lambda: abs(self.squares()[0]["Gata1", "Spi1"] / wanted - 1) > 0.01
        b = [cell for cell in self.truth.cells if cell not in a]
        wanted = self.truth.difference(a, b, ["Gata1"], ["Spi1"])[0][0, 0]
        self.press("keep as A, or let go")
        self.says("Set A is kept")
        self.lets_go()
        self.says(f"A ({len(a)} cells) less B ({len(b)} cells)")
        until(lambda: not differs(), "the squares are no differences")
        self.press("table")
        self.page.locator("table td", has_text="Gata1").first.wait_for(timeout=10_000)
        self.press("keep as A, or let go")
        until(differs, "A is not let go")

    def keys(self):
        "On the chart the key A keeps and lets go; a screen reader hears the sentence."
        status = self.page.locator("div[role=status]", has_text="Gata1").first
        for words in ("Set A is kept", "Strongest on"):
            self.page.locator(self.where).focus()
            self.page.keyboard.press("a")
            self.says(words)
            until(lambda words=words: words in status.text_content(), f"{words} is not said")

    def hover(self):
        self.to_top()
        x, y = next(reversed(self.dots().values()))["at"]
        for near in (3, 0): self.page.mouse.move(x - near, y - near, steps=3)
        self.page.locator("#vg-tooltip-element.visible").wait_for(timeout=5_000)
        words = self.page.locator("#vg-tooltip-element").inner_text()
        assert all(part in words for part in ("cell", "group", "∂f / ∂x")), words

    def menus(self):
        "Each menu changes what it should, and back."
        places = lambda: {cell: dot["at"] for cell, dot in self.dots().items()}
        for name, there, look in (("embedding", "pca", places), ("colour", "obs: group", self.fills),
                                  ("in view", "Spi1-high", self.counted)):
            label, before = self.page.get_by_text(name, exact=True), look()
            menu = self.page.locator(".widget-dropdown").filter(has=label).locator("select")
            menu.select_option(label=there)
            until(lambda: look() not in (before, {}, 0), f"{name} changes nothing")
            menu.select_option(index=0)
            until(lambda: look() == before, f"{name} does not go back")

    def theme(self, name):
        fills = self.fills()
        self.execute("apputils:change-theme", theme=f"JupyterLab {name}")
        until(lambda: self.fills() not in ({}, fills), f"no {name.lower()} colours")


class Report(Screen):
    "The page, opened from disk."
    def open(self, path):
        self.page.context.set_offline(True)
        self.page.goto(path.as_uri())
        self.page.wait_for_function("() => window.vegaView", timeout=30_000)

    def select(self, menu, **option): self.page.locator("#menus select").nth(menu).select_option(**option)

    def menus(self):
        for wanted in PAIRS[::-1]:
            for menu in (0, 1): self.select(menu, label=wanted[menu])
            until(lambda wanted=wanted: self.shows(*wanted) and self.squares()[1] == [wanted], f"{wanted} is not shown")
        self.select(2, index=1)
        until(lambda: 0 < self.counted() < N, "the group menu does not reach the counts")
        self.select(2, index=0)
        before = until(lambda: self.counted() == N and self.fills(), "the group menu does not let go")
        self.select(3, label="groups")
        until(lambda: len({*self.fills().values()}) == 3, "the groups have no colours")
        self.select(3, index=0)
        until(lambda: self.fills() == before, "the colours do not come back")

    def words(self):
        self.brush()
        other, mean = self.page.locator("#others").inner_text(), self.squares()[0]["Gata1", "Spi1"]
        assert other.startswith("Strongest on Gata1 in these cells") and f"Spi1 −{abs(mean):.1g}"[:7] in other, other

    def compare(self):
        "One group is kept as A, another is B: differences, errors and rates are those of Python."
        group, groups = self.page.locator("#menus select").nth(2), sorted(set(self.groups))[:2]
        for place, (name, words) in enumerate(zip(groups, ("A is kept", "A less B"))):
            group.select_option(label=name)
            if not place: self.page.keyboard.press("a")
            until(lambda words=words: words in self.page.locator("#others").inner_text(), f"no {words!r}")
        wanted = compare_groups(self.truth, *(np.flatnonzero(self.groups == name) for name in groups))
        wanted = wanted.set_index(["effector", "regulator"])
        found = self.download("#pairs-csv").set_index(["effector", "regulator"]).loc[wanted.index]
        for column in ("difference", "stderr", "z", "fdr", "mean_a", "mean_b"):
            np.testing.assert_allclose(found[column], wanted[column], rtol=2e-3, atol=1e-4, err_msg=column)
        e, r = self.page.evaluate("['effector_name', 'regulator_name'].map(name => vegaView.signal(name))")
        assert f"{abs(wanted['difference'][e, r]):.2g}" in self.page.locator("#others").inner_text()
        self.page.locator("#pairs").click()
        assert self.page.locator("#table tr").count() == 5
        self.page.locator("#pairs").click()
        before = self.page.locator("#others").inner_text()
        self.page.reload()
        until(lambda: self.page.locator("#others").inner_text() == before, "the address does not reopen the comparison")
        self.page.keyboard.press("a")
        until(lambda: "less" not in self.page.locator("#others").inner_text(), "the key does not let A go")
        self.page.locator("#undo").click()
        until(lambda: self.page.locator("#others").inner_text() == before, "undo does not bring A back")
        self.page.keyboard.press("a")
        group.select_option(index=0)
        until(lambda: self.counted() == N, "the group stays")

    def download(self, button, read=pd.read_csv):
        with self.page.expect_download() as got: self.page.locator(button).click()
        assert got.value.suggested_filename.startswith("vfjac_"), got.value.suggested_filename
        return read(got.value.path())

    def keeps(self):
        "Saved pictures hold headline, caption and marks; the cells in view are a table."
        self.drag(0, (0.02, 0.05), (0.55, 0.95))
        until(lambda: 0 < self.counted() < N, "nothing is selected")
        inside = self.clear()
        assert set(self.download("#cells-csv")["cell"]) == set(inside)
        svg = self.download("#svg", lambda path: html.unescape(Path(path).read_text()))
        for words in (self.page.locator("h1").inner_text()[:40], "Strongest on", "Each dot is a cell"):
            assert words in svg, words
        assert svg.count("<path") > 3 * N
        assert self.download("#png", lambda path: Path(path).read_bytes())[:4] == b"\x89PNG"
        self.page.keyboard.press("Escape")
        until(lambda: self.counted() == N, "Escape does not let go")

    def still(self):
        "Neither a brush nor another pair moves the chart."
        top = lambda: self.page.locator("#chart").bounding_box()["y"] + self.page.evaluate("scrollY")
        places = {top()}
        for pair in PAIRS:
            for menu in (0, 1): self.select(menu, label=pair[menu])
            self.drag(0, (0.02, 0.05), (0.3, 0.6))
            time.sleep(0.4)
            places.add(top())
            self.page.keyboard.press("Escape")
            time.sleep(0.4)
        assert max(places) - min(places) < 1, places

    def by_keyboard(self):
        "Tab reaches every menu and button, each has a name, and the sentence is live."
        names = set()
        self.page.locator("#menus select").first.focus()
        for _ in range(25):
            names.add(self.page.evaluate("document.activeElement.id"))
            self.page.keyboard.press("Tab")
        assert {*"keep pen free undo redo pairs pairs-csv cells-csv png svg pdf".split()} <= names, names
        controls = "[...document.querySelectorAll('button, select')]"
        assert self.page.evaluate(controls + ".every(e => e.labels?.length || e.textContent.trim())")
        assert {self.page.locator(part).get_attribute("aria-live") for part in ("h1", "#others")} == {"polite"}

    def by_finger(self):
        "On a phone a tap picks a square, a finger scrolls, and draws where the lasso is on."
        wire = self.page.context.new_cdp_session(self.page)
        wire.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
        self.page.set_viewport_size(PHONE)
        time.sleep(1.5)

        def finger(*places):
            moves = [("touchMove", place) for place in places[1:]]
            for kind, place in [("touchStart", places[0]), *moves, ("touchEnd", None)]:
                points = [] if place is None else [dict(zip("xy", place))]
                wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
                time.sleep(0.03)

        for pair in (PAIRS[2], PAIRS[1]):
            self.page.evaluate("y => window.scrollBy(0, y)", self.square_at(*pair)[1] - 400)
            finger(self.square_at(*pair))
            until(lambda pair=pair: self.shows(*pair), f"a tap does not pick {pair}")
        def draw(*shares):
            self.to_top()
            x, y, width, height = next(iter(self.dots().values()))["frame"]
            finger(*[(x + across * width, y + down * height) for across, down in shares])

        draw((0.1, 0.9), (0.1, 0.1), (0.5, 0.1), (0.9, 0.1))
        time.sleep(0.5)
        assert self.counted() == N, "a finger that scrolls selects"
        self.page.locator("#pen").click()
        draw((0.02, 0.98), (0.02, 0.02), (0.5, 0.02), (0.98, 0.02), (0.5, 0.5))
        until(lambda: 0 < self.counted() < N, "a finger draws no lasso")
        self.page.locator("#pen").click()
        self.page.locator("#free").click()
        until(lambda: self.counted() == N, "the lasso is not let go")
        wire.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
        self.page.set_viewport_size(WIDE)
        time.sleep(1.5)

    def enlarged(self):
        "At 200 % nothing is cut."
        self.page.set_viewport_size({"width": 640, "height": 450})
        time.sleep(1.5)
        parts = "['html', 'h1', '#tools', '#chart'].map(part => document.querySelector(part).scrollWidth)"
        wide = max(self.page.evaluate(parts))
        self.page.set_viewport_size(WIDE)
        time.sleep(1.5)
        assert wide <= 640, wide

    def odd_names(self, adata, folder):
        odd = adata.copy()
        odd.var_names = [ODD, "x.y"]
        odd.obs["group"] = odd.obs["group"].astype(str).replace(odd.obs["group"].iloc[0], ODD)
        self.open(report(jacobian(odd, list(odd.var_names)), folder / "odd.html", title=ODD))
        for menu, name in enumerate((ODD, "x.y")): self.select(menu, label=name)
        until(lambda: self.page.locator("h1").inner_text().startswith(f"{ODD}'s velocity"), "the menus do not answer")
        assert self.page.locator("img").count() == 0

    def narrow(self):
        "On a phone nothing of the sentence is cut, and the page is no wider than the window."
        self.page.set_viewport_size(PHONE)
        time.sleep(1)
        parts = "() => ['html', 'h1', '#chart'].map(part => document.querySelector(part).scrollWidth)"
        wide = self.page.evaluate(parts)
        self.page.set_viewport_size(WIDE)
        time.sleep(1)
        assert max(wide) <= 390, wide

    def many_genes(self, folder):
        "A page of many genes: boxes that are typed into, the heat map follows, the address reopens the pair."
        raw = counts(n_cells=300, n_regulators=6, n_targets=60, depth=10, seed=1)
        regulators = list(raw.var_names[:6])
        cells, _ = prepare(raw, keep=regulators, report=True)
        fit_production(cells, regulators)
        self.open(report(cells, folder / "many.html", regulators, list(cells.var_names), max_cells=200))
        box = self.page.locator("#menus input").first
        box.fill("Target60")
        box.press("Enter")
        shown = lambda: "Target60" in self.page.locator("h1").inner_text()
        until(lambda: shown() and {e for e, _ in self.squares()[1]} == {"Target60"}, "the typed gene is not shown")
        assert "production" in self.page.locator("#symbols").inner_text() and "effector=Target60" in self.page.url
        self.page.reload()
        until(shown, "the address does not reopen the pair")


def of_report(new, adata, folder, shots):
    "Its checks, with what they need."
    s = new(Report, folder.as_uri())
    s.groups = adata.obs["group"].to_numpy().astype(str)
    yield s.open, report(adata, folder / "report.html", title="Toggle switch")
    for check in (s.first_picture, s.menus, s.square, s.narrow, s.lasso, s.lets_go, s.compare, s.keeps, s.still,
                  s.by_keyboard, s.by_finger, s.enlarged, s.words): yield check,
    for scheme in ("light", "dark"):
        s.page.emulate_media(color_scheme=scheme)
        yield s.screens, shots, f"report-{scheme}"
    yield s.clean,
    s = new(Report, folder.as_uri())
    yield s.odd_names, adata, folder
    yield s.many_genes, folder
    yield s.clean,


def of_explorer(new, folder, shots):
    "Its checks, with what they need."
    process, url = start_lab(folder)
    try:
        s = new(Lab, url)
        yield s.run_notebook, url
        for check in (s.first_picture, s.pick_gene, s.wrong_gene, s.buttons, s.square, s.panel, s.brush, s.brush_stays):
            yield check,
        yield s.screens, shots, "explorer-light", 3
        for check in (s.compare, s.lasso, s.lets_go, s.plane, s.keys, s.hover, s.menus): yield check,
        yield s.theme, "Dark"
        yield s.screens, shots, "explorer-dark", 3
        yield s.theme, "Light"
        yield s.clean,
    finally: stop(process)


def fails(check, *how) -> bool:
    "Try a check, and print a line for it."
    started, name, error = time.time(), check.__qualname__, None
    try: check(*how)
    except Exception as problem: error = problem
    print(f"FAILED {name}: {error!r}" if error else f"ok     {name} ({time.time() - started:.1f} s)", flush=True)
    return error is not None


def main() -> int:
    if not CHROMIUM:
        print("skipped: no Chromium on this machine (Debian: apt-get install chromium)")
        return 0
    space = {}
    exec(DATA, space)
    adata = space["adata"]
    truth = gene_jacobian(adata)
    jacobian(adata, ["Spi1", "Gata1"])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = Path(folder)
        shots = Path((sys.argv[1:] or [os.environ.get("VFJAC_SCREENSHOTS") or folder / "shots"])[0])
        shots.mkdir(parents=True, exist_ok=True)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        def new(kind, allowed):
            return kind(*watched(browser.new_context(viewport=WIDE), (allowed, "data:", "blob:"), ("error",)), truth)
        checks = chain(of_report(new, adata, folder, shots), of_explorer(new, folder, shots))
        results = [fails(*check) for check in checks]
        browser.close()
    print(f"{len(results) - sum(results)} passed, {sum(results)} failed")
    return sum(results)


if __name__ == "__main__": sys.exit(main())
