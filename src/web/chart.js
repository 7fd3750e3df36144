// Lines and bars as SVG, drawn into a viewBox that the style sheet stretches.

const SVG = "http://www.w3.org/2000/svg";

/** A new element of an SVG. */
export function draw(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** The `d` of a line through `points`, pairs of x and y. */
export function line(points) {
  return points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** The `d` of the area between that line and the ground at `bottom`. */
export function area(points, bottom) {
  if (points.length === 0) return "";
  const first = points[0][0].toFixed(1);
  const last = points.at(-1)[0].toFixed(1);
  return `${line(points)}L${last} ${bottom}L${first} ${bottom}Z`;
}

/** Points of `values`, oldest first, over the whole width; the highest value reaches `top`. */
export function spread(values, { width, height, top = 4 }) {
  const most = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  return values.map((value, index) => [index * step, height - (value / most) * (height - top)]);
}
