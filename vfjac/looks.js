// How a chart is fitted into its page. DARK, SIGNED and SCHEME, the colours, come before this text: see vfjac.charts.
function repainted(spec) {
  if (Array.isArray(spec)) return spec.map(repainted);
  if (typeof spec === "string") return Object.hasOwn(DARK, spec) ? DARK[spec] : spec;
  if (spec === null || typeof spec !== "object") return spec;
  const done = {};
  for (const [key, value] of Object.entries(spec))
    done[key] = key === "datasets" || key === "values" ? value : repainted(value);
  if (done.scheme === SCHEME) { delete done.scheme; done.range = SIGNED; done.interpolate = "rgb"; }
  return done;
}
function arranged(spec, width) { // as many views in a row as there is room for, as wide as fits
  const columns = width >= 1060 ? 3 : width >= 660 ? 2 : 1, made = (spec.usermeta || {}).view;
  const wide = Math.max(200, Math.min(380, Math.floor((width - 30) / columns - 85)));
  const sized = part => part.width === made ? {...part, width: wide}
    : part.width === made - 110 ? {...part, width: wide - 110} : part.name === "means" ? grown(part) : part;
  const grown = part => { const by = columns > 1 ? 1 : Math.max(1, (wide - 20) / Math.max(part.width, part.height));   // for fingers
    return {...part, width: by * part.width, height: by * part.height}; };
  const below = part => columns > 1 ? part   // legends stand below where there is no room beside
    : JSON.parse(JSON.stringify(part).replaceAll('"orient":"right"', '"orient":"bottom"'));
  const fit = part => part.concat ? {...part, columns, concat: below(part.concat.map(sized))}
    : part.vconcat ? {...part, vconcat: part.vconcat.map(fit)} : columns > 1 ? part : shortened(part);
  const whole = made ? fit(spec) : spec;
  if (!made || columns > 1 || !whole.title) return [whole, columns, wide];
  const {text, subtitle} = whole.title, title = {...whole.title, text: wrapped(text, width / 9)};
  if (subtitle) title.subtitle = wrapped(subtitle, width / 7);
  return [{...whole, title}, columns, wide];
}
function wrapped(text, most) { // as lines of at most so many letters
  const add = (lines, word) => (lines.at(-1) + " " + word).length > most ? [...lines, word]
    : [...lines.slice(0, -1), `${lines.at(-1)} ${word}`.trim()];
  return [text].flat().flatMap(line => typeof line === "string" ? line.split(" ").reduce(add, [""]) : [line]);
}
function shortened(part) { // lines of text above the views, for a narrow page
  if (!(part.layer || []).every(line => line.mark && line.mark.type === "text")) return part;
  const small = ({mark, encoding, ...line}, i) => ({...line, mark: {...mark, fontSize: 0.8 * mark.fontSize, lineBreak: ", "},
    encoding: {...encoding, x: {value: -60}, y: {value: [0, 19, 52][i] || 0}}});
  return part.layer ? {...part, width: 200, height: 70, layer: part.layer.map(small)} : part;
}
function seeThrough(spec) { // a box must not hide the cells in it from the pointer
  for (const mark of spec.marks || []) {
    if (/^(brush|plane)_brush$/.test(mark.name)) mark.interactive = false;
    seeThrough(mark);
  }
  return spec;
}
function onSquare(view, then) { // a click, or a tap, of which Vega does not say what is below it
  let touched = null;
  view.addEventListener("touchstart", (_, item) => { touched = item; });
  view.addEventListener("click", (_, item) => { const d = (item || touched || {}).datum;
    touched = null;
    if (d && "effector" in d && "regulator" in d) then(d); });
}
const isLasso = outline => (Object.values(outline || {})[0] || []).length > 2;
function inLasso(x, y, xs, ys) { // a line from the point to the right crosses the outline an odd number of times
  let inside = false;
  for (let i = 0, j = xs.length - 1; i < xs.length; j = i++)
    if ((ys[j] > y) !== (ys[i] > y) && x < (xs[j] - xs[i]) * (y - ys[i]) / (ys[j] - ys[i]) + xs[i]) inside = !inside;
  return inside;
}
function lassos(view, host, drawn) { // Shift, or the class `pen`, and drag: drawn("brush" or "plane", outline); null for a press without
  const axes = {brush: ["x", "y"], plane: ["regulator_x", "effector_x"]}, canvas = host.querySelector("canvas");
  const seek = (part, name) => { for (const item of part.items || []) {
    const found = item.name === name ? item : seek(item, name);
    if (found) return found; } return null; };
  const origin = () => [view.origin()[0] + view.padding().left, view.origin()[1] + view.padding().top];
  const at = event => { const box = canvas.getBoundingClientRect(), [x, y] = origin();
    return [event.clientX - box.x - x, event.clientY - box.y - y]; };
  function under([x, y]) { // the view below a point, if it can be selected on
    for (const name of Object.keys(axes)) {
      const mark = seek(view.scenegraph().root, name + "_brush");
      if (!mark) continue;
      let [left, top] = [0, 0];
      for (let g = mark.group; g; g = g.mark && g.mark.group) { left += g.x || 0; top += g.y || 0; }
      const {width, height} = mark.group, scales = mark.group.mark.name.replace(/group$/, "");
      if (x >= left && y >= top && x <= left + width && y <= top + height) return {name, left, top, scales};
    }
    return null;
  }
  let pen = null;
  const down = event => {
    const where = event.target === canvas && under(at(event));
    if (!where || !event.shiftKey && !host.classList.contains("pen")) { if (where && event.type === "pointerdown") drawn(where.name, null); return; }
    event.stopPropagation();   // so that Vega draws no box
    event.preventDefault();
    if (event.type !== "pointerdown") return;
    const sheet = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = sheet.appendChild(document.createElementNS(sheet.namespaceURI, "polygon"));
    sheet.style.cssText = `position:absolute;left:${canvas.offsetLeft}px;top:${canvas.offsetTop}px;pointer-events:none;`
      + `width:${canvas.clientWidth}px;height:${canvas.clientHeight}px`;
    line.style.cssText = "fill:rgba(128,128,128,.2);stroke:gray";
    canvas.parentElement.append(sheet);
    pen = {...where, sheet, line, points: [at(event)]};
  };
  const move = event => { if (!pen) return;
    const [x, y] = origin();
    pen.points.push(at(event));
    pen.line.setAttribute("points", pen.points.map(([a, b]) => `${a + x},${b + y}`).join(" ")); };
  const up = async () => { if (!pen) return;
    const {name, left, top, scales, sheet, points} = pen, step = Math.ceil(points.length / 100);
    pen = null;
    sheet.remove();
    if (points.length < 4) return;
    const corners = points.filter((_, i) => i % step === 0), [x, y] = axes[name];
    await view.data(name + "_store", []).runAsync();   // a box that was drawn goes
    drawn(name, {[x]: corners.map(point => +view.scale(scales + "x").invert(point[0] - left).toPrecision(4)),
                 [y]: corners.map(point => +view.scale(scales + "y").invert(point[1] - top).toPrecision(4))}); };
  const heard = [[host, "pointerdown", down], [host, "mousedown", down], [window, "pointermove", move], [window, "pointerup", up],
    [window, "pointercancel", () => { if (pen) pen.sheet.remove(); pen = null; }]];
  for (const [who, what, then] of heard) who.addEventListener(what, then, true);
  return () => { for (const [who, what, then] of heard) who.removeEventListener(what, then, true); };
}
