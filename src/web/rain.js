// The red-packet rain: when it falls, what is left, and how its budget goes, planned against granted.

import { area, draw, line } from "./chart.js";
import { group } from "./exact.js";
import { Falling } from "./falling.js";

const WIDTH = 600;
const HEIGHT = 150;
const STATES = { scheduled: "starts soon", running: "falling now", paused: "paused", ended: "over" };

export class Rain {
  /** `part(name)` finds an element of the card; `now()` is the server's time in ms. */
  constructor(part, now) {
    this.part = part;
    this.now = now;
    this.rain = null;
    this.falling = new Falling(part("rain-falling"));
    setInterval(() => this.#showClock(), 250);
  }

  /** Takes what `GET /rain` says; true when there is a rain. */
  take(rain) {
    this.rain = rain.state === "none" ? null : rain;
    if (!this.rain) return false;
    const { state, left_count: left, total_count: total, max_per_user: most } = rain;
    this.part("rain").dataset.state = state;
    this.part("rain-state").textContent = STATES[state] ?? state;
    this.part("rain-left").textContent = group(left);
    this.part("rain-left-unit").textContent = `of ${group(total)} packets left`;
    const button = this.part("rain-snatch");
    button.disabled = state !== "running";
    button.title = `At most ${most} packets each`;
    this.falling.run(state === "running" && left !== "0");
    this.#drawCurve();
    this.#showClock();
    return true;
  }

  #showClock() {
    if (!this.rain) return;
    const { state, starts_at: start, ends_at: end } = this.rain;
    const [label, until] = state === "scheduled" ? ["starts in", start] : ["ends in", end];
    const left = Math.max(0, Math.ceil(Number(until) - this.now() / 1000));
    this.part("rain-clock-label").textContent = state === "ended" ? "ended" : label;
    this.part("rain-clock").textContent = state === "ended" ? span(0) : span(left);
  }

  #drawCurve() {
    const { curve, starts_at: start, ends_at: end, total_count: total } = this.rain;
    const from = Number(start);
    const length = Math.max(1, Number(end) - from);
    const most = Math.max(1, Number(total));
    const at = (point, value) => [((Number(point.at) - from) / length) * WIDTH, HEIGHT - (Number(value) / most) * (HEIGHT - 6)];
    const planned = curve.map((point) => at(point, point.planned));
    const known = curve.filter((point) => point.granted !== null);
    const granted = known.map((point) => at(point, point.granted));
    const svg = this.part("rain-curve");
    const shapes = [draw("path", { class: "granted-fill", d: area(granted, HEIGHT) }), draw("path", { class: "planned-line", d: line(planned) }), draw("path", { class: "granted-line", d: line(granted) })];
    if (granted.length > 0 && this.rain.state === "running") {
      const [x, y] = granted.at(-1);
      // A line of no length with round ends is a dot that keeps its shape however the picture is stretched.
      shapes.push(draw("path", { class: "granted-dot", d: `M${x.toFixed(1)} ${y.toFixed(1)}h0` }));
    }
    svg.replaceChildren(...shapes);
    const newest = known.at(-1) ?? { planned: "0", granted: "0" };
    this.part("rain-curve-text").textContent = `${group(newest.granted)} granted, ${group(newest.planned)} planned by now`;
  }
}

/** Seconds as a clock shows them. */
function span(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const clock = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${clock}` : clock;
}
