// A report: the numbers of any pair, worked out from what the page holds. `data` is made by vfjac.webpage.
function unpacked(packed) { // whole numbers and the size of one in each column
  const raw = Uint8Array.from(atob(packed.bytes), c => c.charCodeAt(0));
  const whole = packed.size === 2 ? new Int16Array(raw.buffer) : new Int8Array(raw.buffer);
  const wide = packed.steps.length, lost = packed.size === 2 ? -32768 : -128;
  return {wide, whole, steps: packed.steps, at: (row, column) => {
    const number = whole[row * wide + column];
    return number === lost ? null : number * packed.steps[column]; }};
}
function report(data, spec, redraw) {
  const at = id => document.getElementById(id), n = data.cells.length, wide = data.regulators.length;
  const tensor = unpacked(data.tensor), errors = data.errors && unpacked(data.errors);
  const levels = data.levels && unpacked(data.levels), gene = name => data.genes.indexOf(name);
  const called = new Set(data.called.map(pair => pair.join()));
  const chosen = {effector: data.pair[0], regulator: data.pair[1], group: -1, colour: "entry"}, boxes = {};
  let view = null, timer = 0, unhook = null, panel = data.panel.map(names => names.slice());

  function weights(e, r) { // places in a row of the tensor, and what each counts
    if (!data.left) return [[e * wide + r, tensor.steps[e * wide + r]]];
    const d = data.right[0].length;
    return data.left[e].flatMap((a, i) => data.right[r].map(
      (b, j) => [i * d + j, a * b * tensor.steps[i * d + j]]));
  }
  function entries(e, r) {
    const terms = weights(e, r), values = new Array(n);
    for (let c = 0; c < n; c++) {
      let sum = 0;
      for (const [place, weight] of terms) sum += weight * tensor.whole[c * tensor.wide + place];
      values[c] = sum;
    }
    return values;
  }
  function rows() { // the cells, as the views read them
    const values = entries(chosen.effector, chosen.regulator);
    const genes = [data.effectors[chosen.effector], data.regulators[chosen.regulator]].map(gene);
    return values.map((value, c) => {
      const error = errors ? data.parts[chosen.effector] * errors.at(c, chosen.regulator) : null;
      const [effector_x, regulator_x] = genes.map(g => levels && g >= 0 ? levels.at(c, g) : null);
      const group = data.groups[data.group[c]], unsure = error !== null && Math.abs(value) < 2 * error;
      return {cell: data.cells[c], x: data.x[c], y: data.y[c], group, value, error, effector_x, regulator_x,
              along: regulator_x, colour: chosen.colour === "entry" ? value : group,
              faded: data.outside[c] || unsure ? 1 : 0, jitter: (c * 0.618034) % 1};
    }).sort((a, b) => Math.abs(a.value) - Math.abs(b.value));
  }
  const within = (box, row) => isLasso(box)
    ? inLasso(...Object.keys(box).map(axis => row[axis] ?? NaN), ...Object.values(box))
    : Object.entries(box).every(
      ([axis, [a, b]]) => row[axis] !== null && row[axis] >= Math.min(a, b) && row[axis] <= Math.max(a, b));
  const seen = row => (chosen.group < 0 || row.group === data.groups[chosen.group])
    && Object.values(boxes).every(box => within(box, row));

  function sums(inside) { // of each place in a row of the tensor
    const sum = new Float64Array(tensor.wide), place = new Map(data.cells.map((cell, c) => [cell, c]));
    for (const row of inside) {
      const start = place.get(row.cell) * tensor.wide;
      for (let p = 0; p < tensor.wide; p++) sum[p] += tensor.whole[start + p];
    }
    return (e, r) => inside.length ? weights(e, r).reduce((all, [p, w]) => all + w * sum[p] / inside.length, 0) : null;
  }
  function means(mean) { // of the pairs in the heat map
    const [rows, columns] = panel.map((names, side) => names.map(name => (side ? data.regulators : data.effectors).indexOf(name)));
    return rows.flatMap(e => columns.map(r => ({effector: data.effectors[e], regulator: data.regulators[r],
      value: mean(e, r), faded: 0, called: called.has(e + "," + r) ? 1 : 0})));
  }
  function others(inside, mean) { // the strongest regulators of the chosen effector
    const e = chosen.effector, places = new Map(data.cells.map((cell, c) => [cell, c]));
    const found = data.regulators.map((name, r) => {
      const value = mean(e, r), part = errors ? data.parts[e] / inside.length : null;
      const error = errors ? part * inside.reduce((all, row) => all + errors.at(places.get(row.cell), r), 0) : null;
      return {name, value, error, strength: Math.abs(value) / (errors ? error || 1e-300 : 1)};
    }).filter(one => one.name !== data.effectors[e]).sort((a, b) => b.strength - a.strength).slice(0, 5);
    const short = value => +value.toPrecision(2), sign = value => value < 0 ? "−" : "+";
    const said = ({name, value, error, strength}) => `${name} ${sign(value)}${short(Math.abs(value))}`
      + (errors ? ` ± ${short(error)}${strength < 2 ? " (unsure)" : ""}` : "");
    return inside.length && found.length ? `Strongest on ${data.effectors[e]} in these cells${errors ? " (± at most)" : ""}: ${found.map(said).join(", ")}` : "";
  }
  function sentence(inside) {
    const e = data.effectors[chosen.effector], r = data.regulators[chosen.regulator], made = data.of === "production";
    const rising = e === r ? r + " itself" : r, percent = count => Math.round(100 * count / inside.length) + " %";
    if (!inside.length) return "No cell is selected: draw another box, or click beside it";
    const up = inside.filter(row => row.value > 0).length, down = inside.filter(row => row.value < 0).length;
    if (!up && !down) return `${e}'s ${data.of} does not change as ${rising} rises`;
    const sign = down >= up ? -1 : 1, groups = new Map();
    for (const row of inside) {
      const [sum, count] = groups.get(row.group) || [0, 0];
      groups.set(row.group, [sum + sign * row.value, count + 1]);
    }
    const large = [...groups].filter(([_, [__, count]]) => count > 4).map(([name, [sum, count]]) => [sum / count, name]);
    const near = large.sort((a, b) => b[0] - a[0]).filter(([mean]) => mean >= 0.8 * large[0][0]).map(pair => pair[1]);
    const named = near.length > 1 ? near.slice(0, -1).join(", ") + " and " + near.at(-1) : near[0];
    const most = near.length && near.length < large.length && near.length < 4 ? `, most in ${named}:` : "";
    const does = !made ? `${e}'s velocity ${sign < 0 ? "falls" : "rises"} as ${rising} rises`
      : sign < 0 ? `${rising} holds ${e} back` : `${rising} drives ${e}`;
    const sure = inside.filter(row => sign * row.value >= 2 * row.error).length, other = Math.min(up, down);
    const which = `of ${inside.length === n ? "all " : "these "}${inside.length.toLocaleString("en")} cells`;
    if (errors && sure < 0.005 * inside.length)
      return `No sure effect of ${rising} on ${e}'s ${data.of}: sure in under 1 % ${which}`;
    return `${does}${most} in ${percent(Math.max(up, down))} ${which}`
      + (other > 0.2 * inside.length ? `, the other way in ${percent(other)}` : "")
      + (errors ? `, sure in ${percent(sure)}` : "");
  }
  function end(values, share) { // where a symmetrical scale ends
    const sizes = values.filter(v => v !== null && isFinite(v)).map(Math.abs).sort((a, b) => a - b);
    return sizes[Math.floor(share * (sizes.length - 1))] || sizes[sizes.length - 1] || 1;
  }
  async function show(everything = true) {
    const cells = rows(), lassoed = Object.values(boxes).filter(isLasso);
    for (const row of cells) row.left_out = lassoed.every(lasso => within(lasso, row)) ? 0 : 1;
    const inside = cells.filter(seen), mean = sums(inside), squares = means(mean);
    const values = cells.map(row => row.value), sizes = squares.map(square => square.value);
    const e = data.effectors[chosen.effector], r = data.regulators[chosen.regulator];
    at("says").textContent = document.title = sentence(inside);
    for (const link of document.querySelectorAll(".vega-actions a[download]"))   // files are called by their pair
      link.download = `vfjac_${e}_${r}`.replace(/[^\p{L}\p{N}]+/gu, "_") + link.download.match(/\.\w+$/)[0];
    at("others").textContent = others(inside, mean);
    at("symbols").textContent = data.of === "production" ? `∂ production of ${e} / ∂ ${r}` : `∂f_${e} / ∂x_${r}`;
    const signals = {effector_name: e, regulator_name: r, chosen_group: chosen.group, limit: end(values, 0.98),
                     colour_limit: end(values, 0.98), reach: end(values, 1),
                     mean_top: end(sizes, 1), mean_limit: Math.min(end(sizes, 1), 3 * end(sizes, 0.95))};
    for (const [name, value] of Object.entries(signals)) view.signal(name, value);
    if (everything || lassoed.length) view.data("cells", cells).resize();   // labels of other numbers need other room
    await view.data("means", squares).runAsync();
  }
  function fits() { // the chosen genes stand in the heat map; if it must change, the chart is drawn anew
    let changed = false;
    for (const [side, names] of [[0, data.effectors], [1, data.regulators]]) {
      const name = names[side ? chosen.regulator : chosen.effector];
      if (panel[side].includes(name)) continue;
      panel[side][panel[side].length - 1] = name;
      changed = true;
      for (const layer of spec.concat.find(part => part.name === "means").layer)
        layer.encoding[side ? "x" : "y"].scale.domain = panel[side];
    }
    return changed;
  }
  function choose(values) {
    Object.assign(chosen, values);
    for (const [name, control] of Object.entries(controls)) control.show(chosen[name]);
    delete boxes.plane;
    const hash = {effector: data.effectors[chosen.effector], regulator: data.regulators[chosen.regulator]};
    try { history.replaceState(null, "", "#" + new URLSearchParams(hash)); } catch { /* a page without an address */ }
    if ("colour" in values) {
      spec.concat[0].encoding.color = data.colours[chosen.colour];
      typed(spec, chosen.colour === "entry" ? "number" : "string");
    }
    return fits() || "colour" in values ? redraw() : show();
  }
  function typed(part, kind) { // what Vega makes of the column `colour`
    for (const [name, value] of Object.entries(part || {})) {
      if (name === "parse" && value && value.colour) value.colour = kind;
      else if (value && typeof value === "object") typed(value, kind);
    }
  }
  function control(label, names, first, pick) { // a menu; a box that completes what is typed, for many names
    const box = document.createElement("label"), many = names.length > 30;
    const input = document.createElement(many ? "input" : "select"), list = many ? document.createElement("datalist") : input;
    names.forEach((name, i) => list.append(many ? new Option(name) : new Option(name, i + first)));
    box.append(label, input);
    if (many) { list.id = "list-" + label; box.append(list); input.setAttribute("list", list.id); input.type = "search"; }
    input.addEventListener("change", () => {
      const place = many ? names.indexOf(input.value.trim()) : +input.value - first;
      input.setCustomValidity(place < 0 && many ? `no gene ${input.value} here` : "");
      if (!input.reportValidity() || place < 0 && many) return;
      pick(place + first);
    });
    at("menus").append(box);
    return {show: value => { input.value = many ? names[value - first] : value; }};
  }
  const controls = {
    effector: control("effector", data.effectors, 0, place => choose({effector: place})),
    regulator: control("regulator", data.regulators, 0, place => choose({regulator: place})),
    group: control("group", ["all groups", ...data.groups], -1, place => choose({group: place}))};
  const kinds = ["entry", "group"];
  const colour = control("colour", ["∂f / ∂x", "groups"], 0, place => choose({colour: kinds[place]}));
  controls.colour = {show: value => colour.show(kinds.indexOf(value))};
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const [side, names] of [["effector", data.effectors], ["regulator", data.regulators]])
    if (names.includes(asked.get(side))) chosen[side] = names.indexOf(asked.get(side));
  for (const [name, one] of Object.entries(controls)) one.show(chosen[name]);
  fits();
  async function follow(drawn) { // the view that is drawn: fill it, and listen to it
    view = drawn;
    for (const name of Object.keys(boxes)) delete boxes[name];
    for (const name of ["brush", "plane"]) {
      const heard = (_, box) => {
        if (Object.values(box || {}).length === 2) boxes[name] = structuredClone(box); else delete boxes[name];
        clearTimeout(timer);
        timer = setTimeout(() => show(false), 60);
      };
      try { view.addSignalListener(name, heard); } catch { /* this picture has no such view */ }
    }
    if (unhook) unhook();
    unhook = lassos(view, at("chart"), (name, lasso) => { if (!lasso && !isLasso(boxes[name])) return;
      clearTimeout(timer);
      if (lasso) boxes[name] = lasso; else delete boxes[name];
      show(); });
    view.addEventListener("click", (_, item) => { const square = squareOf(item);
      if (square) choose({effector: data.effectors.indexOf(square.effector),
                          regulator: data.regulators.indexOf(square.regulator)}); });
    await show();
  }
  return {follow};
}
