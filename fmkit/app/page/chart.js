// Curves over steps, drawn as SVG as wide as there is room.
const MARGIN = { left: 44, right: 14, top: 12, bottom: 26 };

export function drawn(tag, properties = {}, words) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  if (words !== undefined) element.textContent = words;
  return element;
}

const short = (value) => (value >= 0.01 || value === 0 ? String(Number(value.toFixed(2))) : value.toExponential(0));

/** Places of round numbers on an axis. */
function ticks(low, high, most) {
  const raw = (high - low) / most, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * size).find((one) => one >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + 1e-9; at += step) found.push(at);
  return found;
}

/**
 * Draw curves.
 *
 * curves: [{name, values, kind}], kind the number of its colour; steps: of the whole axis; log: of the values;
 * image: {address, height} of a picture beneath, as wide as the axis; words: of the steps, in place of numbers.
 */
export function chart(svg, { curves, steps, low = 0, high = 1, log = false, image, words, axis = "epoch" }) {
  const wide = svg.clientWidth || 480, tall = svg.clientHeight || 256;
  const right = wide - MARGIN.right, roomy = (right - MARGIN.left) / steps > 72; // so that words need not be turned
  const bottom = words?.length && !roomy ? 62 : MARGIN.bottom + (words?.length ? 0 : 14);
  const floor = tall - bottom - (image ? image.height + 6 : 0);
  const half = words || image ? 0.5 : 0; // a step is then as wide as its column of the picture
  const x = (step) => MARGIN.left + ((step - 1 + half) / Math.max(steps - 1 + 2 * half, 1)) * (right - MARGIN.left);
  const share = log ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
  const y = (value) => floor - Math.min(1, Math.max(0, share(value))) * (floor - MARGIN.top);
  const parts = [];
  const marks = log ? ticks(Math.log10(low), Math.log10(high), 5).filter(Number.isInteger).map((power) => 10 ** power) : ticks(low, high, 4);
  for (const mark of marks) {
    parts.push(drawn("line", { x1: MARGIN.left, x2: right, y1: y(mark), y2: y(mark) }));
    parts.push(drawn("text", { x: MARGIN.left - 6, y: y(mark) + 4, "text-anchor": "end" }, short(mark)));
  }
  if (image) {
    const top = floor + 6;
    parts.push(drawn("image", { href: image.address, x: MARGIN.left, y: top, width: right - MARGIN.left, height: image.height, preserveAspectRatio: "none" }));
    parts.push(drawn("text", { x: MARGIN.left - 6, y: top + image.height / 2 + 4, "text-anchor": "end" }, "units"));
  }
  const under = tall - bottom + 14;
  if (words?.length) {
    const every = Math.ceil((14 * steps) / (right - MARGIN.left));
    for (let step = 1; step <= steps; step += every) {
      const how = roomy ? { "text-anchor": "middle" } : { "text-anchor": "end", transform: `rotate(-55 ${x(step)} ${under - 2})` };
      parts.push(drawn("text", { x: x(step), y: under - 2, ...how }, words[step - 1].slice(0, 12)));
    }
  } else {
    for (const mark of ticks(1, Math.max(steps, 2), Math.min(6, steps)).filter((one) => Number.isInteger(one) && one <= steps))
      parts.push(drawn("text", { x: x(mark), y: under, "text-anchor": "middle" }, mark));
    parts.push(drawn("text", { x: (MARGIN.left + right) / 2, y: under + 16, "text-anchor": "middle" }, axis));
  }
  const ends = [];
  for (const { name, values, kind } of curves) {
    const path = values.map((value, i) => `${i ? "L" : "M"}${x(i + 1).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    if (!values.length) continue;
    const end = [x(values.length), y(values.at(-1))];
    if (values.length > 1) parts.push(drawn("path", { d: path, class: `curve net-${kind}` }));
    parts.push(drawn("circle", { cx: end[0], cy: end[1], r: 3, class: `net-${kind}` }));
    if (name) ends.push({ name, kind, x: Math.min(end[0], right - 4), y: Math.max(end[1] - 7, 12) });
  }
  ends.sort((a, b) => a.y - b.y);
  for (const [i, end] of ends.entries()) {
    if (i) end.y = Math.max(end.y, ends[i - 1].y + 14); // names do not lie on each other
    parts.push(drawn("text", { x: end.x, y: end.y, "text-anchor": "end", class: `net-${end.kind}` }, end.name));
  }
  svg.replaceChildren(...parts);
}
