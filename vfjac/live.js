// The live chart of the explorer, an anywidget: looks.js and Vega-Embed come before it.
const wishes = window.matchMedia("(prefers-color-scheme: dark)");
function isDark(wanted) {
  if (wanted !== "auto") return wanted === "dark";
  const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
  if (jpThemeLight) return jpThemeLight === "false";
  return vscodeThemeKind ? /dark|high-contrast$/.test(vscodeThemeKind) : wishes.matches;
}
function boxOf(value) {
  const ends = Object.values(value || {});
  const drawn = ends.length === 2 && ends.every(e => Array.isArray(e) && e[0] !== e[1]);
  return drawn ? JSON.parse(JSON.stringify(value)) : {};
}
function rowsOf(columns) {
  const names = Object.keys(columns), rows = [];
  for (let i = 0; i < columns[names[0]].length; i++) {
    const row = {};
    for (const name of names) row[name] = columns[name][i];
    rows.push(row);
  }
  return rows;
}
async function render({ model, el }) {
  const host = document.createElement("div");
  host.className = "vfjac-chart";
  host.style.width = "100%";
  host.tabIndex = 0;
  const said = document.createElement("div");   // read aloud, not seen
  said.setAttribute("role", "status");
  said.style.cssText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)";
  el.append(said);
  const speak = () => { said.textContent = model.get("said"); };
  model.on("change:said", speak);
  speak();
  host.setAttribute("aria-label", "Chart; keys: A keeps the cells in view as A, L draws a lasso, Z and Y undo and redo");
  el.append(host);
  const state = { shown: null, dark: null, width: 0, queue: Promise.resolve(), timers: {}, due: new Set() };
  const width = () => host.clientWidth || state.width || 1120;
  const tell = error => { host.textContent = "The chart could not be drawn: " + error.message; };
  const next = work => { state.queue = state.queue.then(work).catch(tell); return state.queue; };
  const names = [...model.get("tables"), "params"];
  const gone = () => { if (state.shown) { state.lassos(); state.shown.finalize(); } };
  const report = (name, value) => { model.set(name, value); model.save_changes(); };

  async function embed() {
    const spec = structuredClone(model.get("spec"));
    if (!spec || !spec.$schema) return;
    const boxes = model.get("boxes");
    for (const p of spec.params || []) if (p.select) {
      if (Object.keys(boxes[p.name] || {}).length && !isLasso(boxes[p.name])) p.value = boxes[p.name];
      else delete p.value;
    }
    const [fit] = arranged(spec, width()), dark = isDark(model.get("theme"));
    for (const timer of Object.values(state.timers)) clearTimeout(timer);   // boxes of the view that goes
    Object.assign(state, { dark, width: width(), due: new Set(names) });
    host.style.minHeight = host.offsetHeight + "px";
    gone();
    const options = { mode: "vega-lite", renderer: "canvas", actions: false, patch: seeThrough,
                      tooltip: { theme: dark ? "dark" : "light" } };
    state.shown = await vegaEmbed(host, { background: "transparent", ...(dark ? repainted(fit) : fit) }, options);
    host.style.minHeight = "";
    const view = host.vegaView = state.shown.view;
    const drawn = (box, outline, wait) => { clearTimeout(state.timers[box]); state.timers[box] = setTimeout(
      () => report("boxes", { ...model.get("boxes"), [box]: outline }), wait); };
    state.lassos = lassos(view, host, (box, outline) => {
      if (outline || isLasso(model.get("boxes")[box])) drawn(box, outline || {}, 0); });
    for (const box of ["brush", "plane"]) {
      const changed = (_, value) => drawn(box, boxOf(value), 150);
      try { view.addSignalListener(box, changed); } catch { /* this picture has no such view */ }
    }
    onSquare(view, ({ effector, regulator }) => report("square", { effector, regulator, at: Date.now() }));
    pen();
    await update();
  }
  function pen() { // a finger draws, where it scrolled
    const drawing = host.classList.toggle("pen", model.get("pen")), canvas = host.querySelector("canvas");
    if (canvas) canvas.style.touchAction = drawing ? "none" : "";
  }
  host.addEventListener("keydown", event => { const name = event.key.toLowerCase();
    if (!"alzy".includes(name) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation();   // a letter is a command of the notebook, too
    event.preventDefault();
    report("key", { name, at: Date.now() }); });
  async function update() { // tables and parameters in place of those of the specification
    const due = [...state.due].filter(name => Object.keys(model.get(name) || {}).length);
    state.due.clear();
    if (!state.shown || !due.length) return;
    for (const name of due) {
      const value = model.get(name);
      if (name !== "params") state.shown.view.data(name, rowsOf(value));
      else for (const [param, to] of Object.entries(value)) state.shown.view.signal(param, to);
    }
    if (due.includes("cells")) state.shown.view.resize();   // labels of other numbers need other room
    await state.shown.view.runAsync();
  }
  const redraw = () => next(embed);
  const numbers = Object.fromEntries(names.map(
    name => ["change:" + name, () => { state.due.add(name); next(update); }]));
  const look = () => { if (isDark(model.get("theme")) !== state.dark) redraw(); };
  const resized = () => { if (host.clientWidth && Math.abs(width() - state.width) > 24) {
    clearTimeout(state.timers.size); state.timers.size = setTimeout(redraw, 200); } };
  model.on("change:spec", redraw);
  for (const [event, refresh] of Object.entries(numbers)) model.on(event, refresh);
  model.on("change:theme", look);
  model.on("change:pen", pen);
  wishes.addEventListener("change", look);
  const themes = new MutationObserver(look), sizes = new ResizeObserver(resized);
  const kinds = ["data-jp-theme-light", "data-vscode-theme-kind"];
  themes.observe(document.body, { attributes: true, attributeFilter: kinds });
  sizes.observe(host);
  await redraw();
  return () => {
    model.off("change:spec", redraw); model.off("change:theme", look); model.off("change:pen", pen); model.off("change:said", speak);
    for (const [event, refresh] of Object.entries(numbers)) model.off(event, refresh);
    wishes.removeEventListener("change", look); themes.disconnect(); sizes.disconnect();
    gone();
  };
}
export default { render };
