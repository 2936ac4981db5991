// A report: the numbers of any pair and selection, worked out from what the page holds. `data` is made by vfjac.webpage.
const bytesOf = text => Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer;
function unpacked(packed) { // whole numbers and the size of one in each column
  const raw = bytesOf(packed.bytes), wide = packed.steps.length, lost = packed.size === 2 ? -32768 : -128;
  const whole = packed.size === 2 ? new Int16Array(raw) : new Int8Array(raw);
  return {wide, whole, steps: packed.steps, at: (row, column) => {
    const number = whole[row * wide + column];
    return number === lost ? null : number * packed.steps[column]; }};
}
function uncertainty({states, control, root, beta, columns, right}) { // of weighted means: vfjac.posterior.mean_gram, mean_part
  const at = unpacked(states), d = at.wide, [points, triangle] = [control, root].map(text => new Float64Array(bytesOf(text)));
  const X = Float64Array.from(at.whole, (whole, i) => whole * at.steps[i % d]), M = points.length / d;
  return (cells, weights) => {
    const slopes = [];
    for (let m = 0; m < M; m++) slopes.push(new Float64Array(d));
    const trend = weights.reduce((all, w) => all + w, 0);
    cells.forEach((cell, i) => { for (let m = 0; m < M; m++) {
      let r = 0;
      for (let j = 0; j < d; j++) r += beta[j] * (X[cell * d + j] - points[m * d + j]) ** 2;
      const slope = -2 * weights[i] * Math.exp(-r);
      for (let j = 0; j < d; j++) slopes[m][j] += slope * beta[j] * (X[cell * d + j] - points[m * d + j]); } });
    slopes.push(new Float64Array(d));
    for (let j = 0; j < d; j++) slopes.push(Float64Array.from({length: d}, (_, i) => i === j ? trend : 0));
    const sums = Array.from({length: columns}, () => new Float64Array(d));
    for (let row = 0, place = 0; place < triangle.length; row++)
      for (let k = 0; k < Math.min(row + 1, columns); k++, place++)
        for (let j = 0; j < d; j++) sums[k][j] += triangle[place] * slopes[row][j];
    return right.map(side => Math.hypot(...sums.map(sum => sum.reduce((all, value, j) => all + value * side[j], 0))));
  };
}
function twoSided(z) { // the p-value of a standard normal, to 1e-7 of itself (Numerical Recipes, erfc)
  const x = Math.abs(z) / Math.SQRT2, t = 1 / (1 + x / 2);
  return t * Math.exp([0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196,
                       1.00002368, -1.26551223].reduce((all, a) => all * t + a) - x * x);
}
function falseRates(p) { // Benjamini & Hochberg
  const rates = [];
  let least = 1;
  p.map((_, i) => i).sort((a, b) => p[b] - p[a]).forEach((i, before) => {
    rates[i] = least = Math.min(least, p[i] * p.length / (p.length - before)); });
  return rates;
}
function saved(name, content) { // as a download of the browser
  const link = document.createElement("a");
  link.href = /^(data|blob):/.test(content) ? content : URL.createObjectURL(new Blob([content]));
  link.download = name;
  link.click();
}
function csv(rows) {
  const cell = value => value === null || value === undefined ? "" : /[",\n]/.test(value) ? `"${`${value}`.replaceAll('"', '""')}"` : value;
  return [Object.keys(rows[0] || {}), ...rows.map(Object.values)].map(row => row.map(cell).join(",") + "\n").join("");
}
function report(data, spec, redraw, embedded) {
  const at = id => document.getElementById(id), n = data.cells.length, wide = data.regulators.length;
  const tensor = unpacked(data.tensor), errors = data.errors && unpacked(data.errors);
  const levels = data.levels && unpacked(data.levels), lengths = data.spread && uncertainty(data.spread);
  const called = new Set(data.called.map(pair => pair.join())), made = data.of === "production";
  const kinds = Object.keys(data.colours), everywhere = data.cells.map((_, c) => c);
  let view = null, timer = 0, unhook = null, panel = data.panel.map(names => names.slice()), known = {}, steps = history.state?.steps ?? 0;
  const chosen = {effector: data.pair[0], regulator: data.pair[1], group: -1, colour: 0, flow: true, brush: null, plane: null, a: null};
  const selection = ({group, brush, plane, effector, regulator}) => ({group, brush, plane, effector, regulator});

  function weights(e, r) { // places in a row of the tensor, and what each counts
    if (!data.left) return [[e * wide + r, tensor.steps[e * wide + r]]];
    const d = data.right[0].length;
    return data.left[e].flatMap((a, i) => data.right[r].map(
      (b, j) => [i * d + j, a * b * tensor.steps[i * d + j]]));
  }
  function entries(e, r) {
    const terms = weights(e, r);
    return everywhere.map(c => terms.reduce((sum, [place, w]) => sum + w * tensor.whole[c * tensor.wide + place], 0));
  }
  const errorOf = (c, e = chosen.effector, r = chosen.regulator) => errors ? data.parts[e] * errors.at(c, r) : null;
  const level = (c, name) => { const g = data.genes.indexOf(name); return levels && g >= 0 ? levels.at(c, g) : null; };
  function members(asked) { // the cells of a selection
    const names = {effector_x: data.effectors[asked.effector], regulator_x: data.regulators[asked.regulator]};
    const place = (c, axis) => axis in names ? level(c, names[axis]) : data[axis][c];
    const holds = (box, c) => !box || (isLasso(box)
      ? inLasso(...Object.keys(box).map(axis => place(c, axis) ?? NaN), ...Object.values(box))
      : Object.entries(box).every(([axis, [a, b]]) => { const value = place(c, axis);
        return value !== null && value >= Math.min(a, b) && value <= Math.max(a, b); }));
    return everywhere.filter(c => (asked.group < 0 || data.group[c] === asked.group) && holds(asked.brush, c) && holds(asked.plane, c));
  }
  function sets(inside) { // the cells of A and B; null where there is nothing to compare
    if (!chosen.a) return null;
    const a = members(chosen.a), held = new Set(a);
    const b = inside.length === n ? everywhere.filter(c => !held.has(c)) : inside;
    return a.length && b.length && !(a.length === b.length && b.every(c => held.has(c))) ? [a, b] : null;
  }
  function meanOf(cells) { // a function of effector and regulator
    const sum = new Float64Array(tensor.wide);
    for (const c of cells) for (let p = 0; p < tensor.wide; p++) sum[p] += tensor.whole[c * tensor.wide + p];
    return (e, r) => cells.length ? weights(e, r).reduce((all, [p, w]) => all + w * sum[p] / cells.length, 0) : null;
  }
  function once(kind, key, work) { // what was worked out last
    if (!known[kind] || known[kind][0] !== key) known[kind] = [key, work()];
    return known[kind][1];
  }
  function judged(inside, both) { // means over the cells in view, or A less B, with their errors
    const [a, b] = both || [inside, []], [mean, other] = [meanOf(a), meanOf(b)];
    const shares = [...a.map(() => 1 / a.length), ...b.map(() => -1 / b.length)], parts = both ? data.apart : data.parts;
    const along = lengths && a.length ? once("along", `${a}|${b}`, () => lengths([...a, ...b], shares)) : null;
    return (e, r) => ({value: both ? mean(e, r) - other(e, r) : mean(e, r), error: along ? parts[e] * along[r] : null,
                       ...(both ? {mean_a: mean(e, r), mean_b: other(e, r)} : {})});
  }
  function squaresOf(mean, both) { // the pairs in the heat map
    const [rows, columns] = panel.map((names, side) => names.map(name => (side ? data.regulators : data.effectors).indexOf(name)));
    const found = rows.flatMap(e => columns.map(r => ({e, r, ...mean(e, r)})));
    const z = found.map(one => one.error ? one.value / one.error : null), rates = lengths ? falseRates(z.map(twoSided)) : [];
    return found.map(({e, r, value, error, mean_a, mean_b}, i) => ({effector: data.effectors[e], regulator: data.regulators[r], value, error,
      faded: error !== null && (both ? rates[i] > 0.05 : Math.abs(z[i]) < 2) ? 1 : 0, called: called.has(e + "," + r) ? 1 : 0,
      z: z[i], fdr: rates[i] ?? null, mean_a, mean_b}));
  }
  const short = value => `${value < 0 ? "−" : ""}${+Math.abs(value).toPrecision(2)}`, plus = value => value < 0 ? short(value) : "+" + short(value);
  const pairNames = () => [data.effectors[chosen.effector], data.regulators[chosen.regulator]];
  function named(asked, cells) { // what a set is called
    const where = [asked.group < 0 ? "" : data.groups[asked.group], asked.brush || asked.plane ? "as drawn" : ""].filter(Boolean).join(", ");
    return `${cells.length.toLocaleString("en")} cells${where ? `: ${where}` : ""}`;
  }
  function compared(both, squares) { // A less B, in words
    const [e, r] = pairNames(), one = squares.find(square => square.effector === e && square.regulator === r);
    const all = members(selection(chosen)).length === n, b = all ? `the other ${both[1].length.toLocaleString("en")} cells` : named(chosen, both[1]);
    const p = one.z === null ? 1 : twoSided(one.z), rate = `false discovery rate ${short(one.fdr ?? 1)}`;
    const verdict = one.error === null ? "its error is not known on this page" : one.fdr <= 0.05 ? `they differ (${rate})`
      : p < 0.05 ? `taken by itself this pair differs (p ${short(p)}), among all ${squares.length} shown that is not sure (${rate})` : `no sure difference (p ${short(p)}, ${rate})`;
    return `${r} on ${e}: ${plus(one.mean_a)} in A (${named(chosen.a, both[0])}), ${plus(one.mean_b)} in B (${b}). A less B: `
      + `${plus(one.value)}${one.error === null ? "" : ` ± ${short(one.error)}`}: ${verdict}`
      + (lengths ? `. ${squares.filter(square => square.fdr <= 0.05).length} of the ${squares.length} pairs shown differ for sure` : "");
  }
  function others(inside, mean) { // the strongest regulators of the chosen effector
    const e = chosen.effector, does = sign => made ? sign < 0 ? "holds it back" : "drives it" : sign < 0 ? "lowers it" : "raises it";
    const found = data.regulators.map((name, r) => ({name, ...mean(e, r)})).map(one => ({...one, strength: Math.abs(one.value) / (one.error ?? 1)}))
      .filter(one => one.name !== data.effectors[e]).sort((a, b) => b.strength - a.strength).slice(0, 5);
    const listed = name => !made || called.has(`${e},${data.regulators.indexOf(name)}`);
    const said = ({name, value, error, strength}) => `${name} ${plus(value)}` + (error !== null
      ? ` ± ${short(error)} (${strength < 2 ? "unsure" : listed(name) ? does(value) : "not called"})` : "");
    return inside.length && found.length ? `Strongest on ${data.effectors[e]} in these cells: ${found.map(said).join(", ")}` : "";
  }
  function sentence(inside, values) {
    const [e, r] = pairNames();
    const rising = e === r ? r + " itself" : r, percent = count => Math.round(100 * count / inside.length) + " %";
    if (!inside.length) return "No cell is selected: draw another box, or click beside it";
    const up = inside.filter(c => values[c] > 0).length, down = inside.filter(c => values[c] < 0).length;
    if (!up && !down) return `${e}'s ${data.of} does not change as ${rising} rises`;
    const sign = down >= up ? -1 : 1, groups = new Map();
    for (const c of inside) {
      const name = data.groups[data.group[c]], [sum, count] = groups.get(name) || [0, 0];
      groups.set(name, [sum + sign * values[c], count + 1]);
    }
    const large = [...groups].filter(([_, [__, count]]) => count > 4).map(([name, [sum, count]]) => [sum / count, name]);
    const near = large.sort((a, b) => b[0] - a[0]).filter(([mean]) => mean >= 0.8 * large[0][0]).map(pair => pair[1]);
    const names = near.length > 1 ? near.slice(0, -1).join(", ") + " and " + near.at(-1) : near[0];
    const most = near.length && near.length < large.length && near.length < 4 ? `, most in ${names}:` : "";
    const does = !made ? `${e}'s velocity ${sign < 0 ? "falls" : "rises"} as ${rising} rises`
      : sign < 0 ? `${rising} holds ${e} back` : `${rising} drives ${e}`;
    const sure = inside.filter(c => sign * values[c] >= 2 * errorOf(c)).length, other = Math.min(up, down);
    const which = `of ${inside.length === n ? "all " : "these "}${inside.length.toLocaleString("en")} cells`;
    if (errors && sure < 0.005 * inside.length)
      return `No sure effect of ${rising} on ${e}'s ${data.of}: sure in under 1 % ${which}`;
    return `${does}${most} in ${percent(Math.max(up, down))} ${which}`
      + (other > 0.2 * inside.length ? `, the other way in ${percent(other)}` : "")
      + (errors ? `, sure in ${percent(sure)}` : "")
      + (made && !called.has(`${chosen.effector},${chosen.regulator}`) ? "; but this pair is not called" : "");
  }
  function alike(inside, values) { // whether the numbers hardly differ between cells
    const own = inside.map(c => values[c]), mean = own.reduce((all, v) => all + v, 0) / own.length;
    const spread = Math.sqrt(own.reduce((all, v) => all + (v - mean) ** 2, 0) / own.length);
    return own.length > 1 && spread < 0.1 * Math.abs(mean) ? ` It hardly differs between these cells: ${plus(mean)}, give or take ${short(spread)}.` : "";
  }
  function end(values, share) { // where a symmetrical scale ends
    const sizes = values.filter(v => v !== null && isFinite(v)).map(Math.abs).sort((a, b) => a - b);
    return sizes[Math.floor(share * (sizes.length - 1))] || sizes[sizes.length - 1] || 1;
  }
  function state() { // all that is shown: words, rows, signals
    const values = entries(chosen.effector, chosen.regulator), inside = members(selection(chosen)), both = sets(inside), names = pairNames();
    const mean = judged(inside, null), squares = squaresOf(both ? judged(inside, both) : mean, both);
    const average = values.reduce((all, v) => all + v, 0) / n, group = c => data.groups[data.group[c]];
    const shade = {entry: c => values[c], deviation: c => values[c] - average, z: c => values[c] / (errorOf(c) || 1), group}[kinds[chosen.colour]];
    const lassoed = Object.fromEntries(["brush", "plane"].map(name => [name, isLasso(chosen[name]) ? chosen[name] : null]));
    const kept = new Set(lassoed.brush || lassoed.plane ? members({...selection(chosen), group: -1, ...lassoed}) : everywhere);
    const cells = everywhere.map(c => { const error = errorOf(c), [effector_x, regulator_x] = names.map(name => level(c, name));
      return {cell: data.cells[c], x: data.x[c], y: data.y[c], group: group(c), value: values[c], error, effector_x, regulator_x,
              along: regulator_x, colour: shade(c), faded: data.outside[c] || error !== null && Math.abs(values[c]) < 2 * error ? 1 : 0,
              left_out: kept.has(c) ? 0 : 1, jitter: (c * 0.618034) % 1}; });
    const sizes = squares.map(square => square.value), signed = kinds[chosen.colour] === "group" ? values : cells.map(row => row.colour);
    const signals = {effector_name: names[0], regulator_name: names[1], chosen_group: chosen.group, limit: end(values, 0.98),
                     colour_limit: end(signed, 0.98), reach: end(values, 1), mean_top: end(sizes, 1), flow: chosen.flow,
                     mean_limit: Math.min(end(sizes, 1), 3 * end(sizes, 0.95)),
                     means_title: both ? "A less B, by mean" : "Mean over the cells in view"};
    const below = both ? compared(both, squares) : chosen.a ? `A is kept (${named(chosen.a, members(chosen.a))}): select other cells to compare with it`
      : others(inside, mean);
    return {inside, squares, cells, signals, both, says: sentence(inside, values), below,
            symbols: (made ? `∂ production of ${names[0]} / ∂ ${names[1]}` : `∂f_${names[0]} / ∂x_${names[1]}`) + `.${alike(inside, values)}`};
  }
  const drawn = cells => [...cells].sort((a, b) => Math.abs(a.value) - Math.abs(b.value));   // the strongest last
  async function fill(one, now, everything) {
    for (const [name, value] of Object.entries(now.signals)) try { one.signal(name, value); } catch { /* no such views */ }
    if (everything) one.data("cells", drawn(now.cells)).resize();   // labels of other numbers need other room
    await one.data("means", now.squares).runAsync();
  }
  async function show(everything = true) {
    const now = state();
    const words = {says: now.says, symbols: now.symbols, others: now.below};
    for (const id in words) at(id).textContent = words[id];
    for (const id in words)   // the chart must not jump
      at(id).style.minHeight = Math.max(parseFloat(at(id).style.minHeight) || 0, at(id).offsetHeight) + "px";
    document.title = now.says;
    at("keep").setAttribute("aria-pressed", chosen.a !== null);
    at("keep").textContent = chosen.a ? "let A go" : "keep as A";
    if (!at("table").hidden) tabled(now);
    await fill(view, now, everything || isLasso(chosen.brush) || isLasso(chosen.plane));
  }
  function pairRows(now) { return now.squares.map(({effector, regulator, value, error, z, fdr, mean_a, mean_b}) => ({effector, regulator,
    sign: value > 0 ? "+" : "-", ...(now.both ? {mean_a, mean_b, difference: value} : {value}), stderr: error, z, fdr})); }
  function cellRows(now) { const [effector, regulator] = pairNames(), rows = now.cells;
    return now.inside.map(c => rows[c]).map(({cell, x, y, value, error, group, effector_x, regulator_x, faded}) => ({cell, effector, regulator,
      sign: value > 0 ? "+" : "-", x, y, value, stderr: error, group, effector_expression: effector_x, regulator_expression: regulator_x, faded})); }
  function tabled(now) {
    const rows = pairRows(now).sort((a, b) => Math.abs(b.z ?? b.value ?? b.difference) - Math.abs(a.z ?? a.value ?? a.difference)), table = document.createElement("table");
    const line = (kind, words) => { const row = table.insertRow();
      for (const word of words) row.appendChild(document.createElement(kind)).textContent = typeof word === "number" ? `${+word.toPrecision(3)}`.replace("-", "−") : word ?? ""; };
    table.createCaption().textContent = now.both ? "A less B for every pair shown, the surest first" : "Every pair shown, over the cells in view, the surest first";
    line("th", Object.keys(rows[0]));
    for (const row of rows) line("td", Object.values(row));
    at("table").replaceChildren(table);
  }
  async function picture(kind) { // with the words above it, as wide on a phone as elsewhere
    const now = state(), lines = [now.below, now.symbols, at("foot").textContent.trim()].flatMap(text => wrapped(text, 170)).filter(Boolean);
    const titled = {...dressed(spec), title: {text: wrapped(now.says, 110), subtitle: lines, anchor: "start", frame: "bounds", offset: 14, fontSize: 18, subtitleFontSize: 12,
                                              color: "#1f2933", subtitleColor: "#616e7c"}};
    const one = await embedded(document.createElement("div"), titled, 1240);
    await fill(one.view, now, true);
    const address = await one.view.toImageURL(kind, 2);
    saved(fileName(kind), address);
    one.finalize();
    return address;
  }
  const fileName = (kind, what = "") => `vfjac_${pairNames().join("_")}${what}`.replace(/[^\p{L}\p{N}]+/gu, "_") + `.${kind}`;

  // What is chosen, and the address that says it
  const asHash = () => { const [effector, regulator] = pairNames(), {group, brush, plane, a, colour} = chosen;
    const kept = {effector, regulator, group: data.groups[group], colour: colour ? kinds[colour] : null, flow: chosen.flow ? null : "off",
      ...Object.fromEntries(Object.entries({brush, plane, a}).map(([name, value]) => [name, value && JSON.stringify(value)]))};
    return "#" + new URLSearchParams(Object.entries(kept).filter(([_, value]) => value)); };
  function drawnOf(box) { // a box or lasso of an address; null for what is none
    const sides = box && typeof box === "object" ? Object.values(box) : [];
    return sides.length && sides.every(side => Array.isArray(side) && side.length > 1 && side.every(isFinite)) ? box : null;
  }
  function keptOf(a) { // a kept selection of an address; null for what is none
    const whole = a && typeof a === "object" && [[a.effector, data.effectors], [a.regulator, data.regulators]].every(([i, of]) => of[i])
      && (a.group === -1 || data.groups[a.group]);
    return whole ? {...a, brush: drawnOf(a.brush), plane: drawnOf(a.plane)} : null;
  }
  function fromHash() {
    const asked = new URLSearchParams(location.hash.slice(1)), part = name => { try { return JSON.parse(asked.get(name)); } catch { return null; } };
    const place = (names, name, missing) => names.includes(asked.get(name)) ? names.indexOf(asked.get(name)) : missing;
    Object.assign(chosen, {effector: place(data.effectors, "effector", data.pair[0]), regulator: place(data.regulators, "regulator", data.pair[1]),
      group: place(data.groups, "group", -1), colour: place(kinds, "colour", 0), flow: asked.get("flow") !== "off",
      brush: drawnOf(part("brush")), plane: drawnOf(part("plane")), a: keptOf(part("a"))});
    for (const [name, one] of Object.entries(controls)) one.show(chosen[name]);
    fits();
  }
  function remember() { try { if (location.hash !== asHash()) { history.pushState({steps: ++steps}, "", asHash()); } } catch { /* a page without an address */ } }
  function fits() { // the chosen genes stand in the heat map; true if it changes
    let changed = false;
    pairNames().forEach((name, side) => {
      if (panel[side].includes(name)) return;
      panel[side][panel[side].length - 1] = name;
      changed = true;
    });
    return changed;
  }
  function dressed(spec) { // the specification with what is chosen
    const made = structuredClone(spec), means = made.concat.find(part => part.name === "means");
    for (const layer of means.layer) [layer.encoding.y.scale.domain, layer.encoding.x.scale.domain] = panel;
    for (const p of made.params || []) if (p.select) { delete p.value; if (chosen[p.name] && !isLasso(chosen[p.name])) p.value = chosen[p.name]; }
    made.concat[0].encoding.color = data.colours[kinds[chosen.colour]][1];
    typed(made, kinds[chosen.colour] === "group" ? "string" : "number");
    return made;
  }
  function typed(part, kind) { // what Vega makes of the column `colour`
    for (const [name, value] of Object.entries(part || {})) {
      if (name === "parse" && value && value.colour) value.colour = kind;
      else if (value && typeof value === "object") typed(value, kind);
    }
  }
  function choose(values) {
    const pair = "effector" in values || "regulator" in values, anew = "colour" in values || pair && chosen.plane;
    Object.assign(chosen, values, pair ? {plane: null} : {});
    for (const [name, control] of Object.entries(controls)) control.show(chosen[name]);
    remember();
    return fits() || anew ? redraw() : show();
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
    group: control("group", ["all groups", ...data.groups], -1, place => choose({group: place})),
    colour: control("colour", Object.values(data.colours).map(([label]) => label), 0, place => choose({colour: place}))};
  const keep = () => choose({a: chosen.a ? null : selection(chosen)}), go = by => () => { if (by < 0 ? steps : true) history.go(by); };
  const letGo = () => { Object.assign(chosen, {brush: null, plane: null}); remember(); return redraw(); };
  const actions = {
    keep: ["keep as A", "Compare these cells with those selected next (key A)", keep],
    pen: ["lasso", "Draw round cells with the finger or the mouse; Shift and drag does it, too (key L)", () => {
      const on = at("chart").classList.toggle("pen");
      at("pen").setAttribute("aria-pressed", on); }],
    free: ["let go", "Let go of what is drawn (key Escape)", letGo],
    undo: ["↶", "Undo", go(-1)], redo: ["↷", "Redo", go(1)],
    flows: ["velocities", "Streams of the velocities, on or off (key V)", () => choose({flow: !chosen.flow})],
    pairs: ["table", "Every pair shown, as a table below", () => { at("table").hidden = !at("table").hidden; if (!at("table").hidden) tabled(state()); }],
    "pairs-csv": ["pairs CSV", "Save every pair shown", () => saved(fileName("csv", "_pairs"), csv(pairRows(state())))],
    "cells-csv": ["cells CSV", "Save the cells in view", () => saved(fileName("csv", "_cells"), csv(cellRows(state())))],
    png: ["PNG", "Save the picture with its words", () => picture("png")], svg: ["SVG", "The same as drawing", () => picture("svg")],
    pdf: ["PDF", "Print, or save as PDF", () => window.print()]};
  for (const [id, [label, tip, work]] of Object.entries(actions)) {
    if (id === "flows" && !data.flow) continue;
    const button = at("tools").appendChild(document.createElement("button"));
    Object.assign(button, {id, textContent: label, title: tip, type: "button"});
    button.addEventListener("click", work);
  }
  const keys = {a: "keep", l: "pen", v: "flows", escape: "free"};
  document.addEventListener("keydown", event => { const button = at(keys[event.key.toLowerCase()]);
    if (button && !event.ctrlKey && !event.metaKey && !event.altKey && !/INPUT|SELECT/.test(event.target.tagName)) button.click(); });
  window.addEventListener("popstate", event => { steps = event.state?.steps ?? 0; fromHash(); redraw(); });
  fromHash();
  async function follow(shown) { // the view that is drawn: fill it, and listen to it
    view = shown;
    for (const name of ["brush", "plane"]) {
      const heard = (_, box) => {
        if (Object.values(box || {}).length === 2) chosen[name] = structuredClone(box);
        else if (!isLasso(chosen[name])) chosen[name] = null;
        clearTimeout(timer);
        timer = setTimeout(() => { remember(); show(false); }, 60);
      };
      try { view.addSignalListener(name, heard); } catch { /* this picture has no such view */ }
    }
    if (unhook) unhook();
    unhook = lassos(view, at("chart"), (name, lasso) => { if (!lasso && !isLasso(chosen[name])) return;
      clearTimeout(timer);
      chosen[name] = lasso;
      remember();
      show(); });
    onSquare(view, square => choose({effector: data.effectors.indexOf(square.effector), regulator: data.regulators.indexOf(square.regulator)}));
    await show();
  }
  return {follow, dressed};
}
