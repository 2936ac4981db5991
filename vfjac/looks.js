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
    : part.width === made - 110 ? {...part, width: wide - 110} : part;
  const below = part => columns > 1 ? part   // legends stand below where there is no room beside
    : JSON.parse(JSON.stringify(part).replaceAll('"orient":"right"', '"orient":"bottom"'));
  const fit = part => part.concat ? {...part, columns, concat: below(part.concat.map(sized))}
    : part.vconcat ? {...part, vconcat: part.vconcat.map(fit)} : part;
  return [made ? fit(spec) : spec, columns, wide];
}
function seeThrough(spec) { // a box must not hide the cells in it from the pointer
  for (const mark of spec.marks || []) {
    if (mark.name === "brush_brush" || mark.name === "plane_brush") mark.interactive = false;
    seeThrough(mark);
  }
  return spec;
}
function squareOf(item) {
  const d = item && item.datum;
  return d && "effector" in d && "regulator" in d ? d : null;
}
