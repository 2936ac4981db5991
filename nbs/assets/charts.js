// Draws the charts of a page, without a kernel: each <div class="vega-chart"> holds its specification as JSON.
// Comes after vega.js, which holds Vega, Vega-Lite and Vega-Embed, and the looks of vfjac's own charts
// (repainted, arranged, wrapped, seeThrough, onSquare, from nbs/20_charts.ipynb).
(function () {
  "use strict";
  const NIGHT = {
    background: "transparent", view: { stroke: "#4c555f" }, title: { color: "#e6e9ed", subtitleColor: "#a3adb8" },
    axis: { labelColor: "#cfd6dd", titleColor: "#e6e9ed", gridColor: "#2b3036", domainColor: "#8b96a1", tickColor: "#8b96a1" },
    legend: { labelColor: "#cfd6dd", titleColor: "#e6e9ed" }, header: { labelColor: "#cfd6dd", titleColor: "#e6e9ed" },
    text: { color: "#e6e9ed" }, rule: { color: "#cfd6dd" },
  };
  Object.assign(DARK, { black: "#e6e9ed", "#000": "#e6e9ed", "#000000": "#e6e9ed", "#333": "#cfd6dd", "#333333": "#cfd6dd",
                        "#222": "#e6e9ed", "#444": "#cfd6dd", "#ffffff": "#15181c" });
  const dark = () => document.documentElement.dataset.theme === "dark" || document.body.classList.contains("quarto-dark");

  // What the reader chose with menus and sliders stays chosen when the picture is drawn again.
  function kept(spec, view) {
    const params = (spec.params || []).map(p => p.bind && view && !p.select ? { ...p, value: view.signal(p.name) } : p);
    return spec.params ? { ...spec, params } : spec;
  }
  // A chart that is `over` pixels too wide: views below one another first, then smaller ones.
  function narrower(spec, over) {
    const { hconcat, ...rest } = spec;
    if (hconcat) return { ...rest, vconcat: hconcat };
    if (spec.columns > 1) return { ...spec, columns: 1 };
    if (spec.vconcat) return { ...spec, vconcat: spec.vconcat.map(part => narrower(part, over)) };
    if (spec.concat) return { ...spec, concat: spec.concat.map(part => narrower(part, over)) };
    if (spec.spec) return { ...spec, spec: narrower(spec.spec, over) };
    const told = JSON.stringify(spec);   // a map of names, or words in squares, would run into one another: it scrolls
    const words = told.includes('"text"'), least = words && told.includes('"axis":null') ? 540 : words ? 220 : 140;
    return spec.width > 0 ? { ...spec, width: Math.max(Math.min(spec.width, least), spec.width - over) } : spec;
  }
  const looks = (night, narrow) => ({ ...(night ? NIGHT : {}), ...(narrow ? { axisY: { labelLimit: 150 } } : {}),
    legend: { ...(night ? NIGHT.legend : {}), ...(narrow ? { orient: "bottom", columns: 1 } : {}) } });
  const TITLES = ["title", "text", "subtitle"];   // they break where a phone ends
  const lines = words => [words].flat().every(line => typeof line === "string") && [words].flat().some(line => line.length > 42)
    ? wrapped(words, 42) : words;
  async function draw(div) {
    const night = dark(), old = div.vegaView, narrow = div.clientWidth < 500;
    const most = narrow ? { labelLimit: 150, fontSize: 12, columns: 1 } : {};   // long names leave no room on a phone
    const short = (key, value) => value > most[key] ? most[key] : !narrow ? value : TITLES.includes(key) ? lines(value)
      : key === "legend" && value && value.orient === "right" ? { ...value, orient: "bottom" } : value;
    const made = JSON.parse(div.querySelector("script").textContent, short);
    const part = name => div.querySelector("." + name) || div.appendChild(
      Object.assign(document.createElement("div"), { className: name }));
    const menus = part("menus"), host = part("picture"), tall = Boolean((made.usermeta || {}).view);
    menus.replaceChildren();   // above a tall picture, below others
    div.style.minHeight = div.offsetHeight + "px";
    let fit = kept(made, old), shown, over = 0, room = div.clientWidth;
    for (let turn = 0; turn < 4; turn++) {
      if (shown) shown.view.finalize();
      if (tall) [fit] = arranged(kept(made, old), room -= over);
      else if (over) fit = narrower(fit, over);
      shown = await vegaEmbed(host, { ...(night ? repainted(fit) : fit), background: "transparent" }, {
        mode: "vega-lite", renderer: "canvas", actions: false, patch: seeThrough,
        config: looks(night, narrow),
        ...(tall ? { bind: menus } : {}), tooltip: { theme: night ? "dark" : "light" } });
      over = Math.ceil(host.querySelector("canvas").getBoundingClientRect().width) - div.clientWidth;
      if (over <= 0) break;
    }
    onSquare(shown.view, square => {   // a square of the means chooses its pair
      const names = shown.view.getState().signals;
      if (names.effectors && names.regulators) shown.view
        .signal("effector", names.effectors.indexOf(square.effector))
        .signal("regulator", names.regulators.indexOf(square.regulator)).runAsync();
    });
    if (div.vegaDone) div.vegaDone();
    Object.assign(div, { vegaView: shown.view, vegaDone: () => shown.view.finalize() });
    div.style.minHeight = "";
    div.dataset.drawn = night ? "dark" : "light";
  }
  const charts = [...document.querySelectorAll("div.vega-chart")];
  const tell = div => error => { div.dataset.drawn = "failed"; console.error("chart: " + error.message); };
  const all = () => charts.reduce((before, div) => before.then(() => draw(div).catch(tell(div))), Promise.resolve());
  let wide = window.innerWidth, night = dark(), timer;
  window.addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(() => {
    if (Math.abs(window.innerWidth - wide) > 40) { wide = window.innerWidth; all(); } }, 250); });
  const look = new MutationObserver(() => { if (dark() !== night) { night = dark(); all(); } });
  look.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  look.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  all();
})();
